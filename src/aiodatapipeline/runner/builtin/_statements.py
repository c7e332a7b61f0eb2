"""A script of SQL -> its statements, and where their placeholders are. Pure.

No grammar: just what strings, quoted names, comments and the bodies of procedures look like, so
that a semicolon or a question mark in one of them is what it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_PATTERNS = {
    "standard": r"'(?:[^']|'')*(?:'|\Z)",
    "escaped": r"'(?:\\.|[^'\\]|'')*(?:'|\\?\Z)",
    "marked": r"\b[eE]'(?:\\.|[^'\\]|'')*(?:'|\\?\Z)",
    "name": r'"(?:[^"]|"")*(?:"|\Z)',
    "name_escaped": r'"(?:\\.|[^"\\]|"")*(?:"|\\?\Z)',
    "backticks": r"`[^`]*(?:`|\Z)",
    "dollars": r"(?P<tag>\$(?:[A-Za-z_]\w*)?\$).*?(?:(?P=tag)|\Z)",
    "brackets": r"\[[^\]]*(?:\]|\Z)",
    "line": r"--[^\n]*",
    "block": r"/\*.*?(?:\*/|\Z)",
    # MySQL subtracts a negative number without a space, and executes some comments.
    "line_mysql": r"--(?=\s|\Z)[^\n]*",
    "hash": r"\#[^\n]*",
    "block_mysql": r"/\*(?!!).*?(?:\*/|\Z)",
}
_QUOTES = {
    "mysql": ("escaped", "name_escaped", "backticks"),
    "postgresql": ("marked", "standard", "name", "dollars"),
    "redshift": ("marked", "standard", "name", "dollars"),
    "sqlite": ("standard", "name", "backticks", "brackets"),
}
_COMMENTS = {"mysql": ("line_mysql", "hash", "block_mysql")}


def _tokens(kind: str) -> re.Pattern[str]:
    quotes, comments = _QUOTES[kind], _COMMENTS.get(kind, ("line", "block"))
    return re.compile(
        rf"(?P<comment>{'|'.join(_PATTERNS[each] for each in comments)})"
        rf"|(?P<quoted>{'|'.join(_PATTERNS[each] for each in quotes)})"
        r"|(?P<word>[^\W\d]\w*)|(?P<mark>\?\??)|(?P<end>;)|(?P<space>\s+)|.",
        re.DOTALL,
    )


_TOKENS = {kind: _tokens(kind) for kind in _QUOTES}
# What is created: of these, what has a body with semicolons of its own.
_WITH_BODY = {"TRIGGER", "PROCEDURE", "FUNCTION", "EVENT"}
_CREATED = _WITH_BODY | {"TABLE", "VIEW", "INDEX", "DATABASE", "SCHEMA", "TYPE"}
# What can stand behind the END of something that is not counted.
_INNER = {"IF", "LOOP", "WHILE", "REPEAT"}
_TRANSACTIONS = {"BEGIN", "START", "COMMIT", "ROLLBACK", "END"}


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement of a script."""

    text: str
    """As it is written."""
    parts: tuple[str, ...]
    """What is around its placeholders; ``??`` is a question mark that is none."""
    verb: str
    """Its first word, in capitals."""

    @property
    def placeholders(self) -> int:
        """How many ``?`` it has."""
        return len(self.parts) - 1

    def filled(self, placeholder: str) -> str:
        """Give it with the placeholders of a driver: ``?`` or ``%s``."""
        parts = self.parts
        if placeholder.startswith("%"):
            parts = tuple(part.replace("%", "%%") for part in parts)
        return placeholder.join(parts)


def statements(script: str, kind: str) -> list[Statement]:
    """Split a script at its semicolons.

    Args:
        script: The script.
        kind: Of what database: a key of ``_jdbc.DRIVERS``.
    """
    return [found for reader in _read(script, kind) if (found := reader.statement()) is not None]


def manages_transactions(script: list[Statement]) -> bool:
    """Whether a script begins or ends transactions of its own."""
    return any(each.verb in _TRANSACTIONS for each in script)


class _Reader:
    """What was read of a statement so far."""

    def __init__(self) -> None:
        self._text: list[str] = []
        self._parts: list[list[str]] = [[]]
        self._verb = self._created = ""
        self._has_code = False
        self._depth = 0
        self._after_end = False

    def take(self, text: str, kind: str | None) -> bool:
        """Take a token, and say whether it ends the statement."""
        if kind == "end" and self._depth == 0:
            return True
        self._text.append(text)
        if kind == "mark" and text == "?":
            self._parts.append([])
        else:
            self._parts[-1].append("?" if kind == "mark" else text)
        if kind not in {"comment", "space"}:
            if kind == "word":
                self._note_word(text.upper())
            self._has_code = True
            if self._verb == "CREATE" and self._created in _WITH_BODY:
                self._note_body(text.upper())
        return False

    def _note_word(self, word: str) -> None:
        if not self._has_code:
            self._verb = word
        if not self._created and word in _CREATED:
            self._created = word

    def _note_body(self, word: str) -> None:
        """Count what has an END of its own."""
        follows_end, self._after_end = self._after_end, word == "END"
        if follows_end and word == "CASE":
            return
        if word in {"BEGIN", "CASE"} or (follows_end and word in _INNER):  # it ended another
            self._depth += 1
        elif word == "END":
            self._depth = max(0, self._depth - 1)

    def statement(self) -> Statement | None:
        """Give the statement; None if nothing but comments was read."""
        if not self._has_code:
            return None
        parts = ["".join(part) for part in self._parts]
        parts[0] = parts[0].lstrip()
        parts[-1] = parts[-1].rstrip()
        return Statement("".join(self._text).strip(), tuple(parts), self._verb)


def _read(script: str, kind: str) -> Iterator[_Reader]:
    reader = _Reader()
    for token in _TOKENS[kind].finditer(script):
        if reader.take(token[0], _kind(token)):
            yield reader
            reader = _Reader()
    yield reader


def _kind(token: re.Match[str]) -> str | None:
    return next((name for name in _KINDS if token[name] is not None), None)


_KINDS = ("word", "space", "comment", "quoted", "mark", "end")
