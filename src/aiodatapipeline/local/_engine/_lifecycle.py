"""Pipelines from their creation to their end, and what people do to their instances."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from aiodatapipeline.local._engine._definitions import Definitions
from aiodatapipeline.local._engine._plan import Role
from aiodatapipeline.local._engine._refusals import (
    invalid_request,
    pipeline_deleted,
    pipeline_not_found,
)
from aiodatapipeline.local._engine._runs import SCHEDULE, Runs
from aiodatapipeline.local._engine._states import HELD, PipelineState, Status
from aiodatapipeline.local._engine._work import (
    DEACTIVATED,
    OF_ATTEMPT,
    OF_INSTANCE,
    PRECONDITION,
    RESOURCE,
    Work,
)
from aiodatapipeline.local._engine._world import Instance, Pipeline, World
from aiodatapipeline.local._times import as_seconds, written
from aiodatapipeline.operations import (
    ActivatePipelineRequest,
    CreatePipelineRequest,
    SetStatusRequest,
)

_CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
_MAX_TAGS = 10
# How many instances of a deleted pipeline are removed before others have their turn.
_PURGED = 500
_GONE = {PipelineState.DELETING, PipelineState.DELETED}
_OF_COMPONENTS = {"PAUSE", "RESUME"}
_OF_INSTANCES = {"TRY_CANCEL", "RERUN", "MARK_FINISHED"}


class Lifecycle:
    """Does what operations ask of pipelines."""

    def __init__(self, world: World, work: Work, runs: Runs, definitions: Definitions) -> None:
        self._world, self._work, self._runs = world, work, runs
        self._definitions = definitions

    def get(self, pipeline_id: str) -> Pipeline:
        """Give a pipeline that is there.

        Raises:
            PipelineNotFoundException: There never was one.
            PipelineDeletedException: There was.
        """
        pipeline = self._world.pipeline_by_id(pipeline_id)
        if pipeline is None:
            raise pipeline_not_found(pipeline_id)
        if pipeline.state in _GONE:
            raise pipeline_deleted(pipeline_id)
        return pipeline

    def create(self, request: CreatePipelineRequest) -> str:
        """Create a pipeline, or find the one that the same request created; give its id."""
        world = self._world
        row = world.store.one(
            "SELECT id FROM pipeline WHERE name = ? AND unique_id = ?"
            " AND state NOT IN ('DELETING', 'DELETED')",
            request.name,
            request.unique_id,
        )
        if row:
            return str(row[0])
        self._count()
        pipeline_id = self._new_id()
        world.store.insert(
            "INSERT INTO pipeline (id, name, unique_id, description, tags, state, created)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            pipeline_id,
            request.name,
            request.unique_id,
            request.description,
            _written({each.key: each.value for each in request.tags}),
            PipelineState.PENDING,
            world.now_written,
        )
        return pipeline_id

    def _count(self) -> None:
        world = self._world
        allowed = world.quotas.pipelines
        if allowed is None:
            return
        (count,) = world.store.one(
            "SELECT count(*) FROM pipeline WHERE state NOT IN ('DELETING', 'DELETED')"
        ) or (0,)
        if count >= allowed:
            raise invalid_request(
                f"the account has {count} pipelines, and {allowed} are allowed: delete one"
            )

    def _new_id(self) -> str:
        """Make an id that there never was, such as ``df-00627471SOVYZEXAMPLE``."""
        while True:
            rest, number = divmod(self._world.random.getrandbits(128), 10**7)
            letters = ""
            for _ in range(12):
                rest, letter = divmod(rest, len(_CHARACTERS))
                letters += _CHARACTERS[letter]
            pipeline_id = f"df-0{number:07}{letters}"
            if self._world.pipeline_by_id(pipeline_id) is None:
                return pipeline_id

    def delete(self, pipeline_id: str) -> None:
        """Let a pipeline be deleted; asking again does no harm."""
        pipeline = self._world.pipeline_by_id(pipeline_id)
        if pipeline is None:
            raise pipeline_not_found(pipeline_id)
        if pipeline.state not in _GONE:
            self._world.change(pipeline, state=PipelineState.DELETING)
            self._forget_timers(pipeline)
            # Nobody is given work of it from now on, however long the rest takes.
            self._world.store.do(
                "UPDATE attempt SET worker_group = NULL WHERE pipeline = ?"
                " AND status = 'WAITING_FOR_RUNNER' AND task IS NULL",
                pipeline.seq,
            )
            self._world.remind("purge", pipeline.seq, self._world.now)

    def _forget_timers(self, pipeline: Pipeline) -> None:
        for kinds, table in (
            ((SCHEDULE,), "component"),
            (OF_INSTANCE, "instance"),
            (OF_ATTEMPT, "attempt"),
        ):
            self._world.store.do(
                f"DELETE FROM timer WHERE kind IN ({', '.join('?' * len(kinds))})"  # noqa: S608  # ours
                f" AND subject IN (SELECT seq FROM {table} WHERE pipeline = ?)",
                *kinds,
                pipeline.seq,
            )

    def on_purge(self, seq: int) -> None:
        """Remove a part of what a deleted pipeline leaves."""
        world = self._world
        pipeline = world.pipeline(seq)
        rows = world.store.all("SELECT seq FROM instance WHERE pipeline = ? LIMIT ?", seq, _PURGED)
        for (instance,) in rows:
            for attempt in world.attempts(instance):
                world.store.do("DELETE FROM task WHERE attempt = ?", attempt.seq)
            for table, column in (
                ("attempt", "instance"),
                ("dependency", "waiter"),
                ("dependency", "target"),
                ("instance", "seq"),
            ):
                world.store.do(f"DELETE FROM {table} WHERE {column} = ?", instance)  # noqa: S608  # ours
        if rows:
            world.remind("purge", seq, world.now)
            return
        for table in ("component", "definition", "alarm"):
            world.store.do(f"DELETE FROM {table} WHERE pipeline = ?", seq)  # noqa: S608  # ours
        # The row stays, so that its id is never given again and is answered as deleted.
        world.change(
            pipeline,
            state=PipelineState.DELETED,
            name="",
            unique_id=pipeline.id,
            description=None,
            tags="[]",
        )

    # -- tags -----------------------------------------------------------------------------------

    def add_tags(self, pipeline: Pipeline, tags: dict[str, str]) -> None:
        """Add tags, or overwrite those of the same keys."""
        merged = _tags(pipeline) | tags
        if len(merged) > _MAX_TAGS:
            raise invalid_request(
                f"the pipeline would have {len(merged)} tags, and {_MAX_TAGS} are allowed"
            )
        self._keep_tags(pipeline, merged)

    def remove_tags(self, pipeline: Pipeline, keys: Iterable[str]) -> None:
        """Remove tags; a key that is not there is passed over."""
        gone = set(keys)
        self._keep_tags(
            pipeline, {key: value for key, value in _tags(pipeline).items() if key not in gone}
        )

    def _keep_tags(self, pipeline: Pipeline, tags: Mapping[str, str]) -> None:
        self._world.change(pipeline, tags=_written(tags))

    # -- running --------------------------------------------------------------------------------

    def activate(self, pipeline: Pipeline, request: ActivatePipelineRequest) -> None:
        """Start a pipeline, or let it go on."""
        world = self._world
        if pipeline.state == PipelineState.DEACTIVATING:
            raise invalid_request(
                "the pipeline is DEACTIVATING: wait until it is INACTIVE, and activate it then"
            )
        version = self._definitions.activate(pipeline, request.parameter_values)
        was = pipeline.state
        plan = world.plan(pipeline.seq, version)
        if plan.on_demand and pipeline.active is not None:
            self._make_room(pipeline, plan.max_runs)
        now = world.now_written
        skip = None
        if request.start_timestamp is not None and not plan.on_demand:
            skip = written(as_seconds(request.start_timestamp))
        world.change(
            pipeline,
            state=PipelineState.SCHEDULED,
            active=version,
            first_activation=pipeline.first_activation or now,
            last_activation=now,
            finished=None,
            skip_before=skip,
        )
        self._definitions.prune(pipeline)
        if was == PipelineState.INACTIVE and not plan.on_demand:
            self._resume(pipeline, skip)
        self._runs.start(pipeline, plan)

    def _make_room(self, pipeline: Pipeline, max_runs: int) -> None:
        """See to it that another run of an on-demand pipeline may begin."""
        world = self._world
        runs = world.store.all(
            "SELECT DISTINCT scheduled_start FROM instance WHERE pipeline = ? AND NOT ended",
            pipeline.seq,
        )
        stopped = pipeline.state == PipelineState.INACTIVE
        if len(runs) < max_runs and not stopped:
            return
        if not (stopped or world.switches.reactivation_reruns):
            raise invalid_request(
                "the pipeline is running: wait until it is FINISHED, or deactivate it"
            )
        for instance in world.instances("pipeline = ? AND NOT ended", pipeline.seq):
            fresh = world.instance(instance.seq)
            if not fresh.ended:
                self._work.end(fresh, Status.CANCELED, reason="The pipeline was activated again.")

    def _resume(self, pipeline: Pipeline, skip: str | None) -> None:
        """Let go on what a deactivation stopped, but for what is jumped over."""
        world = self._world
        for each in world.instances("pipeline = ? AND status = 'INACTIVE'", pipeline.seq):
            instance = world.instance(each.seq)
            if instance.status != Status.INACTIVE:
                continue  # it has ended with another
            if skip is not None and instance.scheduled_start < skip:
                self._work.end(instance, Status.SKIPPED)
            else:
                world.move(instance, Status.WAITING_ON_DEPENDENCIES)
                world.then(self._work.consider, instance.seq)
        stopped = world.instances(
            "pipeline = ? AND status = 'CANCELED' AND reason = ?", pipeline.seq, DEACTIVATED
        )
        for instance in stopped:
            if skip is None or instance.scheduled_start >= skip:
                self._rerun(instance)

    def deactivate(self, pipeline: Pipeline, *, cancel: bool) -> None:
        """Stop a pipeline: what waits is kept for later, and what runs cancelled or waited for."""
        world = self._world
        if pipeline.state != PipelineState.SCHEDULED:
            raise invalid_request(
                f"the pipeline is {pipeline.state}: only one that is SCHEDULED can be deactivated"
            )
        world.change(pipeline, state=PipelineState.DEACTIVATING)
        rows = world.store.all("SELECT seq FROM component WHERE pipeline = ?", pipeline.seq)
        for (component,) in rows:
            world.unremind(component, SCHEDULE)
        for instance in world.instances("pipeline = ? AND NOT ended", pipeline.seq):
            if instance.status in HELD:
                world.move(instance, Status.INACTIVE)
            elif instance.status == Status.WAITING_FOR_RUNNER and not self._is_held(instance):
                world.unremind(instance.seq, "retry")
                self._work.withdraw(instance, "canceled")
        if cancel:
            for instance in world.instances(
                "pipeline = ? AND NOT ended AND status <> 'INACTIVE'", pipeline.seq
            ):
                self._work.end(instance, Status.CANCELED, reason=DEACTIVATED)
        world.then(self._work.finish_pipeline, pipeline.seq)

    def _is_held(self, instance: Instance) -> bool:
        """Whether a runner has it already and may be at work."""
        attempts = self._world.attempts(instance.seq)[:1]
        return bool(attempts and attempts[0].task)

    # -- what people do to objects --------------------------------------------------------------

    def set_status(self, pipeline: Pipeline, request: SetStatusRequest) -> None:
        """Pause or resume components; cancel, rerun or finish instances."""
        world = self._world
        status = request.status.upper()
        if status not in _OF_COMPONENTS | _OF_INSTANCES:
            raise invalid_request(
                f"there is no status {request.status[:60]!r} to set: PAUSE and RESUME are for "
                "components, TRY_CANCEL, RERUN and MARK_FINISHED for instances"
            )
        if pipeline.state == PipelineState.FINISHED:
            raise invalid_request("the pipeline is FINISHED: no status can be set in it")
        instances: list[Instance] = []
        components: list[str] = []
        plan = world.plan(pipeline.seq, pipeline.active) if pipeline.active else None
        for each in dict.fromkeys(request.object_ids):
            instance = world.instance_by_id(pipeline.seq, each)
            if instance is not None:
                instances.append(instance)
            elif plan and each in plan.resolved.objects:
                components.append(each)
            else:
                raise invalid_request(
                    f"the pipeline has no object {each[:60]!r} that a status can be set of"
                )
        if instances and components:
            raise invalid_request("components and instances cannot be set in one call")
        if components:
            self._set_components(pipeline, status, components)
        elif instances:
            self._set_instances(status, instances)

    def _set_components(self, pipeline: Pipeline, status: str, components: list[str]) -> None:
        if status not in _OF_COMPONENTS:
            raise invalid_request(f"{status} is for instances, and {components[0]!r} is none")
        world = self._world
        for component in components:
            world.store.do(
                "UPDATE component SET paused = ? WHERE pipeline = ? AND id = ?",
                int(status == "PAUSE"),
                pipeline.seq,
                component,
            )
            if status == "RESUME":
                for instance in world.instances(
                    "pipeline = ? AND component = ? AND status = 'PAUSED'", pipeline.seq, component
                ):
                    world.move(instance, Status.WAITING_ON_DEPENDENCIES)
                    world.then(self._work.consider, instance.seq)
            else:
                for instance in world.instances(
                    "pipeline = ? AND component = ? AND status = 'WAITING_ON_DEPENDENCIES'",
                    pipeline.seq,
                    component,
                ):
                    world.move(instance, Status.PAUSED)

    def _set_instances(self, status: str, instances: list[Instance]) -> None:
        if status not in _OF_INSTANCES:
            raise invalid_request(f"{status} is for components, and {instances[0].id!r} is none")
        for instance in instances:
            if status == "RERUN" and not instance.ended:
                raise invalid_request(
                    f"{instance.id!r} is {instance.status} and cannot be run again before it ends"
                )
        for each in instances:
            # One of them may have ended with another.
            instance = self._world.instance(each.seq)
            if status == "RERUN":
                if instance.ended:
                    self._rerun(instance)
            elif status == "MARK_FINISHED":
                if instance.status != Status.FINISHED:
                    self._work.end(instance, Status.FINISHED)
            elif not instance.ended:
                self._work.end(instance, Status.CANCELED, reason="It was cancelled on request.")
            self._world.work_off()

    def _rerun(self, instance: Instance) -> None:
        """Let an instance that ended wait again, with what it needs and what failed of it."""
        world = self._world
        scheduled = world.pipeline_of(instance).state == PipelineState.SCHEDULED
        todo, seen = [instance], {instance.seq}
        while todo:
            each = todo.pop()
            component = world.component(each)
            world.move(
                each,
                Status.WAITING_ON_DEPENDENCIES,
                tries=component.max_retries + 1,
                actual_start=None,
                actual_end=None,
                finished=None,
                since=None,
                reason=None,
                failed_on=None,
            )
            around = [
                one
                for kind in (PRECONDITION, RESOURCE)
                for one in self._work.targets(each.seq, kind)
                if one.ended and (kind == RESOURCE or one.status != Status.FINISHED)
            ]
            if component.cascades or component.role is Role.RESOURCE:
                around += [
                    one
                    for kind in ("dependency", PRECONDITION)
                    for one in self._work.waiters(each.seq, kind)
                    if one.status == Status.CASCADE_FAILED
                ]
            for one in around:
                if one.seq not in seen:
                    seen.add(one.seq)
                    todo.append(one)
            if scheduled:
                world.then(self._work.consider, each.seq)
            else:
                self._work.set_aside(each)


def _tags(pipeline: Pipeline) -> dict[str, str]:
    return {each["key"]: each["value"] for each in json.loads(pipeline.tags)}


def _written(tags: Mapping[str, str]) -> str:
    return json.dumps([{"key": key, "value": value} for key, value in tags.items()])
