"""A script is split where its statements end, and nowhere else."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiodatapipeline.runner.builtin._statements import manages_transactions, statements

KINDS = ["mysql", "postgresql", "redshift", "sqlite"]


def texts(script: str, kind: str = "postgresql") -> list[str]:
    return [each.text for each in statements(script, kind)]


@pytest.mark.parametrize("kind", KINDS)
def test_statements_end_at_semicolons(kind: str) -> None:
    script = "select 1 ;\n -- a; b\n insert into t values ('x;''y'); /* c; */ ; select \"a;b\""

    assert texts(script, kind) == [
        "select 1",
        "-- a; b\n insert into t values ('x;''y')",
        'select "a;b"',
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_comments_are_no_statement(kind: str) -> None:
    assert texts(" ; -- nothing\n;; /* and nothing */ ", kind) == []


@pytest.mark.parametrize(
    ("script", "kind", "count"),
    [
        (r"select 'it\'s; x'; select 1", "mysql", 2),
        (r"select 'C:\'; select 1", "postgresql", 2),
        (r"select E'it\'s; x'; select 1", "postgresql", 2),
        ("select `a;b`; select 1 # x; y", "mysql", 2),
        ("select 3--1; select 1", "mysql", 2),
        ("/*!40101 set names utf8 */; select 1", "mysql", 2),
        ("select [a;b]; select 1", "sqlite", 2),
        ("select 'never closed; select 1", "postgresql", 1),
        (r"select 'never closed; \ ", "mysql", 1),
        ("create function f() as $x$ a; $$ ; b $x$ language sql; select 1", "redshift", 2),
        ("select a::text, b #> '{x}'; select 1", "postgresql", 2),
    ],
)
def test_each_database_has_quotes_of_its_own(script: str, kind: str, count: int) -> None:
    assert len(texts(script, kind)) == count


@pytest.mark.parametrize(
    "body",
    [
        "CREATE TRIGGER x AFTER INSERT ON t BEGIN UPDATE t SET a = 1; SELECT 2; END",
        "create trigger x after insert on t begin select case a when 1 then 2 end; select 3; end",
        "CREATE DEFINER = `me`@`%` PROCEDURE p() BEGIN IF a THEN SELECT 1; END IF; SELECT 2; END",
        "CREATE FUNCTION f() BEGIN WHILE a DO SELECT 1; END WHILE; RETURN 1; END",
        "CREATE PROCEDURE p() BEGIN CASE a WHEN 1 THEN SELECT 1; END CASE; SELECT 2; END",
    ],
)
def test_a_body_is_a_part_of_its_statement(body: str) -> None:
    assert texts(f"{body}; SELECT 9", "mysql") == [body, "SELECT 9"]


def test_a_table_has_no_body_whatever_its_columns_are_called() -> None:
    script = "create table t (event text, begin int, trigger int); select 1"

    assert len(texts(script, "sqlite")) == 2


def test_placeholders_are_those_of_the_driver() -> None:
    [statement] = statements("select ?, '?', ?? , 50 % a -- ?\n where b = ?", "postgresql")

    assert statement.placeholders == 2
    assert statement.filled("?") == "select ?, '?', ? , 50 % a -- ?\n where b = ?"
    assert statement.filled("%s") == "select %s, '?', ? , 50 %% a -- ?\n where b = %s"


@pytest.mark.parametrize(
    ("script", "own"),
    [
        ("BEGIN; insert into t values (1); COMMIT", True),
        ("start transaction; select 1", True),
        ("insert into t values ('begin'); select 1", False),
        ("(select 1); select 2", False),
    ],
)
def test_a_script_may_manage_transactions_of_its_own(script: str, own: bool) -> None:
    assert manages_transactions(statements(script, "mysql")) is own


PIECES = st.sampled_from(
    ["select 1", "'a;b'", '"c;d"', "-- e;\n", "/* f; */", " ", "\n", "? ", "x"]
)


@given(
    st.lists(st.lists(PIECES, min_size=1, max_size=6).map("".join), max_size=4),
    st.sampled_from(KINDS),
)
def test_nothing_of_a_script_gets_lost(parts: list[str], kind: str) -> None:
    found = statements(";".join(parts), kind)

    kept = [part.strip() for part in parts if re.sub(r"--[^\n]*\n|/\*.*?\*/|\s", "", part)]
    assert [each.text for each in found] == kept
    assert [each.filled("?") for each in found] == kept
