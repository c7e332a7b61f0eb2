"""``aiodatapipeline outbox``: outcomes that the service does not have yet, and older ones."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from pydantic.alias_generators import to_camel
from rich.text import Text

from aiodatapipeline import DataPipelineClient
from aiodatapipeline.cli import _output
from aiodatapipeline.cli._command import EndpointUrl, Output, Profile, Region
from aiodatapipeline.cli._output import Answer, Format
from aiodatapipeline.definition.schedules import write_date_time
from aiodatapipeline.runner import OutboxRow, RowState, TaskRunner, read_outbox

StateDir = Annotated[Path, typer.Option(metavar="DIR", help="The state directory of the runner.")]

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
    output: Output = Format.TABLE,
) -> None:
    """List the tasks whose outcomes the service does not have yet."""
    rows = [row for row in read_outbox(state_dir) if everything or row.state in _OPEN]
    table = _output.table(
        (_output.number("No."), "Attempt", "State", "Status", "Error", "Changed (UTC)"),
        [
            (
                str(row.number),
                row.attempt_id,
                Text(row.state, _STYLES.get(row.state, "")),
                row.status,
                row.error_id,
                write_date_time(row.changed),
            )
            for row in rows
        ],
    )
    nothing = "There is nothing in it." if everything else "Nothing is waiting."
    document = {"tasks": [_document(row) for row in rows]}
    _output.show(Answer(document, [table if rows else nothing]), output)


def show_row(
    number: Annotated[
        int, typer.Argument(metavar="NUMBER", help="Of the task, as 'outbox list' shows it.")
    ],
    *,
    state_dir: StateDir,
    output: Output = Format.TABLE,
) -> None:
    """Show all that is known of a task."""
    row = next((row for row in read_outbox(state_dir) if row.number == number), None)
    if row is None:
        raise typer.BadParameter(
            f"there is no task {number} in {str(state_dir)!r}: 'outbox list --all' shows which are",
            param_hint="NUMBER",
        )
    document = _document(row)
    said = {name: value for name, value in document.items() if value not in (None, "")}
    said["state"] = f"{row.state}: {_MEANING[row.state]}"
    table = _output.table(("Member", "Value"), [(name, str(each)) for name, each in said.items()])
    _output.show(Answer(document, [table]), output)


def _document(row: OutboxRow) -> dict[str, object]:
    """Give what is known of a task, in the words of the API where it has some."""
    return {
        to_camel(name): write_date_time(value) if isinstance(value, datetime) else value
        for name, value in asdict(row).items()
    }


def retry(
    state_dir: StateDir,
    *,
    endpoint_url: EndpointUrl = None,
    region: Region = None,
    profile: Profile = None,
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", min=0, help="How long to try.")
    ] = 60.0,
    output: Output = Format.TABLE,
) -> None:
    """Deliver what the service does not have yet, and take no work.

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
    document = {
        "delivered": delivered,
        "undelivered": result.undelivered,
        "leftToTheService": result.unreported,
    }
    line = (
        f"Outcomes: {delivered} delivered, {result.undelivered} still to be delivered, "
        f"{result.unreported} for the service to decide."
    )
    _output.show(Answer(document, [line]), output)
    raise typer.Exit(result.exit_code)
