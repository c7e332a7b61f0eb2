"""Random operations, in any order and with restarts, and what is true after each of them."""

# The store is looked into, as no answer of the service can show all that must hold.
# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio
import logging
import tempfile
from collections.abc import Awaitable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, TypeVar, cast

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from aiodatapipeline._clock import VirtualClock
from aiodatapipeline.errors import InternalServiceError, ServiceError
from aiodatapipeline.local._engine._states import ENDED, WAYS, Status
from aiodatapipeline.local._engine._work import OF_ATTEMPT, OF_INSTANCE
from aiodatapipeline.local._store import Store
from aiodatapipeline.local._switches import Switches
from aiodatapipeline.models import (
    Operator,
    OperatorType,
    PipelineObject,
    Query,
    Selector,
    TaskObject,
)
from tests.local.service import (
    HOUR,
    MINUTE,
    START,
    Object,
    Pipe,
    Place,
    alarm,
    asks,
    data,
    every,
    exists,
    from_,
    machine,
    on_demand,
    ref,
    serving,
    shell,
)

ResultT = TypeVar("ResultT")
GROUPS = ("g", "h")
_BUSY = "('WAITING_FOR_RUNNER', 'CREATING', 'RUNNING', 'SHUTTING_DOWN')"


# -- definitions ----------------------------------------------------------------------------------


@st.composite
def definitions(draw: st.DrawFn) -> list[Object]:
    """A definition without errors: a few activities that wait for each other, and for more."""
    defaults: dict[str, object] = {
        "failureAndRerunMode": draw(st.sampled_from(["none", "cascade"])),
        "maximumRetries": draw(st.sampled_from(["0", "1", "2"])),
        "retryDelay": draw(st.sampled_from(["1 minute", "10 minutes"])),
    }
    objects: list[Object] = [shell("A", **draw(_extras()))]
    objects.append(shell("B", **draw(_extras()), **draw(_after_a())))
    if draw(st.booleans()):
        objects.append(shell("C", dependsOn=[ref("A"), ref("B")], workerGroup="h"))
    objects += [
        data("D", **draw(_guard())),
        asks("P", preconditionTimeout="30 minutes", retryDelay="10 minutes"),
        exists("S3", preconditionTimeout="30 minutes", retryDelay="10 minutes"),
        machine("R", terminateAfter="2 hours"),
        alarm("N"),
        {"id": "T", "type": "Terminate"},
    ]
    used = _used(objects)
    objects = [each for each in objects if each["id"] in used]
    if draw(st.booleans()):
        return on_demand(*objects, **defaults)
    defaults["scheduleType"] = draw(st.sampled_from(["cron", "timeseries"]))
    begins = draw(
        st.sampled_from(
            [
                {"startAt": "FIRST_ACTIVATION_DATE_TIME", "occurrences": "2"},
                from_("2025-12-31T21:00:00", occurrences="4"),  # of which some are over
                from_("2026-01-01T03:00:00", endDateTime="2026-01-01T05:00:00"),
            ]
        )
    )
    return every("1 hour", *objects, schedule=begins, **defaults)


def _extras() -> st.SearchStrategy[dict[str, object]]:
    return st.fixed_dictionaries(
        {},
        optional={
            "precondition": st.sampled_from([ref("P"), ref("S3")]),
            "runsOn": st.just(ref("R")),
            "maxActiveInstances": st.just("1"),
            "attemptTimeout": st.just("20 minutes"),
            "onFail": st.just(ref("N")),
            "lateAfterTimeout": st.just("40 minutes"),
            "onLateAction": st.sampled_from([ref("N"), ref("T")]),
        },
    )


def _after_a() -> st.SearchStrategy[dict[str, object]]:
    return st.sampled_from([{}, {"dependsOn": ref("A")}, {"input": ref("D")}])


def _guard() -> st.SearchStrategy[dict[str, object]]:
    return st.sampled_from([{}, {"precondition": ref("P")}])


def _used(objects: list[Object]) -> set[str]:
    """What is an activity, or referred to by something that is used."""
    used = {str(each["id"]) for each in objects if each["type"] == "ShellCommandActivity"}
    for _ in range(3):
        for each in objects:
            if each["id"] in used:
                values = [one for value in each.values() for one in _listed(value)]
                used |= {one["ref"] for one in values if isinstance(one, dict)}
    return used


def _listed(value: object) -> list[object]:
    return list(cast("list[object]", value)) if isinstance(value, list) else [value]


# -- what was acknowledged ------------------------------------------------------------------------


@dataclass
class Known:
    """A pipeline as its owner knows it."""

    pipe: Pipe
    key: tuple[str, str]
    objects: list[Object] | None = None


@dataclass
class Held:
    """A task that a runner was given, and for how long it is its own at least."""

    task: TaskObject
    until: float
    over: bool = False


# -- the machine ----------------------------------------------------------------------------------


def _has_pipelines(machine: Machine) -> bool:
    return bool(machine._known)


def _has_many(machine: Machine) -> bool:
    return len(machine._known) > 1


def _has_tasks(machine: Machine) -> bool:
    return bool(machine._held)


class Machine(RuleBasedStateMachine):
    """Drives a service under some switches."""

    switches: ClassVar[Switches] = Switches()

    def __init__(self) -> None:
        super().__init__()
        self._directory = tempfile.TemporaryDirectory()
        self._path = str(Path(self._directory.name, "store"))
        self._runner = asyncio.Runner()
        self._stack = AsyncExitStack()
        self._met = True
        self._known: list[Known] = []
        self._ids: set[str] = set()
        self._task_ids: dict[str, tuple[str, str]] = {}
        self._held: list[Held] = []
        self._polls: list[asyncio.Task[TaskObject | None]] = []
        self._outcomes: dict[tuple[str, str], str] = {}
        self._records: list[logging.LogRecord] = []
        self._listener = _Listener(self._records)
        logging.getLogger("aiodatapipeline.local").addHandler(self._listener)
        self._clock = self._run(self._make_clock())
        self._run(self._open())

    @staticmethod
    async def _make_clock() -> VirtualClock:
        return VirtualClock(START)

    def _run(self, doing: Awaitable[ResultT]) -> ResultT:
        async def do() -> ResultT:
            return await doing

        return self._runner.run(do())

    async def _open(self) -> None:
        self._place: Place = await self._stack.enter_async_context(
            serving(
                self.switches,
                store=self._path,
                clock=self._clock,
                precondition=self._is_met,
                resource_delay=60.0,
            )
        )
        # Whatever writes a status is watched, and not what means to look at it.
        for table in ("instance", "attempt"):
            self._store.one(f"CREATE TEMP TABLE {table}_moves (id, before, after)")
            self._store.one(
                f"CREATE TEMP TRIGGER {table}_moved AFTER UPDATE OF status ON main.{table}"
                f" WHEN old.status <> new.status BEGIN INSERT INTO {table}_moves VALUES"
                " (new.seq, old.status, new.status); END"
            )

    def _is_met(self, _: PipelineObject) -> bool:
        return self._met

    @property
    def _store(self) -> Store:
        return self._place.service._store

    def teardown(self) -> None:
        try:
            if not self._records:
                self._run(self._goes_on_to_the_end())
        finally:
            self._run(self._close())
            self._runner.close()
            logging.getLogger("aiodatapipeline.local").removeHandler(self._listener)
            self._directory.cleanup()

    async def _close(self) -> None:
        for poll in self._polls:
            poll.cancel()
        await asyncio.gather(*self._polls, return_exceptions=True)
        self._polls.clear()
        await self._stack.aclose()

    async def _try(self, doing: Awaitable[ResultT]) -> ResultT | None:
        """Ask for what may be refused, but may not fail."""
        try:
            found = await doing
        except InternalServiceError:
            raise
        except ServiceError:
            found = None
        await self._settle()
        return found

    async def _settle(self) -> None:
        await self._place.passes(0)
        self._take_answers()

    def _take_answers(self) -> None:
        """Let runners have the tasks that their polls were answered with."""
        for poll in [each for each in self._polls if each.done()]:
            self._polls.remove(poll)
            if (task := poll.result()) is not None:
                self._take(task)

    def _take(self, task: TaskObject) -> None:
        attempt = (task.pipeline_id, task.attempt_id)
        known = self._task_ids.setdefault(task.task_id, attempt)
        assert known == attempt, "a task id was given twice"
        for each in self._held:
            if (each.task.pipeline_id, each.task.attempt_id) == attempt and not each.over:
                assert each.until <= self._clock.time(), f"{attempt} has two owners"
                each.over = True
        assert attempt not in self._outcomes, f"{attempt} is over and was given out"
        self._held.append(Held(task, self._clock.time() + self.switches.acknowledgement))

    # -- what people do --

    @initialize(objects=definitions())
    def begin(self, objects: list[Object]) -> None:
        self.create("p1", "u")
        self.put(0, objects)
        self.activate(0)

    @rule(name=st.sampled_from(["p1", "p2"]), unique_id=st.sampled_from(["u", "v"]))
    def create(self, name: str, unique_id: str) -> None:
        pipe = self._run(self._place.create(name, unique_id))
        same = [each for each in self._known if each.key == (name, unique_id)]
        if same:
            assert [each.pipe.id for each in same] == [pipe.id]
            return
        assert pipe.id not in self._ids
        self._ids.add(pipe.id)
        self._known.append(Known(pipe, (name, unique_id)))

    def _pick(self, number: int) -> Known:
        return self._known[number % len(self._known)]

    @precondition(_has_pipelines)
    @rule(number=st.integers(0, 3), objects=definitions())
    def put(self, number: int, objects: list[Object]) -> None:
        known = self._pick(number)
        if self._run(self._try(known.pipe.put(objects))) is not None:
            known.objects = objects

    @precondition(_has_pipelines)
    @rule(number=st.integers(0, 3), since=st.sampled_from([None, None, -HOUR, 2 * HOUR]))
    def activate(self, number: int, since: float | None = None) -> None:
        self._run(self._try(self._pick(number).pipe.activate(since=since)))

    @precondition(_has_pipelines)
    @rule(number=st.integers(0, 3), cancel=st.booleans())
    def deactivate(self, number: int, cancel: bool) -> None:
        self._run(self._try(self._pick(number).pipe.deactivate(cancel=cancel)))

    @precondition(_has_many)
    @rule(number=st.integers(0, 3))
    def delete(self, number: int) -> None:
        known = self._pick(number)
        self._run(self._place.client.delete_pipeline(known.pipe.id))
        self._known.remove(known)
        for each in self._held:
            each.over |= each.task.pipeline_id == known.pipe.id
        self._outcomes = {
            each: how for each, how in self._outcomes.items() if each[0] != known.pipe.id
        }
        self._run(self._settle())

    @precondition(_has_pipelines)
    @rule(
        number=st.integers(0, 3),
        status=st.sampled_from(["TRY_CANCEL", "RERUN", "MARK_FINISHED"]),
        which=st.integers(0, 40),
    )
    def set_instance(self, number: int, status: str, which: int) -> None:
        pipe = self._pick(number).pipe
        ids = self._run(pipe.ids())
        if ids:
            self._run(self._try(pipe.set(status, ids[which % len(ids)])))

    @precondition(_has_pipelines)
    @rule(
        number=st.integers(0, 3),
        status=st.sampled_from(["PAUSE", "RESUME"]),
        component=st.sampled_from(["A", "B", "D", "P"]),
    )
    def set_component(self, number: int, status: str, component: str) -> None:
        self._run(self._try(self._pick(number).pipe.set(status, component)))

    @rule(met=st.booleans())
    def let_preconditions_be_met(self, met: bool) -> None:
        self._met = met

    @rule(seconds=st.sampled_from([1.0, MINUTE, 2 * MINUTE, 10 * MINUTE, HOUR, 5 * HOUR]))
    def let_time_pass(self, seconds: float) -> None:
        self._run(self._place.passes(seconds))
        # A poll may have had its task at any time meanwhile.
        self._run(self._settle())

    @rule()
    def restart(self) -> None:
        self._run(self._close())
        self._run(self._open())
        for each in self._known:
            each.pipe = Pipe(self._place, each.pipe.id)
        self._run(self._settle())

    # -- what runners do --

    @rule(group=st.sampled_from(GROUPS))
    def poll(self, group: str) -> None:
        task = self._run(self._place.poll(group))
        if task is not None:
            self._take(task)

    @precondition(_has_pipelines)
    @rule(number=st.integers(0, 3))
    def poll_for_a_resource(self, number: int) -> None:
        pipe = self._pick(number).pipe
        for each in self._run(pipe.ids()):
            if each.startswith("@R_"):
                self.poll(f"{pipe.id}_{each}")

    @rule(group=st.sampled_from(GROUPS))
    def hold_a_poll(self, group: str) -> None:
        async def hold() -> None:
            self._polls.append(self._place.polling(group))
            await self._settle()

        self._run(hold())

    @precondition(_has_tasks)
    @rule(which=st.integers(0, 9))
    def report(self, which: int) -> None:
        held = self._held[-1 - which % len(self._held)]
        mine = not held.over and held.until > self._clock.time()
        try:
            canceled = self._run(self._place.report(held.task, percentComplete="50"))
        except InternalServiceError:
            raise
        except ServiceError:
            assert not mine or self._is_gone(held), "a runner lost its task before its lease ended"
            held.over = True
            return
        if canceled:
            held.over = True
        elif not held.over:
            held.until = self._clock.time() + self.switches.lease

    def _is_gone(self, held: Held) -> bool:
        return held.task.pipeline_id not in {each.pipe.id for each in self._known}

    @precondition(_has_tasks)
    @rule(which=st.integers(0, 9), status=st.sampled_from(["FINISHED", "FINISHED", "FAILED"]))
    def end(self, which: int, status: str) -> None:
        held = self._held[-1 - which % len(self._held)]
        # An attempt that is over, or somebody else's, hears of it without any effect.
        counts = not held.over and held.until > self._clock.time()
        counts &= self._attempt_is_open(held)
        accepted = self._run(self._ended(held, status))
        held.over = True
        if counts:
            assert accepted
            self._outcomes[held.task.pipeline_id, held.task.attempt_id] = status

    async def _ended(self, held: Held, status: str) -> bool:
        try:
            await self._place.end(held.task, status)
        except InternalServiceError:
            raise
        except ServiceError:
            await self._settle()
            return False
        await self._settle()
        return True

    def _attempt_is_open(self, held: Held) -> bool:
        return bool(
            self._store.one(
                "SELECT 1 FROM task t JOIN attempt a ON a.seq = t.attempt"
                " WHERE t.id = ? AND t.state = 'held'",
                held.task.task_id,
            )
        )

    @precondition(_has_tasks)
    @rule(which=st.integers(0, 9))
    def say_false(self, which: int) -> None:
        held = self._held[-1 - which % len(self._held)]
        if not held.task.attempt_id.startswith("@P"):
            refused = self._run(self._place.ask("SetTaskStatus", **_false(held)))
            assert isinstance(refused, str)
            return
        counts = not held.over and held.until > self._clock.time() and self._attempt_is_open(held)
        if self._run(self._ended(held, "FALSE")) and counts:
            self._outcomes[held.task.pipeline_id, held.task.attempt_id] = "FAILED"
        held.over = True

    # -- what is always true --

    @invariant()
    def nothing_has_failed(self) -> None:
        assert not self._records, [each.getMessage() for each in self._records]

    @invariant()
    def no_instance_leaves_the_diagram(self) -> None:
        for seq, before, after in self._store.all("SELECT * FROM instance_moves"):
            assert Status(after) in WAYS[Status(before)], (seq, before, after)
        for seq, before, after in self._store.all("SELECT * FROM attempt_moves"):
            assert Status(before) not in ENDED, (seq, before, after)
        for table in ("instance", "attempt"):
            self._run(self._forget(table))

    async def _forget(self, table: str) -> None:
        with self._store.unit() as batch:
            self._store.do(f"DELETE FROM {table}_moves")
        await batch.durable()

    @invariant()
    def what_was_acknowledged_is_there(self) -> None:
        self._run(self._look_for_pipelines())
        for (pipeline, attempt), status in self._outcomes.items():
            shown = self._run(Pipe(self._place, pipeline).text(attempt, "@status"))
            assert shown == status, (attempt, shown, status)

    async def _look_for_pipelines(self) -> None:
        listed = {each.id async for each in self._place.client.list_pipelines()}
        assert listed == {each.pipe.id for each in self._known}
        for each in self._known:
            found = await self._place.client.get_pipeline_definition(each.pipe.id)
            ids = {one.id for one in found.pipeline_objects}
            assert ids == {one["id"] for one in each.objects or []}

    @invariant()
    def a_task_has_one_owner(self) -> None:
        assert self._none(
            "SELECT attempt FROM task WHERE state = 'held' GROUP BY 1 HAVING count(*) > 1"
        )
        assert self._none(
            "SELECT * FROM task t JOIN attempt a ON a.seq = t.attempt"
            " WHERE t.state = 'held' AND a.task IS NOT t.id"
        )
        assert self._none(
            "SELECT * FROM attempt a LEFT JOIN task t ON t.id = a.task"
            " WHERE a.task IS NOT NULL AND t.state IS NOT 'held'"
        )

    @invariant()
    def what_has_ended_has_nothing_left(self) -> None:
        ended = ", ".join(f"'{each}'" for each in ENDED)
        assert self._none("SELECT * FROM instance WHERE tries < 0")
        assert self._none(f"SELECT * FROM instance WHERE ended <> (status IN ({ended}))")
        assert self._none(
            "SELECT i.id, i.status, a.number, a.status FROM attempt a JOIN instance i"
            f" ON i.seq = a.instance WHERE i.ended AND a.status NOT IN ({ended})"
        )
        assert self._none(
            "SELECT a.* FROM attempt a JOIN attempt b ON b.instance = a.instance"
            f" AND b.number > a.number WHERE a.status NOT IN ({ended})"
        )
        assert self._none(
            "SELECT t.*, i.id, i.status FROM timer t JOIN instance i ON i.seq = t.subject"
            f" WHERE t.kind IN {OF_INSTANCE} AND i.ended"
        )
        assert self._none(
            "SELECT t.*, a.status FROM timer t JOIN attempt a ON a.seq = t.subject"
            f" WHERE t.kind IN {OF_ATTEMPT} AND a.status IN ({ended})"
        )

    @invariant()
    def every_timer_has_a_subject_and_every_held_task_a_lease(self) -> None:
        for kinds, table in (
            (OF_INSTANCE, "instance"),
            (OF_ATTEMPT, "attempt"),
            (("schedule", ""), "component"),
            (("purge", ""), "pipeline"),
        ):
            assert self._none(
                f"SELECT * FROM timer WHERE kind IN {kinds}"
                f" AND subject NOT IN (SELECT seq FROM {table})"
            )
        assert self._none(
            "SELECT * FROM attempt WHERE task IS NOT NULL AND seq NOT IN"
            " (SELECT subject FROM timer WHERE kind = 'lease')"
        )

    @invariant()
    def what_can_go_on_has_gone_on(self) -> None:
        assert self._none(
            "SELECT i.id FROM instance i JOIN pipeline p ON p.seq = i.pipeline"
            " JOIN component c ON c.pipeline = i.pipeline AND c.id = i.component"
            " WHERE p.state = 'SCHEDULED' AND i.status = 'WAITING_ON_DEPENDENCIES'"
            f" AND NOT i.queued AND i.begins <= {self._clock.time()} AND NOT c.paused"
            " AND i.kind NOT IN ('precondition', 'action', 'resource')"
            " AND NOT EXISTS (SELECT 1 FROM dependency d JOIN instance o ON o.seq = d.target"
            " WHERE d.waiter = i.seq AND d.kind <> 'resource' AND o.status <> 'FINISHED')"
        )
        assert self._none(
            "SELECT i.id FROM instance i JOIN pipeline p ON p.seq = i.pipeline"
            " JOIN component c ON c.pipeline = i.pipeline AND c.id = i.component"
            " WHERE p.state = 'SCHEDULED' AND i.status = 'WAITING_ON_DEPENDENCIES' AND i.queued"
            " AND i.kind <> 'precondition' AND NOT c.paused AND NOT EXISTS"
            " (SELECT 1 FROM instance o WHERE o.pipeline = i.pipeline"
            f" AND o.component = i.component AND o.status IN {_BUSY})"
        )
        assert self._none(
            "SELECT i.id FROM instance i JOIN pipeline p ON p.seq = i.pipeline"
            " WHERE p.state = 'SCHEDULED' AND i.status = 'WAITING_FOR_RUNNER'"
            " AND NOT EXISTS (SELECT 1 FROM attempt a WHERE a.instance = i.seq"
            " AND a.status = 'WAITING_FOR_RUNNER')"
            " AND NOT EXISTS (SELECT 1 FROM timer t WHERE t.kind = 'retry' AND t.subject = i.seq)"
        )

    def _none(self, sql: str) -> bool:
        found = self._store.all(sql)
        assert not found, (sql, found)
        return True

    # -- what is looked at now and then --

    @precondition(_has_pipelines)
    @rule(number=st.integers(0, 3), sphere=st.sampled_from(["INSTANCE", "ATTEMPT", "COMPONENT"]))
    def queries_and_descriptions_agree(self, number: int, sphere: str) -> None:
        self._run(self._agree(self._pick(number).pipe, sphere))

    async def _agree(self, pipe: Pipe, sphere: str) -> None:
        ids = await pipe.ids(sphere)
        assert len(ids) == len(set(ids))
        shown = (
            [each async for each in self._place.client.describe_objects(pipe.id, ids)]
            if ids
            else []
        )
        assert [each.id for each in shown] == ids
        by_status: dict[str, list[str]] = {}
        for each in shown:
            assert each.string("@sphere") == sphere
            by_status.setdefault(each.string("@status") or "", []).append(each.id)
        for status, there in by_status.items():
            operator = Operator(type=OperatorType.EQ, values=(status,))
            query = Query(selectors=(Selector(field_name="@status", operator=operator),))
            found = self._place.client.query_objects(pipe.id, sphere, query=query)
            assert [each async for each in found] == there

    async def _goes_on_to_the_end(self) -> None:
        """Once nobody does anything strange, everything ends that can."""
        self._met = True
        for poll in self._polls:
            poll.cancel()
        await asyncio.gather(*self._polls, return_exceptions=True)
        self._polls.clear()
        for each in self._known:
            for component in ("A", "B", "D", "P"):
                await self._try(each.pipe.set("RESUME", component))
        for _ in range(12):
            await self._work_off()
            await self._place.passes(HOUR)
        assert not self._records, [each.getMessage() for each in self._records]
        self._nothing_is_stuck()

    async def _work_off(self) -> None:
        groups = list(GROUPS)
        for each in self._known:
            groups += [f"{each.pipe.id}_{one}" for one in await each.pipe.ids() if one[:3] == "@R_"]
        for group in groups:
            await self._place.work(group)

    def _nothing_is_stuck(self) -> None:
        """Only what waits for something that has failed may still wait, and guards of that."""
        assert self._none(
            "WITH RECURSIVE blocked (seq) AS ("
            " SELECT DISTINCT d.waiter FROM dependency d JOIN instance o ON o.seq = d.target"
            " WHERE d.kind <> 'resource' AND o.ended AND o.status <> 'FINISHED'"
            " UNION SELECT d.waiter FROM dependency d JOIN blocked b ON b.seq = d.target"
            " UNION SELECT d.target FROM dependency d JOIN blocked b ON b.seq = d.waiter"
            " WHERE d.kind IN ('precondition', 'resource'))"
            " SELECT i.id, i.status FROM instance i JOIN pipeline p ON p.seq = i.pipeline"
            " WHERE p.state = 'SCHEDULED' AND NOT i.ended AND i.seq NOT IN blocked"
        )
        assert self._none(
            "SELECT p.id FROM pipeline p WHERE p.state IN ('DEACTIVATING', 'DELETING')"
        )
        assert self._none(
            "SELECT p.id FROM pipeline p WHERE p.state = 'SCHEDULED' AND NOT EXISTS"
            " (SELECT 1 FROM instance i WHERE i.pipeline = p.seq AND NOT i.ended)"
        )


def _false(held: Held) -> dict[str, object]:
    return {"taskId": held.task.task_id, "taskStatus": "FALSE"}


class _Listener(logging.Handler):
    """Notes what went wrong inside of the service."""

    def __init__(self, records: list[logging.LogRecord]) -> None:
        super().__init__(logging.WARNING)
        self._records = records

    def emit(self, record: logging.LogRecord) -> None:
        self._records.append(record)


class Strict(Machine):
    switches = Switches.STRICT


class Lenient(Machine):
    switches = Switches.LENIENT


class Hostile(Machine):
    switches = Switches.HOSTILE


@pytest.mark.hypothesis
@pytest.mark.parametrize("machine", [Machine, Strict, Lenient, Hostile])
def test_whatever_people_and_runners_do_the_service_holds_together(
    machine: type[Machine], pytestconfig: pytest.Config
) -> None:
    many = pytestconfig.getoption("--long")
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=100 if many else 8,
            stateful_step_count=50 if many else 30,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
            phases=[each for each in Phase if many or each is not Phase.explain],
            print_blob=True,
        ),
    )
