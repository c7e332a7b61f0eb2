"""What a caller can set about calls: frozen values and their defaults."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

# As botocore calls it; in signatures and in the names of hosts, too.
SERVICE = "datapipeline"
# botocore's own default for a read, which the slow operations (PutPipelineDefinition) may need.
TIMEOUT = 60.0
# The service may hold a poll for 90 s. Ten more, as the SDKs allow SWF's polls of 60 s.
POLL_TIMEOUT = 100.0
# botocore's default in standard mode.
MAX_ATTEMPTS = 3
# botocore's, in seconds.
MAX_BACKOFF = 20.0
# Within TIMEOUT, so that an address where nobody answers is told from an answer that was lost.
CONNECT_TIMEOUT = 10.0
# Connections for everything but polls, each of which has one of its own.
MAX_POOL_CONNECTIONS = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class CallOptions:
    """How long and how often a call is tried. None leaves a setting as it was.

    Raises:
        ValueError: A time that is not above zero, or no attempt at all.
    """

    timeout: float | None = None
    """Seconds for each attempt; 60 by default. Not for PollForTask: a poll that is given up
    early can swallow a task for two minutes."""
    poll_timeout: float | None = None
    """Seconds for each attempt of PollForTask; 100 by default. The service may hold a poll for
    90, so set it below that only for a service which is known to hold polls for less."""
    deadline: float | None = None
    """Seconds for all attempts and the waits between them; none by default, and infinity lifts
    the client's own. A poll under way is not cut short by it, for the same reason."""
    max_backoff: float | None = None
    """Seconds; no wait between attempts is longer than this, 20 by default."""
    max_attempts: int | None = None
    """How often a call is tried; 3 by default, or what AWS_MAX_ATTEMPTS says."""

    def __post_init__(self) -> None:
        for name in ("timeout", "poll_timeout", "deadline"):
            seconds: float | None = getattr(self, name)
            if seconds is not None and not seconds > 0:
                raise ValueError(f"{name} is a number of seconds above 0, not {seconds!r}")
        if self.max_backoff is not None and not self.max_backoff >= 0:
            raise ValueError(f"max_backoff is 0 seconds or more, not {self.max_backoff!r}")
        if self.max_attempts is not None and not self.max_attempts >= 1:
            raise ValueError(f"max_attempts is 1 or more, not {self.max_attempts!r}")

    def override(self, other: CallOptions | None) -> Self:
        """Give these options with the other's in front, where it has any."""
        if other is None:
            return self
        # Written out: it is done for each call that has options of its own.
        return type(self)(
            timeout=self.timeout if other.timeout is None else other.timeout,
            poll_timeout=self.poll_timeout if other.poll_timeout is None else other.poll_timeout,
            deadline=self.deadline if other.deadline is None else other.deadline,
            max_backoff=self.max_backoff if other.max_backoff is None else other.max_backoff,
            max_attempts=self.max_attempts if other.max_attempts is None else other.max_attempts,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionSettings:
    """Where the service is and who asks. The names are boto3's; None asks the environment."""

    region_name: str | None = None
    endpoint_url: str | None = None
    profile_name: str | None = None
    aws_access_key_id: str | None = None
    aws_secret_access_key: str | None = None
    aws_session_token: str | None = None
    verify: bool | str | None = None
    max_pool_connections: int = MAX_POOL_CONNECTIONS

    def __post_init__(self) -> None:
        if self.max_pool_connections < 1:
            raise ValueError(f"max_pool_connections is 1 or more, not {self.max_pool_connections}")

    def __repr__(self) -> str:
        return f"{type(self).__name__}(region_name={self.region_name!r}, ...)"  # no secrets
