"""S3 for the tests of the runner: moto's, on 127.0.0.1."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import cast

import pytest
from moto.server import ThreadedMotoServer

from aiodatapipeline.models import PipelineObject, Ref
from aiodatapipeline.runner._runner import TaskRunner
from aiodatapipeline.runner._task import CancelReason, Task, TaskInfo, Unlinked
from aiodatapipeline.runner.builtin import BuiltIn, add_builtin
from aiodatapipeline.runner.builtin._s3 import S3

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def s3_url() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


class Bucket:
    """A bucket of a test's own, and what lies in it."""

    def __init__(self, s3: S3, url: str, name: str) -> None:
        self.s3, self.url, self.name = s3, url, name

    async def fill(self, **objects: bytes) -> None:
        await self.fill_with(objects)

    async def fill_with(self, objects: dict[str, bytes]) -> None:
        for key, body in objects.items():
            await self.s3.call("put_object", Bucket=self.name, Key=key, Body=body)

    async def keys(self) -> list[str]:
        found = await self.s3.call("list_objects_v2", Bucket=self.name)
        return [each["Key"] for each in found.get("Contents", ())]

    async def read(self, key: str) -> bytes:
        found = await self.s3.call("get_object", Bucket=self.name, Key=key)
        async with found["Body"] as body:
            content: bytes = await body.read()
        return content

    async def content(self) -> dict[str, bytes]:
        return {key: await self.read(key) for key in await self.keys()}


@pytest.fixture
async def bucket(s3_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bucket]:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", s3_url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    s3 = S3()
    name = f"bucket-{next(_numbers)}"
    await s3.call("create_bucket", Bucket=name)
    yield Bucket(s3, s3_url, name)
    await s3.aclose()


class Hand:
    """Hands made-up tasks to the built-in handlers, and remembers what they report."""

    def __init__(self, settings: BuiltIn) -> None:
        self.settings = settings
        self.progress: list[dict[str, str | float]] = []
        self.cancelled: CancelReason | None = None

    async def __call__(
        self,
        kind: str,
        fields: Mapping[str, str | Ref | Sequence[str | Ref]],
        *others: PipelineObject,
        attempt_id: str = "@Job_2026-01-01T00:00:00_Attempt=1",
    ) -> object:
        """Run the handler of a type, and give what it returned."""
        handlers = TaskRunner("etl")
        add_builtin(handlers, self.settings)
        handler = handlers.get(kind)
        assert handler is not None
        attempt = PipelineObject.of(attempt_id, {"type": kind, **fields})
        info = TaskInfo(
            type=kind,
            pipeline_id="df-1",
            attempt_id=attempt_id,
            worker_group="etl",
            object=attempt,
            objects={each.id: each for each in (attempt, *others)},
        )
        function = cast("Callable[..., Awaitable[object]]", handler.function)
        return await function(Task(info, Heard(self)), *handler.arguments(attempt))


class Heard(Unlinked):
    def __init__(self, hand: Hand) -> None:
        self._hand = hand

    def progress(self, fields: Mapping[str, str | float]) -> None:
        self._hand.progress.append(dict(fields))


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    return scratch


@pytest.fixture
def hand(scratch: Path) -> Hand:
    return Hand(BuiltIn(scratch=scratch, kill_grace=10.0))
