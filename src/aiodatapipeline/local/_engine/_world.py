"""What all of the engine shares: the store, the time, rows as objects, and what is to do next."""

from __future__ import annotations

import json
import logging
import random
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from aiodatapipeline._clock import Clock
from aiodatapipeline.definition import Definition
from aiodatapipeline.local._engine._plan import Component, Plan
from aiodatapipeline.local._engine._states import ENDED, WAYS, PipelineState, Status
from aiodatapipeline.local._quotas import AccountQuotas
from aiodatapipeline.local._store import Argument, Store
from aiodatapipeline.local._switches import Switches
from aiodatapipeline.local._times import written
from aiodatapipeline.models import PipelineObject
from aiodatapipeline.operations import GetPipelineDefinitionResponse

KeyT = TypeVar("KeyT")

log = logging.getLogger("aiodatapipeline.local")

# How many plans are kept, each of a definition of up to some hundred objects, and for how many
# versions of pipelines it is known which one they have.
_BODIES = 64
_PLANS = 4096


@dataclass(slots=True)
class Pipeline:
    """A row of the table of that name."""

    seq: int
    id: str
    name: str
    unique_id: str
    description: str | None
    tags: str
    state: PipelineState
    created: str
    latest: int | None
    active: int | None
    first_activation: str | None
    last_activation: str | None
    skip_before: str | None
    deactivated: str | None
    finished: str | None


@dataclass(slots=True)
class Instance:
    """A row of the table of that name."""

    seq: int
    pipeline: int
    id: str
    component: str
    kind: str
    version: int
    node: int | None
    status: Status
    ended: int
    queued: int
    begins: float
    scheduled_start: str
    scheduled_end: str
    actual_start: str | None
    actual_end: str | None
    finished: str | None
    since: float | None
    attempts: int
    tries: int
    reason: str | None
    failed_on: str | None


@dataclass(slots=True)
class Attempt:
    """A row of the table of that name."""

    seq: int
    instance: int
    pipeline: int
    number: int
    status: Status
    worker_group: str | None
    ready: float
    task: str | None
    hostname: str | None
    actual_start: str | None
    actual_end: str | None
    reported: str | None
    progress: str | None
    outcome: str | None
    error_id: str | None
    error_message: str | None
    error_stack_trace: str | None


@dataclass(frozen=True, slots=True)
class Alarm:
    """An action that was carried out, such as a message that AWS would have sent.

    Attributes:
        pipeline_id: Whose.
        time: When, as the service writes times.
        node: The id of the instance that it is about.
        action: The action's object, with its expressions evaluated.
    """

    pipeline_id: str
    time: str
    node: str
    action: PipelineObject


def _satisfied(_: PipelineObject) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Hooks:
    """What an application may do in the place of what AWS has and this service has not.

    Attributes:
        precondition: Decides whether a system-managed precondition is met. It is given the
            object with its expressions evaluated.
        alarm: Is told of every SnsAlarm.
    """

    precondition: Callable[[PipelineObject], bool] = _satisfied
    alarm: Callable[[Alarm], None] = lambda _: None


class World:
    """The engine's surroundings."""

    def __init__(  # noqa: PLR0917  # one caller
        self,
        store: Store,
        clock: Clock,
        switches: Switches,
        quotas: AccountQuotas,
        hooks: Hooks,
        random_: random.Random,
        resource_delay: float,
    ) -> None:
        self.store, self.clock, self.switches = store, clock, switches
        self.quotas, self.hooks, self.random = quotas, hooks, random_
        self.resource_delay = resource_delay
        """Seconds that a resource takes to be created."""
        self.now = clock.time()
        """The time that a unit goes by: it stands still within one."""
        self.ready_groups: set[str] = set()
        """Worker groups for which there may be a task that there was not."""
        self.next_due = float("inf")
        """No timer goes off before. There may be none any more that goes off then."""
        self._agenda: deque[tuple[Callable[[int], None], int]] = deque()
        self._plans: OrderedDict[tuple[int, int], Plan] = OrderedDict()
        self._plans_by_body: OrderedDict[str, Plan] = OrderedDict()

    @property
    def now_written(self) -> str:
        """The time as the service writes it."""
        return written(self.now)

    # -- what is to do next -------------------------------------------------------------------

    def then(self, do: Callable[[int], None], subject: int) -> None:
        """Do something once what is at work is done: chains of any length need no deep stack."""
        self._agenda.append((do, subject))

    def work_off(self) -> None:
        """Do all that is to do now."""
        while self._agenda:
            do, subject = self._agenda.popleft()
            do(subject)

    def forget(self) -> None:
        """Forget what may not have happened."""
        self._agenda.clear()
        self._plans.clear()

    def remind(self, kind: str, subject: int, due: float) -> None:
        """Set a timer, in the place of one of its kind for the same subject."""
        self.store.do("INSERT OR REPLACE INTO timer VALUES (?, ?, ?)", kind, subject, due)
        self.next_due = min(self.next_due, due)

    def see_what_is_next(self) -> None:
        """Find out when the next timer goes off."""
        (due,) = self.store.the("SELECT min(due) FROM timer")
        self.next_due = float("inf") if due is None else due

    def take_timer(self, kind: str, subject: int, due: float) -> bool:
        """Take a timer away that goes off; say whether there still was one for that time."""
        return bool(
            self.store.do(
                "DELETE FROM timer WHERE kind = ? AND subject = ? AND due = ?", kind, subject, due
            )
        )

    def unremind(self, subject: int, *kinds: str) -> None:
        """Take timers away."""
        for kind in kinds:
            self.store.do("DELETE FROM timer WHERE kind = ? AND subject = ?", kind, subject)

    # -- rows ---------------------------------------------------------------------------------

    def pipeline(self, seq: int) -> Pipeline:
        """Give a pipeline. Its row stays for good."""
        return Pipeline(*self.store.the("SELECT * FROM pipeline WHERE seq = ?", seq))

    def pipeline_by_id(self, pipeline_id: str) -> Pipeline | None:
        """Give a pipeline, deleted or not, or None if there never was one."""
        row = self.store.one("SELECT * FROM pipeline WHERE id = ?", pipeline_id)
        return Pipeline(*row) if row else None

    def instance(self, seq: int) -> Instance:
        """Give an instance that is there, as all are until their pipeline is deleted."""
        return _instance(self.store.the("SELECT * FROM instance WHERE seq = ?", seq))

    def instance_by_id(self, pipeline: int, instance_id: str) -> Instance | None:
        """Give an instance, or None if there is none."""
        row = self.store.one(
            "SELECT * FROM instance WHERE pipeline = ? AND id = ?", pipeline, instance_id
        )
        return _instance(row) if row else None

    def instances(self, where: str, *arguments: Argument) -> list[Instance]:
        """Give the instances for which something is true."""
        rows = self.store.all(f"SELECT * FROM instance WHERE {where}", *arguments)  # noqa: S608  # ours
        return [_instance(row) for row in rows]

    def attempt(self, seq: int) -> Attempt:
        """Give an attempt that is there, as all are until their pipeline is deleted."""
        return _attempt(self.store.the("SELECT * FROM attempt WHERE seq = ?", seq))

    def attempts(self, instance: int) -> list[Attempt]:
        """Give the attempts of an instance, the last one first."""
        rows = self.store.all(
            "SELECT * FROM attempt WHERE instance = ? ORDER BY number DESC", instance
        )
        return [_attempt(row) for row in rows]

    def change(self, row: Pipeline | Instance | Attempt, **changes: Argument) -> None:
        """Change columns of a row, and the object with it."""
        for name, value in changes.items():
            setattr(row, name, value)
        columns = ", ".join(f"{name} = ?" for name in changes)
        table = type(row).__name__.lower()
        self.store.do(
            f"UPDATE {table} SET {columns} WHERE seq = ?",  # noqa: S608  # our own names
            *changes.values(),
            row.seq,
        )

    def move(self, instance: Instance, status: Status, **changes: Argument) -> None:
        """Let an instance enter a status that it can come to from its own."""
        ways = WAYS[instance.status]
        assert status in ways, f"{instance.id} cannot go from {instance.status} to {status}"  # noqa: S101
        ended = int(status in ENDED)
        self.change(instance, status=status, ended=ended, queued=0, **changes)

    # -- definitions --------------------------------------------------------------------------

    def body(self, pipeline: int, version: int) -> str:
        """Give a definition as it goes over the wire, in JSON."""
        row = self.store.one(
            "SELECT body FROM definition WHERE pipeline = ? AND version = ?", pipeline, version
        )
        return str(row[0]) if row else "{}"

    def plan(self, pipeline: int, version: int) -> Plan:
        """Give a version of a definition, ready to run."""
        key = (pipeline, version)
        plan = self._plans.get(key)
        if plan is None:
            plan = self._plan_of(self.body(pipeline, version))
            _remember(self._plans, key, plan, _PLANS)
        return plan

    def _plan_of(self, body: str) -> Plan:
        # Many pipelines may have the same definition.
        plan = self._plans_by_body.get(body)
        if plan is None:
            answer = GetPipelineDefinitionResponse.from_wire(json.loads(body))
            plan = Plan(Definition.from_response(answer), self.switches)
            _remember(self._plans_by_body, body, plan, _BODIES)
        return plan

    def next_run(self, pipeline: Pipeline, component: str) -> str | None:
        """Say when the next instance of a component is scheduled; None if none is to come."""
        row = self.store.one(
            "SELECT t.due FROM component c JOIN timer t ON t.kind = 'schedule'"
            " AND t.subject = c.seq WHERE c.pipeline = ? AND c.id = ? AND c.more",
            pipeline.seq,
            component,
        )
        return written(row[0]) if row else None

    def pipeline_of(self, row: Instance | Attempt) -> Pipeline:
        """Give whose an instance or an attempt is."""
        return self.pipeline(row.pipeline)

    def component(self, instance: Instance) -> Component:
        """Give what an instance is made by."""
        return self.plan(instance.pipeline, instance.version).components[instance.component]


def _remember(kept: OrderedDict[KeyT, Plan], key: KeyT, plan: Plan, most: int) -> None:
    kept[key] = plan
    if len(kept) > most:
        kept.popitem(last=False)


def _instance(row: tuple[object, ...]) -> Instance:
    instance = Instance(*row)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # the schema's
    instance.status = Status(instance.status)
    return instance


def _attempt(row: tuple[object, ...]) -> Attempt:
    attempt = Attempt(*row)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # the schema's
    attempt.status = Status(attempt.status)
    return attempt
