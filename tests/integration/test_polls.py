"""PollForTask, which the service holds for up to 90 seconds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiobotocore.session import AioSession

from aiodatapipeline import (
    DataPipelineClient,
    PollForTaskResponse,
    ReadTimeoutError,
    RequestNotSentError,
    ResponseError,
    ResponseLostError,
    ServiceError,
    ThrottlingException,
)
from tests.integration.clients import client_for, run_skipping, skip
from tests.integration.server import (
    Answer,
    Received,
    Server,
    Then,
    always,
    html,
    http,
    refusal,
    refusing_port,
)

TASK = {"taskObject": {"taskId": "task", "pipelineId": "df-1", "attemptId": "@a_Attempt=1"}}


@asynccontextmanager
async def holding_polls() -> AsyncGenerator[tuple[Server, asyncio.Event]]:
    """A server that holds every poll until it is told to answer, and answers all else at once."""
    release = asyncio.Event()

    async def handler(request: Received) -> Answer:
        if request.operation == "PollForTask":
            await release.wait()
            return http(TASK)
        return http({"canceled": False})

    async with Server(handler=handler) as server:
        yield server, release


@asynccontextmanager
async def holding_everything() -> AsyncGenerator[tuple[Server, asyncio.Event]]:
    """A server that holds every request until it is told to answer."""
    release = asyncio.Event()

    async def handler(_: Received) -> Answer:
        await release.wait()
        return http(TASK)

    async with Server(handler=handler) as server:
        yield server, release


# -- time -------------------------------------------------------------------------------------


def test_a_task_that_comes_after_90_seconds_is_delivered() -> None:
    async def story() -> PollForTaskResponse:
        async with holding_polls() as (server, release), client_for(server.url) as client:
            poll = asyncio.create_task(client.poll_for_task("group"))
            await server.until_asked("PollForTask")
            await skip(95)
            release.set()
            return await poll

    response = run_skipping(story())

    assert response.task_object is not None
    assert response.metadata.attempts == 1


def test_a_poll_without_an_answer_ends() -> None:
    async def story() -> tuple[ReadTimeoutError, int]:
        async with holding_polls() as (server, _), client_for(server.url) as client:
            poll = asyncio.create_task(client.poll_for_task("group"))
            await server.until_asked("PollForTask")
            await skip(101)
            with pytest.raises(ReadTimeoutError) as caught:
                await poll
            return caught.value, len(server.received)

    error, polls = run_skipping(story())

    assert error.maybe_applied
    assert (error.attempts, polls) == (1, 1)


def test_a_short_time_for_calls_is_not_for_polls() -> None:
    async def story() -> PollForTaskResponse:
        async with (
            holding_everything() as (server, release),
            client_for(server.url, timeout=5, max_attempts=1) as client,
        ):
            poll = asyncio.create_task(client.poll_for_task("group"))
            report = asyncio.create_task(client.report_task_progress("task"))
            await server.until_asked("PollForTask")
            await server.until_asked("ReportTaskProgress")
            await skip(6)
            with pytest.raises(ReadTimeoutError):
                await report
            release.set()
            return await poll

    assert run_skipping(story()).task_object is not None


def test_the_time_for_polls_can_be_set() -> None:
    async def story() -> int:
        async with (
            holding_everything() as (server, _),
            client_for(server.url, poll_timeout=5) as client,
        ):
            poll = asyncio.create_task(client.poll_for_task("group"))
            await server.until_asked("PollForTask")
            await skip(6)
            with pytest.raises(ReadTimeoutError):
                await poll
            return len(server.received)

    assert run_skipping(story()) == 1


# -- room -------------------------------------------------------------------------------------


@pytest.mark.parametrize("polls", [10, 200])
async def test_open_polls_do_not_make_another_call_wait(polls: int) -> None:
    async with (
        asyncio.timeout(30),
        holding_polls() as (server, release),
        client_for(server.url, max_pool_connections=1) as client,
        asyncio.TaskGroup() as group,
    ):
        waiting = [group.create_task(client.poll_for_task("group")) for _ in range(polls)]
        await server.until_asked("PollForTask", polls)

        # The polls are held until this has been answered: if it waited, it would forever.
        report = await client.report_task_progress("task")

        assert report.canceled is False
        assert not any(poll.done() for poll in waiting)
        release.set()

    assert all(poll.result().task_object for poll in waiting)


async def test_calls_that_wait_their_turn_do_not_make_a_poll_wait() -> None:
    release = asyncio.Event()

    async def handler(request: Received) -> Answer:
        if request.operation != "PollForTask":
            await release.wait()
            return http({"canceled": False})
        return http(TASK)

    async with (
        asyncio.timeout(30),
        Server(handler=handler) as server,
        client_for(server.url, max_pool_connections=1) as client,
        asyncio.TaskGroup() as group,
    ):
        for _ in range(3):
            group.create_task(client.report_task_progress("task"))
        await server.until_asked("ReportTaskProgress")

        response = await client.poll_for_task("group")

        assert response.task_object is not None
        assert len(server.asked("ReportTaskProgress")) == 1
        release.set()

    assert len(server.asked("ReportTaskProgress")) == 3


async def test_a_request_is_signed_when_it_is_sent_and_not_when_it_is_queued() -> None:
    session: Any = AioSession()  # its credentials are changed below, which the stubs leave out
    session.set_credentials("old", "secret")
    credentials = await session.get_credentials()
    release = asyncio.Event()

    async def handler(_: Received) -> Answer:
        await release.wait()
        return http({"canceled": False})

    async with (
        Server(handler=handler) as server,
        DataPipelineClient(
            session=session,
            region_name="us-east-1",
            endpoint_url=server.url,
            max_pool_connections=1,
        ) as client,
        asyncio.TaskGroup() as group,
    ):
        group.create_task(client.report_task_progress("first"))
        await server.until_asked("ReportTaskProgress")
        group.create_task(client.report_task_progress("queued"))
        for _ in range(100):  # far more steps than signing takes
            await asyncio.sleep(0)

        credentials.access_key = "new"
        release.set()

    first, queued = server.received
    assert first.credential[0] == "old"
    assert queued.credential[0] == "new"


# -- repeating --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        pytest.param(Answer(then=Then.CLOSE), ResponseLostError, id="closed"),
        pytest.param(Answer(then=Then.RESET), ResponseLostError, id="reset"),
        pytest.param(
            http(b"{", content_length=9, then=Then.CLOSE), ResponseLostError, id="half-an-answer"
        ),
        pytest.param(http(b'{"taskObject": {"taskId'), ResponseError, id="half-of-the-json"),
        pytest.param(http(headers={"x-amz-crc32": "1"}), ResponseError, id="wrong-checksum"),
        pytest.param(html(200), ResponseError, id="html-200"),
        pytest.param(html(502), ResponseError, id="html-502"),
    ],
)
async def test_a_poll_is_not_repeated_after_a_lost_answer(
    answer: Answer, kind: type[ResponseLostError | ResponseError]
) -> None:
    async with Server(handler=always(answer)) as server, client_for(server.url) as client:
        with pytest.raises(kind) as caught:
            await client.poll_for_task("group")

    assert type(caught.value) is kind
    assert caught.value.maybe_applied
    assert caught.value.attempts == len(server.received) == 1


async def test_a_poll_on_a_connection_that_is_reset_at_once_is_not_repeated() -> None:
    async with Server(reset_at_once=True) as server, client_for(server.url) as client:
        with pytest.raises(ResponseLostError):
            await client.poll_for_task("group")

    assert server.connections == 1


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (refusal("InternalServiceError", status=500), ServiceError),
        (refusal("ServiceUnavailable", status=503), ServiceError),
        (refusal("ThrottlingException"), ThrottlingException),
    ],
    ids=["500", "503", "throttled"],
)
async def test_a_poll_that_the_service_refused_in_passing_is_repeated(
    answer: Answer, kind: type[ServiceError]
) -> None:
    async with Server(handler=always(answer)) as server, client_for(server.url) as client:
        with pytest.raises(kind) as caught:
            await client.poll_for_task("group")

    assert caught.value.attempts == len(server.received) == 3


async def test_a_poll_that_was_not_sent_is_repeated() -> None:
    with refusing_port() as port:
        async with client_for(f"http://127.0.0.1:{port}") as client:
            with pytest.raises(RequestNotSentError) as caught:
                await client.poll_for_task("group")

    assert caught.value.attempts == 3
    assert not caught.value.maybe_applied


async def test_a_poll_is_answered_after_a_refusal_in_passing() -> None:
    answers = refusal("ThrottlingException"), http(TASK)
    async with Server(*answers) as server, client_for(server.url) as client:
        response = await client.poll_for_task("group")

    assert response.task_object is not None
    assert response.task_object.task_id == "task"
    assert response.metadata.attempts == 2


# -- no work ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body", [b"{}", b"", b'{"taskObject": null}', b'{"taskObject": {}}'], ids=repr
)
async def test_a_poll_without_work_gives_no_task(body: bytes) -> None:
    async with Server(http(body)) as server, client_for(server.url) as client:
        response = await client.poll_for_task("group", hostname="host")

    assert response.task_object is None
    assert server.received[0].members == {"workerGroup": "group", "hostname": "host"}
