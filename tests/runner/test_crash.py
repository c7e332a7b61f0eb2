"""Crashes: scenarios A1 to A6. Real processes die of real signals."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import pytest

from aiodatapipeline import SetTaskStatusRequest, TaskStatus
from aiodatapipeline._clock import SystemClock, VirtualClock
from aiodatapipeline.local._switches import Switches
from aiodatapipeline.models import TaskObject
from aiodatapipeline.runner import OutboxError, RowState, Task, read_outbox
from aiodatapipeline.runner._outbox import FileOutbox
from tests.runner import worker
from tests.runner.bed import PROFILES, SHELL, Bed, Lose, Wire, activity, bed, works

# So many of the 200 in a run of all tests; RUNNER_CUTS=200 makes it all of them.
CUTS = int(os.environ.get("RUNNER_CUTS", "24"))
# A clean run passes so many points, more or less.
POINTS = 75

ENDED = {"FINISHED", "FAILED"}


@asynccontextmanager
async def listening(b: Bed, path: Path) -> AsyncGenerator[str, None]:
    """Let workers reach the service of a bed."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            line = await reader.readline()
            if line:
                name, operation, body = json.loads(line)
                reply = await Wire(b, name).send(operation, body, 100.0)
                writer.write(json.dumps([reply.status, reply.body.decode()]).encode() + b"\n")
                await writer.drain()
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    # Paths of sockets are short.
    socket = f"/tmp/adp-{os.getpid()}-{abs(hash(path)) % 10**8}"
    server = await asyncio.start_unix_server(serve, socket)
    try:
        yield socket
    finally:
        server.close()
        Path(socket).unlink(missing_ok=True)
        for each in asyncio.all_tasks() - {asyncio.current_task()}:
            if "serve" in repr(each.get_coro()):
                each.cancel()
        await asyncio.sleep(0.01)


async def run_worker(
    forks: ForkServerContext,
    function: Callable[..., None],
    *arguments: Any,
    over: Callable[[], bool],
) -> int | None:
    """Run a worker until it dies or nothing is left to do. Give its exit code."""
    process = forks.Process(target=function, args=arguments)
    process.start()
    asked = False
    async with asyncio.timeout(60):
        while process.is_alive():
            await asyncio.sleep(0.005)
            if not asked and over():
                asked = True
                os.kill(process.pid or 0, signal.SIGTERM)
    process.join()
    code = process.exitcode
    process.close()
    return code


JOBS = [activity(f"Job{n}", command="false" if n % 3 == 2 else "true") for n in range(5)]
EXPECTED = {f"Job{n}": "FAILED" if n % 3 == 2 else "FINISHED" for n in range(5)}


async def crash(  # noqa: PLR0917  # one caller
    forks: ForkServerContext,
    tmp_path: Path,
    switches: Switches,
    chance: random.Random,
    restarts: int,
    recover: str,
) -> None:
    async with bed(switches) as b:
        pipeline = await b.pipeline(*JOBS)
        notes = tmp_path / "notes"
        notes.touch()
        async with listening(b, tmp_path) as socket:
            cuts = [chance.randrange(1, POINTS) for _ in range(restarts)]
            for number, cut in enumerate([*cuts, *[0] * 12]):
                statuses = await b.statuses(pipeline)
                if set(statuses.values()) <= ENDED and number > restarts:
                    break

                await run_worker(
                    forks,
                    worker.work,
                    socket,
                    str(tmp_path / "state"),
                    f"worker-{number}",
                    cut,
                    recover,
                    str(notes),
                    over=Quiet(b, f"worker-{number}"),
                )
                # Either at once, or when every lease has ended.
                await b.advance(chance.choice([0.0, 1200.0]) if cut else 1200.0)
        told = dict(line.split()[:2] for line in notes.read_text().splitlines())
        ran = Counter(line.split()[0] for line in notes.read_text().splitlines())
        statuses = await b.statuses(pipeline)

        crashed = {
            each.id[1:].partition("_")[0]
            for each in await b.attempts(pipeline)
            if each.string("errorId") == "RunnerCrashed"
        }
        expected = {name: "FAILED" if name in crashed else EXPECTED[name] for name in EXPECTED}
        assert statuses == expected, "I1, I2"
        assert crashed == set() or recover == "fail"
        for attempt_id, status in told.items():
            name = attempt_id[1:].partition("_")[0]
            assert statuses[name] == status or name in crashed
        assert max(ran.values(), default=0) <= 1 + restarts
        assert [each for each in read_outbox(tmp_path / "state") if each.state == "outcome"] == []


class Quiet:
    """Whether a worker has done nothing for a while but wait for its poll."""

    def __init__(self, b: Bed, name: str) -> None:
        self._b, self._name = b, name
        self._calls, self._since = -1, 0.0

    def __call__(self) -> bool:
        made = [each for each in self._b.calls if each.runner == self._name]
        if len(made) != self._calls:
            self._calls, self._since = len(made), time.monotonic()
        open_calls = [each for each in made if each.reply is None]
        waits = bool(made) and {each.operation for each in open_calls} <= {"PollForTask"}
        return waits and time.monotonic() - self._since > 0.3


@pytest.mark.parametrize("seed", range(CUTS))
async def test_a1_a2_whenever_a_runner_is_killed_no_outcome_is_lost_or_changed(
    forks: ForkServerContext, tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    reading = list(PROFILES.values())[seed % 4]
    recover = ["abandon", "fail", "resume"][seed // 4 % 3]
    # Where a hand-over without a report uses up a try, the service fails such tasks by itself.
    reading = replace(reading, unacknowledged_uses_try=False)

    await crash(forks, tmp_path, reading, chance, restarts=1 + seed % 3, recover=recover)


async def test_a40_the_third_signal_exits_at_once(forks: ForkServerContext, tmp_path: Path) -> None:
    async with bed() as b:
        await b.pipeline(activity())
        notes = tmp_path / "notes"
        async with listening(b, tmp_path) as socket:
            process = forks.Process(target=worker.wait_for_signals, args=(socket, str(notes)))
            process.start()
            pid = process.pid or 0
            await b.really(notes.exists)
            os.kill(pid, signal.SIGTERM)
            await b.really(Path(f"{notes}.stopping").exists)
            assert process.is_alive()
            os.kill(pid, signal.SIGTERM)
            await b.really(Path(f"{notes}.cancelled").exists)
            assert process.is_alive()
            os.kill(pid, signal.SIGTERM)
            await b.really(lambda: not process.is_alive())
            process.join()
            code = process.exitcode
            process.close()

        assert code == 128 + signal.SIGTERM
        assert b.statuses_sent() == []


# -- what is left behind ------------------------------------------------------------------


async def take(b: Bed, name: str = "first") -> TaskObject:
    """Take a task as a runner would."""
    async with b.client(name) as client:
        task = (await client.poll_for_task("etl")).task_object
        assert task is not None
        assert not (await client.report_task_progress(task.task_id)).canceled
    return task


async def leave(
    b: Bed, directory: Path, task: TaskObject, state: RowState, error: str = ""
) -> None:
    """Leave a state directory as a runner does that dies."""
    outbox = FileOutbox(directory, b.clock, keep_tasks=True)
    number = await outbox.assigned(task, "etl", SHELL)
    if state is not RowState.ASSIGNED:
        await outbox.running(number)
    if state is RowState.OUTCOME:
        status = TaskStatus.FAILED if error else TaskStatus.FINISHED
        request = SetTaskStatusRequest(
            task_id=task.task_id, task_status=status, error_id=error or None
        )
        await outbox.ended(number, request)
    outbox.close()


@pytest.mark.parametrize("hours", [0, 1])
@pytest.mark.parametrize("late_failed", ["reprove", "withhold"])
@pytest.mark.parametrize("error", ["", "Broken"], ids=["finished", "failed"])
async def test_a5_an_outcome_that_was_left_behind_is_delivered_before_the_first_poll(
    switches: Switches, tmp_path: Path, hours: int, late_failed: str, error: str
) -> None:
    async with bed(switches) as b:
        await b.pipeline(activity())
        task = await take(b)
        await leave(b, tmp_path, task, RowState.OUTCOME, error)
        await b.advance(hours * 3600)
        runner = b.runner(state_dir=tmp_path, late_failed=late_failed)
        works(b, runner)
        before = len(b.calls)

        async with b.running(runner) as run:
            await run.stop()

        calls = [each for each in b.calls[before:] if each.task_id == task.task_id]
        first_poll = b.made("PollForTask", "runner")[0]
        sent = [each for each in calls if each.operation == "SetTaskStatus"]
        if not error:
            assert sent[0].number < first_poll.number
            assert sent[0].body["taskStatus"] == "FINISHED"
        elif late_failed == "withhold":
            assert [each for each in sent if each.body["taskStatus"] == "FAILED"] == []
        else:
            assert calls[0].operation == "ReportTaskProgress"
            still_ours = calls[0].taken and not calls[0].said["canceled"]
            assert still_ours == (hours == 0)
            assert (
                bool([each for each in sent if each.body["taskStatus"] == "FAILED"]) == still_ours
            )
        assert read_outbox(tmp_path)[0].state in {"delivered", "presumed", "fenced"}


@pytest.mark.parametrize("recover", ["abandon", "fail", "resume"])
@pytest.mark.parametrize("hours", [0, 1])
async def test_a6_what_becomes_of_a_task_whose_handler_was_cut_off(
    switches: Switches, tmp_path: Path, recover: str, hours: int
) -> None:
    async with bed(switches) as b:
        await b.pipeline(activity())
        task = await take(b)
        await leave(b, tmp_path, task, RowState.RUNNING)
        await b.advance(hours * 3600)
        runner = b.runner(state_dir=tmp_path, recover=recover)
        resumed: list[bool] = []

        @runner.handler(SHELL)
        async def handle(task: Task) -> None:
            resumed.append(task.info.resumed)

        b.fault = lambda call: Lose("request", 100) if call.operation == "PollForTask" else None
        async with b.running(runner) as run:
            await b.advance(10)
            await run.stop()

        sent = [each.body.get("errorId", "") for each in b.made("SetTaskStatus", "runner")]
        reports = len(b.made("ReportTaskProgress", "runner"))
        ours = hours == 0
        if recover == "abandon":
            assert (sent, resumed, reports) == ([], [], 0)
        elif recover == "fail":
            assert (sent, resumed) == (["RunnerCrashed"] if ours else [], [])
        else:
            assert (sent, resumed) == ([""] if ours else [], [True] if ours else [])


async def test_a6_a_task_that_was_never_begun_is_left_to_the_service(
    switches: Switches, tmp_path: Path
) -> None:
    async with bed(switches) as b:
        await b.pipeline(activity())
        await leave(b, tmp_path, await take(b), RowState.ASSIGNED)
        runner = b.runner(state_dir=tmp_path, recover="fail")

        async with b.running(runner) as run:
            result = await run.stop()

        assert b.made("ReportTaskProgress", "runner") == []
        assert result.unreported == 1


async def test_a_task_that_was_left_behind_twice_is_taken_over_once(
    switches: Switches, tmp_path: Path
) -> None:
    async with bed(switches) as b:
        await b.pipeline(activity())
        task = await take(b)
        # Its end could not be written, and it was handed over again.
        await leave(b, tmp_path, task, RowState.RUNNING)
        await leave(b, tmp_path, task, RowState.OUTCOME)
        runner = b.runner(state_dir=tmp_path, recover="fail")

        async with b.running(runner) as run:
            result = await run.stop()

        assert (result.exit_code, result.finished, result.unreported) == (0, 1, 1)
        assert b.statuses_sent() == ["FINISHED"]
        assert [each.state for each in read_outbox(tmp_path)] == ["dropped", "delivered"]


# -- the outbox's file --------------------------------------------------------------------


@pytest.mark.skipif(os.name != "posix", reason="there are no such permissions")
async def test_what_is_in_an_outbox_is_for_its_owner_alone(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        outbox = FileOutbox(tmp_path, VirtualClock())
    finally:
        os.umask(before)

    modes = {each.name: each.stat().st_mode & 0o077 for each in tmp_path.glob("outbox*")}
    outbox.close()
    assert modes == dict.fromkeys((f"outbox.sqlite3{each}" for each in ("", "-shm", "-wal")), 0)


async def test_a4_a_second_runner_on_the_directory_is_refused(
    forks: ForkServerContext, tmp_path: Path
) -> None:
    notes = tmp_path / "notes"
    process = forks.Process(target=worker.hold, args=(str(tmp_path / "state"), str(notes)))
    process.start()
    async with bed() as b:
        await b.really(notes.exists)
        with pytest.raises(OutboxError, match=r"another task runner has the state directory"):
            await b.runner(state_dir=tmp_path / "state").run()
        os.kill(process.pid or 0, signal.SIGKILL)
        await b.really(lambda: not process.is_alive())
        process.join()

        async with b.running(b.runner(state_dir=tmp_path / "state")) as run:
            await run.stop()


def spoil(directory: Path, how: str) -> None:
    """Do to an outbox's files what disks and people do."""
    path, wal = directory / "outbox.sqlite3", directory / "outbox.sqlite3-wal"
    if how == "torn wal":
        wal.write_bytes(wal.read_bytes()[:-700])
    elif how == "short wal":
        wal.write_bytes(wal.read_bytes()[:20])
    elif how == "no shm":
        Path(f"{path}-shm").unlink()
    elif how == "no wal":
        wal.unlink()
    elif how == "garbage":
        path.write_bytes(b"no database at all, and long enough to be read as one" * 100)
    elif how == "spoiled page":
        data = bytearray(path.read_bytes())
        data[4096:8192] = os.urandom(4096)
        path.write_bytes(bytes(data))


@pytest.mark.parametrize(
    ("how", "kept"),
    [("torn wal", None), ("short wal", None), ("no shm", True), ("no wal", None),
     ("garbage", False), ("spoiled page", False)],
)  # fmt: skip
async def test_a3_whatever_happened_to_the_files_a_runner_starts_and_loses_nothing_silently(
    switches: Switches,
    tmp_path: Path,
    how: str,
    kept: bool | None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with bed(switches) as b:
        await b.pipeline(activity())
        task = await take(b)
        first = FileOutbox(tmp_path / "first", b.clock)
        number = await first.assigned(task, "etl", SHELL)
        request = SetTaskStatusRequest(task_id=task.task_id, task_status="FINISHED")
        await first.ended(number, request)
        if how in {"garbage", "spoiled page"}:
            first.close()
        # As a crash leaves them: with the log that was not put into the database yet.
        copy = tmp_path / "copy"
        copy.mkdir()
        for each in (tmp_path / "first").glob("outbox*"):
            (copy / each.name).write_bytes(each.read_bytes())
        if how not in {"garbage", "spoiled page"}:
            first.close()
        spoil(copy, how)

        async with b.running(b.runner(state_dir=copy)) as run:
            await run.stop()

        delivered = b.statuses_sent() == ["FINISHED"]
        if kept is not None:
            assert delivered == kept
        if kept is False:
            assert "the outbox is corrupt" in caplog.text
            assert list(copy.glob("*.corrupt-*"))


async def test_a3_a_directory_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    async with bed() as b:
        with pytest.raises(OutboxError, match="cannot use the state directory"):
            await b.runner(state_dir=tmp_path / "file" / "state").run()


async def test_a3_an_outbox_of_a_later_version_is_refused_and_kept(tmp_path: Path) -> None:
    outbox = FileOutbox(tmp_path, VirtualClock())
    outbox.close()
    with sqlite3.connect(tmp_path / "outbox.sqlite3") as database:
        database.execute("PRAGMA user_version = 99")
    database.close()

    async with bed() as b:
        with pytest.raises(OutboxError, match="a later version"):
            await b.runner(state_dir=tmp_path).run()

    assert not list(tmp_path.glob("*.corrupt-*"))


async def test_a3_a_file_that_cannot_be_opened_is_told(tmp_path: Path) -> None:
    (tmp_path / "outbox.sqlite3").mkdir()
    async with bed() as b:
        with pytest.raises(OutboxError, match="cannot use the outbox"):
            await b.runner(state_dir=tmp_path).run()


async def test_a3_a_lock_that_cannot_be_opened_is_told(tmp_path: Path) -> None:
    (tmp_path / "lock").mkdir()
    async with bed() as b:
        with pytest.raises(OutboxError, match="cannot use the state directory"):
            await b.runner(state_dir=tmp_path).run()


async def test_a3_a_lock_that_is_none_is_told(tmp_path: Path) -> None:
    (tmp_path / "lock").write_bytes(b"no database at all" * 1000)
    async with bed() as b:
        with pytest.raises(OutboxError, match="cannot use the state directory"):
            await b.runner(state_dir=tmp_path).run()


class Disk:
    """Lets commits fail from one on, for as many as there are to fail."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.commits = 0
        self.first, self.many = 10**9, 0
        real = FileOutbox._commit
        disk = self

        def commit(outbox: FileOutbox, batch: Any) -> None:
            disk.commits += 1
            full = disk.first <= disk.commits < disk.first + disk.many
            pages = outbox._database.execute("PRAGMA page_count").fetchone()[0]
            limit = pages if full else 2**30
            outbox._database.execute(f"PRAGMA max_page_count = {limit}")
            if full:  # what fits into the pages that are there would still be taken
                for write in batch:
                    write.statement = "INSERT INTO runner VALUES (zeroblob(1000000) || ?)"
                    write.arguments = write.arguments[:1] or ("",)
            real(outbox, batch)

        monkeypatch.setattr(FileOutbox, "_commit", commit)


@pytest.mark.parametrize("first", range(1, 6))
async def test_a3_row_28_a_full_disk_at_any_commit_loses_nothing(
    switches: Switches, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: int
) -> None:
    """Each of the first commits fails, once or three times: each of that under two readings."""
    many = [1, 3][(first + list(PROFILES.values()).index(switches)) % 2]
    async with bed(switches) as b:
        # A task that cannot be written down is not begun: that may use up a try.
        two = activity("Two", dependsOn={"ref": "One"})
        pipeline = await b.pipeline(activity("One"), two, retries=3)
        disk = Disk(monkeypatch)
        disk.first, disk.many = first, many
        runner = b.runner(state_dir=tmp_path)
        works(b, runner)

        async with b.running(runner) as run:
            await b.until(lambda: len(b.told("delivered")) == 2, limit=3000, step=10)
            await b.until(lambda: runner.health.problems == (), limit=120, step=10)
            await run.stop()

        assert set((await b.statuses(pipeline)).values()) == {"FINISHED"}
        assert b.told("outbox") != []


async def test_row_28_while_the_disk_is_full_no_task_is_begun_and_the_others_end(
    switches: Switches, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with bed(switches) as b:
        pipeline = await b.pipeline(activity("One"))
        disk = Disk(monkeypatch)
        runner = b.runner(state_dir=tmp_path)
        works(b, runner, seconds=20)

        async with b.running(runner) as run:
            disk.first, disk.many = 2, 10**6
            await b.advance(30)
            assert await b.statuses(pipeline) == {"One": "FINISHED"}
            assert runner.health.status == "degraded"
            later = await b.pipeline(activity("Late"), retries=1)
            polls = len(b.made("PollForTask"))
            await b.advance(300)
            assert len(b.made("PollForTask")) <= polls + 1
            assert len(b.had) == 1
            disk.many = 0
            await b.until(lambda: len(b.told("delivered")) == 2, limit=900, step=10)
            await run.stop()

        assert await b.statuses(later) == {"Late": "FINISHED"}


def test_an_outbox_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(OutboxError, match="there is no outbox"):
        read_outbox(tmp_path)


def test_an_outbox_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "outbox.sqlite3").write_bytes(b"no database" * 1000)
    with pytest.raises(OutboxError, match=r"cannot read.*not a database.*move it away"):
        read_outbox(tmp_path)


def test_a_database_that_is_no_outbox_is_told(tmp_path: Path) -> None:
    (tmp_path / "outbox.sqlite3").touch()
    with pytest.raises(OutboxError, match=r"cannot read.*no such table"):
        read_outbox(tmp_path)


def test_a_row_that_somebody_else_wrote_is_told_without_what_is_in_it(tmp_path: Path) -> None:
    FileOutbox(tmp_path, SystemClock()).close()
    with closing(sqlite3.connect(tmp_path / "outbox.sqlite3")) as database, database:
        database.execute(
            "INSERT INTO task VALUES (1, '@A', 'df-1', 'etl', 'Job', 'outcome', '', '', 'hunter2', "
            "'', 1, 2)"
        )
    with pytest.raises(OutboxError, match="a row in it is none of a task runner") as caught:
        read_outbox(tmp_path)

    assert "hunter2" not in str(caught.value)


async def test_an_outbox_can_be_read_while_a_runner_has_it(
    switches: Switches, tmp_path: Path
) -> None:
    async with bed(switches) as b:
        await b.pipeline(activity("Good"), activity("Bad", command="false"))
        runner = b.runner(state_dir=tmp_path)

        @runner.handler(SHELL)
        async def handle(task: Task) -> None:
            if task.object.string("command") == "false":
                raise ValueError("bad")

        async with b.running(runner) as run:
            rows = {each.attempt_id[1:].partition("_")[0]: each for each in read_outbox(tmp_path)}
            await run.stop()

        assert rows["Good"].state is RowState.DELIVERED
        assert (rows["Bad"].status, rows["Bad"].error_id) == ("FAILED", "ValueError")
        assert (tmp_path / "outbox.sqlite3").stat().st_mode & 0o077 == 0
