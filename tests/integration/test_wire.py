"""What goes over the wire and what is read from it is what raw aiobotocore writes and reads."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

import pytest
from hypothesis import given, settings

from aiodatapipeline import Response
from aiodatapipeline.operations import OPERATIONS
from tests.integration.clients import client_for, raw_client, smallest_input, smallest_output
from tests.integration.server import Answer, Received, Server, http
from tests.strategies import OPERATION_NAMES, Wire, inputs, outputs

FEWER = settings(max_examples=settings().max_examples // 5)  # each is asked over sockets, twice

# What a request is. The other headers say by whom it is sent, and how often.
HEADERS = (
    "accept-encoding",
    "authorization",
    "content-length",
    "content-type",
    "host",
    "x-amz-date",
    "x-amz-security-token",
    "x-amz-target",
)


class Both:
    """Our client and a raw one, asking a server that answers what it is told to."""

    def __init__(self) -> None:
        self.answer: Mapping[str, object] = {}
        self._runner = asyncio.Runner()
        self._stack = AsyncExitStack()

    def __enter__(self) -> Self:
        self._runner.run(self._open())
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._runner.run(self._stack.aclose())
        self._runner.close()

    async def _open(self) -> None:
        enter = self._stack.enter_async_context
        self._server = await enter(Server(handler=self._handle))
        self._ours = await enter(client_for(self._server.url))
        raw = await enter(raw_client(self._server.url))
        names = raw.meta.method_to_api_mapping.items()
        self._methods = {operation: getattr(raw, method) for method, operation in names}

    async def _handle(self, _: Received) -> Answer:
        return http(self.answer)

    def ask_ours(self, operation: str, body: Wire) -> tuple[Response, Received]:
        request = OPERATIONS[operation].request.from_wire(body)
        response: Response = self._runner.run(self._ours.call(request))
        return response, self._server.received[-1]

    def ask_raw(self, operation: str, body: Wire) -> tuple[Wire, Received]:
        parsed: Wire = self._runner.run(self._methods[operation](**body))
        del parsed["ResponseMetadata"]
        return parsed, self._server.received[-1]

    def requests(self, operation: str, body: Wire) -> tuple[Received, Received]:
        """Both requests, of one second, since the signature has the time in it."""
        while True:
            _, ours = self.ask_ours(operation, body)
            # A JSON object has no order; raw aiobotocore writes what it is given, as given.
            assert ours.members == body
            _, raw = self.ask_raw(operation, ours.members)
            if ours.headers["x-amz-date"] == raw.headers["x-amz-date"]:
                return ours, raw


def assert_alike(ours: Received, raw: Received) -> None:
    assert ours.body == raw.body
    assert (ours.method, ours.url) == (raw.method, raw.url)
    for name in HEADERS:
        assert (name, ours.headers.get(name)) == (name, raw.headers.get(name))


# Of raw aiobotocore's large bodies; the test below shows that ours need no such warning.
@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")
@pytest.mark.hypothesis
@pytest.mark.parametrize("operation", OPERATION_NAMES)
def test_a_request_is_the_one_that_raw_aiobotocore_sends(operation: str) -> None:
    with Both() as both:
        both.answer = smallest_output(operation)

        @FEWER
        @given(inputs(operation))
        def check(body: Wire) -> None:
            ours, raw = both.requests(operation, body)

            assert ours.headers["x-amz-target"] == f"DataPipeline.{operation}"
            assert_alike(ours, raw)

        check()


@pytest.mark.hypothesis
@pytest.mark.parametrize("operation", OPERATION_NAMES)
def test_an_answer_is_read_as_raw_aiobotocore_reads_it(operation: str) -> None:
    with Both() as both:
        body = smallest_input(operation)

        @FEWER
        @given(outputs(operation))
        def check(answer: Wire) -> None:
            both.answer = answer

            ours, _ = both.ask_ours(operation, body)
            raw, _ = both.ask_raw(operation, body)

            assert type(ours) is OPERATIONS[operation].response
            assert ours.to_wire() == raw

        check()


@pytest.mark.parametrize("token", [None, "a+session/token=="])
@pytest.mark.parametrize(
    "url",
    [
        "http://service.invalid",
        "http://service.invalid:80/",
        "http://SERVICE.invalid:8080/a%20path/./with/../dots//and~more/",
        "http://[::1]:8080/",
    ],
)
async def test_a_request_is_signed_as_raw_aiobotocore_signs_it(
    url: str, token: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Server() as proxy:  # it takes requests for anywhere
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        async with (
            client_for(url, aws_session_token=token) as client,
            raw_client(url, aws_session_token=token) as other,
        ):
            while True:
                await client.set_task_status("task", "FINISHED")
                await other.set_task_status(taskId="task", taskStatus="FINISHED")
                ours, raw = proxy.received[-2:]
                if ours.headers["x-amz-date"] == raw.headers["x-amz-date"]:
                    break

    assert ours.headers.get("x-amz-security-token") == token
    assert_alike(ours, raw)


async def test_a_body_of_more_than_a_megabyte_is_sent_whole_and_without_a_warning() -> None:
    text = "x" * 2**21
    async with (
        Server(http({"evaluatedExpression": text})) as server,
        client_for(server.url) as client,
    ):
        response = await client.evaluate_expression("pipeline", "object", text)

    [received] = server.received
    assert received.members["expression"] == text
    assert received.headers["content-length"] == str(len(received.body))
    assert response.evaluated_expression == text
