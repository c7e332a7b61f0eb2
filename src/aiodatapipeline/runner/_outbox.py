"""What must outlive a crash: which tasks are begun, and outcomes the service does not have yet.

A file of SQLite in write-ahead mode, synced at every commit. Writes that come together share a
commit. See docs/explanation/outbox.md.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import sqlite3
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from aiodatapipeline._clock import Clock
from aiodatapipeline._text import clean
from aiodatapipeline.errors import DataPipelineError
from aiodatapipeline.models import TaskObject, TaskStatus
from aiodatapipeline.operations import SetTaskStatusRequest
from aiodatapipeline.runner._task import LOGGER

_VERSION = 1
_SCHEMA = """
CREATE TABLE task (
    number INTEGER PRIMARY KEY,
    attempt_id TEXT NOT NULL,
    pipeline_id TEXT NOT NULL,
    worker_group TEXT NOT NULL,
    type TEXT NOT NULL,
    state TEXT NOT NULL,
    task_id TEXT,
    task TEXT,
    outcome TEXT,
    why TEXT NOT NULL DEFAULT '',
    created REAL NOT NULL,
    changed REAL NOT NULL
);
CREATE INDEX task_by_state ON task (state);
CREATE TABLE runner (id TEXT NOT NULL);
"""
# What is over stays for people to look at: so many rows, and so many seconds.
_KEPT_ROWS, _KEPT_SECONDS = 10_000, 7 * 86_400.0
# How many tasks end before old rows are looked for.
_PRUNE_EVERY = 1000


class OutboxError(DataPipelineError):
    """The state directory cannot be used: another runner has it, or it cannot be written."""


class RowState(StrEnum):
    """How far a task has come."""

    ASSIGNED = "assigned"
    """It was handed over, and its handler has not begun."""
    RUNNING = "running"
    """Its handler is at work, or was cut off by a crash."""
    OUTCOME = "outcome"
    """Its handler is over, and the service does not have the outcome yet."""
    DELIVERED = "delivered"
    """The service has its outcome."""
    PRESUMED = "presumed"
    """The service knew it no more, after an answer was lost: it has the outcome, as far as one
    can tell."""
    FENCED = "fenced"
    """It was not ours any more, so the outcome was not taken."""
    DROPPED = "dropped"
    """There is no outcome of ours."""


UNFINISHED = (RowState.ASSIGNED, RowState.RUNNING, RowState.OUTCOME)


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """A task that a runner has or had."""

    number: int
    attempt_id: str
    pipeline_id: str
    worker_group: str
    type: str
    state: RowState
    status: TaskStatus | None
    """The outcome; None if there is none."""
    error_id: str | None
    error_message: str | None
    why: str
    """What led to the state, for people."""
    created: datetime
    changed: datetime


@dataclass(frozen=True, slots=True)
class Unfinished:
    """What a runner that crashed left behind."""

    number: int
    attempt_id: str
    pipeline_id: str
    worker_group: str
    type: str
    state: RowState
    task_id: str
    task: TaskObject | None
    request: SetTaskStatusRequest | None


class Outbox(Protocol):
    """Where tasks and their outcomes are written down."""

    runner_id: str
    error: str
    """Why nothing can be written at the moment; empty if it can."""

    def unfinished(self) -> Sequence[Unfinished]:
        """Give what an earlier runner left behind."""
        ...

    async def assigned(self, task: TaskObject, worker_group: str, kind: str) -> int:
        """Write down that a task came, and give its row's number.

        Raises:
            OutboxError: It cannot be written.
        """
        ...

    async def running(self, number: int) -> None:
        """Write down that a task's handler begins. Raises as ``assigned``."""
        ...

    async def ended(self, number: int, request: SetTaskStatusRequest) -> None:
        """Write down how a task ended. Raises as ``assigned``."""
        ...

    async def over(self, number: int, state: RowState, why: str) -> None:
        """Write down that nothing is left to do for a task. Raises as ``assigned``."""
        ...

    async def probe(self) -> None:
        """Find out whether it can be written again. Raises as ``assigned``."""
        ...

    def close(self) -> None:
        """Let another runner have it."""
        ...


class NoOutbox:
    """Keeps nothing."""

    error = ""

    def __init__(self) -> None:
        self.runner_id = str(uuid.uuid4())
        self._numbers = itertools.count(1)

    def unfinished(self) -> Sequence[Unfinished]:
        """Give nothing."""
        return ()

    async def assigned(self, task: TaskObject, worker_group: str, kind: str) -> int:  # noqa: ARG002
        """Count."""
        return next(self._numbers)

    async def running(self, number: int) -> None:
        """Do nothing."""

    async def ended(self, number: int, request: SetTaskStatusRequest) -> None:
        """Do nothing."""

    async def over(self, number: int, state: RowState, why: str) -> None:
        """Do nothing."""

    async def probe(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


class _Write:
    """A statement that waits for the next commit."""

    __slots__ = ("arguments", "done", "error", "result", "statement")

    def __init__(self, statement: str, arguments: tuple[object, ...]) -> None:
        self.statement, self.arguments = statement, arguments
        self.done, self.error, self.result = False, "", 0


class FileOutbox:
    """Keeps it in a directory.

    Args:
        directory: It is made if need be. One runner at a time can have it.
        clock: What time it is.
        keep_tasks: Whether to keep the fields of tasks, which a later runner needs to resume.

    Raises:
        OutboxError: Another runner has the directory, or it cannot be used.
    """

    def __init__(self, directory: Path, clock: Clock, *, keep_tasks: bool = False) -> None:
        self.error = ""
        self._directory, self._clock, self._keep_tasks = directory, clock, keep_tasks
        self._path = directory / "outbox.sqlite3"
        self._ended = itertools.count(1)
        self._waiting: list[_Write] = []
        self._turn = asyncio.Lock()
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = self._take_lock()
        except (OSError, sqlite3.Error) as error:
            why = getattr(error, "strerror", None) or error
            raise OutboxError(
                f"cannot use the state directory {directory}: {why}. Name another one, or mend it"
            ) from error
        try:
            self._database = self._open_or_replace()
            self.runner_id = self._find_runner_id()
        except (OSError, sqlite3.Error) as error:
            self._lock.close()
            raise OutboxError(f"cannot use the outbox {self._path}: {error}") from error
        except BaseException:
            self._lock.close()
            raise
        self._thread = ThreadPoolExecutor(1, "aiodatapipeline-outbox")

    # -- opening --------------------------------------------------------------------------

    def _take_lock(self) -> sqlite3.Connection:
        # SQLite locks files on every system, and a lock ends with its process.
        lock = sqlite3.connect(
            self._directory / "lock", timeout=0, isolation_level=None, check_same_thread=False
        )
        try:
            lock.execute("BEGIN EXCLUSIVE")
        except sqlite3.Error as error:
            lock.close()
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                raise
            raise OutboxError(
                f"another task runner has the state directory {self._directory}: stop that one, "
                "or give this one a directory of its own"
            ) from error
        return lock

    def _open_or_replace(self) -> sqlite3.Connection:
        try:
            return self._open()
        except sqlite3.OperationalError:
            raise  # about the disk, not about what is on it
        except sqlite3.DatabaseError as error:
            aside = f"{self._path}.corrupt-{datetime.now(UTC):%Y%m%dT%H%M%S}"
            for suffix in ("", "-wal", "-shm"):
                found = Path(f"{self._path}{suffix}")
                if found.exists():
                    found.rename(f"{aside}{suffix}")
            LOGGER.error(
                "the outbox is corrupt (%s): it is now %s, and a new one begins. Outcomes that "
                "were in it are not delivered",
                error,
                aside,
            )
            return self._open()

    def _open(self) -> sqlite3.Connection:
        # Before SQLite makes it, which gives the files beside it the permissions that it has.
        self._path.touch(mode=0o600)
        database = sqlite3.connect(
            self._path, timeout=5.0, isolation_level=None, check_same_thread=False
        )
        try:
            self._prepare(database)
        except BaseException:
            database.close()
            raise
        self._path.chmod(0o600)
        return database

    def _prepare(self, database: sqlite3.Connection) -> None:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        checked = database.execute("PRAGMA quick_check(1)").fetchone()[0]
        if checked != "ok":
            raise sqlite3.DatabaseError(checked)
        version = database.execute("PRAGMA user_version").fetchone()[0]
        if version > _VERSION:
            raise OutboxError(
                f"the outbox {self._path} was written by a later version of aiodatapipeline "
                f"(its format is {version}, known are up to {_VERSION}): update, or take "
                "another state directory"
            )
        if version == 0:
            database.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {_VERSION}; COMMIT;")

    def _find_runner_id(self) -> str:
        found = self._database.execute("SELECT id FROM runner").fetchone()
        if found is None:
            found = (str(uuid.uuid4()),)
            self._database.execute("INSERT INTO runner VALUES (?)", found)
        return str(found[0])

    # -- reading --------------------------------------------------------------------------

    def unfinished(self) -> Sequence[Unfinished]:
        """Give what an earlier runner left behind, the oldest first."""
        rows = self._database.execute(
            "SELECT number, attempt_id, pipeline_id, worker_group, type, state, task_id, task, "
            "outcome FROM task WHERE state IN (?, ?, ?) ORDER BY number",
            UNFINISHED,
        )
        return [
            Unfinished(
                row[0],
                row[1],
                row[2],
                row[3],
                row[4],
                RowState(row[5]),
                row[6],
                TaskObject.from_wire(json.loads(row[7])) if row[7] else None,
                SetTaskStatusRequest.from_wire(json.loads(row[8])) if row[8] else None,
            )
            for row in rows
        ]

    # -- writing --------------------------------------------------------------------------

    async def assigned(self, task: TaskObject, worker_group: str, kind: str) -> int:
        """Write down that a task came. See ``Outbox``."""
        now = self._clock.time()
        return await self._write(
            "INSERT INTO task (attempt_id, pipeline_id, worker_group, type, state, task_id, task, "
            "created, changed) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            # For people, and no database takes half of a surrogate pair.
            clean(task.attempt_id),
            clean(task.pipeline_id),
            worker_group,
            clean(kind),
            RowState.ASSIGNED,
            task.task_id,
            json.dumps(task.to_wire()) if self._keep_tasks else None,
            now,
            now,
        )

    async def running(self, number: int) -> None:
        """Write down that a task's handler begins. See ``Outbox``."""
        await self._write(
            "UPDATE task SET state = ?, changed = ? WHERE number = ?",
            RowState.RUNNING,
            self._clock.time(),
            number,
        )

    async def ended(self, number: int, request: SetTaskStatusRequest) -> None:
        """Write down how a task ended. See ``Outbox``."""
        await self._write(
            "UPDATE task SET state = ?, outcome = ?, task = NULL, changed = ? WHERE number = ?",
            RowState.OUTCOME,
            json.dumps(request.to_wire()),
            self._clock.time(),
            number,
        )

    async def over(self, number: int, state: RowState, why: str) -> None:
        """Write down that nothing is left to do for a task. See ``Outbox``."""
        now = self._clock.time()
        if next(self._ended) % _PRUNE_EVERY == 0:
            self._waiting.append(
                _Write(
                    "DELETE FROM task WHERE state NOT IN (?, ?, ?) AND (changed < ? OR number < ?)",
                    (*UNFINISHED, now - _KEPT_SECONDS, number - _KEPT_ROWS),
                )
            )
        await self._write(
            # The right to report on the task is of no use any more.
            "UPDATE task SET state = ?, why = ?, task_id = NULL, task = NULL, changed = ? "
            "WHERE number = ?",
            state,
            why,
            now,
            number,
        )

    async def probe(self) -> None:
        """Find out whether it can be written again. See ``Outbox``."""
        await self._write("UPDATE runner SET id = id")

    async def _write(self, statement: str, *arguments: object) -> int:
        write = _Write(statement, arguments)
        self._waiting.append(write)
        async with self._turn:
            if not write.done:
                # Whoever comes first commits for all; the one thread keeps the order, even
                # when somebody is cancelled while it is at it.
                batch, self._waiting = self._waiting, []
                with self._clock.working():
                    loop = asyncio.get_running_loop()
                    await loop.run_in_executor(self._thread, self._commit, batch)
        if write.error:
            raise OutboxError(f"cannot write the outbox {self._path}: {write.error}")
        return write.result

    def _commit(self, batch: Sequence[_Write]) -> None:
        problem = self._make(batch)
        if problem and len(batch) > 1:
            # One that cannot be made, whatever is in it, costs no other.
            problem = ""
            for write in batch:
                problem = self._make([write]) or problem
        self.error = problem

    def _make(self, batch: Sequence[_Write]) -> str:
        """Make all of some writes, or none; say why not, or nothing."""
        problem = ""
        try:
            self._database.execute("BEGIN IMMEDIATE")
            for write in batch:
                write.result = (
                    self._database.execute(write.statement, write.arguments).lastrowid or 0
                )
            self._database.execute("COMMIT")
        except (sqlite3.Error, UnicodeError) as error:
            problem = str(error) or type(error).__name__
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
        for write in batch:
            write.error, write.done = problem, True
        return problem

    def close(self) -> None:
        """Let another runner have it."""
        self._thread.shutdown()
        self._database.close()
        self._lock.close()


def read_outbox(state_dir: str | os.PathLike[str]) -> tuple[OutboxRow, ...]:
    """Give what is in the outbox of a state directory, the oldest first.

    It only looks, and may do so while a runner is at work.

    Raises:
        OutboxError: There is no outbox, or it cannot be read.
    """
    path = Path(state_dir) / "outbox.sqlite3"
    if not path.is_file():
        raise OutboxError(
            f"there is no outbox in {os.fspath(state_dir)!r}: name the state directory of a runner"
        )
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
            rows = database.execute(
                "SELECT number, attempt_id, pipeline_id, worker_group, type, state, "
                "outcome, why, created, changed FROM task ORDER BY number"
            ).fetchall()
        return tuple(map(_row, rows))
    except sqlite3.OperationalError as error:
        raise OutboxError(f"cannot read the outbox {path}: {error}") from error
    except (sqlite3.DatabaseError, ValueError) as error:
        # What is wrong with a row would tell what is in it.
        why = error if isinstance(error, sqlite3.Error) else "a row in it is none of a task runner"
        raise OutboxError(
            f"cannot read the outbox {path}: {why}. Mend it, or move it away and have a task "
            "runner begin a new one: outcomes that are in it are not delivered then"
        ) from error


def _row(row: Sequence[Any]) -> OutboxRow:
    request = SetTaskStatusRequest.from_wire(json.loads(row[6])) if row[6] else None
    return OutboxRow(
        row[0],
        row[1],
        row[2],
        row[3],
        row[4],
        RowState(row[5]),
        request.task_status if request else None,
        request.error_id if request else None,
        request.error_message if request else None,
        row[7],
        datetime.fromtimestamp(row[8], UTC),
        datetime.fromtimestamp(row[9], UTC),
    )
