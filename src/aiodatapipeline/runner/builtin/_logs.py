"""The logs of an attempt: what they are called, and how they get to ``pipelineLogUri``.

Source: developer guide, "Viewing Pipeline Logs": ``pipelineId/componentName/instanceId/attemptId``.
"""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from aiodatapipeline._secrets import Secrets
from aiodatapipeline.runner._task import TaskInfo
from aiodatapipeline.runner.builtin._places import Place

STDOUT, STDERR, ACTIVITY = "StdOutput", "StdError", "Activity.log"

# As many bytes of a log are kept: of a longer one, its beginning and its end.
LIMIT = 64 * 1024 * 1024
# What is read of a log's end to be shown. Bytes.
_TAIL = 4096

_ATTEMPT = re.compile(r"(?P<instance>.+)_Attempt=\d+")
_INSTANCE = re.compile(r"@?(?P<component>.+)_\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?")


def directory_of(info: TaskInfo) -> tuple[str, ...]:
    """Give the directories that an attempt's logs lie in, from the outermost.

    What the task does not name is read from the attempt's id, or is that id.
    """
    attempt = _ATTEMPT.fullmatch(info.attempt_id)
    instance = _one(info.object.refs("@instanceParent")) or (
        attempt["instance"] if attempt else info.attempt_id
    )
    component = _one(info.object.refs("@componentParent"))
    if component is None:
        dated = _INSTANCE.fullmatch(instance)
        component = dated["component"] if dated else instance
    elif component in info.objects:
        component = info.objects[component].name
    return tuple(map(_part, (info.pipeline_id, component, instance, info.attempt_id)))


def _one(found: tuple[str, ...]) -> str | None:
    return found[0] if found else None


def _part(name: str) -> str:
    """Make a name of one directory and no more of whatever a pipeline calls something."""
    name = name.replace("/", "_").replace("\0", "_")
    return f"_{name}" if name in {"", ".", ".."} else name


class ActivityLog:
    """What the runner did for an attempt, line by line. No value of a field is in it."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def write(self, text: str) -> None:
        """Add a line. On a full disk there is none, which is no reason to stop working."""
        time = datetime.now(UTC).isoformat(timespec="milliseconds")
        with (
            suppress(OSError),
            self._file.open("a", encoding="utf-8", errors="backslashreplace") as file,
        ):
            file.write(f"{time} {text}\n")


async def upload(files: Mapping[str, Path], base: Place, info: TaskInfo) -> None:
    """Write the logs of an attempt to where they belong.

    Args:
        files: By the name of the log. What is not there is left out.
        base: The place of all logs: ``pipelineLogUri``.
        info: The task.

    Raises:
        StorageError: One could not be written.
    """
    where = base
    for part in directory_of(info):
        where /= part
    for name, file in files.items():
        if await asyncio.to_thread(_clip, file):
            await (where / name).put(file)


def _clip(file: Path) -> bool:
    """Take the middle out of a file that is too long; False if there is no such file."""
    try:
        size = file.stat().st_size
    except FileNotFoundError:
        return False
    if size > LIMIT:
        short = file.with_name(f"{file.name}.short")
        with file.open("rb") as whole, short.open("wb") as kept:
            _copy(whole, kept, LIMIT // 2)
            kept.write(b"\n[... %d bytes are left out here ...]\n" % (size - 2 * (LIMIT // 2)))
            whole.seek(size - LIMIT // 2)
            shutil.copyfileobj(whole, kept)
        short.replace(file)
    return True


def _copy(source: BinaryIO, target: BinaryIO, size: int) -> None:
    while size and (chunk := source.read(min(size, 1024 * 1024))):
        target.write(chunk)
        size -= len(chunk)


def tail(file: Path, secrets: Secrets) -> str:
    """Give the last lines of a file, whatever bytes they are; empty if there is no such file.

    Args:
        file: The file.
        secrets: What is covered in it.
    """
    try:
        with file.open("rb") as opened:
            size = opened.seek(0, 2)
            start = max(0, size - _TAIL)
            before = min(start, secrets.size)
            opened.seek(start - before)
            read = opened.read()
    except FileNotFoundError:
        return ""
    text = secrets.cut(read.decode(errors="replace"), len(read[:before].decode(errors="replace")))
    if size > _TAIL and "\n" in text.rstrip("\n"):
        text = text.partition("\n")[2]  # the first line is half a line
    return text.strip("\n")
