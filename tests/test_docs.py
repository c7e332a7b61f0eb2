"""The examples of README.md and docs/ do what they show.

A page is read from top to bottom. Its Python is run, at the level of the module, where it may
``await``; ``client`` is an open client. What it prints has to stand in the text block below it.
The service is a small account on 127.0.0.1, which hidden blocks can tell what to answer.
"""

from __future__ import annotations

import ast
import asyncio
import io
import re
from collections import defaultdict, deque
from collections.abc import Mapping
from contextlib import redirect_stdout
from pathlib import Path

import pytest
from sybil import Document, Example
from sybil.parsers.markdown import CodeBlockParser

from aiodatapipeline import DataPipelineClient
from tests.integration.server import Answer, Received, Server, http, refusal

ROOT = Path(__file__).parent.parent
PAGES = [
    page
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
    if "```python" in page.read_text(encoding="utf-8")
]

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
NEEDS = {"executors.md": "distributed"}
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
        document = Document.parse(
            str(page), CodeBlockParser("python", self.run), CodeBlockParser("text", self.compare)
        )
        client = DataPipelineClient(region_name="us-east-1")
        self._runner.run(client.open())
        document.namespace.update(client=client, service=account, __name__="__main__")
        try:
            for example in document.examples():
                example.evaluate()
            self.nothing_is_left(page.name)
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

    def nothing_is_left(self, where: str) -> None:
        assert not self._printed, f"{where}: printed and not shown: {self._printed!r}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
async def test_the_examples_of_a_page_do_what_they_show(
    page: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = Account()
    if page.name in NEEDS:
        pytest.importorskip(NEEDS[page.name])

    def read() -> None:
        # In a thread, so that an example may call asyncio.run.
        with asyncio.Runner() as runner:
            Reader(runner).read(page, account)

    async with Server(handler=account) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_DATA_PIPELINE", server.url)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")

        await asyncio.to_thread(read)


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_links_lead_to_files_that_are_there(page: str) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", (ROOT / page).read_text(encoding="utf-8"))

    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_page_of_failures_names_each_failure_and_scenario_and_tests_that_are_there() -> None:
    page = (ROOT / "docs" / "explanation" / "failures.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (A?\d+) \|.*\| (.+) \|$", page, re.MULTILINE)
    written = {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^(?:async )?def (test_\w+)", path.read_text("utf-8"), re.MULTILINE)
    }

    named = [re.findall(r"`(test_\w+)`", tests) for _, tests in rows]

    assert [row for row, _ in rows] == [
        *(str(number) for number in range(1, 33)),
        *(f"A{number}" for number in range(1, 50)),
    ]
    assert all(named), "a row names no test"
    assert sorted({each for names in named for each in names} - written) == []
