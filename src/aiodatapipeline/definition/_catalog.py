"""What is known of the types of pipeline objects: a table in ``catalog.json``.

The set is open, as the service may know more than its guide prints: what is not in the table
is unusual, and not wrong. Source: Pipeline Object Reference of the developer guide.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import TypedDict

__all__ = ["Catalog", "Kind", "ObjectType", "ValueKind", "catalog"]


class Kind(StrEnum):
    """What an object is for."""

    ACTIVITY = "activity"
    DATA_NODE = "datanode"
    RESOURCE = "resource"
    PRECONDITION = "precondition"
    DATABASE = "database"
    DATA_FORMAT = "dataformat"
    SCHEDULE = "schedule"
    ACTION = "action"
    UTILITY = "utility"


class ValueKind(StrEnum):
    """What a field holds, in the guide's words."""

    BOOLEAN = "Boolean"
    DATE_TIME = "DateTime"
    DOUBLE = "Double"
    ENUMERATION = "Enumeration"
    INTEGER = "Integer"
    PERIOD = "Period"
    REFERENCE = "ref"
    STRING = "String"


@dataclass(frozen=True, slots=True)
class ObjectType:
    """A type of objects."""

    name: str
    kind: Kind
    fields: Mapping[str, ValueKind]
    """All fields of the guide but id, name and type."""
    required: tuple[str, ...]
    one_of: tuple[tuple[str, ...], ...]
    """Of each group, one field must be there."""
    refused: tuple[str, ...]
    """Fields that the guide lists, only to say that they are not allowed."""
    by_service: bool
    """Whether the service evaluates such preconditions itself, without a task runner."""


@dataclass(frozen=True, slots=True)
class Catalog:
    """All that is known, to look up by name."""

    types: Mapping[str, ObjectType]
    fields: Mapping[str, ValueKind]
    """The fields of all types together, for objects without a type."""
    run_time: frozenset[str]
    """Fields that the service sets when a pipeline runs."""
    references: Mapping[str, frozenset[str]]
    """For a reference field, the kinds and types that it may lead to."""
    choices: Mapping[str, frozenset[str]]
    """For a field with few values, all of them. The service takes them in any case."""


class _Entry(TypedDict):
    kind: str
    groups: str
    fields: dict[str, str]
    required: str
    one_of: list[str]
    refused: str
    by_service: bool


class _Table(TypedDict):
    groups: dict[str, dict[str, str]]
    types: dict[str, _Entry]
    run_time: str
    references: dict[str, str]
    choices: dict[str, str]


@cache
def catalog() -> Catalog:
    """Read the table; once is enough."""
    text = files("aiodatapipeline.definition").joinpath("catalog.json").read_text("utf-8")
    table: _Table = json.loads(text)
    groups = {name: _fields([group]) for name, group in table["groups"].items()}
    types = {name: _type(name, entry, groups) for name, entry in table["types"].items()}
    return Catalog(
        types=types,
        # One field, RdsDatabase's region, has two kinds, and both of them are texts.
        fields={key: kind for each in types.values() for key, kind in each.fields.items()},
        run_time=frozenset(table["run_time"].split()),
        references={key: frozenset(names.split()) for key, names in table["references"].items()},
        choices={key: frozenset(names.split()) for key, names in table["choices"].items()},
    )


def _fields(groups: Iterable[Mapping[str, str]]) -> dict[str, ValueKind]:
    return {
        key: ValueKind(kind)
        for group in groups
        for kind, keys in group.items()
        for key in keys.split()
    }


def _type(name: str, entry: _Entry, groups: Mapping[str, Mapping[str, ValueKind]]) -> ObjectType:
    fields = _fields([entry["fields"]])
    for group in entry["groups"].split():
        fields.update(groups[group])
    return ObjectType(
        name=name,
        kind=Kind(entry["kind"]),
        fields=fields,
        required=tuple(entry["required"].split()),
        one_of=tuple(tuple(group.split()) for group in entry["one_of"]),
        refused=tuple(entry["refused"].split()),
        by_service=entry["by_service"],
    )
