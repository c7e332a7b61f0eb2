"""Tracing that hangs on aiobotocore sees every call of ours."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager

import pytest
from opentelemetry.instrumentation.botocore import (  # pyright: ignore[reportMissingTypeStubs]  # none
    AiobotocoreInstrumentor,
)
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from aiodatapipeline import ResponseLostError, TaskNotFoundException
from aiodatapipeline.operations import OPERATIONS
from tests.integration.clients import REGION, client_for, smallest_input, smallest_output
from tests.integration.server import Answer, Received, Server, Then, http, refusal
from tests.strategies import OPERATION_NAMES

REQUEST_ID = "0d3cfa94-5a4b-11ee-8c99-0242ac120002"


@contextmanager
def tracing() -> Generator[InMemorySpanExporter]:
    """Collect what OpenTelemetry sees."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    instrumentor = AiobotocoreInstrumentor()  # type: ignore[no-untyped-call]  # it has no types
    instrumentor.instrument(tracer_provider=provider)
    try:
        yield exporter
    finally:
        instrumentor.uninstrument()


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    with tracing() as exporter:
        yield exporter


def attribute(name: str, spans: Iterable[ReadableSpan]) -> list[object]:
    return [(span.attributes or {}).get(name) for span in spans]


async def test_every_call_is_a_span(spans: InMemorySpanExporter) -> None:
    async def handler(request: Received) -> Answer:
        return http(smallest_output(request.operation), headers={"x-amzn-RequestId": REQUEST_ID})

    async with Server(handler=handler) as server, client_for(server.url) as client:
        for operation, row in OPERATIONS.items():
            await client.call(row.request.from_wire(smallest_input(operation)))

    finished = spans.get_finished_spans()
    assert attribute("rpc.method", finished) == OPERATION_NAMES
    for name, value in {
        "rpc.service": "Data Pipeline",
        "cloud.region": REGION,
        "server.port": server.port,
        "aws.request_id": REQUEST_ID,
        "http.status_code": 200,
    }.items():
        assert attribute(name, finished) == [value] * len(OPERATION_NAMES)
    assert all("x-amzn-trace-id" in each.headers for each in server.received)


async def test_every_attempt_is_a_span_that_tells_how_it_ended(
    spans: InMemorySpanExporter,
) -> None:
    answers = (
        refusal("InternalServiceError", "out of order", 500),
        Answer(then=Then.CLOSE),
        refusal("TaskNotFoundException"),
    )
    async with Server(*answers) as server, client_for(server.url) as client:
        with pytest.raises(TaskNotFoundException):
            await client.report_task_progress("task")

    failed, lost, refused = spans.get_finished_spans()
    assert {span.status.status_code for span in (failed, lost, refused)} == {StatusCode.ERROR}
    assert "out of order" in str(failed.status.description)
    assert attribute("http.status_code", (failed, lost, refused)) == [500, None, 400]


async def test_a_poll_is_a_span_too(spans: InMemorySpanExporter) -> None:
    async with Server(Answer(then=Then.RESET)) as server, client_for(server.url) as client:
        with pytest.raises(ResponseLostError):
            await client.poll_for_task("group")

    [span] = spans.get_finished_spans()
    assert span.status.status_code is StatusCode.ERROR


async def test_a_client_that_is_open_already_is_seen_too() -> None:
    async with Server() as server, client_for(server.url) as client:
        await client.set_task_status("before", "FINISHED")
        with tracing() as spans:
            await client.set_task_status("seen", "FINISHED")
        await client.set_task_status("after", "FINISHED")

    assert len(spans.get_finished_spans()) == 1
