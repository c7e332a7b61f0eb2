"""What people do to a pipeline that runs: pause, cancel, rerun, finish, stop and go on."""

from __future__ import annotations

import pytest

from aiodatapipeline import InvalidRequestException, TaskNotFoundException
from tests.local.service import (
    DAY,
    HOUR,
    MINUTE,
    ONE_TRY,
    Object,
    Place,
    alarm,
    asks,
    at,
    data,
    every,
    exists,
    from_,
    on_demand,
    ref,
    serving,
    shell,
)

# -- pause and resume -----------------------------------------------------------------------------


async def test_a_paused_component_begins_nothing_until_it_is_resumed(place: Place) -> None:
    pipe = await place.pipeline(every("1 hour", shell("A"), shell("B", dependsOn=ref("A"))))
    await pipe.set("pause", "B")  # the reference has a sample in lower case
    assert await pipe.text("B", "@status") == "PAUSED"
    assert await pipe.text("A", "@status") == "SCHEDULED"
    await place.work()
    await place.passes(HOUR)
    assert await place.work() == [at("A", HOUR, attempt=1)]
    assert await pipe.history("B") == ["PAUSED", "PAUSED"]
    await pipe.set("RESUME", "B")

    assert await pipe.text("B", "@status") == "SCHEDULED"
    assert await place.work() == [at("B", attempt=1), at("B", HOUR, attempt=1)]


async def test_what_has_begun_is_not_paused(place: Place) -> None:
    pipe = await place.pipeline(every("1 day", shell("A"), shell("B")))
    task = await place.begin()
    await pipe.set("PAUSE", "A", "B")

    assert not await place.report(task)
    await place.end(task)
    assert len(await place.work()) == 1  # it was ready before


async def test_a_paused_precondition_is_not_asked(place: Place) -> None:
    pipe = await place.pipeline(
        every("1 day", shell("A", dependsOn=ref("X"), precondition=ref("P")), asks("P"), shell("X"))
    )
    await pipe.set("PAUSE", "P")
    assert await place.work() == [at("X", attempt=1)]
    assert await pipe.text(at("P"), "@status") == "PAUSED"
    await pipe.set("RESUME", "P")

    assert await place.work() == [at("P", attempt=1), at("A", attempt=1)]


async def test_what_waits_behind_max_active_instances_can_be_paused(place: Place) -> None:
    pipe = await place.pipeline(every("1 hour", shell("A", maxActiveInstances="1")))
    await place.passes(HOUR)
    await pipe.set("PAUSE", "A")
    assert await place.work() == [at("A", attempt=1)]
    assert await pipe.history("A") == ["FINISHED", "PAUSED"]
    await pipe.set("RESUME", "A")

    assert await place.work() == [at("A", HOUR, attempt=1)]


# -- cancel ---------------------------------------------------------------------------------------


async def test_waiting_work_is_cancelled_at_once(place: Place) -> None:
    pipe = await place.pipeline(every("1 day", shell("A"), shell("B", dependsOn=ref("A"))))
    await pipe.set("TRY_CANCEL", at("A"), at("B"))

    assert await pipe.run() == {"A": "CANCELED", "B": "CANCELED"}
    assert await place.poll() is None
    assert await pipe.text(at("A"), "cancellationReason") == "It was cancelled on request."
    assert await pipe.text(at("A", attempt=1), "@status") == "CANCELED"
    assert (
        await pipe.text(at("A", attempt=1), "cancellationReason") == "It was cancelled on request."
    )


@pytest.mark.parametrize("reported", [True, False], ids=["running", "handed over"])
async def test_who_works_on_what_is_cancelled_is_told_to_stop(place: Place, reported: bool) -> None:
    pipe = await place.pipeline(every("1 day", shell("A")))
    task = await (place.begin() if reported else place.take())
    await pipe.set("try_cancel", at("A"))

    assert await place.report(task)
    assert await place.report(task)
    with pytest.raises(TaskNotFoundException):
        await place.client.set_task_status(task.task_id, "FINISHED")
    assert await pipe.run() == {"A": "CANCELED"}
    await place.passes(DAY - 1)
    assert await place.poll() is None


async def test_what_waits_to_be_tried_again_can_be_cancelled(place: Place) -> None:
    pipe = await place.pipeline(every("1 day", shell("A")))
    await place.fail()
    await pipe.set("TRY_CANCEL", at("A"))
    await place.passes(HOUR)

    assert await place.poll() is None
    assert await pipe.run() == {"A": "CANCELED"}


async def test_a_cancellation_cascades_and_is_no_failure_to_tell_of(place: Place) -> None:
    pipe = await place.pipeline(
        every("1 day", shell("A", onFail=ref("Bad")), shell("B", dependsOn=ref("A")), alarm("Bad"))
    )
    pipe_2 = await place.create("2")
    await pipe_2.put(
        every(
            "1 day",
            shell("A", onFail=ref("Bad")),
            shell("B", dependsOn=ref("A")),
            alarm("Bad"),
            failureAndRerunMode="cascade",
        )
    )
    await pipe_2.activate()
    await pipe.set("TRY_CANCEL", at("A"))
    await pipe_2.set("TRY_CANCEL", at("A"))

    assert await pipe.run() == {"A": "CANCELED", "B": "WAITING_ON_DEPENDENCIES"}
    assert await pipe_2.run() == {"A": "CANCELED", "B": "CASCADE_FAILED"}
    assert place.alarms == []


async def test_cancelling_what_has_ended_changes_nothing(place: Place) -> None:
    pipe = await place.pipeline(every("1 day", shell("A")))
    await place.work()
    await pipe.set("TRY_CANCEL", at("A"))

    assert await pipe.run() == {"A": "FINISHED"}


async def test_cancelling_an_activity_takes_its_precondition_away(place: Place) -> None:
    pipe = await place.pipeline(
        every("1 day", shell("A", precondition=[ref("P"), ref("Q")]), asks("P"), asks("Q"))
    )
    task = await place.begin()
    await pipe.set("TRY_CANCEL", at("A"))

    assert await place.report(task)
    assert await pipe.run() == {"A": "CANCELED", "P": "CANCELED", "Q": "CANCELED"}
    assert await place.poll() is None


# -- rerun ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("ended", ["FINISHED", "FAILED"])
async def test_what_has_ended_can_be_run_again(ended: str) -> None:
    async with serving(ONE_TRY) as place:
        pipe = await place.pipeline(every("1 day", shell("A")))
        await place.work(how=lambda _: ended)
        await place.passes(60)
        await pipe.set("RERUN", at("A"))
        shown = await pipe.show(at("A"))
        assert shown.string("@status") == "WAITING_FOR_RUNNER"
        assert shown.string("@actualStartTime") is None
        assert shown.string("@finishedTime") is None
        assert await place.work() == [at("A", attempt=2)]
        assert await pipe.run() == {"A": "FINISHED"}


async def test_a_rerun_has_all_its_tries_again(place: Place) -> None:
    pipe = await place.pipeline(every("1 day", shell("A")))
    for _ in range(3):
        await place.fail()
        await place.passes(10 * MINUTE)
    await pipe.set("RERUN", at("A"))
    for number in (4, 5, 6):
        assert await place.fail() == at("A", attempt=number)
        await place.passes(10 * MINUTE)

    assert await pipe.run() == {"A": "FAILED"}


async def test_rerunning_what_cascades_reruns_what_failed_with_it() -> None:
    async with serving(ONE_TRY) as place:
        pipe = await place.pipeline(
            every(
                "1 day",
                shell("A", output=ref("D")),
                data("D"),
                shell("B", input=ref("D"), precondition=[ref("P"), ref("Q")]),
                asks("P"),
                exists("Q"),
                shell("C", dependsOn=ref("B")),
                failureAndRerunMode="cascade",
            )
        )
        await place.fail()
        assert set((await pipe.run()).values()) == {"FAILED", "CASCADE_FAILED", "CANCELED"}
        await pipe.set("RERUN", at("A"))
        assert await place.work() == [at(each, attempt=1 + (each == "A")) for each in "APBC"]
        assert set((await pipe.run()).values()) == {"FINISHED"}
        assert (await pipe.show(at("B"))).ref("@cascadeFailedOn") is None


async def test_what_is_behind_in_two_ways_is_rerun_once() -> None:
    async with serving(ONE_TRY) as place:
        pipe = await place.pipeline(
            every(
                "1 day",
                shell("A"),
                shell("B", dependsOn=ref("A")),
                shell("C", dependsOn=ref("A")),
                shell("D", dependsOn=[ref("B"), ref("C")]),
                failureAndRerunMode="cascade",
            )
        )
        await place.fail()
        await pipe.set("RERUN", at("A"), at("D"))
        assert await place.work() == [at(each, attempt=1 + (each == "A")) for each in "ABCD"]


async def test_rerunning_what_does_not_cascade_reruns_it_alone() -> None:
    async with serving(ONE_TRY) as place:
        pipe = await place.pipeline(
            every(
                "1 day",
                shell("A"),
                shell("B", dependsOn=ref("A"), failureAndRerunMode="cascade"),
            )
        )
        await place.fail()
        await pipe.set("RERUN", at("A"))
        await place.work()
        assert await pipe.run() == {"A": "FINISHED", "B": "CASCADE_FAILED"}
        await pipe.set("RERUN", at("B"))
        assert await place.work() == [at("B", attempt=1)]


async def test_rerunning_behind_what_is_still_failed_fails_again() -> None:
    async with serving(ONE_TRY) as place:
        pipe = await place.pipeline(
            every(
                "1 day", shell("A"), shell("B", dependsOn=ref("A")), failureAndRerunMode="cascade"
            )
        )
        await place.fail()
        await pipe.set("RERUN", at("B"))
        assert await pipe.run() == {"A": "FAILED", "B": "CASCADE_FAILED"}
        # Both together, in either order, run both.
        await pipe.set("RERUN", at("B"), at("A"))
        assert await place.work() == [at("A", attempt=2), at("B", attempt=1)]


async def test_only_what_has_ended_can_be_run_again(place: Place) -> None:
    pipe = await place.pipeline(every("1 day", shell("A"), shell("B")))
    await place.work(at_most=1)

    with pytest.raises(InvalidRequestException, match="is WAITING_FOR_RUNNER and cannot be run"):
        await pipe.set("RERUN", at("A"), at("B"))
    assert sorted((await pipe.run()).values()) == ["FINISHED", "WAITING_FOR_RUNNER"]


# -- mark finished --------------------------------------------------------------------------------


async def test_what_is_marked_finished_lets_others_go_on() -> None:
    async with serving(ONE_TRY) as place:
        pipe = await place.pipeline(
            every("1 day", shell("A"), shell("B", dependsOn=ref("A")), shell("C"))
        )
        task = await place.begin()
        assert task.attempt_id == at("A", attempt=1)
        await pipe.set("MARK_FINISHED", at("A"))
        assert await place.report(task)
        assert await place.work() == [at("C", attempt=1), at("B", attempt=1)]
        await pipe.set("mark_finished", at("A"), at("B"))
        assert set((await pipe.run()).values()) == {"FINISHED"}


async def test_a_failure_can_be_marked_finished() -> None:
    async with serving(ONE_TRY) as place:
        pipe = await place.pipeline(every("1 day", shell("A"), shell("B", dependsOn=ref("A"))))
        await place.fail()
        await pipe.set("MARK_FINISHED", at("A"))
        assert await pipe.text("A", "@healthStatus") == "HEALTHY"
        assert await place.work() == [at("B", attempt=1)]


# -- what SetStatus refuses -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "ids", "message"),
    [
        ("FINISH", ["A"], "there is no status 'FINISH' to set"),
        ("PAUSE", ["Nobody"], "has no object 'Nobody'"),
        ("PAUSE", [at("A")], "PAUSE is for components, and '@A_"),
        ("RERUN", ["A"], "RERUN is for instances, and 'A' is none"),
        ("PAUSE", ["A", at("A")], "components and instances cannot be set in one call"),
        ("RERUN", [at("A", attempt=1)], "has no object '@A_"),
    ],
)
async def test_what_cannot_be_set_is_refused(
    place: Place, status: str, ids: list[str], message: str
) -> None:
    pipe = await place.pipeline(every("1 day", shell("A")))

    with pytest.raises(InvalidRequestException, match=message):
        await pipe.set(status, *ids)


async def test_no_status_is_set_in_a_finished_pipeline_or_before_it_runs(place: Place) -> None:
    pipe = await place.pipeline(on_demand(shell("A")), activate=False)
    with pytest.raises(InvalidRequestException, match="has no object 'A'"):
        await pipe.set("PAUSE", "A")
    await pipe.activate()
    await place.work()

    with pytest.raises(InvalidRequestException, match="the pipeline is FINISHED"):
        await pipe.set("RERUN", at("A"))


async def test_setting_nothing_is_allowed(place: Place) -> None:
    pipe = await place.pipeline(every("1 day", shell("A")))

    for status in ("PAUSE", "RERUN"):
        answer = await place.ask("SetStatus", pipelineId=pipe.id, objectIds=[], status=status)
        assert answer == {}


# -- deactivate and go on -------------------------------------------------------------------------


async def test_a_deactivation_cancels_what_runs(place: Place) -> None:
    pipe = await place.pipeline(
        every(
            "1 hour",
            shell("A"),
            shell("B", dependsOn=ref("A")),
            shell("C"),
            failureAndRerunMode="cascade",
        )
    )
    task = await place.begin()
    await pipe.deactivate()
    assert await place.report(task)
    await place.passes(0)

    assert await pipe.state() == "INACTIVE"
    assert (await pipe.fields())["@lastDeactivatedTime"] == "2026-01-01T00:00:00"
    assert await pipe.run() == {"A": "CANCELED", "B": "INACTIVE", "C": "INACTIVE"}
    await place.passes(10 * HOUR)
    assert await place.poll() is None
    assert len(await pipe.ids()) == 3


async def test_a_deactivation_can_wait_for_what_runs(place: Place) -> None:
    pipe = await place.pipeline(every("1 hour", shell("A"), shell("B", dependsOn=ref("A"))))
    task = await place.begin()
    await pipe.deactivate(cancel=False)
    assert await pipe.state() == "DEACTIVATING"
    await place.passes(10 * MINUTE)
    assert not await place.report(task)
    await place.end(task)

    assert await pipe.state() == "INACTIVE"
    assert await pipe.run() == {"A": "FINISHED", "B": "INACTIVE"}


@pytest.mark.parametrize("how", ["fails", "is lost", "is not met", "was never reported"])
async def test_a_deactivation_does_not_wait_for_another_try(place: Place, how: str) -> None:
    pipe = await place.pipeline(every("1 day", shell("A", precondition=ref("P")), asks("P")))
    task = await (place.take() if how == "was never reported" else place.begin())
    await pipe.deactivate(cancel=False)
    assert await pipe.state() == "DEACTIVATING"
    if how == "fails":
        await place.end(task, "FAILED")
    elif how == "is not met":
        await place.end(task, "FALSE")
    else:
        await place.passes(15 * MINUTE)
    assert await pipe.state() == "INACTIVE"
    assert await pipe.run() == {"A": "INACTIVE", "P": "INACTIVE"}
    await pipe.activate()

    assert await place.work() == [at("P", attempt=2), at("A", attempt=1)]


async def test_a_deactivation_does_not_wait_for_what_the_service_asks_itself() -> None:
    there = False
    async with serving(precondition=lambda _: there) as place:
        pipe = await place.pipeline(every("1 day", shell("A", precondition=ref("P")), exists("P")))
        await pipe.deactivate(cancel=False)
        await place.passes(10 * MINUTE)
        assert await pipe.state() == "INACTIVE"
        there = True
        await place.passes(HOUR)
        assert (await pipe.run())["P"] == "INACTIVE"
        await pipe.activate()
        assert await place.work() == [at("A", attempt=1)]


async def test_what_waits_for_another_try_is_kept_for_later(place: Place) -> None:
    pipe = await place.pipeline(every("1 day", shell("A")))
    await place.fail()
    await pipe.deactivate(cancel=False)
    assert await pipe.state() == "INACTIVE"
    await place.passes(HOUR)
    assert await place.poll() is None
    await pipe.activate()

    assert await place.work() == [at("A", attempt=2)]


async def test_a_pipeline_goes_on_where_it_was_stopped(place: Place) -> None:
    pipe = await place.pipeline(every("1 hour", shell("A"), shell("B", dependsOn=ref("A"))))
    await place.work()
    await place.passes(HOUR)
    task = await place.begin()
    await pipe.deactivate()
    assert await place.report(task)
    await place.passes(2 * HOUR)
    await pipe.activate()

    assert (await pipe.fields())["@lastActivationTime"] == "2026-01-01T03:00:00"
    assert (await pipe.fields())["@firstActivationTime"] == "2026-01-01T00:00:00"
    assert await place.work() == [
        at("A", HOUR, attempt=2),
        at("A", 2 * HOUR, attempt=1),
        at("A", 3 * HOUR, attempt=1),
        at("B", HOUR, attempt=1),
        at("B", 2 * HOUR, attempt=1),
        at("B", 3 * HOUR, attempt=1),
    ]


async def test_intervals_that_are_jumped_over_are_skipped(place: Place) -> None:
    pipe = await place.pipeline(every("1 hour", shell("A"), shell("B", dependsOn=ref("A"))))
    await place.work(at_most=1)
    await pipe.deactivate()
    await place.passes(4 * HOUR)
    await pipe.activate(since=3 * HOUR)

    assert await pipe.history("A") == ["FINISHED", *["SKIPPED"] * 2, *["WAITING_FOR_RUNNER"] * 2]
    assert (await pipe.history("B"))[:3] == ["SKIPPED"] * 3
    assert await place.work() == [
        at("A", 3 * HOUR, attempt=1),
        at("A", 4 * HOUR, attempt=1),
        at("B", 3 * HOUR, attempt=1),
        at("B", 4 * HOUR, attempt=1),
    ]


async def test_what_was_cancelled_and_is_jumped_over_stays_cancelled(place: Place) -> None:
    pipe = await place.pipeline(every("1 hour", shell("A")))
    await place.begin()
    await pipe.deactivate()
    await place.passes(HOUR)
    await pipe.activate(since=HOUR)

    assert await pipe.history("A") == ["CANCELED", "WAITING_FOR_RUNNER"]


async def test_the_first_activation_can_jump_over_intervals_too(place: Place) -> None:
    pipe = await place.pipeline(
        every(
            "1 day",
            shell("A", lateAfterTimeout="1 hour", onLateAction=ref("Bad")),
            alarm("Bad"),
            schedule=from_("2025-12-30T00:00:00"),
        ),
        activate=False,
    )
    await pipe.activate(since=0)

    assert await pipe.history("A") == ["SKIPPED", "SKIPPED", "WAITING_FOR_RUNNER"]
    assert place.alarms == []


async def test_nobody_waits_for_what_was_skipped(place: Place) -> None:
    daily: Object = {"id": "D", "type": "Schedule", "period": "1 day"}
    pipe = await place.pipeline(
        every(
            "1 hour",
            shell("A", schedule=ref("D")),
            shell("B", dependsOn=ref("A")),
            {**daily, **from_("2026-01-01T00:00:00")},
            schedule=from_("2026-01-01T00:00:00"),
        ),
        activate=False,
    )
    await place.passes(2 * HOUR)
    await pipe.activate(since=2 * HOUR)

    assert await pipe.history("A") == ["SKIPPED"]
    assert await place.work() == [at("B", 2 * HOUR, attempt=1)]


async def test_what_is_rerun_while_a_pipeline_is_stopped_runs_when_it_goes_on(
    place: Place,
) -> None:
    pipe = await place.pipeline(every("1 day", shell("A"), shell("B")))
    await place.work(at_most=1)
    task = await place.begin()
    await pipe.deactivate(cancel=False)
    await pipe.set("RERUN", at("A"))
    await place.end(task)
    assert await pipe.state() == "INACTIVE"
    assert await place.poll() is None
    await pipe.activate()

    assert await place.work() == [at("A", attempt=2)]


async def test_a_paused_component_is_paused_after_a_deactivation_too(place: Place) -> None:
    pipe = await place.pipeline(every("1 day", shell("A"), shell("B", dependsOn=ref("A"))))
    await pipe.set("PAUSE", "B")
    await pipe.deactivate()
    assert (await pipe.run())["B"] == "INACTIVE"
    await pipe.activate()
    assert (await pipe.run())["B"] == "PAUSED"
    await pipe.set("RESUME", "B")

    assert len(await place.work()) == 2


async def test_what_is_stopped_is_not_late(place: Place) -> None:
    pipe = await place.pipeline(
        every("1 day", shell("A", lateAfterTimeout="1 hour", onLateAction=ref("Bad")), alarm("Bad"))
    )
    await pipe.deactivate()
    await place.passes(2 * HOUR)

    assert place.alarms == []


@pytest.mark.parametrize("state", ["PENDING", "FINISHED", "INACTIVE"])
async def test_only_what_is_scheduled_can_be_deactivated(place: Place, state: str) -> None:
    pipe = await place.pipeline(on_demand(shell("A")), activate=state != "PENDING")
    if state == "FINISHED":
        await place.work()
    elif state == "INACTIVE":
        await pipe.deactivate()
        await place.passes(0)

    with pytest.raises(InvalidRequestException, match=f"is {state}: only one that is SCHEDULED"):
        await pipe.deactivate()


# -- the line behind maxActiveInstances -----------------------------------------------------------


async def test_no_more_instances_than_max_active_instances_are_active(place: Place) -> None:
    pipe = await place.pipeline(
        every("1 hour", shell("A", maxActiveInstances="2"), schedule=from_("2025-12-31T20:00:00"))
    )
    waiting = "WAITING_ON_DEPENDENCIES"
    ready = "WAITING_FOR_RUNNER"
    assert await pipe.history("A") == [ready, ready, waiting, waiting, waiting]
    assert len((await pipe.show("A")).refs("@activeInstances")) == 5
    task = await place.begin()
    assert await pipe.history("A") == ["RUNNING", ready, waiting, waiting, waiting]
    await place.end(task)
    assert await pipe.history("A") == ["FINISHED", ready, ready, waiting, waiting]
    await pipe.set("TRY_CANCEL", (await pipe.ids())[1], (await pipe.ids())[3])
    assert await pipe.history("A") == ["FINISHED", "CANCELED", ready, "CANCELED", ready]
    assert len(await place.work()) == 2


async def test_what_waits_for_a_rerun_on_two_ways_is_run_again_once() -> None:
    async with serving(ONE_TRY) as place:
        pipe = await place.pipeline(
            every(
                "1 day",
                shell("Last", dependsOn=[ref("First"), ref("Middle")]),
                shell("Middle", dependsOn=ref("First")),
                shell("First"),
                failureAndRerunMode="cascade",
            )
        )
        await place.fail()
        assert await pipe.run() == {
            "First": "FAILED",
            "Last": "CASCADE_FAILED",
            "Middle": "CASCADE_FAILED",
        }

        await pipe.set("RERUN", at("First"))
        done = await place.work()

        assert [each.partition("_")[0] for each in done] == ["@First", "@Middle", "@Last"]
        assert set((await pipe.run()).values()) == {"FINISHED"}
