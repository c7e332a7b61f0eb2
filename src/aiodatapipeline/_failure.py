"""An exception -> what the service can be told of it. Nothing that is printed here can fail."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass

from aiodatapipeline._text import clean, cut_bytes, cut_middle

# Source: errorId and errorStackTrace in botocore's service model, in characters.
MAX_ERROR_ID = 1024
MAX_STACK_TRACE = 1024
# errorMessage has no stated limit, but the attempt that it is stored on has: 15,360 bytes
# with all its fields. Source: quotas of the developer guide.
MAX_MESSAGE_BYTES = 2048
# Of a stack trace that is too long: where it began. The rest is for its end.
_STACK_TRACE_HEAD = 300
# In front of an error id: the service's own errors, and a failure whose class is named so.
RESERVED_ERROR_ID, _OURS = "Service_", "Runner_"


@dataclass(frozen=True, slots=True)
class Failure:
    """An exception in words: within the service's limits, in characters that it takes."""

    error_id: str
    message: str
    stack_trace: str


def describe(exception: BaseException) -> Failure:
    """Put an exception into words, whatever its methods do when they are asked."""
    # Cleaning takes long and makes no text shorter: what is cut anyway is cut before, too.
    name = _try(lambda: type(exception).__name__, "")
    error_id = clean(name[:MAX_ERROR_ID])[:MAX_ERROR_ID]
    if error_id.startswith(RESERVED_ERROR_ID):
        error_id = _OURS + error_id[len(RESERVED_ERROR_ID) :]
    message = _try(lambda: str(exception), "(the exception could not be printed)")
    stack_trace = cut_middle(_stack_trace(exception), 2 * MAX_STACK_TRACE, MAX_STACK_TRACE)
    return Failure(
        error_id=error_id or "Exception",
        message=cut_bytes(clean(message[:MAX_MESSAGE_BYTES]), MAX_MESSAGE_BYTES),
        stack_trace=cut_middle(clean(stack_trace), MAX_STACK_TRACE, _STACK_TRACE_HEAD),
    )


def _stack_trace(exception: BaseException) -> str:
    return (
        _try(lambda: "".join(traceback.format_exception(exception)), "")
        # Printing asks the exception, and its causes, for more than where it happened.
        or _try(lambda: "".join(traceback.format_tb(exception.__traceback__)), "")
        or "(no stack trace)"
    )


def _try(tell: Callable[[], str], otherwise: str) -> str:
    try:
        # A subclass of str could still have its say later; a plain one cannot.
        return str.__str__(tell())
    except BaseException:  # noqa: BLE001  # code of the exception's own runs here
        return otherwise
