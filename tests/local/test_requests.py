"""Requests that are wrong: every one is answered with an AWS error, and the service lives."""

# What is left behind is seen from inside alone.
# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pydantic
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aiodatapipeline._clock import VirtualClock
from aiodatapipeline.errors import ServiceError
from aiodatapipeline.local._service import _read
from aiodatapipeline.operations import OPERATIONS, Request
from tests.local.service import (
    HOUR,
    MINUTE,
    START,
    Pipe,
    Place,
    alarm,
    asks,
    at,
    every,
    on_demand,
    ref,
    serving,
    shell,
)
from tests.strategies import OPERATION_NAMES, SERVICE, Wire, inputs, smallest

# What each operation needs besides a pipeline or a task.
NEEDED: dict[str, dict[str, object]] = {
    "ActivatePipeline": {},
    "AddTags": {"tags": [{"key": "k", "value": "v"}]},
    "DeactivatePipeline": {},
    "DeletePipeline": {},
    "DescribeObjects": {"objectIds": ["A"]},
    "DescribePipelines": {},
    "EvaluateExpression": {"objectId": "A", "expression": "x"},
    "GetPipelineDefinition": {},
    "PutPipelineDefinition": {"pipelineObjects": []},
    "QueryObjects": {"sphere": "INSTANCE"},
    "RemoveTags": {"tagKeys": ["k"]},
    "SetStatus": {"objectIds": ["A"], "status": "PAUSE"},
    "ValidatePipelineDefinition": {"pipelineObjects": []},
}


def _about(operation: str, pipeline_id: str) -> dict[str, object]:
    if operation == "DescribePipelines":
        return {"pipelineIds": [pipeline_id]}
    return {"pipelineId": pipeline_id, **NEEDED[operation]}


@pytest.mark.parametrize("operation", NEEDED)
async def test_a_pipeline_that_never_was_is_not_found(place: Place, operation: str) -> None:
    answer = await place.ask(operation, **_about(operation, "df-NONE"))

    assert answer == (
        "PipelineNotFoundException: there is no pipeline 'df-NONE': "
        "ListPipelines tells which there are"
    )
    long = await place.ask(operation, **_about(operation, "x" * 1024))
    assert len(long) < 200


@pytest.mark.parametrize("operation", [each for each in NEEDED if each != "DeletePipeline"])
async def test_a_pipeline_that_was_deleted_is_told_from_one_that_never_was(
    place: Place, operation: str
) -> None:
    pipe = await place.pipeline(on_demand(shell("A")))
    await place.client.delete_pipeline(pipe.id)
    for _ in range(2):
        answer = await place.ask(operation, **_about(operation, pipe.id))
        assert answer == f"PipelineDeletedException: the pipeline {pipe.id!r} was deleted"
        await place.passes(0)


REQUIRED = {
    "ActivatePipeline": "pipelineId",
    "AddTags": "pipelineId",
    "CreatePipeline": "name",
    "DeactivatePipeline": "pipelineId",
    "DeletePipeline": "pipelineId",
    "DescribeObjects": "pipelineId",
    "DescribePipelines": "pipelineIds",
    "EvaluateExpression": "pipelineId",
    "GetPipelineDefinition": "pipelineId",
    "PollForTask": "workerGroup",
    "PutPipelineDefinition": "pipelineId",
    "QueryObjects": "pipelineId",
    "RemoveTags": "pipelineId",
    "ReportTaskProgress": "taskId",
    "ReportTaskRunnerHeartbeat": "taskrunnerId",
    "SetStatus": "pipelineId",
    "SetTaskStatus": "taskId",
    "ValidatePipelineDefinition": "pipelineId",
}


@pytest.mark.parametrize("operation", REQUIRED)
async def test_a_member_that_is_required_must_be_there(place: Place, operation: str) -> None:
    member = REQUIRED[operation]
    for members in ({}, {member: None}):
        answer = await place.ask(operation, **members)
        assert answer.startswith("ValidationException: ")
        assert (
            f"Value null at '{member}' failed to satisfy constraint: Member must not be null"
            in answer
        )


def test_every_operation_is_among_these() -> None:
    assert REQUIRED.keys() | {"ListPipelines"} == OPERATIONS.keys()


async def test_one_mistake_is_told_as_one(place: Place) -> None:
    assert await place.ask("DeletePipeline") == (
        "ValidationException: 1 validation error detected: Value null at 'pipelineId' failed to "
        "satisfy constraint: Member must not be null"
    )
    several = await place.ask("CreatePipeline")
    assert several.startswith("ValidationException: 2 validation errors detected: ")


@pytest.mark.parametrize(
    ("operation", "members", "where"),
    [
        ("CreatePipeline", {"name": "", "uniqueId": "u"}, "name"),
        ("CreatePipeline", {"name": "n" * 1025, "uniqueId": "u"}, "name"),
        ("CreatePipeline", {"name": 7, "uniqueId": "u"}, "name"),
        ("CreatePipeline", {"name": "\u0000", "uniqueId": "u"}, "name"),
        ("CreatePipeline", {"name": "\ud800", "uniqueId": "u"}, "name"),
        (
            "CreatePipeline",
            {
                "name": "n",
                "uniqueId": "u",
                "tags": [{"key": str(n), "value": ""} for n in range(11)],
            },
            "tags",
        ),
        ("DescribePipelines", {"pipelineIds": ["x"] * 26}, "pipelineIds"),
        ("DescribePipelines", {"pipelineIds": "x"}, "pipelineIds"),
        ("DescribeObjects", {"pipelineId": "x", "objectIds": ["x"] * 101}, "objectIds"),
        ("SetTaskStatus", {"taskId": "x", "taskStatus": "DONE"}, "taskStatus"),
        ("SetTaskStatus", {"taskId": "x", "taskStatus": "FAILED", "errorMessage": "\ud800"}, "err"),
        ("ReportTaskProgress", {"taskId": "x" * 2049}, "taskId"),
        (
            "ReportTaskProgress",
            {"taskId": "x", "fields": [{"key": "k", "stringValue": "a", "refValue": "b"}]},
            "fields.0",
        ),
        ("ActivatePipeline", {"pipelineId": "x", "startTimestamp": "now"}, "startTimestamp"),
        ("ActivatePipeline", {"pipelineId": "x", "startTimestamp": 1e300}, "startTimestamp"),
        ("PutPipelineDefinition", {"pipelineId": "x", "pipelineObjects": [{"id": "A"}]}, "pip"),
        ("QueryObjects", {"pipelineId": "x", "sphere": "INSTANCE", "limit": 1.5}, "limit"),
    ],
)
async def test_a_member_that_breaks_a_limit_is_named_and_not_repeated(
    place: Place, operation: str, members: dict[str, object], where: str
) -> None:
    answer = await place.ask(operation, **members)

    assert answer.startswith("ValidationException: ")
    assert f" at '{where}" in answer
    assert "failed to satisfy constraint: " in answer
    assert len(answer) < 500


@pytest.mark.parametrize(
    ("members", "constraint"),
    [
        ({"pipelineId": ""}, "Member must have length greater than or equal to 1"),
        ({"objectIds": ["x"] * 101}, "Member must have length less than or equal to 100"),
        ({"objectIds": "x"}, "Member must be a list"),
        ({"marker": 7}, "Member must be a string"),
        ({"marker": "x" * 1025}, "Member must have length less than or equal to 1024"),
        ({"evaluateExpressions": "yes"}, "Member must be a boolean"),
    ],
)
async def test_a_constraint_is_told_in_words_of_the_wire(
    place: Place, members: dict[str, object], constraint: str
) -> None:
    asked: dict[str, object] = {"pipelineId": "x", "objectIds": ["x"], **members}
    answer: str = await place.ask("DescribeObjects", **asked)

    assert answer.endswith(f" failed to satisfy constraint: {constraint}")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", "SerializationException: the body is no JSON"),
        (b"\xff", "SerializationException: the body is no JSON"),
        (b"[]", "SerializationException: the body is no JSON object"),
        (b"null", "SerializationException: the body is no JSON object"),
        (b"[" * 100_000, "SerializationException: the body is no JSON"),
        (b'{"marker": ' + b"1" * 5000 + b"}", "SerializationException: the body is no JSON"),
        (b'{"marker": NaN}', "ValidationException"),
    ],
)
async def test_a_body_that_is_no_request_is_refused(place: Place, body: bytes, code: str) -> None:
    assert (await place.ask("ListPipelines", body)).startswith(code)


Asked = tuple[str, Wire]
ASKED: st.SearchStrategy[Asked] = st.sampled_from(OPERATION_NAMES).flatmap(
    lambda name: inputs(name).map(lambda body: (name, body))
)
# With all characters, half pairs too, and with what JSON knows and no request has.
ANYTHING: st.SearchStrategy[object] = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=[]), max_size=8)
    | st.sampled_from(["x" * 300, "x" * 10_241, "2026-01-31T00:00:00Z", "\x00", "\ufffe"])
    | st.builds(list[object])
    | st.builds(dict[str, object])
)


def spoilt(value: object, choose: Callable[[int], int], put: object) -> object:
    """The same with something else in the place of one value, at any depth."""
    if isinstance(value, list) and value and choose(4):
        items = cast("list[object]", value)
        at = choose(len(items) - 1)
        return [*items[:at], spoilt(items[at], choose, put), *items[at + 1 :]]
    if isinstance(value, dict) and value and choose(4):
        members = cast("Wire", value)
        name = sorted(members)[choose(len(members) - 1)]
        return {**members, name: spoilt(members[name], choose, put)}
    return put


def read(operation: str, body: bytes) -> tuple[Request[Any], set[str]] | None:
    try:
        request = _read(operation, body)
    except ServiceError:
        return None
    return request, request.model_fields_set


def from_wire(operation: str, members: object) -> tuple[Request[Any], set[str]] | None:
    """What people's own way to read a request makes of it."""
    try:
        request = OPERATIONS[operation].request.from_wire(cast("Wire", members))
    except pydantic.ValidationError:
        return None
    return request, request.model_fields_set


@given(ASKED)
@example(("CreatePipeline", {"name": "\U0001f600", "uniqueId": "\t\r\n \x7f\ud7ff\ue000\ufffd"}))
def test_a_body_is_read_as_what_it_says(asked: Asked) -> None:
    operation, members = asked
    expected = from_wire(operation, members)

    assert expected is not None
    assert read(operation, json.dumps(members).encode()) == expected
    assert read(operation, json.dumps(members, ensure_ascii=False).encode()) == expected
    assert read(operation, json.dumps(members).encode("utf-16")) == expected


@given(ASKED, ANYTHING, st.data())
def test_a_body_is_refused_if_what_it_says_is_none(
    asked: Asked, put: object, data: st.DataObject
) -> None:
    operation, members = asked
    wrong = spoilt(members, lambda most: data.draw(st.integers(0, most)), put)
    if isinstance(wrong, dict):  # other bodies are refused before they are understood
        text = json.dumps(wrong)

        assert read(operation, text.encode()) == from_wire(operation, json.loads(text))


def test_of_two_members_with_one_name_the_last_holds() -> None:
    body = b'{"name": 1, "name": "first", "name": "last", "uniqueId": "u"}'

    assert read("CreatePipeline", body) == from_wire(
        "CreatePipeline", {"name": "last", "uniqueId": "u"}
    )


@pytest.mark.parametrize("operation", OPERATION_NAMES)
def test_a_good_request_is_read_once(operation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    body = json.dumps(smallest(SERVICE["operations"][operation]["input"]["shape"])).encode()
    monkeypatch.setattr(json, "loads", None)

    assert read(operation, body) is not None


async def test_no_body_is_an_empty_request(place: Place) -> None:
    assert await place.ask("ListPipelines", b"") == {"pipelineIdList": [], "hasMoreResults": False}


async def test_unknown_members_are_ignored(place: Place) -> None:
    assert "pipelineId" in await place.ask("CreatePipeline", name="n", uniqueId="u", newMember=[1])


async def test_unknown_operations_are_refused(place: Place) -> None:
    for operation in ("", "createPipeline", "X" * 1000):
        answer: str = await place.ask(operation)
        assert answer.startswith("UnknownOperationException: there is no operation")
        assert len(answer) < 200


async def test_times_at_the_edges_are_taken(place: Place) -> None:
    pipe = await place.create()
    await pipe.put(every("1 day", shell("A")))
    for second in (0, -1, 1e9, 253402300799):
        answer = await place.ask("ActivatePipeline", pipelineId=pipe.id, startTimestamp=second)
        assert answer == {}


# -- a store that breaks, and one that is opened again --------------------------------------------


async def test_what_waits_for_its_time_goes_on_after_a_restart(tmp_path: Path) -> None:
    store, clock = str(tmp_path / "store"), VirtualClock(START)
    objects = every(
        "1 hour",
        shell("A", lateAfterTimeout="1 hour", onLateAction=ref("Late"), precondition=ref("P")),
        asks("P"),
        alarm("Late"),
    )
    async with serving(store=store, clock=clock) as place:
        pipe_id = (await place.pipeline(objects)).id
        task = await place.begin()
    await clock.advance(14 * MINUTE)
    async with serving(store=store, clock=clock) as place:
        assert not await place.report(task)  # the lease went on
        await place.end(task)
        lost = await place.take()
    await clock.advance(3 * HOUR - 14 * MINUTE)
    async with serving(store=store, clock=clock) as place:
        await place.passes(0)
        assert [each.node for each in place.alarms] == [at("A", n * HOUR) for n in range(3)]
        pipe = Pipe(place, pipe_id)
        assert await pipe.history("P") == ["FINISHED", *["WAITING_FOR_RUNNER"] * 3]
        assert lost.attempt_id == at("A", attempt=1)
        assert len(await place.work(at_most=50)) == 7


async def test_a_timer_whose_work_fails_goes_off_again_and_the_others_too(
    place: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await place.pipeline(on_demand(shell("A"), shell("B")))
    broken = True
    on_lease: Any = place.service._timers["lease"]

    def on_lease_if_not_broken(seq: int) -> None:
        if broken and seq == 1:
            raise ZeroDivisionError
        on_lease(seq)

    monkeypatch.setitem(place.service._timers, "lease", on_lease_if_not_broken)
    await place.take()
    await place.take()
    await place.passes(2 * MINUTE)
    assert (await place.take()).attempt_id == at("B", attempt=1)
    assert "the timer lease of 1 failed" in caplog.text
    broken = False
    assert await place.poll() is None
    await place.passes(MINUTE)
    assert (await place.take()).attempt_id == at("A", attempt=1)


class _Broken:
    """A database whose disk is full."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db, self.full = db, True

    def execute(self, sql: str, *arguments: Any) -> Any:
        if self.full and sql.startswith(("INSERT", "UPDATE", "DELETE")):
            raise sqlite3.OperationalError("database or disk is full")
        return self._db.execute(sql, *arguments)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._db, name)


async def test_a_full_disk_is_an_error_of_the_service_and_passes(
    place: Place, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    await place.pipeline(on_demand(shell("A"), shell("B")))
    await place.take()
    broken = _Broken(place.service._store._db)
    monkeypatch.setattr(place.service._store, "_db", broken)
    answer = await place.ask("CreatePipeline", name="n", uniqueId="u")
    assert answer.startswith("InternalServiceError: cannot write the store")
    assert "disk is full" in answer
    assert await place.poll() is None
    assert "a task cannot be handed over" in caplog.text
    await place.passes(2 * MINUTE)  # a timer cannot be worked off, nor put off
    broken.full = False
    await place.passes(MINUTE)
    taken = {(await place.take()).attempt_id, (await place.take()).attempt_id}
    assert taken == {at("A", attempt=1), at("B", attempt=1)}


async def test_a_task_that_cannot_be_made_fails_nobody_else(
    place: Place, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(group: str, hostname: str | None) -> None:
        raise ZeroDivisionError

    poll = place.polling()
    await place.passes(0)
    with monkeypatch.context() as patch:
        patch.setattr(place.service._tasks, "hand_over", broken)
        pipe = await place.pipeline(on_demand(shell("A")))  # is answered as if nothing was
    assert "a task cannot be handed over" in caplog.text
    assert await pipe.run() == {"A": "WAITING_FOR_RUNNER"}
    assert await place.poll() is None  # it goes to the one who waits longer
    task = await poll
    assert task is not None
    assert task.attempt_id == at("A", attempt=1)


async def test_a_task_that_cannot_be_taken_back_is_ready_in_two_minutes(
    place: Place, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    alive = iter([True, True, False])
    body = json.dumps({"workerGroup": "g"}).encode()
    lost = asyncio.ensure_future(place.service.answer("PollForTask", body, lambda: next(alive)))
    await place.passes(0)
    pipe = await place.create()
    await pipe.put(on_demand(shell("A")))
    await place.client.activate_pipeline(pipe.id)
    broken = _Broken(place.service._store._db)
    monkeypatch.setattr(place.service._store, "_db", broken)
    assert json.loads((await lost).body) == {}
    broken.full = False
    assert "ready again when its lease is over" in caplog.text
    assert await place.poll() is None
    await place.passes(2 * MINUTE)
    assert await place.poll() is not None
