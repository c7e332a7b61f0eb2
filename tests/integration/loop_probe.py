"""Run in a process of its own: how long the first clients keep its event loop from other work.

Prints JSON: for each step the longest time between two ticks of a task that ticks every
millisecond, and the files of botocore's data that the step opened.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypedDict

from aiodatapipeline import DataPipelineClient
from tests.integration.server import Server


class Step(TypedDict):
    gap: float
    """Seconds."""
    opened: list[str]


class Probe:
    def __init__(self) -> None:
        self.steps: dict[str, Step] = {}
        self._opened: list[str] = []
        sys.addaudithook(self._audit)

    def _audit(self, event: str, arguments: tuple[object, ...]) -> None:
        if event == "open" and {"botocore", "data"} <= set(Path(str(arguments[0])).parts):
            self._opened.append(str(arguments[0]))

    @asynccontextmanager
    async def step(self, name: str) -> AsyncGenerator[None]:
        self._opened = []
        gaps: list[float] = []
        ticking = asyncio.create_task(_tick(gaps))
        await asyncio.sleep(0)
        yield
        await asyncio.sleep(0.002)  # one more tick, for what blocked last
        ticking.cancel()
        self.steps[name] = Step(gap=max(gaps), opened=self._opened)


async def _tick(gaps: list[float]) -> None:
    while True:
        started = time.monotonic(), time.process_time()
        await asyncio.sleep(0.001)
        # A machine that is busy with something else makes the first longer, not the second;
        # a thread of ours that keeps the GIL makes both longer.
        gaps.append(min(time.monotonic() - started[0], time.process_time() - started[1]))


async def main() -> None:
    probe = Probe()
    async with Server() as server:
        for name in ("first", "second"):
            client = DataPipelineClient(
                region_name="us-east-1",
                endpoint_url=server.url,
                aws_access_key_id="key",
                aws_secret_access_key="secret",
            )
            async with probe.step(f"{name} open"):
                await client.open()
            async with probe.step(f"{name} call"):
                await client.set_task_status("task", "FINISHED")
            await client.aclose()
    print(json.dumps(probe.steps))  # noqa: T201  # it is how the result is told


if __name__ == "__main__":
    asyncio.run(main())
