"""Break each of the runner's rules in its code, and see that a test fails: scenario A49.

``nox -s mutations`` runs it. Each mutant is a copy of ``src`` in which one rule does not hold any
more; the tests that are named beside it run against that copy, and one of them has to fail.
``test_rules.py`` sees at every run of the tests that what a mutant replaces is still there.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PACKAGE = Path("src", "aiodatapipeline")
# Seconds for the tests of one mutant, and for all of them without one.
LIMIT, LIMIT_OF_ALL = 120, 300


_TEST = re.compile(r"^(?:async )?def (test_\w+)", re.MULTILINE)


class Change(NamedTuple):
    """A piece of the code, which has to be there once, and what stands there instead."""

    old: str
    new: str


class Mutant(NamedTuple):
    """Code that breaks a rule."""

    rule: str
    broken: str
    """What it does wrong, in words."""
    file: str
    changes: tuple[Change, ...]
    tests: tuple[str, ...]
    """Of which one has to fail."""

    def apply(self, package: Path) -> None:
        """Break the code below a directory.

        Raises:
            LookupError: What is to be replaced is not there, or more than once.
        """
        path = package / self.file
        text = path.read_text(encoding="utf-8")
        for old, new in self.changes:
            if (times := text.count(old)) != 1:
                raise LookupError(
                    f"{self.rule}, {self.broken}: found {times} times in {self.file}, and not "
                    f"once:\n{old}"
                )
            text = text.replace(old, new)
        path.write_text(text, encoding="utf-8")


_WRITE = "            written = written or await self._write(attempt, request)\n"
_NOTE_TRY = "            self._note_try(attempt)\n            if found is None and not late:\n"
_ACKNOWLEDGE = (
    "        why = await self._acknowledge(attempt)\n"
    "        if why:\n"
    "            await self._abandon(attempt, why)\n"
    "            return False\n"
)
_JOURNAL = "        try:\n            attempt.number = await self._core.outbox.assigned("
_LATE = "request.task_status is not TaskStatus.FINISHED and age >= attempt.lease.suspect"
_CANCELLED = (
    "        if response.canceled:\n            self.cancel(attempt, CancelReason.CANCELED)\n"
)
_NAP = "            elif found is not None and not attempt.is_gone:\n"
_WATCH = "        self._core.keeper.watch(attempt.lease)\n        await self._deliver("
_CALLERS = "self._control, self._polls = self._caller(), self._caller()"
_SIMPLER = '    yield bare.model_copy(update={"error_id": error_id})\n'

MUTANTS = (
    # -- acknowledge before the handler begins --------------------------------------------
    Mutant(
        "R1", "the handler begins without a first report", "runner/_attempts.py",
        (Change(_ACKNOWLEDGE, ""),),
        ("test_a17_a_task_that_is_cancelled_at_its_first_report_never_begins",
         "test_a8_without_an_acknowledgement_in_time_the_handler_never_begins"),
    ),
    Mutant(
        "R1", "the first report's canceled=true is not read", "runner/_attempts.py",
        (Change(_CANCELLED, _CANCELLED.replace("response.canceled", "False")),),
        ("test_a17_a_task_that_is_cancelled_at_its_first_report_never_begins",),
    ),
    Mutant(
        "R1", "a first report may come later than 100 seconds", "runner/_attempts.py",
        (Change("+ self._timing.acknowledge\n        backoff",
                "+ 10 * self._timing.acknowledge\n        backoff"),),
        ("test_a8_without_an_acknowledgement_in_time_the_handler_never_begins",),
    ),
    Mutant(
        "R1", "the first report goes out before the task is written down", "runner/_attempts.py",
        (Change(_JOURNAL, "        await self._acknowledge(attempt)\n" + _JOURNAL),),
        ("test_r1_a_task_is_written_down_before_its_first_report",),
    ),
    # -- the outcome is written down before it is sent ------------------------------------
    Mutant(
        "R2", "the outcome is not written down", "runner/_attempts.py",
        (Change(_WRITE, "            written = True\n"),),
        ("test_a41_without_a_network_a_runner_stops_in_time_and_the_next_one_delivers",),
    ),
    Mutant(
        "R2", "the outcome is written down when it was sent", "runner/_attempts.py",
        (Change(_WRITE, ""), Change(_NOTE_TRY, _WRITE + _NOTE_TRY)),
        ("test_r2_an_outcome_is_in_the_file_before_it_is_sent",),
    ),
    Mutant(
        "R2", "a commit is not synced", "runner/_outbox.py",
        (Change("PRAGMA synchronous = FULL", "PRAGMA synchronous = OFF"),),
        ("test_r2_each_commit_is_synced",),
    ),
    Mutant(
        "R2", "a runner polls before it delivers what was left behind", "runner/_engine.py",
        (Change("all(each.tried for each in recovered)", "True"),),
        ("test_r2_nothing_is_polled_until_what_was_left_behind_was_tried",),
    ),
    Mutant(
        "R2", "an outcome that could not be written down is forgotten", "runner/_attempts.py",
        (Change("            return False\n        return True\n\n    async def _close",
                "            return True\n        return True\n\n    async def _close"),),
        ("test_r2_an_outcome_that_could_not_be_written_is_written_at_the_next_try",),
    ),
    # -- the lease is kept until the outcome is delivered ---------------------------------
    Mutant(
        "R3", "no report once the handler has ended", "runner/_attempts.py",
        (Change("        attempt.ended_at = self._clock.time()\n        detail",
                "        attempt.ended_at = self._clock.time()\n"
                "        self._core.keeper.release(attempt.lease)\n        detail"),),
        ("test_r3_reports_go_on_while_an_outcome_cannot_be_delivered",),
    ),
    Mutant(
        "R3", "no report once an outcome did not come through", "runner/_attempts.py",
        (Change("self._core.keeper.resume(attempt.lease)", "pass"),),
        ("test_r3_reports_go_on_while_an_outcome_cannot_be_delivered",),
    ),
    Mutant(
        "R3", "no report for an outcome that was left behind", "runner/_attempts.py",
        (Change(_WATCH, "        await self._deliver("),),
        ("test_r3_reports_go_on_for_an_outcome_that_was_left_behind",),
    ),
    Mutant(
        "R3", "no report while the runner drains", "runner/_engine.py",
        (Change("            self._status = Status.STOPPING\n",
                "            self._status = Status.STOPPING\n"
                "            await self._keeper.aclose()\n"),),
        ("test_a39_a_running_handler_may_end_and_its_lease_is_kept",),
    ),
    # -- a late failure proves that the task is ours --------------------------------------
    Mutant(
        "R4", "a late failure is sent without a report", "runner/_attempts.py",
        (Change(_LATE, "age < 0"),),
        ("test_a26_a_late_failure_does_not_undo_another_runner_s_success",
         "test_a5_an_outcome_that_was_left_behind_is_delivered_before_the_first_poll"),
    ),
    Mutant(
        "R4", "a late FALSE is sent without a report", "runner/_attempts.py",
        (Change(_LATE, _LATE.replace("is not TaskStatus.FINISHED", "is TaskStatus.FAILED")),),
        ("test_r4_a_late_false_has_to_prove_itself_as_a_failure_has",),
    ),
    Mutant(
        "R4", "a late success is not sent", "runner/_attempts.py",
        (Change(_LATE, "age >= attempt.lease.suspect"),),
        ("test_a5_an_outcome_that_was_left_behind_is_delivered_before_the_first_poll",),
    ),
    Mutant(
        "R4", "late_failed='withhold' is not heeded", "runner/_attempts.py",
        (Change('if late and self._settings.late_failed == "withhold":', "if False:"),),
        ("test_a5_an_outcome_that_was_left_behind_is_delivered_before_the_first_poll",),
    ),
    Mutant(
        "R4", "a lease's age counts from the answer to a report", "runner/_lease.py",
        (Change("lease.taken(sent_at, len(request.fields))",
                "lease.taken(self._clock.time(), len(request.fields))"),),
        ("test_r4_a_lease_is_as_old_as_the_sending_of_its_last_report",),
    ),
    # -- a status is never changed --------------------------------------------------------
    Mutant(
        "R5", "simpler texts bring another status", "runner/_outcome.py",
        (Change(_SIMPLER, _SIMPLER.replace('"error_id": error_id',
                                           '"task_status": TaskStatus.FINISHED')),),
        ("test_a25_texts_that_the_service_refuses_become_simpler_and_the_status_stays",),
    ),
    Mutant(
        "R5", "a success whose answer was lost becomes a failure", "runner/_attempts.py",
        (Change(_NAP, f"{_NAP}                sending.form = failed(\n"
                      '                    attempt.task_id, failure("Lost", "no answer")\n'
                      "                )\n"),),
        ("test_a10_an_outcome_whose_answer_was_lost_is_recorded_once",
         "test_r3_reports_go_on_while_an_outcome_cannot_be_delivered"),
    ),
    Mutant(
        "R5", "the texts differ from one try to the next", "runner/_attempts.py",
        (Change("        sending.sends += 1\n",
                "        sending.sends += 1\n"
                "        sending.form = sending.form.model_copy(\n"
                '            update={"error_stack_trace": str(sending.sends)}\n'
                "        )\n"),),
        ("test_row_4_an_error_500_on_an_outcome_is_repeated_with_the_same_bytes",),
    ),
    Mutant(
        "R5", "what was left behind is delivered as a failure", "runner/_outbox.py",
        (Change("SetTaskStatusRequest.from_wire(json.loads(row[8])) if",
                "SetTaskStatusRequest(task_id=row[6], task_status=TaskStatus.FAILED) if"),),
        ("test_a41_without_a_network_a_runner_stops_in_time_and_the_next_one_delivers",),
    ),
    # -- one policy of retries, the runner's ----------------------------------------------
    Mutant(
        "R6", "the client repeats calls by itself", "runner/_caller.py",
        (Change("CallOptions(max_attempts=1,", "CallOptions(max_attempts=3,"),),
        ("test_r6_no_call_is_repeated_but_by_the_runner",),
    ),
    Mutant(
        "R6", "calls do not wait for the account's budget", "runner/_caller.py",
        (Change("            await sleep(self._clock, wait)\n", "            pass\n"),),
        ("test_r6_a_runner_keeps_to_its_share_of_the_account_s_calls",),
    ),
    Mutant(
        "R6", "waits between tries have no jitter", "runner/_caller.py",
        (Change("random.uniform(0, limit)", "limit"),),
        ("test_r6_waits_between_tries_are_spread_over_all_of_their_time",),
    ),
    # -- three clients --------------------------------------------------------------------
    Mutant(
        "R7", "reports go through the loop of the handlers", "runner/_lease.py",
        (Change("        try:\n            await self._send(lease, caller)\n",
                "        try:\n"
                "            turn = asyncio.run_coroutine_threadsafe("
                "asyncio.sleep(0), self._home)\n"
                "            await asyncio.wrap_future(turn)\n"
                "            await self._send(lease, caller)\n"),),
        ("test_a28_a_blocked_loop_starves_no_lease_and_its_handler_is_named",),
    ),
    Mutant(
        "R7", "polls share a client with outcomes", "runner/_engine.py",
        (Change(_CALLERS, "self._control = self._polls = self._caller()"),),
        ("test_r7_polls_outcomes_and_reports_have_a_client_each",),
    ),
    Mutant(
        "R7", "a poll's answer is waited for no longer than it is held", "runner/_lease.py",
        (Change("poll: float = 100.0", "poll: float = 90.0"),),
        ("test_a11_a_poll_that_is_never_answered_ends_after_a_hundred_seconds",),
    ),
    Mutant(
        "R7", "a report's answer is waited for as long as a poll's", "runner/_lease.py",
        (Change("control: float = 10.0", "control: float = 100.0"),),
        ("test_a11_a_report_that_is_never_answered_ends_after_ten_seconds",),
    ),
    # -- monotonic time -------------------------------------------------------------------
    Mutant(
        "R8", "the machine's clock can be set", "_clock.py",
        (Change("return self._epoch + _passed()", "return time.time()"),),
        ("test_row_17_setting_the_machine_s_clock_changes_nothing",),
    ),
    Mutant(
        "R8", "time stands still while the machine sleeps", "_clock.py",
        (Change("return time.monotonic() if boot is None else time.clock_gettime(boot)",
                "return time.monotonic()"),),
        ("test_row_17_time_goes_on_while_the_machine_sleeps",),
    ),
    Mutant(
        "R8", "a lease's age is taken from another clock", "runner/_attempts.py",
        (Change("age = self._clock.time() - attempt.lease.accepted",
                "age = __import__('time').time() - attempt.lease.accepted"),),
        ("test_r8_the_runner_has_no_time_but_its_clock_s",),
    ),
)  # fmt: skip


def find(tests: Sequence[str]) -> list[str]:
    """Give pytest's names of test functions.

    Raises:
        LookupError: One is not there.
    """
    found: dict[str, str] = {}
    for path in Path(ROOT, "tests", "runner").rglob("test_*.py"):
        for name in re.findall(
            r"^(?:async )?def (test_\w+)", path.read_text("utf-8"), re.MULTILINE
        ):
            found[name] = f"{path.relative_to(ROOT)}::{name}"
    missing = sorted(set(tests) - set(found))
    if missing:
        raise LookupError(f"there are no such tests: {', '.join(missing)}")
    return [found[name] for name in dict.fromkeys(tests)]


class Ran(NamedTuple):
    """How tests ended."""

    failed: str
    """The first that did; empty if none."""
    seconds: float
    trouble: str = ""
    """Why nothing can be said."""


def run(source: Path, tests: Sequence[str], limit: float) -> Ran:
    """Run tests against a copy of the source, up to the first that fails."""
    began = time.monotonic()
    options = ["-x", "-q", "-rf", "--tb=no", "--no-header", "-p", "no:cacheprovider"]
    try:
        ended = subprocess.run(
            [sys.executable, "-m", "pytest", *options, *find(tests)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(source)},
            capture_output=True,
            text=True,
            timeout=limit,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Ran("", limit, f"the tests did not end within {limit} seconds")
    seconds = time.monotonic() - began
    failed = re.search(r"^FAILED \S+::(test_\w+)", ended.stdout, re.MULTILINE)
    if ended.returncode == 1 and failed:
        return Ran(failed[1], seconds)
    trouble = "" if ended.returncode == 0 else f"the tests did not run:\n{ended.stdout}"
    return Ran("", seconds, trouble)


def copy_to(directory: str) -> Path:
    """Copy the source, and make sure that it is what a test imports."""
    source = Path(shutil.copytree(ROOT / "src", Path(directory, "src")))
    command = [sys.executable, "-c", "import aiodatapipeline; print(aiodatapipeline.__file__)"]
    environment = {**os.environ, "PYTHONPATH": str(source)}
    imported = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    if not Path(imported.stdout.strip()).is_relative_to(source):
        raise RuntimeError(f"tests would import {imported.stdout.strip()}, and not the copy")
    return source


def judge(mutant: Mutant) -> Ran:
    """Break a copy of the code, and see which test notices."""
    with tempfile.TemporaryDirectory() as directory:
        source = copy_to(directory)
        mutant.apply(source / PACKAGE.name)
        return run(source, mutant.tests, LIMIT)


def main() -> None:
    """Break one rule after the other, some at a time. Exit code 1 if nobody noticed one."""
    with tempfile.TemporaryDirectory() as directory:
        names = [name for mutant in MUTANTS for name in mutant.tests]
        whole = run(copy_to(directory), names, LIMIT_OF_ALL)
    if whole.failed or whole.trouble:
        sys.exit(f"without a mutant: {whole.failed or whole.trouble}")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = list(pool.map(judge, MUTANTS))
    width = max(len(mutant.broken) for mutant in MUTANTS)
    for mutant, ran in zip(MUTANTS, results, strict=True):
        noticed = ran.failed or ran.trouble or "NO TEST NOTICED"
        print(f"{mutant.rule}  {mutant.broken:{width}}  {ran.seconds:3.0f} s  {noticed}")  # noqa: T201
    unnoticed = sum(not ran.failed for ran in results)
    print(f"{len(MUTANTS)} mutants, {unnoticed} not noticed")  # noqa: T201
    sys.exit(unnoticed > 0)


if __name__ == "__main__":
    main()
