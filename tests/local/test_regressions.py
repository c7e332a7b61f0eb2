"""What random operations and kills had found, each as a story of its own."""

from __future__ import annotations

from tests.local.service import (
    HOUR,
    MINUTE,
    ONE_TRY,
    Place,
    asks,
    at,
    every,
    from_,
    machine,
    ref,
    serving,
    shell,
)


async def test_a_task_that_nobody_had_taken_has_all_its_tries_after_the_next_activation() -> None:
    async with serving(ONE_TRY) as place:
        pipe = await place.pipeline(every("1 hour", shell("A")))
        for _ in range(3):
            await pipe.deactivate(cancel=False)
            await pipe.activate()

        assert await pipe.text(at("A"), "@triesLeft") == "0"
        store = place.service._store  # pyright: ignore[reportPrivateUsage]  # -1 is shown as 0
        assert store.one("SELECT tries FROM instance") == (0,)


async def test_a_task_that_was_lost_meanwhile_has_its_try_again() -> None:
    async with serving(ONE_TRY) as place:
        pipe = await place.pipeline(every("1 hour", shell("A")))
        await place.begin()
        await pipe.deactivate(cancel=False)
        await place.passes(16 * MINUTE)

        assert await pipe.state() == "INACTIVE"
        assert await pipe.text(at("A"), "@triesLeft") == "1"
        await pipe.activate()
        assert await place.fail() == at("A", attempt=2)
        assert await pipe.text(at("A"), "@status") == "FAILED"


async def test_what_is_jumped_over_takes_its_preconditions_with_it(place: Place) -> None:
    pipe = await place.pipeline(
        every(
            "1 hour",
            shell("A", precondition=ref("P")),
            asks("P"),
            schedule=from_("2025-12-31T22:00:00", occurrences="4"),
        )
    )
    await pipe.deactivate(cancel=False)

    await pipe.activate(since=-HOUR)

    assert (await pipe.history("A"))[:2] == ["SKIPPED", "WAITING_ON_DEPENDENCIES"]
    assert (await pipe.history("P"))[:2] == ["CANCELED", "WAITING_FOR_RUNNER"]


async def test_a_precondition_can_be_rerun_when_what_it_guards_has_ended(place: Place) -> None:
    pipe = await place.pipeline(
        every("1 hour", shell("A", precondition=ref("P")), shell("B"), asks("P"))
    )
    assert at("A", attempt=1) in await place.work()

    await pipe.set("RERUN", at("P"))

    assert (await place.take()).attempt_id == at("P", attempt=2)


async def test_nobody_waits_for_a_resource_that_was_marked_finished() -> None:
    async with serving(resource_delay=MINUTE) as place:
        pipe = await place.pipeline(
            every(
                "1 hour",
                shell("A", runsOn=ref("R")),
                machine("R"),
                schedule=from_("2026-01-01T00:00:00", occurrences="1"),
            )
        )
        await pipe.set("MARK_FINISHED", at("R"))

        assert await pipe.run() == {"A": "CANCELED", "R": "FINISHED"}
        assert await pipe.state() == "FINISHED"
