"""Schedules: when instances come into being, and what their intervals are."""

# What is left behind is seen from inside alone.
# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio

import pytest

from tests.local.service import (
    DAY,
    HOUR,
    MINUTE,
    Object,
    Place,
    at,
    clock_time,
    data,
    every,
    from_,
    ref,
    shell,
)


async def test_cron_runs_at_the_start_of_every_interval(place: Place) -> None:
    pipe = await place.pipeline(every("1 hour", shell("A")))

    assert await place.work() == [at("A", attempt=1)]
    await place.passes(HOUR - 1)
    assert await place.poll() is None
    await place.passes(1)
    assert await place.work() == [at("A", HOUR, attempt=1)]
    shown = await pipe.show(at("A", HOUR))
    assert shown.string("@scheduledStartTime") == clock_time(HOUR)
    assert shown.string("@scheduledEndTime") == clock_time(2 * HOUR)


async def test_a_time_series_runs_at_the_end_of_every_interval(place: Place) -> None:
    pipe = await place.pipeline(every("1 hour", shell("A"), scheduleType="timeseries"))

    assert await pipe.ids() == []
    assert (await pipe.fields())["@nextRunTime"] == clock_time(HOUR)
    await place.passes(HOUR)
    assert await place.work() == [at("A", attempt=1)]
    shown = await pipe.show(at("A"))
    assert shown.string("@scheduledStartTime") == clock_time(0)
    assert shown.string("@scheduledEndTime") == clock_time(HOUR)
    assert shown.string("@actualStartTime") == clock_time(HOUR)


async def test_without_a_schedule_type_it_is_a_time_series(place: Place) -> None:
    default, *others = every("1 hour", shell("A"))
    kept = {key: value for key, value in default.items() if key != "scheduleType"}
    await place.pipeline([kept, *others])

    assert await place.poll() is None
    await place.passes(HOUR)
    assert await place.work() == [at("A", attempt=1)]


async def test_nothing_runs_before_the_start_that_is_given(place: Place) -> None:
    pipe = await place.pipeline(
        every("1 day", shell("A"), schedule=from_("2026-01-03T12:00:00")),
    )

    await place.until(2.5 * DAY - 1)
    assert await pipe.ids() == []
    await place.passes(1)
    assert await place.work() == [at("A", 2.5 * DAY, attempt=1)]


async def test_occurrences_end_a_schedule(place: Place) -> None:
    start: Object = {"startAt": "FIRST_ACTIVATION_DATE_TIME", "occurrences": "2"}
    pipe = await place.pipeline(every("1 hour", shell("A"), shell("B"), schedule=start))
    await place.passes(10 * HOUR)

    assert await pipe.history("A") == ["WAITING_FOR_RUNNER"] * 2
    assert await pipe.state() == "SCHEDULED"
    assert "@nextRunTime" not in await pipe.fields()
    await place.work()
    assert await pipe.state() == "FINISHED"
    assert await pipe.text("A", "@status") == "FINISHED"


async def test_occurrences_may_be_a_number_that_nobody_counts_to(place: Place) -> None:
    start: Object = {"startAt": "FIRST_ACTIVATION_DATE_TIME", "occurrences": "9" * 5000}
    pipe = await place.pipeline(every("1 hour", shell("A"), schedule=start))
    await place.passes(HOUR)

    assert await pipe.history("A") == ["WAITING_FOR_RUNNER"] * 2


async def test_an_end_that_is_given_is_not_part_of_the_schedule(place: Place) -> None:
    start = from_("2026-01-01T00:00:00", endDateTime="2026-01-01T03:00:00")
    pipe = await place.pipeline(every("1 hour", shell("A"), schedule=start))
    await place.passes(DAY)
    await place.work()

    assert await pipe.ids() == [at("A"), at("A", HOUR), at("A", 2 * HOUR)]
    assert await pipe.state() == "FINISHED"


async def test_months_have_the_length_that_they_have(place: Place) -> None:
    pipe = await place.pipeline(
        every("1 month", shell("A"), schedule=from_("2025-10-31T06:00:00"), maxActiveInstances="9")
    )
    await place.passes(120 * DAY)
    await place.work()

    found = [each[3:13] for each in await pipe.ids()]
    assert found == [
        "2025-10-31",
        "2025-11-30",
        "2025-12-31",
        "2026-01-31",
        "2026-02-28",
        "2026-03-31",
        "2026-04-30",
    ]


async def test_every_missed_interval_comes_into_being_at_once_and_the_oldest_runs_first(
    place: Place,
) -> None:
    pipe = await place.pipeline(every("1 day", shell("A"), schedule=from_("2025-12-20T00:00:00")))

    statuses = await pipe.history("A")
    assert len(statuses) == 13
    assert statuses == ["WAITING_FOR_RUNNER"] * 5 + ["WAITING_ON_DEPENDENCIES"] * 8
    assert (await place.take()).attempt_id == "@A_2025-12-20T00:00:00_Attempt=1"
    done = await place.work()
    assert done == sorted(done)
    assert len(done) == 12


async def test_a_backfill_of_thousands_keeps_nobody_waiting(place: Place) -> None:
    pipe = await place.create()
    start = from_("2025-12-01T00:00:00")
    await pipe.put(every("15 minutes", shell("A"), shell("B"), schedule=start))
    await place.client.activate_pipeline(pipe.id)
    # Whoever asks meanwhile is answered between two portions of work.
    counts: list[int] = []
    while not counts or counts[-1] < 2 * (31 * 96 + 1):
        assert len(counts) < 1000
        await place.client.describe_pipelines([pipe.id])
        (count,) = place.service._store.one("SELECT count(*) FROM instance") or (0,)
        counts.append(count)
        await asyncio.sleep(0)
    assert len(counts) > 5


async def test_an_interval_waits_for_all_shorter_ones_in_it(place: Place) -> None:
    hourly: Object = {
        "id": "H",
        "type": "Schedule",
        "period": "1 hour",
        "startAt": "FIRST_ACTIVATION_DATE_TIME",
    }
    pipe = await place.pipeline(
        every("1 day", shell("D", dependsOn=ref("A")), shell("A", schedule=ref("H")), hourly)
    )
    # Those of the whole day are there, since the day waits for them.
    assert len(await pipe.history("A")) == 24
    assert len((await pipe.show(at("D"))).refs("@waitingOn")) == 24
    for hour in range(24):
        await place.until(hour * HOUR)
        expected = [at("A", hour * HOUR, attempt=1)]
        assert await place.work() == expected + ([at("D", attempt=1)] if hour == 23 else [])
    assert (await pipe.instances("D"))[at("D")] == "FINISHED"
    await place.passes(HOUR)
    assert len(await pipe.history("A")) == 48


async def test_an_interval_waits_for_the_longer_one_that_it_is_in(place: Place) -> None:
    daily: Object = {
        "id": "D",
        "type": "Schedule",
        "period": "1 day",
        "startAt": "FIRST_ACTIVATION_DATE_TIME",
    }
    pipe = await place.pipeline(
        every("8 hours", shell("A", dependsOn=ref("B")), shell("B", schedule=ref("D")), daily)
    )
    await place.passes(8 * HOUR)
    first = await place.begin()
    assert first.attempt_id == at("B", attempt=1)
    assert await place.poll() is None
    await place.end(first)
    assert await place.work() == [at("A", attempt=1), at("A", 8 * HOUR, attempt=1)]
    await place.until(DAY)
    assert await place.work() == [
        at("A", 16 * HOUR, attempt=1),
        at("B", DAY, attempt=1),
        at("A", DAY, attempt=1),
    ]
    assert await pipe.history("B") == ["FINISHED", "FINISHED"]


async def test_nobody_waits_for_a_schedule_that_has_not_begun(place: Place) -> None:
    later: Object = {
        "id": "L",
        "type": "Schedule",
        "period": "1 hour",
        "startDateTime": "2026-01-02T00:00:00",
    }
    await place.pipeline(
        every("12 hours", shell("A", dependsOn=ref("B")), shell("B", schedule=ref("L")), later)
    )

    assert await place.work() == [at("A", attempt=1)]


async def test_a_daily_time_series_takes_the_hourly_data_of_its_day(place: Place) -> None:
    hourly: Object = {
        "id": "H",
        "type": "Schedule",
        "period": "1 hour",
        "startAt": "FIRST_ACTIVATION_DATE_TIME",
    }
    await place.pipeline(
        every(
            "1 day",
            shell("Report", input=ref("N")),
            data("N", schedule=ref("H")),
            shell("Load", schedule=ref("H"), output=ref("N")),
            hourly,
            scheduleType="timeseries",
        )
    )
    done: list[str] = []
    for hour in range(1, 26):
        await place.until(hour * HOUR)
        done += await place.work()
    assert done == [
        *(at("Load", hour * HOUR, attempt=1) for hour in range(24)),
        at("Report", attempt=1),
        at("Load", 24 * HOUR, attempt=1),
    ]


async def test_two_schedules_of_equal_periods_go_together(place: Place) -> None:
    other: Object = {"id": "T", "type": "Schedule", "period": "60 minutes"} | {
        "startAt": "FIRST_ACTIVATION_DATE_TIME"
    }
    await place.pipeline(
        every("1 hour", shell("A", dependsOn=ref("B")), shell("B", schedule=ref("T")), other)
    )
    await place.passes(HOUR)

    assert await place.work() == [
        at("B", attempt=1),
        at("B", HOUR, attempt=1),
        at("A", attempt=1),
        at("A", HOUR, attempt=1),
    ]


@pytest.mark.parametrize("period", ["15 MINUTES", "60 Minute", "1 week", "3 years"])
async def test_periods_are_read_as_the_guide_writes_them(place: Place, period: str) -> None:
    pipe = await place.pipeline(every(period, shell("A")))
    (number, unit) = period.split()
    days = {"w": 7 * DAY, "y": 365 * DAY, "M": MINUTE}[unit[0]]
    assert await pipe.ids() == [at("A")]
    assert (await pipe.text(at("A"), "@scheduledEndTime") or "") >= clock_time(int(number) * days)


async def test_a_schedule_ends_with_the_calendar(place: Place) -> None:
    pipe = await place.pipeline(
        every("1 year", shell("A"), schedule=from_("9998-06-01T00:00:00", occurrences="5"))
    )
    await place.passes(7972.6 * 365.2425 * DAY)
    assert len(await pipe.ids()) == 1
    await place.work()
    assert await pipe.state() == "FINISHED"


async def test_an_activation_in_the_middle_of_an_interval_runs_that_one(place: Place) -> None:
    await place.passes(90 * MINUTE)
    await place.pipeline(every("1 hour", shell("A"), schedule=from_("2026-01-01T00:00:00")))

    assert await place.work() == [at("A", attempt=1), at("A", HOUR, attempt=1)]


async def test_what_is_made_something_else_gets_no_more_instances(place: Place) -> None:
    pipe = await place.pipeline(every("1 hour", shell("A"), shell("B")))
    await place.passes(HOUR)
    await pipe.put(every("1 hour", shell("A"), {"id": "B", "type": "CSV"}))
    await pipe.activate()
    await place.passes(2 * HOUR)

    assert len(await pipe.history("A")) == 4
    assert len(await pipe.history("B")) == 2
