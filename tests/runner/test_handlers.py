"""What handlers do: scenarios A28 to A38."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import pytest
from pydantic import BaseModel

from aiodatapipeline import Reply
from aiodatapipeline.local._switches import Switches
from aiodatapipeline.models import Ref
from aiodatapipeline.runner import (
    CancelReason,
    Event,
    Period,
    SyncTask,
    Task,
    TaskFailed,
    TaskRunner,
)
from tests.runner import functions
from tests.runner.bed import SHELL, Bed, Call, Fault, activity, bed, error, works
from tests.runner.fakes import Answers, hurried


async def outcome(b: Bed, pipeline: str) -> tuple[str | None, str | None, str | None]:
    """Give the status, the error id and the message of the last attempt."""
    attempt = (await b.attempts(pipeline))[-1]
    return attempt.string("@status"), attempt.string("errorId"), attempt.string("errorMessage")


def exists(pid: int) -> bool:
    """Whether a process is there, and no mere zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


# -- what a handler is told ---------------------------------------------------------------


async def test_a_handler_sees_the_fields_of_its_model(switches: Switches) -> None:
    class Export(BaseModel):
        command: str
        script_argument: list[str]
        attempt_timeout: Period
        output: list[Ref] = []

    async with bed(switches) as b:
        pipeline = await b.pipeline(
            activity(scriptArgument=["a"], attemptTimeout="2 hours", output={"ref": "Out"}),
            {"id": "Out", "type": "S3DataNode", "filePath": "s3://bucket/key"},
        )
        runner = b.runner()
        seen: list[Any] = []

        @runner.handler(Export, type=SHELL)
        async def handle(task: Task, export: Export) -> None:
            seen.extend((export, task, await task.resolve(export.output[0])))
            seen.append(await task.evaluate("#{command} it"))
            seen.append((await task.resolve("Default")).id)

        async with b.running(runner) as run:
            await run.stop()

        export, task, node, text, default = seen
        assert await outcome(b, pipeline) == ("FINISHED", None, None)
        assert (export.command, export.script_argument) == ("true", ["a"])
        assert export.attempt_timeout.total_seconds() == 7200
        assert node.string("filePath") == "s3://bucket/key"
        assert (text, default) == ("true it", "Default")
        assert (task.info.attempt_number, task.info.worker_group) == (1, "etl")
        assert task.info.scheduled_start is not None
        assert "task_id" not in vars(cast("Task", task).info)


async def test_row_24_a_task_that_does_not_fit_the_model_fails_by_the_names_of_its_fields(
    switches: Switches,
) -> None:
    class Export(BaseModel):
        command: int
        table: str

    async with bed(switches) as b:
        pipeline = await b.pipeline(activity(command="secret"))
        runner = b.runner()

        @runner.handler(Export, type=SHELL)
        async def handle(task: Task, export: Export) -> None:
            raise AssertionError

        async with b.running(runner) as run:
            await run.stop()

        status, error_id, message = await outcome(b, pipeline)
        assert (status, error_id) == ("FAILED", "InvalidTask")
        assert message is not None
        assert "command" in message
        assert "table" in message
        assert "secret" not in message


async def test_row_24_a_period_that_is_none_fails_the_task() -> None:
    answers = Answers(SHELL, attemptTimeout="soon")
    runner = hurried(TaskRunner("etl", client=answers.client))

    @runner.handler(SHELL)
    async def handle(task: Task) -> None:
        raise AssertionError

    run = asyncio.ensure_future(runner.run())
    await _really(lambda: bool(answers.bodies("SetTaskStatus")))
    runner.stop()
    await run

    (body,) = answers.bodies("SetTaskStatus")
    assert (body["taskStatus"], body["errorId"]) == ("FAILED", "InvalidTask")
    assert "attemptTimeout" in body["errorMessage"]


async def test_row_23_a_type_without_a_handler_fails_by_the_names_of_those_that_have_one(
    switches: Switches,
) -> None:
    async with bed(switches) as b:
        pipeline = await b.pipeline(activity())
        runner = b.runner()

        @runner.handler("CopyActivity")
        async def handle(task: Task) -> None:
            raise AssertionError

        async with b.running(runner) as run:
            await run.stop()

        status, error_id, message = await outcome(b, pipeline)
        assert (status, error_id) == ("FAILED", "HandlerNotRegistered")
        assert message is not None
        assert "CopyActivity" in message


async def test_row_23_a_type_without_a_handler_can_be_left_to_others(switches: Switches) -> None:
    async with bed(switches) as b:
        await b.pipeline(activity())
        runner = b.runner(ignore_unknown=True)

        async with b.running(runner) as run:
            await run.stop()

        assert b.made("ReportTaskProgress") == []
        assert b.statuses_sent() == []


# -- the event loop -----------------------------------------------------------------------


async def _really(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # it is about other threads
            await asyncio.sleep(0.005)


def answered(call: Call) -> Fault:
    """Have reports answered beside the loop that the service is in: that stands still."""
    return Reply(200, b'{"canceled": false}') if call.operation == "ReportTaskProgress" else None


async def test_a28_a_blocked_loop_starves_no_lease_and_its_handler_is_named(
    switches: Switches,
) -> None:
    async with bed(switches) as b:
        pipeline = await b.pipeline(activity())
        runner = b.runner()

        @runner.handler(SHELL)
        async def handle(task: Task) -> None:
            b.fault = answered
            b.stand_still(240)
            b.fault = lambda _: None

        async with b.running(runner) as run:
            result = await run.stop()

        times = [each.at for each in b.made("ReportTaskProgress")]
        assert times[-1] - times[0] >= 165
        assert max(later - earlier for earlier, later in pairwise(times)) <= 75
        assert result.finished == 1
        assert await b.statuses(pipeline) == {"Job": "FINISHED"}
        blocked = b.told("blocked")[0].detail
        assert blocked["handler"] == SHELL
        assert "b.stand_still(240)" in str(blocked["stack"])


async def test_a28_leases_are_given_up_when_the_loop_is_blocked_for_too_long(
    switches: Switches, caplog: pytest.LogCaptureFixture
) -> None:
    async with bed(switches) as b:
        other = {"id": "Other", "type": "ShellCommandPrecondition", "command": "true"}
        await b.pipeline(activity(), activity("Later", precondition={"ref": "Other"}), other)
        runner = b.runner(max_concurrency=3)
        stood = asyncio.Event()
        why: dict[str, CancelReason | None] = {}

        @runner.handler(SHELL)
        async def block(task: Task) -> None:
            await stood.wait()
            b.fault = answered
            b.stand_still(660)
            b.fault = lambda _: None
            try:
                await asyncio.Event().wait()
            finally:
                why["blocker"] = task.cancelled

        @runner.precondition("ShellCommandPrecondition")
        async def stand_by(task: Task) -> bool:
            try:
                await asyncio.Event().wait()
            finally:
                why["bystander"] = task.cancelled
            return True

        async with b.running(runner) as run:
            began = b.clock.time()
            stood.set()
            await b.advance(0)
            times = [each.at - began for each in b.made("ReportTaskProgress") if each.reply]
            await run.stop(cancel=True)

        # It is seen every 5 seconds whether the loop turns, and 600 are too many.
        assert not [at for at in times if 605 < at < 660]
        assert [at for at in times if 500 < at <= 605]
        assert why["blocker"] is CancelReason.STALLED
        assert why.get("bystander") is not CancelReason.STALLED
        assert "All stacks" in caplog.text


async def test_a29_code_that_holds_the_interpreter_starves_nobody_in_a_process(
    tmp_path: Path,
) -> None:
    answers = Answers("Hog", command=str(tmp_path / "noted"))
    runner = hurried(TaskRunner("etl", client=answers.client))
    runner.handler("Hog", run_in="process")(functions.hogs)

    run = asyncio.ensure_future(runner.run())
    await _really(lambda: bool(answers.bodies("SetTaskStatus")))
    runner.stop()
    await run

    began, ended = map(float, (tmp_path / "noted").read_text().split())
    # A thread that held the lock for all of that time would let no report through.
    assert [at for at in answers.times("ReportTaskProgress") if began < at < ended]


# -- cancellation -------------------------------------------------------------------------


async def _swallow(release: asyncio.Event) -> None:
    while not release.is_set():
        try:
            await release.wait()
        except BaseException:  # noqa: BLE001  # what nobody should write
            continue


async def _shield(release: asyncio.Event) -> None:
    work = asyncio.ensure_future(release.wait())
    while not work.done():
        try:
            await asyncio.shield(work)
        except asyncio.CancelledError:
            continue


@pytest.mark.parametrize("ignore", [_swallow, _shield], ids=["swallow", "shield"])
async def test_a30_an_async_handler_that_ignores_its_cancellation_is_left_behind(
    switches: Switches, ignore: Callable[[asyncio.Event], Any]
) -> None:
    async with bed(switches) as b:
        pipeline = await b.pipeline(activity())
        runner = b.runner(max_concurrency=2)
        release = asyncio.Event()

        @runner.handler(SHELL)
        async def handle(task: Task) -> None:
            await ignore(release)

        async with b.running(runner) as run:
            await b.cancel(pipeline, "Job")
            await b.advance(50)
            assert runner.health.leaked == 0
            await b.advance(45)
            assert runner.health.leaked == 1
            assert runner.health.status == "degraded"
            assert len(b.told("leaked")) == 1
            began = b.clock.time()
            await run.stop()
            assert b.clock.time() - began <= 2
        release.set()
        await b.advance(0)

        assert b.statuses_sent() == []


async def test_a30_a_handler_that_stops_late_gives_its_place_back(switches: Switches) -> None:
    async with bed(switches) as b:
        pipeline = await b.pipeline(activity())
        runner = b.runner(max_concurrency=2)
        release = asyncio.Event()

        @runner.handler(SHELL)
        async def handle(task: Task) -> None:
            while not release.is_set():
                try:
                    await release.wait()
                except asyncio.CancelledError:
                    continue

        async with b.running(runner) as run:
            await b.cancel(pipeline, "Job")
            await b.advance(100)
            assert runner.health.leaked == 1
            release.set()
            await b.advance(1)
            assert runner.health.leaked == 0
            assert runner.health.problems == ()
            await run.stop()

        assert b.statuses_sent() == []


async def test_a30_when_every_place_is_taken_by_such_handlers_the_runner_stops(
    switches: Switches,
) -> None:
    async with bed(switches) as b:
        pipeline = await b.pipeline(activity())
        runner = b.runner(max_concurrency=1)
        release = asyncio.Event()

        @runner.handler(SHELL)
        async def handle(task: Task) -> None:
            while not release.is_set():
                try:
                    await release.wait()
                except asyncio.CancelledError:
                    continue

        async with b.running(runner) as run:
            await b.cancel(pipeline, "Job")
            result = await run.until_over(limit=200)
            release.set()
            await b.advance(0)

        assert result.exit_code == 1


async def test_a30_a_thread_is_asked_to_stop_and_left_behind_if_it_does_not(
    switches: Switches,
) -> None:
    async with bed(switches) as b:
        pipeline = await b.pipeline(activity("Asks"), activity("Deaf"))
        runner = b.runner()
        release, asked = threading.Event(), threading.Event()
        seen: list[CancelReason | None] = []

        @runner.handler(SHELL, run_in="thread")
        def handle(task: SyncTask) -> None:
            if "Asks" in task.attempt_id:
                task.on_cancel(asked.set)
                asked.wait()
                seen.append(task.cancelled)
                task.raise_if_cancelled()
            release.wait()

        async with b.running(runner) as run:
            await b.really(lambda: runner.health.running == 2)
            await b.cancel(pipeline, "Asks", "Deaf")
            await b.advance(65)
            await b.really(lambda: runner.health.running <= 1)
            assert seen == [CancelReason.CANCELED]
            await b.advance(60)
            assert runner.health.leaked == 1
            release.set()
            await b.really(lambda: runner.health.leaked == 0)
            await run.stop()

        assert b.statuses_sent() == []


@pytest.mark.parametrize(
    "function", [functions.waits, functions.ignores, functions.swallows, functions.cleans_up]
)
async def test_a30_a_process_is_killed_whatever_it_does(
    switches: Switches, function: Callable[[SyncTask], None], tmp_path: Path
) -> None:
    async with bed(switches) as b:
        noted = tmp_path / "noted"
        pipeline = await b.pipeline(activity(command=str(noted)))
        runner = b.runner()
        runner.handler(SHELL, run_in="process")(function)

        async with b.running(runner) as run:
            await b.really(noted.exists)
            pid = int(noted.read_text())
            await b.cancel(pipeline, "Job")
            await b.until(lambda: bool(b.told("cancelled")), limit=70)
            if function in {functions.waits, functions.cleans_up}:
                # It is killed 5 seconds later, and time stands still until it has ended.
                await b.really(lambda: not exists(pid))
            await b.advance(10)
            await b.really(lambda: not exists(pid))
            await b.really(lambda: runner.health.running == 0)
            assert runner.health.leaked == 0
            await run.stop()

        assert b.statuses_sent() == []
        assert Path(f"{noted}.clean").exists() == (function is functions.cleans_up)


@pytest.mark.parametrize("function", [functions.has_children, functions.leaves_children])
async def test_a32_what_a_process_has_started_ends_with_it(
    switches: Switches, function: Callable[[SyncTask], None], tmp_path: Path
) -> None:
    async with bed(switches) as b:
        noted = tmp_path / "noted"
        pipeline = await b.pipeline(activity(command=str(noted)))
        runner = b.runner()
        runner.handler(SHELL, run_in="process")(function)

        async with b.running(runner) as run:
            await b.really(noted.exists)
            pids = [int(each) for each in noted.read_text().split()]
            if function is functions.has_children:
                await b.cancel(pipeline, "Job")
                await b.advance(80)
            await b.really(lambda: not any(map(exists, pids)))
            await b.really(lambda: runner.health.running == 0)
            await run.stop()


KINDS = [
    asyncio.CancelledError("mine"),
    TimeoutError("mine"),
    SystemExit(3),
    KeyboardInterrupt(),
    GeneratorExit(),
    BaseException("mine"),
]


@pytest.mark.parametrize("raised", KINDS, ids=lambda each: type(each).__name__)
@pytest.mark.parametrize("run_in", [None, "thread", "pool"])
async def test_a31_what_a_handler_raises_itself_is_a_failure_whatever_it_is(
    switches: Switches, raised: BaseException, run_in: str | None
) -> None:
    async with bed(switches) as b:
        pipeline = await b.pipeline(activity())
        runner = b.runner()
        pool = ThreadPoolExecutor(1)

        async def handle(task: Task) -> None:
            raise raised

        def handle_sync(task: SyncTask) -> None:
            raise raised

        if run_in is None:
            runner.handler(SHELL)(handle)
        else:
            runner.handler(SHELL, run_in="thread" if run_in == "thread" else pool)(handle_sync)

        async with b.running(runner) as run:
            await b.really(lambda: bool(b.statuses_sent()))
            result = await run.stop()
        pool.shutdown()

        assert (result.exit_code, result.failed) == (0, 1)
        status, error_id, _ = await outcome(b, pipeline)
        assert (status, error_id) == ("FAILED", type(raised).__name__)


@pytest.mark.parametrize("raised", KINDS, ids=lambda each: type(each).__name__)
@pytest.mark.parametrize("reason", [CancelReason.CANCELED, CancelReason.SHUTDOWN])
async def test_a31_what_a_handler_raises_when_it_is_to_stop_counts_as_stopping(
    switches: Switches, raised: BaseException, reason: CancelReason
) -> None:
    async with bed(switches) as b:
        pipeline = await b.pipeline(activity())
        runner = b.runner()

        @runner.handler(SHELL)
        async def handle(task: Task) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                raise raised

        async with b.running(runner) as run:
            if reason is CancelReason.CANCELED:
                await b.cancel(pipeline, "Job")
                await b.advance(65)
            await run.stop(cancel=True)

        if reason is CancelReason.CANCELED:
            assert b.statuses_sent() == []
        else:
            assert (await outcome(b, pipeline))[:2] == ("FAILED", "RunnerShutdown")


async def test_a_handler_that_finishes_although_it_is_to_stop_has_finished(
    switches: Switches,
) -> None:
    async with bed(switches) as b:
        pipeline = await b.pipeline(activity())
        runner = b.runner()

        @runner.handler(SHELL)
        async def handle(task: Task) -> None:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                return

        async with b.running(runner) as run:
            await run.stop(cancel=True)

        assert await b.statuses(pipeline) == {"Job": "FINISHED"}


# -- processes and executors --------------------------------------------------------------


# Found over there, and not to be pickled.
_holds_a_lock = partial(print, threading.Lock())


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (functions.returns, ("FINISHED", None)),
        (functions.raises, ("FAILED", "ValueError")),
        (functions.exits, ("FAILED", "SystemExit")),
        (functions.dies, ("FAILED", "ProcessDied")),
        (functions.dies_as_a_parent, ("FAILED", "ProcessDied")),
        (functions.vanishes, ("FAILED", "ProcessDied")),
        (_holds_a_lock, ("FAILED", "TypeError")),
    ],
    ids=["returns", "raises", "exits", "dies", "dies as a parent", "vanishes", "cannot be sent"],
)
async def test_a_process_ends_as_its_handler_does(
    function: Callable[[SyncTask], None], expected: tuple[str, str | None]
) -> None:
    async with bed() as b:
        pipeline = await b.pipeline(activity())
        runner = b.runner()
        runner.handler(SHELL, run_in="process")(function)

        async with b.running(runner) as run:
            await b.really(lambda: bool(b.statuses_sent()))
            await run.stop()

        status, error_id, _ = await outcome(b, pipeline)
        assert (status, error_id) == expected


async def test_a_process_is_given_the_model_of_the_fields() -> None:
    async with bed() as b:
        pipeline = await b.pipeline(activity(scriptArgument=["x", "y"]))
        runner = b.runner()
        runner.handler(functions.Job, type=SHELL, run_in="process")(functions.tells)

        async with b.running(runner) as run:
            await b.really(lambda: bool(b.statuses_sent()))
            await run.stop()

        _, error_id, message = await outcome(b, pipeline)
        assert error_id == "Told"
        assert message is not None
        assert message.startswith("true ['x', 'y'] @Job_")


async def test_an_executor_of_processes_runs_handlers() -> None:
    with ProcessPoolExecutor(1) as pool:
        pool.submit(int).result()  # its process is there before, and is not the runner's
        await run_on(pool)


async def run_on(pool: ProcessPoolExecutor) -> None:
    async with bed() as b:
        pipeline = await b.pipeline(activity("One"), activity("Two"))
        runner = b.runner()
        runner.handler(functions.Job, type=SHELL, run_in=pool)(functions.tells)

        async with b.running(runner) as run:
            await b.really(lambda: len(b.statuses_sent()) == 2)
            await run.stop()

        assert (await outcome(b, pipeline))[1] == "Told"


async def test_an_executor_that_is_shut_down_fails_tasks_and_not_the_runner(
    switches: Switches,
) -> None:
    async with bed(switches) as b:
        pipeline = await b.pipeline(activity())
        runner = b.runner()
        pool = ThreadPoolExecutor(1)
        pool.shutdown()

        @runner.handler(SHELL, run_in=pool)
        def handle(task: SyncTask) -> None:
            raise AssertionError

        async with b.running(runner) as run:
            await b.really(lambda: bool(b.statuses_sent()))
            await run.stop()

        assert (await outcome(b, pipeline))[1] == "RuntimeError"


async def test_what_waits_on_an_executor_is_taken_back_when_it_is_cancelled(
    switches: Switches,
) -> None:
    async with bed(switches) as b:
        pipeline = await b.pipeline(activity("One"), activity("Two"))
        runner = b.runner()
        pool, release = ThreadPoolExecutor(1), threading.Event()

        @runner.handler(SHELL, run_in=pool)
        def handle(task: SyncTask) -> None:
            release.wait()

        async with b.running(runner) as run:
            await b.really(lambda: runner.health.running == 2)
            await b.cancel(pipeline, "Two")
            await b.advance(65)
            assert runner.health.running == 1
            release.set()
            await b.really(lambda: bool(b.statuses_sent()))
            await run.stop()
        pool.shutdown()

        assert await b.statuses(pipeline) == {"One": "FINISHED", "Two": "CANCELED"}


# -- texts, progress, preconditions, limits -----------------------------------------------


@pytest.mark.parametrize(
    "text",
    ["x" * 1_000_000, "\ud800", "a\0b", "\x1b[31m", "\ufffe", "\U0001f600" * 600, ""],
    ids=["long", "surrogate", "nul", "ansi", "noncharacter", "emoji", "empty"],
)
async def test_a33_any_text_of_a_failure_is_taken(switches: Switches, text: str) -> None:
    async with bed(switches) as b:
        pipeline = await b.pipeline(activity())
        runner = b.runner()

        @runner.handler(SHELL)
        async def handle(task: Task) -> None:
            raise TaskFailed(text, text, detail=text)

        async with b.running(runner) as run:
            await run.stop()

        assert (await outcome(b, pipeline))[0] == "FAILED"
        assert len(b.statuses_sent()) <= 4


async def test_a33_a_traceback_of_five_hundred_frames_is_cut(switches: Switches) -> None:
    def deep(left: int) -> None:
        if left:
            deep(left - 1)
        raise ValueError("deep")

    async with bed(switches) as b:
        pipeline = await b.pipeline(activity())
        runner = b.runner()

        @runner.handler(SHELL)
        async def handle(task: Task) -> None:
            deep(500)

        async with b.running(runner) as run:
            await run.stop()

        trace = (await b.attempts(pipeline))[0].string("errorStackTrace")
        assert trace is not None
        assert len(trace) <= 1024
        assert trace.endswith("ValueError: deep\n")


async def test_a34_an_exception_that_cannot_be_printed_is_a_failure_all_the_same(
    switches: Switches,
) -> None:
    class Odd(Exception):  # noqa: N818
        def __str__(self) -> str:
            raise RuntimeError("no")

    async with bed(switches) as b:
        pipeline = await b.pipeline(activity())
        runner = b.runner()

        @runner.handler(SHELL)
        async def handle(task: Task) -> None:
            raise Odd

        async with b.running(runner) as run:
            await run.stop()

        assert (await outcome(b, pipeline))[:2] == ("FAILED", "Odd")


async def test_row_22_an_error_id_of_the_service_s_is_renamed(switches: Switches) -> None:
    async with bed(switches) as b:
        pipeline = await b.pipeline(activity())
        runner = b.runner()

        @runner.handler(SHELL)
        async def handle(task: Task) -> None:
            raise TaskFailed("Service_Down")

        async with b.running(runner) as run:
            await run.stop()

        assert (await outcome(b, pipeline))[1] == "Runner_Down"


async def test_a35_tasks_and_threads_that_a_handler_leaves_behind_harm_nobody(
    switches: Switches,
) -> None:
    async with bed(switches) as b:
        pipeline = await b.pipeline(activity())
        runner = b.runner()
        release = threading.Event()
        tasks: list[asyncio.Task[object]] = []
        threads: list[threading.Thread] = []

        @runner.handler(SHELL)
        async def handle(task: Task) -> None:
            tasks.append(asyncio.ensure_future(asyncio.Event().wait()))
            threads.append(threading.Thread(target=release.wait))
            threads[0].start()

        async with b.running(runner) as run:
            await run.stop()
        tasks[0].cancel()
        release.set()
        threads[0].join()
        await b.advance(0)

        assert await b.statuses(pipeline) == {"Job": "FINISHED"}


async def test_a36_progress_may_be_told_as_often_as_one_likes(switches: Switches) -> None:
    async with bed(switches) as b:
        await b.pipeline(activity())
        runner = b.runner()
        done = asyncio.Event()

        @runner.handler(SHELL)
        async def handle(task: Task) -> None:
            for number in range(100_000):
                await task.progress(number / 1000, rows_read=number, ok=True)
            await done.wait()

        async with b.running(runner) as run:
            await b.advance(180)
            done.set()
            await run.stop()

        reports = b.made("ReportTaskProgress")
        assert 3 <= len(reports) <= 5
        assert reports[1].body["fields"] == [
            {"key": "percentComplete", "stringValue": "99.999"},
            {"key": "rowsRead", "stringValue": "99999"},
            {"key": "ok", "stringValue": "true"},
        ]
        assert "fields" not in reports[2].body, "they are told once"


async def test_a37_more_fields_than_an_object_may_have_are_trimmed_with_a_warning(
    switches: Switches, caplog: pytest.LogCaptureFixture
) -> None:
    async with bed(switches) as b:
        await b.pipeline(activity())
        runner = b.runner()
        done = asyncio.Event()

        @runner.handler(SHELL)
        async def handle(task: Task) -> None:
            await task.progress(**{f"field_{number}": number for number in range(60)})
            await task.progress(None, field_60=1, **{"x" * 300: "\ud800" * 5000})
            await done.wait()

        async with b.running(runner) as run:
            await b.advance(65)
            done.set()
            await run.stop()

        assert len(b.made("ReportTaskProgress")[1].body["fields"]) == 50
        assert b.made("ReportTaskProgress")[1].taken
        assert caplog.text.count("more than 50 fields") == 1


async def test_fields_that_do_not_fit_are_cut_and_never_cost_the_lease(switches: Switches) -> None:
    async with bed(switches) as b:
        await b.pipeline(activity())
        runner = b.runner()
        done = asyncio.Event()
        handed: list[Task] = []

        @runner.handler(SHELL)
        async def handle(task: Task) -> None:
            handed.append(task)
            await task.progress(None, **{"x" * 300: "\ud800\0" * 5000})
            await task.progress(None, **{f"long_{number}": "y" * 2000 for number in range(20)})
            await done.wait()

        async with b.running(runner) as run:
            await b.advance(65)
            assert b.made("ReportTaskProgress")[1].taken
            await handed[0].progress(100)
            await task_fields_refused(b)
            done.set()
            await run.stop()

        assert b.statuses_sent() == ["FINISHED"]


async def task_fields_refused(b: Bed) -> None:
    """Refuse reports that have fields, as a service might that knows of none."""
    b.fault = lambda call: error("InvalidRequestException") if call.body.get("fields") else None
    await b.advance(200)
    b.fault = lambda _: None


GUARDED = [
    activity(precondition={"ref": "Guard"}),
    {
        "id": "Guard",
        "type": "ShellCommandPrecondition",
        "command": "test",
        "retryDelay": "5 minutes",
        "preconditionTimeout": "1 hour",
    },
]


@pytest.mark.parametrize("run_in", [None, "thread"])
async def test_a38_a_precondition_is_asked_again_until_it_holds(
    switches: Switches, run_in: str | None
) -> None:
    async with bed(switches) as b:
        pipeline = await b.pipeline(*GUARDED)
        runner = b.runner()
        works(b, runner)
        answers = [False, False, False, True]
        times: list[float] = []

        async def ask(task: Task) -> bool:
            return ask_sync(task)

        def ask_sync(task: object) -> bool:
            times.append(b.clock.time())
            return answers.pop(0)

        if run_in is None:
            runner.precondition("ShellCommandPrecondition")(ask)
        else:
            runner.precondition("ShellCommandPrecondition", run_in="thread")(ask_sync)

        async with b.running(runner) as run:
            async with asyncio.timeout(20):
                while answers:  # a thread answers in real time
                    await asyncio.sleep(0.001)
                    await b.advance(20)
            await b.really(lambda: len(b.statuses_sent()) == 2)
            result = await run.stop()

        assert min(later - earlier for earlier, later in pairwise(times)) >= 300
        assert (result.finished, result.not_met) == (2, 0)
        assert await b.statuses(pipeline) == {"Job": "FINISHED", "Guard": "FINISHED"}


async def test_a38_a_precondition_that_never_holds_is_false_when_its_time_is_over(
    switches: Switches,
) -> None:
    async with bed(switches) as b:
        await b.pipeline(*GUARDED)
        runner = b.runner()
        asked: list[float] = []

        @runner.precondition("ShellCommandPrecondition")
        async def ask(task: Task) -> bool:
            asked.append(b.clock.time())
            return False

        async with b.running(runner) as run:
            await b.until(lambda: bool(b.statuses_sent()), limit=3700, step=60)
            result = await run.stop()

        assert b.statuses_sent()[0] == "FALSE"
        assert result.not_met >= 1
        assert len(asked) >= 12
        times = [each.at for each in b.made("ReportTaskProgress")]
        assert max(later - earlier for earlier, later in pairwise(times)) <= 75


async def test_row_29_asking_again_can_be_left_to_the_service(switches: Switches) -> None:
    async with bed(switches) as b:
        pipeline = await b.pipeline(*GUARDED)
        runner = b.runner()
        works(b, runner)
        answers = [False, True]

        @runner.precondition("ShellCommandPrecondition", retry=False)
        async def ask(task: Task) -> bool:
            return answers.pop(0)

        async with b.running(runner) as run:
            await b.advance(1000)
            await run.stop()

        if switches.false_is_final:
            assert b.statuses_sent() == ["FALSE"]
            assert (await b.statuses(pipeline))["Guard"] == "FAILED"
        else:
            assert b.statuses_sent() == ["FALSE", "FINISHED", "FINISHED"]
            assert await b.statuses(pipeline) == {"Job": "FINISHED", "Guard": "FINISHED"}


async def test_a_precondition_that_waits_is_stopped_at_once(switches: Switches) -> None:
    async with bed(switches) as b:
        await b.pipeline(*GUARDED)
        runner = b.runner()

        @runner.precondition("ShellCommandPrecondition")
        async def ask(task: Task) -> bool:
            return False

        async with b.running(runner) as run:
            began = b.clock.time()
            await run.stop(cancel=True)
            assert b.clock.time() - began <= 1

        assert b.statuses_sent() == ["FAILED"]


async def test_row_30_a_handler_is_stopped_before_its_attempt_times_out(switches: Switches) -> None:
    async with bed(switches) as b:
        pipeline = await b.pipeline(activity(attemptTimeout="20 minutes"))
        runner = b.runner()
        seen: list[CancelReason | None] = []

        @runner.handler(SHELL)
        async def handle(task: Task) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                seen.append(task.cancelled)

        async with b.running(runner) as run:
            took = await b.until(lambda: bool(seen), limit=1200, step=10)
            assert 1140 <= took <= 1150
            await run.stop()

        assert seen == [CancelReason.TIMEOUT]
        assert b.statuses_sent() == ["FAILED"]
        assert (await outcome(b, pipeline))[1] == "AttemptTimeout"


# -- hooks --------------------------------------------------------------------------------


async def test_row_32_a_hook_that_raises_changes_nothing(
    switches: Switches, caplog: pytest.LogCaptureFixture
) -> None:
    async with bed(switches) as b:
        pipeline = await b.pipeline(activity())

        def hook(event: Event) -> None:
            raise SystemExit

        runner = b.runner(on_event=hook)
        works(b, runner)
        async with b.running(runner) as run:
            result = await run.stop()

        assert result.finished == 1
        assert await b.statuses(pipeline) == {"Job": "FINISHED"}
        assert "on_event failed" in caplog.text


async def test_row_32_a_hook_that_hangs_changes_nothing(
    switches: Switches, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aiodatapipeline.runner._events._FAREWELL", 0.05)
    monkeypatch.setattr("aiodatapipeline.runner._events._BACKLOG", 3)
    release = threading.Event()
    async with bed(switches) as b:
        pipeline = await b.pipeline(activity())

        def hang(_event: Event) -> None:
            release.wait()

        runner = b.runner(on_event=hang)
        works(b, runner)
        async with b.running(runner) as run:
            result = await run.stop()
        release.set()
        await b.really(lambda: not hooks())

        assert result.finished == 1
        assert await b.statuses(pipeline) == {"Job": "FINISHED"}
        assert "on_event hangs" in caplog.text


def hooks() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name == "aiodatapipeline-events"]


async def test_a_hook_hears_everything_in_order_and_no_task_id(switches: Switches) -> None:
    heard: list[Event] = []
    async with bed(switches) as b:
        await b.pipeline(activity())
        runner = b.runner(on_event=heard.append)
        works(b, runner)
        async with b.running(runner) as run:
            await run.stop()

        kinds = [str(each.kind) for each in heard if each.attempt_id]
        task_ids = {each.task_id for each in b.calls if each.task_id}
        assert kinds == ["assigned", "acknowledged", "running", "ended", "delivered"]
        assert not [each for each in heard if any(id_ in repr(each) for id_ in task_ids)]


async def test_row_32_a_log_filter_that_raises_changes_nothing(switches: Switches) -> None:
    def refuse(_record: logging.LogRecord) -> bool:
        raise RuntimeError("a filter of the application's")

    async with bed(switches) as b:
        pipeline = await b.pipeline(activity())
        runner = b.runner()
        works(b, runner)
        logger = logging.getLogger("aiodatapipeline.runner")
        async with b.running(runner) as run:
            logger.addFilter(refuse)
            try:
                result = await run.stop()
            finally:
                logger.removeFilter(refuse)

        assert result.finished == 1
        assert await b.statuses(pipeline) == {"Job": "FINISHED"}


async def test_the_log_holds_no_task_id_and_no_secret(
    switches: Switches, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with bed(switches) as b:
        await b.pipeline(activity(**{"*password": "hunter2"}))
        runner = b.runner()

        @runner.handler(SHELL)
        async def handle(task: Task) -> None:
            task.log.info("working on %r", task)
            raise ValueError("no")

        async with b.running(runner) as run:
            await run.stop()

        task_ids = {each.task_id for each in b.calls if each.task_id}
        text = caplog.text + repr([vars(each) for each in caplog.records])
        assert task_ids
        assert not [each for each in task_ids if each in text]
        assert "hunter2" not in text
        working = next(each for each in caplog.records if "working on" in each.getMessage())
        assert vars(working)["attempt_id"].startswith("@Job_")
