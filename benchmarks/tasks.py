"""What tasks leave behind in a runner: memory of those that run, and of very many that ran."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from aiodatapipeline import DataPipelineClient, Reply
from aiodatapipeline.runner import Task, TaskRunner, read_outbox
from benchmarks.table import show, target

RUNNING, ROUNDS = 1000, 3
KIB = 20.0

MANY, STEPS = 100_000, 10
# MiB of memory that they may add after the first, and by how much files may grow after the second
# step, when the outbox has as many rows as it keeps.
GROWN, FILES = 4.0, 1.05


async def run() -> None:
    _memory()
    _at_length()


class Instant:
    """A service that has tasks for every poll, and takes everything, without a socket.

    What it does is next to nothing, and keeps nothing: what grows is the runner's.
    """

    def __init__(self, tasks: int) -> None:
        self.taken = self._number = 0
        self._left = tasks
        self._more = asyncio.Event()

    def client(self) -> DataPipelineClient:
        """Make a client of it."""
        return DataPipelineClient(transport=self)

    def add(self, tasks: int) -> None:
        """Have more tasks."""
        self._left += tasks
        self._more.set()

    async def send(self, operation: str, body: Mapping[str, Any], timeout: float) -> Reply:  # noqa: ARG002  # a transport's form
        """Answer at once; a poll, when there is a task."""
        if operation == "PollForTask":
            while not self._left:
                self._more.clear()
                await self._more.wait()
            self._left -= 1
            self._number += 1
            return Reply(200, _task(self._number))
        self.taken += operation == "SetTaskStatus"
        return Reply(200, _ANSWERS[operation])


_ANSWERS = {
    "ReportTaskProgress": b'{"canceled": false}',
    "ReportTaskRunnerHeartbeat": b'{"terminate": false}',
    "SetTaskStatus": b"{}",
}


def _task(number: int) -> bytes:
    """Make a task, with a task id and fields as one of the service's has."""
    attempt = f"@Tiny_2026-01-01T00:00:00_{number}_Attempt=1"
    fields = {
        "type": "ShellCommandActivity",
        "command": "true",
        "workerGroup": "g",
        "@scheduledStartTime": "2026-01-01T00:00:00",
        "@scheduledEndTime": "2026-01-01T00:15:00",
        "@componentParent": "Tiny",
        "@pipelineId": "df-0123456789ABCDEFGHIJ",
        "@sphere": "ATTEMPT",
    }
    given = [{"key": key, "stringValue": text} for key, text in fields.items()]
    task = {
        "taskId": f"{number:0900}",
        "pipelineId": "df-0123456789ABCDEFGHIJ",
        "attemptId": attempt,
        "objects": {attempt: {"id": attempt, "name": attempt, "fields": given}},
    }
    return json.dumps({"taskObject": task}).encode()


def _in_process(*arguments: str) -> list[str]:
    command = [sys.executable, "-m", "benchmarks.tasks", *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.split("\n")


def _runner(service: Instant, concurrency: int, state_dir: Path | None = None) -> TaskRunner:
    return TaskRunner(
        "g",
        client=service.client,
        state_dir=state_dir,
        max_concurrency=concurrency,
        account_share=None,
    )


# -- those that run -----------------------------------------------------------------------------


def _memory() -> None:
    rounds = [
        {name: float(_in_process(name)[0]) for name in ("handlers", "runner")}
        for _ in range(ROUNDS)
    ]
    own = median(sizes["handlers"] for sizes in rounds)
    added = median(sizes["runner"] - sizes["handlers"] for sizes in rounds)
    show(
        f"{RUNNING} tasks whose handlers wait, {ROUNDS} rounds",
        ("", "KiB of memory per task"),
        (("the handler's own", f"{own:.1f}"), ("the runner's, with the task", f"{added:.1f}")),
    )
    target(f"under {KIB:g} KiB above the handler's own", added < KIB, f"{added:.1f} KiB")


async def _hold_handlers() -> None:
    """Have handlers wait without a runner."""
    over = asyncio.Event()

    async def handle(task: object) -> None:  # noqa: ARG001  # a handler's form
        await over.wait()

    async with asyncio.TaskGroup() as group:
        group.create_task(handle(None))
        before = await _resident()
        for _ in range(RUNNING):
            group.create_task(handle(None))
        print((await _resident() - before) / RUNNING)
        over.set()


async def _hold_in_runner() -> None:
    """Have the same handlers wait in a runner."""
    over = asyncio.Event()
    service = Instant(1)
    runner = _runner(service, RUNNING + 2)

    @runner.handler("ShellCommandActivity")
    async def handle(task: Task) -> None:  # noqa: ARG001  # a handler's form
        await over.wait()

    running = asyncio.ensure_future(runner.run())
    await _until(lambda: runner.health.running == 1)
    before = await _resident()
    service.add(RUNNING)
    await _until(lambda: runner.health.running == RUNNING + 1)
    print((await _resident() - before) / RUNNING)
    over.set()
    runner.stop()
    await running


async def _until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.01)


async def _resident() -> float:
    """Give the KiB of memory that this process has, when what was begun is under way."""
    await asyncio.sleep(0.5)
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / 1024


# -- those that ran -----------------------------------------------------------------------------


class _Sample(NamedTuple):
    tasks: int
    memory: float
    """MiB."""
    descriptors: int
    files: float
    """MiB of all files in the state directory."""


def _at_length() -> None:
    with tempfile.TemporaryDirectory() as directory:
        began = time.perf_counter()
        lines = [line.split() for line in _in_process("many", directory) if line]
        took = time.perf_counter() - began
        rows = len(read_outbox(directory))
    samples = [_Sample(int(a), float(b), int(c), float(d)) for a, b, c, d in lines]
    first, last = samples[0], samples[-1]
    show(
        f"{MANY} trivial tasks of a service that answers at once, outbox on disk; "
        f"{MANY / took:.0f} a second, and {rows} rows are kept in the end",
        ("tasks", "MiB of memory", "descriptors", "MiB of files"),
        (
            (each.tasks, f"{each.memory:.1f}", each.descriptors, f"{each.files:.1f}")
            for each in samples
        ),
    )
    grown = max(each.memory for each in samples) - first.memory
    target(
        f"memory is flat after the first {first.tasks}: under {GROWN:g} MiB more, and no more "
        "descriptors",
        grown < GROWN and last.descriptors <= first.descriptors,
        f"{grown:.1f} MiB",
    )
    settled, most = samples[1].files, max(each.files for each in samples)
    target(
        f"files are bounded: no larger than after the first {samples[1].tasks}",
        most <= settled * FILES,
        f"{settled:.1f} MiB, {most:.1f} at most",
    )


async def _many(directory: Path) -> None:
    service = Instant(MANY)
    runner = _runner(service, 8, directory)

    @runner.handler("ShellCommandActivity")
    async def handle(task: Task) -> None:
        """Do nothing."""

    running = asyncio.ensure_future(runner.run())
    for step in range(1, STEPS + 1):
        await _until(lambda: service.taken >= step * MANY // STEPS)  # noqa: B023  # called here
        print(*_sample(service.taken, directory))
    runner.stop()
    result = await running
    assert result.finished == MANY


def _sample(tasks: int, directory: Path) -> _Sample:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return _Sample(
        tasks,
        pages * resource.getpagesize() / 2**20,
        len(list(Path("/proc/self/fd").iterdir())),
        sum(each.stat().st_size for each in directory.iterdir()) / 2**20,
    )


if __name__ == "__main__":
    logging.getLogger("aiodatapipeline.runner").setLevel(logging.ERROR)
    match sys.argv[1:]:
        case ["handlers"]:
            asyncio.run(_hold_handlers())
        case ["runner"]:
            asyncio.run(_hold_in_runner())
        case ["many", path]:
            asyncio.run(_many(Path(path)))
