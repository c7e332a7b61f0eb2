"""Pipeline definitions: files, checks, expressions and drawings. Pure: no network."""

from aiodatapipeline.definition._file import Definition, DefinitionError, Position

__all__ = ["Definition", "DefinitionError", "Position"]
