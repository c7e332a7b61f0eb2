"""What people see who look at the service, as opposed to what clients are answered.

It changes nothing, and shows no secret: values of ``*`` fields and parameters are masked
wherever they come up, in the text of an error too. What it gives is bounded, however much
there is.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from aiodatapipeline._secrets import MASK, Secrets, is_secret
from aiodatapipeline.local._engine._definitions import Definitions
from aiodatapipeline.local._engine._objects import waiting_on
from aiodatapipeline.local._engine._states import PipelineState, Status
from aiodatapipeline.local._engine._world import Attempt, Instance, Pipeline, World
from aiodatapipeline.local._times import written
from aiodatapipeline.models import Field
from aiodatapipeline.operations import GetPipelineDefinitionResponse

PIPELINES, RUNS, INSTANCES, ATTEMPTS, TASKS, ALARMS = 200, 10, 100, 20, 200, 50
"""How many of each are given at most."""
_VERSIONS = 20
_GONE = "('DELETING', 'DELETED')"
# A text that comes behind any time.
_LATEST = "~"

Pairs: TypeAlias = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class PipelineLine:
    """A pipeline among others. Times are as the service writes them."""

    id: str
    name: str
    state: str
    health: str | None
    description: str | None
    created: str
    last_run: str | None
    """When an instance began last."""
    next_run: str | None
    open: Mapping[str, int]
    """How many instances have not ended, by status."""


@dataclass(frozen=True, slots=True)
class HeldTask:
    """A task in the hands of a runner, or ready for one."""

    worker_group: str
    pipeline_id: str
    attempt_id: str
    status: str
    hostname: str | None
    """Whose it is, if that one said; None too if it waits."""
    since: str | None
    """When its runner acknowledged it."""
    handed_over: bool


@dataclass(frozen=True, slots=True)
class AlarmLine:
    """An action that was carried out."""

    time: str
    pipeline_id: str
    pipeline_name: str
    about: str
    action: str
    subject: str
    message: str


@dataclass(frozen=True, slots=True)
class Overview:
    """Everything at a glance."""

    time: str
    pipelines: tuple[PipelineLine, ...]
    """Those created last, the last one first."""
    pipeline_count: int
    tasks: tuple[HeldTask, ...]
    """The first one of each worker group, then the second of each, and so on."""
    task_counts: Mapping[tuple[str, bool], int]
    """How many there are, by worker group and whether they were handed over."""
    alarms: tuple[AlarmLine, ...]
    """The last ones, the last one first."""


@dataclass(frozen=True, slots=True)
class AttemptLine:
    """One attempt, with what became of it."""

    number: int
    status: str
    worker_group: str | None
    hostname: str | None
    began: str | None
    ended: str | None
    reported: str | None
    progress: Pairs
    error_id: str | None
    error_message: str | None
    error_stack_trace: str | None


@dataclass(frozen=True, slots=True)
class InstanceLine:
    """An instance with its attempts, the last one first."""

    id: str
    component: str
    kind: str
    status: str
    began: str | None
    ended: str | None
    tries_left: int
    reason: str | None
    failed_on: str | None
    waiting_on: tuple[str, ...]
    attempts: tuple[AttemptLine, ...]
    attempt_count: int


@dataclass(frozen=True, slots=True)
class Run:
    """The instances that are scheduled for one time."""

    start: str
    end: str
    statuses: Mapping[str, int]
    instances: tuple[InstanceLine, ...]
    """By the names of their components; of very many, those that failed or have not ended first."""


@dataclass(frozen=True, slots=True)
class ObjectLine:
    """An object of a definition, its fields in order."""

    id: str
    name: str
    fields: Pairs


@dataclass(frozen=True, slots=True)
class PipelineSight:
    """One pipeline from close by."""

    time: str
    line: PipelineLine
    unique_id: str
    tags: Pairs
    first_activation: str | None
    last_activation: str | None
    deactivated: str | None
    finished: str | None
    version: int | None
    """Of the definition that is shown: the active one if there is one, or the last one put."""
    newer: bool
    """Whether a definition was put since, which is not active yet."""
    errors: tuple[tuple[str | None, str], ...]
    """Why the definition that was put last cannot be activated: objects' ids, and what is wrong."""
    definition: str
    """JSON, as it goes over the wire, secrets and all: to be drawn, not shown."""
    objects: tuple[ObjectLine, ...]
    parameters: Pairs
    statuses: Mapping[str, str]
    """How the last instance of each component is."""
    runs: tuple[Run, ...]
    """Some, the last one first."""
    older: str | None
    """Where to go on for those before; None if there are none."""
    alarms: tuple[AlarmLine, ...]


@dataclass(slots=True)
class _Hiding:
    """Masks the secrets of a pipeline in texts."""

    secrets: Secrets

    def __call__(self, text: str) -> str:
        return self.secrets.cover(text)

    def maybe(self, text: str | None) -> str | None:
        return text if text is None else self(text)

    def fields(self, fields: Iterable[Field]) -> Pairs:
        return tuple((each.key, self._shown(each)) for each in fields)

    def _shown(self, each: Field) -> str:
        if is_secret(each.key):
            return MASK
        return self((each.string_value if each.ref_value is None else each.ref_value) or "")


class Sight:
    """Looks at the state."""

    def __init__(self, world: World, definitions: Definitions) -> None:
        self._world, self._definitions = world, definitions

    # -- everything -----------------------------------------------------------------------------

    def overview(self) -> Overview:
        """Give everything at a glance."""
        store = self._world.store
        count = store.one(f"SELECT count(*) FROM pipeline WHERE state NOT IN {_GONE}")  # noqa: S608  # ours
        rows = store.all(
            f"SELECT * FROM pipeline WHERE state NOT IN {_GONE} ORDER BY seq DESC LIMIT ?",  # noqa: S608  # ours
            PIPELINES,
        )
        tasks, task_counts = self._tasks()
        return Overview(
            time=self._world.now_written,
            pipelines=tuple(self._line(Pipeline(*row)) for row in rows),
            pipeline_count=count[0] if count else 0,
            tasks=tasks,
            task_counts=task_counts,
            alarms=tuple(self._alarms("1 = 1")),
        )

    def _line(self, pipeline: Pipeline) -> PipelineLine:
        store = self._world.store
        statuses = store.all(
            "SELECT status, count(*) FROM instance WHERE pipeline = ? AND NOT ended"
            " GROUP BY status ORDER BY status",
            pipeline.seq,
        )
        known = store.one(
            "SELECT min(health), max(latest_run) FROM component WHERE pipeline = ?", pipeline.seq
        ) or (None, None)
        coming = store.one(
            "SELECT min(t.due) FROM component c JOIN timer t ON t.kind = 'schedule'"
            " AND t.subject = c.seq WHERE c.pipeline = ? AND c.more",
            pipeline.seq,
        )
        hide = self._hiding(pipeline.seq)
        return PipelineLine(
            id=pipeline.id,
            name=pipeline.name,
            state=pipeline.state,
            health=known[0],
            description=hide.maybe(pipeline.description),
            created=pipeline.created,
            last_run=known[1],
            next_run=written(coming[0]) if coming and coming[0] is not None else None,
            open=dict(statuses),
        )

    def _tasks(self) -> tuple[tuple[HeldTask, ...], dict[tuple[str, bool], int]]:
        # A group with thousands of tasks does not push another one out.
        rows = self._world.store.all(
            "SELECT a.worker_group, p.id, i.id, a.number, a.status, a.hostname, a.actual_start,"
            " a.task IS NOT NULL, count(*) OVER w"
            " FROM instance i"
            " JOIN attempt a ON a.instance = i.seq AND a.number = i.attempts"
            " JOIN pipeline p ON p.seq = i.pipeline"
            " WHERE NOT i.ended AND a.worker_group IS NOT NULL"
            " AND a.status IN ('WAITING_FOR_RUNNER', 'RUNNING')"
            " WINDOW w AS (PARTITION BY a.worker_group, a.task IS NOT NULL)"
            " ORDER BY row_number() OVER (w ORDER BY a.ready, a.seq), a.ready, a.seq LIMIT ?",
            TASKS,
        )
        tasks = tuple(
            HeldTask(
                worker_group=group,
                pipeline_id=pipeline_id,
                attempt_id=f"{instance_id}_Attempt={number}",
                status=status,
                hostname=host if given else None,
                since=began if given else None,
                handed_over=bool(given),
            )
            for group, pipeline_id, instance_id, number, status, host, began, given, _ in rows
        )
        return tasks, {(row[0], bool(row[7])): row[8] for row in rows}

    def _alarms(self, where: str, *arguments: int) -> Iterator[AlarmLine]:
        rows = self._world.store.all(
            "SELECT a.time, p.id, p.name, a.node, a.action, a.fields, p.seq FROM alarm a"  # noqa: S608  # ours
            f" JOIN pipeline p ON p.seq = a.pipeline WHERE {where} ORDER BY a.seq DESC LIMIT ?",
            *arguments,
            ALARMS,
        )
        for time, pipeline_id, name, node, action, fields, seq in rows:
            hide = self._hiding(seq)
            said = dict(hide.fields(map(Field.from_wire, json.loads(fields))))
            yield AlarmLine(
                time=time,
                pipeline_id=pipeline_id,
                pipeline_name=name,
                about=node,
                action=action,
                subject=said.get("subject", ""),
                message=said.get("message", ""),
            )

    # -- one pipeline ---------------------------------------------------------------------------

    def pipeline(self, pipeline_id: str, before: str | None = None) -> PipelineSight | None:
        """Give a pipeline from close by; None if there is none.

        Args:
            pipeline_id: Its id.
            before: Where its runs begin, from an earlier look's ``older``; None for the last.
        """
        found = self._world.pipeline_by_id(pipeline_id)
        if found is None or found.state in {PipelineState.DELETING, PipelineState.DELETED}:
            return None
        version = found.latest if found.active is None else found.active
        body = self._body(found.seq, version)
        definition = GetPipelineDefinitionResponse.from_wire(json.loads(body))
        hide = self._hiding(found.seq)
        runs, older = self._runs(found, before, hide)
        return PipelineSight(
            time=self._world.now_written,
            line=self._line(found),
            unique_id=found.unique_id,
            tags=tuple((each["key"], each["value"]) for each in json.loads(found.tags)),
            first_activation=found.first_activation,
            last_activation=found.last_activation,
            deactivated=found.deactivated,
            finished=found.finished,
            version=version,
            newer=(version or 0) < (found.latest or 0),
            errors=tuple(self._errors(found, hide)),
            definition=body,
            objects=tuple(
                ObjectLine(each.id, each.name, hide.fields(each.fields))
                for each in definition.pipeline_objects
            ),
            parameters=hide.fields(
                Field.of(each.id, each.string_value) for each in definition.parameter_values
            ),
            statuses=self._statuses(found, version),
            runs=runs,
            older=older,
            alarms=tuple(self._alarms("a.pipeline = ?", found.seq)),
        )

    def _body(self, pipeline: int, version: int | None) -> str:
        row = self._world.store.one(
            "SELECT body FROM definition WHERE pipeline = ? AND version = ?", pipeline, version
        )
        return str(row[0]) if row else "{}"

    def _hiding(self, pipeline: int) -> _Hiding:
        """Find out what is secret: what any of a pipeline's last definitions has encrypted."""
        rows = self._world.store.all(
            "SELECT body FROM definition WHERE pipeline = ? AND instr(body, '\"*')"
            " ORDER BY version DESC LIMIT ?",
            pipeline,
            _VERSIONS,
        )
        found = (
            secret
            for (body,) in rows
            for secret in _secrets(GetPipelineDefinitionResponse.from_wire(json.loads(body)))
        )
        return _Hiding(Secrets(found, shortest=1))

    def _errors(self, pipeline: Pipeline, hide: _Hiding) -> Iterator[tuple[str | None, str]]:
        if pipeline.latest is not None and pipeline.latest > (pipeline.active or 0):
            plan = self._world.plan(pipeline.seq, pipeline.latest)
            for object_id, errors in self._definitions.errors(plan).items():
                yield from ((object_id, hide(each)) for each in errors)
            for object_id, error in self._definitions.forbidden(pipeline, plan.definition):
                yield object_id, hide(error)

    def _statuses(self, pipeline: Pipeline, version: int | None) -> dict[str, str]:
        statuses: dict[str, str] = {}
        if version is None:
            return statuses
        for component in self._world.plan(pipeline.seq, version).components:
            row = self._world.store.one(
                "SELECT status FROM instance WHERE pipeline = ? AND component = ?"
                " ORDER BY scheduled_start DESC, seq DESC LIMIT 1",
                pipeline.seq,
                component,
            )
            if row:
                statuses[component] = row[0]
        return statuses

    def _runs(
        self, pipeline: Pipeline, before: str | None, hide: _Hiding
    ) -> tuple[tuple[Run, ...], str | None]:
        rows = self._world.store.all(
            "SELECT scheduled_start, max(scheduled_end) FROM instance WHERE pipeline = ?"
            " AND scheduled_start < ? GROUP BY scheduled_start ORDER BY scheduled_start DESC"
            " LIMIT ?",
            pipeline.seq,
            _LATEST if before is None else before,
            RUNS + 1,
        )
        runs = tuple(self._run(pipeline, start, end, hide) for start, end in rows[:RUNS])
        return runs, runs[-1].start if len(rows) > RUNS else None

    def _run(self, pipeline: Pipeline, start: str, end: str, hide: _Hiding) -> Run:
        world = self._world
        statuses = world.store.all(
            "SELECT status, count(*) FROM instance WHERE pipeline = ? AND scheduled_start = ?"
            " GROUP BY status ORDER BY status",
            pipeline.seq,
            start,
        )
        shown = world.instances(
            "pipeline = ? AND scheduled_start = ? ORDER BY CASE"
            " WHEN status IN ('FAILED', 'TIMEDOUT') THEN 0 WHEN status = 'RUNNING' THEN 1"
            " WHEN NOT ended THEN 2 ELSE 3 END, component, id LIMIT ?",
            pipeline.seq,
            start,
            INSTANCES,
        )
        shown.sort(key=lambda each: (each.component, each.id))
        return Run(start, end, dict(statuses), tuple(self._instance(each, hide) for each in shown))

    def _instance(self, instance: Instance, hide: _Hiding) -> InstanceLine:
        waits = instance.status == Status.WAITING_ON_DEPENDENCIES
        attempts = self._world.attempts(instance.seq)[:ATTEMPTS]
        return InstanceLine(
            id=instance.id,
            component=instance.component,
            kind=instance.kind,
            status=instance.status,
            began=instance.actual_start,
            ended=instance.actual_end or instance.finished,
            tries_left=max(0, instance.tries),
            reason=hide.maybe(instance.reason),
            failed_on=instance.failed_on,
            waiting_on=tuple(waiting_on(self._world, instance)) if waits else (),
            attempts=tuple(_attempt(each, hide) for each in attempts),
            attempt_count=instance.attempts,
        )


def _attempt(attempt: Attempt, hide: _Hiding) -> AttemptLine:
    return AttemptLine(
        number=attempt.number,
        status=attempt.status,
        worker_group=attempt.worker_group,
        hostname=attempt.hostname,
        began=attempt.actual_start,
        ended=attempt.actual_end,
        reported=attempt.reported,
        progress=hide.fields(map(Field.from_wire, json.loads(attempt.progress or "[]"))),
        error_id=hide.maybe(attempt.error_id),
        error_message=hide.maybe(attempt.error_message),
        error_stack_trace=hide.maybe(attempt.error_stack_trace),
    )


def _secrets(definition: GetPipelineDefinitionResponse) -> Iterator[str]:
    for value in definition.parameter_values:
        if is_secret(value.id):
            yield value.string_value
    for parameter in definition.parameter_objects:
        if is_secret(parameter.id):
            yield from (each.string_value for each in parameter.attributes if each.key == "default")
    for each in definition.pipeline_objects:
        for field in each.fields:
            if is_secret(field.key) and field.string_value is not None:
                yield field.string_value
