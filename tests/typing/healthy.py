"""A runner's health over HTTP."""

from __future__ import annotations

from typing import assert_type

from aiodatapipeline.runner import TaskRunner
from aiodatapipeline.runner.health import HealthServer


async def a_runner_is_asked(runner: TaskRunner) -> None:
    async with HealthServer(runner, 8080, host="::") as server:
        assert_type(server, HealthServer)
        assert_type(server.url, str)
    assert_type(runner.stall_limit, float)
    HealthServer(runner)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
