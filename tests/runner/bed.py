"""A test bed: runners against the local service, in a time that is skipped.

Every call goes through ``Wire``, which writes it down, can lose it, and lets the keeper's thread
reach the service in the loop that it belongs to; every handler is one that is watched. What
happened is held against the invariants of the runner, which are in ``invariants.py``.
"""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio
import functools
import json
import logging
import threading
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any, cast

from aiodatapipeline import DataPipelineClient, Reply, ResponseLostError
from aiodatapipeline._clock import VirtualClock, sleep
from aiodatapipeline.definition import Definition
from aiodatapipeline.local._engine._world import Hooks
from aiodatapipeline.local._quotas import AccountQuotas
from aiodatapipeline.local._service import Service
from aiodatapipeline.local._switches import Switches
from aiodatapipeline.models import PipelineObject
from aiodatapipeline.runner import (
    CancelReason,
    Event,
    EventKind,
    RunResult,
    SyncTask,
    Task,
    TaskRunner,
)
from aiodatapipeline.runner._engine import Engine
from aiodatapipeline.runner._handlers import Handler
from aiodatapipeline.runner._settings import Stage
from aiodatapipeline.runner._task import LOGGER
from tests.runner.invariants import Resources, check

PROFILES = {
    "default": Switches(),
    "strict": Switches.STRICT,
    "lenient": Switches.LENIENT,
    "hostile": Switches.HOSTILE,
}

SHELL = "ShellCommandActivity"


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
class Had:
    """A handler's call, as the handler saw it."""

    number: int
    """Which beginning or end of all it was, as ``over`` counts them too."""
    runner: str
    attempt_id: str
    begun: int
    """The number of calls to the service before."""
    ended: int = 0
    """The number of calls before its end."""
    over: int | None = None
    outcome: str = ""
    """What it comes to: FINISHED, FALSE or FAILED; empty while it goes on."""


@dataclass(frozen=True)
class Given:
    """What a runner was told when it was made."""

    account_share: float | None
    state_dir: Path | None
    bounds: Mapping[Stage, float]
    """How many seconds it may take to end, once it is told to."""


class Watched(TaskRunner):
    """A runner whose handlers are watched, unless they are sent to another process."""

    def __init__(self, b: Bed, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self._bed = b
        self.asked: dict[Stage, float] = {}
        """When it was first told to stop, and in which hurry."""
        self.engines: list[Engine] = []
        """Those of its runs that came to their end."""

    def get(self, type: str) -> Handler | None:  # noqa: A002  # the base's name
        handler = super().get(type)
        if handler is None:
            return None
        here = handler.run_in in (None, "thread") or isinstance(handler.run_in, ThreadPoolExecutor)
        if not here:
            return handler
        return replace(handler, function=self._bed.watching(self._settings.hostname, handler))

    def _stop(self, stage: Stage, why: str) -> None:
        if self._engine is not None:
            self.asked.setdefault(stage, self._bed.clock.time())
        super()._stop(stage, why)

    def _result(self, engine: Engine) -> RunResult:
        self.engines.append(engine)
        return super()._result(engine)


@dataclass
class Bed:
    """Use it with ``async with bed(...)``."""

    service: Service
    clock: VirtualClock
    loop: asyncio.AbstractEventLoop
    calls: list[Call] = field(default_factory=list[Call])
    events: list[Event] = field(default_factory=list[Event])
    fault: Callable[[Call], Fault] = lambda _: None
    had: list[Had] = field(default_factory=list[Had])
    """What handlers were called."""
    turns: int = 0
    """How many beginnings and ends of them there were."""
    runs: list[Running] = field(default_factory=list["Running"])
    runners: dict[str, Given] = field(default_factory=dict[str, Given])
    ended: set[str] = field(default_factory=set[str])
    """Pipelines that somebody cancelled or deleted something of."""
    polls: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    most_polls: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    pipelines: list[str] = field(default_factory=list[str])

    # -- the service ----------------------------------------------------------------------

    def client(self, runner: str = "runner") -> DataPipelineClient:
        return DataPipelineClient(transport=Wire(self, runner))

    async def pipeline(
        self, *objects: Mapping[str, Any], group: str = "etl", retries: int = 0
    ) -> str:
        """Put and activate a pipeline whose objects are done on demand; give its id."""
        default = {
            "id": "Default",
            "scheduleType": "ondemand",
            "workerGroup": group,
            "maximumRetries": str(retries),
            "retryDelay": "10 minutes",
        }
        definition = Definition.from_mapping({"objects": [default, *objects]})
        async with DataPipelineClient(transport=Direct(self.service)) as client:
            made = await client.create_pipeline("test", f"token-{len(self.pipelines)}")
            put = await client.call(definition.to_request(made.pipeline_id))
            assert not put.errored, put.validation_errors
            await client.activate_pipeline(made.pipeline_id)
        self.pipelines.append(made.pipeline_id)
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

    async def recorded(self, attempt_id: str) -> str | None:
        """Give the status that the service has of an attempt; None if it knows none such."""
        for pipeline_id in set(self.pipelines) - self.ended:
            for each in await self.attempts(pipeline_id):
                if each.id == attempt_id:
                    return each.string("@status")
        return None

    def was_ended(self, attempt_id: str) -> bool:
        """Whether somebody cancelled or deleted something of its pipeline."""
        about = [each for each in self.events if each.attempt_id == attempt_id]
        return bool({each.pipeline_id for each in about} & self.ended)

    async def cancel(self, pipeline_id: str, *components: str) -> None:
        self.ended.add(pipeline_id)
        found = await self.instances(pipeline_id)
        async with DataPipelineClient(transport=Direct(self.service)) as client:
            ids = [found[name].id for name in components]
            await client.set_status(pipeline_id, ids, "TRY_CANCEL")

    async def delete(self, pipeline_id: str) -> None:
        self.ended.add(pipeline_id)
        async with DataPipelineClient(transport=Direct(self.service)) as client:
            await client.delete_pipeline(pipeline_id)

    # -- runners --------------------------------------------------------------------------

    def runner(
        self, name: str = "runner", group: str | Iterable[str] = "etl", **settings: Any
    ) -> Watched:
        given: dict[str, Any] = {
            "client": lambda: self.client(name),
            "clock": self.clock,
            "hostname": name,
        }
        made = Watched(self, group, **{**given, **settings})
        known = made._settings
        last = known.cancel_grace + known.timing.last
        self.runners[name] = Given(
            known.account_share,
            known.state_dir,
            # Each look at a time that is skipped may be a second late.
            {Stage.DRAINING: known.drain_timeout + last + 1, Stage.CANCELLING: last + 1},
        )
        return made

    def watching(self, runner: str, handler: Handler) -> Callable[..., object]:
        """Give a handler's function as one that notes when it begins and how it ends."""
        function = cast("Callable[..., Any]", handler.function)

        def begin(task: Task | SyncTask) -> Had:
            with self.lock:
                self.turns += 1
                had = Had(self.turns, runner, task.attempt_id, len(self.calls))
                self.had.append(had)
            return had

        def end(had: Had, outcome: str) -> None:
            with self.lock:
                self.turns += 1
                had.ended, had.over, had.outcome = len(self.calls), self.turns, outcome

        def comes_to(value: object) -> str:
            return "FALSE" if handler.is_precondition and not value else "FINISHED"

        @functools.wraps(function)
        async def watched(task: Task, *arguments: object) -> object:
            had, outcome = begin(task), "FAILED"
            try:
                value = await function(task, *arguments)
                outcome = comes_to(value)
                return value
            finally:
                end(had, outcome)

        @functools.wraps(function)
        def watched_sync(task: SyncTask, *arguments: object) -> object:
            had, outcome = begin(task), "FAILED"
            try:
                value = function(task, *arguments)
                outcome = comes_to(value)
                return value
            finally:
                end(had, outcome)

        return watched if handler.run_in is None else watched_sync

    @asynccontextmanager
    async def running(self, runner: Watched, **arguments: Any) -> AsyncGenerator[Running, None]:
        run = self.run(runner, **arguments)
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

    def run(self, runner: Watched, **arguments: Any) -> Running:
        """Begin with a runner, whatever comes of it."""
        runner.asked.clear()
        run = Running(self, runner, asyncio.ensure_future(runner.run(**arguments)))
        run.task.add_done_callback(run.note_end)
        self.runs.append(run)
        return run

    async def advance(self, seconds: float) -> None:
        await self.clock.advance(seconds)

    def stand_still(self, seconds: float) -> None:
        """Block this loop while time goes on for the others: what no handler should do."""
        clock, end = self.clock, self.clock.time() + seconds
        while clock.time() < end:
            with clock._lock:
                coming = [each for each in clock._calls if each.loop is not self.loop]
                due = min((each.when for each in coming if not each.off), default=end)
                clock._now = max(clock._now, min(due, end))
                made = [each for each in coming if each.when <= clock._now and not each.off]
            for each in made:
                each.loop.call_soon_threadsafe(each.make)
            for loop in {each.loop for each in coming}:
                _go_round(loop)

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


def _go_round(loop: asyncio.AbstractEventLoop) -> None:
    """Wait until a loop of another thread has gone round often enough to work off what is due."""
    gone_round = threading.Event()

    def turn(left: int) -> None:
        if left:
            loop.call_soon(turn, left - 1)
        else:
            gone_round.set()

    loop.call_soon_threadsafe(turn, 100)
    assert gone_round.wait(20), "the other loop stands still as well"


@dataclass
class Running:
    """A runner at work."""

    bed: Bed
    runner: Watched
    task: asyncio.Future[RunResult]
    ended_at: float | None = None

    def note_end(self, _task: asyncio.Future[RunResult]) -> None:
        """Remember when it ended."""
        self.ended_at = self.bed.clock.time()

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
            with self._counted(call):
                reply = await self._exchange(call)
            call.heard = True
        finally:
            call.ended = len(bed.calls)
        return reply

    @contextmanager
    def _counted(self, call: Call) -> Generator[None]:
        """Count an open poll."""
        if call.operation != "PollForTask":
            yield
            return
        bed, key = self._bed, (call.runner, str(call.body["workerGroup"]))
        bed.polls[key] += 1
        bed.most_polls = max(bed.most_polls, bed.polls[key])
        try:
            yield
        finally:
            bed.polls[key] -= 1

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
        if asyncio.get_running_loop() is bed.loop:
            return await bed.service.answer(call.operation, body)
        with bed.clock.working():
            answer = bed.service.answer(call.operation, body)
            return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(answer, bed.loop))


@asynccontextmanager
async def bed(switches: Switches = PROFILES["default"]) -> AsyncGenerator[Bed, None]:
    """Open a test bed. At its end, what happened is checked."""
    resource_tracker.ensure_running()  # of multiprocessing: it stays, once there is one
    resources = Resources()
    clock = VirtualClock()
    service = Service(
        ":memory:", clock, switches=switches, quotas=AccountQuotas(), hooks=Hooks(), seed=1
    )
    made = Bed(service, clock, asyncio.get_running_loop())
    told = Told(made)
    LOGGER.addHandler(told)
    level = LOGGER.level
    LOGGER.setLevel(logging.DEBUG)
    try:
        yield made
        await check(made)
    finally:
        LOGGER.removeHandler(told)
        LOGGER.setLevel(level)
        service.close()
    await resources.check()


def waits(b: Bed, runner: TaskRunner, seen: list[CancelReason | None] | None = None) -> None:
    """Register a handler that works until it is stopped."""

    @runner.handler(SHELL)
    async def handle(task: Task) -> None:
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
