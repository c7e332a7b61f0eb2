"""Components, instances and attempts as the service shows them: objects with fields.

Which fields there are: "Viewing Pipeline Objects" in the developer guide, and the samples of
DescribeObjects and PollForTask in the API reference.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from aiodatapipeline.definition import EffectiveObject, RunTime, RunTimeValue
from aiodatapipeline.local._engine._plan import Plan, Role
from aiodatapipeline.local._engine._states import PipelineState, Status
from aiodatapipeline.local._times import read
from aiodatapipeline.models import Field, PipelineObject, Ref

if TYPE_CHECKING:
    from aiodatapipeline.local._engine._world import Attempt, Instance, Pipeline, World

Value = str | Ref | None

# References that lead to instances of the same run and not to components.
_TO_INSTANCES = ("input", "output", "dependsOn", "precondition", "runsOn")
# Objects that are shown with a task: all but these, which say nothing about the work.
_NOT_SHOWN = {"parent", "schedule", "dependsOn", "onFail", "onSuccess", "onLateAction"}
_MOST_SHOWN = 100
# What a component's own fields may not hide.
_NOT_COPIED = {"parent"}


def component_object(
    world: World, pipeline: Pipeline, plan: Plan, own: EffectiveObject, shown: PipelineObject
) -> PipelineObject:
    """Give a component: its definition, as it is to be shown, and how it is."""
    fields = list(shown.fields)
    if "parent" not in own.own and own.parent is not None:
        fields.append(Field.of("parent", Ref(own.parent.id)))
    system: dict[str, Value] = {
        "@sphere": "COMPONENT",
        "@pipelineId": pipeline.id,
        "@version": str(pipeline.latest or ""),
        "@status": _component_status(world, pipeline, own.id),
    }
    row = world.store.one(
        "SELECT health, health_instance, health_time, latest_run, latest_completed"
        " FROM component WHERE pipeline = ? AND id = ?",
        pipeline.seq,
        own.id,
    )
    if row:
        names = (
            "@healthStatus",
            "@healthStatusFromInstanceId",
            "@healthStatusUpdatedTime",
            "@latestRunTime",
            "@latestCompletedRunTime",
        )
        system |= dict(zip(names, row, strict=True))
    component = plan.components.get(own.id)
    if component and component.cadence:
        system["@nextRunTime"] = world.next_run(pipeline, own.id)
    if own.type == "Schedule":
        system["@firstActivationTime"] = pipeline.first_activation
    system["@lastDeactivatedTime"] = pipeline.deactivated
    active = world.store.all(
        "SELECT id FROM instance WHERE pipeline = ? AND component = ? AND NOT ended"
        " ORDER BY scheduled_start LIMIT 100",
        pipeline.seq,
        own.id,
    )
    made = [
        *fields,
        *_fields(system),
        *(Field.of("@activeInstances", Ref(each)) for (each,) in active),
    ]
    return PipelineObject(id=own.id, name=own.name, fields=tuple(made))


def _component_status(world: World, pipeline: Pipeline, component: str) -> str:
    if pipeline.first_activation is None:
        return "PENDING"
    row = world.store.one(
        "SELECT paused FROM component WHERE pipeline = ? AND id = ?", pipeline.seq, component
    )
    if row and row[0]:
        return "PAUSED"
    return "FINISHED" if pipeline.state == PipelineState.FINISHED else "SCHEDULED"


def instance_object(world: World, instance: Instance, *, evaluate: bool = False) -> PipelineObject:
    """Give an instance with its fields."""
    shown = evaluated(world, instance) if evaluate else _written(world, instance)
    fields = [each for each in shown.fields if each.key not in _NOT_COPIED]
    attempts = world.attempts(instance.seq)[:1]
    system = _run_fields(world, instance) | {
        "@sphere": "INSTANCE",
        "@status": instance.status,
        "@componentParent": Ref(instance.component),
        "parent": Ref(instance.component),
        "@actualStartTime": instance.actual_start,
        "@actualEndTime": instance.actual_end,
        "@finishedTime": instance.finished,
        "@attemptCount": str(instance.attempts),
        "@triesLeft": str(max(0, instance.tries)),
        "@headAttempt": Ref(attempt_id(instance, attempts[0].number)) if attempts else None,
        "@cascadeFailedOn": Ref(instance.failed_on) if instance.failed_on else None,
    }
    if instance.kind == Role.RESOURCE:
        system["@resourceId"] = f"local-{instance.seq}"
        system["@failureReason"] = instance.reason
    elif instance.status == Status.CANCELED:
        system["cancellationReason"] = instance.reason
    made = [*fields, *_fields(system)]
    if instance.status == Status.WAITING_ON_DEPENDENCIES:
        made += [Field.of("@waitingOn", Ref(each)) for each in waiting_on(world, instance)]
    return PipelineObject(id=instance.id, name=instance.id, fields=tuple(made))


def attempt_object(
    world: World, instance: Instance, attempt: Attempt, *, evaluate: bool = True
) -> PipelineObject:
    """Give an attempt with its fields: those of its component, and how it goes."""
    shown = evaluated(world, instance) if evaluate else _written(world, instance)
    own = attempt_id(instance, attempt.number)
    system = _run_fields(world, instance) | {
        "@sphere": "ATTEMPT",
        "@status": attempt.status,
        "@componentParent": Ref(instance.component),
        "@instanceParent": Ref(instance.id),
        "parent": Ref(instance.component),
        "@actualStartTime": attempt.actual_start,
        "@actualEndTime": attempt.actual_end,
        "@finishedTime": attempt.actual_end,
        "@attemptCount": str(attempt.number),
        "@triesLeft": str(max(0, instance.tries)),
        "hostname": attempt.hostname,
        "reportProgressTime": attempt.reported,
        "attemptStatus": attempt.outcome,
        "errorId": attempt.error_id,
        "errorMessage": attempt.error_message,
        "errorStackTrace": attempt.error_stack_trace,
    }
    if attempt.status == Status.CANCELED:
        system["cancellationReason"] = instance.reason
    fields = [each for each in shown.fields if each.key not in system]
    # What a runner reports is shown beside what is known without it, and never in its place.
    known = system.keys() | {each.key for each in fields}
    reported = [
        each
        for each in map(Field.from_wire, json.loads(attempt.progress or "[]"))
        if each.key not in known and not each.key.startswith("@")
    ]
    return PipelineObject(id=own, name=own, fields=(*fields, *_fields(system), *reported))


def task_objects(world: World, instance: Instance, attempt: Attempt) -> dict[str, PipelineObject]:
    """Give the attempt of a task and, by id, what it refers to."""
    plan = world.plan(instance.pipeline, instance.version)
    own = attempt_object(world, instance, attempt)
    shown = {own.id: own}
    waiting = [own]
    while waiting and len(shown) < _MOST_SHOWN:
        for key in (each := waiting.pop()).keys():  # noqa: SIM118  # no dict
            if key in _NOT_SHOWN or key.startswith("@"):
                continue
            for ref in each.refs(key):
                found = None if ref in shown else _shown(world, instance, plan, ref)
                if found is not None:
                    shown[ref] = found
                    waiting.append(found)
    return shown


def _shown(world: World, instance: Instance, plan: Plan, ref: str) -> PipelineObject | None:
    other = world.instance_by_id(instance.pipeline, ref)
    if other is not None:
        return evaluated(world, other)
    if ref in plan.resolved.objects:
        return plan.resolved.evaluated(ref, _run_time(world, plan, instance)).object
    return None


def attempt_id(instance: Instance, number: int) -> str:
    """Give the id of an instance's attempt."""
    return f"{instance.id}_Attempt={number}"


# -- expressions --------------------------------------------------------------------------------


def evaluated(world: World, instance: Instance) -> PipelineObject:
    """Give what an instance's component comes to in its run, under the instance's id.

    A field whose expression has no value keeps its text.
    """
    plan = world.plan(instance.pipeline, instance.version)
    if plan.has_expressions(instance.component):
        run_time = _run_time(world, plan, instance)
        found = plan.resolved.evaluated(instance.component, run_time).object
    else:
        found = plan.flattened(instance.component)
    return _in_run(world, instance, found)


def problems(world: World, instance: Instance) -> Mapping[str, str]:
    """Say which fields of an instance have no value, and why."""
    plan = world.plan(instance.pipeline, instance.version)
    return plan.resolved.evaluated(instance.component, _run_time(world, plan, instance)).problems


def _written(world: World, instance: Instance) -> PipelineObject:
    plan = world.plan(instance.pipeline, instance.version)
    return _in_run(world, instance, plan.flattened(instance.component))


def _in_run(world: World, instance: Instance, flat: PipelineObject) -> PipelineObject:
    """Let references lead to the instances of the same run."""
    fields = tuple(
        Field(key=each.key, ref_value=_instance_of(world, instance, each.ref_value))
        if each.ref_value is not None and each.key in _TO_INSTANCES
        else each
        for each in flat.fields
    )
    return PipelineObject(id=instance.id, name=instance.id, fields=fields)


def _instance_of(world: World, instance: Instance, component: str) -> str:
    for name in (
        f"@{component}_{instance.scheduled_start}",
        f"@{component}@{instance.component}_{instance.scheduled_start}",
    ):
        if world.instance_by_id(instance.pipeline, name):
            return name
    # Of another schedule: one of those that this waits for, if any.
    row = world.store.one(
        "SELECT i.id FROM dependency d JOIN instance i ON i.seq = d.target"
        " WHERE d.waiter = ? AND i.component = ? ORDER BY i.scheduled_start DESC LIMIT 1",
        instance.seq,
        component,
    )
    return row[0] if row else component


def scope_of(world: World, instance: Instance) -> RunTime:
    """Give the run-time values that an instance's expressions see."""
    return _run_time(world, world.plan(instance.pipeline, instance.version), instance)


def _run_time(world: World, plan: Plan, instance: Instance) -> dict[str, dict[str, RunTimeValue]]:
    common: dict[str, RunTimeValue] = {
        "@pipelineId": world.pipeline_of(instance).id,
        "@scheduledStartTime": read(instance.scheduled_start),
        "@scheduledEndTime": read(instance.scheduled_end),
    }
    values: dict[str, dict[str, RunTimeValue]] = dict.fromkeys(plan.resolved.objects, common)
    values[instance.component] = common | _own_values(instance)
    if instance.node is not None:
        node = world.instance(instance.node)
        values[instance.component]["node"] = Ref(node.component)
        values[node.component] = common | _own_values(node) | _errors(world, node)
    return values


def _own_values(instance: Instance) -> dict[str, RunTimeValue]:
    values: dict[str, RunTimeValue] = {
        "@id": instance.id,
        "@name": instance.id,
        "@status": str(instance.status),
        "@sphere": "INSTANCE",
        "@attemptCount": instance.attempts,
        "@triesLeft": max(0, instance.tries),
        "@componentParent": instance.component,
    }
    for name, text in (
        ("@actualStartTime", instance.actual_start),
        ("@actualEndTime", instance.actual_end),
        ("@finishedTime", instance.finished),
    ):
        if text:
            values[name] = read(text)
    return values


def _errors(world: World, node: Instance) -> dict[str, RunTimeValue]:
    for attempt in world.attempts(node.seq)[:1]:
        return {
            "errorId": attempt.error_id or "",
            "errorMessage": attempt.error_message or "",
            "errorStackTrace": attempt.error_stack_trace or "",
            "hostname": attempt.hostname or "",
        }
    return {}


# -- pieces ---------------------------------------------------------------------------------------


def _run_fields(world: World, instance: Instance) -> dict[str, Value]:
    fields: dict[str, Value] = {
        "@pipelineId": world.pipeline_of(instance).id,
        "@version": str(instance.version),
        "@scheduledStartTime": instance.scheduled_start,
        "@scheduledEndTime": instance.scheduled_end,
    }
    if instance.node is not None:
        fields["node"] = Ref(world.instance(instance.node).id)
    return fields


def waiting_on(world: World, instance: Instance) -> Iterator[str]:
    """Give the ids of instances that an instance waits for, some if they are many."""
    rows = world.store.all(
        "SELECT i.id FROM dependency d JOIN instance i ON i.seq = d.target WHERE d.waiter = ?"
        " AND d.kind <> 'resource' AND i.status <> 'FINISHED' ORDER BY i.scheduled_start LIMIT 50",
        instance.seq,
    )
    yield from (each for (each,) in rows)


def _fields(values: Mapping[str, Value]) -> list[Field]:
    return [Field.of(key, value) for key, value in values.items() if value is not None]
