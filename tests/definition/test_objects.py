from __future__ import annotations

import pickle
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Literal, get_args, get_origin

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from pydantic.alias_generators import to_camel, to_snake

from aiodatapipeline.definition import Definition, DefinitionError, check
from aiodatapipeline.definition import objects as o
from aiodatapipeline.definition._catalog import ValueKind, catalog
from aiodatapipeline.definition.objects import (
    Activity,
    Component,
    CopyActivity,
    Default,
    Exists,
    Object,
    Parameter,
    S3DataNode,
    Schedule,
    ShellCommandActivity,
    ShellCommandPrecondition,
    SqlActivity,
    Text,
    build,
)
from aiodatapipeline.models import ParameterObject, ParameterValue, PipelineObject, Ref
from tests.definition.strategies import texts

TYPES: list[type[Component]] = [
    CopyActivity,
    Exists,
    S3DataNode,
    Schedule,
    ShellCommandActivity,
    ShellCommandPrecondition,
    SqlActivity,
]


def values(component: Component, key: str) -> tuple[str | Ref, ...]:
    return component.to_pipeline_object().values(key)


def refusal(make: Callable[[], object]) -> str:
    """Give the place and the message of the only error."""
    with pytest.raises(ValidationError) as caught:
        make()
    (error,) = caught.value.errors()
    return f"{'.'.join(map(str, error['loc']))}: {error['msg'].removeprefix('Value error, ')}"


# Types and fields.


@pytest.mark.parametrize("kind", TYPES, ids=lambda kind: kind.__name__)
def test_a_class_has_the_fields_that_the_guide_lists_for_its_type(kind: type[Component]) -> None:
    known = catalog().types[kind.__name__]

    fields = {to_camel(name) for name in kind.model_fields.keys() - {"id", "name", "extra"}}

    assert fields == known.fields.keys()


ANNOTATIONS: Mapping[ValueKind, tuple[object, ...]] = {
    ValueKind.BOOLEAN: (o.Truth,),
    ValueKind.DATE_TIME: (o.DateTime,),
    ValueKind.INTEGER: (o.WholeNumber,),
    ValueKind.PERIOD: (o.Period,),
    ValueKind.REFERENCE: (o.Reference, o.References),
    ValueKind.STRING: (o.Text, o.Texts),
}


@pytest.mark.parametrize("kind", TYPES, ids=lambda kind: kind.__name__)
def test_a_field_takes_the_kind_of_value_that_the_guide_states(kind: type[Component]) -> None:
    known = catalog()
    fields = {to_camel(name): field for name, field in kind.model_fields.items()}

    for key, value_kind in known.types[kind.__name__].fields.items():
        annotation: Any = fields[key].rebuild_annotation()
        if key != "period":  # required, so it is not in a union with None
            annotation = get_args(annotation)[0]
        if value_kind is ValueKind.ENUMERATION:
            assert get_origin(annotation) is Literal
            assert set(get_args(annotation)) == known.choices[key]
        elif key != "parent":  # is written out, for it refers to its own class
            assert annotation in ANNOTATIONS[value_kind], key


def test_an_object_says_its_type_and_its_fields_in_alphabetical_order() -> None:
    load = ShellCommandActivity(
        id="Load",
        name="nightly load",
        worker_group="wg",
        command="echo",
        maximum_retries=2,
        stage=False,
        script_argument=["a", "b"],
        attempt_timeout=timedelta(hours=36),
        parent="Base",
        extra={"myTable": "orders"},
    )

    assert load.to_pipeline_object() == PipelineObject.of(
        "Load",
        {
            "attemptTimeout": "36 hours",
            "command": "echo",
            "maximumRetries": "2",
            "myTable": "orders",
            "parent": Ref("Base"),
            "scriptArgument": ["a", "b"],
            "stage": "false",
            "type": "ShellCommandActivity",
            "workerGroup": "wg",
        },
        name="nightly load",
    )


def test_a_class_of_ones_own_is_a_type_with_its_fields() -> None:
    class PigActivity(Activity):
        script: Text | None = None
        generates_cascade: o.Truth | None = None

    pig = PigActivity(id="Pig", script="x", generates_cascade=True, input="Data")

    assert pig.to_pipeline_object() == PipelineObject.of(
        "Pig",
        {"generatesCascade": "true", "input": Ref("Data"), "script": "x", "type": "PigActivity"},
    )


def test_default_has_its_id_and_no_type() -> None:
    default = Default(
        id="Default", schedule_type="cron", role="r", extra={"runsOn": "Host", "region": "x"}
    )

    assert default.to_pipeline_object() == PipelineObject.of(
        "Default", {"region": "x", "role": "r", "runsOn": Ref("Host"), "scheduleType": "cron"}
    )
    assert refusal(lambda: Default(id="Other")) == "id: this object is always called Default"


def test_an_object_of_any_type_takes_fields_in_snake_case() -> None:
    cluster = Object(
        "EmrCluster",
        "Cluster",
        name="the cluster",
        parent="Base",
        core_instance_count=2,
        terminate_after=timedelta(hours=2),
        use_on_demand_on_last_attempt=True,
        schedule="Daily",
        my_ratio=0.5,
        my_other=Ref("Other"),
        left_out=None,
        extra={"*myKey": "x", "VolumeSpecification": "Volume"},
    )

    assert cluster.to_pipeline_object() == PipelineObject.of(
        "Cluster",
        {
            "*myKey": "x",
            "VolumeSpecification": Ref("Volume"),
            "coreInstanceCount": "2",
            "myOther": Ref("Other"),
            "myRatio": "0.5",
            "parent": Ref("Base"),
            "schedule": Ref("Daily"),
            "terminateAfter": "2 hours",
            "type": "EmrCluster",
            "useOnDemandOnLastAttempt": "true",
        },
        name="the cluster",
    )


def test_a_text_is_an_id_where_the_guide_lists_a_reference() -> None:
    known = Object("SnsAlarm", "A", schedule="x", role="y")
    unknown = Object("NewActivity", "B", runs_on="Host", role="y", my_host="Host")

    assert values(known, "schedule") == ("x",)
    assert values(unknown, "runsOn") == (Ref("Host"),)
    assert values(unknown, "role") == ("y",)
    assert values(unknown, "myHost") == ("Host",)


SNAKE_CASE = sorted(
    {key for kind in catalog().types.values() for key in kind.fields}
    - {"EbsBlockDeviceConfig", "VolumeSpecification"}
)


@pytest.mark.parametrize("key", [key for key in SNAKE_CASE if not key.startswith("*")])
def test_every_field_of_the_guide_can_be_an_argument(key: str) -> None:
    fields: dict[str, Any] = {to_snake(key): Ref("X")}

    made = Object("SomeType", "A", **fields)

    assert made.to_pipeline_object().keys() == tuple(sorted([key, "type"]))


# Values.


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (timedelta(minutes=1), "1 minute"),
        (timedelta(minutes=90), "90 minutes"),
        (timedelta(hours=1), "1 hour"),
        (timedelta(hours=36), "36 hours"),
        (timedelta(days=1), "1 day"),
        (timedelta(weeks=2), "14 days"),
        ("1 Months", "1 Months"),
        ("#{myPeriod}", "#{myPeriod}"),
        ("ONDEMAND_PERIOD", "ONDEMAND_PERIOD"),
    ],
)
def test_a_period_is_a_text_or_a_timedelta(value: str | timedelta, text: str) -> None:
    assert values(Schedule(id="S", period=value), "period") == (text,)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("1 fortnight", "a period is a number and minutes, hours, days, weeks, months or years"),
        (timedelta(seconds=90), "a period is a number of whole minutes, and at least one"),
        (timedelta(0), "a period is a number of whole minutes, and at least one"),
        (timedelta(days=-1), "a period is a number of whole minutes, and at least one"),
        (60, "a period as text or a timedelta should stand here, not a value of type int"),
    ],
)
def test_what_is_no_period_is_refused(value: Any, message: str) -> None:
    assert refusal(lambda: Schedule(id="S", period=value)).startswith(f"period: {message}")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (datetime(2026, 1, 31, 23, 30, 1, 999_999, UTC), "2026-01-31T23:30:01"),
        (datetime(2026, 1, 1, 1, tzinfo=timezone(timedelta(hours=2))), "2025-12-31T23:00:00"),
        (datetime(33, 1, 1, tzinfo=UTC), "0033-01-01T00:00:00"),
        ("2026-01-31T00:00:00", "2026-01-31T00:00:00"),
        ("#{myStart}", "#{myStart}"),
    ],
)
def test_a_time_is_written_in_utc(value: str | datetime, text: str) -> None:
    schedule = Schedule(id="S", period="1 day", start_date_time=value)

    assert values(schedule, "startDateTime") == (text,)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (datetime(2026, 1, 1), "a datetime needs a time zone"),  # noqa: DTZ001  # that is the point
        (datetime.max.replace(tzinfo=timezone(timedelta(hours=-1))), "in UTC this is no year"),
        ("2026-02-30T00:00:00", "a time is written in UTC as in '2026-01-31T00:00:00'"),
        ("2026-01-01", "a time is written in UTC as in '2026-01-31T00:00:00'"),
        (0, "a time as text or a datetime should stand here, not a value of type int"),
    ],
)
def test_what_is_no_time_is_refused(value: Any, message: str) -> None:
    told = refusal(lambda: Schedule(id="S", period="1 day", end_date_time=value))

    assert told.startswith(f"end_date_time: {message}")


NO_REFERENCE = "an object or an object's id should stand here, not a value of type"


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("command", 5, "a text should stand here, not a value of type int"),
        ("command", "x" * 10_241, "a text has at most 10,240 characters, and this has 10,241"),
        ("command", "a\x00", "the service does not take U+0000 at index 1"),
        ("script_argument", ["a", 1], "a text should stand here, not a value of type int"),
        ("maximum_retries", True, "a whole number should stand here, not a value of type bool"),
        ("maximum_retries", 1.5, "a whole number should stand here, not a value of type float"),
        ("maximum_retries", "many", "a whole number should stand here, not a value of type str"),
        pytest.param("maximum_retries", 10**5000, "this number cannot be written", id="huge"),
        ("stage", "maybe", "True or False should stand here, not a value of type str"),
        ("stage", 1, "True or False should stand here, not a value of type int"),
        ("depends_on", [5], f"{NO_REFERENCE} int"),
        ("depends_on", {"A"}, f"{NO_REFERENCE} set"),
        ("runs_on", ["A"], f"{NO_REFERENCE} list"),
        ("runs_on", "", "an id to refer to has 1 to 256 characters"),
        ("runs_on", Ref("x" * 257), "an id to refer to has 1 to 256 characters"),
        ("failure_and_rerun_mode", "Cascade", "Input should be 'cascade' or 'none'"),
        ("id", "", "String should have at least 1 character"),
        ("comand", "x", "Extra inputs are not permitted"),
    ],
)  # fmt: skip
def test_what_a_field_does_not_hold_is_refused_with_its_name(
    field: str, value: object, message: str
) -> None:
    fields: dict[str, Any] = {"id": "A", field: value}

    assert refusal(lambda: ShellCommandActivity(**fields)) == f"{field}: {message}"


@pytest.mark.parametrize("value", ["3", "#{myRetries}", 3])
def test_a_whole_number_may_be_a_text(value: int | str) -> None:
    copy = CopyActivity(id="C", maximum_retries=value)

    assert values(copy, "maximumRetries") == (str(value),)


@pytest.mark.parametrize(
    ("value", "text"), [(True, "true"), ("FALSE", "FALSE"), ("#{myStage}", "#{myStage}")]
)
def test_true_and_false_may_be_texts(value: bool | str, text: str) -> None:
    assert values(ShellCommandActivity(id="A", stage=value), "stage") == (text,)


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("text", ("text",)),
        (1, ("1",)),
        (0.1, ("0.1",)),
        (True, ("true",)),
        (timedelta(days=2), ("2 days",)),
        (datetime(2026, 1, 1, tzinfo=UTC), ("2026-01-01T00:00:00",)),
        (Ref("A"), (Ref("A"),)),
        (Exists(id="A"), (Ref("A"),)),
        (["a", 1, Ref("A")], ("a", "1", Ref("A"))),
        ((), ()),
    ],
)
def test_a_field_without_a_kind_takes_whatever_can_be_written(
    value: Any, written: tuple[str | Ref, ...]
) -> None:
    assert values(Object("T", "O", my_x=value), "myX") == written
    assert values(Exists(id="E", extra={"myX": value}), "myX") == written


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None, object(), [["a"]], {"a"}])
def test_what_cannot_be_written_is_refused(value: Any) -> None:
    assert refusal(lambda: Exists(id="E", extra={"myX": value})).startswith("extra.myX: ")


def test_a_schedule_has_one_start_and_one_end() -> None:
    start = refusal(
        lambda: Schedule(
            id="S",
            period="1 day",
            start_at="FIRST_ACTIVATION_DATE_TIME",
            start_date_time="2026-01-01T00:00:00",
        )
    )
    end = refusal(
        lambda: Schedule(id="S", period="1 day", occurrences=1, end_date_time="2026-01-01T00:00:00")
    )

    assert start == ": a schedule has a start_at or a start_date_time, never both"
    assert end == ": a schedule has occurrences or an end_date_time, never both"


def test_extra_is_no_second_way_to_say_the_same() -> None:
    def extra(**fields: Any) -> str:
        return refusal(lambda: ShellCommandActivity(id="A", command="x", extra=fields))

    assert extra(command="y") == ": command: not in extra, there is an argument for it"
    assert extra(type="y", id="z") == ": id, type: not in extra, there is an argument for it"
    assert values(ShellCommandActivity(id="A", extra={"command": "y"}), "command") == ("y",)
    with pytest.raises(TypeError, match="runsOn: given as an argument and in extra"):
        Object("T", "A", runs_on="x", extra={"runsOn": "y"})


def test_what_is_secret_is_neither_in_a_repr_nor_in_a_message() -> None:
    db = Object("JdbcDatabase", "Db", username="me", extra={"*password": "hunter2"})
    parameter = Parameter(id="*myKey", default="hunter2", extra={"watermark": "hunter2"})

    wrong: Any = ["hunter2", object()]
    with pytest.raises(ValidationError) as caught:
        Object("JdbcDatabase", "Db", extra={"*password": wrong})

    assert "hunter2" not in repr(db) + repr(parameter) + str(caught.value)
    assert "'username': 'me'" in repr(db)


def test_a_repr_names_what_it_refers_to_and_leaves_out_what_is_not_there() -> None:
    load = CopyActivity(id="Load", input=[S3DataNode(id="In"), "Other"], extra={"myX": ["a", "b"]})

    assert repr(load) == (
        "CopyActivity(id='Load', extra={'myX': ('a', 'b')}, input=(Ref(id='In'), Ref(id='Other')))"
    )


def test_an_object_cannot_be_changed_and_can_be_pickled() -> None:
    load = CopyActivity(id="Load", input=[S3DataNode(id="In")], extra={"myX": "a"})
    cluster = Object("EmrCluster", "Cluster", my_x=["a"])

    with pytest.raises(ValidationError, match="frozen"):
        load.id = "Other"  # type: ignore[misc]  # mypy's plugin knows it
    with pytest.raises(TypeError, match="frozen"):
        load.extra["myX"] = "b"  # type: ignore[index]  # pyright: ignore[reportIndexIssue]
    for each in (load, cluster):
        assert pickle.loads(pickle.dumps(each)) == each


# A definition.


def test_what_an_object_refers_to_comes_with_it() -> None:
    daily = Schedule(id="Daily", period="1 day", start_at="FIRST_ACTIVATION_DATE_TIME")
    ready = Exists(id="Ready")
    data = S3DataNode(id="Data", file_path="s3://bucket/data.csv", precondition=ready)
    alarm = Object("SnsAlarm", "Alarm", role="r", subject="s", message="m", topic_arn="arn")
    base = Object("ShellCommandActivity", "Base", my_watcher=alarm, command="true")
    default = Default(schedule=daily, worker_group="wg", pipeline_log_uri="s3://logs/")
    load = ShellCommandActivity(
        id="Load", input=[data], parent=base, schedule=daily, depends_on="Base"
    )

    definition = build(default, load)

    assert [each.id for each in definition.objects] == [
        "Default", "Load", "Daily", "Base", "Data", "Alarm", "Ready"
    ]  # fmt: skip
    assert definition.objects[1].refs("input") == ("Data",)
    assert check(definition).errors == ()


def test_the_same_object_may_be_given_twice_and_two_with_one_id_may_not() -> None:
    same = Exists(id="A"), Exists(id="A")

    definition = build(*same, CopyActivity(id="B", precondition=list(same)))

    assert [each.id for each in definition.objects] == ["A", "B"]
    with pytest.raises(DefinitionError, match="'A': there are two with this id, and not the same"):
        build(*same, Exists(id="A", name="another"))


def test_a_chain_of_ten_thousand_objects_is_no_matter() -> None:
    last = CopyActivity(id="0")
    for number in range(1, 10_000):
        last = CopyActivity(id=str(number), depends_on=last)

    definition = build(last)

    assert len(definition.objects) == 10_000
    assert repr(last) == "CopyActivity(id='9999', depends_on=Ref(id='9998'))"


def test_parameters_and_values_are_written_as_the_service_has_them() -> None:
    parameter = Parameter(
        id="myDays",
        type="Integer",
        description="how many",
        default=[1, 2],
        allowed_values=(1, 2, 3),
        is_array=True,
        optional=False,
        extra={"watermark": "x", "min": 1},
    )

    definition = build(
        parameters=[parameter], values={"myDays": [1, "2"], "myX": timedelta(days=1)}
    )

    assert definition.parameters[0] == ParameterObject.from_wire(
        {
            "id": "myDays",
            "attributes": [
                {"key": key, "stringValue": value}
                for key, value in [
                    ("allowedValues", "1"),
                    ("allowedValues", "2"),
                    ("allowedValues", "3"),
                    ("default", "1"),
                    ("default", "2"),
                    ("description", "how many"),
                    ("isArray", "true"),
                    ("min", "1"),
                    ("optional", "false"),
                    ("type", "Integer"),
                    ("watermark", "x"),
                ]
            ],
        }
    )
    assert definition.values == (
        ParameterValue(id="myDays", string_value="1"),
        ParameterValue(id="myDays", string_value="2"),
        ParameterValue(id="myX", string_value="1 day"),
    )


def test_a_parameter_is_said_once_and_refers_to_nothing() -> None:
    twice = refusal(lambda: Parameter(id="myX", default="1", extra={"default": "2"}))
    reference = refusal(lambda: Parameter(id="myX", default=Ref("A")))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

    assert twice == ": default: not in extra, there is an argument for it"
    assert reference == "default: a text should stand here, not a value of type Ref"
    with pytest.raises(DefinitionError, match="'myX': there are two with this id"):
        build(parameters=[Parameter(id="myX"), Parameter(id="myX", optional=True)])


@pytest.mark.parametrize(
    ("parameter_id", "value", "message"),
    [
        ("myX", object(), "'myX': a text should stand here, not a value of type object"),
        ("myX", "x" * 10_241, "'myX': a text has at most 10,240 characters"),
        ("x" * 257, "x", "String should have at most 256 characters"),
    ],
)
def test_a_value_that_is_none_is_refused_with_its_id(
    parameter_id: str, value: Any, message: str
) -> None:
    with pytest.raises(DefinitionError, match=message):
        build(values={parameter_id: value})


@given(texts.filter(bool), texts, st.lists(texts, min_size=2, max_size=3), st.integers())
def test_what_is_built_is_what_its_file_says(
    object_id: str, text: str, several: list[str], number: int
) -> None:
    built = build(
        ShellCommandActivity(id=object_id, command=text, script_argument=several),
        parameters=[Parameter(id=object_id, default=several, description=text)],
        values={object_id: number},
    )

    assert Definition.from_text(built.to_text()) == built


@given(st.timedeltas(min_value=timedelta(minutes=1), max_value=timedelta(days=3000)))
def test_a_period_is_as_long_as_its_timedelta(value: timedelta) -> None:
    value -= value % timedelta(minutes=1)

    (text,) = values(Schedule(id="S", period=value), "period")

    found = re.fullmatch("([0-9]+) (minute|hour|day)s?", str(text))
    assert found
    assert timedelta(**{f"{found[2]}s": int(found[1])}) == value
