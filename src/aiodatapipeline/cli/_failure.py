"""How a command says that it failed, and what to do then."""

from __future__ import annotations

import re

from aiodatapipeline import errors


class Failure(Exception):  # noqa: N818  # it is shown to nobody by its name
    """A command failed, and here is the sentence that says why.

    Args:
        message: What is wrong, and what to do.
        exit_code: 2 for a wrong use of the command, 1 for all else.
    """

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


_UNREACHED = "check --endpoint-url and the network; 'aiodatapipeline local' starts a service here"
# The first one that fits. A subclass stands above its base.
_ADVICE: tuple[tuple[type[errors.DataPipelineError], str], ...] = (
    (errors.PipelineNotFoundException, "'aiodatapipeline list' shows those that you can see"),
    (errors.PipelineDeletedException, "create it again, or name another"),
    (
        errors.TaskNotFoundException,
        "it has ended, or another runner has it by now: stop working on it",
    ),
    (errors.ThrottlingException, "wait a little, and try again"),
    (errors.AccessDeniedException, "ask for this permission, or take another --profile"),
    (errors.ExpiredCredentialsError, "get new credentials, and try again"),
    (
        errors.InvalidCredentialsError,
        "check AWS_ACCESS_KEY_ID and the like, --region, and the clock of this machine",
    ),
    (errors.InternalServiceError, "try again later"),
    (errors.RequestNotSentError, _UNREACHED),
    (
        errors.ResponseLostError,
        "it may have been carried out all the same: look before you repeat it",
    ),
    (errors.ResponseError, "check --endpoint-url: something else than the service answers there"),
    (errors.MissingRegionError, "give --region, or set AWS_DEFAULT_REGION or a profile's region"),
    (
        errors.MissingCredentialsError,
        (
            "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (to anything for a local service),"
            " or give a --profile"
        ),
    ),
)


# What changes nothing: whoever got no answer may ask again.
_READS = ("Describe", "Evaluate", "Get", "List", "Query", "Validate")
# The settings of a client by their names here.
_OPTIONS = {
    "endpoint_url": "--endpoint-url",
    "region_name": "--region",
    "profile_name": "--profile",
}


def told(error: errors.DataPipelineError) -> str:
    """Say what happened, and what to do."""
    text = str(error)
    if isinstance(error, errors.ConfigurationError):
        for name, option in _OPTIONS.items():
            text = re.sub(rf"(?<!')\b{name}\b(?!')", option, text)
    if isinstance(error, errors.ServiceError):
        text = f"{error.message.rstrip('.')} [{error.code}]"
    if isinstance(error, errors.ResponseLostError) and error.operation.startswith(_READS):
        return f"{text}; {_UNREACHED}"
    for kind, advice in _ADVICE:
        if isinstance(error, kind):
            # What follows is advice, too, for whoever writes Python.
            return f"{text.partition(': pass ')[0]}; {advice}"
    return text
