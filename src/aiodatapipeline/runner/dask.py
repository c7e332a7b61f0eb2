"""An executor that runs handlers on a Dask cluster: the extra ``dask``.

The one that Dask's own client makes, ``Client.get_executor()``, runs handlers too. It says of
a function that it was cancelled while it still runs, though, so that a runner would take the
next task too early, and two attempts of one activity could be at work at once.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future, InvalidStateError
from contextlib import suppress
from typing import Any, ParamSpec, TypeVar

from aiodatapipeline.runner._task import LOGGER

try:
    import distributed
except ModuleNotFoundError as _error:
    raise ModuleNotFoundError(
        f"{_error.name} is not installed: pip install 'aiodatapipeline[dask]' brings what "
        "aiodatapipeline.runner.dask needs",
        name=_error.name,
    ) from _error

__all__ = ["DaskExecutor"]

P = ParamSpec("P")
ResultT = TypeVar("ResultT")

# It has types for few of its functions.
_DASK: Any = distributed

# Seconds that the second who claims a function waits, to learn that it is the second.
_SECOND = 1.0


class DaskExecutor(Executor):
    """Runs functions on a Dask cluster, each once, and is honest about when they are over.

    A function that has not begun can be cancelled. One that runs cannot: it stays under way
    until it is over. One whose worker dies is not begun again behind the runner's back, but
    fails: whether to try again is for the service to say.

    Functions and what they return are pickled, so they belong into modules that the workers
    can import.
    """

    def __init__(self, client: distributed.Client, **options: Any) -> None:
        """Make an executor.

        Args:
            client: Of the cluster. It is not ``asynchronous``, and closed by whoever made it.
            options: More that ``Client.submit`` takes: ``workers``, ``resources``,
                ``priority`` and so on.

        Raises:
            ValueError: The client is asynchronous.
        """
        if client.asynchronous:
            raise ValueError("the client is asynchronous: handlers need one that is not")
        self._client: Any = client
        self._options = options
        self._closed = False
        self._open: set[Future[Any]] = set()

    def submit(
        self, fn: Callable[P, ResultT], /, *args: P.args, **kwargs: P.kwargs
    ) -> Future[ResultT]:
        """Have a function called on the cluster.

        Raises:
            RuntimeError: The executor is shut down.
        """
        if self._closed:
            raise RuntimeError("the executor is shut down: nothing can be submitted any more")
        key = f"aiodatapipeline-{uuid.uuid4().hex}"
        claim = _Claim(key, self._client)
        options = {**self._options, "key": key, "pure": False}
        try:
            handle = self._client.submit(_begin, key, fn, args, kwargs, **options)
        except BaseException:
            claim.close()
            raise
        future: _Future[ResultT] = _Future(claim, handle)
        self._open.add(future)

        def settle(handle: Any) -> None:
            future.settle(handle)
            self._open.discard(future)

        handle.add_done_callback(settle)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002  # as in Executor
        """Take nothing more. The client stays open.

        Args:
            wait: Return when everything is over.
            cancel_futures: Cancel what has not begun.
        """
        self._closed = True
        left = list(self._open)
        for future in left if cancel_futures else ():
            future.cancel()
        for future in left if wait else ():
            with suppress(BaseException):
                future.result()


class _Claim:
    """Who is first to ask for a function: the worker that begins it, or who takes it back."""

    def __init__(self, key: str, client: distributed.Client | None = None) -> None:
        # On a worker, the client is the worker's own.
        self._queue: Any = _DASK.Queue(key, client=client, maxsize=1)

    def first(self) -> bool:
        """Ask, and say whether nobody has before. It may be asked once."""
        # Asked beforehand, since the cluster logs it as an error if there is no room.
        if self._queue.qsize():
            return False
        try:
            self._queue.put(1, timeout=_SECOND)
        except TimeoutError:
            return False
        return True

    def close(self) -> None:
        """Let the cluster forget it, once all who know it have called this."""
        with suppress(Exception):  # with the cluster it is gone as well
            self._queue.close()


class _Future(Future[ResultT]):
    """What becomes of a function on the cluster."""

    def __init__(self, claim: _Claim, handle: Any) -> None:
        super().__init__()
        self._claim = claim
        # Dask forgets a function of which nobody has a handle. It is not cancelled there, where
        # that takes its time: it ends at once when a worker comes to it, and the claim with it.
        self._handle = handle
        self._asked = threading.Lock()

    def cancel(self) -> bool:
        """Have it not begun if that is still so, which takes a while to find out."""
        if not self.done() and self._asked.acquire(blocking=False):
            threading.Thread(
                target=self._take_back, name="aiodatapipeline-dask", daemon=True
            ).start()
        return self.cancelled()

    def _take_back(self) -> None:
        try:
            if self._claim.first():
                super().cancel()
                self.set_running_or_notify_cancel()
        except Exception:  # noqa: BLE001  # the cluster is out of reach; it may be asked again
            LOGGER.warning("a function on a Dask cluster could not be taken back", exc_info=True)
            self._asked.release()

    def settle(self, handle: Any) -> None:
        """Take over what the cluster says. Called in a thread of the client's."""
        with suppress(InvalidStateError):  # it was cancelled
            if handle.status == "finished":
                began, result = handle.result()
                if began:
                    self.set_result(result)
                else:
                    self.set_exception(RuntimeError("the worker that had begun it was lost"))
            elif handle.status == "error":
                self.set_exception(handle.exception())
            else:
                self.set_exception(
                    RuntimeError("the Dask cluster was lost, or has forgotten the function")
                )
        self._claim.close()


def _begin(
    key: str,
    function: Callable[..., ResultT],
    args: Sequence[object],
    kwargs: Mapping[str, object],
) -> tuple[bool, ResultT | None]:
    """Call a function, on a worker, and say whether it was begun."""
    claim = _Claim(key)
    try:
        return (True, function(*args, **kwargs)) if claim.first() else (False, None)
    finally:
        claim.close()
