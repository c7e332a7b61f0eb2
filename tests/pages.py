"""The pages, as the tests read them: their blocks, and the commands in these.

``python -P tests/pages.py`` prints what installs, as a script: the session ``package`` runs it.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
PAGES = tuple(
    page.relative_to(ROOT).as_posix()
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/**/*.md")))
)

INSTALLS = re.compile(r"(\S*/)?pip |python3? -m venv |\. \S+/activate$|nox\b")
STAYS = re.compile(r"aiodatapipeline (local|run)\b.*(?<!&)$", re.DOTALL)
PROMPT = "python -m asyncio"


class Block(NamedTuple):
    """What stands between two fences."""

    page: str
    language: str
    text: str


class Command(NamedTuple):
    """A command of a shell; ``shown`` is what it prints, or None where no prompt is shown."""

    page: str
    words: str
    shown: str | None = None

    def __str__(self) -> str:
        return self.words

    @property
    def installs(self) -> bool:
        """Whether it needs a registry: only the session ``package`` may have one."""
        return INSTALLS.match(self.words) is not None

    @property
    def is_alone(self) -> bool:
        """Whether it is run by itself, and not in one shell with the others of its page."""
        return self.shown is None or STAYS.match(self.words) is not None


def text(page: str) -> str:
    """What is written on a page."""
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(*languages: str) -> Iterator[Block]:
    """The blocks of all pages, or those in some languages."""
    for page in PAGES:
        for _, language, inside in re.findall(
            r"^(`{3,})([^\n]*)\n(.*?)^\1$", text(page), re.MULTILINE | re.DOTALL
        ):
            if not languages or language in languages:
                yield Block(page, language, inside)


def commands() -> Iterator[Command]:
    """Every command of the pages, in their order."""
    for page, language, inside in blocks("console", "dockerfile", "ini"):
        joined = re.sub(r"\\\n\s*", "", inside)
        if language == "ini":
            yield from (Command(page, words) for words in re.findall(r"ExecStart=(.*)", joined))
        elif language == "dockerfile":
            yield from (Command(page, words) for words in _of_a_container(joined))
        elif joined.startswith("$ "):
            typed = re.split(r"^\$ ", joined, flags=re.MULTILINE)[1:]
            yield from (_typed(page, each) for each in typed)
        else:
            yield from (Command(page, words) for words in joined.splitlines())
    for page in PAGES:
        inline = re.findall(r"`((?:pip install|nox -s) [^`]+)`", text(page))
        yield from (Command(page, words) for words in inline)


def _typed(page: str, example: str) -> Command:
    """What stands behind a prompt, and on lines that begin with another, and what it prints."""
    words, *lines = example.splitlines()
    while lines and lines[0].startswith(">"):
        words += "\n" + lines.pop(0).removeprefix(">").removeprefix(" ")
    return Command(page, words, "\n".join(lines))


def _of_a_container(dockerfile: str) -> Iterator[str]:
    # Behind the first &&, the machine is changed.
    yield from re.findall(r"^RUN (.*?) && ", dockerfile, re.MULTILINE)
    if found := re.search(r"^ENTRYPOINT (.*)\nCMD (.*)", dockerfile, re.MULTILINE):
        yield shlex.join(word for each in found.groups() for word in json.loads(each))


def installation() -> str:
    """The commands that install, as a script for bash: those of a page in a shell of their own.

    What the sessions of nox do is run elsewhere; here it has to know their names.
    """
    pages: dict[str, list[str]] = {}
    for each in commands():
        if each.installs:
            # Braces, since -e overlooks what fails in front of an &&.
            pages.setdefault(each.page, []).append(f"{{ {each.words}\n}} || exit\n")
    alike = dict.fromkeys(f"(\n{''.join(lines)})\n" for lines in pages.values())
    return 'set -ex\nnox() { command nox --list "$@"; }\n' + "".join(alike)


if __name__ == "__main__":
    print(installation())  # noqa: T201  # is for a shell
