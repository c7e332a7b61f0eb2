"""What time it is, and who is called when: the one clock of a local service or a runner.

A program that asks a ``Clock`` for everything can be tested in another time than ours: on a
``VirtualClock`` a day passes as fast as what happens in it can be worked off.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sized
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol
from weakref import WeakSet


class Appointment(Protocol):
    """A call that is to come."""

    def cancel(self) -> None:
        """Call it off. What was made already stays made."""
        ...


class Clock(Protocol):
    """Tells the time, and calls at a time. ``SystemClock`` and ``VirtualClock`` are two."""

    def time(self) -> float:
        """Give the seconds since the epoch. They never go back."""
        ...

    def call_at(self, when: float, callback: Callable[[], None]) -> Appointment:
        """Have a function called, in the event loop that runs now, once it is ``when``.

        Args:
            when: Seconds since the epoch. What is past is called soon.
            callback: Quick, and called once at most.
        """
        ...

    def working(self) -> AbstractContextManager[None]:
        """Hold a time that can be skipped while something is under way that takes none."""
        ...


async def sleep_until(clock: Clock, when: float) -> None:
    """Wait until a clock says ``when``, in seconds since the epoch."""
    reached = asyncio.Event()
    appointment = clock.call_at(when, reached.set)
    try:
        await reached.wait()
    finally:
        appointment.cancel()


async def sleep(clock: Clock, seconds: float) -> None:
    """Wait for a number of a clock's seconds."""
    await sleep_until(clock, clock.time() + seconds)


def _passed() -> float:
    """Give the seconds since some time, those included in which the machine slept."""
    boot: int | None = getattr(time, "CLOCK_BOOTTIME", None)  # of Linux
    return time.monotonic() if boot is None else time.clock_gettime(boot)


class SystemClock:
    """The time of day when it was made, and the time that passed since.

    So it does not jump when somebody sets the machine's clock, as the ends of leases must not;
    but they do come while the machine sleeps.
    """

    def __init__(self) -> None:
        self._epoch = time.time() - _passed()

    def time(self) -> float:
        """Give the seconds since the epoch."""
        return self._epoch + _passed()

    def call_at(self, when: float, callback: Callable[[], None]) -> Appointment:
        """Have a function called once it is ``when``. See ``Clock.call_at``."""
        return asyncio.get_running_loop().call_later(max(0.0, when - self.time()), callback)

    def working(self) -> AbstractContextManager[None]:
        """Do nothing: this time cannot be held."""
        return nullcontext()


@dataclass(order=True, slots=True)
class _Call:
    when: float
    number: int  # in the order of asking, among those of one time
    loop: asyncio.AbstractEventLoop = field(compare=False)
    callback: Callable[[], None] = field(compare=False)
    off: bool = field(default=False, compare=False)

    def cancel(self) -> None:
        self.off = True

    def make(self) -> None:
        if not self.off:
            self.off = True
            self.callback()


# Seconds of real time after which a loop that does not answer is looked at: it may have ended.
_GLANCE = 0.05
# How often everybody gets a turn before time goes on: more than any chain of awaits that takes
# no time is long.
_TURNS = 50
# After so many in a row in which nobody was to be called, nobody will be. One shows what has come
# over sockets; a busy machine may hand it on a little later.
_IDLE = 8
# How many rounds have to be quiet if there are other threads: what one hands to this one in the
# first is worked off in the second, and what this one hands back then too.
_QUIET = 2
# How often time waits for another round, if somebody is at work all the time.
_PASSES = 100


class VirtualClock:
    """A clock that stands still until somebody moves it.

    Between two calls that fall due everybody gets time to work off the first, in whatever
    event loops and threads they are: what happens in an hour is the same as in a real one.

    Args:
        start: What time it is at first, with a time zone.
    """

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        if start.tzinfo is None:
            raise ValueError("start needs a time zone, such as datetime.now(UTC) has")
        self._now = start.timestamp()
        self._numbers = itertools.count()
        self._calls: list[_Call] = []
        self._lock = threading.Lock()  # a runner keeps its leases in a thread of their own
        self._working = 0
        self._works = 0  # that have begun
        # Loops that have asked for calls. One may have none to come, and be about to ask.
        self._loops: WeakSet[asyncio.AbstractEventLoop] = WeakSet()

    def time(self) -> float:
        """Give the seconds since the epoch."""
        return self._now

    def call_at(self, when: float, callback: Callable[[], None]) -> Appointment:
        """Have a function called once it is ``when``. See ``Clock.call_at``."""
        call = _Call(when, next(self._numbers), asyncio.get_running_loop(), callback)
        with self._lock:
            self._loops.add(call.loop)
        if when <= self._now:
            call.loop.call_soon(call.make)
        else:
            with self._lock:
                heapq.heappush(self._calls, call)
        return call

    @contextmanager
    def working(self) -> Generator[None, None, None]:
        """Hold the time while something is under way that takes none."""
        with self._lock:
            self._working += 1
            self._works += 1
        try:
            yield
        finally:
            with self._lock:
                self._working -= 1

    async def advance(self, seconds: float) -> None:
        """Let time go on, by way of everything that falls due meanwhile.

        Args:
            seconds: 0 or more. With 0, what is under way is worked off.
        """
        if not seconds >= 0:
            raise ValueError(f"time goes on by 0 seconds or more, not by {seconds!r}")
        end = self._now + seconds
        await self._settle()
        while call := self._next(end):
            self._now = max(self._now, call.when)
            if call.loop is asyncio.get_running_loop():
                call.make()
            elif not call.loop.is_closed():
                call.loop.call_soon_threadsafe(call.make)
            await self._settle()
        self._now = max(self._now, end)
        await self._settle()

    def _next(self, end: float) -> _Call | None:
        with self._lock:
            while self._calls and (self._calls[0].off or self._calls[0].when <= end):
                call = heapq.heappop(self._calls)
                if not call.off:
                    return call
        return None

    async def _settle(self) -> None:
        """Give everybody turns until nobody says to be at work."""
        here, in_a_row = asyncio.get_running_loop(), 0
        for _ in range(_PASSES):
            # What is on its way between two threads is in neither of them for a moment: it is
            # over when nothing was under way during all of a pass.
            quiet, works = not self._working, self._works
            for _ in _turns(here):
                await asyncio.sleep(0)
            with self._lock:
                others = {loop for loop in self._loops if loop is not here}
            for loop in others:
                await _gone_round(loop)
            in_a_row = in_a_row + 1 if quiet and works == self._works else 0
            if in_a_row >= (_QUIET if others else 1):
                return
            while self._working:  # noqa: ASYNC110  # it is a number that other threads change
                # Somebody waits for a socket or a thread, which take real time.
                await asyncio.sleep(0.0005)


def _turns(loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    """Count the turns that an event loop needs until everybody who wants one had it."""
    # What it is to call next, besides who asks here. Those of other makers do not show it.
    ready: Sized = getattr(loop, "_ready", "unknown")
    idle = 0
    for _ in range(_TURNS):
        idle = 0 if ready else idle + 1
        if idle > _IDLE:
            return
        yield


async def _gone_round(loop: asyncio.AbstractEventLoop) -> None:
    """Wait until an event loop of another thread has gone round some times, or has ended."""
    gone_round: Future[None] = Future()
    turns = _turns(loop)

    def turn() -> None:
        for _ in turns:
            loop.call_soon(turn)
            return
        gone_round.set_result(None)

    try:
        loop.call_soon_threadsafe(turn)
    except RuntimeError:
        return  # it is closed
    known = asyncio.wrap_future(gone_round)
    while loop.is_running() and not known.done():
        await asyncio.wait([known], timeout=_GLANCE)
