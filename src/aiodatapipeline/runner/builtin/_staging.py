"""Data of S3DataNodes in local directories, for as long as a command needs it.

Source: developer guide, "Staging Data and Tables with Pipeline Activities".
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, model_validator

from aiodatapipeline.models import PipelineObject, Ref
from aiodatapipeline.runner._handlers import read
from aiodatapipeline.runner._task import Task, TaskFailed
from aiodatapipeline.runner.builtin._places import Place, StorageError, fetch_all, inside, put_all
from aiodatapipeline.runner.builtin._storage import Storage

NODE = "S3DataNode"


class S3DataNode(BaseModel):
    """Where data lies: a file or a directory, in S3 or on this machine."""

    model_config = ConfigDict(frozen=True)

    id: str
    file_path: str | None = None
    directory_path: str | None = None
    manifest_file_path: str | None = None
    data_format: Ref | None = None
    compression: Literal["gzip", "none"] = "none"
    """Of interest to a CopyActivity; a command gets files as they are."""
    s3_encryption_type: Literal["NONE", "SERVER_SIDE_ENCRYPTION"] = "NONE"
    """S3 encrypts whatever it says, since 2023; with this, by keys of its own."""

    @model_validator(mode="after")
    def _one_path(self) -> S3DataNode:
        if self.manifest_file_path is not None:
            raise ValueError("a manifestFilePath is for Redshift; a filePath or a directoryPath is")
        if (self.file_path is None) == (self.directory_path is None):
            raise ValueError("it needs a filePath or a directoryPath, and not both")
        return self

    @property
    def address(self) -> str:
        """Where it lies."""
        return self.file_path if self.file_path is not None else self.directory_path or ""

    def place(self, storage: Storage) -> Place:
        """Give where it lies.

        Raises:
            TaskFailed: It is no address.
        """
        try:
            return storage.place(
                self.address, encrypted=self.s3_encryption_type == "SERVER_SIDE_ENCRYPTION"
            )
        except ValueError as error:
            raise TaskFailed("InvalidTask", f"{self.id}: {error}") from None


def read_node(subject: PipelineObject, *known: str) -> S3DataNode:
    """Read a data node's fields.

    Args:
        subject: The data node.
        known: What would do in its place; nothing if left out.

    Raises:
        TaskFailed: It is no S3DataNode, or not a good one.
    """
    kind = subject.strings("type")
    if kind != (NODE,):
        raise TaskFailed(
            "InvalidTask",
            f"{subject.id} is no {' or '.join(known or (NODE,))} but "
            f"{' and '.join(kind) or 'has no type'}: the runner knows no other data here",
        )
    return read(S3DataNode, subject)


async def nodes(task: Task, key: str) -> list[S3DataNode]:
    """Give the data nodes that a task refers to, in order.

    Raises:
        TaskFailed: One of them cannot be found, or is no S3DataNode.
    """
    return [await node(task, reference) for reference in task.object.refs(key)]


async def node(task: Task, reference: str) -> S3DataNode:
    """Give a data node that a task refers to.

    Raises:
        TaskFailed: It cannot be found, or is no S3DataNode.
    """
    return read_node(await look_up(task, reference))


async def look_up(task: Task, reference: Ref | str) -> PipelineObject:
    """Give an object that a task refers to.

    Raises:
        TaskFailed: It cannot be found.
    """
    try:
        return await task.resolve(reference)
    except LookupError as error:
        name = reference.id if isinstance(reference, Ref) else reference
        raise TaskFailed("InvalidTask", f"there is no object {name!r}: {error}") from None


@dataclass(frozen=True, slots=True)
class Staging:
    """The inputs and outputs of a task, and a local directory for each of them."""

    inputs: Sequence[tuple[S3DataNode, Path]]
    outputs: Sequence[tuple[S3DataNode, Path]]

    @classmethod
    async def of(cls, task: Task, directory: Path) -> Staging:
        """Look up what a task refers to, and make the directories.

        Raises:
            TaskFailed: What it refers to cannot be staged.
        """
        staging = cls(
            _numbered(await nodes(task, "input"), directory / "input"),
            _numbered(await nodes(task, "output"), directory / "output"),
        )
        for output, _ in staging.outputs:
            if output.directory_path is None:
                raise TaskFailed(
                    "InvalidTask",
                    f"{output.id} has a filePath: output is staged only with a directoryPath",
                )
        for _, path in (*staging.inputs, *staging.outputs):
            await asyncio.to_thread(path.mkdir, parents=True)
        return staging

    @property
    def environment(self) -> Mapping[str, str]:
        """``INPUT1_STAGING_DIR`` and so on, numbered in the order of the references."""
        return {
            f"{kind}{number}_STAGING_DIR": str(path)
            for kind, staged in (("INPUT", self.inputs), ("OUTPUT", self.outputs))
            for number, (_, path) in enumerate(staged, 1)
        }

    async def fetch(self, task: Task, storage: Storage) -> int:
        """Bring the inputs here, and give the number of files.

        Raises:
            TaskFailed: An input cannot be read.
        """
        count = Count(task, "staged_in")
        for source, directory in self.inputs:
            place = source.place(storage)
            try:
                if source.file_path is None:
                    await fetch_all(place, directory, count.one_more)
                else:
                    await place.fetch(inside(directory, place.name))
                    await count.one_more()
            except StorageError as error:
                raise TaskFailed("StagingFailed", f"{source.id}: {error}") from error
        return count.files

    async def put(self, task: Task, storage: Storage) -> int:
        """Take the outputs to where they belong, and give the number of files.

        Raises:
            TaskFailed: An output cannot be written.
        """
        count = Count(task, "staged_out")
        for target, directory in self.outputs:
            try:
                await put_all(directory, target.place(storage), count.one_more)
            except StorageError as error:
                raise TaskFailed("StagingFailed", f"{target.id}: {error}") from error
        return count.files


class Count:
    """Counts files, and reports their number."""

    def __init__(self, task: Task, name: str) -> None:
        self._task, self._name = task, name
        self.files = 0

    async def one_more(self) -> None:
        """Count one more."""
        self.files += 1
        await self._task.progress(**{self._name: self.files})


def _numbered(found: list[S3DataNode], directory: Path) -> list[tuple[S3DataNode, Path]]:
    return [(node, directory / str(number)) for number, node in enumerate(found, 1)]
