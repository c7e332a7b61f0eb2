"""``aiodatapipeline definition``: definition files, with or without a service."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from aiodatapipeline._secrets import MASK
from aiodatapipeline.cli import _output
from aiodatapipeline.cli._command import Context, Output, connected, printed
from aiodatapipeline.cli._failure import Failure
from aiodatapipeline.cli._files import (
    STDIN,
    DefinitionFile,
    ParametersFile,
    Values,
    ValuesFile,
    read_definition,
    read_parts,
)
from aiodatapipeline.cli._output import Answer, Format
from aiodatapipeline.cli._runs import Runs
from aiodatapipeline.definition import (
    ChangeKind,
    Comparison,
    Definition,
    Drawing,
    FieldChange,
    Finding,
    Severity,
    check,
    compare,
)
from aiodatapipeline.models import Ref

_STYLES = {Severity.FATAL: "bold red", Severity.ERROR: "bold red", Severity.WARNING: "yellow"}
_MEMBERS = {"objects", "parameters", "values"}


class DrawingFormat(StrEnum):
    """How a drawing is written."""

    SVG = "svg"
    DOT = "dot"
    MERMAID = "mermaid"


# -- check ----------------------------------------------------------------------------------------


def check_file(
    file: DefinitionFile,
    *,
    parameters: ParametersFile = None,
    values: ValuesFile = None,
    value: Values = None,
    activating: Annotated[
        bool,
        typer.Option("--activating", help="It is to run now: parameters need values, for example."),
    ] = False,
    output: Output = Format.TABLE,
) -> None:
    """Find what is wrong with a definition file, without a service.

    The exit code is 1 if there are errors. Warnings are none.
    """
    definition = read_parts(file, parameters, values, value)
    now = datetime.now(UTC) if activating else None
    report = check(definition, activating=activating, now=now)
    errors, warnings = len(report.errors), len(report.warnings)
    document = {
        "file": str(file),
        "errors": errors,
        "warnings": warnings,
        "findings": [_finding(each) for each in report.findings],
    }
    shown = [_told(each, definition.source) for each in report.findings]
    summary = f"{definition.source}: {_count(errors, 'error')}, {_count(warnings, 'warning')}"
    _output.show(Answer(document, [*shown, summary]), output)
    raise typer.Exit(int(bool(errors)))


def _finding(finding: Finding) -> dict[str, object]:
    place = finding.position
    return {
        "id": finding.id.value,
        "severity": finding.severity.value,
        "objectId": finding.object_id or None,
        "field": finding.field or None,
        "message": finding.message,
        "advice": finding.advice,
        "line": place.line if place else None,
        "column": place.column if place else None,
    }


def _told(finding: Finding, source: str) -> Text:
    place = (
        f"{source}:{finding.position.line}:{finding.position.column}"
        if finding.position
        else source
    )
    where = f"{finding.object_id}: " if finding.object_id else ""
    return Text.assemble(
        _output.visible(f"{place}: "),
        (finding.severity.value, _STYLES[finding.severity]),
        _output.visible(f": {where}{finding.message.rstrip('.')}. {finding.advice}"),
    )


def _count(number: int, what: str) -> str:
    return f"{number or 'no'} {what}{'' if number == 1 else 's'}"


# -- diff -----------------------------------------------------------------------------------------


@connected
async def diff(
    context: Context,
    *,
    file: DefinitionFile,
    new: Annotated[
        Path | None,
        typer.Argument(metavar="NEW", help="What the first file is compared with."),
    ] = None,
    pipeline: Annotated[
        str | None,
        typer.Option(
            metavar="PIPELINE", help="Compare the pipeline with the file: what 'put' would change."
        ),
    ] = None,
    version: Annotated[
        str | None, typer.Option(metavar="VERSION", help="Of the pipeline: latest or active.")
    ] = None,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="Exit with 1 if there are differences.")
    ] = False,
) -> Answer:
    """Show what differs in two files, or in a pipeline and a file.

    What the service refuses once the pipeline has been activated is marked.
    """
    if (new is None) == (pipeline is None):
        raise Failure("name two files, or one file and --pipeline", 2)
    if version and pipeline is None:
        raise Failure("--version is about a pipeline: name it with --pipeline", 2)
    first = read_definition(file)
    if new is not None:
        comparison = compare(first, read_definition(new))
    else:
        old = await context.client.get_pipeline_definition(str(pipeline), version=version)
        comparison = compare(Definition.from_response(old), first)
    text = comparison.to_text(colour=_output.on_terminal())
    return Answer(
        _document(comparison),
        [Text.from_ansi(text.rstrip("\n"))],
        int(exit_code and bool(comparison)),
    )


def _document(comparison: Comparison) -> dict[str, object]:
    objects, parameters = (
        [
            {
                "id": each.id,
                "kind": each.kind.value,
                "refused": each.refused or None,
                "fields": [_change(one) for one in each.fields],
            }
            for each in changes
        ]
        for changes in (comparison.objects, comparison.parameters)
    )
    values = [_change(each) for each in comparison.values]
    return {"objects": objects, "parameters": parameters, "values": values}


def _change(change: FieldChange) -> dict[str, object]:
    old, new = (
        [MASK if change.secret else {"ref": each.id} if isinstance(each, Ref) else each
         for each in values]
        for values in (change.old, change.new)
    )  # fmt: skip
    return {
        "key": change.key,
        "kind": ChangeKind(change.kind).value,
        "old": old,
        "new": new,
        "refused": change.refused or None,
    }


# -- draw -----------------------------------------------------------------------------------------


@printed
async def draw(
    context: Context,
    *,
    file: DefinitionFile,
    format_: Annotated[
        DrawingFormat, typer.Option("--format", help="How the drawing is written.")
    ] = DrawingFormat.SVG,
    pipeline: Annotated[
        str | None,
        typer.Option(metavar="PIPELINE", help="Colour it by the latest runs of this pipeline."),
    ] = None,
) -> str:
    """Draw the graph of a definition file, on standard output."""
    definition = read_definition(file)
    statuses: dict[str, str] = {}
    if pipeline is not None:
        runs = await Runs(context.client, pipeline).current()
        # The later ones come last, so that they have the last word.
        statuses = {run.component: run.status for run in runs}
    drawing = Drawing(definition, statuses=statuses, title=pipeline or file.stem)
    text = {
        DrawingFormat.SVG: drawing.svg,
        DrawingFormat.DOT: drawing.dot,
        DrawingFormat.MERMAID: drawing.mermaid,
    }[format_]()
    return text.rstrip("\n") + "\n"


# -- format ---------------------------------------------------------------------------------------


def format_files(
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help="Definition files.")],
    *,
    only_check: Annotated[
        bool,
        typer.Option("--check", help="Change nothing; exit with 1 if a file is not formatted."),
    ] = False,
) -> None:
    """Write definition files anew, in a format that is always the same.

    What they mean stays as it is.
    """
    changed = [(file, new) for file in files if (new := _formatted(file))]
    for file, definition in changed:
        if not only_check:
            _write(definition, file)
        _output.print_all([f"{file}: {'would be formatted' if only_check else 'formatted'}"])
    raise typer.Exit(int(only_check and bool(changed)))


def _formatted(file: Path) -> Definition | None:
    """Give what a file says, or None if its text is as it should be."""
    if file == STDIN:
        raise Failure("standard input cannot be formatted: name a file, which is written anew", 2)
    definition = read_definition(file)
    with file.open(encoding="utf-8", newline="") as opened:
        text = opened.read()
    members: dict[str, object] = json.loads(text.removeprefix("\ufeff"))
    if others := sorted(members.keys() - _MEMBERS):
        raise Failure(
            f"{file} has {', '.join(map(repr, others))}, which is no part of a definition and "
            "would be lost: take it out first"
        )
    return definition if definition.to_text() != text else None


def _write(definition: Definition, file: Path) -> None:
    try:
        definition.write(file)
    except OSError as error:
        raise Failure(f"{file} cannot be written: {error.strerror}") from error
