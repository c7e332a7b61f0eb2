"""All commands together, and what becomes of their failures."""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Sequence
from functools import cache, partial
from importlib import import_module
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from typer.core import TyperGroup

from aiodatapipeline._version import __version__
from aiodatapipeline.cli import _output
from aiodatapipeline.cli._failure import Failure, told
from aiodatapipeline.errors import DataPipelineError

_NAME = "aiodatapipeline"
_DEBUG = "--debug"
# Of a program that was interrupted. Source: what shells make of SIGINT, 128 + 2.
_INTERRUPTED = 130
# Before the texts of those of our errors that pydantic, or typer by way of it, tells.
_PYDANTICS = "Value error, "
# click's, which typer brings under one name or another.
WrongUse: type[Exception] = next(
    base for base in typer.BadParameter.__mro__ if base.__name__ == "ClickException"
)


_GROUPS = {
    "tags": "Tags of pipelines.",
    "definition": "Definition files: check, compare, draw and format them.",
    "task": "For shell scripts that are task runners themselves.",
    "outbox": "What a runner has not reported yet, in its state directory.",
}
# A command's words, its module and function, what may follow the words, and the first line of
# the function's docstring. So nothing is imported before somebody asks for it.
# fmt: off
_COMMANDS = (
    ("create", "_pipelines:create", "nightly --tag team=etl",
     "Create an empty pipeline, and print its id."),
    ("put", "_put:put", "df-0123 nightly.json --value myTable=orders",
     "Replace the whole definition of a pipeline."),
    ("get", "_put:get", "df-0123 --version active > nightly.json",
     "Print the definition of a pipeline: a file for 'put'."),
    ("validate", "_put:validate", "df-0123 nightly.json",
     "Have the service check a definition, and save nothing."),
    ("activate", "_pipelines:activate", "df-0123 --value myTable=orders",
     "Start a pipeline, or let a deactivated one go on."),
    ("deactivate", "_pipelines:deactivate", "df-0123 --no-cancel",
     "Stop a pipeline; 'activate' lets it go on."),
    ("delete", "_pipelines:delete", "df-0123",
     "Delete a pipeline, its definition and its history."),
    ("list", "_pipelines:list_pipelines", "--long",
     "List all pipelines that these credentials can see."),
    ("describe", "_pipelines:describe", "df-0123 --output json",
     "Describe a pipeline, or objects of it: all their fields."),
    ("list-runs", "_runs:list_runs", "df-0123 --status FAILED",
     "List the runs of a pipeline, also those of long ago."),
    ("set-status", "_runs:set_status", "df-0123 RERUN @Load_2026-01-01T00:00:00",
     "Pause, resume, rerun, cancel or mark as finished."),
    ("status", "_status:status", "df-0123 --watch",
     "Show how a pipeline is, once or until it has ended."),
    ("logs", "_logs:logs", "df-0123 --failed",
     "Show the errors of attempts, and where their logs are."),
    ("tags add", "_pipelines:add_tags", "df-0123 team=etl stage=test",
     "Add tags to a pipeline, or overwrite those with the same keys."),
    ("tags remove", "_pipelines:remove_tags", "df-0123 team stage",
     "Remove tags from a pipeline."),
    ("definition check", "_definition:check_file", "nightly.json",
     "Find what is wrong with a definition file, without a service."),
    ("definition diff", "_definition:diff", "nightly.json --pipeline df-0123",
     "Show what differs in two files, or in a pipeline and a file."),
    ("definition draw", "_definition:draw", "nightly.json > nightly.svg",
     "Draw the graph of a definition file, on standard output."),
    ("definition format", "_definition:format_files", "--check nightly.json",
     "Write definition files anew, in a format that is always the same."),
    ("task poll", "_task:poll", "etl > task.json",
     "Wait up to 90 seconds for a task, and print it as JSON."),
    ("task progress", "_task:progress", "TASK_ID --field percentComplete=50",
     "Say that a task is being worked on, which keeps it."),
    ("task finish", "_task:finish", "TASK_ID",
     "Report that a task is FINISHED."),
    ("task fail", "_task:fail", "TASK_ID --message 'the disk is full'",
     "Report that a task FAILED."),
    ("run", "_run:run", "--worker-group etl --state-dir state",
     "Take tasks from worker groups, run them, and report them."),
    ("outbox list", "_outbox:list_rows", "--state-dir state",
     "List the tasks whose outcomes the service does not have yet."),
    ("outbox show", "_outbox:show_row", "7 --state-dir state",
     "Show all that is known of a task."),
    ("outbox retry", "_outbox:retry", "--state-dir state",
     "Deliver what the service does not have yet, and take no work."),
    ("doctor", "_doctor:doctor", "--region us-east-1 --state-dir state",
     "Look whether a task runner could work here."),
    ("local", "_local:local", "--store pipelines.db",
     "Serve a Data Pipeline on this machine."),
    ("demo", "_demo:demo", "",
     "Run a whole pipeline on this machine, and show what happens."),
)
# fmt: on


class _Group(TyperGroup):
    """Lists its commands by the table, and imports the one that is asked for.

    All of them together take longer to import than most take to run, and a script calls many.
    """

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Give the name, the command and the other words."""
        name, command, rest = super().resolve_command(ctx, args)
        words = f"{self.name} {name}" if self.name in _GROUPS else name
        return name, _imported(words) or command, rest


@cache
def _imported(words: str) -> Any:
    """Give a command as it is; None if these are the words of none."""
    for each, place, example, _ in _COMMANDS:
        if each == words:
            module, _, function = place.partition(":")
            alone = _typer()
            _add(alone, words, example)(getattr(import_module(f"{__package__}.{module}"), function))
            return _plain(typer.main.get_command(alone))
    return None


def _plain(command: Any) -> Any:
    """Have a help write words as the reference does: PIPELINE, not {PIPELINE} or PIPELINE <str>."""
    for each in command.params:
        if each.param_type_name == "argument":
            each.display_type_rich = _untold
            each.get_usage_pieces = partial(_usage, each)
    return command


def _untold(ctx: Any) -> None:  # typer calls it so
    """Say nothing of a type."""


def _usage(argument: Any, _: Any) -> list[str]:  # the oldest typer leaves out the dots
    word = argument.metavar if argument.required else f"[{argument.metavar}]"
    return [f"{word}..." if argument.nargs == -1 else word]


def _add(group: typer.Typer, words: str, example: str, summary: str | None = None) -> Any:
    """Decorate a function that becomes a command. Its docstring is the help, or the summary."""
    epilog = _epilog(words, example)
    return group.command(words.rpartition(" ")[2], help=summary, epilog=epilog)


def _epilog(words: str, example: str) -> str:
    return f"Example: {' '.join((_NAME, words, example)).strip()}"


def _typer(name: str = "", text: str | None = None, first: str = "") -> typer.Typer:
    """Make a group, with the example of a command of it."""
    return typer.Typer(
        name=name,
        cls=_Group,
        help=text,
        epilog=next((_epilog(*each[::2]) for each in _COMMANDS if each[0] == first), None),
        add_completion=name == _NAME,
        context_settings={"help_option_names": ["--help", "-h"]},
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )


def _stand_in() -> None:
    """Stand in a list for a command that is imported when it is asked for."""


app = _typer(
    _NAME, "AWS Data Pipeline: pipelines, task runners, and a local service to try both on.", "demo"
)
_groups = {
    name: _typer(name, text, next(each[0] for each in _COMMANDS if each[0].startswith(f"{name} ")))
    for name, text in _GROUPS.items()
}
for _each in _groups.values():
    app.add_typer(_each)
for _words, _, _example, _summary in _COMMANDS:
    _add(_groups.get(_words.partition(" ")[0], app), _words, _example, _summary)(_stand_in)


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
    except SystemExit as error:
        # typer and rich end the process themselves when nobody reads a help or a table.
        if isinstance(error.__context__, BrokenPipeError):
            return _output.nobody_reads()
        raise
    except Exception as error:  # noqa: BLE001  # no traceback is for a user
        if debug:
            traceback.print_exc()
        text, exit_code = _told(error)
        _output.note(f"{_NAME}: {' '.join(text.split())}")
        return exit_code
    return code if isinstance(code, int) else 0


def _told(error: Exception) -> tuple[str, int]:
    """Say what went wrong and what to do, and give the exit code."""
    # Whoever raises it has imported it.
    from aiodatapipeline.definition import DefinitionError  # noqa: PLC0415

    if isinstance(error, WrongUse):
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
    # Where something is suggested, it ends with a question mark.
    joint = " " if text.endswith("?") else "; "
    if (variable := getattr(getattr(error, "param", None), "envvar", None)) and "Missing" in text:
        text = f"{text.rstrip('.')}, or the variable {variable}"
    return f"{text.rstrip('.')}{joint}'{command} --help' shows how" if command else text


def _wrong_argument(error: ValidationError) -> str:
    """Say which argument is wrong without saying what it was: it may be secret."""
    return "; ".join(
        f"{'.'.join(map(str, each['loc'])) or 'the request'}: "
        f"{each['msg'].removeprefix(_PYDANTICS)}"
        for each in error.errors(include_input=False, include_url=False)
    )
