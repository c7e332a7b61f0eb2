"""Values that are secret, and texts in which they are covered."""

from __future__ import annotations

import pytest

from aiodatapipeline._secrets import Secrets, is_secret


def test_a_key_that_begins_with_an_asterisk_is_secret() -> None:
    assert is_secret("*password")
    assert not is_secret("password*")
    assert not is_secret(None)


@pytest.mark.parametrize("values", [["hunter", "hunter2"], ["hunter2", "hunter"]])
def test_nothing_is_left_of_a_secret_that_begins_with_another(values: list[str]) -> None:
    assert Secrets(values).cover("hunter2 and hunter") == "*** and ***"


@pytest.mark.parametrize("values", [[], [None, "", "   "], ["abc"]])
def test_what_is_no_secret_or_too_short_is_let_be(values: list[str | None]) -> None:
    assert Secrets(values).cover("   abc") == "   abc"


def test_a_short_one_is_covered_where_that_is_asked_for() -> None:
    assert Secrets(["a"], shortest=1).cover("cat") == "c***t"


@pytest.mark.parametrize(
    ("start", "shown"),
    [(0, "a *** b"), (2, "*** b"), (3, " b"), (8, " b"), (9, " b"), (10, "b")],
)
def test_a_text_is_cut_before_or_behind_a_secret(start: int, shown: str) -> None:
    secrets = Secrets(["hunter2"])

    assert secrets.cut("a hunter2 b", start) == shown
    assert secrets.size == len("hunter2")
