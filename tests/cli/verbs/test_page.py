"""The shell examples of pages do what they show."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from aiodatapipeline._clock import SystemClock
from aiodatapipeline.local import LocalDataPipeline, VirtualClock
from aiodatapipeline.models import PipelineObject, TaskObject
from aiodatapipeline.runner._outbox import FileOutbox

DOCS = Path(__file__).parents[3] / "docs"
PAGES = ("tutorial.md", "how-to/command-line.md", "how-to/local-service.md")
FORKS = Path(__file__).parent / "forks.py"
PATIENCE = 100  # seconds, for a slow machine: some thirty commands
MARK = "---- the end of a command ----"


def examples(text: str) -> Iterator[tuple[str, str]]:
    """Every command of the console blocks, with what it prints."""
    for block in re.findall(r"^```console\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        for example in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            lines = example.splitlines()
            more = next(
                (n for n, line in enumerate(lines[1:], 1) if not line.startswith(">")), len(lines)
            )
            command = [
                lines[0],
                *(line.removeprefix(">").removeprefix(" ") for line in lines[1:more]),
            ]
            yield "\n".join(command), "\n".join(lines[more:])


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


@pytest.mark.parametrize("page", PAGES)
async def test_the_examples_do_what_they_show(page: str, command: Path, tmp_path: Path) -> None:
    text = (DOCS / page).read_text(encoding="utf-8")
    if "$ curl" in text and shutil.which("curl") is None:
        pytest.skip("there is no curl")
    admin = "/admin/" in text
    service = LocalDataPipeline(admin=admin, clock=VirtualClock() if admin else None)

    async with service:
        found = list(examples(text.replace("http://127.0.0.1:4180", service.endpoint_url)))
        script = "trap 'kill $(jobs -p) 2> /dev/null' EXIT\n"
        script += "".join(f"{words}\necho '{MARK}'\n" for words, _ in found)
        done = await asyncio.to_thread(
            subprocess.run,
            ["bash", "-c", script],
            cwd=tmp_path,
            env=surroundings(command, service),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    printed = done.stdout.split(f"{MARK}\n")
    assert len(found) > 5
    assert len(printed) == len(found) + 1
    for (words, shown), output in zip(found, printed, strict=False):
        assert pattern(shown).fullmatch(plain(output)), f"$ {words}\n{output}"


def by_themselves() -> Iterator[str]:
    """The commands of all pages that are shown without what they print, or that stay."""
    for page in sorted((DOCS.parent / "README.md", *DOCS.rglob("*.md"))):
        run = page.is_relative_to(DOCS) and page.relative_to(DOCS).as_posix() in PAGES
        fence = "shell-session" if run else "console"
        text = page.read_text(encoding="utf-8")
        for block in re.findall(rf"^```{fence}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
            for line in block.replace("\\\n", " ").splitlines():
                if line.removeprefix("$ ").startswith("aiodatapipeline "):
                    yield line.removeprefix("$ ")


# What belongs to a machine, and what a test has in its place.
HERE = {
    "/var/lib/aiodatapipeline": "state",
    "8080": "0",
    "0.0.0.0": "127.0.0.1",  # what is shown
    "17": "1",
}


@pytest.mark.parametrize("line", dict.fromkeys(by_themselves()))
async def test_a_command_that_is_shown_by_itself_works(
    line: str, command: Path, tmp_path: Path
) -> None:
    words = [HERE.get(each, each) for each in shlex.split(line)[1:]]
    outbox = FileOutbox(tmp_path / "state", SystemClock())
    attempt = PipelineObject.of("@A_Attempt=1", {"type": "ShellCommandActivity"})
    task = TaskObject(
        task_id="t", pipeline_id="df-1", attempt_id=attempt.id, objects={attempt.id: attempt}
    )
    await outbox.assigned(task, "etl", "ShellCommandActivity")
    outbox.close()
    (tmp_path / "credentials").write_text("AKIDEXAMPLE:a-long-secret\n")
    if words[0] == "local":
        words += ["--port", "0"]

    async with LocalDataPipeline() as service:
        process = await asyncio.create_subprocess_exec(
            command, *words, cwd=tmp_path, env=surroundings(command, service),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        assert process.stdout is not None
        async with asyncio.timeout(PATIENCE):
            if words[0] == "local":
                assert (await process.stdout.readline()).startswith(b"listening on http://")
                process.terminate()
            elif words[0] == "run":
                while not service.worker_groups:  # noqa: ASYNC110  # nobody tells
                    await asyncio.sleep(0.001)
                process.terminate()
            _, told = await process.communicate()

    assert process.returncode == 0, told
    assert b"Traceback" not in told
