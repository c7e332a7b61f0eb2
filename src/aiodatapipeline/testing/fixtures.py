"""Fixtures for pytest: a Data Pipeline of each test's own.

They are there where a ``conftest.py`` names them, and nowhere else::

    pytest_plugins = ["aiodatapipeline.testing.fixtures"]

``local_data_pipeline`` and ``local_client`` live in the event loop of the test: they are for
pytest-asyncio, in either of its modes, and for anyio. ``local_endpoint_url`` is for every test.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Generator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

from aiodatapipeline._client import DataPipelineClient
from aiodatapipeline.local import LocalDataPipeline, VirtualClock

__all__ = ["local_client", "local_clock", "local_data_pipeline", "local_endpoint_url"]

_async_fixture = pytest.fixture
if not TYPE_CHECKING:
    # In its strict mode, pytest-asyncio runs its own only. anyio does not mind those.
    _plugin = "pytest_asyncio" if find_spec("pytest_asyncio") else "pytest"
    _async_fixture = import_module(_plugin).fixture


@pytest.fixture
def local_clock() -> VirtualClock:
    """Give the clock of ``local_data_pipeline``, which stands still until it is moved.

    ``await local_clock.advance(3600)`` lets an hour pass, with all that falls due in it.
    """
    return VirtualClock()


@_async_fixture
async def local_data_pipeline(
    local_clock: VirtualClock,
) -> AsyncGenerator[LocalDataPipeline, None]:
    """Give an empty local service in this process, without a socket."""
    async with LocalDataPipeline(port=None, clock=local_clock) as service:
        yield service


@_async_fixture
async def local_client(
    local_data_pipeline: LocalDataPipeline,
) -> AsyncGenerator[DataPipelineClient, None]:
    """Give an open client of ``local_data_pipeline``."""
    async with local_data_pipeline.client() as client:
        yield client


@pytest.fixture
def local_endpoint_url() -> Generator[str, None, None]:
    """Give the address of an empty local service, on 127.0.0.1 and by the time of day.

    It is for clients of every kind, in this process and in others. It has a thread of its own,
    so tests that block, with boto3 for instance, can use it too.
    """
    with _in_a_thread(LocalDataPipeline()) as url:
        yield url


@contextmanager
def _in_a_thread(service: LocalDataPipeline) -> Generator[str, None, None]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="local Data Pipeline")
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(service.open(), loop).result()
        try:
            yield service.endpoint_url
        finally:
            asyncio.run_coroutine_threadsafe(service.aclose(), loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
