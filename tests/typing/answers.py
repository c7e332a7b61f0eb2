"""What can be read from responses and from the values inside them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import assert_type

from aiodatapipeline import (
    DataPipelineClient,
    DescribePipelinesResponse,
    PollForTaskResponse,
    PutPipelineDefinitionResponse,
    ReportTaskProgressResponse,
    ResponseMetadata,
    TaskStatus,
)
from aiodatapipeline.models import (
    Field,
    PipelineDescription,
    PipelineObject,
    Ref,
    Tag,
    TaskObject,
    ValidationError,
)


async def an_empty_poll_has_to_be_looked_for(client: DataPipelineClient) -> None:
    answer = await client.poll_for_task("group")

    assert_type(answer.task_object, TaskObject | None)
    # Without the check there may be no task.
    answer.task_object.task_id  # type: ignore[union-attr]  # pyright: ignore[reportOptionalMemberAccess]

    if answer.task_object is not None:
        assert_type(answer.task_object, TaskObject)
        assert_type(answer.task_object.task_id, str)


def a_match_statement_tells_a_task_from_none(answer: PollForTaskResponse) -> str:
    match answer.task_object:
        case TaskObject() as task:
            return task.attempt_id
        case None:
            return "nothing to do"


def a_task_has_its_objects(task: TaskObject) -> None:
    assert_type(task.objects, Mapping[str, PipelineObject])
    assert_type(task.attempt, PipelineObject)

    # A frozen model has no way to change its mapping either.
    task.objects["Job"] = task.attempt  # type: ignore[index]  # pyright: ignore[reportIndexIssue]


def an_object_is_a_multimap(one: PipelineObject) -> None:
    assert_type(one.fields, tuple[Field, ...])
    assert_type(one.keys(), tuple[str, ...])
    assert_type(one.values("input"), tuple[str | Ref, ...])
    assert_type(one.strings("command"), tuple[str, ...])
    assert_type(one.refs("input"), tuple[str, ...])
    assert_type(one.string("command"), str | None)
    assert_type(one.ref("schedule"), str | None)
    assert_type("command" in one, bool)


def a_field_is_a_text_or_a_reference(field: Field) -> None:
    assert_type(field.value, str | Ref | None)
    assert_type(field.string_value, str | None)

    Field.of("retries", 3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def other_answers_are_plain_values(
    described: DescribePipelinesResponse,
    put: PutPipelineDefinitionResponse,
    reported: ReportTaskProgressResponse,
) -> None:
    assert_type(described.pipeline_description_list, tuple[PipelineDescription, ...])
    assert_type(described.pipeline_description_list[0].state, str | None)
    assert_type(described.pipeline_description_list[0].tags, tuple[Tag, ...])
    assert_type(put.errored, bool)
    assert_type(put.validation_errors, tuple[ValidationError, ...])
    assert_type(reported.canceled, bool)


def what_came_besides_the_body_is_there(answer: PollForTaskResponse) -> None:
    assert_type(answer.metadata, ResponseMetadata)
    assert_type(answer.metadata.request_id, str)
    assert_type(answer.metadata.headers, Mapping[str, str])
    assert_type(answer.metadata.elapsed, float)


def a_status_is_a_text(status: TaskStatus) -> str:
    return status
