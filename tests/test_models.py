"""The values inside requests and responses: objects and their fields, tasks, what is secret."""

from __future__ import annotations

import re
from collections.abc import Callable

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiodatapipeline import operations as op
from aiodatapipeline._wire import WireModel
from aiodatapipeline.models import (
    Field,
    Operator,
    OperatorType,
    ParameterAttribute,
    ParameterObject,
    ParameterValue,
    PipelineDescription,
    PipelineObject,
    Ref,
    TaskObject,
)
from tests.strategies import CHARACTERS, Wire, structures

# -- fields --------------------------------------------------------------------------------


def test_a_field_holds_a_text_or_a_reference() -> None:
    assert Field.of("command", "echo") == Field(key="command", string_value="echo")
    assert Field.of("schedule", Ref("Daily")) == Field(key="schedule", ref_value="Daily")


def test_texts_and_references_are_told_apart() -> None:
    assert Field.of("schedule", "Daily").value == "Daily"
    assert Field.of("schedule", Ref("Daily")).value == Ref("Daily")


def test_a_text_may_be_empty() -> None:
    assert Field.of("command", "").value == ""


def test_a_field_cannot_hold_a_text_and_a_reference() -> None:
    with pytest.raises(pydantic.ValidationError, match="never both"):
        Field(key="schedule", string_value="Daily", ref_value="Daily")
    with pytest.raises(pydantic.ValidationError, match="never both"):
        Field.from_wire({"key": "schedule", "stringValue": "Daily", "refValue": "Daily"})


def test_a_field_that_people_make_holds_something() -> None:
    with pytest.raises(pydantic.ValidationError, match="needs a string_value or a ref_value"):
        Field(key="schedule")


def test_a_field_that_the_service_sends_may_hold_nothing() -> None:
    assert Field.from_wire({"key": "schedule"}).value is None


def test_null_beside_a_text_or_a_reference_is_nothing() -> None:
    text = Field.from_wire({"key": "k", "stringValue": "v", "refValue": None})
    reference = Field.from_wire({"key": "k", "stringValue": None, "refValue": "r"})

    assert (text, reference) == (Field.of("k", "v"), Field.of("k", Ref("r")))
    assert text.to_wire() == {"key": "k", "stringValue": "v"}


# -- objects -------------------------------------------------------------------------------

COPY = PipelineObject(
    id="Copy",
    name="Copy the sales",
    fields=(
        Field.of("type", "CopyActivity"),
        Field.of("input", Ref("Sales")),
        Field.of("onFail", "page"),
        Field.of("input", Ref("Returns")),
        Field.of("onFail", Ref("Alarm")),
        Field.of("onFail", "mail"),
    ),
)


def test_an_object_is_made_of_a_mapping() -> None:
    made = PipelineObject.of(
        "Copy",
        {
            "type": "CopyActivity",
            "input": (Ref("Sales"), Ref("Returns")),
            "schedule": Ref("Daily"),
            "nothing": (),
        },
        name="Copy the sales",
    )

    assert made == PipelineObject(
        id="Copy",
        name="Copy the sales",
        fields=(
            Field.of("type", "CopyActivity"),
            Field.of("input", Ref("Sales")),
            Field.of("input", Ref("Returns")),
            Field.of("schedule", Ref("Daily")),
        ),
    )


def test_an_object_is_named_like_its_id_unless_it_has_a_name() -> None:
    assert PipelineObject.of("Default", {}).name == "Default"
    with pytest.raises(pydantic.ValidationError, match="name"):
        PipelineObject.of("Default", {}, name="")


def test_each_key_is_given_once_in_order_of_its_first_field() -> None:
    assert COPY.keys() == ("type", "input", "onFail")


def test_all_values_of_a_key_are_given_in_order() -> None:
    assert COPY.values("onFail") == ("page", Ref("Alarm"), "mail")


def test_texts_and_references_of_a_key_are_given_apart() -> None:
    assert COPY.strings("onFail") == ("page", "mail")
    assert COPY.refs("onFail") == ("Alarm",)


def test_the_only_text_of_a_key_is_given_alone() -> None:
    assert COPY.string("type") == "CopyActivity"
    assert COPY.string("input") is None


def test_the_only_reference_of_a_key_is_given_alone() -> None:
    assert COPY.ref("onFail") == "Alarm"
    assert COPY.ref("type") is None


def test_several_values_are_never_taken_for_one() -> None:
    with pytest.raises(ValueError, match=re.escape("'onFail' has 2 values; strings('onFail')")):
        COPY.string("onFail")
    with pytest.raises(ValueError, match=re.escape("'input' has 2 values; refs('input')")):
        COPY.ref("input")


def test_a_key_that_is_not_there_has_no_values() -> None:
    assert COPY.values("output") == COPY.strings("output") == COPY.refs("output") == ()
    assert COPY.string("output") is COPY.ref("output") is None


def test_an_object_contains_its_keys() -> None:
    assert "input" in COPY
    assert "output" not in COPY
    assert "Sales" not in COPY


def test_a_key_without_a_value_is_there_and_has_no_values() -> None:
    body = {"id": "a", "name": "a", "fields": [{"key": "k"}, {"key": "k", "stringValue": "v"}]}
    held = PipelineObject.from_wire(body)

    assert held.keys() == ("k",)
    assert held.values("k") == ("v",)
    assert held.to_wire() == body


@given(structures("PipelineObject"))
def test_the_values_of_all_keys_are_all_the_fields(body: Wire) -> None:
    held = PipelineObject.from_wire(body)

    again = PipelineObject.of(held.id, {key: held.values(key) for key in held.keys()})  # noqa: SIM118  # no dict

    def by_key(field: Field) -> str:
        return field.key

    assert sorted(again.fields, key=by_key) == sorted(held.fields, key=by_key)


# -- tasks, pipelines, words ---------------------------------------------------------------


def task(**objects: PipelineObject) -> TaskObject:
    return TaskObject(task_id="t", pipeline_id="df-1", attempt_id="attempt", objects=objects)


def test_a_task_holds_the_object_that_is_its_attempt() -> None:
    assert task(other=COPY, attempt=PipelineObject.of("attempt", {})).attempt.id == "attempt"


@pytest.mark.parametrize(
    ("held", "said"), [(task(Copy=COPY), "it holds 'Copy'"), (task(), "it holds none")]
)
def test_a_task_without_its_attempt_says_what_it_holds(held: TaskObject, said: str) -> None:
    with pytest.raises(LookupError, match=f"'attempt'; {said}"):
        _ = held.attempt


def test_a_task_does_not_show_the_id_that_gives_the_right_to_report_on_it() -> None:
    held = TaskObject(task_id="right-to-report", pipeline_id="df-1", attempt_id="attempt")

    assert "right-to-report" not in f"{held!r} {held}"
    assert "df-1" in repr(held)


@pytest.mark.parametrize("member", ["taskId", "pipelineId", "attemptId"])
def test_a_task_without_one_of_its_ids_is_refused(member: str) -> None:
    body = {"taskId": "t", "pipelineId": "df-1", "attemptId": "a"}
    del body[member]

    with pytest.raises(pydantic.ValidationError, match=member):
        TaskObject.from_wire(body)


@pytest.mark.parametrize(
    ("fields", "state"),
    [
        ((Field.of("@id", "df-1"), Field.of("@pipelineState", "PENDING")), "PENDING"),
        ((Field.of("@id", "df-1"),), None),
    ],
)
def test_a_pipeline_tells_its_state(fields: tuple[Field, ...], state: str | None) -> None:
    assert PipelineDescription(pipeline_id="df-1", name="n", fields=fields).state == state


def test_a_plain_word_is_as_good_as_an_operator_type() -> None:
    assert Operator(type="EQ").type is OperatorType.EQ
    with pytest.raises(pydantic.ValidationError, match=r"type\n.*'EQ', 'REF_EQ'"):
        Operator(type="eq")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


# -- secrets -------------------------------------------------------------------------------

# What begins with it is found in any text, however it is quoted or cut.
MARK = "hunter2"
SECRETS = st.text(CHARACTERS, max_size=20).map(lambda text: MARK + text)
SECRET_KEYS = st.text(CHARACTERS, max_size=20).map(lambda text: f"*{text}")


def all_that_hold(key: str, secret: str) -> list[WireModel]:
    """Every model that can hold an encrypted value, itself or in something that it holds."""
    field = Field.of(key, secret)
    held = PipelineObject(id="Db", name="Db", fields=(Field.of("a", "b"), field, field))
    parameter = ParameterObject(
        id=key, attributes=(ParameterAttribute(key="default", string_value=secret),)
    )
    value = ParameterValue(id=key, string_value=secret)
    description = PipelineDescription(pipeline_id="df-1", name="n", fields=(field,))
    task_object = task(Db=held)
    definition = {
        "pipeline_objects": (held,),
        "parameter_objects": (parameter,),
        "parameter_values": (value,),
    }
    return [
        *(field, held, parameter, value, description, task_object),
        op.ActivatePipelineRequest(pipeline_id="df-1", parameter_values=(value,)),
        op.DescribeObjectsResponse(pipeline_objects=(held,)),
        op.DescribePipelinesResponse(pipeline_description_list=(description,)),
        op.GetPipelineDefinitionResponse.model_validate(definition),
        op.PollForTaskResponse(task_object=task_object),
        op.PutPipelineDefinitionRequest.model_validate({"pipeline_id": "df-1", **definition}),
        op.ReportTaskProgressRequest(task_id="t", fields=(field,)),
        op.ValidatePipelineDefinitionRequest.model_validate({"pipeline_id": "df-1", **definition}),
    ]


@given(SECRET_KEYS, SECRETS)
def test_an_encrypted_value_is_shown_nowhere(key: str, secret: str) -> None:
    for model in all_that_hold(key, secret):
        assert MARK not in f"{model!r} {model} {model!s:10} {[model]}"


def test_an_encrypted_value_is_there_for_those_who_ask() -> None:
    field, held, parameter, value, *_ = all_that_hold("*password", MARK)

    assert field.to_wire() == {"key": "*password", "stringValue": MARK}
    assert isinstance(held, PipelineObject)
    assert held.strings("*password") == (MARK, MARK)
    assert isinstance(parameter, ParameterObject)
    assert parameter.attributes[0].string_value == MARK
    assert isinstance(value, ParameterValue)
    assert value.string_value == MARK


def test_a_value_that_is_not_encrypted_is_shown() -> None:
    for model in all_that_hold("password", "shown"):
        assert "shown" in repr(model)


def test_that_a_value_is_hidden_is_shown_with_its_key() -> None:
    assert repr(Field.of("*password", MARK)) == (
        "Field(key='*password', string_value='***', ref_value=None)"
    )
    assert repr(Field.of("*password", Ref("Other"))) == (
        "Field(key='*password', string_value=None, ref_value='Other')"
    )
    assert repr(ParameterValue(id="*p", string_value=MARK)) == (
        "ParameterValue(id='*p', string_value='***')"
    )
    assert repr(all_that_hold("*p", MARK)[2]) == (
        "ParameterObject(id='*p', attributes={'default': '***'})"
    )


SPOILERS: list[Callable[[Wire, str], object]] = [
    lambda field, secret: field.update(stringValue=secret * 10_000),
    lambda field, secret: field.update(stringValue=f"{secret}\0"),
    lambda field, secret: field.update(stringValue=[secret]),
    lambda field, secret: field.update(stringValue={secret: secret}),
    lambda field, secret: field.update(stringValue=secret.encode()),
    lambda field, secret: field.update(refValue="Other"),
    lambda field, secret: field.update(refValue=5),
    lambda field, secret: field.pop("key"),
    lambda field, secret: field.update(key=""),
]


@pytest.mark.parametrize("spoil", SPOILERS)
@given(key=SECRET_KEYS, secret=SECRETS)
def test_no_refusal_shows_an_encrypted_value(
    spoil: Callable[[Wire, str], object], key: str, secret: str
) -> None:
    field: Wire = {"key": key, "stringValue": secret}
    spoil(field, secret)
    held = {"id": "Db", "name": "Db", "fields": [field]}
    doors: list[Callable[[], object]] = [
        lambda: Field.from_wire(field),
        lambda: PipelineObject.from_wire(held),
        lambda: op.PutPipelineDefinitionRequest.from_wire(
            {"pipelineId": "df-1", "pipelineObjects": [held]}
        ),
        lambda: op.PollForTaskResponse.from_wire({"taskObject": {"objects": {"Db": held}}}),
        lambda: op.ReportTaskProgressRequest.from_wire({"taskId": "t", "fields": [field]}),
    ]

    for door in doors:
        with pytest.raises(pydantic.ValidationError) as caught:
            door()
        assert MARK not in f"{caught.value} {caught.value!r}"


def test_no_refusal_of_what_people_wrote_shows_an_encrypted_value() -> None:
    for text in (f"{MARK}\0", MARK * 10_000):
        with pytest.raises(pydantic.ValidationError) as caught:
            Field.of("*password", text)
        assert MARK not in f"{caught.value} {caught.value!r}"
        assert "string_value" in str(caught.value)
