"""Tasks: handed over once, to the first who asks, and taken back from who does not report."""

# What is left behind is seen from inside alone.
# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio
import json

import pytest

from aiodatapipeline import TaskNotFoundException
from aiodatapipeline.models import Field
from tests.local.service import (
    DAY,
    HOUR,
    MINUTE,
    Place,
    alarm,
    at,
    clock_time,
    data,
    every,
    on_demand,
    ref,
    serving,
    shell,
)


async def test_a_poll_without_work_is_answered_after_ninety_seconds(place: Place) -> None:
    poll = place.polling()
    await place.passes(89.5)
    assert not poll.done()
    await place.passes(0.5)

    assert poll.done()
    assert await poll is None
    assert place.now == 90


async def test_a_poll_is_answered_at_once_when_work_appears(place: Place) -> None:
    poll = place.polling()
    await place.passes(30)
    await place.pipeline(on_demand(shell("A")))

    assert (await poll) is not None
    assert place.now == 30


async def test_work_that_falls_due_wakes_a_poll(place: Place) -> None:
    await place.pipeline(every("1 hour", shell("A")))
    await place.work()
    await place.until(HOUR - 10)
    poll = place.polling()
    await place.passes(10)

    assert poll.done()
    task = await poll
    assert task is not None
    assert task.attempt_id == at("A", HOUR, attempt=1)


async def test_worker_groups_are_compared_exactly(place: Place) -> None:
    await place.pipeline(on_demand(shell("A", workerGroup="Group")))
    for other in ("group", "Group ", "Group*", "*", "", "G"):
        assert await place.poll(other) is None

    assert await place.poll("Group") is not None


async def test_a_poll_serves_all_pipelines_the_oldest_work_first(place: Place) -> None:
    await place.pipeline(on_demand(shell("A")), name="1")
    await place.passes(1)
    await place.pipeline(on_demand(shell("B")), name="2")
    await place.passes(1)
    await place.pipeline(on_demand(shell("C")), name="3")

    assert [each[1] for each in await place.work()] == ["A", "B", "C"]


async def test_each_of_many_pollers_gets_another_task(place: Place) -> None:
    polls = [place.polling() for _ in range(50)]
    await place.passes(0)
    await place.pipeline(on_demand(*(shell(f"A{n}") for n in range(30))))
    await place.passes(0)
    answered = [poll.done() for poll in polls]
    await place.passes(90)
    tasks = [task for task in await asyncio.gather(*polls) if task]

    assert answered == [True] * 30 + [False] * 20  # who waits longest is served first
    assert len({each.attempt_id for each in tasks}) == 30
    assert len({each.task_id for each in tasks}) == 30


async def test_a_poller_that_has_hung_up_is_given_nothing(place: Place) -> None:
    gone = False
    body = json.dumps({"workerGroup": "g"}).encode()
    lost = asyncio.ensure_future(place.service.answer("PollForTask", body, alive=lambda: not gone))
    canceled = place.polling()
    await place.passes(0)
    gone = True
    canceled.cancel()
    behind = place.polling()
    await place.passes(0)
    await place.pipeline(on_demand(shell("A")))

    assert (await behind) is not None
    await place.passes(90)
    assert json.loads((await lost).body) == {}
    assert place.service.worker_groups == {}


async def test_a_task_whose_poller_hangs_up_in_the_last_moment_is_ready_again() -> None:
    """Between the hand-over and the answer there is a write to the disk."""
    async with serving() as place:
        alive = iter([True, True, False])  # as it comes, before the task, and after
        body = json.dumps({"workerGroup": "g"}).encode()
        lost = asyncio.ensure_future(
            place.service.answer("PollForTask", body, alive=lambda: next(alive))
        )
        await place.passes(0)
        await place.pipeline(on_demand(shell("A")))

        assert json.loads((await lost).body) == {}
        assert (await place.take()).attempt_id == at("A", attempt=1)


async def test_a_task_whose_poller_is_cancelled_in_the_last_moment_is_ready_again(
    place: Place,
) -> None:
    poll = place.polling()
    await place.passes(0)
    pipe = await place.create()
    await pipe.put(on_demand(shell("A")))
    await place.client.activate_pipeline(pipe.id)  # its answer is on the way
    poll.cancel()
    await asyncio.gather(poll, return_exceptions=True)

    assert (await place.take()).attempt_id == at("A", attempt=1)


async def test_the_number_of_open_polls_is_known(place: Place) -> None:
    polls = [place.polling(), place.polling(), place.polling("h")]
    await place.passes(0)
    assert place.service.worker_groups == {"g": 2, "h": 1}
    await place.passes(90)
    assert place.service.worker_groups == {}
    await asyncio.gather(*polls)


async def test_many_polls_that_are_over_leave_nothing_behind(place: Place) -> None:
    for _ in range(300):
        await place.poll()

    assert len(place.service._deadlines) <= 101
    assert not place.service._polls


# -- what a task says -----------------------------------------------------------------------------


async def test_a_task_says_what_to_do(place: Place) -> None:
    pipe = await place.pipeline(
        every(
            "1 hour",
            shell(
                "A",
                command="echo #{@scheduledStartTime} #{format(@scheduledEndTime, 'HH')}",
                input=ref("D"),
                onFail=ref("Alarm"),
                retryDelay="1 hour",
            ),
            data("D", directoryPath="s3://b/#{format(@scheduledStartTime, 'YYYY-MM-dd')}"),
            {"id": "Key", "type": "Property", "key": "k", "value": "v", "*password": "#{key}"},
            alarm("Alarm"),
            myKey=ref("Key"),
        )
    )
    task = await place.take()

    assert task.pipeline_id == pipe.id
    assert task.attempt_id == at("A", attempt=1)
    assert len(task.task_id) <= 2048
    assert set(task.objects) == {at("A", attempt=1), at("D"), "Key"}
    shown = task.attempt
    assert shown.id == shown.name == task.attempt_id
    assert shown.string("command") == "echo 2026-01-01T00:00:00 01"
    assert shown.string("type") == "ShellCommandActivity"
    assert shown.string("workerGroup") == "g"
    assert shown.ref("schedule") == "S"
    assert shown.ref("input") == at("D")
    assert shown.ref("myKey") == "Key"
    assert shown.string("@sphere") == "ATTEMPT"
    assert shown.string("@status") == "WAITING_FOR_RUNNER"
    assert shown.string("@pipelineId") == pipe.id
    assert shown.string("@scheduledStartTime") == clock_time(0)
    assert shown.string("@scheduledEndTime") == clock_time(HOUR)
    assert shown.string("@attemptCount") == "1"
    assert shown.string("@triesLeft") == "2"
    assert shown.ref("@componentParent") == shown.ref("parent") == "A"
    assert shown.ref("@instanceParent") == at("A")
    assert shown.string("hostname") == "host"
    assert task.objects[at("D")].string("directoryPath") == "s3://b/2026-01-01"
    assert task.objects["Key"].string("*password") == "k"


async def test_progress_is_kept_on_the_attempt(place: Place) -> None:
    pipe = await place.pipeline(on_demand(shell("A")))
    task = await place.take()
    await place.passes(10)
    await place.report(task, percentComplete="10")
    await place.passes(10)
    await place.report(task, percentComplete="20")
    await place.passes(10)
    await place.report(task)

    shown = await pipe.show(task.attempt_id)
    assert shown.string("@status") == "RUNNING"
    assert shown.string("percentComplete") == "20"
    assert shown.string("reportProgressTime") == clock_time(30)
    assert shown.string("@actualStartTime") == clock_time(10)
    instance = await pipe.show(at("A"))
    assert instance.string("@status") == "RUNNING"
    assert instance.string("@actualStartTime") == clock_time(10)
    assert instance.ref("@headAttempt") == task.attempt_id


async def test_progress_does_not_stand_in_for_what_the_service_says(place: Place) -> None:
    pipe = await place.pipeline(on_demand(shell("A")))
    task = await place.take()
    said = {
        "@status": "FINISHED",
        "@mine": "x",
        "hostname": "other",
        "errorId": "E",
        "command": "c",
    }
    await place.report(task, **said, percentComplete="10")

    shown = await pipe.show(task.attempt_id)

    fields = [(each.key, each.string_value) for each in shown.fields if each.key in said]
    assert sorted(fields) == [("@status", "RUNNING"), ("command", "true"), ("hostname", "host")]
    assert shown.string("percentComplete") == "10"


async def test_an_outcome_needs_no_report_before_it(place: Place) -> None:
    pipe = await place.pipeline(on_demand(shell("A")))
    task = await place.take()
    await place.passes(30)
    await place.end(task)

    assert await pipe.run() == {"A": "FINISHED"}
    shown = await pipe.show(task.attempt_id)
    assert shown.string("attemptStatus") == "FINISHED"
    assert shown.string("@actualStartTime") == shown.string("@actualEndTime") == clock_time(30)


# -- leases ---------------------------------------------------------------------------------------


async def test_a_task_is_held_for_two_minutes_before_the_first_report(place: Place) -> None:
    await place.pipeline(on_demand(shell("A")))
    first = await place.take()
    await place.passes(2 * MINUTE - 1)
    assert await place.poll() is None
    await place.passes(1)
    second = await place.take()

    assert second.attempt_id == first.attempt_id
    assert second.task_id != first.task_id
    with pytest.raises(TaskNotFoundException, match="went to another runner"):
        await place.report(first)
    with pytest.raises(TaskNotFoundException):
        await place.client.set_task_status(first.task_id, "FINISHED")
    assert not await place.report(second)
    await place.end(second)


async def test_the_two_minutes_begin_when_a_task_is_handed_over(place: Place) -> None:
    await place.pipeline(on_demand(shell("A")))
    await place.passes(DAY)  # nothing happens that anybody would look at the clock for
    task = await place.take()

    assert not await place.report(task)


async def test_a_task_goes_to_a_poll_that_is_open_when_its_lease_ends(place: Place) -> None:
    await place.pipeline(on_demand(shell("A")))
    await place.take()
    await place.passes(MINUTE)
    poll = place.polling()
    await place.passes(MINUTE)

    assert poll.done()
    assert await poll is not None


async def test_a_report_keeps_a_task_for_fifteen_minutes(place: Place) -> None:
    pipe = await place.pipeline(on_demand(shell("A")))
    task = await place.begin()
    for _ in range(4):
        await place.passes(15 * MINUTE - 1)
        assert not await place.report(task)
    assert await place.poll() is None
    await place.passes(15 * MINUTE)

    assert await pipe.run() == {"A": "WAITING_FOR_RUNNER"}
    other = await place.begin()
    assert other.attempt_id == task.attempt_id
    assert other.attempt.string("@attemptCount") == "1"
    with pytest.raises(TaskNotFoundException):
        await place.report(task)


async def test_an_object_can_have_a_time_of_its_own_for_reports(place: Place) -> None:
    await place.pipeline(
        on_demand(
            shell("Short", reportProgressTimeout="15 minutes", workerGroup="s"),
            shell("Long", reportProgressTimeout="2 hours", workerGroup="l"),
        )
    )
    short, long = await place.begin("s"), await place.begin("l")
    await place.passes(2 * HOUR - 1)

    assert not await place.report(long)
    with pytest.raises(TaskNotFoundException):
        await place.report(short)


async def test_a_second_outcome_is_refused(place: Place) -> None:
    pipe = await place.pipeline(on_demand(shell("A")))
    task = await place.begin()
    await place.end(task)

    with pytest.raises(TaskNotFoundException):
        await place.client.set_task_status(task.task_id, "FAILED")
    with pytest.raises(TaskNotFoundException):
        await place.report(task)
    assert await pipe.run() == {"A": "FINISHED"}


@pytest.mark.parametrize("form", ["AAAA", "not base64:!", "{0}x", "{0.title}", "\u00fc", "{0}:"])
async def test_a_task_id_that_was_never_given_is_not_found(place: Place, form: str) -> None:
    await place.pipeline(on_demand(shell("A")))
    task = await place.begin()
    wrong = form.replace("{0.title}", task.task_id.title()).replace("{0}", task.task_id)

    for asked in (
        place.ask("ReportTaskProgress", taskId=wrong),
        place.ask("SetTaskStatus", taskId=wrong, taskStatus="FINISHED"),
    ):
        answer = await asked
        assert answer.startswith("TaskNotFoundException: there is no such task")
        assert wrong not in answer


async def test_heartbeats_tell_a_runner_of_a_group_to_go_on(place: Place) -> None:
    assert await place.ask("ReportTaskRunnerHeartbeat", taskrunnerId="r") == {"terminate": False}
    for group in ("g", "df-0_@R_2026-01-01T00:00:00", "_", ""):
        answer = await place.ask(
            "ReportTaskRunnerHeartbeat", taskrunnerId="r", workerGroup=group, hostname="h"
        )
        assert answer == {"terminate": False}


async def test_after_a_reset_open_polls_go_on_and_nothing_else_is_left(place: Place) -> None:
    pipe = await place.pipeline(on_demand(shell("A")))
    task = await place.begin()
    poll = place.polling()
    await place.passes(0)
    await place.service.reset()

    assert [each async for each in place.client.list_pipelines()] == []
    assert (await place.ask("DescribePipelines", pipelineIds=[pipe.id])).startswith(
        "PipelineNotFoundException"
    )
    with pytest.raises(TaskNotFoundException):
        await place.report(task)
    await place.pipeline(on_demand(shell("A")))
    assert await poll is not None


async def test_a_service_that_closes_answers_its_polls(place: Place) -> None:
    poll = place.polling()
    await place.passes(0)
    place.service.close()
    place.service.close()

    assert await poll is None


async def test_who_asks_a_closed_service_is_told_that_it_failed(place: Place) -> None:
    place.service.close()

    assert (await place.ask("ListPipelines")).startswith("InternalServiceError")


async def test_a_reference_to_nothing_in_a_report_is_given_on_as_it_is(place: Place) -> None:
    await place.pipeline(on_demand(shell("A")))
    task = await place.begin()
    await place.client.report_task_progress(
        task.task_id, fields=[Field(key="myLink", ref_value="Nowhere")]
    )
    await place.passes(15 * MINUTE)

    again = await place.take()

    assert again.attempt_id == task.attempt_id
    assert again.objects[again.attempt_id].ref("myLink") == "Nowhere"
    assert "Nowhere" not in again.objects


async def test_a_task_that_is_cancelled_in_the_last_moment_does_not_come_back(
    place: Place,
) -> None:
    pipe = await place.create()
    await pipe.put(on_demand(shell("A")))
    poll = place.polling()
    await place.passes(0)
    activated = asyncio.ensure_future(place.ask("ActivatePipeline", pipelineId=pipe.id))
    canceled = asyncio.ensure_future(
        place.ask("SetStatus", pipelineId=pipe.id, objectIds=[at("A")], status="TRY_CANCEL")
    )
    await asyncio.sleep(0)  # all of it happens before the poll goes on
    poll.cancel()
    await asyncio.gather(poll, activated, canceled, return_exceptions=True)

    assert poll.cancelled()
    assert (activated.result(), canceled.result()) == ({}, {})
    assert await pipe.run() == {"A": "CANCELED"}
    assert await place.poll() is None


async def test_a_poll_that_is_called_off_as_the_service_closes_is_answered_nothing(
    place: Place,
) -> None:
    poll = place.polling()
    await place.passes(0)

    poll.cancel()
    place.service.close()
    await asyncio.gather(poll, return_exceptions=True)

    assert poll.cancelled()
