"""All commands together, and what becomes of their failures."""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Annotated

import typer
from pydantic import ValidationError

from aiodatapipeline._version import __version__
from aiodatapipeline.cli import (
    _definition,
    _demo,
    _doctor,
    _local,
    _logs,
    _outbox,
    _output,
    _pipelines,
    _put,
    _run,
    _runs,
    _status,
    _task,
)
from aiodatapipeline.cli._failure import Failure, told
from aiodatapipeline.definition import DefinitionError
from aiodatapipeline.errors import DataPipelineError

_NAME = "aiodatapipeline"
_DEBUG = "--debug"
# Of a program that was interrupted. Source: what shells make of SIGINT, 128 + 2.
_INTERRUPTED = 130
# Before the texts of those of our errors that pydantic, or typer by way of it, tells.
_PYDANTICS = "Value error, "
# click's, which typer brings under one name or another.
_WrongUse: type[Exception] = next(
    base for base in typer.BadParameter.__mro__ if base.__name__ == "ClickException"
)

app = typer.Typer(
    name=_NAME,
    help="AWS Data Pipeline: pipelines, task runners, and a local service to try both on.",
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
_tags = typer.Typer(help="Tags of pipelines.")
_definitions = typer.Typer(help="Definition files: check, compare, draw and format them.")
_tasks = typer.Typer(help="For shell scripts that are task runners themselves.")
_outboxes = typer.Typer(help="What a runner has not reported yet, in its state directory.")
app.add_typer(_tags, name="tags")
app.add_typer(_definitions, name="definition")
app.add_typer(_tasks, name="task")
app.add_typer(_outboxes, name="outbox")

# Group, name, function, and an example of its words.
_COMMANDS: tuple[tuple[typer.Typer, str, Callable[..., None], str], ...] = (
    (app, "create", _pipelines.create, "create nightly --tag team=etl"),
    (app, "put", _put.put, "put df-0123 nightly.json --value myTable=orders"),
    (app, "get", _put.get, "get df-0123 --version active > nightly.json"),
    (app, "validate", _put.validate, "validate df-0123 nightly.json"),
    (app, "activate", _pipelines.activate, "activate df-0123 --value myTable=orders"),
    (app, "deactivate", _pipelines.deactivate, "deactivate df-0123 --no-cancel"),
    (app, "delete", _pipelines.delete, "delete df-0123"),
    (app, "list", _pipelines.list_pipelines, "list --long"),
    (app, "describe", _pipelines.describe, "describe df-0123 --output json"),
    (app, "list-runs", _runs.list_runs, "list-runs df-0123 --status FAILED"),
    (app, "set-status", _runs.set_status, "set-status df-0123 RERUN @Load_2026-01-01T00:00:00"),
    (app, "status", _status.status, "status df-0123 --watch"),
    (app, "logs", _logs.logs, "logs df-0123 --failed"),
    (_tags, "add", _pipelines.add_tags, "tags add df-0123 team=etl stage=test"),
    (_tags, "remove", _pipelines.remove_tags, "tags remove df-0123 team stage"),
    (_definitions, "check", _definition.check_file, "definition check nightly.json"),
    (_definitions, "diff", _definition.diff, "definition diff nightly.json --pipeline df-0123"),
    (_definitions, "draw", _definition.draw, "definition draw nightly.json > nightly.svg"),
    (_definitions, "format", _definition.format_files, "definition format --check nightly.json"),
    (_tasks, "poll", _task.poll, "task poll etl > task.json"),
    (_tasks, "progress", _task.progress, "task progress TASK_ID --field percentComplete=50"),
    (_tasks, "finish", _task.finish, "task finish TASK_ID"),
    (_tasks, "fail", _task.fail, "task fail TASK_ID --message 'the disk is full'"),
    (app, "run", _run.run, "run --worker-group etl --state-dir state"),
    (_outboxes, "list", _outbox.list_rows, "outbox list --state-dir state"),
    (_outboxes, "show", _outbox.show_row, "outbox show 7 --state-dir state"),
    (_outboxes, "retry", _outbox.retry, "outbox retry --state-dir state"),
    (app, "doctor", _doctor.doctor, "doctor --region us-east-1 --state-dir state"),
    (app, "local", _local.local, "local --store pipelines.db"),
    (app, "demo", _demo.demo, "demo"),
)
for _group, _word, _function, _example in _COMMANDS:
    _group.command(_word, epilog=f"Example: {_NAME} {_example}")(_function)


def _show_version(asked: bool) -> None:  # noqa: FBT001  # typer calls it
    if asked:
        typer.echo(f"{_NAME} {__version__}")
        raise typer.Exit


@app.callback()
def _every_command(
    *,
    version: Annotated[  # its callback answers
        bool,
        typer.Option("--version", help="Show the version.", callback=_show_version, is_eager=True),
    ] = False,
    debug: Annotated[  # taken off before, since it may stand anywhere
        bool, typer.Option(_DEBUG, help="Show where an error comes from, and log more.")
    ] = False,
) -> None:
    """Say what holds for every command."""


def run(arguments: Sequence[str]) -> int:
    """Run a command and give its exit code. Failures become one sentence on standard error."""
    words = [word for word in arguments if word != _DEBUG]
    debug = len(words) < len(arguments)
    words = words or ["--help"]
    # Of other packages, only what is wrong: how credentials were found is nobody's question.
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.DEBUG if debug else logging.WARNING,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    logging.getLogger("aiodatapipeline").setLevel(logging.DEBUG if debug else logging.INFO)
    try:
        # Without it, click ends the process itself.
        code: object = typer.main.get_command(app)(words, prog_name=_NAME, standalone_mode=False)
    except (KeyboardInterrupt, typer.Abort):
        return _INTERRUPTED
    except Exception as error:  # noqa: BLE001  # no traceback is for a user
        if debug:
            traceback.print_exc()
        text, exit_code = _told(error)
        _output.note(f"{_NAME}: {' '.join(text.split())}")
        return exit_code
    return code if isinstance(code, int) else 0


def _told(error: Exception) -> tuple[str, int]:
    """Say what went wrong and what to do, and give the exit code."""
    if isinstance(error, _WrongUse):
        return _wrong_use(error), 2
    if isinstance(error, Failure):
        return str(error), error.exit_code
    if isinstance(error, ValidationError):
        return _wrong_argument(error), 2
    if isinstance(error, DataPipelineError):
        return told(error), 1
    if isinstance(error, DefinitionError):
        return str(error), 1
    return f"{type(error).__name__}: {error} (more with {_DEBUG})", 1


def _wrong_use(error: Exception) -> str:
    text = str(getattr(error, "format_message", error.__str__)()).replace(_PYDANTICS, "")
    command: str | None = getattr(getattr(error, "ctx", None), "command_path", None)
    return f"{text.rstrip('.')}; '{command} --help' shows how" if command else text


def _wrong_argument(error: ValidationError) -> str:
    """Say which argument is wrong without saying what it was: it may be secret."""
    return "; ".join(
        f"{'.'.join(map(str, each['loc'])) or 'the request'}: "
        f"{each['msg'].removeprefix(_PYDANTICS)}"
        for each in error.errors(include_input=False, include_url=False)
    )
