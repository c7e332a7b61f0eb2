"""``aiodatapipeline demo``: a whole pipeline on this machine, from its definition to its report."""

from __future__ import annotations

import asyncio
import logging
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Self

import typer
from rich import box
from rich.console import Console
from rich.live import Live
from rich.panel import Panel
from rich.table import Column, Table
from rich.text import Text

from aiodatapipeline import DataPipelineClient
from aiodatapipeline._clock import Appointment
from aiodatapipeline.definition import Definition
from aiodatapipeline.local import LocalDataPipeline
from aiodatapipeline.models import ParameterValue, PipelineObject
from aiodatapipeline.runner import TaskRunner
from aiodatapipeline.runner.builtin import add_builtin

# A retry has to be 2 minutes after a failure, at least. Nobody wants to wait for that.
_SPEED = 60.0
# Seconds. It takes three, unless something is wrong.
_LIMIT = 120.0
# How often one looks at the pipeline, and when the input arrives, for which a precondition waits.
_LOOK, _ARRIVAL = 0.1, 0.5

_DATA = Path(__file__).parent / "demo"
_WORKER_GROUP = "demo"

_FINISHED = "FINISHED"
_STYLES = {
    _FINISHED: "green",
    "RUNNING": "bold cyan",
    "WAITING_FOR_RUNNER": "yellow",
    "WAITING_ON_DEPENDENCIES": "dim",
    "FAILED": "bold red",
    "CASCADE_FAILED": "red",
}


def demo(
    directory: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where data, logs and the report go, and are kept."),
    ] = None,
    speed: Annotated[
        float,
        typer.Option(metavar="N", min=0.1, max=600.0, help="How many times as fast time goes by."),
    ] = _SPEED,
) -> None:
    """Run a whole pipeline on this machine, and show what happens.

    It starts the local service, puts and activates a definition of five shell commands and two
    preconditions, and runs a task runner until the pipeline is finished. No account is needed.
    """
    console = Console(highlight=False)
    # What a log says is on the screen; that an attempt fails belongs to it. A moment of a busy
    # machine is long where time flies, and an event loop that stands so long an error.
    logger = logging.getLogger("aiodatapipeline")
    if logger.getEffectiveLevel() > logging.DEBUG:
        logger.setLevel(logging.CRITICAL)
    with _directory(directory) as where:
        ending = asyncio.run(play(where, console, speed=speed))
        show(ending, console, kept=directory is not None)
    raise typer.Exit(0 if ending.is_good else 1)


def _directory(chosen: Path | None) -> AbstractContextManager[Path | str]:
    if chosen is None:
        return tempfile.TemporaryDirectory(prefix="aiodatapipeline-demo-")
    try:
        chosen.mkdir(parents=True, exist_ok=True)
        if any(chosen.iterdir()):
            raise typer.BadParameter(f"{chosen} is not empty; the demonstration wants a new one")
    except OSError as error:
        raise typer.BadParameter(f"{chosen}: {error.strerror}") from error
    return nullcontext(chosen.absolute())


class FastClock:
    """A clock that goes faster than others, so that retries need not be waited for."""

    def __init__(self, speed: float) -> None:
        self._speed = speed
        self._start, self._began = time.time(), time.monotonic()

    def time(self) -> float:
        """Give the seconds since the epoch."""
        return self._start + self._speed * (time.monotonic() - self._began)

    def call_at(self, when: float, callback: Callable[[], None]) -> Appointment:
        """Have a function called once it is ``when``."""
        seconds = max(0.0, when - self.time()) / self._speed
        return asyncio.get_running_loop().call_later(seconds, callback)

    def working(self) -> AbstractContextManager[None]:
        """Do nothing: this time cannot be held."""
        return nullcontext()


@dataclass(frozen=True, slots=True)
class Row:
    """An instance of the pipeline, as it is shown."""

    name: str
    status: str
    attempts: int
    """0 for data, which nobody works on."""
    started: datetime | None
    ended: datetime | None
    troubles: Sequence[str]
    """What its failed attempts said."""

    @property
    def took(self) -> timedelta | None:
        """How long it ran."""
        return self.ended - self.started if self.started and self.ended else None


@dataclass(frozen=True, slots=True)
class Ending:
    """How it ended."""

    rows: Sequence[Row]
    state: str
    """The pipeline's."""
    seconds: float
    """Of real time."""
    speed: float
    report: str
    directory: Path

    @property
    def is_good(self) -> bool:
        """Whether everything ended FINISHED, and the report is there."""
        states = {self.state, *(row.status for row in self.rows)}
        return states == {_FINISHED} and bool(self.report)


async def play(where: Path | str, console: Console, *, speed: float = _SPEED) -> Ending:
    """Run the demonstration's pipeline to its end.

    Args:
        where: An empty directory.
        console: What it is shown on while it runs.
        speed: How many times as fast time goes by.
    """
    directory, began = Path(where), time.monotonic()
    clock = FastClock(speed)
    async with (
        LocalDataPipeline(str(directory / "service.sqlite3"), clock=clock) as service,
        service.client() as client,
    ):
        pipeline_id = await _activated(client, directory)
        runner = TaskRunner(
            _WORKER_GROUP,
            client=service.client,
            state_dir=directory / "runner",
            account_share=None,
            clock=clock,
        )
        add_builtin(runner)
        async with asyncio.TaskGroup() as group:
            group.create_task(runner.run())
            group.create_task(_deliver(directory))
            with Screen(console, f"The local service is at {service.endpoint_url}.") as screen:
                state = await _watch(client, pipeline_id, screen)
            runner.stop(cancel=True)
        rows = await _rows(client, pipeline_id)
    report = directory / "report.txt"
    return Ending(
        rows,
        state,
        time.monotonic() - began,
        speed,
        report.read_text(encoding="utf-8") if report.is_file() else "",
        directory,
    )


async def _activated(client: DataPipelineClient, directory: Path) -> str:
    """Create, put and activate the pipeline, and give its id."""
    definition = Definition.from_file(_DATA / "pipeline.json")
    values = {
        "myDirectory": str(directory),
        "myInput": str(directory / "orders.csv"),
        "myScripts": str(_DATA),
        "myWorkerGroup": _WORKER_GROUP,
    }
    given = [ParameterValue(id=key, string_value=value) for key, value in values.items()]
    created = await client.create_pipeline("demo", "demo")
    await client.call(definition.to_request(created.pipeline_id))
    await client.activate_pipeline(created.pipeline_id, parameter_values=given)
    return created.pipeline_id


async def _deliver(directory: Path) -> None:
    """Let the orders arrive, a little late."""
    await asyncio.sleep(_ARRIVAL)
    await asyncio.to_thread(shutil.copy, _DATA / "orders.csv", directory / "orders.csv")


async def _watch(client: DataPipelineClient, pipeline_id: str, screen: Screen) -> str:
    """Show the pipeline until it is finished, and give its state."""
    state = ""
    with suppress(TimeoutError):
        async with asyncio.timeout(_LIMIT):
            while state != _FINISHED:
                await asyncio.sleep(_LOOK)
                described = await client.describe_pipelines([pipeline_id])
                state = described.pipeline_description_list[0].state or ""
                screen.show(await _rows(client, pipeline_id))
    return state


async def _rows(client: DataPipelineClient, pipeline_id: str) -> list[Row]:
    """Ask for all instances, in the order in which they began."""
    instances = await _objects(client, pipeline_id, "INSTANCE")
    attempts = await _objects(client, pipeline_id, "ATTEMPT")
    rows = [_row(each, attempts) for each in instances]
    return sorted(rows, key=lambda row: (row.started is None, row.started or row.name, row.name))


async def _objects(
    client: DataPipelineClient, pipeline_id: str, sphere: str
) -> list[PipelineObject]:
    ids = [each async for each in client.query_objects(pipeline_id, sphere)]
    return [each async for each in client.describe_objects(pipeline_id, ids)] if ids else []


def _row(instance: PipelineObject, attempts: Sequence[PipelineObject]) -> Row:
    mine = [each for each in attempts if instance.id in each.refs("@instanceParent")]
    return Row(
        name=next(iter(instance.refs("@componentParent")), instance.id),
        status=instance.string("@status") or "",
        attempts=len(mine),
        started=_time(instance.string("@actualStartTime")),
        ended=_time(instance.string("@actualEndTime")),
        troubles=[each.string("errorMessage") or "" for each in mine if "errorId" in each],
    )


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


class Screen:
    """Shows instances while they change: a table on a terminal, a line for each change elsewhere.

    Args:
        console: Where.
        title: What stands above.
    """

    def __init__(self, console: Console, title: str) -> None:
        self._console = console
        self._before: dict[str, str] = {}
        self._live = Live(console=console, auto_refresh=False) if console.is_terminal else None
        console.print(title)

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.update("", refresh=True)  # the whole of it comes in the end
            self._live.stop()

    def show(self, rows: Sequence[Row]) -> None:
        """Show how things stand."""
        if self._live:
            self._live.update(table(rows), refresh=True)
            return
        for row in rows:
            if self._before.get(row.name) != row.status:
                self._before[row.name] = row.status
                self._console.print(f"{row.name}: {row.status}")


def table(rows: Sequence[Row]) -> Table:
    """Make a table of instances."""
    made = Table("Object", "Status", Column("Attempts", justify="right"), "Started (UTC)", "Took")
    made.box = box.SIMPLE_HEAD
    for row in rows:
        made.add_row(
            row.name,
            Text(row.status, _STYLES.get(row.status, "")),
            str(row.attempts or ""),
            f"{row.started:%H:%M:%S}" if row.started else "",
            "" if row.took is None else str(row.took),
        )
    return made


def show(ending: Ending, console: Console, *, kept: bool) -> None:
    """Show how it ended.

    Args:
        ending: What there is to show.
        console: Where.
        kept: Whether the directory is still there afterwards.
    """
    console.print(table(ending.rows))
    for row in ending.rows:
        for number, trouble in enumerate(row.troubles, 1):
            console.print(Text(f"{row.name}, attempt {number} failed: {trouble}"))
    if ending.report:
        console.print(Panel(Text(ending.report.rstrip()), title="report.txt", expand=False))
    console.print(
        f"The pipeline is {ending.state or 'UNKNOWN'} after {ending.seconds:.1f} s; in the "
        f"service, {ending.seconds * ending.speed / 60:.1f} minutes went by."
    )
    if kept:
        console.print(f"Data, logs and the report are in {ending.directory}.")
    if ending.is_good:
        console.print(
            "With AWS credentials, 'aiodatapipeline run --worker-group GROUP' does such work for "
            "AWS Data Pipeline."
        )
    else:
        console.print("Not everything ended FINISHED: that should not be.", style="bold red")
