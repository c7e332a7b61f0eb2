"""The local service: beside moto's server where both can do it, and by itself."""

from __future__ import annotations

import asyncio
import gc
import itertools
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median, quantiles
from typing import Any, cast

from aiodatapipeline.local._store import Store
from benchmarks.load import Connection, Connections, request
from benchmarks.service import moto, ours
from benchmarks.table import show, spread, target

ROUNDS = 7
# Requests of a turn, and what a turn of ours may have more, as it takes less time.
CALLS = {1: 64, 32: 128}
SHARE = {1: 3.0, 32: 10.0}

POLLS, HAND_OVERS = 1000, 300
WORKERS, CYCLES = 32, 10_000
INSTANCES = 100_000

OBJECTS: list[dict[str, Any]] = [
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

# The service remembers what it found out about a definition; moto does not look into any, so that
# this row is told and not judged.
NEW = "  never seen before"

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


def _put_new(url: str, ids: list[str], number: int) -> bytes:
    command = {"key": "command", "stringValue": f"echo {next(_numbers)}"}
    *others, activity = OBJECTS
    fields = [command if each["key"] == "command" else each for each in activity["fields"]]
    objects = [*others, {**activity, "fields": fields}]
    body = {"pipelineId": ids[number % len(ids)], "pipelineObjects": objects}
    return request(url, "PutPipelineDefinition", json.dumps(body).encode())


# Creation comes last, since a list is as long as there are pipelines.
OPERATIONS: dict[str, Build] = {
    "DescribePipelines": _describe,
    "ListPipelines": _list,
    "PutPipelineDefinition": _put,
    NEW: _put_new,
    "CreatePipeline": _create,
}


async def run() -> None:
    with tempfile.TemporaryDirectory() as directory:
        store = str(Path(directory, "store"))
        with ours("--store", store) as (url, _), moto() as (other, _):
            await _beside_moto(url, other)
        with ours("--store", str(Path(directory, "polls"))) as (url, process):
            await _polls(url, process)
        await _cycles(directory)
        _starts(directory)


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
                if name is not NEW:
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


# -- by itself ----------------------------------------------------------------------------------


def _definition(*, fields: dict[str, str], schedule: dict[str, str] | None = None) -> object:
    """An activity for the worker group g."""
    objects: list[dict[str, object]] = [{"id": "Default", "name": "Default"}]
    objects[0]["fields"] = [{"key": key, "stringValue": text} for key, text in fields.items()]
    activity = [
        {"key": "type", "stringValue": "ShellCommandActivity"},
        {"key": "command", "stringValue": "true"},
        {"key": "workerGroup", "stringValue": "g"},
    ]
    if schedule:
        found = [{"key": key, "stringValue": text} for key, text in schedule.items()]
        found.append({"key": "type", "stringValue": "Schedule"})
        objects.append({"id": "S", "name": "S", "fields": found})
        activity.append({"key": "schedule", "refValue": "S"})
    return [*objects, {"id": "A", "name": "A", "fields": activity}]


class _Caller:
    def __init__(self, url: str) -> None:
        self._url, self._connection = url, Connection(url)

    async def ask(self, operation: str, **members: object) -> dict[str, object]:
        data = request(self._url, operation, json.dumps(members).encode())
        found: dict[str, object] = json.loads(await self._connection.send(data) or b"{}")
        return found

    async def pipeline(self, objects: object) -> object:
        number = next(_numbers)
        made = await self.ask("CreatePipeline", name=f"n{number}", uniqueId=f"u{number}")
        pipeline = made["pipelineId"]
        answer = await self.ask(
            "PutPipelineDefinition", pipelineId=pipeline, pipelineObjects=objects
        )
        assert not answer["errored"], answer
        return pipeline

    def close(self) -> None:
        self._connection.close()


async def _polls(url: str, process: int) -> None:
    """Polls that are held, and how soon one of them has a task that becomes ready."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 4 * POLLS)), hard))
    caller = _Caller(url)
    objects = _definition(fields={"scheduleType": "ondemand"})
    pipelines = [await caller.pipeline(objects) for _ in range(HAND_OVERS)]
    before = _resident(process)
    given: asyncio.Queue[float] = asyncio.Queue()
    callers = [_Caller(url) for _ in range(POLLS)]

    async def poll(each: _Caller) -> None:
        while "taskObject" in await each.ask("PollForTask", workerGroup="g", hostname="bench"):
            given.put_nowait(time.perf_counter())

    holding = [asyncio.ensure_future(poll(each)) for each in callers]
    await asyncio.sleep(3)  # until all of them are there
    memory = _resident(process) - before
    took: list[float] = []
    for pipeline in pipelines:
        begin = time.perf_counter()
        activating = asyncio.ensure_future(caller.ask("ActivatePipeline", pipelineId=pipeline))
        took.append((await given.get() - begin) * 1000)
        await activating
    for polling in holding:
        polling.cancel()
    await asyncio.gather(*holding, return_exceptions=True)
    for each in (*callers, caller):
        each.close()
    p99 = quantiles(took, n=100)[98]
    show(
        f"With {POLLS} open polls, {HAND_OVERS} activations one after the other",
        ("", "p50", "p99"),
        [("from activation sent to task received, ms", f"{median(took):.1f}", f"{p99:.1f}")],
    )
    target(
        "under 50 ms until a poll has its task", p99 < 50, f"{p99:.1f} ms at the 99th percentile"
    )
    print(f"  {POLLS} open polls take {memory / 1024:.1f} MiB")


async def _cycles(directory: str) -> None:
    """Poll, report and finish, over and over; and what remains of it in memory."""
    rows: list[Sequence[object]] = []
    for name, store in (("in memory", ":memory:"), ("on disk", str(Path(directory, "cycles")))):
        with ours("--store", store) as (url, process):
            await _prepare_cycles(url)
            callers = [_Caller(url) for _ in range(WORKERS)]
            warm = await _cycle(callers, CYCLES // 10)
            before = _resident(process)
            rate = await _cycle(callers, CYCLES)
            grown = _resident(process) - before
            rows.append((name, f"{rate:.0f}", f"{warm:.0f}", f"{grown / 1024:.1f} MiB"))
            for each in callers:
                each.close()
    show(
        f"Poll, report and finish with {WORKERS} runners",
        ("", "cycles per second", f"the first {CYCLES // 10}", f"grown by {CYCLES} instances"),
        rows,
    )


async def _prepare_cycles(url: str) -> None:
    caller = _Caller(url)
    begun = datetime.now(UTC) - timedelta(minutes=15) * 1000
    for _ in range(CYCLES // 900 + 2):
        objects = _definition(
            fields={"scheduleType": "cron", "maxActiveInstances": "1000"},
            schedule={
                "period": "15 minutes",
                "startDateTime": f"{begun:%Y-%m-%dT%H:%M:%S}",
                "occurrences": "990",
            },
        )
        await caller.ask("ActivatePipeline", pipelineId=await caller.pipeline(objects))
    await asyncio.sleep(2)  # instances are made a hundred at a time
    caller.close()


async def _cycle(callers: list[_Caller], count: int) -> float:
    left = iter(range(count))

    async def work(caller: _Caller) -> None:
        for _ in left:
            given = await caller.ask("PollForTask", workerGroup="g", hostname="bench")
            task = cast("dict[str, object]", given["taskObject"])["taskId"]
            await caller.ask("ReportTaskProgress", taskId=task)
            await caller.ask("SetTaskStatus", taskId=task, taskStatus="FINISHED")

    begin = time.perf_counter()
    await asyncio.gather(*map(work, callers))
    return count / (time.perf_counter() - begin)


def _starts(directory: str) -> None:
    """From the start of the process to its first line."""
    rows: list[tuple[str, str]] = []
    full: list[float] = []
    for count in (0, INSTANCES):
        path = str(Path(directory, f"with-{count}"))
        _fill(path, count)
        took: list[float] = []
        for _ in range(5):
            begin = time.perf_counter()
            with ours("--store", path):
                took.append(time.perf_counter() - begin)
        rows.append((f"with {count} instances", f"{median(took):.2f} s"))
        full = took
    show("Start of the process until it listens", ("", "median of 5"), rows)
    target(f"under 2 s with {INSTANCES} instances", median(full) < 2, f"{median(full):.2f} s")


def _fill(path: str, count: int) -> None:
    """Make a store with pipelines of a thousand instances, of which a hundredth is at work."""
    code = "from benchmarks.local import fill; import sys; fill(sys.argv[1], int(sys.argv[2]))"
    subprocess.run([sys.executable, "-c", code, path, str(count)], check=True)


def fill(path: str, count: int) -> None:
    asyncio.run(_insert(path, count))


async def _insert(path: str, count: int) -> None:
    store = Store(path)
    body = json.dumps({"pipelineObjects": _definition(fields={"scheduleType": "ondemand"})})
    with store.unit() as batch:
        for number in range(1, count // 1000 + 1):
            store.do(
                "INSERT INTO pipeline (seq, id, name, unique_id, tags, state, created, latest,"
                " active, first_activation) VALUES (?, ?, ?, 'u', '[]', 'SCHEDULED',"
                " '2026-01-01T00:00:00', 1, 1, '2026-01-01T00:00:00')",
                number,
                f"df-{number:020}",
                f"n{number}",
            )
            store.do(
                "INSERT INTO definition VALUES (?, 1, ?)",
                number,
                body,
            )
        for number in range(count):
            ended = int(number % 100 != 0)
            status = "FINISHED" if ended else "WAITING_FOR_RUNNER"
            store.do(
                "INSERT INTO instance (seq, pipeline, id, component, kind, version, status,"
                " ended, queued, begins, scheduled_start, scheduled_end, attempts, tries)"
                " VALUES (?, ?, ?, 'A', 'activity', 1, ?, ?, 0, 0, '2026-01-01T00:00:00',"
                " '2026-01-01T00:00:00', 1, 2)",
                number + 1,
                number // 1000 + 1,
                f"@A_{number}",
                status,
                ended,
            )
            store.do(
                "INSERT INTO attempt (seq, instance, pipeline, number, status, worker_group,"
                " ready) VALUES (?, ?, ?, 1, ?, 'g', 0)",
                number + 1,
                number + 1,
                number // 1000 + 1,
                status,
            )
            if not ended:
                store.do("INSERT INTO timer VALUES ('timeout', ?, 0)", number + 1)
    await batch.durable()
    store.close()


def _resident(process: int) -> int:
    pages = int(Path(f"/proc/{process}/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() // 1024
