"""A service behind the front that does as it is told, and a client that writes bytes."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from aiodatapipeline import Reply
from aiodatapipeline.local._errors import finish
from aiodatapipeline.local._front import Front
from aiodatapipeline.local._http import HttpServer

# Seconds, so that a test which waits for what does not come fails and does not hang.
PATIENCE = 10.0

HEADERS: Mapping[str, str] = {
    "Content-Type": "application/x-amz-json-1.1",
    "X-Amz-Target": "DataPipeline.ListPipelines",
}


class FakeService:
    """Answers every request with ``reply``; holds polls until ``release`` is called."""

    def __init__(self, reply: Reply | None = None) -> None:
        self.reply = reply or finish(200, b'{"hasMoreResults": false}')
        self.asked: list[tuple[str, bytes]] = []
        self.polls = 0
        """How many are open."""
        self.resets = 0
        self.alive: Callable[[], bool] = lambda: False
        """Of the last request."""
        self.failure: Exception | None = None
        self._released, self._changed = asyncio.Event(), asyncio.Event()

    async def answer(self, operation: str, body: bytes, alive: Callable[[], bool]) -> Reply:
        self.asked.append((operation, body))
        self.alive = alive
        self._changed.set()
        if self.failure is not None:
            raise self.failure
        if operation == "PollForTask":
            await self._poll()
        return self.reply

    async def reset(self) -> None:
        self.resets += 1

    def release(self) -> None:
        self._released.set()

    async def until_asked(self, times: int) -> None:
        """Wait until so many requests have come."""
        await self._until(lambda: len(self.asked) >= times)

    async def until_polls(self, number: int) -> None:
        """Wait until so many polls are open."""
        await self._until(lambda: self.polls == number)

    async def _until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not true():
                self._changed.clear()
                await self._changed.wait()

    async def _poll(self) -> None:
        self.polls += 1
        self._changed.set()
        try:
            await self._released.wait()
        finally:
            self.polls -= 1
            self._changed.set()


@contextlib.asynccontextmanager
async def serving(server: HttpServer, front: Front) -> AsyncGenerator[int]:
    """Give the port of a server that is open meanwhile."""
    await server.open(front)
    try:
        yield int(server.url.rpartition(":")[2])
    finally:
        await front.aclose()
        await server.aclose()


@dataclass(frozen=True)
class Answer:
    """What came over a socket."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    """Their names in lower case."""
    body: bytes
    raw: bytes = field(repr=False)

    @property
    def members(self) -> dict[str, Any]:
        members: dict[str, Any] = json.loads(self.body)
        return members

    @property
    def code(self) -> str:
        """Of an error."""
        code: str = self.members["__type"].rpartition("#")[2]
        return code


class Socket:
    """A connection that writes what it is given and takes answers apart."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def connect(cls, port: int, host: str = "127.0.0.1") -> Self:
        return cls(*await asyncio.open_connection(host, port))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()

    @property
    def port(self) -> int:
        port: int = self.writer.get_extra_info("peername")[1]
        return port

    def write(
        self,
        body: bytes = b"{}",
        headers: Mapping[str, str | None] | None = None,
        *,
        method: str = "POST",
        path: str = "/",
    ) -> None:
        """Write a request; None takes a header away that requests have."""
        usual = {"Host": f"127.0.0.1:{self.port}", **HEADERS, "Content-Length": str(len(body))}
        every = {**usual, **(headers or {})}
        lines = "".join(f"{name}: {text}\r\n" for name, text in every.items() if text is not None)
        self.writer.write(f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode() + body)

    async def read(self, *, bodiless: bool = False) -> Answer:
        """Read an answer, which may have no body if it is to HEAD."""
        async with asyncio.timeout(PATIENCE):
            head = await self.reader.readuntil(b"\r\n\r\n")
            first, *lines = head.decode().split("\r\n")
            pairs = [line.partition(": ") for line in lines if line]
            headers = {name.lower(): text for name, _, text in pairs}
            length = 0 if bodiless else int(headers.get("content-length", 0))
            body = await self.reader.readexactly(length)
        return Answer(int(first.split(" ")[1]), headers, body, head + body)

    async def rest(self) -> bytes:
        """Read until the other side closes."""
        async with asyncio.timeout(PATIENCE):
            with contextlib.suppress(ConnectionError):
                return await self.reader.read()
            return b""


async def ask(
    port: int,
    body: bytes = b"{}",
    headers: Mapping[str, str | None] | None = None,
    *,
    method: str = "POST",
    path: str = "/",
) -> Answer:
    """Send one request on a connection of its own."""
    async with await Socket.connect(port) as one:
        one.write(body, headers, method=method, path=path)
        return await one.read(bodiless=method == "HEAD")
