"""A command line, and a local service in a thread of its own, over HTTP, to use it on."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any, Self, TypeVar

import pytest

from aiodatapipeline import DataPipelineClient
from aiodatapipeline.cli import main
from aiodatapipeline.definition import Definition
from aiodatapipeline.local import LocalDataPipeline, VirtualClock
from aiodatapipeline.local._service import HOLD
from aiodatapipeline.models import PipelineObject, TaskObject
from tests.cli.thread import LoopThread

FoundT = TypeVar("FoundT")
Objects = Sequence[Mapping[str, object]]

START = datetime(2026, 1, 1, tzinfo=UTC)
"""When every test begins, and so when its pipelines are activated."""

OVER = {"FINISHED", "FAILED"}


@pytest.fixture(autouse=True)
def _settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("COLUMNS", "200")


@dataclass(frozen=True)
class Result:
    """What came of a command."""

    exit_code: int
    stdout: str
    stderr: str

    @property
    def output(self) -> str:
        return self.stdout + self.stderr

    @property
    def document(self) -> Any:
        """The one JSON document of its output."""
        return json.loads(self.stdout)

    @property
    def rows(self) -> list[str]:
        """The lines of its output, without what only decorates them."""
        return [" ".join(line.split()) for line in self.stdout.splitlines() if line.strip()]

    @property
    def sentence(self) -> str:
        """The one line of its error."""
        (line,) = self.stderr.splitlines()
        assert line.startswith("aiodatapipeline: ")
        return line


Cli = Callable[..., Result]


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Cli]:
    """Call a command, as ``cli("tags", "add", ...)``, that ends with an exit code."""

    def call(*words: str | Path, exit_code: int = 0, **environment: str) -> Result:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        capsys.readouterr()
        code = main(list(map(str, words)))
        shown = capsys.readouterr()
        result = Result(code, shown.out, shown.err)
        assert result.exit_code == exit_code, result
        assert "Traceback" not in result.stderr
        return result

    logger = logging.getLogger("aiodatapipeline")
    level = logger.level
    yield call
    logger.setLevel(level)


def ref(object_id: str) -> dict[str, str]:
    return {"ref": object_id}


def shell(object_id: str, **fields: object) -> Mapping[str, object]:
    """An activity."""
    return {"id": object_id, "type": "ShellCommandActivity", "command": "true", **fields}


class Served:
    """A local service that others can reach while a test does something else."""

    def __init__(self) -> None:
        self._thread = LoopThread()
        self.clock = VirtualClock(START)
        self.service = LocalDataPipeline(clock=self.clock, seed=1)
        self._names = count()
        self._beside: list[Future[None]] = []

    def __enter__(self) -> Self:
        self._thread.start()
        self._thread.call(self.service.open())
        return self

    def __exit__(self, *_: object) -> None:
        try:
            for each in self._beside:
                each.result(20)
            self._thread.call(self.service.aclose())
        finally:
            self._thread.stop()

    def ask(self, work: Callable[[DataPipelineClient], Awaitable[FoundT]]) -> FoundT:
        """Do something with a client, beside the test."""

        async def run() -> FoundT:
            async with DataPipelineClient(transport=self.service.transport) as client:
                return await work(client)

        return self._thread.call(run())

    def passes(self, seconds: float) -> None:
        """Let time go by."""
        self._thread.call(self.clock.advance(seconds))

    def create(
        self, *objects: Mapping[str, object], activate: bool = True, **default: object
    ) -> str:
        """Put and activate a pipeline on demand, whose failures are not retried; give its id."""
        head = {
            "id": "Default",
            "scheduleType": "ondemand",
            "workerGroup": "etl",
            "maximumRetries": "0",
            **default,
        }
        definition = Definition.from_mapping({"objects": [head, *objects]})

        async def create(client: DataPipelineClient) -> str:
            made = await client.create_pipeline("test", f"token-{next(self._names)}")
            answer = await client.call(definition.to_request(made.pipeline_id))
            assert not answer.errored, answer.validation_errors
            if activate:
                await client.activate_pipeline(made.pipeline_id)
            return made.pipeline_id

        made = self.ask(create)
        self.passes(0)
        return made

    def begin(self, group: str = "etl") -> TaskObject:
        """Take a task as a runner does, and say that it is worked on."""

        async def begin(client: DataPipelineClient) -> TaskObject:
            task = (await client.poll_for_task(group, hostname="worker-1")).task_object
            assert task is not None
            await client.report_task_progress(task.task_id)
            return task

        return self.ask(begin)

    def end(self, task: TaskObject, status: str = "FINISHED", **error: Any) -> None:
        """Report how a task ended."""
        self.ask(lambda client: client.set_task_status(task.task_id, status, **error))
        self.passes(0)

    def work(self, group: str = "etl") -> str:
        """Do the task that is ready; give the attempt's id."""
        task = self.begin(group)
        self.end(task)
        return task.attempt_id

    def describe(self, pipeline_id: str, object_id: str) -> PipelineObject:
        async def describe(client: DataPipelineClient) -> PipelineObject:
            (found,) = [each async for each in client.describe_objects(pipeline_id, [object_id])]
            return found

        return self.ask(describe)

    def statuses(self, pipeline_id: str) -> dict[str, str]:
        """The status of each instance, by its component."""
        return self._thread.call(self._statuses(pipeline_id))

    async def _statuses(self, pipeline_id: str) -> dict[str, str]:
        async with DataPipelineClient(transport=self.service.transport) as client:
            ids = [each async for each in client.query_objects(pipeline_id, "INSTANCE")]
            found = [each async for each in client.describe_objects(pipeline_id, ids)]
        return {each.refs("@componentParent")[0]: each.string("@status") or "" for each in found}

    def fields(self, pipeline_id: str) -> dict[str, str | None]:
        """What DescribePipelines says."""
        found = self.ask(lambda client: client.describe_pipelines([pipeline_id]))
        (described,) = found.pipeline_description_list
        return {each.key: each.string_value for each in described.fields}

    def until_polled(self, group: str) -> None:
        """Wait until a worker group is polled for."""
        self._thread.call(self._polled(group))

    async def _polled(self, group: str) -> None:
        async with asyncio.timeout(20):
            while not self.service.worker_groups.get(group):  # noqa: ASYNC110  # nobody tells
                await asyncio.sleep(0.001)

    @contextmanager
    def resting(self, pipeline_id: str, group: str = "etl") -> Generator[None]:
        """Hold no poll while nothing is left to do: a runner sees at once that it is idle."""

        async def rest() -> None:
            while True:
                await asyncio.sleep(0.005)  # let others ask, too
                if self.service.worker_groups.get(group):
                    statuses = await self._statuses(pipeline_id)
                    if OVER.issuperset(statuses.values()):
                        await self.clock.advance(HOLD)

        resting = self._thread.begin(rest())
        try:
            yield
        finally:
            resting.cancel()

    def once_polled(self, group: str, then: Callable[[], Awaitable[object]]) -> None:
        """Do something as soon as a worker group is polled for; the test ends after it."""

        async def wait() -> None:
            await self._polled(group)
            await then()

        self._beside.append(self._thread.begin(wait()))


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    with Served() as served:
        monkeypatch.setenv("AWS_ENDPOINT_URL_DATA_PIPELINE", served.service.endpoint_url)
        yield served
