"""``doctor``: what it finds wrong, and what it says to do about it."""

from __future__ import annotations

import asyncio
import resource
import shutil
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from email.utils import formatdate
from pathlib import Path
from typing import NamedTuple

import pytest

from aiodatapipeline import __version__
from aiodatapipeline._clock import SystemClock
from aiodatapipeline.cli import _doctor
from aiodatapipeline.runner._outbox import FileOutbox
from tests.cli.conftest import Cli, Result, Served
from tests.cli.test_outbox import left_behind, made_up
from tests.cli.thread import LoopThread
from tests.integration.server import Answer, Server, always, http, refusal


@contextmanager
def answering(answer: Answer) -> Generator[str]:
    """A service that always says the same; its address."""
    thread = LoopThread()
    thread.start()
    server = Server(handler=always(answer))
    thread.call(server.__aenter__())
    yield server.url
    thread.call(server.__aexit__(None, None, None))
    thread.stop()


def verdicts(result: Result) -> dict[str, str]:
    """The verdict of each check."""
    found: dict[str, str] = {}
    for line in result.output.splitlines():
        for verdict in ("good", "doubtful", "bad", "unknown"):
            name, separator, _ = line.strip().partition(f"  {verdict} ")
            if separator:
                found[name.strip()] = verdict
    return found


def test_a_program_reads_verdicts(cli: Cli, served: Served) -> None:
    document = cli("doctor", "--output", "json", exit_code=1).document

    assert document["version"] == __version__
    (service,) = [each for each in document["checks"] if each["name"] == "service"]
    assert service["verdict"] == "good"
    assert set(service) == {"name", "verdict", "found", "advice"}


def test_a_machine_that_is_fit_is_told_so(cli: Cli, served: Served, tmp_path: Path) -> None:
    result = cli("doctor", "--state-dir", tmp_path / "a" / "new", exit_code=1)

    found = verdicts(result)
    # The time of this service is not that of machines.
    assert found.pop("clock") == "bad"
    assert set(found.values()) == {"good"}
    assert len(found) == 7
    assert not (tmp_path / "a").exists()


def test_without_credentials_there_is_nobody_to_ask(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")

    result = cli("doctor", exit_code=1)

    assert verdicts(result)["region and credentials"] == "bad"
    assert "no AWS credentials found" in result.output
    # Advice is for a command line, and not for whoever writes Python.
    assert "--profile" in result.output
    assert "pass aws_access_key_id" not in result.output
    assert "service" not in verdicts(result)


@pytest.mark.parametrize(
    ("code", "verdict", "advice"),
    [
        ("AccessDeniedException", "doubtful", "A runner does without, but needs PollForTask"),
        ("ExpiredTokenException", "bad", "Get new credentials."),
        ("InvalidSignatureException", "bad", "Look at the access key, its secret, and this mach"),
        ("InternalServiceError", "bad", "Look at the endpoint, proxies"),
    ],
)
def test_a_service_that_says_no_is_understood(
    cli: Cli, code: str, verdict: str, advice: str
) -> None:
    with answering(refusal(code, "so it is")) as url:
        result = cli("doctor", "--endpoint-url", url, exit_code=int(verdict == "bad"))

    assert verdicts(result)["service"] == verdict
    assert "so it is" in result.output
    assert advice in result.output
    assert verdicts(result)["clock"] == "unknown"


def test_an_address_where_nobody_listens_is_told(cli: Cli) -> None:
    result = cli("doctor", "--endpoint-url", "http://127.0.0.1:9", exit_code=1)

    assert verdicts(result)["service"] == "bad"
    assert "Look at the endpoint" in result.output


@pytest.mark.parametrize(
    ("ahead", "verdict", "found"),
    [
        (0, "good", "the service's"),
        (-100, "doubtful", "behind the service's"),
        (3600, "bad", " s ahead of the service's"),
    ],
)
def test_a_clock_that_is_off_is_told(cli: Cli, ahead: int, verdict: str, found: str) -> None:
    told = http(
        {"pipelineIdList": [], "hasMoreResults": False},
        headers={"Date": formatdate(time.time() - ahead, usegmt=True)},
    )
    with answering(told) as url:
        result = cli("doctor", "--endpoint-url", url, exit_code=int(verdict == "bad"))

    assert verdicts(result)["clock"] == verdict
    assert found in result.output


@pytest.mark.parametrize("date", ["yesterday", ""])
def test_an_answer_without_a_time_tells_nothing_of_the_clock(cli: Cli, date: str) -> None:
    with answering(http({"pipelineIdList": []}, headers={"Date": date})) as url:
        assert verdicts(cli("doctor", "--endpoint-url", url))["clock"] == "unknown"


# -- the machine --------------------------------------------------------------------------


@pytest.fixture
def found(cli: Cli) -> Cli:
    def call(*words: str | Path) -> Result:
        return cli("doctor", "--endpoint-url", "http://127.0.0.1:9", *words, exit_code=1)

    return call


def limit_files(monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    def getrlimit(which: int) -> tuple[int, int]:
        return limit, limit

    monkeypatch.setattr(resource, "getrlimit", getrlimit)


def test_more_tasks_than_files_are_allowed_are_too_many(
    found: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit_files(monkeypatch, 100)

    assert verdicts(found("--concurrency", "4"))["open files"] == "good"
    assert verdicts(found("--concurrency", "5"))["open files"] == "bad"


def test_files_without_limit_are_enough(found: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    limit_files(monkeypatch, resource.RLIM_INFINITY)

    assert verdicts(found("--concurrency", "5"))["open files"] == "good"


def test_a_system_without_limits_of_that_kind_is_let_through(
    found: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "resource", None)

    assert verdicts(found())["open files"] == "unknown"


def test_more_tasks_than_an_account_can_report_are_doubtful(found: Cli) -> None:
    assert verdicts(found("--concurrency", "600"))["account's limits"] == "good"
    assert verdicts(found("--concurrency", "601"))["account's limits"] == "doubtful"


def test_a_machine_without_a_shell_is_told(found: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_doctor, "_SHELL", "/no/such/sh")

    assert verdicts(found())["shell"] == "bad"


class Usage(NamedTuple):
    free: int


def test_a_disk_that_is_nearly_full_is_doubtful(
    found: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:

    def usage(path: Path) -> Usage:
        return Usage(1_000_000)

    monkeypatch.setattr(shutil, "disk_usage", usage)

    assert verdicts(found())["scratch directory"] == "doubtful"


def test_a_state_directory_is_looked_into(found: Cli, tmp_path: Path) -> None:
    async def make() -> None:
        FileOutbox(tmp_path / "empty", SystemClock()).close()

    asyncio.run(make())
    left_behind(tmp_path / "full", made_up("@Job_Attempt=1"))
    (tmp_path / "file").write_text("")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "outbox.sqlite3").write_text("no database" * 1000)

    def verdict(name: str) -> tuple[str, str]:
        result = found("--state-dir", tmp_path / name)
        return verdicts(result)["state directory"], result.output

    assert verdict("empty")[0] == "good"
    assert verdict("full")[0] == "doubtful"
    assert "1 outcomes are not delivered" in verdict("full")[1]
    assert verdict("file/below")[0] == "bad"
    assert verdict("broken")[0] == "bad"
