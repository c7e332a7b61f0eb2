"""Tasks: attempts in the hands of runners, and the leases they have on them."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass

from aiodatapipeline.local._engine import _objects
from aiodatapipeline.local._engine._plan import Role
from aiodatapipeline.local._engine._refusals import (
    invalid_request,
    pipeline_deleted,
    task_not_found,
)
from aiodatapipeline.local._engine._states import ENDED, PipelineState, Status
from aiodatapipeline.local._engine._work import Work
from aiodatapipeline.local._engine._world import Attempt, Instance, World
from aiodatapipeline.local._switches import Late
from aiodatapipeline.models import Field
from aiodatapipeline.operations import ReportTaskProgressRequest, SetTaskStatusRequest


@dataclass(frozen=True, slots=True)
class _Task:
    """A hand-over, with what it is about."""

    id: str
    state: str
    attempt: Attempt
    instance: Instance


class Tasks:
    """Hands tasks over, and hears what becomes of them."""

    def __init__(self, world: World, work: Work) -> None:
        self._world, self._work = world, work

    # -- handing over ---------------------------------------------------------------------------

    def hand_over(
        self, worker_group: str, hostname: str | None
    ) -> tuple[str, dict[str, object]] | None:
        """Give the oldest ready task of a worker group to a poll; None if there is none.

        Returns:
            The task's id, and what the poll is answered.
        """
        world = self._world
        row = world.store.one(
            "SELECT seq FROM attempt WHERE worker_group = ? AND status = 'WAITING_FOR_RUNNER'"
            " AND task IS NULL ORDER BY ready, seq LIMIT 1",
            worker_group,
        )
        if row is None:
            return None
        attempt = world.attempt(row[0])
        instance, pipeline = world.instance(attempt.instance), world.pipeline_of(attempt)
        task_id = self._task_id(attempt, pipeline.id)
        world.change(attempt, task=task_id, hostname=hostname)
        world.remind("lease", attempt.seq, world.now + world.switches.acknowledgement)
        objects = _objects.task_objects(world, instance, attempt)
        return task_id, {
            "taskObject": {
                "taskId": task_id,
                "pipelineId": pipeline.id,
                "attemptId": _objects.attempt_id(instance, attempt.number),
                "objects": {each: made.to_wire() for each, made in objects.items()},
            }
        }

    def _task_id(self, attempt: Attempt, pipeline_id: str) -> str:
        world = self._world
        if world.switches.keep_task_id:
            row = world.store.one("SELECT id FROM task WHERE attempt = ?", attempt.seq)
            if row:
                world.store.do("UPDATE task SET state = 'held' WHERE id = ?", row[0])
                return str(row[0])
        while True:  # a seed gives the same ids again after a restart
            secret = world.random.getrandbits(192).to_bytes(24, "big")
            parts = (pipeline_id.encode(), secret)
            task_id = ":".join(base64.b64encode(each).decode() for each in parts)
            sql = "INSERT INTO task VALUES (?, ?, 'held') ON CONFLICT DO NOTHING"
            if world.store.do(sql, task_id, attempt.seq):
                return task_id

    def take_back(self, task_id: str) -> None:
        """Take a task back that could not be given: its poller hung up."""
        task = self._find(task_id)
        if task and task.state == "held" and task.attempt.status == Status.WAITING_FOR_RUNNER:
            self._lose(task.attempt)

    def _lose(self, attempt: Attempt) -> None:
        world = self._world
        world.store.do(
            "UPDATE task SET state = 'lost' WHERE attempt = ? AND state = 'held'", attempt.seq
        )
        world.change(attempt, status=Status.WAITING_FOR_RUNNER, task=None, ready=world.now)
        world.unremind(attempt.seq, "lease")
        assert attempt.worker_group is not None  # noqa: S101  # it was handed over to one
        world.ready_groups.add(attempt.worker_group)

    # -- leases ---------------------------------------------------------------------------------

    def on_lease(self, attempt_seq: int) -> None:
        """Take a task from a runner that has not reported on it in time."""
        world = self._world
        attempt = world.attempt(attempt_seq)
        instance = world.instance(attempt.instance)
        if world.pipeline_of(attempt).state != PipelineState.SCHEDULED:
            # No poll would bring it to another runner.
            self._work.withdraw(instance, "lost")
            return
        if attempt.status == Status.RUNNING:
            self._lose(attempt)
            world.unremind(attempt.seq, "timeout")
            world.move(instance, Status.WAITING_FOR_RUNNER)
        elif world.switches.unacknowledged_uses_try:
            self._work.close_attempt(attempt, Status.FAILED, "lost")
            self._work.failed_attempt(instance)
        else:
            self._lose(attempt)

    def on_timeout(self, attempt_seq: int) -> None:
        """End an attempt that took longer than its attemptTimeout."""
        attempt = self._world.attempt(attempt_seq)
        self._work.close_attempt(attempt, Status.TIMEDOUT, "canceled")
        self._work.failed_attempt(self._world.instance(attempt.instance))

    # -- hearing --------------------------------------------------------------------------------

    def report(self, request: ReportTaskProgressRequest) -> bool:
        """Note a task's progress, which keeps it; say whether it is cancelled."""
        world = self._world
        task = self._get(request.task_id)
        if task.state == "canceled":
            return True
        if task.state != "held":
            return self._late_progress()
        attempt, instance = task.attempt, task.instance
        component = world.component(instance)
        first = attempt.status == Status.WAITING_FOR_RUNNER
        world.change(
            attempt,
            status=Status.RUNNING,
            reported=world.now_written,
            progress=_written(request.fields) or attempt.progress,
            actual_start=attempt.actual_start or world.now_written,
        )
        if first:
            world.move(
                instance,
                Status.RUNNING,
                actual_start=instance.actual_start or world.now_written,
            )
            if component.attempt_timeout is not None:
                world.remind("timeout", attempt.seq, world.now + component.attempt_timeout)
        lease = world.switches.lease
        if world.switches.honour_report_timeout and component.report_timeout is not None:
            lease = component.report_timeout
        world.remind("lease", attempt.seq, world.now + lease)
        return False

    def _late_progress(self) -> bool:
        match self._world.switches.late_progress:
            case Late.TASK_NOT_FOUND:
                raise task_not_found()
            case Late.INVALID_REQUEST:
                raise invalid_request("the task is no longer the sender's")
            case _:
                return True

    def set_status(self, request: SetTaskStatusRequest) -> None:
        """Note how a task ended, and let its instance end or be tried again."""
        world = self._world
        task = self._get(request.task_id)
        if request.task_status == "FALSE" and task.instance.kind != Role.PRECONDITION:
            raise invalid_request(
                f"FALSE is for preconditions; {task.instance.component!r} is none: "
                "report FINISHED or FAILED"
            )
        if task.state != "held" and not self._late_status(task):
            return
        attempt, instance = task.attempt, task.instance
        if attempt.status in ENDED or instance.ended:
            return
        status = Status.FINISHED if request.task_status == "FINISHED" else Status.FAILED
        world.change(
            attempt,
            outcome=request.task_status,
            error_id=request.error_id,
            error_message=request.error_message,
            error_stack_trace=self._fitting(request.error_stack_trace),
            actual_start=attempt.actual_start or world.now_written,
        )
        self._work.close_attempt(attempt, status, "done")
        if request.task_status == "FINISHED":
            self._work.end(instance, Status.FINISHED)
        elif request.task_status == "FALSE":
            self._work.not_met(instance)
        else:
            self._work.failed_attempt(instance)

    def _late_status(self, task: _Task) -> bool:
        """Say whether an outcome that comes too late counts all the same."""
        switches = self._world.switches
        match switches.repeated_status if task.state == "done" else switches.late_status:
            case Late.TASK_NOT_FOUND:
                raise task_not_found()
            case Late.INVALID_REQUEST:
                raise invalid_request("the task is no longer the sender's")
            case answer:
                return answer is Late.ACCEPTED

    def _fitting(self, stack_trace: str | None) -> str | None:
        if stack_trace is None:
            return None
        switches = self._world.switches
        limit = switches.stack_trace_limit
        whole = stack_trace.encode() if switches.limit_in_bytes else stack_trace
        if len(whole) <= limit:
            return stack_trace
        if switches.refuse_long_stack_trace:
            unit = "bytes" if switches.limit_in_bytes else "characters"
            raise invalid_request(
                f"errorStackTrace has {len(whole)} {unit}, and {limit} are allowed"
            )
        cut = whole[:limit]
        return cut.decode(errors="ignore") if isinstance(cut, bytes) else cut

    def is_over(self, worker_group: str) -> bool:
        """Whether a worker group is that of a resource that is gone, and its runners can stop."""
        pipeline_id, separator, name = worker_group.partition("_")
        pipeline = self._world.pipeline_by_id(pipeline_id) if separator else None
        if pipeline is None or not name.startswith("@"):
            return False
        instance = self._world.instance_by_id(pipeline.seq, name)
        return instance is None or (instance.kind == Role.RESOURCE and bool(instance.ended))

    # -- finding --------------------------------------------------------------------------------

    def _get(self, task_id: str) -> _Task:
        task = self._find(task_id)
        if task is None:
            pipeline = self._world.pipeline_by_id(_pipeline_in(task_id))
            if pipeline and pipeline.state in {PipelineState.DELETING, PipelineState.DELETED}:
                raise pipeline_deleted(pipeline.id)
            raise task_not_found()
        pipeline = self._world.pipeline_of(task.instance)
        if pipeline.state == PipelineState.DELETING:
            raise pipeline_deleted(pipeline.id)
        return task

    def _find(self, task_id: str) -> _Task | None:
        world = self._world
        row = world.store.one("SELECT state, attempt FROM task WHERE id = ?", task_id)
        if row is None:
            return None
        attempt = world.attempt(row[1])
        return _Task(task_id, row[0], attempt, world.instance(attempt.instance))


def _written(fields: tuple[Field, ...]) -> str | None:
    return json.dumps([each.to_wire() for each in fields]) if fields else None


def _pipeline_in(task_id: str) -> str:
    try:
        return base64.b64decode(task_id.partition(":")[0], validate=True).decode()
    except (binascii.Error, ValueError):
        return ""
