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

ROUNDS = 15
TARGET = 1.2
IMPORTS = {
    OURS: "aiodatapipeline",
    RAW: "aiobotocore.session",
    "boto3, 16 threads": "boto3",
    "capo-data-pipeline": "capo_data_pipeline",
    "bare aiohttp POST": "aiohttp",
}


async def run() -> None:
    imports: list[dict[str, float]] = []
    calls: list[dict[str, float]] = []
    with running() as url:
        for number in range(ROUNDS + 1):
            names = list(CLIENTS)[:: -1 if number % 2 else 1]
            imports.append({name: _seconds(f"import {IMPORTS[name]}") for name in names})
            calls.append({name: _first_call(name, url) for name in names})
    del imports[0], calls[0]  # they wrote byte code
    python = median(_seconds("pass") for _ in range(ROUNDS))

    def ratios(name: str) -> list[float]:
        return [seconds[name] / seconds[RAW] for seconds in calls]

    show(
        f"fresh processes, {ROUNDS} rounds; an import's milliseconds are beyond Python's own",
        ("", "import", "first call", "first call's ratio to raw aiobotocore, median (quartiles)"),
        (
            (
                name,
                round(1e3 * (median(seconds[name] for seconds in imports) - python)),
                round(1e3 * median(seconds[name] for seconds in calls)),
                spread(ratios(name)),
            )
            for name in CLIENTS
        ),
    )
    figure = median(ratios(OURS))
    target(
        f"first call within {TARGET} of raw aiobotocore's time", figure <= TARGET, f"{figure:.3f}"
    )
    code = "import aiodatapipeline, sys; sys.exit('aiobotocore' in sys.modules)"
    lazy = subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    target("'import aiodatapipeline' does not import aiobotocore", lazy, str(lazy))


def _seconds(code: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - start


def _first_call(name: str, url: str) -> float:
    """Seconds from the start of main() to the answer, as the process itself measures them."""
    command = [sys.executable, "-m", "benchmarks.startup", name, url]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


async def _one_call(name: str, url: str) -> float:
    async with CLIENTS[name](url) as call:
        await call()
        return time.perf_counter()


if __name__ == "__main__":
    began = time.perf_counter()
    print(asyncio.run(_one_call(*sys.argv[1:])) - began)
