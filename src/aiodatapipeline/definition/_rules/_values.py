"""What single fields hold: periods, times, numbers, words, references and texts."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from aiodatapipeline.definition._catalog import ValueKind
from aiodatapipeline.definition._findings import Finding, FindingId
from aiodatapipeline.definition._inherit import EffectiveObject
from aiodatapipeline.definition._rules._subject import TRUTH, Subject
from aiodatapipeline.definition.schedules import ON_DEMAND_PERIOD, Period, read_date_time
from aiodatapipeline.models import Ref

# Limits that cannot be adjusted. Source: "AWS Data Pipeline Limits" in the developer guide, for
# the longest period the page on Schedule, and for on-demand pipelines "Scheduling Pipelines".
MAX_RETRIES = 5
MAX_ON_DEMAND_INSTANCES = 5
MIN_RETRY_DELAY = 2  # minutes, as are the next two
MIN_PERIOD = 15
MAX_PERIOD = 3 * 365 * 24 * 60

_WHOLE_NUMBER = re.compile(r"[0-9]+")
_NUMBER = re.compile(r"[0-9]+(\.[0-9]*)?|\.[0-9]+")


def values(subject: Subject) -> Iterator[Finding]:
    """Find texts that are not what their field holds, and references mixed up with texts."""
    for each in subject.objects:
        for key, said in each.own.items():
            kind = subject.kind(each, key)
            if kind is None:
                continue
            wrong = [found for value in said if (found := _misfit(subject, each, key, kind, value))]
            if wrong:
                wanted, advice = wrong[0]
                yield subject.finding(
                    FindingId.INVALID_FIELD_VALUE,
                    (each.id, key),
                    f"value must be {wanted}.",
                    advice,
                )


_Misfit = tuple[str, str]
"""What a value should be, and what to do."""
_REFERENCE_OR_TEXT = 'A reference is written {"ref": "id"}, a text in quotes.'


def _misfit(
    subject: Subject, each: EffectiveObject, key: str, kind: ValueKind, value: str | Ref
) -> _Misfit | None:
    if kind is ValueKind.REFERENCE:
        return None if isinstance(value, Ref) else ("a reference", _REFERENCE_OR_TEXT)
    if isinstance(value, Ref):
        return "a text", _REFERENCE_OR_TEXT
    text = subject.literal(value)
    if text is None and kind is ValueKind.DATE_TIME and not subject.waits(value):
        return _KINDS[kind][1:]
    if not text or (key == "period" and text.lower() == ON_DEMAND_PERIOD):
        return None
    return _misread(subject, key, kind, text) or _beyond(subject, each, key, text)


def _misread(subject: Subject, key: str, kind: ValueKind, text: str) -> _Misfit | None:
    choices = subject.catalog.choices.get(key)
    if choices and text.lower() not in {choice.lower() for choice in choices}:
        return f"one of {', '.join(sorted(choices))}", "Choose one of these words."
    if kind in _KINDS and not _KINDS[kind][0](text):
        return _KINDS[kind][1:]
    return None


def moment(text: str) -> datetime | None:
    """Read a time; None if it is none."""
    try:
        return read_date_time(text)
    except ValueError:
        return None


def _period(text: str) -> Period | None:
    try:
        return Period.parse(text)
    except ValueError:
        return None


_KINDS: Mapping[ValueKind, tuple[Callable[[str], object], str, str]] = {
    ValueKind.BOOLEAN: (
        lambda text: text.lower() in TRUTH,
        "true or false",
        "Write true or false.",
    ),
    ValueKind.DATE_TIME: (
        moment,
        "a literal datetime value",
        "Write a time in UTC, such as 2026-01-31T00:00:00, or a parameter.",
    ),
    ValueKind.DOUBLE: (_NUMBER.fullmatch, "a number", "Write a number, such as 0.25."),
    ValueKind.INTEGER: (_WHOLE_NUMBER.fullmatch, "a whole number", "Write digits only."),
    ValueKind.PERIOD: (
        _period,
        "a period",
        "Write a number and minutes, hours, days, weeks, months or years, such as '2 hours'.",
    ),
}


@dataclass(frozen=True, slots=True)
class _Range:
    low: float
    high: float
    words: str


_RANGES: Mapping[str, _Range] = {
    "maximumRetries": _Range(0, MAX_RETRIES, f"at most {MAX_RETRIES}"),
    "occurrences": _Range(1, math.inf, "1 or more"),
    "period": _Range(MIN_PERIOD, MAX_PERIOD, "a period from 15 minutes to 3 years"),
    "readThroughputPercent": _Range(0.1, 1, "a number from 0.1 to 1.0"),
    "retryDelay": _Range(MIN_RETRY_DELAY, math.inf, "a period of 2 minutes or more"),
    "writeThroughputPercent": _Range(0.1, 1, "a number from 0.1 to 1.0"),
}


def _beyond(subject: Subject, each: EffectiveObject, key: str, text: str) -> _Misfit | None:
    allowed = _RANGES.get(key)
    if key == "maxActiveInstances":
        most = subject.max_active_instances
        if subject.on_demand:
            most = min(most, MAX_ON_DEMAND_INSTANCES)
        allowed = _Range(1, most, f"from 1 to {most}")
    elif key == "instanceCount" and each.type == "Ec2Resource":
        allowed = _Range(1, 1, "1")
    if allowed is None or allowed.low <= _size(text) <= allowed.high:
        return None
    return allowed.words, "The service's limits allow no other."


def _size(text: str) -> float:
    """Give a number, or a period's length in minutes."""
    period = _period(text)
    return period.minutes if period else float(text)
