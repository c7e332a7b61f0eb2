"""A local service in a thread of its own, and a command line to use it from."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator, Mapping
from typing import Any, Self, TypeVar

import pytest
import typer
from typer.testing import CliRunner, Result

from aiodatapipeline import DataPipelineClient
from aiodatapipeline.cli import _demo, _doctor, _outbox, _run
from aiodatapipeline.definition import Definition
from aiodatapipeline.local import LocalDataPipeline
from aiodatapipeline.models import PipelineObject, TaskObject
from tests.cli.thread import LoopThread

ResultT = TypeVar("ResultT")

app = typer.Typer()
app.command()(_demo.demo)
app.command()(_doctor.doctor)
app.command()(_run.run)
app.add_typer(_outbox.outbox, name="outbox")


@pytest.fixture(autouse=True)
def _settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def cli() -> Callable[..., Result]:
    """Call a command, as ``cli("outbox", "list")``."""

    def call(*arguments: str, **environment: str) -> Result:
        return CliRunner().invoke(app, arguments, env=environment, catch_exceptions=False)

    return call


class Served:
    """A local service that others can reach while a test does something else."""

    def __init__(self) -> None:
        self._thread = LoopThread()
        # It holds a poll for 90 seconds, of its time: a runner that waits for that is idle.
        self.service = LocalDataPipeline(clock=_demo.FastClock(60.0))
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
