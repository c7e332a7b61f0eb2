"""What the operators and functions of an expression do with single values.

Lists and references are the evaluator's business. Source: "Mathematical Functions", "String
Functions" and "Date and Time Functions" in the developer guide; what they leave open is marked
as our choice.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from aiodatapipeline.definition import _joda
from aiodatapipeline.definition.schedules import Period

Scalar: TypeAlias = str | int | float | datetime | None
"""A single value: a text, a number, a DateTime, or nothing."""

# Our choice: an integer has 64 bits, and a result that has more is an error. So arithmetic stays
# cheap.
LARGEST = 2**63 - 1

_NUMBER = re.compile(r"[-+]?[0-9]{1,18}(\.[0-9]{1,18})?")
# How the service prints its times, and the forms that the guide's own examples have: an hour of
# one digit, a "z" behind. A date alone is its midnight.
_DATETIME = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})"
    r"(?:T([0-9]{1,2}):([0-9]{2}):([0-9]{2})(?:\.[0-9]{1,9})?)?[zZ]?"
)
_ZONE = re.compile(r"[A-Za-z0-9_+-]{1,32}(?:/[A-Za-z0-9_+-]{1,32}){0,2}")


class Refused(Exception):  # noqa: N818  # a message on its way to becoming an ExpressionError
    """An operation that cannot be done. No message shows a value: it may be a secret.

    Attributes:
        place: Which argument is to blame, counted from 0; None for the operation itself.
    """

    def __init__(self, reason: str, place: int | None = None) -> None:
        super().__init__(reason, place)
        self.reason, self.place = reason, place


@dataclass(frozen=True, slots=True)
class Function:
    """An operator or function: what makes each argument fit, and what is done with them."""

    takes: tuple[Callable[[Scalar], Any], ...]
    apply: Callable[..., Scalar]

    def __call__(self, *arguments: Scalar) -> Scalar:
        """Apply it.

        Raises:
            Refused: An argument does not fit, or there is no such result.
        """
        fitting: list[Any] = []
        for place, (fit, argument) in enumerate(zip(self.takes, arguments, strict=True)):
            try:
                fitting.append(fit(argument))
            except Refused as refused:
                raise Refused(refused.reason, place) from None
        try:
            return self.apply(*fitting)
        except (OverflowError, ValueError):
            raise Refused("the result is outside of the years 1 to 9999") from None


def as_text(value: Scalar) -> str:
    """Print a value: a DateTime as YYYY-MM-DDTHH:MM:SS, nothing as nothing."""
    if isinstance(value, datetime):
        return value.replace(tzinfo=None).isoformat(timespec="seconds")
    return "" if value is None else str(value)


def as_utc(moment: datetime) -> datetime:
    """Put a moment on the service's clock, which is UTC; so is a moment without a zone."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


# What an argument may be. Fields and parameters are texts on the wire, so a text that reads as
# what is needed is as good as the thing itself.


def _any(value: Scalar) -> Scalar:
    return value


def _text(value: Scalar) -> str:
    if not isinstance(value, str):
        raise _misfit("a text", value)
    return value


def _number(value: Scalar) -> int | float:
    if isinstance(value, str) and (found := _NUMBER.fullmatch(value)):
        return float(value) if found[1] else int(value)
    if isinstance(value, int | float):
        return value
    raise _misfit("a number", value)


def _integer(value: Scalar) -> int:
    number = _number(value)
    if number != int(number):  # 4.0, which is what ^ gives, will do
        raise Refused("a whole number is needed here")
    return int(number)


def _moment(value: Scalar) -> datetime:
    if isinstance(value, datetime):
        return value
    if isinstance(value, str) and (found := _DATETIME.fullmatch(value)):
        year, month, day, hour, minute, second = (int(number or 0) for number in found.groups())
        try:
            return datetime(year, month, day, hour, minute, second, tzinfo=UTC)
        except ValueError:
            raise Refused("there is no such date and time") from None
    raise _misfit("a DateTime (YYYY-MM-DDTHH:MM:SS)", value)


def _misfit(needed: str, value: Scalar) -> Refused:
    match value:
        case None:
            given = "empty"
        case str():
            given = "a text"
        case datetime():
            given = "a DateTime"
        case _:
            given = "a number"
    return Refused(f"{needed} is needed here, and this is {given}")


def _add(left: Scalar, right: Scalar) -> Scalar:
    if isinstance(left, str) or isinstance(right, str):
        return as_text(left) + as_text(right)
    # Arithmetic from here on; a misfit names its own place, for the caller cannot know it.
    return _SUM(left, right)


def _divide(left: float, right: float) -> float:
    if right == 0:
        raise Refused("division by zero")
    if isinstance(left, int) and isinstance(right, int):
        quotient = abs(left) // abs(right)  # towards zero; // alone goes down
        return quotient if (left < 0) == (right < 0) else -quotient
    return left / right


def _power(base: float, exponent: float) -> float:
    try:
        return math.pow(base, exponent)
    except OverflowError:
        raise Refused("the result is too large") from None
    except ValueError:
        raise Refused("there is no such power") from None


def _negate(number: float) -> float:
    return -number


def _arithmetic(operate: Callable[..., float], operands: int = 2) -> Function:
    def apply(*numbers: float) -> float:
        result = operate(*numbers)
        if abs(result) > LARGEST if isinstance(result, int) else not math.isfinite(result):
            raise Refused("the result is too large")
        return result

    return Function((_number,) * operands, apply)


_SUM = _arithmetic(operator.add)

OPERATORS: Mapping[str, Function] = {
    "+": Function((_any, _any), _add),
    "-": _arithmetic(operator.sub),
    "*": _arithmetic(operator.mul),
    "/": _arithmetic(_divide),
    "^": _arithmetic(_power),
    "negate": _arithmetic(_negate, operands=1),
}


def _get(read: Callable[[datetime], int]) -> Function:
    return Function((_moment,), read)


def _change(change: Callable[[datetime], datetime]) -> Function:
    def apply(moment: datetime) -> datetime:
        return _settled(change(moment))

    return Function((_moment,), apply)


def _settled(moment: datetime) -> datetime:
    """Move a time that its zone's clocks jump over to behind the jump, as Joda does."""
    return moment.astimezone(UTC).astimezone(moment.tzinfo)


def _by_clock(sign: int, unit: timedelta) -> Function:
    """Hours and minutes are time that goes by, whatever the zone's clocks show meanwhile."""

    def apply(moment: datetime, count: int) -> datetime:
        return (moment.astimezone(UTC) + sign * count * unit).astimezone(moment.tzinfo)

    return Function((_moment, _integer), apply)


def _by_days(sign: int, days: int) -> Function:
    """Days and weeks keep the time of day."""

    def apply(moment: datetime, count: int) -> datetime:
        return _settled(moment + timedelta(days=sign * count * days))

    return Function((_moment, _integer), apply)


def _by_months(sign: int, months: int) -> Function:
    """Months and years keep the day, or take the month's last one: 31 January, 28 February."""

    def apply(moment: datetime, count: int) -> datetime:
        return _settled(Period(months, "month").after(moment, sign * count))

    return Function((_moment, _integer), apply)


def _make(*parts: int) -> datetime:
    try:
        return datetime(*parts, tzinfo=UTC)  # type: ignore[misc,arg-type]  # three or five numbers
    except (OverflowError, ValueError):
        raise Refused("there is no such date and time") from None


def _format(moment: datetime, pattern: str) -> str:
    try:
        return _joda.format_datetime(moment, pattern)
    except _joda.PatternError as error:
        raise Refused(error.reason, 1) from None


def _in_time_zone(moment: datetime, zone: str) -> datetime:
    """Our choice: the same moment, on the clocks of that zone."""
    if zone == "UTC":  # needs no database
        return moment.astimezone(UTC)
    if _ZONE.fullmatch(zone) is None:
        raise Refused("a time zone is needed, like 'America/Los_Angeles'", 1)
    try:
        found = ZoneInfo(zone)
    except (ZoneInfoNotFoundError, OSError, ValueError):  # a directory, a file that is no zone
        raise Refused("the time zone database has no zone of this name", 1) from None
    return moment.astimezone(found)


FUNCTIONS: Mapping[str, Function] = {
    "day": _get(lambda moment: moment.day),
    "dayOfYear": _get(lambda moment: moment.timetuple().tm_yday),
    "hour": _get(lambda moment: moment.hour),
    "minute": _get(lambda moment: moment.minute),
    "month": _get(lambda moment: moment.month),
    "year": _get(lambda moment: moment.year),
    "firstOfMonth": _change(lambda moment: moment.replace(day=1)),
    "midnight": _change(lambda moment: moment.replace(hour=0, minute=0, second=0, microsecond=0)),
    "sunday": _change(lambda moment: moment - timedelta(days=moment.isoweekday() % 7)),
    "yesterday": _change(lambda moment: moment - timedelta(days=1)),
    "makeDate": Function((_integer,) * 3, _make),
    "makeDateTime": Function((_integer,) * 5, _make),
    "plusMinutes": _by_clock(+1, timedelta(minutes=1)),
    "plusHours": _by_clock(+1, timedelta(hours=1)),
    "plusDays": _by_days(+1, 1),
    "plusWeeks": _by_days(+1, 7),
    "plusMonths": _by_months(+1, 1),
    "plusYears": _by_months(+1, 12),
    "minusMinutes": _by_clock(-1, timedelta(minutes=1)),
    "minusHours": _by_clock(-1, timedelta(hours=1)),
    "minusDays": _by_days(-1, 1),
    "minusWeeks": _by_days(-1, 7),
    "minusMonths": _by_months(-1, 1),
    "minusYears": _by_months(-1, 12),
    "format": Function((_moment, _text), _format),
    "inTimeZone": Function((_moment, _text), _in_time_zone),
}
