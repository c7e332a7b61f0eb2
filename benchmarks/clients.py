"""The clients that are compared: for each, how to open one and set a task's status with it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib import import_module
from typing import Any

# AWS's sample has 921 characters.
TASK_ID = "t" * 900
# As many as there are calls at once: waiting for one would be measured, too.
CONNECTIONS = 16

Call = Callable[[], Awaitable[object]]
Opened = AbstractAsyncContextManager[Call]


@asynccontextmanager
async def ours(url: str) -> AsyncGenerator[Call]:
    from aiodatapipeline import DataPipelineClient  # noqa: PLC0415  # its import is measured too

    async with DataPipelineClient(endpoint_url=url) as client:
        yield lambda: client.set_task_status(TASK_ID, "FINISHED")


@asynccontextmanager
async def aiobotocore(url: str) -> AsyncGenerator[Call]:
    from aiobotocore.config import AioConfig  # noqa: PLC0415  # likewise
    from aiobotocore.session import AioSession  # noqa: PLC0415  # likewise

    config = AioConfig(max_pool_connections=CONNECTIONS)
    async with AioSession().create_client("datapipeline", endpoint_url=url, config=config) as made:
        client: Any = made
        yield lambda: client.set_task_status(taskId=TASK_ID, taskStatus="FINISHED")


@asynccontextmanager
async def boto3(url: str) -> AsyncGenerator[Call]:
    make: Any = import_module("boto3").client  # by name: it and botocore have no types
    config = import_module("botocore.config").Config(max_pool_connections=CONNECTIONS)
    client = make("datapipeline", endpoint_url=url, config=config)
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        loop = asyncio.get_running_loop()

        def call() -> Awaitable[object]:
            return loop.run_in_executor(
                pool, lambda: client.set_task_status(taskId=TASK_ID, taskStatus="FINISHED")
            )

        yield call
    client.close()


@asynccontextmanager
async def capo(url: str) -> AsyncGenerator[Call]:
    from capo_data_pipeline import AsyncDataPipelineClient  # noqa: PLC0415  # likewise
    from zapros import AsyncStdNetworkHandler  # noqa: PLC0415  # likewise

    handler = AsyncStdNetworkHandler(
        http1={
            "max_connections_per_host": CONNECTIONS,
            "max_idle_connections_per_host": CONNECTIONS,
        }
    )
    async with AsyncDataPipelineClient(handler, endpoint=url, region="us-east-1") as client:
        yield lambda: client.set_task_status(TASK_ID, "FINISHED")


@asynccontextmanager
async def floor(url: str) -> AsyncGenerator[Call]:
    import aiohttp  # noqa: PLC0415  # likewise

    headers = {
        "Content-Type": "application/x-amz-json-1.1",
        "X-Amz-Target": "DataPipeline.SetTaskStatus",
    }
    body = json.dumps({"taskId": TASK_ID, "taskStatus": "FINISHED"}).encode()

    async with aiohttp.ClientSession() as session:

        async def call() -> object:
            async with session.post(url, data=body, headers=headers) as response:
                return await response.read()

        yield call


RAW = "raw aiobotocore"
OURS = "aiodatapipeline"
CLIENTS: dict[str, Callable[[str], Opened]] = {
    OURS: ours,
    RAW: aiobotocore,
    "boto3, 16 threads": boto3,
    "capo-data-pipeline": capo,
    "bare aiohttp POST": floor,
}
