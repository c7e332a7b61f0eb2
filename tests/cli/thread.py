"""An event loop in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

ResultT = TypeVar("ResultT")

_PATIENCE = 20.0


class LoopThread:
    """Runs coroutines beside whatever the test does."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="beside the test")

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.get_loop().run_forever()

    def start(self) -> None:
        self._thread.start()

    def begin(self, work: Coroutine[Any, Any, ResultT]) -> Future[ResultT]:
        """Let a coroutine run there."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def call(self, work: Coroutine[Any, Any, ResultT]) -> ResultT:
        """Run a coroutine there, and give what it gives."""
        return self.begin(work).result(_PATIENCE)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_PATIENCE)
