"""Every position of every switch, and the three sets of them."""

from __future__ import annotations

import asyncio
import json
from dataclasses import fields, replace

import pytest

from aiodatapipeline import InvalidRequestException, TaskNotFoundException
from aiodatapipeline.local._switches import EmptyAnswer, EmptyPoll, Late, Switches
from aiodatapipeline.models import TaskObject
from tests.local.service import MINUTE, Place, asks, at, every, on_demand, ref, serving, shell

SETS = {
    "usual": Switches(),
    "strict": Switches.STRICT,
    "lenient": Switches.LENIENT,
    "hostile": Switches.HOSTILE,
}
REFUSALS = {
    Late.TASK_NOT_FOUND: TaskNotFoundException,
    Late.INVALID_REQUEST: InvalidRequestException,
}
TEXT = "\u00e4" * 10


@pytest.mark.parametrize("lease", [300.0, 900.0])
async def test_lease(lease: float) -> None:
    async with serving(Switches(lease=lease)) as place:
        await place.pipeline(on_demand(shell("A")))
        task = await place.begin()
        await place.passes(lease - 1)
        assert not await place.report(task)
        await place.passes(lease)
        with pytest.raises(TaskNotFoundException):
            await place.report(task)


@pytest.mark.parametrize("seconds", [30.0, 120.0])
async def test_acknowledgement(seconds: float) -> None:
    async with serving(Switches(acknowledgement=seconds)) as place:
        await place.pipeline(on_demand(shell("A")))
        await place.take()
        await place.passes(seconds - 1)
        assert await place.poll() is None
        await place.passes(1)
        assert await place.poll() is not None


@pytest.mark.parametrize(("honour", "lost"), [(True, False), (False, True)])
async def test_honour_report_timeout(honour: bool, lost: bool) -> None:
    async with serving(Switches(honour_report_timeout=honour)) as place:
        await place.pipeline(on_demand(shell("A", reportProgressTimeout="30 minutes")))
        await place.begin()
        await place.passes(20 * MINUTE)
        assert (await place.poll() is not None) == lost


@pytest.mark.parametrize("keep", [True, False])
async def test_keep_task_id(keep: bool) -> None:
    async with serving(Switches(keep_task_id=keep)) as place:
        await place.pipeline(on_demand(shell("A")))
        first = await place.take()
        await place.passes(2 * MINUTE)
        second = await place.take()
        assert (first.task_id == second.task_id) == keep
        await place.end(second)


@pytest.mark.parametrize("uses", [True, False])
async def test_unacknowledged_uses_try(uses: bool) -> None:
    async with serving(Switches(unacknowledged_uses_try=uses, maximum_retries=1)) as place:
        pipe = await place.pipeline(on_demand(shell("A")))
        await place.take()
        await place.passes(2 * MINUTE)
        assert (await place.poll() is None) == uses
        await place.passes(10 * MINUTE)
        assert (await place.take()).attempt_id == at("A", attempt=2 if uses else 1)
        await place.passes(2 * MINUTE)
        assert (await pipe.run())["A"] == ("FAILED" if uses else "WAITING_FOR_RUNNER")


@pytest.mark.parametrize("late", Late)
async def test_repeated_status(late: Late) -> None:
    async with serving(Switches(repeated_status=late)) as place:
        pipe = await place.pipeline(every("1 day", shell("A")))
        task = await place.begin()
        await place.end(task)
        if late in REFUSALS:
            with pytest.raises(REFUSALS[late]):
                await place.end(task, "FAILED")
        else:
            await place.end(task, "FAILED")
        assert await pipe.run() == {"A": "FINISHED"}


async def _lose(place: Place) -> tuple[TaskObject, TaskObject]:
    first = await place.begin()
    await place.passes(15 * MINUTE)
    return first, await place.begin()


@pytest.mark.parametrize("late", Late)
@pytest.mark.parametrize("status", ["FINISHED", "FAILED"])
async def test_late_status_after_a_task_was_lost(late: Late, status: str) -> None:
    async with serving(Switches(late_status=late, maximum_retries=0)) as place:
        pipe = await place.pipeline(every("1 day", shell("A")))
        first, second = await _lose(place)
        if late in REFUSALS:
            with pytest.raises(REFUSALS[late]):
                await place.end(first, status)
        else:
            await place.end(first, status)
        if late is Late.ACCEPTED:
            assert await pipe.run() == {"A": status}
            with pytest.raises(TaskNotFoundException):
                await place.end(second)
        else:
            await place.end(second)
            assert await pipe.run() == {"A": "FINISHED"}


@pytest.mark.parametrize("late", Late)
async def test_late_status_after_a_cancellation(late: Late) -> None:
    async with serving(Switches(late_status=late)) as place:
        pipe = await place.pipeline(every("1 day", shell("A")))
        task = await place.begin()
        await pipe.set("TRY_CANCEL", at("A"))
        if late in REFUSALS:
            with pytest.raises(REFUSALS[late]):
                await place.end(task)
        else:
            await place.end(task)
        assert await pipe.run() == {"A": "CANCELED"}


@pytest.mark.parametrize("late", Late)
async def test_late_progress(late: Late) -> None:
    async with serving(Switches(late_progress=late)) as place:
        await place.pipeline(on_demand(shell("A")))
        first, second = await _lose(place)
        if late in REFUSALS:
            with pytest.raises(REFUSALS[late]):
                await place.report(first)
        else:
            assert await place.report(first)
        assert not await place.report(second)


@pytest.mark.parametrize("empty", EmptyPoll)
async def test_empty_poll(empty: EmptyPoll) -> None:
    async with serving(Switches(empty_poll=empty)) as place:
        body = json.dumps({"workerGroup": "g"}).encode()
        answer = asyncio.ensure_future(place.service.answer("PollForTask", body))
        poll = place.polling()
        await place.passes(90)
        assert (await answer).body == empty.value.encode()
        assert await poll is None


@pytest.mark.parametrize("empty", EmptyAnswer)
async def test_empty_answer(empty: EmptyAnswer) -> None:
    async with serving(Switches(empty_answer=empty)) as place:
        await place.pipeline(on_demand(shell("A")))
        task = await place.begin()
        body = json.dumps({"taskId": task.task_id, "taskStatus": "FINISHED"}).encode()
        answer = await place.service.answer("SetTaskStatus", body)
        assert answer.body == empty.value.encode()


@pytest.mark.parametrize(
    ("switches", "kept"),
    [
        (Switches(stack_trace_limit=10), TEXT),
        (Switches(stack_trace_limit=9), TEXT[:9]),
        (Switches(stack_trace_limit=9, limit_in_bytes=True), TEXT[:4]),
        (Switches(stack_trace_limit=20, limit_in_bytes=True), TEXT),
        (Switches(stack_trace_limit=20, refuse_long_stack_trace=True), TEXT),
        (Switches(stack_trace_limit=9, refuse_long_stack_trace=True), "10 characters, and 9"),
        (
            Switches(stack_trace_limit=19, refuse_long_stack_trace=True, limit_in_bytes=True),
            "20 bytes, and 19",
        ),
    ],
)
async def test_stack_traces(switches: Switches, kept: str) -> None:
    async with serving(switches) as place:
        pipe = await place.pipeline(on_demand(shell("A")))
        task = await place.begin()
        if "and" in kept:
            with pytest.raises(InvalidRequestException, match=kept):
                await place.end(task, "FAILED", error_stack_trace=TEXT)
            assert not await place.report(task)
        else:
            await place.end(task, "FAILED", error_stack_trace=TEXT)
            assert await pipe.text(task.attempt_id, "errorStackTrace") == kept


@pytest.mark.parametrize("notices", [True, False])
async def test_notices_hangup(notices: bool) -> None:
    async with serving(Switches(notices_hangup=notices)) as place:
        body = json.dumps({"workerGroup": "g"}).encode()
        lost = asyncio.ensure_future(place.service.answer("PollForTask", body, lambda: False))
        await place.passes(0)
        await place.pipeline(on_demand(shell("A")))
        assert (await place.poll() is not None) == notices
        await place.passes(120)
        assert (json.loads((await lost).body) == {}) == notices
        assert (await place.poll() is not None) or notices


async def test_a_cancelled_poll_keeps_its_task_for_two_minutes_if_hangups_are_not_noticed() -> None:
    async with serving(Switches(notices_hangup=False)) as place:
        poll = place.polling()
        await place.passes(0)
        pipe = await place.create()
        await pipe.put(on_demand(shell("A")))
        await place.client.activate_pipeline(pipe.id)
        poll.cancel()
        await asyncio.gather(poll, return_exceptions=True)
        assert await place.poll() is None
        await place.passes(120)
        assert await place.poll() is not None


@pytest.mark.parametrize("tasks", [True, False])
async def test_precondition_tasks(tasks: bool) -> None:
    async with serving(Switches(precondition_tasks=tasks)) as place:
        await place.pipeline(on_demand(shell("A", precondition=ref("P")), asks("P")))
        first = [at("P", attempt=1)] if tasks else []
        assert await place.work() == [*first, at("A", attempt=1)]


@pytest.mark.parametrize(("final", "then"), [(True, "FAILED"), (False, "WAITING_FOR_RUNNER")])
async def test_false_is_final(final: bool, then: str) -> None:
    async with serving(Switches(false_is_final=final)) as place:
        pipe = await place.pipeline(on_demand(shell("A", precondition=ref("P")), asks("P")))
        await place.end(await place.begin(), "FALSE")
        assert (await pipe.run())["P"] == then


@pytest.mark.parametrize(("size", "pages"), [(1, 7), (3, 3), (7, 1), (100, 1)])
async def test_objects_per_page(size: int, pages: int) -> None:
    async with serving(Switches(objects_per_page=size)) as place:
        pipe = await place.pipeline(on_demand(*(shell(f"A{n}") for n in range(7))))
        asked = {"pipelineId": pipe.id, "objectIds": [f"A{n}" for n in range(7)]}
        page = await place.ask("DescribeObjects", **asked)
        found = [page["pipelineObjects"]]
        while page["hasMoreResults"]:
            page = await place.ask("DescribeObjects", **asked, marker=page["marker"])
            found.append(page["pipelineObjects"])

        assert [each["id"] for some in found for each in some] == asked["objectIds"]
        assert [len(some) for some in found[:-1]] == [size] * (pages - 1)
        assert "marker" not in page


@pytest.mark.parametrize("wrong", [{"objects_per_page": 0}, {"lease": -1.0}, {"retry_delay": -1.0}])
def test_a_number_that_makes_no_sense_is_refused_by_its_name(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Switches(**wrong)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("retries", [0, 1, 4])
async def test_maximum_retries_and_retry_delay(retries: int) -> None:
    async with serving(Switches(maximum_retries=retries, retry_delay=7.0)) as place:
        pipe = await place.pipeline(on_demand(shell("A")))
        for _ in range(retries + 1):
            await place.fail()
            assert await place.poll() is None
            await place.passes(7)
        assert await pipe.run() == {"A": "FAILED"}


@pytest.mark.parametrize("name", SETS)
async def test_a_runner_that_does_everything_right_holds_under_every_set(name: str) -> None:
    async with serving(SETS[name]) as place:
        pipe = await place.pipeline(
            every("1 day", shell("A"), shell("B", dependsOn=ref("A")), asks("P"), myP=ref("P"))
        )
        task = await place.begin()
        for _ in range(10):
            await place.passes(60)
            assert not await place.report(task)
        await place.end(task, "FAILED", error_id="E", error_stack_trace="x" * 1000)
        await place.passes(10 * MINUTE)
        assert await place.work() == [at("A", attempt=2), at("B", attempt=1)]
        assert await pipe.instances("A", "B") == {at("A"): "FINISHED", at("B"): "FINISHED"}
        await pipe.deactivate()
        assert (await place.ask("ListPipelines"))["pipelineIdList"]


def test_the_sets_differ_from_each_other_and_from_what_is_usual() -> None:
    assert len(set(SETS.values())) == 4
    for each in fields(Switches):
        assert getattr(replace(Switches()), each.name) == each.default
