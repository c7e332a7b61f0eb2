"""A client that is light enough not to be the limit: requests are bytes, made before."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from typing import Self
from urllib.parse import urlsplit


def request(url: str, operation: str, body: bytes) -> bytes:
    """Give a request as it goes over the wire; nobody looks at its signature."""
    return (
        b"POST / HTTP/1.1\r\nHost: %b\r\nContent-Type: application/x-amz-json-1.1\r\n"
        b"X-Amz-Target: DataPipeline.%b\r\nX-Amz-Date: 20260101T000000Z\r\n"
        b"Authorization: AWS4-HMAC-SHA256 Credential=bench/20260101/us-east-1/datapipeline/"
        b"aws4_request, SignedHeaders=host;x-amz-date, Signature=00\r\nContent-Length: %d\r\n\r\n"
        % (urlsplit(url).netloc.encode(), operation.encode(), len(body))
    ) + body


class _Socket(asyncio.Protocol):
    """One connection; a request has its answer before the next is sent."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.answered: asyncio.Future[bytes] | None = None
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio's
        self.transport = None
        if self.answered is not None and not self.answered.done():
            self.answered.set_exception(ConnectionResetError("the server has hung up"))

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        if not end:
            return
        lower = head.lower()
        _, _, length = lower.partition(b"\r\ncontent-length:")
        if len(body) < int(length.partition(b"\r\n")[0] or 0):
            return
        self._received = b""
        if b"\r\nconnection: close" in lower and self.transport is not None:
            self.transport.close()
            self.transport = None
        if self.answered is not None and not self.answered.done():
            if head[9:12] == b"200":
                self.answered.set_result(body)
            else:
                self.answered.set_exception(RuntimeError((head + b"\n" + body).decode()))


class Connection:
    """One request after the other, over one socket for as long as the server keeps it open."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port or 80
        self._socket = _Socket()

    async def send(self, data: bytes) -> bytes:
        """Send a request; give the body of its answer.

        Raises:
            RuntimeError: It is not 200.
            OSError: The server is not there, or has hung up.
        """
        loop = asyncio.get_running_loop()
        if self._socket.transport is None:
            _, self._socket = await loop.create_connection(_Socket, self._host, self._port)
        assert self._socket.transport is not None
        self._socket.answered = loop.create_future()
        self._socket.transport.write(data)
        return await self._socket.answered

    def close(self) -> None:
        """Hang up."""
        if self._socket.transport is not None:
            self._socket.transport.abort()


class Connections:
    """Some connections to one server, used with ``async with``."""

    def __init__(self, url: str, count: int) -> None:
        self._each = [Connection(url) for _ in range(count)]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for each in self._each:
            each.close()
        await asyncio.sleep(0)

    async def rate(self, requests: Sequence[bytes]) -> float:
        """Send requests, as many at once as there are connections; give requests per second."""
        left = iter(requests)
        begin = time.perf_counter()
        await asyncio.gather(*(_send(each, left) for each in self._each))
        return len(requests) / (time.perf_counter() - begin)


async def _send(connection: Connection, left: Iterator[bytes]) -> None:
    for data in left:
        await connection.send(data)
