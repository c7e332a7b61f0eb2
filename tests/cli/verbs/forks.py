"""A process that becomes the command line quickly: it has imported everything already.

``python forks.py serve SOCKET`` forks for each command; ``python forks.py call SOCKET WORD...``
hands it its words, surroundings and files, and ends as the command does.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from importlib import import_module
from pathlib import Path

_MOST = 1 << 20


def serve(path: str) -> None:
    """Fork for each command until the process is ended."""
    for name in ("_app", "_definition", "_logs", "_pipelines", "_put", "_run", "_status", "_task"):
        import_module(f"aiodatapipeline.cli.{name}")
    import_module("aiodatapipeline._transport")
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody asks how they ended
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while True:
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            os._exit(_command(connection))
        connection.close()


def _command(connection: socket.socket) -> int:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    connection.sendall(f"{os.getpid()}\n".encode())
    data, files, _, _ = socket.recv_fds(connection, _MOST, 3)
    told = json.loads(data)
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    os.chdir(told["directory"])
    os.environ.clear()
    os.environ.update(told["environment"])
    code = import_module("aiodatapipeline.cli").main(told["words"])
    sys.stdout.flush()
    sys.stderr.flush()
    connection.sendall(str(code).encode())
    return int(code)


def call(path: str, words: list[str]) -> int:
    """Have a command run, and hand on what asks it to end; give its exit code."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        there = int(connection.recv(100))
        signal.signal(signal.SIGTERM, lambda number, _: os.kill(there, number))
        told = {"words": words, "directory": str(Path.cwd()), "environment": dict(os.environ)}
        socket.send_fds(connection, [json.dumps(told).encode()], [0, 1, 2])
        return int(connection.recv(100))


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(sys.argv[2])
    sys.exit(call(sys.argv[2], sys.argv[3:]))
