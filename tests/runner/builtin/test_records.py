"""Records in CSV, TSV and Custom: what is written can be read again."""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from aiodatapipeline.runner.builtin import _records
from aiodatapipeline.runner.builtin._records import (
    Format,
    Reader,
    RecordError,
    Value,
    Writer,
    text_of,
)

CSV, TSV = Format(), Format(type="TSV")
FORMATS = [
    CSV,
    TSV,
    Format(type="TSV", column_separator="|", record_separator=";", escape_char="^"),
    Format(type="Custom", column_separator="\u0001", escape_char="ö"),
]


def read(text: str, form: Format = CSV) -> list[list[Value]]:
    return list(Reader(form).read(io.StringIO(text, newline="")))


def written(records: Sequence[Sequence[object]], form: Format = CSV) -> str:
    text = io.StringIO(newline="")
    Writer(form, text).write(records)
    return text.getvalue()


def test_records_are_not_quoted_and_have_an_escape_character() -> None:
    assert read('a,"b\\,c",\\\\d\n"e,f",\n') == [["a", '"b,c"', "\\d"], ['"e', 'f"', ""]]
    assert written([["a,b", "c\nd", 'e"f', "g\\h"]]) == 'a\\,b,c\\\nd,e"f,g\\\\h\n'


def test_null_is_told_from_nothing_and_from_its_own_letters() -> None:
    assert written([[None, "", r"\N", "N"]]) == "\\N,,\\\\N,N\n"
    assert read("\\N,,\\\\N,N\n\\n,a,b,c\n") == [[None, "", r"\N", "N"], [None, "a", "b", "c"]]


def test_the_last_record_needs_no_end() -> None:
    assert read("a,b\nc,d") == [["a", "b"], ["c", "d"]]
    assert read("a,b\\\n") == [["a", "b\n"]]
    assert read("") == []


def test_a_return_in_front_of_the_end_belongs_to_it() -> None:
    assert read("a,b\r\nc,d\\\r\n") == [["a", "b"], ["c", "d\r"]]
    plain = Format(type="Custom", column_separator="|")
    assert read("a|b\r\nc|d", plain) == [["a", "b"], ["c", "d"]]
    assert read("a\r;b", Format(type="TSV", record_separator=";")) == [["a\r"], ["b"]]


TEXTS = st.one_of(st.none(), st.text(alphabet="a,\t|\u0001;^N\\n\r\nö", max_size=5), st.just(r"\N"))
RECORDS = st.integers(1, 3).flatmap(
    lambda width: st.lists(st.lists(TEXTS, min_size=width, max_size=width), max_size=4)
)


@given(st.sampled_from(FORMATS), RECORDS)
def test_whatever_is_written_is_read_again(form: Format, records: list[list[str | None]]) -> None:
    assert read(written(records, form), form) == records


def test_a_record_may_begin_in_one_piece_and_end_in_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_records, "_CHUNK", 2)

    assert read("abcdef,g\\\nh\n\\N,i") == [["abcdef", "g\nh"], [None, "i"]]


def test_what_never_ends_is_no_record(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_records, "_CHUNK", 2)
    monkeypatch.setattr(_records, "LONGEST", 5)

    with pytest.raises(RecordError, match="no end of a record in 5 characters"):
        read("abcdefgh")


def test_each_record_has_as_many_values_as_the_first() -> None:
    with pytest.raises(RecordError, match="record 2 has 3 values, and not 2"):
        read("a,b\nc,d,e\n")


# -- types --------------------------------------------------------------------------------


def test_columns_say_what_values_are() -> None:
    form = Format(
        column=(
            "a INT", "b double", "c DECIMAL(10, 2)", "d BOOLEAN", "e DATE", "f TIMESTAMP",
            "g STRING", "h",
        )
    )  # fmt: skip

    assert read("1,1e3,1.50,T,2026-01-02,2026-01-02 03:04:05,7,8\n,,,,,,,\n", form) == [
        [
            1, 1000.0, Decimal("1.50"), True, date(2026, 1, 2), datetime(2026, 1, 2, 3, 4, 5),  # noqa: DTZ001
            "7", "8",
        ],
        [None, None, None, None, None, None, "", ""],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "text"),
    [("INT", "secret"), ("INT", "1_0"), ("DECIMAL", "x"), ("BOOLEAN", "x"), ("DATE", "2026-13-01")],
)
def test_a_value_that_does_not_fit_is_named_and_not_shown(kind: str, text: str) -> None:
    with pytest.raises(RecordError, match=rf"^record 2: b is no {kind}$"):
        read(f"x,\ny,{text}\n", Format(column=("a", f"b {kind}")))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (7, "7"),
        (True, "true"),
        (False, "false"),
        (1.5, "1.5"),
        (Decimal("1E+3"), "1000"),
        (datetime(2026, 1, 2, 3, 4, 5, 600, UTC), "2026-01-02 03:04:05.000600+00:00"),
        (date(2026, 1, 2), "2026-01-02"),
        (time(3, 4), "03:04:00"),
        (timedelta(hours=26, minutes=3, seconds=4), "26:03:04"),
        (-timedelta(minutes=61, microseconds=5), "-01:01:00.000005"),
        (b"\x00\xff", "00ff"),
        (memoryview(b"\x01"), "01"),
        ({"a": [Decimal("1.5")]}, '{"a": ["1.5"]}'),
        (1j, "1j"),
    ],
)
def test_a_value_is_written_so_that_its_type_can_read_it(value: object, text: str) -> None:
    assert text_of(value) == text


def test_without_an_escape_character_some_values_cannot_be_written() -> None:
    form = Format(type="Custom", column_separator="|")

    assert written([["a,b", None]], form) == "a,b|\\N\n"
    for value in ("a|b", "a\nb", r"\N"):
        with pytest.raises(RecordError, match="record 2 has a value with a separator in it") as it:
            written([["a"], [value]], form)
        assert value not in str(it.value)


def test_half_a_character_cannot_be_written() -> None:
    with (
        io.TextIOWrapper(io.BytesIO(), encoding="utf-8") as text,
        pytest.raises(RecordError, match="up to 2 has half a character"),
    ):
        Writer(CSV, text).write([["a"], ["\ud800"]])


# -- formats ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"type": "RegEx"}, "CSV, TSV and Custom"),
        ({"type": "Custom"}, "it needs a columnSeparator"),
        ({"column_separator": "||"}, "it should be one character"),
        ({"column_separator": "\n"}, "have to be different"),
        ({"escape_char": ","}, "have to be different"),
        ({"escape_char": "N"}, "cannot be those of NULL"),
        ({"column_separator": "\\", "escape_char": "^"}, "cannot be those of NULL"),
        ({"column": ("a GEOMETRY",)}, "column 'a' has a type that is not known: STRING, "),
    ],
)
def test_a_format_that_cannot_work_is_refused(fields: dict[str, object], error: str) -> None:
    with pytest.raises(ValidationError, match=error):
        Format.model_validate(fields)


def test_separators_may_be_spelled() -> None:
    form = Format(type="Custom", column_separator=r"\t", record_separator=r"\r", escape_char=None)

    assert (form.separator, form.record_separator, form.extension) == ("\t", "\r", ".txt")
    assert (CSV.extension, TSV.extension) == (".csv", ".tsv")
