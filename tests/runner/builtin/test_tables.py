"""CopyActivity between files and tables: all of it, or nothing."""

from __future__ import annotations

import asyncio
import gzip
import re
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from aiodatapipeline.models import PipelineObject, Ref
from aiodatapipeline.runner import TaskFailed
from tests.runner.builtin.conftest import Bucket, Hand
from tests.runner.builtin.processes import names_in
from tests.runner.builtin.test_sql import FOREVER, database, rows

Fields = str | Ref | Sequence[str | Ref]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "shop.db"
    execute(file, "CREATE TABLE t (a INTEGER, b TEXT, c NUMERIC)")
    return file


def execute(file: Path, script: str) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript(script)


def files(object_id: str, **fields: Fields) -> PipelineObject:
    return PipelineObject.of(object_id, {"type": "S3DataNode", **fields})


def table(object_id: str, name: str, **fields: Fields) -> PipelineObject:
    return PipelineObject.of(
        object_id, {"type": "SqlDataNode", "table": name, "database": Ref("Db"), **fields}
    )


async def copied(
    hand: Hand,
    file: Path,
    source: PipelineObject,
    target: PipelineObject,
    *more: PipelineObject,
) -> None:
    await hand(
        "CopyActivity",
        {"input": Ref(source.id), "output": Ref(target.id)},
        source,
        target,
        database(file),
        *more,
    )


# -- from a table -------------------------------------------------------------------------


async def test_a_table_becomes_a_file(hand: Hand, file: Path, tmp_path: Path) -> None:
    execute(file, "INSERT INTO t VALUES (1, 'a,b', 1.5), (2, NULL, NULL), (3, '', x'00ff')")

    await copied(hand, file, table("From", "t"), files("To", filePath=str(tmp_path / "new")))

    assert (tmp_path / "new").read_text() == "1,a\\,b,1.5\n2,\\N,\\N\n3,,00ff\n"
    assert hand.progress[-2:] == [{"rows_read": 3}, {"files_written": 1}]


async def test_a_query_becomes_an_object_in_s3(hand: Hand, file: Path, bucket: Bucket) -> None:
    execute(file, "INSERT INTO t VALUES (1, 'a', 0), (2, 'b', 0)")

    await copied(
        hand,
        file,
        table("From", "t", selectQuery="SELECT b, a FROM t WHERE a > 1 -- 50%?"),
        files("To", directoryPath=f"s3://{bucket.name}/x", dataFormat=Ref("F"), compression="gzip"),
        PipelineObject.of("F", {"type": "TSV", "column": ["b STRING", "a INT"]}),
    )

    [(key, content)] = (await bucket.content()).items()
    assert (key, gzip.decompress(content)) == ("x/t.tsv.gz", b"b\t2\n")


async def test_rows_are_read_some_at_a_time(hand: Hand, file: Path, tmp_path: Path) -> None:
    query = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 2500) SELECT x"

    await copied(
        hand,
        file,
        table("From", "a/b", selectQuery=f"{query} FROM c"),
        files("To", directoryPath=str(tmp_path / "new")),
    )

    assert [each.get("rows_read") for each in hand.progress] == [1000, 2000, 2500, None]
    assert (tmp_path / "new" / "a_b.csv").read_text().split() == [str(n) for n in range(1, 2501)]


@pytest.mark.parametrize(
    ("fields", "more", "error"),
    [
        ({"selectQuery": "UPDATE t SET a = 1"}, {}, "the selectQuery gives no rows"),
        ({"table": "gone"}, {}, "Db, select: no such table: gone"),
        ({}, {"column": ["a INT"]}, "From has 3 columns, and F 1"),
        ({}, {"type": "RegEx"}, "CSV, TSV and Custom"),
        ({}, {"type": "Custom", "columnSeparator": "|"}, "To: record 1 has a value with a sep"),
    ],
)
async def test_what_cannot_be_read_leaves_nothing(
    hand: Hand, file: Path, fields: dict[str, Fields], more: dict[str, Fields], error: str
) -> None:
    new = file.with_name("new")
    execute(file, "INSERT INTO t VALUES (1, 'a|b', 0)")

    with pytest.raises(TaskFailed, match=error):
        await copied(
            hand,
            file,
            table("From", "t", **fields),
            files("To", filePath=str(new), dataFormat=Ref("F")),
            PipelineObject.of("F", {"type": "CSV", **more}),
        )

    assert not new.exists()


async def test_a_canceled_query_is_interrupted(
    hand: Hand, file: Path, tmp_path: Path, scratch: Path
) -> None:
    copying = asyncio.ensure_future(
        copied(
            hand,
            file,
            table("From", "t", selectQuery=f"SELECT 1 UNION ALL SELECT * FROM ({FOREVER})"),
            files("To", filePath=str(tmp_path / "new")),
        )
    )
    while not any((each / "data" / "t.csv").exists() for each in scratch.iterdir()):
        assert not copying.done()
        await asyncio.sleep(0.001)

    copying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await copying

    assert names_in(scratch) == []
    assert not (tmp_path / "new").exists()


# -- to a table ---------------------------------------------------------------------------


async def test_files_become_rows(hand: Hand, file: Path, bucket: Bucket) -> None:
    await bucket.fill_with({"in/1": b"\xef\xbb\xbf1,a\\,b,1.5\n", "in/sub/2": b"2,\\N,\\N\n"})

    await copied(
        hand, file, files("From", directoryPath=f"s3://{bucket.name}/in"), table("To", "t")
    )

    assert rows(file) == [(1, "a,b", 1.5), (2, None, None)]


async def test_a_table_is_created_if_it_is_not_there(
    hand: Hand, file: Path, tmp_path: Path
) -> None:
    (tmp_path / "in.gz").write_bytes(gzip.compress(b"x,2026-01-02 03:04:05,1.50\n"))
    source = files(
        "From", filePath=str(tmp_path / "in.gz"), compression="gzip", dataFormat=Ref("F")
    )
    target = table(
        "To",
        "order",
        schemaName="main",
        createTableSql='CREATE TABLE "order" (Price NUMERIC, "at" TEXT, "a-b" TEXT);',
    )
    form = PipelineObject.of(
        "F", {"type": "CSV", "column": ["a-b", "at TIMESTAMP", "Price DECIMAL"]}
    )

    for _ in range(2):
        await copied(hand, file, source, target, form)

    assert rows(file, 'SELECT * FROM "order"') == [(1.5, "2026-01-02 03:04:05", "x")] * 2


async def test_an_insert_query_says_where_values_go(hand: Hand, file: Path, tmp_path: Path) -> None:
    (tmp_path / "in").write_text("a,1\nb,2\n")

    await copied(
        hand,
        file,
        files("From", filePath=str(tmp_path / "in")),
        table("To", "main.t", insertQuery="INSERT INTO t (b, a, c) VALUES (?, ? * 10, '?');"),
    )

    assert rows(file) == [(10, "a", "?"), (20, "b", "?")]


@pytest.mark.parametrize(
    ("content", "fields", "error"),
    [
        (
            b"1,a,0\n" * 2001 + b"2,b\n",
            {},
            r"RecordInvalid: From, in: record 2002 has 2 values, and not 3",
        ),
        (b"1,a,0\n\xff", {}, "RecordInvalid: From, in: it is not in UTF-8"),
        (b"1,a\n", {}, "SqlFailed: Db, insert: table t has 3 columns but 2 values"),
        (
            b"1\n",
            {"insertQuery": "SELECT ?; SELECT ?"},
            "InvalidTask: To: its insertQuery has 2 statements",
        ),
        (
            b"1\n",
            {"insertQuery": "SELECT ?, ?"},
            r"InvalidTask: To: its insertQuery has 2 placeholders \(\?\), and a",
        ),
        (b"1\n", {"database": Ref("Gone")}, "InvalidTask: there is no object 'Gone'"),
        (b"1\n", {"database": []}, "InvalidTask: To: it has no connectionString"),
    ],
)
async def test_what_cannot_be_written_leaves_nothing(
    hand: Hand, file: Path, content: bytes, fields: dict[str, Fields], error: str
) -> None:
    file.with_name("in").write_bytes(content)
    source = files("From", filePath=str(file.with_name("in")))

    with pytest.raises(TaskFailed) as failed:
        await copied(hand, file, source, table("To", "t", **fields))

    assert re.search(error, f"{failed.value.error_id}: {failed.value}")
    assert rows(file) == []


async def test_what_cannot_be_unpacked_is_named(hand: Hand, file: Path, tmp_path: Path) -> None:
    (tmp_path / "in.gz").write_bytes(gzip.compress(b"1,a,0\n" * 5000)[:-9])
    source = files("From", filePath=str(tmp_path / "in.gz"), compression="gzip")

    with pytest.raises(TaskFailed, match=r"'in\.gz' cannot be read as gzip"):
        await copied(hand, file, source, table("To", "t"))

    assert rows(file) == []


async def test_a_node_may_be_its_own_database(hand: Hand, file: Path, tmp_path: Path) -> None:
    (tmp_path / "in").write_text("1,a,0\n")
    target = PipelineObject.of(
        "To",
        {
            "type": "MySqlDataNode",
            "table": "t",
            "connectionString": f"jdbc:sqlite:{file}",
            "username": "etl",
            "*password": "secret",
        },
    )

    await copied(hand, file, files("From", filePath=str(tmp_path / "in")), target)

    assert rows(file) == [(1, "a", 0)]


async def test_other_data_nodes_are_refused_by_name(hand: Hand, file: Path) -> None:
    other = PipelineObject.of("To", {"type": "DynamoDBDataNode"})

    with pytest.raises(TaskFailed, match="To is no S3DataNode or SqlDataNode or MySqlDataNode but"):
        await copied(hand, file, table("From", "t"), other)


# -- from a table to a table --------------------------------------------------------------


async def test_a_table_is_copied_onto_itself_and_to_another(hand: Hand, file: Path) -> None:
    execute(file, "INSERT INTO t VALUES (1, 'a', x'00ff'), (2, NULL, 1.5)")
    other = table("To", "u", createTableSql="CREATE TABLE u (c, b, a)")

    await copied(hand, file, table("From", "main.t"), table("To", "t"))
    await copied(hand, file, table("From", "t"), other)

    assert rows(file) == [(1, "a", b"\x00\xff"), (2, None, 1.5)] * 2
    assert rows(file, "SELECT a, b, c FROM u") == rows(file)


async def test_no_rows_make_a_table_and_a_file_with_nothing_in_it(
    hand: Hand, file: Path, tmp_path: Path
) -> None:
    other = table("To", "u", createTableSql="CREATE TABLE u (a)")

    await copied(hand, file, table("From", "t"), other)
    await copied(hand, file, table("From", "t"), files("To", filePath=str(tmp_path / "new")))
    await copied(hand, file, files("From", filePath=str(tmp_path / "new")), table("To", "t"))

    assert rows(file, "SELECT * FROM u") == []
    assert (tmp_path / "new").read_bytes() == b""
