"""Strict JSON that knows where every value stands.

Texts and numbers are read by the ``json`` module; what holds them together is read here,
because that module forgets positions, keeps the last of two equal names, and follows
brackets as deep as the stack goes.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NoReturn

# A definition is at most 100 objects of 15,360 bytes, and a quota can be raised.
MAX_LENGTH = 10_000_000
# Fields can be short, and lists long; this is many times what 100 objects of 50 fields need.
MAX_VALUES = 200_000
# A definition needs five levels; what it does not use may be deeper, within reason.
MAX_DEPTH = 100

Path = tuple[str | int, ...]
"""The names and indices that lead from the whole to a part of it."""

_BLANKS = re.compile(r"[ \t\r\n]*")


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in a text, as editors count: both numbers begin at 1."""

    line: int
    column: int


class JsonError(ValueError):
    """A text is not JSON, as a sentence without its place, and the place."""

    def __init__(self, message: str, position: Position) -> None:
        super().__init__(message, position)
        self.message, self.position = message, position


def read_json(text: str) -> tuple[object, dict[Path, Position]]:
    """Read a JSON text.

    Args:
        text: All of it.

    Returns:
        What it says, where numbers are texts, spelled as they were; and where each part of
        it begins. The whole has the path ``()``.

    Raises:
        JsonError: It is no strict JSON, says a name twice in one object, or is too large.
    """
    reader = _Reader(text)
    value = reader.read()
    lines = [0, *(found.end() for found in re.finditer("\n", text))]
    return value, {path: _position(lines, at) for path, at in reader.places.items()}


def _position(lines: list[int], at: int) -> Position:
    line = bisect_right(lines, at)
    return Position(line, at - lines[line - 1] + 1)


class _ConstantError(ValueError):
    """NaN or an infinity, which JSON does not have."""


def _refuse_constant(word: str) -> NoReturn:
    raise _ConstantError(f"{word} is no number in JSON")


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._decoder = json.JSONDecoder(
            parse_int=str, parse_float=str, parse_constant=_refuse_constant
        )
        self.places: dict[Path, int] = {}

    def read(self) -> object:
        if len(self._text) > MAX_LENGTH:
            self._refuse(f"longer than {MAX_LENGTH:,} characters", 0)
        value = self._value(())
        if self._peek():
            self._refuse("there is more after the end of the JSON", self._at)
        return value

    def _refuse(self, message: str, at: int) -> NoReturn:
        before = self._text[:at]
        raise JsonError(message, Position(before.count("\n") + 1, at - before.rfind("\n")))

    def _peek(self) -> str:
        """The next character that is not blank, or nothing at the end."""
        found = _BLANKS.match(self._text, self._at)
        self._at = found.end() if found else self._at
        return self._text[self._at : self._at + 1]

    def _value(self, path: Path) -> object:
        first = self._peek()
        self.places[path] = self._at
        if len(self.places) > MAX_VALUES:
            self._refuse(f"more than {MAX_VALUES:,} values", self._at)
        if first == "{":
            return self._object(path)
        if first == "[":
            return [self._value((*path, index)) for index in self._items("]", path)]
        return self._scalar()

    def _object(self, path: Path) -> dict[str, object]:
        members: dict[str, object] = {}
        for _ in self._items("}", path):
            at = self._at
            if self._peek() != '"':
                self._refuse("a member's name in double quotes should stand here", at)
            name = str(self._scalar())
            if name in members:
                self._refuse(f"the name {shown(name)} is already taken in this object", at)
            if self._peek() != ":":
                self._refuse(f"a colon should follow the name {shown(name)}", self._at)
            self._at += 1
            members[name] = self._value((*path, name))
        return members

    def _items(self, closing: str, path: Path) -> Iterator[int]:
        """Stand in front of one item after the other, and in the end behind the bracket."""
        if len(path) >= MAX_DEPTH:
            self._refuse(f"nested more than {MAX_DEPTH} levels deep", self._at)
        self._at += 1
        following = self._peek()
        index = 0
        while following != closing:
            yield index
            index += 1
            following = self._peek()
            if following == ",":
                self._at += 1
                following = self._peek()
                if following == closing:
                    self._refuse(f"no comma may stand before {closing!r}", self._at)
            elif following != closing:
                self._refuse(f"',' or {closing!r} should stand here", self._at)
        self._at += 1

    def _scalar(self) -> object:
        at = self._at
        try:
            value, self._at = self._decoder.raw_decode(self._text, at)
        except json.JSONDecodeError as error:
            self._refuse(_EXPLAINED.get(error.msg, error.msg), error.pos)
        except _ConstantError as error:
            self._refuse(str(error), at)
        return value


# The json module's words that say too little for whoever has to mend the file.
_EXPLAINED = {
    "Expecting value": "a value should stand here",
    "Invalid control character at": "a line break or another control character in a text must "
    "be written as an escape, \\n for a line break",
    "Unterminated string starting at": "this text has no end",
}


def shown(name: str) -> str:
    """Quote a name from a file for a message, at no great length."""
    return repr(name if len(name) <= 100 else f"{name[:100]}...")
