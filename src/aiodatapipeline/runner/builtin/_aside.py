"""Work that a cancellation must not cut off in the middle."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, BinaryIO, TypeVar

ResultT = TypeVar("ResultT")


async def to_its_end(
    work: Coroutine[Any, Any, ResultT], on_cancel: Callable[[], object] = lambda: None
) -> ResultT:
    """Wait for something that comes to its end whatever happens.

    Args:
        work: It ends in a time of its own, at the latest when ``on_cancel`` was called.
        on_cancel: Called when this call is cancelled, which then waits for the end all the same,
            and for no further cancellation.
    """
    job = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(job)
    except asyncio.CancelledError:
        on_cancel()
        while not job.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait({job})
        if not job.cancelled():
            job.exception()  # seen: the cancellation is what is told
        raise


async def in_thread(call: Callable[[threading.Event], ResultT]) -> ResultT:
    """Have a function called in a thread, and do not leave it behind there.

    Args:
        call: It is given an event that is set when it is to stop soon.
    """
    stop = threading.Event()
    return await to_its_end(asyncio.to_thread(call, stop), stop.set)


@asynccontextmanager
async def opened(open_: Callable[[], BinaryIO]) -> AsyncGenerator[BinaryIO]:
    """Have a file opened in a thread, and close it, although the wait for it is cancelled."""
    files: list[BinaryIO] = []
    try:
        await to_its_end(asyncio.to_thread(lambda: files.append(open_())))
        yield files[0]
    finally:
        for file in files:
            file.close()
