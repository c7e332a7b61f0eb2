"""A task runner's traces and metrics, for OpenTelemetry: the extra ``otel``.

Spans and metrics are made of the runner's events. So they never hold a task id, which stands for
the right to report on a task, nor a field's value; nor do they have the texts of errors, which
may quote anything: those are in the log.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from aiodatapipeline.runner._events import Detail, Event, EventKind, Health
from aiodatapipeline.runner._runner import TaskRunner

try:
    from opentelemetry import metrics, trace
    from opentelemetry.metrics import CallbackOptions, Meter, MeterProvider, Observation
    from opentelemetry.trace import Span, SpanKind, StatusCode, TracerProvider
    from opentelemetry.util.types import AttributeValue
except ModuleNotFoundError as _error:
    raise ModuleNotFoundError(
        f"{_error.name} is not installed: pip install 'aiodatapipeline[otel]' brings what "
        "aiodatapipeline.runner.otel needs",
        name=_error.name,
    ) from _error

__all__ = ["instrument"]

_NAME = "aiodatapipeline.runner"
_PREFIX = "aws.datapipeline"

# What a span tells of each event on the way, beside its name.
_ON_THE_WAY: dict[EventKind, tuple[str, ...]] = {
    EventKind.ACKNOWLEDGED: ("seconds",),
    EventKind.RUNNING: ("resumed",),
    EventKind.REPORT_FAILED: (),
    EventKind.LEASE: ("state",),
    EventKind.CANCELLED: ("reason",),
    EventKind.LEAKED: (),
    EventKind.ENDED: ("status", "seconds", "error_id"),
    EventKind.SIMPLIFIED: ("step",),
}

# Outcomes that say that something went wrong.
_WRONG = {"failed", "fenced", "undelivered"}


def instrument(
    runner: TaskRunner,
    *,
    tracer_provider: TracerProvider | None = None,
    meter_provider: MeterProvider | None = None,
) -> None:
    """Have a runner's spans and metrics made, beside what its ``on_event`` does.

    A span is a task, from the poll that brought it until the service has its outcome.

    Args:
        runner: It does not run yet.
        tracer_provider: Where spans go; the application's own, which is global, if None.
        meter_provider: Where metrics go; the same.

    Raises:
        RuntimeError: The runner runs already.
    """
    meter = metrics.get_meter(_NAME, meter_provider=meter_provider)
    spans = _Spans(trace.get_tracer(_NAME, tracer_provider=tracer_provider))
    counts = _Counts(meter)

    def note(event: Event) -> None:
        counts.note(event)
        for task in spans.note(event):
            counts.ended(task)

    runner.adapt(on_event=note)
    _watch(meter, runner)


@dataclass
class _Open:
    """A task that is under way."""

    span: Span
    type: str
    worker_group: str
    began: float
    """By the runner's clock, as all times here."""
    begun: bool = False
    """Whether its handler was called."""
    error_id: str = ""


@dataclass(frozen=True)
class _Ended:
    """A task that is over."""

    type: str
    worker_group: str
    outcome: str
    seconds: float


class _Spans:
    """The spans of a runner's tasks. All events come from one thread."""

    def __init__(self, tracer: trace.Tracer) -> None:
        self._tracer = tracer
        self._open: dict[tuple[str, str], _Open] = {}

    def note(self, event: Event) -> list[_Ended]:
        """Take an event in, and give the tasks that it ended."""
        if event.kind is EventKind.STOPPED:
            # The next run delivers them.
            return [self._end(key, event.at, "undelivered") for key in list(self._open)]
        if not event.attempt_id:
            return []
        key = event.pipeline_id, event.attempt_id
        if event.kind is EventKind.ASSIGNED or key not in self._open:
            self._begin(key, event)
        known = self._open[key]
        if event.kind in _ON_THE_WAY:
            self._tell(known, event)
        outcome = _outcome(event, begun=known.begun)
        return [self._end(key, event.at, outcome)] if outcome else []

    def _begin(self, key: tuple[str, str], event: Event) -> None:
        """Begin a span: of what a crash left behind, with the first that is heard of it."""
        kind = str(event.detail.get("type", ""))
        attributes: dict[str, AttributeValue] = {
            f"{_PREFIX}.pipeline_id": event.pipeline_id,
            f"{_PREFIX}.attempt_id": event.attempt_id,
            f"{_PREFIX}.worker_group": event.worker_group,
            f"{_PREFIX}.type": kind,
        }
        began = event.at
        if event.kind is EventKind.DELIVERED:
            began -= float(event.detail["seconds"])
        span = self._tracer.start_span(
            f"task {kind}".rstrip(),
            kind=SpanKind.CONSUMER,
            attributes=attributes,
            start_time=_nanoseconds(began),
        )
        self._open[key] = _Open(span, kind, event.worker_group, began)

    @staticmethod
    def _tell(known: _Open, event: Event) -> None:
        known.begun = known.begun or event.kind is EventKind.RUNNING
        known.error_id = str(event.detail.get("error_id", known.error_id))
        told: dict[str, AttributeValue] = {
            name: _plain(event.detail[name]) for name in _ON_THE_WAY[event.kind]
        }
        known.span.add_event(event.kind.value, told, _nanoseconds(event.at))

    def _end(self, key: tuple[str, str], at: float, outcome: str) -> _Ended:
        known = self._open.pop(key)
        known.span.set_attribute(f"{_PREFIX}.outcome", outcome)
        if known.error_id:
            known.span.set_attribute("error.type", known.error_id)
        if outcome in _WRONG:
            known.span.set_status(StatusCode.ERROR, known.error_id or outcome)
        known.span.end(_nanoseconds(at))
        return _Ended(known.type, known.worker_group, outcome, at - known.began)


def _outcome(event: Event, *, begun: bool) -> str:
    """Say how a task ended; empty if it goes on."""
    match event.kind:
        case EventKind.DELIVERED | EventKind.PRESUMED:
            return str(event.detail["status"]).lower()
        case EventKind.FENCED:
            return "fenced"
        case EventKind.ENDED if event.detail["status"] == "":
            return "unreported"
        # Later it is about another delivery of the same task.
        case EventKind.DROPPED if not begun:
            return "dropped"
        case _:
            return ""


def _nanoseconds(seconds: float) -> int:
    return round(seconds * 1e9)


def _plain(value: Detail) -> AttributeValue:
    """Make a word of a member of an enumeration, which not every exporter takes for one."""
    return str(value) if isinstance(value, str) else value


class _Counts:
    """What is counted and measured of a runner's events."""

    def __init__(self, meter: Meter) -> None:
        self._tasks = meter.create_counter(
            "aiodatapipeline.tasks", "{task}", "Tasks that are over, by outcome."
        )
        self._seconds = meter.create_histogram(
            "aiodatapipeline.task.duration", "s", "From a poll to the end of its task's delivery."
        )
        self._gaps = meter.create_histogram(
            "aiodatapipeline.report.gap", "s", "Between two reports on a task that were taken."
        )
        self._polls = meter.create_counter(
            "aiodatapipeline.polls", "{poll}", "Polls, by whether they brought a task or failed."
        )
        self._throttled = meter.create_counter(
            "aiodatapipeline.throttled", "{call}", "Calls refused for being one too many."
        )

    def note(self, event: Event) -> None:
        """Count an event."""
        match event.kind:
            case EventKind.POLLED:
                self._poll(event, "task" if event.detail["task"] else "empty")
            case EventKind.POLL_FAILED:
                self._poll(event, "failed")
            case EventKind.REPORTED:
                self._gaps.record(float(event.detail["seconds"]), _group(event.worker_group))
            case EventKind.THROTTLED:
                self._throttled.add(1, {"rpc.method": str(event.detail["operation"])})
            case _:
                pass

    def _poll(self, event: Event, result: str) -> None:
        self._polls.add(1, {**_group(event.worker_group), "result": result})

    def ended(self, task: _Ended) -> None:
        """Count a task that is over."""
        attributes = {
            **_group(task.worker_group),
            f"{_PREFIX}.type": task.type,
            f"{_PREFIX}.outcome": task.outcome,
        }
        self._tasks.add(1, attributes)
        self._seconds.record(task.seconds, attributes)


def _group(name: str) -> dict[str, str]:
    return {f"{_PREFIX}.worker_group": name}


def _watch(meter: Meter, runner: TaskRunner) -> None:
    """Have a runner's health asked for whenever metrics are read, as long as it exists."""
    found, attributes = weakref.ref(runner), _group(",".join(runner.worker_groups))

    def gauge(name: str, unit: str, description: str, read: Callable[[Health], int]) -> None:
        def observe(_: CallbackOptions) -> Iterable[Observation]:
            known = found()
            return [] if known is None else [Observation(read(known.health), attributes)]

        meter.create_observable_gauge(f"aiodatapipeline.{name}", [observe], unit, description)

    gauge("running", "{task}", "Handlers under way.", lambda health: health.running)
    gauge("leaked", "{task}", "Handlers that do not stop.", lambda health: health.leaked)
    gauge("outbox", "{outcome}", "Outcomes to deliver.", lambda health: health.undelivered)
