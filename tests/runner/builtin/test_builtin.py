"""Shell commands, their data and their logs, and whether data exists: the built-in handlers."""

from __future__ import annotations

import asyncio
import logging
import os
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from aiodatapipeline.models import PipelineObject, Ref
from aiodatapipeline.runner import Task, TaskFailed, TaskRunner
from aiodatapipeline.runner.builtin import _room, add_builtin
from tests.runner.builtin.conftest import Bucket, Hand
from tests.runner.builtin.processes import PATIENCE, is_there, names_in, real, written

ACTIVITY, PRECONDITION = "ShellCommandActivity", "ShellCommandPrecondition"
LOGS = "df-1/Job/@Job_2026-01-01T00:00:00/@Job_2026-01-01T00:00:00_Attempt=1"


def node(object_id: str, **fields: str) -> PipelineObject:
    return PipelineObject.of(object_id, {"type": "S3DataNode", **fields})


async def failure(hand: Hand, fields: dict[str, str | Ref | Sequence[str | Ref]]) -> TaskFailed:
    with pytest.raises(TaskFailed) as failed:
        await hand(ACTIVITY, fields)
    return failed.value


# -- a runner has them --------------------------------------------------------------------


def test_a_runner_gets_all_built_in_handlers() -> None:
    runner = TaskRunner("etl")

    add_builtin(runner)

    assert list(runner.types()) == [
        "CopyActivity",
        "Exists",
        ACTIVITY,
        PRECONDITION,
        "SqlActivity",
    ]


def test_a_handler_of_ones_own_stays() -> None:
    runner = TaskRunner("etl")

    @runner.handler(ACTIVITY)
    async def mine(task: Task) -> None:
        """Do nothing."""

    @runner.handler("CopyActivity")
    async def mine_here(task: Task) -> None:
        """Do nothing."""

    @runner.handler("SqlActivity")
    async def mine_beside(task: Task) -> None:
        """Do nothing."""

    @runner.precondition(PRECONDITION)
    async def mine_too(task: Task) -> bool:
        return True

    @runner.precondition("Exists")
    async def mine_as_well(task: Task) -> bool:
        return True

    add_builtin(runner)

    kinds = (ACTIVITY, "CopyActivity", "SqlActivity", PRECONDITION, "Exists")
    kept = [runner.get(kind) for kind in kinds]
    assert [one.function for one in kept if one] == [
        mine,
        mine_here,
        mine_beside,
        mine_too,
        mine_as_well,
    ]


# -- commands -----------------------------------------------------------------------------


async def test_a_command_gets_its_arguments_in_order(hand: Hand, tmp_path: Path) -> None:
    out = tmp_path / "out"

    await hand(
        ACTIVITY,
        {"command": 'echo "$2-$1"', "scriptArgument": ["a b", "c"], "stdout": str(out)},
    )

    assert out.read_text() == "c-a b\n"


async def test_a_script_is_fetched_and_run(hand: Hand, tmp_path: Path) -> None:
    script, out = tmp_path / "job.py", tmp_path / "out"
    script.write_text("#!/usr/bin/env python3\nprint(6 * 7)\n")

    await hand(ACTIVITY, {"scriptUri": script.as_uri(), "stdout": out.as_uri()})

    assert out.read_text() == "42\n"


async def test_a_command_inherits_the_environment_and_the_directory(
    hand: Hand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLOR", "blue")
    out = tmp_path / "out"

    await hand(ACTIVITY, {"command": "echo $COLOR; pwd -P", "stdout": str(out)})

    assert out.read_text() == f"blue\n{real(Path())}\n"


async def test_the_shell_and_the_directory_can_be_chosen(hand: Hand, tmp_path: Path) -> None:
    hand.settings = replace(hand.settings, shell="/bin/bash", directory=tmp_path)
    out = tmp_path / "out"

    await hand(ACTIVITY, {"command": "a=(1 2); pwd -P; echo ${a[1]}", "stdout": str(out)})

    assert out.read_text() == f"{real(tmp_path)}\n2\n"


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({}, "needs a command or a scriptUri"),
        ({"command": "true", "scriptUri": "/a"}, "and not both"),
        ({"scriptUri": "/a", "scriptArgument": "b"}, "a scriptArgument is for a command"),
        ({"command": "true", "stage": "perhaps"}, "stage"),
        ({"command": "true", "stdout": "https://host/out"}, "Attempt=1, stdout: 'https://host"),
    ],
)
async def test_what_cannot_be_run_is_an_invalid_task(
    hand: Hand, fields: dict[str, str | Ref | Sequence[str | Ref]], told: str
) -> None:
    failed = await failure(hand, fields)

    assert failed.error_id == "InvalidTask"
    assert told in failed.message


async def test_an_invalid_command_is_not_shown(hand: Hand) -> None:
    failed = await failure(hand, {"command": "curl -u secret", "scriptUri": "s3://hidden/a"})

    assert "secret" not in failed.message
    assert "hidden" not in failed.message


async def test_a_script_that_is_not_there_fails_the_task(hand: Hand, tmp_path: Path) -> None:
    out = tmp_path / "out"

    failed = await failure(hand, {"scriptUri": "/no/such/script", "stdout": str(out)})

    assert not out.exists()

    assert failed.error_id == "StagingFailed"
    assert failed.message == "scriptUri: cannot read '/no/such/script': No such file or directory"


async def test_a_shell_that_is_not_there_fails_the_task(hand: Hand) -> None:
    hand.settings = replace(hand.settings, shell="/no/such/sh")

    failed = await failure(hand, {"command": "true"})

    assert failed.error_id == "ShellCommandNotStarted"
    assert "there is no '/no/such/sh'" in failed.message


# -- failures -----------------------------------------------------------------------------


async def test_a_failed_command_is_told_with_its_code_and_last_words(hand: Hand) -> None:
    failed = await failure(hand, {"command": "echo one >&2; echo 'two: no' >&2; exit 3"})

    assert failed.error_id == "ShellCommandFailed"
    assert failed.message == "exit code 3: two: no"
    assert failed.detail == "one\ntwo: no"


async def test_what_it_wrote_to_stdout_tells_if_nothing_else_does(hand: Hand) -> None:
    failed = await failure(hand, {"command": "echo why; exit 1"})

    assert failed.message == "exit code 1: why"


async def test_a_command_that_fails_in_silence_is_told_so(hand: Hand) -> None:
    failed = await failure(hand, {"command": "kill -9 $$"})

    assert failed.message == "killed by SIGKILL, and it wrote nothing"


async def test_no_more_than_the_end_of_what_it_wrote_is_told(hand: Hand) -> None:
    failed = await failure(hand, {"command": "seq 1000000 >&2; printf '\\377\\033' >&2; exit 1"})

    assert failed.detail.startswith("99")
    assert failed.detail.endswith("999999\n1000000\n\ufffd\x1b")
    assert len(failed.detail) < 5000


async def test_a_single_long_line_is_told_by_its_end(hand: Hand) -> None:
    failed = await failure(hand, {"command": "head -c 9000 /dev/zero | tr '\\0' x >&2; exit 1"})

    assert failed.detail == "x" * 4096


async def test_encrypted_values_are_not_told(hand: Hand) -> None:
    failed = await failure(
        hand,
        {"command": "echo login hunter2 ab >&2; exit 1", "*password": "hunter2", "*pin": "ab"},
    )

    assert failed.message == "exit code 1: login *** ab"
    assert "hunter2" not in failed.detail


# -- output and logs ----------------------------------------------------------------------


async def test_output_is_written_where_the_task_says_even_if_it_fails(
    hand: Hand, tmp_path: Path
) -> None:
    out, err = tmp_path / "new" / "out", tmp_path / "new" / "err"

    await failure(
        hand,
        {"command": "echo a; echo b >&2; exit 1", "stdout": str(out), "stderr": str(err)},
    )

    assert (out.read_text(), err.read_text()) == ("a\n", "b\n")


async def test_output_that_cannot_be_written_fails_the_task(hand: Hand, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    failed = await failure(hand, {"command": "echo a", "stdout": str(tmp_path / "file" / "out")})

    assert failed.error_id == "StagingFailed"
    assert "file/out" in failed.message


async def test_logs_lie_below_pipeline_component_instance_and_attempt(
    hand: Hand, tmp_path: Path
) -> None:
    await hand(
        ACTIVITY, {"command": "echo a; echo b >&2", "pipelineLogUri": str(tmp_path / "logs")}
    )

    logs = tmp_path / "logs" / LOGS
    assert (logs / "StdOutput").read_text() == "a\n"
    assert (logs / "StdError").read_text() == "b\n"
    lines = (logs / "Activity.log").read_text().splitlines()
    assert [line.split(" ", 1)[1] for line in lines] == ["exit code 0", "done"]


async def test_logs_of_a_failure_are_kept_too_without_the_command(
    hand: Hand, tmp_path: Path
) -> None:
    hand.settings = replace(hand.settings, log_uri=str(tmp_path / "logs"))

    await failure(hand, {"command": "curl -u secret; exit 7"})

    activity = (tmp_path / "logs" / LOGS / "Activity.log").read_text()
    assert "failed: ShellCommandFailed" in activity
    assert "secret" not in activity


async def test_the_tasks_own_place_for_logs_comes_first(hand: Hand, tmp_path: Path) -> None:
    hand.settings = replace(hand.settings, log_uri=str(tmp_path / "settings"))

    await hand(ACTIVITY, {"command": "true", "pipelineLogUri": str(tmp_path / "task")})

    assert (tmp_path / "task").exists()
    assert not (tmp_path / "settings").exists()


@pytest.mark.parametrize("address", ["/dev/null/logs", "https://host/logs"])
async def test_logs_that_cannot_be_kept_change_nothing(
    hand: Hand, caplog: pytest.LogCaptureFixture, address: str
) -> None:
    with caplog.at_level(logging.WARNING):
        await hand(ACTIVITY, {"command": "true", "pipelineLogUri": address})

    assert "its logs are not kept" in caplog.text
    assert address in caplog.text


async def test_logs_that_take_too_long_are_given_up(
    hand: Hand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(_room, "LOG_TIME", 0.0)

    failed = await failure(
        hand, {"command": "true", "stdout": str(tmp_path / "out"), "pipelineLogUri": "/logs"}
    )

    assert failed.message == "stdout and stderr could not be written in 0 s"
    assert failed.message in caplog.text


# -- staging ------------------------------------------------------------------------------


async def test_data_is_staged_in_and_out_in_the_order_of_the_references(
    hand: Hand, tmp_path: Path
) -> None:
    (tmp_path / "in" / "sub").mkdir(parents=True)
    (tmp_path / "in" / "sub" / "a").write_text("1")
    (tmp_path / "file.csv").write_text("2")
    command = """
    test -z "$INPUT3_STAGING_DIR$OUTPUT3_STAGING_DIR" || exit 9
    cp -r "$INPUT2_STAGING_DIR/sub" "$OUTPUT1_STAGING_DIR"
    cp "$INPUT1_STAGING_DIR/file.csv" "$OUTPUT2_STAGING_DIR"
    """

    await hand(
        ACTIVITY,
        {
            "command": command,
            "stage": "true",
            "input": [Ref("File"), Ref("Directory")],
            "output": [Ref("First"), Ref("Second")],
        },
        node("Directory", directoryPath=str(tmp_path / "in")),
        node("File", filePath=str(tmp_path / "file.csv")),
        node("First", directoryPath=str(tmp_path / "first")),
        node("Second", directoryPath=str(tmp_path / "second")),
    )

    assert (tmp_path / "first" / "sub" / "a").read_text() == "1"
    assert (tmp_path / "second" / "file.csv").read_text() == "2"
    assert hand.progress[-1] == {"staged_out": 2}
    assert {"staged_in": 2} in hand.progress


async def test_data_in_s3_is_staged_and_logs_go_there(bucket: Bucket, hand: Hand) -> None:
    await bucket.fill_with({"in/a.csv": b"b\na\n", "job.sh": b'echo "sorting" "$#"\nexit 0\n'})
    at = f"s3://{bucket.name}"

    await hand(
        ACTIVITY,
        {
            "command": "sort $INPUT1_STAGING_DIR/a.csv > $OUTPUT1_STAGING_DIR/a.csv; echo done",
            "stage": "TRUE",
            "input": Ref("In"),
            "output": Ref("Out"),
            "stdout": f"{at}/said.txt",
            "pipelineLogUri": f"{at}/logs/",
        },
        node("In", directoryPath=f"{at}/in"),
        node("Out", directoryPath=f"{at}/out/", s3EncryptionType="SERVER_SIDE_ENCRYPTION"),
    )

    assert await bucket.read("out/a.csv") == b"a\nb\n"
    assert await bucket.read("said.txt") == b"done\n"
    assert [key for key in await bucket.keys() if key.startswith("logs/")] == [
        f"logs/{LOGS}/{name}" for name in ("Activity.log", "StdError", "StdOutput")
    ]

    await hand(ACTIVITY, {"scriptUri": f"{at}/job.sh", "stdout": f"{at}/said.txt"})

    assert await bucket.read("said.txt") == b"sorting 0\n"


async def test_without_stage_nothing_is_staged(hand: Hand, tmp_path: Path) -> None:
    await hand(
        ACTIVITY,
        {"command": 'test -z "$INPUT1_STAGING_DIR"', "input": Ref("Gone"), "stage": "false"},
    )


@pytest.mark.parametrize(
    ("key", "other", "told"),
    [
        ("input", None, "there is no object 'Data'"),
        ("input", PipelineObject.of("Data", {"type": "SqlDataNode"}), "no S3DataNode but SqlData"),
        ("input", PipelineObject.of("Data", {}), "no S3DataNode but has no type"),
        ("input", node("Data"), "it needs a filePath or a directoryPath"),
        ("input", node("Data", filePath="/a", directoryPath="/b"), "and not both"),
        ("input", node("Data", manifestFilePath="/a"), "a manifestFilePath is for Redshift"),
        ("input", node("Data", filePath="http://a"), "Data: 'http://a' is neither in S3 nor"),
        ("output", node("Data", filePath="/a"), "output is staged only with a directoryPath"),
    ],
)
async def test_what_cannot_be_staged_is_an_invalid_task(
    hand: Hand, key: str, other: PipelineObject | None, told: str
) -> None:
    with pytest.raises(TaskFailed) as failed:
        await hand(
            ACTIVITY,
            {"command": "true", "stage": "true", key: Ref("Data")},
            *([] if other is None else [other]),
        )

    assert failed.value.error_id == "InvalidTask"
    assert told in failed.value.message


@pytest.mark.parametrize(
    ("key", "fields", "told"),
    [
        ("input", {"filePath": "/no/such/file"}, "Data: cannot read '/no/such/file'"),
        ("input", {"filePath": "s3://bucket/"}, "Data: '' cannot be the name of a file"),
        ("input", {"directoryPath": "/no/such"}, "Data: cannot list '/no/such'"),
        ("output", {"directoryPath": "/dev/null/out"}, "Data: cannot write '/dev/null/out/a'"),
    ],
)
async def test_data_that_cannot_be_carried_fails_the_task(
    hand: Hand, key: str, fields: dict[str, str], told: str
) -> None:
    command = 'test -z "$OUTPUT1_STAGING_DIR" || echo a > "$OUTPUT1_STAGING_DIR/a"'
    with pytest.raises(TaskFailed) as failed:
        await hand(
            ACTIVITY,
            {"command": command, "stage": "true", key: Ref("Data")},
            node("Data", **fields),
        )

    assert failed.value.error_id == "StagingFailed"
    assert told in failed.value.message


async def test_a_failed_command_stages_nothing_out(hand: Hand, tmp_path: Path) -> None:
    with pytest.raises(TaskFailed):
        await hand(
            ACTIVITY,
            {
                "command": "echo half > $OUTPUT1_STAGING_DIR/a; exit 1",
                "stage": "true",
                "output": Ref("Out"),
            },
            node("Out", directoryPath=str(tmp_path / "out")),
        )

    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("code", [0, 1])
async def test_nothing_of_an_attempt_is_left(
    hand: Hand, scratch: Path, tmp_path: Path, code: int
) -> None:
    command = f"cd $OUTPUT1_STAGING_DIR; mkdir a; touch a/b; ln -s a c; chmod 0 a; exit {code}"
    with pytest.raises(TaskFailed):  # even the good one: a link to a directory is no data
        await hand(
            ACTIVITY,
            {"command": command, "stage": "true", "output": Ref("Out")},
            node("Out", directoryPath=str(tmp_path / "out")),
        )

    assert names_in(scratch) == []


async def test_what_cannot_be_removed_changes_nothing_and_is_told(
    hand: Hand,
    scratch: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError("it is another user's")

    # As what a command has made in a container, as root.
    monkeypatch.setattr(Path, "chmod", refuse)
    monkeypatch.setattr(os, "rmdir", refuse)
    await hand(
        ACTIVITY,
        {"command": "touch $OUTPUT1_STAGING_DIR/a", "stage": "true", "output": Ref("Out")},
        node("Out", directoryPath=str(tmp_path / "out")),
    )

    assert (tmp_path / "out" / "a").exists()
    (left,) = names_in(scratch)
    assert f"{scratch / left} cannot be removed" in caplog.text


# -- cancellation -------------------------------------------------------------------------


async def test_a_canceled_command_ends_with_its_family_and_its_logs_are_kept(
    hand: Hand, scratch: Path, tmp_path: Path
) -> None:
    command = f"echo begun; sh -c 'sleep 1000; :' & echo $! > {tmp_path}/child; wait"
    running = asyncio.ensure_future(
        hand(ACTIVITY, {"command": command, "pipelineLogUri": str(tmp_path / "logs")})
    )
    child = await written(tmp_path / "child")

    running.cancel()
    async with asyncio.timeout(PATIENCE):
        with pytest.raises(asyncio.CancelledError):
            await running

    assert not is_there(child)
    assert (tmp_path / "logs" / LOGS / "StdOutput").read_text() == "begun\n"
    assert "cancelled" in (tmp_path / "logs" / LOGS / "Activity.log").read_text()
    assert names_in(scratch) == []


async def test_a_second_cancellation_cuts_off_neither_logs_nor_cleaning(
    hand: Hand, scratch: Path, tmp_path: Path
) -> None:
    command = f"echo $$ > {tmp_path}/pid; exec sleep 1000"
    running = asyncio.ensure_future(
        hand(ACTIVITY, {"command": command, "pipelineLogUri": str(tmp_path / "logs")})
    )
    await written(tmp_path / "pid")

    async with asyncio.timeout(PATIENCE):
        while not running.done():
            running.cancel()
            await asyncio.sleep(0)

    assert running.cancelled()
    assert (tmp_path / "logs" / LOGS / "Activity.log").exists()
    assert names_in(scratch) == []


async def test_a_cancellation_while_the_directory_is_made_leaves_none(
    hand: Hand, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, told, made = threading.Event(), threading.Event(), threading.Event()
    mkdtemp = tempfile.mkdtemp

    def slow(*, prefix: str, dir: Path) -> str:  # noqa: A002  # the name of the original
        asked.set()
        told.wait(PATIENCE)
        directory = mkdtemp(prefix=prefix, dir=dir)
        made.set()
        return directory

    monkeypatch.setattr(tempfile, "mkdtemp", slow)
    running = asyncio.ensure_future(hand(ACTIVITY, {"command": "true"}))
    await asyncio.to_thread(asked.wait, PATIENCE)

    running.cancel()
    told.set()
    async with asyncio.timeout(PATIENCE):
        with pytest.raises(asyncio.CancelledError):
            await running

    assert await asyncio.to_thread(made.wait, PATIENCE)
    assert names_in(scratch) == []


# -- preconditions ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "met"), [("true", True), ("exit 3", False), ("kill -9 $$", False)]
)
async def test_a_precondition_is_met_if_its_command_succeeds(
    hand: Hand, command: str, met: bool
) -> None:
    assert await hand(PRECONDITION, {"command": command}) is met


async def test_a_precondition_without_a_shell_fails(hand: Hand) -> None:
    hand.settings = replace(hand.settings, shell="/no/such/sh")

    with pytest.raises(TaskFailed, match="there is no '/no/such/sh'"):
        await hand(PRECONDITION, {"command": "true"})


@pytest.mark.parametrize(
    ("fields", "there"),
    [
        ({"filePath": "{}/data/a"}, True),
        ({"filePath": "{}/data"}, False),
        ({"filePath": "{}/dat"}, False),
        ({"directoryPath": "{}/data"}, True),
        ({"directoryPath": "{}/data/"}, True),
        ({"directoryPath": "{}/dat"}, False),
    ],
)
async def test_data_exists_or_not_in_s3_as_in_files(
    bucket: Bucket, hand: Hand, tmp_path: Path, fields: dict[str, str], there: bool
) -> None:
    await bucket.fill_with({"data/a": b"", "data/b": b""})
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a").write_text("")

    for root in (f"s3://{bucket.name}", str(tmp_path)):
        data = node("Data", **{key: path.format(root) for key, path in fields.items()})

        assert await hand("Exists", {"node": Ref("Data")}, data) is there


async def test_an_empty_directory_holds_no_data(hand: Hand, tmp_path: Path) -> None:
    data = node("Data", directoryPath=str(tmp_path / "empty"))
    (tmp_path / "empty").mkdir()

    assert await hand("Exists", {"node": Ref("Data")}, data) is False


async def test_whether_data_exists_that_nobody_may_see_is_a_failure(
    bucket: Bucket, hand: Hand
) -> None:
    data = node("Data", directoryPath="s3://no-such-bucket/a")

    with pytest.raises(TaskFailed) as failed:
        await hand("Exists", {"node": Ref("Data")}, data)

    assert failed.value.error_id == "StorageFailed"
    assert "s3://no-such-bucket/a" in failed.value.message


async def test_exists_without_a_node_is_an_invalid_task(hand: Hand) -> None:
    with pytest.raises(TaskFailed, match="node"):
        await hand("Exists", {})
