"""The states that things are in, and the ways between them.

Source: "Interpreting Pipeline Status Codes" in the developer guide; the ways are our reading.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class PipelineState(StrEnum):
    """Of a pipeline as a whole: ``@pipelineState``."""

    PENDING = "PENDING"
    SCHEDULED = "SCHEDULED"
    FINISHED = "FINISHED"
    DEACTIVATING = "DEACTIVATING"
    INACTIVE = "INACTIVE"
    DELETING = "DELETING"
    DELETED = "DELETED"
    """Gone, but for its id, which is answered PipelineDeletedException."""


class Status(StrEnum):
    """Of an instance or an attempt: ``@status``."""

    WAITING_ON_DEPENDENCIES = "WAITING_ON_DEPENDENCIES"
    WAITING_FOR_RUNNER = "WAITING_FOR_RUNNER"
    PAUSED = "PAUSED"
    INACTIVE = "INACTIVE"
    CREATING = "CREATING"
    RUNNING = "RUNNING"
    SHUTTING_DOWN = "SHUTTING_DOWN"
    FINISHED = "FINISHED"
    FAILED = "FAILED"
    TIMEDOUT = "TIMEDOUT"
    CANCELED = "CANCELED"
    CASCADE_FAILED = "CASCADE_FAILED"
    SKIPPED = "SKIPPED"


ENDED = frozenset(
    {
        Status.FINISHED,
        Status.FAILED,
        Status.TIMEDOUT,
        Status.CANCELED,
        Status.CASCADE_FAILED,
        Status.SKIPPED,
    }
)
UNHAPPY = ENDED - {Status.FINISHED, Status.SKIPPED}
"""Ends that whoever waits for them cannot start after."""
HELD = frozenset({Status.WAITING_ON_DEPENDENCIES, Status.PAUSED, Status.INACTIVE})
"""Not begun, whatever for."""
ACTIVE = frozenset({Status.WAITING_FOR_RUNNER, Status.CREATING, Status.RUNNING})
"""What counts for maxActiveInstances."""

_ANY_TIME = frozenset({Status.CANCELED, Status.FINISHED})  # TRY_CANCEL and MARK_FINISHED
_BACK = frozenset({Status.WAITING_ON_DEPENDENCIES})  # RERUN
_HELD = HELD | _ANY_TIME | {Status.CASCADE_FAILED, Status.SKIPPED}

WAYS: Mapping[Status, frozenset[Status]] = {
    Status.WAITING_ON_DEPENDENCIES: _HELD | ACTIVE | {Status.FAILED},
    Status.PAUSED: _HELD,
    Status.INACTIVE: _HELD,
    Status.WAITING_FOR_RUNNER: _ANY_TIME | {Status.RUNNING, Status.FAILED, Status.INACTIVE},
    Status.CREATING: _ANY_TIME | {Status.RUNNING, Status.TIMEDOUT, Status.FAILED},
    # Back to a runner: to be tried again, or since its runner was lost.
    Status.RUNNING: _ANY_TIME
    | {
        Status.FAILED,
        Status.TIMEDOUT,
        Status.WAITING_FOR_RUNNER,
        Status.INACTIVE,
        Status.SHUTTING_DOWN,
    },
    Status.SHUTTING_DOWN: frozenset({Status.FINISHED, Status.CANCELED, Status.TIMEDOUT}),
    Status.FINISHED: _BACK,
    Status.FAILED: _BACK | {Status.FINISHED},
    Status.TIMEDOUT: _BACK | {Status.FINISHED},
    Status.CANCELED: _BACK | {Status.FINISHED},
    Status.CASCADE_FAILED: _BACK | {Status.FINISHED},
    Status.SKIPPED: _BACK | {Status.FINISHED},
}
"""Where an instance can go from each status."""
