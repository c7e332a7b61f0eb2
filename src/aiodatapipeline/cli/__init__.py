"""The command ``aiodatapipeline``: words on a terminal <-> calls on this package.

Each group of commands is a module of its own, which ``_app`` adds. They need typer and rich,
the extra ``cli``; without them this says so.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NoReturn

__all__ = ["main"]


def program() -> NoReturn:
    """Be the program that was started: run a command, and exit with its exit code."""
    exit_code = main()
    # Only a task runner may leave something behind, and is long to import.
    if "aiodatapipeline.runner" in sys.modules:
        from aiodatapipeline.runner._program import leave  # noqa: PLC0415

        leave(exit_code)
    sys.exit(exit_code)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: Those of the command line, if they are left out.

    Returns:
        The exit code: 0 for success, 2 for a wrong use, 1 for any other failure.
    """
    try:
        from aiodatapipeline.cli import _app  # noqa: PLC0415  # typer may be missing
    except ModuleNotFoundError as error:
        if error.name not in {"typer", "rich"}:
            raise
        print(  # noqa: T201  # it is for who typed the command
            f"aiodatapipeline: {error.name} is not installed: "
            "pip install 'aiodatapipeline[cli]' brings what the command line needs",
            file=sys.stderr,
        )
        return 1
    return _app.run(sys.argv[1:] if arguments is None else arguments)
