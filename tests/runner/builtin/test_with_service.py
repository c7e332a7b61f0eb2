"""The built-in handlers in a task runner, at work for the local service."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from aiodatapipeline import DataPipelineClient
from aiodatapipeline.cli._demo import FastClock
from aiodatapipeline.definition import Definition
from aiodatapipeline.local import LocalDataPipeline
from aiodatapipeline.models import PipelineObject
from aiodatapipeline.runner import RunResult, TaskRunner
from aiodatapipeline.runner.builtin import BuiltIn, add_builtin
from tests.runner.bed import activity, bed
from tests.runner.builtin.processes import PATIENCE, is_there, names_in, written


class Work:
    """A pipeline that a runner is at."""

    def __init__(self, client: DataPipelineClient, pipeline_id: str, runner: TaskRunner) -> None:
        self.client, self.pipeline_id, self.runner = client, pipeline_id, runner
        self.result: RunResult | None = None

    async def instance(self, component: str) -> PipelineObject:
        ids = [each async for each in self.client.query_objects(self.pipeline_id, "INSTANCE")]
        async for each in self.client.describe_objects(self.pipeline_id, ids):
            if component in each.refs("@componentParent"):
                return each
        raise LookupError(component)

    async def until(self, component: str, status: str) -> PipelineObject:
        """Wait until an instance has a status."""
        async with asyncio.timeout(PATIENCE):
            while (found := await self.instance(component)).string("@status") != status:
                await asyncio.sleep(0.01)
        return found


@asynccontextmanager
async def at_work(scratch: Path, *objects: Mapping[str, object]) -> AsyncGenerator[Work]:
    """Let a runner work for a service whose time goes by 60 times as fast."""
    clock = FastClock(60.0)
    default = {
        "id": "Default",
        "scheduleType": "ondemand",
        "workerGroup": "etl",
        "maximumRetries": "0",
        "retryDelay": "2 minutes",
    }
    definition = Definition.from_mapping({"objects": [default, *objects]})
    async with LocalDataPipeline(port=None, clock=clock) as service, service.client() as client:
        made = await client.create_pipeline("test", "test")
        put = await client.call(definition.to_request(made.pipeline_id))
        assert not put.errored, put.validation_errors
        runner = TaskRunner("etl", client=service.client, account_share=None, clock=clock)
        add_builtin(runner, BuiltIn(scratch=scratch, kill_grace=600.0))
        work = Work(client, made.pipeline_id, runner)
        await client.activate_pipeline(made.pipeline_id)
        async with asyncio.TaskGroup() as group:
            running = group.create_task(runner.run())
            yield work
            runner.stop(cancel=True)
        work.result = running.result()


async def test_a_command_that_the_service_cancels_ends_with_its_family_and_is_not_reported(
    tmp_path: Path, scratch: Path
) -> None:
    command = f"sh -c 'echo $$ > {tmp_path}/child; sleep 1000; :' & wait"
    job = {"id": "Job", "type": "ShellCommandActivity", "command": command}

    async with at_work(scratch, job) as work:
        child = await written(tmp_path / "child")
        instance = await work.instance("Job")
        await work.client.set_status(work.pipeline_id, [instance.id], "TRY_CANCEL")
        await work.until("Job", "CANCELED")
        async with asyncio.timeout(PATIENCE):
            while work.runner.running:
                await asyncio.sleep(0.01)

    assert not is_there(child)
    assert names_in(scratch) == []
    assert work.result is not None
    assert (work.result.failed, work.result.unreported) == (0, 1)


async def test_a_command_that_takes_too_long_fails_and_ends(tmp_path: Path, scratch: Path) -> None:
    command = f"echo $$ > {tmp_path}/pid; exec sleep 1000"

    # In a time that stands still while the command is ended, for what is left of the limit then
    # is a twentieth of it.
    async with bed() as b:
        await b.pipeline(activity(command=command, attemptTimeout="1 hour"))
        runner = b.runner()
        add_builtin(runner, BuiltIn(scratch=scratch))
        async with b.running(runner) as run:
            pid = await written(tmp_path / "pid")
            await b.advance(58 * 60)
            await b.really(lambda: b.statuses_sent() == ["FAILED"], limit=PATIENCE)
            await run.stop()

    assert not is_there(pid)
    assert names_in(scratch) == []


async def test_a_precondition_is_asked_until_it_is_met(tmp_path: Path, scratch: Path) -> None:
    command = f"echo asked >> {tmp_path}/asked; test $(wc -l < {tmp_path}/asked) -ge 3"
    ready = {
        "id": "Ready",
        "type": "ShellCommandPrecondition",
        "command": command,
        "preconditionTimeout": "1 hour",
    }
    job = {
        "id": "Job",
        "type": "ShellCommandActivity",
        "command": f"echo done > {tmp_path}/done",
        "precondition": {"ref": "Ready"},
    }

    async with at_work(scratch, ready, job) as work:
        await work.until("Job", "FINISHED")
        precondition = await work.instance("Ready")

    assert await written(tmp_path / "done") == "done"
    assert (tmp_path / "asked").read_text() == "asked\n" * 3
    # Three times within one attempt, whose lease was kept.
    assert precondition.string("@attemptCount") == "1"


async def test_a_failed_commands_last_words_are_at_the_service(
    tmp_path: Path, scratch: Path
) -> None:
    job = {
        "id": "Job",
        "type": "ShellCommandActivity",
        "command": "printf 'no\\033[1m\\377 good\\n' >&2; exit 4",
    }

    async with at_work(scratch, job) as work:
        instance = await work.until("Job", "FAILED")
        [attempt] = [
            each
            async for each in work.client.describe_objects(
                work.pipeline_id, list(instance.refs("@headAttempt"))
            )
        ]

    assert attempt.string("errorId") == "ShellCommandFailed"
    assert attempt.string("errorMessage") == "exit code 4: no\\x1b[1m\ufffd good"
    assert attempt.string("errorStackTrace") == "no\\x1b[1m\ufffd good"


def shop(file: Path) -> dict[str, object]:
    return {
        "id": "Shop",
        "type": "JdbcDatabase",
        "connectionString": f"jdbc:sqlite:{file}",
        "jdbcDriverClass": "org.sqlite.JDBC",
        "username": "etl",
        "*password": "hunter2-hunter2",
    }


async def test_a_statement_that_the_service_cancels_is_interrupted_and_not_reported(
    tmp_path: Path, scratch: Path
) -> None:
    endless = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x FROM c) SELECT count(*) FROM c"
    job = {
        "id": "Job",
        "type": "SqlActivity",
        "database": {"ref": "Shop"},
        "script": f"CREATE TABLE orders (item TEXT); {endless}",
    }

    async with at_work(scratch, job, shop(tmp_path / "shop.db")) as work:
        async with asyncio.timeout(PATIENCE):
            while [each.progress for each in work.runner.running] != [{"statements_run": 1}]:
                await asyncio.sleep(0.01)
        instance = await work.instance("Job")
        await work.client.set_status(work.pipeline_id, [instance.id], "TRY_CANCEL")
        async with asyncio.timeout(PATIENCE):
            while work.runner.running:
                await asyncio.sleep(0.01)

    assert names_in(scratch) == []
    assert work.result is not None
    assert (work.result.failed, work.result.unreported) == (0, 1)


async def test_a_script_fills_a_table_that_is_copied(tmp_path: Path, scratch: Path) -> None:
    fill = {
        "id": "Fill",
        "type": "SqlActivity",
        "database": {"ref": "Shop"},
        "script": "CREATE TABLE orders (item TEXT); INSERT INTO orders VALUES (?), (?)",
        "scriptArgument": ["tea", "coffee"],
    }
    copy = {
        "id": "Copy",
        "type": "CopyActivity",
        "dependsOn": {"ref": "Fill"},
        "input": {"ref": "Orders"},
        "output": {"ref": "Report"},
    }
    orders = {
        "id": "Orders",
        "type": "SqlDataNode",
        "table": "orders",
        "selectQuery": "SELECT item FROM #{table} ORDER BY item",
        "database": {"ref": "Shop"},
    }
    report = {"id": "Report", "type": "S3DataNode", "filePath": str(tmp_path / "report")}

    async with bed() as b:
        await b.pipeline(fill, copy, orders, report, shop(tmp_path / "shop.db"))
        runner = b.runner()
        add_builtin(runner, BuiltIn(scratch=scratch))
        async with b.running(runner) as run:
            # The copy may begin and end before anybody looks.
            await b.really(lambda: len(b.statuses_sent()) >= 1)
            await b.advance(60)
            await b.really(lambda: len(b.statuses_sent()) == 2)
            await run.stop()

        assert b.statuses_sent() == ["FINISHED", "FINISHED"]
    assert (tmp_path / "report").read_text() == "coffee\ntea\n"
