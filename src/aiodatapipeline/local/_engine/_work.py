"""Instances on their way through their states, and what one's step means for the others."""

from __future__ import annotations

import json

from aiodatapipeline.local._engine import _objects
from aiodatapipeline.local._engine._plan import Component, Role
from aiodatapipeline.local._engine._states import (
    ACTIVE,
    ENDED,
    UNHAPPY,
    PipelineState,
    Status,
)
from aiodatapipeline.local._engine._world import Alarm, Attempt, Instance, World, log
from aiodatapipeline.models import PipelineObject

# Kinds of dependencies.
DEPENDENCY, PRECONDITION, RESOURCE = "dependency", "precondition", "resource"
# Kinds of timers whose subject is an instance, and an attempt.
OF_INSTANCE = ("begin", "retry", "late", "check", "resource", "terminate")
OF_ATTEMPT = ("lease", "timeout")

DEACTIVATED = "The pipeline was deactivated."


class Work:
    """Moves instances and attempts."""

    def __init__(self, world: World) -> None:
        self._world = world

    # -- beginning ----------------------------------------------------------------------------

    def consider(self, seq: int) -> None:
        """Let an instance that waits go on, if it can."""
        world = self._world
        instance = world.instance(seq)
        if not self._may_go_on(instance):
            return
        component = world.component(instance)
        failed = self._failed_target(instance)
        if failed and self._cascades(instance, component, failed):
            self.end(instance, Status.CASCADE_FAILED, failed_on=failed.failed_on or failed.id)
        elif self._is_paused(instance):
            world.move(instance, Status.PAUSED)
        elif instance.begins > world.now:
            world.remind("begin", seq, instance.begins)
        elif component.role is Role.PRECONDITION:
            self._consider_guard(instance, component)
        elif self._waits(seq, DEPENDENCY):
            pass
        elif self._waits(seq, PRECONDITION):
            self._ask_guards(seq)
        else:
            self._start_or_queue(instance, component)

    def _may_go_on(self, instance: Instance) -> bool:
        return (
            instance.status == Status.WAITING_ON_DEPENDENCIES
            and self._world.pipeline_of(instance).state == PipelineState.SCHEDULED
        )

    def _consider_guard(self, instance: Instance, component: Component) -> None:
        node = self._world.instance(instance.node) if instance.node is not None else None
        # Whom it guards has nothing else to wait for, or does not wait: it is rerun by itself.
        if instance.queued or node is None or node.ended:
            self._start(instance, component)
        else:
            self._world.then(self.consider, node.seq)

    def _ask_guards(self, seq: int) -> None:
        for guard in self.targets(seq, PRECONDITION):
            if guard.status == Status.WAITING_ON_DEPENDENCIES and not guard.queued:
                self._world.change(guard, queued=1)
                self._world.then(self.consider, guard.seq)

    def _is_paused(self, instance: Instance) -> bool:
        row = self._world.store.one(
            "SELECT paused FROM component WHERE pipeline = ? AND id = ?",
            instance.pipeline,
            instance.component,
        )
        return bool(row and row[0])

    def _waits(self, seq: int, kind: str) -> bool:
        return bool(
            self._world.store.one(
                "SELECT 1 FROM dependency d JOIN instance i ON i.seq = d.target"
                " WHERE d.waiter = ? AND d.kind = ? AND i.status NOT IN ('FINISHED', 'SKIPPED')"
                " LIMIT 1",
                seq,
                kind,
            )
        )

    def _failed_target(self, instance: Instance) -> Instance | None:
        found = self._world.instances(
            "status IN ('FAILED', 'TIMEDOUT', 'CANCELED', 'CASCADE_FAILED') AND seq IN"
            " (SELECT target FROM dependency WHERE waiter = ? AND kind <> 'resource') LIMIT 1",
            instance.seq,
        )
        return found[0] if found else None

    def _cascades(self, instance: Instance, component: Component, failed: Instance) -> bool:
        """Whether an instance fails with what it waits for: an output does with its producer."""
        producer = self._world.component(failed)
        return component.cascades or (producer.cascades and instance.component in producer.outputs)

    def targets(self, seq: int, kind: str) -> list[Instance]:
        """Give what an instance waits for."""
        return self._world.instances(
            "seq IN (SELECT target FROM dependency WHERE waiter = ? AND kind = ?)", seq, kind
        )

    def waiters(self, seq: int, kind: str) -> list[Instance]:
        """Give who waits for an instance."""
        return self._world.instances(
            "seq IN (SELECT waiter FROM dependency WHERE target = ? AND kind = ?)", seq, kind
        )

    def _start_or_queue(self, instance: Instance, component: Component) -> None:
        world = self._world
        if component.role in {Role.ACTIVITY, Role.RESOURCE}:
            marks = ", ".join("?" * len(ACTIVE))
            (active,) = world.store.one(
                "SELECT count(*) FROM instance WHERE pipeline = ? AND component = ?"  # noqa: S608  # our own marks
                f" AND NOT ended AND status IN ({marks})",
                instance.pipeline,
                instance.component,
                *ACTIVE,
            ) or (0,)
            if active >= component.max_active:
                world.change(instance, queued=1)
                return
        self._start(instance, component)

    def _next_in_line(self, ended: Instance) -> None:
        row = self._world.store.one(
            "SELECT seq FROM instance WHERE pipeline = ? AND component = ? AND queued"
            " AND status = 'WAITING_ON_DEPENDENCIES' ORDER BY scheduled_start LIMIT 1",
            ended.pipeline,
            ended.component,
        )
        if row:
            self._world.then(self.consider, row[0])

    def _start(self, instance: Instance, component: Component) -> None:
        world = self._world
        if component.role is Role.DATA_NODE:
            self.end(instance, Status.FINISHED)
        elif component.role is Role.RESOURCE:
            self._create_resource(instance, component)
        elif component.by_service:
            world.move(instance, Status.RUNNING, since=world.now, actual_start=world.now_written)
            self.on_check(instance.seq)
        elif component.role is Role.PRECONDITION and not world.switches.precondition_tasks:
            self.end(instance, Status.FINISHED)
        else:
            world.move(instance, Status.WAITING_FOR_RUNNER, since=instance.since or world.now)
            self.offer(instance)

    # -- attempts -----------------------------------------------------------------------------

    def offer(self, instance: Instance) -> None:
        """Make an attempt that somebody can poll for."""
        world = self._world
        world.change(instance, attempts=instance.attempts + 1, tries=instance.tries - 1)
        group = self._worker_group(instance)
        world.store.insert(
            "INSERT INTO attempt (instance, pipeline, number, status, worker_group, ready)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            instance.seq,
            instance.pipeline,
            instance.attempts,
            Status.WAITING_FOR_RUNNER,
            group,
            world.now,
        )
        if group is not None:
            world.ready_groups.add(group)

    def _worker_group(self, instance: Instance) -> str | None:
        """Say who can poll for an instance now; nobody while its resource is not there."""
        world = self._world
        for resource in self.targets(instance.seq, RESOURCE):
            running = resource.status == Status.RUNNING
            return self._group_of(resource) if running else None
        plan = world.plan(instance.pipeline, instance.version)
        component = plan.components[instance.component]
        node = world.instance(instance.node) if instance.node is not None else None
        # A precondition's is that of what it guards.
        around = plan.around(node.component) if node else ()
        found = (each.worker_group for each in (*around, component))
        return next((each for each in found if each is not None), None)

    def _group_of(self, resource: Instance) -> str:
        return f"{self._world.pipeline_of(resource).id}_{resource.id}"

    def close_attempt(self, attempt: Attempt, status: Status, task_state: str) -> None:
        """End an attempt; whoever still works on it will be told."""
        world = self._world
        if attempt.status in ENDED:
            return
        world.change(attempt, status=status, actual_end=world.now_written, task=None)
        world.unremind(attempt.seq, *OF_ATTEMPT)
        world.store.do(
            "UPDATE task SET state = ? WHERE attempt = ? AND state = 'held'",
            task_state,
            attempt.seq,
        )

    def failed_attempt(self, instance: Instance) -> None:
        """Try an instance again whose attempt has failed, or let it fail."""
        world = self._world
        component = world.component(instance)
        if instance.tries <= 0:
            self.end(instance, Status.FAILED)
        else:
            self._try_again(instance, "retry", world.now + component.retry_delay)

    def _try_again(self, instance: Instance, how: str, when: float) -> None:
        """Come back to an instance later, or after the next activation."""
        world = self._world
        if world.pipeline_of(instance).state != PipelineState.SCHEDULED:
            self.set_aside(instance)
            return
        if how == "retry" and instance.status != Status.WAITING_FOR_RUNNER:
            world.move(instance, Status.WAITING_FOR_RUNNER)
        world.remind(how, instance.seq, when)

    def withdraw(self, instance: Instance, task_state: str) -> None:
        """Set an instance aside without its attempt, whose try it has again."""
        for attempt in self._world.attempts(instance.seq)[:1]:
            if attempt.status not in ENDED:
                self.close_attempt(attempt, Status.CANCELED, task_state)
                self._world.change(instance, tries=instance.tries + 1)
        self.set_aside(instance)

    def set_aside(self, instance: Instance) -> None:
        """Keep an instance for the next activation of its pipeline."""
        self._world.move(instance, Status.INACTIVE)
        self._world.then(self.finish_pipeline, instance.pipeline)

    def not_met(self, instance: Instance) -> None:
        """Ask a precondition again later that was not met, until its time is over."""
        self._world.change(instance, tries=instance.tries + 1)  # that was none of them
        self._ask_again(instance, "retry", final=self._world.switches.false_is_final)

    def _ask_again(self, instance: Instance, how: str, *, final: bool = False) -> None:
        world = self._world
        component = world.component(instance)
        since = world.now if instance.since is None else instance.since
        next_time = world.now + component.retry_delay
        limit = component.precondition_timeout
        if final or (limit is not None and next_time > since + limit):
            self.end(instance, Status.FAILED, reason="The precondition was not met in time.")
        else:
            self._try_again(instance, how, next_time)

    def on_retry(self, seq: int) -> None:
        """Make the next attempt."""
        self.offer(self._world.instance(seq))

    # -- what the service does itself ---------------------------------------------------------

    def on_check(self, seq: int) -> None:
        """Ask whether a system-managed precondition is met."""
        world = self._world
        instance = world.instance(seq)
        try:
            met = world.hooks.precondition(_objects.evaluated(world, instance))
        except Exception:  # noqa: BLE001  # an application's code
            log.exception("the precondition hook failed for %s", instance.id)
            met = False
        world.change(instance, attempts=instance.attempts + 1)
        if met:
            self.end(instance, Status.FINISHED)
        else:
            self._ask_again(instance, "check")

    def _create_resource(self, instance: Instance, component: Component) -> None:
        world = self._world
        world.move(instance, Status.CREATING, actual_start=world.now_written)
        world.change(instance, attempts=instance.attempts + 1, tries=instance.tries - 1)
        world.store.insert(
            "INSERT INTO attempt (instance, pipeline, number, status, ready, actual_start)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            instance.seq,
            instance.pipeline,
            instance.attempts,
            Status.CREATING,
            world.now,
            world.now_written,
        )
        if component.terminate_after is not None:
            world.remind("terminate", instance.seq, world.now + component.terminate_after)
        world.remind("resource", instance.seq, world.now + world.resource_delay)

    def on_resource(self, seq: int) -> None:
        """Let a resource be there: what runs on it can be polled for under its own group."""
        world = self._world
        instance = world.instance(seq)
        world.move(instance, Status.RUNNING)
        world.store.do(
            "UPDATE attempt SET status = 'RUNNING' WHERE instance = ? AND status = 'CREATING'", seq
        )
        group = self._group_of(instance)
        changed = world.store.do(
            "UPDATE attempt SET worker_group = ?, ready = ? WHERE status = 'WAITING_FOR_RUNNER'"
            " AND task IS NULL AND instance IN"
            " (SELECT waiter FROM dependency WHERE target = ? AND kind = 'resource')",
            group,
            world.now,
            seq,
        )
        if changed:
            world.ready_groups.add(group)
        world.then(self.release_resource, seq)

    def on_terminate(self, seq: int) -> None:
        """Stop a resource whose time is over, and with it what runs there."""
        reason = "The resource was there for longer than terminateAfter."
        self.end(self._world.instance(seq), Status.TIMEDOUT, reason=reason)

    def release_resource(self, seq: int) -> None:
        """Shut a resource down that nobody will use any more."""
        world = self._world
        instance = world.instance(seq)
        if instance.ended or instance.status == Status.CREATING:
            return
        if any(not each.ended for each in self.waiters(seq, RESOURCE)):
            return
        if instance.status == Status.RUNNING:
            world.move(instance, Status.SHUTTING_DOWN)
        self.end(instance, Status.FINISHED)

    # -- ends ---------------------------------------------------------------------------------

    def end(
        self,
        instance: Instance,
        status: Status,
        *,
        reason: str | None = None,
        failed_on: str | None = None,
    ) -> None:
        """End an instance, and tell whom it concerns."""
        world = self._world
        now = world.now_written
        world.move(
            instance,
            status,
            actual_start=instance.actual_start or (now if status == Status.FINISHED else None),
            actual_end=now,
            finished=now,
            reason=reason,
            failed_on=failed_on,
        )
        world.unremind(instance.seq, *OF_INSTANCE)
        self._close_attempts(instance, status)
        self._note_health(instance)
        component = world.component(instance)
        for waiter in self._all_waiters(instance.seq):
            world.then(self.consider, waiter)
        gone = status != Status.SKIPPED and reason != DEACTIVATED
        if component.role is Role.RESOURCE and gone:
            self._let_go(instance)
        self._act(instance, component, status)
        for guard in self.targets(instance.seq, PRECONDITION):
            if not guard.ended:
                self.end(guard, Status.CANCELED, reason=f"{instance.id} has ended.")
        for resource in self.targets(instance.seq, RESOURCE):
            world.then(self.release_resource, resource.seq)
        if component.role in {Role.ACTIVITY, Role.RESOURCE}:
            self._next_in_line(instance)
        world.then(self.finish_pipeline, instance.pipeline)

    def _all_waiters(self, seq: int) -> list[int]:
        rows = self._world.store.all(
            "SELECT waiter FROM dependency WHERE target = ? AND kind <> 'resource'", seq
        )
        return [row[0] for row in rows]

    def _close_attempts(self, instance: Instance, status: Status) -> None:
        closed = {
            Status.CASCADE_FAILED: Status.CANCELED,
            Status.SKIPPED: Status.CANCELED,
        }.get(status, status)
        for attempt in self._world.attempts(instance.seq)[:1]:
            self.close_attempt(attempt, closed, "canceled")

    def _note_health(self, instance: Instance) -> None:
        """Source: "Interpreting Pipeline and Component Health State" in the developer guide."""
        world = self._world
        if instance.status == Status.FINISHED:
            health = "HEALTHY"
        elif instance.status in {Status.FAILED, Status.TIMEDOUT, Status.CANCELED}:
            health = "ERROR"
        else:
            return
        world.store.do(
            "UPDATE component SET health = ?, health_instance = ?, health_time = ?,"
            " latest_run = ?, latest_completed = CASE WHEN ? THEN ? ELSE latest_completed END"
            " WHERE pipeline = ? AND id = ?",
            health,
            instance.id,
            world.now_written,
            instance.actual_start or world.now_written,
            int(instance.status == Status.FINISHED),
            world.now_written,
            instance.pipeline,
            instance.component,
        )

    def _let_go(self, resource: Instance) -> None:
        """Cancel what would run on a resource that is no more.

        Source: "Cascading Failures and Reruns", for one that failed. One that somebody marked
        finished is as little there.
        """
        how = "failed" if resource.status in UNHAPPY else "is finished"
        for user in self.waiters(resource.seq, RESOURCE):
            if not user.ended:
                self.end(user, Status.CANCELED, reason=f"Its resource {resource.id} {how}.")

    # -- actions ------------------------------------------------------------------------------

    def _act(self, instance: Instance, component: Component, status: Status) -> None:
        if status == Status.FINISHED:
            self.carry_out(component.on_success, instance)
        elif status in {Status.FAILED, Status.TIMEDOUT}:
            self.carry_out(component.on_fail, instance)

    def on_late(self, seq: int) -> None:
        """Do what is to be done when an instance has not ended in time."""
        instance = self._world.instance(seq)
        if instance.status != Status.INACTIVE:
            self.carry_out(self._world.component(instance).on_late, instance)

    def carry_out(self, actions: tuple[str, ...], node: Instance) -> None:
        """Carry out actions about an instance, and keep a record."""
        world = self._world
        plan = world.plan(node.pipeline, node.version)
        for action in actions:
            component = plan.components[action]
            name = f"@{action}@{node.component}_{node.scheduled_start}"
            world.store.do(
                "INSERT INTO instance (pipeline, id, component, kind, version, node, status,"
                " ended, queued, begins, scheduled_start, scheduled_end, actual_start,"
                " actual_end, finished, attempts, tries)"
                " VALUES (?, ?, ?, ?, ?, ?, 'FINISHED', 1, 0, ?, ?, ?, ?, ?, ?, 1, 0)"
                " ON CONFLICT (pipeline, id) DO UPDATE SET attempts = attempts + 1,"
                " actual_end = excluded.actual_end, finished = excluded.finished",
                node.pipeline,
                name,
                action,
                component.role,
                node.version,
                node.seq,
                world.now,
                node.scheduled_start,
                node.scheduled_end,
                world.now_written,
                world.now_written,
                world.now_written,
            )
            instance = world.instance_by_id(node.pipeline, name)
            assert instance is not None  # noqa: S101  # it was just made
            fields = _objects.evaluated(world, instance).fields
            done = PipelineObject(id=action, name=action, fields=fields)
            world.store.do(
                "INSERT INTO alarm (pipeline, time, action, node, fields) VALUES (?, ?, ?, ?, ?)",
                node.pipeline,
                world.now_written,
                action,
                node.id,
                json.dumps(done.to_wire()["fields"]),
            )
            if component.type == "Terminate":
                if not node.ended:
                    self.end(node, Status.CANCELED, reason=f"Terminated by {action}.")
            else:
                self._tell(Alarm(world.pipeline_of(node).id, world.now_written, node.id, done))

    def _tell(self, alarm: Alarm) -> None:
        try:
            self._world.hooks.alarm(alarm)
        except Exception:  # noqa: BLE001  # an application's code
            log.exception("the alarm hook failed for %s", alarm.action.id)

    # -- the whole ----------------------------------------------------------------------------

    def finish_pipeline(self, seq: int) -> None:
        """Let a pipeline finish, or be inactive, if nothing is under way or to come."""
        world = self._world
        pipeline = world.pipeline(seq)
        if pipeline.state == PipelineState.DEACTIVATING:
            busy = world.instances("pipeline = ? AND NOT ended AND status <> 'INACTIVE'", seq)
            if any(each.kind != Role.RESOURCE for each in busy):
                return
            for resource in busy:  # nobody uses it before the next activation
                self.end(resource, Status.CANCELED, reason=DEACTIVATED)
            world.change(pipeline, state=PipelineState.INACTIVE, deactivated=world.now_written)
        elif pipeline.state == PipelineState.SCHEDULED:
            more = world.store.one(
                "SELECT 1 FROM component WHERE pipeline = ? AND more LIMIT 1", seq
            ) or world.store.one(
                "SELECT 1 FROM instance WHERE pipeline = ? AND NOT ended LIMIT 1", seq
            )
            if not more:
                world.change(pipeline, state=PipelineState.FINISHED, finished=world.now_written)
