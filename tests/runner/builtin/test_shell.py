"""Scripts in process groups: how they start, how they end, and that nothing is left of them."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from aiodatapipeline.runner.builtin import _shell
from aiodatapipeline.runner.builtin._shell import (
    Ended,
    NotStartedError,
    Script,
    _is_alive,  # pyright: ignore[reportPrivateUsage]
    run_script,
)
from tests.runner.builtin.processes import PATIENCE, is_there, written


class Room:
    """A directory with a script in it and what the script wrote."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def script(
        self,
        text: str | bytes,
        *,
        arguments: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        directory: Path | None = None,
        shell: str = "/bin/sh",
    ) -> Script:
        file = self.directory / "script"
        file.write_bytes(text.encode() if isinstance(text, str) else text)
        return Script(
            file=file,
            stdout=self.directory / "out",
            stderr=self.directory / "err",
            arguments=arguments,
            environment=dict(os.environ) if environment is None else environment,
            directory=self.directory if directory is None else directory,
            shell=shell,
        )

    @property
    def out(self) -> str:
        return (self.directory / "out").read_text()

    @property
    def err(self) -> str:
        return (self.directory / "err").read_text()

    async def has(self, name: str) -> str:
        """Wait until the script has written a line into a file."""
        return await written(self.directory / name)


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return Room(tmp_path)


async def canceled(running: asyncio.Task[Ended]) -> None:
    running.cancel()
    async with asyncio.timeout(PATIENCE):
        with pytest.raises(asyncio.CancelledError):
            await running


# -- how it starts ------------------------------------------------------------------------


async def test_arguments_are_positional_parameters_and_no_shell_reads_them_again(
    room: Room,
) -> None:
    script = room.script('echo "$#:$1:$2:$3"', arguments=["a b", "$(id); `id`", ""])

    ended = await run_script(script, grace=1)

    assert ended == Ended(0)
    assert room.out == "3:a b:$(id); `id`:\n"


async def test_the_environment_is_what_is_given_and_no_more(room: Room) -> None:
    script = room.script('echo "$COLOR ${HOME-none}"', environment={"COLOR": "blue"})

    await run_script(script, grace=1)

    assert room.out == "blue none\n"


async def test_it_runs_in_the_directory_that_is_given(room: Room) -> None:
    (room.directory / "sub").mkdir()

    await run_script(room.script("pwd -P", directory=room.directory / "sub"), grace=1)

    assert room.out == f"{(room.directory / 'sub').resolve()}\n"


async def test_standard_input_is_empty(room: Room) -> None:
    async with asyncio.timeout(PATIENCE):
        ended = await run_script(room.script("cat; echo end"), grace=1)

    assert (ended, room.out) == (Ended(0), "end\n")


async def test_output_and_errors_go_into_files_byte_for_byte(room: Room) -> None:
    script = room.script(r"printf '\377\000\033[1mno newline'; printf oops >&2")

    await run_script(script, grace=1)

    assert (room.directory / "out").read_bytes() == b"\xff\0\x1b[1mno newline"
    assert room.err == "oops"


async def test_a_first_line_says_what_reads_the_script(room: Room) -> None:
    script = room.script("#!/usr/bin/env -S python3 -I\nprint(6 * 7)\n")

    ended = await run_script(script, grace=1)

    assert (ended, room.out) == (Ended(0), "42\n")


async def test_a_first_line_that_names_nothing_leaves_it_to_the_shell(room: Room) -> None:
    await run_script(room.script("#!\necho plain\n"), grace=1)

    assert room.out == "plain\n"


async def test_a_file_that_may_not_be_executed_is_run_all_the_same(room: Room) -> None:
    script = room.script("#!/bin/sh\necho ran\n")
    script.file.chmod(0o400)

    await run_script(script, grace=1)

    assert room.out == "ran\n"


async def test_a_shell_that_is_missing_is_named(room: Room) -> None:
    with pytest.raises(NotStartedError, match="there is no '/no/such/sh' on this machine"):
        await run_script(room.script("echo", shell="/no/such/sh"), grace=1)


async def test_a_directory_that_is_missing_is_named(room: Room) -> None:
    with pytest.raises(NotStartedError, match=r"there is no directory '.*/gone' to run in"):
        await run_script(room.script("echo", directory=room.directory / "gone"), grace=1)


async def test_a_shell_that_is_no_program_is_named(room: Room) -> None:
    with pytest.raises(NotStartedError, match="cannot be started: Permission denied"):
        await run_script(room.script("echo", shell=str(room.directory)), grace=1)


async def test_an_argument_that_no_program_can_get_is_refused(room: Room) -> None:
    with pytest.raises(NotStartedError, match="embedded null byte"):
        await run_script(room.script("echo", arguments=["a\0b"]), grace=1)


async def test_a_script_that_is_not_there_is_told(room: Room) -> None:
    script = room.script("echo")
    script.file.unlink()

    with pytest.raises(NotStartedError, match="the script cannot be read: No such file"):
        await run_script(script, grace=1)


# -- how it ends --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("exit 0", "exit code 0"),
        ("exit 3", "exit code 3"),
        ("kill -9 $$", "killed by SIGKILL"),
        ("sh -c 'kill -15 $$'; exit $?", "exit code 143, which stands for a command killed by "),
        ("exit 255", "exit code 255"),
    ],
)
async def test_how_it_ended_is_told(room: Room, text: str, told: str) -> None:
    ended = await run_script(room.script(text), grace=1)

    assert str(ended).startswith(told)
    assert ("stands for" in str(ended)) == ("stands for" in told)


def test_a_signal_without_a_name_is_told_by_its_number() -> None:
    assert str(Ended(-40)) == "killed by signal 40"


async def test_what_it_left_in_the_background_ends_with_it(room: Room) -> None:
    script = room.script("sleep 1000 & echo $! > child\n")

    ended = await run_script(script, grace=PATIENCE)

    assert ended == Ended(0)
    assert not is_there(await room.has("child"))


async def test_what_made_itself_a_session_is_left_alone(room: Room) -> None:
    script = room.script("setsid sh -c 'echo $$ > child; exec sleep 1000' & wait_for=$!\n"
                         "while ! test -s child; do sleep 0.01; done\n")  # fmt: skip

    await run_script(script, grace=1)

    child = await room.has("child")
    assert is_there(child)
    os.kill(int(child), signal.SIGKILL)


# -- how it is stopped --------------------------------------------------------------------


FAMILY = """
sh -c 'echo $$ > grandchild; sleep 1000; :' &
sleep 1000 &
echo $! > child
wait
"""
STUBBORN = f"trap '' TERM\n{FAMILY}\nwait\n"


@pytest.mark.parametrize(("text", "grace"), [(FAMILY, PATIENCE), (STUBBORN, 0.05)])
async def test_a_canceled_script_takes_its_family_with_it(
    room: Room, text: str, grace: float
) -> None:
    running = asyncio.create_task(run_script(room.script(text), grace=grace))
    family = [await room.has("child"), await room.has("grandchild")]
    assert all(map(is_there, family))

    await canceled(running)

    assert not any(map(is_there, family))


async def test_a_canceled_script_can_clean_up(room: Room) -> None:
    text = "trap 'echo cleaned; exit 1' TERM\necho $$ > ready\nwhile :; do sleep 0.01; done"
    running = asyncio.create_task(run_script(room.script(text), grace=PATIENCE))
    await room.has("ready")

    await canceled(running)

    assert room.out == "cleaned\n"


async def test_a_script_that_was_stopped_is_woken_to_end(room: Room) -> None:
    text = "trap 'echo woken; exit 1' TERM\necho $$ > ready\nkill -STOP $$\n"
    running = asyncio.create_task(run_script(room.script(text), grace=PATIENCE))
    await room.has("ready")

    await canceled(running)

    assert room.out in {"woken\n", ""}


async def test_a_second_cancellation_shortens_nothing(room: Room) -> None:
    text = "trap 'echo cleaned; exit 1' TERM\necho $$ > ready\nwhile :; do sleep 0.01; done"
    running = asyncio.create_task(run_script(room.script(text), grace=PATIENCE))
    await room.has("ready")

    running.cancel()
    await asyncio.sleep(0)
    await canceled(running)

    assert room.out == "cleaned\n"


async def test_a_cancellation_during_the_start_leaves_nothing(room: Room) -> None:
    for turns in range(12):
        name = f"pid{turns}"
        script = room.script(f"echo $$ > {name}\nexec sleep 1000\n")
        running = asyncio.create_task(run_script(script, grace=PATIENCE))
        for _ in range(turns):
            await asyncio.sleep(0)

        await canceled(running)

        file = room.directory / name
        assert not file.exists() or not is_there(file.read_text().strip() or "0")


async def test_a_script_that_cannot_start_while_it_is_canceled_is_only_canceled(
    room: Room,
) -> None:
    running = asyncio.create_task(run_script(room.script("", shell="/no/such/sh"), grace=1))
    await asyncio.sleep(0)

    await canceled(running)


def test_a_loop_that_ends_takes_the_script_with_it(room: Room) -> None:
    async def main() -> str:
        task = asyncio.create_task(run_script(room.script(FAMILY), grace=PATIENCE))
        del task  # asyncio.run cancels whatever is left, our inner task too
        return await room.has("grandchild")

    assert not is_there(asyncio.run(main()))


async def test_output_of_any_size_needs_no_memory(room: Room) -> None:
    before = resident()

    await run_script(room.script("head -c 300000000 /dev/zero"), grace=1)

    assert (room.directory / "out").stat().st_size == 300_000_000
    assert resident() - before < 20_000_000
    (room.directory / "out").unlink()


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.fixture
def reaper() -> Iterator[None]:
    """Have orphans given to this process, as process 1 has. Linux alone knows this."""
    set_subreaper = 36
    libc = ctypes.CDLL(None)
    assert libc.prctl(set_subreaper, 1, 0, 0, 0) == 0
    yield
    assert libc.prctl(set_subreaper, 0, 0, 0, 0) == 0


@pytest.mark.usefixtures("reaper")
async def test_orphans_are_buried_by_a_process_that_has_to(room: Room) -> None:
    await run_script(room.script("sh -c 'sleep 1000 & echo $! > child' ; exit 0"), grace=PATIENCE)

    child = int(await room.has("child"))
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)


@pytest.mark.usefixtures("reaper")
async def test_without_proc_a_group_is_alive_until_the_kernel_says_otherwise(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_shell, "_PROCESSES", room.directory / "proc")

    await run_script(room.script("sleep 1000 & echo $! > child\n"), grace=PATIENCE)

    assert not is_there(await room.has("child"))


def test_a_process_that_ended_while_it_was_looked_at_is_dead(tmp_path: Path) -> None:
    assert _shell.group_of(tmp_path / "stat") is None


def test_a_group_is_alive_while_somebody_in_it_is() -> None:
    nobody = 2**30  # more than the kernel gives

    assert (_is_alive(os.getpgrp()), _is_alive(nobody)) == (True, False)


def test_where_there_is_no_proc_somebody_in_a_group_is_alive(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(f"{_is_alive.__module__}._PROCESSES", tmp_path / "none")

    assert _is_alive(2**30)
