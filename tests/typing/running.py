"""The built-in handlers, and a runner that is adapted to where it is started."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import assert_type

from aiodatapipeline.models import Ref
from aiodatapipeline.runner import Event, RunningTask, RunResult, TaskRunner
from aiodatapipeline.runner.builtin import BuiltIn, ShellCommandActivity, SqlActivity, add_builtin


def note(event: Event) -> None:
    assert_type(event.attempt_id, str)


async def a_runner_without_code(runner: TaskRunner) -> None:
    add_builtin(runner)
    add_builtin(runner, BuiltIn(shell="/bin/bash", scratch=Path("/scratch"), kill_grace=5))
    add_builtin(runner, "bash")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    BuiltIn("/bin/bash")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]

    runner.adapt(worker_group=["a", "b"], state_dir="state", max_concurrency=2, on_event=note)
    assert_type(runner.running, tuple[RunningTask, ...])
    assert_type(await runner.run(deliver_only=True), RunResult)


def progress_is_read(task: RunningTask, fields: ShellCommandActivity) -> None:
    assert_type(task.progress, Mapping[str, str | float])
    assert_type(fields.command, str | None)


def a_script_is_read(fields: SqlActivity) -> None:
    assert_type(fields.database, Ref)
    assert_type(fields.script_argument, tuple[str, ...])
