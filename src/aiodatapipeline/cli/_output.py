"""What commands answer -> a table for people, or one JSON document for programs.

Values of secret fields and parameters, whose names begin with ``*``, are masked on the way.
"""

from __future__ import annotations

import codecs
import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias, cast

import typer
from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.padding import Padding
from rich.table import Column, Table
from rich.text import Text

from aiodatapipeline._secrets import HARMLESS, MASK, is_secret
from aiodatapipeline._wire import WireModel
from aiodatapipeline.cli._failure import Failure

# Characters of a last column that are enough to read it, and between two columns.
_LAST, _BETWEEN = 20, 3
# Of lines into a pipe or a file: whoever reads them may cut them.
_WIDTH = 1_000_000
# Of a program that is ended since nobody reads on. Source: what shells make of SIGPIPE, 128 + 13.
_NOBODY_READS = 141

_STAGES = {
    "green": "FINISHED HEALTHY",
    "bold cyan": "RUNNING CREATING ACTIVATING SHUTTING_DOWN",
    "yellow": "WAITING_FOR_RUNNER PAUSED",
    "dim": "WAITING_ON_DEPENDENCIES SKIPPED INACTIVE PENDING",
    "bold red": "FAILED TIMEDOUT ERROR",
    "red": "CASCADE_FAILED CANCELED",
}
_STYLES = {word: style for style, words in _STAGES.items() for word in words.split()}

Cell: TypeAlias = "str | Text | None"


class Format(StrEnum):
    """How an answer is shown."""

    TABLE = "table"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command has to say."""

    document: object
    """For programs: what JSON can say."""
    shown: Sequence[RenderableType] = ()
    """For people. A text is a line, whatever is in it."""
    exit_code: int = 0


def show(answer: Answer, output: Format) -> None:
    """Print an answer."""
    if output is Format.JSON:
        write(written(answer.document))
    else:
        print_all(answer.shown)


def written(document: object) -> str:
    """Give the text of a JSON document."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def print_all(shown: Iterable[RenderableType]) -> None:
    """Print for people, or for a pipe: without colours, and no line is cut."""
    if not on_terminal():
        plain = Console(width=_WIDTH, highlight=False, force_terminal=False, color_system=None)
        with plain.capture() as captured:
            _print(plain, shown)
        write("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))
        return
    _print(Console(highlight=False), shown)


def _print(console: Console, shown: Iterable[RenderableType]) -> None:
    for each in shown:
        console.print(Text(visible(each, "\n")) if isinstance(each, str) else each)


def on_terminal() -> bool:
    """Whether somebody sees standard output."""
    return sys.stdout.isatty()


def write(text: str) -> None:
    """Write to standard output. Who does not read on is no error.

    Raises:
        typer.Exit: Nobody reads it.
        Failure: It cannot be written, such as to a disk that is full.
    """
    encoding = sys.stdout.encoding
    try:
        sys.stdout.write(text.encode(encoding, _ESCAPED).decode(encoding))
        sys.stdout.flush()
    except BrokenPipeError:
        raise typer.Exit(nobody_reads()) from None
    except OSError as error:
        raise Failure(f"standard output cannot be written: {error.strerror}") from error


def _escape(error: UnicodeError) -> tuple[str, int]:
    r"""Write what an encoding has no bytes for as JSON does, ``\u20ac``: it stays a document."""
    found = cast("UnicodeEncodeError", error)
    return json.dumps(found.object[found.start : found.end])[1:-1], found.end


_ESCAPED = "aiodatapipeline-escaped"
codecs.register_error(_ESCAPED, _escape)


def nobody_reads() -> int:
    """Give the exit code for an output that nobody reads to the end, and let the rest of it go."""
    # What is left is written when the process ends, and would fail again.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
    return _NOBODY_READS


def note(text: str) -> None:
    """Say something that is no part of the answer, on standard error."""
    typer.echo(visible(text), err=True)


# -- tables ---------------------------------------------------------------------------------------


class _Rows(Table):
    """A table; but where it has no room, its rows below each other, with a name for each value.

    Folded in every column, it can be read by nobody.
    """

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if self._width() <= options.max_width:
            yield from super().__rich_console__(console, options)
            return
        names = [f"{each.header}: " for each in self.columns]
        for row in zip(*(each.cells for each in self.columns), strict=True):
            first, second, *rest = (each for each in row if isinstance(each, Text))
            yield Text("  ").join([Text(first.plain, "bold"), second])
            told = [
                Text.assemble((name, "dim"), value)
                for name, value in zip(names[2:], rest, strict=True)
                if value.plain
            ]
            if told:
                yield Padding(Text("  ").join(told), (0, 0, 0, 2))

    def _width(self) -> int:
        """Give the width at which only its last column is folded, and that not to a thread."""
        widths = [
            max(cell_len(line) for each in (column.header, *column.cells) for line in _lines(each))
            for column in self.columns
        ]
        return sum(widths[:-1]) + min(widths[-1], _LAST) + _BETWEEN * (len(widths) - 1)


def _lines(cell: object) -> list[str]:
    return str(cell).splitlines() or [""]


def table(columns: Iterable[str | Column], rows: Iterable[Sequence[Cell]]) -> Table:
    """Make a table. What a terminal would obey in a text is escaped."""
    headers = [Column(each) if isinstance(each, str) else each for each in columns]
    for header in headers:
        header.overflow = "fold"  # an id that is cut is none
    made = _Rows(*headers, box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for row in rows:
        made.add_row(*(each if isinstance(each, Text) else Text(visible(each)) for each in row))
    return made


def number(header: str) -> Column:
    """Make a column of numbers."""
    return Column(header, justify="right")


def status(word: str | None) -> Text:
    """Give a status in its colour."""
    return Text(visible(word), _STYLES.get(word or "", ""))


def visible(text: str | None, harmless: str = "") -> str:
    r"""Escape what a terminal would obey or not show, such as ``\x1b``.

    Args:
        text: None is no text at all.
        harmless: Characters that may stay.
    """
    if text is None or text.isprintable():
        return text or ""
    return "".join(
        each if each.isprintable() or each in harmless else ascii(each)[1:-1] for each in text
    )


# -- documents ------------------------------------------------------------------------------------


def document_of(model: WireModel, *, show_secrets: bool = False) -> dict[str, object]:
    """Give what the API says, in its own words.

    Args:
        model: A response, or a value in one. What is not there is left out.
        show_secrets: Whether secret values are told.
    """
    found: dict[str, object] = model.model_dump(by_alias=True, mode="json", exclude_none=True)
    return found if show_secrets else cast("dict[str, object]", _masked(found))


def _masked(value: object) -> object:
    if isinstance(value, list):
        return [_masked(each) for each in cast("list[object]", value)]
    if not isinstance(value, dict):
        return value
    members = cast("dict[str, object]", value)
    made = {key: _masked(each) for key, each in members.items()}
    # A field has a key, the value of a parameter an id, and both have a stringValue.
    if is_secret(members.get("key", members.get("id"))):
        if "stringValue" in members:
            made["stringValue"] = MASK
        if isinstance(attributes := members.get("attributes"), list):
            made["attributes"] = list(_of_secret(cast("list[Mapping[str, object]]", attributes)))
    return made


def _of_secret(attributes: Iterable[Mapping[str, object]]) -> Iterator[Mapping[str, object]]:
    for each in attributes:
        yield each if each.get("key") in HARMLESS else {**each, "stringValue": MASK}
