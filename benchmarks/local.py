"""The local service: beside moto's server where both can do it, and by itself."""

from __future__ import annotations

import gc
import itertools
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median

from benchmarks.load import Connection, Connections, request
from benchmarks.service import moto, ours
from benchmarks.table import show, spread, target

ROUNDS = 7
# Requests of a turn, and what a turn of ours may have more, as it takes less time.
CALLS = {1: 64, 32: 128}
SHARE = {1: 3.0, 32: 10.0}

OBJECTS = [
    {"id": "Default", "name": "Default", "fields": [{"key": "workerGroup", "stringValue": "g"}]},
    {
        "id": "Schedule",
        "name": "Schedule",
        "fields": [
            {"key": "startDateTime", "stringValue": "2012-12-12T00:00:00"},
            {"key": "type", "stringValue": "Schedule"},
            {"key": "period", "stringValue": "1 hour"},
            {"key": "endDateTime", "stringValue": "2012-12-21T18:00:00"},
        ],
    },
    {
        "id": "SayHello",
        "name": "SayHello",
        "fields": [
            {"key": "type", "stringValue": "ShellCommandActivity"},
            {"key": "command", "stringValue": "echo hello"},
            {"key": "parent", "refValue": "Default"},
            {"key": "schedule", "refValue": "Schedule"},
        ],
    },
]

Build = Callable[[str, list[str], int], bytes]
_numbers = itertools.count()


def _create(url: str, _: list[str], __: int) -> bytes:
    number = next(_numbers)
    body = {"name": f"n{number}", "uniqueId": f"u{number}"}
    return request(url, "CreatePipeline", json.dumps(body).encode())


def _describe(url: str, ids: list[str], number: int) -> bytes:
    body = {"pipelineIds": [ids[number % len(ids)]]}
    return request(url, "DescribePipelines", json.dumps(body).encode())


def _list(url: str, _: list[str], __: int) -> bytes:
    return request(url, "ListPipelines", b"{}")


def _put(url: str, ids: list[str], number: int) -> bytes:
    body = {"pipelineId": ids[number % len(ids)], "pipelineObjects": OBJECTS}
    return request(url, "PutPipelineDefinition", json.dumps(body).encode())


# Creation comes last, since a list is as long as there are pipelines.
OPERATIONS: dict[str, Build] = {
    "DescribePipelines": _describe,
    "ListPipelines": _list,
    "PutPipelineDefinition": _put,
    "CreatePipeline": _create,
}


async def run() -> None:
    with (
        tempfile.TemporaryDirectory() as directory,
        ours("--store", str(Path(directory, "store"))) as (url, _),
        moto() as (other, _),
    ):
        await _beside_moto(url, other)


async def _beside_moto(url: str, other: str) -> None:
    ids = {each: await _pipelines(each) for each in (url, other)}
    gc.collect()
    gc.freeze()
    for concurrency, calls in CALLS.items():
        rows: list[tuple[str, str, str, str]] = []
        reached: list[float] = []
        async with Connections(url, concurrency) as here, Connections(other, concurrency) as there:
            for name, build in OPERATIONS.items():
                rounds: list[tuple[float, float]] = []
                for _ in range(ROUNDS + 1):
                    mine = [build(url, ids[url], n) for n in range(int(calls * SHARE[concurrency]))]
                    its = [build(other, ids[other], n) for n in range(calls)]
                    rounds.append((await here.rate(mine), await there.rate(its)))
                ratios = [ours_ / motos for ours_, motos in rounds[1:]]
                rows.append(
                    (
                        name,
                        f"{median(each for each, _ in rounds[1:]):.0f}",
                        f"{median(each for _, each in rounds[1:]):.0f}",
                        spread(ratios),
                    )
                )
                reached.append(median(ratios))
        show(
            f"Requests per second with {concurrency} at once, {ROUNDS} rounds; what is answered "
            "is on disk",
            ("", "local service", "moto's server", "ratio"),
            rows,
        )
        wanted = SHARE[concurrency]
        target(
            f"at least {wanted:g} times moto's throughput with {concurrency} at once",
            min(reached) >= wanted,
            f"{min(reached):.1f} times at least",
        )


async def _pipelines(url: str) -> list[str]:
    connection = Connection(url)
    found = [
        json.loads(await connection.send(_create(url, [], 0)))["pipelineId"] for _ in range(25)
    ]
    connection.close()
    return found
