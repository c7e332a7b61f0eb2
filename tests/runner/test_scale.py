"""Many of everything: scenarios A43 to A48."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio
import gc
import heapq
import json
import os
import random
import time
import tracemalloc
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from aiodatapipeline import DataPipelineClient, Reply, ResponseLostError
from aiodatapipeline._clock import VirtualClock
from aiodatapipeline.local._switches import Switches
from aiodatapipeline.runner import Task, TaskRunner, read_outbox
from aiodatapipeline.runner._caller import Budget, Verdict
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


class Fleet:
    """The pollers of many runners, on the account's bucket of 2 polls a second."""

    def __init__(self, many: int, share: float, *, spread: float = 0.0) -> None:
        chance = random.Random(1)
        random.seed(1)
        self._clock = VirtualClock()
        self._began = self._clock.time()
        self._pollers = [_Poller() for _ in range(many)]
        self._budgets = [Budget(self._clock, share) for _ in range(many)]
        self._due = [(chance.uniform(0, spread), number, False) for number in range(many)]
        self._tokens, self._at = 100.0, 0.0
        self.polls: list[tuple[float, bool]] = []
        """When each was made, and whether it was taken."""

    def run(self, seconds: float) -> None:
        """Let them poll."""
        heapq.heapify(self._due)
        while self._due[0][0] < seconds:
            at, number, paid = heapq.heappop(self._due)
            self._clock._now = self._began + at
            wait = 0.0 if paid else self._budgets[number].count("PollForTask")
            paid = wait > 0
            if not paid:
                wait = self._poll(at, number)
            heapq.heappush(self._due, (at + wait, number, paid))

    def _poll(self, at: float, number: int) -> float:
        """Poll, and give the seconds until the next one is due."""
        self._tokens, self._at = min(100.0, self._tokens + (at - self._at) * 2.0), at
        taken = self._tokens >= 1
        self._tokens -= taken
        self.polls.append((at, taken))
        if not taken:
            self._budgets[number].throttled("PollForTask")
            return self._pollers[number].failed(Verdict.THROTTLED)
        self._budgets[number].accepted("PollForTask")
        return 90 + self._pollers[number].answered(90.0, empty=True)

    def share(self, after: float) -> float:
        """Give the part of the polls of an hour that were taken."""
        found = [taken for at, taken in self.polls if after < at <= after + 3600]
        return sum(found) / len(found)


async def test_a44_a_thousand_runners_share_the_account_s_polls() -> None:
    """19 of 20 polls are taken in the end, although nobody told them how many others there are."""
    fleet = Fleet(1000, 1.0, spread=90)
    fleet.run(2.1 * 3600)

    shares = [fleet.share(after) for after in (300, 1500, 3600)]
    assert shares == sorted(shares)
    assert shares[0] >= 0.8
    assert shares[-1] >= 0.95


async def test_a44_a_thousand_runners_that_know_their_share_part_at_once() -> None:
    """They all start in the same moment; after 5 minutes 19 of 20 polls are taken."""
    fleet = Fleet(1000, 0.001)
    fleet.run(1.2 * 3600)

    first_minute = len([at for at, _ in fleet.polls if at <= 60])
    assert 80 <= first_minute <= 160, "a thousand in 500 seconds are 120 a minute"
    assert fleet.share(0) >= 0.95
    assert fleet.share(300) >= 0.95


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


async def grown(
    many: int, state_dir: Path | None, parts: int, size: Callable[[], int]
) -> tuple[list[int], list[int]]:
    """Run that many tasks; give, after each part of them, a size and how much is open."""
    service = Many(many)
    runner = TaskRunner(
        "etl", client=service.client, state_dir=state_dir, max_concurrency=20, account_share=None
    )

    @runner.handler("Tiny")
    async def handle(task: Task) -> None:
        pass

    run = asyncio.ensure_future(runner.run())
    sizes: list[int] = []
    descriptors: list[int] = []
    while service.taken < many:
        await asyncio.sleep(0.01)
        if service.taken > many * (len(sizes) + 1) // parts:
            service.acknowledged.clear()
            gc.collect()
            sizes.append(size())
            descriptors.append(len(list(Path("/proc/self/fd").iterdir())))
    runner.stop()
    assert (await run).finished == many
    return sizes, descriptors


def traced() -> int:
    """The memory that Python has for its objects, in bytes."""
    return tracemalloc.get_traced_memory()[0]


@pytest.mark.parametrize("kept", [True, False], ids=["file", "memory"])
async def test_a46_many_tasks_leave_nothing_behind(tmp_path: Path, kept: bool) -> None:
    many = 400 if kept else 1_000

    tracemalloc.start()
    sizes, descriptors = await grown(many, tmp_path if kept else None, 4, traced)
    tracemalloc.stop()

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


async def test_a47_a_group_that_floods_does_not_keep_the_others_waiting(switches: Switches) -> None:
    async with bed(switches) as b:
        await b.pipeline(*(activity(f"Flood{n}") for n in range(40)), group="a")
        runner = b.runner(group=["a", "b", "c"], max_concurrency=4)
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


def resident() -> int:
    """The memory that the process has, in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize("many", [100_000, 20_000], ids=["memory", "file"])
async def test_a46_a_hundred_thousand_tasks_leave_nothing_behind(
    tmp_path: Path, pytestconfig: pytest.Config, many: int
) -> None:
    if not pytestconfig.getoption("--long"):
        pytest.skip("it takes a minute: nox -s scale")
    kept = many == 20_000

    sizes, descriptors = await grown(many, tmp_path if kept else None, 10, resident)

    # After a tenth of them everything is there that is needed.
    assert max(sizes) - sizes[0] < 20_000_000
    assert max(descriptors) <= descriptors[0] + 1
    if kept:
        rows = read_outbox(tmp_path)
        assert len(rows) <= 10_000 + 1_000 + 20
        assert (tmp_path / "outbox.sqlite3").stat().st_size < 400 * len(rows) + 1_000_000


@pytest.mark.parametrize("seed", range(2))
async def test_a48_hours_of_random_faults_lose_and_change_nothing(
    switches: Switches, seed: int
) -> None:
    await soak(switches, random.Random(seed), rounds=1)


async def test_a48_a_day_of_random_faults_loses_and_changes_nothing(
    switches: Switches, pytestconfig: pytest.Config
) -> None:
    if not pytestconfig.getoption("--long"):
        pytest.skip("it takes a minute: nox -s scale")
    await soak(switches, random.Random(48), rounds=24)


def at_random(switches: Switches, chance: random.Random) -> Callable[[Call], Fault]:
    """Let a quarter of all calls go wrong, in one way or another."""

    def fault(call: Call) -> Fault:
        if chance.random() > 0.25:
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

    return fault


async def soak(switches: Switches, chance: random.Random, *, rounds: int) -> None:
    """Work off a pipeline an hour, while a quarter of all calls go wrong."""
    expected = {f"Job{n}": "FAILED" if n % 4 == 3 else "FINISHED" for n in range(12)}

    async with bed(switches) as b:
        runner = b.runner(max_concurrency=4)

        @runner.handler(SHELL)
        async def handle(task: Task) -> None:
            done = asyncio.Event()
            b.clock.call_at(b.clock.time() + chance.choice([1, 60, 400, 1500]), done.set)
            await done.wait()
            if task.object.string("command") == "FAILED":
                raise ValueError("as it was asked")

        b.fault = at_random(switches, chance)
        pipelines: list[str] = []
        jobs = [activity(name, command=status) for name, status in expected.items()]
        async with b.running(runner) as run:
            began = b.clock.time()
            for hour in range(rounds):
                pipelines.append(await b.pipeline(*jobs))
                while b.clock.time() < began + 3600 * (hour + 1) < began + 3600 * rounds:
                    await b.advance(300)
            for _ in range(6 * 12):
                await b.advance(300)
                ended = {each for p in pipelines for each in (await b.statuses(p)).values()}
                if ended <= {"FINISHED", "FAILED"}:
                    break
            await run.stop()

        assert b.clock.time() - began > 3600 * (rounds - 1)
        for pipeline in pipelines:
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
