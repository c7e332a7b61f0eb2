"""A thread at work that something has to be interrupted in: a database's statement, say.

A process that is killed would stop our side of a connection alone: the server goes on with the
statement. What a driver offers to interrupt one tells the server.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Generator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from typing import TypeVar

from aiodatapipeline.runner._task import Task
from aiodatapipeline.runner.builtin._aside import to_its_end

ResultT = TypeVar("ResultT")

# Seconds between interruptions, for the first may come between two statements: the first and the
# longest.
_FIRST, _LAST = 0.02, 2.0


class StoppedError(Exception):
    """The thread was told to stop."""


class Halt:
    """Tells a thread to stop, and interrupts what it waits for until it has."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._told, self._over = threading.Event(), threading.Event()
        self._interrupt: Callable[[], object] | None = None

    @property
    def is_told(self) -> bool:
        """Whether the thread is to stop."""
        return self._told.is_set()

    def check(self) -> None:
        """Go on if that is still wanted.

        Raises:
            StoppedError: It is not.
        """
        if self.is_told:
            raise StoppedError

    @contextmanager
    def interrupting(self, interrupt: Callable[[], object]) -> Generator[None]:
        """Have a function called, again and again, if the thread is to stop inside of this.

        Args:
            interrupt: Called in another thread, and never once this is left.
        """
        with self._lock:
            self._interrupt = interrupt
        try:
            self.check()
            yield
            self.check()
        finally:
            with self._lock:
                self._interrupt = None

    def tell(self) -> None:
        """Tell the thread to stop, without waiting for it."""
        self._told.set()
        threading.Thread(target=self.insist, name="aiodatapipeline-halt", daemon=True).start()

    def insist(self) -> None:
        """Interrupt what is under way, until the thread is over."""
        nap = _FIRST
        while not self._over.wait(nap):
            nap = min(2 * nap, _LAST)
            with self._lock, suppress(Exception):  # it may be over, or out of reach: once more
                if self._interrupt is not None:
                    self._interrupt()

    def end(self) -> None:
        """Stop interrupting: the thread is over."""
        self._over.set()


async def in_own_thread(call: Callable[[Halt], ResultT]) -> ResultT:
    """Have a function called in a thread, and do not leave it behind there.

    It may take hours, and must keep neither the loop's own few threads nor the interpreter.

    Args:
        call: It is given what tells it to stop.
    """
    halt, done = Halt(), Future[ResultT]()

    def run() -> None:
        try:
            result = call(halt)
        except BaseException as error:  # noqa: BLE001  # whoever waits gets it
            halt.end()
            done.set_exception(error)
        else:
            halt.end()
            done.set_result(result)

    threading.Thread(target=run, name="aiodatapipeline-sql", daemon=True).start()
    return await to_its_end(_wait(done), halt.tell)


async def _wait(done: Future[ResultT]) -> ResultT:
    return await asyncio.wrap_future(done)


def teller(task: Task) -> Callable[[str, int], None]:
    """Give what reports a number as progress, for such a thread; nobody waits for it."""
    loop = asyncio.get_running_loop()

    def tell(name: str, number: int) -> None:
        asyncio.run_coroutine_threadsafe(task.progress(**{name: number}), loop)

    return tell
