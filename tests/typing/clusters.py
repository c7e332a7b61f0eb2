"""Handlers on a Dask cluster."""

from __future__ import annotations

from concurrent.futures import Future
from typing import assert_type

from distributed import Client

from aiodatapipeline.runner import SyncTask, TaskRunner
from aiodatapipeline.runner.dask import DaskExecutor


def a_handler_runs_on_a_cluster(runner: TaskRunner, client: Client) -> None:
    executor = DaskExecutor(client, resources={"GPU": 1})

    @runner.handler("SqlActivity", run_in=executor)
    def sql(task: SyncTask) -> None: ...

    assert_type(executor.submit(len, "seven"), Future[int])
    executor.submit(len, 7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    DaskExecutor("tcp://127.0.0.1:8786")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
