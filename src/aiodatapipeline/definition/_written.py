"""Python values -> the texts and references that the service knows, for ``objects``.

A function here takes what a person may write for one kind of field, says in a ``ValueError``
what is wrong with it, and gives what is kept: texts, and the objects or ids referred to. A
text with an expression in it may become anything, so it is always let through.
"""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta
from typing import TypeGuard

from aiodatapipeline._text import first_refused
from aiodatapipeline._wire import MAX_VALUE
from aiodatapipeline.definition.schedules import (
    ON_DEMAND_PERIOD,
    Period,
    read_date_time,
    write_date_time,
)
from aiodatapipeline.models import Ref

# The service model's fieldNameString.
_MAX_ID = 256

_DIGITS = re.compile(r"[0-9]+")
_UNITS = (Period(1, "day"), Period(1, "hour"), Period(1, "minute"))


def text(value: object) -> str:
    """Keep a text that the service takes."""
    if not isinstance(value, str):
        raise _wrong("a text", value)
    if len(value) > MAX_VALUE:
        raise ValueError(
            f"a text has at most {MAX_VALUE:,} characters, and this has {len(value):,}"
        )
    if refused := first_refused(value):
        raise ValueError(f"the service does not take {refused}")
    return value


def whole_number(value: object) -> str:
    """Write a whole number."""
    if isinstance(value, int) and not isinstance(value, bool):
        return _number(value)
    if isinstance(value, str) and (_DIGITS.fullmatch(value) or _is_open(value)):
        return text(value)
    raise _wrong("a whole number", value)


def truth(value: object) -> str:
    """Write True or False."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str) and (value.lower() in {"true", "false"} or _is_open(value)):
        return text(value)
    raise _wrong("True or False", value)


def period(value: object) -> str:
    """Write a length of time, a timedelta as its largest unit that leaves no rest."""
    if isinstance(value, timedelta):
        return _length(value)
    if isinstance(value, str):
        if value.lower() != ON_DEMAND_PERIOD and not _is_open(value):
            Period.parse(value)
        return text(value)
    raise _wrong("a period as text or a timedelta", value)


def _length(value: timedelta) -> str:
    minutes, rest = divmod(value, timedelta(minutes=1))
    if minutes < 1 or rest:
        raise ValueError("a period is a number of whole minutes, and at least one")
    one = next(each for each in _UNITS if not minutes % each.minutes)
    return str(Period(minutes // one.minutes, one.unit))


def date_time(value: object) -> str:
    """Write a time in UTC; what is less than a second is dropped."""
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError("a datetime needs a time zone, for instance datetime.UTC")
        try:
            return write_date_time(value)
        except OverflowError:
            raise ValueError("in UTC this is no year from 1 to 9999") from None
    if isinstance(value, str):
        if not _is_open(value):
            read_date_time(value)
        return text(value)
    raise _wrong("a time as text or a datetime", value)


def anything(value: object) -> str | Ref:
    """Write what needs no more than its own type to be written."""
    if isinstance(value, Ref):
        return reference(value)
    if isinstance(value, bool):
        return truth(value)
    if isinstance(value, (int, float)):
        return _number(value)
    if isinstance(value, timedelta):
        return period(value)
    if isinstance(value, datetime):
        return date_time(value)
    return text(value)


def reference(value: object) -> Ref:
    """Keep the id of an object."""
    found = value.id if isinstance(value, Ref) else value
    if not isinstance(found, str):
        raise _wrong("an object or an object's id", value)
    if not 1 <= len(found) <= _MAX_ID:
        raise ValueError(f"an id to refer to has 1 to {_MAX_ID} characters")
    return Ref(text(found))


def is_list(value: object) -> TypeGuard[list[object] | tuple[object, ...]]:
    """Whether a value is several ones, in an order that means something."""
    return isinstance(value, (list, tuple))


def _is_open(value: str) -> bool:
    """Whether an expression decides what the text is."""
    return "#{" in value


def _number(value: float) -> str:
    try:
        return json.dumps(value, allow_nan=False)
    except ValueError:  # an infinity, or more digits than Python converts
        raise ValueError("this number cannot be written") from None


def _wrong(wanted: str, value: object) -> ValueError:
    # Of the value itself no more than its type: it may be secret.
    return ValueError(f"{wanted} should stand here, not a value of type {type(value).__name__}")
