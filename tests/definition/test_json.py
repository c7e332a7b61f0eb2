from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiodatapipeline.definition._json import (
    MAX_DEPTH,
    MAX_LENGTH,
    MAX_VALUES,
    JsonError,
    Position,
    read_json,
    shown,
)

json_values = st.recursive(
    st.none() | st.booleans() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def refusal(text: str) -> JsonError:
    with pytest.raises(JsonError) as caught:
        read_json(text)
    return caught.value


@given(json_values, st.sampled_from([None, 0, 3, "\t"]), st.booleans())
def test_reads_what_the_json_module_writes(
    value: object, indent: int | str | None, ascii_only: bool
) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)

    read, _ = read_json(text)

    assert read == value


@given(st.text(alphabet='{}[]",:\\ \n0123456789.eE-+truefalsnN/"a\u00e9', max_size=30))
def test_takes_what_the_json_module_takes_and_nothing_else(text: str) -> None:
    def refuse(_: object) -> None:
        raise ValueError

    def unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
        if len(dict(pairs)) < len(pairs):
            raise ValueError
        return dict(pairs)

    expected: Any = ...
    try:
        expected = json.loads(
            text,
            parse_int=str,
            parse_float=str,
            parse_constant=refuse,
            object_pairs_hook=unique,
        )
    except ValueError:
        refusal(text)
        return

    assert read_json(text)[0] == expected


@pytest.mark.parametrize("number", ["0", "-0", "1.50", "1e5", "2E-3", "9" * 5000])
def test_a_number_is_a_text_as_it_was_spelled(number: str) -> None:
    assert read_json(f"[{number}]")[0] == [number]


def test_every_part_has_a_place() -> None:
    text = '{"a": [true,\r\n  {"b": "\\n"}],\n\n "c":null}'

    _, places = read_json(text)

    assert places == {
        (): Position(1, 1),
        ("a",): Position(1, 7),
        ("a", 0): Position(1, 8),
        ("a", 1): Position(2, 3),
        ("a", 1, "b"): Position(2, 9),
        ("c",): Position(4, 6),
    }


@pytest.mark.parametrize(
    ("text", "line", "column", "words"),
    [
        ("", 1, 1, "a value should stand here"),
        (" \n\t", 2, 2, "a value should stand here"),
        ("{", 1, 2, "name in double quotes"),
        ("{'a': 1}", 1, 2, "name in double quotes"),
        ('{"a" 1}', 1, 6, "colon should follow the name 'a'"),
        ('{"a": 1\n"b": 2}', 2, 1, "',' or '}' should stand here"),
        ("[1\n 2]", 2, 2, "',' or ']' should stand here"),
        ("[1,\n]", 2, 1, "no comma may stand before ']'"),
        ('{"a": 1, }', 1, 10, "no comma may stand before '}'"),
        ("[,]", 1, 2, "a value should stand here"),
        ('["a\nb"]', 1, 4, "written as an escape"),
        ('["a]', 1, 2, "no end"),
        ('["\\x"]', 1, 3, "escape"),
        ("[tru]", 1, 2, "a value should stand here"),
        ("[NaN]", 1, 2, "NaN is no number"),
        ("[-Infinity]", 1, 2, "-Infinity is no number"),
        ("[01]", 1, 3, "',' or ']' should stand here"),
        ("[1] 2", 1, 5, "more after the end"),
        ("\ufeff[]", 1, 1, "a value should stand here"),
        ('{"a": 1, "b": {"a": 2,\n "a": 3}}', 2, 2, "'a' is already taken"),
    ],
)
def test_a_mistake_has_a_place(text: str, line: int, column: int, words: str) -> None:
    error = refusal(text)

    assert error.position == Position(line, column)
    assert words in error.message


@pytest.mark.parametrize("opening", ["[", '{"a":', '[{"a":'])
def test_ten_thousand_levels_are_refused_in_words(opening: str) -> None:
    error = refusal(opening * 10_000)

    assert error.message == f"nested more than {MAX_DEPTH} levels deep"


def test_as_many_levels_as_allowed_are_read() -> None:
    text = "[" * MAX_DEPTH + "]" * MAX_DEPTH

    _, places = read_json(text)

    assert len(places) == MAX_DEPTH


def test_a_text_that_is_far_too_long_is_refused_unread() -> None:
    error = refusal(" " * (MAX_LENGTH + 1))

    assert error.message == "longer than 10,000,000 characters"


def test_more_values_than_any_definition_has_are_refused() -> None:
    read_json("[" + "1," * (MAX_VALUES - 2) + "1]")

    error = refusal("[" + "1,\n" * (MAX_VALUES - 1) + "1]")

    assert error.message == "more than 200,000 values"
    assert error.position == Position(MAX_VALUES, 1)


def test_a_long_name_is_shown_in_short() -> None:
    assert shown("x" * 101) == repr("x" * 100 + "...")
    assert shown("it's") == repr("it's")
