"""A definition -> what the engine needs to know of each component. Pure, and kept per version."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cached_property

from aiodatapipeline.definition import Definition, EffectiveObject, ResolvedDefinition, resolve
from aiodatapipeline.definition._catalog import Kind, catalog
from aiodatapipeline.definition.expressions import ExpressionError, parse
from aiodatapipeline.definition.schedules import Period, read_date_time
from aiodatapipeline.local._switches import Switches
from aiodatapipeline.models import PipelineObject

# Instances of an object at once, if it does not say. Source: "AWS Data Pipeline Limits".
_ACTIVE_INSTANCES = 5
# A number that is never reached, and that a database takes.
_MOST = 2.0**53
_ON_DEMAND = "ondemand"
_TIME_SERIES = "timeseries"


class Role(StrEnum):
    """What becomes of a component when a pipeline runs."""

    ACTIVITY = "activity"
    DATA_NODE = "data node"
    RESOURCE = "resource"
    PRECONDITION = "precondition"
    ACTION = "action"


_ROLES = {
    Kind.ACTIVITY: Role.ACTIVITY,
    Kind.DATA_NODE: Role.DATA_NODE,
    Kind.RESOURCE: Role.RESOURCE,
    Kind.PRECONDITION: Role.PRECONDITION,
    Kind.ACTION: Role.ACTION,
}
# What an object of an unknown type is, by the field that refers to it.
_REFERRED = {
    "input": Role.DATA_NODE,
    "output": Role.DATA_NODE,
    "runsOn": Role.RESOURCE,
    "precondition": Role.PRECONDITION,
    "onFail": Role.ACTION,
    "onSuccess": Role.ACTION,
    "onLateAction": Role.ACTION,
}
_GUARDED = {Role.ACTIVITY, Role.DATA_NODE}
_ORDERING = {"parent", "dependsOn"}  # these refer to objects of any kind


@dataclass(frozen=True, slots=True)
class Interval:
    """When an instance is scheduled: from, and to but not at."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Cadence:
    """A Schedule object: one interval after the other."""

    id: str
    start: datetime | None
    """None: the pipeline's first activation."""
    period: Period
    until: datetime | None
    occurrences: int | None

    def interval(self, number: int, first: datetime) -> Interval | None:
        """Give an interval, counted from 0; None when there are no more."""
        if self.occurrences is not None and number >= self.occurrences:
            return None
        origin = self.start or first
        try:
            start, end = self.period.after(origin, number), self.period.after(origin, number + 1)
        except OverflowError:  # the year 10000
            return None
        if self.until is not None and start >= self.until:
            return None
        return Interval(start, end)

    def number_at(self, time: datetime, first: datetime) -> int:
        """Give the number of the interval that a time is in; below 0 if none has begun yet."""
        origin = self.start or first
        return -1 if time < origin else self.period.elapsed(origin, time)

    def overlapping(self, interval: Interval, first: datetime) -> Iterator[Interval]:
        """Give the intervals that have some time in common with one of another cadence."""
        number = max(0, self.number_at(interval.start, first))
        while (found := self.interval(number, first)) and found.start < interval.end:
            yield found
            number += 1


@dataclass(frozen=True, slots=True)
class Component:
    """What the engine needs to know of an object of a definition."""

    id: str
    type: str
    role: Role
    by_service: bool
    """A precondition that the service evaluates itself."""
    cadence: Cadence | None
    """None for what is on demand, or comes with the object that refers to it."""
    time_series: bool
    """Whether it runs at the end of its interval."""
    depends_on: tuple[str, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    preconditions: tuple[str, ...]
    runs_on: str | None
    worker_group: str | None
    cascades: bool
    """Whether it fails with what it waits for."""
    max_active: int
    max_retries: int
    retry_delay: float
    attempt_timeout: float | None
    report_timeout: float | None
    late_after: float | None
    precondition_timeout: float | None
    terminate_after: float | None
    on_fail: tuple[str, ...]
    on_success: tuple[str, ...]
    on_late: tuple[str, ...]

    @property
    def targets(self) -> tuple[str, ...]:
        """What it waits for before its preconditions."""
        return tuple(dict.fromkeys((*self.depends_on, *self.inputs)))


class Plan:
    """A definition, ready to run."""

    def __init__(self, definition: Definition, switches: Switches) -> None:
        """Work out a definition.

        Args:
            definition: One without errors; of what is wrong in it nothing becomes of.
            switches: For what no object says.
        """
        self.definition = definition
        self.resolved: ResolvedDefinition = resolve(definition)
        self._switches = switches
        default = self.resolved.objects.get("Default")
        self.on_demand = self._lower(default, "scheduleType") == _ON_DEMAND
        self._active_instances = 1 if self.on_demand else _ACTIVE_INSTANCES
        self.max_runs = self._number(default, "maxActiveInstances", 1) if default else 1
        """Of an on-demand pipeline at once."""
        self._flattened: dict[str, PipelineObject] = {}
        self._role_of = roles = self._roles()
        self._cadences = {
            each.id: self._read_cadence(each)
            for each in self.resolved.objects.values()
            if each.type == "Schedule"
        }
        self.components: Mapping[str, Component] = {
            each: self._component(self.resolved.objects[each], role) for each, role in roles.items()
        }

    # -- who is what ------------------------------------------------------------------------

    def _roles(self) -> dict[str, Role]:
        types = catalog().types
        referred: dict[str, Role | None] = {}
        for each in self.resolved.objects.values():
            for key in each.own:
                if key not in _ORDERING:
                    referred.update(dict.fromkeys(each.refs(key), _REFERRED.get(key)))
        roles: dict[str, Role] = {}
        for each in self.resolved.objects.values():
            if each.type is None or each.id == "Default":
                continue
            known = types.get(each.type)
            role = _ROLES.get(known.kind) if known else referred.get(each.id, Role.ACTIVITY)
            if role:
                roles[each.id] = role
        return roles

    def flattened(self, component: str) -> PipelineObject:
        """Give an object that says by itself all that a component comes to, as it is written."""
        found = self._flattened.get(component)
        if found is None:
            found = self._flattened[component] = self.resolved.objects[component].flattened()
        return found

    def has_expressions(self, component: str) -> bool:
        """Whether there is anything to evaluate in a component's fields."""
        fields = self.flattened(component).fields
        return any(each.string_value is not None and "#{" in each.string_value for each in fields)

    @cached_property
    def producers(self) -> Mapping[str, tuple[str, ...]]:
        """For a data node, the activities whose output it is."""
        return self._referring("outputs")

    @cached_property
    def consumers(self) -> Mapping[str, tuple[str, ...]]:
        """For a data node, the activities whose input it is."""
        return self._referring("inputs")

    @cached_property
    def users(self) -> Mapping[str, tuple[str, ...]]:
        """For a resource, what runs on it."""
        found: dict[str, tuple[str, ...]] = {}
        for each in self.components.values():
            if each.runs_on:
                found[each.runs_on] = (*found.get(each.runs_on, ()), each.id)
        return found

    @cached_property
    def guarded(self) -> Mapping[str, tuple[str, ...]]:
        """For a precondition, what waits for it."""
        return self._referring("preconditions")

    def around(self, component: str) -> tuple[Component, ...]:
        """Give who does the work for a component, best first: itself, or whose data it is."""
        others = (*self.consumers.get(component, ()), *self.producers.get(component, ()))
        return tuple(self.components[each] for each in (*others, component))

    def _referring(self, attribute: str) -> dict[str, tuple[str, ...]]:
        found: dict[str, tuple[str, ...]] = {}
        for each in self.components.values():
            targets: tuple[str, ...] = getattr(each, attribute)
            for target in targets:
                found[target] = (*found.get(target, ()), each.id)
        return found

    @cached_property
    def scheduled(self) -> tuple[Component, ...]:
        """What gets an instance of its own for every interval; the rest comes with these."""
        return tuple(
            each
            for each in self.components.values()
            if each.role in {Role.ACTIVITY, Role.DATA_NODE}
            or (each.role is Role.RESOURCE and each.id in self.users)
        )

    # -- what they say ----------------------------------------------------------------------

    def text(self, each: EffectiveObject | None, key: str) -> str | None:
        """Give a field's text with parameters put in; None if it needs more than these."""
        said = each.string(key) if each else None
        if said is None or "#{" not in said:
            return said
        try:
            return self.resolved.literal(parse(said))
        except ExpressionError:
            return None

    def _lower(self, each: EffectiveObject | None, key: str) -> str:
        return (self.text(each, key) or "").lower()

    def _number(self, each: EffectiveObject, key: str, otherwise: int) -> int:
        said = self.text(each, key) or ""
        if not (said.isascii() and said.isdigit()):
            return otherwise
        return int(min(float(said), _MOST))  # a number of any length may be written

    def _seconds(self, each: EffectiveObject, key: str) -> float | None:
        said = self.text(each, key)
        try:
            period = Period.parse(said or "")
        except ValueError:
            return None
        return period.minutes * 60.0

    def _time(self, each: EffectiveObject, key: str) -> datetime | None:
        try:
            return read_date_time(self.text(each, key) or "")
        except ValueError:
            return None

    def _read_cadence(self, each: EffectiveObject) -> Cadence | None:
        try:
            period = Period.parse(self.text(each, "period") or "")
        except ValueError:  # on demand
            return None
        occurrences = self._number(each, "occurrences", 0)
        return Cadence(
            id=each.id,
            start=self._time(each, "startDateTime"),
            period=period,
            until=self._time(each, "endDateTime"),
            occurrences=occurrences or None,
        )

    def _component(self, each: EffectiveObject, role: Role) -> Component:
        known = catalog().types.get(each.type or "")
        schedules = each.refs("schedule")
        cadence = self._cadences.get(schedules[0]) if schedules and not self.on_demand else None
        delay = self._seconds(each, "retryDelay")
        switches = self._switches
        return Component(
            id=each.id,
            type=each.type or "",
            role=role,
            by_service=bool(known and known.by_service),
            cadence=cadence,
            # Resources are there from the start of the interval.
            time_series=role is not Role.RESOURCE
            and self._lower(each, "scheduleType") in {"", _TIME_SERIES},
            depends_on=self._known(each, "dependsOn"),
            inputs=self._known(each, "input"),
            outputs=self._known(each, "output"),
            # What stands in Default for others is inherited by all, but not meant for all.
            preconditions=self._known(each, "precondition") if role in _GUARDED else (),
            runs_on=next(iter(self._known(each, "runsOn")), None)
            if role is Role.ACTIVITY
            else None,
            worker_group=self.text(each, "workerGroup"),
            cascades=self._lower(each, "failureAndRerunMode") == "cascade",
            max_active=max(1, self._number(each, "maxActiveInstances", self._active_instances)),
            max_retries=self._number(each, "maximumRetries", switches.maximum_retries),
            retry_delay=max(
                switches.retry_delay if delay is None else delay, switches.minimum_retry_delay
            ),
            attempt_timeout=self._seconds(each, "attemptTimeout"),
            report_timeout=self._seconds(each, "reportProgressTimeout"),
            # Source: its description in the developer guide.
            late_after=None if self.on_demand else self._seconds(each, "lateAfterTimeout"),
            precondition_timeout=self._seconds(each, "preconditionTimeout"),
            terminate_after=self._seconds(each, "terminateAfter"),
            on_fail=self._known(each, "onFail"),
            on_success=self._known(each, "onSuccess"),
            on_late=self._known(each, "onLateAction"),
        )

    def _known(self, each: EffectiveObject, key: str) -> tuple[str, ...]:
        return tuple(ref for ref in dict.fromkeys(each.refs(key)) if ref in self._role_of)

    def overlaps(self) -> Iterator[tuple[str, str, int]]:
        """Give who waits for how many intervals of whom, where that is more than one."""
        for each in self.components.values():
            for target in (*each.targets, *((each.runs_on,) if each.runs_on else ())):
                other = self.components.get(target)
                if not (each.cadence and other and other.cadence):
                    continue
                count = each.cadence.period.minutes // other.cadence.period.minutes
                if count > 1:
                    yield each.id, target, count
