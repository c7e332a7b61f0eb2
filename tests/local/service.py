"""A service in this process, on a clock that stands still, and what tests ask of it.

Whatever it answers in any test is read by our own models and by botocore's parser.
"""

from __future__ import annotations

import asyncio
import importlib
import json
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, TypeAlias

from aiodatapipeline import CallOptions, DataPipelineClient
from aiodatapipeline._clock import VirtualClock
from aiodatapipeline._seam import Reply
from aiodatapipeline.definition import Definition
from aiodatapipeline.local._engine._world import Alarm, Hooks
from aiodatapipeline.local._quotas import AccountQuotas
from aiodatapipeline.local._service import Service
from aiodatapipeline.local._switches import Switches
from aiodatapipeline.models import Field, ParameterValue, PipelineObject, Tag, TaskObject
from aiodatapipeline.operations import OPERATIONS, PutPipelineDefinitionResponse

START = datetime(2026, 1, 1, tzinfo=UTC)
"""When every test begins, and so when its pipelines are activated."""
MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0

Object: TypeAlias = Mapping[str, object]
"""An object as in a definition file."""


# -- definitions ----------------------------------------------------------------------------------


def ref(object_id: str) -> dict[str, str]:
    return {"ref": object_id}


def shell(object_id: str, **fields: object) -> Object:
    """An activity."""
    return {"id": object_id, "type": "ShellCommandActivity", "command": "true", **fields}


def data(object_id: str, **fields: object) -> Object:
    """A data node."""
    return {"id": object_id, "type": "S3DataNode", "directoryPath": "s3://b/x", **fields}


def asks(object_id: str, **fields: object) -> Object:
    """A precondition that a runner evaluates."""
    return {"id": object_id, "type": "ShellCommandPrecondition", "command": "true", **fields}


def exists(object_id: str, **fields: object) -> Object:
    """A precondition that the service evaluates."""
    return {"id": object_id, "type": "S3KeyExists", "s3Key": "s3://b/k", "role": "r", **fields}


def machine(object_id: str, **fields: object) -> Object:
    """A resource."""
    return {"id": object_id, "type": "Ec2Resource", "role": "r", "resourceRole": "rr", **fields}


def alarm(object_id: str, **fields: object) -> Object:
    """An action."""
    return {
        "id": object_id,
        "type": "SnsAlarm",
        "topicArn": "arn:aws:sns:us-east-1:1:t",
        "role": "r",
        "subject": "about #{node.@id}",
        "message": "it is #{node.@status}",
        **fields,
    }


def on_demand(*objects: Object, **default: object) -> list[Object]:
    """A pipeline that runs once for every activation, for the worker group g."""
    return [{"id": "Default", "scheduleType": "ondemand", "workerGroup": "g", **default}, *objects]


def every(
    period: str, *objects: Object, schedule: Object | None = None, **default: object
) -> list[Object]:
    """A pipeline with a schedule S from its activation on, for the worker group g."""
    begins: Object = {"startAt": "FIRST_ACTIVATION_DATE_TIME"}
    return [
        {
            "id": "Default",
            "scheduleType": "cron",
            "schedule": ref("S"),
            "workerGroup": "g",
            **default,
        },
        {"id": "S", "type": "Schedule", "period": period, **(schedule or begins)},
        *objects,
    ]


def from_(start: str, **more: object) -> Object:
    """A schedule's start, for ``every``."""
    return {"startDateTime": start, **more}


def at(object_id: str, after: float = 0, attempt: int | None = None) -> str:
    """The id of an instance that is scheduled so many seconds after the start, or its attempt."""
    time = (START + timedelta(seconds=after)).isoformat()[:19]
    return f"@{object_id}_{time}" + (f"_Attempt={attempt}" if attempt else "")


def clock_time(after: float) -> str:
    """A time so many seconds after the start, as the service writes it."""
    return (START + timedelta(seconds=after)).isoformat()[:19]


def tags(**values: str) -> list[Tag]:
    return [Tag(key=key, value=value) for key, value in values.items()]


# -- what carries requests -------------------------------------------------------------------------


@cache
def _botocore() -> tuple[Any, Any]:
    """botocore's model of the service, and its parser. It is not typed."""
    model = importlib.import_module("botocore.model")
    loader = importlib.import_module("botocore.loaders").Loader()
    description = loader.load_service_model("datapipeline", "service-2")
    parser = importlib.import_module("botocore.parsers").create_parser("json")
    return model.ServiceModel(description, "datapipeline"), parser


def _read_twice(operation: str, reply: Reply) -> None:
    """Let both readers have an answer; neither may find anything wrong with it."""
    if operation not in OPERATIONS:
        return
    model, parser = _botocore()
    shape = model.operation_model(operation).output_shape
    answered = {"status_code": reply.status, "headers": reply.headers, "body": reply.body}
    parsed = parser.parse(answered, shape)
    if reply.status == 200:
        members = json.loads(reply.body or b"{}")
        OPERATIONS[operation].response.from_wire(members)
        theirs = {key for key in parsed if key != "ResponseMetadata"}
        assert {key for key, value in members.items() if value is not None} == theirs
    else:
        assert parsed["Error"]["Code"], reply.body
        assert parsed["Error"]["Message"], reply.body


class Wire:
    """A transport on a service."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def send(self, operation: str, body: Mapping[str, object], timeout: float) -> Reply:
        reply = await self._service.answer(operation, json.dumps(body).encode())
        _read_twice(operation, reply)
        return reply


# -- the place --------------------------------------------------------------------------------------


class Pipe:
    """A pipeline of a test."""

    def __init__(self, place: Place, pipeline_id: str) -> None:
        self._place, self.id = place, pipeline_id

    async def put(
        self,
        objects: Sequence[Object],
        parameters: Sequence[Object] = (),
        values: Mapping[str, object] | None = None,
    ) -> PutPipelineDefinitionResponse:
        definition = Definition.from_mapping(
            {"objects": objects, "parameters": parameters, "values": values or {}}
        )
        return await self._place.client.call(definition.to_request(self.id))

    async def activate(self, *, since: float | None = None, **values: str) -> None:
        """Activate, and let what falls due at once happen."""
        start = None if since is None else START + timedelta(seconds=since)
        await self._place.client.activate_pipeline(
            self.id,
            parameter_values=[
                ParameterValue(id=each, string_value=value) for each, value in values.items()
            ],
            start_timestamp=start,
        )
        await self._place.passes(0)

    async def deactivate(self, *, cancel: bool | None = None) -> None:
        await self._place.client.deactivate_pipeline(self.id, cancel_active=cancel)

    async def set(self, status: str, *object_ids: str) -> None:
        await self._place.client.set_status(self.id, object_ids, status)
        await self._place.passes(0)

    async def fields(self) -> dict[str, str]:
        """What DescribePipelines says."""
        found = await self._place.client.describe_pipelines([self.id])
        (described,) = found.pipeline_description_list
        return {each.key: each.string_value or "" for each in described.fields}

    async def state(self) -> str:
        return (await self.fields())["@pipelineState"]

    async def show(self, object_id: str, *, evaluate: bool = False) -> PipelineObject:
        found = [
            each
            async for each in self._place.client.describe_objects(
                self.id, [object_id], evaluate_expressions=evaluate
            )
        ]
        assert len(found) == 1
        return found[0]

    async def text(self, object_id: str, key: str) -> str | None:
        return (await self.show(object_id)).string(key)

    async def ids(self, sphere: str = "INSTANCE") -> list[str]:
        return [each async for each in self._place.client.query_objects(self.id, sphere)]

    async def instances(self, *components: str) -> dict[str, str]:
        """The status of every instance, of these components, by id; in order of the time."""
        client, ids = self._place.client, await self.ids()
        shown = [each async for each in client.describe_objects(self.id, ids)] if ids else []
        return {
            each.id: each.string("@status") or ""
            for each in shown
            if not components or each.ref("@componentParent") in components
        }

    async def run(self) -> dict[str, str]:
        """The status of every instance of the only run, by component."""
        return {key[1:].rpartition("_")[0]: each for key, each in (await self.instances()).items()}

    async def history(self, component: str) -> list[str]:
        """The statuses of a component's instances, in order of their time."""
        return list((await self.instances(component)).values())


class Place:
    """A service in this process, and its clock."""

    def __init__(self, service: Service, clock: VirtualClock, alarms: list[Alarm]) -> None:
        self.service, self.clock, self.alarms = service, clock, alarms
        self.client = DataPipelineClient(
            transport=Wire(service), options=CallOptions(max_attempts=1)
        )

    @property
    def now(self) -> float:
        """Seconds since the start."""
        return self.clock.time() - START.timestamp()

    async def passes(self, seconds: float) -> None:
        await self.clock.advance(seconds)

    async def until(self, after: float) -> None:
        """Let it be so many seconds after the start."""
        await self.clock.advance(after - self.now)

    async def ask(self, operation: str, body: object = None, **members: object) -> Any:
        """Ask by hand; give the answer's members, or the error's code and message."""
        given = body if isinstance(body, bytes) else json.dumps(members).encode()
        reply = await self.service.answer(operation, given)
        _read_twice(operation, reply)
        said = json.loads(reply.body or b"{}")
        if reply.status == 200:
            return said
        return f"{said['__type'].rpartition('#')[2]}: {said['message']}"

    # -- pipelines --

    async def create(self, name: str = "p", unique_id: str = "u") -> Pipe:
        return Pipe(self, (await self.client.create_pipeline(name, unique_id)).pipeline_id)

    async def pipeline(
        self, objects: Sequence[Object], *, activate: bool = True, name: str = "p"
    ) -> Pipe:
        """Create a pipeline with a definition without errors, and activate it."""
        pipe = await self.create(name)
        answer = await pipe.put(objects)
        assert not answer.errored, answer.validation_errors
        if activate:
            await pipe.activate()
        return pipe

    # -- a task runner --

    def polling(self, group: str = "g") -> asyncio.Task[TaskObject | None]:
        """A poll that is held open."""

        async def poll() -> TaskObject | None:
            return (await self.client.poll_for_task(group, hostname="host")).task_object

        return asyncio.ensure_future(poll())

    async def poll(self, group: str = "g") -> TaskObject | None:
        """Take the task that is ready now, or none: hang up then."""
        poll = self.polling(group)
        await self.passes(0)
        if not poll.done():
            poll.cancel()
        (found,) = await asyncio.gather(poll, return_exceptions=True)
        if isinstance(found, asyncio.CancelledError):
            return None
        assert not isinstance(found, BaseException), found
        return found

    async def take(self, group: str = "g") -> TaskObject:
        """Take the task that must be ready now."""
        task = await self.poll(group)
        assert task is not None, f"no task of {group} is ready"
        return task

    async def begin(self, group: str = "g") -> TaskObject:
        """Take the task that must be ready now, and report on it."""
        task = await self.take(group)
        assert not await self.report(task)
        return task

    async def report(self, task: TaskObject, **fields: str) -> bool:
        """Report progress; say whether to stop."""
        made = [Field.of(key, value) for key, value in fields.items()]
        found = await self.client.report_task_progress(task.task_id, fields=made)
        return found.canceled

    async def end(self, task: TaskObject, status: str = "FINISHED", **error: str) -> None:
        await self.client.set_task_status(task.task_id, status, **error)
        await self.passes(0)

    async def work(
        self,
        group: str = "g",
        *,
        how: Callable[[TaskObject], str] = lambda _: "FINISHED",
        at_most: int = 1000,
    ) -> list[str]:
        """Work off all that is ready; give the attempts' ids in order."""
        done: list[str] = []
        while len(done) < at_most and (task := await self.poll(group)):
            assert not await self.report(task)
            await self.end(task, how(task))
            done.append(task.attempt_id)
        return done

    async def fail(self, group: str = "g") -> str:
        """Let the task that must be ready now fail."""
        task = await self.begin(group)
        await self.end(task, "FAILED", error_id="E", error_message="broken")
        return task.attempt_id


@asynccontextmanager
async def serving(
    switches: Switches | None = None,
    *,
    store: str = ":memory:",
    clock: VirtualClock | None = None,
    quotas: AccountQuotas | None = None,
    precondition: Callable[[PipelineObject], bool] = lambda _: True,
    on_alarm: Callable[[Alarm], None] | None = None,
    resource_delay: float = 0.0,
) -> AsyncGenerator[Place, None]:
    """Serve, in this process and without sockets."""
    clock = clock or VirtualClock(START)
    alarms: list[Alarm] = []
    service = Service(
        store,
        clock,
        switches=switches or Switches(),
        quotas=quotas or AccountQuotas(),
        hooks=Hooks(precondition=precondition, alarm=on_alarm or alarms.append),
        resource_delay=resource_delay,
        seed=1,
    )
    place = Place(service, clock, alarms)
    try:
        async with place.client:
            yield place
    finally:
        service.close()


ONE_TRY = Switches(maximum_retries=0)
"""For tests of what comes after a failure."""
