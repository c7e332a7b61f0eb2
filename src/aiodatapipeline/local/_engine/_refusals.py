"""What the service says no with: the client's own exceptions, read backwards by ``_service``."""

from __future__ import annotations

from aiodatapipeline.errors import (
    InvalidRequestException,
    PipelineDeletedException,
    PipelineNotFoundException,
    ServiceError,
    TaskNotFoundException,
)


def invalid_request(message: str) -> ServiceError:
    """Refuse what is malformed, or not possible now."""
    return InvalidRequestException(message, code="InvalidRequestException", status=400)


def pipeline_not_found(pipeline_id: str) -> ServiceError:
    """There never was such a pipeline."""
    return PipelineNotFoundException(
        f"there is no pipeline {_shown(pipeline_id)}: ListPipelines tells which there are",
        code="PipelineNotFoundException",
        status=400,
    )


def pipeline_deleted(pipeline_id: str) -> ServiceError:
    """There was such a pipeline."""
    return PipelineDeletedException(
        f"the pipeline {_shown(pipeline_id)} was deleted",
        code="PipelineDeletedException",
        status=400,
    )


def task_not_found() -> ServiceError:
    """There is no such task, or it is no longer the sender's. Its id is not repeated."""
    return TaskNotFoundException(
        "there is no such task: its outcome is known already, it went to another runner, or "
        "the id is wrong",
        code="TaskNotFoundException",
        status=400,
    )


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:57]}...")
