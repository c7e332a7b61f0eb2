"""The tasks that a runner has: each from its first report to the end of its outcome's delivery."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from aiodatapipeline._clock import sleep
from aiodatapipeline._failure import Failure
from aiodatapipeline._text import clean
from aiodatapipeline._wire import MAX_ID
from aiodatapipeline.errors import DataPipelineError, PipelineDeletedException
from aiodatapipeline.models import PipelineObject, TaskObject, TaskStatus
from aiodatapipeline.operations import (
    DescribeObjectsRequest,
    EvaluateExpressionRequest,
    ReportTaskProgressRequest,
    Request,
    ResponseT,
    SetTaskStatusRequest,
)
from aiodatapipeline.runner._caller import (
    REFUSED_WAIT,
    Backoff,
    Budget,
    Caller,
    Verdict,
    verdict,
    within,
)
from aiodatapipeline.runner._events import Detail, EventKind
from aiodatapipeline.runner._handlers import Handlers, seconds
from aiodatapipeline.runner._job import Job
from aiodatapipeline.runner._lease import Keeper, Lease, Tell
from aiodatapipeline.runner._outbox import Outbox, OutboxError, RowState, Unfinished
from aiodatapipeline.runner._outcome import (
    Ended,
    Raised,
    Returned,
    failed,
    failure,
    request_for,
    simpler,
    tell,
)
from aiodatapipeline.runner._settings import Settings
from aiodatapipeline.runner._task import CancelReason, TaskInfo

# Fields of an object that say how long something takes.
_PERIODS = {"attemptTimeout", "preconditionTimeout", "reportProgressTimeout", "retryDelay"}
# Between two looks at a precondition, if it has no retryDelay: as the service's own default.
_RETRY_DELAY = 600.0
# Of attemptTimeout: what is left is for telling the service.
_TIMEOUT_SHARE = 0.95
# How often a handler's question is asked.
_QUESTIONS = 3


@dataclass(frozen=True, slots=True)
class Core:
    """What all tasks of a runner share."""

    settings: Settings
    handlers: Handlers
    budget: Budget
    control: Caller
    keeper: Keeper
    outbox: Outbox
    slots: asyncio.Semaphore
    """Places for handlers and polls."""
    tell: Tell
    note_outbox: Callable[[str], None]
    note_leak: Callable[[Job], None]
    note_change: Callable[[], None]


@dataclass(eq=False)
class Attempt:
    """A task that the runner has."""

    info: TaskInfo
    task_id: str
    polled_at: float
    lease: Lease = field(init=False)
    invalid: Failure | None = None
    """Why it cannot be worked on."""
    periods: Mapping[str, float] = field(default_factory=dict[str, float])
    """Seconds, by the fields of the object that are lengths of time."""
    number: int = 0
    job: Job | None = None
    cancelled: CancelReason | None = None
    """Why the handler is to stop, or must not begin."""
    ended_at: float | None = None
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when it is not ours any more: who waits to try again need not."""
    over: asyncio.Event = field(default_factory=asyncio.Event)
    settled: bool = False
    """Nothing is left to be done for it."""
    tried: bool = False
    """It was sent once, or could not be: of what a crash left behind, it keeps nobody waiting."""

    @property
    def is_gone(self) -> bool:
        """Whether the task is not ours any more."""
        return self.cancelled is not None and self.cancelled.is_gone


class Attempts:
    """All tasks that the runner has at the moment."""

    def __init__(self, core: Core) -> None:
        self._core, self._settings = core, core.settings
        self._clock, self._timing = core.settings.clock, core.settings.timing
        self._live: dict[str, Attempt] = {}
        self.left = 0
        """Outcomes that were given up for this run."""
        self.counts = dict.fromkeys(TaskStatus, 0)
        self.unreported = 0

    def add(self, attempt: Attempt) -> None:
        """Have a task among the live ones."""
        self._live[attempt.task_id] = attempt

    def remove(self, attempt: Attempt) -> None:
        """Have it among them no more, nor its lease kept."""
        self._core.keeper.release(attempt.lease)
        del self._live[attempt.task_id]
        attempt.over.set()
        if attempt.ended_at is not None and not attempt.settled:
            self.left += 1

    @property
    def live(self) -> list[Attempt]:
        """Those that are under way. May be asked by any thread."""
        return list(self._live.values())

    # -- a task that a poll brought -------------------------------------------------------

    async def attend(self, task: TaskObject, worker_group: str, polled_at: float) -> None:
        """Do all that there is to do for a task. It has a place, which this gives back."""
        attempt: Attempt | None = None
        try:
            attempt = self._attempt(task, worker_group, polled_at)
            if await self._is_for_us(attempt):
                with _Registered(self, attempt):
                    await self._attend(attempt, task)
        finally:
            self._leave(attempt)

    async def _is_for_us(self, attempt: Attempt) -> bool:
        info = attempt.info
        unknown = attempt.invalid is None and self._core.handlers.get(info.type) is None
        if unknown and self._settings.ignore_unknown:
            self._core.tell(EventKind.DROPPED, info, {"why": f"no handler of {info.type!r}"})
            return False
        deadline = attempt.polled_at + self._timing.acknowledge
        while known := self._live.get(attempt.task_id):
            # It was handed over again, to us: a report is all that it needs, if it goes on. If
            # it ends meanwhile, the first report tells whether this one is still to be done.
            known.lease.due = attempt.polled_at
            try:
                async with within(self._clock, max(0.0, deadline - self._clock.time())):
                    await known.over.wait()
            except TimeoutError:
                self._core.tell(EventKind.DROPPED, info, {"why": "it is being worked on here"})
                return False
        return True

    async def _attend(self, attempt: Attempt, task: TaskObject) -> None:
        if await self._accept(attempt, task):
            await self._work(attempt)

    def _leave(self, attempt: Attempt | None) -> None:
        """Give a place back, unless a handler still has it that does not stop."""
        if attempt is None or attempt.job is None or not attempt.job.leaked:
            self._core.slots.release()

    def _attempt(
        self, task: TaskObject, worker_group: str, polled_at: float, *, resumed: bool = False
    ) -> Attempt:
        """Read a task, whatever is wrong with it."""
        invalid: Failure | None = None
        periods: Mapping[str, float] = {}
        try:
            info = TaskInfo.of(task, worker_group, resumed=resumed)
            periods = _read_periods(info.object)
        except (LookupError, ValueError) as error:
            invalid = failure("InvalidTask", str(error))
            info = _bare_info(task.attempt_id, task.pipeline_id, worker_group)
        attempt = Attempt(info, task.task_id, polled_at, invalid, periods)
        self._give_lease(attempt)
        return attempt

    def _give_lease(self, attempt: Attempt) -> None:
        attempt.lease = Lease(
            attempt.task_id,
            attempt.info,
            suspect=self._timing.suspect,
            lapse=attempt.periods.get("reportProgressTimeout") or self._timing.lapse,
            on_gone=partial(self.cancel, attempt),
            on_lapse=partial(self.cancel, attempt, CancelReason.LAPSED),
        )

    async def _accept(self, attempt: Attempt, task: TaskObject) -> bool:
        """Write a task down and make it ours. False: nothing is to be done for it."""
        info = attempt.info
        self._core.tell(EventKind.ASSIGNED, info, {"type": info.type})
        try:
            attempt.number = await self._core.outbox.assigned(task, info.worker_group, info.type)
        except OutboxError as error:
            self._core.note_outbox(str(error))
            self.unreported += 1
            self._core.tell(EventKind.DROPPED, info, {"why": "it cannot be written down"})
            return False
        why = await self._acknowledge(attempt)
        if why:
            await self._abandon(attempt, why)
            return False
        since = self._clock.time() - attempt.polled_at
        self._core.tell(EventKind.ACKNOWLEDGED, info, {"seconds": since})
        self._core.keeper.watch(attempt.lease)
        return True

    async def _acknowledge(self, attempt: Attempt) -> str:
        """Send the first report until it is taken. Say why it was not; nothing if it was."""
        deadline = attempt.polled_at + self._timing.acknowledge
        backoff = Backoff(0.5, 10.0)
        while attempt.cancelled is None:
            left = deadline - self._clock.time()
            if left <= 0:
                return "the first report did not come through in time"
            self._core.budget.count("ReportTaskProgress")
            found = await self._prove(attempt, min(self._timing.control, left))
            if found is None:
                return ""
            if attempt.cancelled is None:
                await self._nap(attempt, min(_wait(backoff, found), left))
        return f"{attempt.cancelled}"

    async def _prove(self, attempt: Attempt, timeout: float) -> Verdict | None:
        """Send a report now. None: the task is ours, as of the time that this was sent."""
        sent_at = self._clock.time()
        request = ReportTaskProgressRequest(task_id=attempt.task_id)
        try:
            response = await self._core.control.call(request, timeout, urgent=True)
        except DataPipelineError as error:
            found = verdict(error)
            if found in {Verdict.GONE, Verdict.REFUSED}:
                deleted = isinstance(error, PipelineDeletedException)
                self.cancel(attempt, CancelReason.DELETED if deleted else CancelReason.LOST)
            else:
                self._core.tell(EventKind.REPORT_FAILED, attempt.info, {"error": str(error)})
            return found
        if response.canceled:
            self.cancel(attempt, CancelReason.CANCELED)
            return Verdict.GONE
        attempt.lease.taken(sent_at, 0)
        return None

    # -- the handler ----------------------------------------------------------------------

    async def _work(self, attempt: Attempt) -> None:
        if attempt.invalid is not None:
            await self._finish(attempt, Raised(attempt.invalid))
            return
        handler = self._core.handlers.get(attempt.info.type)
        if handler is None:
            known = ", ".join(self._core.handlers.types()) or "none"
            message = f"no handler of {attempt.info.type!r} here; there are handlers of: {known}"
            await self._finish(attempt, Raised(failure("HandlerNotRegistered", message)))
            return
        info = attempt.info
        job = attempt.job = Job(
            info,
            handler,
            self._clock,
            grace=self._settings.cancel_grace,
            nudge=self._timing.nudge,
            note=attempt.lease.note,
            asks=self,
            state=lambda: attempt.lease.state,
        )
        if attempt.cancelled is not None:
            job.cancel(attempt.cancelled)
        if self._settings.recover != "abandon":
            try:
                await self._core.outbox.running(attempt.number)
            except OutboxError as error:
                self._core.note_outbox(str(error))
        self._core.tell(EventKind.RUNNING, info, {"type": info.type, "resumed": info.resumed})
        ended = await self._perform(attempt, job)
        if job.leaked:
            self._core.note_leak(job)
        await self._finish(attempt, ended)

    async def _perform(self, attempt: Attempt, job: Job) -> Ended:
        limit = attempt.periods.get("attemptTimeout")
        if limit is None:
            return await self._ask(attempt, job)
        when = attempt.polled_at + limit * _TIMEOUT_SHARE
        timer = self._clock.call_at(when, partial(self.cancel, attempt, CancelReason.TIMEOUT))
        try:
            return await self._ask(attempt, job)
        finally:
            timer.cancel()

    async def _ask(self, attempt: Attempt, job: Job) -> Ended:
        """Call the handler; that of a precondition until it is met, or the time is over."""
        if not job.handler.retry:
            return await job.perform()
        delay = attempt.periods.get("retryDelay") or _RETRY_DELAY
        limit = attempt.periods.get("preconditionTimeout") or float("inf")
        while True:
            ended = await job.perform()
            unmet = isinstance(ended, Returned) and not ended.value
            late = self._clock.time() + delay > attempt.polled_at + limit
            if not unmet or late or job.cancelled is not None:
                return ended
            if await job.nap(delay):
                return Raised(tell(asyncio.CancelledError("between two looks")))

    def cancel(self, attempt: Attempt, reason: CancelReason) -> None:
        """Have a handler stopped. The first reason counts, unless the task is gone."""
        if attempt.cancelled is not None and (attempt.is_gone or not reason.is_gone):
            return
        if attempt.ended_at is not None and not reason.is_gone:
            return  # there is nothing to stop any more
        attempt.cancelled = reason
        if reason.is_gone:
            attempt.gone.set()
        if attempt.job is not None and attempt.ended_at is None:
            self._core.tell(EventKind.CANCELLED, attempt.info, {"reason": reason})
            attempt.job.cancel(reason)

    # -- the outcome ----------------------------------------------------------------------

    async def _finish(self, attempt: Attempt, ended: Ended) -> None:
        precondition = attempt.job is not None and attempt.job.handler.is_precondition
        request = request_for(
            attempt.task_id, ended, attempt.cancelled, is_precondition=precondition
        )
        attempt.ended_at = self._clock.time()
        detail: dict[str, Detail] = {
            "status": "" if request is None else str(request.task_status),
            "seconds": attempt.ended_at - attempt.polled_at,
            "error_id": (request and request.error_id) or "",
        }
        self._core.tell(EventKind.ENDED, attempt.info, detail)
        if request is None:
            self.unreported += 1
            await self._close(attempt, RowState.DROPPED, str(attempt.cancelled))
        else:
            await self._deliver(attempt, request, written=False)

    async def _deliver(
        self, attempt: Attempt, request: SetTaskStatusRequest, *, written: bool
    ) -> None:
        """Send an outcome until the service has it, or the task is not ours any more.

        The status is the same each time, and so are the texts unless the service refuses them.

        Args:
            attempt: What it is about.
            request: The outcome.
            written: Whether it is in the outbox already, since an earlier run. Then it may have
                been sent as well.
        """
        sending = _Sending(request, maybe_applied=written)
        backoff = Backoff(0.5, 30.0)
        while True:
            written = written or await self._write(attempt, request)
            if attempt.is_gone:
                await self._lost(attempt, sending, str(attempt.cancelled))
                return
            late = self._is_late(attempt, request)
            if late and self._settings.late_failed == "withhold":
                await self._lost(attempt, sending, "withheld: the lease may have ended before")
                return
            found = await (
                self._prove(attempt, self._timing.control) if late else self._send(attempt, sending)
            )
            self._note_try(attempt)
            if found is None and not late:
                await self._delivered(attempt, sending)
                return
            if found is Verdict.REFUSED and not late:
                if not sending.simplify():
                    await self._lost(attempt, sending, "the service refuses it")
                    return
                self._core.tell(EventKind.SIMPLIFIED, attempt.info, {"step": sending.step})
            elif found is not None and not attempt.is_gone:
                await self._nap(attempt, _wait(backoff, found))

    async def _nap(self, attempt: Attempt, seconds: float) -> None:
        """Wait before the next try, unless there is nothing to try any more."""
        with suppress(TimeoutError):
            async with within(self._clock, seconds):
                await attempt.gone.wait()

    def _is_late(self, attempt: Attempt, request: SetTaskStatusRequest) -> bool:
        """Whether the lease may have ended, so that this could fail another runner's work."""
        age = self._clock.time() - attempt.lease.accepted
        return request.task_status is not TaskStatus.FINISHED and age >= attempt.lease.suspect

    async def _send(self, attempt: Attempt, sending: _Sending) -> Verdict | None:
        """Send an outcome once. None: the service has it."""
        # What the budget makes it wait is no part of the time without reports.
        await self._core.budget.take(sending.form.operation)
        await self._core.keeper.hold(attempt.lease)
        if attempt.is_gone:
            return Verdict.GONE
        sending.sends += 1
        try:
            await self._core.control.call(sending.form, self._timing.control, urgent=True)
        except DataPipelineError as error:
            self._core.keeper.resume(attempt.lease)
            sending.maybe_applied = sending.maybe_applied or error.maybe_applied
            found = verdict(error)
            if found is Verdict.GONE:
                deleted = isinstance(error, PipelineDeletedException)
                self.cancel(attempt, CancelReason.DELETED if deleted else CancelReason.LOST)
            return found
        # The lease stays held: no report may follow.
        return None

    async def _delivered(self, attempt: Attempt, sending: _Sending) -> None:
        status = sending.request.task_status
        self.counts[status] += 1
        self._core.tell(
            EventKind.DELIVERED,
            attempt.info,
            {"status": str(status), "sends": sending.sends, "seconds": self._since_end(attempt)},
        )
        await self._close(attempt, RowState.DELIVERED, "")

    async def _lost(self, attempt: Attempt, sending: _Sending, why: str) -> None:
        """Give an outcome up: the service has it already, as far as one can tell, or never will."""
        status = sending.request.task_status
        detail = {"status": str(status), "why": why}
        if sending.maybe_applied:
            self.counts[status] += 1
            self._core.tell(EventKind.PRESUMED, attempt.info, detail)
            await self._close(attempt, RowState.PRESUMED, why)
        else:
            self.unreported += 1
            self._core.tell(EventKind.FENCED, attempt.info, detail)
            await self._close(attempt, RowState.FENCED, why)

    def _since_end(self, attempt: Attempt) -> float:
        return self._clock.time() - (attempt.ended_at or 0.0)

    def _note_try(self, attempt: Attempt) -> None:
        attempt.tried = True
        self._core.note_change()

    async def _write(self, attempt: Attempt, request: SetTaskStatusRequest) -> bool:
        """Put an outcome into the outbox. If that cannot be, it is sent all the same."""
        try:
            await self._core.outbox.ended(attempt.number, request)
        except OutboxError as error:
            self._core.note_outbox(str(error))
            return False
        return True

    async def _close(self, attempt: Attempt, state: RowState, why: str) -> None:
        attempt.settled = True
        try:
            await self._core.outbox.over(attempt.number, state, why)
        except OutboxError as error:
            # The next run sends it again, and hears that it is known already.
            self._core.note_outbox(str(error))

    # -- what an earlier run left behind --------------------------------------------------

    def take_over(
        self, row: Unfinished, *, again: bool
    ) -> tuple[Attempt, Coroutine[Any, Any, None]]:
        """Begin with a task of an earlier run. Give what is to be awaited for it, too.

        Args:
            row: What is known of it.
            again: Whether there is a later row of it: the end of this one could not be written.
        """
        now = self._clock.time()
        if row.task is not None:
            attempt = self._attempt(row.task, row.worker_group, now, resumed=True)
        else:
            info = _bare_info(row.attempt_id, row.pipeline_id, row.worker_group, row.type)
            attempt = Attempt(info, row.task_id, now)
            self._give_lease(attempt)
        attempt.number = row.number
        return attempt, self._forget(attempt) if again else self._take_over(attempt, row)

    async def _forget(self, attempt: Attempt) -> None:
        await self._abandon(attempt, "it was handed over again")
        self._note_try(attempt)

    async def _take_over(self, attempt: Attempt, row: Unfinished) -> None:
        with _Registered(self, attempt):
            try:
                await self._settle(attempt, row)
            finally:
                self._note_try(attempt)

    async def _settle(self, attempt: Attempt, row: Unfinished) -> None:
        request, written = row.request, row.request is not None
        if request is None and row.state is RowState.RUNNING:
            if self._settings.recover == "resume" and row.task is not None:
                await self._resume(attempt)
                return
            if self._settings.recover == "fail":
                told = failure("RunnerCrashed", "the task runner ended before the handler did")
                request = failed(attempt.task_id, told)
        if request is None:
            await self._abandon(attempt, "abandoned after a crash")
            return
        attempt.ended_at = self._clock.time()
        self._core.keeper.watch(attempt.lease)
        await self._deliver(attempt, request, written=written)

    async def _abandon(self, attempt: Attempt, why: str) -> None:
        self.unreported += 1
        self._core.tell(EventKind.DROPPED, attempt.info, {"why": why})
        await self._close(attempt, RowState.DROPPED, why)

    async def _resume(self, attempt: Attempt) -> None:
        """Run a handler again, if the task is still ours."""
        why = await self._acknowledge(attempt)
        self._note_try(attempt)
        if why:
            await self._abandon(attempt, why)
            return
        self._core.keeper.watch(attempt.lease)
        await self._core.slots.acquire()
        try:
            await self._work(attempt)
        finally:
            self._leave(attempt)

    # -- what handlers ask ----------------------------------------------------------------

    async def evaluate(self, pipeline_id: str, object_id: str, expression: str) -> str:
        """Have the service evaluate an expression. See ``Asks``."""
        request = EvaluateExpressionRequest(
            pipeline_id=pipeline_id, object_id=object_id, expression=expression
        )
        return (await self._question(request)).evaluated_expression

    async def describe(self, pipeline_id: str, object_id: str) -> PipelineObject:
        """Ask the service for an object. See ``Asks``."""
        request = DescribeObjectsRequest(pipeline_id=pipeline_id, object_ids=(object_id,))
        for found in (await self._question(request)).pipeline_objects:
            if found.id == object_id:
                return found
        raise LookupError(f"there is no object {object_id!r} in {pipeline_id}")

    async def _question(self, request: Request[ResponseT]) -> ResponseT:
        backoff = Backoff(1.0, 10.0)
        while True:
            try:
                return await self._core.control.call(request, self._timing.control)
            except DataPipelineError as error:
                if verdict(error) in {Verdict.GONE, Verdict.REFUSED}:
                    raise
                if backoff.failures + 1 >= _QUESTIONS:
                    raise
            await sleep(self._clock, backoff.next())


class _Sending:
    """An outcome on its way."""

    def __init__(self, request: SetTaskStatusRequest, *, maybe_applied: bool) -> None:
        self.request = self.form = request
        self.maybe_applied = maybe_applied
        self.sends = self.step = 0
        self._forms = simpler(request)

    def simplify(self) -> bool:
        """Say the same with simpler texts. False: it cannot be simpler."""
        form = next(self._forms, None)
        if form is None:
            return False
        self.form, self.step = form, self.step + 1
        return True


class _Registered:
    """While a task is among the live ones."""

    def __init__(self, attempts: Attempts, attempt: Attempt) -> None:
        self._attempts, self._attempt = attempts, attempt

    def __enter__(self) -> None:
        self._attempts.add(self._attempt)

    def __exit__(self, *_: object) -> None:
        self._attempts.remove(self._attempt)


def _wait(backoff: Backoff, found: Verdict) -> float:
    wait = backoff.next()
    return max(wait, REFUSED_WAIT) if found is Verdict.CREDENTIALS else wait


def _read_periods(subject: PipelineObject) -> Mapping[str, float]:
    """Read those fields that are lengths of time.

    Raises:
        ValueError: One is none.
    """
    found: dict[str, float] = {}
    for key in subject.keys():  # noqa: SIM118  # no mapping
        text = subject.string(key) if key in _PERIODS else None
        try:
            if text is not None:
                found[key] = seconds(text)
        except ValueError as error:
            raise ValueError(f"{key}: {error}") from None
    return found


def _bare_info(attempt_id: str, pipeline_id: str, worker_group: str, kind: str = "") -> TaskInfo:
    shown = clean(attempt_id)[:MAX_ID]  # whatever came, it can be shown and written down
    subject = PipelineObject(id=shown, name=shown, fields=())
    return TaskInfo(kind, pipeline_id, attempt_id, worker_group, subject, {})
