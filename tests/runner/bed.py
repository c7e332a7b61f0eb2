"""A test bed: runners against the local service, in a time that is skipped.

Every call goes through ``Wire``, which writes it down, can lose it, and lets the keeper's thread
reach the service in the loop that it belongs to. ``check`` holds what happened against the
invariants of the runner.
"""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

from aiodatapipeline import DataPipelineClient, Reply, ResponseLostError
from aiodatapipeline._clock import VirtualClock, sleep
from aiodatapipeline.definition import Definition
from aiodatapipeline.local._engine._world import Hooks
from aiodatapipeline.local._quotas import AccountQuotas
from aiodatapipeline.local._service import Service
from aiodatapipeline.local._switches import Switches
from aiodatapipeline.models import PipelineObject
from aiodatapipeline.runner import CancelReason, Event, EventKind, RunResult, Task, TaskRunner
from aiodatapipeline.runner._task import LOGGER

PROFILES = {
    "default": Switches(),
    "strict": Switches.STRICT,
    "lenient": Switches.LENIENT,
    "hostile": Switches.HOSTILE,
}

SHELL = "ShellCommandActivity"

GONE = {"TaskNotFoundException", "PipelineDeletedException", "PipelineNotFoundException"}


@dataclass
class Call:
    """An exchange, as the carrier of it sees it."""

    number: int
    at: float
    operation: str
    body: Mapping[str, Any]
    runner: str
    reply: Reply | None = None
    """What the service said, whether it reached the runner or not."""
    heard: bool = False
    """Whether it did."""
    real: bool = False
    """Whether it was the service that said it."""
    ended: int = 0
    """The number of calls that had begun when it was over."""

    @property
    def task_id(self) -> str:
        return str(self.body.get("taskId", ""))

    @property
    def said(self) -> dict[str, Any]:
        try:
            said: object = json.loads(self.reply.body) if self.reply and self.reply.body else {}
        except ValueError:  # it was to be nonsense
            return {}
        return cast("dict[str, Any]", said) if isinstance(said, dict) else {}

    @property
    def code(self) -> str:
        return str(self.said.get("__type", "")).rpartition("#")[2]

    @property
    def taken(self) -> bool:
        return self.real and self.reply is not None and self.reply.status == 200


@dataclass(frozen=True)
class Lose:
    """Lose a call: its request, or its answer after it was carried out."""

    what: str
    """``request`` or ``answer``."""
    after: float = 0.0
    """Seconds until the caller learns that the connection broke; infinity: never."""


@dataclass(frozen=True)
class Slow:
    """Let the answer take so many seconds."""

    seconds: float


Fault = Lose | Slow | Reply | Exception | None


@dataclass
class Bed:
    """Use it with ``async with bed(...)``."""

    service: Service
    clock: VirtualClock
    loop: asyncio.AbstractEventLoop
    calls: list[Call] = field(default_factory=list[Call])
    events: list[Event] = field(default_factory=list[Event])
    fault: Callable[[Call], Fault] = lambda _: None
    begun: list[tuple[str, int]] = field(default_factory=list[tuple[str, int]])
    """Attempts whose handlers began, with the number of calls before."""
    polls: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    most_polls: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    pipelines: int = 0

    # -- the service ----------------------------------------------------------------------

    def client(self, runner: str = "runner") -> DataPipelineClient:
        return DataPipelineClient(transport=Wire(self, runner))

    async def pipeline(
        self, *objects: Mapping[str, Any], group: str = "etl", retries: int = 0
    ) -> str:
        """Put and activate a pipeline whose objects are done on demand; give its id."""
        self.pipelines += 1
        default = {
            "id": "Default",
            "scheduleType": "ondemand",
            "workerGroup": group,
            "maximumRetries": str(retries),
            "retryDelay": "10 minutes",
        }
        definition = Definition.from_mapping({"objects": [default, *objects]})
        async with DataPipelineClient(transport=Direct(self.service)) as client:
            made = await client.create_pipeline("test", f"token-{self.pipelines}")
            put = await client.call(definition.to_request(made.pipeline_id))
            assert not put.errored, put.validation_errors
            await client.activate_pipeline(made.pipeline_id)
        await self.clock.advance(0)
        return made.pipeline_id

    async def instances(self, pipeline_id: str) -> dict[str, PipelineObject]:
        """Give the instances of a pipeline by their components' ids."""
        async with DataPipelineClient(transport=Direct(self.service)) as client:
            ids = [each async for each in client.query_objects(pipeline_id, "INSTANCE")]
            found = [each async for each in client.describe_objects(pipeline_id, ids)]
        return {each.id[1:].partition("_")[0]: each for each in found}

    async def statuses(self, pipeline_id: str) -> dict[str, str | None]:
        found = await self.instances(pipeline_id)
        return {name: each.string("@status") for name, each in found.items()}

    async def attempts(self, pipeline_id: str) -> list[PipelineObject]:
        async with DataPipelineClient(transport=Direct(self.service)) as client:
            ids = [each async for each in client.query_objects(pipeline_id, "ATTEMPT")]
            return [each async for each in client.describe_objects(pipeline_id, ids)]

    async def cancel(self, pipeline_id: str, *components: str) -> None:
        found = await self.instances(pipeline_id)
        async with DataPipelineClient(transport=Direct(self.service)) as client:
            ids = [found[name].id for name in components]
            await client.set_status(pipeline_id, ids, "TRY_CANCEL")

    async def delete(self, pipeline_id: str) -> None:
        async with DataPipelineClient(transport=Direct(self.service)) as client:
            await client.delete_pipeline(pipeline_id)

    # -- runners --------------------------------------------------------------------------

    def runner(self, name: str = "runner", group: str = "etl", **settings: Any) -> TaskRunner:
        given: dict[str, Any] = {
            "client": lambda: self.client(name),
            "clock": self.clock,
            "hostname": name,
        }
        return TaskRunner(group, **{**given, **settings})

    def begins(self, task: Task | Any) -> None:
        """Note that a handler begins."""
        self.begun.append((task.attempt_id, len(self.calls)))

    @asynccontextmanager
    async def running(self, runner: TaskRunner, **arguments: Any) -> AsyncGenerator[Running, None]:
        run = Running(self, runner, asyncio.ensure_future(runner.run(**arguments)))
        try:
            # A thread begins, and that takes real time.
            while runner.health.status in {"starting", "stopped"} and not run.task.done():
                await asyncio.sleep(0.001)  # a thread begins: that takes real time
            await self.clock.advance(0)
            yield run
        finally:
            if not run.task.done():
                runner.stop(cancel=True)
                await run.until_over()

    async def advance(self, seconds: float) -> None:
        await self.clock.advance(seconds)

    async def until(self, condition: Callable[[], bool], limit: float, step: float = 1.0) -> float:
        """Let time go on until something is so. Give the seconds that it took."""
        began = self.clock.time()
        await self.clock.advance(0)
        while not condition():
            assert self.clock.time() - began < limit, "it did not come true in time"
            await self.clock.advance(step)
        return self.clock.time() - began

    async def really(self, condition: Callable[[], bool], limit: float = 20.0) -> None:
        """Wait in real time, for threads and processes."""
        async with asyncio.timeout(limit):
            while not condition():  # it is about other threads
                await asyncio.sleep(0.002)
        await self.clock.advance(0)

    # -- what happened --------------------------------------------------------------------

    def made(self, operation: str, runner: str | None = None) -> list[Call]:
        return [
            each
            for each in self.calls
            if each.operation == operation and runner in {None, each.runner}
        ]

    def statuses_sent(self) -> list[str]:
        return [each.body["taskStatus"] for each in self.made("SetTaskStatus")]

    def told(self, kind: str) -> list[Event]:
        return [each for each in list(self.events) if each.kind == kind]

    def check(self) -> None:
        """Hold what happened against the invariants I2 to I5 and I8."""
        by_task: dict[tuple[str, str], list[Call]] = defaultdict(list)
        handed: dict[str, str] = {}
        for call in self.calls:
            if call.operation == "PollForTask" and call.taken and call.said.get("taskObject"):
                task = call.said["taskObject"]
                handed[task["taskId"]] = task["attemptId"]
                # Handed over (again), whatever it was before.
                by_task[call.runner, task["taskId"]] = []
            elif call.task_id:
                found = by_task[call.runner, call.task_id]
                self._check_one(call, found)
                found.append(call)
        assert self.most_polls <= 1, "I5: two polls of one group at once"
        self._check_acknowledged(handed)

    @staticmethod
    def _check_one(call: Call, before: list[Call]) -> None:
        over = [each for each in before if each.heard and each.ended <= call.number]
        gone = [each for each in over if each.code in GONE or each.said.get("canceled") is True]
        recorded = [each for each in over if each.operation == "SetTaskStatus" and each.taken]
        if call.operation == "SetTaskStatus":
            assert not gone, f"I3: an outcome after {gone[0]}"
            sent = {each.body["taskStatus"] for each in before if each.operation == call.operation}
            assert sent <= {call.body["taskStatus"]}, "I2: two statuses of one task"
            error_id = call.body.get("errorId")
            assert error_id is None or (error_id and not error_id.startswith("Service_")), "I8"
        assert not recorded, f"I3: {call.operation} after the outcome was taken"

    def _check_acknowledged(self, handed: Mapping[str, str]) -> None:
        for attempt_id, calls_before in self.begun:
            acknowledged = [
                call
                for call in self.calls[:calls_before]
                if call.operation == "ReportTaskProgress"
                and call.heard
                and call.taken
                and call.said.get("canceled") is False
                and handed.get(call.task_id) == attempt_id
            ]
            assert acknowledged, f"I4: {attempt_id} began before it was acknowledged"


@dataclass
class Running:
    """A runner at work."""

    bed: Bed
    runner: TaskRunner
    task: asyncio.Future[RunResult]

    async def until_over(self, limit: float = 2000.0) -> RunResult:
        """Let time go on until it has ended."""
        await self.bed.until(self.task.done, limit)
        return self.task.result()

    async def stop(self, *, cancel: bool = False) -> RunResult:
        self.runner.stop(cancel=cancel)
        return await self.until_over()


class Told(logging.Handler):
    """Takes a runner's events from its log, where they are at once."""

    def __init__(self, b: Bed) -> None:
        super().__init__()
        self._bed = b

    def emit(self, record: logging.LogRecord) -> None:
        told = vars(record)
        if "event" in told:
            self._bed.events.append(
                Event(
                    EventKind(told["event"]),
                    self._bed.clock.time(),
                    told["worker_group"],
                    told["pipeline_id"],
                    told["attempt_id"],
                    told["detail"],
                )
            )


class Direct:
    """A transport to the service, for the tests themselves."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def send(self, operation: str, body: Mapping[str, object], timeout: float) -> Reply:
        return await self._service.answer(operation, json.dumps(body).encode())


class Wire:
    """A transport of a runner: from any loop, with faults, and written down."""

    def __init__(self, bed: Bed, runner: str) -> None:
        self._bed, self._runner = bed, runner

    async def send(self, operation: str, body: Mapping[str, object], timeout: float) -> Reply:
        bed = self._bed
        call = Call(0, bed.clock.time(), operation, body, self._runner)
        with bed.lock:
            call.number = len(bed.calls)
            bed.calls.append(call)
        try:
            reply = await self._exchange(call)
            call.heard = True
        finally:
            call.ended = len(bed.calls)
        return reply

    async def _exchange(self, call: Call) -> Reply:
        bed, fault = self._bed, self._bed.fault(call)
        if isinstance(fault, Reply):
            call.reply = fault
            return fault
        if isinstance(fault, Exception):
            raise fault
        if isinstance(fault, Lose) and fault.what == "request":
            await self._break(fault.after)
        if isinstance(fault, Slow):
            await sleep(bed.clock, fault.seconds)
        call.reply = await self._answer(call)
        call.real = True
        if isinstance(fault, Lose):
            await self._break(fault.after)
        return call.reply

    async def _break(self, after: float) -> None:
        if after == float("inf"):
            await asyncio.Event().wait()
        await sleep(self._bed.clock, after)
        raise ResponseLostError("the connection broke")

    async def _answer(self, call: Call) -> Reply:
        bed = self._bed
        body = json.dumps(call.body).encode()
        if call.operation == "PollForTask":
            key = (call.runner, str(call.body["workerGroup"]))
            bed.polls[key] += 1
            bed.most_polls = max(bed.most_polls, bed.polls[key])
            try:
                return await bed.service.answer(call.operation, body)
            finally:
                bed.polls[key] -= 1
        if asyncio.get_running_loop() is bed.loop:
            return await bed.service.answer(call.operation, body)
        with bed.clock.working():
            answer = bed.service.answer(call.operation, body)
            return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(answer, bed.loop))


@asynccontextmanager
async def bed(switches: Switches = PROFILES["default"]) -> AsyncGenerator[Bed, None]:
    """Open a test bed. At its end, what happened is checked."""
    clock = VirtualClock()
    service = Service(
        ":memory:", clock, switches=switches, quotas=AccountQuotas(), hooks=Hooks(), seed=1
    )
    made = Bed(service, clock, asyncio.get_running_loop())
    threads = set(threading.enumerate())
    told = Told(made)
    LOGGER.addHandler(told)
    level = LOGGER.level
    LOGGER.setLevel(logging.DEBUG)
    try:
        yield made
        made.check()
        left = {each.name for each in threading.enumerate() if each not in threads}
        left = {name for name in left if not name.startswith("asyncio_")}  # of the loop's pool
        assert not left, f"I6: threads are left: {left}"
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        assert not tasks, f"I6: tasks are left: {tasks}"
    finally:
        LOGGER.removeHandler(told)
        LOGGER.setLevel(level)
        service.close()


def waits(b: Bed, runner: TaskRunner, seen: list[CancelReason | None] | None = None) -> None:
    """Register a handler that works until it is stopped."""

    @runner.handler(SHELL)
    async def handle(task: Task) -> None:
        b.begins(task)
        try:
            await asyncio.Event().wait()
        finally:
            if seen is not None:
                seen.append(task.cancelled)


def works(b: Bed, runner: TaskRunner, seconds: float = 0.0) -> list[str]:
    """Register a handler that finishes after some seconds; give the attempts that it had."""
    had: list[str] = []

    @runner.handler(SHELL)
    async def handle(task: Task) -> None:
        b.begins(task)
        had.append(task.attempt_id)
        done = asyncio.Event()
        b.clock.call_at(b.clock.time() + seconds, done.set)
        await done.wait()

    return had


def activity(name: str = "Job", **fields: Any) -> dict[str, Any]:
    """Write an activity."""
    return {"id": name, "type": "ShellCommandActivity", "command": "true", **fields}


def error(code: str, status: int = 400) -> Reply:
    """The service's no."""
    return Reply(status, json.dumps({"__type": code, "message": "no"}).encode())
