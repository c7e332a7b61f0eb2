"""Questions about objects: QueryObjects, DescribeObjects and EvaluateExpression."""

from __future__ import annotations

import base64
import json
from typing import TypeAlias

import pytest

from aiodatapipeline import InvalidRequestException
from aiodatapipeline.models import Operator, OperatorType, Query, Selector
from tests.local.service import (
    HOUR,
    ONE_TRY,
    Object,
    Place,
    alarm,
    asks,
    at,
    clock_time,
    data,
    every,
    from_,
    on_demand,
    ref,
    serving,
    shell,
)

Condition: TypeAlias = tuple[str, str, list[str]]

PARAMETERS: list[Object] = [{"id": "myX", "type": "String"}]


def where(*conditions: Condition) -> Query:
    return Query(
        selectors=tuple(
            Selector(
                field_name=field, operator=Operator(type=OperatorType(kind), values=tuple(values))
            )
            for field, kind, values in conditions
        )
    )


async def _running(place: Place) -> str:
    """Three hours of A, which was done twice and failed once, and of B behind it."""
    pipe = await place.pipeline(
        every("1 hour", shell("A", maximumRetries="0"), shell("B", dependsOn=ref("A")))
    )
    await place.passes(60)
    await place.work()
    await place.until(HOUR)
    await place.work()
    await place.until(2 * HOUR)
    await place.fail()
    return pipe.id


HOURS = [clock_time(n * HOUR) for n in range(3)]


@pytest.mark.parametrize(
    ("sphere", "conditions", "found"),
    [
        ("INSTANCE", [], [at(c, n * HOUR) for n in range(3) for c in "AB"]),
        ("instance", [("@status", "EQ", ["FAILED"])], [at("A", 2 * HOUR)]),
        (
            "INSTANCE",
            [("@status", "EQ", ["FAILED", "WAITING_ON_DEPENDENCIES"])],
            [at("A", 2 * HOUR), at("B", 2 * HOUR)],
        ),
        ("INSTANCE", [("name", "EQ", [at("A")])], [at("A")]),
        ("INSTANCE", [("@sphere", "EQ", ["INSTANCE"]), ("name", "EQ", [at("B")])], [at("B")]),
        ("INSTANCE", [("@sphere", "EQ", ["ATTEMPT"])], []),
        (
            "INSTANCE",
            [("@componentParent", "REF_EQ", ["B"])],
            [at("B", n * HOUR) for n in range(3)],
        ),
        ("INSTANCE", [("parent", "REF_EQ", ["B", "x"])], [at("B", n * HOUR) for n in range(3)]),
        ("INSTANCE", [("@instanceParent", "REF_EQ", [at("B")])], []),
        ("INSTANCE", [("@scheduledStartTime", "EQ", [HOURS[1]])], [at("A", HOUR), at("B", HOUR)]),
        (
            "INSTANCE",
            [("@scheduledStartTime", "GE", [HOURS[2]])],
            [at("A", 2 * HOUR), at("B", 2 * HOUR)],
        ),
        ("INSTANCE", [("@scheduledEndTime", "LE", [HOURS[1]])], [at("A"), at("B")]),
        (
            "INSTANCE",
            [
                ("@scheduledStartTime", "BETWEEN", [HOURS[1], HOURS[2]]),
                ("parent", "REF_EQ", ["A"]),
            ],
            [at("A", HOUR), at("A", 2 * HOUR)],
        ),
        (
            "INSTANCE",
            [("@actualStartTime", "LE", [HOURS[1]])],
            [at("A"), at("B"), at("A", HOUR), at("B", HOUR)],
        ),
        # What is not set matches nothing.
        (
            "INSTANCE",
            [("@actualEndTime", "GE", ["0"]), ("parent", "REF_EQ", ["B"])],
            [at("B"), at("B", HOUR)],
        ),
        ("ATTEMPT", [("@instanceParent", "REF_EQ", [at("B")])], [at("B", attempt=1)]),
        ("ATTEMPT", [("@status", "EQ", ["FAILED"])], [at("A", 2 * HOUR, attempt=1)]),
        ("ATTEMPT", [("name", "EQ", [at("A", attempt=1)])], [at("A", attempt=1)]),
        (
            "ATTEMPT",
            [("@sphere", "EQ", ["ATTEMPT"]), ("@actualEndTime", "LE", [clock_time(60)])],
            [at("A", attempt=1), at("B", attempt=1)],
        ),
        ("COMPONENT", [], ["A", "B", "Default", "S"]),
        ("COMPONENT", [("name", "EQ", ["A", "S"])], ["A", "S"]),
        ("COMPONENT", [("parent", "REF_EQ", ["Default"])], ["A", "B", "S"]),
        ("COMPONENT", [("@sphere", "EQ", ["COMPONENT"]), ("@status", "EQ", ["PAUSED"])], []),
        ("COMPONENT", [("@scheduledStartTime", "GE", ["0"])], []),
        ("COMPONENT", [("@scheduledStartTime", "LE", ["3"])], []),
        ("COMPONENT", [("@scheduledStartTime", "BETWEEN", ["0", "3"])], []),
    ],
)
async def test_queries(
    place: Place, sphere: str, conditions: list[Condition], found: list[str]
) -> None:
    pipeline_id = await _running(place)

    query = where(*conditions) if conditions else None
    pager = place.client.query_objects(pipeline_id, sphere, query=query)
    assert [each async for each in pager] == found
    # The same over pages of one.
    pager = place.client.query_objects(pipeline_id, sphere, query=query, limit=1)
    assert [each async for each in pager] == found


CONDITIONS: list[tuple[list[Condition], str]] = [
    ([("@status", "GE", ["x"])], "GE does not go with the field '@status'"),
    ([("@status", "REF_EQ", ["x"])], "REF_EQ does not go with the field '@status'"),
    ([("parent", "EQ", ["x"])], "EQ does not go with the field 'parent'"),
    ([("hostname", "EQ", ["x"])], "EQ does not go with the field 'hostname'"),
    ([("@actualEndTime", "BETWEEN", ["x"])], "BETWEEN takes 2 values"),
    ([("@actualEndTime", "GE", ["x", "y"])], "GE takes 1 values"),
    ([("@actualEndTime", "LE", [])], "LE takes 1 values"),
    ([("name", "EQ", [])], "EQ takes one or more values"),
]


@pytest.mark.parametrize(("conditions", "message"), CONDITIONS)
async def test_conditions_without_sense_are_refused(
    place: Place, conditions: list[Condition], message: str
) -> None:
    pipe, query = await place.create(), where(*conditions)

    with pytest.raises(InvalidRequestException, match=message):
        _ = [each async for each in place.client.query_objects(pipe.id, "INSTANCE", query=query)]


QUERIES: list[tuple[dict[str, object], str]] = [
    ({"sphere": "PIPELINE"}, "InvalidRequestException: there is no sphere 'PIPELINE'"),
    ({"limit": 0}, "InvalidRequestException: limit must be 1 or more, not 0"),
    ({"limit": -1}, "InvalidRequestException: limit must be 1 or more, not -1"),
    ({"query": {"selectors": [{"fieldName": "name"}]}}, "InvalidRequestException: the sel"),
    ({"query": {"selectors": [{}]}}, "InvalidRequestException: the selector of '' has no"),
    (
        {"query": {"selectors": [{"operator": {"type": "EQ", "values": ["x"]}}]}},
        "InvalidRequestException: EQ does not go with the field ''",
    ),
    (
        {"query": {"selectors": [{"operator": {"type": "LT", "values": ["x"]}}]}},
        "ValidationException: 1 validation error detected: Value at 'query.",
    ),
    ({"query": {"selectors": [{}] * 11}}, "ValidationException: 1 validation error detected"),
]


@pytest.mark.parametrize(("members", "message"), QUERIES)
async def test_queries_without_sense_are_refused(
    place: Place, members: dict[str, object], message: str
) -> None:
    pipe = await place.create()
    asked: dict[str, object] = {"pipelineId": pipe.id, "sphere": "INSTANCE", **members}

    assert (await place.ask("QueryObjects", **asked)).startswith(message)


async def test_a_page_has_a_hundred_ids_at_most(place: Place) -> None:
    pipe = await place.pipeline(
        every("15 minutes", shell("A"), schedule=from_("2025-12-30T00:00:00"))
    )
    page = await place.ask("QueryObjects", pipelineId=pipe.id, sphere="INSTANCE", limit=10**30)

    assert len(page["ids"]) == 100
    assert page["hasMoreResults"]
    assert len(await pipe.ids()) == 193
    assert await pipe.ids() == sorted(await pipe.ids())


def _made_up(*values: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode()


MARKERS = [
    "x",
    "\u00fc",
    "====",
    _made_up(),
    _made_up("a"),
    _made_up(1.5),
    _made_up(True),
    _made_up(-1),
    _made_up(10**30),
    _made_up("a", "b", -(10**30)),
    _made_up("a", "b", 10**30),
    _made_up("a", "\ud800", 1),
    _made_up(None),
    base64.urlsafe_b64encode(b"[" * 700).decode(),
]


@pytest.mark.parametrize("marker", MARKERS)
async def test_markers_that_were_made_up_are_refused(place: Place, marker: str) -> None:
    pipe = await place.pipeline(on_demand(shell("A")))
    for operation, members in (
        ("ListPipelines", {}),
        ("QueryObjects", {"pipelineId": pipe.id, "sphere": "INSTANCE"}),
        ("QueryObjects", {"pipelineId": pipe.id, "sphere": "COMPONENT"}),
        ("DescribeObjects", {"pipelineId": pipe.id, "objectIds": ["A"]}),
    ):
        asked: dict[str, object] = {**members, "marker": marker}
        answer = await place.ask(operation, **asked)
        assert answer == "InvalidRequestException: the marker is none that was given with a page"


# -- DescribeObjects ------------------------------------------------------------------------------


async def test_a_hundred_objects_are_described_at_once(place: Place) -> None:
    pipe = await place.pipeline(on_demand(*(shell(f"A{n}") for n in range(99))))
    ids = ["Default", *(f"A{n}" for n in range(99))]

    page = await place.ask("DescribeObjects", pipelineId=pipe.id, objectIds=ids)

    assert [each["id"] for each in page["pipelineObjects"]] == ids
    assert not page["hasMoreResults"]
    assert "marker" not in page


async def test_a_component_says_what_it_was_given_and_how_it_is(place: Place) -> None:
    pipe = await place.pipeline(every("1 hour", shell("A", name="first")), activate=False)
    assert await pipe.text("A", "@status") == "PENDING"
    await pipe.activate()
    shown = await pipe.show("A")

    assert shown.name == "first"
    assert shown.string("command") == "true"
    assert shown.ref("parent") == "Default"
    assert shown.string("workerGroup") is None  # which is Default's
    assert shown.string("@sphere") == "COMPONENT"
    assert shown.string("@status") == "SCHEDULED"
    assert shown.string("@pipelineId") == pipe.id
    assert shown.string("@version") == "1"
    assert shown.refs("@activeInstances") == (at("A"),)
    assert shown.string("@nextRunTime") == clock_time(HOUR)
    assert await pipe.text("S", "@firstActivationTime") == clock_time(0)
    assert (await pipe.show("Default")).ref("parent") is None


async def test_the_fields_of_an_instance_are_as_they_were_written_or_evaluated(
    place: Place,
) -> None:
    pipe = await place.create()
    await pipe.put(
        on_demand(shell("A", command="#{@scheduledStartTime} #{myX}", input=ref("D")), data("D")),
        PARAMETERS,
        {"myX": "7"},
    )
    await pipe.activate()
    await place.take()
    for each in (at("A"), at("A", attempt=1)):
        written = await pipe.show(each)
        assert written.string("command") == "#{@scheduledStartTime} #{myX}"
        evaluated = await pipe.show(each, evaluate=True)
        assert evaluated.string("command") == "2026-01-01T00:00:00 7"
        assert evaluated.ref("input") == at("D")


async def test_a_component_is_evaluated_unless_that_needs_a_run(place: Place) -> None:
    pipe = await place.create()
    await pipe.put(
        on_demand(
            shell("A", command="#{myX}"), shell("B", command="#{@scheduledStartTime}"), myFile="f"
        ),
        PARAMETERS,
        {"myX": "7"},
    )
    assert (await pipe.show("A")).string("command") == "#{myX}"
    shown = await pipe.show("A", evaluate=True)
    assert shown.string("command") == "7"
    assert shown.string("myFile") is None  # which is Default's
    assert shown.string("@status") == "PENDING"
    with pytest.raises(InvalidRequestException, match="'B': 'command' cannot be evaluated"):
        await pipe.show("B", evaluate=True)


async def test_an_instance_that_cannot_be_evaluated_is_an_error(place: Place) -> None:
    pipe = await place.pipeline(on_demand(shell("A", command="#{input.@id}")))

    assert (await pipe.show(at("A"))).string("command") == "#{input.@id}"
    with pytest.raises(InvalidRequestException, match="'command' cannot be evaluated"):
        await pipe.show(at("A"), evaluate=True)
    assert (await place.take()).attempt.string("command") == "#{input.@id}"


@pytest.mark.parametrize(
    "object_id",
    [
        "B",
        "@A",
        at("A", HOUR),
        at("A", attempt=2),
        at("A") + "_Attempt=",
        at("A") + "_Attempt=x",
        at("A") + "_Attempt=\u0661",
        at("A") + "_Attempt=9999999999999999999999",
        at("B", attempt=1),
    ],
)
async def test_objects_that_are_not_there_are_an_error(place: Place, object_id: str) -> None:
    pipe = await place.pipeline(on_demand(shell("A")))

    for asked in (
        place.ask("DescribeObjects", pipelineId=pipe.id, objectIds=["A", object_id]),
        place.ask("EvaluateExpression", pipelineId=pipe.id, objectId=object_id, expression="x"),
    ):
        assert (await asked).startswith("InvalidRequestException: the pipeline has no object")


async def test_a_failed_instance_says_what_became_of_it() -> None:
    async with serving(ONE_TRY) as place:
        pipe = await place.pipeline(
            on_demand(shell("A"), shell("B", dependsOn=ref("A"), failureAndRerunMode="cascade"))
        )
        await place.passes(5)
        await place.fail()
        failed, behind = await pipe.show(at("A")), await pipe.show(at("B"))
        assert failed.string("@finishedTime") == failed.string("@actualEndTime") == clock_time(5)
        assert behind.ref("@cascadeFailedOn") == at("A")
        assert behind.string("@actualStartTime") is None
        assert behind.ref("@headAttempt") is None


# -- EvaluateExpression ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("object_id", "expression", "value"),
    [
        (at("A"), "no expression", "no expression"),
        (at("A"), "#{@scheduledStartTime} and #{2 + 3}", "2026-01-01T00:00:00 and 5"),
        (at("A"), "#{input.directoryPath}", "s3://b/2026"),
        (at("A"), "#{format(plusDays(@scheduledStartTime, 1), 'YYYY-MM-dd')}", "2026-01-02"),
        (at("A"), "#{@pipelineId}", None),
        (at("A"), "#{@status} #{@id}", f"RUNNING {at('A')}"),
        (at("A"), "#{@actualStartTime}", "2026-01-01T00:00:00"),
        (at("A", attempt=1), "#{myX}", "7"),
        (at("P"), "#{node.command} #{node.@id}", f"true {at('A')}"),
        (at("Good@P"), "#{node.@id} #{node.@status}", f"{at('P')} FINISHED"),
        ("A", "#{command} #{myX}", "true 7"),
        ("A", "#{parent.workerGroup}", "g"),
    ],
)
async def test_expressions(
    place: Place, object_id: str, expression: str, value: str | None
) -> None:
    pipe = await place.create()
    await pipe.put(
        on_demand(
            shell("A", input=ref("D"), precondition=ref("P")),
            data("D", directoryPath="s3://b/#{year(@scheduledStartTime)}"),
            asks("P", onSuccess=ref("Good")),
            alarm("Good"),
        ),
        PARAMETERS,
        {"myX": "7"},
    )
    await pipe.activate()
    await place.end(await place.begin())
    await place.begin()

    found = await place.client.evaluate_expression(pipe.id, object_id, expression)
    assert found.evaluated_expression == (pipe.id if value is None else value)


@pytest.mark.parametrize(
    ("object_id", "expression"),
    [
        (at("A"), "#{"),
        (at("A"), "#{nobody}"),
        (at("A"), "#{1 / 0}"),
        (at("A"), "#{day('x')}"),
        (at("A"), "#{" + "(" * 5000),
        ("A", "#{@scheduledStartTime}"),
        ("A", "#{loop}"),
    ],
)
async def test_expressions_without_a_value_are_an_error(
    place: Place, object_id: str, expression: str
) -> None:
    pipe = await place.pipeline(on_demand(shell("A")))

    with pytest.raises(InvalidRequestException, match="cannot be evaluated"):
        await place.client.evaluate_expression(pipe.id, object_id, expression)


async def test_a_pipeline_without_a_definition_evaluates_nothing(place: Place) -> None:
    pipe = await place.create()

    with pytest.raises(InvalidRequestException, match="no object 'A'"):
        await place.client.evaluate_expression(pipe.id, "A", "x")
    assert await pipe.ids("COMPONENT") == []


async def test_a_pipeline_without_a_definition_has_no_objects_to_describe(place: Place) -> None:
    pipe = await place.create()

    with pytest.raises(InvalidRequestException, match="has no object 'A'"):
        await pipe.show("A")
