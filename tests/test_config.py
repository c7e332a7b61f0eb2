"""What a caller can set, what is refused, and what is never printed."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields
from typing import Any

import pytest

from aiodatapipeline import CallOptions, DataPipelineClient
from aiodatapipeline._config import ConnectionSettings

NAN = float("nan")


@pytest.mark.parametrize("name", ["timeout", "poll_timeout", "deadline"])
@pytest.mark.parametrize("seconds", [0, -1, NAN])
def test_a_time_is_above_zero(name: str, seconds: float) -> None:
    given: dict[str, Any] = {name: seconds}

    with pytest.raises(ValueError, match=f"{name} is a number of seconds above 0, not {seconds}"):
        CallOptions(**given)


@pytest.mark.parametrize("seconds", [-0.1, NAN])
def test_the_longest_pause_is_not_below_zero(seconds: float) -> None:
    with pytest.raises(ValueError, match=f"max_backoff is 0 seconds or more, not {seconds}"):
        CallOptions(max_backoff=seconds)


@pytest.mark.parametrize("attempts", [0, -1])
def test_at_least_one_attempt_is_made(attempts: int) -> None:
    with pytest.raises(ValueError, match=f"max_attempts is 1 or more, not {attempts}"):
        CallOptions(max_attempts=attempts)


def test_the_smallest_that_make_sense_are_taken() -> None:
    options = CallOptions(
        timeout=0.001, poll_timeout=0.001, deadline=0.001, max_backoff=0, max_attempts=1
    )

    assert (options.max_backoff, options.max_attempts) == (0, 1)


def test_options_are_given_by_name_and_stay_as_they_are() -> None:
    options = CallOptions(timeout=5)

    with pytest.raises(TypeError):
        CallOptions(5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]  # the point
    with pytest.raises(FrozenInstanceError):
        options.timeout = 7  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]  # too


def test_what_the_other_options_leave_open_stays() -> None:
    options = CallOptions(timeout=5, deadline=9, max_backoff=3)

    both = options.override(CallOptions(timeout=7, max_backoff=0))

    assert both == CallOptions(timeout=7, deadline=9, max_backoff=0)
    assert options == CallOptions(timeout=5, deadline=9, max_backoff=3)


def test_no_other_options_change_nothing() -> None:
    options = CallOptions(timeout=5)

    assert options.override(None) == options.override(CallOptions()) == options


def test_every_option_can_be_overridden_and_given_to_a_copy() -> None:
    given: dict[str, Any] = {field.name: 7 for field in fields(CallOptions)}
    client = DataPipelineClient(region_name="us-east-1")

    copy = client.with_options(**given)

    assert CallOptions().override(CallOptions(**given)) == CallOptions(**given)
    assert copy._options == CallOptions(**given)  # pyright: ignore[reportPrivateUsage]  # kept there


@pytest.mark.parametrize("connections", [0, -1])
def test_a_client_has_at_least_one_connection(connections: int) -> None:
    with pytest.raises(ValueError, match=f"max_pool_connections is 1 or more, not {connections}"):
        DataPipelineClient(max_pool_connections=connections)


SECRETS: dict[str, Any] = {
    "aws_access_key_id": "AN-ACCESS-KEY",
    "aws_secret_access_key": "A-SECRET-KEY",
    "aws_session_token": "A-SESSION-TOKEN",
}


def test_settings_print_no_secret() -> None:
    settings = ConnectionSettings(
        region_name="us-east-1", endpoint_url="http://me:MY-PASSWORD@127.0.0.1", **SECRETS
    )

    shown = f"{settings!r} {settings} {[settings]}"

    assert "us-east-1" in shown
    assert not [secret for secret in (*SECRETS.values(), "MY-PASSWORD") if secret in shown]


def test_a_client_prints_no_secret() -> None:
    client = DataPipelineClient(region_name="us-east-1", **SECRETS)

    shown = f"{client!r} {client} {vars(client)}"

    assert not [secret for secret in SECRETS.values() if secret in shown]
