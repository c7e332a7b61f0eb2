"""boto3, raw aiobotocore, the SDK for JavaScript and our client hear the same answers."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Sequence
from typing import Any

import pytest

from aiodatapipeline._clock import VirtualClock
from aiodatapipeline.definition import Definition
from aiodatapipeline.local import Credential, LocalDataPipeline
from aiodatapipeline.operations import OPERATIONS
from tests.local.service import (
    HOUR,
    MINUTE,
    START,
    Object,
    at,
    every,
    from_,
    on_demand,
    ref,
    shell,
)
from tests.local.speakers import (
    PATIENCE,
    Making,
    Members,
    Speaker,
    aiobotocore,
    as_ours,
    boto3,
    javascript,
    javascript_home,
    ours,
    settings,
    wire,
)
from tests.pages import Block, blocks


class Told:
    """What a client was told, answer by answer."""

    def __init__(self, speaker: Speaker, service: LocalDataPipeline, clock: VirtualClock) -> None:
        self._speaker, self._service, self._clock = speaker, service, clock
        self.answers: list[tuple[str, Members]] = []

    async def ask(self, operation: str, **members: Any) -> Members:
        answer = await self._speaker.ask(operation, **members)
        self.answers.append((operation, answer))
        return answer

    async def query(self, **members: Any) -> list[str]:
        ids = await self._speaker.query(**members)
        self.answers.append(("the pages of QueryObjects", {"ids": ids}))
        return ids

    async def others(self, number: int) -> None:
        """Have somebody else create pipelines."""
        for each in range(number):
            asked = {"name": "many", "uniqueId": str(each)}
            await self._service.transport.send("CreatePipeline", asked, PATIENCE)

    async def passes(self, seconds: float) -> None:
        await self._clock.advance(seconds)

    async def poll_for_nothing(self, group: str) -> None:
        """A poll that is held for as long as polls are."""
        poll = asyncio.ensure_future(self.ask("PollForTask", workerGroup=group))
        async with asyncio.timeout(PATIENCE):
            while group not in self._service.worker_groups:  # noqa: ASYNC110  # nobody tells
                await asyncio.sleep(0)
        await self.passes(90)
        await poll

    async def pipeline(self, name: str, objects: Sequence[Object], **more: object) -> str:
        """Create, validate, put and activate."""
        made = await self.ask("CreatePipeline", name=name, uniqueId="1")
        pipeline_id: str = made["pipelineId"]
        body = Definition.from_mapping({"objects": objects, **more}).to_request("-").to_wire()
        definition = body | {"pipelineId": pipeline_id}
        await self.ask("ValidatePipelineDefinition", **definition)
        await self.ask("PutPipelineDefinition", **definition)
        await self.ask("ActivatePipeline", pipelineId=pipeline_id)
        await self.passes(0)
        return pipeline_id

    async def begin(self) -> str:
        """Take the task that is ready, and report on it."""
        polled = await self.ask("PollForTask", workerGroup="g", hostname="host")
        task: str = polled["taskObject"]["taskId"]
        progress = [{"key": "percentComplete", "stringValue": "50"}]
        await self.ask("ReportTaskProgress", taskId=task, fields=progress)
        return task


TEXT = 'G\u00f6\u00dfe \u2603 \U0001d11e \t\n " \\ </script>'


async def work(told: Told) -> None:
    """A run of tasks that succeed and fail, by a task runner."""
    notes: list[object] = [TEXT, "more", ref("B")]
    objects = on_demand(
        shell("A", command="echo #{myText} #{@scheduledStartTime}", myNote=notes),
        shell("B", dependsOn=ref("A"), maximumRetries="1", retryDelay="10 minutes"),
    )
    pipeline_id = await told.pipeline(
        "work",
        objects,
        parameters=[{"id": "myText", "type": "String", "description": TEXT}],
        values={"myText": TEXT},
    )
    for version in ("latest", "active"):
        await told.ask("GetPipelineDefinition", pipelineId=pipeline_id, version=version)

    task = await told.begin()
    expression = "#{@scheduledStartTime} #{myText}"
    asked = {"pipelineId": pipeline_id, "objectId": at("A"), "expression": expression}
    await told.ask("EvaluateExpression", **asked)
    await told.ask("SetTaskStatus", taskId=task, taskStatus="FINISHED")
    await told.ask("SetTaskStatus", taskId=task, taskStatus="FINISHED")
    await told.ask("ReportTaskProgress", taskId=task)
    await told.passes(0)

    failed = {"taskStatus": "FAILED", "errorId": "E", "errorMessage": TEXT}
    for _ in range(2):
        task = await told.begin()
        await told.ask("SetTaskStatus", taskId=task, errorStackTrace="x" * 1024, **failed)
        await told.passes(10 * MINUTE)
    await told.poll_for_nothing("g")
    await told.ask("ReportTaskRunnerHeartbeat", taskrunnerId="r", workerGroup="g", hostname="host")

    ids = await told.query(pipelineId=pipeline_id, sphere="INSTANCE")
    ids += await told.query(pipelineId=pipeline_id, sphere="ATTEMPT", limit=1)
    for each in (False, True):
        described = {"pipelineId": pipeline_id, "objectIds": ids, "evaluateExpressions": each}
        await told.ask("DescribeObjects", **described)
    await told.ask("DescribePipelines", pipelineIds=[pipeline_id])


async def control(told: Told) -> None:
    """A schedule, and what people do to it."""
    schedule = from_("2025-12-31T19:00:00", endDateTime="2026-01-01T04:00:00")
    pipeline_id = await told.pipeline("control", every("1 hour", shell("A"), schedule=schedule))
    named = {"pipelineId": pipeline_id}
    ids = await told.query(**named, sphere="INSTANCE", limit=2)
    for status, objects in (
        ("PAUSE", ["A"]),
        ("resume", ["A"]),
        ("TRY_CANCEL", ids[:2]),
        ("RERUN", ids[:1]),
        ("MARK_FINISHED", ids[1:3]),
        ("RERUN", ["A"]),
        ("NO_SUCH", ids[:1]),
    ):
        await told.ask("SetStatus", **named, objectIds=objects, status=status)
        await told.passes(0)
        await told.ask("DescribeObjects", **named, objectIds=["A", *ids])
    for field, kind, values in (
        ("@status", "EQ", ["FINISHED", "RUNNING"]),
        ("@componentParent", "REF_EQ", ["A"]),
        ("@scheduledStartTime", "BETWEEN", ["2025-12-31T20:00:00", "2025-12-31T22:00:00"]),
        ("@scheduledStartTime", "LE", ["2025-12-31T20:00:00"]),
        ("@actualStartTime", "GE", ["2026-01-01T00:00:00"]),
        ("no such field", "EQ", ["1"]),
    ):
        selector = {"fieldName": field, "operator": {"type": kind, "values": values}}
        query = {"selectors": [selector]}
        await told.ask("QueryObjects", **named, sphere="INSTANCE", query=query)

    await told.ask("DeactivatePipeline", **named, cancelActive=False)
    await told.passes(0)
    await told.ask("DescribePipelines", pipelineIds=[pipeline_id])
    since = START.timestamp() - HOUR
    given = [{"id": "myValue", "stringValue": TEXT}]
    await told.ask("ActivatePipeline", **named, startTimestamp=since, parameterValues=given)
    await told.passes(HOUR)
    await told.ask("DescribeObjects", **named, objectIds=ids)
    await told.ask("DeactivatePipeline", **named)
    await told.ask("DeletePipeline", **named)
    await told.ask("DescribePipelines", pipelineIds=[pipeline_id])
    await told.ask("DeletePipeline", **named)


async def names(told: Told) -> None:
    """Pipelines by the page, tags, and what is refused."""
    tags = [{"key": "owner", "value": TEXT}, {"key": "empty", "value": ""}]
    made = await told.ask("CreatePipeline", name=TEXT, uniqueId="u", description=TEXT, tags=tags)
    named = {"pipelineId": made["pipelineId"]}
    await told.ask("CreatePipeline", name=TEXT, uniqueId="u")
    await told.ask("AddTags", **named, tags=[{"key": "owner", "value": "me"}])
    await told.ask("RemoveTags", **named, tagKeys=["empty", "none"])
    await told.ask("DescribePipelines", pipelineIds=[made["pipelineId"]])
    await told.others(50)
    page = await told.ask("ListPipelines")
    await told.ask("ListPipelines", marker=page["marker"])
    await told.ask("ListPipelines", marker="none")

    wrong = [{"id": "A", "name": "A", "fields": [{"key": "type", "stringValue": "SqlActivity"}]}]
    for operation in ("ValidatePipelineDefinition", "PutPipelineDefinition"):
        await told.ask(operation, **named, pipelineObjects=wrong)
    await told.ask("PutPipelineDefinition", **named, pipelineObjects=[wrong[0], wrong[0]])
    await told.ask("ActivatePipeline", **named)
    await told.ask("GetPipelineDefinition", **named, version="first")
    await told.ask("DescribeObjects", **named, objectIds=["A", "B"])
    await told.ask("DescribeObjects", **named, objectIds=["A"])
    await told.ask("SetTaskStatus", taskId="none", taskStatus="FAILED", errorId="E")
    await told.ask("EvaluateExpression", **named, objectId="A", expression="#{")
    for operation in sorted(OPERATIONS):
        if "pipeline_id" in OPERATIONS[operation].request.model_fields:
            await told.ask(operation, **{**_LEAST.get(operation, {}), "pipelineId": "df-none"})


_LEAST: dict[str, dict[str, object]] = {
    "AddTags": {"tags": []},
    "RemoveTags": {"tagKeys": []},
    "PutPipelineDefinition": {"pipelineObjects": []},
    "ValidatePipelineDefinition": {"pipelineObjects": []},
    "DescribeObjects": {"objectIds": []},
    "EvaluateExpression": {"objectId": "A", "expression": "1"},
    "QueryObjects": {"sphere": "INSTANCE"},
    "SetStatus": {"objectIds": [], "status": "PAUSE"},
}


# -- the comparison -------------------------------------------------------------------------------


async def tell(making: Making | None, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Members]]:
    """Give what a client hears from a service whose ids and times are always the same."""
    clock = VirtualClock(START)
    async with LocalDataPipeline(seed=1, clock=clock) as service:
        for name, value in settings(service.endpoint_url).items():
            monkeypatch.setenv(name, value)
        async with making() if making else wire(service.endpoint_url) as speaker:
            told = Told(speaker, service, clock)
            for story in (work, control, names):
                await story(told)
    return told.answers


@pytest.fixture(scope="module")
def heard() -> list[tuple[str, Members]]:
    """What goes over the wire."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        return asyncio.run(tell(None, monkeypatch))


def test_the_scenario_has_every_operation_and_code(heard: list[tuple[str, Members]]) -> None:
    assert {operation for operation, _ in heard} >= set(OPERATIONS)
    assert {answer.get("code") for _, answer in heard} == {
        None,
        "InvalidRequestException",
        "PipelineDeletedException",
        "PipelineNotFoundException",
        "TaskNotFoundException",
    }


@pytest.mark.parametrize("making", [boto3, aiobotocore, javascript], ids=lambda each: each.__name__)
async def test_an_sdk_hears_what_goes_over_the_wire(
    heard: list[tuple[str, Members]], making: Making, monkeypatch: pytest.MonkeyPatch
) -> None:
    for one, other in zip(await tell(making, monkeypatch), heard, strict=True):
        assert one == other


async def test_our_client_hears_what_goes_over_the_wire(
    heard: list[tuple[str, Members]], monkeypatch: pytest.MonkeyPatch
) -> None:
    for (operation, one), (_, other) in zip(await tell(ours, monkeypatch), heard, strict=True):
        assert one == as_ours(operation, other)


@pytest.mark.parametrize(
    "making", [boto3, aiobotocore, javascript, ours], ids=lambda each: each.__name__
)
async def test_a_client_signs_as_is_verified(
    making: Making, monkeypatch: pytest.MonkeyPatch
) -> None:
    credential = Credential("s3cret", session_token="t/+=")
    async with LocalDataPipeline(credentials={"AKID": credential}) as service:
        for name, value in settings(service.endpoint_url).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("AWS_SESSION_TOKEN", "t/+=")
        async with making() as speaker:
            made = await speaker.ask("CreatePipeline", name=TEXT, uniqueId="1")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
        async with making() as speaker:
            refused = await speaker.ask("CreatePipeline", name="n", uniqueId="1")

    assert made["pipelineId"].startswith("df-")
    assert (refused["code"], refused["status"]) == ("InvalidSignatureException", 400)


@pytest.mark.parametrize("block", [*blocks("javascript")], ids=lambda block: block.page)
async def test_the_javascript_of_a_page_makes_a_pipeline(block: Block) -> None:
    async with LocalDataPipeline() as service, service.client() as client:
        node = await asyncio.create_subprocess_exec(
            "node", "--input-type=module", "--eval",
            block.text.replace("http://127.0.0.1:4180", service.endpoint_url),
            cwd=javascript_home(), stderr=subprocess.PIPE,
        )  # fmt: skip
        async with asyncio.timeout(PATIENCE):
            _, told = await node.communicate()
        made = [pipeline.name async for pipeline in client.list_pipelines()]

    assert made == ["nightly"], told
