"""What the service says, and what the runner makes of it: scenarios A17 to A27."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import pairwise

import pytest

from aiodatapipeline import Reply
from aiodatapipeline.local._switches import Switches
from aiodatapipeline.runner import CancelReason, Task, TaskFailed
from tests.runner.bed import (
    SHELL,
    Bed,
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


async def test_a_task_is_run_and_its_outcome_recorded(switches: Switches) -> None:
    async with bed(switches) as b:
        pipeline = await b.pipeline(activity())
        runner = b.runner()
        works(b, runner)

        async with b.running(runner) as run:
            result = await run.stop()

        assert (result.exit_code, result.finished, result.undelivered) == (0, 1, 0)
        assert await b.statuses(pipeline) == {"Job": "FINISHED"}


async def test_a_failure_is_recorded_with_its_words(switches: Switches) -> None:
    async with bed(switches) as b:
        pipeline = await b.pipeline(activity())
        runner = b.runner()

        @runner.handler(SHELL)
        async def handle(task: Task) -> None:
            raise TaskFailed("ImportFailed", "no such table", detail="line 3")

        async with b.running(runner) as run:
            result = await run.stop()

        (attempt,) = await b.attempts(pipeline)
        assert result.failed == 1
        assert attempt.string("errorId") == "ImportFailed"
        assert attempt.string("errorMessage") == "no such table"
        assert attempt.string("errorStackTrace") == "line 3"


async def test_a_lease_is_kept_for_as_long_as_a_handler_works(switches: Switches) -> None:
    async with bed(switches) as b:
        pipeline = await b.pipeline(activity())
        runner = b.runner()
        works(b, runner, seconds=3600)

        async with b.running(runner) as run:
            await b.advance(3650)
            await run.stop()

        times = [each.at for each in b.made("ReportTaskProgress")]
        assert max(later - earlier for earlier, later in pairwise(times)) <= 75
        assert await b.statuses(pipeline) == {"Job": "FINISHED"}


# -- cancellation -------------------------------------------------------------------------


async def test_a17_a_task_that_is_cancelled_at_its_first_report_never_begins(
    switches: Switches,
) -> None:
    async with bed(switches) as b:
        await b.pipeline(activity())
        runner = b.runner()
        had = works(b, runner)

        def fault(call: Call) -> Fault:
            if call.operation == "ReportTaskProgress":
                return Reply(200, b'{"canceled": true}')
            return None

        b.fault = fault
        async with b.running(runner) as run:
            result = await run.stop()

        assert had == []
        assert b.statuses_sent() == []
        assert result.unreported == 1


async def test_a18_a_task_cancelled_while_it_runs_is_stopped_and_nothing_sent(
    switches: Switches,
) -> None:
    async with bed(switches) as b:
        pipeline = await b.pipeline(activity())
        runner = b.runner()
        seen: list[CancelReason | None] = []
        waits(b, runner, seen)

        async with b.running(runner) as run:
            await b.cancel(pipeline, "Job")
            await b.advance(70)
            assert seen == [CancelReason.CANCELED]
            await run.stop()

        assert b.statuses_sent() == []
        assert await b.statuses(pipeline) == {"Job": "CANCELED"}


async def test_a18_a_task_cancelled_at_the_very_end_is_not_reported_after_it_was_told(
    switches: Switches,
) -> None:
    """The report that brings the news is under way while the handler returns."""
    async with bed(switches) as b:
        pipeline = await b.pipeline(activity())
        runner = b.runner()
        proceed = asyncio.Event()

        @runner.handler(SHELL)
        async def handle(task: Task) -> None:
            await proceed.wait()

        def fault(call: Call) -> Fault:
            reports = len(b.made("ReportTaskProgress"))
            return Slow(4.0) if call.operation == "ReportTaskProgress" and reports > 1 else None

        async with b.running(runner) as run:
            b.fault = fault
            await b.cancel(pipeline, "Job")
            await b.until(lambda: len(b.made("ReportTaskProgress")) == 2, limit=70)
            proceed.set()
            await b.advance(1)
            assert b.statuses_sent() == []
            await b.advance(10)
            result = await run.stop()

        assert b.statuses_sent() == []
        assert result.unreported == 1


async def test_a18_a_task_cancelled_during_delivery_is_given_up(switches: Switches) -> None:
    async with bed(switches) as b:
        pipeline = await b.pipeline(activity())
        runner = b.runner()
        works(b, runner)
        b.fault = lambda call: (
            error("InternalServiceError", 500) if call.operation == "SetTaskStatus" else None
        )

        async with b.running(runner) as run:
            await b.advance(5)
            assert b.statuses_sent()
            await b.cancel(pipeline, "Job")
            await b.advance(150)
            await run.stop()

        # A 500 may have been carried out, for all that one knows.
        assert [each.kind for each in b.events if each.kind in {"presumed", "fenced"}] == [
            "presumed"
        ]


# -- gone ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "code", ["TaskNotFoundException", "PipelineDeletedException", "PipelineNotFoundException"]
)
async def test_a19_a20_a_task_that_is_gone_at_its_first_report_never_begins(
    switches: Switches, code: str
) -> None:
    async with bed(switches) as b:
        await b.pipeline(activity())
        runner = b.runner()
        had = works(b, runner)
        b.fault = lambda call: error(code) if call.operation == "ReportTaskProgress" else None

        async with b.running(runner) as run:
            await run.stop()

        assert had == []
        assert b.statuses_sent() == []
        assert len(b.made("ReportTaskProgress")) == 1


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("TaskNotFoundException", CancelReason.LOST),
        ("PipelineDeletedException", CancelReason.DELETED),
        ("PipelineNotFoundException", CancelReason.LOST),
    ],
)
async def test_a19_a20_a_task_that_is_gone_while_it_runs_is_stopped(
    switches: Switches, code: str, reason: CancelReason
) -> None:
    async with bed(switches) as b:
        await b.pipeline(activity())
        runner = b.runner()
        seen: list[CancelReason | None] = []
        waits(b, runner, seen)

        async with b.running(runner) as run:
            b.fault = lambda call: error(code) if call.operation == "ReportTaskProgress" else None
            await b.advance(70)
            assert seen == [reason]
            await run.stop()

        assert b.statuses_sent() == []
        assert len(b.made("ReportTaskProgress")) == 2


@pytest.mark.parametrize(
    "code", ["TaskNotFoundException", "PipelineDeletedException", "PipelineNotFoundException"]
)
async def test_a19_a20_an_outcome_of_a_task_that_is_gone_is_sent_once_and_fenced(
    switches: Switches, code: str
) -> None:
    async with bed(switches) as b:
        await b.pipeline(activity())
        runner = b.runner()
        works(b, runner)
        b.fault = lambda call: error(code) if call.operation == "SetTaskStatus" else None

        async with b.running(runner) as run:
            await b.advance(1)
            assert len(b.told("fenced")) == 1
            assert runner.health.running == 0
            result = await run.stop()

        assert len(b.statuses_sent()) == 1
        assert (result.finished, result.unreported, result.exit_code) == (0, 1, 0)


async def test_a20_a_deleted_pipeline_stops_its_tasks(switches: Switches) -> None:
    async with bed(switches) as b:
        pipeline = await b.pipeline(activity())
        runner = b.runner()
        seen: list[CancelReason | None] = []
        waits(b, runner, seen)

        async with b.running(runner) as run:
            await b.delete(pipeline)
            await b.advance(70)
            assert len(seen) == 1
            await run.stop()

        assert b.statuses_sent() == []


# -- bursts -------------------------------------------------------------------------------


async def test_a21_bursts_of_internal_errors_lose_nothing(switches: Switches) -> None:
    async with bed(switches) as b:
        pipeline = await b.pipeline(*(activity(f"Job{n}") for n in range(6)))
        runner = b.runner()
        works(b, runner, seconds=100)
        began = b.clock.time()

        def fault(call: Call) -> Fault:
            return error("InternalServiceError", 500) if (call.at - began) % 60 < 20 else None

        b.fault = fault
        async with b.running(runner) as run:
            await b.until(lambda: len(b.told("delivered")) == 6, limit=900)
            await run.stop()

        assert set((await b.statuses(pipeline)).values()) == {"FINISHED"}


class Limit:
    """The service's: so many calls a second of each operation."""

    def __init__(self, b: Bed, rates: dict[str, float], burst: float = 10.0) -> None:
        self._b, self._rates, self._burst = b, rates, burst
        self._tokens = dict.fromkeys(rates, burst)
        self._at = b.clock.time()
        self.refused: list[Call] = []

    def __call__(self, call: Call) -> Fault:
        passed, self._at = call.at - self._at, call.at
        for name, rate in self._rates.items():
            self._tokens[name] = min(self._burst, self._tokens[name] + passed * rate)
        if call.operation in self._rates:
            if self._tokens[call.operation] < 1:
                self.refused.append(call)
                return error("ThrottlingException")
            self._tokens[call.operation] -= 1
        return None


async def test_a22_at_three_times_the_account_s_limits_no_lease_lapses_and_nothing_is_lost(
    switches: Switches,
) -> None:
    async with bed(switches) as b:
        # 18 tasks with a report a minute are 0.3 a second; two thirds of that are allowed.
        pipeline = await b.pipeline(*(activity(f"Job{n}") for n in range(18)))
        runner = b.runner(max_concurrency=19)
        works(b, runner, seconds=600)
        rates = {"PollForTask": 0.2, "ReportTaskProgress": 0.2, "SetTaskStatus": 0.1}
        limit = Limit(b, rates, burst=6)
        b.fault = limit

        async with b.running(runner) as run:
            await b.until(lambda: len(b.told("delivered")) == 18, limit=3000, step=10)
            await run.stop()

        assert limit.refused
        assert [each for each in b.told("lease") if each.detail["state"] == "lapsed"] == []
        assert set((await b.statuses(pipeline)).values()) == {"FINISHED"}
        assert (
            len(b.made("SetTaskStatus"))
            - len([each for each in limit.refused if each.operation == "SetTaskStatus"])
            == 18
        )


async def test_a23_terminate_drains_the_runner(switches: Switches) -> None:
    async with bed(switches) as b:
        await b.pipeline(activity())
        runner = b.runner()
        works(b, runner, seconds=950)
        async with b.running(runner) as run:
            b.fault = lambda call: (
                Reply(200, b'{"terminate": true}')
                if call.operation == "ReportTaskRunnerHeartbeat"
                else None
            )
            await b.advance(901)
            assert len(b.told("stopping")) == 1
            assert not run.task.done()
            result = await run.until_over()

        assert (result.exit_code, result.finished) == (0, 1)
        assert b.made("PollForTask")[-1].at <= b.told("stopping")[0].at


async def test_a24_a_poll_may_be_answered_that_there_is_no_such_task(switches: Switches) -> None:
    async with bed(switches) as b:
        runner = b.runner()
        b.fault = lambda call: (
            error("TaskNotFoundException") if call.operation == "PollForTask" else None
        )

        async with b.running(runner) as run:
            await b.advance(60)
            assert 3 <= len(b.made("PollForTask")) <= 30
            b.fault = lambda _: None
            pipeline = await b.pipeline(activity())
            works(b, runner)
            await b.until(lambda: len(b.told("delivered")) == 1, limit=120)
            await run.stop()

        assert await b.statuses(pipeline) == {"Job": "FINISHED"}


@pytest.mark.parametrize("refused", [1, 2, 3])
async def test_a25_texts_that_the_service_refuses_become_simpler_and_the_status_stays(
    switches: Switches, refused: int
) -> None:
    async with bed(switches) as b:
        pipeline = await b.pipeline(activity())
        runner = b.runner()

        @runner.handler(SHELL)
        async def handle(task: Task) -> None:
            raise TaskFailed("Größe", "naïve\n" * 500, detail="x" * 5000)

        def fault(call: Call) -> Fault:
            if call.operation == "SetTaskStatus" and len(b.statuses_sent()) <= refused:
                return error("InvalidRequestException")
            return None

        b.fault = fault
        async with b.running(runner) as run:
            await run.stop()

        assert b.statuses_sent() == ["FAILED"] * (refused + 1)
        sent = [each.body for each in b.made("SetTaskStatus")]
        texts = [{"errorId", "errorMessage", "errorStackTrace"} & set(each) for each in sent]
        assert texts[1:] == [{"errorId", "errorMessage"}, {"errorId"}, set()][:refused]
        assert await b.statuses(pipeline) == {"Job": "FAILED"}


async def test_a25_what_is_refused_in_its_simplest_form_too_is_given_up(switches: Switches) -> None:
    async with bed(switches) as b:
        await b.pipeline(activity())
        runner = b.runner()

        @runner.handler(SHELL)
        async def handle(task: Task) -> None:
            raise ValueError("no")

        b.fault = lambda call: (
            error("InvalidRequestException") if call.operation == "SetTaskStatus" else None
        )
        async with b.running(runner) as run:
            await run.stop()

        assert len(b.statuses_sent()) == 4
        assert len(b.told("fenced")) == 1


# -- two runners --------------------------------------------------------------------------


def cut_off(name: str) -> Callable[[Call], Fault]:
    """Let nothing of one runner through."""
    return lambda call: Lose("request", after=1.0) if call.runner == name else None


async def test_a26_of_two_runners_with_one_task_the_one_that_lost_it_stops(
    switches: Switches,
) -> None:
    async with bed(switches) as b:
        pipeline = await b.pipeline(activity())
        first, second = b.runner("first"), b.runner("second")
        seen: list[CancelReason | None] = []
        waits(b, first, seen)
        works(b, second, seconds=200)

        async with b.running(first) as one:
            b.fault = cut_off("first")
            async with b.running(second) as two:
                await b.until(lambda: bool(b.made("SetTaskStatus", "second")), 2500, step=10)
                b.fault = lambda _: None
                await b.advance(80)
                assert len(seen) == 1
                await two.stop()
            await one.stop()

        assert b.made("SetTaskStatus", "first") == []
        assert await b.statuses(pipeline) == {"Job": "FINISHED"}


@pytest.mark.parametrize("late_failed", ["reprove", "withhold"])
async def test_a26_a_late_failure_does_not_undo_another_runner_s_success(
    switches: Switches, late_failed: str
) -> None:
    async with bed(switches) as b:
        pipeline = await b.pipeline(activity())
        first = b.runner("first", late_failed=late_failed, cancel_grace=5000)
        second = b.runner("second")
        fail = asyncio.Event()

        @first.handler(SHELL)
        async def handle(task: Task) -> None:
            while not fail.is_set():  # it does not stop when its lease has lapsed
                try:
                    await fail.wait()
                except asyncio.CancelledError:
                    continue
            raise ValueError("too late")

        works(b, second, seconds=100)
        async with b.running(first) as one:
            b.fault = cut_off("first")
            async with b.running(second) as two:
                await b.until(lambda: bool(b.made("SetTaskStatus", "second")), 2500, step=10)
                b.fault = lambda _: None
                fail.set()
                await b.advance(60)
                await two.stop()
            await one.stop()

        assert b.made("SetTaskStatus", "first") == []
        assert await b.statuses(pipeline) == {"Job": "FINISHED"}


async def test_a26_a_late_success_is_sent_all_the_same(switches: Switches) -> None:
    async with bed(switches) as b:
        pipeline = await b.pipeline(activity())
        runner = b.runner()
        works(b, runner, seconds=400)
        async with b.running(runner) as run:
            b.fault = lambda call: Lose("request") if call.at > began + 5 else None
            began = b.clock.time()
            await b.advance(600)
            b.fault = lambda _: None
            await b.until(lambda: bool(b.made("SetTaskStatus")), 300)
            await b.advance(1500)
            await run.stop()

        assert "FINISHED" in b.statuses_sent()
        assert await b.statuses(pipeline) == {"Job": "FINISHED"}


# -- credentials --------------------------------------------------------------------------


@pytest.mark.parametrize("code", ["ExpiredTokenException", "AccessDeniedException"])
async def test_a27_credentials_that_are_refused_for_twelve_minutes_lose_nothing(
    switches: Switches, code: str
) -> None:
    async with bed(switches) as b:
        pipeline = await b.pipeline(activity())
        runner = b.runner()
        works(b, runner, seconds=100)
        async with b.running(runner) as run:
            began = b.clock.time()
            b.fault = lambda _: error(code)
            await b.advance(720)
            assert runner.health.status == "degraded"
            assert "credentials" in " ".join(runner.health.problems)
            refused = [each for each in b.made("PollForTask") if each.at > began]
            assert len(refused) <= 73
            b.fault = lambda _: None
            await b.until(lambda: runner.health.status == "ok", limit=200)
            await b.advance(400)
            await run.stop()

        taken = [each for each in b.made("SetTaskStatus") if each.taken]
        # Where leases are short it was handed over again, and done twice.
        assert {each.body["taskStatus"] for each in taken} == {"FINISHED"}
        assert len(taken) == 1 or switches.lease < 720
        assert await b.statuses(pipeline) == {"Job": "FINISHED"}
