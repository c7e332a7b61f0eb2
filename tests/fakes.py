"""Fakes at the seams: what carries the requests, and what time it is."""

from __future__ import annotations

import asyncio
import json
import selectors
import time
from collections.abc import Coroutine, Mapping
from typing import Any, NamedTuple, TypeVar
from unittest.mock import patch

from aiodatapipeline import Reply

ResultT = TypeVar("ResultT")


class Sent(NamedTuple):
    """What a transport was given to send."""

    operation: str
    body: Mapping[str, object]
    timeout: float
    at: float
    """When, by ``time.monotonic``."""


class FakeTransport:
    """Answers from a script: a reply or an error per request, then ``then`` for every other."""

    def __init__(
        self, *script: Reply | Exception, then: Reply | None = None, takes: float = 0
    ) -> None:
        self.sent: list[Sent] = []
        self._script, self._then, self._takes = iter(script), then, takes

    async def send(self, operation: str, body: Mapping[str, object], timeout: float) -> Reply:
        self.sent.append(Sent(operation, body, timeout, time.monotonic()))
        await asyncio.sleep(self._takes)
        reply = next(self._script, self._then)
        assert reply is not None, f"nothing is left in the script for {operation}"
        if isinstance(reply, Exception):
            raise reply
        return reply


def answer(
    members: Mapping[str, object] | None = None, headers: Mapping[str, str] | None = None
) -> Reply:
    """The service's yes."""
    return Reply(200, json.dumps(members or {}).encode(), headers or {})


def refusal(code: str, status: int = 400) -> Reply:
    """The service's no."""
    return Reply(status, json.dumps({"__type": code, "message": "no"}).encode())


class Clock:
    """Time that passes only when an event loop waits, and then at once.

    A wait of 90 seconds takes no time and ends on the second.
    """

    def __init__(self) -> None:
        self.now = 0.0

    def run(self, main: Coroutine[Any, Any, ResultT]) -> ResultT:
        """Do what ``asyncio.run`` does, by this clock."""
        with (
            patch("time.monotonic", lambda: self.now),
            asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(_Skip(self))) as runner,
        ):
            return runner.run(main)


class _Skip(selectors.DefaultSelector):
    """Where an event loop waits."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            assert timeout is not None, "nothing can happen any more"
            self._clock.now += timeout
        return ready
