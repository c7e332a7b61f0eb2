"""The demonstration: that it ends well, that it is told if it does not, and what it shows."""

from __future__ import annotations

import asyncio
import csv
import io
import logging
from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console

from aiodatapipeline.cli import _demo
from aiodatapipeline.cli._demo import Ending, FastClock, Row, Screen, show
from aiodatapipeline.definition import Definition, check
from aiodatapipeline.models import ParameterValue
from tests.cli.conftest import Cli

DATA = Path(_demo.__file__).parent / "demo"


def test_the_whole_pipeline_ends_well(cli: Cli, tmp_path: Path) -> None:
    result = cli("demo", "--directory", tmp_path / "new")

    assert "The pipeline is FINISHED" in result.output
    # Retried once, 2 minutes later, which are 2 seconds here.
    assert "AskRates, attempt 1 failed: exit code 1: no exchange rates: connection" in result.output
    assert "Report: FINISHED" in result.output
    report = (tmp_path / "new" / "report.txt").read_text()
    assert [line for line in report.splitlines() if line not in result.output] == []
    assert report == expected_report()
    assert (tmp_path / "new" / "cleaned" / "refused.csv").read_text().count("\n") == 6
    logs = sorted(each.name for each in (tmp_path / "new" / "logs").rglob("*") if each.is_file())
    assert logs.count("StdOutput") == 7  # each attempt of a command has its own


def expected_report() -> str:
    """What the report has to say, worked out another way."""
    rates = {"EUR": 1, "GBP": 0.86, "JPY": 161, "USD": 1.08}
    totals: dict[str, float] = defaultdict(float)
    pieces: dict[str, int] = defaultdict(int)
    with (DATA / "orders.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            if row["country"] and row["quantity"] != "0" and row["price"] != "n/a":
                quantity = int(row["quantity"])
                totals[row["country"]] += quantity * float(row["price"]) / rates[row["currency"]]
                pieces[row["product"]] += quantity
    totals["all"] = sum(totals.values())
    best = sorted(pieces.items(), key=lambda each: -each[1])[:3]
    return "\n".join(
        [
            "Sales in January, in EUR",
            "",
            *(f"  {country:8} {total:10.2f}" for country, total in totals_in_order(totals)),
            "",
            "Sold best",
            "",
            *(f"  {product:8} {count:10} pieces" for product, count in best),
            "",
        ]
    )


def totals_in_order(totals: dict[str, float]) -> list[tuple[str, float]]:
    return [*sorted(each for each in totals.items() if each[0] != "all"), ("all", totals["all"])]


def test_nothing_is_left_of_a_demonstration_without_a_directory(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    result = cli("demo", FORCE_COLOR="1")  # as on a terminal

    assert "Data, logs and the report are in" not in result.output
    assert list(tmp_path.iterdir()) == []


def test_a_busy_machine_does_not_fill_a_demonstration_with_stacks(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def busy(*_: object) -> None:
        # A fifth of a second, in which 12 went by.
        logging.getLogger("aiodatapipeline.runner").error("blocked seconds=12")

    monkeypatch.setattr(Screen, "show", busy)
    monkeypatch.setattr(_demo, "_LIMIT", 0.5)
    monkeypatch.setattr(_demo, "_LOOK", 0.1)

    cli("demo", "--speed", "600", exit_code=1)  # it is not over by then

    assert "blocked" not in caplog.text


def test_a_demonstration_that_does_not_end_in_time_is_a_failure(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(_demo, "_LIMIT", 0.3)
    monkeypatch.setattr(_demo, "_ARRIVAL", 0.2)

    result = cli("demo", "--debug", exit_code=1)

    assert "Not everything ended FINISHED" in result.output
    assert "stopped" in caplog.text


@pytest.mark.parametrize("where", ["full", "full/file/new"])
def test_a_directory_that_cannot_be_had_is_told(cli: Cli, tmp_path: Path, where: str) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("")

    result = cli("demo", "--directory", tmp_path / where, exit_code=2)

    assert "full" in result.output


def test_its_definition_is_as_the_service_wants_it() -> None:
    definition = Definition.from_file(DATA / "pipeline.json")
    given = [
        ParameterValue(id=key, string_value="x") for key in ("myInput", "myDirectory", "myScripts")
    ]

    assert check(definition, values=given, activating=True).findings == ()


@pytest.mark.parametrize(
    ("state", "statuses", "report", "good"),
    [
        ("FINISHED", ["FINISHED", "FINISHED"], "all", True),
        ("FINISHED", ["FINISHED", "FAILED"], "all", False),
        ("FINISHED", ["FINISHED"], "", False),
        ("SCHEDULED", ["FINISHED"], "all", False),
        ("FINISHED", [], "all", True),
    ],
)
def test_it_ends_well_only_if_everything_did(
    state: str, statuses: list[str], report: str, good: bool
) -> None:
    rows = [Row("Job", status, 1, None, None, ()) for status in statuses]

    assert Ending(rows, state, 1.0, 60.0, report, Path()).is_good is good


def console() -> Console:
    return Console(file=io.StringIO(), width=100)


def said(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


ROW = Row(
    "Job", "FAILED", 2, datetime(2026, 1, 1, 10, tzinfo=UTC), datetime(2026, 1, 1, 11, tzinfo=UTC),
    ["[red]no", "no again"],
)  # fmt: skip


def test_what_failed_attempts_said_is_shown_as_they_said_it() -> None:
    shown = console()

    show(Ending([ROW], "", 1.0, 60.0, "", Path("/kept")), shown, kept=True)

    assert "Job, attempt 1 failed: [red]no\nJob, attempt 2 failed: no again\n" in said(shown)
    assert "10:00:00        1:00:00" in said(shown)
    assert "The pipeline is UNKNOWN" in said(shown)
    assert "are in /kept" in said(shown)


def test_elsewhere_than_on_a_terminal_each_change_is_a_line() -> None:
    shown = console()

    with Screen(shown, "Look.") as screen:
        screen.show([ROW])
        screen.show([ROW])
        screen.show([replace(ROW, status="FINISHED")])

    assert said(shown) == "Look.\nJob: FAILED\nJob: FINISHED\n"


async def test_a_fast_clock_calls_sooner() -> None:
    clock = FastClock(1e6)
    before, called = clock.time(), asyncio.Event()

    with clock.working():
        clock.call_at(before + 3600, called.set)
        async with asyncio.timeout(10):
            await called.wait()

    assert clock.time() >= before + 3600
