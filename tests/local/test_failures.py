"""Failures: tried again, given up, passed on, and told to people."""

from __future__ import annotations

import pytest

from aiodatapipeline.local._engine._world import Alarm
from aiodatapipeline.local._switches import Switches
from tests.local.service import (
    DAY,
    HOUR,
    MINUTE,
    ONE_TRY,
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

# -- tried again ----------------------------------------------------------------------------------


async def test_a_failed_attempt_is_followed_by_two_more_and_then_the_instance_fails(
    place: Place,
) -> None:
    pipe = await place.pipeline(on_demand(shell("A")))
    for number in (1, 2, 3):
        shown = await pipe.show(at("A"))
        assert shown.string("@status") == "WAITING_FOR_RUNNER"
        assert shown.string("@attemptCount") == str(number)
        assert shown.string("@triesLeft") == str(3 - number)
        assert await place.fail() == at("A", attempt=number)
        await place.passes(10 * MINUTE - 1)
        assert await place.poll() is None
        await place.passes(1)

    assert await pipe.run() == {"A": "FAILED"}
    assert await place.poll() is None
    assert await pipe.ids("ATTEMPT") == [at("A", attempt=n) for n in (1, 2, 3)]
    assert (await pipe.show(at("A"))).ref("@headAttempt") == at("A", attempt=3)
    assert await pipe.state() == "FINISHED"


async def test_an_object_says_how_often_and_when_it_is_tried_again(place: Place) -> None:
    pipe = await place.pipeline(on_demand(shell("A", maximumRetries="1", retryDelay="3 hours")))
    await place.fail()
    await place.passes(3 * HOUR - 1)
    assert await place.poll() is None
    await place.passes(1)
    await place.fail()

    assert await pipe.run() == {"A": "FAILED"}


async def test_success_after_a_failure_is_success(place: Place) -> None:
    pipe = await place.pipeline(on_demand(shell("A"), shell("B", dependsOn=ref("A"))))
    await place.fail()
    await place.passes(10 * MINUTE)

    assert await place.work() == [at("A", attempt=2), at("B", attempt=1)]
    assert await pipe.run() == {"A": "FINISHED", "B": "FINISHED"}
    assert await pipe.text(at("A", attempt=1), "@status") == "FAILED"


async def test_an_attempt_says_what_went_wrong(place: Place) -> None:
    pipe = await place.pipeline(on_demand(shell("A")))
    task = await place.begin()
    await place.passes(5)
    await place.client.set_task_status(
        task.task_id,
        "FAILED",
        error_id="Err",
        error_message="broken",
        error_stack_trace="line\n" * 400,
    )

    shown = await pipe.show(task.attempt_id)
    assert shown.string("errorId") == "Err"
    assert shown.string("errorMessage") == "broken"
    assert shown.string("errorStackTrace") == ("line\n" * 400)[:1024]
    assert shown.string("attemptStatus") == "FAILED"
    assert shown.string("@actualEndTime") == shown.string("@finishedTime") == clock_time(5)


async def test_reserved_error_ids_are_refused(place: Place) -> None:
    await place.pipeline(on_demand(shell("A")))
    task = await place.begin()
    answer = await place.ask(
        "SetTaskStatus", taskId=task.task_id, taskStatus="FAILED", errorId="Service_X"
    )

    assert "Service_" in answer
    assert not await place.report(task)


# -- time limits ----------------------------------------------------------------------------------


async def test_an_attempt_that_takes_too_long_is_cancelled_and_tried_again(place: Place) -> None:
    pipe = await place.pipeline(
        [
            *on_demand(
                shell("A", attemptTimeout="1 hour", maximumRetries="1", onFail=ref("Alarm"))
            ),
            alarm("Alarm"),
        ]
    )
    await place.passes(DAY)  # waiting for a runner is no work
    for number in (1, 2):
        task = await place.begin()
        canceled = False
        for _ in range(5):
            await place.passes(12 * MINUTE)
            canceled = await place.report(task)
        assert canceled
        assert await pipe.text(at("A", attempt=number), "@status") == "TIMEDOUT"
        await place.passes(10 * MINUTE)

    assert await pipe.run() == {"A": "FAILED", "Alarm@A": "FINISHED"}
    assert len(place.alarms) == 1


async def test_an_attempt_that_ends_in_time_has_no_time_limit_any_more(place: Place) -> None:
    pipe = await place.pipeline(on_demand(shell("A", attemptTimeout="1 hour")))
    await place.work()
    await place.passes(DAY)

    assert await pipe.run() == {"A": "FINISHED"}


async def test_who_gets_a_lost_task_has_all_the_time_again(place: Place) -> None:
    await place.pipeline(on_demand(shell("A", attemptTimeout="20 minutes")))
    await place.begin()
    await place.passes(15 * MINUTE)
    task = await place.begin()
    await place.passes(14 * MINUTE)
    assert not await place.report(task)
    await place.passes(6 * MINUTE)
    assert await place.report(task)


async def test_what_is_late_is_told_once(place: Place) -> None:
    pipe = await place.pipeline(
        every(
            "1 day",
            shell("A", lateAfterTimeout="1 hour", onLateAction=ref("Alarm")),
            shell("B", lateAfterTimeout="1 hour", onLateAction=ref("Alarm")),
            shell("C", dependsOn=ref("A"), lateAfterTimeout="2 hours", onLateAction=ref("Alarm")),
            alarm("Alarm", subject="late", message="#{node.@id} is #{node.@status}"),
        )
    )
    task = await place.begin()
    assert task.attempt_id == at("A", attempt=1)
    await place.work()
    for _ in range(10):
        await place.passes(14 * MINUTE)
        await place.report(task)

    assert [each.action.string("message") for each in place.alarms] == [
        f"{at('A')} is RUNNING",
        f"{at('C')} is WAITING_ON_DEPENDENCIES",
    ]
    assert await pipe.text(at("A"), "@status") == "RUNNING"


async def test_what_is_late_can_be_terminated(place: Place) -> None:
    pipe = await place.pipeline(
        every(
            "1 day",
            shell("A", lateAfterTimeout="1 hour", onLateAction=ref("Stop")),
            {"id": "Stop", "type": "Terminate"},
        )
    )
    task = await place.begin()
    canceled = False
    for _ in range(6):
        await place.passes(10 * MINUTE)
        canceled = await place.report(task)

    assert canceled
    shown = await pipe.show(at("A"))
    assert shown.string("@status") == "CANCELED"
    assert shown.string("cancellationReason") == "Terminated by Stop."
    assert place.alarms == []


# -- alarms ---------------------------------------------------------------------------------------


async def test_alarms_are_told_with_their_text_evaluated(place: Place) -> None:
    pipe = await place.pipeline(
        on_demand(
            shell("A", onSuccess=ref("Good"), onFail=ref("Bad"), myTable="t"),
            shell("B", onSuccess=ref("Good"), onFail=[ref("Bad"), ref("Bad2")], maximumRetries="0"),
            alarm("Good", message="#{node.@componentParent} of #{node.myTable}", myTable="none"),
            alarm("Bad", subject="#{node.errorId}: #{node.errorMessage} #{node.hostname}"),
            alarm(
                "Bad2",
                subject="#{format(@scheduledStartTime, 'YYYY')}",
                message="#{node.input.@id}",
            ),
            myTable="t",
        )
    )
    await place.work(how=lambda task: "FAILED" if "@B" in task.attempt_id else "FINISHED")

    good, bad, second = place.alarms
    assert good.pipeline_id == pipe.id
    assert good.node == at("A")
    assert good.time == clock_time(0)
    assert good.action.string("message") == "A of t"
    assert bad.node == second.node == at("B")
    assert bad.action.string("subject") == ":  host"
    assert second.action.string("subject") == "2026"
    assert second.action.string("message") == "#{node.input.@id}"  # what has no value stays
    # They are kept, and shown as instances.
    assert place.service.alarms() == place.alarms
    shown = await pipe.show(at("Good@A"))
    assert shown.string("@status") == "FINISHED"
    assert shown.ref("node") == at("A")
    assert shown.ref("@componentParent") == "Good"


async def test_an_alarm_says_what_the_runner_said(place: Place) -> None:
    await place.pipeline(
        on_demand(
            shell("A", onFail=ref("Bad"), maximumRetries="0"),
            alarm("Bad", message="#{node.errorId}: #{node.errorMessage}"),
        )
    )
    await place.fail()

    assert [each.action.string("message") for each in place.alarms] == ["E: broken"]


async def test_only_the_last_failure_is_told(place: Place) -> None:
    await place.pipeline(on_demand(shell("A", onFail=ref("Bad")), alarm("Bad")))
    for _ in range(3):
        assert place.alarms == []
        await place.fail()
        await place.passes(10 * MINUTE)

    assert len(place.alarms) == 1


async def test_an_alarm_hook_that_breaks_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def broken(_: Alarm) -> None:
        raise ZeroDivisionError

    async with serving(on_alarm=broken) as place:
        pipe = await place.pipeline(on_demand(shell("A", onSuccess=ref("Good")), alarm("Good")))
        await place.work()
        assert await pipe.run() == {"A": "FINISHED", "Good@A": "FINISHED"}
        assert len(place.service.alarms()) == 1
    assert "the alarm hook failed for Good" in caplog.text


async def test_terminating_what_has_ended_does_nothing(place: Place) -> None:
    pipe = await place.pipeline(
        on_demand(
            shell("A", onFail=ref("Stop"), maximumRetries="0"), {"id": "Stop", "type": "Terminate"}
        )
    )
    await place.fail()

    assert await pipe.run() == {"A": "FAILED", "Stop@A": "FINISHED"}
    assert place.alarms == []


async def test_an_action_that_happens_twice_is_one_instance_with_two_attempts() -> None:
    async with serving(ONE_TRY) as place:
        pipe = await place.pipeline(every("1 day", shell("A", onFail=ref("Bad")), alarm("Bad")))
        await place.fail()
        await pipe.set("RERUN", at("A"))
        await place.fail()
        assert len(place.alarms) == 2
        assert await pipe.text(at("Bad@A"), "@attemptCount") == "2"


# -- passed on ------------------------------------------------------------------------------------


async def test_without_cascade_whoever_waits_goes_on_waiting() -> None:
    async with serving(ONE_TRY) as place:
        pipe = await place.pipeline(
            on_demand(
                shell("A", output=ref("D")),
                data("D"),
                shell("B", input=ref("D")),
                shell("C", dependsOn=ref("B")),
                failureAndRerunMode="none",
            )
        )
        await place.fail()
        await place.passes(10 * DAY)
        assert await pipe.run() == {
            "A": "FAILED",
            "B": "WAITING_ON_DEPENDENCIES",
            "C": "WAITING_ON_DEPENDENCIES",
            "D": "WAITING_ON_DEPENDENCIES",
        }
        assert await pipe.state() == "SCHEDULED"


async def test_with_cascade_everything_behind_a_failure_fails_with_it() -> None:
    async with serving(ONE_TRY) as place:
        pipe = await place.pipeline(
            on_demand(
                shell("A", output=ref("D")),
                data("D"),
                shell("B", input=ref("D"), precondition=ref("P")),
                asks("P"),
                shell("C", dependsOn=ref("B")),
                shell("Other"),
                failureAndRerunMode="cascade",
            )
        )
        await place.fail()
        assert await pipe.run() == {
            "A": "FAILED",
            "B": "CASCADE_FAILED",
            "C": "CASCADE_FAILED",
            "D": "CASCADE_FAILED",
            "P": "CANCELED",
            "Other": "WAITING_FOR_RUNNER",
        }
        for each in "BCD":
            assert (await pipe.show(at(each))).refs("@cascadeFailedOn") == (at("A"),)
        await place.work()
        assert await pipe.state() == "FINISHED"


@pytest.mark.parametrize(("mode", "then"), [("cascade", "CASCADE_FAILED"), ("none", None)])
async def test_each_object_decides_whether_it_fails_with_others(
    mode: str, then: str | None
) -> None:
    async with serving(ONE_TRY) as place:
        pipe = await place.pipeline(
            on_demand(shell("A"), shell("B", dependsOn=ref("A"), failureAndRerunMode=mode))
        )
        await place.fail()
        assert (await pipe.run())["B"] == (then or "WAITING_ON_DEPENDENCIES")


async def test_the_output_of_what_cascades_fails_with_it() -> None:
    async with serving(ONE_TRY) as place:
        pipe = await place.pipeline(
            on_demand(
                shell("A", output=ref("D"), failureAndRerunMode="cascade"),
                data("D"),
                shell("B", input=ref("D")),
            )
        )
        await place.fail()
        assert await pipe.run() == {
            "A": "FAILED",
            "B": "WAITING_ON_DEPENDENCIES",
            "D": "CASCADE_FAILED",
        }


async def test_a_failed_precondition_fails_what_it_guards() -> None:
    async with serving(ONE_TRY) as place:
        pipe = await place.pipeline(
            on_demand(
                shell("A", precondition=[ref("P"), ref("Q")], input=ref("D")),
                data("D", precondition=ref("R")),
                asks("P"),
                asks("Q"),
                asks("R"),
                shell("B", dependsOn=ref("A")),
                failureAndRerunMode="cascade",
            )
        )
        await place.work(at_most=1)  # the data is there
        await place.fail()  # P
        assert await pipe.run() == {
            "A": "CASCADE_FAILED",
            "B": "CASCADE_FAILED",
            "D": "FINISHED",
            "P": "FAILED",
            "Q": "CANCELED",
            "R": "FINISHED",
        }
        assert await place.poll() is None


async def test_what_comes_into_being_after_a_failure_fails_with_it_too() -> None:
    async with serving(ONE_TRY) as place:
        daily = {"id": "D", "type": "Schedule", "period": "1 day"} | {
            "startAt": "FIRST_ACTIVATION_DATE_TIME"
        }
        pipe = await place.pipeline(
            every(
                "1 hour",
                shell("A", schedule=ref("D"), workerGroup="a"),
                shell("B", dependsOn=ref("A")),
                daily,
                failureAndRerunMode="cascade",
            )
        )
        await place.fail("a")
        await place.passes(2 * HOUR)
        assert await pipe.history("B") == ["CASCADE_FAILED"] * 3


async def test_a_failure_passes_through_a_chain_of_any_length() -> None:
    async with serving(ONE_TRY) as place:
        chain = [shell(f"A{n}", dependsOn=ref(f"A{n - 1}")) for n in range(1, 500)]
        pipe = await place.pipeline(on_demand(shell("A0"), *chain, failureAndRerunMode="cascade"))
        await place.fail()
        statuses = await pipe.run()
        assert statuses.pop("A0") == "FAILED"
        assert set(statuses.values()) == {"CASCADE_FAILED"}


async def test_what_runs_or_has_ended_is_left_alone_by_a_cascade() -> None:
    async with serving(ONE_TRY) as place:
        pipe = await place.pipeline(
            every(
                "1 day",
                shell("A"),
                shell("B", dependsOn=ref("A")),
                shell("C", dependsOn=ref("B")),
                failureAndRerunMode="cascade",
            )
        )
        await place.work(at_most=2)
        running = await place.begin()
        await pipe.set("RERUN", at("A"))
        await place.fail()
        assert await pipe.instances() == {
            at("A"): "FAILED",
            at("B"): "FINISHED",
            at("C"): "RUNNING",
        }
        await place.end(running)


# -- health ---------------------------------------------------------------------------------------


async def test_health_is_that_of_the_last_run_that_ended() -> None:
    async with serving(ONE_TRY) as place:
        pipe = await place.pipeline(every("1 hour", shell("A"), shell("B", workerGroup="b")))
        assert "@healthStatus" not in await pipe.fields()
        assert await pipe.text("A", "@healthStatus") is None
        await place.work("b")
        assert (await pipe.fields())["@healthStatus"] == "HEALTHY"
        await place.passes(60)
        await place.fail()
        assert (await pipe.fields())["@healthStatus"] == "ERROR"
        assert (await pipe.fields())["@healthStatusUpdatedTime"] == clock_time(60)
        component = await pipe.show("A")
        assert component.string("@healthStatus") == "ERROR"
        assert component.string("@healthStatusFromInstanceId") == at("A")
        assert component.string("@healthStatusUpdatedTime") == clock_time(60)
        assert component.string("@latestRunTime") == clock_time(60)
        assert component.string("@latestCompletedRunTime") is None
        assert await pipe.text("B", "@healthStatus") == "HEALTHY"
        await place.until(HOUR)
        await place.work()
        assert (await pipe.fields())["@healthStatus"] == "HEALTHY"
        component = await pipe.show("A")
        assert component.string("@latestCompletedRunTime") == clock_time(HOUR)
        assert component.string("@nextRunTime") == clock_time(2 * HOUR)


@pytest.mark.parametrize(
    ("status", "health"), [("TRY_CANCEL", "ERROR"), ("MARK_FINISHED", "HEALTHY")]
)
async def test_health_after_what_people_did(place: Place, status: str, health: str) -> None:
    pipe = await place.pipeline(every("1 day", shell("A")))
    await pipe.set(status, at("A"))

    assert await pipe.text("A", "@healthStatus") == health
    assert (await pipe.fields())["@healthStatus"] == health


async def test_no_retry_delay_is_shorter_than_the_switch_says() -> None:
    async with serving(Switches(retry_delay=5.0, minimum_retry_delay=120.0)) as place:
        await place.pipeline(on_demand(shell("A")))
        await place.fail()
        await place.passes(119)
        assert await place.poll() is None
        await place.passes(1)
        assert await place.poll() is not None


async def test_what_is_terminated_when_its_retry_falls_due_is_not_tried_again(
    place: Place,
) -> None:
    pipe = await place.pipeline(
        every(
            "1 day",
            shell("A", retryDelay="1 hour", lateAfterTimeout="1 hour", onLateAction=ref("Stop")),
            {"id": "Stop", "type": "Terminate"},
        )
    )
    await place.fail()
    await place.passes(2 * HOUR)

    assert await pipe.ids("ATTEMPT") == [at("A", attempt=1)]
    assert await pipe.text(at("A"), "@status") == "CANCELED"
    assert await place.poll() is None


async def test_late_counts_from_the_interval_and_is_told_once_whatever_is_rerun(
    place: Place,
) -> None:
    late = shell("A", lateAfterTimeout="1 hour", onLateAction=ref("Alarm"))
    schedule = from_("2025-12-31T22:00:00", occurrences="3")
    pipe = await place.pipeline(every("1 hour", late, alarm("Alarm"), schedule=schedule))
    told = [[each.node for each in place.alarms]]
    await place.passes(HOUR)
    for status in ("TRY_CANCEL", "RERUN"):
        await pipe.set(status, at("A"))
    await place.passes(2 * HOUR)
    told.append([each.node for each in place.alarms])

    past = [at("A", -2 * HOUR), at("A", -HOUR)]
    assert told == [past, [*past, at("A")]]


async def test_nothing_on_demand_is_late(place: Place) -> None:
    """ "Used only when the schedule type is not set to ondemand", as the guide says."""
    await place.pipeline(
        on_demand(shell("A", lateAfterTimeout="1 hour", onLateAction=ref("Alarm")), alarm("Alarm"))
    )
    await place.passes(2 * HOUR)

    assert place.alarms == []
