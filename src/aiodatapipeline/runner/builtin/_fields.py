"""What the objects of tasks say, as far as it matters to who runs them."""

from __future__ import annotations

from typing import ClassVar

from pydantic import BaseModel, ConfigDict, model_validator

from aiodatapipeline.models import Ref


class Logged(BaseModel):
    """What is said of the logs and the output of whatever is done."""

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, hide_input_in_errors=True)

    id: str
    stdout: str | None = None
    stderr: str | None = None
    pipeline_log_uri: str | None = None


class Command(Logged):
    """What a shell command's object says, as an activity and as a precondition."""

    command: str | None = None
    script_uri: str | None = None
    script_argument: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _one_script(self) -> Command:
        if (self.command is None) == (self.script_uri is None):
            raise ValueError("it needs a command or a scriptUri, and not both")
        if self.script_uri is not None and self.script_argument:
            raise ValueError("a scriptArgument is for a command, not for a scriptUri")
        return self


class ShellCommandActivity(Command):
    """The fields of a ShellCommandActivity that matter to who runs it."""

    stage: bool = False


class ShellCommandPrecondition(Command):
    """The fields of a ShellCommandPrecondition that matter to who runs it."""


class CopyActivity(Logged):
    """The fields of a CopyActivity that matter beside what it copies."""


class SqlActivity(Logged):
    """The fields of a SqlActivity that matter to who runs it."""

    database: Ref
    script: str | None = None
    script_uri: str | None = None
    script_argument: tuple[str, ...] = ()
    queue: str | None = None

    @model_validator(mode="after")
    def _one_script(self) -> SqlActivity:
        if (self.script is None) == (self.script_uri is None):
            raise ValueError("it needs a script or a scriptUri, and not both")
        return self


class Exists(BaseModel):
    """The fields of an Exists that matter to who runs it."""

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True)

    id: str
    node: Ref
    """The data that is to exist."""
