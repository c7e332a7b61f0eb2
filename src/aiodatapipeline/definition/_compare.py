"""What is not the same in two definitions, for a review before a put.

The order of objects, of fields and of parameters does not matter to the service, so it makes
no change here; the order of the values of one key does.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from enum import StrEnum
from itertools import takewhile
from typing import TypeAlias

from aiodatapipeline._secrets import HARMLESS, MASK, is_secret
from aiodatapipeline.definition._file import Definition
from aiodatapipeline.definition._inherit import EffectiveObject, resolve
from aiodatapipeline.models import PipelineObject, Ref

__all__ = ["Change", "ChangeKind", "Comparison", "FieldChange", "compare"]

Values: TypeAlias = tuple[str | Ref, ...]
_Members: TypeAlias = Mapping[str, Values]
_Things: TypeAlias = Mapping[tuple[str, int], _Members]

# These come first: they say what a thing is.
_FIRST = {"name": 0, "type": 1}
# What the service does not let go once a pipeline has been activated.
# Source: Editing Your Pipeline, limitations, developer guide.
_FIXED_TIMES = {
    "period": "the period of an existing schedule cannot change",
    "startDateTime": "the start of an existing schedule cannot change",
    "startAt": "the start of an existing schedule cannot change",
}
_NO_REMOVAL = "an object cannot be removed"
_NO_REFERENCE = "a reference of an existing object cannot change"
_NO_OUTPUT = "a new object cannot have an existing one as its output"


class ChangeKind(StrEnum):
    """What became of a thing."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True, repr=False)
class FieldChange:
    """A field, an attribute of a parameter, or the value of a parameter that is not the same."""

    key: str
    """The field's or attribute's key; of a parameter's value the parameter's id."""
    old: Values
    """What it was, in order; empty if it was not there."""
    new: Values
    """What it is to be, in order; empty if it is no longer there."""
    secret: bool = False
    """Whether the values must not be shown. Nothing printed here does."""
    refused: str = ""
    """Why the service refuses this once the pipeline has been activated; empty if it does not."""

    @property
    def kind(self) -> ChangeKind:
        """Added if there was no such key, removed if there is none any more."""
        if not self.old:
            return ChangeKind.ADDED
        return ChangeKind.CHANGED if self.new else ChangeKind.REMOVED

    def __repr__(self) -> str:
        old, new = (
            tuple(MASK for _ in values) if self.secret else values
            for values in (self.old, self.new)
        )
        return f"FieldChange(key={self.key!r}, old={old!r}, new={new!r}, refused={self.refused!r})"


@dataclass(frozen=True, slots=True)
class Change:
    """An object or a parameter that is not the same."""

    id: str
    kind: ChangeKind
    fields: tuple[FieldChange, ...]
    """What is not the same in it; all there is of one that was added or removed."""
    refused: str = ""
    """Why the service refuses this once the pipeline has been activated; empty if it does not,
    although it may refuse the change of a field."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """All that is not the same in two definitions. False if there is nothing."""

    objects: tuple[Change, ...] = ()
    parameters: tuple[Change, ...] = ()
    values: tuple[FieldChange, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.objects or self.parameters or self.values)

    @property
    def refusals(self) -> tuple[str, ...]:
        """What the service refuses once the pipeline has been activated, a sentence for each."""
        return tuple(
            f"{_quoted(change.id)}{field}: {reason}"
            for change in self.objects
            for field, reason in (
                ("", change.refused),
                *((f", field {_quoted(each.key)}", each.refused) for each in change.fields),
            )
            if reason
        )

    def to_text(self, *, colour: bool = False) -> str:
        """Give the changes as text: ``+`` added, ``-`` removed, ``~`` changed, ``!`` refused.

        The same changes give the same text. Secret values are masked, and characters that
        could hide or disguise something are escaped.

        Args:
            colour: Whether to add the escape sequences that colour a terminal.
        """
        lines = _Writer().comparison(self)
        return "".join(_written(line, colour=colour) for line in lines)

    def __str__(self) -> str:
        return self.to_text()


def compare(old: Definition, new: Definition) -> Comparison:
    """Tell what is not the same in two definitions.

    Args:
        old: For instance the one that the service has.
        new: The one to put in its place.
    """
    judge = _Judge(old, new)
    return Comparison(
        objects=tuple(map(judge.change, _changes(_objects(old), _objects(new)))),
        parameters=tuple(_changes(_parameters(old), _parameters(new))),
        values=tuple(_field_changes(_values(old), _values(new), secret=is_secret)),
    )


def _objects(definition: Definition) -> _Things:
    return _numbered((each.id, _members(each)) for each in definition.objects)


def _members(written: PipelineObject) -> _Members:
    # In a file, a key without any value is an empty text, and a field cannot be called name.
    members = _grouped((each.key, each.value or "") for each in written.fields)
    return members | {"name": (written.name,)}


def _parameters(definition: Definition) -> _Things:
    return _numbered(
        (each.id, _grouped((one.key, one.string_value) for one in each.attributes))
        for each in definition.parameters
    )


def _values(definition: Definition) -> _Members:
    return _grouped((each.id, each.string_value) for each in definition.values)


def _numbered(things: Iterable[tuple[str, _Members]]) -> _Things:
    """Tell things apart by their ids, and those that share one by mistake by their order."""
    seen: dict[str, int] = {}
    found: dict[tuple[str, int], _Members] = {}
    for thing_id, members in things:
        seen[thing_id] = seen.get(thing_id, 0) + 1
        found[thing_id, seen[thing_id]] = members
    return found


def _grouped(pairs: Iterable[tuple[str, str | Ref]]) -> dict[str, Values]:
    grouped: dict[str, list[str | Ref]] = {}
    for key, value in pairs:
        grouped.setdefault(key, []).append(value)
    return {key: tuple(values) for key, values in grouped.items()}


def _changes(before: _Things, after: _Things) -> Iterator[Change]:
    for thing in dict.fromkeys((*before, *after)):
        old, new = before.get(thing), after.get(thing)
        secret = _all_but_harmless if is_secret(thing[0]) else is_secret
        fields = tuple(_field_changes(old or {}, new or {}, secret=secret))
        if old is None:
            yield Change(thing[0], ChangeKind.ADDED, fields)
        elif new is None:
            yield Change(thing[0], ChangeKind.REMOVED, fields)
        elif fields:
            yield Change(thing[0], ChangeKind.CHANGED, fields)


def _field_changes(
    old: _Members, new: _Members, *, secret: Callable[[str], bool]
) -> Iterator[FieldChange]:
    for key in sorted(old.keys() | new.keys(), key=lambda key: (_FIRST.get(key, 2), key)):
        if old.get(key) != new.get(key):
            yield FieldChange(key, old.get(key, ()), new.get(key, ()), secret=secret(key))


def _all_but_harmless(key: str) -> bool:
    return key not in HARMLESS


class _Judge:
    """Says which changes of objects the service refuses after the first activation."""

    def __init__(self, old: Definition, new: Definition) -> None:
        self._existing = {each.id for each in old.objects}
        self._moved = _moved_times(old, new)

    def change(self, change: Change) -> Change:
        if change.kind is ChangeKind.CHANGED:
            fields = [replace(each, refused=self._old(change.id, each)) for each in change.fields]
            return replace(change, fields=tuple(fields))
        # A name that is the id goes without saying.
        goes = {("name", (change.id,), ()), ("name", (), (change.id,))}
        fields = [each for each in change.fields if (each.key, each.old, each.new) not in goes]
        if change.kind is ChangeKind.REMOVED:
            return replace(change, fields=tuple(fields), refused=_NO_REMOVAL)
        return replace(
            change, fields=tuple(replace(each, refused=self._new(each)) for each in fields)
        )

    def _old(self, object_id: str, change: FieldChange) -> str:
        if (object_id, change.key) in self._moved:
            return _FIXED_TIMES[change.key]
        return _NO_REFERENCE if _refs(change.old) != _refs(change.new) else ""

    def _new(self, change: FieldChange) -> str:
        found = change.key == "output" and self._existing.intersection(_refs(change.new))
        return _NO_OUTPUT if found else ""


def _refs(values: Values) -> list[str]:
    return [each.id for each in values if isinstance(each, Ref)]


def _moved_times(old: Definition, new: Definition) -> set[tuple[str, str]]:
    """Find the fields that give an existing schedule another period or start.

    They are its own or those of an object that it inherits from.
    """
    before, after = _Times(old), _Times(new)
    return {
        (origin.id, key)
        for object_id in before.schedules & after.schedules
        for key in _FIXED_TIMES
        if before.values(object_id, key) != after.values(object_id, key)
        for times in (before, after)
        if (origin := times.origins[key][object_id])
    }


class _Times:
    """The schedules of a definition, and which objects their fields come from."""

    def __init__(self, definition: Definition) -> None:
        objects = resolve(definition).objects
        types = _origins(objects, "type")
        self.schedules = {
            key for key, each in types.items() if each and each.string("type") == "Schedule"
        }
        self.origins = {key: _origins(objects, key) for key in _FIXED_TIMES}

    def values(self, object_id: str, key: str) -> Values:
        origin = self.origins[key][object_id]
        return origin.own[key] if origin else ()


def _origins(objects: Mapping[str, EffectiveObject], key: str) -> dict[str, EffectiveObject | None]:
    """Tell for all objects where a key comes from, without going the same way twice."""
    origins: dict[str, EffectiveObject | None] = {}
    for each in objects.values():
        path: list[str] = []
        at: EffectiveObject | None = each
        while at is not None and at.id not in origins:
            path.append(at.id)
            if key in at.own:
                origins[at.id] = at
            at = at.parent
        # From the far end, what has no key of its own takes what its parent has.
        inherited = origins[at.id] if at is not None else None
        for object_id in reversed(path):
            inherited = origins.setdefault(object_id, inherited)
    return origins


_MARKS = {ChangeKind.ADDED: "+", ChangeKind.REMOVED: "-", ChangeKind.CHANGED: "~"}
_PLAIN_KEY = re.compile(r"[@*]?\w+")
# Green, red, yellow, and bold magenta for what is refused.
_COLOURS = {"+": "32", "-": "31", "~": "33", "!": "1;35"}
# Two values of no more than this fit into one line.
_SHORT = 72
# Lines that stay the same above and below those that change.
_CONTEXT = 2
# To find the smallest difference can take the cube of the number of lines: 200 lines took
# 32 ms at worst. These are the products of both sides' lines, for one field and for all.
_MOST_PAIRS = 40_000
_ALL_PAIRS = 1_000_000

_Line: TypeAlias = tuple[int, str, str]
"""Indent, mark and text."""
_Shown: TypeAlias = tuple[str | Ref, str]
"""A value or a line, and how it is shown: two that are not the same may look it."""


class _Writer:
    """Changes -> lines."""

    def __init__(self) -> None:
        self._pairs = _ALL_PAIRS

    def comparison(self, comparison: Comparison) -> Iterator[_Line]:
        for change in comparison.objects:
            yield from self._change("object", change)
        for change in comparison.parameters:
            yield from self._change("parameter", change)
        for value in comparison.values:
            yield from self._field(0, f"value {_quoted(value.key)}", value)
        if not comparison:
            yield 0, "=", "no changes"
        if refusals := len(comparison.refusals):
            yield 0, "!", f"{refusals} of these are refused once the pipeline has been activated"

    def _change(self, word: str, change: Change) -> Iterator[_Line]:
        yield 0, _MARKS[change.kind], f"{word} {_quoted(change.id)}"
        yield from _refusal(2, change.refused)
        for field in change.fields:
            plain = _PLAIN_KEY.fullmatch(field.key)
            yield from self._field(2, field.key if plain else _quoted(field.key), field)

    def _field(self, indent: int, name: str, change: FieldChange) -> Iterator[_Line]:
        mark = _MARKS[change.kind]
        old, new = _lines(change.old), _lines(change.new)
        shown = [text for _, text in (*old, *new)]
        if change.secret:
            differ = " (not the same)" if change.kind is ChangeKind.CHANGED else ""
            yield indent, mark, f"{name}: {MASK}{differ}"
        elif len(shown) == 1:
            yield indent, mark, f"{name}: {shown[0]}"
        elif len(old) == len(new) == 1 and sum(map(len, shown)) <= _SHORT:
            yield indent, mark, f"{name}: {' -> '.join(shown)}"
        else:
            yield indent, mark, f"{name}:"
            for piece, lines in self._pieces(old, new):
                yield from ((indent + 4, piece, text) for text in lines)
        yield from _refusal(indent + 2, change.refused)

    def _pieces(self, old: list[_Shown], new: list[_Shown]) -> Iterator[tuple[str, list[str]]]:
        """Cut two lists of lines into what stays, what goes and what comes."""
        start = _same(zip(old, new, strict=False))
        end = _same(zip(reversed(old[start:]), reversed(new[start:]), strict=False))
        yield " ", _shortened(_texts(old[:start]))
        yield from self._changed(old[start : len(old) - end], new[start : len(new) - end])
        yield " ", _shortened(_texts(old[len(old) - end :]))

    def _changed(self, old: list[_Shown], new: list[_Shown]) -> Iterator[tuple[str, list[str]]]:
        pairs = len(old) * len(new)
        if pairs > min(_MOST_PAIRS, self._pairs):
            yield "-", _texts(old)
            yield "+", _texts(new)
            return
        self._pairs -= pairs
        matcher = SequenceMatcher(None, old, new, autojunk=False)
        for tag, old_from, old_to, new_from, new_to in matcher.get_opcodes():
            if tag == "equal":
                yield " ", _shortened(_texts(old[old_from:old_to]))
            else:
                yield "-", _texts(old[old_from:old_to])
                yield "+", _texts(new[new_from:new_to])


def _same(pairs: Iterable[tuple[_Shown, _Shown]]) -> int:
    """Count the pairs before the first of two that are not the same."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _refusal(indent: int, reason: str) -> Iterator[_Line]:
    if reason:
        yield indent, "!", f"refused once the pipeline has been activated: {reason}"


def _lines(values: Values) -> list[_Shown]:
    """Give each value, or if there is but one text, each of its lines."""
    if len(values) == 1 and isinstance(values[0], str) and "\n" in values[0]:
        return [(line, _visible(line)) for line in values[0].split("\n")]
    return [(value, _item(value)) for value in values]


def _texts(lines: list[_Shown]) -> list[str]:
    return [text for _, text in lines]


def _shortened(lines: list[str]) -> list[str]:
    left_out = len(lines) - 2 * _CONTEXT
    if left_out < 2:
        return lines
    return [*lines[:_CONTEXT], f"... {left_out} lines ...", *lines[-_CONTEXT:]]


def _item(value: str | Ref) -> str:
    return f'{{"ref": {_quoted(value.id)}}}' if isinstance(value, Ref) else _quoted(value)


def _quoted(text: str) -> str:
    return _visible(json.dumps(text, ensure_ascii=False))


def _visible(line: str) -> str:
    r"""Escape what a terminal would obey or not show, a space at the end of a line included."""
    if line.endswith(" "):
        line = f"{line[:-1]}\\x20"
    if line.isprintable():
        return line
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in line)


def _written(line: _Line, *, colour: bool) -> str:
    indent, mark, text = line
    written = f"{' ' * indent}{mark} {text}".rstrip(" ")
    if colour and mark in _COLOURS:
        written = f"\x1b[{_COLOURS[mark]}m{written}\x1b[0m"
    return f"{written}\n"
