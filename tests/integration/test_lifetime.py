"""Opening, closing and cancelling: nothing is left behind."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from aiodatapipeline import (
    ClientClosedError,
    ConfigurationError,
    ConnectTimeoutError,
    DataPipelineClient,
)
from tests.integration.clients import client_for
from tests.integration.server import Answer, Server, Then, always, http

HANG = always(Answer(then=Then.HANG))


async def report(client: DataPipelineClient) -> object:
    return await client.report_task_progress("task")


async def poll(client: DataPipelineClient) -> object:
    return await client.poll_for_task("group")


Call = Callable[[DataPipelineClient], Awaitable[object]]


# -- cancelling -------------------------------------------------------------------------------


@pytest.mark.parametrize("call", [report, poll])
async def test_a_cancelled_call_ends_at_once_and_closes_its_connection(call: Call) -> None:
    async with Server(handler=HANG) as server, client_for(server.url) as client:
        under_way = asyncio.ensure_future(call(client))
        await server.until_connected()
        under_way.cancel()

        with pytest.raises(asyncio.CancelledError):
            await under_way

        await server.until_idle()

    assert server.connections == 1


async def test_a_cancelled_call_gives_its_slot_back() -> None:
    answers = Answer(then=Then.HANG), http({"canceled": False})
    async with (
        Server(*answers) as server,
        client_for(server.url, max_pool_connections=1) as client,
    ):
        under_way = asyncio.create_task(client.report_task_progress("task"))
        await server.until_asked("ReportTaskProgress")
        under_way.cancel()

        # Without the slot it would wait until its time is over.
        response = await client.report_task_progress("task")

    assert response.canceled is False
    assert under_way.cancelled()


async def test_a_queued_call_can_be_cancelled() -> None:
    release = asyncio.Event()

    async def handler(_: object) -> Answer:
        await release.wait()
        return http({"canceled": False})

    async with (
        Server(handler=handler) as server,
        client_for(server.url, max_pool_connections=1) as client,
    ):
        first = asyncio.create_task(client.report_task_progress("first"))
        await server.until_asked("ReportTaskProgress")
        queued = asyncio.create_task(client.report_task_progress("queued"))
        third = asyncio.create_task(client.report_task_progress("third"))
        with pytest.raises(ConnectTimeoutError):
            await client.with_options(timeout=0.01, max_attempts=1).report_task_progress("late")
        queued.cancel()
        release.set()
        await asyncio.gather(first, third)

    assert queued.cancelled()
    assert [request.members["taskId"] for request in server.received] == ["first", "third"]


async def test_a_call_can_be_given_a_limit_from_outside() -> None:
    async with Server(handler=HANG) as server, client_for(server.url) as client:
        with pytest.raises(TimeoutError) as caught:
            async with asyncio.timeout(0.05):
                await client.report_task_progress("task")

    assert type(caught.value) is TimeoutError  # the caller's own, and none of ours


async def test_a_cancelled_opening_leaves_a_client_that_can_be_opened() -> None:
    async with Server() as server:
        client = client_for(server.url)
        opening = asyncio.create_task(client.open())
        await asyncio.sleep(0)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening

        async with client:
            await client.set_task_status("task", "FINISHED")

    assert len(server.received) == 1


# -- closing ----------------------------------------------------------------------------------


async def test_closing_ends_the_calls_that_are_under_way() -> None:
    async with Server(handler=HANG) as server:
        client = client_for(server.url, max_pool_connections=2)
        await client.open()
        calls = [asyncio.ensure_future(call(client)) for call in (report, report, poll, poll)]
        await server.until_connected(4)
        queued = asyncio.ensure_future(report(client))
        await asyncio.sleep(0)

        await client.aclose()
        ended = await asyncio.gather(*calls, queued, return_exceptions=True)

        assert [type(error) for error in ended] == [ClientClosedError] * 5
        sent = [isinstance(error, ClientClosedError) and error.maybe_applied for error in ended]
        assert sent == [True, True, True, True, False]
        await server.until_idle()

    assert server.connections == 4


async def test_closing_during_the_first_connection_ends_the_call() -> None:
    # Certificates are read in a thread before there is a connection.
    async with Server(handler=HANG) as server:
        client = client_for(server.url, verify=None)
        await client.open()
        call = asyncio.create_task(client.report_task_progress("task"))
        for _ in range(5):
            await asyncio.sleep(0)

        await client.aclose()

        with pytest.raises(ClientClosedError):
            await call


async def test_a_call_that_waits_to_be_repeated_ends_when_the_client_is_closed() -> None:
    async with Server(handler=always(http(b"", 500))) as server:
        client = client_for(server.url).with_options(max_backoff=0.1, max_attempts=10**6)
        await client.open()
        call = asyncio.create_task(client.report_task_progress("task"))
        await server.until_asked("ReportTaskProgress", 3)

        await client.aclose()

        with pytest.raises(ClientClosedError):
            await call


async def test_closing_a_copy_closes_the_original() -> None:
    async with Server() as server, client_for(server.url) as client:
        await client.with_options(timeout=5).aclose()

        with pytest.raises(ClientClosedError):
            await client.report_task_progress("task")


async def test_a_client_can_be_opened_and_closed_again_and_again() -> None:
    async with Server() as server:
        client = client_for(server.url)
        for _ in range(3):
            await client.open()
            await client.open()
            await client.set_task_status("task", "FINISHED")
            await client.aclose()
            await client.aclose()
        await server.until_idle()

    assert server.connections == 3


async def test_openings_at_the_same_time_make_one_connection() -> None:
    async with Server() as server:
        client = client_for(server.url)
        await asyncio.gather(client.open(), client.open(), client.open())
        await client.set_task_status("task", "FINISHED")
        await client.set_task_status("task", "FINISHED")
        await client.aclose()
        await server.until_idle()

    assert server.connections == 1


async def test_a_failed_opening_leaves_a_client_that_says_it_is_closed() -> None:
    client = client_for("nonsense")
    with pytest.raises(ConfigurationError):
        await client.open()

    with pytest.raises(ClientClosedError, match="not open"):
        await client.report_task_progress("task")
    await client.aclose()


async def test_connections_are_kept_and_shared_by_copies() -> None:
    async with Server() as server, client_for(server.url) as client:
        for _ in range(3):
            await client.set_task_status("task", "FINISHED")
            await client.with_options(timeout=5).set_task_status("task", "FINISHED")

    assert server.connections == 1


async def test_no_more_calls_are_under_way_than_connections_are_allowed() -> None:
    release = asyncio.Event()

    async def handler(_: object) -> Answer:
        await release.wait()
        return http()

    async with (
        Server(handler=handler) as server,
        client_for(server.url, max_pool_connections=3) as client,
        asyncio.TaskGroup() as group,
    ):
        for _ in range(9):
            group.create_task(client.set_task_status("task", "FINISHED"))
        await server.until_asked("SetTaskStatus", 3)
        for _ in range(100):
            await asyncio.sleep(0)
        assert len(server.received) == 3
        release.set()

    assert len(server.received) == 9
    assert server.connections == 3


# -- event loops ------------------------------------------------------------------------------


def test_each_of_many_event_loops_can_have_a_client() -> None:
    async def story() -> int:
        async with Server() as server, client_for(server.url) as client:
            return (await client.set_task_status("task", "FINISHED")).metadata.status

    assert [asyncio.run(story()) for _ in range(5)] == [200] * 5


def test_one_client_can_be_opened_on_one_event_loop_after_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = DataPipelineClient(
        region_name="us-east-1", aws_access_key_id="key", aws_secret_access_key="secret"
    )

    async def story() -> int:
        async with Server() as server:
            monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
            async with client, asyncio.TaskGroup() as group:
                calls = [
                    group.create_task(client.set_task_status("task", "FINISHED"))
                    for _ in range(60)  # more than there are connections, so that some wait
                ]
        return len([call.result() for call in calls])

    assert [asyncio.run(story()) for _ in range(3)] == [60] * 3
