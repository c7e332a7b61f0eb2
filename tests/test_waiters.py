"""Waiting for a state, for a deletion and for instances to end, by a clock that skips."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

import pytest

from aiodatapipeline import (
    CallOptions,
    DataPipelineClient,
    DataPipelineError,
    InvalidRequestException,
    PipelineDeletedException,
    PipelineNotFoundException,
    Reply,
    ThrottlingException,
    WaitTimeoutError,
)
from aiodatapipeline.models import PipelineDescription, PipelineObject
from tests.fakes import Clock, FakeTransport, answer, refusal

FoundT = TypeVar("FoundT")
Waiting = Callable[[DataPipelineClient], Awaitable[FoundT]]


def wait(transport: FakeTransport, waiting: Waiting[FoundT], clock: Clock | None = None) -> FoundT:
    """Wait, with looks that are not repeated by themselves."""

    async def main() -> FoundT:
        options = CallOptions(max_attempts=1)
        async with DataPipelineClient(transport=transport, options=options) as client:
            return await waiting(client)

    return (clock or Clock()).run(main())


def finished(timeout: float) -> Waiting[PipelineDescription]:
    return lambda client: client.wait_for_pipeline_state("df-1", "FINISHED", timeout=timeout)


def deleted(timeout: float) -> Waiting[None]:
    return lambda client: client.wait_until_pipeline_deleted("df-1", timeout=timeout)


def all_ended(timeout: float) -> Waiting[tuple[PipelineObject, ...]]:
    return lambda client: client.wait_until_instances_ended("df-1", timeout=timeout)


def looks(transport: FakeTransport) -> list[float]:
    """When they began, in seconds from the beginning."""
    return [sent.at for sent in transport.sent]


def pipeline(state: str | None) -> Reply:
    described = {"pipelineId": "df-1", "name": "a name", "fields": status("@pipelineState", state)}
    return answer({"pipelineDescriptionList": [described]})


def ids(*found: str) -> Reply:
    return answer({"ids": found})


def instances(**states: str | None) -> Reply:
    described = [
        {"id": one, "name": one, "fields": status("@status", state)}
        for one, state in states.items()
    ]
    return answer({"pipelineObjects": described})


def status(key: str, state: str | None) -> list[Mapping[str, str]]:
    return [] if state is None else [{"key": key, "stringValue": state}]


# -- when to look -------------------------------------------------------------------------


def test_what_is_so_already_takes_no_waiting() -> None:
    clock, transport = Clock(), FakeTransport(pipeline("FINISHED"))

    found = wait(transport, finished(timeout=60), clock)

    assert found.state == "FINISHED"
    assert clock.now == 0


def test_there_is_a_look_every_ten_seconds_until_it_is_so() -> None:
    transport = FakeTransport(pipeline("PENDING"), pipeline("SCHEDULED"), pipeline("FINISHED"))

    found = wait(transport, finished(timeout=60))

    assert found.state == "FINISHED"
    assert looks(transport) == [0, 10, 20]


@pytest.mark.parametrize(
    ("timeout", "interval", "takes", "times"),
    [
        pytest.param(25, 10, 0, [0, 10, 20, 25], id="the last one when the time is up"),
        pytest.param(20, 10, 0, [0, 10, 20], id="which may be when one is due anyway"),
        pytest.param(5, 10, 0, [0, 5], id="or before the second is due"),
        pytest.param(0, 10, 0, [0], id="or at once"),
        pytest.param(25, 10, 4, [0, 14, 25], id="an interval lies between two looks"),
        pytest.param(25, 10, 30, [0], id="no look begins after the end"),
    ],
)
def test_looks_are_made(timeout: float, interval: float, takes: float, times: list[float]) -> None:
    transport = FakeTransport(then=pipeline("SCHEDULED"), takes=takes)

    with pytest.raises(WaitTimeoutError):
        wait(
            transport,
            lambda client: client.wait_for_pipeline_state(
                "df-1", "FINISHED", timeout=timeout, interval=interval
            ),
        )

    assert looks(transport) == times


@pytest.mark.parametrize(
    ("timeout", "interval", "named"),
    [(-1, 10, "timeout"), (float("nan"), 10, "timeout"), (60, 0, "interval"), (60, -1, "interval")],
)
def test_times_that_are_none_are_refused_before_a_look(
    timeout: float, interval: float, named: str
) -> None:
    transport = FakeTransport(then=pipeline("FINISHED"))

    with pytest.raises(ValueError, match=f"{named} is"):
        wait(
            transport,
            lambda client: client.wait_for_pipeline_state(
                "df-1", "FINISHED", timeout=timeout, interval=interval
            ),
        )

    assert not transport.sent


def test_the_last_look_counts() -> None:
    transport = FakeTransport(pipeline("SCHEDULED"), pipeline("FINISHED"))

    found = wait(transport, finished(timeout=5))

    assert found.state == "FINISHED"


def test_a_look_that_fails_in_passing_is_a_look_that_found_nothing() -> None:
    transport = FakeTransport(
        pipeline("SCHEDULED"), refusal("ThrottlingException"), pipeline("FINISHED")
    )

    found = wait(transport, finished(timeout=60))

    assert found.state == "FINISHED"
    assert looks(transport) == [0, 10, 20]


def test_when_the_time_is_up_a_failure_of_the_last_look_is_the_cause() -> None:
    transport = FakeTransport(pipeline("SCHEDULED"), refusal("ThrottlingException"))

    with pytest.raises(WaitTimeoutError, match="SCHEDULED") as caught:
        wait(transport, finished(timeout=5))

    assert isinstance(caught.value.__cause__, ThrottlingException)


def test_who_never_saw_anything_is_told_so() -> None:
    transport = FakeTransport(then=refusal("ThrottlingException"))

    with pytest.raises(WaitTimeoutError, match="no look succeeded, after 5 s"):
        wait(transport, finished(timeout=5))


def test_a_failure_before_the_last_look_is_past() -> None:
    transport = FakeTransport(refusal("ThrottlingException"), pipeline("SCHEDULED"))

    with pytest.raises(WaitTimeoutError) as caught:
        wait(transport, finished(timeout=5))

    assert caught.value.__cause__ is None


def test_a_look_that_hangs_is_given_up_an_interval_after_the_time_is_up() -> None:
    transport, clock = FakeTransport(then=pipeline("RUNNING"), takes=50), Clock()

    with pytest.raises(WaitTimeoutError, match="no look succeeded, after 30 s") as caught:
        wait(transport, finished(timeout=30), clock)

    assert isinstance(caught.value.__cause__, TimeoutError)
    assert clock.now == 40


def test_waits_are_cancelled_at_once() -> None:
    clock, transport = Clock(), FakeTransport(then=pipeline("SCHEDULED"))

    async def give_up_after_25_seconds(client: DataPipelineClient) -> None:
        async with asyncio.timeout(25):
            await client.wait_for_pipeline_state("df-1", "FINISHED", timeout=60)

    with pytest.raises(TimeoutError):
        wait(transport, give_up_after_25_seconds, clock)

    assert clock.now == 25


# -- a state ------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["FINISHED", "INACTIVE"])
def test_any_of_several_states_will_do(state: str) -> None:
    transport = FakeTransport(pipeline("PENDING"), pipeline(state))

    found = wait(
        transport,
        lambda client: client.wait_for_pipeline_state("df-1", "FINISHED", "INACTIVE", timeout=60),
    )

    assert found.state == state
    assert transport.sent[0].body == {"pipelineIds": ["df-1"]}


@pytest.mark.parametrize(("state", "seen"), [("SCHEDULED", "SCHEDULED"), (None, "in no state")])
def test_who_waited_for_a_state_in_vain_is_told_which_was_seen(
    state: str | None, seen: str
) -> None:
    transport = FakeTransport(then=pipeline(state))

    with pytest.raises(
        WaitTimeoutError, match=f"df-1 is {seen}, not FINISHED or INACTIVE, after 2.5 s"
    ) as caught:
        wait(
            transport,
            lambda client: client.wait_for_pipeline_state(
                "df-1", "FINISHED", "INACTIVE", timeout=2.5
            ),
        )

    assert isinstance(caught.value, TimeoutError)
    assert isinstance(caught.value, DataPipelineError)


def test_a_pipeline_that_is_gone_will_be_in_no_state() -> None:
    transport = FakeTransport(pipeline("SCHEDULED"), refusal("PipelineDeletedException"))

    with pytest.raises(PipelineDeletedException):
        wait(transport, finished(timeout=60))


def test_who_waits_for_a_state_must_name_one() -> None:
    transport = FakeTransport()

    with pytest.raises(ValueError, match="at least one state"):
        wait(transport, lambda client: client.wait_for_pipeline_state("df-1", timeout=60))

    assert transport.sent == []


# -- a deletion ---------------------------------------------------------------------------


@pytest.mark.parametrize("gone", [PipelineNotFoundException, PipelineDeletedException])
def test_a_pipeline_is_deleted_when_it_cannot_be_described(gone: type[Exception]) -> None:
    transport = FakeTransport(pipeline("SCHEDULED"), pipeline("DELETING"), refusal(gone.__name__))

    wait(
        transport,
        lambda client: client.wait_until_pipeline_deleted("df-1", timeout=60, interval=5),
    )

    assert looks(transport) == [0, 5, 10]


def test_another_refusal_is_no_deletion() -> None:
    transport = FakeTransport(refusal("InvalidRequestException"))

    with pytest.raises(InvalidRequestException):
        wait(transport, deleted(timeout=60))


def test_who_waited_for_a_deletion_in_vain_is_told_that_it_is_still_there() -> None:
    transport = FakeTransport(then=pipeline("SCHEDULED"))

    with pytest.raises(WaitTimeoutError, match="df-1 is still there, after 25 s"):
        wait(transport, deleted(timeout=25))


# -- instances ----------------------------------------------------------------------------


def test_all_instances_have_ended_when_each_has_in_its_way() -> None:
    ways = {
        "a": "FINISHED",
        "b": "FAILED",
        "c": "CANCELED",
        "d": "CASCADE_FAILED",
        "e": "SKIPPED",
        "f": "TIMEDOUT",
    }
    transport = FakeTransport(ids(*ways), instances(**ways))

    found = wait(transport, all_ended(timeout=60))

    assert {one.id: one.string("@status") for one in found} == ways
    assert transport.sent[0].body == {"pipelineId": "df-1", "sphere": "INSTANCE"}


def test_a_pipeline_without_instances_is_waited_for() -> None:
    transport = FakeTransport(ids(), ids("a"), instances(a="FINISHED"))

    found = wait(
        transport,
        lambda client: client.wait_until_instances_ended("df-1", timeout=60, interval=5),
    )

    assert [one.id for one in found] == ["a"]
    assert looks(transport) == [0, 5, 5]


def test_only_instances_that_go_on_are_looked_at_again() -> None:
    transport = FakeTransport(
        ids("a", "b", "c"),
        instances(a="RUNNING", b="FINISHED", c=None),
        ids("a", "b", "c", "d"),
        instances(a="FAILED", c="CANCELED", d="FINISHED"),
    )

    found = wait(transport, all_ended(timeout=60))

    assert [one.id for one in found] == ["a", "b", "c", "d"]
    asked = [sent.body["objectIds"] for sent in transport.sent if "objectIds" in sent.body]
    assert asked == [["a", "b", "c"], ["a", "c", "d"]]


def test_who_waited_for_instances_in_vain_is_told_of_one_that_goes_on() -> None:
    transport = FakeTransport(ids("a", "b", "c"), instances(a="FINISHED", b="RUNNING", c="PAUSED"))

    with pytest.raises(WaitTimeoutError, match="2 instances that have not ended, such as b"):
        wait(transport, all_ended(timeout=0))


def test_who_waited_for_instances_in_vain_is_told_that_there_are_none() -> None:
    transport = FakeTransport(then=ids())

    with pytest.raises(WaitTimeoutError, match="df-1 has no instances, after 25 s"):
        wait(transport, all_ended(timeout=25))
