"""Runners in processes of their own, against the local service behind real sockets."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import Any

from aiodatapipeline import DataPipelineClient
from aiodatapipeline.definition import Definition
from aiodatapipeline.local import LocalDataPipeline
from tests.runner import programs

# Real seconds for what takes a second or two.
LIMIT = 60.0


KEYS = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret"}


@dataclass
class Program:
    """A process, and what it says."""

    process: Process
    said: list[str] = field(default_factory=list[str])

    async def until(self, words: str) -> None:
        """Wait until a line of its log has some words in it."""
        assert self.process.stderr is not None
        async with asyncio.timeout(LIMIT):
            while not any(words in line for line in self.said):
                line = await self.process.stderr.readline()
                assert line, f"it ended without {words!r}: {''.join(self.said)}"
                self.said.append(line.decode())

    def send(self, number: int = signal.SIGTERM) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    async def over(self) -> int:
        """Wait for its end, and give its exit code."""
        async with asyncio.timeout(LIMIT):
            _, rest = await self.process.communicate()
        self.said.append(rest.decode())
        assert self.process.returncode is not None
        return self.process.returncode

    @property
    def log(self) -> str:
        """All that it said on stderr."""
        return "".join(self.said)


@dataclass
class Forked:
    """A process that has not had to import anything, and what it writes into its log."""

    process: ForkServerProcess
    path: Path

    async def until(self, words: str) -> None:
        """Wait until its log has some words in it."""
        async with asyncio.timeout(LIMIT):
            while words not in self.log:  # it is another process that writes it
                assert self.process.is_alive(), f"it ended without {words!r}: {self.log}"
                await asyncio.sleep(0.005)

    def send(self, number: int = signal.SIGTERM) -> None:
        """Send it a signal."""
        assert self.process.pid is not None
        os.kill(self.process.pid, number)

    async def over(self) -> int:
        """Wait for its end, and give its exit code."""
        async with asyncio.timeout(LIMIT):
            while self.process.is_alive():  # nobody can be told of its end
                await asyncio.sleep(0.005)
        self.process.join()
        return self.process.exitcode or 0

    @property
    def log(self) -> str:
        """All that it said so far."""
        return self.path.read_text() if self.path.exists() else ""


@asynccontextmanager
async def forked(
    forks: ForkServerContext,
    directory: Path,
    name: str,
    url: str,
    environment: Mapping[str, str] | None = None,
) -> AsyncGenerator[Forked]:
    """Start a runner of ``programs``; kill it at the end, if it is still there."""
    log = directory / f"log-{len(list(directory.glob('log-*')))}"
    given = {**KEYS, **(environment or {})}
    process = forks.Process(target=programs.be, args=(name, url, str(log), given))
    process.start()
    try:
        yield Forked(process, log)
    finally:
        process.kill()
        process.join()
        process.close()


@asynccontextmanager
async def program(*command: str, url: str) -> AsyncGenerator[Program]:
    """Start a process; kill it at the end, if it is still there."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdout=PIPE,
        stderr=PIPE,
        env={**os.environ, **KEYS, "ENDPOINT": url, "COLUMNS": "200"},
    )
    try:
        yield Program(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


def cli(runner: str, *options: str) -> tuple[str, ...]:
    """The command line that runs a runner of ``programs``."""
    name = f"tests.runner.programs:{runner}"
    return (sys.executable, "-m", "aiodatapipeline.cli", "run", name, *options)


async def put(service: LocalDataPipeline, *objects: Mapping[str, Any]) -> str:
    """Put and activate a pipeline; give its id."""
    default = {
        "id": "Default",
        "scheduleType": "ondemand",
        "workerGroup": "etl",
        "maximumRetries": "0",
    }
    definition = Definition.from_mapping({"objects": [default, *objects]})
    async with DataPipelineClient(transport=service.transport) as client:
        made = await client.create_pipeline("test", "token")
        await client.call(definition.to_request(made.pipeline_id))
        await client.activate_pipeline(made.pipeline_id)
    return made.pipeline_id


async def statuses(service: LocalDataPipeline, pipeline_id: str) -> dict[str, str | None]:
    """Give the statuses of a pipeline's instances, by their components."""
    async with DataPipelineClient(transport=service.transport) as client:
        ids = [each async for each in client.query_objects(pipeline_id, "INSTANCE")]
        found = [each async for each in client.describe_objects(pipeline_id, ids)]
    return {each.id[1:].partition("_")[0]: each.string("@status") for each in found}
