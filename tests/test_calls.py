"""Attempts, what is repeated and what is not, and the times that a call may take."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiodatapipeline import (
    CallOptions,
    ClientClosedError,
    ConnectTimeoutError,
    DataPipelineClient,
    DataPipelineError,
    InternalServiceError,
    InvalidRequestException,
    MissingRegionError,
    PollForTaskRequest,
    PollForTaskResponse,
    ReadTimeoutError,
    Reply,
    ReportTaskProgressRequest,
    ReportTaskProgressResponse,
    Request,
    RequestNotSentError,
    Response,
    ResponseError,
    ResponseLostError,
    ServiceError,
    SetTaskStatusRequest,
    TaskNotFoundException,
    TaskStatus,
    ThrottlingException,
)
from tests.fakes import Clock, FakeTransport, answer, refusal

ResponseT = TypeVar("ResponseT", bound=Response)

REPORT = ReportTaskProgressRequest(task_id="a task")
POLL = PollForTaskRequest(worker_group="a group")
GO_ON = answer({"canceled": False})
HTML = b"<html><title>Please log in</title></html>"
AT_ONCE = CallOptions(max_backoff=0)


async def call(
    transport: FakeTransport, request: Request[ResponseT], options: CallOptions = AT_ONCE
) -> ResponseT:
    async with DataPipelineClient(transport=transport) as client:
        return await client.call(request, options=options)


# -- what is repeated ---------------------------------------------------------------------


@dataclass(frozen=True)
class Fault:
    """What can happen to an attempt, and what a caller is told of it."""

    name: str
    happens: Callable[[], Reply | DataPipelineError]
    error: type[DataPipelineError]
    maybe_applied: bool = False

    def __str__(self) -> str:
        return self.name


NOT_SENT = [
    Fault("not sent", lambda: RequestNotSentError("refused"), RequestNotSentError),
    Fault("no connection", lambda: ConnectTimeoutError("late"), ConnectTimeoutError),
]
THROTTLED = [
    Fault("throttled", lambda: refusal("ThrottlingException"), ThrottlingException),
    Fault("throttled, 429", lambda: refusal("SlowDown", 429), ThrottlingException),
    Fault("throttled, 503", lambda: refusal("SlowDown", 503), ThrottlingException),
]
FAILED_INSIDE = [
    Fault("500", lambda: refusal("InternalServiceError", 500), InternalServiceError, True),
    Fault("500, undocumented", lambda: refusal("InternalFailure", 500), ServiceError, True),
    Fault("503", lambda: refusal("ServiceUnavailable", 503), ServiceError, True),
]
LOST = [
    Fault("lost", lambda: ResponseLostError("reset"), ResponseLostError, True),
    Fault("too late", lambda: ReadTimeoutError("late"), ReadTimeoutError, True),
]
UNREADABLE = [
    Fault("a proxy's page", lambda: Reply(200, HTML), ResponseError, True),
    Fault("half an answer", lambda: Reply(200, b'{"canceled":'), ResponseError, True),
    Fault("a proxy's 502", lambda: Reply(502, HTML), ResponseError, True),
    Fault("a proxy's 429", lambda: Reply(429, HTML), ResponseError, True),
]
FINAL = [
    Fault("refused", lambda: refusal("InvalidRequestException"), InvalidRequestException),
    Fault("no such task", lambda: refusal("TaskNotFoundException"), TaskNotFoundException),
    Fault("undocumented", lambda: refusal("ValidationException"), ServiceError),
    Fault("a proxy's 403", lambda: Reply(403, HTML), ResponseError, True),
    Fault("a wrong member", lambda: answer({"canceled": 1, "taskObject": 1}), ResponseError, True),
    Fault("anything else", lambda: DataPipelineError("odd"), DataPipelineError),
    Fault("no region", lambda: MissingRegionError("none"), MissingRegionError),
    Fault("closed", lambda: ClientClosedError("closed"), ClientClosedError),
]


def happening(*faults: list[Fault]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("fault", [one for group in faults for one in group], ids=str)


@happening(NOT_SENT, THROTTLED, FAILED_INSIDE, LOST, UNREADABLE)
async def test_what_may_pass_is_tried_again_with_the_same_request(fault: Fault) -> None:
    transport = FakeTransport(fault.happens(), fault.happens(), GO_ON)

    response = await call(transport, REPORT)

    assert response == ReportTaskProgressResponse(canceled=False)
    assert response.metadata.attempts == 3
    assert [(sent.operation, sent.body) for sent in transport.sent] == [
        ("ReportTaskProgress", {"taskId": "a task"})
    ] * 3


@happening(FINAL)
async def test_what_would_come_again_is_not_tried_again(fault: Fault) -> None:
    transport = FakeTransport(fault.happens())

    with pytest.raises(fault.error) as caught:
        await call(transport, REPORT)

    assert len(transport.sent) == 1
    assert not caught.value.retryable


@happening(NOT_SENT, THROTTLED, FAILED_INSIDE)
async def test_a_poll_that_cannot_have_been_given_a_task_is_tried_again(fault: Fault) -> None:
    transport = FakeTransport(fault.happens(), fault.happens(), answer())

    response = await call(transport, POLL)

    assert response == PollForTaskResponse(task_object=None)
    assert response.metadata.attempts == len(transport.sent) == 3


@happening(LOST, UNREADABLE, FINAL)
async def test_a_poll_whose_answer_may_have_held_a_task_is_never_repeated(fault: Fault) -> None:
    transport = FakeTransport(fault.happens())

    with pytest.raises(fault.error) as caught:
        await call(transport, POLL, CallOptions(max_backoff=0, max_attempts=10))

    assert caught.value.attempts == len(transport.sent) == 1


# -- what is raised in the end ------------------------------------------------------------


@happening(NOT_SENT, THROTTLED, FAILED_INSIDE, LOST, UNREADABLE, FINAL)
async def test_an_error_tells_what_was_called_how_often_and_if_it_may_have_worked(
    fault: Fault,
) -> None:
    transport = FakeTransport(*(fault.happens() for _ in range(3)))

    with pytest.raises(DataPipelineError) as caught:
        await call(transport, REPORT)

    assert type(caught.value) is fault.error
    assert caught.value.operation == "ReportTaskProgress"
    assert caught.value.attempts == len(transport.sent) == (3 if caught.value.retryable else 1)
    assert caught.value.maybe_applied is fault.maybe_applied


async def test_the_last_error_remembers_that_an_earlier_attempt_may_have_worked() -> None:
    finished = SetTaskStatusRequest(task_id="a task", task_status=TaskStatus.FINISHED)
    transport = FakeTransport(
        ResponseLostError("reset"),
        RequestNotSentError("refused"),
        refusal("TaskNotFoundException"),
    )

    with pytest.raises(TaskNotFoundException) as caught:
        await call(transport, finished)

    assert caught.value.attempts == 3
    assert caught.value.maybe_applied


async def test_an_operation_that_the_transport_named_stays() -> None:
    transport = FakeTransport(ServiceError("no", code="AccessDenied", operation="AssumeRole"))

    with pytest.raises(ServiceError) as caught:
        await call(transport, REPORT)

    assert caught.value.operation == "AssumeRole"


async def test_the_carriers_own_exception_is_the_cause() -> None:
    original = OSError("what the carrier raised")
    refused = refusal("InvalidRequestException")
    transport = FakeTransport(Reply(refused.status, refused.body, cause=original))

    with pytest.raises(InvalidRequestException) as caught:
        await call(transport, REPORT)

    assert caught.value.__cause__ is original


async def test_a_fault_in_the_transport_is_neither_hidden_nor_repeated() -> None:
    transport = FakeTransport(ZeroDivisionError("a slip"))

    with pytest.raises(ZeroDivisionError):
        await call(transport, REPORT)

    assert len(transport.sent) == 1


async def test_a_cancelled_call_is_not_repeated() -> None:
    transport = FakeTransport(then=GO_ON, takes=60)
    calling = asyncio.create_task(call(transport, REPORT))
    await asyncio.sleep(0)

    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling

    assert len(transport.sent) == 1


# -- what came back besides the body ------------------------------------------------------


def test_a_response_tells_how_it_came() -> None:
    headers = {"x-amzn-requestid": "an id", "date": "today"}
    transport = FakeTransport(
        refusal("ThrottlingException"), answer({"canceled": True}, headers), takes=2
    )

    response = Clock().run(call(transport, REPORT))

    assert response.metadata.request_id == "an id"
    assert response.metadata.status == 200
    assert response.metadata.headers == headers
    assert response.metadata.attempts == 2
    assert response.metadata.elapsed == 4


async def test_a_service_that_gives_no_request_id_is_none_the_worse() -> None:
    response = await call(FakeTransport(GO_ON), REPORT)

    assert response.metadata.request_id == ""


def test_two_equal_answers_are_equal_however_they_came() -> None:
    transport = FakeTransport(GO_ON, refusal("ThrottlingException"), GO_ON, takes=1)

    first = Clock().run(call(transport, REPORT))
    second = Clock().run(call(transport, REPORT))

    assert first.metadata != second.metadata
    assert first == second == ReportTaskProgressResponse(canceled=False)


# -- how often ----------------------------------------------------------------------------


@pytest.mark.parametrize(("most", "attempts"), [(None, 3), (1, 1), (2, 2), (7, 7)])
async def test_no_more_attempts_are_made_than_allowed(most: int | None, attempts: int) -> None:
    transport = FakeTransport(then=refusal("ThrottlingException"))

    with pytest.raises(ThrottlingException) as caught:
        await call(transport, REPORT, CallOptions(max_backoff=0, max_attempts=most))

    assert caught.value.attempts == len(transport.sent) == attempts


async def test_attempts_may_be_very_many() -> None:
    transport = FakeTransport(then=refusal("ThrottlingException"))

    with pytest.raises(ThrottlingException) as caught:
        await call(transport, REPORT, CallOptions(max_backoff=0, max_attempts=1500))

    assert caught.value.attempts == 1500


# -- how long -----------------------------------------------------------------------------


def timeouts(transport: FakeTransport) -> list[float]:
    return [sent.timeout for sent in transport.sent]


@pytest.mark.parametrize(
    ("request_", "options", "timeout"),
    [
        pytest.param(REPORT, CallOptions(), 60, id="a minute for a call"),
        pytest.param(REPORT, CallOptions(timeout=5), 5, id="or its timeout"),
        pytest.param(REPORT, CallOptions(poll_timeout=5), 60, id="which is not poll_timeout"),
        pytest.param(REPORT, CallOptions(deadline=5), 5, id="or what its deadline leaves"),
        pytest.param(REPORT, CallOptions(timeout=3, deadline=5), 3, id="the smaller of the two"),
        pytest.param(REPORT, CallOptions(timeout=7, deadline=5), 5, id="whichever that is"),
        pytest.param(POLL, CallOptions(), 100, id="more for a poll than the service holds it"),
        pytest.param(POLL, CallOptions(poll_timeout=5), 5, id="or its poll_timeout"),
        pytest.param(POLL, CallOptions(timeout=5), 100, id="which is not timeout"),
        pytest.param(POLL, CallOptions(deadline=5), 100, id="and not what a deadline leaves"),
    ],
)
def test_an_attempt_is_given(
    request_: Request[Response], options: CallOptions, timeout: float
) -> None:
    transport = FakeTransport(answer({"canceled": False}))

    Clock().run(call(transport, request_, options))

    assert timeouts(transport) == [timeout]


def test_every_attempt_has_the_whole_of_its_timeout() -> None:
    transport = FakeTransport(then=refusal("ThrottlingException"), takes=4)

    with pytest.raises(ThrottlingException):
        Clock().run(call(transport, REPORT, CallOptions(max_backoff=0, timeout=5)))

    assert timeouts(transport) == [5, 5, 5]


def test_all_attempts_share_the_deadline() -> None:
    options = CallOptions(max_backoff=0, max_attempts=9, deadline=25)
    transport = FakeTransport(then=refusal("ThrottlingException"), takes=10)

    with pytest.raises(ThrottlingException):
        Clock().run(call(transport, REPORT, options))

    assert timeouts(transport) == [25, 15, 5]


def test_no_poll_begins_after_the_deadline() -> None:
    options = CallOptions(max_backoff=0, max_attempts=9, deadline=25)
    transport = FakeTransport(then=refusal("ThrottlingException"), takes=10)

    with pytest.raises(ThrottlingException):
        Clock().run(call(transport, POLL, options))

    assert [sent.at for sent in transport.sent] == [0, 10, 20]
    assert timeouts(transport) == [100, 100, 100]


@given(randomness=st.random_module(), deadline=st.floats(0.001, 100))
def test_nobody_waits_for_an_attempt_that_the_deadline_forbids(
    randomness: object, deadline: float
) -> None:
    clock = Clock()
    transport = FakeTransport(then=refusal("ThrottlingException"))

    with pytest.raises(ThrottlingException) as caught:
        clock.run(call(transport, REPORT, CallOptions(deadline=deadline, max_attempts=9)))

    assert clock.now < deadline
    assert caught.value.attempts == len(transport.sent)


@given(randomness=st.random_module(), max_backoff=st.sampled_from([None, 0, 0.5, 3, 300]))
def test_waits_double_up_to_the_longest_and_are_drawn_at_random(
    randomness: object, max_backoff: float | None
) -> None:
    options = CallOptions(max_backoff=max_backoff, max_attempts=9)
    transport = FakeTransport(then=refusal("ThrottlingException"))
    longest = 20 if max_backoff is None else max_backoff

    with pytest.raises(ThrottlingException):
        Clock().run(call(transport, REPORT, options))

    waits = [after.at - before.at for before, after in pairwise(transport.sent)]
    limits = [min(2**done, longest) for done in range(8)]
    assert all(0 <= wait <= limit + 1e-9 for wait, limit in zip(waits, limits, strict=True))
    assert len(set(waits)) == (1 if longest == 0 else len(waits))


async def test_a_failure_to_get_credentials_applies_nothing() -> None:
    refused = ServiceError("no", code="Down", operation="AssumeRole", status=503, retryable=True)
    transport = FakeTransport(refused, refusal("TaskNotFoundException"))

    with pytest.raises(TaskNotFoundException) as caught:
        await call(transport, REPORT)

    assert caught.value.attempts == 2
    assert not caught.value.maybe_applied
