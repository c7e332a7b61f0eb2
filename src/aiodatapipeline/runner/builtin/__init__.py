"""Handlers of types that AWS's own task runner knows: commands, SQL, copies, and preconditions.

``add_builtin(runner)`` and ``runner.run()`` are a task runner that needs no code of yours.
"""

from aiodatapipeline.runner.builtin._fields import (
    CopyActivity,
    Exists,
    ShellCommandActivity,
    ShellCommandPrecondition,
    SqlActivity,
)
from aiodatapipeline.runner.builtin._handlers import add_builtin
from aiodatapipeline.runner.builtin._settings import BuiltIn

__all__ = [
    "BuiltIn",
    "CopyActivity",
    "Exists",
    "ShellCommandActivity",
    "ShellCommandPrecondition",
    "SqlActivity",
    "add_builtin",
]
