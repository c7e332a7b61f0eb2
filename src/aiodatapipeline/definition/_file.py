"""Definition files: the JSON that the AWS CLI reads and writes, and our models.

A file says ``{"objects": [...], "parameters": [...], "values": {...}}``; other names at the
top are left alone. The API speaks of objects with fields. The rules between the two are the
AWS CLI's, so that a file means the same to both; what it would send on and the service
refuse (null, objects that are no reference) is refused here, with the place, and so is what
it would drop (an empty list).
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import NoReturn, Self, TypeGuard, TypeVar

from pydantic import ValidationError

from aiodatapipeline._wire import WireModel
from aiodatapipeline.definition._json import MAX_LENGTH, JsonError, Position, read_json, shown
from aiodatapipeline.definition._json import Path as JsonPath
from aiodatapipeline.models import (
    Field,
    ParameterAttribute,
    ParameterObject,
    ParameterValue,
    PipelineObject,
    Ref,
)
from aiodatapipeline.operations import (
    GetPipelineDefinitionResponse,
    PutPipelineDefinitionRequest,
)

__all__ = ["Definition", "DefinitionError", "Position"]

ModelT = TypeVar("ModelT", bound=WireModel)

_MAX_BYTES = 4 * MAX_LENGTH  # of UTF-8

# In a file these come first, after id and name: they say what an object is.
_FIRST = {"type": 0, "parent": 1}
_SPREAD_REFERENCE = re.compile(r'\{\n *"ref": ("(?:[^"\\]|\\.)*")\n *\}')


class DefinitionError(ValueError):
    """A file, a text or a mapping is no definition.

    Attributes:
        reason: What is wrong, without the place.
        source: The file's path, or the name that was given to the text; empty for a mapping.
        position: Line and column in the text; None for a mapping.
        object_id: The object, parameter or value it is in; empty outside of them.
        member: The member of it; empty if it is about the whole.
    """

    reason: str
    source: str
    position: Position | None
    object_id: str
    member: str

    def __init__(
        self,
        reason: str,
        source: str = "",
        position: Position | None = None,
        object_id: str = "",
        member: str = "",
    ) -> None:
        super().__init__(reason, source, position, object_id, member)
        self.reason, self.source, self.position = reason, source, position
        self.object_id, self.member = object_id, member

    def __str__(self) -> str:
        place = self.source
        if self.position:
            place += f":{self.position.line}:{self.position.column}"
        words = [place] if place else []
        if self.object_id:
            inside = f", member {shown(self.member)}" if self.member else ""
            words.append(f"{shown(self.object_id)}{inside}")
        return ": ".join([*words, self.reason])


@dataclass(frozen=True, slots=True)
class Definition:
    """A pipeline's definition: objects, parameters and their values, as the API has them.

    The constructor takes whatever the models take, mistakes included; ``check`` finds them.
    Two definitions are equal when objects, parameters and values are, in the same order;
    where they were read from is no part of it.
    """

    objects: tuple[PipelineObject, ...] = ()
    parameters: tuple[ParameterObject, ...] = ()
    values: tuple[ParameterValue, ...] = ()
    """Several values with one id are a list."""
    source: str = field(default="", compare=False)
    """Where it was read from, for messages; empty if from no text."""
    positions: Mapping[tuple[str, str], Position] = field(
        default_factory=dict[tuple[str, str], Position], compare=False, repr=False
    )
    """Where each member of an object stands in the text, by the object's id and the
    member's name; the object itself has the name ``""``. Empty if from no text."""

    @classmethod
    def from_file(cls, path: str | PathLike[str], *, whole: bool = True) -> Self:
        """Read a definition file: UTF-8, with or without a byte order mark.

        Args:
            path: The file.
            whole: Whether the objects must be in it. Parameters and values are often kept in
                files of their own, see ``with_parts``.

        Raises:
            DefinitionError: It is no definition.
            OSError: It cannot be read.
        """
        try:
            with Path(path).open("rb") as file:
                data = file.read(_MAX_BYTES + 1)  # a device may never end
        except ValueError as error:  # a path that no file can have
            raise DefinitionError(str(error), str(path)) from None
        if len(data) > _MAX_BYTES:
            raise DefinitionError(f"longer than {_MAX_BYTES:,} bytes", str(path))
        try:
            text = data.decode()
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            column = error.start - data.rfind(b"\n", 0, error.start)
            reason = "not UTF-8; save the file in this encoding"
            raise DefinitionError(reason, str(path), Position(line, column)) from None
        return cls.from_text(text, name=str(path), whole=whole)

    @classmethod
    def from_text(cls, text: str, *, name: str = "<text>", whole: bool = True) -> Self:
        """Read the text of a definition file.

        Args:
            text: Strict JSON, with or without a byte order mark.
            name: What to call the text in messages.
            whole: As for ``from_file``.

        Raises:
            DefinitionError: It is no definition.
        """
        try:
            body, positions = read_json(text.removeprefix("\ufeff"))
        except JsonError as error:
            raise DefinitionError(error.message, name, error.position) from None
        reader = _Reader(name, positions)
        return cls(*reader.read(body, whole=whole), name, reader.found)

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, object], *, whole: bool = True) -> Self:
        """Read what a definition file says from dicts and lists.

        A number or a boolean stands for its JSON text.

        Args:
            mapping: With objects, and possibly parameters and values.
            whole: As for ``from_file``.

        Raises:
            DefinitionError: It is no definition.
        """
        return cls(*_Reader("", {}).read(mapping, whole=whole))

    @classmethod
    def from_response(cls, response: GetPipelineDefinitionResponse) -> Self:
        """Take the definition that the service gave back."""
        return cls(response.pipeline_objects, response.parameter_objects, response.parameter_values)

    def with_parts(self, parts: Definition) -> Definition:
        """Take what another definition has in the place of one's own, as the AWS CLI does.

        Args:
            parts: Its objects, if it has any, replace all objects here; likewise parameters
                and values.
        """
        return dataclasses.replace(
            self if not parts.objects else parts,
            parameters=parts.parameters or self.parameters,
            values=parts.values or self.values,
        )

    def to_request(self, pipeline_id: str) -> PutPipelineDefinitionRequest:
        """Make the request that puts this definition.

        Args:
            pipeline_id: The pipeline to put it into.

        Raises:
            pydantic.ValidationError: The pipeline id is none.
        """
        return PutPipelineDefinitionRequest(
            pipeline_id=pipeline_id,
            pipeline_objects=self.objects,
            parameter_objects=self.parameters,
            parameter_values=self.values,
        )

    def to_mapping(self) -> dict[str, object]:
        """Give what the file would say, in dicts, lists and texts.

        A name that is the id is left out, one value of a key stands without a list, and the
        keys are in the same order every time. Secret values are in it, as they must.
        """
        body: dict[str, object] = {"objects": [_object(one) for one in self.objects]}
        if self.parameters:
            body["parameters"] = [_parameter(one) for one in self.parameters]
        if self.values:
            body["values"] = _grouped((value.id, value.string_value) for value in self.values)
        return body

    def to_text(self) -> str:
        """Give the text of the file: indented, ending in a line break, always the same."""
        text = json.dumps(self.to_mapping(), indent=2, ensure_ascii=False)
        # No text of JSON holds a raw line break, so this can only be a reference.
        return _SPREAD_REFERENCE.sub(r'{"ref": \1}', text) + "\n"

    def write(self, path: str | PathLike[str]) -> None:
        """Write the file, in UTF-8.

        One that is there is replaced such that the old text or the new one is there, whole,
        whatever happens to the process. It keeps its permissions, and a link stays one.

        Raises:
            OSError: It cannot be written.
        """
        target = Path(path).resolve()
        if not target.is_file():  # nothing to lose; or a device, which cannot be replaced
            target.write_text(self.to_text(), encoding="utf-8", newline="\n")
            return
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=".definition-")
        try:
            with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
                file.write(self.to_text())
            shutil.copymode(target, name)
            Path(name).replace(target)
        except BaseException:
            Path(name).unlink()
            raise

    def find(self, object_id: str) -> PipelineObject | None:
        """Give the object with an id, the first one if there are several, or None."""
        return next((one for one in self.objects if one.id == object_id), None)


def _object(one: PipelineObject) -> dict[str, object]:
    # A field called id or name, which only the API can express, gives way to the object's own.
    fields = ((each.key, _written(each)) for each in one.fields if each.key not in {"id", "name"})
    head = {"id": one.id} if one.name == one.id else {"id": one.id, "name": one.name}
    return head | _ordered(fields)


def _parameter(one: ParameterObject) -> dict[str, object]:
    attributes = ((each.key, each.string_value) for each in one.attributes if each.key != "id")
    return {"id": one.id} | _ordered(attributes)


def _written(field: Field) -> object:
    value = field.value
    if isinstance(value, Ref):
        return {"ref": value.id}
    # The service may send a key without any value; a file has no other word for that.
    return value or ""


def _ordered(pairs: Iterable[tuple[str, object]]) -> dict[str, object]:
    def place(pair: tuple[str, object]) -> tuple[int, str]:
        return _FIRST.get(pair[0], len(_FIRST)), pair[0]

    return dict(sorted(_grouped(pairs).items(), key=place))


def _grouped(pairs: Iterable[tuple[str, object]]) -> dict[str, object]:
    grouped: dict[str, list[object]] = {}
    for key, value in pairs:
        grouped.setdefault(key, []).append(value)
    return {key: many[0] if len(many) == 1 else many for key, many in grouped.items()}


class _Reader:
    """What a file says -> models. A path leads to every mistake, and the path to its place."""

    def __init__(self, source: str, positions: Mapping[JsonPath, Position]) -> None:
        self._source = source
        self._positions = positions
        self.found: dict[tuple[str, str], Position] = {}

    def read(
        self, body: object, *, whole: bool
    ) -> tuple[tuple[PipelineObject, ...], tuple[ParameterObject, ...], tuple[ParameterValue, ...]]:
        members = self._members(body, ())
        if whole and "objects" not in members:
            self._refuse('the "objects" are missing', ())
        return (
            tuple(self._objects(members.get("objects", ()))),
            tuple(self._parameters(members.get("parameters", ()))),
            tuple(self._values(members.get("values", {}))),
        )

    def _objects(self, body: object) -> Iterator[PipelineObject]:
        for path, object_id, members in self._elements(body, "objects"):
            self._note(path, object_id, members)
            at = (*path, "name"), object_id, "name"
            name = self._text(members.get("name", object_id), *at)
            made: list[Field] = []
            for key in sorted(members.keys() - {"id", "name"}):
                for place, value in self._each(members[key], (*path, key), object_id, key):
                    made.append(self._field(key, value, place, object_id))
            yield self._model(
                PipelineObject, (path, object_id, ""), id=object_id, name=name, fields=tuple(made)
            )

    def _field(self, key: str, value: object, path: JsonPath, object_id: str) -> Field:
        at = path, object_id, key
        if _is_mapping(value):
            if list(value) != ["ref"]:
                self._refuse('an object here must be a reference, {"ref": "id"}', *at)
            ref = self._text(value["ref"], (*path, "ref"), object_id, key)
            return self._model(Field, at, key=key, ref_value=ref)
        return self._model(Field, at, key=key, string_value=self._text(value, *at))

    def _parameters(self, body: object) -> Iterator[ParameterObject]:
        for path, parameter_id, members in self._elements(body, "parameters"):
            made: list[ParameterAttribute] = []
            for key in sorted(members.keys() - {"id"}):
                for place, value in self._each(members[key], (*path, key), parameter_id, key):
                    at = place, parameter_id, key
                    text = self._text(value, *at)
                    made.append(self._model(ParameterAttribute, at, key=key, string_value=text))
            yield self._model(
                ParameterObject, (path, parameter_id, ""), id=parameter_id, attributes=tuple(made)
            )

    def _values(self, body: object) -> Iterator[ParameterValue]:
        path: JsonPath = ("values",)
        for value_id, values in self._members(body, path).items():
            for place, value in self._each(values, (*path, value_id), value_id):
                at = place, value_id, ""
                text = self._text(value, *at)
                yield self._model(ParameterValue, at, id=value_id, string_value=text)

    def _each(
        self, value: object, path: JsonPath, owner: str, member: str = ""
    ) -> Iterator[tuple[JsonPath, object]]:
        """Give each item of a list, or the lone value."""
        if not _is_list(value):
            yield path, value
        elif value:
            yield from (((*path, index), item) for index, item in enumerate(value))
        else:
            self._refuse(
                "the service keeps no empty list; leave the member out", path, owner, member
            )

    def _elements(
        self, body: object, name: str
    ) -> Iterator[tuple[JsonPath, str, Mapping[str, object]]]:
        """Give each element of a list with its id; no id may be there twice."""
        if not _is_list(body):
            self._refuse(f'"{name}" must be a list', (name,))
        seen: set[str] = set()
        for index, element in enumerate(body):
            path: JsonPath = (name, index)
            members = self._members(element, path)
            if "id" not in members:
                self._refuse('the "id" is missing', path)
            element_id = self._text(members["id"], (*path, "id"), "", "")
            if element_id in seen:
                self._refuse("the id is already taken", (*path, "id"), element_id)
            seen.add(element_id)
            yield path, element_id, members

    def _members(self, body: object, path: JsonPath) -> Mapping[str, object]:
        if not _is_mapping(body):
            self._refuse("an object in braces should stand here", path)
        members = {key: value for key, value in body.items() if isinstance(key, str)}
        if len(members) < len(body):
            self._refuse("the names of members must be texts", path)
        return members

    def _text(self, value: object, path: JsonPath, object_id: str, member: str) -> str:
        if isinstance(value, str):
            return value
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, (int, float)):
            return self._number(value, path, object_id, member)
        return self._refuse(
            "a text, a number or a boolean should stand here", path, object_id, member
        )

    def _number(self, value: float, path: JsonPath, object_id: str, member: str) -> str:
        try:
            return json.dumps(value, allow_nan=False)
        except ValueError:  # an infinity, or more digits than Python converts
            self._refuse("this number has no JSON text", path, object_id, member)

    def _note(self, path: JsonPath, object_id: str, members: Mapping[str, object]) -> None:
        if self._positions:
            self.found[object_id, ""] = self._positions[path]
            for key in members:
                self.found[object_id, key] = self._positions[(*path, key)]

    def _model(
        self, model: type[ModelT], at: tuple[JsonPath, str, str], **members: object
    ) -> ModelT:
        try:
            return model.model_validate(members)
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            reason = first["msg"].removeprefix("Value error, ")
            path, owner, member = at
            part = str(first["loc"][0]) if first["loc"] else ""
            if part == "key" or (part == "id" and model is ParameterValue):
                reason = f"the name itself: {reason}"
            elif part in {"id", "name"}:
                path, member = (*path, part), part
            self._refuse(reason, path, owner, member)

    def _refuse(
        self, reason: str, path: JsonPath, object_id: str = "", member: str = ""
    ) -> NoReturn:
        position = self._positions.get(path)
        if path and not object_id:
            reason = f"{_spelled(path)}: {reason}"
        raise DefinitionError(reason, self._source, position, object_id, member)


def _spelled(path: JsonPath) -> str:
    """Spell a path for people: ``objects[3].id``."""
    words = (f"[{each}]" if isinstance(each, int) else f".{each}" for each in path)
    return "".join(words).removeprefix(".")


def _is_list(value: object) -> TypeGuard[list[object] | tuple[object, ...]]:
    return isinstance(value, (list, tuple))


def _is_mapping(value: object) -> TypeGuard[Mapping[object, object]]:
    return isinstance(value, Mapping)
