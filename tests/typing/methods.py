"""What each of the client's methods takes and gives."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import assert_type

from aiodatapipeline import (
    ActivatePipelineResponse,
    AddTagsResponse,
    CallOptions,
    CreatePipelineResponse,
    DataPipelineClient,
    DeactivatePipelineResponse,
    DeletePipelineResponse,
    DescribeObjectsResponse,
    DescribePipelinesResponse,
    EvaluateExpressionResponse,
    GetPipelineDefinitionResponse,
    ListPipelinesResponse,
    Pager,
    PollForTaskResponse,
    PutPipelineDefinitionResponse,
    QueryObjectsResponse,
    RemoveTagsResponse,
    ReportTaskProgressResponse,
    ReportTaskRunnerHeartbeatResponse,
    SetStatusResponse,
    SetTaskStatusResponse,
    TaskStatus,
    ValidatePipelineDefinitionResponse,
)
from aiodatapipeline.models import (
    Field,
    InstanceIdentity,
    ParameterObject,
    ParameterValue,
    PipelineDescription,
    PipelineIdName,
    PipelineObject,
    Query,
    Ref,
    Tag,
)


async def each_method_gives_its_response(client: DataPipelineClient) -> None:
    job = PipelineObject.of("Job", {"command": "echo", "schedule": Ref("Daily")})
    value = ParameterValue(id="myBucket", string_value="s3://bucket")
    tag = Tag(key="team", value="data")
    now = datetime.now(UTC)

    assert_type(
        await client.activate_pipeline("df-1", parameter_values=[value], start_timestamp=now),
        ActivatePipelineResponse,
    )
    assert_type(await client.add_tags("df-1", [tag]), AddTagsResponse)
    assert_type(
        await client.create_pipeline("name", "token", description="text", tags=[tag]),
        CreatePipelineResponse,
    )
    assert_type(
        await client.deactivate_pipeline("df-1", cancel_active=False), DeactivatePipelineResponse
    )
    assert_type(await client.delete_pipeline("df-1"), DeletePipelineResponse)
    assert_type(
        client.describe_objects("df-1", {"Job"}, evaluate_expressions=True),
        Pager[DescribeObjectsResponse, PipelineObject],
    )
    assert_type(await client.describe_pipelines(["df-1"]), DescribePipelinesResponse)
    assert_type(
        await client.evaluate_expression("df-1", "Job", "#{command}"), EvaluateExpressionResponse
    )
    assert_type(
        await client.get_pipeline_definition("df-1", version="active"),
        GetPipelineDefinitionResponse,
    )
    assert_type(client.list_pipelines(), Pager[ListPipelinesResponse, PipelineIdName])
    assert_type(
        await client.poll_for_task(
            "group", hostname="here", instance_identity=InstanceIdentity(document="{}")
        ),
        PollForTaskResponse,
    )
    assert_type(
        await client.put_pipeline_definition(
            "df-1",
            (one for one in [job]),
            parameter_objects=[ParameterObject(id="myBucket", attributes=())],
            parameter_values=[value],
        ),
        PutPipelineDefinitionResponse,
    )
    assert_type(
        client.query_objects("df-1", "INSTANCE", query=Query(), limit=10),
        Pager[QueryObjectsResponse, str],
    )
    assert_type(await client.remove_tags("df-1", ["team"]), RemoveTagsResponse)
    assert_type(
        await client.report_task_progress("task", fields=[Field.of("percentComplete", "50")]),
        ReportTaskProgressResponse,
    )
    assert_type(
        await client.report_task_runner_heartbeat("runner", worker_group="group", hostname="here"),
        ReportTaskRunnerHeartbeatResponse,
    )
    assert_type(await client.set_status("df-1", ["@Job"], "RERUN"), SetStatusResponse)
    assert_type(
        await client.set_task_status("task", TaskStatus.FAILED, error_id="Oops"),
        SetTaskStatusResponse,
    )
    assert_type(await client.set_task_status("task", "FINISHED"), SetTaskStatusResponse)
    assert_type(
        await client.validate_pipeline_definition("df-1", [job]),
        ValidatePipelineDefinitionResponse,
    )


async def waiters_give_what_they_waited_for(client: DataPipelineClient) -> None:
    assert_type(
        await client.wait_for_pipeline_state("df-1", "SCHEDULED", "FINISHED", timeout=60),
        PipelineDescription,
    )
    assert_type(
        await client.wait_until_instances_ended("df-1", timeout=60, interval=1),
        tuple[PipelineObject, ...],
    )


async def a_copy_is_a_client(client: DataPipelineClient) -> None:
    assert_type(client.with_options(timeout=5, max_attempts=1), DataPipelineClient)

    async with client.with_options(deadline=10) as opened:
        assert_type(opened, DataPipelineClient)


class MyClient(DataPipelineClient):
    """An application's own."""


async def a_copy_of_a_subclass_is_one_too(client: MyClient) -> None:
    assert_type(client.with_options(timeout=5), MyClient)

    async with client as opened:
        assert_type(opened, MyClient)


async def wrong_arguments_are_refused(client: DataPipelineClient) -> None:
    # What identifies is required.
    await client.set_task_status("task")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    # What may be left out goes by name.
    await client.set_task_status("task", "FAILED", "Oops")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    # boto3's camelCase is none of ours.
    await client.delete_pipeline(pipelineId="df-1")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    # A tag is a model and no pair.
    await client.add_tags("df-1", [("team", "data")])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    # Options are a value of their own kind.
    await client.delete_pipeline("df-1", options={"timeout": 5})  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    # A wait has an end.
    await client.wait_until_pipeline_deleted("df-1")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    # A time is a datetime and no text.
    await client.activate_pipeline("df-1", start_timestamp="2012-12-12")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    # A response has the members of its model and no others.
    (await client.create_pipeline("name", "token")).pipelineId  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]


def options_are_frozen(options: CallOptions) -> None:
    assert_type(options.timeout, float | None)

    options.timeout = 5  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
