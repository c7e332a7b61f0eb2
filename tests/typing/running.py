"""What objects come to at run time, and periods."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import assert_type

from aiodatapipeline.definition import EvaluatedObject, ResolvedDefinition, RunTime
from aiodatapipeline.definition.schedules import Period, Unit, read_date_time, write_date_time
from aiodatapipeline.models import PipelineObject, Ref


def objects_are_evaluated(resolved: ResolvedDefinition, at: datetime) -> None:
    found = resolved.evaluated("A", {"A": {"@scheduledStartTime": at, "node": Ref("B")}})
    several: RunTime = {"A": {"input": (Ref("B"), Ref("C")), "@attemptCount": 1}}

    assert_type(found, EvaluatedObject)
    assert_type(found.object, PipelineObject)
    assert_type(found.problems, Mapping[str, str])
    resolved.evaluated("A", several)
    resolved.evaluated("A", {"@attemptCount": 1})  # type: ignore[dict-item]  # pyright: ignore[reportArgumentType]
    resolved.evaluated("A", {"A": {"x": object()}})  # type: ignore[dict-item]  # pyright: ignore[reportArgumentType]


def periods_are_counted(start: datetime) -> None:
    period = Period.parse("1 day")

    assert_type(period.count, int)
    assert_type(period.unit, Unit)
    assert_type(period.after(start, 2), datetime)
    assert_type(period.elapsed(start, read_date_time("2026-01-31T00:00:00")), int)
    assert_type(write_date_time(start), str)
    Period(1, "fortnight")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
