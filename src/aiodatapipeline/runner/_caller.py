"""One call to the service, and what its failure means: the only retry policy is the runner's.

The clients' own is off (``max_attempts=1``): it does not know the account's limits, that polls
must not be repeated, nor when a lease ends.
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Callable, Mapping
from enum import Enum, auto
from functools import lru_cache
from types import TracebackType
from typing import NamedTuple

from aiodatapipeline._client import DataPipelineClient
from aiodatapipeline._clock import Clock, sleep
from aiodatapipeline._config import CallOptions
from aiodatapipeline.errors import (
    AccessDeniedException,
    ConfigurationError,
    DataPipelineError,
    ExpiredCredentialsError,
    InvalidCredentialsError,
    PipelineDeletedException,
    PipelineNotFoundException,
    ReadTimeoutError,
    ResponseLostError,
    ServiceError,
    TaskNotFoundException,
    ThrottlingException,
)
from aiodatapipeline.operations import Request, ResponseT


class Verdict(Enum):
    """What a failed call means for the task that it was about."""

    GONE = auto()
    """It is not ours any more."""
    REFUSED = auto()
    """The service does not take the request as it is, and never will."""
    THROTTLED = auto()
    CREDENTIALS = auto()
    UNKNOWN = auto()
    """Nothing at all: the call may have been carried out or not."""


def verdict(error: DataPipelineError) -> Verdict:
    """Say what a failed call means."""
    if isinstance(error, TaskNotFoundException | PipelineDeletedException):
        return Verdict.GONE
    if isinstance(error, PipelineNotFoundException):
        return Verdict.GONE
    # A front end may say it without an error code.
    if isinstance(error, ThrottlingException) or error.status in {429, 503}:
        return Verdict.THROTTLED
    if isinstance(
        error,
        AccessDeniedException
        | ExpiredCredentialsError
        | InvalidCredentialsError
        | ConfigurationError,
    ):
        return Verdict.CREDENTIALS
    if isinstance(error, ServiceError) and not error.retryable:
        return Verdict.REFUSED
    return Verdict.UNKNOWN


class within:  # noqa: N801  # as asyncio.timeout
    """Do what ``asyncio.timeout`` does, by a clock. Used with ``async with``.

    Raises:
        TimeoutError: The time is over.
    """

    __slots__ = ("_appointment", "_clock", "_limit", "_seconds")

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock, self._seconds = clock, seconds
        self._limit = asyncio.timeout(None)

    async def __aenter__(self) -> None:
        await self._limit.__aenter__()
        self._appointment = self._clock.call_at(self._clock.time() + self._seconds, self._end)

    def _end(self) -> None:
        self._limit.reschedule(asyncio.get_running_loop().time())

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._appointment.cancel()
        await self._limit.__aexit__(exc_type, exc_value, traceback)


class Backoff:
    """Waits between tries: full jitter, up to ``first`` seconds, then twice that, and so on."""

    def __init__(self, first: float, longest: float, *, least: float = 0.0) -> None:
        self._first, self._longest, self._least = first, longest, least
        self.failures = 0

    def next(self) -> float:
        """Count a failure and give the seconds to wait."""
        limit = min(self._longest, self._first * 2 ** min(self.failures, 30))
        self.failures += 1
        return max(self._least, random.uniform(0, limit))  # noqa: S311  # no secret

    def reset(self) -> None:
        """Begin anew."""
        self.failures = 0


# Calls a second that an account may make, and how many at once after a pause.
# Source: limits of the developer guide.
RATES: Mapping[str, float] = {
    "PollForTask": 2.0,
    "ReportTaskProgress": 10.0,
    "SetTaskStatus": 10.0,
    "ReportTaskRunnerHeartbeat": 1.0,
}
_BURST = 100.0
# Below this part of its rate an operation is not slowed down further.
_SLOWEST = 0.1


class _Bucket:
    __slots__ = ("at", "burst", "pace", "rate", "slowed", "tokens")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self.rate, self.burst, self.tokens = rate, burst, burst
        self.pace = 1.0
        """The part of the rate that is used: less after a refusal."""
        self.at, self.slowed = now, now - 1.0


class Budget:
    """The calls that a runner may make, shared by all that it does, in all its threads.

    Args:
        clock: What time it is.
        share: Of the account's limits; None for none.
    """

    def __init__(self, clock: Clock, share: float | None) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        now = clock.time()
        self._buckets = (
            {}
            if share is None
            else {name: _Bucket(rate * share, _BURST * share, now) for name, rate in RATES.items()}
        )
        if share is not None and _BURST * share < 1:
            # One of very many, which may have been started together: so that they part, each
            # begins somewhere in the time that it has between two calls.
            for bucket in self._buckets.values():
                bucket.burst, bucket.tokens = 1.0, random.uniform(0.0, 1.0)  # noqa: S311
        self.throttled_at = now - 86_400.0
        """When a call was last refused for being one too many."""

    async def take(self, operation: str) -> None:
        """Wait until a call may be made."""
        wait = self.count(operation)
        if wait > 0:
            await sleep(self._clock, wait)

    def count(self, operation: str) -> float:
        """Count a call, and give the seconds that it should wait."""
        with self._lock:
            bucket = self._buckets.get(operation)
            if bucket is None:
                return 0.0
            now, rate = self._clock.time(), bucket.rate * bucket.pace
            bucket.tokens = min(bucket.burst, bucket.tokens + (now - bucket.at) * rate) - 1
            bucket.at = now
            return -bucket.tokens / rate

    def throttled(self, operation: str) -> None:
        """Note that the service refused a call for being one too many."""
        with self._lock:
            now = self._clock.time()
            self.throttled_at = now
            bucket = self._buckets.get(operation)
            if bucket is not None and now - bucket.slowed >= 1.0:
                bucket.pace, bucket.slowed = max(_SLOWEST, bucket.pace / 2), now
                bucket.tokens = min(bucket.tokens, 0.0)

    def accepted(self, operation: str) -> None:
        """Note that the service took a call."""
        bucket = self._buckets.get(operation)
        if bucket is not None and bucket.pace < 1.0:
            with self._lock:
                bucket.pace = min(1.0, bucket.pace + 0.02)


@lru_cache(maxsize=16)
def _once(timeout: float) -> CallOptions:
    # Nearly all calls have one of two time limits.
    return CallOptions(max_attempts=1, timeout=timeout, poll_timeout=timeout)


class Tally(NamedTuple):
    """What a caller tells of its calls."""

    throttled: Callable[[str], None]
    credentials: Callable[[str], None]
    """Why they are not taken; empty when they are again."""


# Seconds between tries while the credentials are refused.
REFUSED_WAIT = 10.0
# After how many refusals of the credentials a client is made anew, with those that there are now.
_RENEW_AFTER = 5
# Seconds that this may take, for what has to be reported waits meanwhile.
_RENEWED_BY = 30.0


class Caller:
    """A client of one event loop, opened, closed and made anew by the runner.

    Args:
        make: Makes a client.
        clock: What time it is.
        budget: The calls that may be made.
        tally: What is told of them.
    """

    def __init__(
        self, make: Callable[[], DataPipelineClient], clock: Clock, budget: Budget, tally: Tally
    ) -> None:
        self._make, self._clock, self._budget, self._tally = make, clock, budget, tally
        self._client = make()
        self._refused = 0
        self._renewing = False

    async def open(self) -> None:
        """Open the client.

        Raises:
            ConfigurationError: The settings do not make one.
        """
        await self._client.open()

    async def aclose(self) -> None:
        """Close the client."""
        await self._client.aclose()

    async def call(
        self, request: Request[ResponseT], timeout: float, *, urgent: bool = False
    ) -> ResponseT:
        """Make one call.

        Args:
            request: What is asked.
            timeout: Seconds for the answer.
            urgent: Whether it does not wait for the budget: an acknowledgement, which has two
                minutes and comes after a poll that did wait; or what has waited already.

        Raises:
            DataPipelineError: Whatever went wrong.
        """
        operation = request.operation
        if not urgent:
            await self._budget.take(operation)
        try:
            async with within(self._clock, timeout):
                response = await self._client.call(request, options=_once(timeout))
        except DataPipelineError as error:
            await self._note(operation, error)
            raise
        except TimeoutError as error:
            raise ReadTimeoutError(
                f"no answer within {timeout:g} seconds", operation=operation, maybe_applied=True
            ) from error
        except Exception as error:
            # Somebody's transport has errors of its own.
            raise ResponseLostError(
                f"{type(error).__name__}: {error}", operation=operation, maybe_applied=True
            ) from error
        self._budget.accepted(operation)
        if self._refused:
            self._refused = 0
            self._tally.credentials("")
        return response

    async def _note(self, operation: str, error: DataPipelineError) -> None:
        found = verdict(error)
        if found is Verdict.THROTTLED:
            self._budget.throttled(operation)
            self._tally.throttled(operation)
        elif found is Verdict.CREDENTIALS:
            self._refused += 1
            self._tally.credentials(str(error))
            if self._refused % _RENEW_AFTER == 0 and not self._renewing:
                await self._renew()

    async def _renew(self) -> None:
        """Make the client anew: a new role or a new file of credentials may be there."""
        self._renewing = True
        try:
            new = self._make()
            async with within(self._clock, _RENEWED_BY):
                await new.open()
            old, self._client = self._client, new
            await old.aclose()  # what is under way ends as a lost answer
        except Exception as error:  # noqa: BLE001  # what makes clients may read files, or wait
            self._tally.credentials(str(error) or type(error).__name__)
        finally:
            self._renewing = False
