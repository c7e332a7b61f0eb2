"""``outbox``: what is listed and shown, and that a retry delivers without taking work."""

from __future__ import annotations

import asyncio
from datetime import datetime
from pathlib import Path

import pytest

from aiodatapipeline import TaskStatus
from aiodatapipeline._clock import SystemClock
from aiodatapipeline.models import PipelineObject, TaskObject
from aiodatapipeline.operations import SetTaskStatusRequest
from aiodatapipeline.runner._outbox import FileOutbox, RowState
from tests.cli.conftest import Cli, Served

JOB = {"id": "Job", "type": "ShellCommandActivity", "command": "true"}


def left_behind(state_dir: Path, *tasks: TaskObject) -> None:
    """Leave what a runner leaves that crashed before it could tell the outcomes."""

    async def leave() -> None:
        outbox = FileOutbox(state_dir, SystemClock())
        for task in tasks:
            number = await outbox.assigned(task, "etl", "ShellCommandActivity")
            await outbox.running(number)
            await outbox.ended(
                number,
                SetTaskStatusRequest(task_id=task.task_id, task_status=TaskStatus.FINISHED),
            )
        number = await outbox.assigned(made_up("@Old_Attempt=1"), "etl", "ShellCommandActivity")
        await outbox.ended(
            number,
            SetTaskStatusRequest(
                task_id="x", task_status=TaskStatus.FAILED, error_id="Bad", error_message="[b]no"
            ),
        )
        await outbox.over(number, RowState.FENCED, "another has it")
        outbox.close()

    asyncio.run(leave())


def made_up(attempt_id: str) -> TaskObject:
    attempt = PipelineObject.of(attempt_id, {"type": "ShellCommandActivity"})
    return TaskObject(
        task_id=f"task-{attempt_id}",
        pipeline_id="df-1",
        attempt_id=attempt_id,
        objects={attempt_id: attempt},
    )


def test_what_the_service_does_not_have_is_listed(cli: Cli, tmp_path: Path) -> None:
    left_behind(tmp_path, made_up("@Job_2026-01-01T00:00:00_Attempt=1"))

    waiting = cli("outbox", "list", "--state-dir", tmp_path).output
    everything = cli("outbox", "list", "--all", "--state-dir", tmp_path).output

    assert "@Job_2026-01-01T00:00:00_Attempt=1" in waiting
    assert "outcome" in waiting
    assert "@Old" not in waiting
    assert "fenced" in everything
    # It stands for the right to report on the task.
    assert "task-" not in waiting + everything


def test_an_empty_outbox_is_told_so(cli: Cli, tmp_path: Path) -> None:
    FileOutbox(tmp_path, SystemClock()).close()

    assert cli("outbox", "list", "--state-dir", tmp_path).output == "Nothing is waiting.\n"
    everything = cli("outbox", "list", "--all", "--state-dir", tmp_path).output
    assert everything == "There is nothing in it.\n"


def test_all_that_is_known_of_a_task_is_shown(cli: Cli, tmp_path: Path) -> None:
    left_behind(tmp_path, made_up("@Job_Attempt=1"))

    job = cli("outbox", "show", "1", "--state-dir", tmp_path).output
    shown = cli("outbox", "show", "2", "--state-dir", tmp_path).output

    assert "the service does not know it yet" in job
    assert "errorId" not in job

    lines = [" ".join(line.split()) for line in shown.splitlines()]
    assert any(line.startswith("state fenced: it was another runner's") for line in lines)
    assert "errorMessage [b]no" in lines
    assert "why another has it" in lines


def test_a_program_reads_what_is_left(cli: Cli, tmp_path: Path) -> None:
    left_behind(tmp_path, made_up("@Job_Attempt=1"))
    where = ("--state-dir", tmp_path, "--output", "json")

    (row,) = cli("outbox", "list", *where).document["tasks"]

    assert row == cli("outbox", "show", "1", *where).document
    assert {row["attemptId"], row["state"], row["status"]} == {
        "@Job_Attempt=1",
        "outcome",
        "FINISHED",
    }
    assert datetime.fromisoformat(row["changed"]).tzinfo is None


def test_a_task_that_is_not_there_is_told(cli: Cli, tmp_path: Path) -> None:
    left_behind(tmp_path)

    result = cli("outbox", "show", "9", "--state-dir", tmp_path, exit_code=2)

    assert f"there is no task 9 in '{tmp_path}': 'outbox list --all' shows" in result.output


@pytest.mark.parametrize("command", [["list"], ["show", "1"], ["retry"]])
def test_a_directory_without_an_outbox_is_told_and_gets_none(
    cli: Cli, tmp_path: Path, command: list[str]
) -> None:
    result = cli("outbox", *command, "--state-dir", tmp_path / "typo", exit_code=1)

    assert "aiodatapipeline: there is no outbox in" in result.stderr
    assert not (tmp_path / "typo").exists()


def test_a_retry_delivers_what_is_left_and_takes_no_work(
    cli: Cli, served: Served, tmp_path: Path
) -> None:
    first = served.create(JOB)
    task = served.begin()
    second = served.create(JOB)
    left_behind(tmp_path, task)

    document = cli("outbox", "retry", "--state-dir", tmp_path, "--output", "json").document

    assert document == {"delivered": 1, "undelivered": 0, "leftToTheService": 0}
    assert served.statuses(first) == {"Job": "FINISHED"}
    assert served.statuses(second) == {"Job": "WAITING_FOR_RUNNER"}


def test_a_retry_that_reaches_nobody_keeps_what_is_left(cli: Cli, tmp_path: Path) -> None:
    left_behind(tmp_path, made_up("@Job_Attempt=1"))

    result = cli(
        "outbox", "retry", "--state-dir", tmp_path, "--timeout", "0",
        "--endpoint-url", "http://127.0.0.1:9", exit_code=1,
    )  # fmt: skip

    assert "0 delivered, 1 still to be delivered" in result.output
    assert "@Job" in cli("outbox", "list", "--state-dir", tmp_path).output


def test_an_outbox_in_use_is_left_alone(cli: Cli, tmp_path: Path) -> None:
    outbox = FileOutbox(tmp_path, SystemClock())

    result = cli("outbox", "retry", "--state-dir", tmp_path, exit_code=1)

    outbox.close()
    assert "another task runner has the state directory" in result.stderr
