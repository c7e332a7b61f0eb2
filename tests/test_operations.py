"""The 19 requests and responses: what goes in comes out, and what does not fit is refused."""

from __future__ import annotations

import ast
import copy
import inspect
import json
import pickle
from enum import StrEnum
from typing import Any, cast

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiodatapipeline import ResponseMetadata, SetTaskStatusRequest, TaskStatus
from aiodatapipeline import operations as op
from aiodatapipeline._wire import WireModel
from aiodatapipeline.models import (
    Field,
    Operator,
    OperatorType,
    Query,
    Selector,
    Tag,
    TaskObject,
)
from aiodatapipeline.operations import OPERATIONS, Response
from tests.strategies import OPERATION_NAMES, SERVICE, StringShape, Wire, inputs, outputs

Body = tuple[type[WireModel], Wire]


def _bodies(operation: str) -> st.SearchStrategy[Body]:
    row = OPERATIONS[operation]
    return st.one_of(
        inputs(operation).map(lambda body: (row.request, body)),
        outputs(operation).map(lambda body: (row.response, body)),
    )


# A request or a response of any operation, and a body for it.
BODIES: dict[str, st.SearchStrategy[Body]] = {name: _bodies(name) for name in OPERATION_NAMES}
ANY_BODY = st.sampled_from(OPERATION_NAMES).flatmap(BODIES.__getitem__)


def with_unknown_members(value: object) -> object:
    """The same with a member that nobody knows in every structure."""
    if isinstance(value, list):
        return [with_unknown_members(item) for item in cast("list[object]", value)]
    if not isinstance(value, dict):
        return value
    members = cast("Wire", value)
    more = {name: with_unknown_members(member) for name, member in members.items()}
    if isinstance(objects := members.get("objects"), dict):  # no structure but a map
        held = cast("Wire", objects)
        more["objects"] = {key: with_unknown_members(item) for key, item in held.items()}
    return {**more, "addedLater": {"by": ["AWS"]}}


# -- both doors ----------------------------------------------------------------------------


@pytest.mark.hypothesis
@pytest.mark.parametrize("operation", OPERATION_NAMES)
def test_what_came_over_the_wire_goes_back_the_same(operation: str) -> None:
    @given(BODIES[operation])
    def check(given_one: Body) -> None:
        model, body = given_one

        wire = model.from_wire(body).to_wire()

        assert wire == body
        assert json.loads(json.dumps(wire)) == wire

    check()


@given(ANY_BODY)
def test_people_can_write_whatever_the_wire_can(given_one: Body) -> None:
    model, body = given_one
    from_wire = model.from_wire(body)

    members = {name: getattr(from_wire, name) for name in from_wire.model_fields_set}
    written = model(**members)

    assert written == from_wire
    assert written.to_wire() == body


@given(ANY_BODY)
def test_members_that_are_added_later_break_nobody(given_one: Body) -> None:
    model, body = given_one

    assert model.from_wire(cast("Wire", with_unknown_members(body))) == model.from_wire(body)


@given(ANY_BODY)
def test_people_cannot_write_members_that_nobody_knows(given_one: Body) -> None:
    model, body = given_one
    from_wire = model.from_wire(body)
    members = {name: getattr(from_wire, name) for name in from_wire.model_fields_set}

    with pytest.raises(pydantic.ValidationError, match="added_later"):
        model(**members, **{"added_later": 1})  # noqa: PIE804  # hides the mistake from type checkers


@given(ANY_BODY)
def test_null_is_the_same_as_a_member_left_out(given_one: Body) -> None:
    model, body = given_one
    fields = model.model_fields.values()
    nulls = {str(field.alias): None for field in fields if not field.is_required()}

    assert model.from_wire({**nulls, **body}) == model.from_wire(body)


@given(ANY_BODY)
def test_a_missing_required_member_is_named(given_one: Body) -> None:
    model, body = given_one
    for field in model.model_fields.values():
        if field.is_required():
            without = {name: member for name, member in body.items() if name != field.alias}

            with pytest.raises(pydantic.ValidationError, match=f"{field.alias}\n +Field required"):
                model.from_wire(without)


@given(ANY_BODY)
def test_requests_and_responses_are_values(given_one: Body) -> None:
    model, body = given_one
    held = model.from_wire(body)

    for again in (
        model.from_wire(copy.deepcopy(body)),
        copy.copy(held),
        copy.deepcopy(held),
        held.model_copy(),
        pickle.loads(pickle.dumps(held)),
    ):
        assert type(again) is model
        assert again == held
        assert hash(again) == hash(held)
        assert again.to_wire() == body
    for name in model.model_fields:
        with pytest.raises(pydantic.ValidationError, match="frozen"):
            setattr(held, name, None)


# -- limits --------------------------------------------------------------------------------


def _string_members() -> list[Any]:
    found = list[Any]()
    for operation in OPERATION_NAMES:
        shape = SERVICE["shapes"][SERVICE["operations"][operation]["input"]["shape"]]
        assert shape["type"] == "structure"
        for member, ref in shape["members"].items():
            text = SERVICE["shapes"][ref["shape"]]
            if text["type"] == "string" and "max" in text and text["max"] < 10_000:
                found.append(pytest.param(operation, member, text, id=f"{operation}.{member}"))
    return found


@pytest.mark.parametrize(("operation", "member", "shape"), _string_members())
def test_a_refusal_names_the_member_and_the_limit(
    operation: str, member: str, shape: StringShape
) -> None:
    request = OPERATIONS[operation].request
    (name,) = (key for key, field in request.model_fields.items() if field.alias == member)
    limit = 4095 if member == "errorStackTrace" else shape.get("max", 0)

    with pytest.raises(
        pydantic.ValidationError, match=f"\n{name}\n +String should have at most {limit} characters"
    ):
        request(**{name: "x" * (limit + 1)})
    with pytest.raises(pydantic.ValidationError, match=f"\n{member}\n.* at most {limit}"):
        request.from_wire({member: "x" * (limit + 1)})
    if shape.get("min"):
        with pytest.raises(pydantic.ValidationError, match=f"\n{name}\n.* at least 1 "):
            request(**{name: ""})


LISTS: list[tuple[type[WireModel], str, dict[str, object], list[Any], int]] = [
    (op.DescribePipelinesRequest, "pipeline_ids", {}, ["df-1"], 25),
    (op.DescribeObjectsRequest, "object_ids", {"pipeline_id": "df-1"}, ["Copy"], 100),
    (op.AddTagsRequest, "tags", {"pipeline_id": "df-1"}, [Tag(key="k", value="v")], 10),
    (
        op.CreatePipelineRequest,
        "tags",
        {"name": "n", "unique_id": "u"},
        [Tag(key="k", value="v")],
        10,
    ),
    (Query, "selectors", {}, [Selector()], 10),
]


@pytest.mark.parametrize(("model", "name", "others", "item", "limit"), LISTS)
def test_a_list_may_be_so_long_and_no_longer(
    model: type[WireModel], name: str, others: dict[str, object], item: list[Any], limit: int
) -> None:
    assert len(getattr(model(**others, **{name: item * limit}), name)) == limit
    with pytest.raises(pydantic.ValidationError, match=f"\n{name}\n.* at most {limit} items"):
        model(**others, **{name: item * (limit + 1)})


def test_an_error_id_cannot_look_like_the_services_own() -> None:
    with pytest.raises(pydantic.ValidationError, match=r"\nerror_id\n.*'Service_' .* reserved"):
        SetTaskStatusRequest(task_id="t", task_status=TaskStatus.FAILED, error_id="Service_Down")


def test_a_message_has_no_limit() -> None:
    SetTaskStatusRequest(task_id="t", task_status=TaskStatus.FAILED, error_message="x" * 1_000_000)


# -- what is special -----------------------------------------------------------------------


@pytest.mark.parametrize("status", TaskStatus)
def test_a_plain_word_is_as_good_as_a_task_status(status: TaskStatus) -> None:
    request = SetTaskStatusRequest(task_id="t", task_status=status.value)

    assert request.task_status is status
    assert request == SetTaskStatusRequest(task_id="t", task_status=status)


@pytest.mark.parametrize(
    ("model", "words"), [(SetTaskStatusRequest, TaskStatus), (Operator, OperatorType)]
)
def test_what_type_checkers_are_told_of_a_constructor_is_what_the_model_has(
    model: type[WireModel], words: type[StrEnum]
) -> None:
    body = ast.parse(inspect.getsource(model)).body[0]
    [told] = [
        node
        for node in ast.walk(body)
        if isinstance(node, ast.FunctionDef) and node.name == "__init__"
    ]
    texts = [node.value for node in ast.walk(told) if isinstance(node, ast.Constant)]

    required = [default is None for default in told.args.kw_defaults]
    assert [argument.arg for argument in told.args.kwonlyargs] == list(model.model_fields)
    assert required == [field.is_required() for field in model.model_fields.values()]
    assert {text for text in texts if isinstance(text, str)} == set(words)


def test_a_word_that_is_no_task_status_is_refused_with_those_that_are() -> None:
    with pytest.raises(
        pydantic.ValidationError, match=r"\ntask_status\n.*'FINISHED', 'FAILED' or 'FALSE'"
    ):
        SetTaskStatusRequest(task_id="t", task_status="DONE")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("body", [{}, {"taskObject": None}, {"taskObject": {}}])
def test_there_are_several_ways_to_say_that_there_is_no_task(body: Wire) -> None:
    assert op.PollForTaskResponse.from_wire(body) == op.PollForTaskResponse()
    assert op.PollForTaskResponse.from_wire(body).task_object is None


def test_half_a_task_is_refused() -> None:
    with pytest.raises(pydantic.ValidationError, match=r"taskObject\.attemptId\n +Field required"):
        op.PollForTaskResponse.from_wire({"taskObject": {"taskId": "t", "pipelineId": "df-1"}})


def test_a_response_says_which_call_it_came_from() -> None:
    response = op.PollForTaskResponse()
    metadata = ResponseMetadata(request_id="r", status=200, headers={"a": "b"}, attempts=2)

    response._metadata = metadata  # pyright: ignore[reportPrivateUsage]  # as call() does

    assert response.metadata == metadata
    assert pickle.loads(pickle.dumps(response)).metadata == metadata
    assert copy.deepcopy(response).metadata == metadata


def test_a_response_that_was_built_came_from_no_call() -> None:
    assert op.PollForTaskResponse().metadata == ResponseMetadata()
    assert op.PollForTaskResponse.from_wire({}).metadata.attempts == 0


def test_the_same_answer_to_two_calls_is_equal() -> None:
    one, other = op.PollForTaskResponse(), op.PollForTaskResponse()

    one._metadata = ResponseMetadata(request_id="one")  # pyright: ignore[reportPrivateUsage]  # as call() does

    assert one == other
    assert hash(one) == hash(other)


def test_other_answers_are_not_equal() -> None:
    task = TaskObject(task_id="t", pipeline_id="df-1", attempt_id="a")
    nothing: Response = op.SetTaskStatusResponse()

    assert op.PollForTaskResponse() != op.PollForTaskResponse(task_object=task)
    assert nothing != op.AddTagsResponse()
    assert nothing != "SetTaskStatusResponse"


def test_the_table_has_a_row_for_each_operation_in_order() -> None:
    assert list(OPERATIONS) == OPERATION_NAMES
    assert [row.name for row in OPERATIONS.values()] == OPERATION_NAMES


def test_the_service_has_the_last_word_on_its_own_texts() -> None:
    # A task that comes with more than the service model promises is still a task.
    odd = {"key": "errorStackTrace", "stringValue": "\x1b" * 20_000}
    attempt = {"id": "", "name": "n" * 2000, "fields": [odd]}
    task = {"taskId": "t" * 3000, "pipelineId": "df-1", "attemptId": "", "objects": {"": attempt}}

    answer = op.PollForTaskResponse.from_wire({"taskObject": task})

    assert answer.to_wire() == {"taskObject": task}
    with pytest.raises(pydantic.ValidationError, match="U\\+001B"):
        Field.from_wire(odd)


def test_a_message_may_hold_any_character_since_none_is_ruled_out() -> None:
    request = SetTaskStatusRequest(
        task_id="t", task_status=TaskStatus.FAILED, error_message="\x1b[31mred\0"
    )

    assert request.to_wire()["errorMessage"] == "\x1b[31mred\0"
    with pytest.raises(pydantic.ValidationError, match="U\\+D800 at index 1 is half"):
        SetTaskStatusRequest(task_id="t", task_status=TaskStatus.FAILED, error_message="x\ud800")


def test_a_task_id_is_shown_nowhere() -> None:
    shown = repr(SetTaskStatusRequest(task_id="secret", task_status=TaskStatus.FINISHED))

    assert "secret" not in shown
    assert "FINISHED" in shown
