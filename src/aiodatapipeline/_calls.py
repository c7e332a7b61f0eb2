"""One call: attempts, the waits between them, and the deadline over all.

Retries live here and nowhere else. botocore's own are off, for it would repeat a poll whose
answer was lost, and each abandoned poll can swallow a task for two minutes.
"""

from __future__ import annotations

import asyncio
import random
import time
from typing import cast

from aiodatapipeline._answers import read_response, request_id
from aiodatapipeline._config import MAX_BACKOFF, POLL_TIMEOUT, TIMEOUT, CallOptions
from aiodatapipeline._seam import Reply, Transport
from aiodatapipeline.errors import (
    DataPipelineError,
    RequestNotSentError,
    ResponseError,
    ResponseLostError,
    ServiceError,
    ThrottlingException,
)
from aiodatapipeline.operations import (
    OPERATIONS,
    PollForTaskRequest,
    Request,
    ResponseMetadata,
    ResponseT,
)


async def call(
    transport: Transport, request: Request[ResponseT], options: CallOptions, max_attempts: int
) -> ResponseT:
    """Send a request until it is answered, or may not or cannot be sent again.

    Args:
        transport: What carries it.
        request: The request.
        options: Times and attempts.
        max_attempts: What counts if the options leave it open.

    Raises:
        DataPipelineError: The last attempt's; its ``attempts`` counts them all.
    """
    started = time.monotonic()
    body = request.to_wire()
    max_attempts = options.max_attempts or max_attempts
    attempts, maybe_applied = 0, False
    while True:
        attempts += 1
        try:
            response, reply = await _attempt(
                transport, request, body, _timeout(request, options, started)
            )
        except DataPipelineError as error:
            maybe_applied = maybe_applied or _may_have_been_applied(request, error)
            error.operation = error.operation or request.operation
            error.attempts, error.maybe_applied = attempts, maybe_applied
            if attempts >= max_attempts or not _may_be_repeated(request, error):
                raise
            wait = _wait(attempts, options)
            if wait >= _left(options, started):
                raise
        else:
            response._metadata = ResponseMetadata(  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # ours
                request_id=request_id(reply),
                status=reply.status,
                headers=reply.headers,
                attempts=attempts,
                elapsed=time.monotonic() - started,
            )
            return response
        await asyncio.sleep(wait)


async def _attempt(
    transport: Transport,
    request: Request[ResponseT],
    body: dict[str, object],
    timeout: float,
) -> tuple[ResponseT, Reply]:
    reply = await transport.send(request.operation, body, timeout)
    model = cast("type[ResponseT]", OPERATIONS[request.operation].response)
    return read_response(model, request.operation, reply), reply


def _timeout(request: Request[ResponseT], options: CallOptions, started: float) -> float:
    if isinstance(request, PollForTaskRequest):
        return options.poll_timeout or POLL_TIMEOUT
    return min(options.timeout or TIMEOUT, _left(options, started))


def _left(options: CallOptions, started: float) -> float:
    if options.deadline is None:
        return float("inf")
    return started + options.deadline - time.monotonic()


def _wait(attempts: int, options: CallOptions) -> float:
    """Full jitter: anything up to 1 s, then 2, 4 and so on."""
    longest = MAX_BACKOFF if options.max_backoff is None else options.max_backoff
    return random.uniform(0, min(2 ** (attempts - 1), longest))  # noqa: S311  # no secret


def _may_have_been_applied(request: Request[ResponseT], error: DataPipelineError) -> bool:
    if error.operation not in {"", request.operation}:
        return False  # it is about a call that was to bring credentials
    if isinstance(error, ServiceError):
        return error.status >= 500 and not isinstance(error, ThrottlingException)
    return error.maybe_applied or isinstance(error, ResponseLostError | ResponseError)


def _may_be_repeated(request: Request[ResponseT], error: DataPipelineError) -> bool:
    if isinstance(request, PollForTaskRequest):
        # A lost answer may have held a task: a second poll would not bring it back.
        return error.retryable and isinstance(error, RequestNotSentError | ServiceError)
    return error.retryable
