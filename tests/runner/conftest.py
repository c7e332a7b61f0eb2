"""S3 for the tests of the runner: moto's, on 127.0.0.1."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterator

import pytest
from moto.server import ThreadedMotoServer

from aiodatapipeline.runner._s3 import S3

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
