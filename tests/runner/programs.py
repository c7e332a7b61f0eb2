"""Task runners that are programs: tests start them as processes of their own.

Their minutes are tenths of a second. A handler notes in the file that its ``command`` names that it
has begun.
"""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from aiodatapipeline import DataPipelineClient
from aiodatapipeline.runner import SyncTask, Task, TaskRunner, _program
from aiodatapipeline.runner._caller import Backoff
from tests.runner.fakes import hurried

SHELL = "ShellCommandActivity"


def _make(timing: Mapping[str, float] | None = None, **settings: float) -> TaskRunner:
    given = {"drain_timeout": 0.2, "cancel_grace": 0.2, **settings}
    runner = TaskRunner(
        "etl",
        client=lambda: DataPipelineClient(
            endpoint_url=os.environ["ENDPOINT"], region_name="us-east-1"
        ),
        account_share=None,
        **given,  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    )
    return hurried(runner, poll=3.0, control=1.0, report=0.2, tick=0.05, **(timing or {}))


def _note(task: Task | SyncTask) -> None:
    Path(str(task.object.string("command"))).touch()


swallows, in_the_pool, on_an_executor, strays = _make(), _make(), _make(), _make()
"""Handlers that do not end: one that ignores its cancellation, and three with threads."""


@swallows.handler(SHELL)
async def swallow(task: Task) -> None:
    """Ignore every cancellation."""
    _note(task)
    while True:
        try:
            await asyncio.sleep(600)
        except BaseException:  # noqa: BLE001  # what nobody should write
            continue


@in_the_pool.handler(SHELL)
async def wait_in_the_pool(task: Task) -> None:
    """Wait for a thread of the loop's pool that never ends."""
    _note(task)
    await asyncio.to_thread(threading.Event().wait)


@on_an_executor.handler(SHELL, run_in=ThreadPoolExecutor(1))
def wait_on_an_executor(task: SyncTask) -> None:
    """Wait in a thread of an executor for what never comes."""
    _note(task)
    threading.Event().wait()


@strays.handler(SHELL)
async def leave_a_thread(task: Task) -> None:
    """Leave a thread behind that never ends."""
    threading.Thread(target=threading.Event().wait, name="stray").start()
    _note(task)


works = _make(drain_timeout=20.0, cancel_grace=1.0)
"""Finishes, but for commands that are ``false``; waits while the file ``command`` is there."""
forgets = _make({"suspect": 0.5, "lapse": 1.0}, drain_timeout=20.0, cancel_grace=1.0)
"""The same, with a lease of a second."""


@forgets.handler(SHELL)
@works.handler(SHELL)
async def work(task: Task) -> None:
    """Finish or fail, as the command says."""
    command = str(task.object.string("command"))
    if command == "false":
        raise ValueError("as it was asked")
    while Path(command).exists():  # it is another process that removes it
        await asyncio.sleep(0.01)


def _hurry() -> None:
    """Let waits between tries be short as well, in this process: it is a program's."""
    _program._PATIENCE = 0.2
    real = Backoff.next

    def soon(self: Backoff) -> float:
        return real(self) / 20

    Backoff.next = soon  # type: ignore[method-assign]


if "ENDPOINT" in os.environ:
    _hurry()


def be(name: str, url: str, log: str, environment: Mapping[str, str]) -> None:
    """Be a program in a process that was forked: this is imported there already."""
    os.environ.update({"ENDPOINT": url, **environment})
    _hurry()
    logging.basicConfig(filename=log, level=logging.INFO)
    runner: TaskRunner = globals()[name]
    if "STATE_DIR" in environment:
        runner.adapt(state_dir=environment["STATE_DIR"])
    runner.main()


if __name__ == "__main__":
    globals()[sys.argv[1]].main()
