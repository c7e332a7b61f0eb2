"""``run``: whose tasks it takes, which runner works, and what it shows."""

from __future__ import annotations

import io
import json
import logging
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
import typer
from rich.console import Console

from aiodatapipeline.cli._failure import Failure
from aiodatapipeline.cli._run import draw, find_runner, told
from aiodatapipeline.runner import (
    Event,
    EventKind,
    Health,
    RunningTask,
    RunResult,
    Status,
    read_outbox,
)
from tests.cli import jobs
from tests.cli.conftest import Cli, Served

GOOD = {"id": "Good", "type": "ShellCommandActivity", "command": "echo good"}
BAD = {"id": "Bad", "type": "ShellCommandActivity", "command": "echo bad >&2; exit 3"}


def test_the_built_in_handlers_work_off_what_there_is(
    cli: Cli, served: Served, tmp_path: Path
) -> None:
    pipeline = served.create(GOOD, BAD)

    with served.resting(pipeline):
        result = cli(
            "run", "--until-idle", "--worker-group", "etl", "--state-dir", tmp_path / "state",
            "--log-uri", tmp_path / "logs", "--endpoint-url", served.service.endpoint_url,
        )  # fmt: skip

    assert result.stdout == "Tasks: 1 finished, 1 failed.\n"
    assert served.statuses(pipeline) == {"Good": "FINISHED", "Bad": "FAILED"}
    assert [row.state for row in read_outbox(tmp_path / "state")] == ["delivered", "delivered"]
    assert len(list((tmp_path / "logs").rglob("StdError"))) == 2


def test_on_a_terminal_the_last_outcomes_are_shown(cli: Cli, served: Served) -> None:
    with served.resting(served.create(GOOD, BAD)):
        result = cli("run", "--until-idle", "--worker-group", "etl", FORCE_COLOR="1")

    assert "ShellCommandFailed" in result.stdout
    assert "INFO" not in result.output
    # Warnings are printed above.
    assert "outcomes are kept in memory" in result.stdout
    assert logging.getLogger("aiodatapipeline").handlers == []


def test_a_runner_of_ones_own_works_where_the_command_line_says(cli: Cli, served: Served) -> None:
    pipeline = served.create(GOOD, workerGroup="mine")
    jobs.done.clear()

    with served.resting(pipeline, "mine"):
        cli(
            "run", "tests.cli.jobs:runner", "--until-idle", "--worker-group", "mine",
            "--concurrency", "3", FORCE_COLOR="1",
        )  # fmt: skip

    assert jobs.done == ["echo good"]
    assert jobs.runner.worker_groups == ("mine",)
    # Its own on_event is called beside the view's.
    assert EventKind.DELIVERED in jobs.events


def test_a_function_can_make_the_runner() -> None:
    assert find_runner("tests.cli.jobs:make").worker_groups == ("made",)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("jobs", "should be a module and a name in it"),
        (":runner", "should be a module and a name in it"),
        ("no_such_module:runner", "there is no module 'no_such_module'"),
        ("tests.no_such_module:runner", "there is no module 'tests.no_such_module'"),
        ("tests.cli.jobs.py:runner", "no module 'tests.cli.jobs.py': write it without '.py'"),
        ("tests.cli.jobs:missing", "'tests.cli.jobs' has no 'missing'"),
        ("tests.cli.jobs:runner.missing", "has no 'runner.missing'"),
        ("tests.cli.jobs:nothing", "is no TaskRunner: its type is int"),
        ("json:dumps", "'json:dumps' makes no TaskRunner: it takes arguments"),
    ],
)
def test_what_is_no_runner_is_told(name: str, why: str) -> None:
    with pytest.raises(typer.BadParameter, match=why):
        find_runner(name)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("import no_such_module", "cannot be imported: ModuleNotFoundError: No module named"),
        ("def runner(:", r"cannot be imported: SyntaxError: .*\(broken_jobs.py, line 1\)"),
        ("1 / 0", "module 'broken_jobs' cannot be imported: ZeroDivisionError"),
        ("def runner(): 1 / 0", "'broken_jobs:runner' makes no TaskRunner: ZeroDivisionError"),
    ],
)
def test_a_fault_of_a_module_is_told_by_its_name(
    text: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_jobs.py").write_text(text)
    monkeypatch.chdir(tmp_path)  # where it is looked for
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "broken_jobs", raising=False)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    with pytest.raises(Failure, match=why):
        find_runner("broken_jobs:runner")


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ([], "say where to take work from"),
        (["--worker-group", ""], "none of them is empty"),
        (["--worker-group", "a", "--worker-group", "b", "--concurrency", "1"], "2 worker groups"),
        (["tests.cli.jobs:make"], "'tests.cli.jobs:make' has no handlers"),
        (["tests.cli.jobs:make", "--log-uri", "/logs"], "it is for the built-in handlers"),
        (["--worker-group", "a", "--concurrency", "0"], "--concurrency"),
        (["--worker-group", "a", "--log-uri", "ftp://logs"], "and not to ftp://"),
    ],
)
def test_what_makes_no_runner_is_told(cli: Cli, arguments: list[str], why: str) -> None:
    result = cli("run", *arguments, exit_code=2)

    assert why in result.output


@pytest.mark.parametrize(
    ("result", "said"),
    [
        (RunResult(0, 0, 0, 0, 0, 0), "Tasks: none."),
        (
            RunResult(1, 1, 2, 3, 4, 5),
            "Tasks: 1 finished, 2 failed, 3 not met, 4 not reported, 5 still to be delivered.",
        ),
    ],
)
def test_how_a_run_ended_is_told_in_a_line(result: RunResult, said: str) -> None:
    assert told(result) == said


def drawn(*running: RunningTask, outcomes: tuple[Event, ...] = (), problem: str = "") -> str:
    console = Console(file=io.StringIO(), width=120)
    problems = (problem,) if problem else ()
    health = Health(Status.OK, problems, running=len(running), leaked=0, undelivered=2)
    console.print(draw(("etl", "web"), health, running, list(outcomes)))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_an_idle_runner_is_a_line() -> None:
    assert drawn().split() == ["etl,", "web", "ok", "0", "running", "2", "to", "be", "delivered"]


def test_problems_are_shown() -> None:
    assert "the credentials are not taken" in drawn(problem="the credentials are not taken")


def test_a_task_that_tells_its_percentage_has_a_bar() -> None:
    with_bar = drawn(RunningTask("Sql", "etl", "df-1", "@A", 61, {"percent_complete": 40, "n": 3}))
    without = drawn(RunningTask("Sql", "etl", "df-1", "@A", 61, {"staged_in": 2}))

    assert "0:01:01" in with_bar
    assert "━" in with_bar
    assert "40 %" in with_bar
    assert "n=3" in with_bar
    assert "staged_in=2" in without
    assert "%" not in without


def test_a_task_that_will_not_be_reported_is_told_so() -> None:
    detail: dict[str, str | float] = {"status": "", "seconds": 5.0, "error_id": ""}
    event = Event(EventKind.ENDED, 0.0, "etl", "df-1", "@A", detail)

    assert "not reported" in drawn(outcomes=(event,))


def test_a_signal_lets_it_end(served: Served, tmp_path: Path) -> None:
    slow = {**GOOD, "command": f"while ! test -e {tmp_path}/go; do sleep 0.01; done"}
    pipeline = served.create(slow)
    command = [sys.executable, "-m", "aiodatapipeline.cli", "run", "--worker-group", "etl"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        # Plain lines of log, where there is no terminal.
        lines = iter(process.stderr)
        next(line for line in lines if "running @Good_" in line)
        process.send_signal(signal.SIGTERM)
        next(line for line in lines if "stopping" in line)
        (tmp_path / "go").touch()
        next(line for line in lines if "ended @Good_" in line)
        process.stderr.read()
        assert process.wait(20) == 0

    assert served.statuses(pipeline) == {"Good": "FINISHED"}


def test_a_platform_can_ask_how_it_is(served: Served, tmp_path: Path) -> None:
    slow = {**GOOD, "command": f"while ! test -e {tmp_path}/go; do sleep 0.01; done"}
    pipeline = served.create(slow)
    command = [sys.executable, "-m", "aiodatapipeline.cli", "run", "--worker-group", "etl"]
    with (
        served.resting(pipeline),
        subprocess.Popen(
            [*command, "--until-idle", "--health-port", "0"], stderr=subprocess.PIPE, text=True
        ) as process,
    ):
        assert process.stderr is not None
        lines = iter(process.stderr)
        said = next(line for line in lines if "health checks at" in line)
        next(line for line in lines if "running @Good_" in line)
        url = said.split()[-1]
        with urllib.request.urlopen(url) as answer:
            health = json.loads(answer.read())
        (tmp_path / "go").touch()
        process.stderr.read()
        assert process.wait(20) == 0

    assert url.endswith("/readyz")
    assert (health["status"], health["running"]) == ("ok", 1)


def test_a_health_port_that_is_taken_is_told(cli: Cli) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        result = cli("run", "--worker-group", "etl", "--health-port", port, exit_code=1)

    assert f"cannot listen at 127.0.0.1 port {port} for health checks" in result.stderr
    assert "Choose another --health-port" in result.stderr
