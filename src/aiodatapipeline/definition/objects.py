"""Objects with types, to build a definition of in Python.

The name of a class is the type, and an argument is the field in snake_case:
``ShellCommandActivity(id="Load", script_uri="s3://bucket/load.sh")``. For every type that has
no class here there is ``Object``, or a class of your own below ``Activity``, ``DataNode``,
``Precondition`` or ``Component``, with the fields that you use::

    class PigActivity(Activity):
        script: Text | None = None

A value has to be one of the field's kind, or a text with an expression in it; each is kept as
it is written in the definition. What is required, and what the service allows, is for
``check`` to say, since an object can inherit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Sequence as Many
from datetime import datetime, timedelta
from typing import Annotated, ClassVar, Literal, Self, TypeAlias, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    PlainValidator,
    ValidationError,
    model_validator,
)
from pydantic.alias_generators import to_camel

from aiodatapipeline._secrets import MASK, is_secret
from aiodatapipeline._wire import FrozenDict, Id, Name
from aiodatapipeline.definition import _written
from aiodatapipeline.definition._catalog import ValueKind, catalog
from aiodatapipeline.definition._file import Definition, DefinitionError
from aiodatapipeline.definition._inherit import DEFAULT_ID
from aiodatapipeline.models import (
    ParameterAttribute,
    ParameterObject,
    ParameterValue,
    PipelineObject,
    Ref,
)

__all__ = [
    "Activity",
    "Component",
    "CopyActivity",
    "DataNode",
    "DateTime",
    "Default",
    "Exists",
    "Object",
    "Parameter",
    "Period",
    "Plain",
    "Precondition",
    "Reference",
    "References",
    "S3DataNode",
    "Schedule",
    "ShellCommandActivity",
    "ShellCommandPrecondition",
    "SqlActivity",
    "Text",
    "Texts",
    "Truth",
    "Value",
    "WholeNumber",
    "build",
]

MadeT = TypeVar("MadeT", PipelineObject, ParameterObject)


def _or_several(convert: Callable[[object], object]) -> Callable[[object], object]:
    """Let a list of values stand where one can."""

    def converted(value: object) -> object:
        if _written.is_list(value):
            return tuple(convert(each) for each in value)
        return convert(value)

    return converted


def _reference(value: object) -> Component | Ref:
    return value if isinstance(value, Component) else _written.reference(value)


def _anything(value: object) -> Component | Ref | str:
    return value if isinstance(value, Component) else _written.anything(value)


def _default_only(value: str) -> str:
    if value != DEFAULT_ID:
        raise ValueError(f"this object is always called {DEFAULT_ID}")
    return value


def _plain(value: object) -> str:
    return _written.text(_written.anything(value))


class _Frozen(BaseModel):
    model_config: ClassVar[ConfigDict] = ConfigDict(
        frozen=True,
        strict=True,
        extra="forbid",
        # A message that shows the input could show the value of an encrypted field.
        hide_input_in_errors=True,
        defer_build=True,
    )


class Component(_Frozen):
    """An object of a definition. What it refers to comes into the definition with it."""

    id: Id
    name: Id | None = None
    """The id if left out."""
    parent: Annotated[Component | Ref | str, PlainValidator(_reference)] | None = None
    """The object to inherit from. Without one, it is the object Default if there is one."""
    extra: Annotated[Mapping[Name, Value], AfterValidator(FrozenDict)] = FrozenDict()
    """Further fields by their names in the definition: your own, ``myTable``, encrypted ones,
    ``*password``, and those that this class does not know. A text is an id where the guide
    lists the field as a reference, and a text elsewhere."""

    @model_validator(mode="after")
    def _each_field_once(self) -> Self:
        _refuse_twice(
            self.extra, {"id", "name", "parent", "type", *(key for key, _ in _given(self))}
        )
        return self

    def type_name(self) -> str | None:
        """Give the type that the definition names: the name of the class."""
        return type(self).__name__

    def references(self) -> Iterator[Component]:
        """Give the objects that this one refers to, as far as they are not mere ids."""
        for _, values in self._said():
            yield from (value for value in values if isinstance(value, Component))

    def to_pipeline_object(self) -> PipelineObject:
        """Give the object as the API has it, its fields in alphabetical order."""
        fields: dict[str, list[str | Ref]] = {
            key: [Ref(value.id) if isinstance(value, Component) else value for value in values]
            for key, values in self._said()
        }
        type_name = self.type_name()
        if type_name:
            fields["type"] = [type_name]
        return PipelineObject.of(self.id, dict(sorted(fields.items())), name=self.name)

    def _said(self) -> Iterator[tuple[str, tuple[Component | Ref | str, ...]]]:
        """Give all fields with what they hold."""
        for key, value in _given(self):
            yield key, _each(value)
        for key, value in self.extra.items():
            yield key, tuple(self._as_reference(key, each) for each in _each(value))

    def _as_reference(self, key: str, value: Component | Ref | str) -> Component | Ref | str:
        known = catalog().types.get(self.type_name() or "")
        fields = known.fields if known else catalog().fields
        is_id = isinstance(value, str) and fields.get(key) is ValueKind.REFERENCE
        return _reference(value) if is_id else value

    def __repr_args__(self) -> Iterator[tuple[str | None, object]]:
        for name, value in super().__repr_args__():
            if name == "extra" and self.extra:
                yield name, {key: _shown(key, each) for key, each in self.extra.items()}
            elif value:
                yield name, _shown(str(name), value)


def _given(model: _Frozen) -> Iterator[tuple[str, object]]:
    """Give the fields that are arguments of their own and were given, by their keys."""
    for name in type(model).model_fields:
        value: object = getattr(model, name)
        if name not in {"id", "name", "extra"} and value is not None:
            yield to_camel(name), value


def _refuse_twice(extra: Mapping[str, object], named: set[str]) -> None:
    twice = sorted(named.intersection(extra))
    if twice:
        raise ValueError(f"{', '.join(twice)}: not in extra, there is an argument for it")


def _each(value: object) -> tuple[Component | Ref | str, ...]:
    """Give the values of a field; they are in the shape that the validators left them in."""
    found = value if _written.is_list(value) else (value,)
    return tuple(each for each in found if isinstance(each, (Component, Ref, str)))


def _texts(value: object) -> tuple[str, ...]:
    return tuple(each for each in _each(value) if isinstance(each, str))


def _shown(key: str, value: object) -> object:
    """Mask what is encrypted, and name other objects by their ids."""
    if is_secret(key):
        return MASK
    if _written.is_list(value):
        return tuple(_shown(key, each) for each in _each(value))
    return Ref(value.id) if isinstance(value, Component) else value


Text: TypeAlias = Annotated[str, PlainValidator(_written.text)]
"""A text."""
Texts: TypeAlias = Annotated[str | Many[str], PlainValidator(_or_several(_written.text))]
"""A text, or several."""
WholeNumber: TypeAlias = Annotated[int | str, PlainValidator(_written.whole_number)]
"""A number, or an expression that gives one."""
Truth: TypeAlias = Annotated[bool | str, PlainValidator(_written.truth)]
"""True, False, or an expression that gives one of them."""
Period: TypeAlias = Annotated[str | timedelta, PlainValidator(_written.period)]
"""A length of time: ``"2 hours"`` or a timedelta of whole minutes."""
DateTime: TypeAlias = Annotated[str | datetime, PlainValidator(_written.date_time)]
"""A time: ``"2026-01-31T00:00:00"``, which is UTC, or a datetime with its time zone."""
Reference: TypeAlias = Annotated[Component | Ref | str, PlainValidator(_reference)]
"""An object or its id."""
References: TypeAlias = Annotated[
    Component | Ref | str | Many[Component | Ref | str], PlainValidator(_or_several(_reference))
]
"""An object or its id, or several."""
Value: TypeAlias = Annotated[
    str | float | timedelta | datetime | Ref | Component
    | Many[str | float | timedelta | datetime | Ref | Component],
    PlainValidator(_or_several(_anything)),
]  # fmt: skip
"""What any field may hold; True and False are among the numbers here."""
Plain: TypeAlias = Annotated[
    str | float | timedelta | datetime | Many[str | float | timedelta | datetime],
    PlainValidator(_or_several(_plain)),
]
"""What a parameter may hold: no object, nor a reference to one."""

# It mentions itself; a class below it, in another module, could not look that up.
Component.model_rebuild()


class _Run(Component):
    """What is started and can fail."""

    attempt_status: Text | None = None
    attempt_timeout: Period | None = None
    failure_and_rerun_mode: Literal["cascade", "none"] | None = None
    late_after_timeout: Period | None = None
    maximum_retries: WholeNumber | None = None
    on_fail: References | None = None
    on_late_action: References | None = None
    on_success: References | None = None
    report_progress_timeout: Period | None = None
    retry_delay: Period | None = None


class _Scheduled(_Run):
    """What belongs to the intervals of a schedule, and waits for other things."""

    depends_on: References | None = None
    max_active_instances: WholeNumber | None = None
    pipeline_log_uri: Text | None = None
    precondition: References | None = None
    runs_on: Reference | None = None
    schedule: Reference | None = None
    schedule_type: Literal["cron", "ondemand", "timeseries"] | None = None
    worker_group: Text | None = None


class Default(_Scheduled):
    """What holds for every object that names no other parent."""

    id: Annotated[Id, AfterValidator(_default_only)] = DEFAULT_ID
    resource_role: Text | None = None
    role: Text | None = None

    def type_name(self) -> None:
        """Give None: Default has no type."""


class Activity(_Scheduled):
    """Work: what all activities have in common."""

    input: References | None = None
    output: References | None = None


class ShellCommandActivity(Activity):
    """A command or a script to run."""

    command: Text | None = None
    script_argument: Texts | None = None
    script_uri: Text | None = None
    stage: Truth | None = None
    stderr: Text | None = None
    stdout: Text | None = None


class SqlActivity(Activity):
    """A script to run on a database."""

    database: Reference | None = None
    queue: Text | None = None
    script: Text | None = None
    script_argument: Texts | None = None
    script_uri: Text | None = None


class CopyActivity(Activity):
    """Data to copy from one place to another."""


class DataNode(_Scheduled):
    """Data: what all data nodes have in common."""


class S3DataNode(DataNode):
    """Data in Amazon S3."""

    compression: Literal["gzip", "none"] | None = None
    data_format: Reference | None = None
    directory_path: Text | None = None
    file_path: Text | None = None
    manifest_file_path: Text | None = None
    s3_encryption_type: Literal["NONE", "SERVER_SIDE_ENCRYPTION"] | None = None


class Precondition(_Run):
    """A condition: what all preconditions have in common."""

    precondition_timeout: Period | None = None


class Exists(Precondition):
    """A condition that the data of a data node is there."""


class ShellCommandPrecondition(Precondition):
    """A condition that a command or a script succeeds."""

    command: Text | None = None
    script_argument: Texts | None = None
    script_uri: Text | None = None
    stderr: Text | None = None
    stdout: Text | None = None


class Schedule(Component):
    """When something runs: the intervals, where they begin and where they end."""

    period: Period
    end_date_time: DateTime | None = None
    occurrences: WholeNumber | None = None
    start_at: Literal["FIRST_ACTIVATION_DATE_TIME", "ONDEMAND_ACTIVATION_TIME"] | None = None
    start_date_time: DateTime | None = None

    @model_validator(mode="after")
    def _one_start_and_one_end(self) -> Self:
        if self.start_at is not None and self.start_date_time is not None:
            raise ValueError("a schedule has a start_at or a start_date_time, never both")
        if self.occurrences is not None and self.end_date_time is not None:
            raise ValueError("a schedule has occurrences or an end_date_time, never both")
        return self


class Object(Component):
    """An object of any type: ``Object("EmrCluster", "Cluster", core_instance_count=2)``."""

    type: Name

    def __init__(
        self,
        type: str,  # noqa: A002  # the service's word, as the next is
        id: str,  # noqa: A002
        *,
        name: str | None = None,
        parent: Component | Ref | str | None = None,
        extra: Mapping[str, Value] | None = None,
        **fields: Value | None,
    ) -> None:
        """Make an object.

        Args:
            type: The type.
            id: The id.
            name: The name; the id if left out.
            parent: The object to inherit from.
            extra: Fields by their names in the definition.
            fields: Fields in snake_case; None for one that is left out.
        """
        given = {to_camel(key): value for key, value in fields.items() if value is not None}
        twice = sorted(given.keys() & (extra or {}).keys())
        if twice:
            raise TypeError(f"{', '.join(twice)}: given as an argument and in extra")
        BaseModel.__init__(
            self, type=type, id=id, name=name, parent=parent, extra={**given, **(extra or {})}
        )

    def type_name(self) -> str:
        """Give the type."""
        return self.type


class Parameter(_Frozen):
    """A parameter of a definition. One whose id starts with ``*`` is secret."""

    id: Name
    """``my`` and a capital letter or an underscore, and more."""
    type: Literal["String", "Integer", "Double", "AWS::S3::ObjectKey"] | None = None
    """String if left out."""
    description: Text | None = None
    default: Plain | None = None
    allowed_values: Plain | None = None
    is_array: Truth | None = None
    optional: Truth | None = None
    extra: Annotated[Mapping[Name, Plain], AfterValidator(FrozenDict)] = FrozenDict()
    """Further attributes by their names in the definition."""

    @model_validator(mode="after")
    def _each_attribute_once(self) -> Self:
        _refuse_twice(self.extra, {"id", *(key for key, _ in _given(self))})
        return self

    def to_parameter_object(self) -> ParameterObject:
        """Give the parameter as the API has it, its attributes in alphabetical order."""
        attributes = tuple(
            ParameterAttribute(key=key, string_value=text)
            for key, value in sorted([*_given(self), *self.extra.items()])
            for text in _texts(value)
        )
        return ParameterObject(id=self.id, attributes=attributes)

    def __repr_args__(self) -> Iterator[tuple[str | None, object]]:
        for name, value in super().__repr_args__():
            if value:
                secret = name != "id" and is_secret(self.id)
                yield name, MASK if secret else value


def build(
    *objects: Component,
    parameters: Iterable[Parameter] = (),
    values: Mapping[str, Plain] | None = None,
) -> Definition:
    """Make a definition of objects and all that they refer to.

    Args:
        objects: They come first, in this order; what they refer to follows.
        parameters: The parameters.
        values: Values of parameters, by id; a list for an array.

    Raises:
        DefinitionError: Two objects or two parameters have one id and are not the same, or a
            value is none.
    """
    return Definition(
        _once(each.to_pipeline_object() for each in _reached(objects)),
        _once(each.to_parameter_object() for each in parameters),
        tuple(_values(values or {})),
    )


def _reached(objects: Iterable[Component]) -> Iterator[Component]:
    """Give objects and what they lead to, each of them once."""
    waiting = list(objects)
    seen: set[int] = set()
    for each in waiting:
        if id(each) not in seen:
            seen.add(id(each))
            waiting.extend(each.references())
            yield each


def _once(made: Iterable[MadeT]) -> tuple[MadeT, ...]:
    """Let the same thing be given twice, but no two with the same id."""
    found: dict[str, MadeT] = {}
    for each in made:
        if found.setdefault(each.id, each) != each:
            raise DefinitionError("there are two with this id, and not the same", object_id=each.id)
    return tuple(found.values())


def _values(values: Mapping[str, Plain]) -> Iterator[ParameterValue]:
    for parameter_id, value in values.items():
        try:
            texts = _texts(_or_several(_plain)(value))
            yield from [ParameterValue(id=parameter_id, string_value=text) for text in texts]
        except ValidationError as error:
            message = error.errors(include_url=False, include_input=False)[0]["msg"]
            raise DefinitionError(message, object_id=parameter_id) from None
        except ValueError as error:
            raise DefinitionError(str(error), object_id=parameter_id) from None
