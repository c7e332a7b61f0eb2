"""An application of FastAPI that has a client for as long as it lives.

    pip install aiodatapipeline fastapi uvicorn
    uvicorn fastapi_app:app

Region and credentials come from where the AWS tools look for them, and so does the endpoint:
AWS_ENDPOINT_URL_DATA_PIPELINE=http://127.0.0.1:4180 is a local service.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request, status
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from aiodatapipeline import (
    DataPipelineClient,
    DataPipelineError,
    PipelineDeletedException,
    PipelineNotFoundException,
)


class Summary(BaseModel):
    """How a pipeline is."""

    name: str
    state: str | None
    runs: dict[str, int]
    """How many there are, by their status."""


def create_app(client: DataPipelineClient) -> FastAPI:
    """Make an application with a client of its own, which is open while the application runs."""

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncGenerator[None, None]:
        async with client:
            yield

    app = FastAPI(lifespan=lifespan)

    @app.get("/pipelines")
    async def pipelines() -> dict[str, str]:
        return {each.id: each.name async for each in client.list_pipelines()}

    @app.get("/pipelines/{pipeline_id}")
    async def summary(pipeline_id: str) -> Summary:
        answer = await client.describe_pipelines([pipeline_id])
        (described,) = answer.pipeline_description_list
        ids = [each async for each in client.query_objects(pipeline_id, "INSTANCE")]
        runs: Counter[str] = Counter()
        if ids:
            async for instance in client.describe_objects(pipeline_id, ids):
                runs[instance.string("@status") or "UNKNOWN"] += 1
        return Summary(name=described.name, state=described.state, runs=runs)

    @app.post("/pipelines/{pipeline_id}/activate", status_code=status.HTTP_202_ACCEPTED)
    async def activate(pipeline_id: str) -> None:
        await client.activate_pipeline(pipeline_id)

    @app.exception_handler(DataPipelineError)
    async def refused(_request: Request, error: Exception) -> JSONResponse:
        """Pass on what the service says, and whether it is worth another try."""
        code = status.HTTP_502_BAD_GATEWAY
        if isinstance(error, PipelineNotFoundException | PipelineDeletedException):
            code = status.HTTP_404_NOT_FOUND
        elif isinstance(error, DataPipelineError) and error.retryable:
            code = status.HTTP_503_SERVICE_UNAVAILABLE
        return JSONResponse({"detail": str(error)}, code)

    return app


app = create_app(DataPipelineClient())
