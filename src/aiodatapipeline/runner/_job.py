"""One task under way: its handler, and how that is stopped."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Executor, Future
from typing import Any, Protocol

from aiodatapipeline._clock import Clock, sleep
from aiodatapipeline.models import PipelineObject
from aiodatapipeline.runner._handlers import Handler
from aiodatapipeline.runner._outcome import Ended, Raised, Returned, tell
from aiodatapipeline.runner._process import HandlerProcess
from aiodatapipeline.runner._task import (
    LOGGER,
    CancelReason,
    LeaseState,
    SyncTask,
    Task,
    TaskInfo,
)


class Asks(Protocol):
    """What can be asked for a handler."""

    async def evaluate(self, pipeline_id: str, object_id: str, expression: str) -> str:
        """Evaluate an expression."""
        ...

    async def describe(self, pipeline_id: str, object_id: str) -> PipelineObject:
        """Give an object."""
        ...


class Job:
    """A task's handler, from its beginning to its end: what the handler sees is linked to it.

    Args:
        info: What is known of the task.
        handler: What is to be called.
        clock: What time it is.
        grace: Seconds that the handler gets to stop.
        nudge: Seconds between cancellations.
        note: Takes what the handler reports, from any thread.
        asks: Answers what the handler asks.
        state: Says how the lease is.
    """

    def __init__(
        self,
        info: TaskInfo,
        handler: Handler,
        clock: Clock,
        *,
        grace: float,
        nudge: float,
        note: Callable[[Mapping[str, str | float]], None],
        asks: Asks,
        state: Callable[[], LeaseState] = lambda: LeaseState.HELD,
    ) -> None:
        self.info, self.handler = info, handler
        self._clock, self._grace, self._nudge = clock, grace, nudge
        self._note, self._asks, self._state = note, asks, state
        self._lock = threading.Lock()
        self._cancelled: CancelReason | None = None
        self._calls: list[Callable[[], None]] = []
        self._news = asyncio.Event()
        self.leaked = False
        """The handler goes on although it was told to stop."""
        self.on_over: Callable[[], None] = lambda: None
        """Called when a handler that leaked has ended after all."""

    # -- what the handler sees ------------------------------------------------------------

    @property
    def cancelled(self) -> CancelReason | None:
        """Why the handler is to stop. See ``Link``."""
        return self._cancelled

    @property
    def lease(self) -> LeaseState:
        """How the lease is. See ``Link``."""
        return self._state()

    def progress(self, fields: Mapping[str, str | float]) -> None:
        """Keep fields for the next report. See ``Link``."""
        self._note(fields)

    def on_cancel(self, call: Callable[[], None]) -> None:
        """Have a function called. See ``Link``."""
        with self._lock:
            if self._cancelled is None:
                self._calls.append(call)
                return
        _beside([call])

    async def evaluate(self, object_id: str, expression: str) -> str:
        """Evaluate an expression. See ``Link``."""
        return await self._asks.evaluate(self.info.pipeline_id, object_id, expression)

    async def describe(self, object_id: str) -> PipelineObject:
        """Give an object. See ``Link``."""
        return await self._asks.describe(self.info.pipeline_id, object_id)

    # -- what the runner does -------------------------------------------------------------

    def cancel(self, reason: CancelReason) -> None:
        """Tell the handler to stop, or that there is a better reason to."""
        with self._lock:
            calls, self._calls = self._calls, []
            self._cancelled = reason
        if calls:
            _beside(calls)
        self._news.set()

    async def perform(self) -> Ended:
        """Call the handler, and wait for its end.

        A handler that is told to stop and has not after the grace is left behind: ``leaked`` is
        set, and ``on_over`` is called once it ends after all.
        """
        if self._cancelled is not None:
            return Raised(tell(asyncio.CancelledError("before the handler began")))
        try:
            arguments = self.handler.arguments(self.info.object)
        except Exception as error:  # noqa: BLE001  # a model may have validators of its own
            return Raised(tell(error))
        work = asyncio.get_running_loop().create_task(
            self._calling(arguments), name=f"handler of {self.info.attempt_id}"
        )
        work.add_done_callback(self._note_end)
        try:
            await self._news.wait()
            if not work.done():
                await self._stop(work)
        except asyncio.CancelledError:
            # The runner has no more time.
            self.leaked = not work.done()
            work.cancel()
            raise
        if work.done():
            self._news.clear()
            return work.result()
        self.leaked = True
        return Raised(tell(TimeoutError(f"the handler did not stop within {self._grace:g} s")))

    async def nap(self, seconds: float) -> bool:
        """Wait, and say whether the handler is to stop."""
        appointment = self._clock.call_at(self._clock.time() + seconds, self._news.set)
        try:
            await self._news.wait()
        finally:
            appointment.cancel()
        self._news.clear()
        return self._cancelled is not None

    def _note_end(self, _work: asyncio.Task[Ended]) -> None:
        self._news.set()
        if self.leaked:
            self.on_over()

    async def _stop(self, work: asyncio.Task[Ended]) -> None:
        left = self._grace
        while left > 0 and not work.done():
            work.cancel()
            nap = min(self._nudge, left)
            left -= nap
            timer = asyncio.ensure_future(sleep(self._clock, nap))
            try:
                await asyncio.wait({work, timer}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                timer.cancel()

    def _calling(self, arguments: tuple[object, ...]) -> Coroutine[Any, Any, Ended]:
        run_in = self.handler.run_in
        if run_in is None:
            return self._in_loop(arguments)
        if run_in == "thread":
            return self._in_thread(arguments)
        if run_in == "process":
            return self._in_process(arguments)
        return self._on_executor(run_in, arguments)

    async def _in_loop(self, arguments: tuple[object, ...]) -> Ended:
        try:
            # Registering it has made sure that it is async.
            called: Any = self.handler.function(Task(self.info, self), *arguments)
            return Returned(await called)
        except BaseException as error:  # noqa: BLE001  # SystemExit would stop the event loop
            return Raised(tell(error))

    async def _in_thread(self, arguments: tuple[object, ...]) -> Ended:
        done: Future[Ended] = Future()
        task = SyncTask(self.info, self)

        def run() -> None:
            try:
                ended: Ended = Returned(self.handler.function(task, *arguments))
            except BaseException as error:  # noqa: BLE001  # it has nobody else to tell
                ended = Raised(tell(error))
            done.set_result(ended)

        # Not of a pool: one that never ends must not keep the interpreter.
        threading.Thread(target=run, name=f"handler of {self.info.attempt_id}", daemon=True).start()
        return await _insist(done, lambda _: None)

    async def _in_process(self, arguments: tuple[object, ...]) -> Ended:
        done: Future[Ended] = Future()
        process = HandlerProcess(
            self.handler.function, self.info, arguments, self._note, done.set_result
        )
        # First it is asked, and the next time made to.
        return await _insist(done, lambda times: process.stop(force=times > 1))

    async def _on_executor(self, executor: Executor, arguments: tuple[object, ...]) -> Ended:
        try:
            future = executor.submit(self.handler.function, SyncTask(self.info, self), *arguments)
        except Exception as error:  # noqa: BLE001  # it may be shut down, or broken
            return Raised(tell(error))
        done: Future[Ended] = Future()

        def note(ended: Future[object]) -> None:
            try:
                done.set_result(Returned(ended.result()))
            except BaseException as error:  # noqa: BLE001  # whatever the handler raised
                done.set_result(Raised(tell(error)))

        future.add_done_callback(note)
        return await _insist(done, lambda _: void(future.cancel()))


def void(_: object) -> None:
    """Forget a value."""


async def _insist(done: Future[Ended], stop: Callable[[int], None]) -> Ended:
    """Wait for the end of what cannot be cancelled; tell it to stop instead, each time."""
    waiting = asyncio.wrap_future(done)
    times = 0
    while True:
        try:
            return await asyncio.shield(waiting)
        except asyncio.CancelledError:
            times += 1
            stop(times)


def _beside(calls: list[Callable[[], None]]) -> None:
    """Call functions in a thread, where they can block nobody."""

    def run() -> None:
        for call in calls:
            try:
                call()
            except BaseException:  # noqa: BLE001  # the handler's; it goes into the log
                LOGGER.exception("a handler's on_cancel function failed")

    threading.Thread(target=run, name="aiodatapipeline-on-cancel", daemon=True).start()
