"""How a handler ended -> what the service is told, within its limits, and simpler if it refuses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from aiodatapipeline._failure import (
    MAX_ERROR_ID,
    MAX_MESSAGE_BYTES,
    MAX_STACK_TRACE,
    RESERVED_ERROR_ID,
    Failure,
    describe,
)
from aiodatapipeline._text import clean, cut_bytes, cut_middle
from aiodatapipeline.models import TaskStatus
from aiodatapipeline.operations import SetTaskStatusRequest
from aiodatapipeline.runner._task import CancelReason, TaskFailed

# Of a text in place of a stack trace: the end says more than the beginning.
_DETAIL_HEAD = 100
# Characters of a message that the service will hardly refuse.
_SHORT = 200


@dataclass(frozen=True, slots=True)
class Returned:
    """The handler returned."""

    value: object


@dataclass(frozen=True, slots=True)
class Raised:
    """The handler raised."""

    failure: Failure


Ended = Returned | Raised

_BY_US = {
    CancelReason.TIMEOUT: ("AttemptTimeout", "attemptTimeout was about to pass"),
    CancelReason.SHUTDOWN: ("RunnerShutdown", "the task runner was told to stop"),
    CancelReason.STALLED: ("RunnerStalled", "the task runner's event loop stood still"),
}


def tell(exception: BaseException) -> Failure:
    """Put what a handler raised into words. It never fails itself."""
    told = describe(exception)
    if not isinstance(exception, TaskFailed):
        return told
    return failure(exception.error_id, exception.message, exception.detail or told.stack_trace)


def failure(error_id: str, message: str, detail: str = "") -> Failure:
    """Make words fit."""
    error_id = clean(str(error_id)[:MAX_ERROR_ID])[:MAX_ERROR_ID] or "TaskFailed"
    if error_id.startswith(RESERVED_ERROR_ID):
        error_id = f"Runner_{error_id[len(RESERVED_ERROR_ID) :]}"
    detail = cut_middle(str(detail), 4 * MAX_STACK_TRACE, _DETAIL_HEAD)
    return Failure(
        error_id,
        cut_bytes(clean(str(message)[:MAX_MESSAGE_BYTES]), MAX_MESSAGE_BYTES),
        cut_middle(clean(detail), MAX_STACK_TRACE, _DETAIL_HEAD),
    )


def request_for(
    task_id: str, ended: Ended, cancelled: CancelReason | None, *, is_precondition: bool
) -> SetTaskStatusRequest | None:
    """Say what the service is told; None if it is told nothing.

    What counts is whether we asked the handler to stop, and why, and not what kind of exception
    it raised: a CancelledError may be its own.
    """
    if cancelled is not None and cancelled.is_gone:
        return None
    if isinstance(ended, Returned):
        unmet = is_precondition and not ended.value
        if unmet and cancelled is CancelReason.LAPSED:
            return None
        status = TaskStatus.FALSE if unmet else TaskStatus.FINISHED
        return SetTaskStatusRequest(task_id=task_id, task_status=status)
    if cancelled is CancelReason.LAPSED:
        return None
    told = ended.failure
    if cancelled is not None:
        error_id, message = _BY_US[cancelled]
        told = Failure(error_id, message, told.stack_trace)
    return failed(task_id, told)


def failed(task_id: str, told: Failure) -> SetTaskStatusRequest:
    """Make the request that says FAILED."""
    return SetTaskStatusRequest(
        task_id=task_id,
        task_status=TaskStatus.FAILED,
        error_id=told.error_id,
        error_message=told.message,
        error_stack_trace=told.stack_trace,
    )


def simpler(request: SetTaskStatusRequest) -> Iterator[SetTaskStatusRequest]:
    """Give ever simpler forms of a request whose texts the service refuses.

    The status is the same in all of them.
    """
    if request.task_status is not TaskStatus.FAILED:
        return
    error_id = _ascii(request.error_id or "")[:_SHORT] or "TaskFailed"
    message = _ascii(request.error_message or "")[:_SHORT]
    bare = SetTaskStatusRequest(task_id=request.task_id, task_status=request.task_status)
    yield bare.model_copy(update={"error_id": error_id, "error_message": message})
    yield bare.model_copy(update={"error_id": error_id})
    yield bare


def _ascii(text: str) -> str:
    return "".join(character if " " <= character <= "~" else "?" for character in text)
