"""The runner's parts, each by itself, where a whole runner would show too little."""

# pyright: reportPrivateUsage=false, reportUnknownLambdaType=false, reportUnknownArgumentType=false, reportUnknownMemberType=false

from __future__ import annotations

import asyncio
import os
import pickle
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from inspect import iscoroutinefunction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from aiodatapipeline import (
    ConfigurationError,
    DataPipelineClient,
    DataPipelineError,
    Reply,
    SetTaskStatusRequest,
)
from aiodatapipeline._clock import SystemClock, VirtualClock
from aiodatapipeline._failure import Failure
from aiodatapipeline.models import PipelineObject, Ref, TaskObject, TaskStatus
from aiodatapipeline.runner import (
    CancelReason,
    Event,
    EventKind,
    Period,
    SyncTask,
    Task,
    TaskFailed,
    TaskInfo,
    TaskRunner,
    _process,
)
from aiodatapipeline.runner._attempts import Attempt, Attempts
from aiodatapipeline.runner._caller import Caller
from aiodatapipeline.runner._engine import Engine
from aiodatapipeline.runner._events import Hook
from aiodatapipeline.runner._handlers import read, seconds
from aiodatapipeline.runner._job import Job
from aiodatapipeline.runner._lease import Keeper, Lease
from aiodatapipeline.runner._outbox import FileOutbox, OutboxError, RowState
from aiodatapipeline.runner._outcome import Raised, Returned, failure, request_for, simpler
from aiodatapipeline.runner._process import HandlerProcess
from aiodatapipeline.runner._task import LOGGER, Unlinked
from tests.runner import functions
from tests.runner.bed import PROFILES, SHELL, Call, Fault, Lose, activity, bed, error, waits, works
from tests.runner.fakes import Answers, hurried


def an_object(**fields: Any) -> PipelineObject:
    return PipelineObject.of("@Job_Attempt=2", fields)


def info(**fields: Any) -> TaskInfo:
    subject = an_object(**fields)
    return TaskInfo("Job", "df-1", subject.id, "etl", subject, {subject.id: subject})


# -- tasks --------------------------------------------------------------------------------


def test_a_task_tells_its_attempt_and_its_interval() -> None:
    told = info(**{"@scheduledStartTime": "2026-01-01T00:00:00", "@scheduledEndTime": "soon"})

    assert told.attempt_number == 2
    assert told.scheduled_start is not None
    assert told.scheduled_start.isoformat() == "2026-01-01T00:00:00+00:00"
    assert told.scheduled_end is None
    assert info().scheduled_start is None


def test_an_attempt_without_a_number_has_none() -> None:
    subject = PipelineObject.of("odd", {})

    assert TaskInfo("Job", "df-1", "odd", "etl", subject, {}).attempt_number is None


async def test_a_task_that_was_pickled_knows_what_it_is_about_and_no_more() -> None:
    class Linked(Unlinked):
        cancelled = CancelReason.CANCELED

    task: SyncTask = pickle.loads(pickle.dumps(SyncTask(info(), Linked())))

    assert task.attempt_id == "@Job_Attempt=2"
    assert task.cancelled is None
    task.raise_if_cancelled()
    task.progress(50)
    task.on_cancel(lambda: None)
    with pytest.raises(LookupError):
        await Task(info(), Unlinked()).evaluate("#{x}")
    with pytest.raises(LookupError):
        await Task(info(), Unlinked()).resolve(Ref("Elsewhere"))


def test_a_failure_in_own_words_survives_pickling() -> None:
    failed: TaskFailed = pickle.loads(pickle.dumps(TaskFailed("Id", "message", detail="detail")))

    assert (failed.error_id, str(failed), failed.detail) == ("Id", "message", "detail")


# -- registering --------------------------------------------------------------------------


def test_a_function_that_would_block_the_loop_is_refused() -> None:
    def blocks(task: Any) -> None: ...

    with pytest.raises(TypeError, match="run_in='thread'"):
        TaskRunner("etl").handler("Job")(blocks)  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]


def test_an_async_function_runs_nowhere_but_in_the_loop() -> None:
    async def handle(task: SyncTask) -> None: ...

    with pytest.raises(TypeError, match="is async"):
        TaskRunner("etl").handler("Job", run_in="thread")(handle)


def test_a_function_that_no_process_could_find_is_refused() -> None:
    def inside(task: SyncTask) -> None: ...

    hidden: list[Callable[[SyncTask], None]] = [inside, lambda _: None]
    for each in hidden:
        with pytest.raises(TypeError, match="of Job is not at the top of a module"):
            TaskRunner("etl").handler("Job", run_in="process")(each)


def test_there_is_no_other_place_to_run_in() -> None:
    def handle(task: SyncTask) -> None: ...

    with pytest.raises(TypeError, match="not 'moon'"):
        TaskRunner("etl").handler("Job", run_in="moon")(handle)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]


def test_a_type_has_one_handler() -> None:
    runner = TaskRunner("etl")

    async def handle(task: Task) -> None: ...

    assert runner.handler("Job")(handle) is handle
    with pytest.raises(ValueError, match="a handler of Job already"):
        runner.handler("Job")(handle)
    assert runner.types() == ["Job"]
    assert runner.worker_groups == ("etl",)


async def test_an_object_that_is_called_and_async_is_a_handler() -> None:
    class Handler:
        async def __call__(self, task: Task) -> None: ...

    runner = TaskRunner("etl")
    runner.handler("Job")(Handler())

    assert runner.types() == ["Job"]


def test_a_model_is_filled_by_the_names_at_the_service() -> None:
    class Model(BaseModel):
        id: str
        chunk_size: int
        names: list[str]
        password: str
        odd: str = Field(validation_alias="odd-name")
        wait: Period
        inputs: tuple[Ref, ...] | None = Field(default=None, validation_alias="input")
        labels: dict[str, str] = {}

    made = read(
        Model,
        an_object(
            chunkSize="5",
            names="one",
            **{"*password": "secret", "odd-name": "x", "extra": ["a", "b"]},
            wait="2 Hours",
            input=[Ref("A"), Ref("B")],
        ),
    )

    assert made.chunk_size == 5
    assert made.names == ["one"]
    assert (made.password, made.odd, made.wait) == ("secret", "x", timedelta(hours=2))
    assert made.inputs == (Ref("A"), Ref("B"))


def test_a_period_is_a_number_and_a_unit() -> None:
    assert [seconds(each) for each in ("1 second", "15 minutes", "2 Days", "1 month")] == [
        1,
        900,
        172_800,
        2_592_000,
    ]
    with pytest.raises(ValueError, match="no period"):
        seconds("a while")


@given(st.text() | st.binary().map(repr), st.text(), st.text())
def test_any_words_of_a_failure_fit(error_id: str, message: str, detail: str) -> None:
    told = failure(error_id, message, detail)

    request = SetTaskStatusRequest(
        task_id="task",
        task_status=TaskStatus.FAILED,
        error_id=told.error_id,
        error_message=told.message,
        error_stack_trace=told.stack_trace,
    )
    assert request.error_id
    assert len(told.stack_trace) <= 1024
    for form in simpler(request):
        assert form.task_status is TaskStatus.FAILED
        assert SetTaskStatusRequest.from_wire(form.to_wire()) == form


def test_a_success_cannot_be_simpler() -> None:
    assert list(simpler(SetTaskStatusRequest(task_id="t", task_status="FINISHED"))) == []


@pytest.mark.parametrize(
    ("ended", "cancelled", "status"),
    [
        (Returned(value=True), None, "FINISHED"),
        (Returned(value=False), None, "FALSE"),
        (Returned(value=False), CancelReason.LAPSED, None),
        (Returned(value=True), CancelReason.LAPSED, "FINISHED"),
        (Returned(value=True), CancelReason.LOST, None),
        (Raised(Failure("E", "", "")), CancelReason.LAPSED, None),
        (Raised(Failure("E", "", "")), CancelReason.TIMEOUT, "FAILED"),
    ],
)
def test_what_the_service_is_told_of_a_precondition(
    ended: Returned | Raised, cancelled: CancelReason | None, status: str | None
) -> None:
    told = request_for("task", ended, cancelled, is_precondition=True)

    assert (told and told.task_status) == status


# -- jobs ---------------------------------------------------------------------------------


def a_job(function: Callable[..., Any], clock: VirtualClock, run_in: Any = None) -> Job:
    runner = TaskRunner("etl")
    runner.handler("Job", run_in=run_in)(function) if run_in else runner.handler("Job")(function)
    handler = runner.get("Job")
    assert handler is not None
    return Job(
        info(),
        handler,
        clock,
        grace=30,
        nudge=5,
        note=lambda _: None,
        asks=Unlinked(),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    )


async def test_a_job_that_is_cancelled_before_it_begins_does_not_begin() -> None:
    async def handle(task: Task) -> None:
        raise AssertionError

    job = a_job(handle, VirtualClock())
    job.cancel(CancelReason.SHUTDOWN)

    assert isinstance(await job.perform(), Raised)


async def test_on_cancel_calls_at_once_what_comes_late_and_logs_what_fails(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def handle(task: Task) -> None: ...

    job = a_job(handle, VirtualClock())
    called = threading.Event()

    def fail() -> None:
        called.set()
        raise ValueError("in on_cancel")

    job.cancel(CancelReason.CANCELED)
    job.on_cancel(fail)
    await asyncio.to_thread(called.wait)
    while "in on_cancel" not in caplog.text:  # a thread writes it
        await asyncio.sleep(0.001)

    assert job.lease == "held"


async def test_a_job_whose_runner_has_no_more_time_leaves_its_handler_behind() -> None:
    release = asyncio.Event()

    async def handle(task: Task) -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    job = a_job(handle, VirtualClock())
    work = asyncio.ensure_future(job.perform())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work

    assert job.leaked
    release.set()
    await asyncio.wait(asyncio.all_tasks() - {asyncio.current_task()})


# -- processes ----------------------------------------------------------------------------


class Pipe:
    """The end of a pipe that a process has."""

    def __init__(self) -> None:
        self.sent: list[Any] = []

    def send(self, value: Any) -> None:
        self.sent.append(value)

    def recv(self) -> Any:
        raise EOFError


@pytest.mark.parametrize(
    ("function", "last"),
    [
        (lambda task: task.progress(50), Returned(None)),
        (lambda _: True, Returned(value=True)),
        (lambda _: int("x"), "ValueError"),
        (lambda _: os.kill(os.getpid(), signal.SIGTERM), "SystemExit"),
    ],
    ids=["progress", "true", "raises", "told to stop"],
)
def test_a_process_says_how_its_handler_ended_and_ends_with_its_parent(
    monkeypatch: pytest.MonkeyPatch, function: Callable[[SyncTask], Any], last: Any
) -> None:
    done: list[Any] = []
    ended_with_parent = threading.Event()
    monkeypatch.setattr(os, "setsid", lambda: done.append("setsid"))
    monkeypatch.setattr(os, "_exit", done.append)
    monkeypatch.setattr(os, "killpg", lambda *_: ended_with_parent.set())
    before = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}
    pipe = Pipe()

    try:
        _process._child(pipe, function, info(), ())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

    assert done == ["setsid", 0]
    said = pipe.sent[-1]
    assert last in (said, said.failure.error_id if isinstance(said, Raised) else said)
    assert ended_with_parent.wait(5)


async def test_a_process_may_be_stopped_before_it_has_begun() -> None:
    over = threading.Event()
    ended: list[Any] = []

    def done(result: Any) -> None:
        ended.append(result)
        over.set()

    process = HandlerProcess(functions.holds, info(), (), lambda _: None, done)
    process.stop(force=True)
    await asyncio.to_thread(over.wait)

    assert ended[0].failure.error_id == "ProcessDied"
    process.stop(force=True)  # it is over, and nothing happens


async def test_the_progress_of_a_process_is_reported() -> None:
    async with bed() as b:
        await b.pipeline(activity())
        runner = b.runner()
        runner.handler(SHELL, run_in="process")(functions.returns)
        noted: list[Mapping[str, Any]] = []
        real = Lease.note

        def note(lease: Lease, fields: Mapping[str, Any]) -> None:
            noted.append(fields)
            real(lease, fields)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Lease, "note", note)
            async with b.running(runner) as run:
                await b.really(lambda: bool(b.statuses_sent()))
                await run.stop()

        assert noted[0]["percent_complete"] == 50


# -- the keeper ---------------------------------------------------------------------------


@pytest.mark.parametrize("breaks", [1, 2])
async def test_row_31_a_keeper_that_breaks_down_is_started_once_more(
    monkeypatch: pytest.MonkeyPatch, breaks: int
) -> None:
    answers = Answers("Job")
    events: list[Event] = []
    runner = hurried(TaskRunner("etl", client=answers.client, on_event=events.append))
    proceed = asyncio.Event()

    @runner.handler("Job")
    async def handle(task: Task) -> None:
        await proceed.wait()

    left = breaks
    real = Keeper._send_due

    def send_due(keeper: Keeper, *arguments: Any) -> None:
        nonlocal left
        if left and answers.times("ReportTaskProgress"):
            left -= 1
            raise RuntimeError("a fault of ours")
        real(keeper, *arguments)

    monkeypatch.setattr(Keeper, "_send_due", send_due)
    run = asyncio.ensure_future(runner.run())
    async with asyncio.timeout(20):
        while len([e for e in events if e.kind is EventKind.KEEPER]) < breaks:
            await asyncio.sleep(0.005)
        reports = len(answers.times("ReportTaskProgress"))
        if breaks == 1:
            while len(answers.times("ReportTaskProgress")) < reports + 3:
                await asyncio.sleep(0.005)
            runner.stop()
        proceed.set()
        result = await run

    assert result.exit_code == (0 if breaks == 1 else 1)
    assert result.finished == 1


async def test_row_31_a_keeper_that_breaks_down_as_it_is_closed_is_not_started_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers = Answers()
    runner = hurried(TaskRunner("etl", client=answers.client))
    broken, closing = threading.Event(), threading.Event()
    real = Keeper.aclose

    async def aclose(keeper: Keeper) -> None:
        asyncio.get_running_loop().call_soon(closing.set)
        await real(keeper)

    def send_due(*_: object) -> None:
        if not broken.is_set():
            raise RuntimeError("a fault of ours")

    def log(*_: object) -> None:
        broken.set()
        closing.wait()

    monkeypatch.setattr(Keeper, "aclose", aclose)
    monkeypatch.setattr(Keeper, "_send_due", send_due)
    monkeypatch.setattr(LOGGER, "exception", log)
    run = asyncio.ensure_future(runner.run())
    async with asyncio.timeout(20):
        await asyncio.to_thread(broken.wait)
        runner.stop()
        result = await run

    assert result.exit_code == 0


async def test_row_31_a_report_that_breaks_down_costs_no_lease(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real, left = Lease.request, [3]

    def request(lease: Lease, **arguments: Any) -> Any:
        if left[0]:
            left[0] -= 1
            raise RuntimeError("a fault of ours")
        return real(lease, **arguments)

    monkeypatch.setattr(Lease, "request", request)
    async with bed() as b:
        pipeline = await b.pipeline(activity())
        runner = b.runner()
        works(b, runner, seconds=300)
        async with b.running(runner) as run:
            await b.advance(310)
            await run.stop()

        assert "a report broke down" in caplog.text
        assert await b.statuses(pipeline) == {"Job": "FINISHED"}


# Each step that what keeps the leases takes, where a fault of ours could be.
STEPS = [
    (Keeper, "_is_home_alive"), (Keeper, "_send_due"), (Keeper, "_judge"), (Keeper, "_report"),
    (Keeper, "_send"), (Keeper, "_pace"), (Keeper, "_settled"), (Keeper, "_refused"),
    (Keeper, "_failed"), (Lease, "request"), (Lease, "taken"), (Caller, "call"),
    (Caller, "open"), (Caller, "aclose"),
]  # fmt: skip


@pytest.mark.parametrize(("owner", "step"), STEPS, ids=lambda each: getattr(each, "__name__", each))
async def test_row_31_a_fault_in_any_step_of_the_keeper_costs_no_lease_or_stops_the_runner(
    monkeypatch: pytest.MonkeyPatch, owner: type, step: str
) -> None:
    """It breaks once, in the keeper's own thread; leases are as short as they may be."""
    home, armed, broken = threading.get_ident(), threading.Event(), set[str]()

    def spoil(owner: type, step: str) -> None:
        real = getattr(owner, step)

        def break_once() -> None:
            if threading.get_ident() != home and armed.is_set() and step not in broken:
                broken.add(step)
                raise RuntimeError("a fault of ours")

        def spoiled(*arguments: Any, **named: Any) -> Any:
            break_once()
            return real(*arguments, **named)

        async def spoiled_async(*arguments: Any, **named: Any) -> Any:
            break_once()
            return await real(*arguments, **named)

        monkeypatch.setattr(owner, step, spoiled_async if iscoroutinefunction(real) else spoiled)

    spoil(owner, step)
    if twice := step == "open":  # it comes to this when something else broke before
        spoil(Keeper, "_send_due")
    async with bed(PROFILES["strict"]) as b:
        pipeline = await b.pipeline(activity())
        runner = b.runner()
        works(b, runner, seconds=200 if twice else 450)
        # Every other report fails, so that this is a step too.
        b.fault = lambda call: (
            Lose("request", 1)
            if call.operation == "ReportTaskProgress" and call.number % 2
            else None
        )
        async with b.running(runner) as run:
            await b.advance(100)
            armed.set()
            await b.advance(400)
            result = await run.stop()

        assert step in broken
        assert [each for each in b.told("lease") if each.detail["state"] == "lapsed"] == []
        assert await b.statuses(pipeline) == {"Job": "FINISHED"}
        assert (result.finished, result.exit_code) == (1, int(twice))


async def test_a_fault_of_the_runner_s_own_ends_no_other_task_and_stops_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with bed() as b:
        await b.pipeline(activity("One"), activity("Two"))
        runner = b.runner()
        works(b, runner, seconds=30)
        real = TaskInfo.of

        def of(task: TaskObject, group: str, *, resumed: bool = False) -> TaskInfo:
            if "Two" in task.attempt_id:
                raise ZeroDivisionError
            return real(task, group, resumed=resumed)

        monkeypatch.setattr(TaskInfo, "of", of)
        async with b.running(runner) as run:
            result = await run.until_over()

        assert (result.exit_code, result.finished) == (1, 1)


# -- events -------------------------------------------------------------------------------


def test_a_hook_that_is_too_slow_loses_events_and_that_is_told(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aiodatapipeline.runner._events._BACKLOG", 2)
    begun, release = threading.Event(), threading.Event()

    def slow(_event: Event) -> None:
        begun.set()
        release.wait()

    hook = Hook(slow)
    hook.put(Event(EventKind.POLLED, 0.0))
    begun.wait()
    for _ in range(5):
        hook.put(Event(EventKind.POLLED, 0.0))
    release.set()
    hook.close()

    assert "3 events were dropped" in caplog.text


# -- hand-overs, questions, credentials ---------------------------------------------------


async def test_a_task_handed_over_again_while_it_is_being_worked_on_is_not_begun_twice() -> None:
    async with bed() as b:
        await b.pipeline(activity())
        runner = b.runner()
        waits(b, runner)

        def fault(call: Call) -> Fault:
            polls = b.made("PollForTask")
            if call.operation == "PollForTask" and len(polls) == 2 and polls[0].reply:
                return polls[0].reply
            return None

        b.fault = fault
        async with b.running(runner) as run:
            await b.advance(99)
            assert b.told("dropped") == []
            await b.advance(3)
            assert [each.detail["why"] for each in b.told("dropped")] == [
                "it is being worked on here"
            ]
            assert len(b.had) == 1
            await run.stop(cancel=True)


async def test_a_question_of_a_handler_is_asked_three_times_and_a_refusal_told() -> None:
    async with bed() as b:
        await b.pipeline(activity())
        runner = b.runner()
        told: list[object] = []

        @runner.handler(SHELL)
        async def handle(task: Task) -> None:
            for ask in (task.evaluate("#{command}"), task.resolve("Nowhere"), task.evaluate("x")):
                try:
                    told.append(await ask)
                except (LookupError, DataPipelineError) as found:
                    told.append(type(found).__name__)

        fates: list[Fault] = [Lose("request")] * 3
        b.fault = lambda call: (
            fates.pop(0) if call.operation == "EvaluateExpression" and fates else None
        )
        async with b.running(runner) as run:
            await b.advance(60)
            await run.stop()

        assert (told[0], told[2]) == ("ResponseLostError", "x")
        assert told[1] in {"LookupError", "InvalidRequestException"}
        assert len(b.made("EvaluateExpression")) == 4


class NeverOpen(DataPipelineClient):
    """A client whose credentials come from a program that never ends."""

    def __init__(self, opening: threading.Event | None = None) -> None:
        super().__init__()
        self._opening = opening or threading.Event()

    async def open(self) -> None:
        self._opening.set()
        await asyncio.Event().wait()


def no_credentials() -> DataPipelineClient:
    raise ConfigurationError("no credentials at the moment")


def no_file() -> DataPipelineClient:
    raise FileNotFoundError


@pytest.mark.parametrize("fourth", [no_credentials, no_file, NeverOpen])
async def test_row_8_a_client_is_made_anew_when_its_credentials_are_refused_for_long(
    fourth: Callable[[], DataPipelineClient],
) -> None:
    async with bed() as b:
        made = 0

        def client() -> DataPipelineClient:
            nonlocal made
            made += 1
            return fourth() if made == 4 else b.client()

        runner = b.runner(client=client)
        b.fault = lambda _: error("ExpiredTokenException")
        async with b.running(runner) as run:
            await b.advance(900)
            assert made > 4
            b.fault = lambda _: None
            await b.until(lambda: runner.health.status == "ok", limit=200)
            await run.stop()


@pytest.mark.parametrize("which", [1, 2, 3])
@pytest.mark.parametrize("stops", [1, 2])
async def test_a_runner_that_waits_for_credentials_can_be_stopped(which: int, stops: int) -> None:
    made, opening = 0, threading.Event()

    def client() -> DataPipelineClient:
        nonlocal made
        made += 1
        return NeverOpen(opening) if made == which else answers.client()

    answers = Answers()
    # Told once, it hopes for as long as a call may take.
    runner = hurried(TaskRunner("etl", client=client), control=0.01 if stops == 1 else 600.0)
    run = asyncio.ensure_future(runner.run())
    async with asyncio.timeout(20):
        await asyncio.to_thread(opening.wait)
        runner.stop()
        if stops == 2:
            runner.stop(cancel=True)
        result = await run

    assert result.exit_code == 1
    assert answers.sent == []


async def test_a_client_that_cannot_be_made_keeps_no_state_directory(tmp_path: Path) -> None:
    runner = TaskRunner("etl", client=no_file, state_dir=tmp_path)
    with pytest.raises(FileNotFoundError) as raised:
        await runner.run()

    FileOutbox(tmp_path, SystemClock()).close()
    assert raised.value.__traceback__ is not None  # it has a hold of all that was made


async def test_an_object_that_is_nowhere_is_told() -> None:
    other = b'{"pipelineObjects": [{"id": "Other", "name": "Other", "fields": []}]}'
    async with bed() as b:
        pipeline = await b.pipeline(activity())
        runner = b.runner()

        @runner.handler(SHELL)
        async def handle(task: Task) -> None:
            await task.resolve("Nowhere")

        b.fault = lambda call: Reply(200, other) if call.operation == "DescribeObjects" else None
        async with b.running(runner) as run:
            await run.stop()

        assert (await b.attempts(pipeline))[0].string("errorId") == "LookupError"


async def test_a_task_that_came_too_late_to_be_acknowledged_is_left_to_others() -> None:
    answers = Answers("Job")
    events: list[Event] = []
    runner = hurried(
        TaskRunner("etl", client=answers.client, on_event=events.append), acknowledge=0.0
    )

    @runner.handler("Job")
    async def handle(task: Task) -> None:
        raise AssertionError

    run = asyncio.ensure_future(runner.run())
    async with asyncio.timeout(20):
        while not [each for each in events if each.kind is EventKind.DROPPED]:
            await asyncio.sleep(0.005)
    runner.stop()
    await run

    assert answers.times("ReportTaskProgress") == []


async def test_a_client_that_cannot_be_closed_keeps_no_runner_from_ending(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    home = asyncio.get_running_loop()
    real = Caller.aclose

    async def aclose(caller: Caller) -> None:
        await real(caller)
        if asyncio.get_running_loop() is not home:
            raise OSError("the connection is gone")

    monkeypatch.setattr(Caller, "aclose", aclose)
    async with bed() as b, b.running(b.runner()) as run:
        result = await run.stop()

    assert result.exit_code == 0


async def test_a_question_that_is_refused_is_not_asked_again() -> None:
    async with bed() as b:
        await b.pipeline(activity())
        runner = b.runner()
        told: list[str] = []

        @runner.handler(SHELL)
        async def handle(task: Task) -> None:
            try:
                await task.evaluate("x")
            except DataPipelineError as found:
                told.append(found.code)

        b.fault = lambda call: (
            error("InvalidRequestException") if call.operation == "EvaluateExpression" else None
        )
        async with b.running(runner) as run:
            await run.stop()

        assert told == ["InvalidRequestException"]
        assert len(b.made("EvaluateExpression")) == 1


async def test_a_task_whose_runner_stops_while_it_is_written_down_does_not_begin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with bed() as b:
        await b.pipeline(activity())
        runner = b.runner(state_dir=tmp_path, recover="fail")
        had = works(b, runner)
        real = Attempts._accept

        async def accept(attempts: Attempts, attempt: Attempt, task: TaskObject) -> bool:
            accepted = await real(attempts, attempt, task)
            attempts.cancel(attempt, CancelReason.SHUTDOWN)
            attempts.cancel(attempt, CancelReason.TIMEOUT)
            return accepted

        monkeypatch.setattr(Attempts, "_accept", accept)
        async with b.running(runner) as run:
            runner.stop(cancel=True)
            runner.stop()  # it is in a hurry already
            await run.until_over()

        assert had == []
        assert [each.body["errorId"] for each in b.made("SetTaskStatus")] == ["RunnerShutdown"]


async def test_a_fault_in_a_poller_ends_the_runner_with_that_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def poll(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Engine, "_poll", poll)
    async with bed() as b:
        with pytest.raises(ZeroDivisionError):
            await b.runner().run()


async def test_the_third_signal_exits(monkeypatch: pytest.MonkeyPatch) -> None:
    codes: list[int] = []
    monkeypatch.setattr(os, "_exit", codes.append)
    async with bed() as b:
        runner = b.runner()
        async with b.running(runner, signals=True) as run:
            for _ in range(3):
                os.kill(os.getpid(), signal.SIGTERM)
            await run.until_over()

    assert codes == [128 + signal.SIGTERM]


async def test_what_blocks_the_loop_may_be_no_handler() -> None:
    answers = Answers("Waits")
    events: list[Event] = []
    runner = hurried(TaskRunner("etl", client=answers.client, on_event=events.append))

    @runner.handler("Waits")
    async def handle(task: Task) -> None:
        await asyncio.Event().wait()

    run = asyncio.ensure_future(runner.run())
    async with asyncio.timeout(20):
        while not runner.health.running:
            await asyncio.sleep(0.005)
    time.sleep(0.2)  # noqa: ASYNC251  # what nobody should write
    runner.stop(cancel=True)
    await run

    blocked = [each for each in events if each.kind is EventKind.BLOCKED]
    assert blocked[0].detail["handler"] == ""


# -- the outbox and the clock -------------------------------------------------------------


async def test_an_outcome_that_cannot_be_marked_as_running_is_worked_on_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_outbox: FileOutbox, _number: int) -> None:
        raise OutboxError("the disk is full")

    monkeypatch.setattr(FileOutbox, "running", fail)
    async with bed() as b:
        pipeline = await b.pipeline(activity())
        runner = b.runner(state_dir=tmp_path, recover="fail")
        works(b, runner)
        async with b.running(runner) as run:
            await run.stop()

        assert await b.statuses(pipeline) == {"Job": "FINISHED"}


async def test_a_disk_that_fails_before_a_commit_begins_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox = FileOutbox(tmp_path, SystemClock())

    class Broken:
        in_transaction = False

        def execute(self, *_: object) -> None:
            raise sqlite3.OperationalError("disk I/O error")

    real = outbox._database
    outbox._database = Broken()  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(OutboxError, match="disk I/O error"):
        await outbox.over(1, RowState.DROPPED, "")
    assert outbox.error == "disk I/O error"
    outbox._database = real
    with pytest.raises(OutboxError, match="no such table"):
        await outbox._write("INSERT INTO nowhere VALUES (1)")
    await outbox.probe()
    assert outbox.error == ""
    outbox.close()


async def test_writes_that_come_together_share_a_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox = FileOutbox(tmp_path, SystemClock())
    sizes: list[int] = []
    real = FileOutbox._commit

    def commit(self: FileOutbox, batch: Any) -> None:
        sizes.append(len(batch))
        time.sleep(0.02)
        real(self, batch)

    monkeypatch.setattr(FileOutbox, "_commit", commit)
    await asyncio.gather(*(outbox.probe() for _ in range(20)))
    outbox.close()

    assert sizes in ([20], [1, 19])


async def test_a_write_whose_caller_was_cancelled_keeps_its_place(tmp_path: Path) -> None:
    outbox = FileOutbox(tmp_path, SystemClock())
    write = asyncio.ensure_future(outbox.probe())
    await asyncio.sleep(0)
    write.cancel()
    await outbox.probe()
    outbox.close()

    assert outbox.error == ""


def test_row_17_time_goes_on_while_the_machine_sleeps(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SystemClock()
    before = clock.time()
    real = time.clock_gettime
    monkeypatch.setattr(time, "clock_gettime", lambda which: real(which) + 1200)

    assert 1200 <= clock.time() - before < 1210


def test_row_17_setting_the_machine_s_clock_changes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = SystemClock()
    before = clock.time()
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() - 7200)

    assert 0 <= clock.time() - before < 10


def test_row_17_without_such_a_clock_the_usual_one_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(time, "CLOCK_BOOTTIME")
    clock = SystemClock()

    assert abs(clock.time() - time.time()) < 10


async def test_row_17_after_a_sleep_the_next_action_is_a_report() -> None:
    """The machine slept for 20 minutes: nothing failed, so nothing is concluded from the age."""
    async with bed() as b:
        await b.pipeline(activity())
        runner = b.runner()
        seen: list[CancelReason | None] = []
        waits(b, runner, seen)
        async with b.running(runner) as run:
            await b.advance(30)
            calls = len(b.calls)
            b.clock._now += 1200
            await b.advance(10)
            assert b.told("lease") == [] or seen == [CancelReason.LOST]
            reports = [each for each in b.calls[calls:] if each.operation.endswith("Progress")]
            assert reports
            await run.stop(cancel=True)
