"""The AWS CLI does with the local service what it does with AWS, and needs the endpoint alone."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncGenerator, Generator
from pathlib import Path
from typing import Any

import pytest

from aiodatapipeline.local import LocalDataPipeline
from tests.local.service import Object, every, from_, on_demand, shell
from tests.local.speakers import PATIENCE, settings

PROGRAM = Path(__file__).with_name("aws_cli.py")
# What it exits with if the service said no: this for its own list-runs, that for the others.
REFUSED = {254, 255}


@pytest.fixture(scope="module")
def program() -> Generator[subprocess.Popen[str]]:
    """One process for all commands, which each say where the service is."""
    with subprocess.Popen(
        [sys.executable, "-P", str(PROGRAM)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={
            **settings(""),
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        },
    ) as popen:
        yield popen
        popen.kill()


class Aws:
    """``aws datapipeline``."""

    def __init__(self, program: subprocess.Popen[str], url: str) -> None:
        self._program, self._url = program, url

    async def run(self, *arguments: str) -> tuple[int, str, str]:
        """Run a command; give its exit code and outputs."""
        stdin, stdout = self._program.stdin, self._program.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps([*arguments, "--endpoint-url", self._url]) + "\n")
        stdin.flush()
        async with asyncio.timeout(PATIENCE):
            code, out, err = json.loads(await asyncio.to_thread(stdout.readline))
        return code, out, err

    async def text(self, *arguments: str) -> str:
        """Give what a command that succeeds prints."""
        code, out, err = await self.run(*arguments)
        assert (code, err) == (0, "")
        return out

    async def json(self, *arguments: str) -> Any:
        return json.loads(await self.text(*arguments, "--output", "json"))


@pytest.fixture
async def aws(program: subprocess.Popen[str]) -> AsyncGenerator[Aws]:
    async with LocalDataPipeline() as service:
        yield Aws(program, service.endpoint_url)


def written(directory: Path, objects: list[Object], **more: object) -> str:
    """Write a definition file; give its URL."""
    file = directory / "definition.json"
    file.write_text(json.dumps({"objects": objects, **more}), encoding="utf-8")
    return f"file://{file}"


async def create(aws: Aws, definition: str) -> tuple[str, str]:
    """Create a pipeline and put a file; give the arguments that name it."""
    made = await aws.json("create-pipeline", "--name", "nightly", "--unique-id", "1")
    named = ("--pipeline-id", made["pipelineId"])
    put = await aws.json("put-pipeline-definition", *named, "--pipeline-definition", definition)
    assert not put["errored"]
    return named


async def test_a_pipeline_goes_from_its_file_to_its_runs(aws: Aws, tmp_path: Path) -> None:
    objects = on_demand(shell("Hello", command="echo #{myName} #{myText}"))
    parameters = [{"id": "myName", "type": "String"}, {"id": "myText", "type": "String"}]
    values = {"myName": "nobody", "myText": "Größe ☃"}
    named = await create(aws, written(tmp_path, objects, parameters=parameters, values=values))
    got = await aws.json("get-pipeline-definition", *named)
    await aws.text("activate-pipeline", *named, "--parameter-values", "myName=me", "myText=a b")
    listed = await aws.json("list-pipelines")
    task = (await aws.json("poll-for-task", "--worker-group", "g"))["taskObject"]
    progress = await aws.json("report-task-progress", "--task-id", task["taskId"])
    running = await aws.json("list-runs", *named, "--status", "running")
    done = ("--task-id", task["taskId"], "--task-status", "FINISHED")
    await aws.text("set-task-status", *done)
    again = await aws.run("set-task-status", *done)
    table = await aws.text("list-runs", *named)

    assert (got["parameters"], got["values"]) == (parameters, values)
    assert {each["id"]: each for each in got["objects"]} == {
        each["id"]: {"name": each["id"], **each} for each in objects
    }
    assert listed["pipelineIdList"] == [{"id": named[1], "name": "nightly"}]
    (attempt,) = task["objects"].values()
    assert {"key": "command", "stringValue": "echo me a b"} in attempt["fields"]
    assert progress == {"canceled": False}
    assert [each["@status"] for each in running] == ["RUNNING"]
    assert again[0] in REFUSED
    assert "An error occurred (TaskNotFoundException) when calling the SetTaskStatus" in again[2]
    assert task["attemptId"].removesuffix("_Attempt=1") in table
    assert "FINISHED" in table


async def test_every_run_is_listed_however_many_there_are(aws: Aws, tmp_path: Path) -> None:
    schedule = from_("2026-01-01T00:00:00", occurrences="130")
    objects = every("15 minutes", shell("Often"), schedule=schedule)
    named = await create(aws, written(tmp_path, objects))
    await aws.text("activate-pipeline", *named)

    runs = await aws.json("list-runs", *named, "--schedule-interval", "2026-01-01,2026-01-03")
    await aws.text("delete-pipeline", *named)
    code, _, err = await aws.run("list-runs", *named)

    assert len({each["@id"] for each in runs}) == 130
    assert code in REFUSED
    assert "PipelineDeletedException" in err


async def test_the_endpoint_may_be_in_the_environment() -> None:
    async with LocalDataPipeline() as service:
        command = [sys.executable, "-m", "awscli", "datapipeline", "list-pipelines"]
        process = await asyncio.create_subprocess_exec(
            *command, env={**os.environ, **settings(service.endpoint_url)}, stdout=subprocess.PIPE
        )
        async with asyncio.timeout(PATIENCE):
            out, _ = await process.communicate()

    assert (process.returncode, json.loads(out)) == (0, {"pipelineIdList": []})
