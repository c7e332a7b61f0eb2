"""``aiodatapipeline local`` as a real process."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Generator
from importlib import import_module
from pathlib import Path
from typing import Any
from unittest.mock import Mock
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
import typer
from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession

from aiodatapipeline import DataPipelineClient
from aiodatapipeline.cli import main

LOCAL = [sys.executable, "-m", "aiodatapipeline.cli", "local", "--port", "0"]
# Seconds, so that a test which waits for what does not come fails and does not hang.
PATIENCE = 30
SIGN: dict[str, Any] = {
    "region_name": "us-east-1",
    "aws_access_key_id": "AKID",
    "aws_secret_access_key": "s3cret",
}


class Process:
    """A service in a process of its own."""

    def __init__(self, popen: subprocess.Popen[str], url: str) -> None:
        self.popen, self.url = popen, url

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, str, str]:
        """Stop it; give its exit code, and what else came on its two outputs."""
        self.popen.send_signal(number)
        out, err = self.popen.communicate(timeout=PATIENCE)
        return self.popen.returncode, out, err


@contextlib.contextmanager
def running(*arguments: str, env: dict[str, str] | None = None) -> Generator[Process]:
    with subprocess.Popen(
        [*LOCAL, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **(env or {})},
    ) as popen:
        assert popen.stdout is not None
        try:
            first = popen.stdout.readline()
            assert first.startswith("listening on http://127.0.0.1:"), first
            yield Process(popen, first.split()[-1])
        finally:
            popen.terminate()  # and not killed, or it could not say which lines it ran
            with contextlib.suppress(subprocess.TimeoutExpired):
                popen.wait(PATIENCE)
            popen.kill()


class Run:
    """Runs commands that end by themselves, in this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        code = main(arguments)
        shown = self._capsys.readouterr()
        return code, shown.out, shown.err


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    return Run(capsys)


def sentence(text: str) -> str:
    """The one line of an error."""
    (line,) = text.splitlines()
    assert line.startswith("aiodatapipeline: ")
    return line


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_prints_one_line_and_a_signal_stops_it(number: int) -> None:
    with running() as process:
        code, out, err = process.stop(number)

    assert (code, out) == (0, "")
    assert "Traceback" not in err


def test_a_second_signal_ends_it_at_once() -> None:
    with running() as process, polling(process, body_is_whole=False):
        # A body that does not end keeps the first signal from being the end.
        process.popen.send_signal(signal.SIGTERM)
        assert process.popen.stderr is not None
        assert "stopping" in process.popen.stderr.readline()

        code, _, _ = process.stop(signal.SIGTERM)

    assert code == -signal.SIGTERM


def test_an_open_poll_is_answered_before_the_end() -> None:
    with running() as process, polling(process, body_is_whole=True) as poll:
        code, _, _ = process.stop()
        answer = b""
        while piece := poll.recv(1000):
            answer += piece

    assert code == 0
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.endswith(b"\r\n\r\n{}")


def test_boto3_talks_with_it() -> None:
    boto: Any = import_module("boto3").client
    with running() as process:
        client = boto("datapipeline", endpoint_url=process.url, **SIGN)
        made = client.create_pipeline(name="n", uniqueId="u")["pipelineId"]
        listed = client.list_pipelines()["pipelineIdList"]
        deleted = client.delete_pipeline(pipelineId=made)
        client.close()

    assert listed == [{"id": made, "name": "n"}]
    assert deleted["ResponseMetadata"]["HTTPHeaders"]["content-length"] == "0"


async def test_aiobotocore_and_our_client_talk_with_it() -> None:
    with running() as process:
        config = AioConfig()
        theirs: Any = AioSession().create_client(
            "datapipeline", endpoint_url=process.url, config=config, **SIGN
        )
        async with (
            theirs as raw,
            DataPipelineClient(endpoint_url=process.url, **SIGN) as ours,
        ):
            made = (await raw.create_pipeline(name="n", uniqueId="u"))["pipelineId"]
            again = await ours.create_pipeline("n", "u")

    assert again.pipeline_id == made


def test_a_store_keeps_what_was_made(tmp_path: Path) -> None:
    boto: Any = import_module("boto3").client
    made: list[str] = []
    for _ in range(2):
        with running("--store", str(tmp_path / "store.db")) as process:
            client = boto("datapipeline", endpoint_url=process.url, **SIGN)
            made.append(client.create_pipeline(name="n", uniqueId="u")["pipelineId"])
            client.close()
            assert process.stop()[0] == 0

    assert made[0] == made[1]


def test_a_store_that_is_served_already_is_refused(run: Run, tmp_path: Path) -> None:
    store = str(tmp_path / "store.db")
    with running("--store", store):
        code, out, err = run("local", "--port", "0", "--store", store)

    assert (code, out) == (1, "")
    assert "in use" in sentence(err)


def test_a_store_that_cannot_be_made_is_named(run: Run, tmp_path: Path) -> None:
    code, out, err = run("local", "--port", "0", "--store", str(tmp_path / "no" / "store.db"))

    assert (code, out) == (1, "")
    assert "store.db" in sentence(err)


def test_a_port_in_use_is_named(run: Run) -> None:
    with running() as process:
        code, out, err = run("local", "--port", str(port_of(process)))

    assert (code, out) == (1, "")
    assert f"port {port_of(process)} of 127.0.0.1 is in use" in sentence(err)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["local", "--prot", "1"], "--prot"),
        (["local", "--port", "70000"], "65535"),
        (["serve"], "serve"),
        (["local", "--strict", "--hostile"], "contradict"),
        (["local", "--virtual-clock"], "--admin"),
        (["local", "--host", "0.0.0.0"], "give --credentials"),
        (["local", "--credentials", "no-such-file"], "no-such-file"),
    ],
)
def test_a_wrong_use_is_told_in_a_sentence(run: Run, arguments: list[str], told: str) -> None:
    code, out, err = run(*arguments)

    assert (code, out) == (2, "")
    assert told in sentence(err)


def test_the_traceback_of_an_error_is_shown_on_request(run: Run) -> None:
    code, _, err = run("local", "--host", "0.0.0.0", "--debug")

    assert code == 2
    assert "Traceback" in err


@pytest.mark.parametrize(
    ("text", "told"),
    [("AKID", "line 1"), ("# no\n\nAKID:", "line 3"), (":s", "line 1"), ("# none\n", "no cred")],
)
def test_a_line_of_credentials_that_is_none_is_named_and_not_shown(
    run: Run, tmp_path: Path, text: str, told: str
) -> None:
    file = tmp_path / "credentials"
    file.write_text(text)

    code, _, err = run("local", "--credentials", str(file))

    assert code == 2
    assert told in sentence(err)
    assert "AKID" not in err


async def test_credentials_of_a_file_or_the_environment_are_verified(tmp_path: Path) -> None:
    file = tmp_path / "credentials"
    file.write_text("# of a test\nAKID:s3cret\n")
    variable = {"AIODATAPIPELINE_LOCAL_CREDENTIALS": "AKID:s3cret"}

    for arguments, env in ((["--credentials", str(file)], {}), ([], variable)):
        with running(*arguments, env=env) as process:
            async with DataPipelineClient(endpoint_url=process.url, **SIGN) as client:
                await client.list_pipelines()
            with pytest.raises(HTTPError, match="400") as refused:
                post(process, "/moto-api/reset")
            refused.value.close()


@pytest.mark.skipif(sys.platform == "win32", reason="a process has no such limit there")
@pytest.mark.parametrize(
    ("limits", "wanted"),
    [
        ((1024, 4096), [(4096, 4096)]),
        ((256, -1), [(10_240, -1)]),
        ((1024, 2**20), [(10_240, 2**20)]),
        ((1024, 1024), []),
        ((20_000, 20_000), []),
        ((-1, -1), []),
    ],
)
def test_as_many_connections_are_allowed_as_may_be(
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    limits: tuple[int, int],
    wanted: list[tuple[int, int]],
) -> None:
    asked: list[tuple[int, int]] = []

    def set_(_: int, limits: tuple[int, int]) -> None:
        asked.append(limits)

    monkeypatch.setattr("resource.RLIM_INFINITY", -1)
    monkeypatch.setattr("resource.getrlimit", Mock(return_value=limits))
    monkeypatch.setattr("resource.setrlimit", set_)

    code, _, err = run("local", "--port", "0", "--store", "no/such/store")

    assert (code, asked) == (1, wanted)
    assert "no/such/store" in sentence(err)


def test_an_admin_sees_faults_switches_and_moves_the_clock() -> None:
    with running("--admin", "--virtual-clock", "--strict", "--rates", "--quotas") as process:
        number = post(process, "/admin/faults", {"kind": "throttle", "operations": ["SetStatus"]})
        before = get(process, "/admin/clock")["time"]
        after = post(process, "/admin/clock", {"seconds": 3600})["time"]
        switches = get(process, "/admin/switches")

    assert number == {"number": 1}
    assert after - before == 3600
    assert switches["lease"] == 300


def test_the_version_and_the_help_are_shown(run: Run) -> None:
    assert run("--version")[1].startswith("aiodatapipeline 0.")
    assert "Commands" in run()[1]
    assert "--store" in run("local", "--help")[1]


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (RuntimeError("an oddity"), 1, "RuntimeError: an oddity (more with --debug)"),
        (KeyboardInterrupt(), 130, ""),
        (typer.Abort(), 130, ""),
    ],
)
def test_what_nobody_expects_is_a_sentence_too(
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
    code: int,
    told: str,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("aiodatapipeline.cli._local.LocalDataPipeline", fail)

    assert run("local")[:2] == (code, "")
    assert told in run("local")[2]


def test_without_typer_it_says_what_to_install(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "typer", None)
    monkeypatch.delitem(sys.modules, "aiodatapipeline.cli._app", raising=False)
    monkeypatch.delitem(sys.modules, "aiodatapipeline.cli._local", raising=False)
    monkeypatch.delattr("aiodatapipeline.cli._app", raising=False)

    code, out, err = run("local")

    assert (code, out) == (1, "")
    assert "pip install 'aiodatapipeline[cli]'" in sentence(err)


def test_another_module_that_is_missing_is_a_fault_of_ours(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "aiodatapipeline.cli._app", None)
    monkeypatch.delattr("aiodatapipeline.cli._app", raising=False)

    with pytest.raises(ImportError, match="_app"):
        main(["local"])


def port_of(process: Process) -> int:
    return int(process.url.rpartition(":")[2])


def post(process: Process, path: str, members: object = None) -> dict[str, Any]:
    data = b"" if members is None else json.dumps(members).encode()
    request = Request(f"{process.url}{path}", data=data, method="POST")
    with urlopen(request, timeout=PATIENCE) as answer:
        answered: dict[str, Any] = json.load(answer)
    return answered


def get(process: Process, path: str) -> dict[str, Any]:
    with urlopen(f"{process.url}{path}", timeout=PATIENCE) as answer:
        members: dict[str, Any] = json.load(answer)
    return members


@contextlib.contextmanager
def polling(process: Process, *, body_is_whole: bool) -> Generator[socket.socket]:
    """Open a poll, by hand: so it is known when the service has it."""
    with socket.create_connection(("127.0.0.1", port_of(process)), PATIENCE) as poll:
        body = b'{"workerGroup": "wg"}'
        poll.sendall(
            b"POST / HTTP/1.1\r\nHost: localhost:%d\r\nExpect: 100-continue\r\n"
            b"Content-Type: application/x-amz-json-1.1\r\n"
            b"X-Amz-Target: DataPipeline.PollForTask\r\nContent-Length: %d\r\n\r\n"
            % (port_of(process), len(body))
        )
        assert poll.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        poll.sendall(body if body_is_whole else body[:-1])
        for _ in range(3):  # each on a connection that is taken after what was sent before
            post(process, "/moto-api/reset")
        yield poll
