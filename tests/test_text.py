"""Characters that the service takes, and texts that are too long."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiodatapipeline._text import clean, cut_bytes, cut_middle, first_refused
from tests.strategies import CHARACTERS

# Lone surrogates and control characters included.
ANY_TEXT = st.text(st.characters())
GOOD_TEXT = st.text(CHARACTERS)


@given(GOOD_TEXT)
def test_a_text_that_the_service_takes_stays_as_it_is(text: str) -> None:
    assert first_refused(text) is None
    assert clean(text) == text


@given(ANY_TEXT)
def test_a_cleaned_text_has_nothing_that_the_service_refuses(text: str) -> None:
    assert first_refused(clean(text)) is None


@given(ANY_TEXT)
def test_cleaning_never_makes_a_text_shorter(text: str) -> None:
    assert len(clean(text)) >= len(text)


@pytest.mark.parametrize(
    ("refused", "seen"),
    [
        ("\x1b[31mred", r"\x1b[31mred"),
        ("nul \0", r"nul \x00"),
        ("not a character \uffff", r"not a character \uffff"),
        ("half a pair \ud83d", "half a pair \ufffd"),
        ("the other half \udc00", "the other half \ufffd"),
    ],
)
def test_a_refused_character_can_still_be_read(refused: str, seen: str) -> None:
    assert clean(refused) == seen


def test_the_first_refused_character_is_named_with_its_place() -> None:
    assert first_refused("ab\x07c\0") == "U+0007 at index 2"


@given(GOOD_TEXT, st.integers(0, 60))
def test_a_cut_keeps_as_many_whole_characters_as_fit(text: str, limit: int) -> None:
    kept = cut_bytes(text, limit)

    assert text.startswith(kept)
    assert len(kept.encode()) <= limit
    assert kept == text or len(text[: len(kept) + 1].encode()) > limit


@given(st.text(min_size=61), st.integers(0, 30), st.integers(40, 60))
def test_a_cut_in_the_middle_keeps_both_ends(text: str, head: int, limit: int) -> None:
    kept = cut_middle(text, limit, head)

    beginning, gap, end = kept.partition("\n[...]\n")
    assert gap
    assert beginning == text[:head]
    assert text.endswith(end)
    assert len(kept) == limit


def test_a_text_within_the_limit_is_not_cut_in_the_middle() -> None:
    assert cut_middle("x" * 50, 50, 10) == "x" * 50
    assert cut_middle("x" * 51, 50, 10) != "x" * 51
