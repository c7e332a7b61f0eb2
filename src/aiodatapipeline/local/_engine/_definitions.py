"""Definitions: what is put, what is said about it, and what may change once a pipeline has run."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias
from weakref import WeakKeyDictionary

from aiodatapipeline.definition import Definition, FindingId, Quotas, Report, check
from aiodatapipeline.local._engine._plan import Plan
from aiodatapipeline.local._engine._refusals import invalid_request
from aiodatapipeline.local._engine._states import PipelineState
from aiodatapipeline.local._engine._world import Pipeline, World
from aiodatapipeline.local._times import as_datetime
from aiodatapipeline.models import ParameterValue, PipelineObject, ValidationError
from aiodatapipeline.operations import (
    GetPipelineDefinitionResponse,
    PutPipelineDefinitionRequest,
    ValidatePipelineDefinitionRequest,
    ValidatePipelineDefinitionResponse,
)

# The only fields that a finished pipeline's definition may change in. Source: ActivatePipeline.
_ENDS = {"endDateTime", "occurrences"}
# What a schedule that has begun keeps. Source: "Editing Your Pipeline" in the developer guide.
_KEPT = ("period", "startDateTime", "startAt")
# Checks that are remembered: the same definition is often validated, put and activated.
_REMEMBERED = 128
_LONG = 100_000  # characters of a definition that is not remembered

_Putting: TypeAlias = PutPipelineDefinitionRequest | ValidatePipelineDefinitionRequest


@dataclass(frozen=True, slots=True)
class _Checked:
    """A report, and what is answered because of it."""

    report: Report
    answer: bytes


class Definitions:
    """Checks and keeps definitions."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._reports: OrderedDict[tuple[float, str, bool], _Checked] = OrderedDict()
        self._errors: WeakKeyDictionary[Plan, Mapping[str | None, tuple[str, ...]]]
        self._errors = WeakKeyDictionary()

    def validate(self, pipeline: Pipeline, request: ValidatePipelineDefinitionRequest) -> bytes:
        """Say what is wrong with a definition."""
        return self._judge(pipeline, request)[0]

    def put(self, pipeline: Pipeline, request: PutPipelineDefinitionRequest) -> bytes:
        """Keep a definition in the place of the one before, and say what is wrong with it."""
        world = self._world
        answer, body = self._judge(pipeline, request)
        if pipeline.state == PipelineState.FINISHED:
            self._refuse_unless_longer(pipeline, _definition(request))
        version = self._next_version(pipeline)
        if not self._replace(pipeline, version, body):
            self._keep(pipeline, version, body)
        world.change(pipeline, latest=version)
        return answer

    def _judge(self, pipeline: Pipeline, request: _Putting) -> tuple[bytes, str]:
        """Say what is wrong with a definition; also give it as it is kept."""
        definition = _definition(request)
        body = request.model_dump_json(
            by_alias=True, exclude_unset=True, exclude_none=True, exclude={"pipeline_id"}
        )
        checked = self._check(definition, body, activating=False)
        if fatal := checked.report.fatal:
            found = ", ".join(f"{each.object_id}: {each.message}" for each in fatal[:10])
            raise invalid_request(
                "Pipeline definition has errors: Could not save the pipeline definition due to "
                f"FATAL errors: [{found}] Please call Validate to validate your pipeline"
            )
        forbidden = list(self.forbidden(pipeline, definition))
        return (_with(checked, forbidden) if forbidden else checked.answer), body

    def get(self, pipeline: Pipeline, version: str | None) -> str:
        """Give the definition that was put, or activated, last, as it goes over the wire."""
        if version and version not in {"latest", "active"}:
            raise invalid_request(f"there is no version {version[:60]!r}: ask for latest or active")
        number = pipeline.active if version == "active" else pipeline.latest
        return "{}" if number is None else self._world.body(pipeline.seq, number)

    def errors(self, plan: Plan) -> Mapping[str | None, tuple[str, ...]]:
        """Say what is wrong with each object of a definition that has been put."""
        errors = self._errors.get(plan)
        if errors is None:
            answer = check(plan.definition, quotas=self._quotas()).to_validation()
            errors = {each.id: each.errors for each in answer.validation_errors}
            self._errors[plan] = errors
        return errors

    def forbidden(self, pipeline: Pipeline, new: Definition) -> Iterator[tuple[str, str]]:
        """Say what a definition must not change after its first activation.

        Source: "Editing Your Pipeline" in the developer guide; the texts are ours.
        """
        if pipeline.active is None:
            return
        old = self._world.plan(pipeline.seq, pipeline.active).definition.objects
        before = {each.id for each in old}
        after = {each.id: each for each in new.objects}
        for each in old:
            if each.id in after:
                for reason in _changes(each, after[each.id]):
                    yield each.id, f"FORBIDDEN_CHANGE: {reason} cannot change once activated."
            else:
                yield each.id, "FORBIDDEN_CHANGE: an object cannot be removed once activated."
        for added in new.objects:
            taken = set(added.refs("output")) & before if added.id not in before else set[str]()
            for ref in sorted(taken):
                yield (
                    added.id,
                    f"FORBIDDEN_CHANGE: {ref!r} cannot become the output of a new object.",
                )

    def activate(self, pipeline: Pipeline, values: tuple[ParameterValue, ...]) -> int:
        """Make the latest definition one that runs.

        Args:
            pipeline: Whose.
            values: In front of those that were put with it.

        Returns:
            Its version.
        """
        world = self._world
        if pipeline.latest is None:
            raise invalid_request("the pipeline has no definition: put one before it is activated")
        text = world.body(pipeline.seq, pipeline.latest)
        body: dict[str, object] = json.loads(text)
        stored = Definition.from_response(GetPipelineDefinitionResponse.from_wire(body))
        if not stored.objects:
            raise invalid_request("the definition has no objects: put one that has some")
        definition = stored
        if values:
            given = {each.id for each in values}
            kept = tuple(each for each in stored.values if each.id not in given)
            definition = Definition(stored.objects, stored.parameters, (*kept, *values))
            text = json.dumps(
                body | {"parameterValues": [each.to_wire() for each in definition.values]}
            )
        report = self._check(definition, text, activating=True).report
        wrong = [str(each) for each in report.errors]
        wrong += [f"{each}: {what}" for each, what in self.forbidden(pipeline, definition)]
        if wrong:
            raise invalid_request(
                f"the definition has errors and cannot be activated: {'; '.join(wrong[:5])}"
            )
        if world.switches.block_backfill:
            late = [each for each in report.warnings if each.id is FindingId.BACKFILL]
            if late:
                raise invalid_request(f"the definition cannot be activated: {late[0]}")
        for waiter, target, count in _rollups(world, definition):
            raise invalid_request(
                f"each interval of {waiter!r} reaches over {count} of {target!r}, and "
                f"{world.quotas.rollups} are allowed: bring the periods nearer to each other"
            )
        if not values:
            return pipeline.latest
        version = self._next_version(pipeline)
        self._keep(pipeline, version, text)
        return version

    def prune(self, pipeline: Pipeline) -> None:
        """Drop the versions that nothing was made by, and that nobody can ask for."""
        self._world.store.do(
            "DELETE FROM definition WHERE pipeline = ? AND version NOT IN (?, ?) AND version"
            " NOT IN (SELECT version FROM instance WHERE pipeline = ?)",
            pipeline.seq,
            pipeline.latest,
            pipeline.active,
            pipeline.seq,
        )

    # -- pieces ---------------------------------------------------------------------------------

    def _check(self, definition: Definition, body: str, *, activating: bool) -> _Checked:
        # The hour, since what is late depends on the time, and nothing else does.
        key = (self._world.now // 3600, body, activating)
        checked = self._reports.get(key)
        if checked is None:
            now = as_datetime(self._world.now)
            report = check(definition, quotas=self._quotas(), activating=activating, now=now)
            checked = _Checked(report, _written(report.to_validation()))
            if len(body) < _LONG:
                self._reports[key] = checked
            if len(self._reports) > _REMEMBERED:
                self._reports.popitem(last=False)
        return checked

    def _quotas(self) -> Quotas:
        quotas = self._world.quotas
        return Quotas(objects=quotas.objects, active_instances=quotas.active_instances)

    def _next_version(self, pipeline: Pipeline) -> int:
        if pipeline.active is None:  # so that there are no others that instances were made by
            return (pipeline.latest or 0) + 1
        (version,) = self._world.store.the(
            "SELECT max(version) FROM definition WHERE pipeline = ?", pipeline.seq
        )
        return int(version) + 1

    def _keep(self, pipeline: Pipeline, version: int, body: str) -> None:
        self._world.store.do("INSERT INTO definition VALUES (?, ?, ?)", pipeline.seq, version, body)

    def _replace(self, pipeline: Pipeline, version: int, body: str) -> bool:
        """Keep a definition in the place of the one before; say whether nobody needs that one."""
        if pipeline.latest in {None, pipeline.active}:
            return False
        return bool(
            self._world.store.do(
                "UPDATE definition SET version = ?, body = ? WHERE pipeline = ? AND version = ?"
                " AND NOT EXISTS (SELECT 1 FROM instance WHERE pipeline = ? AND version = ?)",
                version,
                body,
                pipeline.seq,
                pipeline.latest,
                pipeline.seq,
                pipeline.latest,
            )
        )

    def _refuse_unless_longer(self, pipeline: Pipeline, new: Definition) -> None:
        number = pipeline.active or pipeline.latest
        old = self._world.plan(pipeline.seq, number).definition if number else Definition(())
        if _without_ends(old.objects) != _without_ends(new.objects):
            raise invalid_request(
                "the pipeline is FINISHED: only endDateTime and occurrences of its schedules can "
                "be changed, and it can be activated again then"
            )


def _changes(old: PipelineObject, new: PipelineObject) -> Iterator[str]:
    """Say which fields are not as they were and must be."""
    if old.string("type") == "Schedule":
        yield from (repr(key) for key in _KEPT if old.values(key) != new.values(key))
    for key in dict.fromkeys((*old.keys(), *new.keys())):
        if old.refs(key) != new.refs(key):
            yield f"the reference {key!r}"


def _rollups(world: World, definition: Definition) -> list[tuple[str, str, int]]:
    plan = Plan(definition, world.switches)
    return [each for each in plan.overlaps() if each[2] > world.quotas.rollups]


def _definition(request: _Putting) -> Definition:
    return Definition(request.pipeline_objects, request.parameter_objects, request.parameter_values)


def _without_ends(objects: tuple[PipelineObject, ...]) -> Mapping[str, object]:
    return {
        each.id: (each.name, tuple(one for one in each.fields if one.key not in _ENDS))
        for each in objects
    }


def _with(checked: _Checked, more: list[tuple[str, str]]) -> bytes:
    """Add errors to those that a check has found."""
    answer = checked.report.to_validation()
    texts: dict[str | None, list[str]] = {
        each.id: list(each.errors) for each in answer.validation_errors
    }
    for object_id, message in more:
        texts.setdefault(object_id, []).append(message)
    errors = tuple(ValidationError(id=each, errors=tuple(found)) for each, found in texts.items())
    return _written(answer.model_copy(update={"errored": True, "validation_errors": errors}))


def _written(answer: ValidatePipelineDefinitionResponse) -> bytes:
    return json.dumps(answer.to_wire()).encode()
