"""What a handler is given: the task, and how it ends other than by returning."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Protocol

from aiodatapipeline.models import PipelineObject, Ref, TaskObject

LOGGER = logging.getLogger("aiodatapipeline.runner")

_ATTEMPT_NUMBER = re.compile(r"_Attempt=(\d+)$")


class CancelReason(StrEnum):
    """Why a handler is to stop."""

    CANCELED = "canceled"
    """The service said so. Nothing is reported."""
    LOST = "lost"
    """The service does not know the task as ours any more. Nothing is reported."""
    DELETED = "deleted"
    """The pipeline is gone. Nothing is reported."""
    LAPSED = "lapsed"
    """No report got through for as long as the lease lasts, so that another runner may have
    the task by now. Nothing is reported unless the handler comes to an end of its own."""
    TIMEOUT = "timeout"
    """The task's ``attemptTimeout`` is nearly over. The task fails."""
    SHUTDOWN = "shutdown"
    """The runner stops and has waited long enough. The task fails."""
    STALLED = "stalled"
    """The event loop stood still for too long. The task fails."""

    @property
    def is_gone(self) -> bool:
        """Whether the task is no longer ours, so that nothing may be reported."""
        return self in {CancelReason.CANCELED, CancelReason.LOST, CancelReason.DELETED}


class LeaseState(StrEnum):
    """How sure the runner is that a task is still its own."""

    HELD = "held"
    """A report was taken less than five minutes ago."""
    SUSPECT = "suspect"
    """None was for five minutes, after which one of the service's documents has it expire."""
    LAPSED = "lapsed"
    """None was for ``reportProgressTimeout``, or 15 minutes."""
    GONE = "gone"
    """The service said that the task is not ours."""


class TaskFailed(Exception):  # noqa: N818  # it tells the service FAILED, in its words
    """Raise it in a handler to say in one's own words how the task failed.

    Any other exception does as well: its class is the error id then, and its traceback the
    stack trace. What is too long or has characters that the service refuses is made to fit.

    Args:
        error_id: A short name for the kind of failure, such as ``ImportFailed``.
        message: What happened, for people.
        detail: Stands where a stack trace would: the end of a command's error output, say. The
            traceback if left out.
    """

    error_id: str
    message: str
    detail: str

    def __init__(self, error_id: str, message: str = "", *, detail: str = "") -> None:
        super().__init__(error_id, message)
        self.error_id, self.message, self.detail = error_id, message, detail

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[object, ...]:
        # A handler in a process of its own sends it to ours.
        return _task_failed, (self.error_id, self.message, self.detail)


def _task_failed(error_id: str, message: str, detail: str) -> TaskFailed:
    return TaskFailed(error_id, message, detail=detail)


@dataclass(frozen=True)
class TaskInfo:
    """What is known of a task when it is handed over. It can be pickled.

    The task id is not among it: it stands for the right to report on the task.
    """

    type: str
    """The type of the object, such as ``ShellCommandActivity``; empty if it has none."""
    pipeline_id: str
    attempt_id: str
    """The readable name. The same at a second delivery, so it makes a good idempotency key."""
    worker_group: str
    object: PipelineObject = field(repr=False)
    """The attempt, with its fields evaluated."""
    objects: Mapping[str, PipelineObject] = field(repr=False)
    """What the attempt refers to, by id, and itself. A reference may lead to none of them."""
    resumed: bool = False
    """Whether the handler was begun before, by a runner that crashed (``recover="resume"``)."""

    @classmethod
    def of(cls, task: TaskObject, worker_group: str, *, resumed: bool = False) -> TaskInfo:
        """Read a task as PollForTask gave it.

        Raises:
            LookupError: The attempt itself is not among its objects.
            ValueError: It has several types.
        """
        return cls(
            type=task.attempt.string("type") or "",
            pipeline_id=task.pipeline_id,
            attempt_id=task.attempt_id,
            worker_group=worker_group,
            object=task.attempt,
            objects=task.objects,
            resumed=resumed,
        )

    @property
    def attempt_number(self) -> int | None:
        """1 for the first try, and so on; None if the attempt's id does not tell."""
        found = _ATTEMPT_NUMBER.search(self.attempt_id)
        return int(found[1]) if found else None

    @property
    def scheduled_start(self) -> datetime | None:
        """When the interval begins that the task is about, in UTC."""
        return _time(self.object.strings("@scheduledStartTime"))

    @property
    def scheduled_end(self) -> datetime | None:
        """When the interval ends that the task is about, in UTC."""
        return _time(self.object.strings("@scheduledEndTime"))


def _time(texts: tuple[str, ...]) -> datetime | None:
    try:
        return datetime.fromisoformat(texts[0]).replace(tzinfo=UTC) if texts else None
    except ValueError:
        return None


class Link(Protocol):
    """What stands behind a task: the runner, a test, or the pipe to another process."""

    @property
    def cancelled(self) -> CancelReason | None:
        """Why the handler is to stop; None while it may go on."""
        ...

    @property
    def lease(self) -> LeaseState:
        """How sure the runner is that the task is still its own."""
        ...

    def progress(self, fields: Mapping[str, str | float]) -> None:
        """Keep fields for the next report. May be called by any thread."""
        ...

    def on_cancel(self, call: Callable[[], None]) -> None:
        """Have a function called, in some thread, when the handler is to stop; at once if so."""
        ...

    async def evaluate(self, object_id: str, expression: str) -> str:
        """Have the service evaluate an expression."""
        ...

    async def describe(self, object_id: str) -> PipelineObject:
        """Ask the service for an object."""
        ...


class _AnyTask:
    """What ``Task`` and ``SyncTask`` share."""

    def __init__(self, info: TaskInfo, link: Link) -> None:
        self.info = info
        self._link = link

    @property
    def type(self) -> str:
        """The type of the object, such as ``ShellCommandActivity``."""
        return self.info.type

    @property
    def pipeline_id(self) -> str:
        """The pipeline that the task belongs to."""
        return self.info.pipeline_id

    @property
    def attempt_id(self) -> str:
        """The readable name. The same at a second delivery: a good idempotency key."""
        return self.info.attempt_id

    @property
    def object(self) -> PipelineObject:
        """The attempt: its fields, evaluated."""
        return self.info.object

    @property
    def cancelled(self) -> CancelReason | None:
        """Why the handler is to stop; None while it may go on."""
        return self._link.cancelled

    @property
    def log(self) -> logging.LoggerAdapter[logging.Logger]:
        """A logger whose records have ``attempt_id``, ``pipeline_id`` and ``worker_group``."""
        return logging.LoggerAdapter(
            LOGGER.getChild("task"),
            {
                "attempt_id": self.attempt_id,
                "pipeline_id": self.pipeline_id,
                "worker_group": self.info.worker_group,
            },
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.type!r}, {self.attempt_id!r}, {self.pipeline_id!r})"


class Task(_AnyTask):
    """A task as an async handler sees it.

    When it is to stop, the handler is cancelled: ``asyncio.CancelledError`` is raised where it
    waits, and ``cancelled`` says why. What takes longer than ``cancel_grace`` after that is
    left behind.
    """

    @property
    def lease(self) -> LeaseState:
        """How sure the runner is that the task is still its own."""
        return self._link.lease

    async def progress(self, percent_complete: float | None = None, **fields: str | float) -> None:
        """Keep fields for the next report to the service, for people to read.

        It costs next to nothing and sends nothing: a report goes out once a minute, with the
        newest value of each field.

        Args:
            percent_complete: 0 to 100.
            fields: More of them; ``rows_read`` is called ``rowsRead`` at the service.
        """
        self._link.progress(_fields(percent_complete, fields))

    async def evaluate(self, expression: str, *, object_id: str | None = None) -> str:
        """Have the service evaluate each ``#{...}`` of a text.

        Args:
            expression: The text.
            object_id: The object whose fields the expressions see; the attempt if left out.

        Raises:
            DataPipelineError: The service refused, or no answer came after some tries.
        """
        return await self._link.evaluate(object_id or self.attempt_id, expression)

    async def resolve(self, reference: Ref | str) -> PipelineObject:
        """Give the object that a reference leads to: of the task's own, or from the service.

        Raises:
            LookupError: There is no such object.
            DataPipelineError: The service refused, or no answer came after some tries.
        """
        object_id = reference.id if isinstance(reference, Ref) else reference
        found = self.info.objects.get(object_id)
        return found if found is not None else await self._link.describe(object_id)


class SyncTask(_AnyTask):
    """A task as a sync handler sees it, in a thread or a process of its own.

    Given to an executor that pickles it, it knows nothing but ``info`` at the other end:
    progress goes nowhere, and ``cancelled`` stays None.
    """

    def progress(self, percent_complete: float | None = None, **fields: str | float) -> None:
        """Keep fields for the next report to the service. See ``Task.progress``."""
        self._link.progress(_fields(percent_complete, fields))

    def raise_if_cancelled(self) -> None:
        """Stop the handler if it is to stop.

        Raises:
            asyncio.CancelledError: Which is no ``Exception``, so that few catch it by mistake.
        """
        if self.cancelled is not None:
            raise asyncio.CancelledError(self.cancelled)

    def on_cancel(self, call: Callable[[], None]) -> None:
        """Have a function called when the handler is to stop, at once if that is so already.

        Args:
            call: It runs in a thread of its own, beside the handler: ``connection.interrupt``,
                say. What it raises is logged. In a process it is never called: that gets a
                SIGTERM, which raises SystemExit in the handler.
        """
        self._link.on_cancel(call)

    def __reduce__(self) -> tuple[object, ...]:
        return SyncTask, (self.info, Unlinked())


class Unlinked:
    """A link that leads nowhere."""

    cancelled: CancelReason | None = None
    lease = LeaseState.HELD

    def progress(self, fields: Mapping[str, str | float]) -> None:
        """Do nothing."""

    def on_cancel(self, call: Callable[[], None]) -> None:
        """Do nothing."""

    async def evaluate(self, object_id: str, expression: str) -> str:
        """Refuse."""
        raise LookupError(f"there is no service to evaluate {expression!r} for {object_id!r}")

    async def describe(self, object_id: str) -> PipelineObject:
        """Refuse."""
        raise LookupError(f"there is no service to ask for {object_id!r}")


def _fields(
    percent_complete: float | None, fields: Mapping[str, str | float]
) -> Mapping[str, str | float]:
    return fields if percent_complete is None else {"percent_complete": percent_complete, **fields}
