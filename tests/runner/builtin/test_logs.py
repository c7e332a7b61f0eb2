"""What logs are called, how much of them is kept, and what of them is shown."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiodatapipeline._secrets import Secrets
from aiodatapipeline.models import PipelineObject, Ref
from aiodatapipeline.runner import TaskInfo
from aiodatapipeline.runner.builtin import _logs
from aiodatapipeline.runner.builtin._logs import ActivityLog, directory_of, tail, upload
from aiodatapipeline.runner.builtin._places import LocalPlace


def info(attempt_id: str, *others: PipelineObject, **references: str) -> TaskInfo:
    fields = {f"@{key}": Ref(value) for key, value in references.items()}
    attempt = PipelineObject.of(attempt_id, fields)
    return TaskInfo(
        type="ShellCommandActivity",
        pipeline_id="df-1",
        attempt_id=attempt_id,
        worker_group="etl",
        object=attempt,
        objects={each.id: each for each in (attempt, *others)},
    )


@pytest.mark.parametrize(
    ("attempt", "component", "instance"),
    [
        ("@Job_2026-01-01T00:00:00_Attempt=2", "Job", "@Job_2026-01-01T00:00:00"),
        ("@My_Job_2026-01-01T00:00:00.5_Attempt=1", "My_Job", "@My_Job_2026-01-01T00:00:00.5"),
        ("anything", "anything", "anything"),
        ("../a/b_Attempt=1", ".._a_b", ".._a_b"),
        (".._Attempt=1", "_..", "_.."),
    ],
)
def test_an_attempts_id_says_where_its_logs_lie(
    attempt: str, component: str, instance: str
) -> None:
    found = directory_of(info(attempt))

    assert found == ("df-1", component, instance, attempt.replace("/", "_"))


def test_what_a_task_names_comes_before_what_its_id_says() -> None:
    named = info("a1", instanceParent="i1", componentParent="c1")

    assert directory_of(named) == ("df-1", "c1", "i1", "a1")


def test_a_component_goes_by_its_name_if_the_task_holds_it() -> None:
    component = PipelineObject.of("c1", {}, name="Copy it")

    assert directory_of(info("a1", component, componentParent="c1"))[1] == "Copy it"


@given(st.text(min_size=1).filter(lambda text: text.isprintable()))
def test_no_id_leads_out_of_the_place_of_all_logs(attempt: str) -> None:
    assert not {part for part in directory_of(info(attempt)) if part in {".", ".."} or "/" in part}


async def test_of_a_log_that_is_too_long_both_ends_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_logs, "LIMIT", 10)
    files = {"Long": tmp_path / "long", "Short": tmp_path / "short", "None": tmp_path / "none"}
    files["Long"].write_bytes(b"12345....67890")
    files["Short"].write_bytes(b"1234567890")

    await upload(files, LocalPlace(tmp_path), info("a1"))

    logs = tmp_path / "df-1" / "a1" / "a1" / "a1"
    assert (logs / "Long").read_bytes() == b"12345\n[... 4 bytes are left out here ...]\n67890"
    assert (logs / "Short").read_bytes() == b"1234567890"
    assert not (logs / "None").exists()


def test_a_line_has_the_time_and_any_character(tmp_path: Path) -> None:
    log = ActivityLog(tmp_path / "log")

    log.write("one")
    log.write("\ud800")

    first, second = (tmp_path / "log").read_text().splitlines()
    assert first.endswith("+00:00 one")
    assert second.endswith(" \\ud800")


def test_a_line_that_cannot_be_written_is_none(tmp_path: Path) -> None:
    ActivityLog(tmp_path / "gone" / "log").write("one")

    assert not (tmp_path / "gone").exists()


def test_a_file_that_is_not_there_ends_with_nothing(tmp_path: Path) -> None:
    assert tail(tmp_path / "gone", Secrets([])) == ""


@pytest.mark.parametrize("before", range(12))
def test_a_secret_that_the_end_of_a_file_begins_in_is_not_shown_in_part(
    tmp_path: Path, before: int
) -> None:
    secret = "hünter2-ü"
    rest = "x" * (4096 - before)
    (tmp_path / "log").write_text(f"y {secret}{rest}", encoding="utf-8")

    shown = tail(tmp_path / "log", Secrets([secret]))

    assert shown in {rest, f"***{rest}"}
