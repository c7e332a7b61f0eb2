"""The values inside requests and responses.

Names, members and limits are the service model's. Source: data types of the API reference
2012-10-29.
"""

# No "from __future__ import annotations" here: pydantic would compile 200 texts at every import.

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Literal, Self

import pydantic
from pydantic import Strict, ValidationInfo, model_validator

from aiodatapipeline._secrets import MASK, is_secret
from aiodatapipeline._wire import (
    FrozenDict,
    Id,
    Many,
    Name,
    OptionalMany,
    OptionalMap,
    String,
    TagKey,
    TagValue,
    TaskId,
    ValidationMessage,
    Value,
    WireModel,
    is_from_wire,
)

__all__ = [
    "Field",
    "InstanceIdentity",
    "Operator",
    "OperatorType",
    "ParameterAttribute",
    "ParameterObject",
    "ParameterValue",
    "PipelineDescription",
    "PipelineIdName",
    "PipelineObject",
    "Query",
    "Ref",
    "Selector",
    "Tag",
    "TaskObject",
    "TaskStatus",
    "ValidationError",
    "ValidationWarning",
]

# Source: QueryObjects, API reference 2012-10-29.
_MAX_SELECTORS = 10


class TaskStatus(StrEnum):
    """How a task ended. The plain words are taken wherever a TaskStatus is."""

    FINISHED = "FINISHED"
    FAILED = "FAILED"
    FALSE = "FALSE"
    """A precondition that is not met."""


class OperatorType(StrEnum):
    """How a selector compares. The plain words are taken wherever an OperatorType is."""

    EQ = "EQ"
    REF_EQ = "REF_EQ"
    """Of the reference fields parent, @componentParent and @instanceParent."""
    LE = "LE"
    GE = "GE"
    BETWEEN = "BETWEEN"
    """Two values, both included."""


@dataclass(frozen=True, slots=True)
class Ref:
    """A field's value that is the id of another object, as opposed to a text."""

    id: str


class Field(WireModel):
    """One key with one value, a text or a reference. A list is the same key several times.

    The value of a key that starts with ``*`` is encrypted at the service, and masked in
    everything printed here.
    """

    key: Name
    string_value: Value | None = None
    ref_value: Name | None = None

    @model_validator(mode="after")
    def _one_value(self, info: ValidationInfo) -> Self:
        if self.string_value is not None and self.ref_value is not None:
            raise ValueError("a field has a string_value or a ref_value, never both")
        if self.string_value is None and self.ref_value is None and not is_from_wire(info):
            raise ValueError("a field needs a string_value or a ref_value")
        return self

    @classmethod
    def of(cls, key: str, value: str | Ref) -> Self:
        """Make a field of a text or a reference."""
        if isinstance(value, Ref):
            return cls(key=key, ref_value=value.id)
        return cls(key=key, string_value=value)

    @property
    def value(self) -> str | Ref | None:
        """The text or the reference; None if the service sent a key without either."""
        return self.string_value if self.ref_value is None else Ref(self.ref_value)

    def __repr_args__(self) -> Iterable[tuple[str | None, object]]:
        return _masked(super().__repr_args__(), self.key)


class PipelineObject(WireModel):
    """An object of a pipeline: a component, an instance or an attempt, by its fields.

    The fields are a multimap: ``fields`` keeps every one in order, and the methods look up
    one key. References and texts are told apart.
    """

    id: Id
    name: Id
    fields: Many[Field]

    @classmethod
    def of(
        cls,
        id: str,  # noqa: A002  # the service's word
        fields: Mapping[str, str | Ref | Iterable[str | Ref]],
        *,
        name: str | None = None,
    ) -> Self:
        """Make an object of a mapping.

        Args:
            id: The object's id.
            fields: For each key a text, a ``Ref``, or several of them.
            name: The object's name; its id if left out.
        """
        made: list[Field] = []
        for key, value in fields.items():
            values = (value,) if isinstance(value, (str, Ref)) else value
            made += [Field.of(key, one) for one in values]
        return cls(id=id, name=id if name is None else name, fields=tuple(made))

    def keys(self) -> tuple[str, ...]:
        """Every key once, in order of first appearance."""
        return tuple(dict.fromkeys([field.key for field in self.fields]))

    def values(self, key: str) -> tuple[str | Ref, ...]:
        """The texts and references of a key, in order; empty if there is none."""
        found = [field.value for field in self.fields if field.key == key]
        return tuple([value for value in found if value is not None])

    def strings(self, key: str) -> tuple[str, ...]:
        """The texts of a key, in order; empty if there is none."""
        return tuple([value for value in self.values(key) if isinstance(value, str)])

    def refs(self, key: str) -> tuple[str, ...]:
        """The ids that the references of a key name, in order; empty if there is none."""
        return tuple(value.id for value in self.values(key) if isinstance(value, Ref))

    def string(self, key: str) -> str | None:
        """The only text of a key, or None.

        Raises:
            ValueError: The key has several texts; ``strings`` gives them.
        """
        return _only(key, self.strings(key), "strings")

    def ref(self, key: str) -> str | None:
        """The id that the only reference of a key names, or None.

        Raises:
            ValueError: The key has several references; ``refs`` gives them.
        """
        return _only(key, self.refs(key), "refs")

    def __contains__(self, key: object) -> bool:
        return any(field.key == key for field in self.fields)


class TaskObject(WireModel):
    """A task handed over by PollForTask: an attempt, and the objects it refers to.

    The service model calls every member optional; a task without one of the three ids
    cannot be worked on, so they are required here.
    """

    task_id: TaskId
    """Opaque. It stands for the right to report on the task: no name for logs or metrics."""
    pipeline_id: Id
    attempt_id: Id
    """The readable name: an instance's id and the number of the attempt."""
    objects: OptionalMap[PipelineObject] = FrozenDict()
    """By id. A reference may lead to an object that is not among them."""

    @property
    def attempt(self) -> PipelineObject:
        """The object that is the attempt itself.

        Raises:
            LookupError: The service sent no such object.
        """
        found = self.objects.get(self.attempt_id)
        if found is None:
            raise LookupError(
                f"the task holds no object for its attempt {self.attempt_id!r}; "
                f"it holds {', '.join(map(repr, self.objects)) or 'none'}"
            )
        return found


class Tag(WireModel):
    """A key and value to find pipelines by, or to grant access by."""

    key: TagKey
    value: TagValue


class ParameterAttribute(WireModel):
    """One property of a parameter: type, default, description and the like."""

    key: Name
    string_value: Value


class ParameterObject(WireModel):
    """A parameter of a definition. One whose id starts with ``*`` is secret."""

    id: Name
    attributes: Many[ParameterAttribute]

    def __repr_args__(self) -> Iterable[tuple[str | None, object]]:
        if not is_secret(self.id):
            yield from super().__repr_args__()
            return
        yield "id", self.id
        yield "attributes", {attribute.key: MASK for attribute in self.attributes}


class ParameterValue(WireModel):
    """A value of a parameter; several with one id are a list."""

    id: Name
    string_value: Value

    def __repr_args__(self) -> Iterable[tuple[str | None, object]]:
        return _masked(super().__repr_args__(), self.id)


class Operator(WireModel):
    """A comparison with values."""

    type: Annotated[OperatorType, Strict(strict=False)] | None = None
    values: OptionalMany[String] = ()

    if TYPE_CHECKING:  # who makes one may write a plain word; who reads one gets an OperatorType

        def __init__(
            self,
            *,
            type: OperatorType  # noqa: A002  # the service's word
            | Literal["EQ", "REF_EQ", "LE", "GE", "BETWEEN"]
            | None = None,
            values: tuple[str, ...] = (),
        ) -> None: ...


class Selector(WireModel):
    """A condition on one field. See QueryObjects for which fields take which operators."""

    field_name: String | None = None
    operator: Operator | None = None


class Query(WireModel):
    """Conditions that must all hold; at most ten."""

    selectors: Annotated[OptionalMany[Selector], pydantic.Field(max_length=_MAX_SELECTORS)] = ()


class InstanceIdentity(WireModel):
    """What an EC2 instance says of itself, with a signature."""

    document: String | None = None
    signature: String | None = None


class PipelineIdName(WireModel):
    """A pipeline in a list. The service model calls both optional; no pipeline lacks them."""

    id: Id
    name: Id


class PipelineDescription(WireModel):
    """A pipeline with its state, times and settings as fields."""

    pipeline_id: Id
    name: Id
    fields: Many[Field]
    description: String | None = None
    tags: OptionalMany[Tag] = ()

    @property
    def state(self) -> str | None:
        """The field ``@pipelineState``: PENDING, SCHEDULED, FINISHED, INACTIVE, ..."""
        for field in self.fields:
            if field.key == "@pipelineState":
                return field.string_value
        return None


class ValidationError(WireModel):
    """What is wrong with one object of a definition, or with the whole of it."""

    id: Id | None = None
    errors: OptionalMany[ValidationMessage] = ()


class ValidationWarning(WireModel):
    """What is doubtful about one object of a definition, or about the whole of it."""

    id: Id | None = None
    warnings: OptionalMany[ValidationMessage] = ()


def _only(key: str, found: tuple[str, ...], several: str) -> str | None:
    if len(found) > 1:
        raise ValueError(f"{key!r} has {len(found)} values; {several}({key!r}) gives them all")
    return found[0] if found else None


def _masked(
    shown: Iterable[tuple[str | None, object]], key: str
) -> Iterator[tuple[str | None, object]]:
    for name, value in shown:
        hide = name == "string_value" and value is not None and is_secret(key)
        yield name, MASK if hide else value
