"""The rules R1 to R8, where no scenario shows them: each test here stops a mutant.

The mutants are in ``mutations.py``, which ``nox -s mutations`` runs.
"""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import ast
import asyncio
import itertools
import random
import shutil
from collections import defaultdict
from pathlib import Path

import pytest

import aiodatapipeline.runner
from aiodatapipeline import SetTaskStatusRequest
from aiodatapipeline._clock import VirtualClock
from aiodatapipeline.local._switches import Switches
from aiodatapipeline.runner import RowState, Task, TaskRunner, read_outbox
from aiodatapipeline.runner._caller import Backoff
from aiodatapipeline.runner._outbox import FileOutbox
from tests.runner.bed import SHELL, Call, Fault, Lose, Slow, activity, bed, waits, works
from tests.runner.mutations import MUTANTS, PACKAGE, ROOT, Mutant, find
from tests.runner.test_crash import Disk, leave, take
from tests.runner.test_scale import Many

REPORT, OUTCOME, POLL = "ReportTaskProgress", "SetTaskStatus", "PollForTask"


async def test_r1_a_task_is_written_down_before_its_first_report(
    switches: Switches, tmp_path: Path
) -> None:
    written: list[list[RowState]] = []

    def look(call: Call) -> Fault:
        if call.operation == REPORT:
            written.append([each.state for each in read_outbox(tmp_path)])
        return None

    async with bed(switches) as b:
        await b.pipeline(activity())
        runner = b.runner(state_dir=tmp_path)
        works(b, runner)
        b.fault = look

        async with b.running(runner) as run:
            await run.stop()

    assert written == [[RowState.ASSIGNED]]


async def test_r2_an_outcome_is_in_the_file_before_it_is_sent(
    switches: Switches, tmp_path: Path
) -> None:
    written: list[list[tuple[RowState, str | None]]] = []

    def look(call: Call) -> Fault:
        if call.operation == OUTCOME:
            written.append([(each.state, each.status) for each in read_outbox(tmp_path)])
        return None

    async with bed(switches) as b:
        await b.pipeline(activity())
        runner = b.runner(state_dir=tmp_path)
        works(b, runner)
        b.fault = look

        async with b.running(runner) as run:
            await run.stop()

    assert written == [[(RowState.OUTCOME, "FINISHED")]]


async def test_r2_each_commit_is_synced(tmp_path: Path) -> None:
    """What is not synced outlives the runner's end, and not the machine's."""
    outbox = FileOutbox(tmp_path, VirtualClock())
    synchronous = outbox._database.execute("PRAGMA synchronous").fetchone()[0]
    outbox.close()

    assert synchronous >= 2  # FULL


async def test_r2_an_outcome_that_could_not_be_written_is_written_at_the_next_try(
    switches: Switches, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with bed(switches) as b:
        await b.pipeline(activity())
        disk = Disk(monkeypatch)
        disk.first, disk.many = 2, 1
        runner = b.runner(state_dir=tmp_path, drain_timeout=10, cancel_grace=0)
        works(b, runner)
        b.fault = lambda call: Lose("request") if call.operation == OUTCOME else None

        async with b.running(runner) as run:
            assert read_outbox(tmp_path)[0].state is RowState.ASSIGNED
            await b.advance(60)
            assert read_outbox(tmp_path)[0].state is RowState.OUTCOME
            await run.stop()


async def test_r2_nothing_is_polled_until_what_was_left_behind_was_tried(
    switches: Switches, tmp_path: Path
) -> None:
    async with bed(switches) as b:
        await b.pipeline(activity())
        await leave(b, tmp_path, await take(b), RowState.OUTCOME)
        runner = b.runner(state_dir=tmp_path)
        b.fault = lambda call: Slow(8) if call.operation == OUTCOME else None

        run = asyncio.ensure_future(runner.run())
        await b.really(lambda: bool(b.made(OUTCOME)))
        await b.advance(7)
        early = b.made(POLL, "runner")
        await b.advance(2)
        late = b.made(POLL, "runner")
        runner.stop()
        await b.until(run.done, limit=60)

        assert early == []
        assert len(late) == 1
        assert run.result().finished == 1


async def test_r3_reports_go_on_for_an_outcome_that_was_left_behind(
    switches: Switches, tmp_path: Path
) -> None:
    async with bed(switches) as b:
        pipeline = await b.pipeline(activity())
        await leave(b, tmp_path, await take(b), RowState.OUTCOME)
        runner = b.runner(state_dir=tmp_path)
        had = works(b, runner)
        b.fault = lambda call: Lose("request") if call.operation == OUTCOME else None

        async with b.running(runner) as run:
            await b.advance(1300)
            assert len(b.made(REPORT, "runner")) >= 20
            b.fault = lambda _: None
            await b.until(lambda: len(b.told("delivered")) == 1, limit=60)
            await run.stop()

        assert had == [], "nobody was given it meanwhile"
        assert await b.statuses(pipeline) == {"Job": "FINISHED"}


async def test_r4_a_late_false_has_to_prove_itself_as_a_failure_has(
    switches: Switches, tmp_path: Path
) -> None:
    async with bed(switches) as b:
        await b.pipeline(activity())
        task = await take(b)
        outbox = FileOutbox(tmp_path, b.clock)
        number = await outbox.assigned(task, "etl", SHELL)
        await outbox.ended(number, SetTaskStatusRequest(task_id=task.task_id, task_status="FALSE"))
        outbox.close()
        await b.advance(3600)
        runner = b.runner(state_dir=tmp_path)
        works(b, runner)
        before = len(b.calls)

        async with b.running(runner) as run:
            await run.stop()

        calls = [each for each in b.calls[before:] if each.task_id == task.task_id]
        assert calls[0].operation == REPORT
        assert "FALSE" not in b.statuses_sent()


async def test_r4_a_lease_is_as_old_as_the_sending_of_its_last_report(switches: Switches) -> None:
    """The service may have counted from there: when the answer came says nothing."""
    async with bed(switches) as b:
        await b.pipeline(activity())
        runner = b.runner()
        waits(b, runner)

        async with b.running(runner) as run:
            b.fault = lambda call: Slow(9) if call.operation == REPORT else None
            await b.until(lambda: len(b.made(REPORT)) == 2, limit=70)
            sent_at = b.made(REPORT)[1].at
            await b.advance(9.5)
            b.fault = lambda call: Lose("request", 2) if call.operation == REPORT else None
            await b.until(lambda: bool(b.told("lease")), limit=330)
            age = b.clock.time() - sent_at
            b.fault = lambda _: None
            await run.stop(cancel=True)

        # It is looked at every 5 seconds, and the test looks every second.
        assert 300 <= age <= 306


async def test_r6_a_runner_keeps_to_its_share_of_the_account_s_calls() -> None:
    clock, service = VirtualClock(), Many(1000)
    runner = TaskRunner("etl", client=service.client, clock=clock, account_share=0.1)

    @runner.handler("Tiny")
    async def handle(task: Task) -> None:
        pass

    run = asyncio.ensure_future(runner.run())
    async with asyncio.timeout(60):
        while runner.health.status != "ok":
            await asyncio.sleep(0.001)
        began = service.number
        await clock.advance(120)
        polls = service.number - began
        runner.stop()
        while not run.done():
            await clock.advance(1)

    # A tenth of 2 a second, and of 100 at once.
    assert 24 <= polls <= 24 + 10 + 1


def test_r6_waits_between_tries_are_spread_over_all_of_their_time() -> None:
    random.seed(1)
    backoff = Backoff(2.0, 30.0)

    firsts = [Backoff(2.0, 30.0).next() for _ in range(200)]
    lasts = [backoff.next() for _ in range(205)][5:]

    assert min(firsts) < 0.1
    assert 1.9 < max(firsts) <= 2.0
    assert min(lasts) < 1.5
    assert 28.5 < max(lasts) <= 30.0


async def test_r7_polls_outcomes_and_reports_have_a_client_each(switches: Switches) -> None:
    async with bed(switches) as b:
        await b.pipeline(activity())
        numbers = itertools.count()
        runner = b.runner(client=lambda: b.client(f"client-{next(numbers)}"))
        works(b, runner, seconds=200)

        async with b.running(runner) as run:
            await b.advance(210)
            await run.stop()

        users: defaultdict[str, set[str]] = defaultdict(set)
        for call in [*b.made(POLL), *b.made(REPORT)[1:], *b.made(OUTCOME)]:
            users[call.operation].add(call.runner)
        assert sorted(map(len, users.values())) == [1, 1, 1]
        assert len(set(itertools.chain(*users.values()))) == 3
        assert {each.operation for each in b.calls if each.runner in users[POLL]} == {POLL}
        assert {each.operation for each in b.calls if each.runner in users[REPORT]} == {REPORT}


# What shows a time to people: a line of a log, the name of a file that was put aside.
_SHOWS_TIME = {"_logs.py", "_outbox.py"}
# Asks whether a real event loop turns, and has no lease or task to time.
_HAS_TIME_OF_ITS_OWN = {"health.py"}


def test_r8_the_runner_has_no_time_but_its_clock_s() -> None:
    paths = list(Path(aiodatapipeline.runner.__file__).parent.rglob("*.py"))
    asked = [
        f"{path.name}:{node.lineno}: {ast.unparse(node)}"
        for path in paths
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.stmt | ast.expr) and _asks_the_machine(node, path.name)
    ]

    assert len(paths) > 10
    assert asked == []


def _asks_the_machine(node: ast.stmt | ast.expr, file: str) -> bool:
    if isinstance(node, ast.Import):
        return file not in _HAS_TIME_OF_ITS_OWN and any(each.name == "time" for each in node.names)
    if isinstance(node, ast.ImportFrom):
        return node.module == "time"
    if isinstance(node, ast.Attribute):
        # Even there it must not be one that can be set.
        return ast.unparse(node.value) == "time" and node.attr != "monotonic"
    called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
    if called.endswith(("datetime.now", "datetime.utcnow")):
        return file not in _SHOWS_TIME
    return called == "__import__" and "time" in ast.unparse(node)


# -- the mutants themselves ---------------------------------------------------------------


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda each: f"{each.rule} {each.broken}")
def test_what_a_mutant_breaks_is_there_and_so_are_its_tests(mutant: Mutant, tmp_path: Path) -> None:
    (tmp_path / "runner").mkdir()
    shutil.copy(ROOT / PACKAGE / mutant.file, tmp_path / mutant.file)

    mutant.apply(tmp_path)

    ast.parse((tmp_path / mutant.file).read_text(encoding="utf-8"))
    assert find(mutant.tests)


def test_each_rule_has_a_mutant() -> None:
    assert {mutant.rule for mutant in MUTANTS} == {f"R{number}" for number in range(1, 9)}
