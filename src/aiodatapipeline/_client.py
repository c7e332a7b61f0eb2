"""The client: 19 methods and one generic ``call``, which every method takes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from datetime import datetime
from importlib import import_module
from typing import TYPE_CHECKING, Self, TypeVar, cast

from aiodatapipeline import _calls, _waiters
from aiodatapipeline import operations as op
from aiodatapipeline._config import (
    MAX_ATTEMPTS,
    MAX_POOL_CONNECTIONS,
    CallOptions,
    ConnectionSettings,
)
from aiodatapipeline._paging import Pager
from aiodatapipeline._seam import AiobotocoreSession, Transport
from aiodatapipeline._wire import as_tuple
from aiodatapipeline.errors import ClientClosedError
from aiodatapipeline.models import (
    Field,
    InstanceIdentity,
    ParameterObject,
    ParameterValue,
    PipelineDescription,
    PipelineIdName,
    PipelineObject,
    Query,
    Tag,
    TaskStatus,
)

if TYPE_CHECKING:
    from types import TracebackType

    from aiodatapipeline._transport import AiobotocoreTransport

RequestT = TypeVar("RequestT")

# Of DescribeObjects. Source: its page in the API reference; see also operations.py.
_IDS_PER_CALL = 25
# Of QueryObjects, if no limit is set. Source: its page in the API reference.
_IDS_PER_PAGE = 100


class _Connection:
    """What a client and its copies share: settings, and the transport while it is open."""

    def __init__(
        self,
        settings: ConnectionSettings,
        session: AiobotocoreSession | None,
        transport: Transport | None,
    ) -> None:
        self._settings, self._session = settings, session
        self._given = transport
        self._own: AiobotocoreTransport | None = None
        self._open: Transport | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._changing = asyncio.Lock()
        self.max_attempts = MAX_ATTEMPTS

    async def open(self) -> None:
        async with self._lock():
            if self._open is not None:
                return
            if self._given is not None:
                self._open = self._given
                return
            # Importing aiobotocore takes half a second, during which the loop goes on.
            module = await asyncio.to_thread(import_module, "aiodatapipeline._transport")
            kind = cast("type[AiobotocoreTransport]", module.AiobotocoreTransport)
            own = kind(self._settings, self._session)
            try:
                await own.open()
            except BaseException:
                await own.aclose()
                raise
            self.max_attempts = own.max_attempts or MAX_ATTEMPTS
            self._own = self._open = own

    async def aclose(self) -> None:
        async with self._lock():
            own, self._own, self._open = self._own, None, None
            if own is not None:
                await own.aclose()

    def _lock(self) -> asyncio.Lock:
        # A client may be opened in one event loop after the other: locks and sockets may not.
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            if self._open is not None and self._loop is not None and not self._loop.is_closed():
                raise _in_another_loop()
            self._own = self._open = None
            self._loop, self._changing = loop, asyncio.Lock()
        return self._changing

    @property
    def transport(self) -> Transport:
        if self._open is None:
            raise ClientClosedError(
                "the client is not open: use 'async with client:', or await client.open() first"
            )
        if self._loop is not asyncio.get_running_loop():
            raise _in_another_loop()
        return self._open


class DataPipelineClient:
    """A client of AWS Data Pipeline.

    Use it with ``async with``, or with ``open`` and ``aclose`` where a framework has a
    lifespan. One client serves any number of tasks of one event loop at once.

    Every method checks its arguments before anything is sent and raises pydantic's
    ``ValidationError`` for a wrong one; every method may raise any ``DataPipelineError``. The
    documented refusals of each operation are in ``operations.OPERATIONS``.
    """

    def __init__(
        self,
        *,
        region_name: str | None = None,
        endpoint_url: str | None = None,
        profile_name: str | None = None,
        aws_access_key_id: str | None = None,
        aws_secret_access_key: str | None = None,
        aws_session_token: str | None = None,
        verify: bool | str | None = None,
        max_pool_connections: int = MAX_POOL_CONNECTIONS,
        options: CallOptions | None = None,
        session: AiobotocoreSession | None = None,
        transport: Transport | None = None,
    ) -> None:
        """Make a client; nothing is looked up or connected before it is opened.

        What is left out comes from where botocore finds it: ``AWS_*`` variables
        (``AWS_ENDPOINT_URL_DATA_PIPELINE`` among them), the shared files, a role.

        Args:
            region_name: Such as ``us-east-1``.
            endpoint_url: Another service than the region's, such as a local one.
            profile_name: A profile of the shared files.
            aws_access_key_id: Together with ``aws_secret_access_key``, or neither.
            aws_secret_access_key: Together with ``aws_access_key_id``, or neither.
            aws_session_token: For temporary credentials.
            verify: False not to check certificates, or the path of a bundle of CAs.
            max_pool_connections: How many calls may be under way at once; the others wait
                their turn. Polls do not count: each has a connection of its own.
            options: Time limits and attempts of every call; ``with_options`` gives a copy with
                others.
            session: An aiobotocore session of the application's, to be used as it is.
            transport: What carries the requests instead of aiobotocore. It is opened and
                closed by whoever made it.

        Raises:
            ValueError: Two of the arguments contradict each other.
        """
        settings = ConnectionSettings(
            region_name=region_name,
            endpoint_url=endpoint_url,
            profile_name=profile_name,
            aws_access_key_id=aws_access_key_id,
            aws_secret_access_key=aws_secret_access_key,
            aws_session_token=aws_session_token,
            verify=verify,
            max_pool_connections=max_pool_connections,
        )
        if session is not None and profile_name is not None:
            raise ValueError("profile_name has no effect on a session that exists already")
        if transport is not None and (session is not None or settings != ConnectionSettings()):
            raise ValueError("a transport has its own connection; leave the settings for one out")
        self._connection = _Connection(settings, session, transport)
        self._options = options or CallOptions()

    async def open(self) -> None:
        """Look up settings and credentials. A client that is open stays as it is.

        Raises:
            ConfigurationError: No region or credentials were found, or settings are wrong.
        """
        await self._connection.open()

    async def aclose(self) -> None:
        """Close the connections, those of copies too. A client that is closed stays as it is."""
        await self._connection.aclose()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def with_options(
        self,
        *,
        timeout: float | None = None,
        poll_timeout: float | None = None,
        deadline: float | None = None,
        max_backoff: float | None = None,
        max_attempts: int | None = None,
    ) -> Self:
        """Give a copy with other time limits and attempts, which shares the connections.

        The arguments are those of ``CallOptions``; None leaves one as it was.
        """
        given = CallOptions(
            timeout=timeout,
            poll_timeout=poll_timeout,
            deadline=deadline,
            max_backoff=max_backoff,
            max_attempts=max_attempts,
        )
        copy = type(self).__new__(type(self))
        copy.__dict__.update(self.__dict__, _options=self._options.override(given))
        return copy

    async def call(
        self, request: op.Request[op.ResponseT], *, options: CallOptions | None = None
    ) -> op.ResponseT:
        """Send a request of any operation.

        Args:
            request: One of the 19 request models.
            options: Time limits and attempts of this call; what is None in them is the
                client's.

        Returns:
            The operation's response model, as the type of the request says.

        Raises:
            ServiceError: The service said no.
            TransportError: No answer came.
            ResponseError: What came was no answer.
            ClientClosedError: The client is not open.
        """
        transport = self._connection.transport
        if options is not None:
            options = self._options.override(options)
        return await _calls.call(
            transport, request, options or self._options, self._connection.max_attempts
        )

    # -- pipelines ------------------------------------------------------------------------

    async def create_pipeline(
        self,
        name: str,
        unique_id: str,
        *,
        description: str | None = None,
        tags: Iterable[Tag] | None = None,
        options: CallOptions | None = None,
    ) -> op.CreatePipelineResponse:
        """Create an empty pipeline, or find the one that this created before.

        Args:
            name: Of the pipeline, 1 to 1,024 characters; it need not be unique.
            unique_id: With the same name, asking twice gives the first pipeline again.
            description: Up to 1,024 characters.
            tags: At most ten.
            options: Time limits and attempts of this call.

        Source: CreatePipeline, API reference 2012-10-29.
        """
        request = _build(
            op.CreatePipelineRequest,
            name=name,
            unique_id=unique_id,
            description=description,
            tags=as_tuple(tags),
        )
        return await self.call(request, options=options)

    def list_pipelines(
        self,
        *,
        marker: str | None = None,
        max_items: int | None = None,
        options: CallOptions | None = None,
    ) -> Pager[op.ListPipelinesResponse, PipelineIdName]:
        """List all pipelines that the caller may see.

        Args:
            marker: Where to begin, from an earlier pager's ``resume_marker``.
            max_items: How many to give at most.
            options: Time limits and attempts of each call.

        Returns:
            To ``await`` for a page, or to iterate with ``async for``.

        Source: ListPipelines, API reference 2012-10-29.
        """
        request = _build(op.ListPipelinesRequest, marker=marker)

        async def fetch(
            _part: int, marker: str | None, _limit: int | None
        ) -> op.ListPipelinesResponse:
            return await self.call(request.model_copy(update={"marker": marker}), options=options)

        return Pager(fetch, lambda page: page.pipeline_id_list, marker=marker, max_items=max_items)

    async def describe_pipelines(
        self, pipeline_ids: Iterable[str], *, options: CallOptions | None = None
    ) -> op.DescribePipelinesResponse:
        """Describe up to 25 pipelines: state, times, health, tags.

        Args:
            pipeline_ids: At most 25. One unknown id fails the call.
            options: Time limits and attempts of this call.

        Source: DescribePipelines, API reference 2012-10-29.
        """
        request = _build(op.DescribePipelinesRequest, pipeline_ids=as_tuple(pipeline_ids))
        return await self.call(request, options=options)

    async def activate_pipeline(
        self,
        pipeline_id: str,
        *,
        parameter_values: Iterable[ParameterValue] | None = None,
        start_timestamp: datetime | None = None,
        options: CallOptions | None = None,
    ) -> op.ActivatePipelineResponse:
        """Start a pipeline, or let a deactivated one go on.

        Args:
            pipeline_id: The pipeline.
            parameter_values: In front of those of the definition.
            start_timestamp: Where a deactivated pipeline resumes. With a time zone; whole
                seconds.
            options: Time limits and attempts of this call.

        Source: ActivatePipeline, API reference 2012-10-29.
        """
        request = _build(
            op.ActivatePipelineRequest,
            pipeline_id=pipeline_id,
            parameter_values=as_tuple(parameter_values),
            start_timestamp=start_timestamp,
        )
        return await self.call(request, options=options)

    async def deactivate_pipeline(
        self,
        pipeline_id: str,
        *,
        cancel_active: bool | None = None,
        options: CallOptions | None = None,
    ) -> op.DeactivatePipelineResponse:
        """Stop a pipeline.

        Args:
            pipeline_id: The pipeline.
            cancel_active: True, the service's default, cancels what runs; False waits for it.
            options: Time limits and attempts of this call.

        Source: DeactivatePipeline, API reference 2012-10-29.
        """
        request = _build(
            op.DeactivatePipelineRequest, pipeline_id=pipeline_id, cancel_active=cancel_active
        )
        return await self.call(request, options=options)

    async def delete_pipeline(
        self, pipeline_id: str, *, options: CallOptions | None = None
    ) -> op.DeletePipelineResponse:
        """Delete a pipeline, its definition and its history; what runs is cancelled.

        Args:
            pipeline_id: The pipeline. It is gone a little later: see
                ``wait_until_pipeline_deleted``.
            options: Time limits and attempts of this call.

        Source: DeletePipeline, API reference 2012-10-29.
        """
        request = _build(op.DeletePipelineRequest, pipeline_id=pipeline_id)
        return await self.call(request, options=options)

    async def add_tags(
        self, pipeline_id: str, tags: Iterable[Tag], *, options: CallOptions | None = None
    ) -> op.AddTagsResponse:
        """Add tags to a pipeline, or overwrite those with the same keys.

        Args:
            pipeline_id: The pipeline.
            tags: At most ten.
            options: Time limits and attempts of this call.

        Source: AddTags, API reference 2012-10-29.
        """
        request = _build(op.AddTagsRequest, pipeline_id=pipeline_id, tags=as_tuple(tags))
        return await self.call(request, options=options)

    async def remove_tags(
        self, pipeline_id: str, tag_keys: Iterable[str], *, options: CallOptions | None = None
    ) -> op.RemoveTagsResponse:
        """Remove tags from a pipeline.

        Args:
            pipeline_id: The pipeline.
            tag_keys: The keys of the tags.
            options: Time limits and attempts of this call.

        Source: RemoveTags, API reference 2012-10-29.
        """
        request = _build(op.RemoveTagsRequest, pipeline_id=pipeline_id, tag_keys=as_tuple(tag_keys))
        return await self.call(request, options=options)

    # -- definitions ----------------------------------------------------------------------

    async def put_pipeline_definition(
        self,
        pipeline_id: str,
        pipeline_objects: Iterable[PipelineObject],
        *,
        parameter_objects: Iterable[ParameterObject] = (),
        parameter_values: Iterable[ParameterValue] = (),
        options: CallOptions | None = None,
    ) -> op.PutPipelineDefinitionResponse:
        """Replace the whole definition of a pipeline.

        Parameters that are left out are sent as empty lists, as the AWS CLI does, so that
        none of an earlier definition remain.

        Args:
            pipeline_id: The pipeline.
            pipeline_objects: All objects of the definition.
            parameter_objects: All parameters.
            parameter_values: Their values.
            options: Time limits and attempts of this call.

        Returns:
            ``errored`` is True if the definition was saved and cannot be activated.

        Source: PutPipelineDefinition, API reference 2012-10-29.
        """
        request = _build(
            op.PutPipelineDefinitionRequest,
            pipeline_id=pipeline_id,
            pipeline_objects=as_tuple(pipeline_objects),
            parameter_objects=as_tuple(parameter_objects),
            parameter_values=as_tuple(parameter_values),
        )
        return await self.call(request, options=options)

    async def validate_pipeline_definition(
        self,
        pipeline_id: str,
        pipeline_objects: Iterable[PipelineObject],
        *,
        parameter_objects: Iterable[ParameterObject] = (),
        parameter_values: Iterable[ParameterValue] = (),
        options: CallOptions | None = None,
    ) -> op.ValidatePipelineDefinitionResponse:
        """Check a definition as ``put_pipeline_definition`` does, and save nothing.

        Args:
            pipeline_id: The pipeline.
            pipeline_objects: All objects of the definition.
            parameter_objects: All parameters.
            parameter_values: Their values.
            options: Time limits and attempts of this call.

        Source: ValidatePipelineDefinition, API reference 2012-10-29.
        """
        request = _build(
            op.ValidatePipelineDefinitionRequest,
            pipeline_id=pipeline_id,
            pipeline_objects=as_tuple(pipeline_objects),
            parameter_objects=as_tuple(parameter_objects),
            parameter_values=as_tuple(parameter_values),
        )
        return await self.call(request, options=options)

    async def get_pipeline_definition(
        self,
        pipeline_id: str,
        *,
        version: str | None = None,
        options: CallOptions | None = None,
    ) -> op.GetPipelineDefinitionResponse:
        """Get the definition of a pipeline, as it was put.

        Args:
            pipeline_id: The pipeline.
            version: ``latest``, the default, is the last one saved; ``active`` the last one
                activated.
            options: Time limits and attempts of this call.

        Source: GetPipelineDefinition, API reference 2012-10-29.
        """
        request = _build(op.GetPipelineDefinitionRequest, pipeline_id=pipeline_id, version=version)
        return await self.call(request, options=options)

    # -- objects --------------------------------------------------------------------------

    def describe_objects(
        self,
        pipeline_id: str,
        object_ids: Iterable[str],
        *,
        evaluate_expressions: bool | None = None,
        marker: str | None = None,
        max_items: int | None = None,
        options: CallOptions | None = None,
    ) -> Pager[op.DescribeObjectsResponse, PipelineObject]:
        """Describe objects of any sphere.

        Args:
            pipeline_id: The pipeline.
            object_ids: Any number; calls are made for 25 at a time.
            evaluate_expressions: Whether expressions in the fields are evaluated.
            marker: Where to begin, from an earlier pager's ``resume_marker``; for at most 25
                ids.
            max_items: How many to give at most.
            options: Time limits and attempts of each call.

        Returns:
            To ``await`` for a page of at most 25 ids, or to iterate with ``async for``.

        Source: DescribeObjects, API reference 2012-10-29.
        """
        # A text stays one, for the model to refuse.
        ids = object_ids if isinstance(object_ids, str) else tuple(object_ids)
        requests = [
            _build(
                op.DescribeObjectsRequest,
                pipeline_id=pipeline_id,
                object_ids=ids[start : start + _IDS_PER_CALL],
                evaluate_expressions=evaluate_expressions,
                marker=marker,
            )
            for start in range(0, len(ids) or 1, _IDS_PER_CALL)
        ]

        async def fetch(
            part: int, marker: str | None, _limit: int | None
        ) -> op.DescribeObjectsResponse:
            request = requests[part].model_copy(update={"marker": marker})
            return await self.call(request, options=options)

        return Pager(
            fetch,
            lambda page: page.pipeline_objects,
            parts=len(requests) if ids else 0,
            marker=marker,
            max_items=max_items,
        )

    def query_objects(
        self,
        pipeline_id: str,
        sphere: str,
        *,
        query: Query | None = None,
        marker: str | None = None,
        limit: int | None = None,
        max_items: int | None = None,
        options: CallOptions | None = None,
    ) -> Pager[op.QueryObjectsResponse, str]:
        """Find the ids of objects that meet conditions.

        Args:
            pipeline_id: The pipeline.
            sphere: COMPONENT, INSTANCE or ATTEMPT.
            query: At most ten conditions, which must all hold; None for all objects.
            marker: Where to begin, from an earlier pager's ``resume_marker``.
            limit: How many ids a page may have; the service's default is 100.
            max_items: How many to give at most.
            options: Time limits and attempts of each call.

        Returns:
            To ``await`` for a page, or to iterate with ``async for``.

        Source: QueryObjects, API reference 2012-10-29.
        """
        request = _build(
            op.QueryObjectsRequest,
            pipeline_id=pipeline_id,
            sphere=sphere,
            query=query,
            marker=marker,
            limit=limit,
        )

        async def fetch(
            _part: int, marker: str | None, left: int | None
        ) -> op.QueryObjectsResponse:
            # A page need not bring more than is wanted; nobody knows if it may bring more
            # than it does by default.
            size = left if left is not None and left < (limit or _IDS_PER_PAGE) else limit
            page = request.model_copy(update={"marker": marker, "limit": size})
            return await self.call(page, options=options)

        return Pager(fetch, lambda page: page.ids, marker=marker, max_items=max_items)

    async def evaluate_expression(
        self,
        pipeline_id: str,
        object_id: str,
        expression: str,
        *,
        options: CallOptions | None = None,
    ) -> op.EvaluateExpressionResponse:
        """Evaluate each ``#{...}`` of a text in the context of an object.

        Args:
            pipeline_id: The pipeline.
            object_id: The object whose fields the expressions see.
            expression: The text.
            options: Time limits and attempts of this call.

        Source: EvaluateExpression, API reference 2012-10-29.
        """
        request = _build(
            op.EvaluateExpressionRequest,
            pipeline_id=pipeline_id,
            object_id=object_id,
            expression=expression,
        )
        return await self.call(request, options=options)

    async def set_status(
        self,
        pipeline_id: str,
        object_ids: Iterable[str],
        status: str,
        *,
        options: CallOptions | None = None,
    ) -> op.SetStatusResponse:
        """Pause or resume components; cancel, rerun or mark as finished instances.

        Args:
            pipeline_id: The pipeline.
            object_ids: Components or instances, not both in one call.
            status: PAUSE or RESUME for components; TRY_CANCEL, RERUN or MARK_FINISHED for
                instances. It takes effect a little later.
            options: Time limits and attempts of this call.

        Source: SetStatus, API reference 2012-10-29.
        """
        request = _build(
            op.SetStatusRequest,
            pipeline_id=pipeline_id,
            object_ids=as_tuple(object_ids),
            status=status,
        )
        return await self.call(request, options=options)

    # -- task runners ---------------------------------------------------------------------

    async def poll_for_task(
        self,
        worker_group: str,
        *,
        hostname: str | None = None,
        instance_identity: InstanceIdentity | None = None,
        options: CallOptions | None = None,
    ) -> op.PollForTaskResponse:
        """Wait for one task of a worker group.

        A poll whose answer was lost is not repeated, since the answer may have held a task;
        the service hands that over again after two minutes.

        Args:
            worker_group: Where to take work from. Compared exactly, letter case included.
            hostname: Shown at the attempt, for people.
            instance_identity: What an EC2 instance says of itself.
            options: Time limits and attempts of this call; its own is ``poll_timeout``.

        Returns:
            ``task_object`` is None when 90 seconds went by without work.

        Raises:
            InvalidRequestException: The service refused the worker group.
            ResponseLostError: Nothing came back, not even after ``poll_timeout`` seconds.

        Source: PollForTask, API reference 2012-10-29.
        """
        request = _build(
            op.PollForTaskRequest,
            worker_group=worker_group,
            hostname=hostname,
            instance_identity=instance_identity,
        )
        return await self.call(request, options=options)

    async def report_task_progress(
        self,
        task_id: str,
        *,
        fields: Iterable[Field] | None = None,
        options: CallOptions | None = None,
    ) -> op.ReportTaskProgressResponse:
        """Say that a task is being worked on, which keeps it.

        The first report is due two minutes after the poll, the next ones every 15 minutes at
        the latest; every 60 seconds is advised.

        Args:
            task_id: The task, as PollForTask gave it.
            fields: Such as percentComplete; for people.
            options: Time limits and attempts of this call.

        Returns:
            ``canceled`` is True when the work should stop; then no status is needed.

        Source: ReportTaskProgress, API reference 2012-10-29.
        """
        request = _build(op.ReportTaskProgressRequest, task_id=task_id, fields=as_tuple(fields))
        return await self.call(request, options=options)

    async def set_task_status(
        self,
        task_id: str,
        task_status: TaskStatus | str,
        *,
        error_id: str | None = None,
        error_message: str | None = None,
        error_stack_trace: str | None = None,
        options: CallOptions | None = None,
    ) -> op.SetTaskStatusResponse:
        """Say how a task ended. ``SetTaskStatusRequest.failed`` tells of an exception.

        Args:
            task_id: The task, as PollForTask gave it.
            task_status: FINISHED, FAILED, or FALSE for a precondition that is not met.
            error_id: Not beginning with ``Service_``; shown to people, as the next two.
            error_message: Any length.
            error_stack_trace: Up to 4,095 characters; another source says 1,024.
            options: Time limits and attempts of this call.

        Raises:
            TaskNotFoundException: The task is another's by now. With ``maybe_applied`` an
                earlier attempt may have ended it: its answer was lost.

        Source: SetTaskStatus, API reference 2012-10-29.
        """
        request = _build(
            op.SetTaskStatusRequest,
            task_id=task_id,
            task_status=task_status,
            error_id=error_id,
            error_message=error_message,
            error_stack_trace=error_stack_trace,
        )
        return await self.call(request, options=options)

    async def report_task_runner_heartbeat(
        self,
        taskrunner_id: str,
        *,
        worker_group: str | None = None,
        hostname: str | None = None,
        options: CallOptions | None = None,
    ) -> op.ReportTaskRunnerHeartbeatResponse:
        """Say that a task runner is alive; every 15 minutes.

        Args:
            taskrunner_id: Unique in the account.
            worker_group: Where it takes work from.
            hostname: Where it runs.
            options: Time limits and attempts of this call.

        Returns:
            ``terminate`` is True when the task runner should stop.

        Source: ReportTaskRunnerHeartbeat, API reference 2012-10-29.
        """
        request = _build(
            op.ReportTaskRunnerHeartbeatRequest,
            taskrunner_id=taskrunner_id,
            worker_group=worker_group,
            hostname=hostname,
        )
        return await self.call(request, options=options)

    # -- waiting --------------------------------------------------------------------------

    async def wait_for_pipeline_state(
        self,
        pipeline_id: str,
        *states: str,
        timeout: float,
        interval: float = _waiters.INTERVAL,
    ) -> PipelineDescription:
        """Wait until a pipeline is in a state.

        Args:
            pipeline_id: The pipeline.
            states: Any of them will do: PENDING, SCHEDULED, INACTIVE, FINISHED, ...
            timeout: Seconds until it is given up, and one interval more for the last look.
            interval: Seconds between looks; the account may look once a second.

        Raises:
            WaitTimeoutError: The time is up; its message names the state.
            PipelineNotFoundException: There is no such pipeline, or no longer.
            ValueError: No state is named, or ``timeout`` or ``interval`` is no such number.
        """
        return await _waiters.wait_for_state(
            self, pipeline_id, states, _waiters.Pace(timeout, interval, self._pause)
        )

    async def wait_until_pipeline_deleted(
        self,
        pipeline_id: str,
        *,
        timeout: float,
        interval: float = _waiters.INTERVAL,
    ) -> None:
        """Wait until a pipeline is gone.

        Args:
            pipeline_id: The pipeline.
            timeout: Seconds until it is given up, and one interval more for the last look.
            interval: Seconds between looks; the account may look once a second.

        Raises:
            WaitTimeoutError: The time is up.
            ValueError: ``timeout`` or ``interval`` is no such number of seconds.
        """
        await _waiters.wait_until_deleted(
            self, pipeline_id, _waiters.Pace(timeout, interval, self._pause)
        )

    async def wait_until_instances_ended(
        self,
        pipeline_id: str,
        *,
        timeout: float,
        interval: float = _waiters.INTERVAL,
    ) -> tuple[PipelineObject, ...]:
        """Wait until a pipeline has instances and all of them have ended, well or not.

        Args:
            pipeline_id: The pipeline.
            timeout: Seconds until it is given up, and one interval more for the last look.
            interval: Seconds between looks; the account may look twice a second.

        Returns:
            The instances; ``instance.string("@status")`` says how each ended.

        Raises:
            WaitTimeoutError: The time is up; its message names an instance that goes on.
            ValueError: ``timeout`` or ``interval`` is no such number of seconds.
        """
        return await _waiters.wait_until_ended(
            self, pipeline_id, _waiters.Pace(timeout, interval, self._pause)
        )

    async def _pause(self, seconds: float) -> float:
        """Wait from one look of a waiter to the next, and give how much of it was skipped."""
        await asyncio.sleep(seconds)
        return 0.0


def _in_another_loop() -> ClientClosedError:
    return ClientClosedError(
        "the client is open in another event loop, and connections belong to one: close it "
        "there first, or make a client for each loop"
    )


def _build(model: Callable[..., RequestT], **members: object) -> RequestT:
    """Build a request of what was given; None stands for what was not."""
    return model(**{name: value for name, value in members.items() if value is not None})
