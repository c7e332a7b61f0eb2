"""The AWS CLI for one command after the other, since it takes half a second to begin.

Run as a program: a line of standard input is a JSON array of arguments, and a line of standard
output then tells the exit code, and what the command wrote to its two outputs.
"""

from __future__ import annotations

import io
import json
import sys
from contextlib import redirect_stderr, redirect_stdout
from importlib import import_module
from typing import Any


def run(driver: Any, arguments: list[str]) -> tuple[object, str, str]:
    with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
        try:
            code = driver.main(["datapipeline", *arguments]) or 0
        except SystemExit as wrong_use:
            code = wrong_use.code
    return code, out.getvalue(), err.getvalue()


if __name__ == "__main__":
    driver: Any = import_module("awscli.clidriver").create_clidriver()
    for line in sys.stdin:
        sys.stdout.write(json.dumps(run(driver, json.loads(line))) + "\n")
        sys.stdout.flush()
