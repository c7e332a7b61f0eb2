"""Run a script in a process group of its own, of which nothing is left in the end.

It knows nothing of tasks. POSIX only: elsewhere there are no process groups to signal.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

from aiodatapipeline.runner.builtin._aside import to_its_end

# Between two looks at whether a process group is gone, of which nothing tells: the first and the
# longest. Seconds.
_FIRST_LOOK, _LAST_LOOK = 0.002, 0.1
# What SIGKILL has not ended by then hangs in the kernel, and no signal ends it. Seconds.
_KILLED_BY = 5.0
# A kernel reads this much of a script's first line. Source: Linux, BINPRM_BUF_SIZE.
_FIRST_LINE = 256
# What a shell adds to the number of the signal that ended its command. Source: POSIX, sh.
_SIGNALED = 128
# Source: Linux, proc_pid_stat(5).
_PROCESSES = Path("/proc")
_DEAD = (b"Z", b"X", b"x")


class NotStartedError(Exception):
    """A script that could not even be started; the text says why."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a process ended."""

    code: int
    """The exit code; the negative number of the signal that ended it."""

    def __str__(self) -> str:
        if self.code < 0:
            return f"killed by {_signal_name(-self.code)}"
        if name := _signal_name(self.code - _SIGNALED):
            return f"exit code {self.code}, which stands for a command killed by {name}"
        return f"exit code {self.code}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}" if number in signal.valid_signals() else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """A file to run, and with what.

    Its output goes into files, so that a gigabyte of it is no memory; it reads an empty input.
    """

    file: Path
    stdout: Path
    stderr: Path
    environment: Mapping[str, str]
    """All of it: nothing is inherited."""
    arguments: Sequence[str] = ()
    directory: Path | None = None
    """Where it runs; where this process runs if None."""
    shell: str = "/bin/sh"
    """What reads it, unless its first line names something else."""


async def run_script(script: Script, *, grace: float) -> Ended:
    """Run a script until it ends, or until this call is cancelled.

    Either way its process group is told to end, and killed if it does not: whatever the script
    started goes with it, unless it made itself a session of its own (``setsid``).

    Args:
        script: What to run.
        grace: Seconds between SIGTERM and SIGKILL.

    Raises:
        NotStartedError: There is no shell, no directory to run in, or the like.
    """
    stop = asyncio.Event()
    return await to_its_end(_run(script, stop, grace), stop.set)


async def _run(script: Script, stop: asyncio.Event, grace: float) -> Ended:
    command = await asyncio.to_thread(_command, script)
    # Without an await in between: whoever cancels us finds it unborn or here.
    process = _Process(script, command)
    try:
        await _first_of(process.ended, stop)
    finally:
        await process.end_group(grace)
    code = process.returncode
    if code is None:  # pragma: no cover  # no test can make a process that stays
        raise NotStartedError("the script hangs in the kernel, where no signal ends it")
    return Ended(code)


async def _first_of(*events: asyncio.Event) -> None:
    async with asyncio.TaskGroup() as group:
        waits = [group.create_task(event.wait()) for event in events]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()


def _command(script: Script) -> list[str]:
    """Give what the kernel would make of the script.

    The file itself is not executed: for that it would have to be closed in every process that
    is being forked at this moment, and to lie on a file system that allows it.
    """
    try:
        with script.file.open("rb") as file:
            first_line = file.read(_FIRST_LINE).partition(b"\n")[0]
    except OSError as error:
        raise NotStartedError(f"the script cannot be read: {error.strerror}") from error
    interpreter: list[str] = []
    if first_line.startswith(b"#!"):
        # A program and one argument at most, which keeps its spaces.
        interpreter = os.fsdecode(first_line[2:].strip()).split(maxsplit=1)
    return [*(interpreter or [script.shell]), str(script.file), *script.arguments]


def _why_not(error: OSError | ValueError, program: str, directory: Path | None) -> str:
    if directory is not None and not directory.is_dir():
        return f"there is no directory {str(directory)!r} to run in"
    if isinstance(error, FileNotFoundError):
        return f"there is no {program!r} on this machine, which should run the script"
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return f"{program!r}, which should run the script, cannot be started: {reason}"


class _Process:
    """A script that runs, and the group that it leads."""

    def __init__(self, script: Script, command: Sequence[str]) -> None:
        self.ended = asyncio.Event()
        """When the script has; of its group somebody may still be there."""
        try:
            with script.stdout.open("wb") as stdout, script.stderr.open("wb") as stderr:
                self._popen = subprocess.Popen(  # noqa: S603  # to run a task's script is its purpose
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=stdout,
                    stderr=stderr,
                    env=script.environment,
                    cwd=script.directory,
                    start_new_session=True,  # the first process of a session leads a group
                )
        except (OSError, ValueError) as error:
            raise NotStartedError(_why_not(error, command[0], script.directory)) from error
        loop = asyncio.get_running_loop()
        Thread(target=self._wait, args=(loop,), name="aiodatapipeline-wait", daemon=True).start()

    def _wait(self, loop: asyncio.AbstractEventLoop) -> None:
        self._popen.wait()
        with suppress(RuntimeError):  # the loop is closed: nobody waits
            loop.call_soon_threadsafe(self.ended.set)

    @property
    def returncode(self) -> int | None:
        """The exit code, or the negative number of a signal; None while the script runs."""
        return self._popen.returncode if self.ended.is_set() else None

    async def end_group(self, grace: float) -> None:
        """Make an end of the script and all that is left in its group."""
        try:
            # One that is stopped would not notice before it goes on.
            if self._send(signal.SIGTERM) and self._send(signal.SIGCONT):
                await self._gone_within(grace)
        finally:
            self._send(signal.SIGKILL)
        await self._gone_within(_KILLED_BY)

    async def _gone_within(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.ended.wait()
                look = _FIRST_LOOK
                # Whether a group is empty at the first look is up to the kernel.
                while self._send(0) and await asyncio.to_thread(  # pragma: no cover
                    _is_alive, self._popen.pid
                ):
                    await asyncio.sleep(look)  # nothing tells when a group is empty
                    look = min(2 * look, _LAST_LOOK)

    def _send(self, number: int) -> bool:
        """Send a signal to the group; False if nobody is left who could get it.

        As long as somebody is, the kernel gives the group's number to no other. That it is given
        away between the end of the last one and this call would take a whole round of numbers.
        """
        if self.ended.is_set():
            # The orphans are ours to bury if we are process 1, as in a container.
            with suppress(ChildProcessError):
                while os.waitpid(-self._popen.pid, os.WNOHANG)[0]:
                    pass
        try:
            os.killpg(self._popen.pid, number)
        except (ProcessLookupError, PermissionError):
            return False
        return True


def _is_alive(group: int) -> bool:
    """Whether somebody in a group lives; the dead count for as long as nobody buries them.

    Where there is no /proc, somebody does.
    """
    if not _PROCESSES.is_dir():
        return True
    return any(group_of(file) == group for file in _PROCESSES.glob("[0-9]*/stat"))


def group_of(file: Path) -> int | None:
    """Read from /proc which group a process is in; None if it is dead."""
    try:
        # Behind the name, which can hold anything: state, parent, group.
        state, _, group = file.read_bytes().rpartition(b")")[2].split()[:3]
    except OSError:  # it ended just now
        return None
    return None if state in _DEAD else int(group)
