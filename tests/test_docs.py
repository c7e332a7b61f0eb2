"""The examples of README.md and docs/ do what they show.

A page is read from top to bottom. Its Python is run, at the level of the module, where it may
``await``; ``client`` is an open client. What it prints has to stand in the text block below it.
JSON is in ``shown``, for a hidden block to take and use.
The service is a small account on 127.0.0.1, which hidden blocks can tell what to answer.
"""

from __future__ import annotations

import ast
import asyncio
import io
import json
import re
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections import Counter, defaultdict, deque
from collections.abc import Mapping
from contextlib import redirect_stdout
from importlib import import_module
from pathlib import Path
from textwrap import dedent

import pytest
from sybil import Document, Example
from sybil.parsers.markdown import CodeBlockParser

from aiodatapipeline import DataPipelineClient, models, runner
from aiodatapipeline.runner import Task
from tests.integration.server import Answer, Received, Server, http, refusal
from tests.pages import PAGES, PROMPT, ROOT, blocks, commands, text

READ = ("python", "text", "json")
SPHINX = "the session docs"
# What runs the blocks of a language.
RUN = {
    **dict.fromkeys(READ, "test_the_examples_of_a_page_do_what_they_show"),
    # And what installs, in the session package.
    "console": "test_the_sessions_of_a_page_go_as_they_show",
    "dockerfile": "test_a_command_that_is_shown_by_itself_works",
    "ini": "test_a_unit_of_the_pages_is_one_for_systemd",
    "javascript": "test_the_javascript_of_a_page_makes_a_pipeline",
    "yaml": "test_the_probes_of_the_pages_find_a_runner_that_works_and_miss_one_that_is_gone",
    "{eval-rst}": SPHINX,
    "{toctree}": SPHINX,
    # tests/test_examples.py runs these programs.
    **{
        f"{{literalinclude}} ../../examples/{program.name}": SPHINX
        for program in ROOT.glob("examples/[!_]*.py")
    },
}
# The literal blocks in docstrings, which are in the reference.
EXAMPLES = {
    ".".join(path.relative_to(ROOT / "src").with_suffix("").parts): example
    for path in ROOT.glob("src/**/*.py")
    for example in re.findall(r"::\n\n((?: {4}.*\n|\n)+)", path.read_text(encoding="utf-8"))
}

JOB = "@Job_2026-01-01T00:00:00"
TASK = {
    "taskId": "task-1",
    "pipelineId": "df-00627471SOVYZEXAMPLE",
    "attemptId": f"{JOB}_Attempt=1",
    "objects": {
        f"{JOB}_Attempt=1": {
            "id": f"{JOB}_Attempt=1",
            "name": f"{JOB}_Attempt=1",
            "fields": [
                {"key": "command", "stringValue": "echo hello"},
                {"key": "input", "refValue": "Monday"},
                {"key": "input", "refValue": "Tuesday"},
            ],
        }
    },
}
# What a page needs beside what the tests have: a session of its own has it.
NEEDS = {"docs/how-to/executors.md": "distributed"}
PIPELINE = {
    "pipelineId": "df-0001",
    "name": "nightly",
    "fields": [{"key": "@pipelineState", "stringValue": "SCHEDULED"}],
}
INSTANCE = {"id": JOB, "name": JOB, "fields": [{"key": "@status", "stringValue": "FINISHED"}]}
ANSWERS: Mapping[str, Mapping[str, object]] = {
    "CreatePipeline": {"pipelineId": "df-00627471SOVYZEXAMPLE"},
    "DescribeObjects": {"pipelineObjects": [INSTANCE]},
    "DescribePipelines": {"pipelineDescriptionList": [PIPELINE]},
    "PollForTask": {"taskObject": TASK},
    "QueryObjects": {"ids": [JOB]},
    "PutPipelineDefinition": {"errored": False},
    "ReportTaskProgress": {"canceled": False},
}
PIPELINES = {
    None: {
        "pipelineIdList": [{"id": "df-00627471SOVYZEXAMPLE", "name": "nightly"}],
        "marker": "page-2",
        "hasMoreResults": True,
    },
    "page-2": {
        "pipelineIdList": [{"id": "df-08372641SOVYZEXAMPLE", "name": "hourly"}],
        "hasMoreResults": False,
    },
}


class Account:
    """Two pipelines and a task. What it is told to answer comes first."""

    def __init__(self) -> None:
        self._told: defaultdict[str, deque[Answer]] = defaultdict(deque)

    def answer(self, operation: str, body: bytes, status: int) -> None:
        self._told[operation].append(http(body, status))

    def refuse(self, operation: str, code: str, message: str, times: int = 1) -> None:
        self._told[operation].extend([refusal(code, message)] * times)

    def forget(self) -> None:
        self._told.clear()

    async def __call__(self, request: Received) -> Answer:
        if told := self._told[request.operation]:
            return told.popleft()
        if request.operation == "ListPipelines":
            return http(PIPELINES[request.members.get("marker")])
        return http(ANSWERS.get(request.operation, {}))


class Reader:
    """Runs blocks of Python, and compares what they print with the text below them."""

    def __init__(self, runner: asyncio.Runner) -> None:
        self._runner = runner
        self._printed = ""

    def read(self, page: Path, account: Account) -> None:
        parsers = map(CodeBlockParser, READ, (self.run, self.compare, self.show))
        document = Document.parse(str(page), *parsers)
        client = DataPipelineClient(region_name="us-east-1")
        self._runner.run(client.open())
        document.namespace.update(client=client, service=account, __name__="__main__", shown=[])
        try:
            for example in document.examples():
                example.evaluate()
            self.nothing_is_left(page.name)
            assert not document.namespace["shown"], "there is JSON that no hidden block has taken"
        finally:
            self._runner.run(client.aclose())

    def run(self, example: Example) -> None:
        self.nothing_is_left(f"{example.path}, above line {example.line}")
        code = compile(
            "\n" * (example.line + example.parsed.line_offset) + example.parsed,
            example.path,
            "exec",
            flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT,
            dont_inherit=True,
        )
        with redirect_stdout(io.StringIO()) as printed:
            coroutine = eval(code, example.namespace)  # None if there is no await in it
            if coroutine is not None:
                self._runner.run(coroutine)
        self._printed = printed.getvalue()

    def compare(self, example: Example) -> None:
        shown, printed = str(example.parsed).strip(), self._printed.strip()
        self._printed = ""
        assert printed == shown

    def show(self, example: Example) -> None:
        example.namespace["shown"].append(json.loads(example.parsed))

    def nothing_is_left(self, where: str) -> None:
        assert not self._printed, f"{where}: printed and not shown: {self._printed!r}"


@pytest.mark.parametrize("page", sorted({each.page for each in blocks(*READ)}))
async def test_the_examples_of_a_page_do_what_they_show(
    page: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = Account()
    if page in NEEDS:
        pytest.importorskip(NEEDS[page])

    def read() -> None:
        # In a thread, so that an example may call asyncio.run.
        with asyncio.Runner() as runner:
            Reader(runner).read(ROOT / page, account)

    async with Server(handler=account) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_DATA_PIPELINE", server.url)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")

        await asyncio.to_thread(read)


@pytest.mark.skipif(
    sys.version_info >= (3, 13), reason="from 3.13 on, it takes blocks from a terminal alone"
)
@pytest.mark.parametrize("page", [each.page for each in commands() if each.words == PROMPT])
async def test_a_page_can_be_typed_at_the_prompt_that_it_begins_with(page: str) -> None:
    shown = [each.text for each in blocks("text") if each.page == page]
    typed = [f"{each.text}\n\n" for each in blocks("python") if each.page == page]

    prompt = await asyncio.create_subprocess_exec(
        sys.executable, *PROMPT.split()[1:], stdin=PIPE, stdout=PIPE, stderr=DEVNULL
    )
    said, _ = await prompt.communicate("".join(typed).encode())

    assert re.sub(r"^(>>> |\.\.\. )*\n?", "", said.decode(), flags=re.MULTILINE) == "".join(shown)


def written() -> set[str]:
    """The names of all tests."""
    return {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^(?:async )?def (test_\w+)", path.read_text("utf-8"), re.MULTILINE)
    }


def test_something_runs_each_block_of_a_page() -> None:
    read = Counter(each.page for each in blocks())
    fences = {page: len(re.findall(r"^\s*(?:```|~~~)", text(page), re.MULTILINE)) for page in PAGES}
    special = "\n".join(each.text for each in blocks("dockerfile", "ini"))
    directives = "\n".join(each.text for each in blocks("{eval-rst}"))

    assert fences == {page: 2 * read[page] for page in PAGES}
    assert [(page, language) for page, language, _ in blocks() if language not in RUN] == [
        ("CONTRIBUTING.md", ""),  # a map: see below
        ("docs/how-to/task-runner-jar.md", ""),  # what AWS alone has, and is to be replaced
    ]
    assert set(re.findall(r"^([A-Z]{2,} |Exec\w+)", special, re.MULTILINE)) == {
        *("FROM ", "USER ", "VOLUME ", "RUN ", "ENTRYPOINT ", "CMD ", "HEALTHCHECK "),
        "ExecStart",
    }
    assert re.findall(r"(code-block|sourcecode|::\n\n)", directives) == []
    assert set(RUN.values()) <= {SPHINX} | written()


def test_the_map_of_the_repository_shows_what_is_there() -> None:
    (tree,) = (each.text for each in blocks("") if each.page == "CONTRIBUTING.md")
    rows = re.findall(r"^((?:  ){0,3})(\S+)  +\S", tree, re.MULTILINE)
    at: list[str] = []
    paths: list[str] = []
    for indent, name in rows:
        at[len(indent) // 2 :] = [name]
        paths.append("".join(at))

    assert len(paths) > 30
    assert [path for path in paths if not Path(ROOT, path).exists()] == []


@pytest.mark.parametrize("file", [".ci/run", ".github/workflows/ci.yml"])
def test_each_session_is_described_and_run(file: str) -> None:
    if not Path(ROOT, file).exists():
        pytest.skip(f"the sdist has no {file}")
    named = {*re.findall(r"^@nox\.session.*\ndef (\w+)", text("noxfile.py"), re.MULTILINE)}
    lines = re.findall(r"^(?:sessions=|.* -s )(.*)", text(file), re.MULTILINE)

    described = re.findall(r"^\| `(\w+)` \|", text("CONTRIBUTING.md"), re.MULTILINE)

    assert sorted(described) == sorted(named)
    assert named & {*re.findall(r"\w+", " ".join(lines))} == named - {"bench"}


@pytest.mark.parametrize("module", sorted(EXAMPLES))
async def test_the_example_in_a_docstring_runs(module: str) -> None:
    async def shell(task: Task) -> None:
        await task.progress(percent_complete=50)

    names = {**vars(runner), **vars(models), **vars(import_module(module)), "shell": shell}
    # In brackets, or coverage.py looks for a file of that name.
    code = compile(dedent(EXAMPLES[module]), f"<{module}>", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)

    coroutine = eval(code, names)
    if coroutine is not None:
        await coroutine


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_links_lead_to_files_that_are_there(page: str) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", text(page))

    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_page_of_failures_names_each_failure_and_scenario_and_tests_that_are_there() -> None:
    page = text("docs/explanation/failures.md")
    rows = re.findall(r"^\| (A?\d+) \|.*\| (.+) \|$", page, re.MULTILINE)

    named = [re.findall(r"`(test_\w+)`", tests) for _, tests in rows]

    assert [row for row, _ in rows] == [
        *(str(number) for number in range(1, 33)),
        *(f"A{number}" for number in range(1, 50)),
    ]
    assert all(named), "a row names no test"
    assert sorted({each for names in named for each in names} - written()) == []
