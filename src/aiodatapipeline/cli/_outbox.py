"""``aiodatapipeline outbox``: outcomes that the service does not have yet, and older ones."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from aiodatapipeline import DataPipelineClient
from aiodatapipeline.runner import OutboxRow, RowState, TaskRunner, read_outbox

StateDir = Annotated[Path, typer.Option(help="The state directory of the runner.")]

_OPEN = {RowState.ASSIGNED, RowState.RUNNING, RowState.OUTCOME}
_STYLES = {
    RowState.OUTCOME: "bold yellow",
    RowState.DELIVERED: "green",
    RowState.FENCED: "bold red",
    RowState.PRESUMED: "yellow",
}
_MEANING = {
    RowState.ASSIGNED: "handed over, and not begun",
    RowState.RUNNING: "at work, or cut off by a crash",
    RowState.OUTCOME: "ended; the service does not know it yet",
    RowState.DELIVERED: "the service has its outcome",
    RowState.PRESUMED: "the service knew it no more after an answer was lost: it had the outcome, "
    "as far as one can tell",
    RowState.FENCED: "it was another runner's by the time, so its outcome was not taken",
    RowState.DROPPED: "there is no outcome of ours",
}


def list_rows(
    state_dir: StateDir,
    *,
    everything: Annotated[bool, typer.Option("--all", help="Show what is settled, too.")] = False,
) -> None:
    """List the tasks whose outcomes the service does not have yet."""
    console = Console(highlight=False)
    rows = [row for row in read_outbox(state_dir) if everything or row.state in _OPEN]
    if not rows:
        console.print("Nothing is waiting." if not everything else "There is nothing in it.")
        return
    table = Table("No.", Column("Attempt", overflow="fold"), "State", "Status", "Error", "Changed")
    table.box = box.SIMPLE_HEAD
    for row in rows:
        table.add_row(
            str(row.number),
            row.attempt_id,
            Text(row.state, _STYLES.get(row.state, "")),
            row.status or "",
            Text(row.error_id or ""),
            f"{row.changed:%m-%d %H:%M}",
        )
    console.print(table)


def show_row(
    number: Annotated[int, typer.Argument(help="Of the task, as in the list.")], state_dir: StateDir
) -> None:
    """Show all that is known of a task."""
    row = _find(read_outbox(state_dir), number)
    console = Console(highlight=False)
    for name in (field.name for field in fields(OutboxRow)):
        value: object = getattr(row, name)
        if value not in (None, ""):
            said = f"{value}: {_MEANING[row.state]}" if name == "state" else str(value)
            console.print(Text.assemble((f"{name:14}", "bold"), said))


def _find(rows: Sequence[OutboxRow], number: int) -> OutboxRow:
    for row in rows:
        if row.number == number:
            return row
    raise typer.BadParameter(f"there is no task {number} in it", param_hint="NUMBER")


def retry(
    state_dir: StateDir,
    endpoint_url: Annotated[
        str | None, typer.Option(help="Another service than AWS's, such as a local one.")
    ] = None,
    region: Annotated[str | None, typer.Option(help="The region of AWS.")] = None,
    profile: Annotated[str | None, typer.Option(help="A profile of the files in ~/.aws.")] = None,
    timeout: Annotated[float, typer.Option(min=0, help="How many seconds to try.")] = 60.0,
) -> None:
    """Deliver what the service does not have yet, without taking new work.

    A runner does so by itself whenever it starts; this is for one that will not start again.
    Tasks whose handlers a crash cut off are left to the service.
    """
    read_outbox(state_dir)  # or it would be made
    runner = TaskRunner(
        "none",  # it is not asked
        client=lambda: DataPipelineClient(
            region_name=region, endpoint_url=endpoint_url, profile_name=profile
        ),
        state_dir=state_dir,
        drain_timeout=timeout,
        cancel_grace=0.0,  # there is no handler
    )
    result = asyncio.run(runner.run(signals=True, deliver_only=True))
    delivered = result.finished + result.failed + result.not_met
    Console(highlight=False).print(
        f"Outcomes: {delivered} delivered, {result.undelivered} still to be delivered, "
        f"{result.unreported} for the service to decide."
    )
    raise typer.Exit(result.exit_code)
