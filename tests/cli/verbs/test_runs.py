"""Runs of pipelines, listed and changed from the command line."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Cli, Served, ref, shell

LOAD, REPORT = "@Load_2026-01-01T00:00:00", "@Report_2026-01-01T00:00:00"


def test_runs_are_listed_with_what_became_of_them(served: Served, cli: Cli) -> None:
    made = served.create(shell("Load"), shell("Report", dependsOn=ref("Load")))
    task = served.begin()
    served.passes(90)
    served.end(task, "FAILED", error_id="DiskFull", error_message="no space\nleft")

    rows = cli("list-runs", made).rows

    assert rows[0] == "Instance Status Attempts Started (UTC) Took Reason"
    assert rows[2:] == [
        rf"{LOAD} FAILED 1 2026-01-01T00:00:00 0:01:30 DiskFull: no space\nleft",
        f"{REPORT} WAITING_ON_DEPENDENCIES waits for {LOAD}",
    ]


def test_a_program_reads_all_of_a_run(served: Served, cli: Cli) -> None:
    made = served.create(shell("Load"))
    task = served.begin()
    served.passes(90)
    served.end(task, "FAILED", error_id="DiskFull", error_message="no space")

    assert cli("list-runs", made, "--output", "json").document == {
        "pipelineId": made,
        "runs": [
            {
                "id": LOAD,
                "component": "Load",
                "status": "FAILED",
                "scheduledStartTime": "2026-01-01T00:00:00",
                "actualStartTime": "2026-01-01T00:00:00",
                "actualEndTime": "2026-01-01T00:01:30",
                "seconds": 90.0,
                "attempts": 1,
                "hostname": "worker-1",
                "errorId": "DiskFull",
                "reason": "no space",
            }
        ],
    }


def test_runs_are_found_by_status_and_time(served: Served, cli: Cli) -> None:
    made = served.create(shell("Load"))
    served.work()
    served.passes(3600)
    served.ask(lambda client: client.activate_pipeline(made))
    served.passes(0)

    def found(*words: str) -> list[str]:
        document = cli("list-runs", made, *words, "--output", "json").document
        return [each["id"] for each in document["runs"]]

    assert found() == [LOAD, "@Load_2026-01-01T01:00:00"]
    assert cli("list-runs", made, "--status", "CANCELED").rows == ["No such runs."]
    assert found("--status", "finished") == [LOAD]
    assert found("--status", "FINISHED", "--status", "WAITING_FOR_RUNNER") == found()
    assert found("--start-interval", "2026-01-01,2026-01-02") == [LOAD]
    half_past = "2026-01-01T00:30:00,2026-01-01T03:00:00+01:00"
    assert found("--schedule-interval", half_past) == ["@Load_2026-01-01T01:00:00"]


@pytest.mark.parametrize("interval", ["2026-01-01", "noon,midnight", "1,2,3"])
def test_an_interval_that_is_none_is_refused(served: Served, cli: Cli, interval: str) -> None:
    told = cli("list-runs", "df-0", "--start-interval", interval, exit_code=2).sentence

    assert "is no interval" in told


def test_an_interval_that_ends_before_it_begins_is_refused(served: Served, cli: Cli) -> None:
    interval = "2026-01-01T02:00:00,2026-01-01T02:30:00+01:00"

    told = cli("list-runs", "df-0", "--start-interval", interval, exit_code=2).sentence

    assert "ends before it begins" in told


def test_a_status_that_nobody_knows_is_told_and_looked_for(served: Served, cli: Cli) -> None:
    answer = cli("list-runs", served.create(shell("Load")), "--status", "waitng")

    assert answer.rows == ["No such runs."]
    assert "WAITNG: no known status; those are ACTIVATING, " in answer.stderr


def test_why_a_run_was_cancelled_or_failed_with_another_is_told(served: Served, cli: Cli) -> None:
    made = served.create(
        shell("Load"),
        shell("Report", dependsOn=ref("Load")),
        failureAndRerunMode="CASCADE",
    )
    served.end(served.begin(), "FAILED")
    cancelled = served.create(shell("Load"))
    cli("set-status", cancelled, "try_cancel", LOAD)
    served.passes(0)

    runs = cli("list-runs", made, "--output", "json").document["runs"]
    (run,) = cli("list-runs", cancelled, "--output", "json").document["runs"]

    assert [each["reason"] for each in runs] == [None, f"failed with {LOAD}"]
    assert run["status"] == "CANCELED"
    assert run["reason"]


def test_a_failed_run_is_run_again(served: Served, cli: Cli) -> None:
    made = served.create(shell("Load"), shell("Report", dependsOn=ref("Load")))
    served.end(served.begin(), "FAILED")

    answer = cli("set-status", made, "RERUN", LOAD, "--output", "json")
    served.passes(0)

    assert answer.document == {"pipelineId": made, "status": "RERUN", "objectIds": [LOAD]}
    assert served.work() == f"{LOAD}_Attempt=2"
    assert cli("list-runs", made).rows[2].startswith(f"{LOAD} FINISHED 2 ")


def test_a_status_that_nobody_can_set_is_a_wrong_use(served: Served, cli: Cli) -> None:
    told = cli("set-status", "df-0", "FINISHED", LOAD, exit_code=2).sentence

    assert "one of MARK_FINISHED, PAUSE, RERUN, RESUME, TRY_CANCEL" in told
    assert "'aiodatapipeline set-status --help' shows how" in told
