"""A runner in a process of its own that dies at a point which the test chose."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aiodatapipeline import DataPipelineClient, Reply, ResponseLostError
from aiodatapipeline.runner import Event, EventKind, Task, TaskRunner
from aiodatapipeline.runner._outbox import FileOutbox

SHELL = "ShellCommandActivity"


class Cut:
    """Kills the process when so many points were passed."""

    def __init__(self, after: int) -> None:
        self._left, self._lock = after, threading.Lock()

    def point(self) -> None:
        with self._lock:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


class Socket:
    """A transport to the test's process."""

    def __init__(self, path: str, name: str, cut: Cut) -> None:
        self._path, self._name, self._cut = path, name, cut

    async def send(self, operation: str, body: Mapping[str, object], timeout: float) -> Reply:
        self._cut.point()
        try:
            reader, writer = await asyncio.open_unix_connection(self._path)
            try:
                writer.write(json.dumps([self._name, operation, body]).encode() + b"\n")
                self._cut.point()
                line = await reader.readline()
            finally:
                writer.close()
            status, text = json.loads(line)
        except (OSError, ValueError) as error:
            raise ResponseLostError(str(error)) from error
        self._cut.point()
        return Reply(status, text.encode())


class CutOutbox(FileOutbox):
    """An outbox with points before and after each commit."""

    cut: Cut

    def _commit(self, batch: Sequence[Any]) -> None:
        self.cut.point()
        super()._commit(batch)
        self.cut.point()


def work(  # noqa: PLR0917  # a process's arguments
    socket: str, state_dir: str, name: str, after: int, recover: Any, notes: str
) -> None:
    """Run until the service has no more tasks, or until the cut."""
    cut = Cut(after)
    CutOutbox.cut = cut
    vars(sys.modules["aiodatapipeline.runner._runner"])["FileOutbox"] = CutOutbox
    runner = TaskRunner(
        "etl",
        client=lambda: DataPipelineClient(transport=Socket(socket, name, cut)),
        state_dir=state_dir,
        recover=recover,
        max_concurrency=3,
        account_share=None,
        cancel_grace=1,
    )

    @runner.handler(SHELL)
    async def handle(task: Task) -> None:
        cut.point()
        await asyncio.sleep(0)
        failed = task.object.string("command") == "false"
        note(f"{task.attempt_id} {'FAILED' if failed else 'FINISHED'} {task.info.resumed}")
        cut.point()
        if failed:
            raise ValueError("as it was asked")

    def note(text: str) -> None:
        with Path(notes).open("a") as file:
            file.write(f"{text}\n")

    result = asyncio.run(runner.run(signals=True))
    os._exit(result.exit_code)


def wait_for_signals(socket: str, notes: str) -> None:
    """Run a handler that does not stop, for signals."""

    def note(event: Event) -> None:
        if event.kind is EventKind.STOPPING:
            Path(f"{notes}.stopping").touch()

    runner = TaskRunner(
        "etl",
        on_event=note,
        client=lambda: DataPipelineClient(transport=Socket(socket, "worker", Cut(0))),
        state_dir=f"{notes}.state",
        cancel_grace=600,
    )

    @runner.handler(SHELL)
    async def handle(task: Task) -> None:
        Path(notes).touch()
        while True:
            try:
                await asyncio.sleep(600)
            except asyncio.CancelledError:
                Path(f"{notes}.cancelled").touch()

    asyncio.run(runner.run(signals=True))


def hold(state_dir: str, notes: str) -> None:
    """Have a state directory for as long as the process lives."""

    async def main() -> None:
        from aiodatapipeline._clock import SystemClock  # noqa: PLC0415  # in this process alone

        FileOutbox(Path(state_dir), SystemClock())
        Path(notes).touch()
        await asyncio.sleep(600)

    asyncio.run(main())
