"""Whatever can go wrong on a socket, and the exception that tells it."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import pytest
from botocore.exceptions import ClientError

from aiodatapipeline import (
    AccessDeniedException,
    ConnectTimeoutError,
    CreatePipelineRequest,
    DataPipelineError,
    ExpiredCredentialsError,
    InternalServiceError,
    InvalidCredentialsError,
    InvalidRequestException,
    PipelineDeletedException,
    PipelineNotFoundException,
    ReadTimeoutError,
    RequestNotSentError,
    ResponseError,
    ResponseLostError,
    ServiceError,
    SetTaskStatusRequest,
    SetTaskStatusResponse,
    TaskNotFoundException,
    TaskStatus,
    ThrottlingException,
)
from tests.integration.clients import client_for, run_skipping, skip
from tests.integration.server import (
    Answer,
    Received,
    Server,
    Then,
    always,
    full_port,
    html,
    http,
    refusal,
    refusing_port,
)

REQUEST_ID = "0d3cfa94-5a4b-11ee-8c99-0242ac120002"
CRC32_OF_EMPTY_OBJECT = "2745614147"
NAMESPACE = "com.amazon.setl.webservice#"
URI = ":http://internal.amazon.com/coral/com.amazon.coral.service/"
HANG = Answer(then=Then.HANG)

FINISHED = SetTaskStatusRequest(task_id="task", task_status=TaskStatus.FINISHED)
CREATE = CreatePipelineRequest(name="name", unique_id="unique")


@dataclass(frozen=True)
class Told:
    """All that an exception tells."""

    kind: type[DataPipelineError]
    operation: str = "SetTaskStatus"
    code: str = ""
    status: int = 0
    request_id: str = ""
    attempts: int = 1
    retryable: bool = False
    maybe_applied: bool = False
    cause: str = ""
    """The name of its class, of the base class for botocore's many ClientErrors."""

    @classmethod
    def by(cls, error: DataPipelineError) -> Told:
        return cls(
            type(error),
            error.operation,
            error.code,
            error.status,
            error.request_id,
            error.attempts,
            error.retryable,
            error.maybe_applied,
            _name(error.__cause__),
        )


def _name(cause: BaseException | None) -> str:
    if isinstance(cause, ClientError):
        return "ClientError"
    return "" if cause is None else type(cause).__name__


async def failure(url: str) -> Told:
    """Call with two attempts at most, and say what is told by the exception that must come."""
    async with client_for(url, max_attempts=2) as client:
        with pytest.raises(DataPipelineError) as caught:
            await client.call(FINISHED)
    error = caught.value
    assert str(error)
    assert_the_same(pickle.loads(pickle.dumps(error)), error)
    return Told.by(error)


def assert_the_same(copy: object, error: DataPipelineError) -> None:
    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert vars(copy) == vars(error)


# -- no answer --------------------------------------------------------------------------------


async def test_a_refused_connection_is_a_request_that_was_not_sent() -> None:
    with refusing_port() as port:
        result = await failure(f"http://127.0.0.1:{port}")

    assert result == Told(
        RequestNotSentError,
        attempts=2,
        retryable=True,
        cause="EndpointConnectionError",
    )


async def test_a_connection_that_is_reset_at_once_may_have_taken_the_request() -> None:
    async with Server(reset_at_once=True) as server:
        result = await failure(server.url)

    assert server.connections == 2
    assert result.kind is ResponseLostError
    assert result.attempts == 2
    assert result.maybe_applied
    assert result.cause in {"EndpointConnectionError", "ConnectionClosedError"}


def lost(cause: str) -> Told:
    return Told(ResponseLostError, attempts=2, retryable=True, maybe_applied=True, cause=cause)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        pytest.param(
            Answer(then=Then.RESET),
            lost("EndpointConnectionError"),
            id="reset-after-the-request",
        ),
        pytest.param(
            Answer(then=Then.CLOSE), lost("ConnectionClosedError"), id="closed-after-the-request"
        ),
        pytest.param(
            Answer(b"HTTP/1.1 200 OK\r\nConte", Then.CLOSE),
            lost("ConnectionClosedError"),
            id="half-a-head",
        ),
        pytest.param(
            http(b'{"a', content_length=100, then=Then.CLOSE),
            lost("ConnectionClosedError"),
            id="half-a-body",
        ),
        pytest.param(
            http(b'{"a', content_length=100, then=Then.RESET),
            lost("ConnectionClosedError"),
            id="half-a-body-reset",
        ),
        pytest.param(
            http(b"{}{}", content_length=2, then=Then.CLOSE),
            lost("HTTPClientError"),
            id="a-body-longer-than-it-says",
        ),
        pytest.param(
            Answer(b"220 smtp.example ESMTP\r\n\r\n", Then.CLOSE),
            lost("HTTPClientError"),
            id="no-http-at-all",
        ),
    ],
)
async def test_a_broken_answer_is_a_lost_one(answer: Answer, expected: Told) -> None:
    async with Server(handler=always(answer)) as server:
        result = await failure(server.url)

    assert result == expected
    assert len(server.received) == 2


async def test_a_connection_that_broke_is_not_called_one_that_could_not_be_made() -> None:
    async with (
        Server(handler=always(Answer(then=Then.RESET))) as server,
        client_for(server.url, max_attempts=1) as client,
    ):
        with pytest.raises(ResponseLostError) as caught:
            await client.call(FINISHED)

    assert "connect to" not in caught.value.message
    assert "reset" in caught.value.message


async def test_a_request_that_gets_no_connection_in_time_was_not_sent() -> None:
    async with (
        Server(HANG) as server,
        client_for(server.url, max_pool_connections=1) as client,
        asyncio.TaskGroup() as group,
    ):
        first = group.create_task(client.call(CREATE))
        await server.until_asked("CreatePipeline")

        with pytest.raises(ConnectTimeoutError) as caught:
            await client.with_options(timeout=0.01, max_attempts=1).call(FINISHED)

        assert not caught.value.maybe_applied
        assert caught.value.retryable
        assert not server.asked("SetTaskStatus")
        first.cancel()


def test_an_address_where_nobody_answers_is_told_within_the_time_of_an_attempt() -> None:
    async def story() -> tuple[Told, int]:
        # TCP connects and TLS does not: the server never says hello.
        async with Server(handler=always(HANG)) as server:
            call = asyncio.create_task(failure(f"https://127.0.0.1:{server.port}"))
            await server.until_connected()
            await skip(12)
            await server.until_connected(2)
            await skip(12)
            return await call, len(server.received)

    result, received = run_skipping(story())

    assert received == 0
    assert result == Told(
        ConnectTimeoutError,
        attempts=2,
        retryable=True,
        cause="ConnectTimeoutError",
    )


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_time_that_ends_before_there_is_a_connection_leaves_nothing_lost(
    scheme: str,
) -> None:
    # Whoever connects gets no answer to it: the queue of connections is full, or TLS stays mute.
    with full_port() as full:
        async with Server(handler=always(HANG)) as mute:
            port = full if scheme == "http" else mute.port
            client = client_for(f"{scheme}://127.0.0.1:{port}", timeout=0.05, max_attempts=2)
            async with client:
                with pytest.raises(ConnectTimeoutError, match="not sent") as caught:
                    await client.call(FINISHED)

    assert caught.value.attempts == 2
    assert not caught.value.maybe_applied


def test_a_service_may_take_most_of_a_minute() -> None:
    async def story() -> SetTaskStatusResponse:
        release = asyncio.Event()

        async def handler(_: Received) -> Answer:
            await release.wait()
            return http()

        async with Server(handler=handler) as server, client_for(server.url) as client:
            call = asyncio.create_task(client.call(FINISHED))
            await server.until_asked("SetTaskStatus")
            await skip(58)
            release.set()
            return await call

    assert run_skipping(story()).metadata.attempts == 1


@pytest.mark.parametrize(
    "answer",
    [HANG, http(b"{", content_length=2, then=Then.HANG)],
    ids=["nothing", "half-an-answer"],
)
def test_an_answer_that_does_not_come_within_a_minute_is_lost(answer: Answer) -> None:
    async def story() -> Told:
        async with Server(handler=always(answer)) as server:
            call = asyncio.create_task(failure(server.url))
            await server.until_asked("SetTaskStatus")
            await skip(61)
            await server.until_asked("SetTaskStatus", 2)
            await skip(61)
            return await call

    assert run_skipping(story()) == Told(
        ReadTimeoutError, attempts=2, retryable=True, maybe_applied=True, cause="TimeoutError"
    )


# -- answers that are none --------------------------------------------------------------------


def nonsense(status: int = 200, *, cause: str = "") -> Told:
    return Told(
        ResponseError,
        status=status,
        request_id=REQUEST_ID,
        attempts=2,
        retryable=True,
        maybe_applied=True,
        cause=cause,
    )


IDENTIFIED = {"x-amzn-RequestId": REQUEST_ID}


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        pytest.param(html(200, headers=IDENTIFIED), nonsense(), id="html-200"),
        pytest.param(
            html(502, headers=IDENTIFIED), nonsense(502, cause="ClientError"), id="html-502"
        ),
        pytest.param(
            http(b"", 503, headers=IDENTIFIED), nonsense(503, cause="ClientError"), id="empty-503"
        ),
        pytest.param(
            http(b"[]", 500, headers=IDENTIFIED), nonsense(500, cause="ClientError"), id="list-500"
        ),
        pytest.param(
            html(429, headers=IDENTIFIED), nonsense(429, cause="ClientError"), id="html-429"
        ),
        pytest.param(
            html(403, headers=IDENTIFIED),
            replace(nonsense(403, cause="ClientError"), attempts=1, retryable=False),
            id="html-403",
        ),
        pytest.param(http(b"[]", headers=IDENTIFIED), nonsense(), id="list"),
        pytest.param(http(b"null", headers=IDENTIFIED), nonsense(), id="null"),
        pytest.param(http(b'{"a": ', headers=IDENTIFIED), nonsense(), id="half-of-the-json"),
        pytest.param(http(b'{"a": "\xff"}', headers=IDENTIFIED), nonsense(), id="not-utf-8"),
        pytest.param(
            http(b"[" * 100_000, headers=IDENTIFIED), nonsense(), id="json-too-deep-to-read"
        ),
        pytest.param(
            http(headers={**IDENTIFIED, "x-amz-crc32": "1"}), nonsense(), id="wrong-checksum"
        ),
    ],
)
async def test_an_answer_that_is_none_is_a_response_error(answer: Answer, expected: Told) -> None:
    async with Server(handler=always(answer)) as server:
        result = await failure(server.url)

    assert result == expected
    assert len(server.received) == expected.attempts


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_an_answer_from_somewhere_else_is_none(status: int) -> None:
    # aiohttp would go there, body and credentials in hand, and an empty answer is a yes.
    redirect = http(b"", status, headers={"Location": "/elsewhere"})
    async with Server(redirect, http(b"")) as server, client_for(server.url) as client:
        with pytest.raises(ResponseError, match=r"/elsewhere.*endpoint_url") as caught:
            await client.call(FINISHED)

    assert Told.by(caught.value) == Told(
        ResponseError, status=status, maybe_applied=True, cause="ClientError"
    )
    assert len(server.received) == 1


@pytest.mark.parametrize("status", [302, 307])
async def test_a_poll_that_is_redirected_to_nowhere_was_sent_and_is_not_repeated(
    status: int,
) -> None:
    with refusing_port() as port:
        redirect = http(b"", status, headers={"Location": f"http://127.0.0.1:{port}/"})
        async with Server(handler=always(redirect)) as server, client_for(server.url) as client:
            with pytest.raises(ResponseError):
                await client.poll_for_task("group")

    assert len(server.received) == 1


async def test_an_answer_with_an_odd_header_is_an_answer() -> None:
    answer = Answer(b"HTTP/1.1 200 X\r\nContent-Length: 2\r\nX: \xff\r\n\r\n{}")
    async with Server(handler=always(answer)) as server, client_for(server.url) as client:
        response = await client.call(FINISHED)

    assert response.metadata.headers["x"] == "\ufffd"


async def test_a_missing_required_member_is_a_response_error_that_names_it() -> None:
    async with (
        Server(http(b"", headers=IDENTIFIED)) as server,
        client_for(server.url) as client,
    ):
        with pytest.raises(ResponseError, match="pipelineId") as caught:
            await client.call(CREATE)

    assert Told.by(caught.value) == Told(
        ResponseError,
        operation="CreatePipeline",
        status=200,
        request_id=REQUEST_ID,
        maybe_applied=True,  # it was: the answer just does not say which pipeline it is
        cause="ValidationError",
    )


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(http(), id="empty-structure"),
        pytest.param(http(b""), id="empty-body"),
        pytest.param(http(headers={"x-amz-crc32": CRC32_OF_EMPTY_OBJECT}), id="right-checksum"),
        pytest.param(http({"unknown": [{"to": "us"}]}), id="unknown-member"),
        pytest.param(http(headers={"Content-Type": "text/plain"}), id="unusual-content-type"),
    ],
)
async def test_an_answer_without_required_members_may_be_empty_or_say_more(answer: Answer) -> None:
    async with Server(answer) as server, client_for(server.url) as client:
        response = await client.call(FINISHED)

    assert response == SetTaskStatusResponse()
    assert len(server.received) == 1


async def test_a_connection_that_broke_once_is_forgotten() -> None:
    answers = (Answer(then=Then.RESET), html(502), http(headers=IDENTIFIED))
    async with Server(*answers) as server, client_for(server.url) as client:
        response = await client.call(FINISHED)

    assert response.metadata.attempts == 3
    assert response.metadata.status == 200
    assert response.metadata.request_id == REQUEST_ID
    assert response.metadata.headers["content-length"] == "2"
    assert response.metadata.elapsed > 0
    assert len({request.body for request in server.received}) == 1


async def test_an_idle_connection_that_the_server_closed_costs_no_attempt() -> None:
    answers = http(then=Then.CLOSE), http(then=Then.CLOSE)
    async with Server(*answers) as server, client_for(server.url) as client:
        await client.call(FINISHED)
        await server.until_idle()
        response = await client.call(FINISHED)

    assert response.metadata.attempts == 1
    assert server.connections == 2


# -- the service's no -------------------------------------------------------------------------

MODELLED = [
    InternalServiceError,
    InvalidRequestException,
    PipelineDeletedException,
    PipelineNotFoundException,
    TaskNotFoundException,
]


@dataclass(frozen=True)
class Form:
    """A way to write a code and a message: members and headers with CODE in them."""

    members: Mapping[str, str]
    headers: Mapping[str, str] = field(default_factory=dict[str, str])

    def answer(self, code: str, status: int) -> Answer:
        members = {name: text.replace("CODE", code) for name, text in self.members.items()}
        headers = {name: text.replace("CODE", code) for name, text in self.headers.items()}
        return http(members, status, headers={**headers, **IDENTIFIED})


NO = {"message": "no"}
FORMS = {
    "bare": Form({"__type": "CODE", **NO}),
    "namespace": Form({"__type": f"{NAMESPACE}CODE", **NO}),
    "uri": Form({"__type": f"CODE{URI}", **NO}),
    "namespace-and-uri": Form({"__type": f"{NAMESPACE}CODE{URI}", **NO}),
    "uri-with-a-fragment": Form({"__type": "CODE:http://internal.amazon.com/#errors", **NO}),
    "header": Form(NO, {"x-amzn-ErrorType": "CODE"}),
    "header-with-uri": Form(NO, {"x-amzn-errortype": f"CODE{URI}"}),
    "header-before-body": Form({"__type": "Other", **NO}, {"X-Amzn-ErrorType": "CODE"}),
    "code": Form({"code": "CODE", **NO}),
    "upper-case-message": Form({"__type": "CODE", "Message": "no"}),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", MODELLED)
async def test_a_documented_code_is_found_in_every_form(
    kind: type[ServiceError], form: str
) -> None:
    status = 500 if kind is InternalServiceError else 400
    answer = FORMS[form].answer(kind.__name__, status)

    async with Server(answer) as server, client_for(server.url, max_attempts=1) as client:
        with pytest.raises(ServiceError) as caught:
            await client.call(FINISHED)

    error = caught.value
    assert error.message == "no"
    assert type(error) is kind
    assert error.code == kind.__name__
    assert error.request_id == REQUEST_ID
    assert str(error) == f"SetTaskStatus failed: no [{kind.__name__}] (request {REQUEST_ID})"
    assert isinstance(error.__cause__, ClientError)
    assert error.__cause__.response["Error"]["Code"] == kind.__name__
    assert error.__cause__.response["Error"]["Message"] == "no"


@pytest.mark.parametrize(
    ("code", "status", "kind", "repeated"),
    [
        ("InternalServiceError", 500, InternalServiceError, True),
        ("InvalidRequestException", 400, InvalidRequestException, False),
        ("PipelineDeletedException", 400, PipelineDeletedException, False),
        ("PipelineNotFoundException", 400, PipelineNotFoundException, False),
        ("TaskNotFoundException", 400, TaskNotFoundException, False),
        ("ThrottlingException", 400, ThrottlingException, True),
        ("Throttling", 400, ThrottlingException, True),
        ("RequestLimitExceeded", 503, ThrottlingException, True),
        ("AccessDeniedException", 400, AccessDeniedException, False),
        ("AccessDenied", 403, AccessDeniedException, False),
        ("ExpiredTokenException", 400, ExpiredCredentialsError, False),
        ("ExpiredToken", 403, ExpiredCredentialsError, False),
        ("UnrecognizedClientException", 400, InvalidCredentialsError, False),
        ("InvalidSignatureException", 403, InvalidCredentialsError, False),
        ("MissingAuthenticationTokenException", 400, InvalidCredentialsError, False),
        ("ValidationException", 400, ServiceError, False),
        ("UnheardOfException", 418, ServiceError, False),
        ("InternalFailure", 500, ServiceError, True),
        ("ServiceUnavailable", 503, ServiceError, True),
    ],
)
async def test_a_refusal_tells_all_that_is_known(
    code: str, status: int, kind: type[ServiceError], repeated: bool
) -> None:
    answer = http({"__type": code, "message": "no"}, status, headers=IDENTIFIED)

    async with Server(handler=always(answer)) as server:
        result = await failure(server.url)

    expected = Told(
        kind,
        code=code,
        status=status,
        request_id=REQUEST_ID,
        attempts=2 if repeated else 1,
        retryable=repeated,
        maybe_applied=status >= 500 and kind is not ThrottlingException,
        cause="ClientError",
    )
    assert result == expected
    assert len(server.received) == expected.attempts


async def test_a_refusal_after_a_lost_answer_may_be_the_echo_of_a_success() -> None:
    answers = Answer(then=Then.CLOSE), refusal("TaskNotFoundException")
    async with Server(*answers) as server:
        result = await failure(server.url)

    assert result.kind is TaskNotFoundException
    assert result.attempts == 2
    assert result.maybe_applied


@pytest.mark.parametrize(
    "answer",
    [
        http(b"<html>", 200),
        http(b"<html>", 500),
        http(b'{"__type": 5, "message": {}}', 400),
        http(b'{"__type": "X", "message": [5]}', 400),
        http(b'{"__type": "#"}', 400),
        http(b"\xff\xfe", 400),
        Answer(b"\x16\x03\x01", Then.CLOSE),
        Answer(b"HTTP/1.1 99999 X\r\n\r\n", Then.CLOSE),
        Answer(b"HTTP/1.1 200 X\r\nContent-Length: -5\r\n\r\n", Then.CLOSE),
        Answer(b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", Then.CLOSE),
        Answer(b"HTTP/1.1 200 X\r\n" + b"A: " + b"b" * 100_000 + b"\r\n\r\n", Then.CLOSE),
    ],
    ids=lambda answer: repr(answer.data[:60]),
)
async def test_no_exception_of_another_package_leaves(answer: Answer) -> None:
    async with Server(handler=always(answer)) as server:
        result = await failure(server.url)

    assert result.kind.__module__ == "aiodatapipeline.errors"
