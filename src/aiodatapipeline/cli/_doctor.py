"""``aiodatapipeline doctor``: whether a runner could work here, and what to do if not."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from email.utils import parsedate_to_datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from aiodatapipeline import CallOptions, DataPipelineClient, __version__
from aiodatapipeline._config import ConnectionSettings
from aiodatapipeline._seam import Reply, Transport
from aiodatapipeline.cli import _output
from aiodatapipeline.cli._command import EndpointUrl, Output, Profile, Region
from aiodatapipeline.cli._failure import told
from aiodatapipeline.cli._output import Answer, Format
from aiodatapipeline.errors import (
    AccessDeniedException,
    DataPipelineError,
    ExpiredCredentialsError,
    InvalidCredentialsError,
)
from aiodatapipeline.operations import ListPipelinesRequest
from aiodatapipeline.runner import OutboxError, RowState, read_outbox

# Seconds for a call.
_TIMEOUT = 10.0
# A signature is good for five minutes. Source: AWS's signing of requests, version 4.
_SKEW, _DOUBTFUL_SKEW = 300.0, 60.0
# What a task costs of what the system lends: its files, and pipes and sockets now and then.
_FILES_PER_TASK, _FILES = 8, 64
_GIBIBYTE = 1024**3
# A task is reported every 60 seconds, and an account has 10 reports a second. Source: developer
# guide, "AWS Data Pipeline Limits".
_REPORT_EVERY, _REPORTS = 60.0, 10.0
_SHELL = "/bin/sh"


class Verdict(StrEnum):
    """What a check found."""

    GOOD = "good"
    DOUBTFUL = "doubtful"
    BAD = "bad"
    UNKNOWN = "unknown"


_STYLES = {
    Verdict.GOOD: "green",
    Verdict.DOUBTFUL: "yellow",
    Verdict.BAD: "bold red",
    Verdict.UNKNOWN: "dim",
}


@dataclass(frozen=True, slots=True)
class Check:
    """Something that was looked at."""

    name: str
    verdict: Verdict
    found: str
    advice: str = ""


def doctor(
    *,
    endpoint_url: EndpointUrl = None,
    region: Region = None,
    profile: Profile = None,
    state_dir: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="The state directory that the runner would have."),
    ] = None,
    concurrency: Annotated[
        int, typer.Option(metavar="N", min=1, help="How many tasks the runner would run at once.")
    ] = 8,
    output: Output = Format.TABLE,
) -> None:
    """Look whether a task runner could work here.

    It asks the service for the first page of pipelines, and changes nothing.
    """
    settings = ConnectionSettings(
        region_name=region, endpoint_url=endpoint_url, profile_name=profile
    )
    checks = asyncio.run(examine(settings, state_dir, concurrency))
    document = {"version": __version__, "checks": [asdict(check) for check in checks]}
    rows = [(each.name, Text(each.verdict, _STYLES[each.verdict]), _found(each)) for each in checks]
    table = _output.table(("What", "Verdict", "Found"), rows)
    exit_code = int(any(check.verdict is Verdict.BAD for check in checks))
    _output.show(Answer(document, [f"aiodatapipeline {__version__}", table]), output)
    raise typer.Exit(exit_code)


def _found(check: Check) -> Text:
    advice = [("\n", ""), (check.advice, "italic")] if check.advice else []
    return Text.assemble(check.found, *advice)


async def examine(
    settings: ConnectionSettings, state_dir: Path | None, concurrency: int
) -> list[Check]:
    """Make all checks."""
    return [
        *await _service(settings),
        *await asyncio.to_thread(_machine, state_dir, concurrency),
    ]


# -- the service --------------------------------------------------------------------------


class _Watched:
    """Carries requests, and keeps when the service said that it answered."""

    def __init__(self, carrier: Transport) -> None:
        self._carrier = carrier
        self.skew: float | None = None
        """Seconds by which our clock is ahead, with a second's uncertainty; None if not told."""

    async def send(self, operation: str, body: Mapping[str, object], timeout: float) -> Reply:
        reply = await self._carrier.send(operation, body, timeout)
        with suppress(KeyError, ValueError):
            self.skew = time.time() - parsedate_to_datetime(reply.headers["date"]).timestamp()
        return reply


async def _service(settings: ConnectionSettings) -> list[Check]:
    # It takes half a second to import.
    from aiodatapipeline._transport import AiobotocoreTransport  # noqa: PLC0415

    carrier = AiobotocoreTransport(settings)
    try:
        await carrier.open()
        watched = _Watched(carrier)
        return [
            Check("region and credentials", Verdict.GOOD, "there are some"),
            await _ask(watched),
            _clock(watched.skew),
        ]
    except DataPipelineError as error:
        return [Check("region and credentials", Verdict.BAD, told(error))]
    finally:
        await carrier.aclose()


async def _ask(carrier: Transport) -> Check:
    """Ask for something harmless."""
    options = CallOptions(timeout=_TIMEOUT, max_attempts=1)
    began = time.monotonic()
    try:
        async with DataPipelineClient(transport=carrier, options=options) as client:
            await client.call(ListPipelinesRequest())
    except AccessDeniedException as error:
        return Check(
            "service",
            Verdict.DOUBTFUL,
            f"it knows us, and does not list pipelines: {error.message}",
            "A runner does without, but needs PollForTask, ReportTaskProgress, SetTaskStatus and "
            "ReportTaskRunnerHeartbeat.",
        )
    except ExpiredCredentialsError as error:
        return Check("service", Verdict.BAD, error.message, "Get new credentials.")
    except InvalidCredentialsError as error:
        advice = "Look at the access key, its secret, and this machine's clock."
        return Check("service", Verdict.BAD, error.message, advice)
    except DataPipelineError as error:
        advice = "Look at the endpoint, proxies (HTTPS_PROXY) and the network."
        return Check("service", Verdict.BAD, str(error), advice)
    return Check("service", Verdict.GOOD, f"it answered in {time.monotonic() - began:.2f} s")


def _clock(skew: float | None) -> Check:
    if skew is None:
        return Check("clock", Verdict.UNKNOWN, "no answer told the time")
    found = f"{abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} the service's"
    if abs(skew) < _DOUBTFUL_SKEW:
        return Check("clock", Verdict.GOOD, found)
    verdict = Verdict.DOUBTFUL if abs(skew) < _SKEW else Verdict.BAD
    advice = "Signatures are refused from 5 minutes on: let NTP set this machine's clock."
    return Check("clock", verdict, found, advice)


# -- this machine -------------------------------------------------------------------------


def _machine(state_dir: Path | None, concurrency: int) -> list[Check]:
    found = [
        _limits(concurrency),
        _limit_of_files(concurrency),
        _shell(),
        _scratch(Path(tempfile.gettempdir())),
    ]
    if state_dir is not None:
        found.append(_state(state_dir))
    return found


def _limit_of_files(concurrency: int) -> Check:
    try:
        import resource  # noqa: PLC0415  # POSIX alone has it
    except ImportError:
        return Check("open files", Verdict.UNKNOWN, "this system does not tell")
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = _FILES + _FILES_PER_TASK * concurrency
    if limit == resource.RLIM_INFINITY or limit >= needed:
        return Check("open files", Verdict.GOOD, f"{limit} are allowed")
    return Check(
        "open files",
        Verdict.BAD,
        f"{limit} are allowed; {concurrency} tasks at once can need {needed}",
        "Raise it with 'ulimit -n' or systemd's LimitNOFILE, or run fewer tasks at once.",
    )


def _limits(concurrency: int) -> Check:
    found = f"{concurrency / _REPORT_EVERY:.2g} reports a second; an account has {_REPORTS:.0f}"
    if concurrency <= _REPORTS * _REPORT_EVERY:
        return Check("account's limits", Verdict.GOOD, found)
    advice = "Reports of so many tasks come late. Spread them over accounts."
    return Check("account's limits", Verdict.DOUBTFUL, found, advice)


def _shell() -> Check:
    if os.access(_SHELL, os.X_OK):
        return Check("shell", Verdict.GOOD, _SHELL)
    return Check("shell", Verdict.BAD, f"there is no {_SHELL}", "Shell commands need one.")


def _scratch(directory: Path) -> Check:
    name = "scratch directory"
    free = shutil.disk_usage(directory).free
    found = f"{directory}, with {free / _GIBIBYTE:.1f} GiB free"
    if free < _GIBIBYTE:
        return Check(name, Verdict.DOUBTFUL, found, "Staged data and output need room: set TMPDIR.")
    return Check(name, Verdict.GOOD, found)


def _state(state_dir: Path) -> Check:
    name = "state directory"
    there = next(each for each in (state_dir, *state_dir.absolute().parents) if each.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        return Check(name, Verdict.BAD, f"nothing can be written to {there}", "Choose another.")
    try:
        rows = read_outbox(state_dir)
    except OutboxError as error:
        if (state_dir / "outbox.sqlite3").exists():
            return Check(name, Verdict.BAD, str(error))
        return Check(name, Verdict.GOOD, f"{state_dir}, with no outbox yet")
    waiting = len([row for row in rows if row.state is RowState.OUTCOME])
    if waiting:
        advice = "A runner delivers them when it starts; so does 'aiodatapipeline outbox retry'."
        return Check(name, Verdict.DOUBTFUL, f"{waiting} outcomes are not delivered", advice)
    return Check(name, Verdict.GOOD, f"{state_dir}, with nothing to deliver")
