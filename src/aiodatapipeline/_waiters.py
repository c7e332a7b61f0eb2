"""Wait for something to become true: the service has no waiters of its own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Collection
from typing import TYPE_CHECKING

from aiodatapipeline.errors import (
    PipelineDeletedException,
    PipelineNotFoundException,
    WaitTimeoutError,
)
from aiodatapipeline.models import PipelineDescription, PipelineObject

if TYPE_CHECKING:
    from aiodatapipeline._client import DataPipelineClient

# An account may make one such call a second, for everybody in it. Source: dp-limits.
INTERVAL = 10.0

# What an instance stays in. Source: dp-interpret-status of the developer guide.
ENDED = frozenset({"FINISHED", "FAILED", "CANCELED", "CASCADE_FAILED", "SKIPPED", "TIMEDOUT"})


async def wait_for_state(
    client: DataPipelineClient,
    pipeline_id: str,
    states: Collection[str],
    timeout: float,
    interval: float,
) -> PipelineDescription:
    """See ``DataPipelineClient.wait_for_pipeline_state``."""
    state: str | None = None
    async for _ in _rounds(timeout, interval):
        answer = await client.describe_pipelines([pipeline_id])
        for pipeline in answer.pipeline_description_list:
            state = pipeline.state
            if state in states:
                return pipeline
    raise WaitTimeoutError(
        f"pipeline {pipeline_id} is {state or 'in no state'} after {timeout:g} s, "
        f"not {' or '.join(sorted(states))}"
    )


async def wait_until_deleted(
    client: DataPipelineClient, pipeline_id: str, timeout: float, interval: float
) -> None:
    """See ``DataPipelineClient.wait_until_pipeline_deleted``."""
    async for _ in _rounds(timeout, interval):
        try:
            await client.describe_pipelines([pipeline_id])
        except (PipelineNotFoundException, PipelineDeletedException):
            return
    raise WaitTimeoutError(f"pipeline {pipeline_id} is still there after {timeout:g} s")


async def wait_until_ended(
    client: DataPipelineClient, pipeline_id: str, timeout: float, interval: float
) -> tuple[PipelineObject, ...]:
    """See ``DataPipelineClient.wait_until_instances_ended``."""
    open_ids: list[str] = []
    async for _ in _rounds(timeout, interval):
        ids = [one async for one in client.query_objects(pipeline_id, "INSTANCE")]
        found = [one async for one in client.describe_objects(pipeline_id, ids)]
        open_ids = [one.id for one in found if one.string("@status") not in ENDED]
        if found and not open_ids:
            return tuple(found)
    raise WaitTimeoutError(
        f"pipeline {pipeline_id} has {len(open_ids)} instances that have not ended "
        f"after {timeout:g} s, such as {open_ids[0]}"
        if open_ids
        else f"pipeline {pipeline_id} has no instances after {timeout:g} s"
    )


async def _rounds(timeout: float, interval: float) -> AsyncIterator[None]:
    """One round at once, then one per interval, the last one when the time is up."""
    end = time.monotonic() + timeout
    yield
    while (left := end - time.monotonic()) > 0:
        await asyncio.sleep(min(interval, left))
        yield
