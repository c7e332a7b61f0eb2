"""What the network does, and what the runner makes of it: scenarios A7 to A16."""

from __future__ import annotations

import asyncio
import zlib
from dataclasses import replace

import pytest

from aiodatapipeline import ConnectTimeoutError, Reply, RequestNotSentError
from aiodatapipeline.local._switches import Late, Switches
from aiodatapipeline.runner import CancelReason, EventKind, LeaseState, Task
from tests.runner.bed import (
    SHELL,
    Call,
    Fault,
    Lose,
    Slow,
    activity,
    bed,
    error,
    waits,
    works,
)

FOREVER = float("inf")


async def test_a7_a_hundred_lost_poll_answers_delay_tasks_and_lose_none(
    switches: Switches,
) -> None:
    # Where a hand-over without a report uses up a try, the service fails such tasks by itself.
    async with bed(replace(switches, unacknowledged_uses_try=False)) as b:
        pipeline = await b.pipeline(*(activity(f"Job{n}") for n in range(4)))
        runner = b.runner()
        works(b, runner)
        lost: list[Call] = []

        def fault(call: Call) -> Fault:
            if call.operation == "PollForTask" and len(lost) < 100:
                lost.append(call)
                return Lose("answer")
            return None

        b.fault = fault
        async with b.running(runner) as run:
            await b.until(lambda: len(lost) == 100, limit=9000, step=30)
            await b.advance(1500)
            await run.stop()

        assert set((await b.statuses(pipeline)).values()) == {"FINISHED"}


async def test_a8_a_lost_acknowledgement_is_sent_again_before_the_handler_begins(
    switches: Switches,
) -> None:
    async with bed(switches) as b:
        pipeline = await b.pipeline(*(activity(f"Job{n}") for n in range(2)))
        runner = b.runner()
        works(b, runner)
        fates: list[Fault] = [Lose("request"), Lose("answer"), Lose("request", FOREVER)]
        b.fault = lambda call: (
            fates.pop(0) if call.operation == "ReportTaskProgress" and fates else None
        )

        async with b.running(runner) as run:
            await b.advance(60)
            await run.stop()

        assert set((await b.statuses(pipeline)).values()) == {"FINISHED"}


async def test_a8_without_an_acknowledgement_in_time_the_handler_never_begins(
    switches: Switches,
) -> None:
    async with bed(switches) as b:
        # Where a hand-over without a report uses up a try, it comes with the next one.
        await b.pipeline(activity(), retries=1)
        runner = b.runner()
        had = works(b, runner)
        b.fault = lambda call: (
            Lose("request", 3) if call.operation == "ReportTaskProgress" else None
        )

        async with b.running(runner) as run:
            await b.advance(99)
            assert b.told("dropped") == []
            await b.advance(12)
            assert len(b.told("dropped")) == 1
            b.fault = lambda _: None
            assert had == []
            again = 600 if switches.unacknowledged_uses_try else 0
            await b.advance(60 + again)
            await run.stop()

        assert len(had) == 1, "it was handed over again after two minutes"


def partition(call: Call) -> Fault:
    """Let no report through."""
    return Lose("request", 2) if call.operation == "ReportTaskProgress" else None


async def test_a9_a_partition_of_one_and_of_four_minutes_is_but_a_gap(switches: Switches) -> None:
    async with bed(switches) as b:
        pipeline = await b.pipeline(activity())
        runner = b.runner()
        works(b, runner, seconds=900)

        async with b.running(runner) as run:
            for minutes in (1, 4):
                await b.advance(70)
                b.fault = partition
                await b.advance(minutes * 60 - 60)
                b.fault = lambda _: None
                await b.advance(60)
            assert b.told("lease") == []
            await b.advance(900)
            await run.stop()

        assert await b.statuses(pipeline) == {"Job": "FINISHED"}
        assert b.statuses_sent() == ["FINISHED"]


async def test_a9_after_six_minutes_the_lease_is_suspect_once_and_then_held_again(
    switches: Switches,
) -> None:
    async with bed(switches) as b:
        pipeline = await b.pipeline(activity(), retries=2)
        runner = b.runner()
        seen: list[LeaseState] = []
        done = asyncio.Event()

        @runner.handler(SHELL)
        async def handle(task: Task) -> None:
            await done.wait()
            seen.append(task.lease)

        async with b.running(runner) as run:
            b.fault = partition
            await b.advance(360)
            b.fault = lambda _: None
            await b.advance(30)
            done.set()
            if short := switches.lease <= 360:
                await b.advance(2000)  # the service has handed it over again, maybe to us
            await run.stop()

        states = [each.detail["state"] for each in b.told("lease")]
        assert states[:1] == ["suspect"]
        assert set(seen) == {LeaseState.HELD}
        assert b.statuses_sent() == ["FINISHED"]
        assert await b.statuses(pipeline) == {"Job": "FINISHED"}
        assert short or states == ["suspect", "held"]


@pytest.mark.parametrize(
    ("timeout", "lapse"), [(None, 900), ("8 minutes", 480), ("20 minutes", 1200)]
)
async def test_a9_when_the_lease_has_lapsed_the_handler_is_stopped_within_seconds(
    switches: Switches, timeout: str | None, lapse: float
) -> None:
    async with bed(switches) as b:
        fields = {} if timeout is None else {"reportProgressTimeout": timeout}
        await b.pipeline(activity(**fields))
        runner = b.runner()
        seen: list[CancelReason | None] = []
        waits(b, runner, seen)

        async with b.running(runner) as run:
            b.fault = partition
            began = b.clock.time()
            await b.advance(lapse - 10)
            assert seen == []
            await b.until(lambda: bool(seen), limit=20)
            assert lapse <= b.clock.time() - began <= lapse + 5
            assert seen == [CancelReason.LAPSED]
            await b.advance(10)
            assert runner.health.running == 0
            await run.stop()

        assert b.statuses_sent() == []


REPEATS = {each: Switches(repeated_status=each, late_status=each) for each in Late}


@pytest.mark.parametrize("repeated", list(Late))
async def test_a10_an_outcome_whose_answer_was_lost_is_recorded_once(repeated: Late) -> None:
    async with bed(REPEATS[repeated]) as b:
        pipeline = await b.pipeline(activity(), activity("Bad", command="false"))
        runner = b.runner()

        @runner.handler(SHELL)
        async def handle(task: Task) -> None:
            if task.object.string("command") == "false":
                raise ValueError("bad")

        b.fault = lambda call: (
            Lose("answer", 1)
            if call.operation == "SetTaskStatus" and len(b.statuses_sent()) <= 3
            else None
        )
        async with b.running(runner) as run:
            await b.advance(60)
            result = await run.stop()

        assert await b.statuses(pipeline) == {"Job": "FINISHED", "Bad": "FAILED"}
        assert (result.finished, result.failed, result.undelivered) == (1, 1, 0)
        kinds = {each.kind for each in b.events}
        refuses = repeated in {Late.TASK_NOT_FOUND, Late.INVALID_REQUEST}
        assert (EventKind.PRESUMED in kinds) == refuses
        assert EventKind.FENCED not in kinds


async def test_a11_a_poll_that_is_never_answered_ends_after_a_hundred_seconds(
    switches: Switches,
) -> None:
    async with bed(switches) as b:
        runner = b.runner()
        b.fault = lambda call: Lose("request", FOREVER) if call.operation == "PollForTask" else None

        async with b.running(runner) as run:
            took = await b.until(lambda: len(b.told("poll_failed")) == 1, limit=120)
            assert took == 100
            assert b.told("poll_failed")[0].detail["ambiguous"] is True
            await run.stop()


async def test_a11_a_report_that_is_never_answered_ends_after_ten_seconds(
    switches: Switches,
) -> None:
    async with bed(switches) as b:
        await b.pipeline(activity())
        runner = b.runner()
        waits(b, runner)
        async with b.running(runner) as run:
            b.fault = lambda call: (
                Lose("request", FOREVER) if call.operation == "ReportTaskProgress" else None
            )
            await b.until(lambda: len(b.made("ReportTaskProgress")) == 2, limit=65)
            took = await b.until(lambda: len(b.told("report_failed")) == 1, limit=15)
            assert 9 <= took <= 10
            b.fault = lambda _: None
            await run.stop(cancel=True)


async def test_a12_answers_that_take_eight_seconds_let_no_lease_lapse(switches: Switches) -> None:
    async with bed(switches) as b:
        pipeline = await b.pipeline(*(activity(f"Job{n}") for n in range(5)))
        runner = b.runner()
        works(b, runner, seconds=900)
        b.fault = lambda call: Slow(8.0) if call.operation != "PollForTask" else None

        async with b.running(runner) as run:
            await b.advance(1000)
            await run.stop()

        assert b.told("lease") == []
        assert set((await b.statuses(pipeline)).values()) == {"FINISHED"}


PAGE = b"<html><title>Welcome</title></html>"


@pytest.mark.parametrize(
    "nonsense",
    [
        Reply(200, PAGE, {"content-type": "text/html"}),
        Reply(200, b'{"canceled": fal'),
        Reply(200, b'{"canceled": false}', {"x-amz-crc32": str(zlib.crc32(b"other"))}),
        Reply(200, b"[]"),
        Reply(502, PAGE, {"content-type": "text/html"}),
        Reply(403, PAGE, {"content-type": "text/html"}),
    ],
    ids=["page", "half", "checksum", "array", "502", "403"],
)
async def test_a13_nonsense_in_place_of_answers_loses_nothing(
    switches: Switches, nonsense: Reply
) -> None:
    async with bed(switches) as b:
        pipeline = await b.pipeline(*(activity(f"Job{n}") for n in range(2)))
        runner = b.runner()
        works(b, runner, seconds=30)

        async with b.running(runner) as run:
            began = b.clock.time()
            b.fault = lambda call: nonsense if (call.at - began) % 40 > 20 else None
            await b.until(lambda: len(b.told("delivered")) == 2, limit=900)
            b.fault = lambda _: None
            await b.advance(5)
            result = await run.stop()

        assert result.finished == 2
        assert set((await b.statuses(pipeline)).values()) == {"FINISHED"}


@pytest.mark.parametrize(
    "task",
    [
        b'{"taskObject": {"taskId": "x"}}',
        b'{"taskObject": {"taskId": 5, "pipelineId": "df-1", "attemptId": "@Job"}}',
        b'{"taskObject": []}',
    ],
)
async def test_row_24_a_poll_s_answer_that_is_no_task_stops_nothing(
    switches: Switches, task: bytes
) -> None:
    async with bed(switches) as b:
        runner = b.runner()
        works(b, runner)
        b.fault = lambda call: Reply(200, task) if call.operation == "PollForTask" else None

        async with b.running(runner) as run:
            await b.advance(60)
            b.fault = lambda _: None
            pipeline = await b.pipeline(activity())
            await b.until(lambda: len(b.told("delivered")) == 1, limit=90)
            await run.stop()

        assert await b.statuses(pipeline) == {"Job": "FINISHED"}


async def test_a13_nonsense_at_once_is_not_asked_for_in_a_storm(switches: Switches) -> None:
    async with bed(switches) as b:
        runner = b.runner()
        b.fault = lambda _: Reply(200, PAGE, {"content-type": "text/html"})

        async with b.running(runner) as run:
            await b.advance(60)
            assert len(b.made("PollForTask")) <= 30
            await run.stop()


async def test_row_20_empty_answers_at_once_are_not_asked_for_in_a_storm(
    switches: Switches,
) -> None:
    async with bed(switches) as b:
        runner = b.runner()
        b.fault = lambda call: Reply(200, b"{}") if call.operation == "PollForTask" else None

        async with b.running(runner) as run:
            await b.advance(60)
            assert 5 <= len(b.made("PollForTask")) <= 30
            await run.stop()


async def test_a14_behind_a_proxy_that_hangs_up_after_a_minute_tasks_are_run(
    switches: Switches,
) -> None:
    async with bed(switches) as b:
        runner = b.runner()
        works(b, runner)

        def fault(call: Call) -> Fault:
            return Lose("request", 60) if call.operation == "PollForTask" and lossy else None

        lossy = True
        b.fault = fault
        async with b.running(runner) as run:
            await b.advance(600)
            assert len(b.made("PollForTask")) <= 12
            lossy = False
            pipeline = await b.pipeline(activity())
            await b.until(lambda: len(b.told("delivered")) == 1, limit=130)
            await run.stop()

        assert await b.statuses(pipeline) == {"Job": "FINISHED"}


@pytest.mark.parametrize(
    "failure",
    [
        RequestNotSentError("[Errno -2] Name or service not known"),
        ConnectTimeoutError("no connection"),
        RequestNotSentError("certificate verify failed"),
        OSError("a transport of somebody's"),
    ],
    ids=["dns", "connect", "tls", "foreign"],
)
async def test_a15_a16_ten_minutes_without_connections_lose_nothing(
    switches: Switches, failure: Exception
) -> None:
    async with bed(switches) as b:
        pipeline = await b.pipeline(*(activity(f"Job{n}") for n in range(2)))
        runner = b.runner()
        works(b, runner, seconds=200)

        async with b.running(runner) as run:
            b.fault = lambda _: failure
            await b.advance(600)
            b.fault = lambda _: None
            # Where leases are short, they are handed over again, and what was done comes late.
            await b.advance(90 if switches.lease > 600 else 1000)
            await run.stop()

        assert set((await b.statuses(pipeline)).values()) == {"FINISHED"}
        assert b.statuses_sent().count("FAILED") == 0


async def test_row_4_an_error_500_on_an_outcome_is_repeated_with_the_same_bytes(
    switches: Switches,
) -> None:
    async with bed(switches) as b:
        await b.pipeline(activity())
        runner = b.runner()

        @runner.handler(SHELL)
        async def handle(task: Task) -> None:
            raise ValueError("no")

        b.fault = lambda call: (
            error("InternalServiceError", 500)
            if call.operation == "SetTaskStatus" and len(b.statuses_sent()) < 4
            else None
        )
        async with b.running(runner) as run:
            await b.advance(60)
            await run.stop()

        bodies = [each.body for each in b.made("SetTaskStatus")]
        assert len(bodies) == 4
        assert all(each == bodies[0] for each in bodies)


async def test_r6_no_call_is_repeated_but_by_the_runner(
    switches: Switches, monkeypatch: pytest.MonkeyPatch
) -> None:
    def at_once(*_: object) -> float:
        return 0.0

    # If a client repeats, then now.
    monkeypatch.setattr("aiodatapipeline._calls._wait", at_once)
    async with bed(switches) as b:
        await b.pipeline(activity())
        runner = b.runner()
        b.fault = lambda call: (
            error("InternalServiceError", 500) if call.operation == "PollForTask" else None
        )
        async with b.running(runner) as run:
            assert len(b.made("PollForTask")) == 1
            await run.stop()


async def test_r3_reports_go_on_while_an_outcome_cannot_be_delivered(switches: Switches) -> None:
    async with bed(switches) as b:
        pipeline = await b.pipeline(activity())
        runner = b.runner()
        works(b, runner)
        b.fault = lambda call: Lose("request") if call.operation == "SetTaskStatus" else None
        async with b.running(runner) as run:
            await b.advance(1300)
            assert len(b.made("ReportTaskProgress")) >= 20
            b.fault = lambda _: None
            await b.until(lambda: len(b.told("delivered")) == 1, limit=60)
            await run.stop()

        assert len(b.had) == 1, "nobody was given it meanwhile"
        assert await b.statuses(pipeline) == {"Job": "FINISHED"}
