"""What OpenTelemetry is told of a runner: spans and metrics, and no secrets."""

from __future__ import annotations

import gc
import importlib
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, NumberDataPoint
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from aiodatapipeline.runner import Event, EventKind, Task, TaskFailed, TaskRunner, otel
from tests.runner.bed import SHELL, Call, Fault, Lose, activity, bed, error, waits, works

FINISHED = {EventKind.ACKNOWLEDGED, EventKind.RUNNING, EventKind.ENDED}


class Telemetry:
    """Takes what would go to a collector."""

    def __init__(self) -> None:
        self._spans = InMemorySpanExporter()
        self._reader = InMemoryMetricReader()
        self._tracers = TracerProvider()
        self._tracers.add_span_processor(SimpleSpanProcessor(self._spans))
        self._meters = MeterProvider([self._reader])

    def instrument(self, runner: TaskRunner) -> None:
        otel.instrument(runner, tracer_provider=self._tracers, meter_provider=self._meters)

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        return self._spans.get_finished_spans()

    def outcomes(self) -> list[object]:
        return [attributes(span)["aws.datapipeline.outcome"] for span in self.spans]

    def metrics(self) -> dict[str, list[tuple[dict[str, object], float]]]:
        """Give each metric's numbers with their attributes; of histograms, the counts."""
        data = self._reader.get_metrics_data()
        return {
            metric.name: [
                (
                    dict(point.attributes or {}),
                    point.value if isinstance(point, NumberDataPoint) else point.count,
                )
                for point in metric.data.data_points
            ]
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }

    def everything(self) -> str:
        return "".join(span.to_json() for span in self.spans) + str(self.metrics())


def listener(runner: TaskRunner, telemetry: Telemetry) -> Callable[[Event], None]:
    """Give what a runner's events are handed to."""
    telemetry.instrument(runner)
    found = runner._settings.on_event  # pyright: ignore[reportPrivateUsage]  # what it is
    assert found is not None
    return found


def attributes(span: ReadableSpan) -> Mapping[str, object]:
    return span.attributes or {}


def number(telemetry: Telemetry, name: str) -> float:
    ((_, value),) = telemetry.metrics()[name]
    return value


async def test_a_task_is_a_span_from_its_poll_to_its_delivery() -> None:
    telemetry = Telemetry()
    async with bed() as b:
        pipeline = await b.pipeline(activity())
        runner = b.runner()
        telemetry.instrument(runner)
        had = works(b, runner, 150)

        async with b.running(runner) as run:
            await b.until(lambda: bool(b.told("delivered")), 300)
            await run.stop()
        delivered = b.told("delivered")[0].at

    (span,) = telemetry.spans
    assert span.name == "task ShellCommandActivity"
    assert span.kind is SpanKind.CONSUMER
    assert attributes(span) == {
        "aws.datapipeline.pipeline_id": pipeline,
        "aws.datapipeline.attempt_id": had[0],
        "aws.datapipeline.worker_group": "etl",
        "aws.datapipeline.type": SHELL,
        "aws.datapipeline.outcome": "finished",
    }
    assert {each.name for each in span.events} == FINISHED
    assert span.status.status_code is StatusCode.UNSET
    assert span.start_time is not None
    assert span.end_time is not None
    assert span.end_time == round(delivered * 1e9)
    assert 150 <= (span.end_time - span.start_time) / 1e9 <= 155


async def test_a_failure_is_an_error_with_its_id_and_without_its_text() -> None:
    telemetry = Telemetry()
    async with bed() as b:
        await b.pipeline(activity(**{"*password": "hunter2"}))
        runner = b.runner()
        telemetry.instrument(runner)

        @runner.handler(SHELL)
        async def handle(task: Task) -> None:
            raise TaskFailed("ImportFailed", f"not with {task.object.string('*password')}")

        async with b.running(runner) as run:
            await run.stop()
        task_ids = {call.task_id for call in b.calls if call.task_id}

    (span,) = telemetry.spans
    assert attributes(span)["error.type"] == "ImportFailed"
    assert span.status.status_code is StatusCode.ERROR
    assert span.status.description == "ImportFailed"
    told = telemetry.everything()
    assert len(task_ids) == 1
    assert not [secret for secret in {"hunter2", "not with", *task_ids} if secret in told]


async def test_tasks_reports_and_polls_are_counted() -> None:
    telemetry = Telemetry()
    async with bed() as b:
        await b.pipeline(activity("One"), activity("Two"))
        runner = b.runner()
        telemetry.instrument(runner)
        works(b, runner, 150)

        async with b.running(runner) as run:
            await b.advance(1)
            assert number(telemetry, "aiodatapipeline.running") == 2
            assert number(telemetry, "aiodatapipeline.leaked") == 0
            await b.until(lambda: len(b.told("delivered")) == 2, 300)
            await run.stop()
        reports, polls = len(b.told("reported")), b.told("polled")

    task = {
        "aws.datapipeline.worker_group": "etl",
        "aws.datapipeline.type": SHELL,
        "aws.datapipeline.outcome": "finished",
    }
    found = telemetry.metrics()
    group = {"aws.datapipeline.worker_group": "etl"}
    assert found["aiodatapipeline.tasks"] == [(task, 2)]
    assert found["aiodatapipeline.task.duration"] == [(task, 2)]
    assert reports >= 4
    assert found["aiodatapipeline.report.gap"] == [(group, reports)]
    empty = len([each for each in polls if not each.detail["task"]])
    assert empty
    assert sorted(found["aiodatapipeline.polls"], key=str) == [
        ({**group, "result": "empty"}, empty),
        ({**group, "result": "task"}, 2),
    ]
    assert found["aiodatapipeline.running"] == [(group, 0)]


async def test_what_went_wrong_with_calls_is_counted() -> None:
    telemetry = Telemetry()
    wrong: Iterator[Fault] = iter([error("ThrottlingException"), Lose("request")])

    def fault(call: Call) -> Fault:
        return next(wrong, None) if call.operation == "PollForTask" else None

    async with bed() as b:
        b.fault = fault
        runner = b.runner()
        telemetry.instrument(runner)
        async with b.running(runner) as run:
            await b.until(lambda: len(b.told("poll_failed")) == 2, 300)
            await run.stop()

    found = telemetry.metrics()
    assert found["aiodatapipeline.throttled"] == [({"rpc.method": "PollForTask"}, 1)]
    assert found["aiodatapipeline.polls"] == [
        ({"aws.datapipeline.worker_group": "etl", "result": "failed"}, 2)
    ]
    assert telemetry.spans == ()


async def test_a_task_that_is_canceled_tells_why_and_that_nothing_was_reported() -> None:
    telemetry = Telemetry()
    async with bed() as b:
        pipeline = await b.pipeline(activity())
        runner = b.runner()
        telemetry.instrument(runner)
        waits(b, runner)

        async with b.running(runner) as run:
            await b.cancel(pipeline, "Job")
            await b.until(lambda: bool(b.told("ended")), 100)
            await run.stop()

    (span,) = telemetry.spans
    assert telemetry.outcomes() == ["unreported"]
    (cancelled,) = [each for each in span.events if each.name == "cancelled"]
    assert cancelled.attributes == {"reason": "canceled"}
    assert type((cancelled.attributes or {})["reason"]) is str


async def test_an_outcome_that_was_not_taken_is_an_error() -> None:
    telemetry = Telemetry()

    def fault(call: Call) -> Fault:
        return error("TaskNotFoundException") if call.operation == "SetTaskStatus" else None

    async with bed() as b:
        await b.pipeline(activity())
        b.fault = fault
        runner = b.runner()
        telemetry.instrument(runner)
        works(b, runner)

        async with b.running(runner) as run:
            await b.until(lambda: bool(b.told("fenced")), 100)
            await run.stop()

    assert telemetry.outcomes() == ["fenced"]
    assert telemetry.spans[0].status.status_code is StatusCode.ERROR


async def test_an_outcome_that_waits_in_the_outbox_is_a_span_of_each_run(tmp_path: Path) -> None:
    telemetry = Telemetry()
    async with bed() as b:
        await b.pipeline(activity())
        down = True

        def fault(call: Call) -> Fault:
            return Lose("request") if down and call.operation == "SetTaskStatus" else None

        b.fault = fault
        runner = b.runner(state_dir=tmp_path, drain_timeout=10, cancel_grace=0)
        telemetry.instrument(runner)
        works(b, runner)
        async with b.running(runner) as run:
            await b.until(lambda: bool(b.made("SetTaskStatus")), 100)
            assert number(telemetry, "aiodatapipeline.outbox") == 1
            result = await run.stop(cancel=True)
        assert result.undelivered == 1
        down = False
        async with b.running(runner) as run:
            await b.until(lambda: bool(b.told("delivered")), 100)
            await run.stop()

    assert telemetry.outcomes() == ["undelivered", "finished"]
    first, second = telemetry.spans
    assert attributes(first)["aws.datapipeline.attempt_id"] in attributes(second).values()
    assert number(telemetry, "aiodatapipeline.outbox") == 0


async def test_a_task_that_nobody_here_can_do_is_dropped() -> None:
    telemetry = Telemetry()
    async with bed() as b:
        await b.pipeline(activity())
        runner = b.runner(ignore_unknown=True)
        telemetry.instrument(runner)
        async with b.running(runner) as run:
            await run.stop()

    assert telemetry.outcomes() == ["dropped"]


async def test_a_task_that_is_handed_over_again_while_it_runs_stays_one_span() -> None:
    telemetry = Telemetry()
    tell = listener(TaskRunner("etl"), telemetry)
    told: dict[EventKind, Mapping[str, str | float | bool]] = {
        EventKind.ASSIGNED: {"type": SHELL},
        EventKind.RUNNING: {"type": SHELL, "resumed": False},
        EventKind.DROPPED: {"why": "it is being worked on here"},
        EventKind.ENDED: {"status": "FINISHED", "seconds": 1.0, "error_id": ""},
        EventKind.PRESUMED: {"status": "FINISHED", "why": ""},
    }
    for kind, detail in told.items():
        tell(Event(kind, 1.0, "etl", "df-1", "@A", detail))

    assert telemetry.outcomes() == ["finished"]


def test_the_application_is_still_told_its_events() -> None:
    seen: list[Event] = []
    runner = TaskRunner("etl", on_event=seen.append)
    tell = listener(runner, Telemetry())

    tell(Event(EventKind.STARTED, 0.0, detail={"recovered": 0}))

    assert [each.kind for each in seen] == [EventKind.STARTED]


def test_a_runner_that_is_gone_is_measured_no_more() -> None:
    telemetry = Telemetry()
    runner = TaskRunner("etl")
    telemetry.instrument(runner)
    before = telemetry.metrics()

    del runner
    gc.collect()

    assert before["aiodatapipeline.running"]
    assert not telemetry.metrics().get("aiodatapipeline.running")


async def test_a_runner_at_work_is_not_instrumented() -> None:
    telemetry = Telemetry()
    async with bed() as b:
        runner = b.runner()
        async with b.running(runner) as run:
            with pytest.raises(RuntimeError, match="runs already"):
                telemetry.instrument(runner)
            await run.stop()

    assert telemetry.metrics() == {}


def test_without_opentelemetry_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    monkeypatch.delitem(sys.modules, "aiodatapipeline.runner.otel")

    with pytest.raises(ModuleNotFoundError, match=r"pip install 'aiodatapipeline\[otel\]'"):
        importlib.import_module("aiodatapipeline.runner.otel")
