"""Scenarios A7 to A16, A39 and A41 with a process, a network and a service that are real.

The runner is a program of its own, whose minutes are tenths of a second; the service is the local
one, with faults of its own, and where these are not enough a proxy stands before it.
"""

from __future__ import annotations

import asyncio
import signal
import ssl
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from multiprocessing.context import ForkServerContext
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import trustme

from aiodatapipeline.cli._demo import FastClock
from aiodatapipeline.local import Fault, FaultKind, LocalDataPipeline, Switches
from aiodatapipeline.runner import read_outbox
from tests.runner.bed import activity
from tests.runner.processes import LIMIT, Forked, forked, put, statuses

ALL = ("ReportTaskProgress", "SetTaskStatus")
FOREVER = float("inf")


@asynccontextmanager
async def serving(switches: Switches | None = None) -> AsyncGenerator[LocalDataPipeline]:
    """A service whose poll lasts for a second and a half, and whose leases for some seconds."""
    async with LocalDataPipeline(switches=switches, clock=FastClock(60.0)) as service:
        yield service


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what another process does."""
    async with asyncio.timeout(LIMIT):
        while not condition():  # it is another process
            await asyncio.sleep(0.01)


async def all_end(service: LocalDataPipeline, pipeline: str, runner: Forked) -> None:
    """Wait until every instance has ended, and then for the runner, which is told to stop."""
    async with asyncio.timeout(LIMIT):
        while not set((await statuses(service, pipeline)).values()) <= {"FINISHED", "FAILED"}:
            await asyncio.sleep(0.02)
    runner.send()
    assert await runner.over() == 0


def jobs(many: int, directory: Path) -> tuple[list[dict[str, object]], dict[str, str]]:
    """Write activities, of which every third fails, and say how they are to end."""
    expected = {f"Job{n}": "FAILED" if n % 3 == 2 else "FINISHED" for n in range(many)}
    command = {"FAILED": "false", "FINISHED": str(directory / "gone")}
    made = [activity(name, command=command[status]) for name, status in expected.items()]
    return made, expected


async def test_a7_to_a13_whatever_becomes_of_answers_nothing_is_lost_or_changed(
    forks: ForkServerContext, switches: Switches, tmp_path: Path
) -> None:
    objects, expected = jobs(9, tmp_path)
    async with serving(switches) as service:
        # A lost answer to a poll may use up a task's only try: not these.
        for kind, operations, applied in (
            (FaultKind.DROP, ("ReportTaskProgress",), False),
            (FaultKind.DROP, ("ReportTaskProgress", "SetTaskStatus"), True),
            (FaultKind.HTML, ALL, False),
            (FaultKind.HALF, ALL, False),
            (FaultKind.WRONG_CRC, ALL, False),
            (FaultKind.ERROR, ALL, False),
            (FaultKind.THROTTLE, ALL, False),
        ):
            service.faults.add(
                Fault(kind=kind, operations=operations, applied=applied, times=3, probability=0.5)
            )
        service.faults.add(Fault(kind=FaultKind.HTML, operations="PollForTask", times=2))
        service.faults.add(Fault(kind=FaultKind.LATE, operations=ALL, seconds=12.0, times=3))
        pipeline = await put(service, *objects)
        async with forked(forks, tmp_path, "works", service.endpoint_url) as runner:
            await all_end(service, pipeline, runner)
        happened = {each.kind for each in service.faults.log}
        assert await statuses(service, pipeline) == expected
        assert len(happened) >= 4


async def test_a7_lost_answers_to_polls_delay_tasks_and_lose_none(
    forks: ForkServerContext, tmp_path: Path
) -> None:
    objects, expected = jobs(3, tmp_path)
    async with serving() as service:
        service.faults.add(
            Fault(kind=FaultKind.DROP, operations="PollForTask", applied=True, times=4)
        )
        pipeline = await put(service, *objects)
        async with forked(forks, tmp_path, "works", service.endpoint_url) as runner:
            await all_end(service, pipeline, runner)
        assert await statuses(service, pipeline) == expected
        assert len(service.faults.log) == 4


async def test_a9_a_handler_whose_reports_do_not_come_through_is_stopped_when_its_lease_lapses(
    forks: ForkServerContext,
    tmp_path: Path,
) -> None:
    gate = tmp_path / "gate"
    gate.touch()
    async with serving() as service:
        await put(service, activity(command=str(gate)))
        async with forked(forks, tmp_path, "forgets", service.endpoint_url) as runner:
            await runner.until("running @Job_")
            service.faults.add(Fault(kind=FaultKind.DROP, operations="ReportTaskProgress"))
            await runner.until("reason=lapsed")
            runner.send()
            assert await runner.over() == 0


async def test_a11_calls_that_are_never_answered_end_and_are_made_again(
    forks: ForkServerContext, tmp_path: Path
) -> None:
    """The connection stays open, and nothing comes: as when a cable is cut."""
    objects, expected = jobs(3, tmp_path)
    async with serving() as service:
        for operation in ("PollForTask", *ALL):
            service.faults.add(
                Fault(kind=FaultKind.DROP, operations=operation, seconds=FOREVER, times=1)
            )
        pipeline = await put(service, *objects)
        async with forked(forks, tmp_path, "works", service.endpoint_url) as runner:
            await all_end(service, pipeline, runner)
        assert await statuses(service, pipeline) == expected
        assert len(service.faults.log) == 3
    assert "no answer within" in runner.log


class Proxy:
    """Stands before a service: passes on what comes, or not."""

    def __init__(self, url: str) -> None:
        at = urlsplit(url)
        self._host, self._port = at.hostname or "", at.port or 0
        self.hangs_up_after: float | None = None
        """Seconds after which a connection ends, whatever goes on there."""
        self.connections = 0
        self._server: asyncio.Server | None = None
        self._own = 0

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._own

    async def open(self, port: int = 0, context: ssl.SSLContext | None = None) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port, ssl=context)
        self._own = int(self._server.sockets[0].getsockname()[1])

    async def aclose(self) -> None:
        """Take no more connections."""
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        there, back = await asyncio.open_connection(self._host, self._port)
        try:
            async with asyncio.timeout(self.hangs_up_after):
                await asyncio.wait(
                    [asyncio.ensure_future(self._pass(reader, back)),
                     asyncio.ensure_future(self._pass(there, writer))],
                    return_when=asyncio.FIRST_COMPLETED,
                )  # fmt: skip
        except TimeoutError:
            pass
        finally:
            writer.close()
            back.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # The service talks with nobody who means another host.
        ours, theirs = f"127.0.0.1:{self.port}".encode(), f"{self._host}:{self._port}".encode()
        try:
            while data := await reader.read(65_536):
                writer.write(data.replace(ours, theirs))
                await writer.drain()
        except OSError:
            return


@asynccontextmanager
async def proxied(
    service: LocalDataPipeline, context: ssl.SSLContext | None = None
) -> AsyncGenerator[Proxy]:
    """Let a proxy stand before a service."""
    proxy = Proxy(service.endpoint_url)
    await proxy.open(context=context)
    try:
        yield proxy
    finally:
        await proxy.aclose()
        for each in asyncio.all_tasks() - {asyncio.current_task()}:
            if "Proxy." in repr(each):
                each.cancel()
        await asyncio.sleep(0)


async def test_a14_behind_a_proxy_that_hangs_up_on_open_polls_tasks_are_run(
    forks: ForkServerContext,
    tmp_path: Path,
) -> None:
    async with serving() as service, proxied(service) as proxy:
        proxy.hangs_up_after = 0.7  # a poll lasts twice as long
        url = f"http://127.0.0.1:{proxy.port}"
        async with forked(forks, tmp_path, "works", url) as runner:
            await until(lambda: proxy.connections > 3)
            objects, expected = jobs(3, tmp_path)
            pipeline = await put(service, *objects)
            await all_end(service, pipeline, runner)
        assert await statuses(service, pipeline) == expected
    assert "poll_failed" in runner.log


async def test_a15_without_a_connection_a_runner_waits_for_one(
    forks: ForkServerContext, tmp_path: Path
) -> None:
    objects, expected = jobs(3, tmp_path)
    async with serving() as service:
        pipeline = await put(service, *objects)
        async with proxied(service) as proxy:
            port = proxy.port
            await proxy.aclose()  # nobody listens there
            async with forked(forks, tmp_path, "works", f"http://127.0.0.1:{port}") as runner:
                await runner.until("poll_failed")
                await proxy.open(port)
                await all_end(service, pipeline, runner)
        assert await statuses(service, pipeline) == expected


async def test_a16_without_a_certificate_that_is_trusted_a_runner_waits_for_one(
    forks: ForkServerContext,
    tmp_path: Path,
) -> None:
    objects, expected = jobs(3, tmp_path)
    trusted, other = trustme.CA(), trustme.CA()
    trusted.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    contexts: list[ssl.SSLContext] = []
    for authority in (other, trusted):
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        certificate = authority.issue_cert("127.0.0.1")
        path = tmp_path / f"{len(contexts)}.pem"
        certificate.private_key_and_cert_chain_pem.write_to_path(str(path))
        context.load_cert_chain(path)
        contexts.append(context)
    async with serving() as service:
        pipeline = await put(service, *objects)
        async with proxied(service, contexts[0]) as proxy:
            port = proxy.port
            async with forked(
                forks,
                tmp_path,
                "works",
                f"https://127.0.0.1:{port}",
                {"AWS_CA_BUNDLE": str(tmp_path / "ca.pem")},
            ) as runner:
                await runner.until("certificate verify failed")
                assert proxy.connections == 0, "it got no request"
                await proxy.aclose()
                await proxy.open(port, contexts[1])
                await all_end(service, pipeline, runner)
        assert await statuses(service, pipeline) == expected


# -- SIGTERM at any moment --------------------------------------------------------------------


@asynccontextmanager
async def at_work(
    forks: ForkServerContext, service: LocalDataPipeline, directory: Path, *faults: Fault
) -> AsyncGenerator[Forked]:
    """A runner with a state directory, and faults."""
    for each in faults:
        service.faults.add(each)
    state = {"STATE_DIR": str(directory / "state")}
    async with forked(forks, directory, "works", service.endpoint_url, state) as runner:
        yield runner


def fault(operation: str, **settings: float) -> Fault:
    """A call whose connection breaks."""
    return Fault(kind=FaultKind.DROP, operations=operation, **settings)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("moment", ["poll", "first report", "handler", "delivery", "recovery"])
async def test_a39_at_whatever_moment_the_signal_comes_the_task_is_finished(
    forks: ForkServerContext, tmp_path: Path, moment: str
) -> None:
    gate, state = tmp_path / "gate", tmp_path / "state"
    gate.touch()
    faults = {
        "first report": [fault("ReportTaskProgress", times=2, seconds=30)],
        "delivery": [fault("SetTaskStatus", times=1, seconds=30)],
        "recovery": [fault("SetTaskStatus")],
    }
    async with AsyncExitStack() as stack:
        service = await stack.enter_async_context(serving())
        if moment == "recovery":
            await left_behind(forks, service, tmp_path)
        async with at_work(forks, service, tmp_path, *faults.get(moment, ())) as runner:
            pipeline = ""
            if moment == "recovery":
                await until(lambda: bool(service.faults.log))
            else:
                await runner.until("started")
            if moment in {"first report", "handler", "delivery"}:
                pipeline = await put(service, activity(command=str(gate)))
                seen = {"first report": "assigned", "handler": "running"}
                if moment == "delivery":
                    gate.unlink()
                await runner.until(seen.get(moment, "ended"))
            runner.send(signal.SIGTERM)
            await runner.until("stopping")
            if moment == "recovery":
                runner.send(signal.SIGTERM)  # or it would try for as long as it may
            gate.unlink(missing_ok=True)
            code = await runner.over()
        assert code == (128 + signal.SIGTERM if moment == "recovery" else 0)
        if pipeline:
            assert await statuses(service, pipeline) == {"Job": "FINISHED"}
        if moment == "recovery":
            assert [each.state for each in read_outbox(state)] == ["outcome"]


async def left_behind(
    forks: ForkServerContext, service: LocalDataPipeline, directory: Path
) -> None:
    """Let a runner end that cannot deliver what it has: scenario A41."""
    gate, state = directory / "gate", directory / "state"
    gate.touch()
    pipeline = await put(service, activity(command=str(gate)))
    async with at_work(forks, service, directory, fault("SetTaskStatus")) as runner:
        await runner.until("running")
        gate.unlink()
        await runner.until("ended")
        runner.send(signal.SIGTERM)
        runner.send(signal.SIGINT)
        assert await runner.over() > 0
    assert [each.state for each in read_outbox(state)] == ["outcome"]
    assert (await statuses(service, pipeline))["Job"] != "FINISHED"
    service.faults.log.clear()


async def test_a41_without_a_network_a_program_ends_in_time_and_the_next_one_delivers(
    forks: ForkServerContext,
    tmp_path: Path,
) -> None:
    state = tmp_path / "state"
    async with serving() as service:
        await left_behind(forks, service, tmp_path)
        service.faults.clear()
        async with at_work(forks, service, tmp_path) as runner:
            await runner.until("delivered")
            await runner.until("started")
            runner.send()
            assert await runner.over() == 0
        assert [each.state for each in read_outbox(state)] == ["delivered"]
