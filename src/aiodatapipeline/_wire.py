"""snake_case here, camelCase there: the one place that knows both.

Every model has two doors. People use the constructor: snake_case, strict, unknown names
refused. The wire uses ``from_wire``: camelCase, unknown members ignored, so that a new
member at AWS breaks nobody.
"""

# No "from __future__ import annotations" here: pydantic would compile 200 texts at every import.

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, NoReturn, Self, TypeVar, cast

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    PlainSerializer,
    Strict,
    ValidationError,
    ValidationInfo,
)
from pydantic.alias_generators import to_camel
from pydantic_core import InitErrorDetails
from pydantic_core.core_schema import (
    CoreSchema,
    StringSchema,
    json_or_python_schema,
    with_info_wrap_validator_function,
)

from aiodatapipeline._text import ALLOWED, first_refused, first_surrogate

ItemT = TypeVar("ItemT")
KeyT = TypeVar("KeyT")

# What pydantic hands to a validator around others: the checks inside of it.
Handler = Callable[[object], object]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Door(Enum):
    """How a value came in, if not by a constructor."""

    WIRE = "wire"
    ANSWER = "answer"
    """From the service itself: the lengths and characters of its texts are its own affair."""


class WireModel(BaseModel):
    """A frozen value that goes over the wire, with the service's names in camelCase."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        frozen=True,
        strict=True,
        extra="forbid",
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=False,
        # A message that shows the input could show an encrypted field's value.
        hide_input_in_errors=True,
        # Sixty schemas take a tenth of a second to build, and a program uses a few of them.
        defer_build=True,
    )

    door: ClassVar[Door] = Door.WIRE

    if not TYPE_CHECKING:  # a type checker would take it for leave to set any name

        def __setattr__(self, name: str, value: object) -> None:
            if not name.startswith("_"):
                # pydantic's own refusal shows the value, which may be an encrypted field's.
                refusal = InitErrorDetails(type="frozen_instance", loc=(name,), input=None)
                title = type(self).__name__
                raise ValidationError.from_exception_data(title, [refusal], hide_input=True)
            super().__setattr__(name, value)

    @classmethod
    def from_wire(cls, body: Mapping[str, object]) -> Self:
        """Read the camelCase form.

        Unknown members are ignored; an optional member that is null counts as absent.

        Raises:
            pydantic.ValidationError: A required member is missing, or one has a wrong type.
        """
        return cls.model_validate(
            body, by_alias=True, by_name=False, extra="ignore", context=cls.door
        )

    def to_wire(self) -> dict[str, object]:
        """Give the camelCase form, made of what JSON knows; what was left out stays out."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude_none=True)


def is_from_wire(info: ValidationInfo) -> bool:
    """Whether a validator runs for ``from_wire``, where the service may leave out what we ask."""
    return isinstance(info.context, Door)


class _Characters:
    """Checks the characters of a text, before the limits that stand with it.

    Of JSON, pydantic does so by itself, many times as fast and in words of its own: whoever lets
    it read JSON has ``from_wire`` read what was refused, which has words for people.
    """

    def __init__(
        self, find: Callable[[str], str | None], refusal: str, pattern: str | None = None
    ) -> None:
        self._find, self._refusal, self._pattern = find, refusal, pattern

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        limits = cast("StringSchema", handler(source))
        native = limits.copy()
        if self._pattern is not None:
            native["pattern"] = self._pattern
        checked = with_info_wrap_validator_function(self._check, limits)
        return json_or_python_schema(native, checked)

    def _check(self, text: object, limits: Handler, info: ValidationInfo) -> object:
        if not isinstance(text, str):
            return limits(text)
        if info.context is Door.ANSWER:
            return text
        if found := self._find(text):
            raise ValueError(self._refusal.format(found))
        return limits(text)


_Allowed = _Characters(
    first_refused,
    "the service does not take {}; "
    "allowed are U+0020 and up, without lone surrogates, and tab, CR and LF",
    ALLOWED,
)
# JSON with half a pair is none to pydantic.
_Unicode = _Characters(first_surrogate, "{} is half of a surrogate pair, which is no character")

MAX_ID = 1024
MAX_VALUE = 10_240

# The service model's string shapes. Lengths count characters, as the model's own do.
Id = Annotated[str, Field(min_length=1, max_length=MAX_ID), _Allowed]
Name = Annotated[str, Field(min_length=1, max_length=256), _Allowed]  # fieldNameString
Value = Annotated[str, Field(max_length=MAX_VALUE), _Allowed]  # fieldStringValue
String = Annotated[str, Field(max_length=1024), _Allowed]
LongString = Annotated[str, Field(max_length=20_971_520), _Allowed]
# The right to report on a task, and of no use to a reader: it is shown nowhere.
TaskId = Annotated[str, Field(min_length=1, max_length=2048, repr=False), _Allowed]
ValidationMessage = Annotated[str, Field(max_length=10_000), _Allowed]
# The model says 1024 characters and the API reference 4095: a model takes the larger,
# and SetTaskStatusRequest.failed() keeps the smaller.
StackTrace = Annotated[str, Field(max_length=4095), _Allowed]
# For these the service model states no characters, and for errorMessage no length.
Message = Annotated[str, _Unicode]
TagKey = Annotated[str, Field(min_length=1, max_length=128), _Unicode]
TagValue = Annotated[str, Field(max_length=256), _Unicode]


def _read_timestamp(value: object) -> object:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            return datetime.fromtimestamp(value, UTC)
        except (OverflowError, OSError, ValueError):
            raise ValueError("not a time: seconds since the epoch, years 1 to 9999") from None
    return value


def _write_timestamp(value: datetime) -> int:
    # datetime.timestamp() is a float, which rounds; and int() would round up before 1970.
    return (value - _EPOCH) // timedelta(seconds=1)


# Seconds since the epoch on the wire; a fraction is dropped there, as botocore does.
Timestamp = Annotated[
    AwareDatetime,
    BeforeValidator(_read_timestamp),
    PlainSerializer(_write_timestamp, return_type=int),
]


class FrozenDict(dict[KeyT, ItemT]):
    """A mapping inside a frozen model: it can be read, copied, hashed and pickled, not changed."""

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise TypeError("this mapping is part of a frozen model and cannot be changed")

    __setitem__ = __delitem__ = __ior__ = _refuse
    # Whatever the arguments, the answer is no: narrower than dict on purpose.
    clear = pop = popitem = setdefault = update = _refuse  # pyright: ignore[reportAssignmentType]

    # dict says None, since a dict can change.
    def __hash__(self) -> int:  # type: ignore[override]  # pyright: ignore[reportIncompatibleVariableOverride]
        return hash(frozenset(self.items()))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (dict(self),)


def _no_items_for_null(value: object) -> object:
    return () if value is None else value


def _no_keys_for_null(value: object) -> object:
    return {} if value is None else value


# The wire brings lists; the elements stay strict.
Many = Annotated[tuple[ItemT, ...], Strict(strict=False)]
# What may be left out. The wire may bring null for it.
OptionalMany = Annotated[
    tuple[ItemT, ...], Strict(strict=False), BeforeValidator(_no_items_for_null)
]
OptionalMap = Annotated[
    Mapping[str, ItemT], AfterValidator(FrozenDict), BeforeValidator(_no_keys_for_null)
]


def as_tuple(items: Iterable[object] | None) -> object:
    """Make an iterable a tuple; leave None, and what its model should refuse, as they are."""
    return tuple(items) if isinstance(items, Iterable) and not isinstance(items, str) else items
