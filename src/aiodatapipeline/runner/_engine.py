"""One run of a task runner, from opening to closing: polls, and what is wrong."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from typing import Any

from aiodatapipeline._clock import sleep
from aiodatapipeline.errors import DataPipelineError, ResponseError, ResponseLostError
from aiodatapipeline.models import TaskObject
from aiodatapipeline.operations import PollForTaskRequest, ReportTaskRunnerHeartbeatRequest
from aiodatapipeline.runner._attempts import Attempts, Core
from aiodatapipeline.runner._caller import (
    REFUSED_WAIT,
    Backoff,
    Budget,
    Caller,
    Tally,
    Verdict,
    verdict,
)
from aiodatapipeline.runner._events import (
    Detail,
    Event,
    EventKind,
    Health,
    Hook,
    RunningTask,
    Status,
    is_logged,
    log,
)
from aiodatapipeline.runner._handlers import Handlers
from aiodatapipeline.runner._job import Job
from aiodatapipeline.runner._lease import Keeper
from aiodatapipeline.runner._outbox import Outbox, OutboxError
from aiodatapipeline.runner._settings import Settings, Stage
from aiodatapipeline.runner._task import LOGGER, CancelReason, TaskInfo

# Seconds between tries to write an outbox that could not be written.
_PROBE_EVERY = 5.0
# Seconds between polls of one group after the service refused one for being one too many.
# Three times as long after each refusal and a little shorter after each success: where many
# runners share one limit, 19 of 20 polls are taken then.
_GAP_FIRST, _GAP_LONGEST, _GAP_GROWS, _GAP_SHRINKS = 60.0, 1800.0, 3.0, 0.95
# How many polls in a row may come back empty at once before the next ones wait longer.
_QUICK = 3


class Engine:
    """What there is while ``TaskRunner.run`` runs."""

    def __init__(self, settings: Settings, handlers: Handlers, outbox: Outbox) -> None:
        self._settings, self._handlers, self._outbox = settings, handlers, outbox
        self._clock, self._timing = settings.clock, settings.timing
        self._loop = asyncio.get_running_loop()
        self._budget = Budget(self._clock, settings.account_share)
        self._control, self._polls = self._caller(), self._caller()
        self._hook = None if settings.on_event is None else Hook(settings.on_event)
        self._keeper = Keeper(
            self._caller,
            self._clock,
            self._timing,
            self._budget,
            self._tell,
            stall_limit=settings.stall_limit,
            on_stall=self._note_stall,
            on_broken=lambda: self._break_off("leases", "no lease is kept any more"),
            name_of=self._name_of,
        )
        self._slots = asyncio.Semaphore(settings.max_concurrency)
        self._tasks: set[asyncio.Task[None]] = set()
        self._leaked = self._ended = 0
        self._idle: dict[str, int] = {}
        self._problems: dict[str, str] = {}
        self._changed = asyncio.Event()
        self._stage = Stage.WORKING
        self._status = Status.STARTING
        self.exit_code = 0
        self.attempts = Attempts(
            Core(
                settings,
                handlers,
                self._budget,
                self._control,
                self._keeper,
                outbox,
                self._slots,
                self._tell,
                self._note_outbox,
                self._note_leak,
                self._changed.set,
            )
        )

    def _caller(self) -> Caller:
        return Caller(
            self._settings.client,
            self._clock,
            self._budget,
            Tally(self._note_throttled, self._note_credentials),
        )

    # -- from the beginning to the end ----------------------------------------------------

    async def run(self, *, until_idle: bool, deliver_only: bool = False) -> None:
        """Work until told to stop."""
        try:
            if await self._open():
                await self._serve(until_idle=until_idle, deliver_only=deliver_only)
        finally:
            self._status = Status.STOPPED
            await self._keeper.aclose()
            await self._polls.aclose()
            await self._control.aclose()
            self._outbox.close()
            self._tell(EventKind.STOPPED, None, {"undelivered": self.undelivered})
            if self._hook is not None:
                with self._clock.working():
                    await asyncio.to_thread(self._hook.close)

    async def _open(self) -> bool:
        """Open what calls the service; False if the runner is told to stop and that takes long."""

        async def work() -> None:
            await self._control.open()
            await self._polls.open()
            await self._keeper.open()

        # Who looks for credentials may wait for a program, or for somebody who is not there.
        opening = asyncio.ensure_future(work())
        opening.add_done_callback(lambda _: self._changed.set())
        await self._until(lambda: opening.done() or self._stage > Stage.WORKING)
        await self._until(
            lambda: opening.done() or self._stage is Stage.CANCELLING,
            self._clock.time() + self._timing.control,
        )
        if opening.cancel():
            LOGGER.error("told to stop before there were credentials: nothing was delivered")
            self.exit_code = 1
            await asyncio.wait({opening})
            return False
        opening.result()
        return True

    async def _serve(self, *, until_idle: bool, deliver_only: bool) -> None:
        async with asyncio.TaskGroup() as group:
            rows = self._outbox.unfinished()
            newest = {row.task_id: row for row in rows}
            taken = [
                self.attempts.take_over(row, again=newest[row.task_id] is not row) for row in rows
            ]
            recovered = [attempt for attempt, _ in taken]
            for _, work in taken:
                self._start(group, work)
            await self._until(
                lambda: self._stage > Stage.WORKING or all(each.tried for each in recovered)
            )
            if deliver_only:
                self.stop(Stage.DRAINING, "all was tried")
                await self._wind_down()
                return
            self._tell(EventKind.STARTED, None, {"recovered": len(recovered)})
            self._status = Status.OK
            beats = group.create_task(self._beat_always())
            pollers = [
                group.create_task(self._poll_always(group, name, until_idle=until_idle))
                for name in self._settings.worker_groups
            ]
            await self._until(lambda: self._stage > Stage.WORKING)
            self._status = Status.STOPPING
            for poller in pollers:
                poller.cancel()
            await self._wind_down()
            beats.cancel()

    async def _wind_down(self) -> None:
        """Wait for what is under way, as long as it may take."""
        settings, now = self._settings, self._clock.time()
        await self._until(
            lambda: not self._tasks or self._stage is Stage.CANCELLING,
            now + settings.drain_timeout,
        )
        for attempt in self.attempts.live:
            self.attempts.cancel(attempt, CancelReason.SHUTDOWN)
        if self._tasks:
            limit = self._clock.time() + settings.cancel_grace + self._timing.last
            await self._until(lambda: not self._tasks, limit)
        for task in self._tasks:
            task.cancel()

    async def _until(self, condition: Callable[[], bool], limit: float | None = None) -> None:
        """Wait until something is so, or a time has come."""
        late = asyncio.Event()

        def note() -> None:
            late.set()
            self._changed.set()

        appointment = None if limit is None else self._clock.call_at(limit, note)
        try:
            while not condition() and not late.is_set():
                self._changed.clear()
                await self._changed.wait()
        finally:
            if appointment is not None:
                appointment.cancel()

    def stop(self, stage: Stage, why: str) -> None:
        """Be in more of a hurry. Called in the loop."""
        if stage > self._stage:
            if self._stage is Stage.WORKING:
                self._tell(EventKind.STOPPING, None, {"why": why})
            self._stage = stage
            self._changed.set()

    def _break_off(self, about: str, problem: str) -> None:
        """Stop because something is wrong that does not mend."""
        self._problems[about] = problem
        self.exit_code = 1
        self.stop(Stage.DRAINING, problem)

    # -- what is told ---------------------------------------------------------------------

    def _tell(
        self,
        kind: EventKind,
        info: TaskInfo | None,
        detail: Mapping[str, Detail],
        worker_group: str = "",
    ) -> None:
        """Tell an event, from any thread. Nothing comes back from there."""
        logged = is_logged(kind)
        if not logged and self._hook is None:
            return
        event = Event(
            kind,
            self._clock.time(),
            info.worker_group if info else worker_group,
            info.pipeline_id if info else "",
            info.attempt_id if info else "",
            detail,
        )
        if logged:
            with suppress(Exception):  # a filter of the application's may do anything
                log(event)
        if self._hook is not None:
            self._hook.put(event)

    @property
    def undelivered(self) -> int:
        """Outcomes that the service does not have yet."""
        waiting = [each for each in self.attempts.live if each.ended_at and not each.settled]
        return self.attempts.left + len(waiting)

    @property
    def health(self) -> Health:
        """How the runner is. May be asked by any thread."""
        live = self.attempts.live
        problems = tuple(dict(self._problems).values())
        return Health(
            Status.DEGRADED if self._status is Status.OK and problems else self._status,
            problems,
            running=len([each for each in live if each.job and each.ended_at is None]),
            leaked=self._leaked,
            undelivered=self.undelivered,
        )

    @property
    def running(self) -> tuple[RunningTask, ...]:
        """The tasks whose handlers are under way. May be asked by any thread."""
        now = self._clock.time()
        return tuple(
            RunningTask(
                each.info.type,
                each.info.worker_group,
                each.info.pipeline_id,
                each.info.attempt_id,
                now - each.polled_at,
                each.lease.progress,
            )
            for each in self.attempts.live
            if each.job and each.ended_at is None
        )

    def _note_problem(self, about: str, problem: str) -> None:
        """Keep a problem in words; none if it is over."""
        if problem:
            self._problems[about] = problem
        else:
            self._problems.pop(about, None)

    def _note_throttled(self, operation: str) -> None:
        self._tell(EventKind.THROTTLED, None, {"operation": operation})

    def _note_credentials(self, problem: str) -> None:
        self._note_problem("credentials", problem and f"the credentials are not taken: {problem}")

    def _note_outbox(self, problem: str) -> None:
        if bool(problem) != ("outbox" in self._problems):
            self._tell(EventKind.OUTBOX, None, {"error": problem})
        self._note_problem("outbox", problem)

    def _name_of(self, codes: Mapping[object, None]) -> str:
        for name in self._handlers.types():
            handler = self._handlers.get(name)
            if handler and getattr(handler.function, "__code__", None) in codes:
                return name
        return ""

    def _note_stall(self, name: str) -> None:
        """Stop the handlers that stood in the loop's way: those of a type, or all of the loop's."""
        for attempt in self.attempts.live:
            handler = attempt.job and attempt.job.handler
            if handler and handler.run_in is None and name in {"", handler.name}:
                self.attempts.cancel(attempt, CancelReason.STALLED)

    # -- polling --------------------------------------------------------------------------

    async def _poll_always(
        self, group: asyncio.TaskGroup, worker_group: str, *, until_idle: bool
    ) -> None:
        poller = _Poller()
        while True:
            await self._until_writable()
            await self._slots.acquire()
            task: TaskObject | None = None
            ended = self._ended
            try:
                task, wait = await self._poll(worker_group, poller)
            finally:
                if task is None:
                    self._slots.release()
            if task is not None:
                self._idle.pop(worker_group, None)
                self._start(group, self.attempts.attend(task, worker_group, self._clock.time()))
            elif until_idle and poller.was_empty:
                self._idle[worker_group] = ended
                self._stop_if_idle()
            if wait > 0:
                await sleep(self._clock, wait)

    def _stop_if_idle(self) -> None:
        """Stop if every group was asked, and had nothing, after the last task had ended."""
        asked = [self._idle.get(name) == self._ended for name in self._settings.worker_groups]
        if all(asked) and not self._tasks:
            self.stop(Stage.DRAINING, "idle")

    async def _poll(self, worker_group: str, poller: _Poller) -> tuple[TaskObject | None, float]:
        """Poll once. Give the task, and the seconds to wait before the next poll."""
        request = PollForTaskRequest(worker_group=worker_group, hostname=self._settings.hostname)
        # What the budget makes it wait is no part of the poll.
        await self._budget.take(request.operation)
        began = self._clock.time()
        poller.was_empty = False
        try:
            response = await self._polls.call(request, self._timing.poll, urgent=True)
        except DataPipelineError as error:
            found = verdict(error)
            ambiguous = isinstance(error, ResponseLostError | ResponseError)
            self._tell(
                EventKind.POLL_FAILED,
                None,
                {"error": str(error), "ambiguous": ambiguous},
                worker_group,
            )
            if found is not Verdict.THROTTLED:
                self._note_problem(f"polls of {worker_group}", f"{worker_group}: {error}")
            return None, poller.failed(found)
        self._note_problem(f"polls of {worker_group}", "")
        task, took = response.task_object, self._clock.time() - began
        detail = {"seconds": took, "task": task is not None}
        self._tell(EventKind.POLLED, None, detail, worker_group)
        return task, poller.answered(took, empty=task is None)

    async def _until_writable(self) -> None:
        """Start no task while its outcome could not be kept."""
        while self._outbox.error:
            self._note_outbox(self._outbox.error)
            await sleep(self._clock, _PROBE_EVERY)
            try:
                await self._outbox.probe()
            except OutboxError:
                continue
        self._note_outbox("")

    async def _beat_always(self) -> None:
        runner_id = self._settings.taskrunner_id or self._outbox.runner_id
        while True:
            wait = self._timing.heartbeat
            for worker_group in self._settings.worker_groups:
                request = ReportTaskRunnerHeartbeatRequest(
                    taskrunner_id=runner_id,
                    worker_group=worker_group,
                    hostname=self._settings.hostname,
                )
                try:
                    response = await self._control.call(request, self._timing.control)
                except DataPipelineError as error:
                    LOGGER.info("no heartbeat of the task runner: %s", error)
                    wait = self._timing.report
                    continue
                if response.terminate:
                    self.stop(Stage.DRAINING, "the service said terminate")
            await sleep(self._clock, wait)

    # -- tasks ----------------------------------------------------------------------------

    def _start(self, group: asyncio.TaskGroup, work: Coroutine[Any, Any, None]) -> None:
        """Do what there is to do for a task, which has a place among the concurrent ones."""
        task = group.create_task(self._isolate(work))
        self._tasks.add(task)
        task.add_done_callback(self._note_done)

    async def _isolate(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception as error:  # noqa: BLE001  # a fault of ours; it must not end the others
            LOGGER.exception("a task broke down in the runner")
            self._break_off("runner", f"a fault of the task runner's own: {error!r}")
        finally:
            self._ended += 1

    def _note_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not self._tasks:
            self._changed.set()

    def _note_leak(self, job: Job) -> None:
        """Let a handler that does not stop keep its place."""

        def give_back() -> None:
            self._count_leaks(-1)
            self._slots.release()

        job.on_over = give_back
        self._tell(EventKind.LEAKED, job.info, {})
        self._count_leaks(1)
        if self._leaked >= self._settings.max_concurrency:
            self._break_off("leaks", "every place is taken by a handler that does not stop")

    def _count_leaks(self, change: int) -> None:
        self._leaked += change
        what = f"{self._leaked} handlers do not stop" if self._leaked else ""
        self._note_problem("leaks", what)


class _Poller:
    """When a group's next poll is due."""

    def __init__(self) -> None:
        self._gap, self._quick = 0.0, 0
        self._backoff = Backoff(1.0, 60.0)
        self.was_empty = False

    def answered(self, took: float, *, empty: bool) -> float:
        """Note an answer, and give the seconds to wait."""
        self._backoff.reset()
        self.was_empty = empty
        self._gap *= _GAP_SHRINKS if empty else 0.5
        if self._gap < _GAP_FIRST / 2:
            self._gap = 0.0
        # Nobody holds the poll: a proxy answers, or the service is another.
        self._quick = self._quick + 1 if empty and took < 1.0 else 0
        if not self._quick:
            return self._gap
        return max(self._gap, min(30.0, 2.0 ** max(0, self._quick - _QUICK)))

    def failed(self, found: Verdict) -> float:
        """Note a failure, and give the seconds to wait."""
        if found is Verdict.THROTTLED:
            self._gap = min(_GAP_LONGEST, max(_GAP_FIRST, self._gap * _GAP_GROWS))
            return self._gap * random.uniform(0.5, 1.5)  # noqa: S311  # no secret
        wait = self._backoff.next()
        return max(wait, REFUSED_WAIT) if found is Verdict.CREDENTIALS else wait
