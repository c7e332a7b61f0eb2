"""The service itself: a request's bytes -> an answer's bytes, whoever carries them.

Whatever is wrong comes back as an AWS error. What is answered is on disk before.
"""

from __future__ import annotations

import asyncio
import heapq
import json
import logging
import random
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from typing import TypeVar, cast

import pydantic
from pydantic_core import ErrorDetails

from aiodatapipeline._clock import Appointment, Clock
from aiodatapipeline._seam import Reply
from aiodatapipeline.errors import ServiceError
from aiodatapipeline.local._engine._definitions import Definitions
from aiodatapipeline.local._engine._lifecycle import Lifecycle
from aiodatapipeline.local._engine._runs import SCHEDULE, Runs
from aiodatapipeline.local._engine._sight import Sight
from aiodatapipeline.local._engine._tasks import Tasks
from aiodatapipeline.local._engine._views import Views
from aiodatapipeline.local._engine._work import Work
from aiodatapipeline.local._engine._world import Alarm, Hooks, World
from aiodatapipeline.local._errors import finish, refusal
from aiodatapipeline.local._quotas import AccountQuotas
from aiodatapipeline.local._store import Batch, Store, StoreError
from aiodatapipeline.local._switches import Switches
from aiodatapipeline.operations import (
    OPERATIONS,
    ActivatePipelineRequest,
    AddTagsRequest,
    CreatePipelineRequest,
    DeactivatePipelineRequest,
    DeletePipelineRequest,
    DescribeObjectsRequest,
    DescribePipelinesRequest,
    EvaluateExpressionRequest,
    GetPipelineDefinitionRequest,
    ListPipelinesRequest,
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
    ValidatePipelineDefinitionRequest,
)

_log = logging.getLogger("aiodatapipeline.local")

# Source: PollForTask, API reference 2012-10-29.
HOLD = 90.0
# A timer whose work failed is tried again so many seconds later.
_AFTER_FAILURE = 60.0
# And all of them, when the store could not be written.
_AFTER_LOSS = 5.0
# How many timers go off before requests have their turn.
_TIMERS_AT_ONCE = 200

_Members = Mapping[str, object]
SeenT = TypeVar("SeenT")


@dataclass(frozen=True, slots=True)
class _Given:
    """A task in the hands of a poll: it is its runner's once the batch is on disk."""

    task_id: str
    members: _Members
    batch: Batch


@dataclass(eq=False, slots=True)
class _Poll:
    """A poll that is held open."""

    worker_group: str
    hostname: str | None
    alive: Callable[[], bool]
    answered: asyncio.Future[_Given | None]
    over: bool = False
    """Whether its answer has left."""


@dataclass(order=True, slots=True)
class _Deadline:
    due: float
    number: int
    poll: _Poll = field(compare=False)


class Service:
    """A Data Pipeline: its state, its clock, and the 19 operations."""

    def __init__(
        self,
        store: str,
        clock: Clock,
        *,
        switches: Switches,
        quotas: AccountQuotas,
        hooks: Hooks,
        resource_delay: float = 0.0,
        seed: int | None = None,
    ) -> None:
        """Open a service; it must be in a running event loop, and belongs to that.

        Args:
            store: Of the file, or ``:memory:``.
            clock: What time it is.
            switches: How it behaves where nobody knows.
            quotas: Of the account.
            hooks: What the application does.
            resource_delay: Seconds that a resource takes to be created.
            seed: For ids that are the same in every run; None for ids that nobody can guess.

        Raises:
            StoreError: The store cannot be opened.
        """
        self._clock, self._switches = clock, switches
        chance = random.SystemRandom() if seed is None else random.Random(seed)  # noqa: S311  # asked for
        self._store = Store(store, on_rollback=self._forget, on_loss=self._lost)
        self._world = World(self._store, clock, switches, quotas, hooks, chance, resource_delay)
        self._work = Work(self._world)
        self._tasks = Tasks(self._world, self._work)
        self._runs = Runs(self._world, self._work)
        self._definitions = Definitions(self._world)
        self._lifecycle = Lifecycle(self._world, self._work, self._runs, self._definitions)
        self._views = Views(self._world, self._definitions)
        self._sight = Sight(self._world, self._definitions)
        self._polls: dict[str, deque[_Poll]] = {}
        self._deadlines: list[_Deadline] = []
        self._numbers = count()
        self._appointment: Appointment | None = None
        self._appointed = float("inf")
        self._resting = float("-inf")  # until when timers do not go off, since the disk is full
        self._closed = False
        self._timers: Mapping[str, Callable[[int], None]] = {
            SCHEDULE: self._runs.on_schedule,
            "begin": self._work.consider,
            "retry": self._work.on_retry,
            "late": self._work.on_late,
            "check": self._work.on_check,
            "resource": self._work.on_resource,
            "terminate": self._work.on_terminate,
            "lease": self._tasks.on_lease,
            "timeout": self._tasks.on_timeout,
            "purge": self._lifecycle.on_purge,
        }
        empty = finish(200, switches.empty_answer.value.encode())
        self._empty = empty.body
        self._operations: Mapping[str, Callable[[Request[Response]], bytes]] = {
            name: cast("Callable[[Request[Response]], bytes]", operation)
            for name, operation in {
                "ActivatePipeline": self._activate,
                "AddTags": self._add_tags,
                "CreatePipeline": self._create,
                "DeactivatePipeline": self._deactivate,
                "DeletePipeline": self._delete,
                "DescribeObjects": self._describe_objects,
                "DescribePipelines": self._describe_pipelines,
                "EvaluateExpression": self._evaluate,
                "GetPipelineDefinition": self._get_definition,
                "ListPipelines": self._list,
                "PutPipelineDefinition": self._put_definition,
                "QueryObjects": self._query,
                "RemoveTags": self._remove_tags,
                "ReportTaskProgress": self._report,
                "ReportTaskRunnerHeartbeat": self._heartbeat,
                "SetStatus": self._set_status,
                "SetTaskStatus": self._set_task_status,
                "ValidatePipelineDefinition": self._validate,
            }.items()
        }
        self._tick()

    # -- what carries requests asks -----------------------------------------------------------

    async def answer(
        self, operation: str, body: bytes, alive: Callable[[], bool] = lambda: True
    ) -> Reply:
        """Answer a request.

        Args:
            operation: As in ``X-Amz-Target``, behind the point.
            body: As it came.
            alive: Asked before a task is given to a poll: whether the poller is still there.
        """
        if self._closed:
            return refusal("InternalServiceError", "the local service is closed", 500)
        try:
            request = _read(operation, body)
            if isinstance(request, PollForTaskRequest):
                return await self._poll(request, alive)
            with self._clock.working():
                reply, batch = self._carry_out(operation, request)
                await batch.durable()
                return reply
        except ServiceError as error:
            return refusal(error.code, error.message, error.status)
        except StoreError as error:
            return refusal("InternalServiceError", str(error), 500)
        except Exception:  # noqa: BLE001  # whatever is wrong here, the service lives
            _log.exception("%s failed", operation)
            return refusal(
                "InternalServiceError", "the local service failed: its log tells why", 500
            )

    def _carry_out(self, operation: str, request: Request[Response]) -> tuple[Reply, Batch]:
        """Give the answer, and what has to be on disk before it is given."""
        do = self._operations[operation]
        try:
            if operation in _READING:
                self._world.now = self._clock.time()
                return finish(200, do(request)), self._store.batch
            with self._store.unit() as batch:
                self._world.now = self._clock.time()
                answered = do(request)
                self._world.work_off()
        except ServiceError as error:  # for a reason that may not be on disk yet
            return refusal(error.code, error.message, error.status), self._store.batch
        self._go_on()
        return finish(200, answered), batch

    # -- time and polls ------------------------------------------------------------------------

    def _go_on(self) -> None:
        """After a change: give out what is ready, and see when to come back."""
        self._serve_polls()
        due = self._world.next_due
        if self._world.ready_groups:  # that could not be served
            due = self._resting
        due = max(due, self._resting)
        if self._deadlines:
            due = min(due, self._deadlines[0].due)
        self._appoint(due)

    def _appoint(self, due: float) -> None:
        if due < self._appointed:
            if self._appointment is not None:
                self._appointment.cancel()
            self._appointed = due
            self._appointment = self._clock.call_at(due, self._tick)

    def _tick(self) -> None:
        """Do what is due."""
        self._appointment, self._appointed = None, float("inf")
        now = self._clock.time()
        if now >= self._resting:
            self._go_off(now)
        while self._deadlines and self._deadlines[0].due <= now:
            poll = heapq.heappop(self._deadlines).poll
            if not poll.answered.done():
                poll.answered.set_result(None)
        self._world.see_what_is_next()
        self._go_on()

    def _go_off(self, now: float) -> None:
        world = self._world
        world.now = now
        due = self._store.all(
            "SELECT kind, subject, due FROM timer WHERE due <= ?"
            " ORDER BY due, kind, subject LIMIT ?",
            now,
            _TIMERS_AT_ONCE,
        )
        for kind, subject, when in due:
            try:
                self._set_off(kind, subject, when)
            except StoreError:
                self._rest()
                return

    def _set_off(self, kind: str, subject: int, due: float) -> None:
        world = self._world
        try:
            with self._store.unit():
                # One that went off before may have called it off, or put it off.
                if world.take_timer(kind, subject, due):
                    self._timers[kind](subject)
                    world.work_off()
        except StoreError:
            raise
        except Exception:  # noqa: BLE001  # the others go off all the same
            _log.exception("the timer %s of %s failed", kind, subject)
            with self._store.unit():
                world.remind(kind, subject, world.now + _AFTER_FAILURE)

    def _rest(self) -> None:
        """Let what is due wait: what is done now would be lost."""
        self._resting = self._clock.time() + _AFTER_LOSS

    async def _poll(self, request: PollForTaskRequest, alive: Callable[[], bool]) -> Reply:
        poll = _Poll(
            request.worker_group,
            request.hostname,
            alive,
            asyncio.get_running_loop().create_future(),
        )
        self._polls.setdefault(poll.worker_group, deque()).append(poll)
        heapq.heappush(
            self._deadlines, _Deadline(self._clock.time() + HOLD, next(self._numbers), poll)
        )
        try:
            self._world.ready_groups.add(poll.worker_group)
            self._world.now = self._clock.time()
            self._go_on()
            given = await poll.answered
            body = self._switches.empty_poll.value.encode()
            if given is not None:
                with self._clock.working():
                    await given.batch.durable()
                if not self._hung_up(poll):
                    body, poll.over = json.dumps(given.members).encode(), True
            return finish(200, body)
        finally:
            self._forget_poll(poll)

    def _forget_poll(self, poll: _Poll) -> None:
        waiting = self._polls.get(poll.worker_group)
        if waiting is not None and poll in waiting:
            waiting.remove(poll)
        if not waiting:
            self._polls.pop(poll.worker_group, None)
        if poll.answered.done() and not poll.answered.cancelled() and not poll.over:
            given = poll.answered.result()
            if given is not None:
                self._take_back(given.task_id)
        # Those that are over leave when their time comes; many at once leave together.
        if len(self._deadlines) > 2 * sum(map(len, self._polls.values())) + 100:
            self._deadlines = [each for each in self._deadlines if not each.poll.answered.done()]
            heapq.heapify(self._deadlines)

    def _hung_up(self, poll: _Poll) -> bool:
        return self._switches.notices_hangup and not poll.alive()

    def _take_back(self, task_id: str) -> None:
        if self._closed or not self._switches.notices_hangup:
            return
        try:
            with self._store.unit():
                self._world.now = self._clock.time()
                self._tasks.take_back(task_id)
        except StoreError:
            _log.warning("a task that could not be given is ready again when its lease is over")
        self._go_on()

    def _serve_polls(self) -> None:
        """Give the ready tasks of groups to those who poll for them, to the first one first."""
        self._world.now = self._clock.time()
        if self._world.now < self._resting:
            return
        groups, self._world.ready_groups = self._world.ready_groups, set()
        for group in groups:
            waiting = self._polls.get(group)
            while waiting:
                poll = waiting[0]
                if poll.answered.done() or self._hung_up(poll):
                    waiting.popleft()
                    continue
                given = self._hand_over(poll)
                if given is None:
                    break
                waiting.popleft()
                poll.answered.set_result(given)

    def _hand_over(self, poll: _Poll) -> _Given | None:
        try:
            with self._store.unit() as batch:
                task = self._tasks.hand_over(poll.worker_group, poll.hostname)
        except StoreError as error:
            _log.error("a task cannot be handed over: %s", error)  # it says it all
            self._world.ready_groups.add(poll.worker_group)  # for later
            self._rest()
            return None
        except Exception:  # noqa: BLE001  # the other groups get their tasks all the same
            _log.exception("a task cannot be handed over to %r", poll.worker_group)
            return None
        return _Given(*task, batch) if task else None

    def _forget(self) -> None:
        self._world.forget()

    def _lost(self) -> None:
        """After what had happened did not: timers are due again, and tasks ready."""
        self._world.forget()
        self._world.ready_groups.update(self._polls)
        self._rest()
        if not self._closed:
            self._appoint(self._resting)

    # -- what its owner asks --------------------------------------------------------------------

    @property
    def worker_groups(self) -> Mapping[str, int]:
        """The worker groups that are polled for, with the number of open polls of each."""
        return {group: len(polls) for group, polls in self._polls.items() if polls}

    @property
    def pollers(self) -> Mapping[str, tuple[str | None, ...]]:
        """Whose polls are open, by worker group: the hostname of each, if it said one."""
        return {
            group: tuple(each.hostname for each in polls)
            for group, polls in self._polls.items()
            if polls
        }

    async def see(self, look: Callable[[Sight], SeenT]) -> SeenT:
        """Look at the state as people do. What is seen is on disk.

        Raises:
            StoreError: It cannot be written.
        """
        with self._clock.working():
            self._world.now = self._clock.time()
            seen = look(self._sight)
            await self._store.batch.durable()
        return seen

    def alarms(self) -> list[Alarm]:
        """Give the actions that were carried out, the first one first."""
        return self._views.alarms()

    async def reset(self) -> None:
        """Forget everything; open polls stay open."""
        with self._store.unit() as batch:
            self._store.empty()
        self._forget()
        await batch.durable()

    def close(self) -> None:
        """Answer open polls that there is no task, and close the store."""
        if self._closed:
            return
        self._closed = True
        if self._appointment is not None:
            self._appointment.cancel()
        for polls in self._polls.values():
            for poll in polls:
                if not poll.answered.done():
                    poll.answered.set_result(None)
        self._store.close()

    # -- the operations -------------------------------------------------------------------------

    def _activate(self, request: ActivatePipelineRequest) -> bytes:
        self._lifecycle.activate(self._lifecycle.get(request.pipeline_id), request)
        return self._empty

    def _add_tags(self, request: AddTagsRequest) -> bytes:
        tags = {each.key: each.value for each in request.tags}
        self._lifecycle.add_tags(self._lifecycle.get(request.pipeline_id), tags)
        return self._empty

    def _create(self, request: CreatePipelineRequest) -> bytes:
        return _json({"pipelineId": self._lifecycle.create(request)})

    def _deactivate(self, request: DeactivatePipelineRequest) -> bytes:
        pipeline = self._lifecycle.get(request.pipeline_id)
        self._lifecycle.deactivate(pipeline, cancel=request.cancel_active is not False)
        return self._empty

    def _delete(self, request: DeletePipelineRequest) -> bytes:
        self._lifecycle.delete(request.pipeline_id)
        return b""

    def _describe_objects(self, request: DescribeObjectsRequest) -> bytes:
        pipeline = self._lifecycle.get(request.pipeline_id)
        return _json(self._views.describe_objects(pipeline, request))

    def _describe_pipelines(self, request: DescribePipelinesRequest) -> bytes:
        found = [self._lifecycle.get(each) for each in request.pipeline_ids]
        described = [self._views.describe_pipeline(each) for each in found]
        return _json({"pipelineDescriptionList": described})

    def _evaluate(self, request: EvaluateExpressionRequest) -> bytes:
        pipeline = self._lifecycle.get(request.pipeline_id)
        text = self._views.evaluate(pipeline, request.object_id, request.expression)
        return _json({"evaluatedExpression": text})

    def _get_definition(self, request: GetPipelineDefinitionRequest) -> bytes:
        pipeline = self._lifecycle.get(request.pipeline_id)
        return self._definitions.get(pipeline, request.version).encode()

    def _list(self, request: ListPipelinesRequest) -> bytes:
        return _json(self._views.list_pipelines(request.marker))

    def _put_definition(self, request: PutPipelineDefinitionRequest) -> bytes:
        pipeline = self._lifecycle.get(request.pipeline_id)
        return self._definitions.put(pipeline, request)

    def _query(self, request: QueryObjectsRequest) -> bytes:
        pipeline = self._lifecycle.get(request.pipeline_id)
        return _json(self._views.query(pipeline, request))

    def _remove_tags(self, request: RemoveTagsRequest) -> bytes:
        self._lifecycle.remove_tags(self._lifecycle.get(request.pipeline_id), request.tag_keys)
        return self._empty

    def _report(self, request: ReportTaskProgressRequest) -> bytes:
        return _json({"canceled": self._tasks.report(request)})

    def _heartbeat(self, request: ReportTaskRunnerHeartbeatRequest) -> bytes:
        return _json({"terminate": self._tasks.is_over(request.worker_group or "")})

    def _set_status(self, request: SetStatusRequest) -> bytes:
        self._lifecycle.set_status(self._lifecycle.get(request.pipeline_id), request)
        return b""

    def _set_task_status(self, request: SetTaskStatusRequest) -> bytes:
        self._tasks.set_status(request)
        return self._empty

    def _validate(self, request: ValidatePipelineDefinitionRequest) -> bytes:
        pipeline = self._lifecycle.get(request.pipeline_id)
        return self._definitions.validate(pipeline, request)


# Operations that change nothing.
_READING = {
    "DescribeObjects",
    "DescribePipelines",
    "EvaluateExpression",
    "GetPipelineDefinition",
    "ListPipelines",
    "QueryObjects",
    "ReportTaskRunnerHeartbeat",
    "ValidatePipelineDefinition",
}


def _json(members: Mapping[str, object]) -> bytes:
    return json.dumps(members).encode()


class _RefusedError(ServiceError):
    """What the framework in front of the service refuses."""


def _framework(code: str, message: str) -> ServiceError:
    return _RefusedError(message, code=code, status=400)


def _read(operation: str, body: bytes) -> Request[Response]:
    """Understand a request.

    Raises:
        ServiceError: It is none.
    """
    row = OPERATIONS.get(operation)
    if row is None:
        raise _framework("UnknownOperationException", f"there is no operation {operation[:60]!r}")
    body = body or b"{}"
    with suppress(pydantic.ValidationError):
        return row.request.model_validate_json(
            body, by_alias=True, by_name=False, extra="ignore", context=row.request.door
        )
    # Slower, it takes a little more, such as UTF-16, and what is wrong has words for people.
    try:
        members: object = json.loads(body)
    except (ValueError, RecursionError):
        raise _framework("SerializationException", "the body is no JSON") from None
    if not isinstance(members, dict):
        raise _framework("SerializationException", "the body is no JSON object")
    try:
        return row.request.from_wire(cast("_Members", members))
    except pydantic.ValidationError as error:
        raise _wrong(error) from None


def _wrong(error: pydantic.ValidationError) -> ServiceError:
    """Say what is wrong with a request in the words that AWS has for it."""
    found = error.errors(include_url=False)
    first = found[0]
    where = ".".join(map(str, first["loc"])) or "the body"
    if first["type"] == "missing" or first["input"] is None:
        text = f"Value null at '{where}' failed to satisfy constraint: Member must not be null"
    else:  # the value is not repeated: it may be a secret
        text = f"Value at '{where}' failed to satisfy constraint: {_constraint(first)}"
    count_ = len(found)
    noun = "error" if count_ == 1 else "errors"
    return _framework("ValidationException", f"{count_} validation {noun} detected: {text}")


_TOO_LONG = "Member must have length less than or equal to {max_length}"
# By pydantic's names. Those of lengths and enums are AWS's own words.
_CONSTRAINTS = {
    "too_long": _TOO_LONG,
    "string_too_long": _TOO_LONG,
    "string_too_short": "Member must have length greater than or equal to {min_length}",
    "enum": "Member must satisfy enum value set: [{expected}]",
    "bool_type": "Member must be a boolean",
    "datetime_type": "Member must be a number of seconds since the epoch",
    "int_type": "Member must be an integer",
    "model_type": "Member must be an object",
    "string_type": "Member must be a string",
    "tuple_type": "Member must be a list",
}


def _constraint(found: ErrorDetails) -> str:
    words = _CONSTRAINTS.get(found["type"])
    if words is None:
        return found["msg"].removeprefix("Value error, ")
    return words.format(**found.get("ctx", {}))
