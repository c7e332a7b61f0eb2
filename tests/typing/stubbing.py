"""What a stub's script takes, as a type checker sees it."""

from __future__ import annotations

from typing import assert_type

from aiodatapipeline import (
    DataPipelineClient,
    PollForTaskRequest,
    PollForTaskResponse,
    ResponseLostError,
    SetTaskStatusRequest,
    SetTaskStatusResponse,
    TaskNotFoundException,
    Transport,
)
from aiodatapipeline.testing import Script, StubTransport


def a_stub_is_a_transport(stub: StubTransport) -> None:
    transport: Transport = stub

    DataPipelineClient(transport=transport)
    assert_type(stub.client(), DataPipelineClient)


def a_script_takes_the_response_of_its_request(stub: StubTransport) -> None:
    done, task = SetTaskStatusResponse(), PollForTaskResponse()

    stub.on(SetTaskStatusRequest).returns(done)
    stub.on(SetTaskStatusRequest, task_id="task").returns(done, done).returns(done)
    stub.on(PollForTaskRequest).returns(task)
    stub.on(SetTaskStatusRequest).returns(task)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    stub.on(SetTaskStatusRequest).returns(done, task)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    stub.on(SetTaskStatusRequest).returns(done).returns(task)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    stub.on(SetTaskStatusRequest).returns({})  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def a_script_raises_what_a_call_can_raise(stub: StubTransport) -> None:
    stub.on(SetTaskStatusRequest).raises(TaskNotFoundException("gone"), ResponseLostError("lost"))
    stub.on(SetTaskStatusRequest).raises(ValueError("no"))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def a_function_is_given_the_request(stub: StubTransport) -> None:
    def answer(request: SetTaskStatusRequest) -> SetTaskStatusResponse:
        assert_type(request, SetTaskStatusRequest)
        return SetTaskStatusResponse()

    async def wait(request: PollForTaskRequest) -> PollForTaskResponse:
        return PollForTaskResponse()

    stub.on(SetTaskStatusRequest).answers(answer)
    stub.on(PollForTaskRequest).answers(wait)
    stub.on(SetTaskStatusRequest).answers(lambda request: _outcome(request.task_status))
    stub.on(PollForTaskRequest).answers(answer)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    stub.on(SetTaskStatusRequest).answers(lambda request: request.worker_group)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownLambdaType, reportUnknownMemberType]


def a_script_stays_one_of_its_request(stub: StubTransport) -> None:
    script, done = stub.on(SetTaskStatusRequest), SetTaskStatusResponse()

    assert_type(script, Script[SetTaskStatusRequest])
    assert_type(script.returns(done), Script[SetTaskStatusRequest])
    assert_type(script.raises(TaskNotFoundException("gone")), Script[SetTaskStatusRequest])
    assert_type(script.answers(lambda _: done), Script[SetTaskStatusRequest])
    script.returns(done).answers(lambda request: _outcome(request.task_status))


def _outcome(status: str) -> SetTaskStatusResponse:
    return SetTaskStatusResponse()


def the_log_has_types(stub: StubTransport) -> None:
    assert_type(stub.calls_of(SetTaskStatusRequest), list[SetTaskStatusRequest])
    assert_type(stub.calls_of(PollForTaskRequest, worker_group="etl"), list[PollForTaskRequest])
    assert_type(stub.call_of(SetTaskStatusRequest, task_id="task"), SetTaskStatusRequest)


def only_requests_have_scripts(stub: StubTransport) -> None:
    stub.on(SetTaskStatusResponse)  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]
