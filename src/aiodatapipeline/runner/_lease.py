"""Keeping leases: in a thread and an event loop of their own, so that no handler can starve them.

The thread looks at all leases every few seconds, sends the reports that are due, and sees at
the same time whether the runner's own loop still turns.
"""

from __future__ import annotations

import asyncio
import random
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from pydantic.alias_generators import to_camel

from aiodatapipeline._clock import Clock, sleep
from aiodatapipeline._text import clean, cut_bytes
from aiodatapipeline.errors import DataPipelineError, PipelineDeletedException
from aiodatapipeline.models import Field
from aiodatapipeline.operations import ReportTaskProgressRequest
from aiodatapipeline.runner._caller import REFUSED_WAIT, Budget, Caller, Verdict, verdict
from aiodatapipeline.runner._events import Detail, EventKind
from aiodatapipeline.runner._task import LOGGER, CancelReason, LeaseState, TaskInfo


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds. What the service's documents say, and what follows from it."""

    acknowledge: float = 100.0
    """For the first report; the service hands the task to another after 120."""
    report: float = 60.0
    """Between reports, as the service advises."""
    suspect: float = 300.0
    """Without a report: the shorter of the two leases that its documents state."""
    lapse: float = 900.0
    """Without a report: the longer one; an object's ``reportProgressTimeout`` replaces it."""
    control: float = 10.0
    """For the answer to a report or an outcome."""
    poll: float = 100.0
    """For the answer to a poll, which the service may hold for 90."""
    heartbeat: float = 900.0
    """Between ReportTaskRunnerHeartbeat calls."""
    tick: float = 5.0
    """Between looks at all leases and at the runner's loop."""
    nudge: float = 5.0
    """Between cancellations of a handler that goes on."""
    last: float = 2.0
    """For what is left to do when a runner has to stop."""


# Source: limits of the developer guide: 50 fields an object, 10,240 bytes a field, and 15,360
# for an object, whose other fields need some of that.
_MAX_FIELDS, _MAX_FIELD_BYTES, _MAX_BYTES = 50, 1024, 8192


class Lease:
    """The right to one task, and what is to be told of it with the next report.

    Both threads use it: what they share is read and written under ``lock``.
    """

    __slots__ = (
        "accepted", "busy", "due", "failures", "fields", "held", "idle", "info", "lapse", "lock",
        "on_gone", "on_lapse", "sent_fields", "state", "suspect", "task_id", "trimmed",
    )  # fmt: skip

    def __init__(
        self,
        task_id: str,
        info: TaskInfo,
        *,
        suspect: float,
        lapse: float,
        on_gone: Callable[[CancelReason], None],
        on_lapse: Callable[[], None],
    ) -> None:
        self.task_id, self.info = task_id, info
        self.suspect, self.lapse = min(suspect, lapse), lapse
        self.on_gone, self.on_lapse = on_gone, on_lapse
        self.lock = threading.Lock()
        self.accepted = float("-inf")
        """When the last report was sent that was taken."""
        self.due = 0.0
        self.failures = 0
        self.state = LeaseState.HELD
        self.fields: dict[str, str | float] = {}
        self.sent_fields: dict[str, str | float] = {}
        self.trimmed = False
        self.busy = False
        """A report is under way."""
        self.held = False
        """No report may be sent: the outcome is on its way."""
        self.idle: Callable[[], None] | None = None
        """Called when the report under way has ended."""

    def note(self, fields: Mapping[str, str | float]) -> None:
        """Keep fields for the next report."""
        with self.lock:
            self.fields.update(fields)
            if len(self.fields) > _MAX_FIELDS:
                for key in list(self.fields)[_MAX_FIELDS:]:
                    del self.fields[key]
                if not self.trimmed:
                    self.trimmed = True
                    LOGGER.warning(
                        "%s reports more than %s fields: only the first are kept",
                        self.info.attempt_id,
                        _MAX_FIELDS,
                    )

    @property
    def progress(self) -> Mapping[str, str | float]:
        """What the handler last said. May be asked by any thread."""
        with self.lock:
            return dict(self.fields)

    def request(self, *, bare: bool = False) -> ReportTaskProgressRequest:
        """Make the report that is due, with the fields that are new."""
        with self.lock:
            new = {} if bare or self.fields == self.sent_fields else dict(self.fields)
        if not new:
            return ReportTaskProgressRequest(task_id=self.task_id)
        return ReportTaskProgressRequest(task_id=self.task_id, fields=_as_fields(new))

    def taken(self, sent_at: float, fields: int) -> float:
        """Note that a report was taken, and give the seconds since the one before."""
        with self.lock:
            since = sent_at - self.accepted
            self.accepted = max(self.accepted, sent_at)
            self.failures = 0
            if fields:
                self.sent_fields = dict(self.fields)
        return since


def _as_fields(values: Mapping[str, str | float]) -> tuple[Field, ...]:
    """Make what a handler reports fit the service's limits."""
    made: list[Field] = []
    size = 0
    for key, value in values.items():
        name = clean(to_camel(key))[:256] or "value"
        text = str(value).lower() if isinstance(value, bool) else str(value)
        text = cut_bytes(clean(text), _MAX_FIELD_BYTES)
        size += len(name.encode()) + len(text.encode())
        if size > _MAX_BYTES:
            break
        made.append(Field(key=name, string_value=text))
    return tuple(made)


Tell = Callable[[EventKind, TaskInfo | None, Mapping[str, Detail]], None]


class Keeper:
    """Sends the reports, from its own thread.

    Args:
        make: Makes what calls the service, in the keeper's loop.
        clock: What time it is.
        timing: How often.
        budget: Asked whether there is a reason to report less often.
        tell: Takes events, from any thread.
        stall_limit: Seconds that the runner's loop may stand still.
        on_stall: Called in the runner's loop after it stood still for too long, with the
            handler's type, if it could be found.
        on_broken: Called in the runner's loop when no lease is kept any more.
        name_of: Finds the handler that a stack is in.
    """

    def __init__(
        self,
        make: Callable[[], Caller],
        clock: Clock,
        timing: Timing,
        budget: Budget,
        tell: Tell,
        *,
        stall_limit: float,
        on_stall: Callable[[str], None],
        on_broken: Callable[[], None],
        name_of: Callable[[Mapping[object, None]], str],
    ) -> None:
        self._make, self._clock, self._timing, self._budget = make, clock, timing, budget
        self._tell, self._stall_limit = tell, stall_limit
        self._on_stall, self._on_broken, self._name_of = on_stall, on_broken, name_of
        self._lock = threading.Lock()
        self._leases: dict[int, Lease] = {}
        self._home = asyncio.get_running_loop()
        self._home_thread = threading.get_ident()
        self._main_task: asyncio.Task[None] | None = None
        self._is_open = self._closing = False
        self._reports: set[asyncio.Task[None]] = set()
        self._pinged: float | None = None
        self._told_blocked = self._gated = False
        self._thread = threading.Thread(
            target=self._run, name="aiodatapipeline-leases", daemon=True
        )
        self._opened: asyncio.Future[None] = self._home.create_future()
        self._ended = asyncio.Event()

    # -- for the runner's loop ------------------------------------------------------------

    async def open(self) -> None:
        """Start the thread.

        Raises:
            ConfigurationError: The settings do not make a client.
        """
        self._thread.start()
        with self._clock.working():
            await self._opened

    async def aclose(self) -> None:
        """Stop the thread."""
        self._closing = True
        if self._main_task is not None:
            self._call(self._main_task.get_loop(), self._main_task.cancel)
        if self._thread.ident is not None:
            with self._clock.working():
                await self._ended.wait()
            self._thread.join()

    def watch(self, lease: Lease) -> None:
        """Keep a lease from now on. It was taken by a report that came through."""
        # The first report is early, so that those of tasks that began together part.
        lease.due = self._clock.time() + self._timing.report * random.uniform(0.5, 0.95)  # noqa: S311
        with self._lock:
            self._leases[id(lease)] = lease

    def release(self, lease: Lease) -> None:
        """Keep a lease no longer."""
        with self._lock:
            self._leases.pop(id(lease), None)

    async def hold(self, lease: Lease) -> None:
        """Send no report until ``resume``, and wait for the end of the one under way."""
        with lease.lock:
            lease.held = True
            if not lease.busy:
                return
            idle = asyncio.Event()
            lease.idle = lambda: self._call(self._home, idle.set)
        await idle.wait()

    def resume(self, lease: Lease) -> None:
        """Send reports again."""
        with lease.lock:
            lease.held = False

    # -- the thread -----------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._keep()
        finally:
            self._call(self._home, self._ended.set)

    def _keep(self) -> None:
        for last in (False, True):
            try:
                asyncio.run(self._main())
            except BaseException as error:  # noqa: BLE001  # nobody else would see it
                if self._closing:
                    return
                if not self._is_open:
                    self._call(self._home, partial(self._note_opened, error))
                    return
                LOGGER.exception("what keeps the leases broke down")
                problem = f"{type(error).__name__}: {error}"
                self._tell(EventKind.KEEPER, None, {"error": problem, "restarted": not last})
        self._call(self._home, self._on_broken)

    def _note_opened(self, error: BaseException | None) -> None:
        with suppress(asyncio.InvalidStateError):  # nobody waits for it any more
            if error is None:
                self._opened.set_result(None)
            else:
                self._opened.set_exception(error)

    async def _main(self) -> None:
        self._main_task = asyncio.current_task()
        if self._closing:
            # It was told to stop when there was no task: this one would never hear of it.
            raise asyncio.CancelledError
        caller = self._make()
        with self._lock:
            leases = list(self._leases.values())
        for lease in leases:
            # Of a run of this thread that broke down.
            self._settled(lease)
        try:
            await caller.open()
            async with asyncio.TaskGroup() as group:
                group.create_task(self._tick_always(group, caller))
                await asyncio.sleep(0)  # it has an appointment with the clock now
                if not self._is_open:
                    self._is_open = True
                    self._call(self._home, partial(self._note_opened, None))
        finally:
            await caller.aclose()

    async def _tick_always(self, group: asyncio.TaskGroup, caller: Caller) -> None:
        while True:
            if self._is_home_alive():
                self._send_due(group, caller)
            await sleep(self._clock, self._timing.tick)

    def _send_due(self, group: asyncio.TaskGroup, caller: Caller) -> None:
        soon = self._clock.time() + self._timing.tick / 2
        with self._lock:
            leases = list(self._leases.values())
        for lease in leases:
            self._judge(lease)
            with lease.lock:
                if lease.due > soon or lease.busy or lease.held:
                    continue
                lease.busy = True
            report = group.create_task(self._report(lease, caller))
            self._reports.add(report)
            report.add_done_callback(self._reports.discard)

    def _judge(self, lease: Lease) -> None:
        """See how old the lease is. Age alone says nothing: a report has to have failed, too."""
        if lease.failures == 0 or lease.state is LeaseState.GONE:
            return
        age = self._clock.time() - lease.accepted
        found = (
            LeaseState.LAPSED
            if age >= lease.lapse
            else LeaseState.SUSPECT
            if age >= lease.suspect
            else LeaseState.HELD
        )
        if found is not lease.state and found is not LeaseState.HELD:
            lease.state = found
            self._tell(EventKind.LEASE, lease.info, {"state": found})
            if found is LeaseState.LAPSED:
                self._call(self._home, lease.on_lapse)

    async def _report(self, lease: Lease, caller: Caller) -> None:
        try:
            await self._send(lease, caller)
        except Exception:  # noqa: BLE001  # the lease is as it was, and a report due soon
            LOGGER.exception("a report broke down")
            self._failed(lease)
        finally:
            self._settled(lease)

    async def _send(self, lease: Lease, caller: Caller) -> None:
        request = lease.request(bare=lease.failures > 1)
        sent_at = self._clock.time()
        try:
            response = await caller.call(request, self._timing.control)
        except DataPipelineError as error:
            self._refused(lease, error, fields=len(request.fields))
            return
        if response.canceled:
            self._gone(lease, CancelReason.CANCELED)
            return
        since = lease.taken(sent_at, len(request.fields))
        lease.due = sent_at + self._pace(lease) * random.uniform(0.9, 1.0)  # noqa: S311
        detail = {"seconds": since, "fields": len(request.fields)}
        self._tell(EventKind.REPORTED, lease.info, detail)
        if lease.state is not LeaseState.HELD:
            lease.state = LeaseState.HELD
            self._tell(EventKind.LEASE, lease.info, {"state": LeaseState.HELD})

    def _refused(self, lease: Lease, error: DataPipelineError, *, fields: int) -> None:
        found = verdict(error)
        if found is Verdict.GONE or (found is Verdict.REFUSED and not fields):
            deleted = isinstance(error, PipelineDeletedException)
            self._gone(lease, CancelReason.DELETED if deleted else CancelReason.LOST)
            return
        if found is Verdict.REFUSED:
            lease.sent_fields = dict(lease.fields)  # it is they that are refused
        self._failed(lease, least=REFUSED_WAIT if found is Verdict.CREDENTIALS else 0.0)
        self._tell(EventKind.REPORT_FAILED, lease.info, {"error": str(error)})

    def _failed(self, lease: Lease, least: float = 0.0) -> None:
        lease.failures += 1
        longest = min(2 ** min(lease.failures, 10), 3 * self._timing.tick)
        lease.due = self._clock.time() + max(least, random.uniform(0, longest))  # noqa: S311

    def _gone(self, lease: Lease, reason: CancelReason) -> None:
        lease.state = LeaseState.GONE
        self.release(lease)
        self._call(self._home, lambda: lease.on_gone(reason))

    def _settled(self, lease: Lease) -> None:
        with lease.lock:
            lease.busy = False
            idle, lease.idle = lease.idle, None
        if idle is not None:
            idle()

    def _pace(self, lease: Lease) -> float:
        """Give the seconds to the next report: more of them while the service is overrun."""
        timing = self._timing
        throttled = self._clock.time() - self._budget.throttled_at < timing.suspect
        return min(lease.suspect / 3, timing.suspect / 3 if throttled else timing.report)

    def _call(self, loop: asyncio.AbstractEventLoop, call: Callable[[], object]) -> None:
        try:
            loop.call_soon_threadsafe(call)
        except RuntimeError:
            LOGGER.debug("an event loop was closed before the other")

    # -- whether the runner's loop turns --------------------------------------------------

    def _is_home_alive(self) -> bool:
        """See whether the runner's loop turns, and say whether it may go on having leases."""
        now = self._clock.time()
        if self._pinged is None:
            self._pinged = now
            self._call(self._home, self._pong)
            return not self._gated
        stood = now - self._pinged
        if stood >= self._timing.tick / 2 and not self._told_blocked:
            self._told_blocked = True
            self._find_blocker(stood)
        if stood >= self._stall_limit and not self._gated:
            self._gated = True
            handler = self._find_blocker(stood)
            LOGGER.error(
                "the event loop has stood still for %.0f seconds: no lease is kept any more. "
                "All stacks:\n%s",
                stood,
                _all_stacks(),
            )
            self._call(self._home, partial(self._on_stall, handler))
        return not self._gated

    def _pong(self) -> None:
        self._pinged = None
        self._told_blocked = self._gated = False

    def _find_blocker(self, seconds: float) -> str:
        frame = sys._current_frames().get(self._home_thread)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # documented
        stack = "".join(traceback.format_stack(frame)) if frame else ""
        codes: dict[object, None] = {}
        while frame is not None:
            codes[frame.f_code] = None
            frame = frame.f_back
        handler = self._name_of(codes)
        self._tell(
            EventKind.BLOCKED, None, {"handler": handler, "seconds": seconds, "stack": stack}
        )
        return handler


def _all_stacks() -> str:
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    return "\n".join(
        f"{names.get(ident, ident)}:\n{''.join(traceback.format_stack(frame))}"
        for ident, frame in sys._current_frames().items()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # documented
    )
