"""A server in a process of its own that answers ``{}``, and holds polls until it is stopped.

``python -m benchmarks.server`` prints its port. It knows just enough of HTTP to be no part
of what is measured.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager

ANSWER = (
    b"HTTP/1.1 200 OK\r\nx-amzn-RequestId: 8c8deb53-0788-11e2-af9c-6bc7a6be6qr8\r\n"
    b"Content-Type: application/x-amz-json-1.1\r\nContent-Length: 2\r\n"
    b"Date: Mon, 29 Oct 2012 00:00:00 GMT\r\n\r\n{}"
)


class _Connection(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport
        self._received = b""

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            head = self._received[:end].lower()
            _, _, length = head.partition(b"\r\ncontent-length:")
            whole = end + 4 + int(length.partition(b"\r\n")[0] or 0)
            if len(self._received) < whole:
                return
            self._received = self._received[whole:]
            if b"pollfortask" not in head:
                self._transport.write(ANSWER)


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Connection, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextmanager
def running() -> Generator[str]:
    """Give the URL of a server that runs meanwhile."""
    command = [sys.executable, "-m", "benchmarks.server"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            process.kill()


if __name__ == "__main__":
    asyncio.run(_serve())
