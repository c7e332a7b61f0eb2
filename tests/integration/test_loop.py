"""What the first clients of a process cost everything else on its event loop."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import cast

from tests.integration.loop_probe import Step

ROOT = Path(__file__).parents[2]
LIMIT = 0.05  # seconds


async def fresh_process() -> dict[str, Step]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.integration.loop_probe"),
        cwd=ROOT,
        env=_ordinary_environment(),
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0
    return cast("dict[str, Step]", json.loads(output))


def _ordinary_environment() -> dict[str, str]:
    """Measuring coverage would be measured too, and so would compiling what is imported."""
    return {
        name: text
        for name, text in os.environ.items()
        if name != "PYTHONDONTWRITEBYTECODE" and not name.startswith("COVERAGE_")
    }


async def test_no_client_blocks_the_event_loop() -> None:
    gaps: list[dict[str, float]] = []
    for _ in range(3):  # a busy machine gets another chance
        gaps.append({name: step["gap"] for name, step in (await fresh_process()).items()})
        if max(gaps[-1].values()) <= LIMIT:
            break

    assert max(gaps[-1].values()) <= LIMIT, gaps


async def test_a_second_client_reads_no_service_model() -> None:
    steps = await fresh_process()

    assert any("service-2" in name for name in steps["first open"]["opened"])
    assert steps["second open"]["opened"] == steps["second call"]["opened"] == []
