"""Definitions: put, validated, given back, and what may change once they have run."""

# What is left behind is seen from inside alone.
# pyright: reportPrivateUsage=false

from __future__ import annotations

import pytest

from aiodatapipeline import InvalidRequestException
from aiodatapipeline.definition import Definition
from aiodatapipeline.local._engine import _world
from aiodatapipeline.local._quotas import AccountQuotas
from tests.local.service import (
    Object,
    Place,
    asks,
    at,
    data,
    every,
    exists,
    on_demand,
    ref,
    serving,
    shell,
)

PARAMETER: Object = {"id": "myX", "type": "String"}


_BEGINS = {"startAt": "FIRST_ACTIVATION_DATE_TIME"}


async def test_a_definition_comes_back_as_it_was_put(place: Place) -> None:
    written = {
        "objects": [
            {"id": "Default", "scheduleType": "ondemand", "pipelineLogUri": "s3://b/l"},
            {
                "id": "A",
                "name": "first",
                "type": "ShellCommandActivity",
                "command": "echo #{myX}",
                "scriptArgument": ["a", "b"],
                "workerGroup": "g",
                "input": [{"ref": "D"}],
                "*secret": "hidden",
            },
            {"id": "D", "type": "S3DataNode", "directoryPath": "s3://b"},
        ],
        "parameters": [{"id": "myX", "type": "String", "default": "1"}],
        "values": {"myX": ["2"]},
    }
    definition = Definition.from_mapping(written)
    pipe = await place.create()
    answer = await place.client.call(definition.to_request(pipe.id))

    assert not answer.errored
    assert not answer.validation_errors
    for version in ("latest", None, ""):
        got = await place.client.get_pipeline_definition(pipe.id, version=version)
        assert Definition.from_response(got) == definition


async def test_before_anything_is_put_or_activated_there_is_no_definition(place: Place) -> None:
    pipe = await place.create()
    assert not (await place.client.get_pipeline_definition(pipe.id)).pipeline_objects
    await pipe.put(on_demand(shell("A")))
    assert not (
        await place.client.get_pipeline_definition(pipe.id, version="active")
    ).pipeline_objects


async def test_the_active_definition_is_the_one_that_was_activated_last(place: Place) -> None:
    pipe = await place.pipeline(on_demand(shell("A", command="one")))
    await pipe.put(on_demand(shell("A", command="two")))

    async def command(version: str) -> str | None:
        got = await place.client.get_pipeline_definition(pipe.id, version=version)
        return got.pipeline_objects[1].string("command")

    assert (await command("active"), await command("latest")) == ("one", "two")
    await pipe.activate()
    assert (await command("active"), await command("latest")) == ("two", "two")
    with pytest.raises(InvalidRequestException, match="no version '1': ask for latest or active"):
        await command("1")


FATAL: list[tuple[list[Object], str]] = [
    ([{"id": "A", "name": "A", "fields": [{"key": "k"}]}], "A: "),
    ([{"id": "A", "name": "A", "fields": [{"key": "k", "stringValue": ""}]}], "A: "),
    ([{"id": "A", "name": "A", "fields": []}] * 2, "A: "),
    ([{"id": str(n), "name": "A", "fields": []} for n in range(4)], "4"),
]


@pytest.mark.parametrize(
    ("objects", "found"),
    FATAL,
    ids=["a field without value", "an empty text", "one id twice", "too many objects"],
)
async def test_a_fatal_mistake_is_refused_and_nothing_saved(
    objects: list[Object], found: str
) -> None:
    async with serving(quotas=AccountQuotas(objects=3)) as place:
        pipe = await place.create()
        await pipe.put(on_demand(shell("A", command="before")))
        for operation in ("PutPipelineDefinition", "ValidatePipelineDefinition"):
            answer = await place.ask(operation, pipelineId=pipe.id, pipelineObjects=objects)
            assert answer.startswith(
                "InvalidRequestException: Pipeline definition has errors: Could not save the "
                "pipeline definition due to FATAL errors: ["
            )
            assert answer.endswith("] Please call Validate to validate your pipeline")
            assert found in answer
        got = await place.client.get_pipeline_definition(pipe.id)
        assert got.pipeline_objects[1].string("command") == "before"


async def test_a_definition_with_errors_is_saved_and_cannot_be_activated(place: Place) -> None:
    pipe = await place.create()
    answer = await pipe.put(
        every("1 hour", shell("A", dependsOn=ref("B")), schedule={"startDateTime": "#{@x}"})
    )

    assert answer.errored
    assert {each.id for each in answer.validation_errors} == {"A", "S"}
    assert (await place.client.get_pipeline_definition(pipe.id)).pipeline_objects
    with pytest.raises(InvalidRequestException, match="has errors and cannot be activated"):
        await pipe.activate()
    assert await pipe.state() == "PENDING"


async def test_validating_says_the_same_and_stores_nothing(place: Place) -> None:
    pipe = await place.create()
    objects = on_demand(shell("A", runsOn=ref("R")), {"id": "R", "type": "Ec2Resource"})
    definition = Definition.from_mapping({"objects": objects})
    validated = await place.client.validate_pipeline_definition(pipe.id, definition.objects)
    assert not (await place.client.get_pipeline_definition(pipe.id)).pipeline_objects
    put = await pipe.put(objects)

    assert validated.errored
    assert put.errored
    assert validated.validation_errors == put.validation_errors
    warnings = {each.id: each.warnings for each in put.validation_warnings}
    assert validated.validation_warnings == put.validation_warnings
    assert "'terminateAfter' is missing." in warnings["R"][0]
    assert "'pipelineLogUri'is missing." in warnings["Default"][0]


async def test_parameters_without_a_value_are_warned_of_and_needed_at_activation(
    place: Place,
) -> None:
    pipe = await place.create()
    answer = await pipe.put(on_demand(shell("A", command="echo #{myX}")), [PARAMETER])
    assert not answer.errored
    assert answer.validation_warnings
    with pytest.raises(InvalidRequestException, match="myX"):
        await pipe.activate()

    await pipe.activate(myX="7")

    assert (await place.take()).attempt.string("command") == "echo 7"


async def test_values_given_at_activation_go_before_the_stored_ones(place: Place) -> None:
    pipe = await place.create()
    other: Object = {"id": "myY", "type": "String"}
    await pipe.put(
        on_demand(shell("A", command="#{myX}#{myY}")), [PARAMETER, other], {"myX": "1", "myY": "2"}
    )
    await pipe.activate(myX="3")

    assert (await place.take()).attempt.string("command") == "32"
    got = await place.client.get_pipeline_definition(pipe.id)
    assert {each.id: each.string_value for each in got.parameter_values} == {"myX": "1", "myY": "2"}
    active = await place.client.get_pipeline_definition(pipe.id, version="active")
    assert {each.id: each.string_value for each in active.parameter_values} == {
        "myX": "3",
        "myY": "2",
    }


_RUNNING = every("1 hour", shell("A", input=ref("D")), shell("B"), data("D"), data("E"))


@pytest.mark.parametrize(
    ("objects", "where", "what"),
    [
        (_RUNNING[:3], "B", "cannot be removed"),
        (
            every("2 hours", *_RUNNING[2:]),
            "S",
            "'period' cannot change",
        ),
        (
            every("1 hour", *_RUNNING[2:], schedule={"startDateTime": "2027-01-01T00:00:00"}),
            "S",
            "'startDateTime' cannot change",
        ),
        (
            every("1 hour", shell("A", input=ref("E")), *_RUNNING[3:]),
            "A",
            "the reference 'input' cannot change",
        ),
        (
            every("1 hour", shell("A"), *_RUNNING[3:]),
            "A",
            "the reference 'input' cannot change",
        ),
        (
            every("1 hour", *_RUNNING[2:3], shell("B", dependsOn=ref("A")), *_RUNNING[4:]),
            "B",
            "the reference 'dependsOn' cannot change",
        ),
        (
            [*_RUNNING, shell("C", output=[ref("E"), ref("F")]), data("F")],
            "C",
            "'E' cannot become the output of a new object",
        ),
    ],
)
async def test_what_must_not_change_once_activated_is_an_error(
    place: Place, objects: list[Object], where: str, what: str
) -> None:
    pipe = await place.pipeline(_RUNNING)

    answer = await pipe.put(objects)

    assert answer.errored
    errors = {each.id: each.errors for each in answer.validation_errors}
    assert any(what in each for each in errors[where]), errors
    with pytest.raises(InvalidRequestException, match="cannot be activated"):
        await pipe.activate()
    with pytest.raises(InvalidRequestException, match="cannot be activated"):
        await pipe.activate(myX="a value makes no difference")
    # What runs goes on as it was activated.
    await place.passes(3600)
    assert "A" in {each.partition("_")[0][1:] for each in await place.work()}


async def test_a_mistake_of_its_own_stands_beside_a_forbidden_change(place: Place) -> None:
    pipe = await place.pipeline(_RUNNING)

    answer = await pipe.put([*_RUNNING[:2], shell("A", command="#{"), *_RUNNING[3:]])

    (found,) = [each.errors for each in answer.validation_errors if each.id == "A"]
    assert len(found) == 2


async def test_changes_apply_to_new_runs_after_the_next_activation(place: Place) -> None:
    pipe = await place.pipeline(every("1 hour", shell("A", command="one")))
    await pipe.put(every("1 hour", shell("A", command="two"), shell("B")))
    await place.passes(3600)

    first, second = await place.begin(), await place.begin()
    assert {first.attempt.string("command"), second.attempt.string("command")} == {"one"}
    await pipe.activate()
    await place.passes(3600)
    said = {}
    while task := await place.poll():
        said[task.attempt_id.partition("_")[0]] = task.attempt.string("command")
    assert said["@A"] == "two"
    assert said["@B"] == "true"


async def test_a_finished_pipeline_takes_a_later_end_and_nothing_else(place: Place) -> None:
    def objects(command: str, occurrences: int) -> list[Object]:
        schedule: Object = {
            "startAt": "FIRST_ACTIVATION_DATE_TIME",
            "occurrences": str(occurrences),
        }
        return every("1 hour", shell("A", command=command), schedule=schedule)

    pipe = await place.pipeline(objects("one", 1))
    await place.work()
    assert await pipe.state() == "FINISHED"
    assert (await pipe.fields())["@finishedTime"] == "2026-01-01T00:00:00"

    with pytest.raises(InvalidRequestException, match="is FINISHED: only endDateTime"):
        await pipe.put(objects("two", 3))
    await pipe.put(objects("one", 3))
    assert await pipe.state() == "FINISHED"
    await pipe.activate()
    await place.passes(3600)
    assert await pipe.state() == "SCHEDULED"
    await place.passes(3600)
    assert len(await place.work()) == 2
    assert await pipe.state() == "FINISHED"


async def test_a_default_object_with_a_worker_group_is_enough(place: Place) -> None:
    pipe = await place.pipeline([{"id": "Default", "workerGroup": "g"}])

    assert await pipe.state() == "FINISHED"  # nothing is to run
    assert await pipe.ids() == []
    assert await pipe.ids("COMPONENT") == ["Default"]


async def test_versions_that_nothing_ran_by_are_forgotten(place: Place) -> None:
    pipe = await place.pipeline(every("1 hour", shell("A", command="0")))
    for number in range(1, 5):
        await pipe.put(every("1 hour", shell("A", command=str(number))))
        await pipe.activate()
        await pipe.put(every("1 hour", shell("A", command=str(number))))
    rows = place.service._store.all("SELECT version FROM definition")
    assert len(rows) == 3  # by which the only instance is, the active and the latest
    assert (await place.take()).attempt.string("command") == "0"


@pytest.mark.parametrize(
    "objects",
    [
        [],
        [{"id": "A", "parent": ref("B")}, {"id": "B", "parent": ref("A")}],
        [{"id": "Default", "parent": ref("Default"), "schedule": ref("Default")}],
        on_demand(shell("A", dependsOn=ref("A"), runsOn=ref("A"), precondition=ref("A"))),
        every("99999999999 years", shell("A")),
        every("-1 days", shell("A", attemptTimeout="soon", maximumRetries="many")),
        on_demand(shell("A", command="#{A.command}", parent=ref("A"))),
        [{"id": "@A_2026-01-01T00:00:00", "type": "Schedule", "period": "x"}],
    ],
)
async def test_the_strangest_definition_is_answered(place: Place, objects: list[Object]) -> None:
    pipe = await place.create()
    answer = await pipe.put(objects)
    if answer.errored or not objects:
        with pytest.raises(InvalidRequestException):
            await pipe.activate()
    for each in await pipe.ids("COMPONENT"):
        assert (await pipe.show(each)).id == each
        evaluated = await place.ask(
            "DescribeObjects", pipelineId=pipe.id, objectIds=[each], evaluateExpressions=True
        )
        assert "pipelineObjects" in evaluated or "InvalidRequestException" in evaluated


async def test_settings_can_be_parameters(place: Place) -> None:
    pipe = await place.create()
    answer = await pipe.put(
        on_demand(shell("A", maximumRetries="#{myTimes}", retryDelay="#{myDelay}")),
        [{"id": "myTimes", "type": "Integer"}, {"id": "myDelay", "type": "String"}],
        {"myTimes": "1", "myDelay": "2 hours"},
    )
    assert not answer.errored
    await pipe.activate()
    await place.fail()
    await place.passes(7199)
    assert await place.poll() is None
    await place.passes(1)
    await place.fail()
    assert await pipe.run() == {"A": "FAILED"}


async def test_many_and_long_definitions_are_checked_one_by_one(place: Place) -> None:
    pipe = await place.create()
    long = [shell(f"A{n}", command="x" * 9000) for n in range(20)]
    assert not (await pipe.put(on_demand(*long))).errored
    for number in range(140):
        answer = await pipe.put(on_demand(shell("A", maximumRetries=f"{number - 1}")))
        assert answer.errored == (number == 0 or number > 6), number


async def test_intervals_that_reach_over_too_many_others_are_refused() -> None:
    async with serving(quotas=AccountQuotas(rollups=24)) as place:
        pipe = await place.create()
        objects = every(
            "1 day",
            shell("A", schedule=ref("H")),
            shell("B", dependsOn=ref("A")),
            {"id": "H", "type": "Schedule", "period": "30 minutes"}
            | {"startAt": "FIRST_ACTIVATION_DATE_TIME"},
        )
        await pipe.put(objects)
        with pytest.raises(InvalidRequestException, match="'B' reaches over 48 of 'A', and 24"):
            await pipe.activate()


async def test_an_object_of_an_unknown_type_is_what_it_is_referred_to_as(place: Place) -> None:
    pipe = await place.pipeline(
        on_demand(
            {"id": "A", "type": "NewActivity", "input": ref("D"), "precondition": ref("P")},
            {"id": "D", "type": "NewDataNode"},
            {"id": "P", "type": "NewPrecondition"},
            {"id": "F", "type": "CSV"},
        )
    )
    assert await pipe.run() == {
        "A": "WAITING_ON_DEPENDENCIES",
        "D": "FINISHED",
        "P": "WAITING_FOR_RUNNER",
    }
    assert await place.work() == [
        "@P_2026-01-01T00:00:00_Attempt=1",
        "@A_2026-01-01T00:00:00_Attempt=1",
    ]


async def test_what_default_says_of_preconditions_and_resources_concerns_the_right_ones(
    place: Place,
) -> None:
    """Every object inherits from Default, also the resource and the precondition themselves."""
    pipe = await place.pipeline(
        on_demand(
            shell("A"),
            asks("P"),
            exists("Q"),
            {"id": "R", "type": "Ec2Resource", "role": "r", "resourceRole": "rr"},
            precondition=[ref("P"), ref("Q")],
            runsOn=ref("R"),
        )
    )
    group = f"{pipe.id}_@R_2026-01-01T00:00:00"
    assert await place.work(group) == [
        "@P_2026-01-01T00:00:00_Attempt=1",
        "@A_2026-01-01T00:00:00_Attempt=1",
    ]
    assert set((await pipe.run()).values()) == {"FINISHED"}
    assert await pipe.state() == "FINISHED"


async def test_an_object_that_was_saved_with_errors_says_what_they_are(place: Place) -> None:
    pipe = await place.create()
    answer = await pipe.put(
        every(
            "1 hour",
            shell("A", dependsOn=ref("Nobody"), retryDelay="#{1 +}"),
            shell("B"),
            schedule={"startDateTime": "soon"},
        )
    )

    told = {each.id: each.errors for each in answer.validation_errors}
    assert set(told) == {"A", "S"}
    for component in ("A", "S", "B"):
        shown = await pipe.show(component)
        assert shown.strings("@error") == told.get(component, ())
    assert told["A"]

    await pipe.put(every("1 hour", shell("A"), shell("B")))
    assert (await pipe.show("A")).strings("@error") == ()


async def test_a_precondition_that_somebody_also_depends_on_holds_nobody_up(place: Place) -> None:
    pipe = await place.pipeline(
        on_demand(
            {"id": "A", "type": "NewActivity", "dependsOn": ref("P")},
            {"id": "B", "type": "NewActivity", "precondition": ref("P")},
            {"id": "P", "type": "NewPrecondition"},
        )
    )
    await place.work()

    assert set((await pipe.run()).values()) == {"FINISHED"}


async def test_an_interval_reaches_over_as_many_others_as_the_quota_allows() -> None:
    async with serving(quotas=AccountQuotas(rollups=1_500)) as place:
        pipe = await place.pipeline(
            [
                {"id": "Default", "scheduleType": "cron", "workerGroup": "g"},
                {"id": "Often", "type": "Schedule", "period": "15 minutes", **_BEGINS},
                {"id": "Seldom", "type": "Schedule", "period": "15 days", **_BEGINS},
                shell("A", schedule=ref("Seldom"), dependsOn=ref("B")),
                shell("B", schedule=ref("Often")),
            ]
        )

        assert len(await pipe.history("B")) == 15 * 24 * 4


async def test_plans_that_are_not_kept_are_made_again(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_world, "_BODIES", 2)
    monkeypatch.setattr(_world, "_PLANS", 2)
    pipes = [
        await place.pipeline(on_demand(shell("A", command=f"echo {number}")), name=f"{number}")
        for number in range(4)
    ]

    for number, pipe in enumerate(pipes):
        assert (await pipe.show(at("A"))).string("command") == f"echo {number}"
