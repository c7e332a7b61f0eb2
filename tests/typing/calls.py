"""``call`` knows from the request model what comes back, for all 19 operations."""

from __future__ import annotations

from typing import Literal, assert_type

import aiodatapipeline as dp
from aiodatapipeline import DataPipelineClient, TaskStatus
from aiodatapipeline.models import Operator, OperatorType
from aiodatapipeline.operations import OPERATIONS, Operation


async def each_request_gives_its_response(client: DataPipelineClient) -> None:
    call = client.call

    assert_type(
        await call(dp.ActivatePipelineRequest(pipeline_id="df-1")), dp.ActivatePipelineResponse
    )
    assert_type(await call(dp.AddTagsRequest(pipeline_id="df-1", tags=())), dp.AddTagsResponse)
    assert_type(
        await call(dp.CreatePipelineRequest(name="name", unique_id="token")),
        dp.CreatePipelineResponse,
    )
    assert_type(
        await call(dp.DeactivatePipelineRequest(pipeline_id="df-1")), dp.DeactivatePipelineResponse
    )
    assert_type(await call(dp.DeletePipelineRequest(pipeline_id="df-1")), dp.DeletePipelineResponse)
    assert_type(
        await call(dp.DescribeObjectsRequest(pipeline_id="df-1", object_ids=("Job",))),
        dp.DescribeObjectsResponse,
    )
    assert_type(
        await call(dp.DescribePipelinesRequest(pipeline_ids=("df-1",))),
        dp.DescribePipelinesResponse,
    )
    assert_type(
        await call(
            dp.EvaluateExpressionRequest(pipeline_id="df-1", object_id="Job", expression="#{x}")
        ),
        dp.EvaluateExpressionResponse,
    )
    assert_type(
        await call(dp.GetPipelineDefinitionRequest(pipeline_id="df-1")),
        dp.GetPipelineDefinitionResponse,
    )
    assert_type(await call(dp.ListPipelinesRequest()), dp.ListPipelinesResponse)
    assert_type(await call(dp.PollForTaskRequest(worker_group="group")), dp.PollForTaskResponse)
    assert_type(
        await call(dp.PutPipelineDefinitionRequest(pipeline_id="df-1", pipeline_objects=())),
        dp.PutPipelineDefinitionResponse,
    )
    assert_type(
        await call(dp.QueryObjectsRequest(pipeline_id="df-1", sphere="INSTANCE")),
        dp.QueryObjectsResponse,
    )
    assert_type(
        await call(dp.RemoveTagsRequest(pipeline_id="df-1", tag_keys=("team",))),
        dp.RemoveTagsResponse,
    )
    assert_type(
        await call(dp.ReportTaskProgressRequest(task_id="task")), dp.ReportTaskProgressResponse
    )
    assert_type(
        await call(dp.ReportTaskRunnerHeartbeatRequest(taskrunner_id="runner")),
        dp.ReportTaskRunnerHeartbeatResponse,
    )
    assert_type(
        await call(dp.SetStatusRequest(pipeline_id="df-1", object_ids=("@Job",), status="RERUN")),
        dp.SetStatusResponse,
    )
    assert_type(
        await call(dp.SetTaskStatusRequest(task_id="task", task_status=TaskStatus.FINISHED)),
        dp.SetTaskStatusResponse,
    )
    assert_type(
        await call(dp.ValidatePipelineDefinitionRequest(pipeline_id="df-1", pipeline_objects=())),
        dp.ValidatePipelineDefinitionResponse,
    )


async def a_failure_is_a_request_too(client: DataPipelineClient, error: Exception) -> None:
    request = dp.SetTaskStatusRequest.failed("task", error)

    assert_type(request, dp.SetTaskStatusRequest)
    assert_type(await client.call(request), dp.SetTaskStatusResponse)
    assert_type(request.to_wire(), dict[str, object])
    assert_type(
        dp.SetTaskStatusRequest.from_wire({"taskId": "task", "taskStatus": "FALSE"}),
        dp.SetTaskStatusRequest,
    )


def wrong_members_are_refused() -> None:
    # Required members are required.
    dp.CreatePipelineRequest(name="name")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    # The constructor is the people's door: snake_case.
    dp.DeletePipelineRequest(pipelineId="df-1")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    dp.PollForTaskRequest(worker_group=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    # There are no other members to set either.
    dp.ListPipelinesRequest().page = 2  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]


async def what_is_no_request_is_refused(
    client: DataPipelineClient, answer: dp.ListPipelinesResponse
) -> None:
    await client.call(answer)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await client.call("ListPipelines")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await client.call({"marker": ""})  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def the_table_can_be_read() -> None:
    assert_type(OPERATIONS["PollForTask"], Operation)
    assert_type(OPERATIONS["PollForTask"].errors, frozenset[type[dp.ServiceError]])


def plain_words_are_as_good_as_members(word: Literal["FINISHED", "FALSE"]) -> None:
    request = dp.SetTaskStatusRequest(task_id="task", task_status=word)
    operator = Operator(type="BETWEEN", values=("1", "2"))

    assert_type(request.task_status, TaskStatus)
    assert_type(operator.type, OperatorType | None)
    assert_type(Operator(), Operator)


def other_words_are_not(word: str) -> None:
    dp.SetTaskStatusRequest(task_id="task", task_status="DONE")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    dp.SetTaskStatusRequest(task_id="task", task_status=word)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    dp.SetTaskStatusRequest(task_id="task")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    dp.SetTaskStatusRequest("task", "FAILED")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Operator(type="LIKE")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Operator(kind="EQ")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
