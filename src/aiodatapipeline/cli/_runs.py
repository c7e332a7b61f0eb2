"""The runs of a pipeline: its instances, with what their last attempts say."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated

import typer
from rich.table import Table

from aiodatapipeline._client import DataPipelineClient
from aiodatapipeline._waiters import ENDED
from aiodatapipeline.cli import _output
from aiodatapipeline.cli._command import Context, Pipeline, connected
from aiodatapipeline.cli._failure import Failure
from aiodatapipeline.cli._output import Answer
from aiodatapipeline.models import Operator, OperatorType, PipelineObject, Query, Selector

# What an instance is in before it ends. Source: dp-interpret-status of the developer guide.
_ACTIVE = (
    "ACTIVATING", "CREATING", "INACTIVE", "PAUSED", "PENDING", "RUNNING", "SCHEDULED",
    "SHUTTING_DOWN", "VALIDATING", "WAITING_FOR_RUNNER", "WAITING_ON_DEPENDENCIES",
)  # fmt: skip
_GOOD = {"FINISHED", "SKIPPED"}
_KNOWN = {*_ACTIVE, *ENDED}


@dataclass(frozen=True, slots=True)
class Run:
    """An instance, and what its last attempt says."""

    id: str
    component: str
    status: str
    scheduled: str | None
    started: str | None
    ended: str | None
    attempts: int
    """0 for what nobody works on, such as data."""
    hostname: str | None
    """Where the last attempt runs, or ran."""
    error_id: str | None
    reason: str | None
    """Why it is not FINISHED: an error message, or what it waits for."""
    waits_for: tuple[str, ...] = ()
    """The ids of other runs, while it waits for them."""

    @property
    def has_ended(self) -> bool:
        """Whether nothing happens to it any more, unless somebody reruns it."""
        return self.status in ENDED

    @property
    def is_good(self) -> bool:
        """Whether it ended as it should."""
        return self.status in _GOOD

    def seconds(self, now: datetime) -> float | None:
        """Give how long it ran, or has been running."""
        started, ended = _time(self.started), _time(self.ended)
        if started is None or (ended is None and self.has_ended):
            return None
        return max(0.0, ((ended or now) - started).total_seconds())

    def document(self, now: datetime) -> dict[str, object]:
        """Give all of it for programs. What is not known is null."""
        return {
            "id": self.id,
            "component": self.component,
            "status": self.status,
            "scheduledStartTime": self.scheduled,
            "actualStartTime": self.started,
            "actualEndTime": self.ended,
            "seconds": self.seconds(now),
            "attempts": self.attempts,
            "hostname": self.hostname,
            "errorId": self.error_id,
            "reason": self.reason,
        }


def runs_table(runs: Iterable[Run], now: datetime) -> Table:
    """Make a table of runs."""
    columns = ("Instance", "Status", _output.number("Attempts"), "Started (UTC)", "Took", "Reason")
    return _output.table(columns, [_row(run, now) for run in runs])


def _row(run: Run, now: datetime) -> tuple[_output.Cell, ...]:
    seconds = run.seconds(now)
    reason = ": ".join(each for each in (run.error_id, run.reason) if each)
    return (
        run.id,
        _output.status(run.status),
        str(run.attempts or ""),
        run.started,
        "" if seconds is None else str(timedelta(seconds=round(seconds))),
        reason,
    )


class Runs:
    """Looks at the instances of a pipeline. What has ended is not asked for again.

    Args:
        client: An open client.
        pipeline_id: The pipeline.
    """

    def __init__(self, client: DataPipelineClient, pipeline_id: str) -> None:
        self._client, self._pipeline_id = client, pipeline_id
        self._ended: dict[str, Run] = {}

    async def current(self) -> list[Run]:
        """Find what has not ended, and the latest instance of each component."""
        every = await self._ids(None)
        active = await self._active()
        latest: dict[str, str] = {}
        for each in every:
            # Ids of one component differ in the time alone, so that they sort by it.
            component = each.rpartition("_")[0]
            latest[component] = max(each, latest.get(component, ""))
        return await self._runs(dict.fromkeys((*active, *latest.values())))

    async def all(self, *selectors: Selector) -> list[Run]:
        """Find all instances that meet some conditions."""
        if self._ended:
            await self._active()
        return await self._runs(await self._ids(_selected(*selectors)))

    async def _active(self) -> list[str]:
        ids = await self._ids(_selected(_is("@status", *_ACTIVE)))
        for each in ids:
            self._ended.pop(each, None)  # somebody had it run again
        return ids

    async def _ids(self, query: Query | None) -> list[str]:
        pager = self._client.query_objects(self._pipeline_id, "INSTANCE", query=query)
        return [each async for each in pager]

    async def _runs(self, ids: Iterable[str]) -> list[Run]:
        ids = list(ids)
        instances = await self._objects([each for each in ids if each not in self._ended])
        heads = [
            head
            for each in instances
            if (head := _ref(each, "@headAttempt")) and _text(each, "@status") != "FINISHED"
        ]
        attempts = {each.id: each for each in await self._objects(heads)}
        runs = [_run(each, attempts.get(_ref(each, "@headAttempt") or "")) for each in instances]
        self._ended |= {run.id: run for run in runs if run.has_ended}
        found = {run.id: run for run in runs} | self._ended
        return sorted(
            (found[each] for each in ids if each in found),
            key=lambda run: (run.scheduled or "", run.started or "9", run.id),
        )

    async def _objects(self, ids: Sequence[str]) -> list[PipelineObject]:
        return [each async for each in self._client.describe_objects(self._pipeline_id, ids)]


def _run(instance: PipelineObject, attempt: PipelineObject | None) -> Run:
    failed = attempt is not None and "errorMessage" in attempt
    told = attempt if attempt is not None and failed else None
    return Run(
        id=instance.id,
        component=_ref(instance, "@componentParent") or instance.name,
        status=_text(instance, "@status") or "UNKNOWN",
        scheduled=_text(instance, "@scheduledStartTime"),
        started=_text(instance, "@actualStartTime"),
        ended=_text(instance, "@actualEndTime"),
        attempts=int(_text(instance, "@attemptCount") or 0),
        hostname=_text(attempt, "hostname"),
        error_id=_text(told, "errorId") or _text(instance, "errorId"),
        reason=_text(told, "errorMessage") or _reason(instance),
        waits_for=instance.refs("@waitingOn"),
    )


def _reason(instance: PipelineObject) -> str | None:
    for key in ("errorMessage", "@failureReason", "cancellationReason"):
        if text := _text(instance, key):
            return text
    for key, words in (("@cascadeFailedOn", "failed with"), ("@waitingOn", "waits for")):
        if refs := instance.refs(key):
            return f"{words} {', '.join(refs)}"
    return None


def _text(described: PipelineObject | None, key: str) -> str | None:
    return next(iter(described.strings(key)), None) if described else None


def _ref(described: PipelineObject, key: str) -> str | None:
    return next(iter(described.refs(key)), None)


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text).replace(tzinfo=UTC) if text else None


def _is(field: str, *values: str, how: OperatorType = OperatorType.EQ) -> Selector:
    return Selector(field_name=field, operator=Operator(type=how, values=values))


def _selected(*selectors: Selector) -> Query | None:
    return Query(selectors=selectors) if selectors else None


# -- commands -------------------------------------------------------------------------------------


@connected
async def list_runs(
    context: Context,
    *,
    pipeline: Pipeline,
    status: Annotated[
        list[str] | None,
        typer.Option(metavar="STATUS", help="Such as FAILED. Can be given several times."),
    ] = None,
    start_interval: Annotated[
        str | None,
        typer.Option(metavar="FROM,TO", help="When it started: two times, UTC, both included."),
    ] = None,
    schedule_interval: Annotated[
        str | None,
        typer.Option(metavar="FROM,TO", help="When it was scheduled: two times as well."),
    ] = None,
) -> Answer:
    """List the runs of a pipeline, also those of long ago.

    'status' shows what matters now.
    """
    selectors = [_is("@status", *(each.upper() for each in status))] if status else []
    for field, interval in (
        ("@actualStartTime", start_interval),
        ("@scheduledStartTime", schedule_interval),
    ):
        if interval:
            selectors.append(_is(field, *_interval(interval), how=OperatorType.BETWEEN))
    found = await Runs(context.client, pipeline).all(*selectors)
    if unknown := {each.upper() for each in status or ()} - _KNOWN:
        _output.note(f"{', '.join(sorted(unknown))}: no known status; those are {_words(_KNOWN)}")
    now = datetime.now(UTC)
    document = {"pipelineId": pipeline, "runs": [run.document(now) for run in found]}
    return Answer(document, [runs_table(found, now) if found else "No such runs."])


def _interval(text: str) -> tuple[str, str]:
    try:
        first, last = (datetime.fromisoformat(each.strip()) for each in text.split(","))
    except ValueError:
        raise Failure(
            f"{text!r} is no interval: write it as 2026-01-01T00:00:00,2026-01-31T00:00:00", 2
        ) from None
    interval = _written(first), _written(last)
    if interval != tuple(sorted(interval)):
        raise Failure(f"{text!r} ends before it begins: write the earlier time first", 2)
    return interval


def _written(time: datetime) -> str:
    if time.tzinfo is not None:
        time = time.astimezone(UTC)
    return time.strftime("%Y-%m-%dT%H:%M:%S")


class NewStatus(StrEnum):
    """What can be done to objects. PAUSE and RESUME are for components, the rest for instances."""

    PAUSE = "PAUSE"
    RESUME = "RESUME"
    RERUN = "RERUN"
    TRY_CANCEL = "TRY_CANCEL"
    MARK_FINISHED = "MARK_FINISHED"


def _begun(incomplete: str) -> list[str]:
    return [each for each in NewStatus if each.startswith(incomplete.upper())]


def _words(words: Iterable[str]) -> str:
    return ", ".join(sorted(words))


@connected
async def set_status(
    context: Context,
    *,
    pipeline: Pipeline,
    status: Annotated[
        str,
        typer.Argument(
            metavar="STATUS",
            autocompletion=_begun,
            help="PAUSE or RESUME for components; RERUN, TRY_CANCEL or MARK_FINISHED for runs.",
        ),
    ],
    objects: Annotated[list[str], typer.Argument(metavar="OBJECT", help="The ids of the objects.")],
) -> Answer:
    """Pause, resume, rerun, cancel or mark as finished.

    It takes effect a little later.
    """
    new = status.upper()
    if new not in set(NewStatus):
        told = f"{status!r} cannot be asked of objects, but one of {_words(NewStatus)}"
        raise typer.BadParameter(told, param_hint="STATUS")
    await context.client.set_status(pipeline, objects, new)
    document = {"pipelineId": pipeline, "status": new, "objectIds": objects}
    text = f"{new} is asked of {', '.join(objects)}. Next: aiodatapipeline status {pipeline}"
    return Answer(document, [text])
