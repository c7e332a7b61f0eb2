"""``kill -9`` at any point loses nothing that was acknowledged, and all goes on afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import random
import sys
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest

from aiodatapipeline._clock import VirtualClock
from tests.local.killed import Noted, Worker, check, serving_until_killed
from tests.local.service import MINUTE, Place, serving

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no kill -9")

WORKERS = 4
# How often a store is served and killed, one time after the other.
KILLS = 4
# With --long, that is 200 kills.
FEW, MANY = range(2), range(50)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    seeds = MANY if metafunc.config.getoption("--long") else FEW
    metafunc.parametrize("seed", seeds)


async def _serve_and_kill(store: str, noted: Noted, chance: random.Random) -> None:
    """Work, and kill the service at the n-th answer, or some time after that."""
    last = noted.answers + chance.randrange(1, 60)
    async with (
        serving_until_killed(store) as (url, kill),
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(60)) as session,
    ):
        workers = [
            asyncio.ensure_future(Worker(url, session, noted, chance.randrange(2**32)).work())
            for _ in range(WORKERS)
        ]
        with contextlib.suppress(TimeoutError):  # everybody waits for a task
            async with asyncio.timeout(1):
                await noted.until(last)
                await asyncio.sleep(chance.choice([0, 0, chance.uniform(0, 0.004)]))
        kill()
        await asyncio.gather(*workers)


async def _everything_goes_on(place: Place, noted: Noted) -> None:
    """Let leases run out, and a schedule go on, until nothing is left to do."""
    pipelines = sorted(noted.activated)
    await place.passes(16 * MINUTE)  # the leases of tasks that nobody knows of any more
    before = {each: len(await _instances(place, each)) for each in pipelines}
    for _ in range(4):
        while task := await place.poll():
            assert not await place.report(task)
            await place.end(task)
        await place.passes(16 * MINUTE)
    for each in pipelines:
        instances = await _instances(place, each)
        assert len(instances) > before[each]
        ended = [status for status in instances.values() if status in {"FINISHED", "FAILED"}]
        assert len(ended) >= before[each] / 2, instances


async def _instances(place: Place, pipeline: str) -> dict[str, str | None]:
    ids = [each async for each in place.client.query_objects(pipeline, "INSTANCE")]
    shown = place.client.describe_objects(pipeline, ids)
    return {each.id: each.string("@status") async for each in shown} if ids else {}


async def test_nothing_that_was_acknowledged_is_lost_by_a_kill(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    store, noted = str(tmp_path / "store"), Noted()

    for number in range(KILLS):
        await _serve_and_kill(store, noted, chance)
        now = VirtualClock(datetime.now(UTC))
        async with serving(store=store, clock=now) as place:
            await check(place, noted)
            if number == KILLS - 1:
                await _everything_goes_on(place, noted)

    assert noted.answers > KILLS
