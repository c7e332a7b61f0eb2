"""The task runner that people make."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from aiodatapipeline._client import DataPipelineClient
from aiodatapipeline._clock import Clock, SystemClock
from aiodatapipeline.runner._events import Event, Health
from aiodatapipeline.runner._handlers import Handlers


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
                outcomes a second) this runner may use; None for a service without limits.
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
        self.worker_groups = (
            (worker_group,) if isinstance(worker_group, str) else tuple(worker_group)
        )
        self._clock = clock or SystemClock()

    async def run(self, *, signals: bool = False, until_idle: bool = False) -> RunResult:
        """Work until told to stop.

        Outcomes that an earlier run left behind are delivered first.

        Args:
            signals: Stop on SIGTERM and SIGINT: the first takes no more tasks and lets the
                running ones end, the second cancels them, the third exits at once. Only in the
                main thread.
            until_idle: Stop as well when nothing runs and every group's poll, which the
                service may hold for 90 seconds, came back empty.

        Raises:
            OutboxError: The state directory cannot be used.
            ConfigurationError: No region or credentials were found, or settings are wrong.
            asyncio.CancelledError: The task that runs this was cancelled. The runner has
                stopped as by ``stop`` then; cancelling again is ``stop(cancel=True)``.
        """
        raise NotImplementedError

    def stop(self, *, cancel: bool = False) -> None:
        """Take no more tasks, and let ``run`` return when the running ones have ended.

        May be called by any thread and by handlers, and more than once.

        Args:
            cancel: Cancel the running ones, which are then reported as failed.
        """
        raise NotImplementedError

    @property
    def health(self) -> Health:
        """How the runner is at this moment. May be asked by any thread."""
        raise NotImplementedError
