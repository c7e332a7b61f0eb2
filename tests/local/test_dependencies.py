"""What waits for what: activities, data nodes and preconditions."""

from __future__ import annotations

import pytest

from aiodatapipeline import InvalidRequestException
from aiodatapipeline.models import PipelineObject, TaskObject
from tests.local.service import (
    HOUR,
    MINUTE,
    ONE_TRY,
    Object,
    Place,
    asks,
    at,
    data,
    every,
    exists,
    machine,
    on_demand,
    ref,
    serving,
    shell,
)


def names(attempts: list[str]) -> list[str]:
    return [each[1:].partition("_")[0] for each in attempts]


async def test_what_depends_on_nothing_runs_at_once(place: Place) -> None:
    pipe = await place.pipeline(on_demand(shell("A"), shell("B")))

    assert await pipe.run() == {"A": "WAITING_FOR_RUNNER", "B": "WAITING_FOR_RUNNER"}


async def test_an_activity_waits_for_all_that_it_depends_on(place: Place) -> None:
    pipe = await place.pipeline(
        on_demand(shell("C", dependsOn=[ref("A"), ref("B")]), shell("A"), shell("B"))
    )
    assert await pipe.run() == {
        "A": "WAITING_FOR_RUNNER",
        "B": "WAITING_FOR_RUNNER",
        "C": "WAITING_ON_DEPENDENCIES",
    }
    assert set((await pipe.show(at("C"))).refs("@waitingOn")) == {at("A"), at("B")}
    assert set((await pipe.show(at("C"))).refs("dependsOn")) == {at("A"), at("B")}
    first, second = await place.begin(), await place.begin()
    await place.end(first)
    assert (await pipe.show(at("C"))).refs("@waitingOn") == (at("B"),)
    assert await place.poll() is None
    await place.end(second)

    assert names(await place.work()) == ["C"]
    assert (await pipe.show(at("C"))).refs("@waitingOn") == ()


async def test_data_leads_from_the_one_who_writes_it_to_the_one_who_reads_it(
    place: Place,
) -> None:
    pipe = await place.pipeline(
        on_demand(
            shell("Read", input=ref("Middle"), output=ref("Last")),
            shell("Write", input=ref("First"), output=ref("Middle")),
            data("First"),
            data("Middle"),
            data("Last"),
        )
    )
    assert await pipe.run() == {
        "First": "FINISHED",
        "Write": "WAITING_FOR_RUNNER",
        "Middle": "WAITING_ON_DEPENDENCIES",
        "Read": "WAITING_ON_DEPENDENCIES",
        "Last": "WAITING_ON_DEPENDENCIES",
    }
    assert (await pipe.show(at("Write"))).ref("output") == at("Middle")
    assert names(await place.work(at_most=1)) == ["Write"]
    assert (await pipe.run())["Middle"] == "FINISHED"
    assert names(await place.work()) == ["Read"]
    assert set((await pipe.run()).values()) == {"FINISHED"}


async def test_a_long_chain_runs_to_its_end(place: Place) -> None:
    chain = [shell(f"A{n}", dependsOn=ref(f"A{n - 1}")) for n in range(1, 60)]
    await place.pipeline(on_demand(shell("A0"), *chain))

    assert names(await place.work()) == [f"A{n}" for n in range(60)]


# -- preconditions that runners evaluate -------------------------------------------------------------


async def test_a_precondition_is_a_task_of_the_worker_group_of_its_activity(
    place: Place,
) -> None:
    pipe = await place.pipeline(
        on_demand(shell("A", precondition=ref("P"), workerGroup="h"), asks("P", command="test"))
    )
    assert await pipe.run() == {"A": "WAITING_ON_DEPENDENCIES", "P": "WAITING_FOR_RUNNER"}
    assert await place.poll("g") is None  # which is Default's
    task = await place.begin("h")
    assert task.attempt.string("command") == "test"
    assert task.attempt.ref("node") == at("A")
    assert (await pipe.show(at("A"))).ref("precondition") == at("P")
    await place.end(task)

    assert names(await place.work("h")) == ["A"]


async def test_preconditions_are_asked_only_when_nothing_else_is_waited_for(
    place: Place,
) -> None:
    pipe = await place.pipeline(
        on_demand(shell("B", dependsOn=ref("A"), precondition=ref("P")), shell("A"), asks("P"))
    )
    assert (await pipe.run())["P"] == "WAITING_ON_DEPENDENCIES"

    assert names(await place.work()) == ["A", "P", "B"]


async def test_a_precondition_that_is_not_met_is_asked_again(place: Place) -> None:
    pipe = await place.pipeline(
        on_demand(shell("A", precondition=ref("P")), asks("P", retryDelay="5 minutes"))
    )
    for _ in range(5):  # more often than it would be tried if it failed
        task = await place.begin()
        await place.end(task, "FALSE")
        assert (await pipe.run())["P"] == "WAITING_FOR_RUNNER"
        assert (await pipe.show(task.attempt_id)).string("attemptStatus") == "FALSE"
        await place.passes(5 * MINUTE - 1)
        assert await place.poll() is None
        await place.passes(1)
    assert names(await place.work()) == ["P", "A"]
    assert await pipe.text(at("P"), "@attemptCount") == "6"


async def test_a_precondition_that_is_not_met_in_its_time_fails(place: Place) -> None:
    pipe = await place.pipeline(
        on_demand(
            shell("A", precondition=ref("P")),
            asks("P", retryDelay="10 minutes", preconditionTimeout="1 hour"),
        )
    )
    asked = 0
    while task := await place.poll():
        await place.end(task, "FALSE")
        asked += 1
        await place.passes(10 * MINUTE)

    assert asked == 7
    assert await pipe.run() == {"A": "WAITING_ON_DEPENDENCIES", "P": "FAILED"}


async def test_a_precondition_that_fails_is_tried_like_an_activity(place: Place) -> None:
    pipe = await place.pipeline(
        on_demand(shell("A", precondition=ref("P")), asks("P", maximumRetries="1"))
    )
    await place.fail()
    await place.passes(10 * MINUTE)
    await place.fail()

    assert await pipe.run() == {"A": "WAITING_ON_DEPENDENCIES", "P": "FAILED"}


async def test_only_a_precondition_can_be_false(place: Place) -> None:
    await place.pipeline(on_demand(shell("A")))
    task = await place.begin()

    with pytest.raises(InvalidRequestException, match="'A' is none: report FINISHED or FAILED"):
        await place.end(task, "FALSE")
    await place.end(task)


async def test_a_data_node_waits_for_its_preconditions(place: Place) -> None:
    pipe = await place.pipeline(
        on_demand(shell("A", input=ref("D"), workerGroup="h"), data("D", precondition=ref("P")))
        + [asks("P")]
    )
    assert await pipe.run() == {
        "A": "WAITING_ON_DEPENDENCIES",
        "D": "WAITING_ON_DEPENDENCIES",
        "P": "WAITING_FOR_RUNNER",
    }

    assert names(await place.work("h")) == ["P", "A"]


async def test_an_output_with_a_precondition_is_asked_about_when_it_is_written(
    place: Place,
) -> None:
    pipe = await place.pipeline(
        on_demand(shell("A", output=ref("D"), workerGroup="h"), data("D", precondition=ref("P")))
        + [asks("P")]
    )
    assert (await pipe.run())["P"] == "WAITING_ON_DEPENDENCIES"
    assert names(await place.work("h")) == ["A", "P"]
    assert (await pipe.run())["D"] == "FINISHED"


async def test_a_data_node_of_nobody_asks_in_its_own_worker_group(place: Place) -> None:
    await place.pipeline(on_demand(data("D", precondition=ref("P"), workerGroup="d"), asks("P")))

    assert names(await place.work("d")) == ["P"]


async def test_a_precondition_of_several_is_asked_for_each(place: Place) -> None:
    pipe = await place.pipeline(
        on_demand(
            shell("A", precondition=ref("P")),
            shell("B", precondition=ref("P")),
            asks("P", command="#{node.@id} #{node.myFile}"),
            myFile="f",
        )
    )
    first, second = await place.begin(), await place.begin()
    assert {first.attempt.string("command"), second.attempt.string("command")} == {
        f"{at('A')} f",
        f"{at('B')} f",
    }
    assert {first.attempt_id, second.attempt_id} == {
        at("P@A", attempt=1),
        at("P@B", attempt=1),
    }
    assert (await pipe.show(at("A"))).ref("precondition") == at("P@A")
    await place.end(first, "FALSE")
    await place.end(second)
    other = (second.attempt.ref("node") or "")[1]
    assert names(await place.work()) == [other]


async def test_all_preconditions_must_be_met(place: Place) -> None:
    pipe = await place.pipeline(
        on_demand(shell("A", precondition=[ref("P"), ref("Q"), ref("R")]), asks("P"), asks("Q"))
        + [exists("R")]
    )

    def how(task: TaskObject) -> str:
        return "FALSE" if "@Q" in task.attempt_id and place.now < HOUR else "FINISHED"

    assert names(await place.work(how=how)) == ["P", "Q"]
    assert (await pipe.show(at("A"))).refs("@waitingOn") == (at("Q"),)
    await place.passes(HOUR)
    assert names(await place.work(how=how)) == ["Q", "A"]


async def test_preconditions_of_a_schedule_are_asked_for_every_interval(place: Place) -> None:
    await place.pipeline(every("1 hour", shell("A", precondition=ref("P")), asks("P")))

    assert await place.work() == [at("P", attempt=1), at("A", attempt=1)]
    await place.passes(HOUR)
    assert await place.work() == [at("P", HOUR, attempt=1), at("A", HOUR, attempt=1)]


@pytest.mark.parametrize("guarded", ["activity", "input", "output"])
async def test_a_precondition_of_what_runs_on_a_resource_is_asked_there(
    place: Place, guarded: str
) -> None:
    fields: dict[str, Object] = {
        "activity": {"precondition": ref("P")},
        "input": {"input": ref("D")},
        "output": {"output": ref("D")},
    }
    node = data("D", **({} if guarded == "activity" else {"precondition": ref("P")}))
    pipe = await place.pipeline(
        on_demand(shell("A", runsOn=ref("R"), **fields[guarded]), node, asks("P"), machine("R"))
    )
    group = f"{pipe.id}_{at('R')}"
    assert await place.poll() is None

    assert sorted(names(await place.work(group))) == ["A", "P"]
    assert set((await pipe.run()).values()) == {"FINISHED"}
    assert await pipe.state() == "FINISHED"


# -- preconditions that the service evaluates --------------------------------------------------------


async def test_system_managed_preconditions_are_met_unless_somebody_says_otherwise(
    place: Place,
) -> None:
    pipe = await place.pipeline(on_demand(shell("A", precondition=ref("P")), exists("P")))

    assert await pipe.run() == {"A": "WAITING_FOR_RUNNER", "P": "FINISHED"}


async def test_a_hook_decides_and_is_asked_again() -> None:
    asked: list[PipelineObject] = []
    there = False

    def precondition(shown: PipelineObject) -> bool:
        asked.append(shown)
        return there

    async with serving(precondition=precondition) as place:
        pipe = await place.pipeline(
            every(
                "1 day",
                shell("A", input=ref("D")),
                data("D", precondition=ref("P"), directoryPath="s3://b/x"),
                exists("P", s3Key="#{node.directoryPath}/#{day(@scheduledStartTime)}"),
                retryDelay="10 minutes",
            )
        )
        assert asked[0].id == at("P")
        assert asked[0].string("s3Key") == "s3://b/x/1"
        assert (await pipe.instances("P"))[at("P")] == "RUNNING"
        await place.passes(HOUR)
        assert len(asked) == 7
        assert await place.poll() is None
        there = True
        await place.passes(10 * MINUTE)
        assert names(await place.work()) == ["A"]
        assert await pipe.text(at("P"), "@attemptCount") == "8"


async def test_a_hook_that_says_no_for_too_long_fails_the_precondition() -> None:
    async with serving(precondition=lambda _: False) as place:
        pipe = await place.pipeline(
            on_demand(shell("A", precondition=ref("P")), exists("P", preconditionTimeout="1 hour"))
        )
        await place.passes(50 * MINUTE)
        assert (await pipe.run())["P"] == "RUNNING"
        await place.passes(10 * MINUTE)
        assert await pipe.run() == {"A": "WAITING_ON_DEPENDENCIES", "P": "FAILED"}


async def test_a_hook_that_breaks_is_a_no(caplog: pytest.LogCaptureFixture) -> None:
    def precondition(shown: PipelineObject) -> bool:
        raise ZeroDivisionError

    async with serving(precondition=precondition) as place:
        pipe = await place.pipeline(on_demand(shell("A", precondition=ref("P")), exists("P")))
        assert (await pipe.run())["P"] == "RUNNING"
    assert "the precondition hook failed for @P_" in caplog.text


async def test_a_failed_precondition_can_be_asked_again_by_hand() -> None:
    async with serving(ONE_TRY) as place:
        pipe = await place.pipeline(every("1 day", shell("A", precondition=ref("P")), asks("P")))
        await place.fail()
        await pipe.set("RERUN", at("P"))

        assert names(await place.work()) == ["P", "A"]
