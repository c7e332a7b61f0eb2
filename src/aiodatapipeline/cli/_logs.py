"""``aiodatapipeline logs``: what attempts said, and where their logs are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from urllib.parse import unquote, urlsplit

import typer
from rich.console import RenderableType
from rich.text import Text

from aiodatapipeline.cli import _output
from aiodatapipeline.cli._command import Context, Pipeline, connected
from aiodatapipeline.cli._output import Answer
from aiodatapipeline.models import PipelineObject

# Bytes that are read of a file's end.
_MOST_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Log:
    """What is known of an attempt."""

    id: str
    status: str | None
    hostname: str | None
    error_id: str | None
    error_message: str | None
    error_stack_trace: str | None
    location: str | None
    files: dict[str, str]
    """The ends of the files there, by name, if they are on this machine."""

    def document(self) -> dict[str, object]:
        """Give all of it for programs."""
        return {
            "id": self.id,
            "status": self.status,
            "hostname": self.hostname,
            "errorId": self.error_id,
            "errorMessage": self.error_message,
            "errorStackTrace": self.error_stack_trace,
            "logLocation": self.location,
            "files": self.files,
        }

    def shown(self) -> Iterator[RenderableType]:
        """Give all of it for people."""
        yield Text.assemble((_output.visible(self.id), "bold"), " ", _output.status(self.status))
        for word, text in (("host", self.hostname), ("logs", self.location)):
            if text:
                yield f"{word}: {text}"
        if error := ": ".join(each for each in (self.error_id, self.error_message) if each):
            yield Text(_output.visible(f"error: {error}", "\n"), "red")
        if self.error_stack_trace:
            yield self.error_stack_trace
        for name, text in self.files.items():
            yield Text(f"--- {_output.visible(name)}", "bold")
            if text:
                yield text.removesuffix("\n")
        yield ""


@connected
async def logs(
    context: Context,
    *,
    pipeline: Pipeline,
    objects: Annotated[
        list[str] | None,
        typer.Argument(metavar="OBJECT", help="Only of these components and instances."),
    ] = None,
    failed: Annotated[
        bool, typer.Option("--failed", help="Only of attempts that ended and did not succeed.")
    ] = False,
    lines: Annotated[
        int,
        typer.Option(metavar="N", min=0, help="How many lines of the end of each log are shown."),
    ] = 50,
) -> Answer:
    """Show the errors of attempts, and where their logs are.

    Logs on this machine are shown, too; those in S3 are left to 'aws s3 cp'.
    """
    ids = [each async for each in context.client.query_objects(pipeline, "ATTEMPT")]
    found = [
        log_of(pipeline, each, lines)
        async for each in context.client.describe_objects(pipeline, ids)
        if (not objects or _names(each) & set(objects)) and (not failed or _has_failed(each))
    ]
    document = {"pipelineId": pipeline, "attempts": [each.document() for each in found]}
    whose = (
        f" of {', '.join(objects)}: 'aiodatapipeline status --all {pipeline}' shows what there is"
        if objects
        else ""
    )
    nothing = f"No {'failed ' if failed else ''}attempts{whose}."
    return Answer(document, [part for each in found for part in each.shown()] or [nothing])


def _names(attempt: PipelineObject) -> set[str]:
    return {attempt.id, *attempt.refs("@instanceParent"), *attempt.refs("@componentParent")}


def _has_failed(attempt: PipelineObject) -> bool:
    return _text(attempt, "@status") in {"FAILED", "TIMEDOUT", "CANCELED", "CASCADE_FAILED"}


def log_of(pipeline_id: str, attempt: PipelineObject, lines: int) -> Log:
    """Tell what is known of an attempt, with so many lines of its logs."""
    location = _text(attempt, "@logLocation") or _usual_location(pipeline_id, attempt)
    place = local_path(location)
    return Log(
        id=attempt.id,
        status=_text(attempt, "@status"),
        hostname=_text(attempt, "hostname"),
        error_id=_text(attempt, "errorId"),
        error_message=_text(attempt, "errorMessage"),
        error_stack_trace=_text(attempt, "errorStackTrace"),
        location=location,
        files={} if place is None else dict(_read(place, lines)),
    )


def _usual_location(pipeline_id: str, attempt: PipelineObject) -> str | None:
    """Say where a task runner puts logs.

    Source: developer guide, "Viewing Pipeline Logs".
    """
    base = _text(attempt, "pipelineLogUri")
    instance = next(iter(attempt.refs("@instanceParent")), None)
    component = next(iter(attempt.refs("@componentParent")), None)
    if base is None or instance is None or component is None:
        return None
    names = (pipeline_id, component, instance, attempt.id)
    return "/".join((base.rstrip("/"), *map(_directory, names)))


def _directory(name: str) -> str:
    """Make a name of one directory, whatever is in it, as the runner does."""
    name = name.replace("/", "_").replace("\0", "_")
    return f"_{name}" if name in {"", ".", ".."} else name


def local_path(location: str | None) -> Path | None:
    """Give the path of a location on this machine; None if it is elsewhere."""
    if location is None:
        return None
    if location.startswith("/"):
        return Path(location)
    url = urlsplit(location)
    is_here = url.scheme == "file" and url.netloc in {"", "localhost"}
    return Path(unquote(url.path)) if is_here else None


def _read(place: Path, lines: int) -> Iterable[tuple[str, str]]:
    """Read the ends of the files of a directory, or of a file."""
    files = sorted(place.iterdir()) if place.is_dir() else [place]
    for file in files:
        if file.is_file():
            try:
                yield file.name, end_of(file, lines)
            except OSError as error:
                _output.note(f"{file} cannot be read: {error.strerror}")


def end_of(file: Path, lines: int) -> str:
    """Give the last lines of a file."""
    with file.open("rb") as opened:
        opened.seek(max(0, file.stat().st_size - _MOST_BYTES))
        text = opened.read(_MOST_BYTES).decode(errors="replace")
    return "".join(text.splitlines(keepends=True)[-lines:]) if lines else ""


def _text(described: PipelineObject, key: str) -> str | None:
    return next(iter(described.strings(key)), None)
