"""The seam between the client and whatever carries its requests.

Above it there is no botocore: not its types, exceptions or configuration keys. ``_transport``
implements it with aiobotocore, and a test does so in ten lines.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back over HTTP, good or bad, not yet understood."""

    status: int
    body: bytes = field(repr=False)  # it may hold encrypted values
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    """Their names in lower case."""
    cause: Exception | None = None
    """The carrier's own exception for an answer that is an error."""


class Transport(Protocol):
    """Carries one request and brings one reply. Repeating is its caller's affair."""

    async def send(self, operation: str, body: Mapping[str, object], timeout: float) -> Reply:
        """Send a request once.

        Args:
            operation: The operation in the service's spelling.
            body: The members in camelCase, made of what JSON knows.
            timeout: Seconds, from the call to the whole of the reply.

        Raises:
            RequestNotSentError: The request certainly did not leave.
            ResponseLostError: It may have arrived; no reply came, or not in time.
        """
        ...


class AiobotocoreSession(Protocol):
    """An aiobotocore session of the application's own.

    aiobotocore has no types, so this names just enough of ``aiobotocore.session.AioSession``
    for a type checker to tell one from anything else.
    """

    def get_component(self, name: str) -> object:
        """Give a part of the session, such as its loader of service models."""
        ...

    def get_config_variable(self, logical_name: str) -> object:
        """Give a setting from the environment or the shared files."""
        ...
