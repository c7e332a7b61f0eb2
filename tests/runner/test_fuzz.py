"""Tasks as nobody would write them: row 24."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from aiodatapipeline import DataPipelineClient, Reply, SetTaskStatusRequest
from aiodatapipeline._clock import SystemClock
from aiodatapipeline.models import TaskObject
from aiodatapipeline.runner import Period, RowState, Task, TaskRunner, read_outbox
from aiodatapipeline.runner._outbox import FileOutbox, OutboxError

TYPES = ["Plain", "Typed", "Guard", "Unknown", "", "x" * 300]
KEYS = [
    "type", "command", "attemptTimeout", "retryDelay", "preconditionTimeout", "every", "count",
    "reportProgressTimeout", "@scheduledStartTime", "*password", "stage", "", "Größe",
]  # fmt: skip
TEXTS = [
    "", "true", "5 minutes", "2 Hours", "-1 day", "0 minutes", "1.5 hours", "minutes", "٣ days",
    "9" * 20 + " years", "9" * 200 + " hours", "9" * 5000 + " hours", "2026-01-01T00:00:00",
    "2026-13-45", "#{myField}", "{", "\0", "\u2028", "\ud800", "\U0001f600", "y" * 10_240,
]  # fmt: skip


class Typed(BaseModel):
    """A handler's view of a task."""

    command: str = ""
    every: Period | None = None
    count: int = 0
    stage: bool = False


class Odd:
    """A service that hands out so many tasks of random fields."""

    def __init__(self, chance: random.Random, tasks: int) -> None:
        self._chance, self._left = chance, tasks
        self.handed: set[str] = set()
        self.outcomes: dict[str, str] = {}

    def client(self) -> DataPipelineClient:
        return DataPipelineClient(transport=self)

    async def send(self, operation: str, body: Mapping[str, Any], timeout: float) -> Reply:
        if operation == "PollForTask":
            if not self._left:
                await asyncio.Event().wait()
            self._left -= 1
            task_id = f"task-{self._left}"
            self.handed.add(task_id)
            return Reply(200, json.dumps({"taskObject": self._task(task_id)}).encode())
        if operation == "SetTaskStatus":
            assert body["taskId"] not in self.outcomes
            self.outcomes[body["taskId"]] = body["taskStatus"]
        return Reply(200, b'{"canceled": false, "terminate": false}')

    def _task(self, task_id: str) -> dict[str, Any]:
        chance = self._chance
        attempt = chance.choice(["@Job_Attempt=1", "@Job", "x_Attempt=99999999999", "Größe", " "])
        objects = {attempt: self._object(attempt, types=True), "Other": self._object("Other")}
        if chance.random() < 0.1:
            del objects[attempt]
        return {
            "taskId": task_id,
            "pipelineId": "df-1",
            "attemptId": attempt,
            "objects": objects,
        }

    def _object(self, name: str, *, types: bool = False) -> dict[str, Any]:
        chance = self._chance
        fields = [self._field() for _ in range(chance.randrange(6))]
        if types:
            fields.append({"key": "type", "stringValue": chance.choice(TYPES)})
        return {"id": name, "name": name, "fields": fields}

    def _field(self) -> dict[str, str]:
        value = self._chance.choice(["stringValue", "refValue"])
        return {"key": self._chance.choice(KEYS), value: self._chance.choice(TEXTS)}


@pytest.mark.parametrize("kept", [True, False], ids=["file", "memory"])
async def test_row_24_a_task_of_any_fields_gets_an_outcome_and_stops_nothing(
    tmp_path: Path, kept: bool, request: pytest.FixtureRequest
) -> None:
    many = 10_000 if request.config.getoption("--long") else 1000
    service = Odd(random.Random(1), many)
    runner = TaskRunner(
        "etl",
        client=service.client,
        state_dir=tmp_path if kept else None,
        max_concurrency=50,
        account_share=None,
    )

    @runner.handler("Plain")
    async def plain(task: Task) -> None:
        assert repr(task.info)
        assert task.info.scheduled_start is None or task.info.attempt_number != 0

    @runner.handler(Typed)
    async def typed(task: Task, fields: Typed) -> None:
        assert fields.count is not None

    @runner.precondition("Guard", retry=False)
    async def guard(task: Task) -> bool:
        return False

    run = asyncio.ensure_future(runner.run())
    async with asyncio.timeout(100):
        while len(service.outcomes) < many and not run.done():
            await asyncio.sleep(0.01)
    runner.stop()
    result = await run

    assert result.exit_code == 0
    assert set(service.outcomes) == service.handed
    assert set(service.outcomes.values()) == {"FINISHED", "FAILED", "FALSE"}


def task(attempt: str, *fields: tuple[str, str]) -> dict[str, Any]:
    """Write a task whose attempt is among its objects if it has fields."""
    made = [{"key": key, "stringValue": value} for key, value in fields]
    objects = {attempt: {"id": attempt, "name": attempt, "fields": made}} if made else {}
    return {"taskId": "odd", "pipelineId": "df-1", "attemptId": attempt, "objects": objects}


class One(Odd):
    """A service that hands out one odd task, and takes everything."""

    def __init__(self, odd: dict[str, Any]) -> None:
        super().__init__(random.Random(1), 1)
        self._odd = odd

    def _task(self, task_id: str) -> dict[str, Any]:
        return self._odd


@pytest.mark.parametrize(
    "odd",
    [
        task("@Job", ("type", "Plain"), ("attemptTimeout", "9" * 400 + " hours")),
        task("@Job", ("type", "\ud800")),
        task("\ud800"),
    ],
    ids=["a period beyond any number", "a type of no characters", "an id of no characters"],
)
async def test_row_24_a_task_that_nothing_can_hold_does_not_stop_the_runner(
    tmp_path: Path, odd: dict[str, Any]
) -> None:
    service = One(odd)
    runner = TaskRunner("etl", client=service.client, state_dir=tmp_path)
    run = asyncio.ensure_future(runner.run(until_idle=False))
    async with asyncio.timeout(20):
        while not (service.outcomes or run.done()):
            await asyncio.sleep(0.01)
    runner.stop()

    assert (await run).exit_code == 0


async def test_r2_a_write_that_cannot_be_made_costs_no_other(tmp_path: Path) -> None:
    outbox = FileOutbox(tmp_path, SystemClock())
    number = await outbox.assigned(TaskObject.from_wire(task("@Job")), "etl", "Plain")
    outcome = SetTaskStatusRequest(task_id="odd", task_status="FINISHED")
    results = await asyncio.gather(
        outbox.probe(),
        # These two come while the first is at it, and share a commit.
        outbox._write("UPDATE task SET why = ?", "\ud800"),  # pyright: ignore[reportPrivateUsage]
        outbox.ended(number, outcome),
        return_exceptions=True,
    )
    outbox.close()

    assert isinstance(results[1], OutboxError)
    assert results[2] is None
    assert read_outbox(tmp_path)[0].state is RowState.OUTCOME
