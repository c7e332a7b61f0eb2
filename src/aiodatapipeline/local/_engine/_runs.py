"""How instances come into being: for each interval of a schedule, or for an activation."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from datetime import datetime

from aiodatapipeline.local._engine._plan import Component, Interval, Plan, Role
from aiodatapipeline.local._engine._states import Status
from aiodatapipeline.local._engine._work import DEPENDENCY, PRECONDITION, RESOURCE, Work
from aiodatapipeline.local._engine._world import Pipeline, World
from aiodatapipeline.local._times import as_datetime, as_seconds, read, written

# How many intervals of a component are worked off before others have their turn.
_BATCH = 100
SCHEDULE = "schedule"


class Runs:
    """Makes instances, and sees to it that their first steps are taken."""

    def __init__(self, world: World, work: Work) -> None:
        self._world, self._work = world, work

    def start(self, pipeline: Pipeline, plan: Plan) -> None:
        """Begin, or go on, with all components of an activated definition."""
        world = self._world
        cadenced = {each.id for each in plan.scheduled if each.cadence}
        for component in plan.components:
            world.store.do(
                "INSERT INTO component (pipeline, id, more) VALUES (?, ?, 0)"
                " ON CONFLICT DO NOTHING",
                pipeline.seq,
                component,
            )
        rows = world.store.all("SELECT seq, id FROM component WHERE pipeline = ?", pipeline.seq)
        for seq, component in rows:
            world.store.do(
                "UPDATE component SET more = ? WHERE seq = ?", int(component in cadenced), seq
            )
            if component in cadenced:
                world.then(self.on_schedule, seq)
        if plan.on_demand:
            self._run_once(pipeline, plan)
        elif not cadenced:
            world.then(self._work.finish_pipeline, pipeline.seq)

    def _run_once(self, pipeline: Pipeline, plan: Plan) -> None:
        world = self._world
        now = int(world.now)
        # Two runs of one second would have the same ids.
        while world.store.one(
            "SELECT 1 FROM instance WHERE pipeline = ? AND scheduled_start = ? LIMIT 1",
            pipeline.seq,
            written(now),
        ):
            now += 1
        moment = as_datetime(now)
        made = self._make(
            pipeline,
            plan,
            [(each, Interval(moment, moment), world.now) for each in plan.scheduled],
        )
        if not made:
            world.then(self._work.finish_pipeline, pipeline.seq)

    def on_schedule(self, component_seq: int) -> None:
        """Make the instances of a component that are due, and come back for the next."""
        world = self._world
        seq, component_id, number, more = world.store.the(
            "SELECT pipeline, id, next, more FROM component WHERE seq = ?", component_seq
        )
        if not more:  # it had a schedule before its pipeline was activated again
            return
        pipeline = world.pipeline(seq)
        version = pipeline.active
        assert version is not None  # noqa: S101  # more are to come of one
        plan = world.plan(pipeline.seq, version)
        component = plan.components[component_id]
        cadence = component.cadence
        assert cadence is not None  # noqa: S101  # likewise
        first = read(pipeline.first_activation or world.now_written)
        due: list[tuple[Component, Interval, float]] = []
        while len(due) < _BATCH:
            interval = cadence.interval(number, first)
            if interval is None:
                world.store.do("UPDATE component SET more = 0 WHERE seq = ?", component_seq)
                world.then(self._work.finish_pipeline, pipeline.seq)
                break
            begins = _begins(component, interval)
            if begins > world.now:
                world.remind(SCHEDULE, component_seq, begins)
                break
            due.append((component, interval, begins))
            number += 1
        else:
            world.remind(SCHEDULE, component_seq, world.now)
        world.store.do("UPDATE component SET next = ? WHERE seq = ?", number, component_seq)
        self._make(pipeline, plan, due)

    def _make(
        self, pipeline: Pipeline, plan: Plan, wanted: Iterable[tuple[Component, Interval, float]]
    ) -> bool:
        """Make instances, with all that they wait for; say whether there are any."""
        batch = _Batch(self._world, pipeline, plan)
        for component, interval, begins in wanted:
            batch.have(component, interval, begins)
        made = batch.complete()
        for seq in made:
            self._world.then(self._work.consider, seq)
        return bool(made)


class _Batch:
    """Instances that come into being together, since they wait for each other."""

    def __init__(self, world: World, pipeline: Pipeline, plan: Plan) -> None:
        self._world, self._pipeline, self._plan = world, pipeline, plan
        self._first = read(pipeline.first_activation or world.now_written)
        self._fresh: deque[tuple[int, Component, Interval, float]] = deque()
        self._edges: list[tuple[int, int, str]] = []

    def have(
        self,
        component: Component,
        interval: Interval,
        begins: float,
        *,
        node: tuple[int, str] | None = None,
    ) -> int:
        """Make an instance if there is none yet; give its number.

        Args:
            component: Of what.
            interval: For when.
            begins: Before which it does not start, in seconds since the epoch.
            node: Of a precondition, whose it is: number and component.
        """
        name = _name(self._plan, component, interval, node[1] if node else "")
        row = self._world.store.one(
            "SELECT seq FROM instance WHERE pipeline = ? AND id = ?", self._pipeline.seq, name
        )
        if row:
            return int(row[0])
        seq = self._insert(name, component, interval, begins, node[0] if node else None)
        self._fresh.append((seq, component, interval, begins))
        return seq

    def complete(self) -> list[int]:
        """Make all that the instances need, and all that those need; give everything made."""
        made: list[int] = []
        while self._fresh:
            seq, component, interval, begins = self._fresh.popleft()
            made.append(seq)
            self._guard(seq, component, interval, begins)
            for each, kind in _relations(self._plan, component):
                self._relate(seq, component, self._plan.components[each], kind, interval, begins)
        self._world.store.many("INSERT OR IGNORE INTO dependency VALUES (?, ?, ?)", self._edges)
        return made

    def _guard(self, seq: int, component: Component, interval: Interval, begins: float) -> None:
        around = (each.runs_on for each in self._plan.around(component.id))
        runs_on = next((each for each in around if each), "")
        resource = self._plan.components.get(runs_on)
        for each in component.preconditions:
            guard = self._plan.components[each]
            target = self.have(guard, interval, begins, node=(seq, component.id))
            self._edges.append((seq, target, PRECONDITION))
            if resource:
                self._relate(target, component, resource, RESOURCE, interval, begins)

    def _relate(  # noqa: PLR0917  # who, whom and when
        self,
        seq: int,
        component: Component,
        other: Component,
        kind: str,
        interval: Interval,
        begins: float,
    ) -> None:
        for its, its_begin in _others(component, other, interval, begins, self._first):
            target = self.have(other, its, its_begin)
            if kind:
                self._edges.append((seq, target, kind))

    def _insert(  # the columns of a row
        self, name: str, component: Component, interval: Interval, begins: float, node: int | None
    ) -> int:
        world, skip = self._world, self._pipeline.skip_before
        start = written(as_seconds(interval.start))
        skipped = skip is not None and start < skip
        seq = world.store.insert(
            "INSERT INTO instance (pipeline, id, component, kind, version, node, status, ended,"
            " queued, begins, scheduled_start, scheduled_end, attempts, tries)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?, ?, 0, ?)",
            self._pipeline.seq,
            name,
            component.id,
            component.role,
            self._pipeline.active,
            node,
            Status.SKIPPED if skipped else Status.WAITING_ON_DEPENDENCIES,
            int(skipped),
            begins,
            start,
            written(as_seconds(interval.end)),
            component.max_retries + 1,
        )
        if component.late_after is not None and component.on_late and not skipped:
            world.remind("late", seq, begins + component.late_after)
        return seq


def _name(plan: Plan, component: Component, interval: Interval, node: str) -> str:
    start = written(as_seconds(interval.start))
    if component.role is Role.PRECONDITION and len(plan.guarded.get(component.id, ())) > 1:
        return f"@{component.id}@{node}_{start}"
    return f"@{component.id}_{start}"


def _begins(component: Component, interval: Interval) -> float:
    return as_seconds(interval.end if component.time_series else interval.start)


def _relations(plan: Plan, component: Component) -> Iterator[tuple[str, str]]:
    """Give what there has to be with a component, and how it waits for that, if it does."""
    for each in component.targets:
        yield each, DEPENDENCY
    if component.role is Role.DATA_NODE:
        for each in plan.producers.get(component.id, ()):
            yield each, DEPENDENCY
    if component.runs_on:
        yield component.runs_on, RESOURCE
    if component.role is Role.RESOURCE:
        for each in plan.users.get(component.id, ()):
            yield each, ""
    for each in component.outputs:
        yield each, ""


def _others(
    component: Component, other: Component, interval: Interval, begins: float, first: datetime
) -> Iterator[tuple[Interval, float]]:
    """Give the intervals of another component that belong to one of a component."""
    cadence = other.cadence
    if cadence is None:
        yield interval, begins  # it comes with whoever needs it
    elif component.cadence == cadence:
        yield interval, _begins(other, interval)
    else:
        for each in cadence.overlapping(interval, first):
            yield each, _begins(other, each)
