"""The 19 methods and ``call``, options, and a client's life from open to closed."""

from __future__ import annotations

import asyncio
import inspect
import re
import subprocess
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, cast

import pydantic
import pytest

from aiodatapipeline import (
    ActivatePipelineRequest,
    AddTagsRequest,
    CallOptions,
    ClientClosedError,
    ConfigurationError,
    CreatePipelineRequest,
    DataPipelineClient,
    DeactivatePipelineRequest,
    DeletePipelineRequest,
    DescribeObjectsRequest,
    DescribePipelinesRequest,
    EvaluateExpressionRequest,
    GetPipelineDefinitionRequest,
    ListPipelinesRequest,
    MissingCredentialsError,
    PollForTaskRequest,
    PutPipelineDefinitionRequest,
    QueryObjectsRequest,
    RemoveTagsRequest,
    ReportTaskProgressRequest,
    ReportTaskRunnerHeartbeatRequest,
    Request,
    Response,
    SetStatusRequest,
    SetTaskStatusRequest,
    TaskStatus,
    ThrottlingException,
    ValidatePipelineDefinitionRequest,
)
from aiodatapipeline.models import (
    Field,
    InstanceIdentity,
    Operator,
    OperatorType,
    ParameterAttribute,
    ParameterObject,
    ParameterValue,
    PipelineObject,
    Query,
    Selector,
    Tag,
)
from tests.fakes import FakeTransport, answer, refusal
from tests.strategies import SERVICE

# With every member that any operation requires; what others there are is ignored.
YES = answer(
    {
        "pipelineId": "df-1",
        "pipelineIdList": [],
        "pipelineDescriptionList": [],
        "pipelineObjects": [],
        "evaluatedExpression": "a text",
        "errored": False,
        "canceled": False,
        "terminate": False,
    }
)

KEYS: dict[str, Any] = {
    "region_name": "us-east-1",
    "aws_access_key_id": "an id",
    "aws_secret_access_key": "a key",
}

OBJECTS = (PipelineObject.of("Default", {"workerGroup": "a group"}),)
PARAMETERS = (
    ParameterObject(id="myDay", attributes=(ParameterAttribute(key="type", string_value="Day"),)),
)
VALUES = (ParameterValue(id="myDay", string_value="Monday"),)
TAGS = (Tag(key="team", value="data"),)

# Each operation with all that it can be asked.
REQUESTS: tuple[Request[Any], ...] = (
    ActivatePipelineRequest(
        pipeline_id="df-1",
        parameter_values=VALUES,
        start_timestamp=datetime(2024, 2, 29, tzinfo=UTC),
    ),
    AddTagsRequest(pipeline_id="df-1", tags=TAGS),
    CreatePipelineRequest(name="a name", unique_id="an id", description="a text", tags=TAGS),
    DeactivatePipelineRequest(pipeline_id="df-1", cancel_active=False),
    DeletePipelineRequest(pipeline_id="df-1"),
    DescribeObjectsRequest(
        pipeline_id="df-1",
        object_ids=("one", "another"),
        evaluate_expressions=False,
        marker="a marker",
    ),
    DescribePipelinesRequest(pipeline_ids=("df-1", "df-2")),
    EvaluateExpressionRequest(pipeline_id="df-1", object_id="one", expression="#{1 + 1}"),
    GetPipelineDefinitionRequest(pipeline_id="df-1", version="active"),
    ListPipelinesRequest(marker="a marker"),
    PollForTaskRequest(
        worker_group="a group",
        hostname="a host",
        instance_identity=InstanceIdentity(document="a document", signature="a signature"),
    ),
    PutPipelineDefinitionRequest(
        pipeline_id="df-1",
        pipeline_objects=OBJECTS,
        parameter_objects=PARAMETERS,
        parameter_values=VALUES,
    ),
    QueryObjectsRequest(
        pipeline_id="df-1",
        sphere="INSTANCE",
        query=Query(
            selectors=(
                Selector(
                    field_name="@status",
                    operator=Operator(type=OperatorType.EQ, values=("RUNNING",)),
                ),
            )
        ),
        marker="a marker",
        limit=7,
    ),
    RemoveTagsRequest(pipeline_id="df-1", tag_keys=("team", "owner")),
    ReportTaskProgressRequest(task_id="a task", fields=(Field.of("percentComplete", "50"),)),
    ReportTaskRunnerHeartbeatRequest(
        taskrunner_id="a runner", worker_group="a group", hostname="a host"
    ),
    SetStatusRequest(pipeline_id="df-1", object_ids=("one", "another"), status="PAUSE"),
    SetTaskStatusRequest(
        task_id="a task",
        task_status=TaskStatus.FAILED,
        error_id="an id",
        error_message="a text",
        error_stack_trace="a trace",
    ),
    ValidatePipelineDefinitionRequest(
        pipeline_id="df-1",
        pipeline_objects=OBJECTS,
        parameter_objects=PARAMETERS,
        parameter_values=VALUES,
    ),
)
# What the methods send although it was left out, so that nothing of an earlier definition stays.
ALWAYS_SENT: Mapping[str, Mapping[str, object]] = {
    "PutPipelineDefinition": {"parameterObjects": [], "parameterValues": []},
    "ValidatePipelineDefinition": {"parameterObjects": [], "parameterValues": []},
}

each_operation = pytest.mark.parametrize("request_", REQUESTS, ids=lambda one: one.operation)


def snake_case(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


def required(operation: str) -> list[str]:
    """Our names of an operation's required members, in the documented order."""
    shape = SERVICE["shapes"][SERVICE["operations"][operation]["input"]["shape"]]
    assert shape["type"] == "structure"
    return [snake_case(member) for member in shape.get("required", [])]


def method_of(client: DataPipelineClient, request: Request[Any]) -> Callable[..., Awaitable[Any]]:
    return cast("Callable[..., Awaitable[Any]]", getattr(client, snake_case(request.operation)))


def arguments(request: Request[Any]) -> tuple[list[object], dict[str, object]]:
    """Give a request's members as a caller would: the required ones by position."""
    members = {name: getattr(request, name) for name in request.model_fields_set}
    return [members.pop(name) for name in required(request.operation)], members


# -- methods ------------------------------------------------------------------------------


def test_the_requests_above_are_those_of_every_operation_with_every_member() -> None:
    operations = [request.operation for request in REQUESTS]

    assert operations == sorted(SERVICE["operations"])
    for request in REQUESTS:
        assert request.model_fields_set == set(type(request).model_fields), request.operation


@each_operation
async def test_a_method_sends_what_its_request_says_and_returns_its_response(
    request_: Request[Response],
) -> None:
    transport = FakeTransport(then=YES)
    positional, keywords = arguments(request_)

    async with DataPipelineClient(transport=transport) as client:
        by_method = await method_of(client, request_)(*positional, **keywords)
        by_request = await client.call(request_)

    assert [(sent.operation, sent.body) for sent in transport.sent] == [
        (request_.operation, request_.to_wire())
    ] * 2
    assert by_method == by_request
    assert type(by_method).__name__ == f"{request_.operation}Response"


@each_operation
async def test_a_method_leaves_out_what_its_caller_left_out(request_: Request[Response]) -> None:
    transport = FakeTransport(YES)
    positional, _ = arguments(request_)
    least = dict(zip(required(request_.operation), positional, strict=True))
    expected = {**type(request_)(**least).to_wire(), **ALWAYS_SENT.get(request_.operation, {})}

    async with DataPipelineClient(transport=transport) as client:
        await method_of(client, request_)(*positional)

    assert transport.sent[0].body == expected


@each_operation
async def test_a_method_takes_options_for_one_call(request_: Request[Response]) -> None:
    transport = FakeTransport(YES)
    positional, keywords = arguments(request_)
    options = CallOptions(timeout=7, poll_timeout=7)

    async with DataPipelineClient(transport=transport) as client:
        await method_of(client, request_)(*positional, **keywords, options=options)

    assert transport.sent[0].timeout == 7


@each_operation
def test_only_required_members_are_positional_and_in_the_documented_order(
    request_: Request[Response],
) -> None:
    method = getattr(DataPipelineClient, snake_case(request_.operation))

    _, *parameters = inspect.signature(method).parameters.values()

    positional = [one for one in parameters if one.kind is one.POSITIONAL_OR_KEYWORD]
    keywords = [one for one in parameters if one.kind is one.KEYWORD_ONLY]
    assert positional + keywords == parameters
    assert [one.name for one in positional] == required(request_.operation)
    assert not [one.name for one in positional if one.default is not one.empty]
    assert not [one.name for one in keywords if one.default is one.empty]
    members = {one.name for one in parameters} - {"options", "max_items"}
    assert members == set(type(request_).model_fields)


async def test_any_iterable_will_do_where_there_are_several() -> None:
    transport = FakeTransport(then=YES)

    async with DataPipelineClient(transport=transport) as client:
        await client.describe_pipelines(["df-1"])
        await client.describe_pipelines(f"df-{number}" for number in (1, 2))
        await client.describe_pipelines({"df-1": "the keys of a mapping"})

    assert [sent.body["pipelineIds"] for sent in transport.sent] == [
        ["df-1"],
        ["df-1", "df-2"],
        ["df-1"],
    ]


async def test_the_plain_word_of_a_task_status_will_do() -> None:
    transport = FakeTransport(YES)

    async with DataPipelineClient(transport=transport) as client:
        await client.set_task_status("a task", "FINISHED")

    assert transport.sent[0].body == {"taskId": "a task", "taskStatus": "FINISHED"}


# -- wrong arguments ----------------------------------------------------------------------


@each_operation
async def test_a_wrong_argument_is_told_by_name_before_anything_is_sent(
    request_: Request[Response],
) -> None:
    transport = FakeTransport()
    positional, keywords = arguments(request_)
    members = dict(zip(required(request_.operation), positional, strict=True)) | keywords
    first = next(iter(members))
    members[first] = (5,) if isinstance(members[first], tuple) else 5

    async with DataPipelineClient(transport=transport) as client:
        with pytest.raises(pydantic.ValidationError, match=first):
            await method_of(client, request_)(**members)

    assert transport.sent == []


@pytest.mark.parametrize("text", ["", "a text"])
@pytest.mark.parametrize(
    ("request_", "member"),
    [
        pytest.param(request, name, id=f"{request.operation}, {name}")
        for request in REQUESTS
        for name in type(request).model_fields
        if isinstance(getattr(request, name), tuple)
    ],
)
async def test_a_text_is_not_taken_for_a_collection_of_its_letters(
    request_: Request[Response], member: str, text: str
) -> None:
    transport = FakeTransport()
    members = {name: getattr(request_, name) for name in required(request_.operation)}
    members[member] = text

    async with DataPipelineClient(transport=transport) as client:
        with pytest.raises(pydantic.ValidationError, match=member):
            await method_of(client, request_)(**members)

    assert transport.sent == []


async def test_a_wrong_id_among_many_is_told_before_the_first_of_them_is_sent() -> None:
    transport = FakeTransport(then=YES)
    ids = [*(f"object {number}" for number in range(60)), "a bell \a"]

    async with DataPipelineClient(transport=transport) as client:
        with pytest.raises(pydantic.ValidationError, match="object_ids"):
            client.describe_objects("df-1", ids)

    assert transport.sent == []


# -- options ------------------------------------------------------------------------------


async def test_a_copy_has_options_of_its_own_and_the_same_connection() -> None:
    transport = FakeTransport(then=YES)

    async with DataPipelineClient(
        transport=transport, options=CallOptions(timeout=5, deadline=9)
    ) as client:
        hasty = client.with_options(timeout=2)
        await hasty.delete_pipeline("df-1")
        await client.delete_pipeline("df-1")

    assert [sent.timeout for sent in transport.sent] == [2, 5]


async def test_options_add_up_from_client_over_copy_to_call() -> None:
    transport = FakeTransport(then=refusal("ThrottlingException"))
    options = CallOptions(max_backoff=0, timeout=5, max_attempts=7)

    async with DataPipelineClient(transport=transport, options=options) as client:
        copy = client.with_options(max_attempts=2)
        with pytest.raises(ThrottlingException):
            await copy.delete_pipeline("df-1")
        with pytest.raises(ThrottlingException):
            await copy.delete_pipeline("df-1", options=CallOptions(timeout=3))

    assert [sent.timeout for sent in transport.sent] == [5, 5, 3, 3]


async def test_one_call_can_do_without_the_clients_deadline() -> None:
    transport = FakeTransport(YES)

    async with DataPipelineClient(transport=transport).with_options(deadline=5) as client:
        await client.delete_pipeline("df-1", options=CallOptions(deadline=float("inf")))

    assert transport.sent[0].timeout == 60


def test_a_copy_cannot_have_options_that_make_no_sense() -> None:
    client = DataPipelineClient(transport=FakeTransport())

    with pytest.raises(ValueError, match="max_attempts"):
        client.with_options(max_attempts=0)


def test_a_copy_of_a_clients_own_kind_is_of_that_kind() -> None:
    class Audited(DataPipelineClient):
        """An application's own client."""

    client = Audited(transport=FakeTransport())

    assert type(client.with_options(timeout=5)) is Audited


async def test_whoever_closes_a_copy_closes_the_client() -> None:
    async with DataPipelineClient(transport=FakeTransport()) as client:
        await client.with_options(timeout=5).aclose()

        with pytest.raises(ClientClosedError):
            await client.delete_pipeline("df-1")


# -- from open to closed ------------------------------------------------------------------


async def test_a_client_that_is_not_open_says_how_to_open_it() -> None:
    client = DataPipelineClient(transport=FakeTransport())

    with pytest.raises(ClientClosedError, match="async with"):
        await client.delete_pipeline("df-1")


async def test_a_pager_of_a_closed_client_says_so() -> None:
    client = DataPipelineClient(transport=FakeTransport())

    with pytest.raises(ClientClosedError):
        await client.list_pipelines()


async def test_a_closed_client_stays_closed_until_it_is_opened_again() -> None:
    transport = FakeTransport(then=YES)
    client = DataPipelineClient(transport=transport)

    async with client:
        await client.delete_pipeline("df-1")
    with pytest.raises(ClientClosedError):
        await client.delete_pipeline("df-2")
    async with client:
        await client.delete_pipeline("df-3")

    assert [sent.body["pipelineId"] for sent in transport.sent] == ["df-1", "df-3"]


async def test_opening_and_closing_twice_is_as_good_as_once() -> None:
    transport = FakeTransport(YES)
    client = DataPipelineClient(transport=transport)

    await client.aclose()
    await client.open()
    await client.open()
    await client.delete_pipeline("df-1")
    await client.aclose()
    await client.aclose()

    assert len(transport.sent) == 1


async def test_a_client_is_closed_when_its_block_fails() -> None:
    client = DataPipelineClient(transport=FakeTransport())

    with pytest.raises(ZeroDivisionError):
        async with client:
            raise ZeroDivisionError

    with pytest.raises(ClientClosedError):
        await client.delete_pipeline("df-1")


async def test_a_client_that_could_not_be_opened_is_closed_and_can_be_opened_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = DataPipelineClient(region_name="us-east-1")

    with pytest.raises(MissingCredentialsError):
        await client.open()
    with pytest.raises(ClientClosedError):
        await client.delete_pipeline("df-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "an id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a key")
    await client.open()

    await client.aclose()


class CountingSession:
    """An aiobotocore session that counts the clients it made and those that were closed."""

    def __init__(self, breaks: bool = False) -> None:
        from aiobotocore.session import AioSession  # noqa: PLC0415  # half a second

        self._session = AioSession()
        self._breaks = breaks
        self.made = self.closed = 0

    @asynccontextmanager
    async def create_client(self, *args: Any, **settings: Any) -> AsyncGenerator[Any, None]:
        self.made += 1
        async with self._session.create_client(*args, **settings) as client:
            yield None if self._breaks else client
        self.closed += 1

    def get_component(self, name: str) -> object:
        return self._session.get_component(name)

    def get_config_variable(self, logical_name: str) -> object:
        return self._session.get_config_variable(logical_name)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)


async def test_all_who_open_a_client_at_once_share_one_connection() -> None:
    session = CountingSession()
    client = DataPipelineClient(**KEYS, session=session)

    await asyncio.gather(*(client.open() for _ in range(5)))
    await client.aclose()

    assert (session.made, session.closed) == (1, 1)


async def test_whoever_opens_a_client_again_gets_another_connection() -> None:
    session = CountingSession()
    client = DataPipelineClient(**KEYS, session=session)

    for _ in range(2):
        async with client:
            pass

    assert (session.made, session.closed) == (2, 2)


async def test_nothing_is_left_of_an_attempt_to_open_a_client() -> None:
    session = CountingSession(breaks=True)
    client = DataPipelineClient(**KEYS, session=session)

    with pytest.raises(ConfigurationError):
        await client.open()

    assert (session.made, session.closed) == (1, 1)


# -- contradictions -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "setting",
    [
        {"region_name": "us-east-1"},
        {"endpoint_url": "http://127.0.0.1"},
        {"profile_name": "a profile"},
        {"aws_access_key_id": "an id", "aws_secret_access_key": "a key"},
        {"aws_session_token": "a token"},
        {"verify": False},
        {"max_pool_connections": 7},
    ],
    ids=str,
)
def test_settings_of_a_connection_contradict_a_transport(setting: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="transport"):
        DataPipelineClient(transport=FakeTransport(), **setting)


class Session:
    """An application's session, as far as a client's constructor looks."""

    def get_component(self, name: str) -> object:
        raise NotImplementedError

    def get_config_variable(self, logical_name: str) -> object:
        raise NotImplementedError


def test_a_session_contradicts_a_transport() -> None:
    with pytest.raises(ValueError, match="transport"):
        DataPipelineClient(transport=FakeTransport(), session=Session())


def test_a_profile_contradicts_a_session() -> None:
    with pytest.raises(ValueError, match="profile_name"):
        DataPipelineClient(session=Session(), profile_name="a profile")


# -- what is imported ---------------------------------------------------------------------

IMPORTED = """
import sys
print(sorted({name.partition(".")[0] for name in sys.modules}
             & {"aiobotocore", "aiohttp", "boto3", "botocore"}))
"""


def python(program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.strip()


def test_importing_the_package_imports_no_sdk() -> None:
    assert python("import aiodatapipeline" + IMPORTED) == "[]"


def test_a_client_with_a_transport_never_imports_one() -> None:
    program = """
import asyncio
from aiodatapipeline import DataPipelineClient, Reply

class Empty:
    async def send(self, operation, body, timeout):
        return Reply(200, b"{}")

async def main():
    async with DataPipelineClient(transport=Empty()) as client:
        await client.poll_for_task("a group")

asyncio.run(main())
"""

    assert python(program + IMPORTED) == "[]"


def test_a_client_without_one_imports_it_when_it_is_opened() -> None:
    program = """
import asyncio
from aiodatapipeline import DataPipelineClient

client = DataPipelineClient(
    region_name="us-east-1", aws_access_key_id="an id", aws_secret_access_key="a key"
)
"""
    opened = """
async def main():
    async with client:
        pass

asyncio.run(main())
"""

    assert python(program + IMPORTED) == "[]"
    assert python(program + opened + IMPORTED) == "['aiobotocore', 'aiohttp', 'botocore']"


def test_a_client_can_be_opened_in_one_event_loop_after_the_other() -> None:
    client = DataPipelineClient(transport=FakeTransport(then=answer()))

    async def open_twice_and_call() -> None:
        await asyncio.gather(client.open(), client.open())
        await client.set_task_status("task", "FINISHED")
        await asyncio.gather(client.aclose(), client.aclose())

    for _ in range(2):
        asyncio.run(open_twice_and_call())


def test_a_client_left_open_by_a_loop_that_ended_can_be_opened_again() -> None:
    client = DataPipelineClient(transport=FakeTransport(then=answer()))

    asyncio.run(client.open())

    with pytest.raises(ClientClosedError, match="another event loop"):
        asyncio.run(set_status(client))
    asyncio.run(client.open())


async def test_a_client_is_of_no_use_to_another_event_loop_that_runs() -> None:
    async with DataPipelineClient(transport=FakeTransport(then=answer())) as client:
        for use in (client.open, client.aclose, lambda: set_status(client)):
            with pytest.raises(ClientClosedError, match="another event loop"):
                await asyncio.to_thread(asyncio.run, use())

        await set_status(client)


async def set_status(client: DataPipelineClient) -> None:
    await client.set_task_status("task", "FINISHED")
