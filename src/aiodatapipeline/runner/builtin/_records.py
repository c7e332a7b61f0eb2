r"""Records in files: CSV, TSV and Custom, read and written a piece at a time.

Records are not quoted. A separator inside a value has an escape character in front of it.
``\N`` is NULL.

Source: developer guide, "CopyActivity", "CSV Data Format", "TSV Data Format" and "Custom Data
Format". What it leaves open is in docs/how-to/sql.md.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, ClassVar, Protocol

from pydantic import BaseModel, ConfigDict, field_validator, model_validator

NULL = r"\N"
# The guide's own spelling of it.
_NULLS = {NULL, r"\n"}
# How many records are under way at once.
BATCH = 1000
_CHUNK = 1024 * 1024
# Characters. What is longer is no record, but a file with other separators.
LONGEST = 64 * 1024 * 1024

Value = str | int | float | bool | Decimal | date | datetime | None
Record = Sequence[Value]


class RecordError(Exception):
    """A record that cannot be read or written; the text says which, and why, and no values."""


class _Readable(Protocol):
    def read(self, size: int, /) -> str: ...


class _Writable(Protocol):
    def write(self, text: str, /) -> object: ...


_DEFAULTS = {
    "CSV": (",", "\\"),
    "TSV": ("\t", "\\"),
    # Of an escape character of these the guide says nothing.
    "Custom": (None, None),
}
# How people write what they cannot type.
_SPELLED = {r"\t": "\t", r"\n": "\n", r"\r": "\r", r"\0": "\0"}


class Format(BaseModel):
    """A data format, with the defaults of its type."""

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True)

    id: str = "CSV"
    type: str = "CSV"
    column: tuple[str, ...] = ()
    """A name, and a type behind it if one is said: ``Score INT``."""
    column_separator: str | None = None
    record_separator: str = "\n"
    escape_char: str | None = None

    @field_validator("column_separator", "record_separator", "escape_char")
    @classmethod
    def _one_character(cls, value: str | None) -> str | None:
        value = value if value is None else _SPELLED.get(value, value)
        if value is not None and len(value) != 1:
            raise ValueError("it should be one character")
        return value

    @model_validator(mode="after")
    def _is_known(self) -> Format:
        if self.type not in _DEFAULTS:
            raise ValueError("the data formats that records can have are CSV, TSV and Custom")
        used = [self.separator, self.record_separator, *filter(None, [self.escape])]
        if len(set(used)) < len(used):
            raise ValueError("its separators, and its escapeChar, have to be different characters")
        if {"N", "n"} & set(used) or "\\" in used[:2]:
            raise ValueError(f"its separators, and its escapeChar, cannot be those of NULL: {NULL}")
        for column in self.columns:
            column.reader()
        return self

    @property
    def separator(self) -> str:
        """What is between two values."""
        separator = self.column_separator or _DEFAULTS[self.type][0]
        if separator is None:
            raise ValueError("it needs a columnSeparator")
        return separator

    @property
    def escape(self) -> str | None:
        """What is in front of a separator inside a value; None if nothing can be."""
        return self.escape_char or _DEFAULTS[self.type][1]

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns, if it says any."""
        return tuple(Column.of(text) for text in self.column)

    @property
    def extension(self) -> str:
        """How the names of such files end."""
        return {"CSV": ".csv", "TSV": ".tsv"}.get(self.type, ".txt")


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a format."""

    name: str
    type: str
    """In capitals; STRING if none is said."""

    @classmethod
    def of(cls, text: str) -> Column:
        """Read ``name TYPE``."""
        name, _, kind = text.strip().partition(" ")
        return cls(name, kind.strip().upper() or "STRING")

    def reader(self) -> Callable[[str], Value]:
        """Give what makes a value of a text.

        Raises:
            ValueError: There is no such type.
        """
        reader = _READERS.get(self.type.partition("(")[0].rstrip())
        if reader is None:
            raise ValueError(
                f"column {self.name!r} has a type that is not known: {', '.join(_READERS)} are"
            )
        return reader


def _digits(text: str) -> str:
    # Python lets an underscore stand in a number.
    if "_" in text:
        raise ValueError("it is no number")
    return text


def _boolean(text: str) -> bool:
    return {"true": True, "t": True, "1": True, "false": False, "f": False, "0": False}[
        text.strip().lower()
    ]


_READERS: dict[str, Callable[[str], Value]] = {
    **dict.fromkeys(("STRING", "CHAR", "VARCHAR", "TEXT"), str),
    **dict.fromkeys(
        ("INT", "INTEGER", "BIGINT", "SMALLINT", "TINYINT", "LONG"),
        lambda text: int(_digits(text)),
    ),
    **dict.fromkeys(("FLOAT", "DOUBLE", "REAL"), lambda text: float(_digits(text))),
    **dict.fromkeys(("DECIMAL", "NUMERIC"), lambda text: Decimal(_digits(text))),
    **dict.fromkeys(("BOOLEAN", "BOOL"), _boolean),
    "DATE": date.fromisoformat,
    **dict.fromkeys(("TIMESTAMP", "DATETIME"), datetime.fromisoformat),
}


def _pieces(text: _Readable, separator: str) -> Iterator[str]:
    """Split a stream at each separator."""
    rest = ""
    while chunk := text.read(_CHUNK):
        *pieces, rest = (rest + chunk).split(separator)
        yield from pieces
        if len(rest) > LONGEST:
            raise RecordError(f"there is no end of a record in {LONGEST:,} characters")
    if rest:
        yield rest


def _joined(pieces: Iterable[str], separator: str, escape: str | None) -> Iterator[str]:
    """Put pieces together again where the separator between them was escaped."""
    held: list[str] = []
    for piece in pieces:
        if escape is not None and _is_open(piece, escape):
            held.append(piece + separator)
            continue
        yield "".join([*held, piece]) if held else piece
        held.clear()
    if held:
        yield "".join(held)


def _is_open(text: str, escape: str) -> bool:
    """Whether what follows a text is escaped."""
    return (len(text) - len(text.rstrip(escape))) % 2 == 1


class Reader:
    """Reads the records of a format.

    Args:
        form: The format.
    """

    def __init__(self, form: Format) -> None:
        self._form = form
        self._readers = [(column, column.reader()) for column in form.columns]
        self._width = len(self._readers) or None
        escape = form.escape
        self._escaped = None if escape is None else re.compile(f"{re.escape(escape)}(.)", re.DOTALL)

    def read(self, text: _Readable) -> Iterator[list[Value]]:
        """Read all records of a stream. One that was read has as many values as the first.

        Raises:
            RecordError: A record does not fit the format.
            UnicodeDecodeError: The stream is not in its encoding.
        """
        form = self._form
        pieces = _joined(_pieces(text, form.record_separator), form.record_separator, form.escape)
        for number, record in enumerate(pieces, 1):
            found = self._texts(self._without_return(record))
            self._width = self._width or len(found)
            if len(found) != self._width:
                raise RecordError(f"record {number} has {len(found)} values, and not {self._width}")
            yield self._values(number, found) if self._readers else list(found)

    def _without_return(self, record: str) -> str:
        if self._form.record_separator != "\n" or not record.endswith("\r"):
            return record
        escape = self._form.escape
        is_value = escape is not None and _is_open(record[:-1], escape)
        return record if is_value else record[:-1]

    def _texts(self, record: str) -> list[str | None]:
        separator, escape = self._form.separator, self._form.escape
        found: Iterable[str] = record.split(separator)
        if escape is None or self._escaped is None or escape not in record:
            return [None if text in _NULLS else text for text in found]
        unescaped = self._escaped.sub
        return [
            None if text in _NULLS else unescaped(r"\1", text)
            for text in _joined(found, separator, escape)
        ]

    def _values(self, number: int, texts: list[str | None]) -> list[Value]:
        values: list[Value] = []
        for text, (column, reader) in zip(texts, self._readers, strict=True):
            try:
                # Of what is no text, nothing is NULL.
                value = None if text is None or (not text and reader is not str) else reader(text)
            except (ValueError, KeyError, InvalidOperation):
                raise RecordError(f"record {number}: {column.name} is no {column.type}") from None
            values.append(value)
        return values


class Writer:
    """Writes records in a format.

    Args:
        form: The format.
        text: Where to.
    """

    def __init__(self, form: Format, text: _Writable) -> None:
        self._form, self._text = form, text
        self._number = 0
        special = "".join(
            map(re.escape, (form.separator, form.record_separator, form.escape or ""))
        )
        # At the end of a record, a return would be taken for a part of it.
        self._special = re.compile(f"[{special}\r]")

    def write(self, records: Iterable[Sequence[object]]) -> None:
        """Write records.

        Raises:
            RecordError: A value cannot be written in this format.
        """
        end, separator = self._form.record_separator, self._form.separator
        lines: list[str] = []
        for record in records:
            self._number += 1
            lines.append(separator.join(map(self._written, record)) + end)
        try:
            self._text.write("".join(lines))
        except UnicodeEncodeError:
            raise RecordError(
                f"one of the records up to {self._number} has half a character"
            ) from None

    def _written(self, value: object) -> str:
        if value is None:
            return NULL
        text = text_of(value)
        escape = self._form.escape
        if escape is None:
            if text in _NULLS or self._special.search(text):
                raise RecordError(
                    f"record {self._number} has a value with a separator in it, or like NULL, and "
                    f"{self._form.id} has no escapeChar"
                )
            return text
        written = self._special.sub(lambda found: escape + found[0], text)
        return escape + written if written in _NULLS else written


def text_of(value: object) -> str:
    """Write a value as text, so that its type can read it again."""
    for kind, write in _TEXTS:
        if isinstance(value, kind):
            return write(value)
    return str(value)


def _length(value: timedelta) -> str:
    """Write a length of time as MySQL does, of whose TIME it is: ``-26:03:04.5``."""
    sign, value = ("-", -value) if value < timedelta(0) else ("", value)
    minutes, seconds = divmod(value, timedelta(minutes=1))
    whole = f"{seconds.seconds:02}"
    part = f".{seconds.microseconds:06}" if seconds.microseconds else ""
    return f"{sign}{minutes // 60:02}:{minutes % 60:02}:{whole}{part}"


# The first that fits counts: a datetime is a date.
_TEXTS: tuple[tuple[type | tuple[type, ...], Callable[[Any], str]], ...] = (
    (str, str),
    (bool, lambda value: "true" if value else "false"),
    (Decimal, lambda value: f"{value:f}"),
    (datetime, lambda value: value.isoformat(" ")),
    ((date, time), lambda value: value.isoformat()),
    (timedelta, _length),
    ((bytes, bytearray, memoryview), lambda value: bytes(value).hex()),
    ((dict, list), lambda value: json.dumps(value, default=str, ensure_ascii=False)),
)
