"""The 19 requests, their responses, and a table of 19 rows that ties them together.

The type checker knows from a request what comes back. Source: actions of the API reference
2012-10-29.
"""

# No "from __future__ import annotations" here: pydantic would compile 200 texts at every import.

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Generic, Literal, Self, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, PrivateAttr, Strict

from aiodatapipeline._failure import RESERVED_ERROR_ID, describe
from aiodatapipeline._wire import (
    Door,
    Id,
    LongString,
    Many,
    Message,
    OptionalMany,
    StackTrace,
    String,
    TaskId,
    Timestamp,
    WireModel,
)
from aiodatapipeline.errors import (
    InternalServiceError,
    InvalidRequestException,
    PipelineDeletedException,
    PipelineNotFoundException,
    ServiceError,
    TaskNotFoundException,
)
from aiodatapipeline.models import (
    Field as ObjectField,
)
from aiodatapipeline.models import (
    InstanceIdentity,
    ParameterObject,
    ParameterValue,
    PipelineDescription,
    PipelineIdName,
    PipelineObject,
    Query,
    Tag,
    TaskObject,
    TaskStatus,
    ValidationError,
    ValidationWarning,
)

__all__ = [
    "OPERATIONS",
    "ActivatePipelineRequest",
    "ActivatePipelineResponse",
    "AddTagsRequest",
    "AddTagsResponse",
    "CreatePipelineRequest",
    "CreatePipelineResponse",
    "DeactivatePipelineRequest",
    "DeactivatePipelineResponse",
    "DeletePipelineRequest",
    "DeletePipelineResponse",
    "DescribeObjectsRequest",
    "DescribeObjectsResponse",
    "DescribePipelinesRequest",
    "DescribePipelinesResponse",
    "EvaluateExpressionRequest",
    "EvaluateExpressionResponse",
    "GetPipelineDefinitionRequest",
    "GetPipelineDefinitionResponse",
    "ListPipelinesRequest",
    "ListPipelinesResponse",
    "Operation",
    "PollForTaskRequest",
    "PollForTaskResponse",
    "PutPipelineDefinitionRequest",
    "PutPipelineDefinitionResponse",
    "QueryObjectsRequest",
    "QueryObjectsResponse",
    "RemoveTagsRequest",
    "RemoveTagsResponse",
    "ReportTaskProgressRequest",
    "ReportTaskProgressResponse",
    "ReportTaskRunnerHeartbeatRequest",
    "ReportTaskRunnerHeartbeatResponse",
    "Request",
    "Response",
    "ResponseMetadata",
    "SetStatusRequest",
    "SetStatusResponse",
    "SetTaskStatusRequest",
    "SetTaskStatusResponse",
    "ValidatePipelineDefinitionRequest",
    "ValidatePipelineDefinitionResponse",
]

# DescribePipelines and DescribeObjects take 25 ids, says the API reference. The service has
# been seen to take 100 for DescribeObjects (the AWS CLI sends so many); the model takes the
# larger and the client's own method sends the smaller.
_MAX_PIPELINE_IDS = 25
_MAX_OBJECT_IDS = 100
_MAX_TAGS = 10


@dataclass(frozen=True, slots=True)
class ResponseMetadata:
    """What came back besides the body.

    ``attempts`` is 0 for a response that was built and did not come from a call.
    """

    request_id: str = ""
    """The service's id for the request, for AWS support; empty if it gave none."""
    status: int = 0
    """The HTTP status."""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    """The HTTP headers, their names in lower case."""
    attempts: int = 0
    """How many times the request was tried."""
    elapsed: float = 0.0
    """Seconds from the call to its answer, waits and repeats included."""


_NO_CALL = ResponseMetadata()


class Response(WireModel):
    """What an operation answers. Two are equal when their members are."""

    door = Door.ANSWER

    _metadata: ResponseMetadata = PrivateAttr(default_factory=lambda: _NO_CALL)

    @property
    def metadata(self) -> ResponseMetadata:
        """Request id, status, headers, attempts and elapsed time of the call."""
        return self._metadata

    def __eq__(self, other: object) -> bool:
        # pydantic compares private attributes too; when an answer came is no part of it.
        if not isinstance(other, Response) or type(self) is not type(other):
            return NotImplemented
        return self.__dict__ == other.__dict__

    __hash__ = None  # type: ignore[assignment]  # pydantic makes one of the members, per class


ResponseT = TypeVar("ResponseT", bound=Response)


class Request(WireModel, Generic[ResponseT]):
    """What an operation is asked. ``client.call(request)`` gives its ``ResponseT``."""

    operation: ClassVar[str]
    """The operation's name in the service's spelling."""

    if not TYPE_CHECKING:

        def __class_getitem__(cls, response: object) -> type[Self]:
            # Only a type checker reads the parameter; pydantic would make a class of each.
            return cls


class ActivatePipelineResponse(Response):
    """Says nothing: the pipeline is being activated."""


class ActivatePipelineRequest(Request[ActivatePipelineResponse]):
    """Start a pipeline, or let a deactivated one go on."""

    operation = "ActivatePipeline"

    pipeline_id: Id
    parameter_values: OptionalMany[ParameterValue] = ()
    start_timestamp: Timestamp | None = None
    """With a time zone. Where a deactivated pipeline resumes; whole seconds on the wire."""


class AddTagsResponse(Response):
    """Says nothing: the tags are set."""


class AddTagsRequest(Request[AddTagsResponse]):
    """Add tags, or overwrite those with the same keys."""

    operation = "AddTags"

    pipeline_id: Id
    tags: Annotated[Many[Tag], Field(max_length=_MAX_TAGS)]


class CreatePipelineResponse(Response):
    """The pipeline that is there now."""

    pipeline_id: Id


class CreatePipelineRequest(Request[CreatePipelineResponse]):
    """Create an empty pipeline."""

    operation = "CreatePipeline"

    name: Id
    unique_id: Id
    """With the same name, asking twice gives the first pipeline again."""
    description: String | None = None
    tags: Annotated[OptionalMany[Tag], Field(max_length=_MAX_TAGS)] = ()


class DeactivatePipelineResponse(Response):
    """Says nothing: the pipeline is being deactivated."""


class DeactivatePipelineRequest(Request[DeactivatePipelineResponse]):
    """Stop a pipeline; ActivatePipeline lets it go on."""

    operation = "DeactivatePipeline"

    pipeline_id: Id
    cancel_active: bool | None = None
    """True, the service's default, cancels what runs; False waits for it."""


class DeletePipelineResponse(Response):
    """Says nothing: the pipeline is being deleted."""


class DeletePipelineRequest(Request[DeletePipelineResponse]):
    """Delete a pipeline, its definition and its history; what runs is cancelled."""

    operation = "DeletePipeline"

    pipeline_id: Id


class DescribeObjectsResponse(Response):
    """A page of objects."""

    pipeline_objects: Many[PipelineObject]
    marker: String | None = None
    has_more_results: bool | None = None


class DescribeObjectsRequest(Request[DescribeObjectsResponse]):
    """Ask for objects by id, of any sphere."""

    operation = "DescribeObjects"

    pipeline_id: Id
    object_ids: Annotated[Many[Id], Field(max_length=_MAX_OBJECT_IDS)]
    evaluate_expressions: bool | None = None
    marker: String | None = None


class DescribePipelinesResponse(Response):
    """One description for each id asked for."""

    pipeline_description_list: Many[PipelineDescription]


class DescribePipelinesRequest(Request[DescribePipelinesResponse]):
    """Ask for pipelines by id. One unknown id fails the call."""

    operation = "DescribePipelines"

    pipeline_ids: Annotated[Many[Id], Field(max_length=_MAX_PIPELINE_IDS)]


class EvaluateExpressionResponse(Response):
    """The text with its expressions evaluated."""

    evaluated_expression: LongString


class EvaluateExpressionRequest(Request[EvaluateExpressionResponse]):
    """Evaluate each ``#{...}`` of a text in the context of an object."""

    operation = "EvaluateExpression"

    pipeline_id: Id
    object_id: Id
    expression: LongString


class GetPipelineDefinitionResponse(Response):
    """A definition as it was put."""

    pipeline_objects: OptionalMany[PipelineObject] = ()
    parameter_objects: OptionalMany[ParameterObject] = ()
    parameter_values: OptionalMany[ParameterValue] = ()


class GetPipelineDefinitionRequest(Request[GetPipelineDefinitionResponse]):
    """Ask for a pipeline's definition."""

    operation = "GetPipelineDefinition"

    pipeline_id: Id
    version: String | None = None
    """``latest``, the default, is the last one saved; ``active`` the last one activated."""


class ListPipelinesResponse(Response):
    """A page of pipelines."""

    pipeline_id_list: Many[PipelineIdName]
    marker: String | None = None
    has_more_results: bool | None = None


class ListPipelinesRequest(Request[ListPipelinesResponse]):
    """Ask for all pipelines that the caller may see."""

    operation = "ListPipelines"

    marker: String | None = None


def _null_for_empty(value: object) -> object:
    # An empty poll may be an empty structure; there is no task in it.
    return None if value == {} else value


class PollForTaskResponse(Response):
    """A task, or none."""

    task_object: Annotated[TaskObject | None, BeforeValidator(_null_for_empty)] = None
    """None when 90 seconds went by without work."""


class PollForTaskRequest(Request[PollForTaskResponse]):
    """Wait up to 90 seconds for a task of a worker group."""

    operation = "PollForTask"

    worker_group: String
    """Compared exactly, letter case included."""
    hostname: Id | None = None
    """Shown at the attempt, for people."""
    instance_identity: InstanceIdentity | None = None


class PutPipelineDefinitionResponse(Response):
    """What the service thinks of the definition."""

    errored: bool
    """True if the definition was saved and cannot be activated."""
    validation_errors: OptionalMany[ValidationError] = ()
    validation_warnings: OptionalMany[ValidationWarning] = ()


class PutPipelineDefinitionRequest(Request[PutPipelineDefinitionResponse]):
    """Replace the whole definition of a pipeline."""

    operation = "PutPipelineDefinition"

    pipeline_id: Id
    pipeline_objects: Many[PipelineObject]
    parameter_objects: OptionalMany[ParameterObject] = ()
    parameter_values: OptionalMany[ParameterValue] = ()


class QueryObjectsResponse(Response):
    """A page of object ids."""

    ids: OptionalMany[Id] = ()
    marker: String | None = None
    has_more_results: bool | None = None


class QueryObjectsRequest(Request[QueryObjectsResponse]):
    """Ask for the ids of objects that meet conditions."""

    operation = "QueryObjects"

    pipeline_id: Id
    sphere: String
    """COMPONENT, INSTANCE or ATTEMPT."""
    query: Query | None = None
    """None asks for all."""
    marker: String | None = None
    limit: int | None = None
    """How many ids one page may have; 100 if left out."""


class RemoveTagsResponse(Response):
    """Says nothing: the tags are gone."""


class RemoveTagsRequest(Request[RemoveTagsResponse]):
    """Remove tags by key."""

    operation = "RemoveTags"

    pipeline_id: Id
    tag_keys: Many[String]


class ReportTaskProgressResponse(Response):
    """Whether to go on."""

    canceled: bool
    """True: stop the work; no SetTaskStatus is needed."""


class ReportTaskProgressRequest(Request[ReportTaskProgressResponse]):
    """Say that a task is being worked on, which keeps it."""

    operation = "ReportTaskProgress"

    task_id: TaskId
    fields: OptionalMany[ObjectField] = ()
    """Such as percentComplete; for people."""


class ReportTaskRunnerHeartbeatResponse(Response):
    """Whether to go on."""

    terminate: bool
    """True: the task runner should stop."""


class ReportTaskRunnerHeartbeatRequest(Request[ReportTaskRunnerHeartbeatResponse]):
    """Say that a task runner is alive; every 15 minutes."""

    operation = "ReportTaskRunnerHeartbeat"

    taskrunner_id: Id
    """Unique in the account."""
    worker_group: String | None = None
    hostname: Id | None = None


class SetStatusResponse(Response):
    """Says nothing: the service will act on it."""


class SetStatusRequest(Request[SetStatusResponse]):
    """Pause or resume components; cancel, rerun or mark as finished instances."""

    operation = "SetStatus"

    pipeline_id: Id
    object_ids: Many[Id]
    status: String
    """PAUSE or RESUME for components; TRY_CANCEL, RERUN or MARK_FINISHED for instances."""


class SetTaskStatusResponse(Response):
    """Says nothing: the outcome is recorded."""


def _not_reserved(error_id: str) -> str:
    if error_id.startswith(RESERVED_ERROR_ID):
        raise ValueError(f"{RESERVED_ERROR_ID!r} at the beginning is reserved for the service")
    return error_id


class SetTaskStatusRequest(Request[SetTaskStatusResponse]):
    """Say how a task ended."""

    operation = "SetTaskStatus"

    task_id: TaskId
    task_status: Annotated[TaskStatus, Strict(strict=False)]
    error_id: Annotated[String, AfterValidator(_not_reserved)] | None = None
    """Not beginning with ``Service_``. Shown to people, as the next two."""
    error_message: Message | None = None
    error_stack_trace: StackTrace | None = None

    if TYPE_CHECKING:  # who makes one may write a plain word; who reads one gets a TaskStatus

        def __init__(
            self,
            *,
            task_id: str,
            task_status: TaskStatus | Literal["FINISHED", "FAILED", "FALSE"],
            error_id: str | None = None,
            error_message: str | None = None,
            error_stack_trace: str | None = None,
        ) -> None: ...

    @classmethod
    def failed(cls, task_id: str, exception: BaseException) -> Self:
        """Make the FAILED request that tells of an exception.

        The error id is the exception's class, the message its text, the stack trace its
        traceback. Characters that the service does not take are replaced; the message is cut
        to 2,048 bytes of UTF-8, and the stack trace to 1,024 characters: its first 300 and
        its end. Whatever the exception does when it is printed, this does not fail.

        Args:
            task_id: The task, as PollForTask gave it.
            exception: What went wrong.

        Raises:
            pydantic.ValidationError: The task id is empty or too long.
        """
        failure = describe(exception)
        return cls(
            task_id=task_id,
            task_status=TaskStatus.FAILED,
            error_id=failure.error_id,
            error_message=failure.message,
            error_stack_trace=failure.stack_trace,
        )


class ValidatePipelineDefinitionResponse(Response):
    """What the service thinks of the definition; nothing was saved."""

    errored: bool
    validation_errors: OptionalMany[ValidationError] = ()
    validation_warnings: OptionalMany[ValidationWarning] = ()


class ValidatePipelineDefinitionRequest(Request[ValidatePipelineDefinitionResponse]):
    """Check a definition as PutPipelineDefinition does, and save nothing."""

    operation = "ValidatePipelineDefinition"

    pipeline_id: Id
    pipeline_objects: Many[PipelineObject]
    parameter_objects: OptionalMany[ParameterObject] = ()
    parameter_values: OptionalMany[ParameterValue] = ()


@dataclass(frozen=True, slots=True)
class Operation:
    """A row of the table: what is asked, what is answered, and what the service may refuse."""

    request: type[Request[Any]]
    response: type[Response]
    errors: frozenset[type[ServiceError]]
    """The documented ones; those of AWS's front end can come from any operation."""
    items: str | None = None
    """The member that grows from page to page, for the operations that have pages."""

    @property
    def name(self) -> str:
        """The operation in the service's spelling."""
        return self.request.operation


_ANY = frozenset({InternalServiceError, InvalidRequestException})
_MISSING = _ANY | {PipelineNotFoundException}
_PIPELINE = _MISSING | {PipelineDeletedException}
_TASK = _PIPELINE | {TaskNotFoundException}

OPERATIONS: Mapping[str, Operation] = {
    row.name: row
    for row in (
        Operation(ActivatePipelineRequest, ActivatePipelineResponse, _PIPELINE),
        Operation(AddTagsRequest, AddTagsResponse, _PIPELINE),
        Operation(CreatePipelineRequest, CreatePipelineResponse, _ANY),
        Operation(DeactivatePipelineRequest, DeactivatePipelineResponse, _PIPELINE),
        Operation(DeletePipelineRequest, DeletePipelineResponse, _MISSING),
        Operation(
            DescribeObjectsRequest, DescribeObjectsResponse, _PIPELINE, items="pipeline_objects"
        ),
        Operation(DescribePipelinesRequest, DescribePipelinesResponse, _PIPELINE),
        Operation(EvaluateExpressionRequest, EvaluateExpressionResponse, _TASK),
        Operation(GetPipelineDefinitionRequest, GetPipelineDefinitionResponse, _PIPELINE),
        Operation(ListPipelinesRequest, ListPipelinesResponse, _ANY, items="pipeline_id_list"),
        Operation(PollForTaskRequest, PollForTaskResponse, _ANY | {TaskNotFoundException}),
        Operation(PutPipelineDefinitionRequest, PutPipelineDefinitionResponse, _PIPELINE),
        Operation(QueryObjectsRequest, QueryObjectsResponse, _PIPELINE, items="ids"),
        Operation(RemoveTagsRequest, RemoveTagsResponse, _PIPELINE),
        Operation(ReportTaskProgressRequest, ReportTaskProgressResponse, _TASK),
        Operation(ReportTaskRunnerHeartbeatRequest, ReportTaskRunnerHeartbeatResponse, _ANY),
        Operation(SetStatusRequest, SetStatusResponse, _PIPELINE),
        Operation(SetTaskStatusRequest, SetTaskStatusResponse, _TASK),
        Operation(ValidatePipelineDefinitionRequest, ValidatePipelineDefinitionResponse, _PIPELINE),
    )
}
"""By the operation's name in the service's spelling, in alphabetical order."""
