"""What a container platform hears when it asks how a runner is."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from typing import Any

import pytest

from aiodatapipeline.runner import TaskRunner
from aiodatapipeline.runner.health import HealthServer
from tests.pages import blocks
from tests.runner.bed import Call, Fault, activity, bed, error, waits

# What Kubernetes and Docker are told.
PROBE = r"Probe:\n  httpGet: \{ path: (\S+), port: 8080 \}"
CHECK = r"HEALTHCHECK CMD (.*)"


def ask(url: str, method: str = "GET") -> tuple[int, dict[str, Any]]:
    request = urllib.request.Request(url, method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, json.loads(answer.read() or "{}")
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, json.loads(refused.read())


async def asked(url: str, method: str = "GET") -> tuple[int, dict[str, Any]]:
    return await asyncio.to_thread(ask, url, method)


async def test_a_runner_is_ready_while_it_works_and_alive_from_first_to_last() -> None:
    async with bed() as b:
        await b.pipeline(activity())
        runner = b.runner()
        waits(b, runner)

        async with HealthServer(runner, 0) as health:
            assert (await asked(f"{health.url}/readyz"))[0] == 503
            assert (await asked(f"{health.url}/livez"))[0] == 200
            async with b.running(runner) as run:
                ready = await asked(f"{health.url}/readyz?verbose")
                runner.stop()
                await b.really(lambda: runner.health.status == "stopping")
                draining = await asked(f"{health.url}/readyz")
                assert (await asked(f"{health.url}/livez"))[0] == 200
                await run.stop(cancel=True)
            over = await asked(f"{health.url}/readyz")

    told = {"problems": 0, "leaked": 0, "undelivered": 0, "blocked_seconds": 0}
    assert ready == (200, {**told, "status": "ok", "running": 1})
    assert draining == (503, {**told, "status": "stopping", "running": 1})
    assert over == (503, {**told, "status": "stopped", "running": 0})


async def test_the_probes_of_the_pages_find_a_runner_that_works_and_miss_one_that_is_gone() -> None:
    paths = [found for each in blocks("yaml") for found in re.findall(PROBE, each.text)]
    checks = [found for each in blocks("dockerfile") for found in re.findall(CHECK, each.text)]

    async def probe(url: str, check: str) -> int:
        python, *words = json.loads(check.replace("http://127.0.0.1:8080", url))
        process = await asyncio.create_subprocess_exec(
            {"python": sys.executable}[python], *words, stderr=subprocess.DEVNULL
        )
        return await process.wait()

    async with bed() as b:
        runner = b.runner()
        async with HealthServer(runner, 0) as health, b.running(runner) as run:
            url = health.url
            found = [(await asked(f"{url}{path}"))[0] for path in paths]
            exits = [await probe(url, check) for check in checks]
            await run.stop()
    afterwards = [await probe(url, check) for check in checks]

    assert (found, exits, afterwards) == ([200, 200], [0], [1])


async def test_a_problem_makes_it_unready_and_not_dead_and_is_not_quoted() -> None:
    def fault(call: Call) -> Fault:
        return error("UnrecognizedClientException") if call.operation == "PollForTask" else None

    async with bed() as b:
        b.fault = fault
        runner = b.runner()
        async with HealthServer(runner, 0) as health, b.running(runner) as run:
            await b.until(lambda: bool(runner.health.problems), 10)
            ready = await asked(f"{health.url}/readyz")
            alive = await asked(f"{health.url}/livez")
            problems = len(runner.health.problems)
            await run.stop()

    assert (ready[0], ready[1]["status"], ready[1]["problems"]) == (503, "degraded", problems)
    assert alive[0] == 200


async def test_a_loop_that_stands_still_is_told_by_another_thread() -> None:
    runner = TaskRunner("etl", stall_limit=20)
    async with HealthServer(runner, 0) as health:
        # Asked by the loop itself, which is blocked meanwhile.
        alive = ask(f"{health.url}/livez")
        health._ticked -= 30  # pyright: ignore[reportPrivateUsage]  # or it took as long
        dead, ready = ask(f"{health.url}/livez"), ask(f"{health.url}/readyz")
        while (await asked(f"{health.url}/livez"))[0] != 200:
            pass  # within a second

    assert alive[0] == 200
    assert (dead[0], ready[0]) == (503, 503)
    assert dead[1]["blocked_seconds"] >= 29


async def test_only_two_paths_can_be_asked_for() -> None:
    async with HealthServer(TaskRunner("etl"), 0) as health:
        assert await asked(health.url) == (404, {"paths": ["/livez", "/readyz"]})
        assert await asked(f"{health.url}/livez", "HEAD") == (200, {})
        with pytest.raises(json.JSONDecodeError):
            await asked(f"{health.url}/livez", "POST")


async def test_who_hangs_up_or_says_nothing_keeps_nobody_waiting(
    capfd: pytest.CaptureFixture[str],
) -> None:
    async with HealthServer(TaskRunner("etl"), 0) as health:
        address = ("127.0.0.1", int(health.url.rpartition(":")[2]))
        with socket.create_connection(address), socket.create_connection(address) as hasty:
            hasty.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            hasty.sendall(b"GET /livez HTTP/1.1\r\n")
            hasty.close()
            assert (await asked(f"{health.url}/livez"))[0] == 200

    assert capfd.readouterr() == ("", "")


async def test_it_listens_on_ipv6_too() -> None:
    try:
        async with HealthServer(TaskRunner("etl"), 0, host="::1") as health:
            assert health.url.startswith("http://[::1]:")
            assert (await asked(f"{health.url}/livez"))[0] == 200
    except OSError as refused:
        if not socket.has_ipv6 or "assign" in str(refused):
            pytest.skip("this machine has no IPv6")
        raise


async def test_a_port_that_is_taken_is_named() -> None:
    runner = TaskRunner("etl")
    async with HealthServer(runner, 0) as first:
        port = int(first.url.rpartition(":")[2])
        second = HealthServer(runner, port)
        with pytest.raises(OSError, match=f"cannot listen at 127.0.0.1 port {port} for health"):
            await second.__aenter__()
        await second.__aexit__()

    assert first.url == ""
    assert "aiodatapipeline-health" not in {each.name for each in threading.enumerate()}


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_port_that_cannot_be_is_refused(port: int) -> None:
    with pytest.raises(ValueError, match="from 0 to 65535"):
        HealthServer(TaskRunner("etl"), port)
