"""Call a handler without a service: what a test of one needs.

::

    runner = TaskRunner("etl")
    runner.handler("ShellCommandActivity")(shell)

    performance = await perform(
        runner, PipelineObject.of("Job", {"type": "ShellCommandActivity", "command": "true"})
    )
    assert performance.status == "FINISHED"
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from aiodatapipeline._clock import SystemClock
from aiodatapipeline.models import PipelineObject, TaskStatus
from aiodatapipeline.runner._job import Job
from aiodatapipeline.runner._outcome import request_for
from aiodatapipeline.runner._runner import TaskRunner
from aiodatapipeline.runner._task import CancelReason, TaskInfo

__all__ = ["Performance", "perform"]


@dataclass(frozen=True, slots=True)
class Performance:
    """How a handler ended, and what the service would have been told."""

    status: TaskStatus | None
    """None if nothing would have been reported."""
    error_id: str | None
    error_message: str | None
    error_stack_trace: str | None
    progress: Mapping[str, str | float]
    """The newest value of each field that was reported."""
    leaked: bool = False
    """The handler was told to stop, and did not within the ``cancel_grace``."""


async def perform(
    runner: TaskRunner,
    attempt: PipelineObject,
    *others: PipelineObject,
    cancel: CancelReason | None = None,
    cancel_grace: float = 30.0,
    expressions: Mapping[str, str] | None = None,
) -> Performance:
    """Call the handler of an object's type once, as a runner does.

    Args:
        runner: Where the handler is registered.
        attempt: A made-up object, with its ``type`` among its fields.
        others: What it refers to.
        cancel: Have the handler stopped for this reason, as soon as it waits; one in a process
            has not begun by then.
        cancel_grace: Seconds that it gets to stop then.
        expressions: What ``task.evaluate`` gives for an expression.

    Raises:
        LookupError: There is no handler of that type, or it has none.
    """
    kind = attempt.string("type")
    if kind is None:
        raise LookupError(f"{attempt.id} has no type: give it one of {runner.types()}")
    handler = runner.get(kind)
    if handler is None:
        raise LookupError(f"there is no handler of {kind!r}; there are of: {runner.types()}")
    objects = {each.id: each for each in (attempt, *others)}
    progress: dict[str, str | float] = {}
    job = Job(
        TaskInfo(kind, "df-made-up", attempt.id, "made-up", attempt, objects),
        handler,
        SystemClock(),
        grace=cancel_grace,
        nudge=5.0,
        note=progress.update,
        asks=_Answers(expressions or {}),
    )
    work = asyncio.ensure_future(job.perform())
    if cancel is not None:
        await asyncio.wait({work}, timeout=0)
        job.cancel(cancel)
    request = request_for(
        "made-up", await work, job.cancelled, is_precondition=handler.is_precondition
    )
    return Performance(
        request.task_status if request else None,
        request.error_id if request else None,
        request.error_message if request else None,
        request.error_stack_trace if request else None,
        progress,
        job.leaked,
    )


class _Answers:
    """Answers what a handler asks."""

    def __init__(self, expressions: Mapping[str, str]) -> None:
        self._expressions = expressions

    async def evaluate(self, pipeline_id: str, object_id: str, expression: str) -> str:  # noqa: ARG002
        return self._expressions.get(expression, expression)

    async def describe(self, pipeline_id: str, object_id: str) -> PipelineObject:
        raise LookupError(f"there is no object {object_id!r} in {pipeline_id}")
