"""The task runner on the local service: beside a bare loop, for half an hour, and at length."""

from __future__ import annotations

import asyncio
import gc
import logging
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median
from typing import NamedTuple

from aiodatapipeline import DataPipelineClient
from aiodatapipeline.definition import Definition
from aiodatapipeline.local import LocalDataPipeline, Switches, VirtualClock
from aiodatapipeline.models import TaskObject
from aiodatapipeline.runner import Event, EventKind, Task, TaskRunner
from benchmarks import tasks
from benchmarks.service import ours
from benchmarks.table import show, spread, target

GROUP, TYPE = "g", "ShellCommandActivity"
# Tasks of a turn: those until everything is warm, and those that are measured. They are few, so
# that what disturbs one disturbs its neighbour too.
WARM, TASKS, ROUNDS = 15, 60, 40
SHARE = 0.80
PER_PIPELINE = 500

BARE, MEMORY, DISK = "bare loop", "runner, outbox in memory", "runner, outbox on disk"

HANDLERS, MINUTES, LATEST = 500, 30, 75.0


async def run() -> None:
    # A runner with the outbox in memory warns, each time.
    logging.getLogger("aiodatapipeline.runner").setLevel(logging.ERROR)
    for concurrency in (1, 8):
        _report(await _rounds(concurrency), concurrency)
    await _half_an_hour()
    await tasks.run()


async def supply(client: DataPipelineClient, count: int) -> None:
    """Make tasks ready for the worker group."""
    default = {"id": "Default", "scheduleType": "ondemand", "workerGroup": GROUP}
    for first in range(0, count, PER_PIPELINE):
        numbers = range(first, min(first + PER_PIPELINE, count))
        activities = [{"id": f"Tiny{n}", "type": TYPE, "command": "true"} for n in numbers]
        definition = Definition.from_mapping({"objects": [default, *activities]})
        made = await client.create_pipeline("bench", f"{first}")
        put = await client.call(definition.to_request(made.pipeline_id))
        assert not put.errored, put.validation_errors
        await client.activate_pipeline(made.pipeline_id)


# -- beside a bare loop -------------------------------------------------------------------------


class Cost(NamedTuple):
    """Of a task."""

    wall: float
    cpu: float


class _Meter:
    """A handler that does nothing but to take the time between two of its calls.

    Args:
        stop: Called with the last: there is enough.
    """

    def __init__(self, stop: Callable[[], None]) -> None:
        self._stop, self._calls = stop, 0
        self._times: list[tuple[float, float]] = []

    def count(self) -> None:
        self._calls += 1
        if self._calls in {WARM, WARM + TASKS}:
            self._times.append((time.perf_counter(), time.process_time()))
        if self._calls == WARM + TASKS:
            self._stop()

    def cost(self) -> Cost:
        (wall, cpu), (wall_then, cpu_then) = self._times
        return Cost((wall_then - wall) / TASKS, (cpu_then - cpu) / TASKS)


async def _bare(url: str, concurrency: int) -> Cost:
    """Make the three calls, and nothing else.

    There is one poll at a time, as many tasks at once as a runner would have, and a poll counts
    as one of them: what a runner does, without anything that makes it safe.
    """
    enough = asyncio.Event()
    meter = _Meter(enough.set)
    places = asyncio.Semaphore(concurrency)

    async def handle() -> None:
        meter.count()

    async with DataPipelineClient(endpoint_url=url) as client, asyncio.TaskGroup() as group:

        async def attend(task: TaskObject) -> None:
            if not (await client.report_task_progress(task.task_id)).canceled:
                await handle()
                await client.set_task_status(task.task_id, "FINISHED")
            places.release()

        while not enough.is_set():
            await places.acquire()
            polled = await client.poll_for_task(GROUP)
            assert polled.task_object is not None
            group.create_task(attend(polled.task_object))
    return meter.cost()


async def _runner(url: str, concurrency: int, state_dir: Path | None = None) -> Cost:
    runner = TaskRunner(
        GROUP,
        client=lambda: DataPipelineClient(endpoint_url=url),
        state_dir=state_dir,
        max_concurrency=concurrency,
        account_share=None,
    )
    meter = _Meter(runner.stop)

    @runner.handler(TYPE)
    async def handle(task: Task) -> None:  # noqa: ARG001  # a handler's form
        meter.count()

    await runner.run()
    return meter.cost()


async def _rounds(concurrency: int) -> list[dict[str, Cost]]:
    rounds: list[dict[str, Cost]] = []
    with (
        tempfile.TemporaryDirectory() as directory,
        ours("--store", ":memory:") as (url, _),
    ):
        contenders: dict[str, Callable[[], Awaitable[Cost]]] = {
            BARE: lambda: _bare(url, concurrency),
            MEMORY: lambda: _runner(url, concurrency),
            DISK: lambda: _runner(url, concurrency, Path(directory)),
        }
        async with DataPipelineClient(endpoint_url=url) as client:
            needed = (WARM + TASKS + concurrency) * len(contenders) * (ROUNDS + 1)
            await supply(client, needed)
        names = list(contenders)
        for number in range(ROUNDS + 1):
            first = number % len(names)  # nobody always runs after the same other
            costs: dict[str, Cost] = {}
            for name in names[first:] + names[:first]:
                gc.collect()  # each pays for its own garbage, and for no other's
                costs[name] = await contenders[name]()
            rounds.append(costs)
    return rounds[1:]  # the first fills caches


def _report(rounds: list[dict[str, Cost]], concurrency: int) -> None:
    def ratios(name: str, which: int, to: str = BARE) -> list[float]:
        # Of speeds: what takes less is faster.
        return [costs[to][which] / costs[name][which] for costs in rounds]

    show(
        f"Trivial tasks of the local service, {concurrency} at once: {len(rounds)} rounds of "
        f"{TASKS} tasks; ratios to the bare loop of the same round, median (quartiles)",
        ("", "tasks per second", "ratio", "CPU µs a task", "ratio by CPU"),
        (
            (
                name,
                round(1 / median(costs[name].wall for costs in rounds)),
                spread(ratios(name, 0)),
                round(1e6 * median(costs[name].cpu for costs in rounds)),
                spread(ratios(name, 1)),
            )
            for name in (BARE, MEMORY, DISK)
        ),
    )
    for which, of in ((0, "tasks per second"), (1, "tasks per second of CPU")):
        figure = median(ratios(MEMORY, which))
        target(
            f"at least {SHARE:.2f} of a bare loop's {of}, {concurrency} at once",
            figure >= SHARE,
            f"{figure:.2f}",
        )
    print(
        f"  durable outcomes leave {median(ratios(DISK, 0, MEMORY)):.2f} of the tasks per second "
        "that there are with the outbox in memory"
    )


# -- half an hour -------------------------------------------------------------------------------


async def _half_an_hour() -> None:
    """Many handlers at once, on a service that holds to the short lease and the account's rates."""
    clock = VirtualClock()
    late: list[float] = []
    reports = 0

    def note(event: Event) -> None:
        nonlocal reports
        if event.kind is EventKind.REPORTED:
            reports += 1
            late.append(float(event.detail["seconds"]))

    began = time.perf_counter()
    async with LocalDataPipeline(
        port=None, clock=clock, switches=Switches.STRICT, rates=True
    ) as service:
        async with service.client() as client:
            await supply(client, HANDLERS)
        runner = TaskRunner(
            GROUP,
            client=service.client,
            clock=clock,
            max_concurrency=HANDLERS,
            on_event=note,
        )
        over = asyncio.Event()

        @runner.handler(TYPE)
        async def handle(task: Task) -> None:  # noqa: ARG001  # a handler's form
            await over.wait()

        running = asyncio.ensure_future(runner.run())
        while runner.health.running < HANDLERS:
            await asyncio.sleep(0)  # a thread begins: that takes real time
            await clock.advance(1)
        await clock.advance(MINUTES * 60)
        lasted = runner.health.running
        over.set()
        runner.stop()
        while not running.done():
            await clock.advance(1)
        result = await running
    took = time.perf_counter() - began
    show(
        f"{HANDLERS} handlers at once for {MINUTES} minutes of skipped time, with leases of five "
        f"minutes and the account's call rates; it took {took:.0f} s",
        ("", ""),
        (
            ("reports", reports),
            ("longest time between two, s", f"{max(late):.1f}"),
            ("median, s", f"{median(late):.1f}"),
            ("finished", result.finished),
        ),
    )
    target(
        f"every report within {LATEST:g} s of the one before, and no task lost",
        max(late) <= LATEST
        and reports >= HANDLERS * MINUTES * 60 / LATEST
        and lasted == result.finished == HANDLERS,
        f"{max(late):.1f} s at most, {result.finished} of {HANDLERS} finished",
    )
