"""A local service in a thread of its own, and a command line to use it from."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self, TypeVar

import pytest

from aiodatapipeline import DataPipelineClient
from aiodatapipeline.cli import main
from aiodatapipeline.cli._demo import FastClock
from aiodatapipeline.definition import Definition
from aiodatapipeline.local import LocalDataPipeline
from aiodatapipeline.models import PipelineObject, TaskObject
from tests.cli.thread import LoopThread

ResultT = TypeVar("ResultT")


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


Cli = Callable[..., Result]


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Cli]:
    """Call a command, as ``cli("outbox", "list")``."""

    def call(*arguments: str, **environment: str) -> Result:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        capsys.readouterr()
        code = main(arguments)
        said = capsys.readouterr()
        return Result(code, said.out, said.err)

    logger = logging.getLogger("aiodatapipeline")
    level = logger.level
    yield call
    logger.setLevel(level)


class Served:
    """A local service that others can reach while a test does something else."""

    def __init__(self) -> None:
        self._thread = LoopThread()
        # It holds a poll for 90 seconds, of its time: a runner that waits for that is idle.
        self.service = LocalDataPipeline(clock=FastClock(60.0))
        self._names = iter(range(1000))

    def __enter__(self) -> Self:
        self._thread.start()
        self._thread.call(self.service.open())
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.call(self.service.aclose())
        self._thread.stop()

    @property
    def url(self) -> str:
        return self.service.endpoint_url

    def put(self, *objects: Mapping[str, object], group: str = "etl") -> str:
        """Put and activate a pipeline whose failures are not retried; give its id."""
        default = {
            "id": "Default",
            "scheduleType": "ondemand",
            "workerGroup": group,
            "maximumRetries": "0",
        }
        definition = Definition.from_mapping({"objects": [default, *objects]})

        async def put(client: DataPipelineClient) -> str:
            made = await client.create_pipeline("test", f"token-{next(self._names)}")
            answer = await client.call(definition.to_request(made.pipeline_id))
            assert not answer.errored, answer.validation_errors
            await client.activate_pipeline(made.pipeline_id)
            return made.pipeline_id

        return self._with_client(put)

    def poll(self, group: str) -> TaskObject:
        """Take a task as a runner does, and say that it is worked on."""

        async def poll(client: DataPipelineClient) -> TaskObject:
            task = (await client.poll_for_task(group)).task_object
            assert task is not None
            await client.report_task_progress(task.task_id)
            return task

        return self._with_client(poll)

    def states(self, pipeline_id: str) -> dict[str, str]:
        """The status of each instance, by its component."""

        async def states(client: DataPipelineClient) -> dict[str, str]:
            ids = [each async for each in client.query_objects(pipeline_id, "INSTANCE")]
            found: list[PipelineObject] = [
                each async for each in client.describe_objects(pipeline_id, ids)
            ]
            return {
                each.refs("@componentParent")[0]: each.string("@status") or "" for each in found
            }

        return self._with_client(states)

    def _with_client(
        self, work: Callable[[DataPipelineClient], Coroutine[Any, Any, ResultT]]
    ) -> ResultT:
        async def run() -> ResultT:
            async with DataPipelineClient(transport=self.service.transport) as client:
                return await work(client)

        return self._thread.call(run())


@pytest.fixture
def served() -> Iterator[Served]:
    with Served() as served:
        yield served
