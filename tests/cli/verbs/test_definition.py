"""Definition files from the command line: checked, compared, drawn and formatted."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from aiodatapipeline.definition import Definition
from tests.cli.conftest import Cli, Served

BROKEN = """{
  "objects": [
    {"id": "Default", "scheduleType": "ondemand", "workerGroup": "etl"},
    {"id": "Load", "type": "ShellCommandActivity", "command": "load #{myTabel}",
     "dependsOn": {"ref": "No"}}
  ],
  "values": {"myOdd": "1"}
}
"""


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    file = tmp_path / "broken.json"
    file.write_text(BROKEN)
    return file


# -- check ------------------------------------------------------------------------------------


def test_a_file_without_errors_is_good(cli: Cli, nightly: Path) -> None:
    assert cli("definition", "check", nightly).stdout == f"{nightly}: no errors, no warnings\n"


def test_each_finding_has_its_place_message_and_advice(cli: Cli, broken: Path) -> None:
    rows = cli("definition", "check", broken, exit_code=1).rows

    assert len(rows) == 4
    name = next(row for row in rows if "UNKNOWN_NAME" in row)
    assert name.startswith(f"{broken}:4:63: error: Load: UNKNOWN_NAME: ")
    assert name.endswith("Declare a parameter, add the field, or correct the name.")
    # What is about the whole has no place.
    assert any(row.startswith(f"{broken}: warning: myOdd: ") for row in rows)
    assert rows[-1] == f"{broken}: 2 errors, 1 warning"


def test_a_program_reads_findings(cli: Cli, broken: Path) -> None:
    document = cli("definition", "check", broken, "--output", "json", exit_code=1).document

    assert (document["file"], document["errors"], document["warnings"]) == (str(broken), 2, 1)
    (found,) = [each for each in document["findings"] if each["id"] == "UNRESOLVED_REFERENCE"]
    assert found | {"message": "", "advice": ""} == {
        "id": "UNRESOLVED_REFERENCE",
        "severity": "error",
        "objectId": "Load",
        "field": "dependsOn",
        "message": "",
        "advice": "",
        "line": 5,
        "column": 19,
    }


def test_values_are_known_before_an_activation(cli: Cli, nightly: Path) -> None:
    nightly.write_text(nightly.read_text().replace('"values": {"myTable": "orders"}', '"x": 1'))

    cli("definition", "check", nightly)
    cli("definition", "check", nightly, "--activating", exit_code=1)
    cli("definition", "check", nightly, "--activating", "--value", "myTable=orders")


def test_what_is_no_definition_is_told_with_its_place(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "odd.json"
    file.write_text('{"objects": [{}]}')

    assert f"{file}:1:14: " in cli("definition", "check", file, exit_code=1).sentence


# -- diff -------------------------------------------------------------------------------------


def test_two_files_are_compared(cli: Cli, nightly: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    text = nightly.read_text().replace('"report"', '"report --all"')
    other.write_text(text.replace("hunter2", "swordfish"))

    shown = cli("definition", "diff", nightly, other)
    document = cli("definition", "diff", nightly, other, "--output", "json", "--exit-code",
                   exit_code=1)  # fmt: skip

    assert shown.stdout == (
        '~ object "Load"\n'
        "  ~ *myPassword: *** (not the same)\n"
        '~ object "Report"\n'
        '  ~ command: "report" -> "report --all"\n'
    )
    assert document.document["parameters"] == document.document["values"] == []
    assert [each["fields"] for each in document.document["objects"]] == [
        [{"key": "*myPassword", "kind": "changed", "old": ["***"], "new": ["***"],
          "refused": None}],
        [{"key": "command", "kind": "changed", "old": ["report"], "new": ["report --all"],
          "refused": None}],
    ]  # fmt: skip


def test_what_a_put_would_change_and_the_service_refuse_is_told(
    served: Served, cli: Cli, nightly: Path
) -> None:
    made = cli("create", "nightly").stdout.strip()
    cli("put", made, nightly)
    served.ask(lambda client: client.activate_pipeline(made))
    assert cli("definition", "diff", nightly, "--pipeline", made, "--exit-code").stdout == (
        "= no changes\n"
    )
    nightly.write_text(nightly.read_text().replace('"dependsOn": {"ref": "Load"}', '"my": "1"'))

    shown = cli("definition", "diff", nightly, "--pipeline", made, "--version", "active").stdout
    objects = cli("definition", "diff", nightly, "--pipeline", made, "--output", "json").document[
        "objects"
    ]

    assert '  - dependsOn: {"ref": "Load"}\n    ! refused' in shown
    (field, _) = objects[0]["fields"]
    assert (field["old"], field["new"]) == ([{"ref": "Load"}], [])
    assert "reference" in field["refused"]


@pytest.mark.parametrize(
    "words", [[], ["FILE", "--pipeline", "df-0"], ["FILE", "--version", "active"]]
)
def test_a_comparison_needs_two_things(cli: Cli, nightly: Path, words: list[str]) -> None:
    given = [str(nightly) if word == "FILE" else word for word in words]

    assert "--pipeline" in cli("definition", "diff", nightly, *given, exit_code=2).sentence


def test_a_comparison_has_colours_on_a_terminal(
    cli: Cli, nightly: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    other = tmp_path / "other.json"
    other.write_text(nightly.read_text().replace('"report"', '"report --all"'))
    ours, theirs = os.openpty()

    with os.fdopen(theirs, "w", encoding="utf-8") as terminal, monkeypatch.context() as patch:
        patch.setattr("sys.stdout", terminal)
        cli("definition", "diff", nightly, other)
        shown = os.read(ours, 1000)

    os.close(ours)
    assert b'\x1b[33m~ object "Report"\x1b[0m' in shown


# -- draw -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "begins"),
    [([], "<svg"), (["--format", "dot"], "digraph"), (["--format", "mermaid"], "flowchart")],
)
def test_a_drawing_is_written(cli: Cli, nightly: Path, words: list[str], begins: str) -> None:
    drawn = cli("definition", "draw", nightly, *words).stdout

    assert drawn.startswith(begins)
    assert drawn.endswith("\n")
    assert "Report" in drawn
    assert "hunter2" not in drawn


def test_a_drawing_is_coloured_by_a_pipeline(served: Served, cli: Cli, nightly: Path) -> None:
    made = cli("create", "nightly").stdout.strip()
    cli("put", made, nightly)
    cli("activate", made)
    served.passes(0)
    served.work()

    drawn = cli("definition", "draw", nightly, "--format", "mermaid", "--pipeline", made).stdout

    assert "ShellCommandActivity<br/>FINISHED" in drawn
    assert "ShellCommandActivity<br/>WAITING" in drawn


# -- format -----------------------------------------------------------------------------------


def test_a_file_is_formatted_once_and_means_the_same(cli: Cli, nightly: Path) -> None:
    before = Definition.from_file(nightly)

    assert cli("definition", "format", "--check", nightly, exit_code=1).stdout == (
        f"{nightly}: would be formatted\n"
    )
    assert cli("definition", "format", nightly).stdout == f"{nightly}: formatted\n"
    assert cli("definition", "format", nightly).stdout == ""
    cli("definition", "format", "--check", nightly)

    assert Definition.from_file(nightly) == before
    assert nightly.read_text() == before.to_text()


def test_what_formatting_would_lose_is_refused(cli: Cli, nightly: Path) -> None:
    text = nightly.read_text().replace('"parameters"', '"metadata": {}, "parameters"')
    nightly.write_text(text)

    told = cli("definition", "format", nightly, exit_code=1).sentence

    assert "'metadata'" in told
    assert nightly.read_text() == text


def test_standard_input_is_not_formatted(cli: Cli) -> None:
    assert "name a file" in cli("definition", "format", "-", exit_code=2).sentence


def test_a_file_that_cannot_be_written_stays_as_it_was(
    cli: Cli, nightly: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = nightly.read_text()

    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("shutil.copymode", refuse)

    assert "cannot be written" in cli("definition", "format", nightly, exit_code=1).sentence
    assert nightly.read_text() == text
    assert list(nightly.parent.iterdir()) == [nightly]


def test_standard_input_is_checked_too(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(BROKEN))

    assert "<stdin>:4:63: " in cli("definition", "check", "-", exit_code=1).stdout
