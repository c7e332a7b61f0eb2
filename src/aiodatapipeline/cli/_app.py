"""All commands together, and what becomes of their failures."""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated

import typer

from aiodatapipeline._version import __version__
from aiodatapipeline.cli import _demo, _doctor, _local, _outbox, _run
from aiodatapipeline.cli._failure import Failure
from aiodatapipeline.errors import DataPipelineError

_NAME = "aiodatapipeline"
_DEBUG = "--debug"
# Of a program that was interrupted. Source: what shells make of SIGINT, 128 + 2.
_INTERRUPTED = 130
# click's, which typer brings under one name or another.
_WrongUse: type[Exception] = next(
    base for base in typer.BadParameter.__mro__ if base.__name__ == "ClickException"
)

app = typer.Typer(
    name=_NAME,
    help="AWS Data Pipeline: task runners, a local service, and tools for both.",
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("demo")(_demo.demo)
app.command("run")(_run.run)
app.add_typer(_outbox.outbox, name="outbox")
app.command("doctor")(_doctor.doctor)
app.command("local")(_local.local)


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
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.DEBUG if debug else logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    try:
        # Without it, click ends the process itself.
        code: object = typer.main.get_command(app)(words, prog_name=_NAME, standalone_mode=False)
    except _WrongUse as error:
        return _tell(getattr(error, "format_message", error.__str__)(), 2, debug=debug)
    except Failure as error:
        return _tell(str(error), error.exit_code, debug=debug)
    except DataPipelineError as error:
        return _tell(str(error), 1, debug=debug)
    except (KeyboardInterrupt, typer.Abort):
        return _INTERRUPTED
    except Exception as error:  # noqa: BLE001  # no traceback is for a user
        text = f"{type(error).__name__}: {error} (more with {_DEBUG})"
        return _tell(text, 1, debug=debug)
    return code if isinstance(code, int) else 0


def _tell(text: str, code: int, *, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    typer.echo(f"{_NAME}: {' '.join(text.split())}", err=True)
    return code
