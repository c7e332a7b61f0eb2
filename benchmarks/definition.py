"""Time to read, check and compare a definition of 100 objects."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from statistics import median

from aiodatapipeline.definition import Definition, check, compare
from benchmarks.table import show, spread, target

OBJECTS = 100
ROUNDS = 40
TARGET = 50.0  # milliseconds for the check


async def run() -> None:
    text = json.dumps(_written(command="load"))
    other = Definition.from_mapping(_written(command="load --again"))
    definition = Definition.from_text(text)
    if errors := check(definition).errors:
        raise SystemExit(f"not the definition that was meant: {errors[0]}")
    steps: dict[str, Callable[[], object]] = {
        "read": lambda: Definition.from_text(text),
        "check": lambda: check(definition),
        "compare": lambda: compare(definition, other),
    }
    figures: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(ROUNDS):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            figures[name].append(1e3 * (time.perf_counter() - start))

    show(
        f"a definition of {OBJECTS} objects and {len(text):,} bytes, {ROUNDS} rounds",
        ("", "milliseconds, median (quartiles)"),
        ((name, spread(found)) for name, found in figures.items()),
    )
    figure = median(figures["check"])
    target(f"checked in under {TARGET:.0f} ms", figure < TARGET, f"{figure:.1f} ms")


def _written(command: str) -> dict[str, object]:
    """Activities in chains of ten that read and write files, with expressions and parameters."""
    objects: list[dict[str, object]] = [
        {
            "id": "Default",
            "scheduleType": "cron",
            "schedule": {"ref": "Daily"},
            "failureAndRerunMode": "cascade",
            "pipelineLogUri": "s3://bucket/logs/",
            "workerGroup": "etl",
            "maximumRetries": "2",
            "retryDelay": "10 minutes",
        },
        {
            "id": "Daily",
            "type": "Schedule",
            "period": "1 day",
            "startDateTime": "2026-01-01T00:00:00",
        },
    ]
    for number in range((OBJECTS - len(objects)) // 2):
        path = f"#{{myBucket}}/{number}/#{{format(@scheduledStartTime, 'YYYY-MM-dd')}}"
        load: dict[str, object] = {
            "id": f"Load{number}",
            "type": "ShellCommandActivity",
            "command": f"{command} --table #{{myTable}} --to #{{output.filePath}}",
            "output": {"ref": f"File{number}"},
        }
        if number % 10:
            load["dependsOn"] = {"ref": f"Load{number - 1}"}
            load["input"] = {"ref": f"File{number - 1}"}
        objects.append(load)
        objects.append({"id": f"File{number}", "type": "S3DataNode", "filePath": path})
    parameters = [
        {"id": "myBucket", "type": "String", "default": "s3://bucket"},
        {"id": "myTable", "type": "String", "default": "orders"},
    ]
    return {"objects": objects, "parameters": parameters}
