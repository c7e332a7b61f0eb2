"""What people ask about pipelines and objects: lists, descriptions and queries.

Source: ListPipelines, DescribePipelines, DescribeObjects, QueryObjects and EvaluateExpression
in the API reference; the orders, page sizes and texts are ours.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from aiodatapipeline._text import first_surrogate
from aiodatapipeline.definition.expressions import ExpressionError, parse
from aiodatapipeline.errors import ServiceError
from aiodatapipeline.local._engine import _objects
from aiodatapipeline.local._engine._definitions import Definitions
from aiodatapipeline.local._engine._refusals import invalid_request
from aiodatapipeline.local._engine._states import PipelineState
from aiodatapipeline.local._engine._world import Alarm, Instance, Pipeline, World
from aiodatapipeline.local._store import Argument
from aiodatapipeline.models import Field, PipelineObject, Selector
from aiodatapipeline.operations import DescribeObjectsRequest, QueryObjectsRequest

# The size of a page is documented for QueryObjects alone.
_PIPELINES_PER_PAGE = 50
_IDS_PER_PAGE = 100
# The greatest number of SQLite.
_MOST = 2**63
_GONE = "('DELETING', 'DELETED')"

_TIMES = ("@scheduledStartTime", "@scheduledEndTime", "@actualStartTime", "@actualEndTime")
_TEXTS = ("name", "@sphere", "@status", *_TIMES)
_REFS = ("parent", "@componentParent", "@instanceParent")
_SPHERES = ("COMPONENT", "INSTANCE", "ATTEMPT")
# How a query's field is asked of the tables. The values are ours, and no caller's.
_OF_INSTANCE = {
    "name": "i.id",
    "@sphere": "'INSTANCE'",
    "@status": "i.status",
    "@scheduledStartTime": "i.scheduled_start",
    "@scheduledEndTime": "i.scheduled_end",
    "@actualStartTime": "i.actual_start",
    "@actualEndTime": "i.actual_end",
    "parent": "i.component",
    "@componentParent": "i.component",
    "@instanceParent": "NULL",
}
_OF_ATTEMPT = _OF_INSTANCE | {
    "name": "i.id || '_Attempt=' || a.number",
    "@sphere": "'ATTEMPT'",
    "@status": "a.status",
    "@actualStartTime": "a.actual_start",
    "@actualEndTime": "a.actual_end",
    "@instanceParent": "i.id",
}


class Views:
    """Answers what changes nothing."""

    def __init__(self, world: World, definitions: Definitions) -> None:
        self._world, self._definitions = world, definitions

    # -- pipelines ------------------------------------------------------------------------------

    def list_pipelines(self, marker: str | None) -> Mapping[str, object]:
        """Give a page of all pipelines that there are, in the order of their creation."""
        after = _read_marker(marker)[0] if marker else 0
        rows = self._world.store.all(
            f"SELECT seq, id, name FROM pipeline WHERE seq > ? AND state NOT IN {_GONE}"  # noqa: S608  # ours
            " ORDER BY seq LIMIT ?",
            after,
            _PIPELINES_PER_PAGE + 1,
        )
        page = rows[:_PIPELINES_PER_PAGE]
        more = len(rows) > len(page)
        return {
            "pipelineIdList": [{"id": each[1], "name": each[2]} for each in page],
            "hasMoreResults": more,
        } | ({"marker": _marker(page[-1][0])} if more else {})

    def describe_pipeline(self, pipeline: Pipeline) -> Mapping[str, object]:
        """Give a pipeline's state, times and tags, as they go over the wire."""
        world = self._world
        times = world.store.one(
            "SELECT max(actual_start), min(scheduled_start), max(scheduled_end) FROM instance"
            " WHERE pipeline = ?",
            pipeline.seq,
        ) or (None, None, None)
        health = world.store.all(
            "SELECT health, health_time FROM component WHERE pipeline = ? AND health IS NOT NULL"
            " ORDER BY health, health_time DESC",
            pipeline.seq,
        )
        texts: dict[str, str | None] = {
            "@id": pipeline.id,
            "name": pipeline.name,
            "description": pipeline.description,
            "uniqueId": pipeline.unique_id,
            "@pipelineState": pipeline.state,
            "@sphere": "PIPELINE",
            "@creationTime": pipeline.created,
            "@userId": "LOCAL",
            "@accountId": "000000000000",
            "pipelineCreator": "LOCAL",
            "@version": str(pipeline.latest or 0),
            "@firstActivationTime": pipeline.first_activation,
            "@lastActivationTime": pipeline.last_activation,
            "@latestRunTime": times[0],
            "@nextRunTime": self._next_run(pipeline),
            "@scheduledStartTime": times[1],
            "@scheduledEndTime": times[2],
            "@scheduledPeriod": self._period(pipeline),
            "@finishedTime": pipeline.finished,
            "@lastDeactivatedTime": pipeline.deactivated,
            "@healthStatus": health[0][0] if health else None,
            "@healthStatusUpdatedTime": health[0][1] if health else None,
        }
        tags = json.loads(pipeline.tags)
        if tags:
            texts["*tags"] = json.dumps([{each["key"]: each["value"]} for each in tags])
        fields = [
            {"key": key, "stringValue": text} for key, text in texts.items() if text is not None
        ]
        described = {"pipelineId": pipeline.id, "name": pipeline.name, "fields": fields}
        if pipeline.description is not None:
            described["description"] = pipeline.description
        return described | {"tags": tags}

    def _next_run(self, pipeline: Pipeline) -> str | None:
        if pipeline.state != PipelineState.SCHEDULED:
            return None
        rows = self._world.store.all(
            "SELECT id FROM component WHERE pipeline = ? AND more", pipeline.seq
        )
        found = (self._world.next_run(pipeline, each) for (each,) in rows)
        return min((each for each in found if each), default=None)

    def _period(self, pipeline: Pipeline) -> str | None:
        if pipeline.active is None:
            return None
        plan = self._world.plan(pipeline.seq, pipeline.active)
        cadences = (each.cadence for each in plan.components.values())
        return next((str(each.period) for each in cadences if each), None)

    def alarms(self) -> list[Alarm]:
        """Give the actions that were carried out, the first one first."""
        rows = self._world.store.all(
            "SELECT p.id, a.time, a.node, a.action, a.fields FROM alarm a"
            " JOIN pipeline p ON p.seq = a.pipeline ORDER BY a.seq"
        )
        return [
            Alarm(
                pipeline_id,
                time,
                node,
                PipelineObject.from_wire(
                    {"id": action, "name": action, "fields": json.loads(fields)}
                ),
            )
            for pipeline_id, time, node, action, fields in rows
        ]

    # -- objects --------------------------------------------------------------------------------

    def describe_objects(
        self, pipeline: Pipeline, request: DescribeObjectsRequest
    ) -> Mapping[str, object]:
        """Give a page of the objects that are asked for.

        Raises:
            InvalidRequestException: One is not there, or cannot be evaluated.
        """
        first = _read_marker(request.marker)[0] if request.marker else 0
        ids = request.object_ids[first : first + self._world.switches.objects_per_page]
        evaluate = bool(request.evaluate_expressions)
        found = [self._object(pipeline, each, evaluate=evaluate).to_wire() for each in ids]
        more = len(request.object_ids) > first + len(ids)
        return {"pipelineObjects": found, "hasMoreResults": more} | (
            {"marker": _marker(first + len(ids))} if more else {}
        )

    def _object(self, pipeline: Pipeline, object_id: str, *, evaluate: bool) -> PipelineObject:
        world = self._world
        instance, number = self._instance(pipeline, object_id)
        if instance is None:
            return self._component(pipeline, object_id, evaluate=evaluate)
        if evaluate and (wrong := _objects.problems(world, instance)):
            raise _not_evaluated(object_id, wrong)
        if number is None:
            return _objects.instance_object(world, instance, evaluate=evaluate)
        attempt = next(each for each in world.attempts(instance.seq) if each.number == number)
        return _objects.attempt_object(world, instance, attempt, evaluate=evaluate)

    def _instance(self, pipeline: Pipeline, object_id: str) -> tuple[Instance | None, int | None]:
        """Find an instance, or an attempt of one with its number."""
        if not object_id.startswith("@"):
            return None, None
        instance = self._world.instance_by_id(pipeline.seq, object_id)
        if instance is not None:
            return instance, None
        name, separator, number = object_id.rpartition("_Attempt=")
        if not separator or not number.isascii() or not number.isdigit() or len(number) > 9:
            return None, None
        instance = self._world.instance_by_id(pipeline.seq, name)
        attempts = self._world.attempts(instance.seq) if instance else []
        there = any(each.number == int(number) for each in attempts)
        return (instance, int(number)) if there else (None, None)

    def _component(self, pipeline: Pipeline, object_id: str, *, evaluate: bool) -> PipelineObject:
        world = self._world
        if pipeline.latest is not None:
            plan = world.plan(pipeline.seq, pipeline.latest)
            own = plan.resolved.objects.get(object_id)
            if own is not None:
                written = own.definition
                if evaluate:
                    evaluated = plan.resolved.evaluated(object_id)
                    if evaluated.problems:
                        raise _not_evaluated(object_id, evaluated.problems)
                    fields = [each for each in evaluated.object.fields if each.key in own.own]
                    written = written.model_copy(update={"fields": tuple(fields)})
                shown = _objects.component_object(world, pipeline, plan, own, written)
                errors = self._definitions.errors(plan).get(object_id, ())
                wrong = tuple(Field.of("@error", each) for each in errors)
                return shown.model_copy(update={"fields": shown.fields + wrong})
        raise invalid_request(f"the pipeline has no object {object_id[:60]!r}")

    def evaluate(self, pipeline: Pipeline, object_id: str, text: str) -> str:
        """Evaluate the expressions of a text as an object sees them.

        Raises:
            InvalidRequestException: There is no such object, or a text cannot be evaluated.
        """
        world = self._world
        instance, _ = self._instance(pipeline, object_id)
        if instance is not None:
            run = world.plan(instance.pipeline, instance.version)
            scope = run.resolved.scopes(_objects.scope_of(world, instance))[instance.component]
        else:
            version = pipeline.latest
            plan = world.plan(pipeline.seq, version) if version is not None else None
            if plan is None or object_id not in plan.resolved.objects:
                raise invalid_request(f"the pipeline has no object {object_id[:60]!r}")
            scope = plan.resolved.scopes({object_id: {"@pipelineId": pipeline.id}})[object_id]
        try:
            return parse(text).render(scope)
        except ExpressionError as error:
            raise invalid_request(f"the expression cannot be evaluated: {error}") from error

    # -- queries --------------------------------------------------------------------------------

    def query(self, pipeline: Pipeline, request: QueryObjectsRequest) -> Mapping[str, object]:
        """Give a page of the ids of objects that meet all conditions."""
        sphere = request.sphere.upper()
        if sphere not in _SPHERES:
            raise invalid_request(
                f"there is no sphere {request.sphere[:60]!r}: "
                "ask for COMPONENT, INSTANCE or ATTEMPT"
            )
        limit = _IDS_PER_PAGE if request.limit is None else request.limit
        if limit < 1:
            raise invalid_request(f"limit must be 1 or more, not {limit}")
        limit = min(limit, _IDS_PER_PAGE)
        selectors = request.query.selectors if request.query else ()
        conditions = [_condition(each) for each in selectors]
        if sphere == "COMPONENT":
            return self._query_components(pipeline, conditions, request.marker, limit)
        return self._query_rows(pipeline, sphere, conditions, request.marker, limit)

    def _query_rows(
        self,
        pipeline: Pipeline,
        sphere: str,
        conditions: Sequence[_Condition],
        marker: str | None,
        limit: int,
    ) -> Mapping[str, object]:
        columns = _OF_INSTANCE if sphere == "INSTANCE" else _OF_ATTEMPT
        where, arguments = ["i.pipeline = ?"], list[Argument]([pipeline.seq])
        for each in conditions:
            sql, values = each.as_sql(columns[each.field])
            where.append(sql)
            arguments += values
        number = "i.seq" if sphere == "INSTANCE" else "a.number"
        if marker:
            where.append(f"(i.scheduled_start, i.id, {number}) > (?, ?, ?)")
            arguments += _read_marker(marker, (str, str, int))
        join = "" if sphere == "INSTANCE" else " JOIN attempt a ON a.instance = i.seq"
        rows = self._world.store.all(
            f"SELECT {columns['name']}, i.scheduled_start, i.id, {number} FROM instance i{join}"  # noqa: S608  # ours
            f" WHERE {' AND '.join(where)} ORDER BY i.scheduled_start, i.id, {number} LIMIT ?",
            *arguments,
            limit + 1,
        )
        page = rows[:limit]
        more = len(rows) > limit
        return {"ids": [each[0] for each in page], "hasMoreResults": more} | (
            {"marker": _marker(*page[-1][1:])} if more else {}
        )

    def _query_components(
        self, pipeline: Pipeline, conditions: Sequence[_Condition], marker: str | None, limit: int
    ) -> Mapping[str, object]:
        first = _read_marker(marker)[0] if marker else 0
        ids = list(self._components(pipeline, conditions))
        page = ids[first : first + limit]
        more = len(ids) > first + limit
        return {"ids": page, "hasMoreResults": more} | (
            {"marker": _marker(first + limit)} if more else {}
        )

    def _components(self, pipeline: Pipeline, conditions: Sequence[_Condition]) -> Iterator[str]:
        if pipeline.latest is None:
            return
        plan = self._world.plan(pipeline.seq, pipeline.latest)
        for object_id in sorted(plan.resolved.objects):
            own = plan.resolved.objects[object_id]
            shown = _objects.component_object(self._world, pipeline, plan, own, own.definition)
            if all(each.holds(shown) for each in conditions):
                yield object_id


class _Condition:
    """A selector that makes sense."""

    def __init__(self, field: str, operator: str, values: tuple[str, ...]) -> None:
        self.field, self._operator, self._values = field, operator, values

    def as_sql(self, column: str) -> tuple[str, list[Argument]]:
        """Give a condition on a column, with its arguments."""
        values = list[Argument](self._values)
        match self._operator:
            case "GE":
                return f"{column} >= ?", values
            case "LE":
                return f"{column} <= ?", values
            case "BETWEEN":
                return f"{column} BETWEEN ? AND ?", values
            case _:
                return f"{column} IN ({', '.join('?' * len(values))})", values

    def holds(self, shown: PipelineObject) -> bool:
        """Say whether a component meets it."""
        if self._operator == "REF_EQ":
            return bool(set(shown.refs(self.field)) & set(self._values))
        said = (shown.name,) if self.field == "name" else shown.strings(self.field)
        match self._operator:
            case "GE":
                return any(each >= self._values[0] for each in said)
            case "LE":
                return any(each <= self._values[0] for each in said)
            case "BETWEEN":
                return any(self._values[0] <= each <= self._values[1] for each in said)
            case _:
                return bool(set(said) & set(self._values))


def _not_evaluated(object_id: str, problems: Mapping[str, str]) -> ServiceError:
    key, reason = next(iter(problems.items()))
    return invalid_request(f"{object_id!r}: {key!r} cannot be evaluated: {reason}")


def _condition(selector: Selector) -> _Condition:
    field, operator = selector.field_name or "", selector.operator
    kind = operator.type if operator else None
    values = operator.values if operator else ()
    if kind is None:
        raise invalid_request(f"the selector of {field[:60]!r} has no operator type")
    allowed = _REFS if kind == "REF_EQ" else _TEXTS if kind == "EQ" else _TIMES
    if field not in allowed:
        raise invalid_request(
            f"{kind} does not go with the field {field[:60]!r}: it takes {', '.join(allowed)}"
        )
    needed = {"BETWEEN": 2, "GE": 1, "LE": 1}.get(kind)
    if (needed is not None and len(values) != needed) or not values:
        raise invalid_request(
            f"{kind} takes {needed or 'one or more'} values, and the selector of {field!r} has "
            f"{len(values)}"
        )
    return _Condition(field, kind, values)


def _marker(*values: str | int) -> str:
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode()


def _read_marker(marker: str, kinds: tuple[type, ...] = (int,)) -> list[Any]:
    """Read a marker that was given with a page: values of these types."""
    try:
        values = json.loads(base64.urlsafe_b64decode(marker.encode()))
        if tuple(map(type, values)) == kinds and all(map(_is_ours, values)):
            return list(values)
    except (ValueError, TypeError, RecursionError):
        pass
    raise invalid_request("the marker is none that was given with a page")


def _is_ours(value: str | int) -> bool:
    """Whether a marker's value is one that the store takes."""
    if isinstance(value, int):
        return 0 <= value < _MOST
    return first_surrogate(value) is None
