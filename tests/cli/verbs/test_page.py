"""The shell examples of pages do what they show."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from aiodatapipeline._clock import SystemClock
from aiodatapipeline.local import LocalDataPipeline, VirtualClock
from aiodatapipeline.models import PipelineObject, TaskObject
from aiodatapipeline.runner._outbox import FileOutbox
from tests.pages import PROMPT, Command, blocks, commands

FORKS = Path(__file__).parent / "forks.py"
PATIENCE = 100  # seconds, for a slow machine: some thirty commands
LISTENING = "listening on http://127.0.0.1:4180"
MARK = "---- the end of a command ----"
SESSIONS = defaultdict[str, list[Command]](list)
ALONE = list[Command]()
for each in commands():
    if each.words != PROMPT and not each.installs:
        (ALONE if each.is_alone else SESSIONS[each.page]).append(each)


def pattern(shown: str) -> re.Pattern[str]:
    """What is shown, whatever the ids, times and spaces are; ``...`` is anything."""
    text = re.escape(plain(shown)).replace(re.escape("..."), ".*")
    return re.compile(text, re.DOTALL)


def plain(text: str) -> str:
    text = re.sub(r"df-[0-9A-Z]+", "df-ID", text)
    text = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", "TIME", text)
    return "\n".join(" ".join(line.split()) for line in text.splitlines() if line.strip())


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The command, in a directory for the PATH."""
    directory = tmp_path_factory.mktemp("command")
    path = str(directory / "socket")
    with subprocess.Popen(
        [sys.executable, FORKS, "serve", path], stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == "ready\n"
        command = directory / "bin" / "aiodatapipeline"
        command.parent.mkdir()
        # -I and -S: it needs nothing but the standard library, and starts in no time.
        call = shlex.join((sys.executable, "-I", "-S", str(FORKS), "call", path))
        command.write_text(f'#!/bin/sh\nexec {call} "$@"\n')
        command.chmod(0o755)
        yield command
        server.terminate()


def surroundings(command: Path, service: LocalDataPipeline) -> dict[str, str]:
    """The environment of a command that is to find a service."""
    return {
        **os.environ,
        # The AWS CLI is where this Python is.
        "PATH": f"{command.parent}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        "AWS_ENDPOINT_URL_DATA_PIPELINE": service.endpoint_url,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "any",
        "AWS_SECRET_ACCESS_KEY": "any",
    }


@pytest.fixture
async def directory(tmp_path: Path) -> Path:
    """Where a command is typed: with a file of credentials, and an outcome to deliver."""
    outbox = FileOutbox(tmp_path / "state", SystemClock())
    attempt = PipelineObject.of("@A_Attempt=1", {"type": "ShellCommandActivity"})
    task = TaskObject(
        task_id="t", pipeline_id="df-1", attempt_id=attempt.id, objects={attempt.id: attempt}
    )
    await outbox.assigned(task, "etl", "ShellCommandActivity")
    outbox.close()
    (tmp_path / "credentials").write_text("AKIDEXAMPLE:a-long-secret\n")
    return tmp_path


@pytest.mark.parametrize("page", SESSIONS)
async def test_the_sessions_of_a_page_go_as_they_show(
    page: str, command: Path, directory: Path
) -> None:
    words = [each.words for each in SESSIONS[page]]
    script = "".join(f"{each}\necho '{MARK}'\n" for each in words)
    if "\ncurl" in script and shutil.which("curl") is None:
        pytest.skip("there is no curl")
    admin = "/admin/" in script
    service = LocalDataPipeline(admin=admin, clock=VirtualClock() if admin else None)

    async with service:
        script = script.replace("http://127.0.0.1:4180", service.endpoint_url)
        script = f"trap 'kill $(jobs -p) 2> /dev/null' EXIT\n{script}"
        done = await asyncio.to_thread(
            subprocess.run,
            ["bash", "-c", script],
            cwd=directory,
            env=surroundings(command, service),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    printed = done.stdout.split(f"{MARK}\n")
    assert len(printed) == len(words) + 1
    for each, output in zip(SESSIONS[page], printed, strict=False):
        assert pattern(each.shown or "").fullmatch(plain(output)), f"$ {each.words}\n{output}"


@pytest.mark.parametrize("unit", [each.text for each in blocks("ini")])
def test_a_unit_of_the_pages_is_one_for_systemd(unit: str, command: Path, tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("there is no systemd")
    file = tmp_path / "aiodatapipeline.service"
    file.write_text(re.sub(r"(?<=ExecStart=)\S+", str(command), unit))

    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", file], capture_output=True, text=True, check=False
    )

    # It may not like others on this machine.
    assert [line for line in done.stderr.splitlines() if file.name in line] == []
    assert done.returncode == 0


# What belongs to a machine, and what a test has in its place.
HERE = {
    "/var/lib/aiodatapipeline": "state",
    "/home/pipeline/state": "state",
    "${STATE_DIRECTORY}": "state",
    "8080": "0",
    "0.0.0.0": "127.0.0.1",  # what is shown
    "17": "1",
}


@pytest.mark.parametrize("each", {each[1:]: each for each in ALONE}.values(), ids=str)
async def test_a_command_that_is_shown_by_itself_works(
    each: Command, command: Path, directory: Path
) -> None:
    program, *words = (HERE.get(word, word) for word in shlex.split(each.words))
    if words[0] == "local":
        words += ["--port", "0"]

    async with LocalDataPipeline() as service:
        process = await asyncio.create_subprocess_exec(
            command, *words, cwd=directory, env=surroundings(command, service),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        assert process.stdout is not None
        async with asyncio.timeout(PATIENCE):
            if words[0] == "local":
                line = (await process.stdout.readline()).decode()
                assert re.sub(r":\d+\n$", ":4180", line) == (each.shown or LISTENING)
                process.terminate()
            elif words[0] == "run":
                while not service.worker_groups:  # noqa: ASYNC110  # nobody tells
                    await asyncio.sleep(0.001)
                process.terminate()
            _, told = await process.communicate()

    assert Path(program).name == command.name
    assert process.returncode == 0, told
    assert b"Traceback" not in told
