"""One exchange with the service: what stands in front of it, for HTTP and in process alike.

A call is looked at (its signature, say), counted against the rates, met by a fault or not, and
then answered.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from email.utils import formatdate
from typing import Protocol, cast

from aiodatapipeline._clock import Clock
from aiodatapipeline._seam import Reply
from aiodatapipeline.local._errors import html_page, refusal
from aiodatapipeline.local._faults import Fault, FaultKind, Faults
from aiodatapipeline.local._rates import Rates, throttled
from aiodatapipeline.local._switches import Switches

_POLL = "PollForTask"

Alive = Callable[[], bool]
Check = Callable[[float], Reply | None]
"""Looks at a request by a time, in seconds since the epoch, and refuses it or does not."""


class Answering(Protocol):
    """The service behind the front."""

    async def answer(self, operation: str, body: bytes, alive: Alive) -> Reply:
        """Answer a request, whatever is in it. Cancelling the call takes a poll away.

        Args:
            operation: As in X-Amz-Target behind the dot.
            body: As it was received.
            alive: Asked right before a task is handed to a poll: False if nobody is there any
                more to take it.
        """
        ...

    async def reset(self) -> None:
        """Forget everything; open polls stay open."""
        ...


@dataclass(frozen=True, slots=True)
class Broken:
    """The connection breaks: before an answer, or in the middle of ``reply``."""

    reply: Reply | None = None


class Front:
    """Stands in front of a service.

    Args:
        service: What answers.
        clock: Its clock.
        switches: How it behaves where its sources leave it open.
        faults: What is to go wrong.
        rates: How often each operation may be called; None for no limit.
    """

    def __init__(
        self,
        service: Answering,
        clock: Clock,
        switches: Switches | None = None,
        *,
        faults: Faults | None = None,
        rates: Rates | None = None,
    ) -> None:
        self.service, self.clock = service, clock
        self.switches = switches or Switches()
        self.faults = Faults() if faults is None else faults
        self._rates = rates
        self._unnoticed: set[asyncio.Task[Reply]] = set()
        self._waiting: set[asyncio.Event] = set()
        self._closing = False

    async def exchange(
        self, operation: str, body: bytes, alive: Alive, check: Check | None = None
    ) -> Reply | Broken:
        """Answer a request, or do to it what was asked for."""
        if self._closing:
            return Broken()
        if not self.faults:
            return self._refused(operation, check, 0.0) or await self._ask(operation, body, alive)
        skew = self.faults.skew(operation, self.clock.time())
        answer: Reply | Broken | None = self._refused(operation, check, skew)
        if answer is None:
            fault = self.faults.choose(operation, self.clock.time())
            if fault is None:
                answer = await self._ask(operation, body, alive)
            else:
                answer = await self._spoil(fault, operation, body, alive)
        return self._dated(answer, skew)

    def close(self) -> None:
        """Let go of what waits here; whoever asks from now on finds the connection broken."""
        self._closing = True
        for waiting in self._waiting:
            waiting.set()

    async def aclose(self) -> None:
        """Close, and take polls away whose connections are gone."""
        self.close()
        for task in self._unnoticed:
            task.cancel()
        if self._unnoticed:
            await asyncio.wait(self._unnoticed)

    @property
    def closed(self) -> bool:
        """Whether nobody is answered any more."""
        return self._closing

    def _refused(self, operation: str, check: Check | None, skew: float) -> Reply | None:
        if check is not None and (refused := check(self.clock.time() + skew)) is not None:
            return refused
        if self._rates is not None and not self._rates.take(operation):
            return throttled(self.switches.throttle_shape)
        return None

    async def _ask(self, operation: str, body: bytes, alive: Alive) -> Reply:
        if operation != _POLL or self.switches.notices_hangup:
            return await self.service.answer(operation, body, alive)
        # Nobody tells it when the poller goes.
        task = asyncio.ensure_future(self.service.answer(operation, body, _always))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            self._unnoticed.add(task)
            task.add_done_callback(self._unnoticed.discard)
            raise

    async def _spoil(
        self, fault: Fault, operation: str, body: bytes, alive: Alive
    ) -> Reply | Broken:
        reply = await self._ask(operation, body, alive) if fault.applies else None
        if fault.seconds:
            await self._wait(fault.seconds)
        if self._closing or fault.kind is FaultKind.DROP:
            return Broken()
        if fault.kind is FaultKind.HALF:
            return Broken(reply)
        if fault.kind is FaultKind.WRONG_CRC:
            return _with_wrong_checksum(cast("Reply", reply))
        return self._instead(fault) or cast("Reply", reply)

    def _instead(self, fault: Fault) -> Reply | None:
        """Give what comes in the service's place."""
        match fault.kind:
            case FaultKind.THROTTLE:
                return throttled(self.switches.throttle_shape)
            case FaultKind.ERROR:
                return refusal("InternalServiceError", "The local service was told to fail", 500)
            case FaultKind.HTML:
                return html_page(fault.status, f"{fault.status} from a proxy")
            case _:
                return None

    async def _wait(self, seconds: float) -> None:
        over = asyncio.Event()
        appointment = self.clock.call_at(self.clock.time() + seconds, over.set)
        self._waiting.add(over)
        try:
            await over.wait()
        finally:
            self._waiting.discard(over)
            appointment.cancel()

    def _dated(self, answer: Reply | Broken, skew: float) -> Reply | Broken:
        """Date an answer by a clock that is off."""
        if not skew:
            return answer
        if isinstance(answer, Broken):
            return Broken(answer.reply and self._with_date(answer.reply, skew))
        return self._with_date(answer, skew)

    def _with_date(self, reply: Reply, skew: float) -> Reply:
        return replace(
            reply, headers={**reply.headers, "date": http_date(self.clock.time() + skew)}
        )


def _with_wrong_checksum(reply: Reply) -> Reply:
    wrong = int(reply.headers["x-amz-crc32"]) ^ 1
    return replace(reply, headers={**reply.headers, "x-amz-crc32": str(wrong)})


def http_date(now: float) -> str:
    """Write a time as HTTP does."""
    return formatdate(now, usegmt=True)


def _always() -> bool:
    return True
