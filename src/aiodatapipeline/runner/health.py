"""A runner's health over HTTP, for platforms that ask their containers how they are."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from typing import Self, cast

from aiodatapipeline.runner._events import Status
from aiodatapipeline.runner._runner import TaskRunner
from aiodatapipeline.runner._task import LOGGER

__all__ = ["HealthServer"]

# Seconds between two signs of life of the event loop.
_TICK = 1.0
# Seconds between two looks whether to close.
_LOOK = 0.1


class HealthServer:
    """Answers GET ``/livez`` and ``/readyz``, from a thread of its own.

    ``/livez`` is 503 when the event loop has been blocked for the runner's ``stall_limit``, and
    otherwise 200: whatever else is wrong, a restart would not mend it and would cut tasks off.
    ``/readyz`` is 200 while the runner's health is ``ok``, and otherwise 503. Both say in JSON
    how many handlers run and do not stop, and how many outcomes and problems there are; what
    the problems are is in the log.

    Use it with ``async with``, around ``TaskRunner.run``, in the same event loop.
    """

    def __init__(self, runner: TaskRunner, port: int, *, host: str = "127.0.0.1") -> None:
        """Make a server, which does not listen yet.

        Args:
            runner: Whose health it tells.
            port: Where to listen; 0 for any port that is free.
            host: An address of this machine. ``"0.0.0.0"`` or ``"::"`` lets everyone ask who
                reaches the machine.

        Raises:
            ValueError: There is no such port.
        """
        if not 0 <= port <= 65535:
            raise ValueError(f"port is from 0 to 65535, not {port}")
        self._runner, self._host, self._port = runner, host, port
        self._ticked = time.monotonic()
        self._ticker: asyncio.Task[None] | None = None
        self._server: _Server | None = None
        self.url: str = ""
        """Where it listens; empty while it does not."""

    async def __aenter__(self) -> Self:
        """Listen.

        Raises:
            OSError: The port is in use, or the host is none of this machine's.
        """
        try:
            # In a thread, since a host's name may have to be looked up.
            self._server = await asyncio.to_thread(_Server, self._host, self._port, self)
        except OSError as error:
            raise OSError(
                f"cannot listen at {self._host} port {self._port} for health checks: {error}"
            ) from error
        host = f"[{self._host}]" if ":" in self._host else self._host
        self.url = f"http://{host}:{self._server.server_address[1]}"
        self._ticked = time.monotonic()
        self._ticker = asyncio.create_task(self._tick())
        threading.Thread(
            target=self._server.serve_forever,
            args=(_LOOK,),
            name="aiodatapipeline-health",
            daemon=True,
        ).start()
        LOGGER.info("health checks at %s/livez and %s/readyz", self.url, self.url)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Listen no more."""
        server, ticker = self._server, self._ticker
        self._server, self._ticker = None, None
        self.url = ""
        if ticker is not None:
            ticker.cancel()
            with suppress(asyncio.CancelledError):
                await ticker
        if server is not None:
            await asyncio.to_thread(server.shutdown)
            server.server_close()

    async def _tick(self) -> None:
        while True:
            self._ticked = time.monotonic()
            await asyncio.sleep(_TICK)

    def answer(self, path: str) -> tuple[HTTPStatus, dict[str, object]]:
        """Answer a request. Called by any thread."""
        health = self._runner.health
        blocked = time.monotonic() - self._ticked - _TICK
        stuck = blocked > self._runner.stall_limit
        told: dict[str, object] = {
            "status": health.status,
            "problems": len(health.problems),
            "running": health.running,
            "leaked": health.leaked,
            "undelivered": health.undelivered,
            "blocked_seconds": round(max(0.0, blocked)),
        }
        match path.partition("?")[0]:
            case "/livez":
                well = not stuck
            case "/readyz":
                well = health.status is Status.OK and not stuck
            case _:
                return HTTPStatus.NOT_FOUND, {"paths": ["/livez", "/readyz"]}
        return HTTPStatus.OK if well else HTTPStatus.SERVICE_UNAVAILABLE, told


class _Server(ThreadingTCPServer):
    """Listens. The one of ``http.server`` asks a name server who it is, which can take long."""

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False

    def __init__(self, host: str, port: int, health: HealthServer) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.health = health
        super().__init__((host, port), _Request)

    def handle_error(self, request: object, client_address: object) -> None:
        """Let who went away before the answer be."""


class _Request(BaseHTTPRequestHandler):
    """Answers one request."""

    timeout = 5.0
    server_version, sys_version = "aiodatapipeline", ""

    def do_GET(self) -> None:
        """Answer."""
        status, told = cast("_Server", self.server).health.answer(self.path)
        body = json.dumps(told).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Write nothing: it is asked every few seconds."""
