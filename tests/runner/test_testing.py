"""A handler can be called without a service."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from aiodatapipeline.models import PipelineObject, Ref
from aiodatapipeline.runner import CancelReason, SyncTask, Task, TaskRunner
from aiodatapipeline.runner.testing import perform

JOB = PipelineObject.of("Job", {"type": "Job", "input": Ref("In")})


async def test_a_handler_is_called_as_a_runner_does() -> None:
    runner = TaskRunner("etl")

    @runner.handler("Job")
    async def handle(task: Task) -> None:
        found = await task.resolve("In")
        await task.progress(50, said=await task.evaluate("#{x}"), found=found.id)

    performance = await perform(runner, JOB, PipelineObject.of("In", {}), expressions={"#{x}": "y"})

    assert performance.status == "FINISHED"
    assert performance.progress == {"percent_complete": 50, "said": "y", "found": "In"}


async def test_what_it_raises_is_what_the_service_would_be_told() -> None:
    runner = TaskRunner("etl")

    @runner.handler("Job")
    async def handle(task: Task) -> None:
        await task.resolve("In")

    performance = await perform(runner, JOB)

    assert (performance.status, performance.error_id) == ("FAILED", "LookupError")
    assert "In" in (performance.error_message or "")
    assert "Traceback" in (performance.error_stack_trace or "")


@pytest.mark.parametrize(
    ("reason", "status"), [(CancelReason.CANCELED, None), (CancelReason.SHUTDOWN, "FAILED")]
)
async def test_it_can_be_stopped(reason: CancelReason, status: str | None) -> None:
    runner = TaskRunner("etl")
    seen: list[CancelReason | None] = []

    @runner.handler("Job")
    async def handle(task: Task) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            seen.append(task.cancelled)

    performance = await perform(runner, JOB, cancel=reason)

    assert seen == [reason]
    assert performance.status == status
    assert not performance.leaked


async def test_that_it_does_not_stop_is_seen() -> None:
    runner, over = TaskRunner("etl"), asyncio.Event()

    @runner.handler("Job")
    async def handle(task: Task) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await over.wait()
        await over.wait()

    performance = await perform(runner, JOB, cancel=CancelReason.CANCELED, cancel_grace=0.01)
    over.set()

    assert performance.leaked


async def test_a_precondition_is_asked_once() -> None:
    runner = TaskRunner("etl")

    @runner.precondition("Job", run_in="thread")
    def holds(task: SyncTask) -> bool:
        return False

    assert (await perform(runner, JOB)).status == "FALSE"


async def test_without_a_handler_there_is_nothing_to_call() -> None:
    with pytest.raises(LookupError, match="no handler of 'Job'"):
        await perform(TaskRunner("etl"), JOB)


async def test_an_object_without_a_type_is_told_which_there_are() -> None:
    runner = TaskRunner("etl")

    @runner.handler("Job")
    async def handle(task: Task) -> None: ...

    with pytest.raises(LookupError, match=r"Load has no type: give it one of \['Job'\]"):
        await perform(runner, PipelineObject.of("Load", {"command": "true"}))
