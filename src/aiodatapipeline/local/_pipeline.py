"""What people open: the service, what stands in front of it, and its two doors."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Protocol, Self

from aiodatapipeline._client import DataPipelineClient
from aiodatapipeline._clock import Clock, SystemClock
from aiodatapipeline._config import CallOptions
from aiodatapipeline._seam import Transport
from aiodatapipeline.local._admin import Admin
from aiodatapipeline.local._faults import Faults
from aiodatapipeline.local._front import Answering, Front
from aiodatapipeline.local._http import HttpServer, Page, Patience
from aiodatapipeline.local._rates import PER_SECOND, Rates
from aiodatapipeline.local._signature import Credential, Verifier
from aiodatapipeline.local._switches import Switches
from aiodatapipeline.local._transport import LocalTransport

# Of a client to a service that takes anybody.
_ANYBODY = "local"


class Closing(Answering, Protocol):
    """A service that was opened and is closed."""

    async def aclose(self) -> None:
        """Give open polls their empty answer, and leave everything on disk."""
        ...


class LocalDataPipeline:
    """A Data Pipeline in this process. Use it with ``async with``.

    Args:
        store: The file of its state, made if it is not there; ``:memory:`` for none.
        host: The address to listen on. One that other machines can reach needs ``credentials``.
        port: 0 for one that is free; None to listen nowhere: ``client()`` works all the same.
        switches: How it behaves where nobody knows how the real one does.
        clock: What time it is; a ``VirtualClock`` can skip hours.
        credentials: The secret of each access key, or a ``Credential`` with a session token
            too. Signatures are verified, over HTTP, if there are any.
        rates: True to hold callers to the account's rates, or calls per second by operation.
        faults: What is to go wrong; more can be added to it at any time.
        admin: Whether faults and a virtual clock can be had over HTTP, below ``/admin``.
        pages: What GET shows, by path.
        patience: How long clients are waited for.

    Raises:
        ValueError: Two of the arguments do not go together, or one makes no sense.
    """

    def __init__(
        self,
        store: str = ":memory:",
        *,
        host: str = "127.0.0.1",
        port: int | None = 0,
        switches: Switches | None = None,
        clock: Clock | None = None,
        credentials: Mapping[str, str | Credential] | None = None,
        rates: bool | Mapping[str, float] = False,
        faults: Faults | None = None,
        admin: bool = False,
        pages: Mapping[str, Page] | None = None,
        patience: Patience | None = None,
    ) -> None:
        self.switches = switches or Switches()
        """How it behaves where nobody knows how the real one does."""
        self.clock: Clock = clock or SystemClock()
        """What time it is in the service."""
        self.faults = Faults() if faults is None else faults
        """What goes wrong, and what did."""
        self._store, self._credentials = store, dict(credentials or {})
        self._rates = PER_SECOND if rates is True else rates or None
        self._http: HttpServer | None = None
        if port is not None:
            self._http = HttpServer(
                self.clock,
                host=host,
                port=port,
                verifier=Verifier(self._credentials) if self._credentials else None,
                admin=Admin(self.faults, self.clock, self.switches) if admin else None,
                pages=pages,
                patience=patience,
            )
        self._stack = AsyncExitStack()
        self._transport: LocalTransport | None = None

    def _make_service(self) -> Closing:
        raise NotImplementedError

    async def open(self) -> None:
        """Read the state, go on where it stopped, and listen. What is open stays so.

        Raises:
            StoreError: The state cannot be read, or another process has it.
            OSError: The port is in use.
        """
        if self._transport is not None:
            return
        service = self._make_service()
        rates = Rates(self.clock, self._rates) if self._rates else None
        front = Front(service, self.clock, self.switches, faults=self.faults, rates=rates)
        async with AsyncExitStack() as stack:
            # Closed from the last to the first: what waits in front, then open polls, so that
            # connections have nothing left to wait for.
            if self._http is not None:
                stack.push_async_callback(self._http.aclose)
            stack.push_async_callback(service.aclose)
            stack.push_async_callback(front.aclose)
            if self._http is not None:
                stack.callback(self._http.stop_listening)
                await self._http.open(front)
            self._transport = LocalTransport(front, asyncio.get_running_loop())
            self._stack = stack.pop_all()

    async def aclose(self) -> None:
        """Give open polls their empty answer, and close connections and state."""
        self._transport = None
        await self._stack.aclose()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    @property
    def endpoint_url(self) -> str:
        """Where it listens, for ``endpoint_url`` of any client and AWS_ENDPOINT_URL_DATA_PIPELINE.

        Raises:
            RuntimeError: It is not open, or listens nowhere.
        """
        if self._http is None:
            raise RuntimeError("this local service has no socket: it was made with port=None")
        self._opened()
        return self._http.url

    @property
    def transport(self) -> Transport:
        """A way in without a socket, from any event loop and thread.

        Raises:
            RuntimeError: It is not open.
        """
        return self._opened()

    def client(self, *, options: CallOptions | None = None) -> DataPipelineClient:
        """Make a client, to be opened: over HTTP, or without a socket if there is none.

        Args:
            options: Time limits and attempts of its calls.

        Raises:
            RuntimeError: It is not open.
        """
        if self._http is None:
            return DataPipelineClient(transport=self.transport, options=options)
        access_key, found = next(iter(self._credentials.items()), (_ANYBODY, _ANYBODY))
        credential = Credential(found) if isinstance(found, str) else found
        return DataPipelineClient(
            endpoint_url=self.endpoint_url,
            region_name="us-east-1",
            aws_access_key_id=access_key,
            aws_secret_access_key=credential.secret,
            aws_session_token=credential.session_token,
            options=options,
        )

    def _opened(self) -> LocalTransport:
        if self._transport is None:
            raise RuntimeError("the local service is not open: use 'async with service:' first")
        return self._transport
