"""The local service over HTTP: bodies in, bytes out.

aiohttp takes requests apart, and nothing more: an answer is one write of bytes that are made
here, which is as fast as it gets and leaves no header to chance.
"""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import Awaitable, Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from http import HTTPStatus
from typing import cast

from aiohttp import StreamReader, web
from aiohttp.abc import AbstractStreamWriter

from aiodatapipeline._clock import Clock
from aiodatapipeline._seam import Reply
from aiodatapipeline.local._admin import Admin
from aiodatapipeline.local._errors import refusal
from aiodatapipeline.local._front import Broken, Front, http_date
from aiodatapipeline.local._guards import Guards, is_loopback
from aiodatapipeline.local._page import refusing_page
from aiodatapipeline.local._signature import Verifier
from aiodatapipeline.operations import OPERATIONS

_log = logging.getLogger(__name__)

Page = Callable[[], Awaitable[Reply]]
Pages = Callable[[str], Page | None]
"""What GET shows, by path and query; None where there is nothing."""

# The first is the service's own. A page of the guide has the second, which no SDK sends.
# Source: "Making an HTTP request" in the developer guide.
_PREFIXES = ("DataPipeline.", "DataPipeline_20121129.")
_TARGETS = {f"{prefix}{name}": name for prefix in _PREFIXES for name in OPERATIONS}
_JSON_TYPES = frozenset({"application/x-amz-json-1.1", "application/x-amz-json-1.0"})
_RESET = "/moto-api/reset"
_LOOKING = ("GET", "HEAD")

_MEBIBYTE = 2**20
# Bytes that operations without an entry below may send. The largest that they send in earnest
# is a report with 50 fields of 10,240 characters, which JSON may write as \uXXXX: 3 MB.
_USUAL_BODY = 4 * _MEBIBYTE
_LARGEST_BODY: Mapping[str, int] = {
    # A longString has up to 20,971,520 UTF-16 units. Source: botocore's service model.
    "EvaluateExpression": 6 * 20_971_520 + _MEBIBYTE,
    # The model has no limit. A hundred objects at the quota of 15,360 bytes are 1.5 MB.
    "PutPipelineDefinition": 32 * _MEBIBYTE,
    "ValidatePipelineDefinition": 32 * _MEBIBYTE,
}
# How many bodies that may be larger than usual are read at once, or memory had no bound.
_LARGE_BODIES = 4
# Bytes that are kept for a client that does not read, before it is waited for.
_UNREAD = 256 * 1024

_CLOSE = "Connection: close\r\n"
_SPELLED = {"x-amzn-requestid": "x-amzn-RequestId", "content-type": "Content-Type"}
_FIRST_LINES = {one.value: f"HTTP/1.1 {one.value} {one.phrase}\r\n" for one in HTTPStatus}


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a client is waited for, in seconds of real time.

    Attributes:
        head: Until the first request on a connection is there.
        idle: Until the next one.
        body: Until the whole of a body is there.
        unread: Until a client begins to read what was sent to it.
        linger: For the rest of a body that was refused, so that the client sees why.
        closing: For answers that are under way when the service is closed.
    """

    head: float = 30.0
    idle: float = 75.0
    body: float = 60.0
    unread: float = 60.0
    linger: float = 2.0
    closing: float = 2.0


class HttpServer:
    """Listens, and has a front answer.

    Args:
        clock: What answers are dated by, and signatures looked at.
        host: An address of this machine. One that others can reach needs a ``verifier``.
        port: 0 for any that is free.
        verifier: Looks at signatures; None to take every request.
        admin: Answers below ``/admin``; None for nothing there.
        pages: What GET shows, to signed requests only if there is a ``verifier``.
        patience: How long clients are waited for.

    Raises:
        ValueError: Others could reach it, and nobody would look at signatures.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        verifier: Verifier | None = None,
        admin: Admin | None = None,
        pages: Pages = lambda _: None,
        patience: Patience | None = None,
    ) -> None:
        if not 0 <= port <= 65535:
            raise ValueError(f"port is from 0 to 65535, not {port}")
        if verifier is None and not is_loopback(host):
            raise ValueError(
                f"host {host!r} can be reached from other machines, and without credentials "
                "everybody there could use the service: configure credentials, or listen on "
                "127.0.0.1"
            )
        self._clock, self._host, self._port = clock, host, port
        self._verifier, self._admin, self._pages = verifier, admin, pages
        self._patience = patience or Patience()
        self._connections: _Connections | None = None
        self._listener: asyncio.Server | None = None
        self.url = ""
        """Where it listens, for clients on this machine; empty if it does not."""

    async def open(self, front: Front) -> None:
        """Have a front answer whoever comes.

        Raises:
            OSError: The port is in use, or the host is none of this machine's.
        """
        requests = _Requests(
            front,
            self._clock,
            verifier=self._verifier,
            admin=self._admin,
            pages=self._pages,
            patience=self._patience,
        )
        connections = _Connections(requests.handle, self._patience)
        # "localhost" can be two addresses, each with a free port of its own.
        host = "127.0.0.1" if self._host == "localhost" else self._host
        try:
            self._listener = await asyncio.get_running_loop().create_server(
                connections, host, self._port, backlog=1024
            )
        except OSError as error:
            raise _explained(error, self._host, self._port) from error
        self._connections = connections
        requests.guards = Guards.of(self._host, self._listener.sockets[0].getsockname()[1])
        self.url = requests.guards.url

    def stop_listening(self) -> None:
        """Take no more connections."""
        self.url = ""
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    async def aclose(self) -> None:
        """Close the connections, when answers that are under way are out or had their time."""
        self.stop_listening()
        if self._connections is not None:
            await self._connections.aclose()


class _RefusedError(Exception):
    """A request is not worth asking anybody, and its connection is closed."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.body)
        self.reply = reply


class _Requests:
    """Takes requests, one after the other on each connection, and writes their answers."""

    guards: Guards

    def __init__(
        self,
        front: Front,
        clock: Clock,
        *,
        verifier: Verifier | None,
        admin: Admin | None,
        pages: Pages,
        patience: Patience,
    ) -> None:
        self._front, self._clock = front, clock
        self._verifier, self._admin, self._pages = verifier, admin, pages
        self._patience = patience
        self._large = asyncio.Semaphore(_LARGE_BODIES)
        self._dated = (0, "")

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request, whatever it is."""
        if objection := self.guards.objection(request.headers):
            reply = _refused(request, "AccessDeniedException", objection, 403)
            return self._written(request, reply, close=True)
        try:
            if request.raw_path == "/" and request.method == "POST":
                answer = await self._operation(request)
            else:
                answer = await self._elsewhere(request)
        except _RefusedError as refused:
            return self._written(request, refused.reply, close=True)
        if isinstance(answer, Broken):
            return self._broken(answer)
        return self._written(request, answer)

    async def _operation(self, request: web.BaseRequest) -> Reply | Broken:
        headers = request.headers
        target = headers.get("X-Amz-Target", "")
        operation = _TARGETS.get(target)
        if operation is None:
            # To say that there is no such operation is the service's affair.
            prefix, _, operation = target.partition(".")
            if f"{prefix}." not in _PREFIXES:
                raise _RefusedError(refusal("UnknownOperationException", _NO_TARGET))
        if headers.get("Content-Type", "").partition(";")[0].strip().lower() not in _JSON_TYPES:
            raise _RefusedError(refusal("SerializationException", _NO_JSON))
        body = await self._read(request, _LARGEST_BODY.get(operation, _USUAL_BODY))
        transport = _transport(request)
        check = None
        if self._verifier is not None:
            check = partial(_check, self._verifier, request, body)
        return await self._front.exchange(
            operation, body, lambda: not transport.is_closing(), check
        )

    async def _elsewhere(self, request: web.BaseRequest) -> Reply:
        page = self._pages(request.raw_path) if request.method in _LOOKING else None
        answer = self._find(request.method, request.raw_path) if page is None else _shown(page)
        if answer is None:
            raise _RefusedError(self._nothing_there(request))
        body = await self._read(request, _USUAL_BODY)
        if self._verifier is not None:
            refused = _check(self._verifier, request, body, self._clock.time())
            if refused is not None:
                raise _RefusedError(refused if page is None else _NOT_SHOWN)
        return await answer(body)

    def _find(self, method: str, path: str) -> Callable[[bytes], Awaitable[Reply]] | None:
        if path == _RESET and method == "POST":
            return self._reset
        return self._admin.find(method, path) if self._admin is not None else None

    async def _reset(self, _: bytes) -> Reply:
        await self._front.service.reset()
        return Reply(200, b'{"status": "ok"}', {"content-type": "application/json"})

    def _nothing_there(self, request: web.BaseRequest) -> Reply:
        path = request.raw_path
        methods = [*_LOOKING] if self._pages(path) is not None else []
        methods += ["POST"] if path in {"/", _RESET} else []
        methods += self._admin.methods(path) if self._admin is not None else []
        if not methods:
            return _refused(request, "UnknownOperationException", _NOTHING_THERE, 404)
        allowed = ", ".join(methods)
        text = f"This path takes {allowed} only"
        reply = _refused(request, "UnknownOperationException", text, 405)
        return replace(reply, headers={**reply.headers, "allow": allowed})

    async def _read(self, request: web.BaseRequest, limit: int) -> bytes:
        """Read a body, unless it is too large, too slow or none."""
        headers, content = request.headers, request.content
        if headers.get("Content-Encoding", "identity") != "identity":
            raise _RefusedError(refusal("SerializationException", _ENCODED, 415))
        length = request.content_length
        if length is not None and length > limit:
            raise _too_large(limit)
        if (expected := headers.get("Expect")) is not None:
            if expected.lower() != "100-continue":
                raise _RefusedError(refusal("SerializationException", _EXPECTS, 417))
            _transport(request).write(b"HTTP/1.1 100 Continue\r\n\r\n")
        try:
            if content.is_eof():
                return _within(limit, content.read_nowait())
            with cast("_Connection", request.protocol).reading(content):
                async with asyncio.timeout(self._patience.body):
                    if length is not None and length <= _USUAL_BODY:
                        return await _read_all(content, limit)
                    async with self._large:
                        return await _read_all(content, limit)
        except TimeoutError as error:
            text = f"The body was not there after {self._patience.body:g} seconds"
            raise _RefusedError(refusal("RequestTimeoutException", text, 408)) from error
        except web.RequestPayloadError as error:
            raise _RefusedError(refusal("SerializationException", _BAD_CHUNKS)) from error

    def _written(
        self, request: web.BaseRequest, reply: Reply, *, close: bool = False
    ) -> web.StreamResponse:
        close = close or not request.keep_alive or request.version < (1, 1)
        body = b"" if request.method == "HEAD" else reply.body
        return _Written(self._head(reply, close=close) + body, self._patience, close=close)

    def _broken(self, broken: Broken) -> web.StreamResponse:
        data = b""
        if broken.reply is not None:
            head, body = self._head(broken.reply, close=False), broken.reply.body
            data = head + body[: len(body) // 2] if body else head[: len(head) // 2]
        return _Written(data, self._patience, close=True)

    def _head(self, reply: Reply, *, close: bool) -> bytes:
        date = "" if "date" in reply.headers else self._date()
        return _head(reply, f"{date}{_CLOSE}" if close else date)

    def _date(self) -> str:
        now = int(self._clock.time())
        second, line = self._dated
        if second != now:
            line = f"Date: {http_date(now)}\r\n"
            self._dated = (now, line)
        return line


def _head(reply: Reply, more: str) -> bytes:
    """Write what comes before a body; ``more`` are lines that the reply has not."""
    headers = reply.headers
    lines = "".join([f"{_SPELLED.get(name, name)}: {headers[name]}\r\n" for name in headers])
    first, length = _FIRST_LINES[reply.status], len(reply.body)
    return f"{first}{lines}{more}Content-Length: {length}\r\n\r\n".encode()


def _refused(request: web.BaseRequest, code: str, text: str, status: int) -> Reply:
    """Say no, to a program or to a person with a browser."""
    if request.method in _LOOKING and "text/html" in request.headers.get("Accept", ""):
        return refusing_page(text, status)
    return refusal(code, text, status)


def _shown(page: Page) -> Callable[[bytes], Awaitable[Reply]]:
    return lambda _: page()


def _transport(request: web.BaseRequest) -> asyncio.Transport:
    """It is there: what runs for somebody who hung up is cancelled, and gets no further."""
    return cast("asyncio.Transport", request.transport)


async def _read_all(content: StreamReader, limit: int) -> bytes:
    pieces: list[bytes] = []
    size = 0
    while piece := await content.readany():
        size += len(_within(limit - size, piece))
        pieces.append(piece)
    return b"".join(pieces)


def _within(limit: int, body: bytes) -> bytes:
    if len(body) > limit:
        raise _too_large(limit)
    return body


def _too_large(limit: int) -> _RefusedError:
    text = f"The body is larger than {limit} bytes"
    return _RefusedError(refusal("RequestEntityTooLargeException", text, 413))


def _check(verifier: Verifier, request: web.BaseRequest, body: bytes, now: float) -> Reply | None:
    headers = request.headers
    joined = {name.lower(): ",".join(headers.getall(name)) for name in headers}
    return verifier.refuse(request.method, request.raw_path, joined, body, now)


class _Written(web.StreamResponse):
    """An answer that is bytes already. It has no need of what its base class is made of."""

    def __init__(self, data: bytes, patience: Patience, *, close: bool) -> None:
        self._data, self._patience, self._closes = data, patience, close

    @property
    def keep_alive(self) -> bool:
        return not self._closes

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        transport = _transport(request)
        transport.write(self._data)
        if transport.get_write_buffer_size() > _UNREAD:
            try:
                async with asyncio.timeout(self._patience.unread):
                    await request.writer.drain()
            except TimeoutError:
                transport.abort()
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        pass


class _Connection(web.RequestHandler):
    """Says in JSON what went wrong where no request could be made of what came."""

    _body: StreamReader | None = None

    @contextmanager
    def reading(self, body: StreamReader) -> Generator[None]:
        """Have somebody told who waits for a body, when what comes instead is none."""
        self._body = body
        try:
            yield
        finally:
            self._body = None

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        # aiohttp queues the news that it understands nothing behind the request that waits for
        # the rest of its body; no request can follow on one.
        if self._body is not None and self._messages and not self._body.is_eof():
            self._body.set_exception(web.RequestPayloadError(_BAD_CHUNKS))

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if status >= 500:
            _log.error("%s %s could not be answered", request.method, request.path, exc_info=exc)
            reply = refusal("InternalFailure", "The local service failed: see its log", status)
        else:
            _log.debug("what came is no request: %s", message)
            reply = refusal("SerializationException", "What came is not HTTP as it is known here")
        return _Written(_head(reply, _CLOSE) + reply.body, Patience(), close=True)


class _Connections(web.Server):
    """Makes connections, and closes those on which nothing comes."""

    def __init__(
        self,
        answer: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
        patience: Patience,
    ) -> None:
        # With the cancellation, a poll ends when its poller hangs up.
        super().__init__(self._handle, handler_cancellation=True)
        self._answer, self._patience = answer, patience
        self._transports: dict[web.RequestHandler, asyncio.Transport] = {}
        self._timers: dict[web.RequestHandler, asyncio.TimerHandle] = {}
        self._none_open = asyncio.Event()
        self._none_open.set()

    def __call__(self) -> web.RequestHandler:
        return _Connection(
            self,
            loop=self._loop,
            access_log=cast("logging.Logger", None),  # or each request would be put into words
            auto_decompress=False,  # a bomb is a small body
            keepalive_timeout=self._patience.idle,
            lingering_time=self._patience.linger,
        )

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        self._none_open.clear()
        self._transports[handler] = transport
        self._timers[handler] = self._loop.call_later(self._patience.head, transport.abort)

    def connection_lost(
        self, handler: web.RequestHandler, exc: BaseException | None = None
    ) -> None:
        super().connection_lost(handler, exc)
        self._timers.pop(handler).cancel()
        del self._transports[handler]
        if not self._transports:
            self._none_open.set()

    async def aclose(self) -> None:
        """Close all of them, when answers that are under way are out or had their time."""
        self.pre_shutdown()
        await self.shutdown(self._patience.closing)
        for transport in self._transports.values():
            transport.abort()  # to those that read nothing, it would never be over
        await self._none_open.wait()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self._timers[request.protocol].cancel()
        return await self._answer(request)


_NO_TARGET = "The header X-Amz-Target has to name an operation, as DataPipeline.ListPipelines does"
_NO_JSON = "The header Content-Type has to be application/x-amz-json-1.1"
_NOTHING_THERE = "Nothing is there: operations go to the path / with POST"
# A browser cannot sign, and a password would go over the wire as it is.
_NOT_SHOWN = Reply(
    403,
    b"This service has credentials: every request has to be signed, which a browser does not do."
    b" Its page is shown where it is started without credentials, for this machine alone.\n",
    {"content-type": "text/plain; charset=utf-8", "x-content-type-options": "nosniff"},
)
_ENCODED = "The body may have no Content-Encoding: send it as it is"
_EXPECTS = "The header Expect can be 100-continue only"
_BAD_CHUNKS = "The body ends too early, or is not in good chunks"


def _explained(error: OSError, host: str, port: int) -> OSError:
    where = f"port {port} of {host}"
    if error.errno == errno.EADDRINUSE:
        text = f"{where} is in use: stop what listens there, or choose another port (0: any)"
    else:
        text = f"nothing can listen on {where}: {error.strerror or error}"
    return type(error)(error.errno, text)
