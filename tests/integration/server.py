"""A server on 127.0.0.1 that does what it is told, byte by byte, and remembers every request.

It answers from a script, one ``Answer`` per request, or asks a function. It knows just enough
HTTP/1.1 to be an AWS service's front end, a proxy, and whatever is broken between the two.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable, Generator, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from types import TracebackType
from typing import Any, Self, cast

import trustme

# SO_LINGER with no time to linger: closing sends a reset and not a goodbye.
_RESET = struct.pack("ii", 1, 0)
# Seconds, so that a test which waits for what does not come fails and does not hang.
_PATIENCE = 10.0


class Then(Enum):
    """What becomes of a connection after an answer."""

    KEEP = auto()
    CLOSE = auto()
    RESET = auto()
    HANG = auto()


@dataclass(frozen=True)
class Answer:
    """Bytes to write, and what to do then."""

    data: bytes = b""
    then: Then = Then.KEEP


@dataclass(frozen=True)
class Received:
    """A request as it came."""

    method: str
    url: str
    """What stands in the first line: a path, or the whole URL if this is a proxy."""
    headers: Mapping[str, str]
    """Their names in lower case."""
    body: bytes = field(repr=False)
    connection: int
    """Which one it came on, counted from 1."""

    @property
    def operation(self) -> str:
        return self.headers.get("x-amz-target", "").rpartition(".")[2]

    @property
    def members(self) -> dict[str, Any]:
        return cast("dict[str, Any]", json.loads(self.body))

    @property
    def credential(self) -> list[str]:
        """The parts of the signature's credential: key, day, region, service, aws4_request."""
        return self.headers["authorization"].partition("Credential=")[2].split(",")[0].split("/")


Handler = Callable[[Received], Awaitable[Answer]]


def http(
    body: bytes | Mapping[str, object] | list[object] = b"{}",
    status: int = 200,
    *,
    headers: Mapping[str, str] | None = None,
    content_length: int | None = None,
    then: Then = Then.KEEP,
) -> Answer:
    """An answer in HTTP. What is not bytes becomes JSON; ``content_length`` may lie."""
    if not isinstance(body, bytes):
        body = json.dumps(body).encode()
    head = {
        "Content-Type": "application/x-amz-json-1.1",
        "Content-Length": str(len(body) if content_length is None else content_length),
        **(headers or {}),
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
    return Answer(f"HTTP/1.1 {status} Said\r\n{lines}\r\n".encode() + body, then)


def refusal(code: str, message: str = "no", status: int = 400) -> Answer:
    """The service's no, in its most usual form."""
    return http({"__type": code, "message": message}, status)


def html(status: int, *, headers: Mapping[str, str] | None = None) -> Answer:
    """A proxy's page."""
    page = b"<html><title>a proxy speaks</title></html>"
    return http(page, status, headers={"Content-Type": "text/html", **(headers or {})})


class Server:
    """Serves while it is entered. After the script, everything is answered with ``{}``."""

    def __init__(
        self,
        *script: Answer,
        handler: Handler | None = None,
        reset_at_once: bool = False,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.received: list[Received] = []
        self.connections = 0
        """How many there were."""
        self.open_connections = 0
        self.port = 0
        self._script = iter(script)
        self._handler = handler or self._next_of_script
        self._reset_at_once = reset_at_once
        self._tls = tls
        self._tasks: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self._left = False

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(
            self._serve, "127.0.0.1", 0, ssl=self._tls, backlog=500
        )
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.close()
        self._left = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    @property
    def url(self) -> str:
        return f"http{'s' if self._tls else ''}://127.0.0.1:{self.port}"

    def asked(self, operation: str) -> list[Received]:
        """The requests of one operation, in order."""
        return [request for request in self.received if request.operation == operation]

    async def until_asked(self, operation: str, times: int = 1) -> None:
        """Wait until so many requests of an operation have come."""
        await self._until(
            lambda: len(self.asked(operation)) >= times, f"{times} requests of {operation}"
        )

    async def until_connected(self, times: int = 1) -> None:
        """Wait until there have been so many connections."""
        await self._until(lambda: self.connections >= times, f"{times} connections")

    async def until_idle(self) -> None:
        """Wait until no connection is open, and the client has seen it."""
        await self._until(lambda: not self.open_connections, "no open connection")
        for _ in range(10):
            await asyncio.sleep(0)

    async def _until(self, true: Callable[[], bool], wanted: str) -> None:
        try:
            async with asyncio.timeout(_PATIENCE):
                while not true():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            asked = [request.operation for request in self.received]
            raise AssertionError(
                f"waited {_PATIENCE:g} s for {wanted}: there were {self.connections} "
                f"connections, {self.open_connections} open now, and requests of {asked}"
            ) from None

    async def _next_of_script(self, _: Received) -> Answer:
        return next(self._script, http())

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = cast("asyncio.Task[None]", asyncio.current_task())
        self._tasks.add(task)
        self.connections += 1
        self.open_connections += 1
        self._changed.set()
        try:
            if self._left:
                pass  # accepted at the last moment: whoever leaves would wait for it to end
            elif self._reset_at_once:
                _reset(writer)
            else:
                await self._converse(reader, writer, self.connections)
        except (OSError, asyncio.IncompleteReadError):
            pass  # the client has gone
        except asyncio.CancelledError:
            pass  # the server is being left, and Python 3.11 logs a handler that was cancelled
        finally:
            self._tasks.discard(task)
            writer.close()
            self.open_connections -= 1
            self._changed.set()

    async def _converse(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: int
    ) -> None:
        while True:
            request = await _read(reader, connection)
            self.received.append(request)
            self._changed.set()
            answer = await self._handler(request)
            writer.write(answer.data)
            await writer.drain()
            match answer.then:
                case Then.KEEP:
                    pass
                case Then.CLOSE:
                    return
                case Then.RESET:
                    _reset(writer)
                    return
                case Then.HANG:
                    await reader.read()  # until the client gives up
                    return


def always(answer: Answer) -> Handler:
    """The same answer for every request."""

    async def handler(_: Received) -> Answer:
        return answer

    return handler


async def _read(reader: asyncio.StreamReader, connection: int) -> Received:
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    method, url, _ = first.split(" ")
    pairs = (line.partition(":") for line in lines if line)
    headers = {name.lower(): value.strip() for name, _, value in pairs}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Received(method, url, headers, body, connection)


def _reset(writer: asyncio.StreamWriter) -> None:
    sock: socket.socket = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()


@contextlib.contextmanager
def refusing_port() -> Generator[int]:
    """A port where nobody listens, and that nobody else can get meanwhile."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@contextlib.contextmanager
def full_port() -> Generator[int]:
    """A port where no more connections are accepted: who connects waits."""
    with socket.socket() as listening, contextlib.ExitStack() as waiting:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        address: tuple[str, int] = listening.getsockname()
        for _ in range(4):  # more than fit; their connections are half made
            sock = waiting.enter_context(socket.socket())
            sock.setblocking(False)
            sock.connect_ex(address)
        yield address[1]


def tls_of(authority: trustme.CA) -> ssl.SSLContext:
    """What a server needs to be trusted by whoever trusts the authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate = authority.issue_cert("127.0.0.1")
    certificate.configure_cert(context)  # pyright: ignore[reportUnknownMemberType]  # pyOpenSSL's
    return context
