"""The limits of an account. Source: "AWS Data Pipeline Limits" in the developer guide."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountQuotas:
    """How much of everything there may be. The defaults keep a local service out of trouble.

    Attributes:
        pipelines: In the account; None does not count them.
        objects: In a pipeline.
        active_instances: Of an object at once: the most that maxActiveInstances can ask for.
        rollups: Intervals of another object that one interval of an object may reach over.
    """

    pipelines: int | None = None
    objects: int = 10_000
    active_instances: int = 1_000
    rollups: int = 1_000

    AWS: ClassVar[AccountQuotas]
    """Those of an account whose limits nobody raised."""


AccountQuotas.AWS = AccountQuotas(pipelines=100, objects=100, active_instances=5, rollups=32)
