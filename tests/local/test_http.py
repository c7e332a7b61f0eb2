"""The service over real sockets, byte by byte where it matters."""

from __future__ import annotations

import asyncio
import socket
import zlib
from collections.abc import AsyncGenerator, Mapping
from email.utils import parsedate_to_datetime
from typing import Any
from uuid import UUID

import pytest

from aiodatapipeline import Reply
from aiodatapipeline._clock import SystemClock, VirtualClock
from aiodatapipeline.local._errors import finish
from aiodatapipeline.local._faults import Fault, FaultKind, Faults
from aiodatapipeline.local._front import Front
from aiodatapipeline.local._http import HttpServer, Patience
from aiodatapipeline.local._signature import Verifier
from aiodatapipeline.local._switches import Switches
from tests.local.fakes import PATIENCE, Answer, FakeService, Socket, ask, serving
from tests.local.test_signature import KEY, SECRET, signed, time_of


class Here:
    """A server that is open."""

    def __init__(self, port: int, service: FakeService, front: Front) -> None:
        self.port, self.service, self.front = port, service, front
        self.faults = front.faults

    async def ask(
        self,
        body: bytes = b"{}",
        *,
        method: str = "POST",
        path: str = "/",
        headers: Mapping[str, str | None] | None = None,
    ) -> Answer:
        return await ask(self.port, body, headers, method=method, path=path)


@pytest.fixture
async def here() -> AsyncGenerator[Here]:
    async with opened() as port_service_front:
        yield Here(*port_service_front)


class opened:  # noqa: N801  # reads as a function
    """Opens a server with settings of its own."""

    def __init__(self, switches: Switches | None = None, **settings: Any) -> None:
        clock = settings.pop("clock", None) or SystemClock()
        self.service = FakeService()
        self.front = Front(self.service, clock, switches, faults=Faults())
        self._serving = serving(HttpServer(clock, **settings), self.front)

    async def __aenter__(self) -> tuple[int, FakeService, Front]:
        return await self._serving.__aenter__(), self.service, self.front

    async def __aexit__(self, *error: object) -> None:
        await self._serving.__aexit__(None, None, None)


# -- answers ------------------------------------------------------------------------------


async def test_an_answer_has_the_documented_headers_spelled_as_documented(here: Here) -> None:
    async with await Socket.connect(here.port) as one:
        one.write()
        answer = await one.read()

    head = answer.raw.partition(b"\r\n\r\n")[0].decode().split("\r\n")
    assert head[0] == "HTTP/1.1 200 OK"
    assert [line.partition(":")[0] for line in head[1:]] == [
        "x-amzn-RequestId",
        "Content-Type",
        "x-amz-crc32",
        "Date",
        "Content-Length",
    ]
    assert UUID(answer.headers["x-amzn-requestid"]).version == 4
    assert answer.headers["content-type"] == "application/x-amz-json-1.1"
    assert answer.headers["x-amz-crc32"] == str(zlib.crc32(answer.body))
    assert answer.headers["content-length"] == str(len(answer.body))


async def test_an_answer_that_says_nothing_has_no_body(here: Here) -> None:
    here.service.reply = finish(200, b"")

    answer = await here.ask(headers={"X-Amz-Target": "DataPipeline.DeletePipeline"})

    assert (answer.headers["content-length"], answer.headers["x-amz-crc32"]) == ("0", "0")


async def test_answers_are_dated_by_the_clock_of_the_service() -> None:
    clock = VirtualClock()
    async with opened(clock=clock) as (port, _, _front):
        dates = [(await ask(port)).headers["date"]]
        await clock.advance(86400)
        dates.append((await ask(port)).headers["date"])

    assert dates == ["Thu, 01 Jan 2026 00:00:00 GMT", "Fri, 02 Jan 2026 00:00:00 GMT"]


@pytest.mark.parametrize(
    ("target", "operation"),
    [
        ("DataPipeline.PutPipelineDefinition", "PutPipelineDefinition"),
        ("DataPipeline_20121129.SetStatus", "SetStatus"),
        ("DataPipeline.NoSuchOperation", "NoSuchOperation"),
    ],
)
async def test_the_target_names_the_operation(here: Here, target: str, operation: str) -> None:
    await here.ask(b'{"a": 1}', headers={"X-Amz-Target": target})

    assert here.service.asked == [(operation, b'{"a": 1}')]


async def test_one_connection_takes_request_after_request(here: Here) -> None:
    async with await Socket.connect(here.port) as one:
        for number in range(3):
            one.write(b"%d" % number)
            assert (await one.read()).status == 200

    assert [body for _, body in here.service.asked] == [b"0", b"1", b"2"]


async def test_pipelined_requests_are_answered_in_their_order(here: Here) -> None:
    async with await Socket.connect(here.port) as one:
        for number in range(100):
            one.write(b"%d" % number)
        answers = [await one.read() for _ in range(100)]

    assert {answer.status for answer in answers} == {200}
    assert [body for _, body in here.service.asked] == [b"%d" % n for n in range(100)]


async def test_a_client_of_http_1_0_is_answered_and_left(here: Here) -> None:
    async with await Socket.connect(here.port) as one:
        one.writer.write(
            b"POST / HTTP/1.0\r\nHost: localhost:%d\r\nContent-Type: application/x-amz-json-1.1\r\n"
            b"X-Amz-Target: DataPipeline.ListPipelines\r\nConnection: keep-alive\r\n"
            b"Content-Length: 2\r\n\r\n{}" % here.port
        )
        answer = await one.read()
        assert await one.rest() == b""

    assert (answer.status, answer.headers["connection"]) == (200, "close")


async def test_a_service_that_fails_says_so_and_goes_on(
    here: Here, caplog: pytest.LogCaptureFixture
) -> None:
    here.service.failure = ZeroDivisionError("a fault of its own")

    answer = await here.ask()
    here.service.failure = None

    assert (answer.status, answer.code) == (500, "InternalFailure")
    assert "a fault of its own" in caplog.text
    assert b"a fault" not in answer.body
    assert (await here.ask()).status == 200


# -- refusals -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"X-Amz-Target": None}, 400, "UnknownOperationException"),
        ({"X-Amz-Target": "ListPipelines"}, 400, "UnknownOperationException"),
        ({"X-Amz-Target": "DynamoDB_20120810.ListTables"}, 400, "UnknownOperationException"),
        ({"Content-Type": None}, 400, "SerializationException"),
        ({"Content-Type": "text/plain"}, 400, "SerializationException"),
        ({"Content-Type": "application/json"}, 400, "SerializationException"),
        ({"Content-Encoding": "gzip"}, 415, "SerializationException"),
        ({"Expect": "a-miracle"}, 417, "SerializationException"),
        ({"Host": "evil.example"}, 403, "AccessDeniedException"),
        ({"Origin": "http://evil.example"}, 403, "AccessDeniedException"),
        ({"Sec-Fetch-Site": "cross-site"}, 403, "AccessDeniedException"),
    ],
)
async def test_what_no_sdk_sends_is_refused_before_the_service_is_asked(
    here: Here, headers: dict[str, str | None], status: int, code: str
) -> None:
    answer = await here.ask(headers=headers)

    assert (answer.status, answer.code) == (status, code)
    assert answer.members["message"]
    assert answer.headers["connection"] == "close"
    assert here.service.asked == []


@pytest.mark.parametrize(
    "kind",
    [
        "application/x-amz-json-1.1",
        "application/x-amz-json-1.1; charset=UTF-8",
        "APPLICATION/X-AMZ-JSON-1.0",
    ],
)
async def test_the_content_type_may_be_written_as_it_is(here: Here, kind: str) -> None:
    assert (await here.ask(headers={"Content-Type": kind})).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Accept-Encoding": "gzip, deflate, br, zstd"},
        {"Accept-Encoding": "identity", "Accept": "*/*"},
        {
            "amz-sdk-invocation-id": "0b3c8a1e-0000-4000-8000-000000000000",
            "amz-sdk-request": "ttl=20260101T000000Z; attempt=2; max=3",
        },
        {"X-Amzn-Trace-Id": "Root=1-00000000-000000000000000000000000;Sampled=1"},
        {"x-amzn-query-mode": "true", "X-Amz-Content-Sha256": "UNSIGNED-PAYLOAD"},
        {"Expect": "100-continue"},
        {"Connection": "Keep-Alive", "TE": "trailers"},
        {"Authorization": "AWS4-HMAC-SHA256 whatever", "X-Amz-Date": "20260101T000000Z"},
        {"User-Agent": "aws-sdk-java/2 md/io#sync m/D,E", "x-amz-user-agent": "aws-sdk-js/3"},
    ],
)
async def test_headers_that_sdks_add_change_no_answer(
    here: Here, headers: dict[str, str | None]
) -> None:
    async with await Socket.connect(here.port) as one:
        one.write(headers=headers)
        answer = await one.read()
        if "Expect" in headers:
            assert (answer.status, answer.body) == (100, b"")
            answer = await one.read()
        one.write(headers=headers)  # on the same connection
        again = await one.read()

    assert (answer.status, answer.body) == (200, here.service.reply.body)
    assert "content-encoding" not in answer.headers
    assert again.status in {100, 200}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 405),
        ("HEAD", "/", 405),
        ("PUT", "/", 405),
        ("OPTIONS", "/", 405),
        ("GET", "/moto-api/reset", 405),
        ("GET", "/favicon.ico", 404),
        ("HEAD", "/favicon.ico", 404),
        ("POST", "//", 404),
        ("POST", "/?X-Amz-Signature=0", 404),
        ("POST", "/admin/faults", 404),
        ("GET", "/admin/switches", 404),
    ],
)
async def test_nothing_is_elsewhere(here: Here, method: str, path: str, status: int) -> None:
    answer = await here.ask(method=method, path=path)

    assert answer.status == status
    assert (answer.headers.get("allow") == "POST") is (status == 405)
    if method != "HEAD":
        assert answer.code == "UnknownOperationException"


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100),  # TLS
        b"GET\r\n\r\n",
        b"\r\n\r\n\x00\r\n\r\n",
        b"POST / HTTP/9.9\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n{}",
        b"POST / HTTP/1.1\r\nno header at all\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"POST / HTTP/1.1\r\nA: " + b"x" * 9000 + b"\r\n\r\n",
        b"POST /" + b"x" * 9000 + b" HTTP/1.1\r\n\r\n",
        b"POST / HTTP/1.1\r\n" + b"A: x\r\n" * 1000 + b"\r\n",
    ],
)
async def test_what_is_no_request_is_told_so_in_json(here: Here, data: bytes) -> None:
    async with await Socket.connect(here.port) as one:
        one.writer.write(data)
        answer = await one.read()
        await one.rest()

    assert 400 <= answer.status < 500
    assert answer.headers["content-type"] == "application/x-amz-json-1.1"
    assert (await here.ask()).status == 200


# -- bodies -------------------------------------------------------------------------------


async def test_a_body_above_the_limit_is_refused_before_it_is_read(here: Here) -> None:
    async with await Socket.connect(here.port) as one:
        one.write(b"", {"Content-Length": str(4 * 2**20 + 1)})
        answer = await one.read()

    assert (answer.status, answer.code) == (413, "RequestEntityTooLargeException")
    assert "4194304" in answer.members["message"]


@pytest.mark.parametrize(
    ("operation", "mebibytes"),
    [("EvaluateExpression", 120), ("PutPipelineDefinition", 32), ("SetTaskStatus", 4)],
)
async def test_operations_with_long_texts_take_large_bodies(
    here: Here, operation: str, mebibytes: int
) -> None:
    headers = {"X-Amz-Target": f"DataPipeline.{operation}", "Expect": "100-continue"}
    async with await Socket.connect(here.port) as one:
        one.write(b"", {**headers, "Content-Length": str(mebibytes * 2**20)})

        assert (await one.read()).status == 100


async def test_a_large_body_arrives_as_it_was_sent(here: Here) -> None:
    body = bytes(range(256)) * 4 * 8192  # 8 MiB

    answer = await here.ask(body, headers={"X-Amz-Target": "DataPipeline.PutPipelineDefinition"})

    assert answer.status == 200
    assert here.service.asked == [("PutPipelineDefinition", body)]


async def test_a_chunked_body_arrives_as_it_was_sent(here: Here) -> None:
    async with await Socket.connect(here.port) as one:
        one.write(b"", {"Content-Length": None, "Transfer-Encoding": "chunked"})
        for chunk in (b'{"mark', b'er": 1', b"}"):
            await one.writer.drain()
            one.writer.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
            await asyncio.sleep(0)
        one.writer.write(b"0\r\n\r\n")
        assert (await one.read()).status == 200

    assert here.service.asked == [("ListPipelines", b'{"marker": 1}')]


async def test_a_chunked_body_has_the_same_limit(here: Here) -> None:
    async with await Socket.connect(here.port) as one:
        one.write(b"", {"Content-Length": None, "Transfer-Encoding": "chunked"})
        chunk = b"10000\r\n" + bytes(0x10000) + b"\r\n"
        one.writer.write(chunk * 65)
        answer = await one.read()

    assert answer.status == 413
    assert here.service.asked == []


async def test_a_chunk_that_is_none_is_refused(here: Here) -> None:
    async with await Socket.connect(here.port) as one:
        chunked = {"Content-Length": None, "Transfer-Encoding": "chunked"}
        one.write(b"", {**chunked, "Expect": "100-continue"})
        await one.read()
        one.writer.write(b"what is this?\r\n")
        answer = await one.read()

    assert (answer.status, answer.code) == (400, "SerializationException")
    assert here.service.asked == []


async def test_a_body_is_sent_when_it_is_asked_for(here: Here) -> None:
    async with await Socket.connect(here.port) as one:
        one.write(b"", {"Content-Length": "2", "Expect": "100-Continue"})
        assert (await one.read()).status == 100
        one.writer.write(b"[]")
        assert (await one.read()).status == 200

    assert here.service.asked == [("ListPipelines", b"[]")]


async def test_a_body_that_will_be_refused_is_not_asked_for(here: Here) -> None:
    async with await Socket.connect(here.port) as one:
        one.write(b"", {"Content-Length": str(2**40), "Expect": "100-continue"})
        assert (await one.read()).status == 413


async def test_a_body_that_does_not_come_is_not_waited_for_long() -> None:
    async with (
        opened(patience=Patience(body=0.05)) as (port, service, _),
        await Socket.connect(port) as one,
    ):
        one.write(b"{", {"Content-Length": "100"})
        answer = await one.read()
        await one.rest()

    assert (answer.status, answer.code) == (408, "RequestTimeoutException")
    assert service.asked == []


async def test_a_body_that_ends_in_the_middle_does_no_harm(here: Here) -> None:
    async with await Socket.connect(here.port) as one:
        one.write(b"{", {"Content-Length": "100"})
        await one.writer.drain()
        one.writer.write_eof()
        await one.rest()

    assert here.service.asked == []
    assert (await here.ask()).status == 200


async def test_only_so_many_large_bodies_are_in_memory_at_once() -> None:
    async with opened() as (port, service, _):
        slow = [await Socket.connect(port) for _ in range(5)]
        target = {"X-Amz-Target": "DataPipeline.PutPipelineDefinition"}
        for one in slow:
            one.write(b"{", {**target, "Content-Length": str(5 * 2**20)})
            await one.writer.drain()
        answers = [asyncio.ensure_future(one.read()) for one in slow]
        await ask(port)  # all of the heads are read by now

        slow[4].writer.write(bytes(5 * 2**20 - 1))
        await ask(port)
        assert not answers[4].done()
        slow[0].writer.write(bytes(5 * 2**20 - 1))
        await asyncio.gather(answers[0], answers[4])

        assert [name for name, _ in service.asked].count("PutPipelineDefinition") == 2
        for one in slow:
            await one.close()
        await asyncio.gather(*answers, return_exceptions=True)


# -- slow and silent clients --------------------------------------------------------------


@pytest.mark.parametrize("data", [b"", b"POST / HTTP/1.1\r\nHost: loc"])
async def test_a_connection_without_a_request_is_closed(data: bytes) -> None:
    async with (
        opened(patience=Patience(head=0.05)) as (port, _, _front),
        await Socket.connect(port) as one,
    ):
        one.writer.write(data)

        assert await one.rest() == b""


async def test_a_connection_is_closed_when_no_other_request_comes() -> None:
    async with (
        opened(patience=Patience(idle=0.05)) as (port, _, _front),
        await Socket.connect(port) as one,
    ):
        one.write()
        await one.read()
        one.writer.write(b"POST / HT")

        assert await one.rest() == b""


async def test_a_client_that_reads_nothing_is_left() -> None:
    async with (
        opened(patience=Patience(unread=0.05)) as (port, service, _),
        await Socket.connect(port) as one,
    ):
        service.reply = finish(200, bytes(32 * 2**20))
        assert isinstance(one.writer.transport, asyncio.ReadTransport)
        one.writer.transport.pause_reading()
        one.write()
        await service.until_asked(1)
        async with asyncio.timeout(PATIENCE):
            while service.alive():  # noqa: ASYNC110  # nobody tells
                await asyncio.sleep(0)


async def test_a_client_that_reads_slowly_gets_all_of_it(here: Here) -> None:
    here.service.reply = finish(200, bytes(8 * 2**20))

    assert len((await here.ask()).body) == 8 * 2**20


# -- polls --------------------------------------------------------------------------------


async def test_a_poll_is_taken_away_when_its_poller_hangs_up(here: Here) -> None:
    async with await Socket.connect(here.port) as one:
        one.write(headers={"X-Amz-Target": "DataPipeline.PollForTask"})
        await here.service.until_polls(1)
        assert here.service.alive()

    await here.service.until_polls(0)
    assert not here.service.alive()


async def test_a_poll_stays_if_the_service_is_to_notice_no_hangup() -> None:
    async with opened(Switches(notices_hangup=False)) as (port, service, _):
        async with await Socket.connect(port) as one:
            one.write(headers={"X-Amz-Target": "DataPipeline.PollForTask"})
            await service.until_polls(1)
        await ask(port)

        assert service.polls == 1


async def test_a_thousand_polls_hold_nobody_up(here: Here) -> None:
    pollers = [await Socket.connect(here.port) for _ in range(200)]
    for one in pollers:
        one.write(headers={"X-Amz-Target": "DataPipeline.PollForTask"})
    await here.service.until_polls(200)

    assert (await here.ask()).status == 200
    here.service.release()
    assert {(await one.read()).status for one in pollers} == {200}
    for one in pollers:
        await one.close()


# -- faults -------------------------------------------------------------------------------


async def test_a_dropped_call_gets_no_byte(here: Here) -> None:
    here.faults.add(Fault(kind=FaultKind.DROP))

    async with await Socket.connect(here.port) as one:
        one.write()
        assert await one.rest() == b""


@pytest.mark.parametrize("body", [b'{"hasMoreResults": true}', b""])
async def test_half_an_answer_breaks_in_the_middle(here: Here, body: bytes) -> None:
    here.service.reply = finish(200, body)
    here.faults.add(Fault(kind=FaultKind.HALF))

    async with await Socket.connect(here.port) as one:
        one.write()
        got = await one.rest()

    head, end, half = got.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert bool(end) is bool(body)
    assert half == body[: len(body) // 2]
    assert not body or f"Content-Length: {len(body)}".encode() in head


@pytest.mark.parametrize("status", [200, 502])
async def test_a_proxys_page_comes_as_html(here: Here, status: int) -> None:
    here.faults.add(Fault(kind=FaultKind.HTML, status=status))

    answer = await here.ask()

    assert (answer.status, answer.headers["content-type"]) == (status, "text/html")
    assert "x-amz-crc32" not in answer.headers


async def test_a_clock_that_is_off_dates_the_answer(here: Here) -> None:
    here.faults.add(Fault(kind=FaultKind.SKEWED_CLOCK, seconds=-7200))

    dates = (await here.ask()).headers["date"]

    now = here.front.clock.time()
    assert -7202 <= parsedate_to_datetime(dates).timestamp() - now <= -7199


# -- signatures ---------------------------------------------------------------------------


async def test_with_credentials_every_request_has_to_be_signed() -> None:
    verifier = Verifier({KEY: SECRET})
    async with opened(verifier=verifier) as (port, service, _):
        unsigned = [await ask(port), await ask(port, path="/moto-api/reset")]
        good = await ask(port, b"{}", dict(sign(port)))
        bad = await ask(port, b"[]", dict(sign(port)))
        reset = await ask(
            port, b"", dict(sign(port, b"", "/moto-api/reset")), path="/moto-api/reset"
        )

    assert [one.code for one in unsigned] == ["MissingAuthenticationTokenException"] * 2
    assert (good.status, bad.code, reset.status) == (200, "InvalidSignatureException", 200)
    assert service.asked == [("ListPipelines", b"{}")]
    assert service.resets == 1


async def test_a_signature_is_looked_at_by_the_clock_and_its_skew() -> None:
    clock = VirtualClock()
    async with opened(verifier=Verifier({KEY: SECRET}), clock=clock) as (port, _, front):
        headers = dict(sign(port))
        await clock.advance(time_of({"x-amz-date": headers["x-amz-date"]}) - clock.time())
        answers = [await ask(port, headers=headers)]
        with front.faults.during(Fault(kind=FaultKind.SKEWED_CLOCK, seconds=600)):
            answers.append(await ask(port, headers=headers))
        await clock.advance(301)
        answers.append(await ask(port, headers=headers))

    assert [one.status for one in answers] == [200, 400, 400]
    assert "Signature expired" in answers[1].members["message"]
    date = parsedate_to_datetime(answers[1].headers["date"]).timestamp()
    assert date == time_of({"x-amz-date": headers["x-amz-date"]}) + 600


async def test_a_header_that_comes_twice_is_signed_as_both() -> None:
    async with opened(verifier=Verifier({KEY: SECRET})) as (port, service, _):
        answer = await ask(port, headers={**sign(port), "X-AMZ-TARGET": "DataPipeline.SetStatus"})

    assert answer.code == "InvalidSignatureException"
    assert service.asked == []


def sign(port: int, body: bytes = b"{}", path: str = "/") -> dict[str, str]:
    """Headers of a signed ListPipelines to a port."""
    headers = signed(body, path=path, url=f"http://127.0.0.1:{port}", target="ListPipelines")
    renamed = {"content-type": "Content-Type", "x-amz-target": "X-Amz-Target", "host": "Host"}
    return {renamed.get(name, name): text for name, text in headers.items()}


# -- other paths --------------------------------------------------------------------------


@pytest.mark.parametrize("headers", [{}, {"X-Amz-Target": None, "Content-Type": None}])
async def test_motos_reset_empties_the_service(here: Here, headers: dict[str, str | None]) -> None:
    answer = await here.ask(b"", path="/moto-api/reset", headers=headers)

    assert (answer.status, answer.members) == (200, {"status": "ok"})
    assert here.service.resets == 1


async def test_a_page_of_another_site_cannot_empty_it(here: Here) -> None:
    answer = await here.ask(path="/moto-api/reset", headers={"Origin": "http://evil.example"})

    assert answer.status == 403
    assert here.service.resets == 0


async def test_a_page_is_shown_where_there_is_one() -> None:
    async def page() -> Reply:
        return Reply(200, b"<p>hello", {"content-type": "text/html"})

    async with opened(pages={"/": page, "/more?from=1": page}.get) as (port, _, _front):
        shown = await ask(port, b"", method="GET")
        head = await ask(port, b"", method="HEAD")
        other = await ask(port, b"", method="PUT")
        more = await ask(port, b"", path="/more?from=1", method="GET")
        nothing = await ask(port, b"", path="/less", method="GET")

    assert (shown.status, shown.body) == (200, b"<p>hello")
    assert (head.status, head.headers["content-length"]) == (200, "8")
    assert other.headers["allow"] == "GET, HEAD, POST"
    assert (more.status, nothing.status) == (200, 404)


async def test_a_page_of_a_service_with_credentials_is_shown_to_nobody_who_does_not_sign() -> None:
    async def page() -> Reply:
        return Reply(200, b"<p>hello", {"content-type": "text/html"})

    verifier = Verifier({KEY: SECRET})
    async with opened(pages={"/": page}.get, verifier=verifier) as (port, _, _front):
        answer = await ask(port, b"", method="GET")

    assert answer.status == 403
    assert answer.headers["content-type"].startswith("text/plain")
    assert b"started without credentials" in answer.body


async def test_a_page_is_not_shown_to_another_site_nor_under_another_name() -> None:
    async def page() -> Reply:
        return Reply(200, b"<p>hello", {"content-type": "text/html"})

    async with opened(pages={"/": page}.get) as (port, _, _front):
        answers = [
            await ask(port, b"", method="GET", headers=headers)
            for headers in (
                {"Host": f"evil.example:{port}"},
                {"Origin": "http://evil.example"},
                {"Sec-Fetch-Site": "cross-site"},
            )
        ]

    assert [(answer.status, b"hello" in answer.body) for answer in answers] == [(403, False)] * 3


@pytest.mark.parametrize(
    ("path", "headers", "status", "text"),
    [
        ("/nothing", {}, 404, "Nothing is there: "),
        ("/moto-api/reset", {}, 405, "This path takes POST only."),
        ("/", {"Host": "evil.example"}, 403, "Host &#x27;evil.example&#x27; is not this service"),
        ("/", {"Sec-Fetch-Site": "cross-site"}, 403, "A page of another site may not use this"),
    ],
)
async def test_a_browser_is_refused_with_a_page_and_a_program_with_json(
    here: Here, path: str, headers: dict[str, str | None], status: int, text: str
) -> None:
    accept = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    page = await here.ask(b"", method="GET", path=path, headers={**headers, **accept})
    head = await here.ask(b"", method="HEAD", path=path, headers={**headers, **accept})
    others = [
        await here.ask(b"", method="GET", path=path, headers={**headers, "Accept": "*/*"}),
        await here.ask(b"", method="PUT", path=path, headers={**headers, **accept}),
    ]

    assert (page.status, page.headers["content-type"]) == (status, "text/html; charset=utf-8")
    assert text in page.body.decode()
    assert page.body.count(b"<script") == 0
    assert head.headers["content-length"] == str(len(page.body))
    assert {each.headers["content-type"] for each in others} == {"application/x-amz-json-1.1"}


async def test_a_large_body_to_another_path_is_refused(here: Here) -> None:
    async with await Socket.connect(here.port) as one:
        one.write(b"", {"Content-Length": str(2**30)}, path="/moto-api/reset")
        assert (await one.read()).status == 413


# -- listening ----------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.7", "::", "", "data-pipeline"])
def test_an_address_that_others_reach_needs_credentials(host: str) -> None:
    with pytest.raises(ValueError, match="configure credentials"):
        HttpServer(SystemClock(), host=host)


async def test_with_credentials_it_listens_where_it_is_told_to() -> None:
    verifier = Verifier({KEY: SECRET})
    async with opened(host="0.0.0.0", verifier=verifier) as (port, _, _front):
        assert (await ask(port, headers=dict(sign(port)))).status == 200
        assert (await ask(port, headers={**sign(port), "Host": "elsewhere"})).status == 400


@pytest.mark.parametrize("host", ["localhost", "::1"])
async def test_it_listens_on_other_names_of_this_machine(host: str) -> None:
    server = HttpServer(SystemClock(), host=host)
    async with serving(server, Front(FakeService(), SystemClock())) as port:
        assert server.url == f"http://{'[::1]' if ':' in host else host}:{port}"
        async with await Socket.connect(port, "::1" if ":" in host else "127.0.0.1") as one:
            one.write()
            assert (await one.read()).status == 200


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_port_is_one(port: int) -> None:
    with pytest.raises(ValueError, match="65535"):
        HttpServer(SystemClock(), port=port)


async def test_a_port_in_use_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        with pytest.raises(OSError, match=f"port {port} of 127.0.0.1 is in use"):
            async with opened(port=port):
                pass


async def test_an_address_of_another_machine_cannot_be_listened_on() -> None:
    with pytest.raises(OSError, match=r"192\.0\.2\.1"):
        async with opened(host="192.0.2.1", verifier=Verifier({KEY: SECRET})):
            pass


async def test_closing_leaves_nothing_open() -> None:
    before = asyncio.all_tasks()
    async with opened() as (port, service, _):
        idle, polling = await Socket.connect(port), await Socket.connect(port)
        idle.write()
        await idle.read()
        polling.write(headers={"X-Amz-Target": "DataPipeline.PollForTask"})
        await service.until_polls(1)
        service.release()

    assert (await polling.read()).status == 200
    assert (await idle.rest(), await polling.rest()) == (b"", b"")
    await idle.close()
    await polling.close()
    assert asyncio.all_tasks() == before
    with pytest.raises(ConnectionRefusedError):
        await Socket.connect(port)


async def test_closing_does_not_wait_for_what_never_ends() -> None:
    async with opened(patience=Patience(closing=0.05)) as (port, service, _):
        one = await Socket.connect(port)
        one.write(headers={"X-Amz-Target": "DataPipeline.PollForTask"})
        await service.until_polls(1)

    assert await one.rest() == b""
    assert service.polls == 0
    await one.close()


async def test_closing_does_not_wait_for_a_client_that_reads_nothing() -> None:
    async with opened(patience=Patience(closing=0.05)) as (port, service, _):
        one = await Socket.connect(port)
        service.reply = finish(200, bytes(32 * 2**20))
        assert isinstance(one.writer.transport, asyncio.ReadTransport)
        one.writer.transport.pause_reading()
        one.write()
        await service.until_asked(1)

    one.writer.transport.resume_reading()
    assert len(await one.rest()) < 32 * 2**20
    await one.close()


async def test_a_server_that_was_never_opened_can_be_closed() -> None:
    server = HttpServer(SystemClock())

    await server.aclose()

    assert server.url == ""
