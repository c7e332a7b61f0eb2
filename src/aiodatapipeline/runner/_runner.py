"""The task runner that people make."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Callable, Coroutine, Generator, Iterable
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any, Literal, NoReturn

from aiodatapipeline._client import DataPipelineClient
from aiodatapipeline._clock import Clock, SystemClock
from aiodatapipeline._text import first_refused
from aiodatapipeline._wire import MAX_ID
from aiodatapipeline.models import TaskStatus
from aiodatapipeline.runner._engine import Engine
from aiodatapipeline.runner._events import Event, Health, RunningTask, Status
from aiodatapipeline.runner._handlers import Handlers
from aiodatapipeline.runner._lease import Timing
from aiodatapipeline.runner._outbox import FileOutbox, NoOutbox, Outbox
from aiodatapipeline.runner._program import leave, run_to_end
from aiodatapipeline.runner._settings import Settings, Stage
from aiodatapipeline.runner._task import LOGGER

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
# The first drains, the second cancels; the next exits.
_EXIT_AT = 2


@dataclass(frozen=True, slots=True)
class RunResult:
    """How a runner's work ended."""

    exit_code: int
    """0; 1 if it had to stop because something was wrong; 130 or 143 after a second signal."""
    finished: int
    failed: int
    not_met: int
    """Preconditions that were reported FALSE."""
    unreported: int
    """Tasks whose outcome was not the service's to know: cancelled, or another's by then."""
    undelivered: int
    """Outcomes that are still in the outbox; the next start delivers them."""


class TaskRunner(Handlers):
    """Polls for tasks, runs their handlers and reports how they ended.

    **At least once.** The service may hand a task over twice, to this runner or another: a
    handler should do no harm when it runs again. ``Task.attempt_id`` tells a repetition.

    Making one does no I/O. It can be run once at a time.
    """

    def __init__(
        self,
        worker_group: str | Iterable[str],
        *,
        client: Callable[[], DataPipelineClient] = DataPipelineClient,
        state_dir: str | os.PathLike[str] | None = None,
        max_concurrency: int = 8,
        drain_timeout: float = 600.0,
        cancel_grace: float = 30.0,
        recover: Literal["abandon", "fail", "resume"] = "abandon",
        late_failed: Literal["reprove", "withhold"] = "reprove",
        ignore_unknown: bool = False,
        account_share: float | None = 1.0,
        stall_limit: float = 600.0,
        taskrunner_id: str | None = None,
        hostname: str | None = None,
        on_event: Callable[[Event], None] | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Make a runner.

        Args:
            worker_group: Where to take work from: one group, or several.
            client: Makes a client, which the runner opens and closes; it needs three, in two
                threads. ``lambda: DataPipelineClient(region_name="us-east-1")``, say.
            state_dir: A directory of this runner's own for what must outlive a crash: outcomes
                that the service does not have yet. None keeps them in memory, and a crash
                loses them.
            max_concurrency: How many tasks run at once; open polls count too, one per group.
            drain_timeout: Seconds that running handlers get when the runner stops.
            cancel_grace: Seconds that a handler gets to stop.
            recover: What becomes of tasks whose handlers a crash cut off. ``"abandon"``: the
                service hands them over again when their lease ends. ``"fail"``: they fail as
                ``RunnerCrashed``, if they are still ours. ``"resume"``: they are run again, if
                they are still ours; the state directory then holds their fields.
            late_failed: What becomes of a failure when the lease may have ended before it was
                reported. ``"reprove"``: it is sent once a report has shown that the task is
                still ours. ``"withhold"``: it is not sent, and the service's own time limit
                decides; for a service that might hand a task to another under the same id.
            ignore_unknown: Leave tasks of a type without a handler to others, instead of
                failing them.
            account_share: How much of the account's call limits (2 polls, 10 reports and 10
                outcomes a second) this runner may use; None for a service without limits. Of a
                thousand runners each has 0.001, and their first polls are spread.
            stall_limit: Seconds that the event loop may be blocked before the leases are given
                up.
            taskrunner_id: Unique in the account. Made up if left out, and kept in ``state_dir``.
            hostname: Shown at the attempts, for people; the machine's if left out.
            on_event: Called with every event, in a thread of its own. It can change nothing.
            clock: What time it is; another than the machine's is for tests.

        Raises:
            ValueError: An argument makes no sense.
        """
        super().__init__()
        groups = (worker_group,) if isinstance(worker_group, str) else tuple(worker_group)
        _check(groups, max_concurrency, account_share)
        for name, given, known in (
            ("recover", recover, ("abandon", "fail", "resume")),
            ("late_failed", late_failed, ("reprove", "withhold")),
        ):
            if given not in known:
                raise ValueError(f"{name} is one of {', '.join(known)}, not {given!r}")
        for name, value in (
            ("drain_timeout", drain_timeout),
            ("cancel_grace", cancel_grace),
            ("stall_limit", stall_limit),
        ):
            if not value >= 0:
                raise ValueError(f"{name} is 0 seconds or more, not {value!r}")
        self._settings = Settings(
            worker_groups=groups,
            client=client,
            state_dir=None if state_dir is None else Path(state_dir),
            max_concurrency=max_concurrency,
            drain_timeout=drain_timeout,
            cancel_grace=cancel_grace,
            recover=recover,
            late_failed=late_failed,
            ignore_unknown=ignore_unknown,
            account_share=account_share,
            stall_limit=stall_limit,
            taskrunner_id=taskrunner_id,
            hostname=hostname or socket.gethostname(),
            on_event=on_event,
            clock=clock or SystemClock(),
            timing=Timing(),
        )
        self._engine: Engine | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._signals = self._last_signal = 0
        self._last = Health(Status.STOPPED, (), running=0, leaked=0, undelivered=0)

    @property
    def worker_groups(self) -> tuple[str, ...]:
        """Where it takes work from."""
        return self._settings.worker_groups

    @property
    def stall_limit(self) -> float:
        """Seconds that the event loop may be blocked before the leases are given up."""
        return self._settings.stall_limit

    async def run(
        self, *, signals: bool = False, until_idle: bool = False, deliver_only: bool = False
    ) -> RunResult:
        """Work until told to stop.

        Outcomes that an earlier run left behind are delivered first.

        Args:
            signals: Stop on SIGTERM and SIGINT: the first takes no more tasks and lets the
                running ones end, the second cancels them, the third exits at once. Only in the
                main thread.
            until_idle: Stop as well when nothing runs and every group's poll, which the
                service may hold for 90 seconds, came back empty.
            deliver_only: Do no more than to deliver what an earlier run left behind.

        Raises:
            OutboxError: The state directory cannot be used.
            ConfigurationError: No region or credentials were found, or settings are wrong.
            RuntimeError: It runs already.
            asyncio.CancelledError: The task that runs this was cancelled. The runner has
                stopped as by ``stop`` then; cancelling again is ``stop(cancel=True)``.
        """
        if self._engine is not None:
            raise RuntimeError("this task runner runs already")
        self._loop, self._signals = asyncio.get_running_loop(), 0
        with self._on_signals() if signals else nullcontext():
            outbox = _open_outbox(self._settings)
            try:
                engine = self._engine = Engine(self._settings, self, outbox)
            except BaseException:  # of what makes the clients
                outbox.close()
                raise
            if self._signals:
                self._heed()  # there was nobody to tell it
            try:
                await _shielded(
                    engine, engine.run(until_idle=until_idle, deliver_only=deliver_only)
                )
            finally:
                self._engine = None
                self._last = engine.health
        return self._result(engine)

    def main(self, *, until_idle: bool = False) -> NoReturn:
        """Be the program: run until a signal says to stop, and exit with the exit code.

        This is ``asyncio.run(runner.run(signals=True))``, except that it ends although a handler
        does not: 5 seconds after ``run`` has returned, what is left of tasks, threads and
        processes is named in the log and left behind. ``asyncio.run`` waits for all of it.

        Args:
            until_idle: As for ``run``.

        Raises:
            SystemExit: With the exit code.
            OutboxError: As ``run``, which raises the others too.
        """
        leave(run_to_end(self.run(signals=True, until_idle=until_idle)).exit_code)

    def _result(self, engine: Engine) -> RunResult:
        counts, undelivered = engine.attempts.counts, engine.undelivered
        code = engine.exit_code or int(undelivered > 0)
        if self._signals > 1:
            code = 128 + self._last_signal
        return RunResult(
            exit_code=code,
            finished=counts[TaskStatus.FINISHED],
            failed=counts[TaskStatus.FAILED],
            not_met=counts[TaskStatus.FALSE],
            unreported=engine.attempts.unreported,
            undelivered=undelivered,
        )

    def stop(self, *, cancel: bool = False) -> None:
        """Take no more tasks, and let ``run`` return when the running ones have ended.

        May be called by any thread and by handlers, and more than once. Before ``run`` it does
        nothing.

        Args:
            cancel: Cancel the running ones, which are then reported as failed.
        """
        self._stop(Stage.CANCELLING if cancel else Stage.DRAINING, "stop was called")

    def _stop(self, stage: Stage, why: str) -> None:
        engine, loop = self._engine, self._loop
        if engine is not None and loop is not None:
            with suppress(RuntimeError):  # the loop was closed just now
                loop.call_soon_threadsafe(engine.stop, stage, why)

    @property
    def health(self) -> Health:
        """How the runner is at this moment. May be asked by any thread."""
        engine = self._engine
        return self._last if engine is None else engine.health

    @property
    def running(self) -> tuple[RunningTask, ...]:
        """The tasks that it is at, the oldest first. May be asked by any thread."""
        engine = self._engine
        return () if engine is None else engine.running

    def adapt(
        self,
        *,
        worker_group: str | Iterable[str] | None = None,
        client: Callable[[], DataPipelineClient] | None = None,
        state_dir: str | os.PathLike[str] | None = None,
        max_concurrency: int | None = None,
        on_event: Callable[[Event], None] | None = None,
    ) -> None:
        """Take other settings than those it was made with, as whoever starts it may want.

        Args:
            worker_group: Where to take work from instead. As the others, the same if None.
            client: Makes the clients instead.
            state_dir: The state directory instead.
            max_concurrency: How many tasks run at once instead.
            on_event: Called with every event as well.

        Raises:
            RuntimeError: It runs already.
            ValueError: An argument makes no sense.
        """
        if self._engine is not None:
            raise RuntimeError("this task runner runs already")
        settings, before = self._settings, self._settings.on_event
        if worker_group is not None:
            groups = (worker_group,) if isinstance(worker_group, str) else tuple(worker_group)
            settings = replace(settings, worker_groups=groups)
        if client is not None:
            settings = replace(settings, client=client)
        if state_dir is not None:
            settings = replace(settings, state_dir=Path(state_dir))
        if max_concurrency is not None:
            settings = replace(settings, max_concurrency=max_concurrency)
        if on_event is not None:
            settings = replace(settings, on_event=_both(before, on_event) if before else on_event)
        _check(settings.worker_groups, settings.max_concurrency, settings.account_share)
        self._settings = settings

    # -- signals --------------------------------------------------------------------------

    @contextmanager
    def _on_signals(self) -> Generator[None, None, None]:
        # Not the event loop's: these come even while a handler blocks the loop.
        before = {number: signal.signal(number, self._on_signal) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        self._signals += 1
        self._last_signal = number
        if self._signals > _EXIT_AT:
            # Outcomes are in the outbox already, and the next start delivers them.
            os._exit(128 + number)
        self._heed()

    def _heed(self) -> None:
        """Stop, as the signals say."""
        stage = Stage.DRAINING if self._signals == 1 else Stage.CANCELLING
        self._stop(stage, signal.Signals(self._last_signal).name)


def _both(one: Callable[[Event], None], other: Callable[[Event], None]) -> Callable[[Event], None]:
    def both(event: Event) -> None:
        try:
            one(event)
        finally:
            other(event)

    return both


def _open_outbox(settings: Settings) -> Outbox:
    if settings.state_dir is None:
        LOGGER.warning(
            "outcomes are kept in memory: a crash loses those that the service does not have "
            "yet. Give the task runner a state_dir to keep them"
        )
        return NoOutbox()
    return FileOutbox(settings.state_dir, settings.clock, keep_tasks=settings.recover == "resume")


async def _shielded(engine: Engine, work: Coroutine[Any, Any, None]) -> None:
    """Await an engine; being cancelled tells it to stop, and lets it end."""
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            engine.stop(Stage.DRAINING if cancelled is None else Stage.CANCELLING, "cancelled")
            cancelled = error
    try:
        task.result()
    except BaseExceptionGroup as group:
        # Of a task group of ours: its first error is what matters.
        raise group.exceptions[0] from group
    if cancelled is not None:
        raise cancelled


def _check(groups: tuple[str, ...], max_concurrency: int, account_share: float | None) -> None:
    if not groups or not all(groups):
        raise ValueError("worker_group is one name or several, and none of them is empty")
    if len(set(groups)) < len(groups):
        raise ValueError("worker_group names a group twice; one poll at a time is what it may have")
    for name in groups:
        if len(name) > MAX_ID or first_refused(name) is not None:
            raise ValueError(f"worker_group {name[:40]!r} is too long, or has a control character")
    if max_concurrency < len(groups):
        raise ValueError(
            f"max_concurrency is {max_concurrency}: each of the {len(groups)} worker groups needs "
            "a place for its poll"
        )
    if account_share is not None and not 0 < account_share <= 1:
        raise ValueError(f"account_share is above 0 and at most 1, not {account_share!r}")
