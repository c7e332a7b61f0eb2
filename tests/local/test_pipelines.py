"""Pipelines: created, listed, described, tagged and deleted."""

from __future__ import annotations

import asyncio
import re

import pytest

from aiodatapipeline import (
    InvalidRequestException,
    PipelineDeletedException,
    PipelineNotFoundException,
)
from aiodatapipeline.local._quotas import AccountQuotas
from tests.local.service import Place, at, every, on_demand, serving, shell, tags


async def test_the_same_name_and_unique_id_give_the_first_pipeline_again(place: Place) -> None:
    first = await place.client.create_pipeline("n", "u", description="one", tags=tags(a="1"))
    again = await place.client.create_pipeline("n", "u", description="two", tags=tags(b="2"))
    other = await place.client.create_pipeline("n", "v")

    assert again.pipeline_id == first.pipeline_id != other.pipeline_id
    found = await place.client.describe_pipelines([first.pipeline_id])
    (described,) = found.pipeline_description_list
    assert described.description == "one"
    assert [(each.key, each.value) for each in described.tags] == [("a", "1")]


async def test_ids_look_like_those_of_the_service(place: Place) -> None:
    pipe = await place.create()

    assert re.fullmatch(r"df-0\d{7}[A-Z0-9]{12}", pipe.id)


async def test_a_new_pipeline_is_pending_and_says_what_is_known_of_it(place: Place) -> None:
    pipe = await place.create("n", "u")

    assert await pipe.fields() == {
        "@id": pipe.id,
        "name": "n",
        "uniqueId": "u",
        "@pipelineState": "PENDING",
        "@sphere": "PIPELINE",
        "@creationTime": "2026-01-01T00:00:00",
        "@userId": "LOCAL",
        "@accountId": "000000000000",
        "pipelineCreator": "LOCAL",
        "@version": "0",
    }


async def test_a_running_pipeline_says_when_it_ran_and_runs_next(place: Place) -> None:
    pipe = await place.pipeline(every("1 hour", shell("A")))
    await place.passes(60)
    await place.work()

    fields = await pipe.fields()
    assert fields["@pipelineState"] == "SCHEDULED"
    assert fields["@firstActivationTime"] == fields["@lastActivationTime"] == "2026-01-01T00:00:00"
    assert fields["@latestRunTime"] == "2026-01-01T00:01:00"
    assert fields["@nextRunTime"] == "2026-01-01T01:00:00"
    assert fields["@scheduledStartTime"] == "2026-01-01T00:00:00"
    assert fields["@scheduledEndTime"] == "2026-01-01T01:00:00"
    assert fields["@scheduledPeriod"] == "1 hour"
    assert fields["@healthStatus"] == "HEALTHY"
    assert fields["@healthStatusUpdatedTime"] == "2026-01-01T00:01:00"
    assert "@finishedTime" not in fields


async def test_a_list_goes_over_pages_and_leaves_out_what_is_deleted(place: Place) -> None:
    made = [(await place.create(f"p{number}")).id for number in range(205)]
    await place.client.delete_pipeline(made[0])
    await place.client.delete_pipeline(made[150])

    listed = [each async for each in place.client.list_pipelines()]

    assert [each.id for each in listed] == made[1:150] + made[151:]
    assert listed[0].name == "p1"
    first = await place.ask("ListPipelines")
    assert first["hasMoreResults"]
    assert len(first["pipelineIdList"]) == 50
    last = await place.ask("ListPipelines", marker="")
    assert last == first


async def test_one_unknown_id_fails_the_whole_description(place: Place) -> None:
    pipe = await place.create()

    with pytest.raises(PipelineNotFoundException, match="there is no pipeline 'df-0'"):
        await place.client.describe_pipelines([pipe.id, "df-0"])


async def test_tags_are_added_overwritten_and_removed(place: Place) -> None:
    pipe = await place.create()
    await place.client.add_tags(pipe.id, tags(a="1", b="2"))
    await place.client.add_tags(pipe.id, tags(b="3", c="4"))
    await place.client.remove_tags(pipe.id, ["a", "not there"])

    (described,) = (await place.client.describe_pipelines([pipe.id])).pipeline_description_list
    assert {each.key: each.value for each in described.tags} == {"b": "3", "c": "4"}
    assert (await pipe.fields())["*tags"] == '[{"b": "3"}, {"c": "4"}]'


async def test_a_pipeline_has_ten_tags_at_most(place: Place) -> None:
    pipe = await place.create()
    await place.client.add_tags(pipe.id, tags(**{str(number): "" for number in range(10)}))
    await place.client.add_tags(pipe.id, tags(**{"9": "again"}))

    with pytest.raises(InvalidRequestException, match="would have 11 tags, and 10 are allowed"):
        await place.client.add_tags(pipe.id, tags(**{"10": ""}))


async def test_of_tags_with_one_key_the_last_one_counts(place: Place) -> None:
    tags = [{"key": "a", "value": "1"}, {"key": "a", "value": "2"}]
    made = await place.ask("CreatePipeline", name="n", uniqueId="u", tags=tags)

    found = await place.ask("DescribePipelines", pipelineIds=[made["pipelineId"]])
    assert found["pipelineDescriptionList"][0]["tags"] == [{"key": "a", "value": "2"}]


async def test_an_account_has_as_many_pipelines_as_its_quota_says() -> None:
    async with serving(quotas=AccountQuotas(pipelines=2)) as place:
        first = await place.create("1")
        await place.create("2")
        await place.create("2")

        with pytest.raises(InvalidRequestException, match="has 2 pipelines, and 2 are allowed"):
            await place.create("3")
        await place.client.delete_pipeline(first.id)
        assert await place.create("3")


async def test_a_deleted_pipeline_is_gone_and_its_id_is_remembered(place: Place) -> None:
    pipe = await place.pipeline(on_demand(shell("A")))
    await place.client.delete_pipeline(pipe.id)

    for _ in range(2):  # while it is being deleted, and after that
        with pytest.raises(PipelineDeletedException, match=pipe.id):
            await pipe.state()
        with pytest.raises(PipelineDeletedException):
            await place.client.get_pipeline_definition(pipe.id)
        await place.client.delete_pipeline(pipe.id)  # asking again does no harm
        await place.passes(0)
    assert [each async for each in place.client.list_pipelines()] == []


async def test_what_a_deleted_pipeline_was_asked_for_by_is_free_again(place: Place) -> None:
    first = await place.create("n", "u")
    await place.client.delete_pipeline(first.id)
    second = await place.create("n", "u")

    assert second.id != first.id
    assert await second.state() == "PENDING"


async def test_deleting_what_never_was_fails(place: Place) -> None:
    with pytest.raises(PipelineNotFoundException):
        await place.client.delete_pipeline("df-0")


@pytest.mark.parametrize("reported", [True, False])
async def test_who_works_for_a_deleted_pipeline_is_told_so(place: Place, reported: bool) -> None:
    pipe = await place.pipeline(on_demand(shell("A")))
    task = await (place.begin() if reported else place.take())
    await place.client.delete_pipeline(pipe.id)

    for _ in range(2):
        with pytest.raises(PipelineDeletedException):
            await place.report(task)
        with pytest.raises(PipelineDeletedException):
            await place.client.set_task_status(task.task_id, "FINISHED")
        await place.passes(0)


async def test_no_work_of_a_deleted_pipeline_is_handed_over(place: Place) -> None:
    polls = [place.polling() for _ in range(3)]
    await place.passes(0)
    pipe = await place.pipeline(every("1 hour", *(shell(f"A{n}") for n in range(3))))
    assert all([await each for each in polls])
    await place.passes(3600)

    # In the same turn: before anything of it is removed.
    deleted = place.ask("DeletePipeline", pipelineId=pipe.id)
    polled = place.ask("PollForTask", workerGroup="g")
    await place.passes(0)
    both = asyncio.gather(deleted, polled)
    await place.passes(90)
    assert await both == [{}, {}]
    await place.passes(7200)
    assert await place.poll() is None


async def test_a_deleted_pipeline_with_much_history_leaves_nothing(place: Place) -> None:
    pipe = await place.pipeline(
        every("15 minutes", shell("A"), schedule={"startDateTime": "2025-12-01T00:00:00"})
    )
    await place.passes(0)
    assert len(await pipe.ids()) == 31 * 24 * 4 + 1
    await place.client.delete_pipeline(pipe.id)
    await place.passes(0)

    store = place.service._store
    for table in ("instance", "attempt", "dependency", "component", "definition", "timer", "task"):
        assert store.one(f"SELECT count(*) FROM {table}") == (0,), table


async def test_instances_of_a_new_pipeline_have_nothing_of_a_deleted_one(place: Place) -> None:
    first = await place.pipeline(on_demand(shell("A")))
    await place.fail()
    await place.client.delete_pipeline(first.id)
    await place.passes(0)
    second = await place.pipeline(on_demand(shell("A")))

    assert await second.instances() == {at("A"): "WAITING_FOR_RUNNER"}
    assert await place.work() == [at("A", attempt=1)]
    await place.passes(3600)
    assert await place.poll() is None
