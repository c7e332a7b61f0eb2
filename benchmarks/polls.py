"""Memory of a thousand open polls, each client in a fresh process."""

from __future__ import annotations

import asyncio
import resource
import subprocess
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.clients import OURS, RAW
from benchmarks.server import running
from benchmarks.table import show

POLLS, ROUNDS = 1000, 3

Poll = Callable[[], Awaitable[object]]


async def run() -> None:
    with running() as url:
        rounds = [{name: _memory(name, url) for name in CLIENTS} for _ in range(ROUNDS)]
    show(
        f"{POLLS} open polls, {ROUNDS} rounds",
        ("", "KiB of memory per poll"),
        ((name, f"{median(sizes[name] for sizes in rounds):.1f}") for name in CLIENTS),
    )


def _memory(name: str, url: str) -> float:
    command = [sys.executable, "-m", "benchmarks.polls", name, url]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


@asynccontextmanager
async def _ours(url: str) -> AsyncGenerator[Poll]:
    from aiodatapipeline import DataPipelineClient  # noqa: PLC0415  # one client in a process

    async with DataPipelineClient(endpoint_url=url) as client:
        yield lambda: client.poll_for_task("group")


@asynccontextmanager
async def _aiobotocore(url: str) -> AsyncGenerator[Poll]:
    from aiobotocore.config import AioConfig  # noqa: PLC0415  # likewise
    from aiobotocore.session import AioSession  # noqa: PLC0415  # likewise

    config = AioConfig(max_pool_connections=POLLS, read_timeout=100)
    async with AioSession().create_client("datapipeline", endpoint_url=url, config=config) as made:
        client: Any = made
        yield lambda: client.poll_for_task(workerGroup="group")


CLIENTS = {OURS: _ours, RAW: _aiobotocore}


async def _hold(name: str, url: str) -> None:
    async with CLIENTS[name](url) as poll:
        one = asyncio.ensure_future(poll())
        await _settle(1)
        before = _resident()
        polls = [one, *(asyncio.ensure_future(poll()) for _ in range(POLLS))]
        await _settle(POLLS + 1)
        print(f"{(_resident() - before) / POLLS:.1f}")
        for each in polls:
            each.cancel()
        await asyncio.gather(*polls, return_exceptions=True)


async def _settle(connections: int) -> None:
    """Wait until that many sockets are open, and what was begun with them is done."""
    while len(list(Path("/proc/self/fd").iterdir())) < connections:
        await asyncio.sleep(0.1)
    await asyncio.sleep(1)


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() // 1024


if __name__ == "__main__":
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 4 * POLLS)), hard))
    asyncio.run(_hold(*sys.argv[1:]))
