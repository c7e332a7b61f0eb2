"""Handlers of types that AWS's own task runner knows: commands, SQL, copies, and preconditions.

``add_builtin(runner)`` and ``runner.run()`` are a task runner that needs no code of yours.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, model_validator

from aiodatapipeline.models import Ref
from aiodatapipeline.runner import _logs
from aiodatapipeline.runner._aside import to_its_end
from aiodatapipeline.runner._copy import copy
from aiodatapipeline.runner._databases import find_database
from aiodatapipeline.runner._logs import ActivityLog
from aiodatapipeline.runner._places import Place, StorageError
from aiodatapipeline.runner._query import query
from aiodatapipeline.runner._runner import TaskRunner
from aiodatapipeline.runner._shell import Ended, NotStartedError, Script, run_script
from aiodatapipeline.runner._staging import Staging, node
from aiodatapipeline.runner._storage import S3Settings, Storage
from aiodatapipeline.runner._task import Task, TaskFailed

__all__ = [
    "BuiltIn",
    "CopyActivity",
    "Exists",
    "ShellCommandActivity",
    "ShellCommandPrecondition",
    "SqlActivity",
    "add_builtin",
]

# Seconds that the logs of an attempt get to be written where they belong. A canceled handler has
# to be over sooner: it gets 30 seconds by default, and the command its part of them.
LOG_TIME, LOG_TIME_CANCELED = 120.0, 10.0

# A shorter value would be found in words that have nothing to do with it.
_SECRET = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltIn:
    """How the built-in handlers work. Nothing of it has to be said."""

    shell: str = "/bin/sh"
    """What reads commands and scripts whose first line names nothing else (``#!/bin/bash``)."""
    directory: str | os.PathLike[str] | None = None
    """Where commands run; where the runner runs if None."""
    scratch: str | os.PathLike[str] | None = None
    """Where each attempt gets a directory, for as long as it runs, for its script, its output
    and what is staged; the system's directory for such things if None."""
    log_uri: str | None = None
    """Where logs go that no ``pipelineLogUri`` says a place for: ``s3://...`` or a path. If None,
    they are not kept."""
    kill_grace: float = 10.0
    """Seconds that a command gets to end before it is killed. Less than the runner's
    ``cancel_grace`` by the time that its logs need."""
    region_name: str | None = None
    """The region of S3; that of the environment or the profile if None."""
    s3_endpoint_url: str | None = None
    """Another S3 than AWS's."""


class _Logged(BaseModel):
    """What is said of the logs and the output of whatever is done."""

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, hide_input_in_errors=True)

    id: str
    stdout: str | None = None
    stderr: str | None = None
    pipeline_log_uri: str | None = None


class _Command(_Logged):
    """What a shell command's object says, as an activity and as a precondition."""

    command: str | None = None
    script_uri: str | None = None
    script_argument: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _one_script(self) -> _Command:
        if (self.command is None) == (self.script_uri is None):
            raise ValueError("it needs a command or a scriptUri, and not both")
        if self.script_uri is not None and self.script_argument:
            raise ValueError("a scriptArgument is for a command, not for a scriptUri")
        return self


class ShellCommandActivity(_Command):
    """The fields of a ShellCommandActivity that matter to who runs it."""

    stage: bool = False


class ShellCommandPrecondition(_Command):
    """The fields of a ShellCommandPrecondition that matter to who runs it."""


class CopyActivity(_Logged):
    """The fields of a CopyActivity that matter beside what it copies."""


class SqlActivity(_Logged):
    """The fields of a SqlActivity that matter to who runs it."""

    database: Ref
    script: str | None = None
    script_uri: str | None = None
    script_argument: tuple[str, ...] = ()
    queue: str | None = None

    @model_validator(mode="after")
    def _one_script(self) -> SqlActivity:
        if (self.script is None) == (self.script_uri is None):
            raise ValueError("it needs a script or a scriptUri, and not both")
        return self


class Exists(BaseModel):
    """The fields of an Exists that matter to who runs it."""

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True)

    id: str
    node: Ref
    """The data that is to exist."""


def add_builtin(runner: TaskRunner, settings: BuiltIn | None = None) -> None:
    """Let a runner handle shell commands, SQL, copies of data, and whether data exists.

    That is ShellCommandActivity, ShellCommandPrecondition, SqlActivity, CopyActivity and Exists.

    A type that it has a handler of already keeps that one. The handlers need a POSIX system, and
    databases the extra ``sql``: without it, the tasks with one fail and say so.

    Args:
        runner: The task runner.
        settings: How they work, if not as usual.
    """
    handlers = _Handlers(settings or BuiltIn())
    known = runner.types()
    if "ShellCommandActivity" not in known:
        runner.handler(ShellCommandActivity)(handlers.activity)
    if "CopyActivity" not in known:
        runner.handler(CopyActivity)(handlers.copy)
    if "SqlActivity" not in known:
        runner.handler(SqlActivity)(handlers.sql)
    if "ShellCommandPrecondition" not in known:
        runner.precondition(ShellCommandPrecondition)(handlers.precondition)
    if "Exists" not in known:
        runner.precondition(Exists)(handlers.exists)


class _Handlers:
    def __init__(self, settings: BuiltIn) -> None:
        self._settings = settings

    async def activity(self, task: Task, fields: ShellCommandActivity) -> None:
        async with self._room(task, fields) as room:
            staging = None
            if fields.stage:
                staging = await Staging.of(task, room.directory)
                room.note(f"{await staging.fetch(task, room.storage)} files staged in")
            ended = await room.run(fields, staging.environment if staging else {})
            if ended.code != 0:
                raise room.failure(ended)
            if staging:
                room.note(f"{await staging.put(task, room.storage)} files staged out")

    async def copy(self, task: Task, fields: CopyActivity) -> None:
        async with self._room(task, fields) as room:
            room.note(await copy(task, room.storage, room.directory))

    async def sql(self, task: Task, fields: SqlActivity) -> None:
        async with self._room(task, fields) as room:
            login = await find_database(task, fields.database)
            script = await room.sql(fields)
            count = await query(task, login, script, fields.script_argument, fields.queue)
            room.note(f"{count} statements run")

    async def precondition(self, task: Task, fields: ShellCommandPrecondition) -> bool:
        async with self._room(task, fields) as room:
            return (await room.run(fields, {})).code == 0

    async def exists(self, task: Task, fields: Exists) -> bool:
        data = await node(task, fields.node.id)
        try:
            async with self._storage() as storage:
                place = data.place(storage)
                if data.file_path is not None:
                    return await place.exists()
                return await place.holds_any()
        except StorageError as error:
            raise TaskFailed("StorageFailed", f"{data.id}: {error}") from error

    def _storage(self) -> Storage:
        return Storage(S3Settings(self._settings.region_name, self._settings.s3_endpoint_url))

    @asynccontextmanager
    async def _room(self, task: Task, fields: _Logged) -> AsyncGenerator[_Room, None]:
        """Give an attempt what it needs, and leave nothing of it but its logs."""
        directory = await asyncio.to_thread(
            tempfile.mkdtemp, prefix="aiodatapipeline-", dir=self._settings.scratch
        )
        try:
            async with self._storage() as storage:
                room = _Room(task, fields, self._settings, Path(directory), storage)
                time = LOG_TIME
                try:
                    yield room
                except asyncio.CancelledError:
                    time = LOG_TIME_CANCELED
                    room.note(f"cancelled: {task.cancelled}")
                    raise
                except Exception as error:
                    room.note(f"failed: {getattr(error, 'error_id', type(error).__name__)}")
                    raise
                else:
                    room.note("done")
                finally:
                    # Whatever happened, and even if it is cancelled meanwhile.
                    trouble = await to_its_end(room.hand_over(time))
            if trouble:
                raise TaskFailed("StagingFailed", trouble)
        finally:
            if not await to_its_end(asyncio.to_thread(_remove, Path(directory))):
                task.log.warning("%s: %s cannot be removed", task.attempt_id, directory)


class _Room:
    """What an attempt has while its command runs."""

    def __init__(
        self, task: Task, fields: _Logged, settings: BuiltIn, directory: Path, storage: Storage
    ) -> None:
        self.directory, self.storage = directory, storage
        self._task, self._fields, self._settings = task, fields, settings
        self._logs = {name: directory / name for name in (_logs.STDOUT, _logs.STDERR)}
        self._activity = ActivityLog(directory / _logs.ACTIVITY)
        # What they cannot be is told before the command runs.
        self._copies = [
            (self._place(key, address), self._logs[name])
            for key, address, name in (
                ("stdout", fields.stdout, _logs.STDOUT),
                ("stderr", fields.stderr, _logs.STDERR),
            )
            if address is not None
        ]

    def _place(self, key: str, address: str) -> Place:
        try:
            return self.storage.place(address)
        except ValueError as error:
            raise TaskFailed("InvalidTask", f"{self._fields.id}, {key}: {error}") from None

    def note(self, text: str) -> None:
        """Say what is done, in the log of the runner and in that of the attempt."""
        self._task.log.info("%s: %s", self._task.attempt_id, text)
        self._activity.write(text)

    async def run(self, fields: _Command, environment: Mapping[str, str]) -> Ended:
        """Run the command.

        Args:
            fields: What says which.
            environment: What it gets besides the runner's own.

        Raises:
            TaskFailed: It cannot be started.
        """
        try:
            ended = await run_script(
                Script(
                    file=await self._script(fields),
                    arguments=fields.script_argument,
                    stdout=self._logs[_logs.STDOUT],
                    stderr=self._logs[_logs.STDERR],
                    environment={**os.environ, **environment},
                    directory=_path(self._settings.directory),
                    shell=self._settings.shell,
                ),
                grace=self._settings.kill_grace,
            )
        except NotStartedError as error:
            raise TaskFailed("ShellCommandNotStarted", str(error)) from error
        self.note(str(ended))
        return ended

    async def sql(self, fields: SqlActivity) -> str:
        """Give the script of a SqlActivity.

        Raises:
            TaskFailed: It is not there, or is no text.
        """
        if fields.script_uri is None:
            return fields.script or ""
        file = await self._fetched(fields.script_uri)
        try:
            return await asyncio.to_thread(file.read_text, encoding="utf-8-sig")
        except UnicodeDecodeError:
            raise TaskFailed("StagingFailed", "scriptUri: the script is not in UTF-8") from None

    async def _script(self, fields: _Command) -> Path:
        if fields.script_uri is not None:
            return await self._fetched(fields.script_uri)
        file = self.directory / "script"
        await asyncio.to_thread(file.write_text, fields.command or "", encoding="utf-8")
        return file

    async def _fetched(self, address: str) -> Path:
        file = self.directory / "script"
        try:
            await self._place("scriptUri", address).fetch(file)
        except StorageError as error:
            raise TaskFailed("StagingFailed", f"scriptUri: {error}") from error
        return file

    def failure(self, ended: Ended) -> TaskFailed:
        """Tell how a command failed, with what it wrote last."""
        stderr = self._masked(_logs.tail(self._logs[_logs.STDERR]))
        said = stderr or self._masked(_logs.tail(self._logs[_logs.STDOUT]))
        last = said.rpartition("\n")[2].strip()
        return TaskFailed(
            "ShellCommandFailed",
            f"{ended}: {last}" if last else f"{ended}, and it wrote nothing",
            detail=said,
        )

    def _masked(self, text: str) -> str:
        """Take the values of encrypted fields out of a text."""
        fields = self._task.object.fields
        for secret in {field.string_value for field in fields if field.key.startswith("*")}:
            if secret and len(secret) >= _SECRET:
                text = text.replace(secret, "***")
        return text

    async def hand_over(self, seconds: float) -> str:
        """Write what the command wrote where it belongs.

        Logs that cannot be written change nothing, for the work is done all the same.

        Returns:
            Why ``stdout`` or ``stderr`` could not be written; empty if they could.
        """
        trouble = f"stdout and stderr could not be written in {seconds:g} s"
        try:
            async with asyncio.timeout(seconds):
                trouble = await self._write_copies()
                await self._write_logs()
        except TimeoutError:
            self._warn(trouble or f"its logs could not be written in {seconds:g} s")
        return trouble

    async def _write_copies(self) -> str:
        try:
            for place, file in self._copies:
                if await asyncio.to_thread(file.exists):
                    await place.put(file)
        except StorageError as error:
            self.note(str(error))
            return str(error)
        return ""

    async def _write_logs(self) -> None:
        address = self._fields.pipeline_log_uri or self._settings.log_uri
        if address is None:
            return
        files = {**self._logs, _logs.ACTIVITY: self.directory / _logs.ACTIVITY}
        try:
            await _logs.upload(files, self.storage.place(address), self._task.info)
        except (StorageError, OSError, ValueError) as error:
            self._warn(f"its logs are not kept: {error}")

    def _warn(self, text: str) -> None:
        self._task.log.warning("%s: %s", self._task.attempt_id, text)


def _path(path: str | os.PathLike[str] | None) -> Path | None:
    return None if path is None else Path(path)


def _remove(directory: Path) -> bool:
    """Remove a directory with all that is in it, which may not even be writable.

    Returns:
        Whether nothing is left. What the command has made as somebody else, in a container, say,
        changes nothing about how it ended.
    """
    for parent, directories, _ in os.walk(directory):
        for name in directories:
            path = Path(parent, name)
            if not path.is_symlink():
                with suppress(OSError):
                    path.chmod(0o700)
    shutil.rmtree(directory, ignore_errors=True)
    return not directory.exists()
