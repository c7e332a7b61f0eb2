"""Activation: what it needs, and runs on demand."""

from __future__ import annotations

import pytest

from aiodatapipeline import InvalidRequestException
from aiodatapipeline.local._switches import Switches
from tests.local.service import (
    HOUR,
    Place,
    at,
    data,
    every,
    machine,
    on_demand,
    ref,
    serving,
    shell,
)

REFUSING = Switches(reactivation_reruns=False)


async def test_a_pipeline_without_a_definition_cannot_be_activated(place: Place) -> None:
    pipe = await place.create()

    with pytest.raises(InvalidRequestException, match="has no definition: put one"):
        await pipe.activate()
    await pipe.put([])
    with pytest.raises(InvalidRequestException, match="has no objects: put one"):
        await pipe.activate()
    assert await pipe.state() == "PENDING"


async def test_activation_makes_a_pipeline_scheduled_and_runs_it_once(place: Place) -> None:
    pipe = await place.pipeline(on_demand(shell("A")), activate=False)
    assert await place.poll() is None
    await pipe.activate()

    assert await pipe.state() == "SCHEDULED"
    assert await place.work() == [at("A", attempt=1)]
    assert await pipe.state() == "FINISHED"
    await place.passes(48 * HOUR)
    assert await place.poll() is None


async def test_every_activation_of_a_pipeline_on_demand_is_a_run(place: Place) -> None:
    pipe = await place.pipeline(on_demand(shell("A")))
    await place.work()
    await place.passes(HOUR)
    await pipe.activate()

    assert await place.work() == [at("A", HOUR, attempt=1)]
    assert await pipe.instances() == {at("A"): "FINISHED", at("A", HOUR): "FINISHED"}


async def test_two_runs_of_one_second_have_ids_of_their_own(place: Place) -> None:
    pipe = await place.pipeline(on_demand(shell("A")))
    await place.work()
    await pipe.activate()
    await place.work()
    await pipe.activate()

    assert await pipe.ids() == [at("A"), at("A", 1), at("A", 2)]


async def test_activating_what_runs_cancels_all_and_runs_it_again(place: Place) -> None:
    pipe = await place.pipeline(on_demand(shell("A"), shell("B", dependsOn=ref("A"))))
    first = await place.begin()
    await place.passes(60)
    await pipe.activate()

    assert await place.report(first)  # canceled
    assert await place.work() == [at("A", 60, attempt=1), at("B", 60, attempt=1)]
    assert await pipe.instances() == {
        at("A"): "CANCELED",
        at("B"): "CANCELED",
        at("A", 60): "FINISHED",
        at("B", 60): "FINISHED",
    }
    canceled = await pipe.show(at("A"))
    assert canceled.string("cancellationReason") == "The pipeline was activated again."


async def test_activating_what_runs_can_be_refused() -> None:
    async with serving(REFUSING) as place:
        pipe = await place.pipeline(on_demand(shell("A")))
        with pytest.raises(InvalidRequestException, match="running: wait until it is FINISHED"):
            await pipe.activate()
        await place.work()
        await pipe.activate()
        assert len(await place.work()) == 1


@pytest.mark.parametrize("switches", [Switches(), REFUSING], ids=["rerunning", "refusing"])
async def test_what_was_stopped_on_demand_runs_anew(switches: Switches) -> None:
    async with serving(switches) as place:
        pipe = await place.pipeline(on_demand(shell("A"), shell("B", dependsOn=ref("A"))))
        await place.begin()
        await pipe.deactivate()
        await place.passes(60)
        assert await pipe.state() == "INACTIVE"
        assert await pipe.run() == {"A": "CANCELED", "B": "INACTIVE"}
        await pipe.activate()

        assert await place.work() == [at("A", 60, attempt=1), at("B", 60, attempt=1)]
        assert (await pipe.instances())[at("B")] == "CANCELED"
        assert await pipe.state() == "FINISHED"


async def test_as_many_runs_at_once_as_max_active_instances_says(place: Place) -> None:
    pipe = await place.pipeline(on_demand(shell("A"), maxActiveInstances="2"))
    await place.passes(1)
    await pipe.activate()
    assert await pipe.history("A") == ["WAITING_FOR_RUNNER"] * 2
    await place.passes(1)
    await pipe.activate()

    assert await pipe.history("A") == ["CANCELED", "CANCELED", "WAITING_FOR_RUNNER"]


async def test_a_start_timestamp_makes_no_difference_on_demand(place: Place) -> None:
    pipe = await place.pipeline(on_demand(shell("A")), activate=False)
    await pipe.activate(since=1000 * HOUR)

    assert await place.work() == [at("A", attempt=1)]


async def test_a_pipeline_of_nothing_that_runs_is_finished(place: Place) -> None:
    pipe = await place.pipeline(on_demand({"id": "C", "type": "CSV"}, machine("Unused")))

    assert await pipe.state() == "FINISHED"


async def test_data_nodes_alone_finish_too(place: Place) -> None:
    pipe = await place.pipeline(on_demand(data("D")))

    assert await pipe.run() == {"D": "FINISHED"}
    assert await pipe.state() == "FINISHED"


async def test_a_pipeline_that_is_being_deactivated_cannot_be_activated(place: Place) -> None:
    pipe = await place.pipeline(every("1 hour", shell("A")))
    task = await place.begin()
    await pipe.deactivate(cancel=False)

    with pytest.raises(InvalidRequestException, match="DEACTIVATING: wait until it is INACTIVE"):
        await pipe.activate()
    await place.end(task)
    await pipe.activate()
    assert await pipe.state() == "SCHEDULED"


async def test_a_late_start_is_warned_of_and_can_be_refused() -> None:
    objects = every("1 day", shell("A"), schedule={"startDateTime": "2025-12-01T00:00:00"})
    async with serving(Switches(block_backfill=True)) as place:
        pipe = await place.create()
        answer = await pipe.put(objects)
        assert not answer.errored
        (warnings,) = [each.warnings for each in answer.validation_warnings if each.id == "S"]
        assert warnings[0].startswith("BACKFILL: 'startDateTime' is more than a day ago")
        with pytest.raises(InvalidRequestException, match="cannot be activated"):
            await pipe.activate()
    async with serving() as place:
        pipe = await place.pipeline(objects)
        assert len(await pipe.ids()) == 32
