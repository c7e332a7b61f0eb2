"""``aiodatapipeline status``: how a pipeline is, once or until it has ended."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from aiodatapipeline._client import DataPipelineClient
from aiodatapipeline._waiters import INTERVAL
from aiodatapipeline.cli import _output
from aiodatapipeline.cli._command import Context, Pipeline, connected
from aiodatapipeline.cli._failure import Failure
from aiodatapipeline.cli._output import Answer, Format
from aiodatapipeline.cli._runs import Run, Runs, runs_table
from aiodatapipeline.errors import DataPipelineError
from aiodatapipeline.models import PipelineDescription

# States in which nothing happens until somebody activates the pipeline.
_ENDED, _NOT_BEGUN = {"FINISHED", "INACTIVE"}, "PENDING"
_WAITING = "WAITING_ON_DEPENDENCIES"
# So many looks at a pipeline that nobody has activated.
_IDLE_LOOKS = 2
# Looks that may fail one after the other. Each has been tried several times by then.
_MOST_FAILURES = 5


@dataclass(frozen=True, slots=True)
class Look:
    """How a pipeline is."""

    pipeline: PipelineDescription
    runs: Sequence[Run]
    now: datetime

    @property
    def has_ended(self) -> bool:
        """Whether nothing more happens by itself.

        On demand, a pipeline need not become FINISHED: then no run is left, and none to come. Nor
        does one where something failed: what waits for it waits until somebody reruns it.
        """
        if self.pipeline.state in _ENDED:
            return True
        stuck = self._stuck()
        over = bool(self.runs) and all(run.has_ended or run.id in stuck for run in self.runs)
        return over and self._field("@nextRunTime") is None

    def _stuck(self) -> set[str]:
        """Find what failed, and what waits for that, directly or not."""
        found = {run.id for run in self.runs if run.has_ended and not run.is_good}
        while more := {
            run.id
            for run in self.runs
            if run.status == _WAITING and run.id not in found and found.intersection(run.waits_for)
        }:
            found |= more
        return found

    @property
    def is_idle(self) -> bool:
        """Whether it was never activated."""
        return self.pipeline.state == _NOT_BEGUN and self._field("@lastActivationTime") is None

    @property
    def is_good(self) -> bool:
        """Whether all that ended ended as it should."""
        return all(run.is_good for run in self.runs)

    def document(self) -> dict[str, object]:
        """Give all of it for programs."""
        return {
            "pipelineId": self.pipeline.pipeline_id,
            "name": self.pipeline.name,
            "state": self.pipeline.state,
            "health": self._field("@healthStatus"),
            "nextRunTime": self._field("@nextRunTime"),
            "runs": [run.document(self.now) for run in self.runs],
        }

    def shown(self) -> list[RenderableType]:
        """Give all of it for people."""
        head = Text.assemble(
            _output.visible(f"{self.pipeline.pipeline_id} {self.pipeline.name}: "),
            _output.status(self.pipeline.state),
        )
        for word, key in (("health", "@healthStatus"), ("next run", "@nextRunTime")):
            if value := self._field(key):
                head = Text.assemble(head, f", {word} ", _output.status(value))
        return [head, runs_table(self.runs, self.now)] if self.runs else [head, "No runs yet."]

    def _field(self, key: str) -> str | None:
        found = (each.string_value for each in self.pipeline.fields if each.key == key)
        return next(found, None)


@connected
async def status(
    context: Context,
    *,
    pipeline: Pipeline,
    everything: Annotated[
        bool,
        typer.Option(
            "--all", help="Show all instances, not only those that matter now. See 'list-runs'."
        ),
    ] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Look again and again until the pipeline has ended.")
    ] = False,
    interval: Annotated[
        float,
        typer.Option(
            min=0.1,
            max=3600.0,
            metavar="SECONDS",
            help="Between looks. An account may look once a second, for all in it.",
        ),
    ] = INTERVAL,
) -> Answer:
    """Show how a pipeline is, once or until it has ended.

    It shows what has not ended, and the latest run of each object.

    With --watch, the exit code is 0 if all of that ended well, and 1 if not.
    """
    runs = Runs(context.client, pipeline)

    async def look() -> Look:
        return await look_at(context.client, pipeline, runs, everything=everything)

    if not watch:
        found = await look()
        return Answer(found.document(), found.shown())
    with _screen(context.output) as show:
        found = await _watch(look, show, interval)
    return Answer(found.document(), found.shown(), int(not found.is_good))


async def look_at(
    client: DataPipelineClient, pipeline_id: str, runs: Runs, *, everything: bool
) -> Look:
    """Look at a pipeline."""
    described = await _described(client, pipeline_id)
    found = await (runs.all() if everything else runs.current())
    look = Look(described, found, datetime.now(UTC))
    if look.has_ended and described.state not in _ENDED:
        # The last run may have ended since, and the pipeline with it.
        return replace(look, pipeline=await _described(client, pipeline_id))
    return look


async def _described(client: DataPipelineClient, pipeline_id: str) -> PipelineDescription:
    (found,) = (await client.describe_pipelines([pipeline_id])).pipeline_description_list
    return found


async def _watch(
    look: Callable[[], Awaitable[Look]], show: Callable[[Look], None], interval: float
) -> Look:
    failures = idle = 0
    while True:
        try:
            found = await look()
        except DataPipelineError as error:
            failures += 1
            if not error.retryable or failures > _MOST_FAILURES:
                raise
            _output.note(f"{error}; looking again in {interval:g} s")
        else:
            failures = 0
            show(found)
            if found.has_ended:
                return found
            # An activation takes effect a little later.
            idle = idle + 1 if found.is_idle else 0
            if idle == _IDLE_LOOKS:
                raise Failure(
                    f"{found.pipeline.pipeline_id} was never activated, so there is nothing to "
                    "watch: 'aiodatapipeline activate' starts it"
                )
        await asyncio.sleep(interval)


@contextmanager
def _screen(output: Format) -> Generator[Callable[[Look], None]]:
    """Show looks while they come: as a table that changes, or a line for each change."""
    if output is Format.JSON:
        yield lambda _: None
    elif _output.on_terminal():
        # The answer is printed when it is over; nothing of this stays.
        with Live(console=Console(highlight=False), auto_refresh=False, transient=True) as live:
            try:
                yield lambda look: live.update(Group(*look.shown()), refresh=True)
            except BaseException:  # no answer comes: what was seen last stays
                live.transient = False
                raise
    else:
        before: dict[str, str | None] = {}

        def show(look: Look) -> None:
            now = {look.pipeline.pipeline_id: look.pipeline.state}
            now |= {run.id: run.status for run in look.runs}
            _output.print_all(
                f"{look.now:%Y-%m-%dT%H:%M:%S} {key} {word}"
                for key, word in now.items()
                if before.get(key) != word
            )
            before.update(now)

        yield show
