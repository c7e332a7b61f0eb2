"""``aiodatapipeline local``: a Data Pipeline on this machine, until it is told to stop."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from aiodatapipeline.cli._failure import Failure
from aiodatapipeline.cli._output import write
from aiodatapipeline.local import (
    AccountQuotas,
    Credential,
    LocalDataPipeline,
    StoreError,
    Switches,
    VirtualClock,
)

_log = logging.getLogger("aiodatapipeline.local")

# Secrets are in no argument, for every user of a machine can list those.
_CREDENTIALS = "AIODATAPIPELINE_LOCAL_CREDENTIALS"
# As many as macOS lets a process have. Usual are 256 there and 1024 on Linux.
_MOST_FILES = 10_240
_PROFILES = {"strict": Switches.STRICT, "lenient": Switches.LENIENT, "hostile": Switches.HOSTILE}


def local(
    *,
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="The address to listen on.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(metavar="PORT", min=0, max=65535, help="To listen on; 0 for a free one.")
    ] = 4180,
    store: Annotated[
        str, typer.Option(metavar="FILE", help="The file of the state, or :memory:.")
    ] = ":memory:",
    strict: Annotated[
        bool, typer.Option("--strict", help="Decide every doubt against the caller.")
    ] = False,
    lenient: Annotated[
        bool, typer.Option("--lenient", help="Decide every doubt for the caller.")
    ] = False,
    hostile: Annotated[
        bool, typer.Option("--hostile", help="Mix the readings that are hardest to be right under.")
    ] = False,
    rates: Annotated[
        bool, typer.Option("--rates", help="Hold callers to the call rates of an account.")
    ] = False,
    quotas: Annotated[
        bool, typer.Option("--quotas", help="Hold callers to the quotas of an account.")
    ] = False,
    credentials: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Verify signatures: lines of KEY:SECRET or KEY:SECRET:TOKEN. "
            f"The variable {_CREDENTIALS} may have such a line instead.",
        ),
    ] = None,
    admin: Annotated[
        bool, typer.Option("--admin", help="Offer faults and the clock over HTTP, below /admin.")
    ] = False,
    virtual_clock: Annotated[
        bool, typer.Option("--virtual-clock", help="Have time stand still until /admin moves it.")
    ] = False,
) -> None:
    """Serve a Data Pipeline on this machine.

    Standard output gets one line, once it serves: "listening on http://127.0.0.1:PORT". SIGTERM
    and SIGINT stop it, and a second one ends it at once.
    """
    chosen = [
        name for name, given in zip(_PROFILES, (strict, lenient, hostile), strict=True) if given
    ]
    if len(chosen) > 1:
        raise Failure(f"--{chosen[0]} and --{chosen[1]} contradict each other: choose one", 2)
    if virtual_clock and not admin:
        raise Failure("--virtual-clock needs --admin: nothing else could move the clock", 2)
    try:
        service = LocalDataPipeline(
            store,
            host=host,
            port=port,
            switches=_PROFILES[chosen[0]] if chosen else None,
            clock=VirtualClock() if virtual_clock else None,
            credentials=_read_credentials(credentials),
            quotas=AccountQuotas.AWS if quotas else None,
            rates=rates,
            admin=admin,
        )
    except ValueError as error:
        text = str(error).replace("configure credentials", "give --credentials")
        raise Failure(text, 2) from error
    _allow_many_connections()
    try:
        asyncio.run(_serve(service))
    except (OSError, StoreError) as error:
        raise Failure(getattr(error, "strerror", None) or str(error)) from error


async def _serve(service: LocalDataPipeline) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    _on_first_signal(lambda: loop.call_soon_threadsafe(stopping.set))
    async with service:
        write(f"listening on {service.endpoint_url}\n")
        await stopping.wait()
        _log.info("stopping")


def _allow_many_connections() -> None:
    """Let this process open as many files as it may: each open poll is one."""
    if sys.platform == "win32":  # pragma: no cover  # which has no such limit
        return
    import resource  # noqa: PLC0415  # not there on Windows

    usual, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = resource.RLIM_INFINITY
    wanted = _MOST_FILES if most == unlimited else min(most, _MOST_FILES)
    if unlimited != usual < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def _on_first_signal(stop: Callable[[], object]) -> None:
    """Have something called when a signal asks for the end; the next one is the end."""
    numbers = (signal.SIGTERM, signal.SIGINT)

    def asked(_: int, __: FrameType | None) -> None:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)
        stop()

    for number in numbers:
        signal.signal(number, asked)


def _read_credentials(path: Path | None) -> dict[str, Credential]:
    text, where = os.environ.get(_CREDENTIALS, ""), _CREDENTIALS
    if path is not None:
        where = str(path)
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            why = getattr(error, "strerror", None) or "it is not UTF-8"
            raise Failure(f"credentials cannot be read from {where!r}: {why}", 2) from error
    lines = [line.strip() for line in text.splitlines()]
    found: dict[str, Credential] = {}
    for number, line in enumerate(lines, 1):
        if not line or line.startswith("#"):
            continue
        key, _, rest = line.partition(":")
        secret, _, token = rest.partition(":")
        if not key or not secret:
            raise Failure(f"line {number} of {where} has to be KEY:SECRET or KEY:SECRET:TOKEN", 2)
        found[key] = Credential(secret, token or None)
    if path is not None and not found:
        raise Failure(f"{where!r} has no credentials: a line is KEY:SECRET", 2)
    return found
