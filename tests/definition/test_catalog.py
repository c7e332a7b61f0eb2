from __future__ import annotations

from collections import Counter

import pytest

from aiodatapipeline.definition._catalog import Kind, ValueKind, catalog

KNOWN = catalog()


def test_there_are_38_types() -> None:
    kinds = Counter(each.kind for each in KNOWN.types.values())

    assert kinds == {
        Kind.ACTIVITY: 9,
        Kind.DATA_NODE: 5,
        Kind.RESOURCE: 2,
        Kind.PRECONDITION: 6,
        Kind.DATABASE: 3,
        Kind.DATA_FORMAT: 6,
        Kind.SCHEDULE: 1,
        Kind.ACTION: 2,
        Kind.UTILITY: 4,
    }
    assert kinds.total() == 38


def test_the_service_evaluates_four_preconditions_itself() -> None:
    own = {each.name for each in KNOWN.types.values() if each.by_service}

    assert own == {"DynamoDBDataExists", "DynamoDBTableExists", "S3KeyExists", "S3PrefixNotEmpty"}


@pytest.mark.parametrize("name", sorted(KNOWN.types))
def test_what_a_type_needs_and_refuses_is_among_its_fields(name: str) -> None:
    known = KNOWN.types[name]

    mentioned = {*known.required, *known.refused, *(key for group in known.one_of for key in group)}

    assert known.name == name
    assert mentioned <= known.fields.keys()
    assert known.fields["parent"] is ValueKind.REFERENCE


@pytest.mark.parametrize(
    ("name", "required", "one_of"),
    [
        ("ShellCommandActivity", (), (("command", "scriptUri"),)),
        ("ShellCommandPrecondition", (), (("command", "scriptUri"),)),
        ("SqlActivity", ("database",), (("script", "scriptUri"),)),
        ("PigActivity", (), (("script", "scriptUri"),)),
        ("HiveActivity", (), (("hiveScript", "scriptUri"),)),
        ("HadoopActivity", ("jarUri",), ()),
        ("RedshiftCopyActivity", ("insertMode",), ()),
        ("RedshiftDataNode", ("database", "tableName"), ()),
        ("S3DataNode", (), (("directoryPath", "filePath", "manifestFilePath"),)),
        ("Schedule", ("period",), (("startAt", "startDateTime"),)),
        ("Ec2Resource", ("resourceRole", "role"), ()),
        ("SnsAlarm", ("message", "role", "subject", "topicArn"), ()),
        ("JdbcDatabase", ("*password", "connectionString", "jdbcDriverClass", "username"), ()),
        ("Terminate", (), ()),
    ],
)
def test_types_need_what_the_guide_says(
    name: str, required: tuple[str, ...], one_of: tuple[tuple[str, ...], ...]
) -> None:
    known = KNOWN.types[name]

    assert (tuple(sorted(known.required)), known.one_of) == (required, one_of)


def test_all_activities_have_the_fields_of_an_activity() -> None:
    common = {
        *("attemptStatus", "attemptTimeout", "dependsOn", "failureAndRerunMode", "input"),
        *("lateAfterTimeout", "maxActiveInstances", "maximumRetries", "onFail", "onLateAction"),
        *("onSuccess", "output", "parent", "pipelineLogUri", "precondition", "retryDelay"),
        *("reportProgressTimeout", "runsOn", "schedule", "scheduleType", "workerGroup"),
    }

    for each in KNOWN.types.values():
        if each.kind is Kind.ACTIVITY:
            assert common <= each.fields.keys()


def test_a_field_is_a_reference_in_all_types_or_in_none() -> None:
    for each in KNOWN.types.values():
        for key, kind in each.fields.items():
            is_reference = kind is ValueKind.REFERENCE
            assert is_reference is (KNOWN.fields[key] is ValueKind.REFERENCE), (each.name, key)


def test_where_references_may_lead_exists() -> None:
    for key, usable in KNOWN.references.items():
        assert KNOWN.fields[key] is ValueKind.REFERENCE
        assert usable <= {*KNOWN.types, *Kind}


def test_choices_belong_to_fields_and_differ_in_more_than_case() -> None:
    for key, choices in KNOWN.choices.items():
        assert key in KNOWN.fields
        assert len({choice.lower() for choice in choices}) == len(choices) > 1


def test_nobody_sets_what_belongs_to_a_run() -> None:
    # An HttpProxy has a hostname of its own; a task's hostname is another thing.
    assert KNOWN.run_time & KNOWN.fields.keys() == {"hostname"}
    assert {"@scheduledStartTime", "@id", "node", "errorMessage"} <= KNOWN.run_time
