"""Definitions of pipelines, to the service and back, from the command line."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from aiodatapipeline.definition import Definition
from tests.cli.conftest import Cli, Served


@pytest.fixture
def pipeline(served: Served, cli: Cli) -> str:
    return cli("create", "nightly").stdout.strip()


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """A definition with an error and a warning."""
    file = tmp_path / "broken.json"
    file.write_text(
        '{"objects": [{"id": "Load", "type": "ShellCommandActivity", "dependsOn": {"ref": "No"},'
        ' "command": "true", "odd": "1"}]}'
    )
    return file


def test_a_definition_is_put_and_gotten_again(pipeline: str, cli: Cli, nightly: Path) -> None:
    assert f"Next: aiodatapipeline activate {pipeline}" in cli("put", pipeline, nightly).stdout

    gotten = cli("get", pipeline, "--show-secrets")

    assert Definition.from_text(gotten.stdout) == Definition.from_file(nightly)
    assert gotten.stderr == ""


def test_parameters_and_values_may_have_files_of_their_own(
    pipeline: str, cli: Cli, nightly: Path, tmp_path: Path
) -> None:
    parameters, values = tmp_path / "parameters.json", tmp_path / "values.json"
    parameters.write_text(
        '{"parameters": [{"id": "myTable", "type": "String"},'
        ' {"id": "myDays", "type": "String", "isArray": "true"}]}'
    )
    values.write_text('{"values": {"myTable": "returns", "myDays": "Monday"}}')

    cli(
        "put", pipeline, nightly, "--parameters", parameters, "--values", values,
        "--value", "myDays=Friday", "--value", "myDays=Sunday",
    )  # fmt: skip

    found = json.loads(cli("get", pipeline).stdout)
    assert [each["id"] for each in found["parameters"]] == ["myTable", "myDays"]
    assert found["values"] == {"myTable": "returns", "myDays": ["Friday", "Sunday"]}


def test_a_definition_with_errors_is_saved_and_the_exit_code_says_so(
    pipeline: str, cli: Cli, broken: Path
) -> None:
    told = cli("put", pipeline, broken, exit_code=1)
    document = cli("put", pipeline, broken, "--output", "json", exit_code=1).document

    assert "error: Load: UNRESOLVED_REFERENCE" in told.stdout
    assert "warning: Load: UNKNOWN_FIELD" in told.stdout
    assert told.rows[-1] == "The definition is saved, and cannot be activated."
    assert document["errored"] is True
    assert [each["id"] for each in document["validationErrors"]] == ["Load"]
    assert '"No"' in cli("get", pipeline).stdout


def test_validation_saves_nothing(pipeline: str, cli: Cli, nightly: Path, broken: Path) -> None:
    assert cli("validate", pipeline, nightly).stdout == "The definition has no errors.\n"
    assert cli("validate", pipeline, broken, exit_code=1).rows[-1] == "The definition has errors."

    assert json.loads(cli("get", pipeline).stdout)["objects"] == []


def test_a_message_about_the_whole_definition_names_no_object(
    served: Served, pipeline: str, cli: Cli, tmp_path: Path
) -> None:
    empty = tmp_path / "empty.json"
    empty.write_text('{"objects": [], "values": {"myTable": "orders"}}')

    rows = cli("validate", pipeline, empty).rows

    assert rows[0].startswith("warning: myTable: ")


def test_secrets_are_masked_unless_they_are_asked_for(
    pipeline: str, cli: Cli, nightly: Path
) -> None:
    text = nightly.read_text().replace(
        '"parameters": [', '"parameters": [{"id": "*myKey", "type": "String", "default": "s3same"},'
    )
    nightly.write_text(text.replace('"values": {', '"values": {"*myKey": "swordfish", '))
    cli("put", pipeline, nightly)

    masked, open_ = cli("get", pipeline), cli("get", pipeline, "--show-secrets").stdout

    for secret in ("hunter2", "s3same", "swordfish"):
        assert secret not in masked.stdout
        assert secret in open_
    assert masked.stderr == "Secret values are masked: --show-secrets prints them.\n"
    found = json.loads(masked.stdout)
    assert found["objects"][1]["*myPassword"] == "***"
    assert found["values"]["*myKey"] == "***"
    assert found["parameters"][0] == {"id": "*myKey", "type": "String", "default": "***"}


def test_masked_secrets_are_never_put(
    pipeline: str, cli: Cli, nightly: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli("put", pipeline, nightly)
    monkeypatch.setattr("sys.stdin", io.StringIO(cli("get", pipeline).stdout))

    told = cli("put", pipeline, "-", exit_code=1).sentence

    assert "'*myPassword' is '***'" in told
    assert "hunter2" in cli("get", pipeline, "--show-secrets").stdout


def test_a_definition_is_read_from_standard_input(
    pipeline: str, cli: Cli, nightly: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(nightly.read_text()))

    cli("put", pipeline, "-")

    assert '"Report"' in cli("get", pipeline).stdout


def test_the_active_definition_may_be_another_than_the_latest(
    served: Served, pipeline: str, cli: Cli, nightly: Path
) -> None:
    cli("put", pipeline, nightly)
    cli("activate", pipeline)
    served.passes(0)
    nightly.write_text(nightly.read_text().replace("load #{myTable}", "load everything"))
    cli("put", pipeline, nightly)

    assert "load #{myTable}" in cli("get", pipeline, "--version", "active").stdout
    assert "load everything" in cli("get", pipeline).stdout


def test_a_file_that_is_none_is_named(pipeline: str, cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "half.json"
    file.write_text('{"objects": [')

    assert "No such file" in cli("put", pipeline, tmp_path / "no.json", exit_code=2).sentence
    assert f"{file}:1:" in cli("put", pipeline, file, exit_code=1).sentence
