"""How often an account may call each operation, on request: one token bucket for each.

Source: "AWS Data Pipeline limits" in the developer guide.
"""

from __future__ import annotations

from collections.abc import Mapping

from aiodatapipeline._clock import Clock
from aiodatapipeline._seam import Reply
from aiodatapipeline.local._errors import html_page, refusal
from aiodatapipeline.local._switches import ThrottleShape
from aiodatapipeline.operations import OPERATIONS

# Calls per second. The four that the limits do not name are treated as most others.
PER_SECOND: Mapping[str, float] = dict.fromkeys(OPERATIONS, 1.0) | {
    "ReportTaskProgress": 10.0,
    "SetTaskStatus": 10.0,
    "PollForTask": 2.0,
    "DescribeObjects": 2.0,
    "QueryObjects": 2.0,
}
# Calls at once, after a time without any.
BURST = 100.0


class Rates:
    """A bucket for each operation: a call takes a token, and time brings new ones.

    Args:
        clock: Brings them.
        per_second: New tokens, for each operation; without limit for those that it lacks.
        burst: How many a bucket holds. It is full at first.
    """

    def __init__(
        self, clock: Clock, per_second: Mapping[str, float] = PER_SECOND, burst: float = BURST
    ) -> None:
        if burst < 1:
            raise ValueError(f"a burst of {burst} admits no call: 1 is the least")
        for operation, rate in per_second.items():
            if operation not in OPERATIONS:
                raise ValueError(f"there is no operation {operation!r} to limit the rate of")
            if rate < 0:
                raise ValueError(f"the rate of {operation} is negative: {rate}")
        self._clock, self._per_second, self._burst = clock, per_second, burst
        self._buckets: dict[str, tuple[float, float]] = {}  # tokens, and when there were so many

    def take(self, operation: str) -> bool:
        """Take a token, if there is one. A call that is refused takes none."""
        rate = self._per_second.get(operation)
        if rate is None:
            return True
        now = self._clock.time()
        tokens, then = self._buckets.get(operation, (self._burst, now))
        tokens = min(self._burst, tokens + (now - then) * rate)
        admitted = tokens >= 1
        self._buckets[operation] = (tokens - admitted, now)
        return admitted


def throttled(shape: ThrottleShape) -> Reply:
    """Refuse a call that is above the rate."""
    if shape is ThrottleShape.UNAVAILABLE:
        return html_page(503, "Service Unavailable")
    return refusal(shape.value, "Rate exceeded")
