"""All commands together: their help, their examples, their pages, and what they import."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from aiodatapipeline.cli import _app, main
from tests.cli.conftest import Cli

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "command-line.md"
# Seconds, so that a test which waits for what does not come fails and does not hang.
PATIENCE = 30


def commands(command: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command, by its words. What typer is made of has no types."""
    inner: dict[str, Any] | None = getattr(command, "commands", None)
    if inner is None:
        yield words, command
        return
    context = command.make_context("a group", ["a command"])
    for name in inner:
        _, each, _ = command.resolve_command(context, [name])
        yield from commands(each, (*words, name))


def summaries(command: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """What the lists of commands say of each of them."""
    for name, each in command.commands.items():
        if hasattr(each, "commands"):
            yield from summaries(each, (*words, name))
        else:
            yield (*words, name), each.get_short_help_str(1000)


def options(command: Any) -> set[str]:
    """The long options of a command, without those that all have."""
    found = {name for each in command.params for name in (*each.opts, *each.secondary_opts)}
    return {name for name in found if name.startswith("--")} - {
        "--endpoint-url", "--region", "--profile", "--output", "--help",
    }  # fmt: skip


ROOT = typer.main.get_command(_app.app)
COMMANDS = dict(commands(ROOT))
SUMMARIES = dict(summaries(ROOT))
each_command = pytest.mark.parametrize("words", COMMANDS, ids=" ".join)


@each_command
def test_each_command_has_a_help_with_an_example(words: tuple[str, ...], cli: Cli) -> None:
    shown = " ".join(cli(*words, "--help").stdout.split())

    assert f"Example: aiodatapipeline {' '.join(words)}" in shown


@pytest.mark.parametrize("group", ["", "tags", "definition", "task", "outbox"])
def test_each_group_has_a_help_with_an_example(group: str, cli: Cli) -> None:
    (example,) = [
        line.removeprefix("Example: aiodatapipeline ")
        for line in cli(*group.split(), "--help").rows
        if line.startswith("Example: ")
    ]

    assert any(example.startswith(" ".join(words)) for words in COMMANDS)
    assert example.startswith(group)


@each_command
def test_a_help_names_words_as_the_reference_does(words: tuple[str, ...], cli: Cli) -> None:
    shown = cli(*words, "--help").stdout
    usage = " ".join(shown.partition("\n\n")[0].split())

    assert "{" not in usage
    assert re.findall(r"^  [A-Z_:=]+ <", shown, re.MULTILINE) == []
    reference = re.search(rf"^#+ `({' '.join(words)}[^`]*)`$", PAGE.read_text(), re.MULTILINE)
    assert reference is not None
    assert usage.replace(" [OPTIONS]", "") == f"Usage: aiodatapipeline {reference[1]}"


@each_command
def test_a_list_of_commands_says_of_each_what_its_help_begins_with(words: tuple[str, ...]) -> None:
    assert SUMMARIES[words] == COMMANDS[words].help.partition("\n")[0]


@each_command
def test_a_list_of_commands_has_room_for_what_it_says(words: tuple[str, ...], cli: Cli) -> None:
    listed = cli(*words[:-1], "--help").rows

    assert f"{words[-1]} {SUMMARIES[words]}" in listed


@each_command
def test_each_value_has_a_name_that_tells_what_it_is(words: tuple[str, ...], cli: Cli) -> None:
    shown = cli(*words, "--help").stdout.partition("Options:")[2]

    assert re.findall(r"^  (--[a-z-]+) <[a-z]+[>\[ ]", shown, re.MULTILINE) == []


@each_command
def test_an_example_is_a_right_use(words: tuple[str, ...]) -> None:
    example = str(COMMANDS[words].epilog).removeprefix("Example: aiodatapipeline ")
    given = shlex.split(example.partition(" > ")[0])

    context = COMMANDS[words].make_context("example", given[len(words) :])

    assert tuple(given[: len(words)]) == words
    assert context.args == []


def test_help_is_given_without_what_takes_long_to_import() -> None:
    script = (
        "import atexit, sys\n"
        "from aiodatapipeline.cli import main, program\n"
        "def slow():\n"
        "    ours = ('aiodatapipeline.' + name for name in ('definition', 'local', 'runner'))\n"
        "    names = ('aiobotocore', 'aiohttp', 'botocore', *ours)\n"
        "    return [name for name in sys.modules if name.startswith(names)]\n"
        "assert main(['--help']) == 0\n"
        "assert main(['task', '--help']) == 0\n"
        "assert main(['status', '--help']) == 0\n"
        "atexit.register(lambda: print(slow(), file=sys.stderr))\n"
        "sys.argv = ['aiodatapipeline', '--version']\n"
        "program()\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )

    assert done.stderr == "[]\n"


@pytest.mark.parametrize("group", ["tags", "definition", "task"])
def test_a_group_without_a_command_says_where_help_is(group: str, cli: Cli) -> None:
    assert f"'aiodatapipeline {group} --help' shows how" in cli(group, exit_code=2).sentence


@pytest.mark.parametrize(
    ("words", "word"),
    [
        (["status", ""], "PIPELINE"),
        (["describe", "df-0", "Load", ""], "OBJECT"),
        (["tags", "remove", "df-0", ""], "KEY"),
        (["task", "poll", ""], "WORKER_GROUP"),
    ],
)
def test_an_empty_word_is_told_by_its_name_and_asked_of_nobody(
    words: list[str], word: str, cli: Cli
) -> None:
    told = cli(*words, exit_code=2).sentence

    assert told.endswith(f"{word} is empty: is a variable of the shell not set?")


def test_a_word_that_a_variable_can_have_is_missed_with_its_name(cli: Cli) -> None:
    told = cli("task", "finish", exit_code=2).sentence

    assert "Missing argument 'TASK_ID', or the variable AIODATAPIPELINE_TASK_ID;" in told


def test_help_has_a_short_name(cli: Cli) -> None:
    assert cli("status", "-h").stdout == cli("status", "--help").stdout


def test_a_command_that_is_nearly_right_is_suggested(cli: Cli) -> None:
    said = cli("deactivat", exit_code=2).sentence

    assert said.endswith(
        "Did you mean 'deactivate', 'activate'? 'aiodatapipeline --help' shows how"
    )


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("sta", ["status"]),
        ("task f", ["fail", "finish"]),
        ("set-status df-0 R", ["RERUN", "RESUME"]),
    ],
)
def test_a_shell_completes_commands_and_what_they_take(
    line: str,
    words: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("_AIODATAPIPELINE_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", f"aiodatapipeline {line}")
    monkeypatch.setenv("COMP_CWORD", str(len(line.split())))

    with pytest.raises(SystemExit) as ended:
        main([])

    assert ended.value.code == 0
    assert sorted(capsys.readouterr().out.split()) == words


# -- the pages ------------------------------------------------------------------------------------


_CALL = r"(?:^(?:> +)?|\$ |\$\(|&& |/bin/)aiodatapipeline ([a-z].*)$"


def shown() -> Iterator[tuple[str, list[str]]]:
    """The pages with every call of the command in their blocks, as words."""
    root = PAGE.parents[2]
    for page in (root / "README.md", *sorted((root / "docs").rglob("*.md"))):
        blocks = re.findall(r"^```.*?^```$", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)
        for call in re.findall(_CALL, "\n".join(blocks).replace("\\\n", ""), re.MULTILINE):
            # Of a line of the shell, what belongs to this command.
            words = shlex.split(re.split(r" (?:2?> |[|&])|\)", call)[0])
            # A line of output begins like a call of it, now and then.
            if (words[0],) in COMMANDS or tuple(words[:2]) in COMMANDS:
                yield page.name, words


def test_the_pages_show_right_uses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIODATAPIPELINE_TASK_ID", "where scripts have it")
    wrong: list[str] = []
    calls = list(shown())
    for page, words in calls:
        path = next(each for each in COMMANDS if list(each) == words[: len(each)])
        try:
            COMMANDS[path].make_context("page", words[len(path) :])
        except _app.WrongUse as error:
            wrong.append(f"{page}: {words}: {error}")

    assert wrong == []
    assert len(calls) > 50


# -- the page of the reference ----------------------------------------------------------------


def sections() -> dict[tuple[str, ...], str]:
    """The text of the page about each command."""
    parts = re.split(r"^### `(.+)`$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {
        tuple(word for word in heading.split() if re.fullmatch(r"[a-z][a-z-]*", word)): text
        for heading, text in zip(parts[1::2], parts[2::2], strict=True)
    }


def test_the_reference_has_each_command_and_no_other() -> None:
    assert sorted(sections()) == sorted(COMMANDS)


@each_command
def test_the_reference_has_each_option_and_no_other(words: tuple[str, ...]) -> None:
    told = set(re.findall(r"`(--[a-z-]+)", sections()[words]))

    # What all have may be mentioned anywhere.
    told -= {"--endpoint-url", "--region", "--profile", "--output"}
    assert told == options(COMMANDS[words])
