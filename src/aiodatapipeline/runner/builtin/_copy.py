"""Data of one data node copied to another: files in S3 or on this machine, tables of databases.

Source: developer guide, "CopyActivity" and "S3DataNode".
"""

from __future__ import annotations

import asyncio
import gzip
import shutil
import threading
from pathlib import Path
from typing import Protocol

from aiodatapipeline.runner._task import Task, TaskFailed
from aiodatapipeline.runner.builtin._aside import in_thread
from aiodatapipeline.runner.builtin._places import (
    StorageError,
    fetch_all,
    files_below,
    inside,
    put_all,
)
from aiodatapipeline.runner.builtin._rows import GZ, gzip_told, load, transfer, unload
from aiodatapipeline.runner.builtin._staging import NODE, Count, S3DataNode, look_up, read_node
from aiodatapipeline.runner.builtin._storage import Storage
from aiodatapipeline.runner.builtin._tables import TYPES as TABLES
from aiodatapipeline.runner.builtin._tables import Table

_CHUNK = 1024 * 1024


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class _Writable(Protocol):
    def write(self, data: bytes, /) -> object: ...


async def copy(task: Task, storage: Storage, directory: Path) -> str:
    """Do what a CopyActivity says, and say what was done.

    Args:
        task: The task.
        storage: Where data is carried from and to.
        directory: An empty one, for what is under way.

    Raises:
        TaskFailed: It says what cannot be done, or data could not be carried.
    """
    source, target = [await _only(task, key) for key in ("input", "output")]
    here = directory / "data"
    await asyncio.to_thread(here.mkdir)
    try:
        if isinstance(target, Table):
            if isinstance(source, Table):
                return _rows(await transfer(task, source, target, here / "rows"))
            await _fetch(task, storage, source, here)
            return _rows(await load(task, source, here, target))
        if isinstance(source, Table):
            rows = await unload(task, source, target, here)
        else:
            await _copy_files(task, storage, source, target, here)
            rows = None
        await _put(task, storage, target, here)
    except StorageError as error:
        raise TaskFailed("StagingFailed", str(error)) from error
    return "files copied" if rows is None else _rows(rows)


def _rows(count: int) -> str:
    return f"{count} rows copied"


async def _copy_files(
    task: Task, storage: Storage, source: S3DataNode, target: S3DataNode, here: Path
) -> None:
    """Bring files here, as they are to be put."""
    await _check_formats(task, source, target)
    if source.directory_path is not None and target.directory_path is None:
        raise TaskFailed(
            "InvalidTask",
            f"{source.id} has a directoryPath and {target.id} a filePath: the files of a directory "
            "cannot be copied into one",
        )
    await _fetch(task, storage, source, here)
    if source.compression != target.compression:
        await in_thread(lambda stop: _recompress(here, target.compression, stop))


async def _only(task: Task, key: str) -> S3DataNode | Table:
    references = task.object.refs(key)
    if len(references) != 1:
        raise TaskFailed("InvalidTask", f"it has {len(references)} of {key}; one is copied")
    found = await look_up(task, references[0])
    if found.string("type") in TABLES:
        return await Table.of(task, found)
    return read_node(found, NODE, *TABLES)


async def _check_formats(task: Task, source: S3DataNode, target: S3DataNode) -> None:
    """Refuse what would have to be written in another format: bytes are copied as they are."""
    formats = [await _format(task, each) for each in (source, target)]
    if None not in formats and formats[0] != formats[1]:
        raise TaskFailed(
            "InvalidTask",
            f"{source.id} and {target.id} have different data formats, and nothing is converted",
        )


async def _format(task: Task, data: S3DataNode) -> object:
    """Give what tells formats apart: the type and the fields, without names and references."""
    if data.data_format is None:
        return None
    try:
        found = await task.resolve(data.data_format)
    except LookupError as error:
        raise TaskFailed("InvalidTask", f"{data.id}, dataFormat: {error}") from None
    keys = {each.key for each in found.fields if not each.key.startswith("@")}
    # Not what it refers to, a parent for instance.
    return {key: texts for key in keys if (texts := found.strings(key))}


async def _fetch(task: Task, storage: Storage, source: S3DataNode, here: Path) -> None:
    place, count = source.place(storage), Count(task, "files_read")
    if source.directory_path is not None:
        await fetch_all(place, here, count.one_more)
    else:
        await place.fetch(inside(here, place.name))
        await count.one_more()


async def _put(task: Task, storage: Storage, target: S3DataNode, here: Path) -> None:
    place, count = target.place(storage), Count(task, "files_written")
    if target.directory_path is not None:
        await put_all(here, place, count.one_more)
        return
    [(_, file)] = await asyncio.to_thread(files_below, here)
    await place.put(file)
    await count.one_more()


def _recompress(directory: Path, to: str, stop: threading.Event) -> None:
    """Pack or unpack all files of a directory; their names get ``.gz`` or lose it."""
    done = directory.with_name("done")
    done.mkdir()
    for name, file in files_below(directory):
        if to == "gzip":
            made = inside(done, f"{name}{GZ}")
            made.parent.mkdir(parents=True, exist_ok=True)
            with file.open("rb") as read, gzip.open(made, "wb") as written:
                _pass_on(read, written, stop)
        else:
            made = inside(done, name.removesuffix(GZ))
            made.parent.mkdir(parents=True, exist_ok=True)
            with gzip_told(name), gzip.open(file, "rb") as read, made.open("wb") as written:
                _pass_on(read, written, stop)
    shutil.rmtree(directory)
    done.rename(directory)


def _pass_on(read: _Readable, written: _Writable, stop: threading.Event) -> None:
    while not stop.is_set() and (chunk := read.read(_CHUNK)):
        written.write(chunk)
