"""What commands print, and what they do when nobody reads it or somebody is tired of it."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.text import Text

from aiodatapipeline.cli import _output, main
from aiodatapipeline.cli._failure import Failure, told
from aiodatapipeline.cli._output import Answer, Format
from aiodatapipeline.errors import ReadTimeoutError
from aiodatapipeline.models import ParameterAttribute, ParameterObject, ParameterValue, Tag
from tests.cli.conftest import Cli, Served, shell

COMMAND = [sys.executable, "-m", "aiodatapipeline.cli"]
# Seconds, so that a test which waits for what does not come fails and does not hang.
PATIENCE = 30


def printed(width: int, *row: str) -> list[str]:
    """What a terminal of some width shows of a table."""
    console = Console(width=width, file=io.StringIO())
    columns = ("Instance", "Status", _output.number("Attempts"), "Started (UTC)", "Reason")
    console.print(_output.table(columns, [row, ("@Clean", "PENDING", "", None, None)]))
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


@pytest.mark.parametrize("width", [40, 79])
def test_rows_that_have_no_room_beside_each_other_are_below_each_other(width: int) -> None:
    row = ("@Load_2026-01-01T00:00:00", "FAILED", "1", "2026-01-01T00:00:00", "the disk is full")

    shown = printed(width, *row)

    told = "Attempts: 1  Started (UTC): 2026-01-01T00:00:00  Reason: the disk is full"
    assert shown[0] == "@Load_2026-01-01T00:00:00  FAILED"
    assert " ".join(" ".join(shown[1:-1]).split()) == " ".join(told.split())
    assert shown[-1] == "@Clean  PENDING"
    assert all(line in {shown[0], shown[-1]} or line.startswith("  ") for line in shown)
    # No time, and no other word, is cut in two.
    assert set(told.split()) <= {word for line in shown for word in line.split()}


def test_rows_that_have_room_are_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    row = ("@Load_2026-01-01T00:00:00", "FAILED", "1", "2026-01-01T00:00:00", "a fault " * 20)

    header, _, first, *_ = printed(100, *row)

    assert header.split() == ["Instance", "Status", "Attempts", "Started", "(UTC)", "Reason"]
    assert first.startswith("@Load_2026-01-01T00:00:00   FAILED           1   2026-01-01T00:00:00")


def test_a_pipe_gets_whole_lines_without_colours(capsys: pytest.CaptureFixture[str]) -> None:
    table = _output.table(("A", "B"), [("x" * 300, _output.status("FAILED"))])

    _output.print_all([table, Text("red", "red"), "y" * 5000])

    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["A", "B"]
    assert lines[2:] == [f"{'x' * 300}   FAILED", "red", "y" * 5000]


def test_on_a_terminal_there_are_colours_and_nothing_is_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "40")
    table = _output.table(("A", "B"), [("x" * 60, _output.status("FAILED"))])
    ours, theirs = os.openpty()
    with os.fdopen(theirs, "w", encoding="utf-8") as terminal, monkeypatch.context() as patch:
        patch.setattr("sys.stdout", terminal)
        _output.print_all([table])
        terminal.flush()
        shown = os.read(ours, 10_000).decode()
    os.close(ours)

    assert "\x1b[1;31mFAILED\x1b[0m" in shown
    assert shown.count("x") == 60


@given(st.text())
def test_nothing_that_a_terminal_would_obey_is_printed(text: str) -> None:
    shown = _output.visible(text)

    assert shown.isprintable()
    assert text.isprintable() == (shown == text)


def test_a_text_keeps_its_lines_and_nothing_else() -> None:
    assert _output.visible("a\n\x1b[31mb\x9b", "\n") == "a\n\\x1b[31mb\\x9b"
    assert _output.visible(None) == ""


def test_a_document_is_json_in_the_services_words() -> None:
    assert _output.document_of(Tag(key="*team", value="etl")) == {"key": "*team", "value": "etl"}
    assert _output.document_of(ParameterValue(id="*myKey", string_value="s")) == {
        "id": "*myKey",
        "stringValue": "***",
    }


def test_what_a_secret_parameter_is_like_is_no_secret() -> None:
    attributes = {"type": "String", "default": "hunter2", "allowedValues": "hunter3"}
    parameter = ParameterObject(
        id="*myKey",
        attributes=tuple(
            ParameterAttribute(key=key, string_value=value) for key, value in attributes.items()
        ),
    )

    masked = _output.document_of(parameter)
    told = _output.document_of(parameter, show_secrets=True)

    assert masked["attributes"] == [
        {"key": "type", "stringValue": "String"},
        {"key": "default", "stringValue": "***"},
        {"key": "allowedValues", "stringValue": "***"},
    ]
    assert "hunter2" in str(told)


def test_a_document_is_not_escaped_without_need(capsys: pytest.CaptureFixture[str]) -> None:
    _output.show(Answer({"name": "Nächtlich"}), Format.JSON)

    assert capsys.readouterr().out == '{\n  "name": "Nächtlich"\n}\n'


# -- real processes ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words", [["list"], ["list", "--output", "json"], ["--help"], ["local", "--port", "0"]]
)
def test_nobody_reading_on_is_no_error(served: Served, words: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer) as pipe:
        done = subprocess.run(
            [*COMMAND, *words],
            stdout=pipe,
            stderr=subprocess.PIPE,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    assert (done.returncode, done.stderr) == (141, "")


def test_what_an_encoding_has_no_bytes_for_is_escaped_as_in_json(
    served: Served, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("na\xefve \u20ac \U0001f600", "\xd7")
    for name in names:
        cli("create", name)
    for words in (["list"], ["list", "--output", "json"]):
        stdout = io.TextIOWrapper(io.BytesIO(), "ascii")
        with monkeypatch.context() as patched:
            patched.setattr(sys, "stdout", stdout)
            assert main(words) == 0

        stdout.seek(0)
        text = stdout.read()
        assert r"na\u00efve \u20ac \ud83d\ude00" in text
    assert {each["name"] for each in json.loads(text)["pipelineIdList"]} == set(names)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a full disk to try")
def test_an_output_that_cannot_be_written_is_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with suppress(OSError), open("/dev/full", "w", encoding="utf-8") as full:  # noqa: PTH123
        monkeypatch.setattr(sys, "stdout", full)
        with pytest.raises(Failure, match="standard output cannot be written: No space left"):
            _output.write("a text")


@pytest.mark.parametrize("words", [["task", "poll", "etl"], ["status", "PIPELINE", "--watch"]])
def test_an_interrupted_command_ends_quietly(served: Served, words: list[str]) -> None:
    made = served.create(shell("Load", workerGroup="other"))
    given = [made if word == "PIPELINE" else word for word in words]
    with subprocess.Popen(
        [*COMMAND, *given], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        if words[0] == "task":
            served.until_polled("etl")
        else:
            process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=PATIENCE)

    assert (process.returncode, err) == (130, "")


def test_credentials_that_are_missing_are_told_with_what_to_do(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    told = cli("list", "--region", "us-east-1", exit_code=1).sentence
    assert "no AWS credentials found; set AWS_ACCESS_KEY_ID" in told
    assert "pass aws_access_key_id" not in told

    monkeypatch.delenv("AWS_DEFAULT_REGION")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    assert "no AWS region found; give --region" in cli("list", exit_code=1).sentence


@pytest.mark.parametrize(
    ("words", "option"),
    [
        (["--profile", "nobody"], "--profile"),
        (["--region", "no where"], "--region"),
        (["--endpoint-url", "nonsense"], "--endpoint-url"),
    ],
)
def test_a_setting_that_is_wrong_is_told_by_its_name_here(
    words: list[str], option: str, cli: Cli, served: Served
) -> None:
    told = cli("list", *words, exit_code=1).sentence

    assert option in told
    assert option.removeprefix("--").replace("-", "_") + "_name" not in told


def test_a_service_that_is_not_there_is_told_with_what_to_do(cli: Cli, served: Served) -> None:
    told = cli("list", "--endpoint-url", "http://127.0.0.1:1", exit_code=1).sentence

    assert "check --endpoint-url and the network; 'aiodatapipeline local' starts" in told


@pytest.mark.parametrize(
    ("operation", "advice"),
    [
        ("ListPipelines", "check --endpoint-url and the network"),
        ("ActivatePipeline", "it may have been carried out all the same"),
    ],
)
def test_only_what_changes_something_is_to_be_looked_for_when_its_answer_was_lost(
    operation: str, advice: str
) -> None:
    lost = ReadTimeoutError("no answer in the time for it", operation=operation)

    assert f"{operation}: no answer in the time for it; {advice}" in told(lost)


def test_tls_to_what_speaks_none_is_told_without_our_innards(cli: Cli, served: Served) -> None:
    secure = served.service.endpoint_url.replace("http:", "https:")

    told = cli("list", "--endpoint-url", secure, exit_code=1).sentence

    assert f"SSL validation failed for {secure}" in told
    assert "object at 0x" not in told


def test_a_profile_has_region_and_credentials(
    served: Served, cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name)
    config = tmp_path / "config"
    config.write_text(
        "[profile test]\nregion = us-east-1\naws_access_key_id = a\naws_secret_access_key = b\n"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))

    cli("list", "--profile", "test")
    assert "nobody" in cli("list", "--profile", "nobody", exit_code=1).sentence


def test_where_an_error_comes_from_is_shown_on_request(served: Served) -> None:
    done = subprocess.run(
        [*COMMAND, "describe", "df-0", "--debug"],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )

    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "PipelineNotFoundException" in done.stderr.splitlines()[-1]


def test_no_log_has_secrets(served: Served) -> None:
    made = served.create(shell("Load", **{"*myPassword": "hunter2"}))

    done = subprocess.run(
        [*COMMAND, "get", made, "--show-secrets", "--debug"],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )

    assert "hunter2" in done.stdout
    assert "DEBUG" in done.stderr
    assert "hunter2" not in done.stderr
