"""The local service without a socket: a transport of the client's, for any event loop."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from typing import cast

from aiodatapipeline._seam import Reply
from aiodatapipeline.errors import ReadTimeoutError, RequestNotSentError, ResponseLostError
from aiodatapipeline.local._front import Broken, Front


class LocalTransport:
    """Carries requests to a front in this process.

    It may be used in whatever event loops and threads there are. A sender that gives up or is
    cancelled has hung up.

    Args:
        front: Answers.
        loop: Where it lives.
    """

    def __init__(self, front: Front, loop: asyncio.AbstractEventLoop) -> None:
        self._front, self._loop = front, loop

    async def send(self, operation: str, body: Mapping[str, object], timeout: float) -> Reply:
        """Send a request once. See ``Transport.send``."""
        data = json.dumps(body).encode()
        if self._front.closed or self._loop.is_closed():
            raise RequestNotSentError(
                "the local service is closed", operation=operation, retryable=False
            )
        try:
            async with asyncio.timeout(timeout):
                if asyncio.get_running_loop() is self._loop:
                    answer = await self._front.exchange(operation, data, _sender_waits())
                else:
                    answer = await self._exchange_there(operation, data)
        except TimeoutError as error:
            raise ReadTimeoutError("no answer in the time for it", operation=operation) from error
        if isinstance(answer, Reply):
            return answer
        if answer.reply is None or not answer.reply.body:
            raise ResponseLostError("the connection broke: no answer came", operation=operation)
        half = answer.reply.body[: len(answer.reply.body) // 2]
        return replace(answer.reply, body=half)

    async def _exchange_there(self, operation: str, data: bytes) -> Reply | Broken:
        """Have the exchange in the service's own loop.

        A time that can be skipped is held while the request or the answer is on its way
        between two threads.
        """
        lock, on_its_way = threading.Lock(), ExitStack()
        waits, has_left = _sender_waits(), False
        on_its_way.enter_context(self._front.clock.working())

        async def exchange() -> Reply | Broken:
            with lock:
                on_its_way.close()
            try:
                return await self._front.exchange(operation, data, waits)
            finally:
                with lock:
                    # Nobody would let go of a time that is held for a sender who has left.
                    held = nullcontext() if has_left else self._front.clock.working()
                    on_its_way.enter_context(held)

        try:
            answer = asyncio.run_coroutine_threadsafe(exchange(), self._loop)
            return await asyncio.wrap_future(answer)
        finally:
            with lock:
                has_left = True
                on_its_way.close()


def _sender_waits() -> Callable[[], bool]:
    """Tell whether the task that runs now still wants an answer."""
    task = cast("asyncio.Task[object]", asyncio.current_task())
    before = task.cancelling()
    return lambda: task.cancelling() == before and not task.done()
