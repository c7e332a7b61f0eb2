"""The handlers themselves: what is done for a task of each type, in a few words."""

from __future__ import annotations

from aiodatapipeline.runner._runner import TaskRunner
from aiodatapipeline.runner._task import Task, TaskFailed
from aiodatapipeline.runner.builtin._copy import copy
from aiodatapipeline.runner.builtin._databases import find_database
from aiodatapipeline.runner.builtin._fields import (
    CopyActivity,
    Exists,
    ShellCommandActivity,
    ShellCommandPrecondition,
    SqlActivity,
)
from aiodatapipeline.runner.builtin._places import StorageError
from aiodatapipeline.runner.builtin._query import query
from aiodatapipeline.runner.builtin._room import entered, storage_of
from aiodatapipeline.runner.builtin._settings import BuiltIn
from aiodatapipeline.runner.builtin._staging import Staging, node


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
        async with entered(task, fields, self._settings) as room:
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
        async with entered(task, fields, self._settings) as room:
            room.note(await copy(task, room.storage, room.directory))

    async def sql(self, task: Task, fields: SqlActivity) -> None:
        async with entered(task, fields, self._settings) as room:
            login = await find_database(task, fields.database)
            script = await room.sql(fields)
            count = await query(task, login, script, fields.script_argument, fields.queue)
            room.note(f"{count} statements run")

    async def precondition(self, task: Task, fields: ShellCommandPrecondition) -> bool:
        async with entered(task, fields, self._settings) as room:
            return (await room.run(fields, {})).code == 0

    async def exists(self, task: Task, fields: Exists) -> bool:
        data = await node(task, fields.node.id)
        try:
            async with storage_of(self._settings) as storage:
                place = data.place(storage)
                if data.file_path is not None:
                    return await place.exists()
                return await place.holds_any()
        except StorageError as error:
            raise TaskFailed("StorageFailed", f"{data.id}: {error}") from error
