from __future__ import annotations

import re
import time
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiodatapipeline.definition import Definition
from aiodatapipeline.definition._compare import (
    Change,
    ChangeKind,
    Comparison,
    FieldChange,
    compare,
)
from aiodatapipeline.models import PipelineObject, Ref
from tests.definition.strategies import Body, bodies

LOAD = {"id": "Load", "type": "ShellCommandActivity", "command": "echo"}


def definition(*objects: dict[str, Any], **parts: Any) -> Definition:
    return Definition.from_mapping({"objects": list(objects), **parts})


def compared(old: dict[str, Any], new: dict[str, Any]) -> Comparison:
    """Compare definitions of one object each, the ids of which need not be said."""
    return compare(definition({"id": "Load", **old}), definition({"id": "Load", **new}))


def field_of(comparison: Comparison) -> FieldChange:
    ((field,),) = [change.fields for change in comparison.objects]
    return field


def refusals(old: list[dict[str, Any]], new: list[dict[str, Any]]) -> tuple[str, ...]:
    return compare(definition(*old), definition(*new)).refusals


# As data.


def test_a_field_with_another_value_is_changed() -> None:
    comparison = compared({"command": "old"}, {"command": "new"})

    assert comparison == Comparison(
        objects=(Change("Load", ChangeKind.CHANGED, (FieldChange("command", ("old",), ("new",)),)),)
    )
    assert field_of(comparison).kind is ChangeKind.CHANGED


def test_a_field_that_is_only_in_one_of_them_is_added_or_removed() -> None:
    added, removed = compared({}, {"a": "1"}), compared({"a": "1"}, {})

    assert field_of(added) == FieldChange("a", (), ("1",))
    assert field_of(added).kind is ChangeKind.ADDED
    assert field_of(removed) == FieldChange("a", ("1",), ())
    assert field_of(removed).kind is ChangeKind.REMOVED


def test_an_object_that_is_only_in_one_of_them_tells_all_its_fields() -> None:
    other = {"id": "Other", "name": "other", "b": ["1", "2"], "type": "CSV", "a": {"ref": "Load"}}

    added = compare(definition(LOAD), definition(LOAD, other))
    removed = compare(definition(LOAD, other), definition(LOAD))

    fields = (
        FieldChange("name", (), ("other",)),
        FieldChange("type", (), ("CSV",)),
        FieldChange("a", (), (Ref("Load"),)),
        FieldChange("b", (), ("1", "2")),
    )
    assert added.objects == (Change("Other", ChangeKind.ADDED, fields),)
    (change,) = removed.objects
    assert (change.id, change.kind) == ("Other", ChangeKind.REMOVED)
    assert change.fields == tuple(replace(each, old=each.new, new=()) for each in fields)


def test_a_name_that_is_the_id_goes_without_saying() -> None:
    comparison = compare(definition(), definition({"id": "A", "nameOfTable": "A"}))

    assert [field.key for field in comparison.objects[0].fields] == ["nameOfTable"]


def test_another_name_is_a_change() -> None:
    comparison = compared({}, {"name": "nightly load"})

    assert field_of(comparison) == FieldChange("name", ("Load",), ("nightly load",))


def test_the_order_of_values_is_a_change_and_that_of_fields_and_objects_is_none() -> None:
    one = PipelineObject.of("A", {"x": ["1", "2"], "y": "3"})
    same = PipelineObject.of("A", {"y": "3", "x": ["1", "2"]})
    other = PipelineObject.of("A", {"x": ["2", "1"], "y": "3"})
    last = PipelineObject.of("B", {})

    assert not compare(Definition((one, last)), Definition((last, same)))
    assert compare(Definition((one, last)), Definition((other, last)))


def test_a_text_is_not_the_reference_that_reads_the_same() -> None:
    comparison = compared({"runsOn": "Host"}, {"runsOn": {"ref": "Host"}})

    assert field_of(comparison).old == ("Host",)
    assert field_of(comparison).new == (Ref("Host"),)


def test_a_key_without_a_value_is_the_empty_text_that_a_file_makes_of_it() -> None:
    bare = PipelineObject.from_wire({"id": "A", "name": "A", "fields": [{"key": "x"}]})

    assert not compare(Definition((bare,)), definition({"id": "A", "x": ""}))
    assert compare(Definition((bare,)), definition({"id": "A"}))


def test_two_objects_with_one_id_are_told_apart_by_their_order() -> None:
    one, two = (PipelineObject.of("A", {"x": value}) for value in "12")

    comparison = compare(Definition((one, one)), Definition((one, two, two)))

    assert [(change.id, change.kind) for change in comparison.objects] == [
        ("A", ChangeKind.CHANGED),
        ("A", ChangeKind.ADDED),
    ]


def test_parameters_are_compared_by_their_attributes() -> None:
    old = definition(parameters=[{"id": "myA", "type": "String"}, {"id": "myB"}])
    new = definition(parameters=[{"id": "myC", "default": "1"}, {"id": "myA", "type": "Integer"}])

    comparison = compare(old, new)

    assert comparison.parameters == (
        Change("myA", ChangeKind.CHANGED, (FieldChange("type", ("String",), ("Integer",)),)),
        Change("myB", ChangeKind.REMOVED, ()),
        Change("myC", ChangeKind.ADDED, (FieldChange("default", (), ("1",)),)),
    )


def test_values_of_parameters_are_compared_in_their_order() -> None:
    old = definition(values={"myA": ["1", "2"], "myB": "x", "mySame": "y"})
    new = definition(values={"myC": "z", "myA": ["2", "1"], "mySame": "y"})

    comparison = compare(old, new)

    assert comparison.values == (
        FieldChange("myA", ("1", "2"), ("2", "1")),
        FieldChange("myB", ("x",), ()),
        FieldChange("myC", (), ("z",)),
    )


# What the service refuses once the pipeline has been activated.


def test_an_object_cannot_be_removed() -> None:
    found = refusals([LOAD, {"id": "Old"}], [LOAD])

    assert found == ('"Old": an object cannot be removed',)


@pytest.mark.parametrize(
    ("key", "old", "new", "word"),
    [
        ("period", "1 day", "2 days", "period"),
        ("startDateTime", "2026-01-01T00:00:00", "2026-01-02T00:00:00", "start"),
        ("startAt", "FIRST_ACTIVATION_DATE_TIME", None, "start"),
    ],
)
def test_the_period_and_the_start_of_a_schedule_cannot_change(
    key: str, old: str, new: str | None, word: str
) -> None:
    before = {"id": "Daily", "type": "Schedule", key: old}
    after = {"id": "Daily", "type": "Schedule", **({key: new} if new else {})}

    (reason,) = refusals([before], [after])

    assert reason == f'"Daily", field "{key}": the {word} of an existing schedule cannot change'


def test_a_period_that_a_schedule_inherits_cannot_change_either() -> None:
    schedule = {"id": "Daily", "type": "Schedule", "parent": {"ref": "Base"}}

    def change(schedule: dict[str, Any]) -> tuple[str, ...]:
        bases = [{"id": "Base", "period": period} for period in ("1 day", "2 days")]
        return refusals([bases[0], schedule], [bases[1], schedule])

    inherited, overridden = change(schedule), change(schedule | {"period": "3 days"})

    assert len(inherited) == 1
    assert inherited[0].startswith('"Base", field "period"')
    assert overridden == ()


def test_a_period_of_its_own_in_the_place_of_an_inherited_one_is_a_change_too() -> None:
    base = {"id": "Base", "period": "1 day"}
    schedule = {"id": "Daily", "type": "Schedule", "parent": {"ref": "Base"}}

    (reason,) = refusals([base, schedule], [base, schedule | {"period": "2 days"}])

    assert reason.startswith('"Daily", field "period"')


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({}, {"runsOn": {"ref": "Host"}}),
        ({"runsOn": {"ref": "Host"}}, {}),
        ({"runsOn": {"ref": "Host"}}, {"runsOn": {"ref": "Other"}}),
        ({"dependsOn": [{"ref": "A"}, {"ref": "B"}]}, {"dependsOn": [{"ref": "B"}, {"ref": "A"}]}),
        ({"runsOn": "Host"}, {"runsOn": {"ref": "Host"}}),
    ],
)
def test_a_reference_of_an_existing_object_cannot_change(
    old: dict[str, Any], new: dict[str, Any]
) -> None:
    field = field_of(compared(old, new))

    assert field.refused == "a reference of an existing object cannot change"


def test_a_new_object_cannot_put_out_into_an_existing_one() -> None:
    old = [{"id": "Data", "type": "S3DataNode"}]
    fresh = {"id": "More", "type": "S3DataNode"}
    copy = {"id": "Copy", "type": "CopyActivity", "input": {"ref": "Data"}}

    into_old = refusals(old, [*old, fresh, copy | {"output": [{"ref": "More"}, {"ref": "Data"}]}])
    into_new = refusals(old, [*old, fresh, copy | {"output": {"ref": "More"}}])

    assert into_old == (
        '"Copy", field "output": a new object cannot have an existing one as its output',
    )
    assert into_new == ()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"type": "ShellCommandActivity", "command": "a"}, {"type": "ShellCommandActivity"}),
        ({"type": "ShellCommandActivity", "period": "1 day"}, {"type": "ShellCommandActivity"}),
        ({"type": "Schedule", "endDateTime": "a"}, {"type": "Schedule", "occurrences": "2"}),
        ({"x": ["text", {"ref": "A"}]}, {"x": ["other", {"ref": "A"}]}),
    ],
)
def test_other_changes_are_taken(old: dict[str, Any], new: dict[str, Any]) -> None:
    comparison = compared(old, new)

    assert comparison
    assert comparison.refusals == ()


def test_a_parent_cycle_does_no_harm() -> None:
    a = {"id": "A", "type": "Schedule", "parent": {"ref": "B"}}
    b = {"id": "B", "parent": {"ref": "A"}, "period": "1 day"}

    assert len(refusals([a, b], [a, b | {"period": "2 days"}])) == 1


def test_a_chain_of_ten_thousand_parents_is_compared_in_time() -> None:
    chain: list[dict[str, Any]] = [
        {"id": str(number), "type": "Schedule", "parent": {"ref": str(number + 1)}}
        for number in range(10_000)
    ]
    old = definition(*chain, {"id": "10000", "period": "1 day"})
    new = definition(*chain, {"id": "10000", "period": "2 days"})

    start = time.thread_time()
    found = compare(old, new)

    assert time.thread_time() - start < 5
    assert len(found.refusals) == 1


# As text.


def test_the_text_shows_all_there_is() -> None:
    old = definition(
        {"id": "Daily", "type": "Schedule", "period": "1 day"},
        LOAD | {"scriptArgument": ["a", "b", "c"], "stage": "true"},
        {"id": "Old", "type": "S3DataNode", "name": "old data"},
        parameters=[{"id": "myA", "type": "String"}],
        values={"myA": "1"},
    )
    new = definition(
        {"id": "Daily", "type": "Schedule", "period": "2 days"},
        LOAD | {"scriptArgument": ["a", "c", "d"], "runsOn": {"ref": "Host"}},
        {"id": "Host", "type": "Ec2Resource"},
        parameters=[{"id": "myA", "type": "String", "default": ["x", "y"]}],
        values={"myA": "2"},
    )

    text = compare(old, new).to_text()

    assert (
        text
        == """\
~ object "Daily"
  ~ period: "1 day" -> "2 days"
    ! refused once the pipeline has been activated: the period of an existing schedule cannot change
~ object "Load"
  + runsOn: {"ref": "Host"}
    ! refused once the pipeline has been activated: a reference of an existing object cannot change
  ~ scriptArgument:
        "a"
      - "b"
        "c"
      + "d"
  - stage: "true"
- object "Old"
  ! refused once the pipeline has been activated: an object cannot be removed
  - name: "old data"
  - type: "S3DataNode"
+ object "Host"
  + type: "Ec2Resource"
~ parameter "myA"
  + default:
      + "x"
      + "y"
~ value "myA": "1" -> "2"
! 3 of these are refused once the pipeline has been activated
"""
    )


def test_a_script_is_compared_line_by_line() -> None:
    lines = [f"echo {number}" for number in range(12)]
    old = "\n".join(["set -e", *lines, "echo last"])
    new = "\n".join(["set -eu", *lines, "echo last"])

    text = compared({"command": old}, {"command": new}).to_text()

    assert (
        text
        == """\
~ object "Load"
  ~ command:
      - set -e
      + set -eu
        echo 0
        echo 1
        ... 9 lines ...
        echo 11
        echo last
"""
    )


def test_a_long_value_stands_in_lines_of_its_own() -> None:
    text = compared({"a": "x" * 60}, {"a": "y" * 60}).to_text()

    assert (
        text
        == f"""\
~ object "Load"
  ~ a:
      - "{"x" * 60}"
      + "{"y" * 60}"
"""
    )


def test_without_changes_the_text_says_so() -> None:
    same = definition(LOAD)

    assert str(compare(same, same)) == "= no changes\n"


def test_what_could_hide_or_disguise_something_is_escaped() -> None:
    old = {"a": "1", "b": "x\ny", "odd key": "1"}
    new = {"a": "\x9b2J\u202e", "b": "x \ny\t\u2028z", "odd key": "2"}

    text = compared(old, new).to_text()

    assert (
        text
        == """\
~ object "Load"
  ~ a: "1" -> "\\x9b2J\\u202e"
  ~ b:
      - x
      - y
      + x\\x20
      + y\\t\\u2028z
  ~ "odd key": "1" -> "2"
"""
    )


def test_lines_that_look_the_same_are_both_shown() -> None:
    text = compared({"a": "x \ny"}, {"a": "x\\x20\ny"}).to_text()

    assert "- x\\x20\n      + x\\x20\n" in text


def test_colours_are_only_added_when_asked_for() -> None:
    comparison = compared({"a": "1", "b": "1"}, {"b": "+ 2\n+ 3", "c": {"ref": "X"}})

    plain, coloured = comparison.to_text(), comparison.to_text(colour=True)

    assert "\x1b" not in plain
    assert re.sub("\x1b\\[[0-9;]*m", "", coloured) == plain
    assert "\x1b[31m  - a" in coloured
    assert "\x1b[33m  ~ b" in coloured
    assert "\x1b[32m  + c" in coloured
    assert "\x1b[1;35m    ! refused" in coloured


def test_a_line_that_stays_is_never_coloured() -> None:
    comparison = compared({"a": "+ stays\nold"}, {"a": "+ stays\nnew"})

    assert "\n        + stays\n" in comparison.to_text(colour=True)


def test_secret_values_are_neither_in_the_text_nor_in_any_repr() -> None:
    old = definition(
        {"id": "Db", "*password": "hunter2", "*gone": "hunter3"},
        parameters=[{"id": "*myKey", "default": "hunter4", "description": "old"}],
        values={"*myKey": "hunter5", "*myOld": "hunter6"},
    )
    new = definition(
        {"id": "Db", "*password": "hunter7", "*new": "hunter8\nhunter8"},
        parameters=[{"id": "*myKey", "default": "hunter9", "description": "new"}],
        values={"*myKey": ["hunter10", "hunter11"]},
    )

    comparison = compare(old, new)

    assert "hunter" not in comparison.to_text()
    assert "hunter" not in repr(comparison)
    assert (
        comparison.to_text()
        == """\
~ object "Db"
  - *gone: ***
  + *new: ***
  ~ *password: *** (not the same)
~ parameter "*myKey"
  ~ default: *** (not the same)
  ~ description: "old" -> "new"
~ value "*myKey": *** (not the same)
- value "*myOld": ***
"""
    )


def test_one_line_that_changes_in_thousands_is_told_alone() -> None:
    lines = [str(number) for number in range(2_000)]
    changed = [*lines[:1_000], "new", *lines[1_001:]]

    text = compared({"a": "\n".join(lines)}, {"a": "\n".join(changed)}).to_text()

    assert (
        text
        == """\
~ object "Load"
  ~ a:
        0
        1
        ... 996 lines ...
        998
        999
      - 1000
      + new
        1001
        1002
        ... 995 lines ...
        1998
        1999
"""
    )


def marks(old: dict[str, Any], new: dict[str, Any]) -> Counter[str]:
    """Count the lines that go, come and stay."""
    lines = compared(old, new).to_text().split("\n")
    return Counter(line[6] for line in lines if line.startswith("      ") and len(line) > 6)


@pytest.mark.parametrize(("count", "stay"), [(200, 1), (201, 0)])
def test_too_many_lines_are_not_searched_for_the_smallest_difference(count: int, stay: int) -> None:
    lines = [str(number) for number in range(count)]

    found = marks({"a": "\n".join(lines)}, {"a": "\n".join(reversed(lines))})

    assert found == Counter({"-": count - stay, "+": count - stay, " ": stay})


def test_the_search_has_one_limit_for_all_fields_together() -> None:
    # 100 lines with 100: a hundred times, that is all there is.
    lines = [str(number) for number in range(100)]
    old = {f"a{number}": "\n".join(lines) for number in range(110)}
    new = {key: "\n".join(reversed(lines)) for key in old}

    found = marks(old, new)

    assert found == Counter({"-": 110 * 100 - 100, "+": 110 * 100 - 100, " ": 100})


def test_what_is_slow_to_compare_takes_no_longer_than_that() -> None:
    # Every second line is the same: the worst that a search for the smallest difference can meet.
    old = {f"a{number}": "\n".join(["a", "b"] * 95) for number in range(200)}
    new = {key: "\n".join(["c", "a"] * 95) for key in old}
    comparison = compared(old, new)

    start = time.thread_time()
    comparison.to_text()

    assert time.thread_time() - start < 10


# Of any definitions.


@given(bodies)
def test_a_definition_is_the_same_as_itself(body: Body) -> None:
    one = Definition.from_mapping(body)
    turned = replace(one, objects=one.objects[::-1], parameters=one.parameters[::-1])

    assert not compare(one, one)
    assert not compare(one, turned)


@given(bodies, bodies)
def test_what_is_added_one_way_is_removed_the_other_way(old: Body, new: Body) -> None:
    one, other = Definition.from_mapping(old), Definition.from_mapping(new)

    there, back = compare(one, other), compare(other, one)

    def told(comparison: Comparison, step: int) -> set[object]:
        changes = (*comparison.objects, *comparison.parameters)
        owned = [(change.id, change.fields) for change in changes]
        return {
            (owner, each.key, (each.old, each.new)[::step])
            for owner, fields in [*owned, ("", comparison.values)]
            for each in fields
        }

    assert told(there, 1) == told(back, -1)
    assert {change.id for change in there.objects} == {change.id for change in back.objects}


@given(bodies, bodies, st.booleans())
def test_the_text_is_printable_and_always_the_same(old: Body, new: Body, colour: bool) -> None:
    one, other = Definition.from_mapping(old), Definition.from_mapping(new)

    text = compare(one, other).to_text(colour=colour)

    assert text == compare(one, other).to_text(colour=colour)
    plain = re.sub("\x1b\\[[0-9;]*m", "", text) if colour else text
    assert all(line.isprintable() for line in plain.split("\n"))
