"""Places in Amazon S3, over aiobotocore. It is imported when the first of them is used."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator
from contextlib import aclosing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from math import ceil
from pathlib import Path
from typing import BinaryIO

from aiohttp import ClientError as HttpError
from botocore import exceptions

from aiodatapipeline.runner.builtin._aside import opened, to_its_end
from aiodatapipeline.runner.builtin._aws import AwsClient
from aiodatapipeline.runner.builtin._places import StorageError

# S3 takes 10,000 parts of 5 MiB and more. Source: S3 user guide, "Amazon S3 multipart upload
# limits".
PART = 8 * 1024 * 1024
_MAX_PARTS = 10_000
_CHUNK = 1024 * 1024
# Seconds for telling S3 that it need not keep the parts of an upload that failed.
_ABORT = 5.0

_MISSING = {"404", "NoSuchKey"}
_REASONS = {
    "403": "access denied, which S3 also says of what is missing to who may not list the bucket",
    "404": "there is no such object",
    "NoSuchKey": "there is no such object",
}


class S3(AwsClient):
    """A client of S3. See ``AwsClient``."""

    def __init__(self, region_name: str | None = None, endpoint_url: str | None = None) -> None:
        super().__init__("s3", region_name, endpoint_url)


@dataclass(frozen=True, slots=True)
class S3Place:
    """An object, or what the keys of several begin with. See ``Place``."""

    s3: S3
    bucket: str
    key: str
    encrypted: bool = False
    """Whether to ask for encryption with S3's own keys, and not for the bucket's default."""

    @property
    def name(self) -> str:
        """What stands behind the last slash."""
        return self.key.rpartition("/")[2]

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"

    def __truediv__(self, name: str) -> S3Place:
        return S3Place(self.s3, self.bucket, f"{self._prefix}{name}", self.encrypted)

    @property
    def _prefix(self) -> str:
        """What the keys of all that is below begin with."""
        return f"{self.key.rstrip('/')}/" if self.key.rstrip("/") else ""

    async def below(self) -> AsyncGenerator[str, None]:
        """Give what stands behind the prefix in all keys that have it."""
        prefix = self._prefix
        members = {"Bucket": self.bucket, "Prefix": prefix}
        token: dict[str, object] = {}
        while True:
            with self._told("list"):
                page = await self.s3.call("list_objects_v2", **members, **token)
            for each in page.get("Contents", ()):
                # Consoles make directories of empty objects whose keys end so.
                if not each["Key"].endswith("/"):
                    yield each["Key"][len(prefix) :]
            if not page.get("IsTruncated"):
                return
            token = {"ContinuationToken": page["NextContinuationToken"]}

    async def exists(self) -> bool:
        """Whether there is an object of this very key."""
        with self._told("look for"):
            try:
                await self.s3.call("head_object", Bucket=self.bucket, Key=self.key)
            except exceptions.ClientError as error:
                if _code(error) in _MISSING:
                    return False
                raise
        return True

    async def holds_any(self) -> bool:
        """Whether any key begins with what this one does, and a slash."""
        async with aclosing(self.below()) as names:
            async for _ in names:
                return True
        return False

    async def fetch(self, file: Path) -> None:
        """Write the object into a file, a piece at a time."""
        with self._told("read"):
            answer = await self.s3.call("get_object", Bucket=self.bucket, Key=self.key)
            # Nothing comes in between that could leave its connection open.
            async with answer["Body"] as body, opened(partial(_created, file)) as written:
                while chunk := await body.read(_CHUNK):
                    await to_its_end(asyncio.to_thread(written.write, chunk))

    async def put(self, file: Path) -> None:
        """Write a file to S3; a large one in parts, of which nothing is left if it fails."""
        with self._told("write"):
            size = (await asyncio.to_thread(file.stat)).st_size
            members = {"Bucket": self.bucket, "Key": self.key}
            how = {"ServerSideEncryption": "AES256"} if self.encrypted else {}
            if size <= PART:
                body = await asyncio.to_thread(file.read_bytes)
                await self.s3.call("put_object", **members, **how, Body=body)
                return
            upload = await self.s3.call("create_multipart_upload", **members, **how)
            members["UploadId"] = upload["UploadId"]
            try:
                await self._put_parts(file, max(PART, ceil(size / _MAX_PARTS)), members)
            except BaseException:
                with suppress(Exception):
                    await to_its_end(self._abort(members))
                raise

    async def _put_parts(self, file: Path, size: int, members: dict[str, str]) -> None:
        parts: list[dict[str, object]] = []
        async with opened(lambda: file.open("rb")) as read:
            while body := await to_its_end(asyncio.to_thread(read.read, size)):
                number = len(parts) + 1
                part = await self.s3.call("upload_part", **members, PartNumber=number, Body=body)
                parts.append({"PartNumber": number, "ETag": part["ETag"]})
        await self.s3.call("complete_multipart_upload", **members, MultipartUpload={"Parts": parts})

    async def _abort(self, members: dict[str, str]) -> None:
        async with asyncio.timeout(_ABORT):
            await self.s3.call("abort_multipart_upload", **members)

    @contextmanager
    def _told(self, verb: str) -> Generator[None]:
        try:
            yield
        except OSError as error:
            raise StorageError(f"cannot {verb} {self}: {error.strerror or error}") from error
        except exceptions.ClientError as error:
            reason = _REASONS.get(_code(error)) or f"{_message(error)} [{_code(error)}]"
            raise StorageError(f"cannot {verb} {self}: {reason}") from error
        except (exceptions.BotoCoreError, HttpError) as error:
            raise StorageError(f"cannot {verb} {self}: {error}") from error


def _created(file: Path) -> BinaryIO:
    file.parent.mkdir(parents=True, exist_ok=True)
    return file.open("wb")


def _code(error: exceptions.ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _message(error: exceptions.ClientError) -> str:
    return str(error.response.get("Error", {}).get("Message", ""))
