"""A task runner with three handlers: async, in a thread, and in a process of its own.

    pip install 'aiodatapipeline[cli]'
    aiodatapipeline run task_runner:runner --state-dir state

Each is called with the fields of its object, in a model that names those it needs.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from pydantic import BaseModel

from aiodatapipeline.models import Ref
from aiodatapipeline.runner import SyncTask, Task, TaskFailed, TaskRunner

runner = TaskRunner("etl")


class CopyActivity(BaseModel):
    """Copies a file of this machine."""

    input: Ref
    output: Ref


@runner.handler(CopyActivity)
async def copy(task: Task, fields: CopyActivity) -> None:
    """Look up what the fields refer to, and do what blocks in a thread."""
    source, target = [
        (await task.resolve(node)).string("filePath") for node in (fields.input, fields.output)
    ]
    if source is None or target is None:
        raise TaskFailed("NoFile", "the input and the output need a filePath")
    await task.progress(source=source)
    # What it writes under another name first is whole, however often it is called.
    part = f"{target}.{task.attempt_id}"
    await asyncio.to_thread(shutil.copyfile, source, part)
    await asyncio.to_thread(os.replace, part, target)


class SqlActivity(BaseModel):
    """Runs a statement in a database of SQLite."""

    script: str
    script_argument: list[str] = []


@runner.handler(SqlActivity, run_in="thread")
def sql(task: SyncTask, fields: SqlActivity) -> None:
    """Block a thread, and let it go when the task is cancelled."""
    path = os.environ.get("ORDERS_DATABASE", "orders.db")
    with closing(sqlite3.connect(path, check_same_thread=False)) as database:
        task.on_cancel(database.interrupt)  # another thread calls it
        with database:
            database.execute(fields.script, fields.script_argument)


class HadoopActivity(BaseModel):
    """Digests the files that its arguments name."""

    argument: list[str]


@runner.handler(HadoopActivity, run_in="process")
def digest(task: SyncTask, fields: HadoopActivity) -> None:
    """Keep a processor busy, where it holds up nobody and can be ended."""
    for number, name in enumerate(fields.argument):
        path = Path(name)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        path.with_suffix(".sha256").write_text(f"{digest}  {path.name}\n", encoding="utf-8")
        task.progress(percent_complete=100 * (number + 1) / len(fields.argument))


if __name__ == "__main__":
    runner.main()
