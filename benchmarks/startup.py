"""Time to import, and to the first call that is answered, in fresh processes in turn."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from statistics import median

from benchmarks.clients import CLIENTS, OURS, RAW
from benchmarks.server import running
from benchmarks.table import show, spread, target

ROUNDS = 9
TARGET = 1.2
IMPORTS = {
    OURS: "aiodatapipeline",
    RAW: "aiobotocore.session",
    "boto3, 16 threads": "boto3",
    "capo-data-pipeline": "capo_data_pipeline",
    "bare aiohttp POST": "aiohttp",
}


async def run() -> None:
    with running() as url:
        rounds = [
            {
                name: (_seconds("-c", f"import {IMPORTS[name]}"), _first_call(name, url))
                for name in CLIENTS
            }
            for _ in range(ROUNDS + 1)
        ][1:]  # the first writes byte code
    nothing = median(_seconds("-c", "pass") for _ in range(ROUNDS))

    def ratios(name: str) -> list[float]:
        return [times[name][1] / times[RAW][1] for times in rounds]

    show(
        f"fresh processes, {ROUNDS} rounds; milliseconds beyond those of Python itself",
        ("", "import", "first call", "first call's ratio to raw aiobotocore, median (quartiles)"),
        (
            (
                name,
                *(round(1e3 * (median(t[name][i] for t in rounds) - (0, nothing)[i == 0]))
                  for i in (0, 1)),
                spread(ratios(name)),
            )
            for name in CLIENTS
        ),
    )  # fmt: skip
    figure = median(ratios(OURS))
    target(
        f"first call within {TARGET} of raw aiobotocore's time", figure <= TARGET, f"{figure:.3f}"
    )
    code = "import aiodatapipeline, sys; sys.exit('aiobotocore' in sys.modules)"
    lazy = subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    target("'import aiodatapipeline' does not import aiobotocore", lazy, str(lazy))


def _seconds(*arguments: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True)
    return time.perf_counter() - start


def _first_call(name: str, url: str) -> float:
    """Seconds from the start of main() to the answer, as the process itself measures them."""
    command = [sys.executable, "-m", "benchmarks.startup", name, url]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


async def _one_call(name: str, url: str) -> None:
    async with CLIENTS[name](url) as call:
        await call()


if __name__ == "__main__":
    began = time.perf_counter()
    asyncio.run(_one_call(*sys.argv[1:]))
    print(time.perf_counter() - began)
