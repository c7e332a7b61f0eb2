"""What holds of each run of a runner, whatever happened: the invariants I1 to I8.

Each check looks at what handlers did, as ``bed.Watched`` saw it, at the calls that were made, and
at what the service has in the end. ``test_bed.py`` breaks each, and sees that it is noticed.
"""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio
import multiprocessing
import re
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from aiodatapipeline.runner import CancelReason, RowState, read_outbox
from aiodatapipeline.runner._caller import RATES

if TYPE_CHECKING:
    from tests.runner.bed import Bed, Call, Had

GONE = {"TaskNotFoundException", "PipelineDeletedException", "PipelineNotFoundException"}
# Why nothing may be reported of a handler that was told to stop.
_SILENT = {
    CancelReason.CANCELED, CancelReason.LOST, CancelReason.DELETED, CancelReason.LAPSED,
}  # fmt: skip
# Of the service's model, but for the message, which is ours: the service states none.
_LIMITS = {"errorId": 1024, "errorStackTrace": 1024, "errorMessage": 2048, "hostname": 1024}
_REFUSED = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_MOST_FIELDS, _LONGEST_KEY, _LONGEST_VALUE = 50, 256, 10_240
_BURST = 100.0
# Real seconds that what is about to end gets for it.
_PATIENCE = 10.0


async def check(b: Bed) -> None:
    """Hold what happened against all of them."""
    handed = hand_overs(b)
    check_calls(b)
    check_beginnings(b, handed)
    await check_outcomes(b, handed)
    check_stores(b)
    check_rates(b)
    check_texts(b)
    check_ends(b)


def hand_overs(b: Bed) -> dict[str, list[tuple[str, str]]]:
    """Give to whom each attempt was handed over, and as which task: by attempt."""
    handed: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for call in b.calls:
        if call.operation == "PollForTask" and call.taken and call.said.get("taskObject"):
            task = call.said["taskObject"]
            handed[task["attemptId"]].append((call.runner, task["taskId"]))
    return handed


def _is_about(call: Call, attempt_id: str, handed: Mapping[str, list[tuple[str, str]]]) -> bool:
    return call.task_id in {task_id for _, task_id in handed[attempt_id]}


def _is_of(call: Call, had: Had, b: Bed) -> bool:
    """Whether a call is of the runner that had a handler. One may have clients of other names."""
    return call.runner == had.runner or call.runner not in b.runners


# -- outcomes: I1, I2 -----------------------------------------------------------------------


async def check_outcomes(b: Bed, handed: Mapping[str, list[tuple[str, str]]]) -> None:
    """I1 and I2: each outcome of a handler is sent as it is, and the service has it."""
    last = {(had.runner, had.attempt_id): had for had in b.had if had.outcome}
    for (_, attempt_id), had in last.items():
        sent = [
            call
            for call in b.made("SetTaskStatus")
            if call.number >= had.ended and _is_about(call, attempt_id, handed)
            and _is_of(call, had, b)
        ]  # fmt: skip
        told = [each for each in b.events if each.attempt_id == attempt_id]
        reasons = {each.detail["reason"] for each in told if each.kind == "cancelled"}
        kinds = {str(each.kind) for each in told}
        # A precondition that is stopped between two looks did not come to an answer.
        may_be = {had.outcome, "FAILED"} if had.outcome == "FALSE" and reasons else {had.outcome}
        statuses = {call.body["taskStatus"] for call in sent}
        assert statuses <= may_be, f"I2: {attempt_id} ended {had.outcome}, and {statuses} was sent"
        left = any(each.detail["undelivered"] for each in b.told("stopped"))
        if "leaked" in kinds or left:
            continue
        if not sent:
            assert reasons & _SILENT or "fenced" in kinds, (
                f"I1: {attempt_id} ended {had.outcome}, and nothing was sent"
            )
            continue
        if not any(call.taken for call in sent):
            assert {"presumed", "fenced"} & kinds, (
                f"I1: the service never took how {attempt_id} ended"
            )
            continue
        lost = len(handed[attempt_id]) > 1 or b.was_ended(attempt_id)
        recorded = await b.recorded(attempt_id)
        if recorded is not None and not lost:
            # What is not met is a failure there.
            known = may_be | {"FAILED"} if "FALSE" in may_be else may_be
            assert recorded in known, f"I1: {attempt_id} ended {had.outcome}, and is {recorded}"


def check_stores(b: Bed) -> None:
    """I1: each outcome of a runner that has a state directory is there."""
    if b.told("outbox"):
        return  # it could not be written, and that was told
    for had in b.had:
        directory = b.runners[had.runner].state_dir
        if directory is None or not had.outcome:
            continue
        rows = [each for each in read_outbox(directory) if each.attempt_id == had.attempt_id]
        assert rows, f"I1: the store has nothing of {had.attempt_id}"
        states = {each.state for each in rows}
        left = any(each.detail["undelivered"] for each in b.told("stopped"))
        assert left or RowState.OUTCOME not in states, f"I1: {had.attempt_id} was left behind"


# -- calls: I2, I3 --------------------------------------------------------------------------


def check_calls(b: Bed) -> None:
    """I2 and I3: one status of a task, and nothing once it is over."""
    by_task: dict[tuple[str, str], list[Call]] = defaultdict(list)
    handed: dict[tuple[str, str], list[int]] = defaultdict(list)
    for call in b.calls:
        if call.operation == "PollForTask" and call.taken and call.said.get("taskObject"):
            handed[call.runner, call.said["taskObject"]["taskId"]].append(call.ended)
    asked = Counter[tuple[str, str]]()
    for call in filter(lambda each: each.task_id, b.calls):
        key = (call.runner, call.task_id)
        gone, recorded = _over(call, by_task[key])
        times = len([ended for ended in handed[key] if ended <= call.number])
        first = not by_task[key] or bool(gone or recorded)
        if call.operation == "ReportTaskProgress" and first and times > asked[key]:
            # The first report since it was handed over, or handed over again.
            asked[key] += 1
            by_task[key] = []
        _check_call(call, by_task[key])
        by_task[key].append(call)


def _over(call: Call, before: list[Call]) -> tuple[list[Call], list[Call]]:
    """Give the answers before a call that ended its task: as gone, and with its outcome."""
    over = [each for each in before if each.heard and each.ended <= call.number]
    gone = [each for each in over if each.code in GONE or each.said.get("canceled") is True]
    return gone, [each for each in over if each.operation == "SetTaskStatus" and each.taken]


def _check_call(call: Call, before: list[Call]) -> None:
    gone, recorded = _over(call, before)
    if call.operation == "SetTaskStatus":
        assert not gone, f"I3: an outcome after {gone[0]}"
        sent = {each.body["taskStatus"] for each in before if each.operation == call.operation}
        assert sent <= {call.body["taskStatus"]}, "I2: two statuses of one task"
    assert not recorded, f"I3: {call.operation} after the outcome was taken"


# -- beginnings: I4 -------------------------------------------------------------------------


def check_beginnings(b: Bed, handed: Mapping[str, list[tuple[str, str]]]) -> None:
    """I4: no handler begins before a first report was taken, and one of a task at a time."""
    for had in b.had:
        acknowledged = [
            call
            for call in b.calls[: had.begun]
            if call.operation == "ReportTaskProgress"
            and call.heard
            and call.taken
            and call.said.get("canceled") is False
            and _is_about(call, had.attempt_id, handed)
            and _is_of(call, had, b)
        ]
        assert acknowledged, f"I4: {had.attempt_id} began before it was acknowledged"
    at_once = Counter[tuple[str, str]]()
    leaked = {each.attempt_id for each in b.told("leaked")}
    for had in b.had:
        beside = [
            other
            for other in b.had
            if (other.runner, other.attempt_id) == (had.runner, had.attempt_id)
            and other.number < had.number
            and (other.over is None or other.over > had.number)
        ]
        at_once[had.runner, had.attempt_id] = max(
            at_once[had.runner, had.attempt_id], len(beside) + 1
        )
    for (_, attempt_id), many in at_once.items():
        tasks = len({task_id for _, task_id in handed[attempt_id]})
        assert many <= max(1, tasks) or attempt_id in leaked, (
            f"I4: {many} handlers of {attempt_id} at once"
        )


# -- rates: I5 ------------------------------------------------------------------------------


def check_rates(b: Bed) -> None:
    """I5: one poll of a group at a time, and no more calls than a runner's share."""
    assert b.most_polls <= 1, "I5: two polls of one group at once"
    for name, settings in b.runners.items():
        for operation, rate in RATES.items():
            if settings.account_share is not None:
                share = settings.account_share
                _check_rate(b.made(operation, name), rate * share, max(1.0, _BURST * share))


def _check_rate(calls: list[Call], rate: float, burst: float) -> None:
    tokens, at = burst, 0.0
    seen = set[str]()
    for call in calls:
        tokens, at = min(burst, tokens + (call.at - at) * rate), call.at
        first = call.operation == "ReportTaskProgress" and call.task_id not in seen
        seen.add(call.task_id)
        tokens -= 1
        # A first report waits for nobody; what it takes, the next ones wait for.
        assert first or tokens > -1.01 - len(seen), f"I5: too many calls of {call.operation}"


# -- texts: I8 ------------------------------------------------------------------------------


def check_texts(b: Bed) -> None:
    """I8: every string that was sent is one that the service takes."""
    for call in b.calls:
        for text in _strings(call.body):
            assert not _REFUSED.search(text), f"I8: {text!r} in {call.operation}"
        for key, limit in _LIMITS.items():
            text = str(call.body.get(key) or "")
            assert len(text) <= limit, f"I8: {key} is too long"
        error_id = call.body.get("errorId")
        assert error_id is None or (error_id and not error_id.startswith("Service_")), (
            f"I8: the error id {error_id!r}"
        )
        fields = list[Mapping[str, str]](call.body.get("fields") or ())
        assert len(fields) <= _MOST_FIELDS, "I8: too many fields"
        for each in fields:
            assert len(each["key"]) <= _LONGEST_KEY, "I8: a key is too long"
            assert len(each["stringValue"].encode()) <= _LONGEST_VALUE, "I8: a value is too long"


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from _strings([*cast("Mapping[str, Any]", value).items()])
    elif isinstance(value, list | tuple):
        for each in cast("list[Any]", value):
            yield from _strings(each)


# -- ends: I6, I7 ---------------------------------------------------------------------------


def check_ends(b: Bed) -> None:
    """I6 and I7: places are given back, and a runner ends in time, with the right exit code."""
    for run in b.runs:
        settings = run.runner._settings
        given = b.runners[settings.hostname]
        assert run.ended_at is not None, "I7: a runner goes on"
        for engine in run.runner.engines:
            free, taken = engine._slots._value, engine._leaked
            assert free + taken == settings.max_concurrency, f"I6: {free} places are free"
        for hurry, asked_at in run.runner.asked.items():
            bound = given.bounds[hurry]
            took = run.ended_at - asked_at
            assert took <= bound, f"I7: it stopped after {took} s, and not after {bound}"
        if run.task.cancelled() or run.task.exception() is not None:
            continue
        result = run.task.result()
        assert result.exit_code or not result.undelivered, "I7: 0, and something is undelivered"
        assert result.exit_code in {0, 1, 130, 143}, f"I7: exit code {result.exit_code}"


class Resources:
    """What a process has at a moment: threads, tasks, children, descriptors."""

    def __init__(self) -> None:
        self._threads = set(threading.enumerate())
        self._tasks = asyncio.all_tasks()
        self._children = set(multiprocessing.active_children())
        self._files = _open_files()

    async def check(self) -> None:
        """I6: nothing has come that is still there; what is about to end, may."""
        loop = asyncio.get_running_loop()
        until = loop.time() + _PATIENCE
        while (left := list(self._left())) and loop.time() < until:
            await asyncio.sleep(0.005)
        assert not left, f"I6: these are left: {left}"

    def _left(self) -> Iterator[str]:
        for thread in set(threading.enumerate()) - self._threads:
            if not thread.name.startswith("asyncio_"):  # of the loop's pool
                yield f"the thread {thread.name}"
        for task in asyncio.all_tasks() - self._tasks - {asyncio.current_task()}:
            yield f"the task {task}"
        for child in set(multiprocessing.active_children()) - self._children:
            yield f"the process {child}"
        for number, name in (_open_files() - self._files).items():
            yield f"{number} of {name}"


def _open_files() -> Counter[str]:
    """Count what is open by its kind, or its path if it has one."""
    found = Counter[str]()
    directory = Path("/proc/self/fd")
    for each in directory.iterdir() if directory.exists() else ():
        try:
            name = str(each.readlink())
        except OSError:
            continue  # that of the listing itself
        if not name.startswith("/proc/"):
            found[name.partition(":")[0]] += 1
    return found
