"""What an attempt has while it runs: a directory, its logs, and the command that works in it."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from aiodatapipeline._secrets import Secrets, is_secret
from aiodatapipeline.runner._task import Task, TaskFailed
from aiodatapipeline.runner.builtin import _logs
from aiodatapipeline.runner.builtin._aside import to_its_end
from aiodatapipeline.runner.builtin._fields import Command, Logged, SqlActivity
from aiodatapipeline.runner.builtin._logs import ActivityLog
from aiodatapipeline.runner.builtin._places import Place, StorageError
from aiodatapipeline.runner.builtin._settings import BuiltIn
from aiodatapipeline.runner.builtin._shell import Ended, NotStartedError, Script, run_script
from aiodatapipeline.runner.builtin._storage import Storage

# Seconds that the logs of an attempt get to be written where they belong. A canceled handler has
# to be over sooner: it gets 30 seconds by default, and the command its part of them.
LOG_TIME, LOG_TIME_CANCELED = 120.0, 10.0


@asynccontextmanager
async def entered(task: Task, fields: Logged, settings: BuiltIn) -> AsyncGenerator[Room]:
    """Give an attempt what it needs, and leave nothing of it but its logs.

    Raises:
        TaskFailed: What the command wrote could not be put where it belongs.
    """
    async with _scratch(task, settings) as directory, storage_of(settings) as storage:
        room = Room(task, fields, settings, directory, storage)
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


def storage_of(settings: BuiltIn) -> Storage:
    """Give what finds the places that a task names."""
    return Storage(settings.region_name, settings.s3_endpoint_url)


@asynccontextmanager
async def _scratch(task: Task, settings: BuiltIn) -> AsyncGenerator[Path]:
    """Make a directory, and remove it although the wait for it is cancelled."""
    made: list[str] = []

    def make() -> None:
        made.append(tempfile.mkdtemp(prefix="aiodatapipeline-", dir=settings.scratch))

    try:
        await to_its_end(asyncio.to_thread(make))
        yield Path(made[0])
    finally:
        for each in made:
            if not await to_its_end(asyncio.to_thread(_remove, Path(each))):
                task.log.warning("%s: %s cannot be removed", task.attempt_id, each)


class Room:
    """What an attempt has while its command runs."""

    def __init__(
        self, task: Task, fields: Logged, settings: BuiltIn, directory: Path, storage: Storage
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

    async def run(self, fields: Command, environment: Mapping[str, str]) -> Ended:
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

    async def _script(self, fields: Command) -> Path:
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
        fields = self._task.object.fields
        secrets = Secrets(each.string_value for each in fields if is_secret(each.key))
        said = _logs.tail(self._logs[_logs.STDERR], secrets) or _logs.tail(
            self._logs[_logs.STDOUT], secrets
        )
        last = said.rpartition("\n")[2].strip()
        return TaskFailed(
            "ShellCommandFailed",
            f"{ended}: {last}" if last else f"{ended}, and it wrote nothing",
            detail=said,
        )

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
