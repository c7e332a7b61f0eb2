"""SqlActivity: scripts in a database, which is a file of SQLite's here."""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self, cast

import pytest

from aiodatapipeline.models import PipelineObject, Ref
from aiodatapipeline.runner import TaskFailed, TaskRunner
from aiodatapipeline.runner.builtin import _halt, _sql, add_builtin
from aiodatapipeline.runner.builtin._databases import Login, login
from aiodatapipeline.runner.builtin._halt import Halt, StoppedError, in_own_thread
from aiodatapipeline.runner.builtin._jdbc import read_address
from aiodatapipeline.runner.builtin._statements import statements
from aiodatapipeline.runner.testing import perform
from tests.runner.builtin.conftest import Bucket, Hand
from tests.runner.builtin.processes import names_in

SQL = "SqlActivity"
SECRET = "hunter2-hunter2"
FOREVER = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "shop.db"


def rows(file: Path, query: str = "SELECT * FROM t") -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(file)) as connection:
        return connection.execute(query).fetchall()


def database(file: Path, **fields: str | Ref | Sequence[str | Ref]) -> PipelineObject:
    return PipelineObject.of(
        "Db",
        {
            "type": "JdbcDatabase",
            "connectionString": f"jdbc:sqlite:{file}",
            "jdbcDriverClass": "org.sqlite.JDBC",
            "username": "etl",
            "*password": SECRET,
            **fields,
        },
    )


async def run(hand: Hand, file: Path, script: str, *arguments: str) -> None:
    fields: dict[str, str | Ref | Sequence[str | Ref]] = {"database": Ref("Db"), "script": script}
    if arguments:
        fields["scriptArgument"] = arguments
    await hand(SQL, fields, database(file))


async def failure(hand: Hand, file: Path, script: str, *arguments: str) -> TaskFailed:
    with pytest.raises(TaskFailed) as failed:
        await run(hand, file, script, *arguments)
    return failed.value


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    yield
    ours = [
        thread
        for thread in threading.enumerate()
        if thread.name in {"aiodatapipeline-halt", "aiodatapipeline-sql"}
    ]
    for thread in ours:
        thread.join(20)  # it has told its result a moment before its end
    assert not any(thread.is_alive() for thread in ours)


# -- scripts ------------------------------------------------------------------------------


async def test_a_script_is_run_with_its_arguments_in_order(hand: Hand, file: Path) -> None:
    await run(
        hand,
        file,
        "CREATE TABLE t (a INT, b TEXT);\n"
        "INSERT INTO t VALUES (?, 'a; ?');  -- one; two?\n"
        "INSERT INTO t VALUES (2, ?)",
        "1",
        "it's; ?",
    )

    assert rows(file) == [(1, "a; ?"), (2, "it's; ?")]
    assert hand.progress[-1] == {"statements_run": 3}


async def test_a_script_is_fetched(hand: Hand, bucket: Bucket, file: Path, scratch: Path) -> None:
    await bucket.fill(script="\ufeffCREATE TABLE t AS SELECT 'ö' AS a".encode())

    await hand(
        SQL, {"database": Ref("Db"), "scriptUri": f"s3://{bucket.name}/script"}, database(file)
    )

    assert rows(file) == [("ö",)]
    assert names_in(scratch) == []


async def test_a_script_in_no_text_fails_the_task(hand: Hand, file: Path, tmp_path: Path) -> None:
    (tmp_path / "script").write_bytes(b"SELECT '\xff'")

    with pytest.raises(TaskFailed, match="the script is not in UTF-8"):
        await hand(
            SQL,
            {"database": Ref("Db"), "scriptUri": str(tmp_path / "script")},
            database(file),
        )


async def test_several_statements_are_one_transaction(hand: Hand, file: Path) -> None:
    failed = await failure(
        hand, file, "CREATE TABLE t (a); INSERT INTO t VALUES (1); INSERT INTO gone VALUES (2)"
    )

    assert failed.error_id == "SqlFailed"
    assert failed.message == "Db, statement 3 of 3: no such table: gone"
    assert failed.detail == "OperationalError: no such table: gone"
    assert rows(file, "SELECT name FROM sqlite_master") == []


async def test_a_script_may_have_transactions_of_its_own(hand: Hand, file: Path) -> None:
    await failure(
        hand,
        file,
        "CREATE TABLE t (a); BEGIN; INSERT INTO t VALUES (1); COMMIT; "
        "BEGIN; INSERT INTO t VALUES (2); INSERT INTO gone VALUES (3)",
    )

    assert rows(file) == [(1,)]


async def test_a_transaction_that_is_left_open_is_committed(hand: Hand, file: Path) -> None:
    await run(hand, file, "CREATE TABLE t (a); BEGIN; INSERT INTO t VALUES (1)")

    assert rows(file) == [(1,)]


async def test_a_single_statement_is_in_no_transaction(hand: Hand, file: Path) -> None:
    await run(hand, file, "VACUUM")

    assert "cannot VACUUM" in (await failure(hand, file, "SELECT 1; VACUUM")).message


async def test_without_arguments_nothing_is_a_placeholder(hand: Hand, file: Path) -> None:
    failed = await failure(hand, file, "SELECT ?")

    assert failed.error_id == "SqlFailed"
    assert "statement 1 of 1" in failed.message


@pytest.mark.parametrize(
    ("script", "arguments", "error"),
    [
        ("SELECT ?, ?", ["1"], r"has 2 placeholders \(\?\), and there are 1 scriptArguments"),
        ("SELECT 1", ["1", "2"], r"has 0 placeholders \(\?\), and there are 2 scriptArguments"),
        ("-- nothing", [], "the script has no statement"),
    ],
)
async def test_what_does_not_go_together_is_an_invalid_task(
    hand: Hand, file: Path, script: str, arguments: list[str], error: str
) -> None:
    with pytest.raises(TaskFailed, match=error) as failed:
        await run(hand, file, script, *arguments)

    assert failed.value.error_id == "InvalidTask"
    assert not file.exists()


@pytest.mark.parametrize("fields", [{}, {"script": "SELECT 1", "scriptUri": "/script"}])
async def test_a_script_or_its_place_is_needed(
    hand: Hand, file: Path, fields: dict[str, str | Ref | Sequence[str | Ref]]
) -> None:
    with pytest.raises(TaskFailed, match="it needs a script or a scriptUri, and not both"):
        await hand(SQL, {"database": Ref("Db"), **fields}, database(file))


# -- databases ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"type": "S3DataNode"}, "Db is no database but S3DataNode; there are JdbcDatabase, "),
        ({"type": []}, "Db is no database but has no type"),
        ({"connectionString": []}, "Db: it has no connectionString, rdsInstanceId or clusterId"),
        ({"connectionString": f"jdbc:db2://h/{SECRET}"}, "Db: no driver is known for jdbc:db2"),
        ({"databaseName": "other"}, "its databaseName is not that of its connectionString"),
        ({"jdbcProperties": f"key={SECRET}"}, "nothing here knows the property 'key'"),
    ],
)
async def test_a_database_that_cannot_be_found_is_an_invalid_task(
    hand: Hand,
    file: Path,
    fields: dict[str, str | Ref | Sequence[str | Ref]],
    error: str,
) -> None:
    with pytest.raises(TaskFailed, match=error) as failed:
        await hand(SQL, {"database": Ref("Db"), "script": "SELECT 1"}, database(file, **fields))

    assert failed.value.error_id == "InvalidTask"
    assert SECRET not in str(failed.value)


async def test_a_database_that_is_not_there_is_an_invalid_task(hand: Hand) -> None:
    with pytest.raises(TaskFailed, match="there is no object 'Db'"):
        await hand(SQL, {"database": Ref("Db"), "script": "SELECT 1"})


async def test_a_database_out_of_reach_fails_the_task(hand: Hand, tmp_path: Path) -> None:
    failed = await failure(hand, tmp_path / "gone" / "a.db", "SELECT 1")

    assert failed.error_id == "ConnectionFailed"
    assert failed.message == "Db, connect: unable to open database file"


def server(kind: str = "postgresql") -> Login:
    address = read_address(f"jdbc:{kind}://db.example/shop")
    return Login(id="Db", address=address, database="shop", username="etl", password=SECRET)


async def test_a_server_gets_the_name_and_the_password() -> None:
    address = "jdbc:postgresql://db.example"
    found = await login(database(Path(), connectionString=address, databaseName="shop"))

    assert (found.username, found.password, found.database) == ("etl", SECRET, "shop")
    assert SECRET not in repr(found)


async def test_without_sqlalchemy_the_task_says_what_to_install(
    hand: Hand, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sqlalchemy", None)
    monkeypatch.delitem(sys.modules, "aiodatapipeline.runner.builtin._sql")

    failed = await failure(hand, file, "SELECT 1")

    assert failed.error_id == "NotInstalled"
    assert "pip install 'aiodatapipeline[sql]'" in failed.message


@pytest.mark.parametrize(
    ("kind", "package"),
    [("mysql", "pymysql"), ("postgresql", r"psycopg\[binary\]"), ("redshift", "sqlalchemy-red")],
)
async def test_without_a_driver_the_task_says_what_to_install(
    hand: Hand, kind: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", dict[str, bool]().get)

    with pytest.raises(TaskFailed, match=f"is not installed, .*: pip install '{package}") as failed:
        await hand(
            SQL,
            {"database": Ref("Db"), "script": "SELECT 1", "queue": "etl"},
            database(Path(), connectionString=f"jdbc:{kind}://db.example/shop"),
        )

    assert failed.value.error_id == "NotInstalled"


def test_a_driver_that_is_there_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    installed = {"sqlalchemy_redshift": True}
    monkeypatch.setattr(importlib.util, "find_spec", installed.get)

    with pytest.raises(TaskFailed, match="psycopg2 is not installed"):
        _sql.look_for_drivers(server("redshift"))
    installed["psycopg2"] = True
    _sql.look_for_drivers(server("redshift"))


async def test_no_password_is_in_the_log_or_in_a_report(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    runner = TaskRunner("etl")
    add_builtin(runner)
    activity = PipelineObject.of(
        "Job", {"type": SQL, "database": Ref("Db"), "script": "INSERT INTO t VALUES (1); x"}
    )

    with caplog.at_level(logging.DEBUG):
        performance = await perform(runner, activity, database(file))

    assert performance.status == "FAILED"
    assert SECRET not in caplog.text + repr(performance)


def test_a_password_is_taken_out_of_what_a_driver_says() -> None:
    error = f"cannot log in as etl with {SECRET}"

    with (
        pytest.raises(TaskFailed) as failed,
        _sql.told(server(), "ConnectionFailed", "connect"),
    ):
        raise ValueError(error)

    assert failed.value.message == "Db, connect: cannot log in as etl with ***"
    assert failed.value.detail == "ValueError: cannot log in as etl with ***"
    assert failed.value.__suppress_context__


# -- what other databases do ---------------------------------------------------------------


class Driver:
    """A connection of SQLAlchemy's to a server that is not there."""

    def __init__(self, paramstyle: str = "pyformat") -> None:
        self.done: list[object] = []
        self.dialect = SimpleNamespace(paramstyle=paramstyle)
        self.engine = self.connection = self.driver_connection = self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.done.append("closed")

    def connect(self) -> Driver:
        return self

    def thread_id(self) -> int:
        return 7

    def cancel(self) -> None:
        self.done.append("cancel")

    def execution_options(self, **options: object) -> None:
        self.done.append(options)

    def exec_driver_sql(self, text: str, *rest: object, **_: object) -> Driver:
        self.done.append((text, *rest))
        return self

    def close(self) -> None:
        """Close a result."""


def connection(driver: Driver) -> Any:
    return cast("Any", driver)


def test_a_statement_of_postgresql_is_cancelled() -> None:
    driver = Driver()

    _sql.interruption(connection(driver), "postgresql")()

    assert driver.done == ["cancel"]


def test_a_statement_of_mysql_is_killed_over_another_connection() -> None:
    driver = Driver()

    _sql.interruption(connection(driver), "mysql")()

    assert driver.done == [("KILL QUERY 7",), "closed"]


@pytest.mark.parametrize(
    ("mode", "options"), [("each", [{"isolation_level": "AUTOCOMMIT"}]), ("write", [])]
)
def test_a_server_begins_transactions_by_itself(mode: Any, options: list[object]) -> None:
    driver = Driver()

    _sql.begin(connection(driver), "mysql", mode)

    assert driver.done == options


def test_a_question_mark_that_is_doubled_is_one_wherever_there_are_arguments() -> None:
    driver = Driver()
    session = _sql.Session(connection(driver), server(), Halt())
    [one, other] = statements("SELECT a ?? '100%'; SELECT a ?? '100%', ?", "postgresql")

    session.run(one, about="")
    session.run(one, [], about="")
    session.run(other, ["b"], about="")

    assert driver.done == [
        ("SELECT a ?? '100%'", None),
        ("SELECT a ? '100%'", None),
        ("SELECT a ? '100%%', %s", ("b",)),
    ]


def test_a_server_gets_documents_as_text_and_the_rest_as_it_is() -> None:
    driver = Driver()
    session = _sql.Session(connection(driver), server(), Halt())
    [statement] = statements("INSERT INTO t VALUES (?, '100%')", "postgresql")

    session.insert(statement, [({"a": 1},), ([1],)])

    assert driver.done == [("INSERT INTO t VALUES (%s, '100%%')", [('{"a": 1}',), ([1],)])]


async def test_redshift_gets_its_queue_first(
    hand: Hand, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = Driver()

    class Opened:
        def __enter__(self) -> _sql.Session:
            return _sql.Session(connection(driver), server("redshift"), Halt())

        def __exit__(self, *_: object) -> None:
            pass

    def opened(*_: object) -> Opened:
        return Opened()

    monkeypatch.setattr(Login, "opened", opened)
    fields: dict[str, str | Ref] = {"database": Ref("Db"), "script": "SELECT 1", "queue": "it's"}
    await hand(SQL, fields, database(file, connectionString="jdbc:redshift://c.example:5439/dev"))

    assert driver.done == [("SET query_group TO 'it''s'", None), ("SELECT 1", None)]


# -- cancellation -------------------------------------------------------------------------


async def test_a_canceled_statement_is_interrupted_and_rolled_back(
    hand: Hand, file: Path, scratch: Path
) -> None:
    await run(hand, file, "CREATE TABLE t (a)")
    running = asyncio.ensure_future(run(hand, file, f"INSERT INTO t VALUES (1); {FOREVER}; x"))
    while {"statements_run": 1} not in hand.progress[1:]:
        assert not running.done()
        await asyncio.sleep(0.001)

    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert rows(file) == []
    assert names_in(scratch) == []


async def test_what_is_canceled_between_two_statements_does_not_begin_the_next(
    hand: Hand, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_work, go_on = threading.Event(), threading.Event()
    run_one = _sql.Session.run

    def slow(self: _sql.Session, *arguments: Any, about: str) -> None:
        if about == "statement 2 of 2":
            at_work.set()
            assert go_on.wait(20)
        run_one(self, *arguments, about=about)

    monkeypatch.setattr(_sql.Session, "run", slow)
    running = asyncio.ensure_future(run(hand, file, "CREATE TABLE t (a); CREATE TABLE u (a)"))
    await asyncio.to_thread(at_work.wait, 20)

    running.cancel()
    await asyncio.sleep(0)
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert rows(file, "SELECT name FROM sqlite_master") == []


async def halted(work: Callable[[Halt], None]) -> None:
    """Run something in a thread, and cancel it once it has begun."""
    begun = threading.Event()

    def begin(halt: Halt) -> None:
        begun.set()
        work(halt)

    running = asyncio.ensure_future(in_own_thread(begin))
    await asyncio.to_thread(begun.wait, 20)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_an_interruption_is_repeated_until_it_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_halt, "_LAST", 0.01)
    enough, times = threading.Event(), 0

    def interrupt() -> None:
        nonlocal times
        times += 1
        if times < 3:
            raise OSError("no route to host")
        enough.set()

    def work(halt: Halt) -> None:
        with halt.interrupting(interrupt):
            assert enough.wait(20)

    await halted(work)

    assert times >= 3


def test_nothing_is_interrupted_that_is_not_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    halt, called, naps = Halt(), list[str](), iter([False, True])

    def wait(_: float) -> bool:
        return next(naps)

    monkeypatch.setattr(halt, "_over", SimpleNamespace(wait=wait))

    with halt.interrupting(lambda: called.append("too late")):
        """It is over before anybody says to stop."""
    halt.insist()

    assert called == []
    assert next(naps, None) is None


def test_what_is_told_to_stop_does_not_begin() -> None:
    halt = Halt()
    halt.tell()

    with pytest.raises(StoppedError), halt.interrupting(lambda: None):
        raise AssertionError("it began")

    halt.end()
