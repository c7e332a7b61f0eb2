"""What the scenarios are held against notices what it is for: each invariant is broken by hand."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio
import multiprocessing
import tempfile
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, TypeAlias

import pytest

from aiodatapipeline.operations import SetTaskStatusRequest
from aiodatapipeline.runner import RowState, SyncTask, Task, _attempts
from aiodatapipeline.runner._attempts import Attempts
from aiodatapipeline.runner._caller import Budget
from aiodatapipeline.runner._engine import Engine
from aiodatapipeline.runner._outbox import FileOutbox
from tests.runner import bed as beds
from tests.runner import invariants
from tests.runner.bed import SHELL, Bed, Lose, Wire, activity, bed, waits, works

Patch: TypeAlias = pytest.MonkeyPatch


async def told(match: str, spoil: Callable[[Bed], Any]) -> None:
    """Do something in a bed, which has to be noticed at its end."""
    with pytest.raises(AssertionError, match=match):
        async with bed() as b:
            await spoil(b)


async def run_a_task(b: Bed, **settings: Any) -> None:
    await b.pipeline(activity())
    runner = b.runner(**settings)
    works(b, runner)
    async with b.running(runner) as run:
        await b.advance(1)
        await run.stop()


async def send(b: Bed, operation: str, **body: Any) -> None:
    await Wire(b, "rogue").send(operation, body, 10.0)


async def take(b: Bed) -> str:
    """Take a task by hand; give its id."""
    await b.pipeline(activity())
    await send(b, "PollForTask", workerGroup="etl")
    return str(b.calls[-1].said["taskObject"]["taskId"])


async def test_a_task_that_is_done_as_it_should_be_breaks_nothing() -> None:
    async with bed() as b:
        await run_a_task(b)


# -- I1, I2 ---------------------------------------------------------------------------------


async def test_i1_an_outcome_that_is_never_sent_is_noticed(monkeypatch: Patch) -> None:
    async def deliver(attempts: Attempts, attempt: Any, request: Any, *, written: bool) -> None:
        await attempts._close(attempt, RowState.DELIVERED, "")

    monkeypatch.setattr(Attempts, "_deliver", deliver)
    await told("I1: .* nothing was sent", run_a_task)


async def test_i1_an_outcome_that_the_service_never_took_is_noticed(monkeypatch: Patch) -> None:
    async def give_up(attempts: Attempts, attempt: Any, sending: Any) -> None:
        real = attempts._core.control.call
        try:
            await real(sending.form, 10.0, urgent=True)
        except Exception:  # noqa: BLE001  # it is lost, and nobody cares
            return

    async def lose(b: Bed) -> None:
        b.fault = lambda call: Lose("request") if call.operation == "SetTaskStatus" else None
        await run_a_task(b)

    monkeypatch.setattr(Attempts, "_send", give_up)
    await told("I1: the service never took", lose)


async def test_i1_another_status_at_the_service_is_noticed() -> None:
    async def spoil(b: Bed) -> None:
        await run_a_task(b)

        async def recorded(attempt_id: str) -> str | None:
            return "FAILED" if attempt_id else None

        b.recorded = recorded  # type: ignore[method-assign]

    await told("I1: .* ended FINISHED, and is FAILED", spoil)


async def test_i1_a_store_that_has_nothing_of_it_is_noticed(monkeypatch: Patch) -> None:
    async def assigned(*_: object) -> int:
        return 1

    monkeypatch.setattr(FileOutbox, "assigned", assigned)
    with tempfile.TemporaryDirectory() as directory:
        await told("I1: the store has nothing", lambda b: run_a_task(b, state_dir=directory))


async def test_i2_another_status_than_the_handler_s_is_noticed(monkeypatch: Patch) -> None:
    def request_for(task_id: str, *_: object, **__: object) -> SetTaskStatusRequest:
        return SetTaskStatusRequest(task_id=task_id, task_status="FAILED")

    monkeypatch.setattr(_attempts, "request_for", request_for)
    await told("I2: .* ended FINISHED, and {'FAILED'} was sent", run_a_task)


async def test_i2_two_statuses_of_a_task_are_noticed() -> None:
    async def spoil(b: Bed) -> None:
        task_id = await take(b)
        await send(b, "ReportTaskProgress", taskId=task_id)
        b.fault = lambda call: beds.error("InternalServiceError", 500)
        await send(b, "SetTaskStatus", taskId=task_id, taskStatus="FINISHED")
        await send(b, "SetTaskStatus", taskId=task_id, taskStatus="FAILED")

    await told("I2: two statuses", spoil)


# -- I3, I4 ---------------------------------------------------------------------------------


async def test_i3_an_outcome_after_a_cancellation_is_noticed() -> None:
    async def spoil(b: Bed) -> None:
        task_id = await take(b)
        await b.cancel(b.pipelines[0], "Job")
        await send(b, "ReportTaskProgress", taskId=task_id)
        await send(b, "SetTaskStatus", taskId=task_id, taskStatus="FINISHED")

    await told("I3: an outcome after", spoil)


@pytest.mark.parametrize("operation", ["ReportTaskProgress", "SetTaskStatus"])
async def test_i3_a_call_after_the_outcome_was_taken_is_noticed(operation: str) -> None:
    async def spoil(b: Bed) -> None:
        task_id = await take(b)
        await send(b, "ReportTaskProgress", taskId=task_id)
        await send(b, "SetTaskStatus", taskId=task_id, taskStatus="FINISHED")
        more = {"taskStatus": "FINISHED"} if operation == "SetTaskStatus" else {}
        await send(b, operation, taskId=task_id, **more)

    await told(f"I3: {operation} after", spoil)


async def test_i4_a_handler_that_begins_before_its_first_report_is_noticed(
    monkeypatch: Patch,
) -> None:
    async def acknowledge(*_: object) -> str:
        return ""

    monkeypatch.setattr(Attempts, "_acknowledge", acknowledge)
    await told("I4: .* before it was acknowledged", run_a_task)


async def test_i4_two_handlers_of_a_task_at_once_are_noticed() -> None:
    async def spoil(b: Bed) -> None:
        await b.pipeline(activity())
        runner = b.runner()
        waits(b, runner)
        async with b.running(runner) as run:
            await b.advance(1)
            b.turns += 1
            b.had.append(replace(b.had[0], number=b.turns))
            await run.stop(cancel=True)

    await told("I4: 2 handlers", spoil)


# -- I5 -------------------------------------------------------------------------------------


async def test_i5_two_polls_of_a_group_at_once_are_noticed() -> None:
    async def spoil(b: Bed) -> None:
        polls = [asyncio.ensure_future(send(b, "PollForTask", workerGroup="etl")) for _ in "ab"]
        await b.advance(91)
        await asyncio.gather(*polls)

    await told("I5: two polls", spoil)


async def test_i5_more_calls_than_a_runner_s_share_are_noticed(monkeypatch: Patch) -> None:
    def count(*_: object) -> float:
        return 0.0

    async def spoil(b: Bed) -> None:
        await b.pipeline(*(activity(f"Job{n}") for n in range(6)))
        runner = b.runner(account_share=0.01)
        works(b, runner)
        async with b.running(runner) as run:
            await b.advance(1)
            await run.stop()

    monkeypatch.setattr(Budget, "count", count)
    await told("I5: too many calls of PollForTask", spoil)


# -- I6, I7 ---------------------------------------------------------------------------------


@asynccontextmanager
async def a_thread() -> AsyncGenerator[None]:
    release = threading.Event()
    thread = threading.Thread(target=release.wait, name="stray")
    thread.start()
    yield
    release.set()
    thread.join()


@asynccontextmanager
async def a_task() -> AsyncGenerator[None]:
    task = asyncio.ensure_future(asyncio.Event().wait())
    yield
    task.cancel()
    await asyncio.wait([task])


@asynccontextmanager
async def a_child() -> AsyncGenerator[None]:
    gate = multiprocessing.Lock()
    gate.acquire()
    child = multiprocessing.get_context("fork").Process(target=gate.acquire)
    child.start()
    yield
    gate.release()
    child.join()
    child.close()


@asynccontextmanager
async def a_file() -> AsyncGenerator[None]:
    with tempfile.TemporaryFile():
        yield


@pytest.mark.parametrize("left", [a_thread, a_task, a_child, a_file])
async def test_i6_what_is_left_behind_is_noticed(monkeypatch: Patch, left: Any) -> None:
    monkeypatch.setattr(invariants, "_PATIENCE", 0.05)
    made = left()

    async def leave(_: Bed) -> None:
        await made.__aenter__()

    await told("I6: these are left", leave)
    await made.__aexit__(None, None, None)


async def test_i6_a_place_that_is_not_given_back_is_noticed(monkeypatch: Patch) -> None:
    def leave(*_: object) -> None:
        pass

    monkeypatch.setattr(Attempts, "_leave", leave)
    await told("I6: 7 places are free", run_a_task)


async def test_i7_a_runner_that_takes_too_long_to_end_is_noticed(monkeypatch: Patch) -> None:
    async def wind_down(engine: Engine) -> None:
        await engine._until(lambda: not engine._tasks)

    async def spoil(b: Bed) -> None:
        await b.pipeline(activity())
        runner = b.runner(drain_timeout=100, cancel_grace=10)
        works(b, runner, seconds=500)
        async with b.running(runner) as run:
            await run.stop()

    monkeypatch.setattr(Engine, "_wind_down", wind_down)
    await told("I7: it stopped after", spoil)


async def test_i7_success_with_something_undelivered_is_noticed() -> None:
    async def spoil(b: Bed) -> None:
        await b.pipeline(activity())
        runner = b.runner(drain_timeout=10, cancel_grace=0)
        works(b, runner)
        b.fault = lambda call: Lose("request") if call.operation == "SetTaskStatus" else None
        async with b.running(runner) as run:
            result = await run.stop()
        over = asyncio.get_running_loop().create_future()
        over.set_result(replace(result, exit_code=0))
        run.task = over

    await told("I7: 0, and something is undelivered", spoil)


# -- I8 -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "match"),
    [
        ({"errorMessage": "a\0b"}, "I8: 'a.x00b'"),
        ({"errorId": "x" * 1025}, "I8: errorId is too long"),
        ({"errorStackTrace": "x" * 1025}, "I8: errorStackTrace is too long"),
        ({"errorId": "Service_Down"}, "I8: the error id 'Service_Down'"),
        ({"errorId": ""}, "I8: the error id ''"),
        ({"fields": [{"key": "k", "stringValue": "v"}] * 51}, "I8: too many fields"),
        ({"fields": [{"key": "k" * 257, "stringValue": "v"}]}, "I8: a key"),
        ({"fields": [{"key": "k", "stringValue": "v" * 10_241}]}, "I8: a value"),
    ],
)
async def test_i8_a_text_that_the_service_does_not_take_is_noticed(
    body: dict[str, Any], match: str
) -> None:
    async def spoil(b: Bed) -> None:
        b.fault = lambda call: beds.error("InvalidRequestException")
        await send(b, "SetTaskStatus", taskId="t", taskStatus="FAILED", **body)

    await told(match, spoil)


async def test_a_handler_in_a_thread_is_watched_as_well() -> None:
    async with bed() as b:
        await b.pipeline(activity())
        runner = b.runner()

        @runner.handler(SHELL, run_in="thread")
        def handle(task: SyncTask) -> None:
            raise ValueError("no")

        async with b.running(runner) as run:
            await b.really(lambda: bool(b.statuses_sent()))
            await run.stop()

        (had,) = b.had
        assert (had.runner, had.outcome) == ("runner", "FAILED")


async def test_a_handler_that_goes_on_has_no_outcome_yet() -> None:
    async with bed() as b:
        await b.pipeline(activity())
        runner = b.runner()
        done = asyncio.Event()

        @runner.handler(SHELL)
        async def handle(task: Task) -> None:
            await done.wait()

        async with b.running(runner) as run:
            assert [each.outcome for each in b.had] == [""]
            done.set()
            await run.stop()
            assert [each.outcome for each in b.had] == ["FINISHED"]
