"""Wait for something to become true: the service has no waiters of its own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from aiodatapipeline.errors import (
    DataPipelineError,
    PipelineDeletedException,
    PipelineNotFoundException,
    WaitTimeoutError,
)
from aiodatapipeline.models import PipelineDescription, PipelineObject

if TYPE_CHECKING:
    from aiodatapipeline._client import DataPipelineClient

FoundT = TypeVar("FoundT")

# Seconds. An account may make a call or two a second, for everybody in it. Source: dp-limits.
INTERVAL = 10.0

# What an instance stays in. Source: dp-interpret-status of the developer guide.
ENDED = frozenset({"FINISHED", "FAILED", "CANCELED", "CASCADE_FAILED", "SKIPPED", "TIMEDOUT"})


class Pace(NamedTuple):
    """How often to look, and for how long at the most. Times are in seconds."""

    timeout: float
    interval: float
    pause: Callable[[float], Awaitable[float]]
    """Waits for a time, and gives how much of it was skipped."""


async def wait_for_state(
    client: DataPipelineClient, pipeline_id: str, states: Collection[str], pace: Pace
) -> PipelineDescription:
    """See ``DataPipelineClient.wait_for_pipeline_state``."""
    if not states:
        raise ValueError("name at least one state to wait for, such as 'FINISHED'")
    state: str | None = None

    async def look() -> PipelineDescription | None:
        nonlocal state
        answer = await client.describe_pipelines([pipeline_id])
        for pipeline in answer.pipeline_description_list:
            state = pipeline.state
            if state in states:
                return pipeline
        return None

    def seen() -> str:
        return f"pipeline {pipeline_id} is {state or 'in no state'}, not {' or '.join(states)}"

    return await _until(look, seen, pace)


async def wait_until_deleted(client: DataPipelineClient, pipeline_id: str, pace: Pace) -> None:
    """See ``DataPipelineClient.wait_until_pipeline_deleted``."""

    async def look() -> bool | None:
        try:
            await client.describe_pipelines([pipeline_id])
        except (PipelineNotFoundException, PipelineDeletedException):
            return True
        return None

    await _until(look, lambda: f"pipeline {pipeline_id} is still there", pace)


async def wait_until_ended(
    client: DataPipelineClient, pipeline_id: str, pace: Pace
) -> tuple[PipelineObject, ...]:
    """See ``DataPipelineClient.wait_until_instances_ended``."""
    ended: dict[str, PipelineObject] = {}
    waiting: tuple[str, ...] = ()

    async def look() -> tuple[PipelineObject, ...] | None:
        nonlocal waiting
        ids = [one async for one in client.query_objects(pipeline_id, "INSTANCE")]
        # An account may describe 25 objects twice a second: what has ended is not asked again.
        waiting = tuple(one for one in ids if one not in ended)
        async for instance in client.describe_objects(pipeline_id, waiting):
            if instance.string("@status") in ENDED:
                ended[instance.id] = instance
        waiting = tuple(one for one in ids if one not in ended)
        return None if waiting or not ids else tuple(ended[one] for one in ids)

    def seen() -> str:
        if not waiting:
            return f"pipeline {pipeline_id} has no instances"
        return (
            f"pipeline {pipeline_id} has {len(waiting)} instances that have not ended, "
            f"such as {waiting[0]}"
        )

    return await _until(look, seen, pace)


async def _until(
    look: Callable[[], Awaitable[FoundT | None]],
    seen: Callable[[], str],
    pace: Pace,
) -> FoundT:
    """Look at once, then once per interval, and a last time when the time is up.

    A look that fails in a way that may pass, or that is not over when the time is up and an
    interval more, counts as one that found nothing.
    """
    timeout, interval, pause = pace
    if not timeout >= 0:
        raise ValueError(f"timeout is 0 seconds or more, not {timeout!r}")
    if not interval > 0:  # or looks would take all of the account's calls
        raise ValueError(f"interval is a number of seconds above 0, not {interval!r}")
    end = time.monotonic() + timeout
    told = "no look succeeded"
    while True:
        failure: Exception | None = None
        try:
            async with asyncio.timeout(max(end - time.monotonic(), 0) + interval):
                found = await look()
            if found is not None:
                return found
            told = seen()
        except DataPipelineError as error:
            if not error.retryable:
                raise
            failure = error
        except TimeoutError as error:
            failure = error
        left = end - time.monotonic()
        if left <= 0:
            raise WaitTimeoutError(f"{told}, after {timeout:g} s") from failure
        end -= await pause(min(interval, left))
