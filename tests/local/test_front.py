"""One exchange: rates, then faults, then the answer."""

from __future__ import annotations

import asyncio
import json
import math
import zlib
from email.utils import parsedate_to_datetime

import pytest

from aiodatapipeline import Reply
from aiodatapipeline._clock import VirtualClock
from aiodatapipeline.local._errors import finish, refusal
from aiodatapipeline.local._faults import Fault, FaultKind, Faults
from aiodatapipeline.local._front import Broken, Front
from aiodatapipeline.local._rates import Rates
from aiodatapipeline.local._switches import Switches, ThrottleShape
from tests.local.fakes import FakeService

ANSWER = finish(200, b'{"pipelineId": "df-1"}')


def alive() -> bool:
    return True


def front_with(*faults: Fault, switches: Switches | None = None) -> tuple[Front, FakeService]:
    service = FakeService(ANSWER)
    return Front(service, VirtualClock(), switches, faults=Faults(*faults)), service


async def exchange(front: Front, operation: str = "CreatePipeline") -> Reply | Broken:
    return await front.exchange(operation, b"{}", alive)


async def answer_of(front: Front, operation: str = "CreatePipeline") -> Reply:
    answer = await exchange(front, operation)
    assert isinstance(answer, Reply)
    return answer


async def test_an_exchange_is_the_services_own_answer() -> None:
    front, service = front_with()

    assert await exchange(front) is ANSWER
    assert service.asked == [("CreatePipeline", b"{}")]


async def test_a_check_refuses_before_the_service_is_asked() -> None:
    front, service = front_with()
    no = refusal("InvalidSignatureException", "no")

    assert await front.exchange("SetStatus", b"", alive, lambda _: no) is no
    assert await front.exchange("SetStatus", b"", alive, lambda _: None) is ANSWER
    assert len(service.asked) == 1


async def test_a_call_above_the_rate_meets_neither_fault_nor_service() -> None:
    service, faults = FakeService(ANSWER), Faults(Fault(kind=FaultKind.DROP, first=2, times=1))
    rates = Rates(VirtualClock(), burst=2)
    switches = Switches(throttle_shape=ThrottleShape.THROTTLING)
    front = Front(service, VirtualClock(), switches, faults=faults, rates=rates)

    answers = [await exchange(front) for _ in range(3)]

    assert answers[:2] == [ANSWER, Broken()]
    assert isinstance(answers[2], Reply)
    assert json.loads(answers[2].body)["__type"].endswith("#Throttling")
    assert len(service.asked) == 1


@pytest.mark.parametrize(
    ("fault", "status", "asked"),
    [
        (Fault(kind=FaultKind.ERROR), 500, 0),
        (Fault(kind=FaultKind.ERROR, applied=True), 500, 1),
        (Fault(kind=FaultKind.THROTTLE), 400, 0),
        (Fault(kind=FaultKind.HTML), 502, 0),
        (Fault(kind=FaultKind.HTML, status=200, applied=True), 200, 1),
    ],
)
async def test_a_fault_speaks_in_the_services_place(fault: Fault, status: int, asked: int) -> None:
    front, service = front_with(fault)

    answer = await answer_of(front)

    assert (answer.status, len(service.asked)) == (status, asked)
    assert answer.body != ANSWER.body


async def test_an_error_on_request_is_the_modelled_one() -> None:
    front, _ = front_with(Fault(kind=FaultKind.ERROR))

    body = json.loads((await answer_of(front)).body)

    assert body["__type"] == "com.amazon.setl.webservice#InternalServiceError"


@pytest.mark.parametrize("applied", [True, False])
async def test_a_dropped_call_is_applied_if_it_is_to_be(*, applied: bool) -> None:
    front, service = front_with(Fault(kind=FaultKind.DROP, applied=applied))

    assert await exchange(front) == Broken()
    assert len(service.asked) == applied


async def test_half_an_answer_is_one_that_breaks() -> None:
    front, _ = front_with(Fault(kind=FaultKind.HALF))

    assert await exchange(front) == Broken(ANSWER)


async def test_a_wrong_checksum_is_all_that_is_wrong() -> None:
    front, _ = front_with(Fault(kind=FaultKind.WRONG_CRC))

    answer = await answer_of(front)

    assert answer.body == ANSWER.body
    assert answer.headers["x-amz-crc32"] != str(zlib.crc32(answer.body))


async def test_a_late_answer_comes_when_its_time_has_come() -> None:
    front, service = front_with(Fault(kind=FaultKind.LATE, seconds=60))
    assert isinstance(front.clock, VirtualClock)
    pending = asyncio.ensure_future(exchange(front))

    await front.clock.advance(59)
    assert not pending.done()
    assert len(service.asked) == 1
    await front.clock.advance(1)

    assert await pending is ANSWER


async def test_any_fault_can_take_its_time() -> None:
    front, _ = front_with(Fault(kind=FaultKind.DROP, seconds=8))
    assert isinstance(front.clock, VirtualClock)
    pending = asyncio.ensure_future(exchange(front))

    await front.clock.advance(7)
    assert not pending.done()
    await front.clock.advance(1)

    assert await pending == Broken()


async def test_an_answer_that_never_comes_is_let_go_when_the_front_closes() -> None:
    front, _ = front_with(Fault(kind=FaultKind.DROP, seconds=math.inf))
    pending = asyncio.ensure_future(exchange(front))
    await asyncio.sleep(0)

    await front.aclose()

    assert await pending == Broken()


async def test_whoever_comes_to_a_closed_front_finds_nobody() -> None:
    front, service = front_with()

    await front.aclose()

    assert front.closed
    assert await exchange(front) == Broken()
    assert service.asked == []


@pytest.mark.parametrize("kind", [FaultKind.WRONG_CRC, FaultKind.HALF, FaultKind.DROP])
async def test_a_clock_that_is_off_dates_every_answer(kind: FaultKind) -> None:
    skew = Fault(kind=FaultKind.SKEWED_CLOCK, seconds=3600)
    front, _ = front_with(skew, Fault(kind=kind, first=2))

    answers = [await exchange(front), await exchange(front)]

    replies = [one if isinstance(one, Reply) else one.reply for one in answers]
    dates = [parsedate_to_datetime(one.headers["date"]).timestamp() for one in replies if one]
    assert dates == [front.clock.time() + 3600] * (1 if kind is FaultKind.DROP else 2)


async def test_a_check_is_made_by_the_clock_that_is_off() -> None:
    front, _ = front_with(Fault(kind=FaultKind.SKEWED_CLOCK, seconds=-900))
    times: list[float] = []

    def check(now: float) -> None:
        times.append(now)

    await front.exchange("SetStatus", b"", alive, check)

    assert times == [front.clock.time() - 900]


async def test_a_poll_goes_when_its_poller_goes() -> None:
    front, service = front_with()
    poll = asyncio.ensure_future(exchange(front, "PollForTask"))
    await service.until_polls(1)

    poll.cancel()

    await service.until_polls(0)


async def test_a_service_that_notices_no_hangup_keeps_the_poll_and_takes_its_poller_for_alive() -> (
    None
):
    front, service = front_with(switches=Switches(notices_hangup=False))
    poll = asyncio.ensure_future(front.exchange("PollForTask", b"{}", lambda: False))
    await service.until_polls(1)

    poll.cancel()
    await asyncio.wait([poll])

    assert service.polls == 1
    assert service.alive()
    await front.aclose()
    assert service.polls == 0


async def test_a_poll_that_nobody_left_is_answered_though_no_hangup_is_noticed() -> None:
    front, service = front_with(switches=Switches(notices_hangup=False))
    poll = asyncio.ensure_future(exchange(front, "PollForTask"))
    await service.until_polls(1)

    service.release()

    assert await poll is ANSWER
