"""A script of SQL, run in a database.

Source: developer guide, "SqlActivity". What it leaves open is in docs/how-to/sql.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from aiodatapipeline.runner._task import Task, TaskFailed
from aiodatapipeline.runner.builtin._databases import Login
from aiodatapipeline.runner.builtin._halt import Halt, in_own_thread, teller
from aiodatapipeline.runner.builtin._statements import Statement, manages_transactions, statements

if TYPE_CHECKING:
    from aiodatapipeline.runner.builtin._sql import Mode


async def query(
    task: Task, login: Login, script: str, arguments: Sequence[str], queue: str | None
) -> int:
    """Run a script, and give the number of its statements.

    Several statements are one transaction, unless they begin or end some of their own. A single
    one is none, for some cannot be in one.

    Args:
        task: The task.
        login: The database.
        script: The statements.
        arguments: One for each placeholder, in their order; if there are none, nothing is one.
        queue: Of Redshift: the query group.

    Raises:
        TaskFailed: They do not go together, or the database refuses.
    """
    found = statements(script, login.kind)
    if not found:
        raise TaskFailed("InvalidTask", "the script has no statement")
    wanted = sum(each.placeholders for each in found)
    if arguments and wanted != len(arguments):
        raise TaskFailed(
            "InvalidTask",
            f"the script has {wanted} placeholders (?), and there are {len(arguments)} "
            "scriptArguments",
        )
    mode: Mode = "each" if len(found) == 1 or manages_transactions(found) else "write"
    tell = teller(task)

    def work(halt: Halt) -> None:
        rest = list(arguments)
        with login.opened(halt, mode) as session:
            if queue is not None and login.kind == "redshift":
                session.run(_in_group(queue), about="queue")
            for number, statement in enumerate(found, 1):
                count = statement.placeholders
                values, rest = rest[:count], rest[count:]
                session.run(
                    statement,
                    values if arguments else None,
                    about=f"statement {number} of {len(found)}",
                )
                tell("statements_run", number)

    await in_own_thread(work)
    return len(found)


def _in_group(queue: str) -> Statement:
    [statement] = statements("SET query_group TO '" + queue.replace("'", "''") + "'", "redshift")
    return statement
