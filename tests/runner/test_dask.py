"""Handlers on a Dask cluster, which is in this process. The session ``dask`` has one."""

from __future__ import annotations

import importlib
import sys
import threading
from collections.abc import Generator, Iterator
from concurrent.futures import Executor, wait
from contextlib import contextmanager
from typing import Any, cast

import pytest

from aiodatapipeline.runner import SyncTask
from tests.runner import functions
from tests.runner.bed import SHELL, Bed, activity, bed

pytest.importorskip("distributed", reason="nox -s dask runs them")

import distributed

from aiodatapipeline.runner import dask
from aiodatapipeline.runner.dask import DaskExecutor

# On a busy machine, Dask warns of slow disks.
pytestmark = pytest.mark.filterwarnings("ignore:Creating scratch directories:UserWarning")

LIMIT = 60.0


@contextmanager
def started() -> Generator[distributed.Client]:
    """Start a cluster of one thread in this process, which listens on 127.0.0.1 alone."""
    make: Any = distributed  # it has types for little of this
    here = "127.0.0.1:0"
    with (
        make.LocalCluster(
            n_workers=1, threads_per_worker=1, processes=False,
            dashboard_address=here, worker_dashboard_address=here,
        ) as cluster,
        make.Client(cluster) as client,
    ):  # fmt: skip
        yield client


@pytest.fixture(scope="module")
def cluster() -> Iterator[distributed.Client]:
    with started() as client:
        # Its threads are there from now on.
        assert DaskExecutor(client).submit(int, "7").result(LIMIT) == 7
        yield client


@pytest.fixture(autouse=True)
def _held() -> Iterator[None]:
    functions.release.clear()
    yield
    functions.release.set()
    while not functions.begun.empty():
        functions.begun.get()


def held(executor: Executor) -> Any:
    """Have the cluster's only thread do something that ends when it is let go."""
    future = executor.submit(functions.holds_a_cluster)
    assert functions.begun.get(timeout=LIMIT) == "held"
    return future


def queues(dask_scheduler: Any) -> int:
    """Count, on the scheduler, what functions it knows of."""
    return len(dask_scheduler.extensions["queues"].queues)


async def no_thread_is_left(b: Bed) -> None:
    await b.really(
        lambda: "aiodatapipeline-dask" not in {each.name for each in threading.enumerate()}
    )


# -- with a runner ------------------------------------------------------------------------


@pytest.mark.parametrize("own", [True, False], ids=["ours", "Dask's"])
async def test_a_handler_runs_on_a_cluster(cluster: distributed.Client, own: bool) -> None:
    executor = DaskExecutor(cluster) if own else cast("Any", cluster).get_executor(pure=False)
    async with bed() as b:
        pipeline = await b.pipeline(activity(scriptArgument=["x", "y"]))
        runner = b.runner()
        runner.handler(functions.Job, type=SHELL, run_in=executor)(functions.tells)

        async with b.running(runner) as run:
            await b.really(lambda: bool(b.statuses_sent()))
            await run.stop()
        (attempt,) = await b.attempts(pipeline)

    assert attempt.string("errorId") == "Told"
    assert "['x', 'y']" in (attempt.string("errorMessage") or "")


async def test_what_waits_for_the_cluster_is_taken_back_when_it_is_canceled(
    cluster: distributed.Client,
) -> None:
    async with bed() as b:
        pipeline = await b.pipeline(activity("One"), activity("Two"))
        runner = b.runner()
        runner.handler(SHELL, run_in=DaskExecutor(cluster))(functions.waits_on_a_cluster)

        async with b.running(runner) as run:
            await b.really(lambda: not functions.begun.empty())
            assert runner.health.running == 2
            first = functions.begun.get()[1:4]
            other = {"One": "Two", "Two": "One"}[first]
            await b.cancel(pipeline, other)
            await b.advance(65)
            await b.really(lambda: runner.health.running == 1)
            functions.release.set()
            await b.really(lambda: bool(b.statuses_sent()))
            await run.stop()
        await no_thread_is_left(b)

        assert await b.statuses(pipeline) == {first: "FINISHED", other: "CANCELED"}
        assert functions.begun.empty()


async def test_what_runs_on_the_cluster_keeps_its_place_until_it_is_over(
    cluster: distributed.Client,
) -> None:
    async with bed() as b:
        pipeline = await b.pipeline(activity())
        runner = b.runner(cancel_grace=30)
        runner.handler(SHELL, run_in=DaskExecutor(cluster))(functions.waits_on_a_cluster)

        async with b.running(runner) as run:
            await b.really(lambda: not functions.begun.empty())
            await b.cancel(pipeline, "Job")
            await b.until(lambda: bool(b.told("cancelled")), 65)
            await no_thread_is_left(b)
            running = runner.health.running
            await b.until(lambda: bool(b.told("leaked")), 40)
            leaked = runner.health.leaked
            functions.release.set()
            await b.really(lambda: runner.health.leaked == 0)
            await run.stop()

        assert (running, leaked) == (1, 1)
        assert b.statuses_sent() == []
        assert await b.statuses(pipeline) == {"Job": "CANCELED"}


# -- by itself ----------------------------------------------------------------------------


def test_dasks_own_executor_says_of_what_runs_that_it_is_cancelled(
    cluster: distributed.Client,
) -> None:
    future = held(cast("Any", cluster).get_executor(pure=False))

    # Which is why there is another. If this fails one day, there need not be.
    assert future.cancel()
    assert future.done()


def test_what_runs_cannot_be_cancelled_and_what_waits_can(cluster: distributed.Client) -> None:
    executor = DaskExecutor(cluster)
    runs = held(executor)
    waiting = executor.submit(functions.holds_a_cluster)

    assert not runs.cancel()
    waiting.cancel()  # whether it could be is found out in a thread
    wait([waiting], LIMIT)
    assert waiting.cancelled()
    assert waiting.cancel()
    functions.release.set()

    assert runs.result(LIMIT) == "done"
    assert functions.begun.empty()


def test_an_exception_of_a_function_is_its_own(cluster: distributed.Client) -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        DaskExecutor(cluster).submit(int, "x").result(LIMIT)


async def test_a_handler_that_cannot_be_pickled_fails_its_task(
    cluster: distributed.Client,
) -> None:
    lock = threading.Lock()

    def handle(task: SyncTask) -> None:
        lock.release()

    async with bed() as b:
        pipeline = await b.pipeline(activity())
        runner = b.runner()
        runner.handler(SHELL, run_in=DaskExecutor(cluster))(handle)

        async with b.running(runner) as run:
            await b.really(lambda: bool(b.statuses_sent()))
            await run.stop()
        (attempt,) = await b.attempts(pipeline)

    assert attempt.string("@status") == "FAILED"
    assert "Could not serialize" in (attempt.string("errorMessage") or "")
    while cast("Any", cluster).run_on_scheduler(queues):
        pass  # it is told a moment later


def test_the_same_function_is_called_again_with_the_same_arguments(
    cluster: distributed.Client,
) -> None:
    executor = DaskExecutor(cluster)
    functions.release.set()

    futures = [executor.submit(functions.holds_a_cluster) for _ in range(3)]

    assert [each.result(LIMIT) for each in futures] == ["done"] * 3
    assert functions.begun.qsize() == 3


def test_what_a_lost_worker_had_begun_fails_and_is_not_begun_again(
    cluster: distributed.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin: Any = dask._begin  # pyright: ignore[reportPrivateUsage]

    def twice(*arguments: Any) -> Any:
        # As Dask does when the worker is lost before it can tell of the end.
        begin(*arguments)
        return begin(*arguments)

    functions.release.set()
    monkeypatch.setattr(dask, "_begin", twice)

    future = DaskExecutor(cluster).submit(functions.holds_a_cluster)

    with pytest.raises(RuntimeError, match="the worker that had begun it was lost"):
        future.result(LIMIT)
    assert functions.begun.qsize() == 1


def test_of_two_who_claim_at_the_same_time_one_is_first(
    cluster: distributed.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = dask._Claim("both", cluster)  # pyright: ignore[reportPrivateUsage]
    canceller = dask._Claim("both", cluster)  # pyright: ignore[reportPrivateUsage]
    monkeypatch.setattr(dask, "_SECOND", 0.02)

    assert worker.first()
    # Who asked whether there is room before there was none.
    queue: Any = canceller._queue  # pyright: ignore[reportPrivateUsage]
    monkeypatch.setattr(queue, "qsize", lambda: 0)
    assert not canceller.first()

    worker.close()
    canceller.close()


def test_nothing_is_left_on_the_cluster(cluster: distributed.Client) -> None:
    executor = DaskExecutor(cluster)
    runs = held(executor)
    waiting = executor.submit(functions.holds_a_cluster)
    waiting.cancel()
    wait([waiting], LIMIT)
    functions.release.set()
    assert runs.result(LIMIT) == "done"

    client: Any = cluster
    while client.run_on_scheduler(queues):
        pass  # it is told a moment later
    assert functions.begun.empty()


def test_a_cluster_that_goes_away_fails_what_it_had() -> None:
    with started() as client:
        future = held(DaskExecutor(client))
        cast("Any", client).close()
        functions.release.set()

    with pytest.raises(RuntimeError, match="the Dask cluster was lost"):
        future.result(LIMIT)


def test_a_cluster_out_of_reach_is_asked_again(
    cluster: distributed.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = threading.Event()

    def unreachable(_: object) -> bool:
        asked.set()
        raise OSError("no route to host")

    executor = DaskExecutor(cluster)
    runs = held(executor)
    waiting = executor.submit(functions.holds_a_cluster)
    with monkeypatch.context() as patched:
        patched.setattr(dask._Claim, "first", unreachable)  # pyright: ignore[reportPrivateUsage]
        waiting.cancel()
        assert asked.wait(LIMIT)
    while not waiting.cancel():
        assert not waiting.running()
    functions.release.set()

    assert waiting.cancelled()
    assert runs.result(LIMIT) == "done"


def test_who_shuts_it_down_can_wait_and_cancel(cluster: distributed.Client) -> None:
    executor = DaskExecutor(cluster)
    runs = held(executor)
    waiting = executor.submit(functions.holds_a_cluster)

    executor.shutdown(wait=False, cancel_futures=True)
    wait([waiting], LIMIT)
    over = runs.done()
    functions.release.set()
    executor.shutdown()

    assert waiting.cancelled()
    assert not over
    assert runs.result(0) == "done"
    with pytest.raises(RuntimeError, match="the executor is shut down"):
        executor.submit(int)
    # The cluster still works.
    assert DaskExecutor(cluster).submit(int, "7").result(LIMIT) == 7


async def test_an_asynchronous_client_is_refused(cluster: distributed.Client) -> None:
    address = cast("Any", cluster).scheduler.address
    async with cast("Any", distributed).Client(address, asynchronous=True) as client:
        with pytest.raises(ValueError, match="the client is asynchronous"):
            DaskExecutor(client)


def test_without_dask_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    monkeypatch.delitem(sys.modules, "aiodatapipeline.runner.dask")

    with pytest.raises(ModuleNotFoundError, match=r"pip install 'aiodatapipeline\[dask\]'"):
        importlib.import_module("aiodatapipeline.runner.dask")
