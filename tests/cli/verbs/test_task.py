"""Shell scripts that are task runners themselves."""

from __future__ import annotations

import io
import socket

import pytest

from tests.cli.conftest import Cli, Served, shell

LOAD = "@Load_2026-01-01T00:00:00"


def test_a_task_is_printed_as_json(served: Served, cli: Cli) -> None:
    made = served.create(shell("Load", **{"*myPassword": "hunter2"}))

    polled = cli("task", "poll", "etl")

    task = polled.document
    assert (task["pipelineId"], task["attemptId"]) == (made, f"{LOAD}_Attempt=1")
    fields = task["objects"][task["attemptId"]]["fields"]
    assert {"key": "command", "stringValue": "true"} in fields
    assert {"key": "*myPassword", "stringValue": "***"} in fields
    assert "hunter2" not in polled.stdout
    cli("task", "progress", task["taskId"])
    attempt = served.describe(made, f"{LOAD}_Attempt=1")
    assert attempt.string("hostname") == socket.gethostname()


def test_a_task_runner_may_have_the_secrets(served: Served, cli: Cli) -> None:
    served.create(shell("Load", **{"*myPassword": "hunter2"}))

    polled = cli("task", "poll", "etl", "--show-secrets", "--hostname", "worker-2")

    assert "hunter2" in polled.stdout


def test_a_poll_without_a_task_has_an_exit_code_of_its_own(served: Served, cli: Cli) -> None:
    served.once_polled("none", lambda: served.clock.advance(100))

    polled = cli("task", "poll", "none", exit_code=3)

    assert (polled.stdout, polled.stderr) == ("", "")


def test_progress_is_reported_and_kept(served: Served, cli: Cli) -> None:
    made = served.create(shell("Load"))
    task = served.begin()

    said = cli("task", "progress", task.task_id, "--field", "percentComplete=50").stdout

    assert said == "The task is still yours.\n"
    assert served.describe(made, task.attempt_id).string("percentComplete") == "50"


def test_a_cancelled_task_is_told_by_the_exit_code(served: Served, cli: Cli) -> None:
    made = served.create(shell("Load"))
    task = served.begin()
    served.ask(lambda client: client.set_status(made, [LOAD], "TRY_CANCEL"))
    served.passes(0)

    said = cli("task", "progress", task.task_id, "--output", "json", exit_code=3)

    assert said.document == {"canceled": True}
    assert "stop" in cli("task", "progress", task.task_id, exit_code=3).stdout


def test_a_task_is_finished(served: Served, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    made = served.create(shell("Load"))
    task = served.begin()
    monkeypatch.setenv("AIODATAPIPELINE_TASK_ID", task.task_id)

    assert cli("task", "finish").stdout == "The task is reported FINISHED.\n"

    assert served.describe(made, LOAD).string("@status") == "FINISHED"
    assert "stop working on it" in cli("task", "finish", exit_code=1).sentence


def test_a_precondition_that_is_not_met_is_reported_false(served: Served, cli: Cli) -> None:
    made = served.create(
        shell("Load", precondition={"ref": "Ready"}),
        {"id": "Ready", "type": "ShellCommandPrecondition", "command": "false"},
    )
    task = served.begin()

    said = cli("task", "finish", task.task_id, "--not-met", "--output", "json").document

    assert said == {"taskStatus": "FALSE"}
    assert served.describe(made, task.attempt_id).string("attemptStatus") == "FALSE"


def test_a_task_fails_with_what_the_script_says(
    served: Served, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = served.create(shell("Load"))
    task = served.begin()
    monkeypatch.setattr("sys.stdin", io.StringIO("first\x1b\n" + "x" * 5000 + "\nlast\n"))

    cli(
        "task", "fail", task.task_id, "--error-id", "DiskFull", "--message", "é" * 2000,
        "--stack-trace", "-",
    )  # fmt: skip

    attempt = served.describe(made, task.attempt_id)
    assert attempt.string("errorId") == "DiskFull"
    assert attempt.string("errorMessage") == "é" * 1024
    trace = attempt.string("errorStackTrace") or ""
    assert trace.startswith("first\\x1b\n")
    assert trace.endswith("\nlast\n")
    assert len(trace) == 1024


def test_a_log_of_any_bytes_is_reported(
    served: Served, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = served.create(shell("Load"))
    task = served.begin()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"caf\xe9"), encoding="utf-8"))

    cli("task", "fail", task.task_id, "--message", "-")

    assert served.describe(made, task.attempt_id).string("errorMessage") == "caf\ufffd"


def test_a_task_may_fail_without_a_word(served: Served, cli: Cli) -> None:
    made = served.create(shell("Load"))
    task = served.begin()

    cli("task", "fail", task.task_id)

    assert served.describe(made, LOAD).string("@status") == "FAILED"


def test_standard_input_is_read_once(cli: Cli) -> None:
    told = cli("task", "fail", "t", "--message", "-", "--stack-trace", "-", exit_code=2).sentence

    assert "only one" in told


def test_the_name_of_an_error_that_is_the_services_own_is_refused(served: Served, cli: Cli) -> None:
    told = cli("task", "fail", "t", "--error-id", "Service_Down", exit_code=2).sentence

    assert "Service_" in told
