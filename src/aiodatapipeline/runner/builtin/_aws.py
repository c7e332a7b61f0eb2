"""Clients of AWS's other services, over aiobotocore. Imported when the first of them is used."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

from aiobotocore.client import AioBaseClient
from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession

from aiodatapipeline._loader import read_service_model, shared_loader

_CONNECT_TIMEOUT = 10.0
_READ_TIMEOUT = 60.0
_CONNECTIONS = 20


class AwsClient:
    """A client of one of AWS's services that is opened when it is needed.

    Args:
        service: What botocore calls it.
        region_name: The region; the default chain's if None.
        endpoint_url: Another service than AWS's own.
    """

    def __init__(
        self, service: str, region_name: str | None = None, endpoint_url: str | None = None
    ) -> None:
        self._service = service
        self._region_name, self._endpoint_url = region_name, endpoint_url
        self._stack = AsyncExitStack()
        self._client: AioBaseClient | None = None
        self._opening = asyncio.Lock()

    async def aclose(self) -> None:
        """Close the connections."""
        self._client = None
        await self._stack.aclose()

    async def call(self, method: str, **members: object) -> dict[str, Any]:
        """Make a call of it."""
        async with self._opening:
            client = self._client = self._client or await self._open()
        send: Callable[..., Awaitable[dict[str, Any]]] = getattr(client, method)
        return await send(**members)

    async def _open(self) -> AioBaseClient:
        session = AioSession()
        session.register_component("data_loader", shared_loader(session))
        # These files are large, and reading them would block the event loop.
        await asyncio.to_thread(read_service_model, session, self._service)
        return await self._stack.enter_async_context(
            session.create_client(
                self._service,
                region_name=self._region_name,
                endpoint_url=self._endpoint_url,
                config=AioConfig(
                    connect_timeout=_CONNECT_TIMEOUT,
                    read_timeout=_READ_TIMEOUT,
                    max_pool_connections=_CONNECTIONS,
                    retries={"mode": "standard"},
                ),
            )
        )
