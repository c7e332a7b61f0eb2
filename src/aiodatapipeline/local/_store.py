"""The state of the service: an SQLite database, in a file or in memory.

Everything that must outlive the process is in here and nowhere else. Requests change it in
units, which happen or do not; the units of some turns of the event loop are a batch, which is
committed as one, and whoever has been told something waits for the batch that he was told it
from. So an answer is on disk before it is given, and 32 answers cost one sync. A unit that comes
alone is committed in the next turn; where there are several, more are waited for, not for a time
but for as long as they come.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
import stat
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeAlias

from aiodatapipeline.local._schema import APPLICATION_ID, VERSIONS

_log = logging.getLogger(__name__)

MEMORY = ":memory:"
# Kilobytes of pages that SQLite keeps in memory.
_CACHE = 32_000
# A request has its unit so many turns of the loop after its bytes were there: one wakes its
# connection, one starts its task. Where several came at once, others are on their way.
_TURNS = 3
# Units that share one sync, and wait for no more.
_CROWD = 64
# Seconds that a file is waited for that another process has: one that stops needs no longer.
_PATIENCE = 0.5

Row: TypeAlias = tuple[Any, ...]
"""What a statement gives: its columns have the types of the schema."""
Argument: TypeAlias = str | int | float | None


class StoreError(Exception):
    """A store cannot be opened or written."""


class Batch:
    """Units that are on disk together, or did not happen together."""

    __slots__ = ("_failure", "_settled", "_waiting", "units")

    units: int
    """How many it has."""

    def __init__(self, *, settled: bool = False) -> None:
        self._settled, self._failure = settled, ""
        self._waiting: list[asyncio.Future[None]] = []
        self.units = 0

    async def durable(self) -> None:
        """Wait until it is on disk.

        Raises:
            StoreError: It could not be written, and did not happen.
        """
        if not self._settled:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(waiter)
            await waiter
        if self._failure:
            raise StoreError(self._failure)

    def settle(self, failure: str = "") -> None:
        """Tell whoever waits that it is on disk, or why it is not."""
        self._settled, self._failure = True, failure
        for waiter in self._waiting:
            if not waiter.done():  # nobody has cancelled it
                waiter.set_result(None)
        self._waiting.clear()


class Store:
    """A database, used by one event loop."""

    def __init__(
        self,
        path: str,
        *,
        on_rollback: Callable[[], None] = lambda: None,
        on_loss: Callable[[], None] = lambda: None,
    ) -> None:
        """Open a store; a file that is not there is made.

        Args:
            path: Of the file, or ``:memory:``.
            on_rollback: Called when a unit is taken back: whatever was remembered of it is
                wrong.
            on_loss: Called when a batch could not be written: so is whatever was remembered of
                units that had happened.

        Raises:
            StoreError: It is no store, a newer one, in use, or cannot be read or written.
        """
        self._path = path
        self._on_rollback, self._on_loss = on_rollback, on_loss
        self._batch = self._settled = Batch(settled=True)
        if not path or "\0" in path:  # SQLite would keep it in a file without a name
            raise StoreError(f"cannot open the store {path!r}: that is no name of a file")
        # SQLite may take a name that begins with "file:" for a URI, and no absolute path.
        name = path if path == MEMORY else str(Path(path).absolute())
        if path != MEMORY:
            # There are secrets in it, and SQLite gives the files beside it its permissions.
            with suppress(OSError):  # it is there, or SQLite finds out why it cannot be
                os.close(os.open(name, os.O_CREAT | os.O_EXCL, 0o600))
        try:
            self._db = sqlite3.connect(
                name, isolation_level=None, cached_statements=512, timeout=_PATIENCE
            )
        except sqlite3.Error as error:
            raise StoreError(self._explained(error)) from error
        try:
            self._prepare()
        except sqlite3.Error as error:
            self._db.close()
            raise StoreError(self._explained(error)) from error
        except StoreError:
            self._db.close()
            raise

    def _prepare(self) -> None:
        execute = self._db.execute
        if self._path != MEMORY:
            # Of one process for as long as it lives; also, no memory is shared with others then.
            execute("PRAGMA locking_mode=EXCLUSIVE")
            self._version()  # before anything is changed in a file of somebody else
            execute("PRAGMA journal_mode=WAL")
            execute("PRAGMA synchronous=FULL")
        execute("PRAGMA temp_store=MEMORY")  # or units would need files of their own
        execute(f"PRAGMA cache_size=-{_CACHE}")
        execute("BEGIN IMMEDIATE")
        version = self._version()
        for number, script in enumerate(VERSIONS[version:], version + 1):
            for statement in script.split(";"):
                execute(statement)
            execute(f"PRAGMA user_version={number}")
        execute(f"PRAGMA application_id={APPLICATION_ID}")
        execute("COMMIT")

    def _version(self) -> int:
        """Give the version of the tables; 0 when there are none.

        Raises:
            StoreError: They are somebody else's, or of a version that is not known here.
        """
        version, application, tables = (
            self._db.execute(sql).fetchone()[0]
            for sql in (
                "PRAGMA user_version",
                "PRAGMA application_id",
                "SELECT count(*) FROM sqlite_master",
            )
        )
        if application != APPLICATION_ID and (application or tables or version):
            raise StoreError(
                f"{self._path!r} is no store of a local service: another program's data is in it"
            )
        if version > len(VERSIONS):
            raise StoreError(
                f"the store {self._path!r} was made by a newer version of this package "
                f"(version {version}, and this knows {len(VERSIONS)}): use that one"
            )
        return int(version)

    def _explained(self, error: sqlite3.Error) -> str:
        match error.sqlite_errorname.split("_")[:2]:
            case [_, "BUSY"]:
                return (
                    f"the store {self._path!r} is in use: another service has it open, and only "
                    "one can at a time"
                )
            case [_, "NOTADB"]:
                return f"{self._path!r} is no store of a local service: it is no SQLite database"
            case [_, "READONLY"]:
                return f"cannot open the store {self._path!r}: it must not be written"
            case [_, "CANTOPEN" | "IOERR"]:
                why = _seen_at(Path(self._path)) or error
                return f"cannot open the store {self._path!r}: {why}"
            case _:
                return f"cannot open the store {self._path!r}: {error}"

    # -- reading and writing --------------------------------------------------------------

    def one(self, sql: str, *arguments: Argument) -> Row | None:
        """Give the first row of a query, or None."""
        row: Row | None = self._db.execute(sql, arguments).fetchone()
        return row

    def the(self, sql: str, *arguments: Argument) -> Row:
        """Give the first row of a query that has one."""
        row = self.one(sql, *arguments)
        assert row is not None, sql  # noqa: S101  # as its caller knows
        return row

    def all(self, sql: str, *arguments: Argument) -> list[Row]:
        """Give all rows of a query."""
        return self._db.execute(sql, arguments).fetchall()

    def do(self, sql: str, *arguments: Argument) -> int:
        """Carry out a statement, within a unit; give how many rows it changed."""
        return self._db.execute(sql, arguments).rowcount

    def insert(self, sql: str, *arguments: Argument) -> int:
        """Insert a row, within a unit; give its number."""
        seq = self._db.execute(sql, arguments).lastrowid
        assert seq is not None  # noqa: S101  # an INSERT has one
        return seq

    def many(self, sql: str, rows: Sequence[tuple[Argument, ...]]) -> None:
        """Carry out a statement once for each row, within a unit."""
        self._db.executemany(sql, rows)

    @property
    def batch(self) -> Batch:
        """What has to be on disk before anybody is told what can be read now."""
        return self._batch

    @contextmanager
    def unit(self) -> Generator[Batch, None, None]:
        """Let what is inside happen, or, if it raises, not.

        Yields:
            What it happens with: it must be on disk before anybody is told of it.

        Raises:
            StoreError: The file cannot be written.
        """
        batch = self._begin()
        try:
            yield batch
            self._db.execute("RELEASE unit")
        except BaseException as error:
            self._take_back(batch, error)
            if isinstance(error, sqlite3.OperationalError):
                raise StoreError(self._unwritten(error)) from error
            raise

    def _begin(self) -> Batch:
        try:
            if self._batch is self._settled and self._path != MEMORY:
                self._db.execute("BEGIN IMMEDIATE")
                self._batch = Batch()
                asyncio.get_running_loop().call_soon(self._gather, self._batch, 1, _TURNS)
            self._db.execute("SAVEPOINT unit")
            self._batch.units += 1
        except sqlite3.Error as error:
            raise StoreError(self._unwritten(error)) from error
        return self._batch

    def _take_back(self, batch: Batch, error: BaseException) -> None:
        self._on_rollback()
        if self._db.in_transaction:
            self._db.execute("ROLLBACK TO unit")
            self._db.execute("RELEASE unit")
        elif batch is not self._settled:
            # SQLite itself has taken everything back, as it does when the disk is full.
            self._lose(batch, error)

    def _gather(self, batch: Batch, units: int, turns: int) -> None:
        """Commit a batch when it is alone, or no more units come to it.

        Args:
            batch: It may have been lost, or committed as the store was closed.
            units: How many it had before.
            turns: Of the loop that are left for others to come.
        """
        if batch is not self._batch or batch is self._settled:
            return
        if batch.units > units:
            turns = _TURNS
        if turns and 1 < batch.units < _CROWD:
            loop = asyncio.get_running_loop()
            loop.call_soon(self._gather, batch, batch.units, turns - 1)
        else:
            self._commit(batch)

    def _commit(self, batch: Batch) -> None:
        try:
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            self._lose(batch, error)
            return
        self._batch = self._settled
        batch.settle()

    def _lose(self, batch: Batch, error: BaseException) -> None:
        _log.error("%s; what was not on disk yet is lost", self._unwritten(error))
        self._batch = self._settled
        batch.settle(self._unwritten(error))
        self._on_loss()

    def _unwritten(self, error: BaseException) -> str:
        return f"cannot write the store {self._path!r}: {error}"

    def empty(self) -> None:
        """Forget everything, within a unit."""
        for (name,) in self.all("SELECT name FROM sqlite_master WHERE type = 'table'"):
            self._db.execute(f'DELETE FROM "{name}"')  # noqa: S608  # its own tables

    def close(self) -> None:
        """Write what is not on disk yet, and close the file."""
        if self._batch is not self._settled:
            self._commit(self._batch)
        self._db.close()


def _seen_at(path: Path) -> str:
    """Say why a file cannot be opened, if that can be seen."""
    try:
        directory = stat.S_ISDIR(path.parent.stat().st_mode)
    except PermissionError:
        return "its directory cannot be looked into"
    except OSError:
        directory = False
    if not directory:
        return "its directory is not there"
    if os.path.isdir(path):  # noqa: PTH112  # never raises
        return "it is a directory"
    for each, what in ((path, "it"), (path.parent, "its directory")):
        if os.access(each, os.F_OK) and not os.access(each, os.W_OK):
            return f"{what} must not be written"
    return ""
