"""Every exception: where it stands in the tree, what it says, and that it survives a pickle."""

from __future__ import annotations

import copy
import pickle

import pytest

from aiodatapipeline import errors
from aiodatapipeline.errors import BY_CODE, DataPipelineError, ServiceError

PUBLIC = (getattr(errors, name) for name in errors.__all__)
CLASSES: list[type[DataPipelineError]] = [thing for thing in PUBLIC if isinstance(thing, type)]

TREE: dict[type[Exception], set[type[Exception]]] = {
    errors.DataPipelineError: {
        errors.ServiceError,
        errors.TransportError,
        errors.ResponseError,
        errors.ConfigurationError,
        errors.ClientClosedError,
        errors.WaitTimeoutError,
    },
    errors.ServiceError: {
        errors.InternalServiceError,
        errors.InvalidRequestException,
        errors.PipelineNotFoundException,
        errors.PipelineDeletedException,
        errors.TaskNotFoundException,
        errors.ThrottlingException,
        errors.AccessDeniedException,
        errors.ExpiredCredentialsError,
        errors.InvalidCredentialsError,
    },
    errors.TransportError: {errors.RequestNotSentError, errors.ResponseLostError},
    errors.RequestNotSentError: {errors.ConnectTimeoutError},
    errors.ResponseLostError: {errors.ReadTimeoutError},
    errors.ConfigurationError: {errors.MissingRegionError, errors.MissingCredentialsError},
    TimeoutError: {errors.ConnectTimeoutError, errors.ReadTimeoutError, errors.WaitTimeoutError},
    RuntimeError: {errors.ClientClosedError},
}


def test_the_tree_has_these_branches_and_no_others() -> None:
    found: dict[type[Exception], set[type[Exception]]] = {}
    for kind in CLASSES:
        for base in kind.__bases__:
            found.setdefault(base, set()).add(kind)

    assert found.pop(Exception) == {DataPipelineError}
    assert found == TREE


# -- what an exception carries -------------------------------------------------------------


def full(kind: type[DataPipelineError]) -> DataPipelineError:
    return kind(
        "no such pipeline: df-1",
        code="PipelineNotFoundException",
        operation="DeletePipeline",
        request_id="r-1",
        status=400,
        attempts=3,
        retryable=not kind.retryable,
        maybe_applied=True,
    )


@pytest.mark.parametrize("kind", CLASSES)
def test_every_exception_survives_a_pickle(kind: type[DataPipelineError]) -> None:
    error = full(kind)
    error.add_note("seen at noon")

    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert type(again) is kind
        assert vars(again) == vars(error)
        assert again.args == error.args == ("no such pipeline: df-1",)
        assert str(again) == str(error)


@pytest.mark.parametrize("kind", CLASSES)
def test_every_exception_can_be_made_of_a_message_alone(kind: type[DataPipelineError]) -> None:
    error = kind("broken")

    assert str(error) == "broken"
    assert (error.message, error.code, error.operation, error.request_id) == ("broken", "", "", "")
    assert (error.status, error.attempts, error.maybe_applied) == (0, 0, False)


RETRYABLE = {
    errors.InternalServiceError,
    errors.ThrottlingException,
    errors.TransportError,
    errors.RequestNotSentError,
    errors.ConnectTimeoutError,
    errors.ResponseLostError,
    errors.ReadTimeoutError,
}


@pytest.mark.parametrize("kind", CLASSES)
def test_an_exception_says_whether_another_try_may_help(kind: type[DataPipelineError]) -> None:
    assert kind("broken").retryable is (kind in RETRYABLE)
    assert kind("broken", retryable=True).retryable is True
    assert kind("broken", retryable=False).retryable is False


@pytest.mark.parametrize("kind", CLASSES)
def test_every_exception_can_be_kept_in_a_set(kind: type[DataPipelineError]) -> None:
    error = kind("broken")

    assert error in {error, kind("broken")}


# -- what an exception says ----------------------------------------------------------------


def test_the_services_no_is_told_with_operation_code_and_request() -> None:
    assert str(full(errors.PipelineNotFoundException)) == (
        "DeletePipeline failed: no such pipeline: df-1 [PipelineNotFoundException] (request r-1)"
    )


def test_the_services_no_without_a_message_is_told_by_its_code() -> None:
    assert str(ServiceError("", code="Strange", operation="AddTags")) == (
        "AddTags failed: no message [Strange]"
    )


def test_any_other_exception_is_told_with_its_operation() -> None:
    assert str(full(errors.ResponseLostError)) == "DeletePipeline: no such pipeline: df-1"


# -- the table from code to class ----------------------------------------------------------


@pytest.mark.parametrize(("code", "kind"), BY_CODE.items())
def test_a_code_makes_an_exception_of_its_class(code: str, kind: type[ServiceError]) -> None:
    error = ServiceError.from_code(code, "no", operation="AddTags", request_id="r-1", status=400)

    assert type(error) is kind
    assert vars(error) == {
        "message": "no",
        "code": code,
        "operation": "AddTags",
        "request_id": "r-1",
        "status": 400,
        "attempts": 0,
        "maybe_applied": False,
        "retryable": kind.retryable,
    }


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("InternalServiceError", errors.InternalServiceError),
        ("InvalidRequestException", errors.InvalidRequestException),
        ("PipelineDeletedException", errors.PipelineDeletedException),
        ("PipelineNotFoundException", errors.PipelineNotFoundException),
        ("TaskNotFoundException", errors.TaskNotFoundException),
        ("ThrottlingException", errors.ThrottlingException),
        ("AccessDeniedException", errors.AccessDeniedException),
        ("ExpiredTokenException", errors.ExpiredCredentialsError),
        ("UnrecognizedClientException", errors.InvalidCredentialsError),
        ("InvalidSignatureException", errors.InvalidCredentialsError),
        ("Strange", errors.ServiceError),
        ("", errors.ServiceError),
    ],
)
def test_what_a_caller_would_do_next_decides_the_class(code: str, kind: type[ServiceError]) -> None:
    assert type(ServiceError.from_code(code, "no")) is kind


def test_a_class_that_is_a_code_is_found_by_it() -> None:
    for kind in CLASSES:
        if kind.__name__.endswith("Exception"):
            assert BY_CODE[kind.__name__] is kind


@pytest.mark.parametrize(
    ("code", "status", "retryable"),
    [
        ("Strange", 400, False),
        ("Strange", 500, True),
        ("InvalidRequestException", 503, True),
        ("InternalServiceError", 400, True),
        ("ThrottlingException", 400, True),
    ],
)
def test_the_status_has_a_say_in_whether_another_try_may_help(
    code: str, status: int, retryable: bool
) -> None:
    assert ServiceError.from_code(code, "no", status=status).retryable is retryable
