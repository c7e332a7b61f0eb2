"""Pipelines from their creation to their deletion, from the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiodatapipeline import DataPipelineClient
from aiodatapipeline.cli._pipelines import describe_all, read_time
from aiodatapipeline.models import Tag
from tests.cli.conftest import START, Cli, Served, shell

LOAD = "@Load_2026-01-01T00:00:00"


# -- create -----------------------------------------------------------------------------------


def test_the_id_of_a_new_pipeline_is_all_that_is_printed(served: Served, cli: Cli) -> None:
    made = cli("create", "nightly", "--description", "loads", "--tag", "team=etl").stdout

    assert made == f"{made.strip()}\n"
    found = served.ask(lambda client: client.describe_pipelines([made.strip()]))
    (described,) = found.pipeline_description_list
    assert (described.name, described.description) == ("nightly", "loads")
    assert described.tags == (Tag(key="team", value="etl"),)


def test_who_creates_a_pipeline_twice_gets_the_first_one(served: Served, cli: Cli) -> None:
    first = cli("create", "nightly").stdout

    assert cli("create", "nightly").stdout == first
    assert cli("create", "nightly", "--unique-id", "other").stdout != first


def test_a_program_reads_the_id_of_a_new_pipeline(served: Served, cli: Cli) -> None:
    made = cli("create", "nightly", "--output", "json").document

    assert made == {"pipelineId": cli("create", "nightly").stdout.strip()}


@pytest.mark.parametrize("tag", ["team", "=etl"])
def test_a_tag_without_key_or_value_is_refused(served: Served, cli: Cli, tag: str) -> None:
    assert "write it as KEY=VALUE" in cli("create", "n", "--tag", tag, exit_code=2).sentence


def test_what_the_service_would_refuse_is_a_wrong_use(served: Served, cli: Cli) -> None:
    assert "name: " in cli("create", "n" * 1025, exit_code=2).sentence


# -- list and describe ------------------------------------------------------------------------


def test_pipelines_are_listed(served: Served, cli: Cli) -> None:
    made = served.create(shell("Load"))

    assert cli("list").rows[-1] == f"{made} test"
    assert cli("list", "--output", "json").document == {
        "pipelineIdList": [{"id": made, "name": "test"}]
    }


def test_where_there_are_no_pipelines_it_is_told_what_to_do(served: Served, cli: Cli) -> None:
    for words in (["list"], ["list", "--long"]):
        assert cli(*words).rows == ["No pipelines. Next: aiodatapipeline create NAME"]


def test_a_long_list_says_how_each_pipeline_is(served: Served, cli: Cli) -> None:
    made = [served.create(shell("Load"), activate=number < 30) for number in range(31)]

    rows = cli("list", "--long").rows[-31:]

    assert rows[0] == f"{made[0]} test SCHEDULED"
    assert rows[-1] == f"{made[-1]} test PENDING"
    document = cli("list", "--long", "--output", "json").document
    assert [each["pipelineId"] for each in document["pipelineDescriptionList"]] == made


async def test_a_pipeline_that_is_deleted_meanwhile_is_left_out(served: Served) -> None:
    kept, gone = served.create(shell("Load")), served.create(shell("Load"))
    served.ask(lambda client: client.delete_pipeline(gone))

    async with DataPipelineClient(transport=served.service.transport) as client:
        found = [each.pipeline_id async for each in describe_all(client, [gone, kept])]

    assert found == [kept]


def test_a_pipeline_is_described_field_by_field(served: Served, cli: Cli) -> None:
    made = served.create(shell("Load"))
    assert "Tag" not in cli("describe", made).stdout
    served.ask(lambda client: client.add_tags(made, [Tag(key="team", value="etl")]))

    rows = cli("describe", made).rows
    document = cli("describe", made, "--output", "json").document

    assert rows[0] == f"{made} test"
    assert "@pipelineState SCHEDULED" in rows
    assert rows[-1] == "team etl"
    (described,) = document["pipelineDescriptionList"]
    assert {"key": "@pipelineState", "stringValue": "SCHEDULED"} in described["fields"]
    assert described["tags"] == [{"key": "team", "value": "etl"}]


def test_objects_are_described_with_their_secrets_masked(served: Served, cli: Cli) -> None:
    made = served.create(shell("Load", **{"*myPassword": "hunter2", "mySelf": {"ref": "Load"}}))

    shown = cli("describe", made, "Load", LOAD)
    document = cli("describe", made, "Load", "--output", "json")

    assert "*myPassword ***" in shown.rows
    assert "mySelf -> Load" in shown.rows
    assert {"key": "*myPassword", "stringValue": "***"} in document.document["pipelineObjects"][0][
        "fields"
    ]
    assert "hunter2" not in shown.stdout + document.stdout


def test_a_named_object_is_described_with_its_name(served: Served, cli: Cli) -> None:
    made = served.create(shell("Load", name="Load orders"))

    assert cli("describe", made, "Load").rows[0] == "Load Load orders"


def test_expressions_are_evaluated_on_request(served: Served, cli: Cli) -> None:
    made = served.create(shell("Load", myDay="#{format(@scheduledStartTime,'YYYY-MM-dd')}"))

    assert "myDay 2026-01-01" in cli("describe", made, LOAD, "--evaluate").rows
    assert "myDay 2026-01-01" not in cli("describe", made, LOAD).rows
    assert "name some" in cli("describe", made, "--evaluate", exit_code=2).sentence


def test_a_pipeline_that_is_not_there_is_told_with_advice(served: Served, cli: Cli) -> None:
    told = cli("describe", "df-0", exit_code=1).sentence

    assert "df-0" in told
    assert "[PipelineNotFoundException]; 'aiodatapipeline list' shows" in told


# -- activate, deactivate, delete -------------------------------------------------------------


def test_a_pipeline_is_activated_with_values(served: Served, cli: Cli, nightly: Path) -> None:
    made = cli("create", "nightly").stdout.strip()
    cli("put", made, nightly)
    values = nightly.with_name("values.json")
    values.write_text('{"values": {"myTable": "returns"}}')

    said = cli("activate", made, "--values", values).stdout
    served.passes(0)

    assert said == f"{made} is activated. Next: aiodatapipeline status --watch {made}\n"
    assert served.begin().attempt.string("command") == "load returns"


def test_a_value_on_the_command_line_goes_before_one_in_a_file(
    served: Served, cli: Cli, nightly: Path
) -> None:
    made = cli("create", "nightly").stdout.strip()
    cli("put", made, nightly)
    values = nightly.with_name("values.json")
    values.write_text('{"values": {"myTable": "returns"}}')

    answer = cli("activate", made, "--values", values, "--value", "myTable=a=b", "--output", "json")
    served.passes(0)

    assert answer.document == {"pipelineId": made}
    assert served.begin().attempt.string("command") == "load a=b"


def test_a_secret_on_the_command_line_is_refused_and_not_repeated(served: Served, cli: Cli) -> None:
    told = cli("activate", "df-0", "--value", "*myPassword=hunter2", exit_code=2).sentence

    assert "put its value into a file" in told
    assert "hunter2" not in told


def test_a_pipeline_is_deactivated_and_resumed(served: Served, cli: Cli) -> None:
    made = served.create(
        {"id": "S", "type": "Schedule", "period": "1 day", "startDateTime": "2026-01-01T00:00:00"},
        shell("Load"),
        scheduleType="cron",
        schedule={"ref": "S"},
    )

    cli("deactivate", made)
    served.passes(0)
    assert served.fields(made)["@pipelineState"] == "INACTIVE"

    cli("activate", made, "--start", "2026-01-02T02:00:00+02:00")
    served.passes(0)
    assert served.fields(made)["@pipelineState"] == "SCHEDULED"


def test_what_runs_is_waited_for_on_request(served: Served, cli: Cli) -> None:
    made = served.create(shell("Load"))
    task = served.begin()

    cli("deactivate", made, "--no-cancel")
    served.passes(0)

    assert served.fields(made)["@pipelineState"] == "DEACTIVATING"
    served.end(task)
    assert served.fields(made)["@pipelineState"] == "INACTIVE"


def test_a_start_that_is_no_time_is_refused(served: Served, cli: Cli) -> None:
    assert "is no time" in cli("activate", "df-0", "--start", "noon", exit_code=2).sentence


def test_a_start_without_a_zone_is_utc() -> None:
    assert read_time("2026-01-01") == START


def test_a_deleted_pipeline_is_gone(served: Served, cli: Cli) -> None:
    made = served.create(shell("Load"))

    assert cli("delete", made).stdout == f"{made} is deleted.\n"
    served.passes(0)

    assert (
        "[PipelineDeletedException]; create it again" in cli("status", made, exit_code=1).sentence
    )


# -- tags -------------------------------------------------------------------------------------


def test_tags_are_added_and_removed(served: Served, cli: Cli) -> None:
    made = served.create(shell("Load"))

    cli("tags", "add", made, "team=etl", "stage=test", "stage=live")
    cli("tags", "remove", made, "team")

    (described,) = cli("describe", made, "--output", "json").document["pipelineDescriptionList"]
    assert described["tags"] == [{"key": "stage", "value": "live"}]
