"""Records carried between files and tables, some at a time, in a thread of their own."""

from __future__ import annotations

import gzip
import pickle
import zlib
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TextIO

from aiodatapipeline.runner._handlers import read
from aiodatapipeline.runner._task import Task, TaskFailed
from aiodatapipeline.runner.builtin._halt import Halt, in_own_thread, teller
from aiodatapipeline.runner.builtin._places import StorageError, files_below, inside
from aiodatapipeline.runner.builtin._records import (
    BATCH,
    Format,
    Reader,
    RecordError,
    Value,
    Writer,
)
from aiodatapipeline.runner.builtin._staging import S3DataNode, look_up
from aiodatapipeline.runner.builtin._tables import Table

if TYPE_CHECKING:
    from aiodatapipeline.runner.builtin._sql import Rows

GZ = ".gz"


async def load(task: Task, source: S3DataNode, directory: Path, target: Table) -> int:
    """Write the records of files to a table, all or none, and give their number.

    Args:
        task: The task.
        source: What they are the data of.
        directory: Where the files are.
        target: The table.

    Raises:
        TaskFailed: A record cannot be read, or the database refuses.
    """
    form = await format_of(task, source)
    told = teller(task)

    def work(halt: Halt) -> int:
        reader, rows = Reader(form), 0
        columns = [column.name for column in form.columns]
        with target.login.opened(halt, "write") as session:
            for rows in target.insert(session, columns, _read(reader, source, directory)):
                told("rows_written", rows)
        return rows

    return await in_own_thread(work)


async def unload(task: Task, source: Table, target: S3DataNode, directory: Path) -> int:
    """Write a table into a file, and give the number of its records.

    Args:
        task: The task.
        source: The table.
        target: What the file is to be the data of.
        directory: Where it is written.

    Raises:
        TaskFailed: The database refuses, or a value cannot be written in the format.
    """
    form = await format_of(task, target)
    told = teller(task)
    packed = target.compression == "gzip"
    name = source.node.table.replace("/", "_")
    file = inside(directory, f"{name}{form.extension}{GZ if packed else ''}")

    def work(halt: Halt) -> int:
        rows = 0
        with source.login.opened(halt, "read") as session, _created(file, packed=packed) as text:
            names, batches = source.select(session)
            if form.columns and len(form.columns) != len(names):
                raise TaskFailed(
                    "InvalidTask",
                    f"{source.node.id} has {len(names)} columns, and {form.id} {len(form.columns)}",
                )
            writer = Writer(form, text)
            for batch in batches:
                with _record_told(target.id):
                    writer.write(batch)
                rows += len(batch)
                told("rows_read", rows)
        return rows

    return await in_own_thread(work)


async def transfer(task: Task, source: Table, target: Table, file: Path) -> int:
    """Write a table to another, all or nothing, and give the number of rows.

    Args:
        task: The task.
        source: A table.
        target: Another, of the same database or of another one.
        file: Where the rows are in between: a database that is read may not let us write.

    Raises:
        TaskFailed: A database refuses.
    """
    told = teller(task)

    def work(halt: Halt) -> int:
        rows = 0
        with source.login.opened(halt, "read") as session, file.open("wb") as written:
            columns, batches = source.select(session)
            for batch in batches:
                pickle.dump(batch, written)
                rows += len(batch)
                told("rows_read", rows)
        with target.login.opened(halt, "write") as session, file.open("rb") as kept:
            for count in target.insert(session, columns, _unpickled(kept)):
                told("rows_written", count)
        return rows

    return await in_own_thread(work)


async def format_of(task: Task, data: S3DataNode) -> Format:
    """Give the format of a data node; CSV if it says none.

    Raises:
        TaskFailed: There is no such format, or records cannot be in it.
    """
    return read(Format, await look_up(task, data.data_format)) if data.data_format else Format()


def _read(reader: Reader, source: S3DataNode, directory: Path) -> Iterator[list[list[Value]]]:
    for name, file in files_below(directory):
        with (
            _record_told(f"{source.id}, {name}"),
            gzip_told(name),
            _opened(file, packed=source.compression == "gzip") as text,
        ):
            records = reader.read(text)
            while batch := list(islice(records, BATCH)):
                yield batch


@contextmanager
def gzip_told(name: str) -> Generator[None]:
    """Name a file that cannot be unpacked."""
    try:
        yield
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise StorageError(f"{name!r} cannot be read as gzip: {error}") from error


@contextmanager
def _record_told(name: str) -> Generator[None]:
    try:
        yield
    except RecordError as error:
        raise TaskFailed("RecordInvalid", f"{name}: {error}", detail=str(error)) from None
    except UnicodeDecodeError:
        raise TaskFailed("RecordInvalid", f"{name}: it is not in UTF-8") from None


def _opened(file: Path, *, packed: bool) -> TextIO:
    # Some programs begin a file with a mark that is no character of it.
    encoding = "utf-8-sig"
    if packed:
        return gzip.open(file, "rt", encoding=encoding, newline="")
    return file.open(encoding=encoding, newline="")


def _created(file: Path, *, packed: bool) -> TextIO:
    if packed:
        return gzip.open(file, "wt", encoding="utf-8", newline="")
    return file.open("w", encoding="utf-8", newline="")


def _unpickled(file: BinaryIO) -> Iterator[Rows]:
    while True:
        try:
            yield pickle.load(file)  # noqa: S301  # what was written a moment ago
        except EOFError:
            return
