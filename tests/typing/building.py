"""What a definition is built of, and what the type checkers refuse in it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import assert_type

from aiodatapipeline.definition import Definition
from aiodatapipeline.definition.objects import (
    Activity,
    CopyActivity,
    Default,
    Exists,
    Object,
    Parameter,
    S3DataNode,
    Schedule,
    ShellCommandActivity,
    SqlActivity,
    Text,
    build,
)
from aiodatapipeline.models import PipelineObject, Ref


class PigActivity(Activity):
    """A type of one's own."""

    script: Text | None = None


def fields_take_what_they_hold() -> None:
    daily = Schedule(id="Daily", period=timedelta(days=1), start_date_time=datetime.now(UTC))
    default = Default(schedule=daily, schedule_type="cron", worker_group="wg", maximum_retries=3)
    ready = Exists(id="Ready", retry_delay="5 minutes")
    orders = S3DataNode(id="Orders", file_path="s3://bucket/orders.csv", precondition=ready)
    alarm = Object("SnsAlarm", "Alarm", topic_arn="arn", extra={"myCount": 3, "*secret": "x"})
    copy = CopyActivity(id="Copy", input=orders, output=["Copied", Ref("Other")], on_fail=alarm)
    before: list[ShellCommandActivity] = [ShellCommandActivity(id="A", command="true")]
    query = SqlActivity(id="Query", depends_on=before, database="Db", script_argument=["a", "b"])
    pig = PigActivity(id="Pig", script="x", depends_on=query)

    assert_type(copy.to_pipeline_object(), PipelineObject)
    assert_type(pig.script, str | None)
    assert_type(alarm.type, str)
    assert_type(
        build(default, pig, parameters=[Parameter(id="myX", default=1)], values={"myX": ["a", 2]}),
        Definition,
    )


def fields_refuse_the_rest() -> None:
    ShellCommandActivity(id="A", command=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ShellCommandActivity(id="A", comand="true")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    ShellCommandActivity(command="true")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    ShellCommandActivity(id="A", depends_on=[5])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    Schedule(id="S")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Default(schedule_type="daily")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Object("SnsAlarm", "Alarm", subject=object())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Parameter(id="myX", type="Boolean")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    build("Load")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
