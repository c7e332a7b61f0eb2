"""What nobody outside of AWS knows about the service, as switches with named positions.

Its sources contradict each other in places, and leave others open. Whoever relies on the local
service should hold under more than one reading: ``Switches()`` is the one that the reference
suggests, ``STRICT``, ``LENIENT`` and ``HOSTILE`` are named sets of others.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import StrEnum
from typing import ClassVar

__all__ = ["EmptyAnswer", "EmptyPoll", "Late", "Switches", "ThrottleShape"]


class Late(StrEnum):
    """What is said to a report on a task that is no longer its sender's."""

    TASK_NOT_FOUND = "task-not-found"
    INVALID_REQUEST = "invalid-request"
    IGNORED = "ignored"
    """200, as if it had been taken; a report of progress is told ``canceled``."""
    ACCEPTED = "accepted"
    """An outcome counts, if the attempt has no other yet."""


class EmptyPoll(StrEnum):
    """What the body of a poll without a task is."""

    ABSENT = "{}"
    NULL = '{"taskObject":null}'
    EMPTY = '{"taskObject":{}}'
    NOTHING = ""


class EmptyAnswer(StrEnum):
    """What the body of an answer that says nothing is."""

    OBJECT = "{}"
    NOTHING = ""


class ThrottleShape(StrEnum):
    """How a call that is above the rate is refused."""

    THROTTLING_EXCEPTION = "ThrottlingException"
    """With status 400."""
    THROTTLING = "Throttling"
    """With status 400."""
    UNAVAILABLE = "503"
    """Status 503 without an error code, as a front end answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Switches:
    """How the service behaves where its sources leave it open.

    Attributes:
        lease: Seconds without a report after which a task goes to another poll: 900 says the
            API reference, 300 the same page a few lines below.
        acknowledgement: Seconds within which the first report must come.
        honour_report_timeout: Whether an object's ``reportProgressTimeout`` replaces ``lease``.
        keep_task_id: Whether a task that goes to another poll keeps its id.
        unacknowledged_uses_try: Whether a hand-over without any report uses up a try.
        repeated_status: What a second SetTaskStatus is told.
        late_status: What a SetTaskStatus is told after the task was reassigned or cancelled.
        late_progress: What a ReportTaskProgress is told after the task was lost. After a
            cancellation it is always told ``canceled``.
        empty_poll: The body of a poll without a task.
        empty_answer: The body of SetTaskStatus and the like.
        stack_trace_limit: Of errorStackTrace.
        limit_in_bytes: Whether that counts bytes of UTF-8 and not characters.
        refuse_long_stack_trace: Whether what is longer is refused, and not cut.
        throttle_shape: How a call above the rate is refused.
        notices_hangup: Whether a poll whose connection is gone is given no task.
        precondition_tasks: Whether ShellCommandPrecondition and Exists come as tasks of the
            activity's worker group; otherwise the service satisfies them itself.
        false_is_final: Whether FALSE fails a precondition at once, since trying again is the
            runner's job; otherwise the service tries again until preconditionTimeout.
        reactivation_reruns: Whether activating an on-demand pipeline that runs cancels and
            reruns it; otherwise it is refused.
        block_backfill: Whether a schedule that began over a day ago cannot be activated.
        objects_per_page: How many objects DescribeObjects gives at once: 100, since the AWS CLI
            asks for so many and reads no second page; the reference has 25 in mind.
        maximum_retries: How often a failed attempt is tried again, if no object says so.
        retry_delay: Seconds between attempts, if no object says so.
        minimum_retry_delay: Seconds that a shorter ``retryDelay`` is raised to.
    """

    lease: float = 900.0
    acknowledgement: float = 120.0
    honour_report_timeout: bool = True
    keep_task_id: bool = False
    unacknowledged_uses_try: bool = False
    repeated_status: Late = Late.TASK_NOT_FOUND
    late_status: Late = Late.TASK_NOT_FOUND
    late_progress: Late = Late.TASK_NOT_FOUND
    empty_poll: EmptyPoll = EmptyPoll.ABSENT
    empty_answer: EmptyAnswer = EmptyAnswer.OBJECT
    stack_trace_limit: int = 1024
    limit_in_bytes: bool = False
    refuse_long_stack_trace: bool = False
    throttle_shape: ThrottleShape = ThrottleShape.THROTTLING_EXCEPTION
    notices_hangup: bool = True
    precondition_tasks: bool = True
    false_is_final: bool = False
    reactivation_reruns: bool = True
    block_backfill: bool = False
    objects_per_page: int = 100
    maximum_retries: int = 2
    retry_delay: float = 600.0
    minimum_retry_delay: float = 0.0

    def __post_init__(self) -> None:
        """Refuse numbers that make no sense."""
        for each in fields(self):
            value, least = getattr(self, each.name), int(each.name == "objects_per_page")
            if isinstance(value, (int, float)) and not value >= least:
                raise ValueError(f"the switch {each.name} is {least} or more, not {value}")

    STRICT: ClassVar[Switches]
    """Every doubt goes against the caller: short leases, nothing late is taken."""
    LENIENT: ClassVar[Switches]
    """Every doubt goes for the caller: long leases, what is late is taken or passed over."""
    HOSTILE: ClassVar[Switches]
    """The readings that are hardest to be right under, mixed."""


Switches.STRICT = Switches(
    lease=300.0,
    honour_report_timeout=False,
    unacknowledged_uses_try=True,
    repeated_status=Late.INVALID_REQUEST,
    late_status=Late.INVALID_REQUEST,
    empty_answer=EmptyAnswer.NOTHING,
    refuse_long_stack_trace=True,
    limit_in_bytes=True,
    reactivation_reruns=False,
    block_backfill=True,
    objects_per_page=25,
    minimum_retry_delay=120.0,
)
Switches.LENIENT = Switches(
    keep_task_id=True,
    repeated_status=Late.IGNORED,
    late_status=Late.ACCEPTED,
    late_progress=Late.IGNORED,
    stack_trace_limit=4095,
    empty_poll=EmptyPoll.EMPTY,
)
Switches.HOSTILE = Switches(
    lease=300.0,
    honour_report_timeout=False,
    keep_task_id=True,
    unacknowledged_uses_try=True,
    repeated_status=Late.INVALID_REQUEST,
    late_status=Late.IGNORED,
    late_progress=Late.IGNORED,
    empty_poll=EmptyPoll.NULL,
    empty_answer=EmptyAnswer.NOTHING,
    refuse_long_stack_trace=True,
    limit_in_bytes=True,
    throttle_shape=ThrottleShape.UNAVAILABLE,
    notices_hangup=False,
    false_is_final=True,
    objects_per_page=25,
)
