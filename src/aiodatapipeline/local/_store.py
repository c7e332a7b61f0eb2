"""The state of the service: an SQLite database, in a file or in memory.

Everything that must outlive the process is in here and nowhere else. Requests change it in
units, which happen or do not; the units of one turn of the event loop are committed together,
and whoever has been told something waits for that first. So an answer is on disk before it is
given, and 32 answers cost one sync.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

from aiodatapipeline.local._schema import APPLICATION_ID, VERSIONS

_log = logging.getLogger(__name__)

MEMORY = ":memory:"
# Kilobytes of pages that SQLite keeps in memory.
_CACHE = 32_000

Row: TypeAlias = tuple[Any, ...]
"""What a statement gives: its columns have the types of the schema."""
Argument: TypeAlias = str | int | float | None


class StoreError(Exception):
    """A store cannot be opened or written."""


class Store:
    """A database, used by one event loop."""

    def __init__(self, path: str, *, on_rollback: Callable[[], None] = lambda: None) -> None:
        """Open a store; a file that is not there is made.

        Args:
            path: Of the file, or ``:memory:``.
            on_rollback: Called when units are taken back that had happened: whatever was
                remembered of them is wrong.

        Raises:
            StoreError: It is no store, a newer one, in use, or cannot be read or written.
        """
        self._path = path
        self._on_rollback = on_rollback
        self._waiting: list[asyncio.Future[None]] = []
        self._begun = False
        try:
            self._db = sqlite3.connect(path, isolation_level=None, cached_statements=512)
        except sqlite3.Error as error:
            raise StoreError(f"cannot open the store {path!r}: {error}") from error
        try:
            self._prepare()
        except sqlite3.Error as error:
            self._db.close()
            raise StoreError(self._explained(error)) from error
        except StoreError:
            self._db.close()
            raise

    @property
    def path(self) -> str:
        """The file, or ``:memory:``."""
        return self._path

    def _prepare(self) -> None:
        execute = self._db.execute
        if self._path != MEMORY:
            # Of one process for as long as it lives; also, no memory is shared with others then.
            execute("PRAGMA locking_mode=EXCLUSIVE")
            execute("PRAGMA journal_mode=WAL")
            execute("PRAGMA synchronous=FULL")
        execute(f"PRAGMA cache_size=-{_CACHE}")
        execute("BEGIN IMMEDIATE")
        (version,) = execute("PRAGMA user_version").fetchone()
        (application,) = execute("PRAGMA application_id").fetchone()
        (tables,) = execute("SELECT count(*) FROM sqlite_master").fetchone()
        if application != APPLICATION_ID and (tables or version):
            raise StoreError(f"{self._path!r} is a database, and no store of a local service")
        if version > len(VERSIONS):
            raise StoreError(
                f"the store {self._path!r} was made by a newer version of this package "
                f"(version {version}, and this knows {len(VERSIONS)}): use that one"
            )
        for number, script in enumerate(VERSIONS[version:], version + 1):
            for statement in script.split(";"):
                execute(statement)
            execute(f"PRAGMA user_version={number}")
        execute(f"PRAGMA application_id={APPLICATION_ID}")
        execute("COMMIT")

    def _explained(self, error: sqlite3.Error) -> str:
        what = str(error)
        if "locked" in what:
            return (
                f"the store {self._path!r} is in use: another process serves it, "
                "and only one can at a time"
            )
        if "not a database" in what:
            return f"{self._path!r} is no store of a local service: it is no SQLite database"
        if not Path(self._path).parent.is_dir():
            return f"cannot open the store {self._path!r}: its directory is not there"
        return f"cannot open the store {self._path!r}: {what}"

    # -- reading and writing --------------------------------------------------------------

    def one(self, sql: str, *arguments: Argument) -> Row | None:
        """Give the first row of a query, or None."""
        row: Row | None = self._db.execute(sql, arguments).fetchone()
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

    @contextmanager
    def unit(self) -> Generator[None, None, None]:
        """Let what is inside happen, or, if it raises, not.

        Raises:
            StoreError: The file cannot be written.
        """
        try:
            if not self._begun and self._path != MEMORY:
                self._db.execute("BEGIN IMMEDIATE")
                self._begun = True
                asyncio.get_running_loop().call_soon(self._commit)
            self._db.execute("SAVEPOINT unit")
        except sqlite3.Error as error:
            raise StoreError(f"cannot write the store {self._path!r}: {error}") from error
        try:
            yield
            self._db.execute("RELEASE unit")
        except BaseException as error:
            self._take_back()
            if isinstance(error, sqlite3.OperationalError):
                raise StoreError(f"cannot write the store {self._path!r}: {error}") from error
            raise

    def _take_back(self) -> None:
        self._on_rollback()
        if self._db.in_transaction:
            self._db.execute("ROLLBACK TO unit")
            self._db.execute("RELEASE unit")
        else:  # SQLite itself has rolled back, as it does when the disk is full
            self._fail(StoreError(f"the store {self._path!r} was rolled back"))

    async def durable(self) -> None:
        """Wait until all that was changed so far is on disk.

        Raises:
            StoreError: It could not be written, and did not happen.
        """
        if self._begun:
            waiter = asyncio.get_running_loop().create_future()
            self._waiting.append(waiter)
            await waiter

    def _commit(self) -> None:
        if not self._begun:
            return
        try:
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            _log.exception(
                "cannot write the store %s: what was not on disk yet is lost", self._path
            )
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            self._on_rollback()
            failure = StoreError(f"cannot write the store {self._path!r}: {error}")
            failure.__cause__ = error
            self._fail(failure)
            return
        self._begun = False
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            if not waiter.done():
                waiter.set_result(None)

    def _fail(self, failure: StoreError) -> None:
        self._begun = False
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            if not waiter.done():
                waiter.set_exception(failure)

    def empty(self) -> None:
        """Forget everything, within a unit."""
        for (name,) in self.all("SELECT name FROM sqlite_master WHERE type = 'table'"):
            self._db.execute(f'DELETE FROM "{name}"')  # noqa: S608  # its own tables

    def close(self) -> None:
        """Write what is not on disk yet, and close the file."""
        self._commit()
        self._db.close()
