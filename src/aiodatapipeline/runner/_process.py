"""A handler in a process of its own: the one kind of code that can be stopped whatever it does.

The process leads a group, so that what it starts ends with it, and it ends with its parent.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import Any

from aiodatapipeline._failure import Failure
from aiodatapipeline.runner._outcome import Ended, Raised, Returned, tell
from aiodatapipeline.runner._task import CancelReason, LeaseState, SyncTask, TaskInfo, Unlinked

# Seconds between two looks whether a process is still there, and how many it gets to exit after it
# has said how its handler ended.
_LOOK, _EXIT_LOOKS = 0.5, 10


class HandlerProcess:
    """Runs one call of a handler.

    Args:
        function: The handler; it is imported by name over there.
        info: What it is told of the task.
        arguments: What it is given behind the task.
        progress: Takes what it reports, in another thread.
        done: Takes how it ended, in another thread.
    """

    def __init__(
        self,
        function: Callable[..., object],
        info: TaskInfo,
        arguments: tuple[object, ...],
        progress: Callable[[Mapping[str, str | float]], None],
        done: Callable[[Ended], None],
    ) -> None:
        self._start = (function, info, arguments)
        self._progress, self._done = progress, done
        self._process: BaseProcess | None = None
        self._lock = threading.Lock()
        self._signal: int | None = None
        thread = threading.Thread(target=self._run, name="aiodatapipeline-process", daemon=True)
        thread.start()

    def stop(self, *, force: bool) -> None:
        """Tell the process, and what it has started, to end; with ``force``, end them."""
        with self._lock:
            self._signal = signal.SIGKILL if force else signal.SIGTERM
            self._send(self._signal)

    def _send(self, number: int) -> None:
        process = self._process
        if process is None or process.pid is None:
            return
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            # It leads no group yet, or it is over.
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, number)

    def _run(self) -> None:
        try:
            ended = self._talk()
        except BaseException as error:  # noqa: BLE001  # what does not pickle, no more processes
            ended = Raised(tell(error))
        self._done(ended)

    def _talk(self) -> Ended:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        with ours:
            with theirs:
                process = context.Process(
                    target=_child, args=(theirs, *self._start), name="aiodatapipeline-handler"
                )
                with self._lock:
                    process.start()
                    self._process = process
                    # Only if the handler was stopped while its process was being started.
                    if self._signal is not None:  # pragma: no cover  # nobody can time that
                        self._send(self._signal)
            try:
                ended = self._listen(ours, process)
                any(
                    process.exitcode is not None or wait([process.sentinel], _LOOK)
                    for _ in range(_EXIT_LOOKS)
                )
            finally:
                with self._lock:
                    # That its number is another's by now would take a whole round of numbers.
                    self._send(signal.SIGKILL)
                    process.join()
                    self._process = None
        if ended is None:
            ended = Raised(Failure("ProcessDied", _how(process.exitcode), ""))
        process.close()
        return ended

    def _listen(self, connection: Connection[Any, Any], process: BaseProcess) -> Ended | None:
        while True:
            # What the handler has forked has its end of the pipe, too: that it is over shows at
            # nothing but the process itself. What it said before is still to be read.
            while not connection.poll(_LOOK):
                if process.exitcode is not None and not connection.poll():
                    return None
            try:
                said = connection.recv()
            except (EOFError, OSError):
                return None
            if isinstance(said, Returned | Raised):
                return said
            self._progress(said)


def _how(exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        return f"the handler's process was killed by {signal.Signals(-exit_code).name}"
    return f"the handler's process exited with {exit_code} before the handler ended"


# -- over there -----------------------------------------------------------------------------


class _Pipe(Unlinked):
    """A link through a pipe."""

    cancelled: CancelReason | None = None
    lease = LeaseState.HELD

    def __init__(self, connection: Connection[Any, Any]) -> None:
        self._connection = connection
        self._lock = threading.Lock()

    def progress(self, fields: Mapping[str, str | float]) -> None:
        """Send it."""
        with self._lock:
            self._connection.send(dict(fields))


def _child(
    connection: Connection[Any, Any],
    function: Callable[..., object],
    info: TaskInfo,
    arguments: tuple[object, ...],
) -> None:
    os.setsid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _exit)
    threading.Thread(target=_end_with_parent, args=(connection,), daemon=True).start()
    ended: Ended
    try:
        value = function(SyncTask(info, _Pipe(connection)), *arguments)
        ended = Returned(value if isinstance(value, bool) else None)
    except BaseException as error:  # noqa: BLE001  # the runner says what it means
        ended = Raised(tell(error))
    with contextlib.suppress(OSError):
        connection.send(ended)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    # Threads that the handler left behind would keep the process.
    os._exit(0)


def _exit(_number: int, _frame: FrameType | None) -> None:
    sys.exit("the task was cancelled")


def _end_with_parent(connection: Connection[Any, Any]) -> None:
    with contextlib.suppress(EOFError, OSError):
        connection.recv()
    os.killpg(0, signal.SIGKILL)
