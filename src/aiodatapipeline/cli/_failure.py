"""How a command says that it failed."""

from __future__ import annotations


class Failure(Exception):  # noqa: N818  # it is shown to nobody by its name
    """A command failed, and here is the sentence that says why.

    Args:
        message: What is wrong, and what to do.
        exit_code: 2 for a wrong use of the command, 1 for all else.
    """

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code
