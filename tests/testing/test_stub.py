"""A stub answers as it was told, tells what it was asked, and lets nothing pass in silence."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any
from unittest.mock import ANY

import pytest

from aiodatapipeline import (
    AccessDeniedException,
    ActivatePipelineRequest,
    ActivatePipelineResponse,
    CallOptions,
    DataPipelineClient,
    DescribePipelinesRequest,
    DescribePipelinesResponse,
    InternalServiceError,
    ListPipelinesRequest,
    ListPipelinesResponse,
    PollForTaskRequest,
    PollForTaskResponse,
    PutPipelineDefinitionRequest,
    ReadTimeoutError,
    RemoveTagsRequest,
    RemoveTagsResponse,
    ReportTaskProgressRequest,
    ReportTaskProgressResponse,
    ResponseLostError,
    ServiceError,
    SetTaskStatusRequest,
    SetTaskStatusResponse,
    TaskNotFoundException,
    TaskStatus,
    ThrottlingException,
    WaitTimeoutError,
)
from aiodatapipeline.models import (
    Field,
    PipelineDescription,
    PipelineIdName,
    PipelineObject,
    TaskObject,
)
from aiodatapipeline.testing import StubTransport, UnscriptedCallError

DONE = SetTaskStatusResponse()
TASK = PollForTaskResponse(
    task_object=TaskObject(task_id="task-1", pipeline_id="df-1", attempt_id="a", objects={})
)
NO_TASK = PollForTaskResponse()


def described(state: str) -> DescribePipelinesResponse:
    fields = (Field.of("@pipelineState", state),)
    pipeline = PipelineDescription(pipeline_id="df-1", name="nightly", fields=fields)
    return DescribePipelinesResponse(pipeline_description_list=(pipeline,))


async def finish(client: DataPipelineClient, task_id: str = "task-1") -> None:
    await client.set_task_status(task_id, "FINISHED")


# -- what is answered ---------------------------------------------------------------------


async def test_a_call_gets_the_response_that_was_scripted() -> None:
    stub = StubTransport()
    stub.on(PollForTaskRequest).returns(TASK)

    async with stub.client() as client:
        answer = await client.poll_for_task("etl")

    assert answer == TASK
    assert answer.metadata.attempts == 1


async def test_a_client_of_the_applications_own_may_have_it_as_its_transport() -> None:
    stub = StubTransport()
    stub.on(PollForTaskRequest).returns(TASK)

    async with DataPipelineClient(transport=stub) as client:
        assert await client.poll_for_task("etl") == TASK


async def test_answers_come_in_turn_and_the_last_one_stays() -> None:
    stub = StubTransport()
    refused = TaskNotFoundException("gone")
    stub.on(PollForTaskRequest).returns(TASK).raises(refused).returns(TASK, NO_TASK)

    async with stub.client() as client:
        first = await client.poll_for_task("etl")
        with pytest.raises(TaskNotFoundException, match="gone"):
            await client.poll_for_task("etl")
        others = [await client.poll_for_task("etl") for _ in range(4)]

    assert [first, *others] == [TASK, TASK, NO_TASK, NO_TASK, NO_TASK]


async def test_a_function_is_given_the_request_and_makes_the_answer() -> None:
    stub = StubTransport()
    stub.on(ReportTaskProgressRequest).answers(
        lambda request: ReportTaskProgressResponse(canceled=request.task_id == "task-2")
    )

    async with stub.client() as client:
        answers = [await client.report_task_progress(f"task-{number}") for number in (1, 2)]

    assert [answer.canceled for answer in answers] == [False, True]


async def test_a_function_may_wait_and_a_call_gives_up_when_its_time_is_over() -> None:
    stub, asked = StubTransport(), asyncio.Event()

    async def hold(_: PollForTaskRequest) -> PollForTaskResponse:
        asked.set()
        await asyncio.Event().wait()
        return NO_TASK

    stub.on(PollForTaskRequest).answers(hold)

    async with stub.client(options=CallOptions(poll_timeout=0.01)) as client:
        with pytest.raises(ReadTimeoutError, match="no answer in the time"):
            await client.poll_for_task("etl")

    assert asked.is_set()


async def test_a_function_may_refuse() -> None:
    stub = StubTransport()

    def refuse(request: SetTaskStatusRequest) -> SetTaskStatusResponse:
        raise TaskNotFoundException(f"no task {request.task_id}")

    stub.on(SetTaskStatusRequest).answers(refuse)

    async with stub.client() as client:
        with pytest.raises(TaskNotFoundException, match="no task task-7"):
            await finish(client, "task-7")


async def test_a_function_that_gives_no_response_is_told_on() -> None:
    stub = StubTransport()
    untyped: Any = stub.on(SetTaskStatusRequest)
    untyped.answers(str)

    async with stub.client() as client:
        with pytest.raises(TypeError, match="SetTaskStatus is answered by SetTaskStatusResponse"):
            await finish(client)


async def test_a_function_that_raises_an_error_without_a_code_is_told_on() -> None:
    stub = StubTransport()

    def refuse(_: SetTaskStatusRequest) -> SetTaskStatusResponse:
        raise ServiceError("no")

    stub.on(SetTaskStatusRequest).answers(refuse)

    async with stub.client() as client:
        with pytest.raises(TypeError, match="a ServiceError needs a code"):
            await finish(client)


# -- errors -------------------------------------------------------------------------------


async def test_a_refusal_is_read_as_if_the_service_had_sent_it() -> None:
    stub = StubTransport()
    stub.on(SetTaskStatusRequest).raises(TaskNotFoundException("gone", request_id="id-1"))

    async with stub.client() as client:
        with pytest.raises(TaskNotFoundException) as caught:
            await finish(client)

    error = caught.value
    assert (error.code, error.message, error.status) == ("TaskNotFoundException", "gone", 400)
    assert (error.operation, error.request_id, error.attempts) == ("SetTaskStatus", "id-1", 1)


@pytest.mark.parametrize(
    ("error", "code", "status"),
    [
        (InternalServiceError("no"), "InternalServiceError", 500),
        (ThrottlingException("no"), "ThrottlingException", 400),
        (ThrottlingException("no", code="SlowDown", status=503), "SlowDown", 503),
        (AccessDeniedException("no"), "AccessDeniedException", 400),
        (ServiceError("no", code="NewException", status=409), "NewException", 409),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
async def test_a_refusal_has_the_code_and_the_status_of_its_kind(
    error: ServiceError, code: str, status: int
) -> None:
    stub = StubTransport()
    stub.on(SetTaskStatusRequest).raises(error)

    async with stub.client(options=CallOptions(max_attempts=1)) as client:
        with pytest.raises(type(error)) as caught:
            await finish(client)

    assert (caught.value.code, caught.value.status) == (code, status)


async def test_what_may_be_repeated_is_repeated_at_once() -> None:
    stub = StubTransport()
    script = stub.on(SetTaskStatusRequest).raises(ThrottlingException("slowly"))
    script.raises(ResponseLostError("the network is down")).returns(DONE)

    async with stub.client() as client:
        async with asyncio.timeout(0.5):
            answer = await client.call(
                SetTaskStatusRequest(task_id="t", task_status=TaskStatus.FINISHED)
            )

    assert answer.metadata.attempts == 3
    assert len(stub.calls) == 3


async def test_one_error_can_be_raised_many_times() -> None:
    stub, error = StubTransport(), ResponseLostError("the network is down")
    stub.on(PollForTaskRequest).raises(error)

    async with stub.client() as client:
        for _ in range(2):
            with pytest.raises(ResponseLostError) as caught:
                await client.poll_for_task("etl")
            assert caught.value.attempts == 1

    assert (error.attempts, error.operation, error.__traceback__) == (0, "", None)


async def test_a_poll_that_timed_out_by_script_stays_that_error() -> None:
    stub = StubTransport()
    stub.on(PollForTaskRequest).raises(ReadTimeoutError("after a minute"))

    async with stub.client() as client:
        with pytest.raises(ReadTimeoutError, match="after a minute"):
            await client.poll_for_task("etl")


# -- pages and waiters --------------------------------------------------------------------


async def test_pages_are_followed_by_their_markers() -> None:
    stub = StubTransport()
    stub.on(ListPipelinesRequest).returns(
        ListPipelinesResponse(
            pipeline_id_list=(PipelineIdName(id="df-1", name="one"),),
            marker="more",
            has_more_results=True,
        )
    )
    stub.on(ListPipelinesRequest, marker="more").returns(
        ListPipelinesResponse(pipeline_id_list=(PipelineIdName(id="df-2", name="two"),))
    )

    async with stub.client() as client:
        found = [each.name async for each in client.list_pipelines()]

    assert found == ["one", "two"]
    stub.assert_all_used()


async def test_a_waiter_asks_until_it_is_so_and_skips_the_time_between() -> None:
    stub = StubTransport()
    stub.on(DescribePipelinesRequest).returns(described("PENDING"), described("SCHEDULED"))

    async with stub.client() as client, asyncio.timeout(5):
        pipeline = await client.wait_for_pipeline_state("df-1", "SCHEDULED", timeout=300)

    assert pipeline.state == "SCHEDULED"
    assert len(stub.calls_of(DescribePipelinesRequest)) == 2


async def test_a_waiter_gives_up_after_as_many_looks_as_its_time_has_room_for() -> None:
    stub = StubTransport()
    stub.on(DescribePipelinesRequest).returns(described("PENDING"))

    async with stub.client() as client, asyncio.timeout(5):
        with pytest.raises(WaitTimeoutError, match="is PENDING, not SCHEDULED, after 300 s"):
            await client.with_options(max_attempts=1).wait_for_pipeline_state(
                "df-1", "SCHEDULED", timeout=300, interval=60
            )

    assert len(stub.calls) == 6


# -- which script -------------------------------------------------------------------------


async def test_members_tell_calls_apart() -> None:
    stub = StubTransport()
    stub.on(PollForTaskRequest).returns(NO_TASK)
    stub.on(PollForTaskRequest, worker_group="etl", hostname=ANY).returns(TASK)

    async with stub.client() as client:
        etl, other = await client.poll_for_task("etl"), await client.poll_for_task("web")

    assert (etl, other) == (TASK, NO_TASK)


async def test_the_script_that_was_begun_last_counts() -> None:
    stub = StubTransport()
    stub.on(PollForTaskRequest, worker_group="etl").returns(NO_TASK)
    stub.on(PollForTaskRequest).returns(TASK)

    async with stub.client() as client:
        assert await client.poll_for_task("etl") == TASK


async def test_a_script_takes_the_place_of_one_for_the_same_calls() -> None:
    stub = StubTransport()
    stub.on(PollForTaskRequest, worker_group="etl").returns(NO_TASK)
    stub.on(PollForTaskRequest, worker_group="etl").returns(TASK)

    async with stub.client() as client:
        assert await client.poll_for_task("etl") == TASK
    stub.assert_all_used()


async def test_a_list_is_equal_to_the_tuple_of_a_model() -> None:
    stub = StubTransport()
    stub.on(RemoveTagsRequest, tag_keys=["team"]).returns(RemoveTagsResponse())

    async with stub.client() as client:
        await client.remove_tags("df-1", ["team"])

    stub.assert_all_used()


# -- the log ------------------------------------------------------------------------------


async def test_the_log_has_the_requests_as_models_in_the_order_in_which_they_came() -> None:
    stub = StubTransport()
    stub.on(SetTaskStatusRequest).returns(DONE)
    stub.on(ActivatePipelineRequest).returns(ActivatePipelineResponse())
    start = datetime(2026, 1, 1, tzinfo=UTC)

    async with stub.client() as client:
        await finish(client)
        await client.activate_pipeline("df-1", start_timestamp=start)
        await finish(client, "task-2")

    first, last = (
        SetTaskStatusRequest(task_id=f"task-{number}", task_status=TaskStatus.FINISHED)
        for number in (1, 2)
    )
    activated = ActivatePipelineRequest(pipeline_id="df-1", start_timestamp=start)
    assert stub.calls == [first, activated, last]
    assert stub.calls_of(SetTaskStatusRequest) == [first, last]
    assert stub.calls_of(SetTaskStatusRequest, task_id="task-2") == [last]
    assert stub.calls_of(PollForTaskRequest) == []


async def test_the_one_call_of_a_kind_is_given() -> None:
    stub = StubTransport()
    stub.on(SetTaskStatusRequest).returns(DONE)

    async with stub.client() as client:
        await finish(client)
        await finish(client, "task-2")

    assert stub.call_of(SetTaskStatusRequest, task_id="task-2") == stub.calls[1]


async def test_what_was_not_called_once_is_told_with_all_that_was() -> None:
    stub = StubTransport()
    stub.on(ActivatePipelineRequest).returns(ActivatePipelineResponse())

    async with stub.client() as client:
        await client.activate_pipeline("df-1")
        await client.activate_pipeline("df-2")

    with pytest.raises(AssertionError, match=r"2 calls fit \(ActivatePipelineRequest\), not"):
        stub.call_of(ActivatePipelineRequest)
    with pytest.raises(AssertionError) as caught:
        stub.call_of(ActivatePipelineRequest, pipeline_id="df-3")
    assert str(caught.value).startswith(
        "0 calls fit (ActivatePipelineRequest, pipeline_id='df-3'), not one: "
        "StubTransport(calls=[ActivatePipelineRequest(pipeline_id='df-1', "
    )


# -- strictness ---------------------------------------------------------------------------


async def test_a_call_that_nothing_is_scripted_for_says_what_it_is_and_what_is_scripted() -> None:
    stub = StubTransport()
    stub.on(SetTaskStatusRequest).returns(DONE)
    stub.on(PollForTaskRequest, worker_group="etl").returns(TASK)

    async with stub.client() as client:
        with pytest.raises(UnscriptedCallError) as caught:
            await client.poll_for_task("web")

    assert str(caught.value) == (
        "PollForTask was called, and nothing is scripted for "
        "PollForTaskRequest(worker_group='web', hostname=None, instance_identity=None): "
        "add stub.on(PollForTaskRequest).returns(PollForTaskResponse(...)). Scripted so far: "
        "stub.on(SetTaskStatusRequest), stub.on(PollForTaskRequest, worker_group='etl') "
        "(for another worker_group)"
    )


async def test_a_script_without_an_answer_says_so() -> None:
    stub = StubTransport()
    script = stub.on(SetTaskStatusRequest)

    async with stub.client() as client:
        with pytest.raises(UnscriptedCallError, match=r"has no answer: add .returns\(SetTask"):
            await finish(client)

    assert repr(script) == "stub.on(SetTaskStatusRequest)"


async def test_a_call_without_a_script_shows_no_secret() -> None:
    stub, secret = StubTransport(), Field.of("*password", "hunter2")
    node = PipelineObject(id="Db", name="Db", fields=(secret,))

    async with stub.client() as client:
        with pytest.raises(UnscriptedCallError, match="Scripted so far: nothing") as caught:
            await client.put_pipeline_definition("df-1", [node])
        stub.on(SetTaskStatusRequest, task_id="task-1", task_status="FAILED").returns(DONE)
        with pytest.raises(
            UnscriptedCallError, match="for another task_id and task_status"
        ) as of_task:
            await finish(client, "the-right-to-report")

    assert "*password" in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert "the-right-to-report" not in str(of_task.value)
    assert len(stub.calls_of(PutPipelineDefinitionRequest)) == 1


async def test_an_unscripted_call_is_told_in_the_end_even_if_it_was_swallowed() -> None:
    stub = StubTransport()

    async with stub.client() as client:
        with pytest.raises(AssertionError):
            await finish(client)

    with pytest.raises(UnscriptedCallError, match="SetTaskStatus was called"):
        stub.assert_all_used()


async def test_answers_that_nobody_asked_for_are_told_in_the_end() -> None:
    stub = StubTransport()
    stub.on(PollForTaskRequest, worker_group="etl").returns(TASK, NO_TASK, TASK)
    stub.on(SetTaskStatusRequest).returns(DONE)
    stub.on(ListPipelinesRequest).returns(ListPipelinesResponse(pipeline_id_list=()))

    async with stub.client() as client:
        await client.poll_for_task("etl")
        await client.list_pipelines()

    with pytest.raises(AssertionError) as caught:
        stub.assert_all_used()
    assert str(caught.value) == (
        "scripted and never asked for: "
        "stub.on(PollForTaskRequest, worker_group='etl'): 2 of 3 answers; "
        "stub.on(SetTaskStatusRequest): 1 of 1 answers"
    )


def test_a_slip_in_a_script_is_told_where_it_is_made() -> None:
    stub = StubTransport()
    wrong: Any = stub.on(SetTaskStatusRequest)

    with pytest.raises(TypeError, match="no member 'workergroup'; there are: worker_group, host"):
        stub.on(PollForTaskRequest, workergroup="etl")
    nones: list[Any] = [object, "PollForTask", PollForTaskRequest(worker_group="etl"), DONE]
    for none in nones:
        with pytest.raises(TypeError, match="not the class of an operation's requests"):
            stub.calls_of(none)
    with pytest.raises(TypeError, match=r"by SetTaskStatusResponse\(...\), not by PollForTaskResp"):
        wrong.returns(TASK)
    with pytest.raises(TypeError, match="not by the class SetTaskStatusResponse"):
        wrong.returns(SetTaskStatusResponse)
    with pytest.raises(TypeError, match=r"a function answers, not SetTaskStatusResponse\(\)"):
        wrong.answers(DONE)
    with pytest.raises(TypeError, match="raises a DataPipelineError, not ValueError"):
        wrong.raises(ValueError("no"))
    with pytest.raises(TypeError, match=r"not its class: TaskNotFoundException\('why'\)"):
        wrong.raises(TaskNotFoundException)
    with pytest.raises(TypeError, match="a ServiceError needs a code"):
        wrong.raises(ServiceError("no"))
