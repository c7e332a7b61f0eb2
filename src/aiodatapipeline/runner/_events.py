"""What a runner says about itself: events, for logs, metrics and traces, and its health."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from aiodatapipeline.runner._task import LOGGER


class EventKind(StrEnum):
    """What happened. ``Event.detail`` has what is named here."""

    STARTED = "started"
    """The runner polls now. ``recovered``: tasks found in the state directory."""
    POLLED = "polled"
    """A poll was answered. ``seconds``; ``task``: whether it brought one."""
    POLL_FAILED = "poll_failed"
    """``error``; ``ambiguous``: whether its lost answer may have held a task."""
    THROTTLED = "throttled"
    """The service refused a call for being one too many. ``operation``."""
    ASSIGNED = "assigned"
    """A poll brought a task. ``type``."""
    ACKNOWLEDGED = "acknowledged"
    """The first report was taken. ``seconds`` since the poll was answered."""
    DROPPED = "dropped"
    """A task was given up before its handler began, or left to the service. ``why``."""
    RUNNING = "running"
    """The handler begins. ``type``, ``resumed``."""
    REPORTED = "reported"
    """A report was taken. ``seconds`` since the one before; ``fields``: their number."""
    REPORT_FAILED = "report_failed"
    """``error``."""
    LEASE = "lease"
    """The lease changed. ``state``: of ``LeaseState``."""
    CANCELLED = "cancelled"
    """The handler is told to stop. ``reason``: of ``CancelReason``."""
    LEAKED = "leaked"
    """The handler ignores that. It keeps its place among the concurrent ones."""
    ENDED = "ended"
    """The handler is over. ``status``: FINISHED, FAILED, FALSE, or empty if nothing will be
    reported; ``seconds``; ``error_id``."""
    DELIVERED = "delivered"
    """The service has the outcome. ``status``; ``sends``; ``seconds`` since the end."""
    PRESUMED = "presumed"
    """The service knows the task no more, after an answer was lost: it had taken the outcome,
    as far as one can tell. ``status``."""
    FENCED = "fenced"
    """The outcome was not taken, since the task is no longer ours. ``status``, ``why``."""
    SIMPLIFIED = "simplified"
    """The service refused the outcome's texts, so they were made simpler. ``step``."""
    OUTBOX = "outbox"
    """The outbox cannot be written, or can again. ``error``, empty if it can."""
    BLOCKED = "blocked"
    """A handler blocks the event loop. ``handler``, ``seconds``, ``stack``."""
    KEEPER = "keeper"
    """What keeps the leases broke down and was started again, or was not. ``error``."""
    STOPPING = "stopping"
    """The runner takes no more tasks. ``why``."""
    STOPPED = "stopped"
    """The runner is done. ``undelivered``: outcomes that stay in the outbox."""


Detail = str | float | bool


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened. It never holds a task id nor the value of a field."""

    kind: EventKind
    at: float
    """Seconds since the epoch, by the runner's clock."""
    worker_group: str = ""
    pipeline_id: str = ""
    attempt_id: str = ""
    """Empty, like the two above, where it is about none."""
    detail: Mapping[str, Detail] = field(default_factory=dict[str, Detail])


class Status(StrEnum):
    """How a runner is."""

    STARTING = "starting"
    OK = "ok"
    DEGRADED = "degraded"
    """It works, and something is wrong: ``Health.problems`` says what."""
    STOPPING = "stopping"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Health:
    """How a runner is at this moment."""

    status: Status
    problems: tuple[str, ...]
    """In words, for people."""
    running: int
    """Handlers under way."""
    leaked: int
    """Handlers that ignored their cancellation."""
    undelivered: int
    """Outcomes that the service does not have yet."""


@dataclass(frozen=True, slots=True)
class RunningTask:
    """A task that a runner is at, for people to look at."""

    type: str
    worker_group: str
    pipeline_id: str
    attempt_id: str
    seconds: float
    """Since the poll that brought it, by the runner's clock."""
    progress: Mapping[str, str | float]
    """What its handler last said, with ``percent_complete`` if it said that."""


_LEVELS = {
    EventKind.POLL_FAILED: logging.WARNING,
    EventKind.THROTTLED: logging.WARNING,
    EventKind.DROPPED: logging.WARNING,
    EventKind.REPORT_FAILED: logging.WARNING,
    EventKind.LEASE: logging.WARNING,
    EventKind.LEAKED: logging.ERROR,
    EventKind.PRESUMED: logging.WARNING,
    EventKind.FENCED: logging.ERROR,
    EventKind.SIMPLIFIED: logging.WARNING,
    EventKind.OUTBOX: logging.ERROR,
    EventKind.BLOCKED: logging.ERROR,
    EventKind.KEEPER: logging.ERROR,
    EventKind.POLLED: logging.DEBUG,
    EventKind.REPORTED: logging.DEBUG,
}

# An application that is so far behind with its events has other worries than old ones.
_BACKLOG = 10_000
# Seconds that the last events get when a runner stops.
_FAREWELL = 5.0


class Hook:
    """Calls the application's ``on_event`` in a thread of its own.

    Nothing that it does can reach a task: what it raises is logged, and while it hangs, events
    wait and in the end are dropped.
    """

    def __init__(self, call: Callable[[Event], None]) -> None:
        self._call = call
        self._queue: queue.Queue[Event | None] = queue.Queue(_BACKLOG)
        self._dropped = 0
        self._closing = False
        self._thread = threading.Thread(
            target=self._run, name="aiodatapipeline-events", daemon=True
        )
        self._thread.start()

    def put(self, event: Event) -> None:
        """Let an event be told."""
        try:
            self._queue.put_nowait(event)
        except queue.Full:
            self._dropped += 1

    def close(self) -> None:
        """Wait for what is still to be told, but not for long."""
        self._closing = True
        try:
            self._queue.put(None, timeout=_FAREWELL)
        except queue.Full:
            LOGGER.error("on_event hangs: %s events were not told", self._queue.qsize())
            return
        self._thread.join(_FAREWELL)
        if self._dropped:
            LOGGER.error("on_event was too slow: %s events were dropped", self._dropped)

    def _run(self) -> None:
        while (event := self._queue.get()) is not None:
            try:
                self._call(event)
            except BaseException:  # noqa: BLE001  # the application's; nobody is left to stop here
                LOGGER.exception("on_event failed for %s", event.kind)
            if self._closing and self._queue.empty():
                return  # it hung for so long that nobody waits any more


def is_logged(kind: EventKind) -> bool:
    """Say whether events of a kind go into the log at the moment."""
    return LOGGER.isEnabledFor(_LEVELS.get(kind, logging.INFO))


def log(event: Event) -> None:
    """Write an event to the log, as a record with attributes."""
    about = event.attempt_id or event.worker_group
    detail = " ".join(
        f"{key}={_short(value)}" for key, value in event.detail.items() if value != ""
    )
    LOGGER.log(
        _LEVELS.get(event.kind, logging.INFO),
        "%s",
        " ".join(each for each in (event.kind, about, detail) if each),
        extra={
            "event": str(event.kind),
            "worker_group": event.worker_group,
            "pipeline_id": event.pipeline_id,
            "attempt_id": event.attempt_id,
            "detail": dict(event.detail),
        },
    )


def _short(value: Detail) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)
