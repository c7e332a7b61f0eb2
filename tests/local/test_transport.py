"""The service without a socket."""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import TypeVar

import pytest

from aiodatapipeline import (
    CallOptions,
    DataPipelineClient,
    ReadTimeoutError,
    Reply,
    RequestNotSentError,
    ResponseError,
    ResponseLostError,
)
from aiodatapipeline._clock import VirtualClock, sleep
from aiodatapipeline.local._errors import finish
from aiodatapipeline.local._faults import Fault, FaultKind, Faults
from aiodatapipeline.local._front import Front
from aiodatapipeline.local._transport import LocalTransport
from tests.local.fakes import PATIENCE, FakeService

ResultT = TypeVar("ResultT")
ONCE = CallOptions(max_attempts=1)


class Here:
    """A service in this loop."""

    def __init__(self, reply: Reply | None = None) -> None:
        self.service, self.clock, self.faults = FakeService(reply), VirtualClock(), Faults()
        self.front = Front(self.service, self.clock, faults=self.faults)
        self.transport = LocalTransport(self.front, asyncio.get_running_loop())

    async def send(self, operation: str = "ListPipelines", timeout: float = PATIENCE) -> Reply:
        return await self.transport.send(operation, {"marker": "ü"}, timeout)


@pytest.fixture
async def here() -> AsyncGenerator[Here]:
    here = Here()
    yield here
    await here.front.aclose()


async def elsewhere(call: Callable[[], Awaitable[ResultT]]) -> ResultT:
    """Call something in an event loop of another thread, as a runner does."""

    async def main() -> ResultT:
        return await call()

    return await asyncio.to_thread(asyncio.run, main())


async def test_a_client_works_over_it() -> None:
    reply = finish(200, b'{"pipelineIdList": [{"id": "df-1", "name": "n"}]}')
    here = Here(reply)

    async with DataPipelineClient(transport=here.transport) as client:
        page = await client.list_pipelines()

    assert page.pipeline_id_list[0].id == "df-1"
    assert here.service.asked == [("ListPipelines", b"{}")]


async def test_the_body_is_json(here: Here) -> None:
    await here.send()

    assert here.service.asked == [("ListPipelines", b'{"marker": "\\u00fc"}')]


async def test_no_answer_in_time_is_a_timeout_and_ends_the_poll(here: Here) -> None:
    with pytest.raises(ReadTimeoutError):
        await here.send("PollForTask", timeout=0.01)

    await here.service.until_polls(0)


async def test_a_sender_that_gives_up_is_not_alive(here: Here) -> None:
    poll = asyncio.ensure_future(here.send("PollForTask"))
    await here.service.until_polls(1)
    assert here.service.alive()

    poll.cancel()

    assert not here.service.alive()  # though it has not got to know of it yet
    await here.service.until_polls(0)
    assert not here.service.alive()


async def test_a_dropped_call_is_lost_and_may_have_been_applied(here: Here) -> None:
    here.faults.add(Fault(kind=FaultKind.DROP))

    with pytest.raises(ResponseLostError) as caught:
        await here.send("CreatePipeline")

    assert caught.value.operation == "CreatePipeline"


async def test_half_an_answer_is_no_answer(here: Here) -> None:
    here.faults.add(Fault(kind=FaultKind.HALF))
    here.service.reply = finish(200, b'{"hasMoreResults": true}')

    assert (await here.send()).body == b'{"hasMoreRes'
    async with DataPipelineClient(transport=here.transport, options=ONCE) as client:
        with pytest.raises(ResponseError, match="checksum"):
            await client.list_pipelines()


async def test_half_of_an_empty_answer_is_lost(here: Here) -> None:
    here.faults.add(Fault(kind=FaultKind.HALF))
    here.service.reply = finish(200, b"")

    with pytest.raises(ResponseLostError):
        await here.send("SetStatus")


async def test_a_closed_service_is_not_asked(here: Here) -> None:
    await here.front.aclose()

    with pytest.raises(RequestNotSentError, match="closed") as caught:
        await here.send()

    assert not caught.value.retryable


def test_a_service_whose_loop_has_ended_is_closed() -> None:
    async def open_and_leave() -> LocalTransport:
        return Here().transport

    transport = asyncio.run(open_and_leave())

    with pytest.raises(RequestNotSentError, match="closed"):
        asyncio.run(transport.send("ListPipelines", {}, 1.0))


async def test_another_thread_gets_the_same_answer(here: Here) -> None:
    threads: list[threading.Thread] = []

    async def send() -> Reply:
        threads.append(threading.current_thread())
        return await here.send()

    assert await elsewhere(send) is here.service.reply
    assert threads != [threading.current_thread()]


async def test_a_poll_of_another_thread_ends_when_it_is_cancelled_there(here: Here) -> None:
    async def poll_and_leave() -> None:
        poll = asyncio.ensure_future(here.send("PollForTask"))
        await asyncio.wrap_future(
            asyncio.run_coroutine_threadsafe(here.service.until_polls(1), here_loop)
        )
        poll.cancel()
        await asyncio.wait([poll])

    here_loop = asyncio.get_running_loop()

    await elsewhere(poll_and_leave)

    await here.service.until_polls(0)
    assert not here.service.alive()
    await here.clock.advance(1)  # nothing holds the time any more


async def test_a_timeout_in_another_thread_is_one_too(here: Here) -> None:
    with pytest.raises(ReadTimeoutError):
        await elsewhere(lambda: here.send("PollForTask", timeout=0.01))

    await here.service.until_polls(0)


async def test_time_waits_for_what_is_on_its_way_between_threads(here: Here) -> None:
    """A keeper of leases reports every 60 s, and each report is of its own minute."""
    times: list[float] = []
    ready = threading.Event()

    class Service(FakeService):
        async def answer(self, operation: str, body: bytes, alive: Callable[[], bool]) -> Reply:
            times.append(here.clock.time() - start)
            return await super().answer(operation, body, alive)

    start = here.clock.time()
    here.front.service = Service()

    async def keep() -> None:
        for _ in range(10):
            waiting = asyncio.ensure_future(sleep(here.clock, 60))
            await asyncio.sleep(0)
            ready.set()
            await waiting
            await here.send("ReportTaskProgress")

    keeping = asyncio.ensure_future(elsewhere(keep))
    await asyncio.to_thread(ready.wait, PATIENCE)
    await here.clock.advance(700)
    await keeping

    assert times == [60.0 * minute for minute in range(1, 11)]


async def test_an_answer_that_never_comes_ends_when_the_front_closes(here: Here) -> None:
    here.faults.add(Fault(kind=FaultKind.LATE, seconds=math.inf))
    pending = asyncio.ensure_future(here.send())
    await asyncio.sleep(0)

    await here.front.aclose()

    with pytest.raises(ResponseLostError):
        await pending
