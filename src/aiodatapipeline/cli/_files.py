"""Definition files, and values of parameters, as commands are given them."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from aiodatapipeline._secrets import MASK, is_secret
from aiodatapipeline.cli._command import pairs
from aiodatapipeline.cli._failure import Failure
from aiodatapipeline.definition import Definition
from aiodatapipeline.models import ParameterValue

STDIN = Path("-")

DefinitionFile: TypeAlias = Annotated[
    Path, typer.Argument(metavar="FILE", help="A definition file; - for standard input.")
]
ParametersFile: TypeAlias = Annotated[
    Path | None,
    typer.Option("--parameters", metavar="FILE", help="Parameters, if they have their own file."),
]
ValuesFile: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--values", metavar="FILE", help="Values of parameters, if they have their own file."
    ),
]
Values: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--value",
        metavar="ID=VALUE",
        help="The value of a parameter. Can be given several times; one id twice makes a list.",
    ),
]


def read_definition(path: Path, *, whole: bool = True) -> Definition:
    """Read a definition file.

    Raises:
        DefinitionError: It is no definition.
        Failure: It cannot be read.
    """
    if path == STDIN:
        return Definition.from_text(sys.stdin.read(), name="<stdin>", whole=whole)
    try:
        return Definition.from_file(path, whole=whole)
    except OSError as error:
        raise Failure(f"{path} cannot be read: {error.strerror}", 2) from error


def read_parts(
    path: Path, parameters: Path | None, values: Path | None, given: Iterable[str] | None
) -> Definition:
    """Read a definition and what stands in other files, or on the command line, of it.

    Raises:
        DefinitionError: One of the files is no part of a definition.
        Failure: One cannot be read, or a secret stands on the command line.
    """
    definition = read_definition(path)
    for part in (parameters, values):
        if part is not None:
            definition = definition.with_parts(read_definition(part, whole=False))
    typed = read_values(None, given)
    kept = [each for each in definition.values if each.id not in {one.id for one in typed}]
    return definition.with_parts(Definition(values=(*kept, *typed)))


def read_to_send(
    path: Path, parameters: Path | None, values: Path | None, given: Iterable[str] | None
) -> Definition:
    """Read what is sent to a service: as ``read_parts``, but no secret may be masked.

    Raises:
        DefinitionError: As there.
        Failure: As there, or stars stand in the place of a secret.
    """
    definition = read_parts(path, parameters, values, given)
    _refuse_masked(definition)
    return definition


def read_values(path: Path | None, given: Iterable[str] | None) -> tuple[ParameterValue, ...]:
    """Read the values of parameters from a file and from the command line, which goes first.

    Raises:
        DefinitionError: The file has no values.
        Failure: It cannot be read, or a secret stands on the command line.
    """
    typed = pairs(given or (), "value of a parameter", "ID=VALUE")
    for key in typed:
        if is_secret(key):
            raise Failure(
                f"{key!r} is secret, and every user of this machine can list the words of a "
                "command: put its value into a file for --values",
                2,
            )
    found = read_definition(path, whole=False).values if path is not None else ()
    return (
        *(each for each in found if each.id not in typed),
        *(
            ParameterValue(id=key, string_value=value)
            for key, values in typed.items()
            for value in values
        ),
    )


def _refuse_masked(definition: Definition) -> None:
    """Let nobody replace a secret by the stars that stand for it in what we print."""
    values = (
        *((field.key, field.string_value) for one in definition.objects for field in one.fields),
        *((each.id, each.string_value) for each in definition.values),
        *((one.id, each.string_value) for one in definition.parameters for each in one.attributes),
    )
    for key, value in values:
        if is_secret(key) and value == MASK:
            raise Failure(
                f"the value of {key!r} is {MASK!r}, which stands for a secret that was masked: "
                "'get --show-secrets' gives the values themselves"
            )
