"""Databases, over SQLAlchemy. It is imported when the first of them is used.

All of it blocks, so it runs in a thread of its own.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import sqlalchemy
from sqlalchemy import exc
from sqlalchemy.pool import NullPool

from aiodatapipeline.runner._task import TaskFailed
from aiodatapipeline.runner.builtin._databases import Login
from aiodatapipeline.runner.builtin._halt import Halt
from aiodatapipeline.runner.builtin._records import BATCH, text_of
from aiodatapipeline.runner.builtin._statements import Statement

_PLACEHOLDERS = {"qmark": "?", "format": "%s", "pyformat": "%s"}
# What SQLite has types for; the rest it gets as text, of which its columns make what they are of.
_SQLITE: tuple[type, ...] = (str, int, float, bytes, bytearray, memoryview, type(None))

Rows = Sequence[Sequence[object]]
Mode = Literal["write", "read", "each"]
"""One transaction that writes, one that reads, or one for each statement."""


class Session:
    """A connection to a database, for the thread that opened it.

    Every method raises TaskFailed if the database refuses, without a password in its texts, and
    StoppedError if somebody says to stop.

    Args:
        connection: The connection.
        login: Where it leads.
        halt: Says when to stop.
    """

    def __init__(self, connection: sqlalchemy.Connection, login: Login, halt: Halt) -> None:
        self.kind = login.kind
        self._connection, self._login, self._halt = connection, login, halt
        self._placeholder = _PLACEHOLDERS[connection.dialect.paramstyle]

    def run(
        self, statement: Statement, values: Sequence[object] | None = None, *, about: str
    ) -> None:
        """Run a statement, and forget what it answers.

        Args:
            statement: The statement.
            values: One for each of its placeholders. If None, nothing in it is one.
            about: What it is, for people.
        """
        text = statement.text
        if values is not None:
            text = statement.filled(self._placeholder if values else "?")
        with self._told(about):
            self._execute(text, tuple(values or ())).close()

    def insert(self, statement: Statement, rows: Rows) -> None:
        """Run a statement for each of some rows."""
        text = statement.filled(self._placeholder)
        with self._told("insert"):
            self._connection.exec_driver_sql(text, [self._plain(row) for row in rows])

    def select(self, query: str) -> tuple[list[str], Iterator[Rows]]:
        """Run a query, and give the names of its columns, and its rows some at a time."""
        with self._told("select"):
            result = self._execute(query, (), stream_results=True)
            if not result.returns_rows:
                raise TaskFailed("InvalidTask", "the selectQuery gives no rows")
            return list(result.keys()), self._batches(result)

    def _batches(self, result: sqlalchemy.CursorResult[Any]) -> Iterator[Rows]:
        batches = result.partitions(BATCH)
        while True:
            with self._told("select"):
                batch = next(batches, None)
            if batch is None:
                return
            yield [tuple(row) for row in batch]

    def has_table(self, table: str, schema: str | None) -> bool:
        """Whether there is such a table, in the letters of its name or in small ones."""
        with self._told(f"look for {table}"):
            inspector = sqlalchemy.inspect(self._connection)
            return any(inspector.has_table(name, schema) for name in {table, table.lower()})

    def name(self, name: str) -> str:
        """Write a name so that it can stand in a statement.

        Capitals alone are no reason for quotes: in quotes, they make another name to many.
        """
        preparer = self._connection.dialect.identifier_preparer
        small = name.lower()
        return name if preparer.quote(small) == small else preparer.quote_identifier(name)

    def commit(self) -> None:
        """Commit what was done."""
        with self._told("commit"):
            self._connection.commit()

    def _execute(
        self, text: str, values: tuple[object, ...], **options: object
    ) -> sqlalchemy.CursorResult[Any]:
        if not values:
            options["no_parameters"] = True  # a driver would look for its own placeholders
        return self._connection.exec_driver_sql(text, values or None, execution_options=options)

    def _plain(self, row: Sequence[object]) -> tuple[object, ...]:
        return tuple(text_of(each) if self._is_foreign(each) else each for each in row)

    def _is_foreign(self, value: object) -> bool:
        """Whether a driver reads such values, maybe that of another database, and writes none."""
        return isinstance(value, dict) or (self.kind == "sqlite" and not isinstance(value, _SQLITE))

    @contextmanager
    def _told(self, about: str) -> Generator[None]:
        self._halt.check()
        with told(self._login, "SqlFailed", about):
            yield


@contextmanager
def connected(login: Login, halt: Halt, mode: Mode) -> Generator[Session]:
    """Connect to a database, and commit in the end what was done, unless something is raised.

    Args:
        login: Where, and as whom.
        halt: Says when to stop. The statement that runs then is interrupted.
        mode: How transactions are made.

    Raises:
        TaskFailed: A driver is missing, or the database is out of reach or refuses.
        StoppedError: Somebody said to stop.
    """
    look_for_drivers(login)
    with told(login, "ConnectionFailed", "connect"):
        connection = _engine(login).connect()
    with connection:
        session = Session(connection, login, halt)
        with halt.interrupting(interruption(connection, login.kind)):
            with told(login, "ConnectionFailed", "begin"):
                begin(connection, login.kind, mode)
            yield session
        # Not interrupted: what is begun here takes no time, and is done or not.
        session.commit()


def _engine(login: Login) -> sqlalchemy.Engine:
    return sqlalchemy.create_engine(
        sqlalchemy.URL.create(
            login.address.driver.name,
            username=login.username,
            password=login.password,
            host=login.address.host,
            port=login.address.port,
            database=login.database,
        ),
        connect_args=dict(login.address.arguments),
        hide_parameters=True,  # rows are nobody's business
        poolclass=NullPool,
    )


def look_for_drivers(login: Login) -> None:
    """Look whether all that is needed to reach a database is installed.

    Raises:
        TaskFailed: Something is not.
    """
    for module, package in login.address.driver.packages.items():
        if importlib.util.find_spec(module) is None:
            raise TaskFailed(
                "NotInstalled",
                f"{login.id}: {module} is not installed, and databases of jdbc:{login.kind} need "
                f"it: pip install '{package}'",
                detail="a driver is missing",
            )


def begin(connection: sqlalchemy.Connection, kind: str, mode: Mode) -> None:
    """Begin a transaction where a driver does not, and have none begun if there is to be none."""
    if mode == "each":
        connection.execution_options(isolation_level="AUTOCOMMIT")
    elif kind == "sqlite":
        # Who reads first and then wants to write would not even be let wait.
        connection.exec_driver_sql("BEGIN IMMEDIATE" if mode == "write" else "BEGIN")


def interruption(connection: sqlalchemy.Connection, kind: str) -> Callable[[], object]:
    """Give what interrupts the statement that a connection is at, from another thread."""
    driver: Any = connection.connection.driver_connection
    if kind == "mysql":
        number = driver.thread_id()

        def kill() -> None:
            with connection.engine.connect() as other:
                other.exec_driver_sql(f"KILL QUERY {number:d}")

        return kill
    stop: Callable[[], object] = driver.interrupt if kind == "sqlite" else driver.cancel
    return stop


@contextmanager
def told(login: Login, error_id: str, about: str) -> Generator[None]:
    """Make of whatever a driver raises a failure without a password in its texts."""
    try:
        yield
    except TaskFailed:
        raise
    except Exception as error:  # noqa: BLE001  # drivers raise what they like
        cause = error.orig if isinstance(error, exc.DBAPIError) else error
        text = login.masked(str(cause).strip()) or "it does not say why"
        kind = type(cause).__name__
        # Not the traceback: there may be a password in it.
        raise TaskFailed(
            error_id, f"{login.id}, {about}: {text}", detail=f"{kind}: {text}"
        ) from None
