"""How a pipeline is, once and until it has ended, from the command line."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress

import pytest

from aiodatapipeline import DataPipelineClient
from aiodatapipeline.cli._runs import Run, Runs
from aiodatapipeline.cli._status import Look, look_at
from aiodatapipeline.local import Fault, FaultKind
from aiodatapipeline.models import Field, PipelineDescription, PipelineObject
from aiodatapipeline.operations import (
    DescribeObjectsRequest,
    DescribeObjectsResponse,
    DescribePipelinesRequest,
    DescribePipelinesResponse,
    QueryObjectsRequest,
    QueryObjectsResponse,
)
from aiodatapipeline.testing import StubTransport
from tests.cli.conftest import START, Cli, Served, ref, shell

LOAD, REPORT = "@Load_2026-01-01T00:00:00", "@Report_2026-01-01T00:00:00"
WATCH = ("--watch", "--interval", "0.1")


def test_the_status_is_a_table_of_instances(served: Served, cli: Cli) -> None:
    made = served.create(shell("Load"), shell("Report", dependsOn=ref("Load")))
    served.end(served.begin(), "FAILED", error_message="no space")

    assert cli("status", made).rows == [
        f"{made} test: SCHEDULED, health ERROR",
        "Instance Status Attempts Started (UTC) Took Reason",
        cli("status", made).rows[2],
        f"{LOAD} FAILED 1 2026-01-01T00:00:00 0:00:00 no space",
        f"{REPORT} WAITING_ON_DEPENDENCIES waits for {LOAD}",
    ]


def test_a_pipeline_without_runs_says_so(served: Served, cli: Cli) -> None:
    made = served.create(shell("Load"), activate=False)

    assert cli("status", made).rows == [f"{made} test: PENDING", "No runs yet."]


def test_of_each_object_the_latest_run_is_shown_and_all_on_request(
    served: Served, cli: Cli
) -> None:
    made = served.create(shell("Load"))
    served.work()
    served.passes(3600)
    served.ask(lambda client: client.activate_pipeline(made))
    served.passes(0)
    served.work()

    def shown(*words: str) -> list[str]:
        document = cli("status", made, "--output", "json", *words).document
        return [each["id"] for each in document["runs"]]

    assert shown() == ["@Load_2026-01-01T01:00:00"]
    assert shown("--all") == [LOAD, "@Load_2026-01-01T01:00:00"]


def test_a_program_reads_how_a_pipeline_is(served: Served, cli: Cli) -> None:
    made = served.create(shell("Load"))
    served.work()

    document = cli("status", made, "--output", "json").document

    runs = document.pop("runs")
    assert document == {
        "pipelineId": made,
        "name": "test",
        "state": "FINISHED",
        "health": "HEALTHY",
        "nextRunTime": None,
    }
    assert [each["status"] for each in runs] == ["FINISHED"]


def test_a_run_under_way_has_taken_some_time(served: Served, cli: Cli) -> None:
    made = served.create(shell("Load"))
    served.begin()

    (run,) = cli("status", made, "--output", "json").document["runs"]

    # Its clock stands still, and ours goes on.
    assert run["actualEndTime"] is None
    assert run["seconds"] > 0


def described(state: str, **fields: str) -> PipelineDescription:
    shown = {"@pipelineState": state, **fields}
    return PipelineDescription(
        pipeline_id="df-0",
        name="test",
        fields=tuple(Field.of(key, value) for key, value in shown.items()),
    )


# -- watching -----------------------------------------------------------------------------


@contextmanager
def beside(work: Callable[[], object]) -> Generator[None]:
    """Do something in another thread."""
    thread = threading.Thread(target=work)
    thread.start()
    yield
    thread.join()


def test_a_watch_ends_with_the_pipeline(served: Served, cli: Cli) -> None:
    made = served.create(shell("Load"), shell("Report", dependsOn=ref("Load")))

    with beside(lambda: (served.work(), served.work())):
        rows = cli("status", made, *WATCH).rows

    assert f"{made} test: FINISHED, health HEALTHY" in rows
    changes = [row.split(maxsplit=1)[1] for row in rows if row.startswith("20")]
    assert f"{REPORT} FINISHED" in changes
    assert len(changes) == len(set(changes))


def test_a_watch_tells_failures_by_its_exit_code(served: Served, cli: Cli) -> None:
    made = served.create(shell("Load"))
    served.end(served.begin(), "FAILED")

    document = cli("status", made, *WATCH, "--output", "json", exit_code=1).document

    assert [each["status"] for each in document["runs"]] == ["FAILED"]


def test_a_watch_ends_when_the_rest_waits_for_what_failed(served: Served, cli: Cli) -> None:
    made = served.create(
        shell("Load"),
        shell("Report", dependsOn=ref("Load")),
        shell("Send", dependsOn=ref("Report")),
        shell("Apart"),
    )
    for task in (served.begin(), served.begin()):
        served.end(task, "FAILED" if task.attempt_id.startswith(LOAD) else "FINISHED")

    document = cli("status", made, *WATCH, "--output", "json", exit_code=1).document

    assert {each["component"]: each["status"] for each in document["runs"]} == {
        "Load": "FAILED",
        "Report": "WAITING_ON_DEPENDENCIES",
        "Send": "WAITING_ON_DEPENDENCIES",
        "Apart": "FINISHED",
    }


@pytest.mark.parametrize(
    ("status", "fields", "ended"),
    [
        ("FAILED", {}, True),
        ("RUNNING", {}, False),
        ("FAILED", {"@nextRunTime": "2026-01-02T00:00:00"}, False),
        (None, {}, False),
    ],
)
def test_a_pipeline_need_not_be_finished_to_have_ended(
    status: str | None, fields: dict[str, str], ended: bool
) -> None:
    pipeline = described("SCHEDULED", **fields)
    run = Run(LOAD, "Load", status or "", None, None, None, 0, None, None, None)

    assert Look(pipeline, [run] if status else [], START).has_ended == ended


def test_a_pipeline_that_nobody_activated_is_not_watched_for_ever(served: Served, cli: Cli) -> None:
    made = served.create(shell("Load"), activate=False)

    assert "was never activated" in cli("status", made, *WATCH, exit_code=1).stderr


def test_a_look_that_fails_is_followed_by_another(
    served: Served, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    made = served.create(shell("Load"))
    served.work()
    served.service.faults.add(
        Fault(kind=FaultKind.ERROR, operations=["DescribePipelines"], times=2)
    )

    told = cli("status", made, *WATCH)

    assert told.stderr.count("looking again in 0.1 s") == 2
    assert "FINISHED" in told.stdout


def test_a_watch_gives_up_at_last(
    served: Served, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    made = served.create(shell("Load"))
    served.service.faults.add(Fault(kind=FaultKind.ERROR, operations=["DescribePipelines"]))

    told = cli("status", made, *WATCH, exit_code=1).stderr

    assert told.count("looking again") == 5
    assert told.splitlines()[-1].endswith("[InternalServiceError]; try again later")


def test_what_will_not_pass_ends_a_watch_at_once(served: Served, cli: Cli) -> None:
    assert "PipelineNotFound" in cli("status", "df-0", *WATCH, exit_code=1).sentence


@pytest.mark.parametrize("interval", ["0", "3601", "often"])
def test_an_interval_out_of_bounds_is_a_wrong_use(served: Served, cli: Cli, interval: str) -> None:
    told = cli("status", "df-0", "--watch", "--interval", interval, exit_code=2).sentence

    assert "--interval" in told


@contextmanager
def terminal(monkeypatch: pytest.MonkeyPatch) -> Generator[list[bytes]]:
    """Have what is printed go to a terminal; it can be read afterwards."""
    ours, theirs = os.openpty()
    screen: list[bytes] = []
    with os.fdopen(theirs, "w", encoding="utf-8") as out, monkeypatch.context() as patch:
        patch.setattr("sys.stdout", out)
        yield screen
    with os.fdopen(ours, "rb", buffering=0) as found, suppress(OSError):  # nobody has the other end
        while piece := found.read(10_000):
            screen.append(piece)


def test_on_a_terminal_a_watch_is_a_table_that_changes(
    served: Served, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    made = served.create(shell("Load"))
    with beside(served.work), terminal(monkeypatch) as screen:
        cli("status", made, *WATCH)

    shown = b"".join(screen)
    assert b"\x1b[32mFINISHED\x1b[0m" in shown
    assert b"\x1b[?25h" in shown  # the cursor is there again


def test_what_was_seen_last_stays_on_a_terminal_when_a_watch_is_cut_off(
    served: Served, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    made = served.create(shell("Load"), activate=False)

    with terminal(monkeypatch) as screen:
        cli("status", made, *WATCH, exit_code=1)

    _, _, behind = b"".join(screen).rpartition(b"No runs yet.")
    assert b"\x1b[?25h" in behind
    assert b"\x1b[2K" not in behind  # which would erase a line


async def test_a_pipeline_whose_last_run_ends_meanwhile_is_shown_as_it_is_then() -> None:
    stub = StubTransport()
    stub.on(DescribePipelinesRequest).returns(
        *(
            DescribePipelinesResponse(pipeline_description_list=(described(state),))
            for state in ("SCHEDULED", "FINISHED")
        )
    )
    stub.on(QueryObjectsRequest).returns(QueryObjectsResponse(ids=(LOAD,)))
    ended = PipelineObject.of(LOAD, {"@status": "FINISHED"})
    stub.on(DescribeObjectsRequest).returns(DescribeObjectsResponse(pipeline_objects=(ended,)))

    async with stub.client() as client:
        look = await look_at(client, "df-0", Runs(client, "df-0"), everything=False)

    assert (look.pipeline.state, look.has_ended, look.is_good) == ("FINISHED", True, True)


async def test_what_has_ended_is_not_asked_for_again_unless_it_is_run_again(
    served: Served,
) -> None:
    made = served.create(shell("Load"), shell("Report", dependsOn=ref("Load")))
    served.end(served.begin(), "FAILED")
    waiting = "WAITING_ON_DEPENDENCIES"
    async with DataPipelineClient(transport=served.service.transport) as client:
        runs = Runs(client, made)
        for look in (runs.current, runs.all):
            assert [each.status for each in await look()] == ["FAILED", waiting]

        served.ask(lambda other: other.set_status(made, [LOAD], "RERUN"))
        served.passes(0)

        for look in (runs.all, runs.current):
            assert [each.status for each in await look()] == ["WAITING_FOR_RUNNER", waiting]
