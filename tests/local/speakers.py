"""The clients that people have: each says to a service over HTTP what it is given.

They are made without any setting. Region, credentials and endpoint come from the environment.
"""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
from asyncio.subprocess import Process
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, TypeAlias
from zlib import crc32

import aiohttp
import pytest
from aiobotocore.session import AioSession

from aiodatapipeline import DataPipelineClient
from aiodatapipeline.errors import ServiceError
from aiodatapipeline.operations import OPERATIONS, Response

# Seconds, so that a test which waits for what does not come fails and does not hang.
PATIENCE = 60

Members: TypeAlias = Mapping[str, Any]


class Speaker(Protocol):
    """A client."""

    async def ask(self, operation: str, **members: Any) -> Members:
        """Give an answer's members; code, message and status if it is an error."""
        ...

    async def query(self, **members: Any) -> list[str]:
        """Give the ids of all pages of QueryObjects, as the client itself follows them."""
        ...


Making: TypeAlias = Callable[[], AbstractAsyncContextManager[Speaker]]


def settings(url: str) -> dict[str, str]:
    """The environment of a client; all but the endpoint is what it needs for AWS too."""
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "AKID",
        "AWS_SECRET_ACCESS_KEY": "s3cret",
    }


def _refused(code: str, message: str, status: int) -> Members:
    return {"code": code, "message": message, "status": status}


# -- no client ------------------------------------------------------------------------------------


class _Wire:
    """What goes over the wire itself."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self._url, self._session = url, session

    async def ask(self, operation: str, **members: Any) -> Members:
        headers = {
            "Content-Type": "application/x-amz-json-1.1",
            "X-Amz-Target": f"DataPipeline.{operation}",
        }
        data = json.dumps(members)
        async with self._session.post(self._url, data=data, headers=headers) as answer:
            body = await answer.read()
        assert answer.headers["x-amz-crc32"] == str(crc32(body))
        said: Members = json.loads(body or b"{}")
        if answer.status == 200:
            return said
        return _refused(said["__type"].partition("#")[2], said["message"], answer.status)

    async def query(self, **members: Any) -> list[str]:
        page = await self.ask("QueryObjects", **members)
        ids: list[str] = page["ids"]
        if not page["hasMoreResults"]:
            return ids
        return ids + await self.query(**{**members, "marker": page["marker"]})


@asynccontextmanager
async def wire(url: str) -> AsyncGenerator[Speaker]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(PATIENCE)) as session:
        yield _Wire(url, session)


# -- boto3 and aiobotocore, which have no types ---------------------------------------------------


def _method(operation: str) -> str:
    return re.sub("(?<=[a-z])(?=[A-Z])", "_", operation).lower()


def _members(answer: Members) -> Members:
    return {key: value for key, value in answer.items() if key != "ResponseMetadata"}


def _error(refused: Any) -> Members:
    said, metadata = refused.response["Error"], refused.response["ResponseMetadata"]
    return _refused(said["Code"], said["Message"], metadata["HTTPStatusCode"])


class _Boto3:
    def __init__(self, client: Any) -> None:
        self._client = client

    async def ask(self, operation: str, **members: Any) -> Members:
        method = getattr(self._client, _method(operation))
        try:
            return _members(await asyncio.to_thread(method, **members))
        except self._client.exceptions.ClientError as refused:
            return _error(refused)

    async def query(self, **members: Any) -> list[str]:
        pages = self._client.get_paginator("query_objects").paginate(**members)
        ids: list[str] = (await asyncio.to_thread(pages.build_full_result))["ids"]
        return ids


@asynccontextmanager
async def boto3() -> AsyncGenerator[Speaker]:
    session = import_module("boto3").Session()
    client = await asyncio.to_thread(session.client, "datapipeline")
    yield _Boto3(client)
    client.close()


class _Aiobotocore:
    def __init__(self, client: Any) -> None:
        self._client = client

    async def ask(self, operation: str, **members: Any) -> Members:
        method = getattr(self._client, _method(operation))
        try:
            return _members(await method(**members))
        except self._client.exceptions.ClientError as refused:
            return _error(refused)

    async def query(self, **members: Any) -> list[str]:
        pages = self._client.get_paginator("query_objects").paginate(**members)
        ids: list[str] = (await pages.build_full_result())["ids"]
        return ids


@asynccontextmanager
async def aiobotocore() -> AsyncGenerator[Speaker]:
    untyped: Any = AioSession().create_client("datapipeline")
    async with untyped as client:
        yield _Aiobotocore(client)


# -- ours -----------------------------------------------------------------------------------------


class _Ours:
    def __init__(self, client: DataPipelineClient) -> None:
        self._client = client

    async def ask(self, operation: str, **members: Any) -> Members:
        request = OPERATIONS[operation].request.from_wire(members)
        try:
            answer = await self._client.call(request)
        except ServiceError as refused:
            return _refused(refused.code, refused.message, refused.status)
        return _dumped(answer)

    async def query(self, **members: Any) -> list[str]:
        pipeline_id, sphere = members.pop("pipelineId"), members.pop("sphere")
        return [each async for each in self._client.query_objects(pipeline_id, sphere, **members)]


@asynccontextmanager
async def ours() -> AsyncGenerator[Speaker]:
    async with DataPipelineClient() as client:
        yield _Ours(client)


def as_ours(operation: str, answer: Members) -> Members:
    """What our client makes of an answer: a model, which also has what was left out."""
    if "code" in answer or operation not in OPERATIONS:
        return answer
    return _dumped(OPERATIONS[operation].response.from_wire(answer))


def _dumped(answer: Response) -> Members:
    return answer.model_dump(mode="json", by_alias=True)


# -- JavaScript -----------------------------------------------------------------------------------

_PACKAGE = "@aws-sdk/client-data-pipeline"
_SCRIPT = Path(__file__).with_name("speaker.cjs")


class _JavaScript:
    def __init__(self, process: Process) -> None:
        self._process = process

    async def ask(self, operation: str, **members: Any) -> Members:
        answer: Members = await self._say(operation, members)
        return answer

    async def query(self, **members: Any) -> list[str]:
        ids: list[str] = await self._say("paginateQueryObjects", members)
        return ids

    async def _say(self, what: str, members: Members) -> Any:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps([what, members]).encode() + b"\n")
        async with asyncio.timeout(PATIENCE):
            return json.loads(await stdout.readline())


@asynccontextmanager
async def javascript() -> AsyncGenerator[Speaker]:
    javascript_home()  # or there is nothing to try
    process = await asyncio.create_subprocess_exec(
        "node", str(_SCRIPT), stdin=subprocess.PIPE, stdout=subprocess.PIPE, limit=2**20
    )
    try:
        yield _JavaScript(process)
    finally:
        async with asyncio.timeout(PATIENCE):
            await process.communicate(b"")  # which closes its input


@cache
def javascript_home() -> Path:
    """The directory below which node finds the SDK. Without one, the test is skipped."""
    find = ["node", "-p", f"require.resolve({_PACKAGE!r})"]
    try:
        found = subprocess.run(
            find, cwd=_SCRIPT.parent, capture_output=True, check=False, text=True
        )
    except FileNotFoundError:
        pytest.skip("node is not on the path")
    if found.returncode:
        pytest.skip(f"node finds no {_PACKAGE}: see 'nox -s javascript'")
    return Path(found.stdout.partition("node_modules")[0])
