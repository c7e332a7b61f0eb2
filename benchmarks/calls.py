"""CPU and wall time of a call, for each client in turn, round after round."""

from __future__ import annotations

import asyncio
import gc
import time
from contextlib import AsyncExitStack
from statistics import median
from typing import NamedTuple

from benchmarks.clients import CLIENTS, CONNECTIONS, OURS, RAW, Call
from benchmarks.server import running
from benchmarks.table import show, spread, target

ROUNDS, CALLS = 60, 96
TARGET = 0.70


class Cost(NamedTuple):
    cpu: float
    wall: float


async def run() -> None:
    with running() as url:
        async with AsyncExitStack() as stack:
            calls = {
                name: await stack.enter_async_context(client(url))
                for name, client in CLIENTS.items()
            }
            # What is there by now stays, and need not be looked through before every turn.
            gc.collect()
            gc.freeze()
            for concurrency in (1, CONNECTIONS):
                rounds = await _rounds(calls, concurrency)
                _report(rounds, concurrency)


async def _rounds(calls: dict[str, Call], concurrency: int) -> list[dict[str, Cost]]:
    rounds: list[dict[str, Cost]] = []
    names = list(calls)
    for number in range(ROUNDS + 2):
        first = number % len(names)  # nobody always runs after the same other
        turns = names[first:] + names[:first]
        rounds.append({name: await _cost(calls[name], concurrency) for name in turns})
    return rounds[2:]  # the first make connections and fill caches


async def _cost(call: Call, concurrency: int) -> Cost:
    async def some() -> None:
        for _ in range(CALLS // concurrency):
            await call()

    gc.collect()  # each pays for its own garbage, and for no other's
    cpu, wall = time.process_time(), time.perf_counter()
    await asyncio.gather(*(some() for _ in range(concurrency)))
    return Cost((time.process_time() - cpu) / CALLS, (time.perf_counter() - wall) / CALLS)


def _report(rounds: list[dict[str, Cost]], concurrency: int) -> None:
    def ratios(name: str, which: int) -> list[float]:
        return [costs[name][which] / costs[RAW][which] for costs in rounds]

    show(
        f"set_task_status, {concurrency} at once: {len(rounds)} rounds of {CALLS} calls; "
        "ratios to raw aiobotocore of the same round, median (quartiles)",
        ("", "CPU µs", "wall µs", "CPU ratio", "wall ratio"),
        (
            (
                name,
                round(1e6 * median(costs[name].cpu for costs in rounds)),
                round(1e6 * median(costs[name].wall for costs in rounds)),
                spread(ratios(name, 0)),
                spread(ratios(name, 1)),
            )
            for name in CLIENTS
        ),
    )
    figure = median(ratios(OURS, 0))
    target(
        f"at most {TARGET:.2f} of raw aiobotocore's CPU, {concurrency} at once",
        figure <= TARGET,
        f"{figure:.3f}",
    )
