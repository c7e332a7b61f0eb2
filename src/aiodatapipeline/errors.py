"""Every exception, and the table from wire code to class.

One root, four branches by what a caller can do next:

- ``ServiceError``: the service said no. Read the code.
- ``TransportError``: no answer came. Ask whether the request was sent.
- ``ResponseError``: something answered, and it was no answer.
- ``ConfigurationError``: the call was never possible. Mend the settings.

Classes whose names end in ``Exception`` are codes of the service, spelled as its reference
spells them (and ``InternalServiceError``, the fifth of the documented ones); the other names
are ours.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = [
    "BY_CODE",
    "AccessDeniedException",
    "ClientClosedError",
    "ConfigurationError",
    "ConnectTimeoutError",
    "DataPipelineError",
    "ExpiredCredentialsError",
    "InternalServiceError",
    "InvalidCredentialsError",
    "InvalidRequestException",
    "MissingCredentialsError",
    "MissingRegionError",
    "PipelineDeletedException",
    "PipelineNotFoundException",
    "ReadTimeoutError",
    "RequestNotSentError",
    "ResponseError",
    "ResponseLostError",
    "ServiceError",
    "TaskNotFoundException",
    "ThrottlingException",
    "TransportError",
    "WaitTimeoutError",
]


class DataPipelineError(Exception):
    """The root of all exceptions here. A wrong argument raises a ``ValueError`` instead.

    Attributes:
        message: What happened, in the words of whoever noticed.
        code: The service's error code; empty if the service did not speak.
        operation: The operation in the service's spelling; empty outside of a call.
        request_id: The service's id for the request, for AWS support; empty if it gave none.
        status: The HTTP status; 0 if no answer came.
        attempts: How many times the request was tried; 0 outside of a call.
        retryable: Whether the same call may succeed later.
        maybe_applied: Whether an attempt may have been carried out, since its answer was
            lost. A TaskNotFoundException with it may be the echo of one's own success.

    Its ``__cause__`` is what it was made of, such as botocore's ``ClientError``.
    """

    message: str
    code: str
    operation: str
    request_id: str
    status: int
    attempts: int
    retryable: bool = False
    maybe_applied: bool

    def __init__(
        self,
        message: str,
        *,
        code: str = "",
        operation: str = "",
        request_id: str = "",
        status: int = 0,
        attempts: int = 0,
        retryable: bool | None = None,
        maybe_applied: bool = False,
    ) -> None:
        super().__init__(message)
        self.message, self.code, self.operation = message, code, operation
        self.request_id, self.status, self.attempts = request_id, status, attempts
        self.maybe_applied = maybe_applied
        if retryable is not None:
            self.retryable = retryable

    def __str__(self) -> str:
        return f"{self.operation}: {self.message}" if self.operation else self.message

    def __reduce__(self) -> tuple[object, ...]:
        # Exception rebuilds from args alone, which would lose what is keyword-only.
        return _rebuild, (type(self), self.message), self.__dict__


def _rebuild(kind: type[DataPipelineError], message: str) -> DataPipelineError:
    return kind(message)


class ServiceError(DataPipelineError):
    """The service answered, and the answer was no. Codes without a class stay this one."""

    def __str__(self) -> str:
        operation = f"{self.operation} failed: " if self.operation else ""
        code = f" [{self.code}]" if self.code else ""
        request = f" (request {self.request_id})" if self.request_id else ""
        return f"{operation}{self.message or 'no message'}{code}{request}"

    @classmethod
    def from_code(
        cls,
        code: str,
        message: str,
        *,
        operation: str = "",
        request_id: str = "",
        status: int = 0,
    ) -> ServiceError:
        """Make the exception of the class that a wire code stands for."""
        kind = BY_CODE.get(code, ServiceError)
        return kind(
            message,
            code=code,
            operation=operation,
            request_id=request_id,
            status=status,
            retryable=kind.retryable or status >= 500,
        )


class InternalServiceError(ServiceError):
    """The service failed inside. Documented for every operation."""

    retryable = True


class InvalidRequestException(ServiceError):
    """Malformed input, a wrong state, or an account limit. Documented for every operation."""


class PipelineNotFoundException(ServiceError):
    """No such pipeline, or not yours; also what missing IAM permissions look like."""


class PipelineDeletedException(ServiceError):
    """The pipeline was deleted."""


class TaskNotFoundException(ServiceError):
    """No such task, or it is another runner's by now."""


class ThrottlingException(ServiceError):
    """Too many calls for the account's limits. Wait, then ask again."""

    retryable = True


class AccessDeniedException(ServiceError):
    """The credentials are good, and IAM does not allow this call."""


class ExpiredCredentialsError(ServiceError):
    """The credentials were good once. Get new ones."""


class InvalidCredentialsError(ServiceError):
    """The service does not know the credentials, or the signature does not fit them.

    A clock that is off by more than five minutes looks like this too.
    """


class TransportError(DataPipelineError):
    """No answer came."""

    retryable = True


class RequestNotSentError(TransportError):
    """The request certainly did not leave: repeating it is safe for every operation."""


class ConnectTimeoutError(RequestNotSentError, TimeoutError):
    """No connection within the time for it."""


class ResponseLostError(TransportError):
    """The request may have arrived and been carried out; its answer was lost."""


class ReadTimeoutError(ResponseLostError, TimeoutError):
    """No answer within the time for it."""


class ResponseError(DataPipelineError):
    """An answer that is no answer.

    A proxy's page instead of JSON, half of the JSON, a wrong checksum, a missing member,
    a marker that leads in a circle.
    """


class ConfigurationError(DataPipelineError):
    """The settings do not make a client: nothing was sent, and nothing can be."""


class MissingRegionError(ConfigurationError):
    """No region is set anywhere."""


class MissingCredentialsError(ConfigurationError):
    """No credentials, or half of them, are set anywhere."""


class ClientClosedError(DataPipelineError, RuntimeError):
    """The client is not open: not yet, or no longer."""


class WaitTimeoutError(DataPipelineError, TimeoutError):
    """What was waited for did not become true in time."""


BY_CODE: Mapping[str, type[ServiceError]] = {
    # The five of the service model.
    "InternalServiceError": InternalServiceError,
    "InvalidRequestException": InvalidRequestException,
    "PipelineDeletedException": PipelineDeletedException,
    "PipelineNotFoundException": PipelineNotFoundException,
    "TaskNotFoundException": TaskNotFoundException,
    # What stands in front of every AWS service says these. Source: common errors of the API
    # reference, and the codes that botocore's standard retry mode takes for throttling.
    "ThrottlingException": ThrottlingException,
    "Throttling": ThrottlingException,
    "ThrottledException": ThrottlingException,
    "RequestThrottled": ThrottlingException,
    "RequestThrottledException": ThrottlingException,
    "TooManyRequestsException": ThrottlingException,
    "RequestLimitExceeded": ThrottlingException,
    "BandwidthLimitExceeded": ThrottlingException,
    "LimitExceededException": ThrottlingException,
    "PriorRequestNotComplete": ThrottlingException,
    "SlowDown": ThrottlingException,
    "AccessDeniedException": AccessDeniedException,
    "AccessDenied": AccessDeniedException,
    "NotAuthorized": AccessDeniedException,
    "UnauthorizedOperation": AccessDeniedException,
    "OptInRequired": AccessDeniedException,
    "ExpiredToken": ExpiredCredentialsError,
    "ExpiredTokenException": ExpiredCredentialsError,
    "RequestExpired": ExpiredCredentialsError,
    "UnrecognizedClientException": InvalidCredentialsError,
    "InvalidClientTokenId": InvalidCredentialsError,
    "InvalidAccessKeyId": InvalidCredentialsError,
    "InvalidSignatureException": InvalidCredentialsError,
    "SignatureDoesNotMatch": InvalidCredentialsError,
    "IncompleteSignature": InvalidCredentialsError,
    "IncompleteSignatureException": InvalidCredentialsError,
    "MissingAuthenticationToken": InvalidCredentialsError,
    "MissingAuthenticationTokenException": InvalidCredentialsError,
    "RequestTimeTooSkewed": InvalidCredentialsError,
}
