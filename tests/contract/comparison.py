"""Our table of operations beside botocore's service model: every difference, in a sentence.

Names and types are read off the models. What a model takes is found out by giving it
something at the edge: a string of the greatest length and one that is longer by one.
"""

from __future__ import annotations

import re
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import StrEnum
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

import pydantic
from pydantic.alias_generators import to_camel

from aiodatapipeline._wire import WireModel
from aiodatapipeline.operations import Operation
from tests.strategies import ListShape, Paginator, Service, StringShape, smallest

# On either side of each edge of what is allowed, in UTF-16 and in Unicode.
PROBES = [
    *map(chr, (0x00, 0x08, 0x09, 0x0A, 0x0B, 0x0C, 0x0D, 0x0E, 0x1F, 0x20, 0x7F, 0x85)),
    *map(chr, (0xD7FF, 0xD800, 0xDBFF, 0xDC00, 0xDFFF, 0xE000, 0xFFFD, 0xFFFE, 0xFFFF)),
    *map(chr, (0x10000, 0x1FFFE, 0x10FFFF)),
]
ANY_CHARACTER = r"[\u0000-\uFFFF\uD800\uDC00-\uDBFF\uDFFF]*"
# No string or list of ours is limited to as much, so it stands for no limit.
MANY_CHARACTERS, MANY_ITEMS = 100_000, 1_000

_KINDS = {bool: "boolean", int: "integer", pydantic.AwareDatetime: "timestamp"}

# Whether a member takes a value.
Takes = Callable[[object], bool]


class Value(NamedTuple):
    """A value that a model can hold: where, of which type, and what it takes there."""

    where: str
    hint: Any
    takes: Takes


def differences(
    table: Mapping[str, Operation], service: Service, paginators: Mapping[str, Paginator]
) -> set[str]:
    """Say everything that is otherwise in our table than in the service model."""
    return set(_Comparison(service, paginators).tables(table))


class _Comparison:
    def __init__(self, service: Service, paginators: Mapping[str, Paginator]) -> None:
        self._service, self._paginators = service, paginators
        self._compared: set[tuple[type, str]] = set()

    def tables(self, table: Mapping[str, Operation]) -> Iterator[str]:
        theirs = self._service["operations"]
        yield from _one_sided("operations", table.keys(), theirs.keys())
        for name in table.keys() & theirs.keys():
            row, operation = table[name], theirs[name]
            if row.name != name:
                yield f"{name}: its request says {row.name}"
            yield from self._structures(row.request, operation["input"]["shape"])
            if "output" in operation:
                yield from self._structures(row.response, operation["output"]["shape"])
            else:
                yield from _one_sided(f"{name}Output", row.response.model_fields, ())
            errors = {error["shape"] for error in operation["errors"]}
            yield from _one_sided(f"{name} errors", {kind.__name__ for kind in row.errors}, errors)
            yield from self._pages(name, row)

    def _pages(self, name: str, row: Operation) -> Iterator[str]:
        paginator = self._paginators.get(name)
        ours, theirs = row.items and to_camel(row.items), paginator and paginator["result_key"]
        if ours != theirs:
            yield f"{name}: its pages hold {ours}, at the service {theirs}"
        if paginator is None:
            return
        asked = {paginator["input_token"], paginator.get("limit_key", paginator["input_token"])}
        answered = {paginator["output_token"], paginator["more_results"], paginator["result_key"]}
        for model, needed in ((row.request, asked), (row.response, answered)):
            for member in sorted(needed - _members(model).keys()):
                yield f"{name}: paging needs {member}"

    def _structures(self, model: type[WireModel], name: str) -> Iterator[str]:
        if (model, name) in self._compared:
            return
        self._compared.add((model, name))
        shape = self._service["shapes"][name]
        assert shape["type"] == "structure"
        ours, theirs = _members(model), shape["members"]
        hints = get_type_hints(model)
        yield from _one_sided(name, ours.keys(), theirs.keys())
        for member in ours.keys() & theirs.keys():
            where, field = f"{name}.{member}", model.model_fields[ours[member]]
            if field.is_required() != (member in shape.get("required", ())):
                yield f"{where}: {'required' if field.is_required() else 'optional'} here only"
            value = Value(where, _not_none(hints[ours[member]]), _takes(model, member))
            yield from self._values(value, theirs[member]["shape"])

    def _values(self, value: Value, name: str) -> Iterator[str]:
        shape = self._service["shapes"][name]
        kind = _kind(value.hint)
        if kind != shape["type"]:
            yield f"{value.where}: {kind} here, {shape['type']} there"
        elif shape["type"] == "structure":
            yield from self._structures(value.hint, name)
        elif shape["type"] == "list":
            yield from _lengths(value, shape)
            yield from self._values(_inside(value, "[]"), shape["member"]["shape"])
        elif shape["type"] == "map":
            # Its keys are the ids of its objects, which may be longer than the service model
            # says of keys: so they are not compared.
            yield from self._values(_inside(value, "{}"), shape["value"]["shape"])
        elif shape["type"] == "string":
            yield from _strings(value, shape)


def _inside(value: Value, brackets: Literal["[]", "{}"]) -> Value:
    def takes(one: object) -> bool:
        return value.takes([one] if brackets == "[]" else {"key": one})

    hint = get_args(value.hint)[0 if brackets == "[]" else 1]
    return Value(value.where + brackets, hint, takes)


def _strings(value: Value, shape: StringShape) -> Iterator[str]:
    words = {word.value for word in value.hint} if issubclass(value.hint, StrEnum) else set[str]()
    yield from _one_sided(f"{value.where} words", words, shape.get("enum", ()))
    if words or "enum" in shape:
        for word in shape.get("enum", ()):
            if not value.takes(word):
                yield f"{value.where}: refuses {word}"
        return
    shortest, longest = shape.get("min", 0), shape.get("max", MANY_CHARACTERS)
    for length in (shortest, longest):
        # Two units of UTF-16 each, and still one character.
        if not value.takes("\U0001f600" * length):
            yield f"{value.where}: refuses {length} characters"
    if shortest > 0 and value.takes("x" * (shortest - 1)):
        yield f"{value.where}: takes {shortest - 1} characters"
    if "max" in shape and value.takes("x" * (longest + 1)):
        yield f"{value.where}: takes {longest + 1} characters"
    allowed = _pattern(shape.get("pattern", ANY_CHARACTER))
    if any(value.takes(one) != bool(allowed.fullmatch(one)) for one in PROBES):
        yield f"{value.where}: takes other characters"


def _lengths(value: Value, shape: ListShape) -> Iterator[str]:
    item = smallest(shape["member"]["shape"])
    longest = shape.get("max", MANY_ITEMS)
    if not value.takes([]):
        yield f"{value.where}: refuses 0 items"
    if not value.takes([item] * longest):
        yield f"{value.where}: refuses {longest} items"
    if "max" in shape and value.takes([item] * (longest + 1)):
        yield f"{value.where}: takes {longest + 1} items"


def _takes(model: type[WireModel], member: str) -> Takes:
    def takes(value: object) -> bool:
        try:
            # By the constructor's rules, which are stricter than those for an answer.
            model.model_validate({member: value}, by_alias=True, by_name=False, extra="ignore")
        except pydantic.ValidationError as error:
            found = error.errors(include_input=False, include_context=False, include_url=False)
            return all(one["loc"][:1] != (member,) for one in found)
        return True

    return takes


def _members(model: type[WireModel]) -> dict[str, str]:
    return {field.alias or "": name for name, field in model.model_fields.items()}


def _one_sided(what: str, ours: Iterable[str], theirs: Iterable[str]) -> Iterator[str]:
    for name in sorted({*ours} - {*theirs}):
        yield f"{what}: {name} is here only"
    for name in sorted({*theirs} - {*ours}):
        yield f"{what}: {name} is there only"


def _not_none(hint: Any) -> Any:
    if get_origin(hint) not in (Union, types.UnionType):
        return hint
    (other,) = (one for one in get_args(hint) if one is not types.NoneType)
    return other


def _kind(hint: Any) -> str:
    origin = get_origin(hint)
    if origin is tuple:
        return "list"
    if origin is Mapping:
        return "map"
    if issubclass(hint, WireModel):
        return "structure"
    return "string" if issubclass(hint, str) else _KINDS[hint]


def _pattern(written: str) -> re.Pattern[str]:
    # It is in UTF-16 terms: what looks like surrogates are the pairs of astral characters.
    return re.compile(written.replace(r"\uD800\uDC00-\uDBFF\uDFFF", r"\U00010000-\U0010FFFF"))
