"""Whatever is read and checked: a definition or a DefinitionError, a report, and soon."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aiodatapipeline.definition import Definition, DefinitionError, RunTime, check, resolve
from aiodatapipeline.definition._catalog import catalog
from aiodatapipeline.models import Field, ParameterObject, ParameterValue, PipelineObject, Ref
from tests.definition.strategies import Body, bodies

FILES = Path(__file__).parent / "files"
# Seconds for one case: far more than the slowest needs, for machines that do much else.
PATIENCE = 5.0
fuzz = settings(deadline=timedelta(seconds=PATIENCE), suppress_health_check=[HealthCheck.too_slow])
NOW = datetime(2026, 1, 1, tzinfo=UTC)
T = TypeVar("T")

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["objects", "parameters", "values", "id", "name", "ref", "type", "x"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=30,
)

# Definitions of the words that the rules look for, so that most of them have something to do.
IDS = ["Default", "A", "B", "C", "@A"]
KEYS = ["parent", "type", "x", "myX", "*mySecret", "@status", "id", *sorted(catalog().fields)]
TEXTS = [
    *("", "1", "-1", "0.5", "true", "1 day", "ONDEMAND_PERIOD", "ONDEMAND_ACTIVATION_TIME"),
    *("2026-01-01T00:00:00", "ondemand", "cron", "cascade", "A", "#{", "#{nope}", "#{myX}"),
    *("#{parent.parent.id}", "#{input.output.myX}", "#{node.x}", "#{x.y}", "#{@status}"),
    *("#{myX + 1} hours", "#{type}", "\ufffd", *sorted(catalog().types)),
]
words = st.sampled_from(TEXTS) | st.text(
    st.characters(min_codepoint=32, max_codepoint=0xD7FF), max_size=8
)


def field(key: str, text: str, ref: str | None) -> Field:
    return Field(key=key, string_value=text) if ref is None else Field(key=key, ref_value=ref)


def of_type(name: str) -> Field:
    return Field(key="type", string_value=name)


def pipeline_object(object_id: str, kind: list[Field], others: list[Field]) -> PipelineObject:
    return PipelineObject(id=object_id, name=object_id, fields=(*kind, *others))


def parameter(parameter_id: str, said: list[tuple[str, str]]) -> ParameterObject:
    attributes = [{"key": key, "stringValue": text} for key, text in said]
    return ParameterObject.from_wire({"id": parameter_id, "attributes": attributes})


def parameter_value(value_id: str, text: str) -> ParameterValue:
    return ParameterValue(id=value_id, string_value=text)


def definition(
    objects: list[PipelineObject],
    parameters: list[ParameterObject],
    values: list[ParameterValue],
) -> Definition:
    return Definition(tuple(objects), tuple(parameters), tuple(values))


fields = st.builds(
    field,
    st.sampled_from(KEYS),
    words,
    st.none() | st.sampled_from([*IDS, "Nowhere"]),
)
typed = st.builds(of_type, st.sampled_from(TEXTS[-38:]))
objects = st.builds(
    pipeline_object,
    st.sampled_from(IDS),
    st.lists(typed, max_size=1),
    st.lists(fields, max_size=8),
)
parameters = st.builds(
    parameter,
    st.sampled_from(["myX", "*mySecret", "x"]),
    st.lists(
        st.tuples(
            st.sampled_from(["type", "default", "isArray", "optional", "min", "allowedValues"]),
            st.sampled_from(["Integer", "Double", "true", "1", "#{myX}", "", "x"]),
        ),
        max_size=4,
    ),
)
values = st.builds(
    parameter_value,
    st.sampled_from(["myX", "*mySecret", "other"]),
    words,
)
definitions = st.builds(
    definition,
    st.lists(objects, max_size=6),
    st.lists(parameters, max_size=3),
    st.lists(values, max_size=3),
)


def soon(act: Callable[[], T]) -> T:
    began = time.thread_time()
    result = act()
    assert time.thread_time() - began < PATIENCE
    return result


def read(text: str) -> Definition | None:
    try:
        return Definition.from_text(text)
    except DefinitionError as error:
        assert error.position is not None  # noqa: PT017  # it may be raised or not
        assert str(error)  # noqa: PT017  # likewise
        return None


@fuzz
@given(json_values)
def test_any_json_is_a_definition_or_refused(value: object) -> None:
    text = json.dumps(value)

    definition = read(text)

    if definition is not None:
        check(definition, now=NOW)
        assert Definition.from_text(definition.to_text()) == definition


@fuzz
@given(st.dictionaries(st.sampled_from(["objects", "parameters", "values"]), json_values))
def test_any_mapping_is_a_definition_or_refused(body: dict[str, object]) -> None:
    try:
        definition = Definition.from_mapping(body, whole=False)
    except DefinitionError as error:
        assert error.position is None  # noqa: PT017  # it may be raised or not
        return

    check(definition, now=NOW)


@pytest.mark.parametrize("name", ["constructs.json", "every-type.json", "rds-to-s3.json"])
@fuzz
@given(st.randoms(use_true_random=False))
def test_a_file_with_a_few_characters_changed_is_read_or_refused(
    name: str, chance: random.Random
) -> None:
    text = (FILES / name).read_text("utf-8")
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(text))
        text = text[:at] + chance.choice(["", *'{}[]",:\\ #\n0x\0']) + text[at + 1 :]

    definition = read(text)

    if definition is not None:
        check(definition, now=NOW)


@fuzz
@given(bodies)
def test_what_is_read_can_be_checked_written_and_read_again(body: Body) -> None:
    definition = Definition.from_mapping(body)

    report = check(definition, now=NOW)

    assert Definition.from_text(definition.to_text()) == definition
    assert report.to_validation().errored is bool(report.errors)


@fuzz
@given(definitions, values.flatmap(lambda value: st.sampled_from([(), (value,)])))
def test_any_definition_of_the_api_can_be_checked(
    definition: Definition, outside: tuple[ParameterValue, ...]
) -> None:
    report = check(definition, values=outside, now=NOW, activating=True)

    answer = report.to_validation()
    assert answer.errored is bool(report.errors)
    order = ["", *dict.fromkeys(each.id for each in definition.objects)]
    places = [each.object_id for each in report.findings if each.object_id in order]
    assert places == sorted(places, key=order.index)


@fuzz
@given(definitions)
def test_any_object_can_be_had_with_all_that_it_inherits(definition: Definition) -> None:
    resolved = resolve(definition)

    for each in resolved.objects.values():
        whole = each.flattened()
        assert set(whole.keys()) <= set(each.keys())
        for key in each.keys():  # noqa: SIM118  # it is no dict
            assert whole.values(key) == each.values(key)


@fuzz
@given(definitions)
def test_any_object_can_be_evaluated_or_says_what_cannot(definition: Definition) -> None:
    resolved = resolve(definition)
    run: RunTime = {
        "A": {"@status": "FAILED", "node": Ref("B"), "x": (Ref("C"), None)},
        "B": {"@scheduledStartTime": NOW, "input": Ref("Nowhere")},
    }

    for object_id, each in resolved.objects.items():
        found = resolved.evaluated(object_id, run)
        written = each.flattened()
        assert found.problems.keys() <= set(found.object.keys()) <= set(written.keys())
        for key in found.object.keys():  # noqa: SIM118  # it is no dict
            assert found.object.refs(key) == written.refs(key)


# What could be slow.


def shell(object_id: str, **keys: object) -> dict[str, object]:
    return {"id": object_id, "type": "ShellCommandActivity", "workerGroup": "w", **keys}


def hundred(keys: Callable[[int], dict[str, object]]) -> Definition:
    return Definition.from_mapping(
        {"objects": [shell(f"A{number}", **keys(number)) for number in range(100)]}
    )


HEAVY: dict[str, Callable[[], object]] = {
    "deep arrays": lambda: read("[" * 1_000_000),
    "deep objects": lambda: read('{"objects":' * 1_000_000),
    "a text of five million characters": lambda: read('{"objects": ["' + "x" * 5_000_000 + '"]}'),
    "half a million numbers": lambda: read('{"x": [' + "1," * 500_000 + "1]}"),
    "quotes without an end": lambda: read('"' * 1_000_000),
    "backslashes": lambda: read('{"objects": "' + "\\\\" * 1_000_000),
    "one name a hundred thousand times": lambda: read('{"a": 1,' * 100_000),
    "everything depends on everything": lambda: check(
        hundred(lambda _: {"dependsOn": [{"ref": f"A{n}"} for n in range(100)]})
    ),
    "a long way round": lambda: check(
        hundred(lambda number: {"parent": {"ref": f"A{(number + 1) % 100}"}})
    ),
    "a long line of parents": lambda: check(
        hundred(lambda number: {"parent": {"ref": f"A{number + 1}"}, "stdout": "#{myX}"})
    ),
    "expressions full of names": lambda: check(
        hundred(
            lambda _: {
                "input": [{"ref": f"A{n}"} for n in range(100)],
                "command": "#{" + "+".join(f"input.a{n}" for n in range(400)) + "}",
            }
        )
    ),
    "paths that fan out": lambda: check(
        hundred(
            lambda _: {
                "input": [{"ref": f"A{n}"} for n in range(100)],
                "command": "#{" + "input." * 500 + "x}",
            }
        )
    ),
    "paths that all differ": lambda: check(
        hundred(
            lambda number: {
                **{f"my_{n}": [{"ref": f"A{n * m % 97}"} for m in range(20)] for n in range(30)},
                "command": "".join(
                    f"#{{my_{n % 30}.my_{n * number % 30}.my_{n * n % 30}.id}}" for n in range(300)
                ),
            }
        )
    ),
    "abstract parents full of unknown names": lambda: check(
        Definition.from_mapping(
            {
                "objects": [
                    {
                        "id": f"A{number}",
                        "parent": {"ref": f"A{number + 1}"},
                        "myX": "#{" + "+".join(f"b{number}_{n}" for n in range(400)) + "}",
                    }
                    for number in range(99)
                ]
                + [{"id": "A99"}]
            }
        )
    ),
    "lists that multiply": lambda: check(
        hundred(lambda number: {"retryDelay": f"#{{myList + myList + myList}} {number}"}),
        values={"myList": [str(number) for number in range(1000)]},
    ),
    "powers": lambda: check(
        hundred(lambda number: {"retryDelay": "#{" + "myX ^ " * 1500 + f"{number}}}"}),
        values={"myX": "9" * 18},
    ),
    "references that lead nowhere": lambda: check(
        hundred(lambda number: {"my_": [{"ref": f"A{number}{n}"} for n in range(500)]})
    ),
    "names that resemble others": lambda: check(
        hundred(lambda number: {f"preconditionTimeou{number}x{n}": "1" for n in range(40)})
    ),
    "numbers that look like others": lambda: check(
        hundred(lambda _: {"maximumRetries": "1" * 10_000 + "x", "retryDelay": "1" * 4000})
    ),
    "blanks that look like periods": lambda: check(
        hundred(lambda _: {"retryDelay": "1" + " " * 10_000 + "x"})
    ),
    "brackets of expressions": lambda: check(hundred(lambda _: {"command": "#{" * 5000})),
}


@pytest.mark.parametrize("name", HEAVY)
def test_what_could_be_slow_is_not(name: str) -> None:
    soon(HEAVY[name])
