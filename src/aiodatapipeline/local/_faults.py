"""What goes wrong on request: for which calls, how often, and how likely. Seeded."""

from __future__ import annotations

import itertools
import random
from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from pydantic import ConfigDict

from aiodatapipeline.operations import OPERATIONS

# How many injections a log keeps.
_LOGGED = 10_000
# Seconds: ten years, so that every date that comes of it is one.
_LARGEST_SKEW = 315_576_000


class FaultKind(StrEnum):
    """What goes wrong."""

    THROTTLE = "throttle"
    """Refused, as if above the rate, in the shape that the switches say."""
    ERROR = "error"
    """500, InternalServiceError."""
    LATE = "late"
    """The answer is as it should be, and comes ``seconds`` late."""
    DROP = "drop"
    """The connection breaks, and no answer comes."""
    HTML = "html"
    """A page comes, of a proxy's kind, with status ``status``."""
    HALF = "half"
    """The connection breaks in the middle of the answer."""
    WRONG_CRC = "wrong-crc"
    """The checksum does not fit the answer."""
    SKEWED_CLOCK = "skewed-clock"
    """The service's clock is ``seconds`` ahead, for the signature and in the header Date."""


_ALWAYS_APPLIED = frozenset({FaultKind.LATE, FaultKind.HALF, FaultKind.WRONG_CRC})
_NEVER_APPLIED = frozenset({FaultKind.THROTTLE, FaultKind.SKEWED_CLOCK})


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Something that goes wrong, and for which calls.

    Attributes:
        kind: What goes wrong.
        operations: Of which calls; of all, if there are none. A single one may be a string.
        first: The first of those calls that it can happen to, counted from 1.
        times: How often it happens at most; None for always.
        probability: How likely it happens to a call, from 0 to 1.
        applied: Whether the operation is carried out nevertheless, for ERROR, DROP and HTML.
        seconds: By the clock of the service. How late the answer of LATE is, or how far ahead
            the clock is; for the others, how long it takes until the caller sees anything.
            Infinite: never, as if a cable had been cut.
        status: Of HTML: 200, or an error's.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    kind: FaultKind
    operations: str | Sequence[str] = ()  # to pydantic, the one is not the other
    first: int = 1
    times: int | None = None
    probability: float = 1.0
    applied: bool = False
    seconds: float = 0.0
    status: int = 502

    def __post_init__(self) -> None:
        """Refuse what makes no sense, in words."""
        object.__setattr__(self, "kind", FaultKind(self.kind))
        one = isinstance(self.operations, str)
        named = (self.operations,) if one else tuple(self.operations)
        object.__setattr__(self, "operations", named)
        for wrong, message in self._doubts():
            if wrong:
                raise ValueError(message)

    def _doubts(self) -> Iterator[tuple[bool, str]]:
        unknown = sorted(set(self.operations) - OPERATIONS.keys())
        yield bool(unknown), f"there is no operation {unknown[:1]} to go wrong"
        yield self.first < 1, f"calls are counted from 1, so first cannot be {self.first}"
        times = self.times
        yield times is not None and times < 1, f"a fault happens once or more, not {times} times"
        yield not 0 <= self.probability <= 1, f"no probability: {self.probability} (0 to 1)"
        if self.kind is FaultKind.SKEWED_CLOCK:
            too_far = not abs(self.seconds) <= _LARGEST_SKEW
            yield too_far, f"a clock cannot be {self.seconds} seconds ahead"
        else:
            yield not self.seconds >= 0, f"nobody can wait for {self.seconds} seconds"
        no_time = self.kind is FaultKind.LATE and not self.seconds
        yield no_time, "say how many seconds late the answer is to come"
        no_page = not (self.status == 200 or 400 <= self.status <= 599)
        yield no_page, f"a page has status 200 or an error's, not {self.status}"
        settled = self.applied and self.kind in _NEVER_APPLIED
        yield settled, f"{self.kind.value} has no say in whether a call is applied"

    @property
    def applies(self) -> bool:
        """Whether the operation is carried out."""
        return self.applied or self.kind in _ALWAYS_APPLIED


@dataclass(frozen=True, slots=True)
class Injected:
    """A fault that happened.

    Attributes:
        number: Which fault it was, as ``Faults.add`` numbered it.
        kind: What went wrong.
        operation: Of which call.
        at: When, in seconds since the epoch by the clock of the service.
        call: Which of the calls that the fault is for it was, counted from 1.
    """

    number: int
    kind: FaultKind
    operation: str
    at: float
    call: int


@dataclass(slots=True)
class _Running:
    """A fault, and how far it has come."""

    number: int
    fault: Fault
    dice: random.Random
    calls: int = 0
    happened: int = 0

    def counts(self, operation: str) -> bool:
        """Count a call, if it is one of those that the fault is for."""
        if self.fault.operations and operation not in self.fault.operations:
            return False
        self.calls += 1
        return True

    def strikes(self) -> bool:
        """Say whether it happens to the call that was counted last."""
        fault = self.fault
        if self.calls < fault.first or self.happened == fault.times:
            return False
        if fault.probability < 1 and self.dice.random() >= fault.probability:
            return False
        self.happened += 1
        return True


class Faults:
    """What is to go wrong, and what did.

    Of several faults that a call could meet, the one that was added first happens; only a clock
    that is off goes together with any other. Faults can be added and taken away at any time.

    Args:
        faults: The first ones.
        seed: The same seed, faults and calls give the same course of things.
    """

    def __init__(self, *faults: Fault, seed: int = 0) -> None:
        self.log: deque[Injected] = deque(maxlen=_LOGGED)
        """What happened, the oldest first; the last 10,000."""
        self._seed = seed
        self._numbers = itertools.count(1)
        self._running: tuple[_Running, ...] = ()
        for fault in faults:
            self.add(fault)

    def __bool__(self) -> bool:
        return bool(self._running)

    @property
    def active(self) -> Mapping[int, Fault]:
        """The faults by their numbers, those that have happened often enough included."""
        return {running.number: running.fault for running in self._running}

    def add(self, fault: Fault) -> int:
        """Have something go wrong from now on.

        Returns:
            Its number, for ``remove``.
        """
        number = next(self._numbers)
        # Dice of its own: what is added later does not change the course of what is there.
        dice = random.Random(f"{self._seed}/{number}")  # noqa: S311  # no secret
        self._running = (*self._running, _Running(number, fault, dice))
        return number

    def remove(self, number: int) -> None:
        """Have something go wrong no longer.

        Raises:
            ValueError: There is no fault of that number.
        """
        if number not in self.active:
            raise ValueError(f"there is no fault number {number}")
        self._running = tuple(one for one in self._running if one.number != number)

    def clear(self) -> None:
        """Have nothing go wrong any more. The log stays."""
        self._running = ()

    @contextmanager
    def during(self, *faults: Fault) -> Generator[None]:
        """Have something go wrong as long as a ``with`` block lasts."""
        numbers = {self.add(fault) for fault in faults}
        try:
            yield
        finally:
            self._running = tuple(one for one in self._running if one.number not in numbers)

    def skew(self, operation: str, now: float) -> float:
        """Say how far the clock is ahead for a call, in seconds."""
        fault = self._choose(operation, now, skew=True)
        return fault.seconds if fault else 0.0

    def choose(self, operation: str, now: float) -> Fault | None:
        """Say what goes wrong with a call, other than the clock."""
        return self._choose(operation, now, skew=False)

    def _choose(self, operation: str, now: float, *, skew: bool) -> Fault | None:
        chosen: Fault | None = None
        for running in self._running:
            fault = running.fault
            if (fault.kind is FaultKind.SKEWED_CLOCK) is not skew or not running.counts(operation):
                continue
            # All of them count it; one happens to it.
            if chosen is None and running.strikes():
                chosen = fault
                self.log.append(Injected(running.number, fault.kind, operation, now, running.calls))
        return chosen
