"""Handlers are checked against what they will be given."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import NoReturn, assert_type

from pydantic import BaseModel

from aiodatapipeline import DataPipelineClient, TaskStatus
from aiodatapipeline.models import PipelineObject
from aiodatapipeline.runner import (
    CancelReason,
    Event,
    Health,
    LeaseState,
    OutboxRow,
    RunResult,
    SyncTask,
    Task,
    TaskRunner,
    read_outbox,
)
from aiodatapipeline.runner.testing import perform


class Export(BaseModel):
    table: str


def on_event(event: Event) -> None:
    assert_type(event.at, float)


runner = TaskRunner(
    ["a", "b"], client=DataPipelineClient, state_dir="state", recover="resume", on_event=on_event
)


@runner.handler("ShellCommandActivity")
async def shell(task: Task) -> None:
    assert_type(await task.progress(percent_complete=50, rows_read=3), None)
    assert_type(await task.evaluate("#{x}"), str)
    assert_type(await task.resolve("Default"), PipelineObject)
    assert_type(task.cancelled, CancelReason | None)
    assert_type(task.lease, LeaseState)
    assert_type(task.info.attempt_number, int | None)


@runner.handler(Export)
async def export(task: Task, fields: Export) -> None:
    assert_type(fields.table, str)


@runner.handler(Export, type="CopyActivity", run_in="process")
def copy(task: SyncTask, fields: Export) -> None:
    assert_type(task.progress(50), None)


@runner.handler("SqlActivity", run_in=ThreadPoolExecutor())
def sql(task: SyncTask) -> None:
    task.on_cancel(lambda: None)


@runner.precondition("Exists")
async def exists(task: Task) -> bool:
    return True


@runner.precondition("ShellCommandPrecondition", run_in="thread", retry=False)
def holds(task: SyncTask) -> bool:
    return True


async def running() -> None:
    assert_type(await runner.run(signals=True, until_idle=True), RunResult)
    assert_type(runner.health, Health)
    assert_type(runner.stop(cancel=True), None)
    assert_type(read_outbox("state"), tuple[OutboxRow, ...])
    assert_type(runner.worker_groups, tuple[str, ...])


def program() -> None:
    assert_type(runner.main(until_idle=True), NoReturn)


def wrong_settings_are_refused() -> None:
    TaskRunner("etl", recover="perhaps")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    TaskRunner("etl", client=DataPipelineClient())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def wrong_handlers_are_refused() -> None:
    def blocks(task: Task) -> None: ...

    async def says_nothing(task: Task) -> None: ...

    runner.handler("A")(blocks)  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]
    runner.precondition("B")(says_nothing)  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]


async def a_handler_is_called_without_a_service(job: PipelineObject) -> None:
    performance = await perform(runner, job, cancel=CancelReason.SHUTDOWN)

    assert_type(performance.status, TaskStatus | None)
    assert_type(performance.leaked, bool)
    await perform(runner, job, cancel="shutdown")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
