"""Many of everything: scenarios A43 to A48."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio
import gc
import json
import random
import time
import tracemalloc
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from aiodatapipeline import DataPipelineClient, Reply, ResponseLostError
from aiodatapipeline._clock import VirtualClock
from aiodatapipeline.local._switches import Switches
from aiodatapipeline.runner import Task, TaskRunner, read_outbox
from aiodatapipeline.runner._caller import Verdict
from aiodatapipeline.runner._engine import _Poller
from tests.runner.bed import SHELL, Call, Fault, Lose, activity, bed, error, works


class Many:
    """A service that hands out so many tasks, and takes everything."""

    def __init__(self, tasks: int) -> None:
        self.left, self.number = tasks, 0
        self.taken = 0
        self.reports: dict[str, list[float]] = {}
        self.clock: VirtualClock | None = None
        self.polled: dict[str, float] = {}
        self.acknowledged: list[float] = []

    def client(self) -> DataPipelineClient:
        return DataPipelineClient(transport=self)

    async def send(self, operation: str, body: Mapping[str, Any], timeout: float) -> Reply:
        if operation == "PollForTask":
            if not self.left:
                await asyncio.Event().wait()
            self.left -= 1
            self.number += 1
            return Reply(200, self._task(self.number))
        if operation == "ReportTaskProgress":
            task_id = body["taskId"]
            if task_id in self.polled:
                self.acknowledged.append(time.perf_counter() - self.polled.pop(task_id))
            if self.clock is not None:
                self.reports.setdefault(task_id, []).append(self.clock.time())
            return Reply(200, b'{"canceled": false}')
        if operation == "ReportTaskRunnerHeartbeat":
            return Reply(200, b'{"terminate": false}')
        self.taken += operation == "SetTaskStatus"
        return Reply(200, b"{}")

    def _task(self, number: int) -> bytes:
        attempt = f"@Job{number}_Attempt=1"
        self.polled[f"task-{number}"] = time.perf_counter()
        fields = [{"key": "type", "stringValue": "Tiny"}]
        objects = {attempt: {"id": attempt, "name": attempt, "fields": fields}}
        task = {"taskId": f"task-{number}", "pipelineId": "df-1", "attemptId": attempt}
        return json.dumps({"taskObject": {**task, "objects": objects}}).encode()


async def test_a43_five_hundred_handlers_for_half_an_hour_report_in_time() -> None:
    clock, service = VirtualClock(), Many(500)
    service.clock = clock
    runner = TaskRunner("etl", client=service.client, clock=clock, max_concurrency=500)
    done = asyncio.Event()

    @runner.handler("Tiny")
    async def handle(task: Task) -> None:
        await done.wait()

    run = asyncio.ensure_future(runner.run())
    async with asyncio.timeout(60):
        while runner.health.running < 500:
            await asyncio.sleep(0.001)
            await clock.advance(1)
    await clock.advance(1800)
    done.set()
    async with asyncio.timeout(60):
        while service.taken < 500:
            await clock.advance(1)
    runner.stop()
    while not run.done():
        await clock.advance(1)

    gaps = [b - a for times in service.reports.values() for a, b in pairwise(times)]
    assert len(service.reports) == 500
    assert len(gaps) > 500 * 28
    assert max(gaps) <= 75


async def test_a44_a_thousand_runners_share_the_account_s_polls() -> None:
    """Their pollers alone, on a bucket of 2 a second: 19 of 20 polls are taken in the end.

    It takes them an hour to find that out: nobody tells a runner how many others there are.
    """
    chance = random.Random(1)
    random.seed(1)
    pollers = [_Poller() for _ in range(1000)]
    due = [(chance.uniform(0, 90), number) for number in range(1000)]
    tokens, now = 100.0, 0.0
    taken: list[tuple[float, bool]] = []
    while now < 2.2 * 3600:
        due.sort()
        at, number = due.pop(0)
        tokens, now = min(100.0, tokens + (at - now) * 2.0), at
        ok = tokens >= 1
        if ok:
            tokens -= 1
            wait = 90 + pollers[number].answered(90.0, empty=True)
        else:
            wait = pollers[number].failed(Verdict.THROTTLED)
        taken.append((now, ok))
        due.append((now + wait, number))

    shares: list[float] = []
    for after in (300, 1500, 3600):
        found = [ok for at, ok in taken if after < at <= after + 3600]
        shares.append(sum(found) / len(found))
    assert shares == sorted(shares)
    assert shares[0] >= 0.8
    assert shares[-1] >= 0.95


async def test_a45_a_task_is_acknowledged_at_once() -> None:
    service = Many(300)
    runner = TaskRunner("etl", client=service.client, max_concurrency=100, account_share=None)

    @runner.handler("Tiny")
    async def handle(task: Task) -> None:
        await asyncio.sleep(0.01)

    run = asyncio.ensure_future(runner.run())
    async with asyncio.timeout(60):
        while service.taken < 300:
            await asyncio.sleep(0.01)
    runner.stop()
    await run

    # How fast it is, the benchmark tells; nobody waits for somebody else's handler.
    assert max(service.acknowledged) <= 5


@pytest.mark.parametrize("kept", [True, False], ids=["file", "memory"])
async def test_a46_many_tasks_leave_nothing_behind(tmp_path: Path, kept: bool) -> None:
    many = 400 if kept else 1_000
    service = Many(many)
    runner = TaskRunner(
        "etl",
        client=service.client,
        state_dir=tmp_path if kept else None,
        max_concurrency=20,
        account_share=None,
    )

    @runner.handler("Tiny")
    async def handle(task: Task) -> None:
        pass

    run = asyncio.ensure_future(runner.run())
    sizes: list[int] = []
    descriptors: list[int] = []
    tracemalloc.start()
    async with asyncio.timeout(120):
        while service.taken < many:
            await asyncio.sleep(0.01)
            if service.taken > many * (len(sizes) + 1) // 4:
                service.acknowledged.clear()
                gc.collect()
                sizes.append(tracemalloc.get_traced_memory()[0])
                descriptors.append(len(list(Path("/proc/self/fd").iterdir())))
    tracemalloc.stop()
    runner.stop()
    result = await run

    assert result.finished == many
    assert sizes[-1] - sizes[0] < 300_000
    assert descriptors[-1] <= descriptors[0] + 1
    if kept:
        assert (tmp_path / "outbox.sqlite3").stat().st_size < 400 * many + 100_000


async def test_a46_old_rows_leave_the_outbox(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aiodatapipeline.runner._outbox._KEPT_ROWS", 50)
    monkeypatch.setattr("aiodatapipeline.runner._outbox._PRUNE_EVERY", 20)
    service = Many(300)
    runner = TaskRunner("etl", client=service.client, state_dir=tmp_path, account_share=None)

    @runner.handler("Tiny")
    async def handle(task: Task) -> None:
        pass

    run = asyncio.ensure_future(runner.run())
    async with asyncio.timeout(60):
        while service.taken < 300:
            await asyncio.sleep(0.01)
    runner.stop()
    await run

    assert len(read_outbox(tmp_path)) <= 50 + 20 + 8


async def test_a47_a_group_that_floods_does_not_keep_the_others_waiting() -> None:
    async with bed() as b:
        await b.pipeline(*(activity(f"Flood{n}") for n in range(40)), group="a")
        runner = TaskRunner(["a", "b", "c"], client=b.client, clock=b.clock, max_concurrency=4)
        had = works(b, runner, seconds=120)

        async with b.running(runner) as run:
            await b.advance(300)
            began = b.clock.time()
            await b.pipeline(activity("B"), group="b")
            await b.pipeline(activity("C"), group="c")
            await b.until(
                lambda: {"@B", "@C"} <= {each.partition("_")[0] for each in had}, limit=91
            )
            assert b.clock.time() - began <= 90
            await run.stop(cancel=True)


@pytest.mark.parametrize("seed", range(2))
async def test_a48_hours_of_random_faults_lose_and_change_nothing(
    switches: Switches, seed: int
) -> None:
    chance = random.Random(seed)
    expected = {f"Job{n}": "FAILED" if n % 4 == 3 else "FINISHED" for n in range(12)}

    def fault(call: Call) -> Fault:
        roll = chance.random()
        if roll > 0.25:
            return None
        if call.operation == "PollForTask" and switches.unacknowledged_uses_try:
            return Lose("request", 1)  # a lost answer would fail the task by itself
        faults: list[Fault] = [
            Lose("request", 1),
            Lose("answer", 1),
            error("InternalServiceError", 500),
            error("ThrottlingException"),
            ResponseLostError("reset"),
            Reply(502, b""),
        ]
        return chance.choice(faults)

    async with bed(switches) as b:
        pipeline = await b.pipeline(
            *(activity(name, command=status) for name, status in expected.items())
        )
        runner = b.runner(max_concurrency=4)

        @runner.handler(SHELL)
        async def handle(task: Task) -> None:
            b.begins(task)
            done = asyncio.Event()
            b.clock.call_at(b.clock.time() + chance.choice([1, 60, 400, 1500]), done.set)
            await done.wait()
            if task.object.string("command") == "FAILED":
                raise ValueError("as it was asked")

        b.fault = fault
        async with b.running(runner) as run:
            for _ in range(6 * 12):
                await b.advance(300)
                if set((await b.statuses(pipeline)).values()) <= {"FINISHED", "FAILED"}:
                    break
            await run.stop()

        assert await b.statuses(pipeline) == expected


async def test_a_running_task_costs_little_memory() -> None:
    clock, service = VirtualClock(), Many(200)
    runner = TaskRunner(
        "etl", client=service.client, clock=clock, max_concurrency=200, account_share=None
    )
    done = asyncio.Event()

    @runner.handler("Tiny")
    async def handle(task: Task) -> None:
        await done.wait()

    tracemalloc.start()
    run = asyncio.ensure_future(runner.run())
    sizes: dict[int, int] = {}
    async with asyncio.timeout(60):
        for many in (50, 200):
            while runner.health.running < many:
                await asyncio.sleep(0.001)
                await clock.advance(0)
            gc.collect()
            sizes[runner.health.running] = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    done.set()
    runner.stop()
    async with asyncio.timeout(60):
        while not run.done():
            await clock.advance(1)

    (few, low), (many, high) = min(sizes.items()), max(sizes.items())
    assert many == 200
    assert few == many or (high - low) / (many - few) < 20_000
    assert high / many < 40_000
