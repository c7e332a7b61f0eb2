"""Calls per second, and what who makes more is told."""

from __future__ import annotations

import json

import pytest

from aiodatapipeline._clock import VirtualClock
from aiodatapipeline.local._rates import PER_SECOND, Rates, throttled
from aiodatapipeline.local._switches import ThrottleShape
from aiodatapipeline.operations import OPERATIONS


def taken(rates: Rates, operation: str, times: int) -> int:
    return sum(rates.take(operation) for _ in range(times))


def test_a_hundred_calls_at_once_are_admitted_and_no_more() -> None:
    assert taken(Rates(VirtualClock()), "ListPipelines", 150) == 100


@pytest.mark.parametrize(
    ("operation", "per_second"),
    [("SetTaskStatus", 10), ("PollForTask", 2), ("CreatePipeline", 1), ("AddTags", 1)],
)
async def test_time_brings_new_calls_at_the_rate_of_the_operation(
    operation: str, per_second: int
) -> None:
    clock = VirtualClock()
    rates = Rates(clock)
    taken(rates, operation, 100)

    await clock.advance(3)

    assert taken(rates, operation, 100) == 3 * per_second


async def test_no_time_brings_more_than_a_burst() -> None:
    clock = VirtualClock()
    rates = Rates(clock, burst=5)

    await clock.advance(86400)

    assert taken(rates, "ListPipelines", 100) == 5


def test_operations_do_not_take_from_each_other() -> None:
    rates = Rates(VirtualClock())
    taken(rates, "ListPipelines", 100)

    assert rates.take("DescribePipelines")


def test_every_operation_has_a_rate_and_other_names_have_no_limit() -> None:
    rates = Rates(VirtualClock(), burst=1)

    assert PER_SECOND.keys() == OPERATIONS.keys()
    assert taken(rates, "NoSuchOperation", 10) == 10


@pytest.mark.parametrize(
    ("per_second", "burst", "told"),
    [
        ({"ListPipeline": 1.0}, 1, "'ListPipeline'"),
        ({"ListPipelines": -1.0}, 1, "negative"),
        ({"ListPipelines": 1.0}, 0, "admits no call"),
    ],
)
def test_rates_that_make_no_sense_are_refused(
    per_second: dict[str, float], burst: float, told: str
) -> None:
    with pytest.raises(ValueError, match=told):
        Rates(VirtualClock(), per_second, burst)


@pytest.mark.parametrize("shape", [ThrottleShape.THROTTLING, ThrottleShape.THROTTLING_EXCEPTION])
def test_a_call_above_the_rate_is_told_so_with_a_code(shape: ThrottleShape) -> None:
    reply = throttled(shape)

    assert reply.status == 400
    assert json.loads(reply.body)["__type"] == f"com.amazon.coral.service#{shape.value}"


def test_a_call_above_the_rate_may_be_answered_by_a_front_end() -> None:
    reply = throttled(ThrottleShape.UNAVAILABLE)

    assert reply.status == 503
    assert reply.headers == {"content-type": "text/html"}
    assert b"<title>Service Unavailable</title>" in reply.body
