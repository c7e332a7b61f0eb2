"""The two doors of every model, and the kinds of values that go through them."""

from __future__ import annotations

import copy
import math
import pickle
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Annotated, Any

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiodatapipeline import models
from aiodatapipeline._wire import (
    FrozenDict,
    Id,
    Many,
    OptionalMany,
    OptionalMap,
    Timestamp,
    WireModel,
    as_tuple,
    is_from_wire,
)


class Box(WireModel):
    box_id: Id
    started_at: Timestamp | None = None
    is_open: bool | None = None
    item_ids: OptionalMany[Id] = ()
    items_by_id: OptionalMap[Id] = FrozenDict()


def _reads_timestamp(value: object) -> datetime | None:
    return Box.from_wire({"boxId": "b", "startedAt": value}).started_at


def test_people_write_snake_case() -> None:
    box = Box(box_id="b", is_open=True, item_ids=("i",))

    assert (box.box_id, box.is_open, box.item_ids) == ("b", True, ("i",))


def test_the_wire_writes_camel_case() -> None:
    box = Box.from_wire({"boxId": "b", "isOpen": True, "itemIds": ["i"], "itemsById": {"k": "v"}})

    assert box == Box(box_id="b", is_open=True, item_ids=("i",), items_by_id={"k": "v"})


def test_people_cannot_write_camel_case() -> None:
    with pytest.raises(pydantic.ValidationError, match=r"boxId\n +Extra inputs are not permitted"):
        Box(boxId="b")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def test_the_wire_cannot_write_snake_case() -> None:
    with pytest.raises(pydantic.ValidationError, match=r"boxId\n +Field required"):
        Box.from_wire({"box_id": "b"})


def test_people_cannot_write_names_that_nobody_knows() -> None:
    with pytest.raises(pydantic.ValidationError, match="colour"):
        Box(box_id="b", colour="red")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def test_names_that_nobody_knows_are_ignored_on_the_wire() -> None:
    assert Box.from_wire({"boxId": "b", "colour": "red"}) == Box(box_id="b")


def test_null_on_the_wire_is_the_same_as_nothing() -> None:
    body = {"boxId": "b", "startedAt": None, "isOpen": None, "itemIds": None, "itemsById": None}

    assert Box.from_wire(body) == Box(box_id="b")


def test_null_does_not_stand_for_what_is_required() -> None:
    with pytest.raises(pydantic.ValidationError, match="boxId"):
        Box.from_wire({"boxId": None})


def test_what_is_left_out_stays_out() -> None:
    assert Box(box_id="b", is_open=None).to_wire() == {"boxId": "b"}


def test_what_is_given_goes_out_even_if_it_is_the_default() -> None:
    assert Box(box_id="b", item_ids=()).to_wire() == {"boxId": "b", "itemIds": []}


@pytest.mark.parametrize(
    "members",
    [
        {"boxId": 5},
        {"boxId": b"b"},
        {"boxId": "b", "isOpen": "true"},
        {"boxId": "b", "isOpen": 1},
        {"boxId": "b", "itemIds": "ab"},
        {"boxId": "b", "itemIds": [1]},
        {"boxId": "b", "itemIds": {"a": "b"}},
        {"boxId": "b", "itemsById": [["a", "b"]]},
        {"boxId": "b", "startedAt": "2012-12-12T00:00:00"},
        {"boxId": "b", "startedAt": True},
    ],
)
def test_nothing_is_made_to_fit(members: dict[str, object]) -> None:
    with pytest.raises(pydantic.ValidationError):
        Box.from_wire(members)


def test_a_model_cannot_be_changed() -> None:
    box = Box(box_id="b")

    with pytest.raises(pydantic.ValidationError, match="frozen"):
        box.box_id = "c"  # type: ignore[misc]  # the mistake that is tested


COPIES: list[Callable[[Box], Box]] = [
    copy.copy,
    copy.deepcopy,
    Box.model_copy,
    lambda box: pickle.loads(pickle.dumps(box)),
]


@pytest.mark.parametrize("copied", COPIES)
def test_a_copy_is_equal_and_as_hashable(copied: Callable[[Box], Box]) -> None:
    box = Box(
        box_id="b", started_at=datetime.now(UTC), item_ids=("i",), items_by_id={"k": "v", "l": "w"}
    )

    again = copied(box)

    assert again == box
    assert hash(again) == hash(box)
    assert isinstance(again.items_by_id, FrozenDict)


def test_order_in_a_mapping_is_no_part_of_its_hash() -> None:
    one, other = FrozenDict({"a": 1, "b": 2}), FrozenDict({"b": 2, "a": 1})

    assert one == other
    assert hash(one) == hash(other)


CHANGES: list[Callable[[FrozenDict[str, int]], object]] = [
    lambda held: held.__setitem__("a", 2),
    lambda held: held.__delitem__("a"),
    lambda held: held.__ior__({"a": 2}),
    lambda held: held.clear(),
    lambda held: held.pop("a"),
    lambda held: held.popitem(),
    lambda held: held.setdefault("b", 2),
    lambda held: held.update(a=2),
]


@pytest.mark.parametrize("change", CHANGES)
def test_a_mapping_in_a_model_cannot_be_changed(
    change: Callable[[FrozenDict[str, int]], object],
) -> None:
    held = FrozenDict({"a": 1})

    with pytest.raises(TypeError, match="frozen"):
        change(held)

    assert held == {"a": 1}


def test_a_mapping_is_taken_as_it_was_when_it_was_given() -> None:
    given_one = {"k": "v"}
    box = Box(box_id="b", items_by_id=given_one)

    given_one["k"] = "w"

    assert box.items_by_id == {"k": "v"}


def test_a_refused_character_is_named_and_the_text_is_not() -> None:
    with pytest.raises(pydantic.ValidationError) as caught:
        Box(box_id="secret\x1b")

    assert "box_id\n" in str(caught.value)
    assert "U+001B at index 6" in str(caught.value)
    assert "secret" not in str(caught.value)


TIMES = st.datetimes(
    timezones=st.builds(timezone, st.timedeltas(timedelta(hours=-23), timedelta(hours=23)))
)


@given(TIMES)
def test_a_time_loses_its_fraction_and_nothing_else(time: datetime) -> None:
    seconds = Box(box_id="b", started_at=time).to_wire()["startedAt"]

    assert isinstance(seconds, int)
    exact = time - datetime(1970, 1, 1, tzinfo=UTC)
    assert timedelta(0) <= exact - timedelta(seconds=seconds) < timedelta(seconds=1)


@given(st.integers(-62_135_596_800, 253_402_300_799))
def test_seconds_go_back_the_same(seconds: int) -> None:
    assert Box.from_wire({"boxId": "b", "startedAt": seconds}).to_wire()["startedAt"] == seconds


def test_seconds_may_have_a_fraction() -> None:
    assert _reads_timestamp(1.5) == datetime(1970, 1, 1, 0, 0, 1, 500_000, tzinfo=UTC)


@pytest.mark.parametrize("value", [1e300, -1e300, 10**18, math.nan, math.inf, -math.inf])
def test_a_number_that_is_no_time_is_refused(value: float) -> None:
    with pytest.raises(pydantic.ValidationError, match=r"startedAt\n.*not a time"):
        _reads_timestamp(value)


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(pydantic.ValidationError, match=r"started_at\n.*timezone"):
        Box(box_id="b", started_at=datetime(2012, 12, 12))  # noqa: DTZ001  # the mistake


def test_a_validator_knows_which_door_it_stands_at() -> None:
    seen: list[bool] = []

    def look(value: object, info: pydantic.ValidationInfo) -> object:
        seen.append(is_from_wire(info))
        return value

    class Door(WireModel):
        key: Annotated[str, pydantic.BeforeValidator(look)]
        doors: Many[Door] = ()

    Door(key="k")
    Door.from_wire({"key": "k", "doors": [{"key": "inner"}]})

    assert seen == [False, True, True]


@pytest.mark.parametrize(
    ("items", "made"),
    [(["a"], ("a",)), (iter("ab"), ("a", "b")), ({}, ()), (None, None), ("text", "text")],
)
def test_any_iterable_but_a_text_is_made_a_tuple(items: Any, made: object) -> None:
    assert as_tuple(items) == made


def test_a_refused_change_does_not_show_the_value() -> None:
    field = models.Field(key="*password", string_value="shown nowhere")

    with pytest.raises(pydantic.ValidationError, match="frozen") as caught:
        field.string_value = "shown nowhere"  # type: ignore[misc]  # what is tried

    assert "shown nowhere" not in str(caught.value)
    assert "shown nowhere" not in repr(caught.value.errors())
