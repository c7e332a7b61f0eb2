"""What comes in pages can be awaited, iterated, and taken page by page."""

from __future__ import annotations

from typing import assert_type

from aiodatapipeline import (
    DataPipelineClient,
    DescribeObjectsResponse,
    ListPipelinesResponse,
    QueryObjectsResponse,
)
from aiodatapipeline.models import PipelineIdName, PipelineObject


async def awaited_it_is_one_page(client: DataPipelineClient) -> None:
    assert_type(await client.list_pipelines(), ListPipelinesResponse)
    assert_type(await client.describe_objects("df-1", ["Job"]), DescribeObjectsResponse)
    assert_type(await client.query_objects("df-1", "INSTANCE"), QueryObjectsResponse)


async def iterated_it_is_the_items(client: DataPipelineClient) -> None:
    async for pipeline in client.list_pipelines(max_items=5):
        assert_type(pipeline, PipelineIdName)
    async for one in client.describe_objects("df-1", ["Job"]):
        assert_type(one, PipelineObject)
    async for object_id in client.query_objects("df-1", "INSTANCE"):
        assert_type(object_id, str)

    names = [pipeline.name async for pipeline in client.list_pipelines()]
    assert_type(names, list[str])


async def pages_are_responses(client: DataPipelineClient) -> None:
    pager = client.list_pipelines()

    async for page in pager.pages():
        assert_type(page, ListPipelinesResponse)
    assert_type(pager.resume_marker, str | None)


async def what_waits_is_not_iterated_at_once(client: DataPipelineClient) -> None:
    # It is an asynchronous iterable and no plain one.
    for _ in client.list_pipelines():  # type: ignore[attr-defined]  # pyright: ignore[reportGeneralTypeIssues, reportUnknownVariableType]
        break
