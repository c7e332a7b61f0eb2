"""A task runner: polls for work, runs it, and reports how it ended."""

from aiodatapipeline.runner._events import Event, EventKind, Health, RunningTask, Status
from aiodatapipeline.runner._handlers import Period, RunIn
from aiodatapipeline.runner._outbox import OutboxError, OutboxRow, RowState, read_outbox
from aiodatapipeline.runner._runner import RunResult, TaskRunner
from aiodatapipeline.runner._task import (
    CancelReason,
    LeaseState,
    SyncTask,
    Task,
    TaskFailed,
    TaskInfo,
)

__all__ = [
    "CancelReason",
    "Event",
    "EventKind",
    "Health",
    "LeaseState",
    "OutboxError",
    "OutboxRow",
    "Period",
    "RowState",
    "RunIn",
    "RunResult",
    "RunningTask",
    "Status",
    "SyncTask",
    "Task",
    "TaskFailed",
    "TaskInfo",
    "TaskRunner",
    "read_outbox",
]
