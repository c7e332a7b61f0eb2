"""What an exception tells, and by which classes it can be caught."""

from __future__ import annotations

from typing import assert_type

from aiodatapipeline import (
    ClientClosedError,
    ConnectTimeoutError,
    DataPipelineClient,
    DataPipelineError,
    InternalServiceError,
    ReadTimeoutError,
    ServiceError,
    TaskNotFoundException,
    WaitTimeoutError,
    errors,
)


async def what_was_caught_is_typed(client: DataPipelineClient) -> None:
    try:
        await client.set_task_status("task", "FINISHED")
    except TaskNotFoundException as error:
        assert_type(error, TaskNotFoundException)
        assert_type(error.maybe_applied, bool)
    except (errors.ThrottlingException, InternalServiceError) as error:
        assert_type(error, errors.ThrottlingException | InternalServiceError)
        assert_type(error.retryable, bool)
    except DataPipelineError as error:
        assert_type(error.message, str)
        assert_type(error.code, str)
        assert_type(error.operation, str)
        assert_type(error.request_id, str)
        assert_type(error.status, int)
        assert_type(error.attempts, int)
        # What the wire says in another way is none of its attributes.
        error.response  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]


def branches(
    late: ReadTimeoutError, unsent: ConnectTimeoutError, waited: WaitTimeoutError
) -> tuple[TimeoutError, TimeoutError, TimeoutError]:
    """Where a library's caller catches TimeoutError, ours are caught too."""
    return late, unsent, waited


def closed(error: ClientClosedError) -> RuntimeError:
    """Using a closed client is a program's mistake."""
    return error


def the_table_can_be_read() -> None:
    assert_type(errors.BY_CODE["TaskNotFoundException"], type[ServiceError])
    assert_type(ServiceError.from_code("ThrottlingException", "no"), ServiceError)
