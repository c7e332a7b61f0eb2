"""What botocore says of the service, and what our table of operations says."""

from __future__ import annotations

import re
from dataclasses import replace
from enum import StrEnum
from typing import Annotated, Any

import pytest
from pydantic import AfterValidator, Strict, create_model
from pydantic import Field as Limits

from aiodatapipeline import errors, models
from aiodatapipeline import operations as op
from aiodatapipeline._wire import (
    Id,
    Many,
    OptionalMany,
    String,
    TagValue,
    ValidationMessage,
    WireModel,
)
from aiodatapipeline.operations import OPERATIONS, Operation, Request, Response
from tests.contract.comparison import MANY_ITEMS, differences
from tests.strategies import PAGINATORS, SERVICE, Service

NO_TASK_LACKS_IT = "a task cannot be worked on without it"
NO_PIPELINE_LACKS_IT = "no pipeline is without it"
NOT_UNICODE = "half a surrogate pair cannot be written in UTF-8"
DEVIATIONS = {
    "TaskObject.taskId: required here only": NO_TASK_LACKS_IT,
    "TaskObject.pipelineId: required here only": NO_TASK_LACKS_IT,
    "TaskObject.attemptId: required here only": NO_TASK_LACKS_IT,
    "PipelineIdName.id: required here only": NO_PIPELINE_LACKS_IT,
    "PipelineIdName.name: required here only": NO_PIPELINE_LACKS_IT,
    "SetTaskStatusInput.errorStackTrace: takes 1025 characters": "the API reference says 4095",
    f"DescribePipelinesInput.pipelineIds: refuses {MANY_ITEMS} items": "25, in words",
    f"DescribeObjectsInput.objectIds: refuses {MANY_ITEMS} items": "25, in words; 100 were seen",
    f"Query.selectors: refuses {MANY_ITEMS} items": "10, in words",
    "PipelineDescription.tags: takes 11 items": "how many there are is the service's affair",
    "Tag.key: takes other characters": NOT_UNICODE,
    "Tag.value: takes other characters": NOT_UNICODE,
    "SetTaskStatusInput.errorMessage: takes other characters": NOT_UNICODE,
}


def test_the_models_say_what_the_service_model_says() -> None:
    found = differences(OPERATIONS, SERVICE, PAGINATORS)

    assert found == DEVIATIONS.keys()


def test_every_structure_of_the_service_has_a_model_of_its_name() -> None:
    ours = {*models.__all__, *op.__all__, *errors.__all__}
    theirs = {name for name, shape in SERVICE["shapes"].items() if shape["type"] == "structure"}

    wanted = {re.sub("Output$", "Response", re.sub("Input$", "Request", name)) for name in theirs}
    assert wanted <= ours


def test_every_error_of_the_service_is_found_by_its_code() -> None:
    codes = {
        name
        for name, shape in SERVICE["shapes"].items()
        if shape["type"] == "structure" and shape.get("exception")
    }

    assert {code: errors.BY_CODE[code].__name__ for code in codes} == {code: code for code in codes}


# An operation's name and its row, if it has one.
Planted = tuple[str, Operation | None]


def _row(operation: str, **changed: Any) -> Planted:
    return operation, replace(OPERATIONS[operation], **changed)


def _asking(operation: str, **members: Any) -> Planted:
    """Our row, but these members of its request are other ones."""
    request = OPERATIONS[operation].request
    return _row(operation, request=create_model("Mistaken", __base__=request, **members))


def _answering(operation: str, **members: Any) -> Planted:
    """Our row, but these members of its response are other ones."""
    response = OPERATIONS[operation].response
    return _row(operation, response=create_model("Mistaken", __base__=response, **members))


_TooLong = Annotated[ValidationMessage, Limits(max_length=1025)]


def _limited(longest: int, shortest: int = 0) -> Any:
    return Annotated[ValidationMessage, Limits(min_length=shortest, max_length=longest)]


def _utf_16(text: str) -> str:
    if len(text.encode("utf-16-le", "surrogatepass")) > 2 * 1024:
        raise ValueError("at most 1024 units of UTF-16")
    return text


class _Misnamed(op.DeletePipelineRequest):
    operation = "DropPipeline"


class _AsksNothing(Request[op.DeletePipelineResponse]):
    operation = "DeletePipeline"


class _AsksForAll(Request[op.ListPipelinesResponse]):
    operation = "ListPipelines"


class _AnswersNothing(Response):
    pass


class _AnswersOnePage(Response):
    ids: OptionalMany[Id] = ()
    marker: String | None = None


class _TooManyWords(StrEnum):
    FINISHED = "FINISHED"
    FAILED = "FAILED"
    FALSE = "FALSE"
    SUCCEEDED = "SUCCEEDED"


class _WordMissing(StrEnum):
    FINISHED = "FINISHED"
    FAILED = "FAILED"


class _ValueOnly(WireModel):
    value: TagValue


# Where a mistake is, the row with it, and what is to be said of it.
MISTAKES: list[tuple[str, Planted, set[str]]] = [
    (
        "operation missing",
        ("DeletePipeline", None),
        {"operations: DeletePipeline is there only"},
    ),
    (
        "operation too many",
        ("DropPipeline", OPERATIONS["DeletePipeline"]),
        {"operations: DropPipeline is here only"},
    ),
    (
        "operation misnamed",
        _row("DeletePipeline", request=_Misnamed),
        {"DeletePipeline: its request says DropPipeline"},
    ),
    (
        "member of a request missing",
        _row("DeletePipeline", request=_AsksNothing),
        {"DeletePipelineInput: pipelineId is there only"},
    ),
    (
        "member of a request too many",
        _asking("DeletePipeline", colour=(String | None, None)),
        {"DeletePipelineInput: colour is here only"},
    ),
    (
        "member of a response missing",
        _row("CreatePipeline", response=_AnswersNothing),
        {"CreatePipelineOutput: pipelineId is there only"},
    ),
    (
        "member of a response too many",
        _answering("CreatePipeline", colour=(String | None, None)),
        {"CreatePipelineOutput: colour is here only"},
    ),
    (
        "member where nothing is answered",
        _answering("SetStatus", colour=(String | None, None)),
        {"SetStatusOutput: colour is here only"},
    ),
    (
        "member of a value missing",
        _asking("AddTags", tags=(Annotated[Many[_ValueOnly], Limits(max_length=10)], ...)),
        {"Tag: key is there only"},
    ),
    (
        "optional, not required",
        _asking("DeletePipeline", pipeline_id=(Id | None, None)),
        {"DeletePipelineInput.pipelineId: optional here only"},
    ),
    (
        "required, not optional",
        _asking("ListPipelines", marker=(String, ...)),
        {"ListPipelinesInput.marker: required here only"},
    ),
    (
        "integer, not string",
        _asking("DeletePipeline", pipeline_id=(int, ...)),
        {"DeletePipelineInput.pipelineId: integer here, string there"},
    ),
    (
        "string, not boolean",
        _answering("ReportTaskProgress", canceled=(String, ...)),
        {"ReportTaskProgressOutput.canceled: string here, boolean there"},
    ),
    (
        "string, not timestamp",
        _asking("ActivatePipeline", start_timestamp=(String | None, None)),
        {"ActivatePipelineInput.startTimestamp: string here, timestamp there"},
    ),
    (
        "one, not several",
        _asking("SetStatus", object_ids=(Id, ...)),
        {"SetStatusInput.objectIds: string here, list there"},
    ),
    (
        "list, not map",
        _answering("PollForTask", task_object=(Many[models.PipelineObject] | None, None)),
        {"PollForTaskOutput.taskObject: list here, structure there"},
    ),
    (
        "items of another type",
        _asking("SetStatus", object_ids=(Many[int], ...)),
        {
            "SetStatusInput.objectIds[]: integer here, string there",
            "SetStatusInput.objectIds: refuses 1000 items",
        },
    ),
    (
        "items of another model",
        _answering("DescribePipelines", pipeline_description_list=(Many[models.Tag], ...)),
        {
            "DescribePipelinesOutput.pipelineDescriptionList: refuses 1000 items",
            "PipelineDescription: key is here only",
            "PipelineDescription: value is here only",
            *(
                f"PipelineDescription: {member} is there only"
                for member in ("pipelineId", "name", "fields", "description", "tags")
            ),
        },
    ),
    (
        "string too short",
        _asking("ListPipelines", marker=(_limited(1023), None)),
        {"ListPipelinesInput.marker: refuses 1024 characters"},
    ),
    (
        "string too long",
        _asking("ListPipelines", marker=(_TooLong, None)),
        {"ListPipelinesInput.marker: takes 1025 characters"},
    ),
    (
        "string of UTF-16",
        _asking("ListPipelines", marker=(Annotated[String, AfterValidator(_utf_16)], None)),
        {"ListPipelinesInput.marker: refuses 1024 characters"},
    ),
    (
        "string never empty",
        _asking("ListPipelines", marker=(_limited(1024, shortest=1), None)),
        {"ListPipelinesInput.marker: refuses 0 characters"},
    ),
    (
        "string empty",
        _asking("DeletePipeline", pipeline_id=(_limited(1024), ...)),
        {"DeletePipelineInput.pipelineId: takes 0 characters"},
    ),
    (
        "string limited where none is",
        _asking("SetTaskStatus", error_message=(_limited(20_000), None)),
        {"SetTaskStatusInput.errorMessage: refuses 100000 characters"},
    ),
    (
        "string in a list too long",
        _asking("RemoveTags", tag_keys=(Many[_TooLong], ...)),
        {"RemoveTagsInput.tagKeys[]: takes 1025 characters"},
    ),
    (
        "characters unchecked",
        _asking("ListPipelines", marker=(Annotated[str, Limits(max_length=1024)], None)),
        {"ListPipelinesInput.marker: takes other characters"},
    ),
    (
        "list too long",
        _asking("AddTags", tags=(Annotated[Many[models.Tag], Limits(max_length=11)], ...)),
        {"AddTagsInput.tags: takes 11 items"},
    ),
    (
        "list too short",
        _asking("AddTags", tags=(Annotated[Many[models.Tag], Limits(max_length=9)], ...)),
        {"AddTagsInput.tags: refuses 10 items"},
    ),
    (
        "list never empty",
        _asking(
            "AddTags", tags=(Annotated[Many[models.Tag], Limits(min_length=1, max_length=10)], ...)
        ),
        {"AddTagsInput.tags: refuses 0 items"},
    ),
    (
        "list limited where none is",
        _asking("SetStatus", object_ids=(Annotated[Many[Id], Limits(max_length=25)], ...)),
        {"SetStatusInput.objectIds: refuses 1000 items"},
    ),
    (
        "word too many",
        _asking("SetTaskStatus", task_status=(Annotated[_TooManyWords, Strict(strict=False)], ...)),
        {"SetTaskStatusInput.taskStatus words: SUCCEEDED is here only"},
    ),
    (
        "word missing",
        _asking("SetTaskStatus", task_status=(Annotated[_WordMissing, Strict(strict=False)], ...)),
        {
            "SetTaskStatusInput.taskStatus words: FALSE is there only",
            "SetTaskStatusInput.taskStatus: refuses FALSE",
        },
    ),
    (
        "word not taken from the wire",
        _asking("SetTaskStatus", task_status=(models.TaskStatus, ...)),
        {
            f"SetTaskStatusInput.taskStatus: refuses {word}"
            for word in ("FINISHED", "FAILED", "FALSE")
        },
    ),
    (
        "any word",
        _asking("SetTaskStatus", task_status=(String, ...)),
        {
            f"SetTaskStatusInput.taskStatus words: {word} is there only"
            for word in ("FINISHED", "FAILED", "FALSE")
        },
    ),
    (
        "error missing",
        _row(
            "PollForTask",
            errors=frozenset({errors.InternalServiceError, errors.InvalidRequestException}),
        ),
        {"PollForTask errors: TaskNotFoundException is there only"},
    ),
    (
        "error too many",
        _row("DeletePipeline", errors=OPERATIONS["SetStatus"].errors),
        {"DeletePipeline errors: PipelineDeletedException is here only"},
    ),
    (
        "pages forgotten",
        _row("QueryObjects", items=None),
        {"QueryObjects: its pages hold None, at the service ids"},
    ),
    (
        "pages of another member",
        _row("DescribeObjects", items="pipeline_ids"),
        {"DescribeObjects: its pages hold pipelineIds, at the service pipelineObjects"},
    ),
    (
        "pages where none are",
        _row("DescribePipelines", items="pipeline_description_list"),
        {"DescribePipelines: its pages hold pipelineDescriptionList, at the service None"},
    ),
    (
        "no marker to ask with",
        _row("ListPipelines", request=_AsksForAll),
        {
            "ListPipelines: paging needs marker",
            "ListPipelinesInput: marker is there only",
        },
    ),
    (
        "no end of the pages",
        _row("QueryObjects", response=_AnswersOnePage),
        {
            "QueryObjects: paging needs hasMoreResults",
            "QueryObjectsOutput: hasMoreResults is there only",
        },
    ),
]


@pytest.mark.parametrize(
    ("planted", "said"), [pytest.param(planted, said, id=kind) for kind, planted, said in MISTAKES]
)
def test_a_planted_mistake_is_reported(planted: Planted, said: set[str]) -> None:
    name, row = planted
    service: Service = {
        "operations": {key: one for key, one in SERVICE["operations"].items() if key == name},
        "shapes": SERVICE["shapes"],
    }

    found = differences({name: row} if row else {}, service, PAGINATORS)

    assert found - DEVIATIONS.keys() == said
