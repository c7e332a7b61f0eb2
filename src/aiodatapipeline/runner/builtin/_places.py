"""Where data lies, and how it gets from there to files of this machine and back."""

from __future__ import annotations

import asyncio
import os
import shutil
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Protocol
from urllib.parse import unquote, urlsplit

from aiodatapipeline.runner.builtin._aside import in_thread

# How many files of a directory are carried at once.
_AT_ONCE = 8
_CHUNK = 4 * 1024 * 1024
# A name of a temporary file has to fit where a longer one may not. Characters.
_PREFIX = 50


class StorageError(Exception):
    """Data could not be read or written; the text names it and says why."""


class Place(Protocol):
    """A file, an object in S3, or what several of them are below.

    Every method but ``name`` and ``/`` raises StorageError.
    """

    @property
    def name(self) -> str:
        """The last part of the address."""
        ...

    def __truediv__(self, name: str) -> Place: ...

    def below(self) -> AsyncGenerator[str, None]:
        """Give the names of all that lies below, relative to here."""
        ...

    async def exists(self) -> bool:
        """Whether something lies at this very place."""
        ...

    async def holds_any(self) -> bool:
        """Whether anything lies below."""
        ...

    async def fetch(self, file: Path) -> None:
        """Write what lies here into a file."""
        ...

    async def put(self, file: Path) -> None:
        """Write a file here, over what was there."""
        ...


@dataclass(frozen=True, slots=True)
class LocalPlace:
    """A path of this machine. See ``Place``."""

    path: Path

    @classmethod
    def of(cls, address: str) -> LocalPlace:
        """Read ``file:///path`` or a plain path.

        Raises:
            ValueError: It is neither.
        """
        path = address
        if address[:7].lower() == "file://":
            url = urlsplit(address)
            path = unquote(url.path) if url.netloc in {"", "localhost"} else ""
        if not path or "\0" in path:
            raise ValueError(f"{address!r} is no path: it should be /path or file:///path")
        return cls(Path(path))

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.name

    def __str__(self) -> str:
        return str(self.path)

    def __truediv__(self, name: str) -> LocalPlace:
        return LocalPlace(inside(self.path, name))

    async def below(self) -> AsyncGenerator[str, None]:
        """Give the names of all files below a directory."""
        with _told("list", self):
            found = await asyncio.to_thread(files_below, self.path)
        for name, _ in found:
            yield name

    async def exists(self) -> bool:
        """Whether there is such a file."""
        with _told("look for", self):
            return await asyncio.to_thread(self.path.is_file)

    async def holds_any(self) -> bool:
        """Whether anything is in such a directory."""
        with _told("look into", self):
            return await asyncio.to_thread(_holds_any, self.path)

    async def fetch(self, file: Path) -> None:
        """Copy the file."""
        with _told("read", self):
            await in_thread(lambda stop: _copy(self.path, file, stop))

    async def put(self, file: Path) -> None:
        """Copy a file here; nobody sees half of it."""
        with _told("write", self):
            await in_thread(lambda stop: _copy(file, self.path, stop))


def _holds_any(directory: Path) -> bool:
    return directory.is_dir() and any(directory.iterdir())


@contextmanager
def _told(verb: str, where: LocalPlace) -> Generator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(f"cannot {verb} {str(where)!r}: {error.strerror}") from error


def _copy(source: Path, target: Path, stop: threading.Event) -> None:
    with source.open("rb") as read:
        target.parent.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(
            dir=target.parent, prefix=f".{target.name[:_PREFIX]}.", delete=False
        ) as written:
            try:
                while chunk := read.read(_CHUNK):
                    if stop.is_set():
                        return
                    written.write(chunk)
                written.flush()
                shutil.copymode(source, written.name)
                Path(written.name).replace(target)
            finally:
                Path(written.name).unlink(missing_ok=True)


def inside(directory: Path, name: str) -> Path:
    """Give the path of a name below a directory.

    Raises:
        StorageError: It would lead out of there, or no file can be called so.
    """
    parts = name.split("/")
    if any(part in {"", ".", ".."} or "\0" in part for part in parts):
        raise StorageError(f"{name!r} cannot be the name of a file below {str(directory)!r}")
    return directory.joinpath(*parts)


def files_below(directory: Path) -> list[tuple[str, Path]]:
    """List all files below a directory by their names, links to files among them included.

    Raises:
        StorageError: Something there is no file, or leads out of the directory.
        OSError: The directory cannot be read.
    """
    root = directory.resolve()
    found: list[tuple[str, Path]] = []
    for parent, directories, names in os.walk(directory, onerror=_raise):
        links = [name for name in directories if Path(parent, name).is_symlink()]
        for name in [*names, *links]:
            file = Path(parent, name)
            if root not in file.resolve().parents:
                raise StorageError(f"{str(file)!r} is a link that leads out of {str(directory)!r}")
            if not file.is_file():
                raise StorageError(f"{str(file)!r} is no file, so it holds no data")
            found.append((file.relative_to(directory).as_posix(), file))
    return sorted(found)


def _raise(error: OSError) -> None:
    raise error


async def fetch_all(place: Place, directory: Path, told: Callable[[], Awaitable[None]]) -> int:
    """Write all that lies below a place into a directory, and give the number of files.

    Args:
        place: Where from.
        directory: Where to.
        told: Called after each file.

    Raises:
        StorageError: Something could not be read, or has a name that no file can have.
    """

    async def names() -> AsyncGenerator[tuple[str, Path], None]:
        async with aclosing(place.below()) as below:
            async for name in below:
                yield name, inside(directory, name)

    async def fetch(name: str, file: Path) -> None:
        await (place / name).fetch(file)

    return await each_of(names(), fetch, told)


async def put_all(directory: Path, place: Place, told: Callable[[], Awaitable[None]]) -> int:
    """Write all files below a directory to a place, and give their number.

    Args:
        directory: Where from.
        place: Where to. What lies there under other names stays.
        told: Called after each file.

    Raises:
        StorageError: Something could not be written, or is no file.
    """

    async def names() -> AsyncGenerator[tuple[str, Path], None]:
        for name, file in await asyncio.to_thread(files_below, directory):
            yield name, file

    async def put(name: str, file: Path) -> None:
        await (place / name).put(file)

    return await each_of(names(), put, told)


async def each_of(
    names: AsyncGenerator[tuple[str, Path], None],
    carry: Callable[[str, Path], Awaitable[None]],
    told: Callable[[], Awaitable[None]],
) -> int:
    """Carry some files at once until all are there or one of them failed."""
    slots = asyncio.Semaphore(_AT_ONCE)
    done = 0

    async def one(name: str, file: Path) -> None:
        nonlocal done
        try:
            await carry(name, file)
        finally:
            slots.release()
        done += 1
        await told()

    try:
        async with asyncio.TaskGroup() as group, aclosing(names):
            async for name, file in names:
                await slots.acquire()
                group.create_task(one(name, file))
    except* StorageError as failed:
        first: BaseException = failed
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
        raise first from None
    return done
