"""Managed resources: created, polled for under a group of their own, and shut down."""

from __future__ import annotations

import pytest

from tests.local.service import (
    DAY,
    HOUR,
    MINUTE,
    ONE_TRY,
    Object,
    Place,
    asks,
    at,
    data,
    every,
    machine,
    on_demand,
    ref,
    serving,
    shell,
)


def group(pipeline_id: str, after: float = 0) -> str:
    return f"{pipeline_id}_{at('R', after)}"


async def test_a_resource_is_created_and_offers_its_work_under_a_group_of_its_own() -> None:
    async with serving(resource_delay=5 * MINUTE) as place:
        pipe = await place.pipeline(
            on_demand(shell("A", runsOn=ref("R"), input=ref("I"), output=ref("O")), machine("R"))
            + [data("I"), data("O")]
        )
        # Source: the list-runs example of the AWS CLI.
        assert await pipe.run() == {
            "R": "CREATING",
            "I": "FINISHED",
            "A": "WAITING_FOR_RUNNER",
            "O": "WAITING_ON_DEPENDENCIES",
        }
        poll = place.polling(group(pipe.id))
        await place.passes(5 * MINUTE - 1)
        assert (await poll) is None
        assert await place.poll("g") is None  # with runsOn, workerGroup is ignored
        poll = place.polling(group(pipe.id))
        await place.passes(1)
        assert poll.done()
        assert await pipe.text(at("R"), "@status") == "RUNNING"
        assert await pipe.text(at("R", attempt=1), "@status") == "RUNNING"
        task = await poll
        assert task is not None
        assert task.attempt.ref("runsOn") == at("R")
        await place.end(task)
        assert set((await pipe.run()).values()) == {"FINISHED"}
        assert await pipe.state() == "FINISHED"
        shown = await pipe.show(at("R"))
        assert (shown.string("@resourceId") or "").startswith("local-")
        assert await pipe.text(at("R", attempt=1), "@status") == "FINISHED"


async def test_a_resource_is_shut_down_when_its_last_user_has_ended(place: Place) -> None:
    pipe = await place.pipeline(
        on_demand(
            shell("A", runsOn=ref("R")),
            shell("B", runsOn=ref("R"), dependsOn=ref("A")),
            shell("C", runsOn=ref("R"), dependsOn=ref("X")),
            shell("X"),
            machine("R"),
        )
    )
    heart: Object = {"taskrunnerId": "r", "workerGroup": group(pipe.id)}

    assert len(await place.work(group(pipe.id))) == 2
    assert (await pipe.run())["R"] == "RUNNING"
    assert await place.ask("ReportTaskRunnerHeartbeat", **heart) == {"terminate": False}
    await place.work()
    assert len(await place.work(group(pipe.id))) == 1
    assert (await pipe.run())["R"] == "FINISHED"
    assert await place.ask("ReportTaskRunnerHeartbeat", **heart) == {"terminate": True}


async def test_a_heartbeat_ends_the_runners_of_a_pipeline_that_is_gone(place: Place) -> None:
    pipe = await place.pipeline(on_demand(shell("A", runsOn=ref("R")), machine("R")))
    await place.client.delete_pipeline(pipe.id)
    await place.passes(0)

    answer = await place.ask(
        "ReportTaskRunnerHeartbeat", taskrunnerId="r", workerGroup=group(pipe.id)
    )
    assert answer == {"terminate": True}


async def test_a_resource_that_nobody_uses_is_not_created(place: Place) -> None:
    pipe = await place.pipeline(on_demand(shell("A"), machine("R")))

    assert await pipe.run() == {"A": "WAITING_FOR_RUNNER"}


async def test_a_resource_is_there_from_the_start_of_an_interval_that_runs_at_its_end(
    place: Place,
) -> None:
    pipe = await place.pipeline(
        every("1 hour", shell("A", runsOn=ref("R")), machine("R"), scheduleType="timeseries")
    )
    assert await pipe.run() == {"A": "WAITING_ON_DEPENDENCIES", "R": "RUNNING"}
    assert await place.poll(group(pipe.id)) is None
    await place.passes(HOUR)
    assert await place.work(group(pipe.id)) == [at("A", attempt=1)]
    assert (await pipe.instances("R")) == {at("R"): "FINISHED", at("R", HOUR): "RUNNING"}


async def test_a_daily_resource_serves_the_hours_of_its_day(place: Place) -> None:
    daily: Object = {"id": "D", "type": "Schedule", "period": "1 day"} | {
        "startAt": "FIRST_ACTIVATION_DATE_TIME"
    }
    pipe = await place.pipeline(
        every("6 hours", shell("A", runsOn=ref("R")), machine("R", schedule=ref("D")), daily)
    )
    for hour in (0, 6, 12, 18):
        await place.until(hour * HOUR)
        assert (await pipe.instances("R"))[at("R")] == "RUNNING"
        assert await place.work(group(pipe.id)) == [at("A", hour * HOUR, attempt=1)]
    assert await pipe.instances("R") == {at("R"): "FINISHED"}
    await place.until(DAY)
    assert await place.work(group(pipe.id, DAY)) == [at("A", DAY, attempt=1)]


async def test_a_resource_that_lives_too_long_is_terminated_with_what_runs_there() -> None:
    async with serving(resource_delay=MINUTE) as place:
        pipe = await place.pipeline(
            on_demand(
                shell("A", runsOn=ref("R")),
                shell("B", runsOn=ref("R"), dependsOn=ref("A")),
                shell("C", dependsOn=ref("A")),
                data("D"),
                machine("R", terminateAfter="2 hours", maximumRetries="5"),
                failureAndRerunMode="cascade",
            )
        )
        await place.passes(MINUTE)
        task = await place.begin(group(pipe.id))
        for _ in range(12):
            await place.passes(10 * MINUTE)
            canceled = await place.report(task)
        assert canceled
        assert await pipe.run() == {
            "A": "CANCELED",
            "B": "CANCELED",
            "C": "CASCADE_FAILED",
            "D": "FINISHED",
            "R": "TIMEDOUT",
        }
        shown = await pipe.show(at("R"))
        assert "terminateAfter" in (shown.string("@failureReason") or "")
        canceled_by = (await pipe.show(at("A"))).string("cancellationReason")
        assert canceled_by == f"Its resource {at('R')} failed."
        assert await pipe.state() == "FINISHED"


async def test_a_resource_can_time_out_while_it_is_created() -> None:
    async with serving(resource_delay=2 * HOUR) as place:
        pipe = await place.pipeline(
            on_demand(shell("A", runsOn=ref("R")), machine("R", terminateAfter="1 hour"))
        )
        await place.passes(3 * HOUR)
        assert await pipe.run() == {"A": "CANCELED", "R": "TIMEDOUT"}


async def test_a_resource_whose_users_failed_before_it_was_needed_is_finished() -> None:
    async with serving(ONE_TRY) as place:
        pipe = await place.pipeline(
            every(
                "1 hour",
                shell("X"),
                shell("A", runsOn=ref("R"), dependsOn=ref("X")),
                machine("R", maxActiveInstances="1"),
                failureAndRerunMode="cascade",
            )
        )
        await place.passes(HOUR)
        assert await pipe.history("R") == ["RUNNING", "WAITING_ON_DEPENDENCIES"]
        await place.work(at_most=1)
        await place.fail()
        assert await pipe.history("A") == ["WAITING_FOR_RUNNER", "CASCADE_FAILED"]
        assert await pipe.history("R") == ["RUNNING", "FINISHED"]
        assert await pipe.ids("ATTEMPT") == [
            at("A", attempt=1),
            at("R", attempt=1),
            at("X", attempt=1),
            at("X", HOUR, attempt=1),
        ]


async def test_a_rerun_activity_gets_its_resource_again(place: Place) -> None:
    pipe = await place.pipeline(
        every("1 day", shell("A", runsOn=ref("R"), precondition=ref("P")), machine("R"), asks("P"))
    )
    await place.work(group(pipe.id))
    assert (await pipe.run())["R"] == "FINISHED"
    await pipe.set("RERUN", at("A"))

    assert await pipe.run() == {"A": "WAITING_FOR_RUNNER", "P": "FINISHED", "R": "RUNNING"}
    assert await place.work(group(pipe.id)) == [at("A", attempt=2)]
    assert (await pipe.run())["R"] == "FINISHED"
    assert await pipe.text(at("R"), "@attemptCount") == "2"


async def test_a_resource_that_is_rerun_without_users_shuts_down_again(place: Place) -> None:
    pipe = await place.pipeline(every("1 day", shell("A", runsOn=ref("R")), machine("R")))
    await place.work(group(pipe.id))
    await pipe.set("RERUN", at("R"))

    assert await pipe.run() == {"A": "FINISHED", "R": "FINISHED"}


async def test_cancelling_a_resource_cancels_what_runs_there(place: Place) -> None:
    pipe = await place.pipeline(every("1 day", shell("A", runsOn=ref("R")), machine("R")))
    task = await place.begin(group(pipe.id))
    await pipe.set("TRY_CANCEL", at("R"))

    assert await place.report(task)
    assert await pipe.run() == {"A": "CANCELED", "R": "CANCELED"}


@pytest.mark.parametrize("cancel", [True, False])
async def test_a_deactivation_does_not_wait_for_resources_that_nobody_uses(cancel: bool) -> None:
    async with serving(resource_delay=HOUR) as place:
        pipe = await place.pipeline(every("1 day", shell("A", runsOn=ref("R")), machine("R")))
        await pipe.deactivate(cancel=cancel)
        await place.passes(2 * HOUR)
        assert await pipe.state() == "INACTIVE"
        assert await pipe.run() == {"A": "INACTIVE", "R": "CANCELED"}
        await pipe.activate()
        await place.passes(HOUR)
        assert await place.work(group(pipe.id)) == [at("A", attempt=2)]
        assert await pipe.run() == {"A": "FINISHED", "R": "FINISHED"}
