"""Runners that are programs: that they end, with what exit code, and on which signals."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from aiodatapipeline.cli import program as cli_program
from aiodatapipeline.local import LocalDataPipeline
from aiodatapipeline.runner import SyncTask, Task, TaskRunner, _program
from tests.runner.bed import activity, bed, works
from tests.runner.fakes import Answers, hurried
from tests.runner.processes import LIMIT, cli, program, put


def main_of(runner: str) -> tuple[str, ...]:
    """A program of one's own, that ends in ``runner.main()``."""
    return (sys.executable, "-m", "tests.runner.programs", runner)


@pytest.mark.parametrize(
    ("command", "left"),
    [
        (cli("swallows"), "handler of @Job_"),
        (cli("in_the_pool"), "the loop's threads"),
        (main_of("on_an_executor"), "handler of @Job_"),
        (main_of("strays"), "stray"),
    ],
    ids=["swallows", "in the loop's pool", "on an executor", "a stray thread"],
)
async def test_a_program_ends_with_its_exit_code_although_a_handler_does_not(
    tmp_path: Path, command: tuple[str, ...], left: str
) -> None:
    begun = tmp_path / "begun"
    async with LocalDataPipeline() as service:
        await put(service, activity(command=str(begun)))
        async with program(*command, url=service.endpoint_url) as runner:
            async with asyncio.timeout(LIMIT):
                while not begun.exists():  # it is another process that makes it
                    await asyncio.sleep(0.01)
            runner.send(signal.SIGTERM)
            runner.send(signal.SIGINT)
            code = await runner.over()

    # Which of the two comes first is the system's affair.
    assert code in {128 + signal.SIGTERM, 128 + signal.SIGINT}
    assert "are left behind" in runner.log
    assert left in runner.log.partition("do not end")[2]


async def test_a_program_of_which_nothing_is_left_ends_at_once() -> None:
    async with (
        LocalDataPipeline() as service,
        program(*cli("works"), url=service.endpoint_url) as runner,
    ):
        await runner.until("started")
        runner.send()
        assert await runner.over() == 0

    assert "left behind" not in runner.log


@pytest.fixture
def unshare() -> list[str]:
    """What starts a process as the first of a namespace of its own, as a container does."""
    found = [shutil.which("unshare") or "", "--user", "--map-root-user", "--pid", "--fork"]
    if not found[0] or subprocess.run([*found, "true"], check=False, timeout=20).returncode:
        pytest.skip("no namespace of processes can be made here")
    return found


async def test_a40_the_first_process_of_a_container_stops_on_a_signal(unshare: list[str]) -> None:
    async with (
        LocalDataPipeline() as service,
        program(*unshare, *cli("works"), url=service.endpoint_url) as outside,
    ):
        await outside.until("started")
        pid = outside.process.pid
        (first,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        inside = Path(f"/proc/{first}/status").read_text()
        # What has no handler there never gets to the first process.
        os.kill(int(first), signal.SIGTERM)
        assert await outside.over() == 0

    assert inside.partition("NSpid:")[2].splitlines()[0].split()[-1] == "1"
    assert "stopping" in outside.log


# -- the parts, in this process: of one that exits at once nothing is measured ----------------


@pytest.fixture
def exits(monkeypatch: pytest.MonkeyPatch) -> queue.Queue[int]:
    """The codes with which the process would have exited at once."""
    codes: queue.Queue[int] = queue.Queue()
    monkeypatch.setattr(os, "_exit", codes.put)
    monkeypatch.setattr(logging, "shutdown", lambda: None)
    monkeypatch.setattr(_program, "_PATIENCE", 0.05)
    monkeypatch.setattr(_program, "_left", [])
    return codes


def test_a_task_that_does_not_end_is_named_and_left_behind(
    exits: queue.Queue[int], caplog: pytest.LogCaptureFixture
) -> None:
    loops: list[asyncio.AbstractEventLoop] = []
    tasks: list[asyncio.Task[None]] = []
    release = asyncio.Event()

    async def swallow() -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    async def work() -> str:
        loops.append(asyncio.get_running_loop())
        tasks.append(asyncio.create_task(swallow(), name="the deaf"))
        await asyncio.sleep(0)
        return "done"

    assert _program.run_to_end(work()) == "done"
    child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(600,))
    child.start()
    with pytest.raises(SystemExit) as exited:  # which the real os._exit does not come to
        _program.leave(7)
    release.set()
    loops[0].run_until_complete(tasks[0])
    loops[0].close()
    asyncio.set_event_loop(None)
    child.join(LIMIT)

    assert (exits.get(timeout=LIMIT), exited.value.code) == (7, 7)
    assert "are left behind: the deaf" in caplog.text
    assert child.exitcode == -signal.SIGKILL
    child.close()


def test_a_thread_that_does_not_end_is_left_behind_after_a_while(
    exits: queue.Queue[int], caplog: pytest.LogCaptureFixture
) -> None:
    release = threading.Event()
    thread = threading.Thread(target=release.wait, name="the stray")
    thread.start()
    with pytest.raises(SystemExit):
        _program.leave(3)
    code = exits.get(timeout=LIMIT)
    release.set()
    thread.join()

    assert code == 3
    assert "the stray" in caplog.text


def test_a_runner_is_a_program(exits: queue.Queue[int]) -> None:
    runner = hurried(TaskRunner("etl", client=Answers("Job").client))

    @runner.handler("Job")
    async def handle(task: Task) -> None:
        runner.stop()

    with pytest.raises(SystemExit) as exited:
        runner.main()

    assert exited.value.code == 0
    assert exits.empty()


def test_the_command_line_is_a_program(
    exits: queue.Queue[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["aiodatapipeline", "no such command"])

    with pytest.raises(SystemExit) as exited:
        cli_program()

    assert exited.value.code == 2
    assert exits.empty()


async def test_a40_a_signal_that_comes_before_anything_is_open_stops_the_runner(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with bed() as b:
        await b.pipeline(activity())
        runner = b.runner()
        had = works(b, runner)
        real = vars(sys.modules["aiodatapipeline.runner._runner"])["_open_outbox"]

        def open_outbox(settings: object) -> object:
            os.kill(os.getpid(), signal.SIGTERM)
            return real(settings)

        monkeypatch.setattr("aiodatapipeline.runner._runner._open_outbox", open_outbox)
        run = b.run(runner, signals=True)
        result = await run.until_over()

        assert (result.exit_code, had) == (0, [])
        assert b.made("PollForTask") == []


def test_a_process_is_refused_where_there_are_no_groups_of_processes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def handle(task: SyncTask) -> None: ...

    monkeypatch.delattr(os, "killpg")  # as on Windows
    with pytest.raises(NotImplementedError, match="the handler of Job cannot run in a process"):
        TaskRunner("etl").handler("Job", run_in="process")(handle)
    TaskRunner("etl").handler("Job", run_in="thread")(handle)
