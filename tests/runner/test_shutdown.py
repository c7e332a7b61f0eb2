"""How a runner stops: scenarios A23 and A39 to A42."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from pathlib import Path

import pytest

from aiodatapipeline import ConfigurationError, DataPipelineClient
from aiodatapipeline.local._switches import Switches
from aiodatapipeline.runner import CancelReason, Status, SyncTask, Task, TaskRunner, read_outbox
from tests.runner.bed import SHELL, Call, Fault, Lose, Slow, activity, bed, waits, works


async def test_a39_an_idle_runner_stops_at_once_in_the_middle_of_its_poll(
    switches: Switches,
) -> None:
    async with bed(switches) as b:
        runner = b.runner()
        async with b.running(runner) as run:
            await b.advance(30)
            began = b.clock.time()
            result = await run.stop()
            assert b.clock.time() - began <= 1

        assert result.exit_code == 0
        assert runner.health.status is Status.STOPPED


async def test_a39_a14_a_task_in_the_answer_of_a_poll_that_was_given_up_is_handed_over_again(
    switches: Switches,
) -> None:
    """Where each hand-over without a report uses up a try, it takes one more of them."""
    async with bed(switches) as b:
        first, second = b.runner("first"), b.runner("second")
        works(b, first)
        works(b, second)
        b.fault = lambda call: Slow(5) if call.operation == "PollForTask" else None
        async with b.running(first) as run:
            pipeline = await b.pipeline(activity(), retries=1)
            await b.advance(5)
            await run.stop()
        b.fault = lambda _: None

        async with b.running(second) as run:
            await b.until(lambda: len(b.told("delivered")) == 1, limit=900)
            await run.stop()

        assert await b.statuses(pipeline) == {"Job": "FINISHED"}
        assert "FAILED" not in b.statuses_sent()


async def test_a39_a_first_report_under_way_is_waited_for_and_the_task_run(
    switches: Switches,
) -> None:
    async with bed(switches) as b:
        pipeline = await b.pipeline(activity())
        runner = b.runner()
        works(b, runner, seconds=20)
        b.fault = lambda call: Slow(8) if call.operation == "ReportTaskProgress" else None
        async with b.running(runner) as run:
            assert b.told("acknowledged") == []
            result = await run.stop()

        assert result.finished == 1
        assert await b.statuses(pipeline) == {"Job": "FINISHED"}


async def test_a39_a_running_handler_may_end_and_its_lease_is_kept(switches: Switches) -> None:
    async with bed(switches) as b:
        pipeline = await b.pipeline(activity())
        runner = b.runner()
        works(b, runner, seconds=500)
        async with b.running(runner) as run:
            await b.advance(10)
            polls = len(b.made("PollForTask"))
            runner.stop()
            await b.advance(1)
            assert runner.health.status is Status.STOPPING
            result = await run.until_over()

        assert len(b.made("PollForTask")) == polls
        assert len(b.made("ReportTaskProgress")) >= 8
        assert (result.exit_code, result.finished) == (0, 1)
        assert await b.statuses(pipeline) == {"Job": "FINISHED"}


async def test_a39_a_handler_that_takes_too_long_is_cancelled_and_fails(
    switches: Switches,
) -> None:
    async with bed(switches) as b:
        pipeline = await b.pipeline(activity())
        runner = b.runner(drain_timeout=100)
        seen: list[CancelReason | None] = []
        waits(b, runner, seen)
        async with b.running(runner) as run:
            began = b.clock.time()
            result = await run.stop()
            assert 100 <= b.clock.time() - began <= 102

        assert seen == [CancelReason.SHUTDOWN]
        assert (result.exit_code, result.failed) == (0, 1)
        (attempt,) = await b.attempts(pipeline)
        assert attempt.string("errorId") == "RunnerShutdown"


async def test_a39_a_handler_that_does_not_even_stop_then_is_left_behind_in_time(
    switches: Switches,
) -> None:
    async with bed(switches) as b:
        await b.pipeline(activity())
        runner = b.runner(drain_timeout=100, cancel_grace=20)
        release = threading.Event()

        @runner.handler(SHELL, run_in="thread")
        def handle(task: SyncTask) -> None:
            release.wait()

        async with b.running(runner) as run:
            await b.really(lambda: runner.health.running == 1)
            began = b.clock.time()
            result = await run.stop()
            assert 120 <= b.clock.time() - began <= 122
            release.set()
            await b.really(
                lambda: not any(each.name.startswith("handler") for each in threading.enumerate())
            )

        assert result.failed == 1
        assert b.statuses_sent() == ["FAILED"]


async def test_a39_a_delivery_under_way_is_waited_for(switches: Switches) -> None:
    async with bed(switches) as b:
        pipeline = await b.pipeline(activity())
        runner = b.runner()
        works(b, runner)
        b.fault = lambda call: Lose("request") if call.operation == "SetTaskStatus" else None
        async with b.running(runner) as run:
            await b.advance(10)
            assert runner.health.undelivered == 1
            runner.stop()
            await b.advance(100)
            assert not run.task.done()
            b.fault = lambda _: None
            result = await run.until_over()

        assert (result.finished, result.undelivered) == (1, 0)
        assert await b.statuses(pipeline) == {"Job": "FINISHED"}


async def test_a41_without_a_network_a_runner_stops_in_time_and_the_next_one_delivers(
    switches: Switches, tmp_path: Path
) -> None:
    async with bed(switches) as b:
        pipeline = await b.pipeline(activity())
        runner = b.runner(drain_timeout=60, cancel_grace=10, state_dir=tmp_path)
        works(b, runner)
        b.fault = cut_after_acknowledgement
        async with b.running(runner) as run:
            await b.advance(5)
            began = b.clock.time()
            result = await run.stop()
            assert 60 <= b.clock.time() - began <= 73
        assert (result.exit_code, result.undelivered) == (1, 1)
        assert [each.state for each in read_outbox(tmp_path)] == ["outcome"]

        b.fault = lambda _: None
        again = b.runner("again", state_dir=tmp_path)
        async with b.running(again) as run:
            result = await run.stop()

        assert (result.exit_code, result.finished) == (0, 1)
        assert await b.statuses(pipeline) == {"Job": "FINISHED"}
        first_poll = b.made("PollForTask", "again")[0]
        assert b.made("SetTaskStatus", "again")[0].number < first_poll.number


async def test_the_failure_of_a_cancelled_handler_is_not_sent_in_a_storm(
    switches: Switches,
) -> None:
    async with bed(switches) as b:
        await b.pipeline(activity(attemptTimeout="10 minutes"))
        runner = b.runner()
        waits(b, runner)
        async with b.running(runner) as run:
            await b.advance(560)
            b.fault = lambda call: Lose("request") if call.operation == "SetTaskStatus" else None
            await b.advance(120)
            assert 4 <= len(b.statuses_sent()) <= 60
            b.fault = lambda _: None
            await b.advance(30)
            await run.stop()


def cut_after_acknowledgement(call: Call) -> Fault:
    """Let nothing through but polls and first reports."""
    if call.operation == "SetTaskStatus" or (
        call.operation == "ReportTaskProgress" and call.number > 4
    ):
        return Lose("request", 1)
    return None


async def test_a39_a_runner_can_be_stopped_while_it_delivers_what_was_left_behind(
    switches: Switches, tmp_path: Path
) -> None:
    async with bed(switches) as b:
        await b.pipeline(activity())
        first = b.runner("first", drain_timeout=10, cancel_grace=0, state_dir=tmp_path)
        works(b, first)
        b.fault = cut_after_acknowledgement
        async with b.running(first) as run:
            await run.stop()

        b.fault = lambda call: Lose("request", 9) if call.operation == "SetTaskStatus" else None
        second = b.runner("second", drain_timeout=10, cancel_grace=0, state_dir=tmp_path)
        task = asyncio.ensure_future(second.run())
        await b.really(lambda: bool(b.made("SetTaskStatus", "second")))
        assert second.health.status is Status.STARTING
        second.stop()
        await b.until(task.done, limit=20)

        assert task.result().undelivered == 1
        assert b.made("PollForTask", "second") == []


# -- signals ------------------------------------------------------------------------------


async def test_a40_the_first_signal_drains_and_the_second_cancels(switches: Switches) -> None:
    async with bed(switches) as b:
        await b.pipeline(activity())
        runner = b.runner()
        seen: list[CancelReason | None] = []
        waits(b, runner, seen)
        before = signal.getsignal(signal.SIGTERM)

        async with b.running(runner, signals=True) as run:
            os.kill(os.getpid(), signal.SIGTERM)
            await b.advance(5)
            assert runner.health.status is Status.STOPPING
            assert seen == []
            os.kill(os.getpid(), signal.SIGINT)
            result = await run.until_over()

        assert seen == [CancelReason.SHUTDOWN]
        assert result.exit_code == 130
        assert signal.getsignal(signal.SIGTERM) is before


async def test_a40_after_one_signal_alone_the_exit_code_is_0(switches: Switches) -> None:
    async with bed(switches) as b:
        await b.pipeline(activity())
        runner = b.runner()
        works(b, runner, seconds=30)

        async with b.running(runner, signals=True) as run:
            os.kill(os.getpid(), signal.SIGTERM)
            result = await run.until_over()

        assert (result.exit_code, result.finished) == (0, 1)


# -- other ends ---------------------------------------------------------------------------


async def test_a42_cancelling_run_drains_and_cancelling_again_cancels(switches: Switches) -> None:
    async with bed(switches) as b:
        pipeline = await b.pipeline(activity("Slow"), activity("Quick"))
        runner = b.runner()
        quick = asyncio.Event()

        @runner.handler(SHELL)
        async def handle(task: Task) -> None:
            await (quick if "Quick" in task.attempt_id else asyncio.Event()).wait()

        async with b.running(runner) as run:
            run.task.cancel()
            await b.advance(5)
            assert not run.task.done()
            quick.set()
            await b.advance(5)
            run.task.cancel()
            await b.until(run.task.done, limit=60)

        assert run.task.cancelled()
        assert await b.statuses(pipeline) == {"Slow": "FAILED", "Quick": "FINISHED"}


async def test_a_runner_that_is_to_stop_when_idle_works_until_nothing_is_left(
    switches: Switches,
) -> None:
    async with bed(switches) as b:
        pipeline = await b.pipeline(
            activity("One"), activity("Two", dependsOn={"ref": "One"}), group="a"
        )
        runner = b.runner(group=["a", "b"])
        works(b, runner, seconds=100)

        async with b.running(runner, until_idle=True) as run:
            result = await run.until_over()

        assert result.finished == 2
        assert set((await b.statuses(pipeline)).values()) == {"FINISHED"}
        assert b.told("stopping")[0].detail["why"] == "idle"


async def test_a_runner_runs_once_at_a_time() -> None:
    async with bed() as b:
        runner = b.runner()
        async with b.running(runner) as run:
            with pytest.raises(RuntimeError, match="runs already"):
                await runner.run()
            await run.stop()

        async with b.running(runner) as run:
            assert (await run.stop()).exit_code == 0


async def test_settings_that_make_no_client_are_told_at_once() -> None:
    runner = TaskRunner("etl", client=lambda: DataPipelineClient(aws_access_key_id="half"))

    with pytest.raises(ConfigurationError):
        await runner.run()


async def test_a_keeper_that_finds_no_settings_tells_so_too() -> None:
    async with bed() as b:
        made = 0

        def client() -> DataPipelineClient:
            nonlocal made
            made += 1
            return b.client() if made < 3 else DataPipelineClient()

        runner = b.runner(client=client)
        with pytest.raises(ConfigurationError, match="credentials"):
            await runner.run()


def test_stopping_a_runner_that_does_not_run_does_nothing() -> None:
    runner = TaskRunner("etl")

    runner.stop()

    assert runner.health.status is Status.STOPPED


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"worker_group": ""}, "worker_group"),
        ({"worker_group": []}, "worker_group"),
        ({"worker_group": ["a", "a"]}, "twice"),
        ({"worker_group": "a" * 1025}, "worker_group"),
        ({"worker_group": ["a", "b\0"]}, "worker_group"),
        ({"worker_group": ["a", "b"], "max_concurrency": 1}, "max_concurrency"),
        ({"account_share": 0}, "account_share"),
        ({"account_share": 2}, "account_share"),
        ({"drain_timeout": -1}, "drain_timeout"),
        ({"cancel_grace": float("nan")}, "cancel_grace"),
        ({"stall_limit": -1}, "stall_limit"),
        ({"recover": "perhaps"}, "recover"),
        ({"late_failed": "perhaps"}, "late_failed"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(arguments: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        TaskRunner(**{"worker_group": "etl", **arguments})  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
