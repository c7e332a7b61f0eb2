"""Schedules: cron, time series and on demand, and when they begin."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from aiodatapipeline.definition._catalog import Kind
from aiodatapipeline.definition._findings import Finding, FindingId
from aiodatapipeline.definition._inherit import DEFAULT_ID, EffectiveObject
from aiodatapipeline.definition._rules._subject import ON_DEMAND, Subject
from aiodatapipeline.definition._rules._values import moment
from aiodatapipeline.definition.schedules import ON_DEMAND_PERIOD, write_date_time

ON_DEMAND_START = "ondemand_activation_time"
# The guide says that activation is blocked when the start is longer ago.
_RECENT = timedelta(days=1)


def schedule_types(subject: Subject) -> Iterator[Finding]:
    """Find what is on demand and by a schedule at once."""
    for each in subject.objects:
        said = subject.lone(each, "scheduleType") if "scheduleType" in each.own else None
        if said is None or said.lower() not in subject.catalog.choices["scheduleType"]:
            continue
        if each.id != DEFAULT_ID and (said.lower() == ON_DEMAND) is not subject.on_demand:
            other = "Default's is ondemand" if subject.on_demand else "only Default's can be"
            yield subject.finding(
                FindingId.CONFLICTING_SCHEDULE,
                (each.id, "scheduleType"),
                f"is {said}, and {other}",
                "Say scheduleType on Default alone.",
            )


def schedules(subject: Subject) -> Iterator[Finding]:
    """Find Schedule objects that say too much, or not what the scheduleType says."""
    for each in subject.objects:
        known = subject.types.get(each.id)
        if known is None or known.kind is not Kind.SCHEDULE:
            continue
        for one, other in (("startDateTime", "startAt"), ("endDateTime", "occurrences")):
            if one in each and other in each:
                yield subject.finding(
                    FindingId.CONFLICTING_FIELDS,
                    (each.id, one),
                    f"and {other!r} exclude each other",
                    "Keep one of them.",
                )
        yield from _kind_of_schedule(subject, each)
        start, end = (
            moment(subject.lone(each, key) or "") for key in ("startDateTime", "endDateTime")
        )
        if start and end and end <= start:
            yield subject.finding(
                FindingId.INVALID_FIELD_VALUE,
                (each.id, "endDateTime"),
                "value must be later than startDateTime.",
                "Let it end after it starts.",
            )


def _kind_of_schedule(subject: Subject, each: EffectiveObject) -> Iterator[Finding]:
    period, start = (subject.lone(each, key) for key in ("period", "startAt"))
    if period is None:
        return
    by_period = period.lower() == ON_DEMAND_PERIOD
    by_start = (start or "").lower() == ON_DEMAND_START
    if by_period is not by_start:
        yield subject.finding(
            FindingId.CONFLICTING_FIELDS,
            (each.id, "period"),
            "and 'startAt' do not fit: one is on demand, the other is not",
            "Write ONDEMAND_PERIOD and ONDEMAND_ACTIVATION_TIME, or neither.",
        )
    elif by_period is not subject.on_demand:
        said = "is on demand, and Default's scheduleType is not"
        yield subject.finding(
            FindingId.CONFLICTING_SCHEDULE,
            (each.id, "period"),
            said if by_period else "is not on demand, as Default's scheduleType is",
            "Take the Schedule away, or change Default's scheduleType.",
        )


def backfills(subject: Subject) -> Iterator[Finding]:
    """Find schedules that begin in the past, if it is known what the time is."""
    if subject.now is None or subject.on_demand:
        return
    late: dict[str, datetime] = {}
    for each in subject.objects:
        known = subject.types.get(each.id)
        if known is None or known.kind is not Kind.SCHEDULE:
            continue
        start = moment(subject.lone(each, "startDateTime") or "")
        if start and subject.now - start > _RECENT:
            late[each.id] = start
            yield subject.finding(
                FindingId.BACKFILL,
                (each.id, "startDateTime"),
                "is more than a day ago: every interval since then will run at once",
                "Start today or later, unless that is what you want.",
            )
    for each in subject.objects if late else ():
        mode = subject.lone(each, "failureAndRerunMode") or ""
        if mode.lower() != "cascade" or each.id not in subject.types:
            continue
        start = next((late[ref] for ref in each.refs("schedule") if ref in late), None)
        if start:
            yield subject.finding(
                FindingId.BACKFILL,
                (each.id, "failureAndRerunMode"),
                "",
                "Start today or later, or set the mode to none.",
                message=f"{each.id} has 'failureAndRerunMode' field set to 'cascade' and you are "
                f"about to create a backfill with scheduleStartTime {write_date_time(start)}. "
                "This can result in rapid creation of pipeline objects in case of failures.",
            )
