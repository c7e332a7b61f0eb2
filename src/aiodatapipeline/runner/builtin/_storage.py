"""From an address to a place, with one client of S3 for all places of a task."""

from __future__ import annotations

import re
from types import TracebackType
from typing import TYPE_CHECKING, Self

from aiodatapipeline.runner.builtin._places import LocalPlace, Place

if TYPE_CHECKING:
    from aiodatapipeline.runner.builtin._s3 import S3

_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE | re.ASCII)


class Storage:
    """Makes places of addresses; closes what they used in the end.

    Nothing of S3 is imported or opened before an address in it is used.

    Args:
        region_name: The region of S3; that of the environment or the profile if None.
        endpoint_url: Another S3 than AWS's.
    """

    def __init__(self, region_name: str | None = None, endpoint_url: str | None = None) -> None:
        self._region_name, self._endpoint_url = region_name, endpoint_url
        self._s3: S3 | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._s3 is not None:
            await self._s3.aclose()

    def place(self, address: str, *, encrypted: bool = False) -> Place:
        """Read an address: ``s3://bucket/key``, ``file:///path`` or a plain path.

        Args:
            address: The address.
            encrypted: Whether what is written to S3 is to be encrypted with S3's own keys,
                whatever the bucket's default.

        Raises:
            ValueError: It is none of them.
        """
        scheme = _SCHEME.match(address)
        if scheme is None or scheme[1].lower() == "file":
            return LocalPlace.of(address)
        if scheme[1].lower() != "s3":
            raise ValueError(
                f"{address!r} is neither in S3 nor on this machine: that is s3:// and file://"
            )
        # No URL: a key may hold any character, ? and # as well.
        bucket, _, key = address[scheme.end() :].partition("/")
        if not bucket:
            raise ValueError(f"{address!r} names no bucket: it should be s3://bucket/key")
        # Takes half a second.
        from aiodatapipeline.runner.builtin._s3 import S3, S3Place  # noqa: PLC0415

        if self._s3 is None:
            self._s3 = S3(self._region_name, self._endpoint_url)
        return S3Place(self._s3, bucket, key, encrypted)
