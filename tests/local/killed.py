"""A local service in a process that is killed, and clients that note what it acknowledged."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import random
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from typing import Any

import aiohttp

from aiodatapipeline.definition import Definition
from tests.local.service import Place, every, from_, ref, shell

# A process that has imported everything, and makes one like itself when it is asked.
_FACTORY = multiprocessing.get_context("forkserver")
_FACTORY.set_forkserver_preload([__name__, "aiodatapipeline.local"])
_PERIOD = timedelta(minutes=15)


def _serve(store: str, told: Connection) -> None:
    from aiodatapipeline.local import LocalDataPipeline  # noqa: PLC0415  # in that process alone

    async def main() -> None:
        async with LocalDataPipeline(store) as service:
            told.send(service.endpoint_url)
            await asyncio.Event().wait()

    asyncio.run(main())


@asynccontextmanager
async def serving_until_killed(store: str) -> AsyncGenerator[tuple[str, Callable[[], None]], None]:
    """Serve in a process of its own; give the URL, and what kills it."""
    told, tell = _FACTORY.Pipe(duplex=False)
    process = _FACTORY.Process(target=_serve, args=(store, tell), daemon=True)
    process.start()
    tell.close()

    try:
        yield await asyncio.to_thread(told.recv), process.kill
    finally:
        process.kill()
        await asyncio.to_thread(process.join)
        process.close()
        told.close()


@dataclass
class Held:
    """A task that a client was given."""

    pipeline: str
    attempt: str
    sent: int = 0
    """The progress that was reported last,"""
    acknowledged: int = 0
    """and the last that was acknowledged."""
    ending: str = ""
    ended: str = ""


@dataclass
class Noted:
    """What a service acknowledged, and what it may have done besides."""

    pipelines: dict[str, str] = field(default_factory=dict[str, str])
    """Their names by their ids."""
    definitions: dict[str, set[str]] = field(default_factory=dict[str, set[str]])
    """The command that a pipeline's definition has, or may have."""
    activated: set[str] = field(default_factory=set[str])
    tasks: dict[str, Held] = field(default_factory=dict[str, Held])
    answers: int = 0
    names: int = 0
    _last: tuple[int, asyncio.Event] | None = None

    def answered(self) -> None:
        self.answers += 1
        if self._last and self.answers >= self._last[0]:
            self._last[1].set()

    async def until(self, answers: int) -> None:
        """Wait for the n-th answer."""
        self._last = (answers, asyncio.Event())
        await self._last[1].wait()


def definition(command: str) -> list[dict[str, object]]:
    """A pipeline that has run for two hours, for the worker group g."""
    begun = datetime.now(UTC) - timedelta(hours=2)
    objects = every(
        "15 minutes",
        shell("A", command=command),
        shell("B", dependsOn=ref("A")),
        schedule=from_(f"{begun:%Y-%m-%dT%H:%M:%S}"),
        maxActiveInstances="3",
        maximumRetries="1",
        retryDelay="15 minutes",
    )
    request = Definition.from_mapping({"objects": objects}).to_request("none").to_wire()
    found: Any = request["pipelineObjects"]
    return list(found)


class Worker:
    """A client that creates pipelines and works for them, and notes what it is told."""

    def __init__(self, url: str, session: aiohttp.ClientSession, noted: Noted, seed: int) -> None:
        self._url, self._session, self._noted = url, session, noted
        self._chance = random.Random(seed)

    async def ask(self, operation: str, **members: object) -> dict[str, Any]:
        headers = {
            "X-Amz-Target": f"DataPipeline.{operation}",
            "Content-Type": "application/x-amz-json-1.1",
            "X-Amz-Date": "20260101T000000Z",
            "Authorization": "AWS4-HMAC-SHA256 Credential=a/b",
        }
        async with self._session.post(
            self._url, data=json.dumps(members).encode(), headers=headers
        ) as response:
            body = await response.read()
        assert response.status == 200, (operation, members, body)
        self._noted.answered()
        found: dict[str, Any] = json.loads(body or b"{}")
        return found

    async def work(self) -> None:
        """Go on until the service is gone."""
        try:
            while True:
                await self._begin_pipeline()
                for _ in range(self._chance.randrange(4, 8)):
                    await self._work_once()
        except (aiohttp.ClientError, ConnectionError):
            pass

    async def _begin_pipeline(self) -> None:
        noted = self._noted
        noted.names += 1
        name = f"p{noted.names}"
        created = await self.ask("CreatePipeline", name=name, uniqueId="u")
        pipeline = created["pipelineId"]
        noted.pipelines[pipeline] = name
        noted.definitions[pipeline] = {""}
        for version in range(self._chance.randrange(1, 3)):
            command = f"echo {version}"
            noted.definitions[pipeline].add(command)
            answered = await self.ask(
                "PutPipelineDefinition", pipelineId=pipeline, pipelineObjects=definition(command)
            )
            assert not answered["errored"], answered
            noted.definitions[pipeline] = {command}
        await self.ask("ActivatePipeline", pipelineId=pipeline)
        noted.activated.add(pipeline)

    async def _work_once(self) -> None:
        answered = await self.ask("PollForTask", workerGroup="g", hostname="host")
        given = answered["taskObject"]
        task_id, attempt = given["taskId"], given["attemptId"]
        owners = [
            each
            for each in self._noted.tasks.values()
            if (each.pipeline, each.attempt) == (given["pipelineId"], attempt)
        ]
        assert not owners, f"{attempt} was given to two"
        task = self._noted.tasks[task_id] = Held(given["pipelineId"], attempt)
        for _ in range(self._chance.randrange(3)):
            task.sent += 1
            fields = [{"key": "percentComplete", "stringValue": str(task.sent)}]
            answered = await self.ask("ReportTaskProgress", taskId=task_id, fields=fields)
            assert answered == {"canceled": False}
            task.acknowledged = task.sent
        if self._chance.random() < 0.8:
            task.ending = self._chance.choice(["FINISHED", "FINISHED", "FINISHED", "FAILED"])
            await self.ask("SetTaskStatus", taskId=task_id, taskStatus=task.ending)
            task.ended = task.ending


async def check(place: Place, noted: Noted) -> None:
    """Look whether everything is there that was acknowledged."""
    listed = {each.id: each.name async for each in place.client.list_pipelines()}
    assert noted.pipelines.items() <= listed.items()
    for pipeline, commands in noted.definitions.items():
        found = await place.client.get_pipeline_definition(pipeline)
        objects = {each.id: each for each in found.pipeline_objects}
        command = objects["A"].string("command") if objects else ""
        assert command in commands, (pipeline, command, commands)
        noted.definitions[pipeline] = {command or ""}
        state = await _state(place, pipeline)
        assert (state == "SCHEDULED") or pipeline not in noted.activated, (pipeline, state)
    for task in noted.tasks.values():
        await _check_task(place, task)


async def _state(place: Place, pipeline: str) -> str | None:
    described = await place.client.describe_pipelines([pipeline])
    (found,) = described.pipeline_description_list
    return next((each.string_value for each in found.fields if each.key == "@pipelineState"), None)


async def _check_task(place: Place, task: Held) -> None:
    (shown,) = [each async for each in place.client.describe_objects(task.pipeline, [task.attempt])]
    progress = int(shown.string("percentComplete") or 0)
    assert task.acknowledged <= progress <= task.sent, task
    status = shown.string("@status")
    begun = "RUNNING" if progress else "WAITING_FOR_RUNNER"
    may_be = {task.ended} if task.ended else {begun, task.ending} - {""}
    assert status in may_be, (task, status)
    assert shown.string("hostname") == "host"
    task.acknowledged = task.sent = progress
    task.ended = task.ending = status if status in {"FINISHED", "FAILED"} else ""
