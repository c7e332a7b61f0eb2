"""The values of encrypted fields are in no log, whoever writes it, and in no exception."""

from __future__ import annotations

import asyncio
import logging
import pickle
import traceback
from collections.abc import Awaitable, Callable, Mapping

import pytest

from aiodatapipeline import DataPipelineClient, DataPipelineError, ResponseLostError
from aiodatapipeline.models import (
    Field,
    ParameterAttribute,
    ParameterObject,
    ParameterValue,
    PipelineObject,
)
from tests.integration.clients import SECRET_KEY, client_for
from tests.integration.server import Answer, Server, Then, always, http, refusal

SECRET = "hunter2-is-encrypted"

OBJECT = PipelineObject.of("Database", {"*password": SECRET, "type": "JdbcDatabase"})
PARAMETER = ParameterObject(
    id="*myPassword", attributes=(ParameterAttribute(key="default", string_value=SECRET),)
)
VALUE = ParameterValue(id="*myPassword", string_value=SECRET)

DEFINITION = {
    "pipelineObjects": [OBJECT.to_wire()],
    "parameterObjects": [PARAMETER.to_wire()],
    "parameterValues": [VALUE.to_wire()],
}
TASK = {
    "taskObject": {
        "taskId": "task",
        "pipelineId": "df-1",
        "attemptId": "Database",
        "objects": {"Database": OBJECT.to_wire()},
    }
}


@pytest.fixture(autouse=True)
def _log_everything(caplog: pytest.LogCaptureFixture) -> None:
    for name in ("", "aiobotocore", "aiodatapipeline", "aiohttp", "asyncio", "botocore", "urllib3"):
        caplog.set_level(logging.DEBUG, logger=name)


def assert_kept(*texts: str, logged: pytest.LogCaptureFixture) -> None:
    """No text has the secret in it, nor has any log record, whatever formats it."""
    records = [
        text
        for record in logged.records
        for text in (logging.Formatter().format(record), repr(vars(record)))
    ]
    assert len(records) > 20  # botocore says a lot, or this would show nothing
    for text in (*texts, *records):
        assert SECRET not in text
        assert SECRET_KEY not in text


async def put(client: DataPipelineClient) -> object:
    return await client.put_pipeline_definition(
        "df-1", [OBJECT], parameter_objects=[PARAMETER], parameter_values=[VALUE]
    )


async def validate(client: DataPipelineClient) -> object:
    return await client.validate_pipeline_definition("df-1", [OBJECT])


async def activate(client: DataPipelineClient) -> object:
    return await client.activate_pipeline("df-1", parameter_values=[VALUE])


async def report(client: DataPipelineClient) -> object:
    return await client.report_task_progress(
        "task", fields=[Field(key="*token", string_value=SECRET)]
    )


async def get(client: DataPipelineClient) -> object:
    return await client.get_pipeline_definition("df-1")


async def describe(client: DataPipelineClient) -> object:
    return await client.describe_objects("df-1", ["Database"])


async def poll(client: DataPipelineClient) -> object:
    return await client.poll_for_task("group")


Call = Callable[[DataPipelineClient], Awaitable[object]]


@pytest.mark.parametrize(
    ("call", "answer"),
    [
        (put, {"errored": False}),
        (validate, {"errored": False}),
        (activate, {}),
        (report, {"canceled": False}),
        (get, DEFINITION),
        (describe, {"pipelineObjects": DEFINITION["pipelineObjects"]}),
        (poll, TASK),
    ],
)
async def test_a_call_keeps_a_secret(
    call: Call, answer: Mapping[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    asyncio.get_running_loop().set_debug(True)  # asyncio has something to say then

    async with Server(http(answer)) as server, client_for(server.url) as client:
        response = await call(client)

    [received] = server.received
    assert SECRET.encode() in received.body + http(answer).data  # it went over the wire
    assert_kept(repr(response), str(response), logged=caplog)


BOTH_VALUES = {
    "pipelineObjects": [
        {
            "id": "Database",
            "name": "Database",
            "fields": [{"key": "*password", "stringValue": SECRET, "refValue": "Other"}],
        }
    ]
}
HALF = http(DEFINITION).data.partition(b"\r\n\r\n")[2][:-2]


@pytest.mark.parametrize(
    ("call", "answer"),
    [
        pytest.param(put, refusal("InvalidRequestException"), id="refused"),
        pytest.param(put, refusal("InternalServiceError", status=500), id="failed"),
        pytest.param(put, Answer(then=Then.CLOSE), id="lost"),
        pytest.param(put, Answer(then=Then.HANG), id="too-late"),
        pytest.param(get, http(HALF), id="half-of-the-json"),
        pytest.param(
            get, http(HALF, headers={"Content-Type": "text/plain"}), id="half-of-the-json-as-text"
        ),
        pytest.param(get, http(HALF, 500), id="half-of-the-json-500"),
        pytest.param(
            get,
            http(HALF, 500, headers={"Content-Type": "text/html"}),
            id="half-of-the-json-500-as-html",
        ),
        pytest.param(get, http(HALF, content_length=9999, then=Then.CLOSE), id="half-an-answer"),
        pytest.param(get, http([DEFINITION]), id="list"),
        pytest.param(get, http(BOTH_VALUES), id="does-not-fit"),
        pytest.param(get, http({"pipelineObjects": SECRET}), id="wrong-type"),
        pytest.param(poll, http({"taskObject": {"objects": TASK}}), id="task-does-not-fit"),
        pytest.param(get, http(DEFINITION, headers={"x-amz-crc32": "1"}), id="wrong-checksum"),
    ],
)
async def test_a_failure_keeps_a_secret(
    call: Call, answer: Answer, caplog: pytest.LogCaptureFixture
) -> None:
    asyncio.get_running_loop().set_debug(True)
    async with (
        Server(handler=always(answer)) as server,
        client_for(server.url, timeout=0.2, max_attempts=2) as client,
    ):
        with pytest.raises(DataPipelineError) as caught:
            await call(client)

    error = caught.value
    told = "".join(traceback.format_exception(error))
    assert_kept(repr(error), told, repr(vars(error)), repr(pickle.dumps(error)), logged=caplog)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(http(HALF, content_length=0, then=Then.CLOSE), id="longer-than-it-says"),
        pytest.param(Answer(HALF + b"\r\n\r\n", Then.CLOSE), id="no-status"),
        pytest.param(
            Answer(
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + HALF + b"\r\n",
                Then.CLOSE,
            ),
            id="no-chunk",
        ),
    ],
)
async def test_what_is_not_http_is_not_shown(
    answer: Answer, caplog: pytest.LogCaptureFixture
) -> None:
    # aiohttp's exception shows what came, so it is no part of ours.
    caplog.set_level(logging.DEBUG)
    async with (
        Server(handler=always(answer)) as server,
        client_for(server.url, max_attempts=1) as client,
    ):
        with pytest.raises(ResponseLostError) as caught:
            await get(client)

    told = "".join(traceback.format_exception(caught.value))
    assert_kept(repr(caught.value), told, repr(vars(caught.value)), logged=caplog)
