"""A service that answers from any thread at once, for what takes real time."""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from aiodatapipeline import DataPipelineClient, Reply
from aiodatapipeline.runner import TaskRunner
from aiodatapipeline.runner._lease import Timing


class Answers:
    """Hands out tasks, takes everything, and notes when."""

    def __init__(self, *kinds: str, **fields: str) -> None:
        self.sent: list[tuple[float, str, Mapping[str, Any]]] = []
        self._kinds = deque(enumerate(kinds))
        self._fields = fields

    def client(self) -> DataPipelineClient:
        return DataPipelineClient(transport=self)

    async def send(self, operation: str, body: Mapping[str, object], timeout: float) -> Reply:
        self.sent.append((time.monotonic(), operation, body))
        if operation == "PollForTask":
            if not self._kinds:
                await asyncio.sleep(timeout)
                return Reply(200, b"{}")
            return Reply(
                200, json.dumps({"taskObject": self._task(*self._kinds.popleft())}).encode()
            )
        if operation == "ReportTaskProgress":
            return Reply(200, b'{"canceled": false}')
        if operation == "ReportTaskRunnerHeartbeat":
            return Reply(200, b'{"terminate": false}')
        return Reply(200, b"{}")

    def _task(self, number: int, kind: str) -> dict[str, Any]:
        attempt_id = f"@Job{number}_Attempt=1"
        fields = [{"key": "type", "stringValue": kind}]
        fields += [{"key": key, "stringValue": value} for key, value in self._fields.items()]
        return {
            "taskId": f"task-{number}",
            "pipelineId": "df-1",
            "attemptId": attempt_id,
            "objects": {attempt_id: {"id": attempt_id, "name": attempt_id, "fields": fields}},
        }

    def times(self, operation: str) -> list[float]:
        return [at for at, name, _ in self.sent if name == operation]

    def bodies(self, operation: str) -> list[Mapping[str, Any]]:
        return [body for _, name, body in self.sent if name == operation]


def hurried(runner: TaskRunner, **timing: float) -> TaskRunner:
    """Let a runner's minutes be hundredths of a second."""
    quick = {"report": 0.05, "tick": 0.02, "nudge": 0.05, **timing}
    runner._settings = replace(  # pyright: ignore[reportPrivateUsage]
        runner._settings,  # pyright: ignore[reportPrivateUsage]
        timing=Timing(**quick),
    )
    return runner
