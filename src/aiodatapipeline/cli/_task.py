"""``aiodatapipeline task``: for shell scripts that are task runners themselves."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable
from typing import Annotated, TypeAlias

import typer

from aiodatapipeline._failure import MAX_MESSAGE_BYTES, MAX_STACK_TRACE
from aiodatapipeline._text import clean, cut_bytes, cut_middle
from aiodatapipeline.cli import _output
from aiodatapipeline.cli._command import Context, connected, pairs, printed
from aiodatapipeline.cli._failure import Failure
from aiodatapipeline.cli._output import Answer
from aiodatapipeline.models import Field, TaskStatus

# A script has to tell that there is nothing to do from a failure (1): no task came, or the one
# it has is cancelled.
_NOTHING_TO_DO = 3
# Of a stack trace that is too long, what is kept of its beginning.
_HEAD = 300
_STDIN = "-"

TaskId: TypeAlias = Annotated[
    str,
    typer.Argument(
        metavar="TASK_ID",
        envvar="AIODATAPIPELINE_TASK_ID",
        help="As 'task poll' gave it. The variable keeps it from those who list processes.",
    ),
]


@printed
async def poll(
    context: Context,
    *,
    worker_group: Annotated[
        str, typer.Argument(metavar="WORKER_GROUP", help="Compared exactly, letter case included.")
    ],
    hostname: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Shown at the attempt; this machine's if left out."),
    ] = None,
    show_secrets: Annotated[
        bool, typer.Option("--show-secrets", help="Print the values of secret fields, too.")
    ] = False,
) -> str:
    """Wait up to 90 seconds for a task, and print it as JSON.

    If none came, nothing is printed, and the exit code is 3. Report progress within two minutes,
    and once a minute from then on: otherwise, another runner is given the task.
    """
    answer = await context.client.poll_for_task(
        worker_group, hostname=hostname or socket.gethostname()
    )
    if answer.task_object is None:
        raise typer.Exit(_NOTHING_TO_DO)
    return _output.written(_output.document_of(answer.task_object, show_secrets=show_secrets))


@connected
async def progress(
    context: Context,
    *,
    task_id: TaskId,
    field: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="For people. Can be given several times."),
    ] = None,
) -> Answer:
    """Say that a task is being worked on, which keeps it.

    The exit code is 3 if the task was cancelled: stop then, and report nothing more.
    """
    found = pairs(field or (), "field")
    fields = [Field.of(key, value) for key, values in found.items() for value in values]
    answer = await context.client.report_task_progress(task_id, fields=fields)
    text = "The task is cancelled: stop." if answer.canceled else "The task is still yours."
    return Answer(_output.document_of(answer), [text], _NOTHING_TO_DO if answer.canceled else 0)


@connected
async def finish(
    context: Context,
    *,
    task_id: TaskId,
    not_met: Annotated[
        bool, typer.Option("--not-met", help="Of a precondition: it is not met (FALSE).")
    ] = False,
) -> Answer:
    """Report that a task is FINISHED."""
    status = TaskStatus.FALSE if not_met else TaskStatus.FINISHED
    await context.client.set_task_status(task_id, status)
    return _reported(status)


@connected
async def fail(
    context: Context,
    *,
    task_id: TaskId,
    message: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="What went wrong; - reads it from standard input."),
    ] = None,
    error_id: Annotated[
        str | None, typer.Option(metavar="ID", help="A word for it, such as DiskFull.")
    ] = None,
    stack_trace: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Where it happened; - as for the message.")
    ] = None,
) -> Answer:
    """Report that a task FAILED.

    Texts that are too long for the service are cut: a message to 2048 bytes, a stack trace to
    1024 characters.
    """
    if message == stack_trace == _STDIN:
        raise Failure("only one of --message and --stack-trace can be read from standard input", 2)
    texts = [
        None if each is None else clean(_read() if each == _STDIN else each)
        for each in (message, stack_trace)
    ]
    await context.client.set_task_status(
        task_id,
        TaskStatus.FAILED,
        error_id=error_id,
        error_message=None if texts[0] is None else cut_bytes(texts[0], MAX_MESSAGE_BYTES),
        error_stack_trace=None
        if texts[1] is None
        else cut_middle(texts[1], MAX_STACK_TRACE, _HEAD),
    )
    return _reported(TaskStatus.FAILED)


def _read() -> str:
    """Read standard input, whatever bytes a log has: a failure has to be reported."""
    reconfigure: Callable[..., None] | None = getattr(sys.stdin, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="replace")
    return sys.stdin.read()


def _reported(status: TaskStatus) -> Answer:
    return Answer({"taskStatus": status.value}, [f"The task is reported {status.value}."])
