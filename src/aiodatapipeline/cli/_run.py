"""``aiodatapipeline run``: a task runner, and a view of what it does."""

from __future__ import annotations

import importlib
import inspect
import logging
import sys
from collections import deque
from collections.abc import Mapping
from contextlib import AsyncExitStack, ExitStack
from datetime import datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Annotated, Self

import typer
from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Column, Table
from rich.text import Text

from aiodatapipeline import DataPipelineClient
from aiodatapipeline.cli._command import EndpointUrl, Profile, Region
from aiodatapipeline.cli._failure import Failure
from aiodatapipeline.runner import Event, EventKind, Health, RunningTask, RunResult, TaskRunner
from aiodatapipeline.runner._program import run_to_end
from aiodatapipeline.runner.builtin import BuiltIn, add_builtin
from aiodatapipeline.runner.health import HealthServer

# How many of the last outcomes are shown, and how often a second the view is drawn anew.
_OUTCOMES, _DRAWN = 10, 4

_STYLES = {"FINISHED": "green", "FAILED": "bold red", "FALSE": "yellow"}


def run(
    runner: Annotated[
        str | None,
        typer.Argument(
            metavar="MODULE:RUNNER",
            help="A TaskRunner, or a function that makes one. Without it, the built-in handlers "
            "work: ShellCommandActivity, ShellCommandPrecondition, SqlActivity, CopyActivity and "
            "Exists.",
        ),
    ] = None,
    *,
    worker_group: Annotated[
        list[str] | None,
        typer.Option(metavar="GROUP", help="Where to take work from. Can be given several times."),
    ] = None,
    state_dir: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where outcomes are kept until the service has them."),
    ] = None,
    endpoint_url: EndpointUrl = None,
    region: Region = None,
    profile: Profile = None,
    concurrency: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="How many tasks run at once: 8 if left out."),
    ] = None,
    log_uri: Annotated[
        str | None,
        typer.Option(
            metavar="URI",
            help="Where logs of the built-in handlers go that no pipelineLogUri says a place for: "
            "s3://bucket/prefix or a directory.",
        ),
    ] = None,
    until_idle: Annotated[
        bool, typer.Option("--until-idle", help="Stop when there is nothing more to do.")
    ] = False,
    health_port: Annotated[
        int | None,
        typer.Option(
            metavar="PORT",
            min=0,
            max=65535,
            help="Answer /livez and /readyz on this port, for a container platform.",
        ),
    ] = None,
    health_host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="For that; 0.0.0.0 lets other machines ask.")
    ] = "127.0.0.1",
) -> None:
    """Take tasks from worker groups, run them, and report them.

    The first Ctrl-C, or SIGTERM, lets running tasks end; the second cancels them; the third
    exits at once. Outcomes that are not reported by then are in the state directory.
    """
    chosen = _builtin(worker_group, log_uri) if runner is None else find_runner(runner)
    if runner is not None and log_uri is not None:
        raise typer.BadParameter("it is for the built-in handlers", param_hint="--log-uri")
    if not chosen.types():
        raise _no_runner(f"{runner!r} has no handlers, so that each task that it takes would fail")
    console = Console(highlight=False)
    view = View(console, chosen) if console.is_terminal else None

    def client() -> DataPipelineClient:
        return DataPipelineClient(
            region_name=region, endpoint_url=endpoint_url, profile_name=profile
        )

    elsewhere = any(each is not None for each in (region, endpoint_url, profile))
    try:
        chosen.adapt(
            worker_group=worker_group or None,
            client=client if elsewhere else None,
            state_dir=state_dir,
            max_concurrency=concurrency,
            on_event=view.note if view else None,
        )
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    with ExitStack() as shown:
        if view:
            shown.enter_context(_Above(console))
            shown.enter_context(view)
        health = (
            None if health_port is None else HealthServer(chosen, health_port, host=health_host)
        )
        result = run_to_end(_work(chosen, health, until_idle=until_idle))
    console.print(told(result))
    raise typer.Exit(result.exit_code)


async def _work(runner: TaskRunner, health: HealthServer | None, *, until_idle: bool) -> RunResult:
    async with AsyncExitStack() as stack:
        if health is not None:
            try:
                await stack.enter_async_context(health)
            except OSError as error:
                raise Failure(f"{error}. Choose another --health-port or --health-host") from error
        return await runner.run(signals=True, until_idle=until_idle)


def _builtin(worker_group: list[str] | None, log_uri: str | None) -> TaskRunner:
    if not worker_group:
        raise typer.BadParameter(
            "say where to take work from: the workerGroup of the activities",
            param_hint="--worker-group",
        )
    scheme, separator, _ = (log_uri or "").partition("://")
    if separator and scheme.lower() not in {"file", "s3"}:
        raise typer.BadParameter(
            f"logs go to s3://bucket/prefix or a directory, and not to {scheme}://",
            param_hint="--log-uri",
        )
    try:
        made = TaskRunner(worker_group, max_concurrency=max(8, len(worker_group)))
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--worker-group") from error
    add_builtin(made, BuiltIn(log_uri=log_uri))
    return made


def find_runner(name: str) -> TaskRunner:
    """Import a task runner.

    Args:
        name: ``package.module:name`` of a TaskRunner, or of a function without arguments that
            makes one. Modules of the current directory can be imported.

    Raises:
        typer.BadParameter: There is none of that name.
        Failure: What is there cannot be imported or called.
    """
    module_name, _, path = name.partition(":")
    if not module_name or not path:
        raise _no_runner(f"{name!r} should be a module and a name in it: jobs.nightly:runner")
    found: object = _module(module_name)
    for part in path.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise _no_runner(f"{module_name!r} has no {path!r}") from None
    if not isinstance(found, TaskRunner) and callable(found):
        try:
            inspect.signature(found).bind()
        except (TypeError, ValueError):
            raise _no_runner(f"{name!r} makes no TaskRunner: it takes arguments") from None
        try:
            found = found()
        except Exception as error:
            raise _fault(f"{name!r} makes no TaskRunner", error) from error
    if not isinstance(found, TaskRunner):
        raise _no_runner(f"{name!r} is no TaskRunner: its type is {type(found).__name__}")
    return found


def _module(name: str) -> ModuleType:
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    try:
        return importlib.import_module(name)
    except Exception as error:
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        if missing is None or not f"{name}.".startswith(f"{missing}."):
            raise _fault(f"module {name!r} cannot be imported", error) from error
        written = ": write it without '.py'" if missing.endswith(".py") else ""
        raise _no_runner(f"there is no module {missing!r}{written}") from None


def _fault(what: str, error: Exception) -> Failure:
    """Tell of a fault in somebody's module. Where it is can be seen with --debug alone."""
    return Failure(f"{what}: {type(error).__name__}: {error} (more with --debug)")


def _no_runner(text: str) -> typer.BadParameter:
    return typer.BadParameter(text, param_hint="MODULE:RUNNER")


def told(result: RunResult) -> str:
    """Say in a line how a run ended."""
    counts = {
        "finished": result.finished,
        "failed": result.failed,
        "not met": result.not_met,
        "not reported": result.unreported,
        "still to be delivered": result.undelivered,
    }
    said = [f"{count} {what}" for what, count in counts.items() if count]
    return f"Tasks: {', '.join(said) or 'none'}."


class View:
    """What a runner is at, on a terminal: its tasks, their progress, and the last outcomes."""

    def __init__(self, console: Console, runner: TaskRunner) -> None:
        self._runner = runner
        self._outcomes: deque[Event] = deque(maxlen=_OUTCOMES)
        self._live = Live(console=console, get_renderable=self._draw, refresh_per_second=_DRAWN)

    def __enter__(self) -> Self:
        self._live.start(refresh=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def note(self, event: Event) -> None:
        """Remember an outcome."""
        if event.kind is EventKind.ENDED:
            self._outcomes.append(event)

    def _draw(self) -> RenderableType:
        return draw(
            self._runner.worker_groups,
            self._runner.health,
            self._runner.running,
            list(self._outcomes),
        )


def draw(
    groups: tuple[str, ...],
    health: Health,
    running: tuple[RunningTask, ...],
    outcomes: list[Event],
) -> RenderableType:
    """Draw what a runner is at."""
    parts: list[RenderableType] = [
        Text.assemble(
            (", ".join(groups), "bold"),
            f"  {health.status}  {len(running)} running  {health.undelivered} to be delivered",
        ),
        *(Text(problem, "bold red") for problem in health.problems),
    ]
    if running:
        tasks = Table("Running", "Type", Column("For", justify="right"), "Progress")
        tasks.box = box.SIMPLE_HEAD
        for task in running:
            tasks.add_row(
                task.attempt_id, task.type, _length(task.seconds), progress(task.progress)
            )
        parts.append(tasks)
    if outcomes:
        ended = Table("Ended", "Status", Column("After", justify="right"), "At", "Error")
        ended.box = box.SIMPLE_HEAD
        for event in outcomes:
            status = str(event.detail["status"]) or "not reported"
            ended.add_row(
                event.attempt_id,
                Text(status, _STYLES.get(status, "dim")),
                _length(float(event.detail["seconds"])),
                f"{datetime.fromtimestamp(event.at).astimezone():%H:%M:%S}",
                Text(str(event.detail["error_id"])),
            )
        parts.append(ended)
    return Group(*parts)


def progress(fields: Mapping[str, str | float]) -> RenderableType:
    """Draw how far a task says to be: a bar for its percentage, the rest in words."""
    percent = fields.get("percent_complete")
    words = Text(" ".join(f"{key}={each}" for key, each in fields.items() if each is not percent))
    if not isinstance(percent, int | float):
        return words
    grid = Table.grid(padding=(0, 1))
    grid.add_row(ProgressBar(completed=percent, width=20), Text(f"{percent:.0f} %"), words)
    return grid


def _length(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))


class _Above(logging.Handler):
    """Prints warnings above the view; the rest of the log has no place there."""

    def __init__(self, console: Console) -> None:
        super().__init__(logging.WARNING)
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        self._console = console
        self._logger = logging.getLogger("aiodatapipeline")

    def emit(self, record: logging.LogRecord) -> None:
        self._console.print(Text(self.format(record)))

    def __enter__(self) -> None:
        self._logger.addHandler(self)
        self._logger.propagate = False

    def __exit__(self, *_: object) -> None:
        self._logger.propagate = True
        self._logger.removeHandler(self)
