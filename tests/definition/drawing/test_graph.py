from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiodatapipeline.definition import Definition, DefinitionError
from aiodatapipeline.definition._drawing._graph import (
    FAN,
    MAX_LABEL,
    MAX_LINES,
    MAX_OBJECTS,
    Flow,
    Graph,
    Role,
    Stage,
    label,
    printable,
    read_graph,
)
from tests.definition.strategies import Body, bodies


def graph(*objects: dict[str, Any], **statuses: str) -> Graph:
    return read_graph(Definition.from_mapping({"objects": list(objects)}), statuses)


def lines(drawn: Graph) -> set[tuple[str, str, str]]:
    """Give each line as its beginning, its field and its end."""
    ids = [node.id for node in drawn.nodes]
    return {(ids[edge.source], edge.field, ids[edge.target]) for edge in drawn.edges}


def ref(object_id: str) -> dict[str, str]:
    return {"ref": object_id}


def test_lines_lead_from_what_comes_first_to_what_comes_next() -> None:
    drawn = graph(
        {"id": "Load", "type": "CopyActivity", "input": ref("In"), "output": ref("Out"),
         "dependsOn": ref("Other"), "runsOn": ref("Host"), "schedule": ref("Daily"),
         "precondition": ref("Ready"), "onFail": ref("Alarm"), "myX": ref("Mine")},
        {"id": "In", "type": "S3DataNode"},
        {"id": "Out", "type": "S3DataNode"},
        {"id": "Other", "type": "CopyActivity"},
        {"id": "Host", "type": "Ec2Resource"},
        {"id": "Daily", "type": "Schedule"},
        {"id": "Ready", "type": "Exists"},
        {"id": "Alarm", "type": "SnsAlarm"},
        {"id": "Mine", "type": "CSV"},
    )  # fmt: skip

    assert lines(drawn) == {
        ("In", "input", "Load"),
        ("Load", "output", "Out"),
        ("Other", "dependsOn", "Load"),
        ("Host", "runsOn", "Load"),
        ("Daily", "schedule", "Load"),
        ("Ready", "precondition", "Load"),
        ("Load", "onFail", "Alarm"),
        ("Mine", "myX", "Load"),
    }
    assert {edge.field: edge.flow for edge in drawn.edges} == {
        "input": Flow.DATA,
        "output": Flow.DATA,
        "dependsOn": Flow.ORDER,
        "runsOn": Flow.RESOURCE,
        "schedule": Flow.SCHEDULE,
        "precondition": Flow.CONDITION,
        "onFail": Flow.ACTION,
        "myX": Flow.OTHER,
    }
    assert {edge.field for edge in drawn.edges if edge.outward} == {"output", "onFail"}


@pytest.mark.parametrize(
    ("type_name", "role"),
    [
        ("HiveActivity", Role.ACTIVITY),
        ("MySqlDataNode", Role.DATA),
        ("EmrCluster", Role.RESOURCE),
        ("S3KeyExists", Role.PRECONDITION),
        ("Schedule", Role.SCHEDULE),
        ("Terminate", Role.ACTION),
        ("RdsDatabase", Role.DATABASE),
        ("CSV", Role.OTHER),
        ("HttpProxy", Role.OTHER),
        ("SomethingNew", Role.OTHER),
    ],
)
def test_the_type_decides_the_role(type_name: str, role: Role) -> None:
    (node,) = graph({"id": "A", "name": "the first", "type": type_name}).nodes

    assert (node.role, node.type) == (role, type_name)
    assert (node.id, node.label) == ("A", "the first")


def test_what_is_inherited_is_drawn_where_it_holds() -> None:
    drawn = graph(
        {"id": "Default", "schedule": ref("Daily"), "runsOn": ref("Host"), "onFail": ref("Alarm")},
        {"id": "Base", "input": ref("Data"), "parent": ref("Default")},
        {"id": "Load", "type": "CopyActivity", "parent": ref("Base")},
        {"id": "Data", "type": "S3DataNode", "schedule": ref("Weekly")},
        {"id": "Host", "type": "Ec2Resource"},
        {"id": "Alarm", "type": "SnsAlarm"},
        {"id": "Daily", "type": "Schedule"},
        {"id": "Weekly", "type": "Schedule"},
        {"id": "New", "type": "SomethingNew"},
    )

    assert [node.id for node in drawn.nodes] == [
        "Load", "Data", "Host", "Alarm", "Daily", "Weekly", "New"
    ]  # fmt: skip
    assert lines(drawn) == {
        ("Data", "input", "Load"),
        ("Daily", "schedule", "Load"),
        ("Host", "runsOn", "Load"),
        ("Load", "onFail", "Alarm"),
        # Its own schedule, not that of Default; and data runs nowhere.
        ("Weekly", "schedule", "Data"),
        ("Data", "onFail", "Alarm"),
        # A resource does not run on one, an alarm has no alarm, a schedule no schedule.
        ("Daily", "schedule", "Host"),
        ("Host", "onFail", "Alarm"),
        # Of an unknown type nobody knows what holds for it.
        ("Daily", "schedule", "New"),
        ("Host", "runsOn", "New"),
        ("New", "onFail", "Alarm"),
    }


def test_what_all_others_wait_for_does_not_wait_for_itself() -> None:
    drawn = graph(
        {"id": "Default", "dependsOn": ref("First")},
        {"id": "First", "type": "CopyActivity"},
        {"id": "Next", "type": "CopyActivity"},
    )

    assert lines(drawn) == {("First", "dependsOn", "Next")}


def test_a_field_of_its_own_is_drawn_even_where_the_guide_has_none() -> None:
    drawn = graph({"id": "Daily", "type": "Schedule", "onFail": ref("Daily")})

    assert lines(drawn) == {("Daily", "onFail", "Daily")}


def test_what_is_not_there_gets_a_box_that_says_so() -> None:
    drawn = graph({"id": "Load", "type": "CopyActivity", "input": [ref("Gone"), ref("Gone")]})

    assert lines(drawn) == {("Gone", "input", "Load")}
    assert len(drawn.edges) == 1
    gone = drawn.nodes[1]
    assert (gone.id, gone.role, gone.lines()) == ("Gone", Role.MISSING, ("Gone", "is not there"))


def test_an_object_without_a_type_is_drawn_unless_it_is_only_inherited_from() -> None:
    def ids(*objects: dict[str, Any]) -> list[str]:
        return [node.id for node in graph(*objects).nodes]

    base = {"id": "Base", "schedule": ref("Daily")}

    assert ids(base) == ["Base", "Daily"]
    assert ids(base, {"id": "Load", "type": "CSV", "parent": ref("Base")}) == ["Load"]
    assert ids({"id": "Default", "schedule": ref("Daily")}) == []
    assert ids({"id": "Default"}, {"id": "A", "type": "CSV", "myX": ref("Default")}) == [
        "A", "Default"
    ]  # fmt: skip


@pytest.mark.parametrize(("count", "drawn_as_lines"), [(FAN - 1, True), (FAN, False)])
def test_what_many_share_is_named_in_their_boxes(count: int, drawn_as_lines: bool) -> None:
    hosts = {"id": "Host", "name": "the host", "type": "Ec2Resource"}
    loads = [
        {"id": f"Load{number}", "type": "CopyActivity", "runsOn": ref("Host")}
        for number in range(count)
    ]

    drawn = graph(hosts, *loads)

    assert len(drawn.edges) == (count if drawn_as_lines else 0)
    assert drawn.nodes[1].notes == (() if drawn_as_lines else (("runsOn", "the host"),))
    assert drawn.nodes[0].notes == ()


def test_what_happens_when_is_always_a_line() -> None:
    loads = [
        {"id": f"Load{number}", "type": "CopyActivity", "dependsOn": ref("Host"),
         "input": ref("Data"), "precondition": ref("Ready"), "runsOn": ref("Host")}
        for number in range(FAN)
    ]  # fmt: skip

    drawn = graph(*loads)

    assert {edge.field for edge in drawn.edges} == {"dependsOn", "input", "precondition"}
    assert len(drawn.edges) == 3 * FAN


@pytest.mark.parametrize(
    ("word", "stage"),
    [
        ("WAITING_FOR_RUNNER", Stage.WAITING),
        ("RUNNING", Stage.RUNNING),
        ("finished", Stage.FINISHED),
        ("CASCADE_FAILED", Stage.FAILED),
        ("CANCELED", Stage.STOPPED),
        ("SOMETHING_NEW", Stage.OTHER),
    ],
)
def test_a_status_word_tells_how_far_an_object_has_come(word: str, stage: Stage) -> None:
    drawn = graph({"id": "A", "type": "CSV"}, {"id": "B", "type": "CSV"}, A=word, Unknown="x")

    assert [node.stage for node in drawn.nodes] == [stage, None]
    assert drawn.nodes[0].lines() == ("A", "CSV", word)
    assert drawn.statuses() == {stage: [word]}


def test_more_than_can_be_drawn_is_refused() -> None:
    objects = [{"id": str(number)} for number in range(MAX_OBJECTS + 1)]
    fields = {"dependsOn": [ref(str(number)) for number in range(MAX_LINES + 1)]}

    with pytest.raises(DefinitionError, match="no more than 1,000 objects can be drawn"):
        graph(*objects)
    with pytest.raises(DefinitionError, match="no more than 10,000 lines can be drawn"):
        graph({"id": "A", "type": "CSV", **fields})
    assert len(graph(*objects[1:]).nodes) == MAX_OBJECTS


def test_a_parent_cycle_does_no_harm() -> None:
    drawn = graph(
        {"id": "A", "type": "CopyActivity", "parent": ref("B"), "input": ref("Data")},
        {"id": "B", "type": "CopyActivity", "parent": ref("A")},
    )

    assert ("Data", "input", "A") in lines(drawn)


def test_a_long_text_keeps_its_head_and_its_tail() -> None:
    long = "ShellCommandActivity_loads_the_orders_of_2026-01-31"

    short = label(long)

    assert len(short) == MAX_LABEL
    head, tail = short.split("…")
    assert long.startswith(head)
    assert long.endswith(tail)


@given(st.text())
def test_a_printable_text_is_one_line_of_what_xml_allows(text: str) -> None:
    line = printable(text)

    assert line == " ".join(line.split())
    assert all(each.isprintable() or each in "\u200c\u200d" for each in line)
    assert printable(line) == line


@given(bodies)
def test_any_definition_has_a_graph(body: Body) -> None:
    definition = Definition.from_mapping(body)

    drawn = read_graph(definition, {each.id: "RUNNING" for each in definition.objects})

    there = [node for node in drawn.nodes if node.role is not Role.MISSING]
    typed = [each for each in definition.objects if "type" in each]
    assert len(typed) <= len(there) <= len(definition.objects)
    assert all(node.stage is Stage.RUNNING for node in there)
    assert all(max(edge.source, edge.target) < len(drawn.nodes) for edge in drawn.edges)
