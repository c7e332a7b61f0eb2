"""The programs in examples/ do what they say, against the local service."""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, closing
from pathlib import Path

import httpx
import pytest

from aiodatapipeline import DataPipelineClient, PipelineNotFoundException, ThrottlingException
from aiodatapipeline.definition import Definition
from aiodatapipeline.local import LocalDataPipeline
from aiodatapipeline.operations import DescribePipelinesRequest
from aiodatapipeline.runner import Event, EventKind
from aiodatapipeline.testing import StubTransport
from examples import fastapi_app, move_definition, task_runner

DEFAULT = {"id": "Default", "scheduleType": "ondemand", "workerGroup": "etl"}


async def put(client: DataPipelineClient, *objects: Mapping[str, object], **parts: object) -> str:
    """Create a pipeline on demand, and give its id."""
    created = await client.create_pipeline("nightly", "a unique id")
    definition = Definition.from_mapping({"objects": [DEFAULT, *objects], **parts})
    answer = await client.call(definition.to_request(created.pipeline_id))
    assert not answer.errored, answer.validation_errors
    return created.pipeline_id


def ref(object_id: str) -> Mapping[str, str]:
    return {"ref": object_id}


# -- FastAPI --------------------------------------------------------------------------------------


@asynccontextmanager
async def running(client: DataPipelineClient) -> AsyncGenerator[httpx.AsyncClient, None]:
    """The application as a server runs it, without the server."""
    app = fastapi_app.create_app(client)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as web,
    ):
        yield web


async def test_the_application_shows_and_activates_pipelines() -> None:
    load = {"id": "Load", "type": "ShellCommandActivity", "command": "load"}
    async with LocalDataPipeline(port=None) as service:
        async with service.client() as client:
            pipeline_id = await put(client, load)

        async with running(DataPipelineClient(transport=service.transport)) as web:
            before = (await web.get(f"/pipelines/{pipeline_id}")).json()
            activated = await web.post(f"/pipelines/{pipeline_id}/activate")
            after = (await web.get(f"/pipelines/{pipeline_id}")).json()
            listed = (await web.get("/pipelines")).json()

    assert before == {"name": "nightly", "state": "PENDING", "runs": {}}
    assert activated.status_code == 202
    assert sum(after["runs"].values()) == 1
    assert listed == {pipeline_id: "nightly"}


async def test_the_application_says_who_is_to_blame() -> None:
    stub = StubTransport()
    stub.on(DescribePipelinesRequest).raises(
        PipelineNotFoundException("no such pipeline"), ThrottlingException("not so fast")
    )

    async with running(stub.client()) as web:
        missing = await web.get("/pipelines/df-1")
        busy = await web.get("/pipelines/df-1")

    assert (missing.status_code, busy.status_code) == (404, 503)
    assert "no such pipeline" in missing.json()["detail"]


# -- the runner -----------------------------------------------------------------------------------


async def test_the_runner_works_off_a_task_of_each_kind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders, copied, database = (tmp_path / name for name in ("in.csv", "out.csv", "orders.db"))
    orders.write_text("1,apples\n", encoding="utf-8")
    monkeypatch.setenv("ORDERS_DATABASE", str(database))
    objects: list[Mapping[str, object]] = [
        {"id": "In", "type": "S3DataNode", "filePath": str(orders)},
        {"id": "Out", "type": "S3DataNode", "filePath": str(copied)},
        {"id": "Copy", "type": "CopyActivity", "input": ref("In"), "output": ref("Out")},
        {"id": "Database", "type": "JdbcDatabase", "connectionString": "jdbc:sqlite:orders.db",
         "jdbcDriverClass": "org.sqlite.JDBC", "username": "any", "*password": "any"},
        {"id": "Sql", "type": "SqlActivity", "database": ref("Database"),
         "script": "create table orders as select ? as fruit", "scriptArgument": "apples"},
        {"id": "Digest", "type": "HadoopActivity", "jarUri": "none", "argument": str(orders)},
    ]  # fmt: skip
    ended: list[Event] = []

    def note(event: Event) -> None:
        if event.kind is EventKind.ENDED:
            ended.append(event)
        if len(ended) == 3:
            task_runner.runner.stop()

    async with LocalDataPipeline(port=None) as service:
        async with service.client() as client:
            pipeline_id = await put(client, *objects)
            await client.activate_pipeline(pipeline_id)
        task_runner.runner.adapt(client=service.client, on_event=note)

        result = await task_runner.runner.run()

    assert [event.detail["error_id"] for event in ended] == ["", "", ""]
    assert (result.finished, result.exit_code) == (3, 0)
    assert copied.read_text(encoding="utf-8") == "1,apples\n"
    digest = hashlib.sha256(orders.read_bytes()).hexdigest()
    assert orders.with_suffix(".sha256").read_text(encoding="utf-8") == f"{digest}  in.csv\n"
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("select * from orders").fetchall() == [("apples",)]


# -- from one service to another ------------------------------------------------------------------

SECRET = "hunter2"
LOAD = {
    "id": "Load",
    "type": "ShellCommandActivity",
    "command": "load #{myTable}",
    "*token": SECRET,
}
PARTS = {
    "parameters": [{"id": "myTable", "type": "String"}, {"id": "*myKey", "type": "String"}],
    "values": {"myTable": "orders", "*myKey": SECRET},
}


@pytest.fixture
def _settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")


@pytest.mark.usefixtures("_settings")
async def test_a_definition_is_moved_whole_and_its_secrets_are_not_shown(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async with LocalDataPipeline() as here, LocalDataPipeline() as there:
        async with here.client() as client:
            pipeline_id = await put(client, LOAD, **PARTS)
            original = await client.get_pipeline_definition(pipeline_id)
        words = [pipeline_id, "--from", here.endpoint_url, "--to", there.endpoint_url]

        codes = [await asyncio.to_thread(move_definition.main, words) for _ in range(2)]

        said = capsys.readouterr()
        async with there.client() as client:
            (moved,) = [each async for each in client.list_pipelines()]
            copy = await client.get_pipeline_definition(moved.id)
    assert codes == [0, 0]
    assert moved.name == "nightly"
    assert Definition.from_response(copy) == Definition.from_response(original)
    lines = said.out.splitlines()[:5]
    assert lines == [
        "2 objects, 2 parameters",
        "myTable = orders",
        "*myKey = ***",
        "*token = ***",
        moved.id,
    ]
    assert SECRET not in said.out + said.err


@pytest.mark.usefixtures("_settings")
async def test_what_cannot_be_moved_is_told_in_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    async with LocalDataPipeline() as here:
        words = ["df-1", "--from", here.endpoint_url, "--to", here.endpoint_url]

        code = await asyncio.to_thread(move_definition.main, words)

    (line,) = capsys.readouterr().err.splitlines()
    assert code == 1
    assert line.startswith("move_definition: DescribePipelines failed: ")


async def test_a_definition_that_is_not_taken_is_told_with_what_is_wrong() -> None:
    async with LocalDataPipeline(port=None) as here, here.client() as client:
        created = await client.create_pipeline("broken", "1")
        broken = Definition.from_mapping({"objects": [DEFAULT, {**LOAD, "dependsOn": ref("Laod")}]})
        await client.call(broken.to_request(created.pipeline_id))

        with pytest.raises(ValueError, match=r"Load: .*Laod"):
            await move_definition.move(client, client, created.pipeline_id)
