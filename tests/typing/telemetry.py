"""A runner's spans and metrics."""

from __future__ import annotations

from opentelemetry.metrics import get_meter_provider
from opentelemetry.trace import get_tracer_provider

from aiodatapipeline.runner import TaskRunner
from aiodatapipeline.runner.otel import instrument


def a_runner_is_instrumented(runner: TaskRunner) -> None:
    instrument(runner)
    instrument(runner, tracer_provider=get_tracer_provider(), meter_provider=get_meter_provider())
    instrument("etl")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
