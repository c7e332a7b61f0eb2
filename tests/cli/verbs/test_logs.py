"""What attempts said, and where their logs are, from the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiodatapipeline.cli import _logs
from aiodatapipeline.models import PipelineObject, Ref
from tests.cli.conftest import Cli, Served, ref, shell

LOAD, REPORT = "@Load_2026-01-01T00:00:00", "@Report_2026-01-01T00:00:00"


def test_errors_of_attempts_are_shown_as_they_were_reported(served: Served, cli: Cli) -> None:
    made = served.create(shell("Load"), maximumRetries="1")
    task = served.begin()
    served.end(
        task, "FAILED", error_id="DiskFull", error_message="no\nspace", error_stack_trace="a\nb"
    )

    assert cli("logs", made).stdout.splitlines()[:6] == [
        f"{LOAD}_Attempt=1 FAILED",
        "host: worker-1",
        "error: DiskFull: no",
        "space",
        "a",
        "b",
    ]


def test_a_pipeline_without_attempts_says_so(served: Served, cli: Cli) -> None:
    assert cli("logs", served.create(shell("Load"), activate=False)).stdout == "No attempts.\n"


def test_logs_on_this_machine_are_shown(served: Served, cli: Cli, tmp_path: Path) -> None:
    made = served.create(shell("Load"), pipelineLogUri=f"file://{tmp_path}/my%20logs/")
    place = tmp_path / "my logs" / made / "Load" / LOAD / f"{LOAD}_Attempt=1"
    place.mkdir(parents=True)
    (place / "more").mkdir()
    (place / "StdError").write_text("")
    (place / "StdOutput").write_text("".join(f"line {number}\n" for number in range(100)))
    served.work()

    rows = cli("logs", made, "--lines", "2").rows
    (attempt,) = cli("logs", made, "--lines", "1", "--output", "json").document["attempts"]

    assert rows[-4:] == ["--- StdError", "--- StdOutput", "line 98", "line 99"]
    assert attempt["files"] == {"StdError": "", "StdOutput": "line 99\n"}
    assert attempt["logLocation"].endswith(f"/my%20logs/{made}/Load/{LOAD}/{LOAD}_Attempt=1")
    assert "line" not in cli("logs", made, "--lines", "0").stdout


def test_logs_in_s3_are_only_located(served: Served, cli: Cli) -> None:
    made = served.create(shell("Load"), pipelineLogUri="s3://logs/")
    served.work()

    assert f"logs: s3://logs/{made}/Load/{LOAD}/{LOAD}_Attempt=1" in cli("logs", made).rows


def test_only_the_attempts_of_some_objects_or_that_failed_are_shown(
    served: Served, cli: Cli
) -> None:
    made = served.create(shell("Load"), shell("Report", dependsOn=ref("Load")))
    served.work()
    served.end(served.begin(), "FAILED")

    def shown(*words: str) -> list[str]:
        document = cli("logs", made, "--output", "json", *words).document
        return [each["id"] for each in document["attempts"]]

    assert shown() == [f"{LOAD}_Attempt=1", f"{REPORT}_Attempt=1"]
    assert shown("Load") == shown(LOAD) == shown(f"{LOAD}_Attempt=1") == [f"{LOAD}_Attempt=1"]
    assert shown("--failed") == [f"{REPORT}_Attempt=1"]
    assert cli("logs", made, "--failed", "Load").rows == [
        f"No failed attempts of Load: 'aiodatapipeline status --all {made}' shows what there is."
    ]


def test_a_log_that_cannot_be_read_is_told(
    served: Served, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = served.create(shell("Load"), pipelineLogUri=str(tmp_path))
    place = tmp_path / made / "Load" / LOAD / f"{LOAD}_Attempt=1"
    place.mkdir(parents=True)
    (place / "StdOutput").write_text("text")
    served.work()

    def refuse(*_: object) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(_logs, "end_of", refuse)

    assert cli("logs", made).stderr == f"{place / 'StdOutput'} cannot be read: Permission denied\n"


def test_the_place_that_the_service_says_goes_before_the_usual_one(tmp_path: Path) -> None:
    file = tmp_path / "Activity.log"
    file.write_bytes(b"\xff begins\nends\n")
    attempt = PipelineObject.of(
        "A", {"@logLocation": str(file), "pipelineLogUri": "s3://logs", "@status": "FAILED"}
    )

    log = _logs.log_of("df-0", attempt, 50)

    assert log.location == str(file)
    assert log.files == {"Activity.log": "\ufffd begins\nends\n"}


@pytest.mark.parametrize(
    ("location", "path"),
    [
        ("/a/b", "/a/b"),
        ("file:///a/b", "/a/b"),
        ("file://localhost/a%20b", "/a b"),
        ("file://elsewhere/a", None),
        ("s3://bucket/a", None),
        ("relative", None),
    ],
)
def test_a_location_on_this_machine_is_told_from_others(location: str, path: str | None) -> None:
    assert _logs.local_path(location) == (path and Path(path))


def test_of_a_long_log_its_end_is_read(tmp_path: Path) -> None:
    file = tmp_path / "StdOutput"
    file.write_text("x" * (2 << 20) + "\nend\n")

    assert _logs.end_of(file, 1) == "end\n"
    assert len(_logs.end_of(file, 2)) == 1 << 20


def test_names_of_a_pipeline_lead_out_of_no_directory() -> None:
    attempt = PipelineObject.of(
        "A/../x",
        {
            "pipelineLogUri": "/logs/",
            "@instanceParent": Ref("@../../etc"),
            "@componentParent": Ref(".."),
        },
    )

    assert _logs.log_of("df-0", attempt, 50).location == "/logs/df-0/_../@.._.._etc/A_.._x"
