"""What people open: the service, what stands in front of it, and its two doors."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from aiodatapipeline._client import DataPipelineClient
from aiodatapipeline._clock import Clock, SystemClock
from aiodatapipeline._config import CallOptions
from aiodatapipeline._seam import Transport
from aiodatapipeline.local._admin import Admin
from aiodatapipeline.local._engine._world import Alarm, Hooks
from aiodatapipeline.local._faults import Faults
from aiodatapipeline.local._front import Front
from aiodatapipeline.local._http import HttpServer, Page, Patience
from aiodatapipeline.local._page import Site
from aiodatapipeline.local._quotas import AccountQuotas
from aiodatapipeline.local._rates import PER_SECOND, Rates
from aiodatapipeline.local._service import Service
from aiodatapipeline.local._signature import Credential, Verifier
from aiodatapipeline.local._switches import Switches
from aiodatapipeline.local._transport import LocalTransport

# Of a client to a service that takes anybody.
_ANYBODY = "local"


@dataclass(frozen=True, slots=True)
class _Open:
    """What there is while it is open."""

    service: Service
    transport: LocalTransport
    site: Site


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
        quotas: What there may be at most; ``AccountQuotas.AWS`` is what an account has.
        hooks: What the application does in the place of what is not here.
        resource_delay: Seconds that a simulated resource takes to be created.
        seed: For ids that are the same in every run; None for ids that nobody can guess.
        rates: True to hold callers to the account's rates, or calls per second by operation.
        faults: What is to go wrong; more can be added to it at any time.
        admin: Whether faults and a virtual clock can be had over HTTP, below ``/admin``.
        page: Whether a browser gets a page that shows what goes on. With ``credentials`` it gets
            none, for it cannot sign.
        patience: How long clients are waited for.

    Raises:
        ValueError: Two of the arguments do not go together, or one makes no sense.
    """

    def __init__(
        self,
        store: str | Path = ":memory:",
        *,
        host: str = "127.0.0.1",
        port: int | None = 0,
        switches: Switches | None = None,
        clock: Clock | None = None,
        credentials: Mapping[str, str | Credential] | None = None,
        quotas: AccountQuotas | None = None,
        hooks: Hooks | None = None,
        resource_delay: float = 0.0,
        seed: int | None = None,
        rates: bool | Mapping[str, float] = False,
        faults: Faults | None = None,
        admin: bool = False,
        page: bool = True,
        patience: Patience | None = None,
    ) -> None:
        self.switches: Switches = switches or Switches()
        """How it behaves where nobody knows how the real one does."""
        self.clock: Clock = clock or SystemClock()
        """What time it is in the service."""
        self.faults: Faults = Faults() if faults is None else faults
        """What goes wrong, and what did."""
        self._make_service = partial(
            Service,
            str(store),
            self.clock,
            switches=self.switches,
            quotas=quotas or AccountQuotas(),
            hooks=hooks or Hooks(),
            resource_delay=resource_delay,
            seed=seed,
        )
        self._open: _Open | None = None
        self._credentials = dict(credentials or {})
        self._rates = PER_SECOND if rates is True else rates or None
        self._http: HttpServer | None = None
        if port is not None:
            self._http = HttpServer(
                self.clock,
                host=host,
                port=port,
                verifier=Verifier(self._credentials) if self._credentials else None,
                admin=Admin(self.faults, self.clock, self.switches) if admin else None,
                pages=self._find_page if page else lambda _: None,
                patience=patience,
            )
        self._stack = AsyncExitStack()

    async def open(self) -> None:
        """Read the state, go on where it stopped, and listen. What is open stays so.

        Raises:
            StoreError: The state cannot be read, or another process has it.
            OSError: The port is in use.
        """
        if self._open is not None:
            return
        service = self._make_service()
        rates = Rates(self.clock, self._rates) if self._rates else None
        front = Front(service, self.clock, self.switches, faults=self.faults, rates=rates)
        async with AsyncExitStack() as stack:
            # Closed from the last to the first: what waits in front, then open polls, so that
            # connections have nothing left to wait for.
            stack.push_async_callback(front.aclose)
            if self._http is not None:
                stack.push_async_callback(self._http.aclose)
            stack.callback(service.close)
            stack.callback(front.close)
            if self._http is not None:
                stack.callback(self._http.stop_listening)
                await self._http.open(front)
            transport = LocalTransport(front, asyncio.get_running_loop())
            self._open = _Open(service, transport, Site(service))
            self._stack = stack.pop_all()

    async def aclose(self) -> None:
        """Give open polls their empty answer, and close connections and state."""
        self._open = None
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
        return self._opened().transport

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

    @property
    def worker_groups(self) -> Mapping[str, int]:
        """The worker groups that are polled for now, with the number of open polls of each."""
        return self._opened().service.worker_groups

    def alarms(self) -> Sequence[Alarm]:
        """Give the alarms that went off, the first one first.

        Raises:
            RuntimeError: It is not open.
        """
        return self._opened().service.alarms()

    async def reset(self) -> None:
        """Forget all pipelines. Open polls, faults and the time stay as they are.

        Raises:
            RuntimeError: It is not open.
        """
        await self._opened().service.reset()

    def _find_page(self, target: str) -> Page | None:
        return None if self._open is None else self._open.site.find(target)

    def _opened(self) -> _Open:
        if self._open is None:
            raise RuntimeError("the local service is not open: use 'async with service:' first")
        return self._open
