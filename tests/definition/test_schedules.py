"""Periods and times, as a scheduler counts with them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiodatapipeline.definition.schedules import (
    ON_DEMAND_PERIOD,
    Period,
    Unit,
    read_date_time,
    write_date_time,
)

PERIODS = st.builds(Period, st.integers(1, 400), st.sampled_from(get_args(Unit)))
MOMENTS = st.integers(0, 7_000_000_000).map(lambda second: datetime.fromtimestamp(second, UTC))


def at(text: str) -> datetime:
    return read_date_time(text)


@pytest.mark.parametrize(
    ("text", "count", "unit", "minutes"),
    [
        ("15 minutes", 15, "minute", 15),
        ("1 Day", 1, "day", 1440),
        ("3 months", 3, "month", 129_600),
        ("2 HOURS", 2, "hour", 120),
        ("1\tweeks", 1, "week", 10_080),
        ("01 year", 1, "year", 525_600),
        ("0 minutes", 0, "minute", 0),
        ("999999999 years", 999_999_999, "year", 525_599_999_474_400),
    ],
)
def test_a_period_is_read(text: str, count: int, unit: Unit, minutes: int) -> None:
    found = Period.parse(text)

    assert found == Period(count, unit)
    assert found.minutes == minutes


@pytest.mark.parametrize(
    "text",
    [
        "", "1", "day", "1day", "-1 day", "1.5 hours", "1 fortnight", " 1 day", "1 day ",
        "1 days\n", "\u0661 day", "1 m\u0131nute", "1000000000 days", ON_DEMAND_PERIOD,
    ],
)  # fmt: skip
def test_what_is_no_period_is_told(text: str) -> None:
    with pytest.raises(ValueError, match="as in '2 hours'"):
        Period.parse(text)


@given(PERIODS)
def test_a_period_is_printed_as_it_is_read(period: Period) -> None:
    assert Period.parse(str(period)) == period


@pytest.mark.parametrize(
    ("period", "start", "times", "then"),
    [
        ("15 minutes", "2026-01-01T00:00:00", 5, "2026-01-01T01:15:00"),
        ("1 week", "2026-01-01T00:00:00", -1, "2025-12-25T00:00:00"),
        ("1 month", "2026-01-31T12:30:00", 1, "2026-02-28T12:30:00"),
        ("1 month", "2026-01-31T12:30:00", 2, "2026-03-31T12:30:00"),
        ("1 month", "2026-03-31T00:00:00", -1, "2026-02-28T00:00:00"),
        ("3 months", "2025-11-30T00:00:00", 1, "2026-02-28T00:00:00"),
        ("1 year", "2024-02-29T00:00:00", 1, "2025-02-28T00:00:00"),
        ("1 year", "2024-02-29T00:00:00", 4, "2028-02-29T00:00:00"),
        ("1 day", "2026-01-01T00:00:00", 0, "2026-01-01T00:00:00"),
        ("1 month", "9999-11-01T00:00:00", 1, "9999-12-01T00:00:00"),
        ("1 month", "0001-02-01T00:00:00", -1, "0001-01-01T00:00:00"),
    ],
)
def test_periods_are_counted_by_the_calendar(
    period: str, start: str, times: int, then: str
) -> None:
    assert Period.parse(period).after(at(start), times) == at(then)


@pytest.mark.parametrize("unit", get_args(Unit))
@pytest.mark.parametrize("times", [999_999_999, -999_999_999])
def test_what_no_calendar_has_is_told(unit: Unit, times: int) -> None:
    with pytest.raises(OverflowError):
        Period(999_999_999, unit).after(at("2026-01-01T00:00:00"), times)


@pytest.mark.parametrize(
    ("period", "start", "end", "times"),
    [
        ("1 day", "2026-01-01T00:00:00", "2026-01-01T23:59:59", 0),
        ("1 day", "2026-01-01T00:00:00", "2026-01-02T00:00:00", 1),
        ("1 day", "2026-01-02T00:00:00", "2026-01-01T00:00:00", 0),
        ("1 month", "2026-01-31T00:00:00", "2026-02-27T00:00:00", 0),
        ("1 month", "2026-01-31T00:00:00", "2026-02-28T00:00:00", 1),
        ("1 month", "2026-01-31T00:00:00", "2026-03-30T00:00:00", 1),
        ("1 year", "2024-02-29T00:00:00", "2028-02-28T00:00:00", 3),
        ("15 minutes", "2012-01-01T00:00:00", "2026-01-01T00:07:00", 490_944),
        ("999999999 years", "2012-01-01T00:00:00", "2026-01-01T00:00:00", 0),
    ],
)
def test_periods_that_are_over_are_counted(period: str, start: str, end: str, times: int) -> None:
    assert Period.parse(period).elapsed(at(start), at(end)) == times


@given(PERIODS, MOMENTS, st.timedeltas(timedelta(0), timedelta(days=40_000)))
def test_the_last_period_that_is_over_ends_by_then_and_the_next_does_not(
    period: Period, start: datetime, span: timedelta
) -> None:
    end = start + span

    times = period.elapsed(start, end)

    assert period.after(start, times) <= end < period.after(start, times + 1)


def test_a_period_of_no_length_cannot_be_counted() -> None:
    with pytest.raises(ValueError, match="no length"):
        Period(0, "day").elapsed(at("2026-01-01T00:00:00"), at("2026-01-02T00:00:00"))


def test_a_time_is_read_and_written_in_utc() -> None:
    moment = read_date_time("0999-01-31T05:06:07")

    assert moment == datetime(999, 1, 31, 5, 6, 7, tzinfo=UTC)
    assert write_date_time(moment) == "0999-01-31T05:06:07"


@pytest.mark.parametrize(
    "text",
    ["", "2026-01-31", "2026-02-30T00:00:00", "2026-01-31T00:00:00Z", "2026-01-31T00:00", "now"],
)
def test_what_is_no_time_is_told(text: str) -> None:
    with pytest.raises(ValueError, match="in UTC as in '2026-01-31T00:00:00'"):
        read_date_time(text)


def test_a_time_of_another_zone_is_written_in_utc_and_one_without_a_zone_as_it_is() -> None:
    east = timezone(timedelta(hours=2))

    assert write_date_time(datetime(2026, 1, 1, 1, 2, 3, 999, tzinfo=east)) == "2025-12-31T23:02:03"
    assert write_date_time(datetime(2026, 1, 1, 1, 2, 3)) == "2026-01-01T01:02:03"  # noqa: DTZ001
    with pytest.raises(OverflowError):
        write_date_time(datetime(1, 1, 1, tzinfo=east))
