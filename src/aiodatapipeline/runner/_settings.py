"""What a runner was told when it was made, and how it is told to stop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Literal

from aiodatapipeline._client import DataPipelineClient
from aiodatapipeline._clock import Clock
from aiodatapipeline.runner._events import Event
from aiodatapipeline.runner._lease import Timing


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The arguments of ``TaskRunner``."""

    worker_groups: tuple[str, ...]
    client: Callable[[], DataPipelineClient]
    state_dir: Path | None
    max_concurrency: int
    drain_timeout: float
    cancel_grace: float
    recover: Literal["abandon", "fail", "resume"]
    late_failed: Literal["reprove", "withhold"]
    ignore_unknown: bool
    account_share: float | None
    stall_limit: float
    taskrunner_id: str | None
    hostname: str
    on_event: Callable[[Event], None] | None
    clock: Clock
    timing: Timing


class Stage(IntEnum):
    """How much a runner is in a hurry to stop."""

    WORKING = 0
    DRAINING = 1
    CANCELLING = 2
