"""A program that is a task runner: how it ends although a handler does not.

``asyncio.run`` waits for every task and for the threads of its pool, and the interpreter waits for
all threads; a handler that never ends would keep the process, which is done, for ever.
"""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import os
import sys
import threading
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, NoReturn, TypeVar

from aiodatapipeline.runner._task import LOGGER

ResultT = TypeVar("ResultT")

# Seconds that what is left gets to end.
_PATIENCE = 5.0
# Of loops that could not be closed, the tasks. There is one process to leave.
_left: list[str] = []


def run_to_end(work: Coroutine[Any, Any, ResultT]) -> ResultT:
    """Do what ``asyncio.run`` does, and wait for what is left behind for a few seconds only."""
    runner = asyncio.Runner()
    try:
        return runner.run(work)
    finally:
        # A loop whose tasks do not end cannot be closed: ``leave`` ends the process.
        if pending := runner.run(_wind_up()):
            _left.extend(pending)
        else:
            runner.close()


async def _wind_up() -> list[str]:
    """Give the names of the tasks that do not end; the loop's pool is one of them."""
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for each in left:
        each.cancel()
    # In a task of its own, which is not cancelled: that would wait for the threads at once.
    loop = asyncio.get_running_loop()
    left.add(loop.create_task(loop.shutdown_default_executor(), name="the loop's threads"))
    _, pending = await asyncio.wait(left, timeout=_PATIENCE)
    return [each.get_name() for each in pending]


def leave(exit_code: int) -> NoReturn:
    """End the process, which is this program's own, with its exit code, whatever still runs."""
    if _left:
        _cut(exit_code, _left)
    threads = [
        each.name
        for each in threading.enumerate()
        if not each.daemon and each is not threading.main_thread()
    ]
    if threads:
        # The interpreter tells pools to end, and waits for all of these. So long may it.
        timer = threading.Timer(_PATIENCE, _cut, (exit_code, threads))
        timer.daemon = True
        timer.start()
    sys.exit(exit_code)


def _cut(exit_code: int, left: list[str]) -> None:
    LOGGER.error("these do not end, and are left behind: %s", ", ".join(left))
    for child in multiprocessing.active_children():
        child.kill()
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):  # it may be closed
            stream.flush()
    os._exit(exit_code)
