"""Whatever arrives, the process answers and lives."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Mapping

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aiodatapipeline.local import LocalDataPipeline, Patience
from aiodatapipeline.operations import OPERATIONS
from tests.local.fakes import Socket

# Names and values that go through to where they are looked at, most of the time.
NAMES = st.sampled_from(
    [
        "Host",
        "Content-Length",
        "Content-Type",
        "Transfer-Encoding",
        "X-Amz-Target",
        "Expect",
        "Origin",
        "Connection",
        "Upgrade",
        "Content-Encoding",
        "Authorization",
        "X-Amz-Date",
    ]
) | st.text("abcdefghijklmnopqrstuvwxyz-", min_size=1, max_size=20)
TEXTS = st.sampled_from(
    ["chunked", "100-continue", "websocket", "upgrade", "close", "0", "-1", "9" * 30]
) | st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF), max_size=40)
TARGETS = st.sampled_from([*OPERATIONS, "NoSuch", ""]) | st.text(max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                [
                    "pipelineId",
                    "pipelineIds",
                    "name",
                    "uniqueId",
                    "pipelineObjects",
                    "fields",
                    "key",
                    "stringValue",
                    "refValue",
                    "id",
                    "taskId",
                    "taskStatus",
                    "query",
                    "selectors",
                    "sphere",
                    "marker",
                    "limit",
                    "tags",
                    "objectIds",
                    "expression",
                    "status",
                    "version",
                ]
            )
            | st.text(max_size=5),
            inner,
            max_size=5,
        )
    ),
    max_leaves=15,
)
BODIES = (
    JSON.map(lambda members: json.dumps(members).encode())
    | st.binary(max_size=200)
    | st.integers(1, 20_000).map(lambda depth: b"[" * depth)
    | st.integers(1, 20_000).map(lambda depth: b'{"query":' * depth)
    | st.sampled_from(
        [b"", b"{}", b"NaN", b"\xef\xbb\xbf{}", b'"\\ud800"', b'{"a":1,"a":2}', b"1" * 9000]
    )
)
STARTS = st.sampled_from([b"", b"POST / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nHost: "])
FIRSTS = st.sampled_from(
    [
        "POST / HTTP/1.1",
        "POST / HTTP/1.0",
        "GET / HTTP/1.1",
        "POST /moto-api/reset HTTP/1.1",
        "M /* HTTP/1.1",
    ]
)
# Held for 90 seconds, as it should be.
POLL = "PollForTask"


async def exchange(data: bytes, patience: Patience) -> bytes:
    """Write bytes, and nothing more; give all that comes back."""
    async with LocalDataPipeline(patience=patience) as service:
        port = int(service.endpoint_url.rpartition(":")[2])
        data = data.replace(b"<port>", b"%d" % port)
        async with await Socket.connect(port) as one:
            one.writer.write(data)
            got = await one.rest()
        assert await lives(port)
    return got


async def lives(port: int) -> bool:
    """Ask for an answer; again, if it took too long to ask for so short a patience."""
    async with asyncio.timeout(20):
        while True:
            async with await Socket.connect(port) as one:
                with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                    one.write()
                    return (await one.read()).status == 200


def statuses(got: bytes) -> list[int]:
    """The statuses of all answers, each of which has to be whole and JSON."""
    found: list[int] = []
    while got:
        head, _, rest = got.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        found.append(int(first.split(" ")[1]))
        if found[-1] == 100:
            got = rest
            continue
        headers = dict(line.lower().split(": ", 1) for line in lines)
        length = int(headers["content-length"])
        body, got = rest[:length], rest[length:]
        assert len(body) == length
        if found[-1] != 200:
            assert json.loads(body)["__type"].startswith("com.amazon.")
    return found


def head(first: str, headers: Mapping[str, str] | list[tuple[str, str]]) -> bytes:
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    lines = "".join(f"{name}: {text}\r\n" for name, text in pairs)
    return f"{first}\r\n{lines}\r\n".encode("latin-1", "replace")


# For what looks like half of something, and ends when nothing follows.
SHORT = Patience(head=0.05, idle=0.05, body=0.05, linger=0.05)

quick = settings(suppress_health_check=[HealthCheck.too_slow])


@quick
@given(
    st.binary(max_size=300),
    st.sampled_from([b"", b"POST / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nHost: "]),
)
def test_bytes_get_an_answer_or_none_and_never_a_5xx(data: bytes, start: bytes) -> None:
    assert all(status < 500 for status in statuses(asyncio.run(exchange(start + data, SHORT))))


@quick
@given(
    st.sampled_from(
        [
            "POST / HTTP/1.1",
            "GET / HTTP/1.1",
            "POST /moto-api/reset HTTP/1.1",
            "M /* HTTP/1.1",
            "POST / HTTP/1.0",
        ]
    ),
    st.lists(st.tuples(NAMES, TEXTS), max_size=8),
    st.binary(max_size=50),
)
def test_headers_get_an_answer_or_none_and_never_a_5xx(
    first: str, headers: list[tuple[str, str]], body: bytes
) -> None:
    usual = [
        ("Host", "localhost:<port>"),
        ("Content-Type", "application/x-amz-json-1.1"),
        ("X-Amz-Target", "DataPipeline.ListPipelines"),
    ]
    got = asyncio.run(exchange(head(first, [*usual, *headers]) + body, SHORT))

    assert all(status < 500 for status in statuses(got))


@quick
@given(TARGETS.filter(lambda target: target != POLL), BODIES)
def test_a_body_gets_one_answer_and_never_a_5xx(target: str, body: bytes) -> None:
    headers = {
        "Host": "localhost:<port>",
        "Content-Type": "application/x-amz-json-1.1",
        "X-Amz-Target": f"DataPipeline.{target}",
        "Content-Length": str(len(body)),
        "Connection": "close",
    }
    got = statuses(asyncio.run(exchange(head("POST / HTTP/1.1", headers) + body, Patience())))

    assert got in ([200], [400])
