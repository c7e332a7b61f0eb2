from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiodatapipeline.definition import (
    Definition,
    EffectiveObject,
    Parameter,
    ResolvedDefinition,
    RunTime,
    RunTimeValue,
    resolve,
)
from aiodatapipeline.definition.expressions import (
    ExpressionError,
    MappingScope,
    UnknownNameError,
    parse,
)
from aiodatapipeline.models import ParameterValue, PipelineObject, Ref


def resolved(*objects: Mapping[str, object], **parts: Any) -> ResolvedDefinition:
    return resolve(Definition.from_mapping({"objects": list(objects), **parts}))


def parameter(values: object = None, **attributes: object) -> Parameter:
    parts: dict[str, object] = {} if values is None else {"values": {"myX": values}}
    declared = [{"id": "myX", **attributes}]
    return resolved(parameters=declared, **parts).parameters["myX"]


def parent(object_id: str) -> dict[str, object]:
    return {"ref": object_id}


# Objects.


def test_an_object_without_a_parent_inherits_from_default() -> None:
    found = resolved({"id": "A", "own": "1"}, {"id": "Default", "given": ["2", "3"]}).objects["A"]

    assert found.strings("own") == ("1",)
    assert found.strings("given") == ("2", "3")
    assert [each.id for each in found.lineage()] == ["A", "Default"]


def test_the_nearest_says_what_holds() -> None:
    found = resolved(
        {"id": "Default", "a": "far", "b": "far", "c": "far"},
        {"id": "P", "a": "near", "b": ["near", "too"]},
        {"id": "A", "a": "own", "parent": parent("P")},
    ).objects["A"]

    assert [found.strings(key) for key in "abc"] == [("own",), ("near", "too"), ("far",)]
    origins = [found.origin(key) for key in "abc"]
    assert [each and each.id for each in origins] == ["A", "P", "Default"]


def test_references_and_the_type_are_inherited_but_not_the_parent() -> None:
    found = resolved(
        {"id": "Base"},
        {"id": "P", "type": "Schedule", "r": {"ref": "A"}, "parent": parent("Base")},
        {"id": "A", "parent": parent("P")},
        {"id": "B"},
    ).objects

    assert found["A"].refs("r") == ("A",)
    assert found["A"].type == "Schedule"
    assert found["A"].refs("parent") == ("P",)
    assert found["B"].type is None
    assert "parent" not in found["B"]


def test_without_a_default_nothing_is_inherited_unasked() -> None:
    found = resolved({"id": "A"}, {"id": "B", "k": "1"}).objects["A"]

    assert found.parent is None
    assert "k" not in found
    assert found.string("k") is None
    assert found.origin("k") is None
    assert 1 not in found


def test_the_text_of_a_key_is_the_first_that_is_none_but_a_reference() -> None:
    found = resolved({"id": "A", "k": [parent("A"), "1", "2"]}).objects["A"]

    assert (found.string("k"), found.strings("k"), found.refs("k")) == ("1", ("1", "2"), ("A",))


def test_a_parent_that_is_not_there_gives_nothing() -> None:
    found = resolved({"id": "Default", "k": "1"}, {"id": "A", "parent": parent("B")})

    assert found.objects["A"].parent is None
    assert found.parent_cycles == ()


def test_a_parent_that_is_no_reference_counts_as_none() -> None:
    found = resolved({"id": "Default", "k": "1"}, {"id": "A", "parent": "B"}).objects["A"]

    assert found.string("k") == "1"


def test_default_may_inherit_too() -> None:
    found = resolved(
        {"id": "Default", "parent": parent("Base")}, {"id": "Base", "k": "1"}, {"id": "A"}
    )

    assert found.objects["A"].string("k") == "1"
    assert found.parent_cycles == ()


@pytest.mark.parametrize(
    ("parents", "cycles"),
    [
        ({"A": "A"}, [("A",)]),
        ({"A": "B", "B": "A"}, [("A", "B")]),
        ({"X": "A", "A": "B", "B": "C", "C": "A"}, [("A", "B", "C")]),
        ({"A": "B", "B": "A", "C": "D", "D": "C"}, [("A", "B"), ("C", "D")]),
        ({"Default": "Default"}, [("Default",)]),
        ({"Default": "A", "A": "Default"}, [("Default", "A")]),
    ],
)
def test_cycles_of_parents_are_found_once_and_cut(
    parents: dict[str, str], cycles: list[tuple[str, ...]]
) -> None:
    found = resolved(*({"id": one, "parent": parent(other)} for one, other in parents.items()))

    assert list(found.parent_cycles) == cycles
    assert all(len(list(each.lineage())) <= len(parents) for each in found.objects.values())


@given(st.dictionaries(st.sampled_from("ABCDEF"), st.sampled_from("ABCDEFG"), min_size=1))
def test_every_lineage_ends_and_every_cycle_is_one(parents: dict[str, str]) -> None:
    found = resolved(*({"id": one, "parent": parent(other)} for one, other in parents.items()))

    for each in found.objects.values():
        ids = [ancestor.id for ancestor in each.lineage()]
        assert len(ids) == len(set(ids))
    for cycle in found.parent_cycles:
        assert [parents[each] for each in cycle] == [*cycle[1:], cycle[0]]
    # Whoever starts to walk must come to an end or into one of the cycles.
    on_cycles = {each for cycle in found.parent_cycles for each in cycle}
    for start in parents:
        at = start
        for _ in parents:
            at = parents.get(at, "")
        assert at in on_cycles or at not in parents


def test_a_chain_of_ten_thousand_parents_is_no_trouble() -> None:
    links = ({"id": f"O{n}", "parent": parent(f"O{n + 1}")} for n in range(10_000))

    found = resolved(*links, {"id": "O10000", "k": "1"})

    assert found.objects["O0"].string("k") == "1"


class Counted(dict[str, tuple[str | Ref, ...]]):
    """What an object says itself, and how often all of them were looked into."""

    looks = 0

    def __contains__(self, key: object) -> bool:
        Counted.looks += 1
        return super().__contains__(key)


@pytest.mark.parametrize("key", ["type", "nobody's"])
@pytest.mark.parametrize("first", ["the last of the line", "the first of the line"])
def test_who_asks_each_of_a_line_of_parents_goes_along_it_once(
    key: str, first: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Counted, "looks", 0)
    line: list[EffectiveObject] = []
    for number in range(1000):
        own = Counted() if number else Counted(type=("T",))
        written = PipelineObject.of(f"O{number}", {})
        line.append(EffectiveObject(written, own, line[-1] if line else None))

    found = [each.string(key) for each in (line if first.startswith("the first") else line[::-1])]

    assert set(found) == ({"T"} if key == "type" else {None})
    assert Counted.looks < 4 * len(line)


def test_an_object_can_be_had_with_all_that_it_inherits() -> None:
    found = resolved(
        {"id": "Default", "k": ["1", {"ref": "A"}], "parent": parent("Base")},
        {"id": "Base", "b": "2"},
        {"id": "A", "name": "The A", "type": "T", "parent": parent("Default")},
    ).objects["A"]

    assert found.flattened() == PipelineObject.of(
        "A",
        {"parent": Ref("Default"), "type": "T", "k": ["1", Ref("A")], "b": "2"},
        name="The A",
    )


def test_of_two_objects_with_one_id_the_first_counts() -> None:
    definition = Definition(
        objects=(PipelineObject.of("A", {"k": "1"}), PipelineObject.of("A", {"k": "2"}))
    )

    assert resolve(definition).objects["A"].string("k") == "1"


def test_a_field_without_any_value_has_none() -> None:
    wire = {"id": "A", "name": "A", "fields": [{"key": "k"}]}

    found = resolve(Definition(objects=(PipelineObject.from_wire(wire),))).objects["A"]

    assert "k" in found
    assert found.values("k") == ()


def test_references_are_followed_to_what_is_there() -> None:
    found = resolved(
        {"id": "A", "r": [{"ref": "B"}, {"ref": "Nope"}, {"ref": "A"}, "text"]}, {"id": "B"}
    )

    assert [each.id for each in found.follow("A", "r")] == ["B", "A"]
    assert found.follow("Nope", "r") == ()
    assert found.follow("A", "nope") == ()


def test_an_object_is_printed_without_its_fields() -> None:
    found = resolved({"id": "A", "type": "T", "*password": "hush"}, {"id": "Default"}).objects

    assert repr(found["A"]) == "EffectiveObject(id='A', type='T', parent='Default')"
    assert repr(found["Default"]) == "EffectiveObject(id='Default', type=None)"


# Parameters.


def test_a_parameter_is_a_text_without_a_value_unless_it_says_more() -> None:
    assert parameter() == Parameter("myX")
    assert parameter().value is None
    assert parameter().texts == ()


def test_all_attributes_are_read() -> None:
    found = parameter(
        type="Integer",
        optional=True,
        isArray="TRUE",
        default=[1, 2],
        allowedValues=[1, 2, 3],
        min=0,
        max=9,
        helpText="ignored",
    )

    assert found == Parameter(
        "myX",
        type="Integer",
        optional=True,
        is_array=True,
        default=("1", "2"),
        allowed=("1", "2", "3"),
        minimum="0",
        maximum="9",
    )


def test_outside_goes_before_the_file_and_the_file_before_the_default() -> None:
    body = {
        "objects": [],
        "parameters": [{"id": name, "default": "default"} for name in ("myA", "myB", "myC")],
        "values": {"myA": "file", "myB": ["file", "file"]},
    }

    found = resolve(Definition.from_mapping(body), {"myA": "outside"}).parameters

    assert found["myA"].texts == ("outside",)
    assert found["myB"].texts == ("file", "file")
    assert found["myC"].texts == ("default",)


def test_values_from_outside_come_as_texts_lists_or_models() -> None:
    models = (
        ParameterValue(id="myX", string_value="1"),
        ParameterValue(id="myX", string_value="2"),
    )

    as_mapping = resolve(Definition(), {"myX": ["1", "2"], "myY": "3"}).parameters
    as_models = resolve(Definition(), models).parameters

    assert as_mapping["myX"].texts == ("1", "2")
    assert as_mapping["myY"].texts == ("3",)
    assert as_models["myX"] == as_mapping["myX"]


def test_a_value_without_a_declaration_is_a_parameter_that_says_so() -> None:
    found = resolved(values={"myX": ["1", "2"], "myY": "1"}).parameters

    assert found["myX"] == Parameter("myX", is_array=True, given=("1", "2"), declared=False)
    assert found["myY"].value == "1"


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("String", "1", "1"),
        ("Integer", "-12", -12),
        ("integer", "1.5", "1.5"),
        ("Integer", "9" * 5000, "9" * 5000),
        ("Double", "1", 1.0),
        ("Double", "-.5e3", -500.0),
        ("Double", "1.", 1.0),
        ("Double", "nan", "nan"),
        ("Double", "1e999", "1e999"),
        ("AWS::S3::ObjectKey", "s3://my-bucket/key", "s3://my-bucket/key"),
        ("Other", "1", "1"),
    ],
)
def test_a_value_has_the_type_of_its_parameter(kind: str, text: str, value: object) -> None:
    found = parameter(text, type=kind).value

    assert found == value
    assert type(found) is type(value)


def test_an_array_has_many_values_or_none() -> None:
    assert parameter(["1", "2"], type="Integer", isArray=True).value == (1, 2)
    assert parameter(isArray=True).value == ()


@pytest.mark.parametrize(
    ("values", "attributes", "problems"),
    [
        ("x", {}, []),
        ("1", {"type": "Integer", "min": 1, "max": 1, "allowedValues": [1]}, []),
        ("x", {"type": "Integer"}, ["value is no Integer"]),
        ("1e300", {"type": "Double"}, []),
        ("1e400", {"type": "Double"}, ["value is no Double"]),
        ("1,5", {"type": "Double"}, ["value is no Double"]),
        ("x" * 10_000, {"type": "Double"}, ["value is no Double"]),
        ("9" * 10_000 + "x", {"type": "Double"}, ["value is no Double"]),
        (["1", "2"], {}, ["has 2 values and is no array"]),
        (["1", "x"], {"type": "Integer", "isArray": True}, ["value 2 is no Integer"]),
        ("3", {"allowedValues": ["1", "2"]}, ["value is not among the allowedValues"]),
        ("0", {"type": "Integer", "min": "1"}, ["value is less than 1"]),
        ("9.5", {"type": "Double", "max": "9"}, ["value is more than 9"]),
        ("9", {"type": "Integer", "max": "many"}, []),
        ("9", {"type": "String", "max": "1"}, []),
        ("#{myOther}", {"type": "Integer", "allowedValues": ["1"]}, []),
    ],
)
def test_what_does_not_fit_is_told(
    values: object, attributes: dict[str, object], problems: list[str]
) -> None:
    assert list(parameter(values, **attributes).problems()) == problems


def test_a_default_must_fit_as_well() -> None:
    assert list(parameter(type="Integer", default="x").problems()) == ["value is no Integer"]


def test_a_secret_is_not_printed() -> None:
    found = resolved(
        parameters=[{"id": "*myX", "type": "Integer", "allowedValues": "hush"}],
        values={"*myX": "hush", "myY": "shown"},
    )

    secret, other = found.parameters["*myX"], found.parameters["myY"]

    assert (secret.secret, other.secret) == (True, False)
    assert "hush" not in repr(found)
    assert "hush" not in "".join(secret.problems())
    bounded = Parameter("*myX", type="Integer", minimum="5", given=("4",))
    assert list(bounded.problems()) == ["value is less than allowed"]
    assert repr(other) == "Parameter(id='myY', type='String', texts=('shown',))"


# Expressions.


@pytest.mark.parametrize(
    ("text", "literal"),
    [
        ("plain", "plain"),
        ("#{myHours} hours", "3 hours"),
        ("#{myHours + 1} hours", "4 hours"),
        ("#{myName}", "x"),
        ("#{other} hours", None),
        ("#{@scheduledStartTime}", None),
        ("#{myHours.day}", None),
        ("#{myNothing}", None),
        ("#{myName * 2}", None),
    ],
)
def test_a_text_that_needs_only_parameters_has_a_literal_value(
    text: str, literal: str | None
) -> None:
    found = resolved(
        {"id": "A", "other": "1"},
        parameters=[
            {"id": "myHours", "type": "Integer", "default": "3"},
            {"id": "myName", "default": "x"},
            {"id": "myNothing"},
        ],
    )

    assert found.literal(parse(text)) == literal


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("own", "1"),
        ("inherited", "2"),
        ("list", ("a", "b")),
        ("id", "A"),
        ("name", "The A"),
        ("r.own", "from B"),
        ("r.id", "B"),
        ("indirect", "1 and from B"),
        ("myCount + 1", 4),
        ("*mySecret", "hush"),
        ("myOptional", None),
        ("r.r.own", "1"),
        ("year(@scheduledStartTime)", 2026),
    ],
)
def test_a_scope_sees_fields_references_parameters_and_the_run(
    expression: str, value: object
) -> None:
    found = resolved(
        {"id": "Default", "inherited": "2"},
        {
            "id": "A",
            "name": "The A",
            "own": "1",
            "list": ["a", "b"],
            "r": {"ref": "B"},
            "indirect": "#{own} and #{r.own}",
        },
        {"id": "B", "own": "from #{id}", "r": {"ref": "A"}},
        parameters=[
            {"id": "myCount", "type": "Integer", "default": "3"},
            {"id": "*mySecret", "default": "hush"},
            {"id": "myOptional", "optional": "true"},
        ],
    )
    run = {"A": {"@scheduledStartTime": datetime(2026, 1, 2, tzinfo=UTC)}}

    scope = found.scopes(run)["A"]

    assert parse(f"#{{{expression}}}").evaluate(scope) == value


@pytest.mark.parametrize("name", ["nope", "myNothing", "dangling", "@scheduledStartTime"])
def test_a_scope_does_not_know_what_has_no_value(name: str) -> None:
    found = resolved({"id": "A", "dangling": {"ref": "B"}}, parameters=[{"id": "myNothing"}])

    with pytest.raises(UnknownNameError):
        found.scopes()["A"].lookup(name)


def test_fields_that_use_each_other_are_found_out() -> None:
    found = resolved(
        {"id": "A", "x": "#{r.y}", "r": {"ref": "B"}}, {"id": "B", "y": "#{r.x}", "r": {"ref": "A"}}
    )

    with pytest.raises(ExpressionError, match="made of itself"):
        parse("#{x}").evaluate(found.scopes()["A"])


def test_a_field_that_cannot_be_read_is_an_expression_error() -> None:
    found = resolved({"id": "A", "x": "#{"})

    with pytest.raises(ExpressionError):
        parse("#{x}").evaluate(found.scopes()["A"])


def test_a_run_time_value_goes_before_a_field() -> None:
    found = resolved({"id": "A", "node": "field"}, {"id": "B", "own": "1"})
    scopes = found.scopes({"A": {"node": MappingScope({"own": "2"})}})

    assert parse("#{node.own}").evaluate(scopes["A"]) == "2"


def test_the_parent_of_an_expression_is_default_when_none_is_named() -> None:
    found = resolved({"id": "Default", "own": "1"}, {"id": "A"}, {"id": "B", "parent": parent("A")})
    scopes = found.scopes()

    assert parse("#{parent.@id} #{parent.own}").render(scopes["A"]) == "Default 1"
    assert parse("#{parent.id} #{parent.parent.id}").render(scopes["B"]) == "A Default"
    with pytest.raises(UnknownNameError):
        scopes["Default"].lookup("parent")


# Objects as a task runner gets them.


def test_all_fields_of_an_object_are_evaluated_in_one_call() -> None:
    found = resolved(
        {"id": "Default", "pipelineLogUri": "s3://logs/#{@pipelineId}/", "schedule": parent("S")},
        {"id": "S", "type": "Schedule", "period": "1 day"},
        {
            "id": "In",
            "type": "S3DataNode",
            "filePath": "s3://in/#{format(@scheduledStartTime,'YYYY')}",
        },
        {
            "id": "A",
            "name": "the A",
            "type": "ShellCommandActivity",
            "command": "load #{input.filePath} #{@attemptCount}",
            "scriptArgument": ["first", "#{'of ' + myTables}", "last"],
            "input": [parent("In"), parent("Gone")],
            "*secret": "#{*myPassword}",
        },
        parameters=[
            {"id": "myTables", "isArray": "true", "default": ["x", "y"]},
            {"id": "*myPassword", "default": "hush"},
        ],
    )
    run: RunTime = {
        "A": {"@attemptCount": 2, "@pipelineId": "df-1", "input": Ref("In")},
        "In": {"@scheduledStartTime": "2026-01-02T03:04:05"},
    }

    evaluated = found.evaluated("A", run)

    assert not evaluated.problems
    assert evaluated.object == PipelineObject.of(
        "A",
        {
            "*secret": "hush",
            "command": "load s3://in/2026 2",
            "input": [Ref("In"), Ref("Gone")],
            "scriptArgument": ["first", "of x", "of y", "last"],
            "type": "ShellCommandActivity",
            "pipelineLogUri": "s3://logs/df-1/",
            "schedule": Ref("S"),
        },
        name="the A",
    )


def test_node_is_the_object_that_the_run_names() -> None:
    found = resolved(
        {"id": "Alarm", "message": "#{node.name} #{node.@status} #{node.output.path}"},
        {"id": "A", "name": "the A", "output": [parent("X"), parent("Y")]},
        {"id": "X", "path": "x"},
        {"id": "Y", "path": "y"},
    )
    failed: dict[str, RunTimeValue] = {"@status": "FAILED", "output": (Ref("Y"), Ref("X"))}
    run: RunTime = {"Alarm": {"node": Ref("A")}, "A": failed}

    found_messages = found.evaluated("Alarm", run).object.strings("message")
    failed["output"] = (Ref("Y"), "no")
    problems = found.evaluated("Alarm", run).problems

    assert found_messages == ("the A FAILED y", "the A FAILED x")
    assert problems == {"message": "what is before the point is no object with fields"}


def test_what_cannot_be_evaluated_stays_and_is_told_by_its_field() -> None:
    long = "#{" + "+".join(["big"] * 3) + "}"
    found = resolved(
        {
            "id": "A",
            "big": "x" * 4000,
            "broken": ["fine", "#{", "#{nope}"],
            "good": "#{'value'}",
            "long": long,
            "refused": "#{@error}",
            "run": "#{@scheduledStartTime}",
        }
    )

    evaluated = found.evaluated("A", {"A": {"@error": "\x1b[1m"}})

    assert evaluated.problems == {
        "broken": "this #{ is never closed",
        "long": "the value has more than 10,240 characters",
        "refused": "the service does not take U+001B at index 0 of the value",
        "run": "there is no field or parameter '@scheduledStartTime'",
    }
    assert evaluated.object.strings("broken") == ("fine", "#{", "#{nope}")
    assert evaluated.object.strings("long") == (long,)
    assert evaluated.object.strings("good") == ("value",)


@pytest.mark.parametrize("key", ["type", "sphere", "@sphere"])
def test_the_type_and_the_sphere_are_not_evaluated(key: str) -> None:
    found = resolved({"id": "A", key: "#{'x'}"}).evaluated("A")

    assert found.object.strings(key) == ("#{'x'}",)
    assert not found.problems


def test_a_field_that_comes_to_nothing_is_left_out() -> None:
    found = resolved(
        {"id": "A", "one": "#{myOne}", "many": "#{myMany}", "text": "a#{myOne}"},
        parameters=[
            {"id": "myOne", "optional": "true"},
            {"id": "myMany", "optional": "true", "isArray": "true"},
        ],
    ).evaluated("A")

    assert found.object == PipelineObject.of("A", {"text": "a"})
    assert not found.problems


def test_no_problem_has_words_of_a_secret_in_it() -> None:
    found = resolved({"id": "A", "*x": "#{hush(1)}", "y": "#{*x}", "z": "#{*y}", "*y": "#{*x}"})

    evaluated = found.evaluated("A")

    assert evaluated.problems == {
        "*x": "cannot be evaluated",
        "*y": "cannot be evaluated",
        "y": "in '*x': it cannot be evaluated",
        "z": "in '*y': it cannot be evaluated",
    }
    assert "hush" not in repr(evaluated)


def test_an_object_that_is_not_there_cannot_be_evaluated() -> None:
    with pytest.raises(LookupError, match="there is no object 'A'"):
        resolved().evaluated("A")


def test_fields_that_double_and_double_again_cost_no_more_than_their_text() -> None:
    fields = {f"f{n}": f"#{{f{n + 1}}}#{{f{n + 1}}}" for n in range(30)}
    found = resolved(
        {"id": "A", **fields, "f30": "x"}, {"id": "B", "parent": parent("A"), "f17": ""}
    )
    began = time.process_time()

    big, empty = found.evaluated("A"), found.evaluated("B")

    assert big.object.string("f20") == "x" * 1024
    assert big.problems["f0"].endswith("the result has more than 1,000,000 characters")
    assert empty.object.string("f0") == ""
    assert time.process_time() - began < 5
