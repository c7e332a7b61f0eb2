"""Whether a request was signed by somebody who has the secret, and just now.

Source: "Create a signed AWS API request" in the IAM user guide, and what AWS services are seen
to say to requests that are not.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache

from aiodatapipeline._seam import Reply
from aiodatapipeline._sigv4 import ALGORITHM, SigningKey
from aiodatapipeline.local._errors import refusal

# Seconds that a request's time may be away from the service's. Source: the IAM user guide.
TOLERANCE = 300.0

_SERVICE = "datapipeline"
# Blanks are HTTP's: Python's include separators that no request has.
_AUTHORIZATION = re.compile(
    rf"{ALGORITHM}[ \t]+Credential=(?P<credential>[^,\s]+)[ \t]*,[ \t]*"
    r"SignedHeaders=(?P<names>[^,\s]+)[ \t]*,[ \t]*Signature=(?P<signature>[^,\s]+)[ \t]*"
)
_DATE = re.compile(r"[0-9]{8}T[0-9]{6}Z")
_DATE_FORMAT = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True, slots=True)
class Credential:
    """What goes with an access key.

    Attributes:
        secret: The secret access key.
        session_token: What every request has to show besides; None for none.
    """

    secret: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Refuse what everybody has."""
        if not self.secret:
            raise ValueError("a secret access key is empty, and anybody could sign with it")


class Verifier:
    """Verifies signatures in the Authorization header.

    Args:
        credentials: What goes with each access key: a secret access key, or a ``Credential``
            with a session token too.
    """

    def __init__(self, credentials: Mapping[str, str | Credential]) -> None:
        self._credentials = {
            key: Credential(one) if isinstance(one, str) else one
            for key, one in credentials.items()
        }

    def refuse(  # noqa: PLR0911  # a way to be wrong each
        self, method: str, path: str, headers: Mapping[str, str], body: bytes, now: float
    ) -> Reply | None:
        """Refuse a request whose signature is not good; None for a good one.

        Args:
            method: Of the request.
            path: As it came.
            headers: As they came, their names in lower case; those that came more than once
                joined by commas.
            body: As it came.
            now: Seconds since the epoch.
        """
        authorization = headers.get("authorization")
        if authorization is None:
            return refusal("MissingAuthenticationTokenException", "Missing Authentication Token")
        parts = _AUTHORIZATION.fullmatch(authorization)
        if parts is None:
            return _incomplete(
                f"Authorization has to be '{ALGORITHM} Credential=..., SignedHeaders=..., "
                "Signature=...'"
            )
        access_key, *scope = parts["credential"].rsplit("/", 4)
        if len(scope) != 4:
            return _incomplete("Credential has to be KEY/YYYYMMDD/REGION/SERVICE/aws4_request")
        day, region, service, terminator = scope
        credential = self._credentials.get(access_key)
        if credential is None:
            return _unrecognized()
        if wrong := _wrong_scope(day, service, terminator, headers.get("x-amz-date", "")):
            return _invalid(wrong)
        if wrong := _wrong_time(headers["x-amz-date"], now):
            return _invalid(wrong)
        names = parts["names"].split(";")
        if wrong := _wrong_names(names, headers):
            return _invalid(wrong)
        key = _key(access_key, credential.secret, day, region)
        expected = key.signature(method, path, {name: headers[name] for name in names}, body)
        if not _same(parts["signature"], expected):
            return _invalid(
                "The request signature we calculated does not match the signature you provided. "
                "Check your AWS Secret Access Key and signing method."
            )
        if not _same(headers.get("x-amz-security-token", ""), credential.session_token or ""):
            return _unrecognized()
        return None


def _wrong_scope(day: str, service: str, terminator: str, date: str) -> str:
    if not _DATE.fullmatch(date):
        return "The header X-Amz-Date has to tell the time of the request as YYYYMMDDTHHMMSSZ."
    if date[:8] != day:
        return (
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date: "
            f"'{day}' and '{date}'."
        )
    if service != _SERVICE:
        return f"Credential should be scoped to correct service: '{_SERVICE}'."
    if terminator != "aws4_request":
        return "Credential should be scoped with a valid terminator: 'aws4_request'."
    return ""


def _wrong_time(date: str, now: float) -> str:
    try:
        signed = datetime.strptime(date, _DATE_FORMAT).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return f"The header X-Amz-Date is no date: '{date}'."
    if signed < now - TOLERANCE:
        return (
            f"Signature expired: {date} is now earlier than {_date(now - TOLERANCE)} "
            f"({_date(now)} - 5 min.)"
        )
    if signed > now + TOLERANCE:
        return (
            f"Signature not yet current: {date} is still later than {_date(now + TOLERANCE)} "
            f"({_date(now)} + 5 min.)"
        )
    return ""


def _wrong_names(names: list[str], headers: Mapping[str, str]) -> str:
    if names != sorted(set(names)):
        return "SignedHeaders have to be in alphabetical order, each of them once."
    needed = {"host", *(name for name in headers if name.startswith("x-amz-"))}
    if missing := sorted(needed - set(names)):
        return f"'{missing[0]}' must be a 'SignedHeader' in the AWS Authorization."
    if missing := sorted(set(names) - headers.keys()):
        return f"'{missing[0]}' is a 'SignedHeader', and the request has no such header."
    return ""


@lru_cache(maxsize=16)
def _key(access_key: str, secret: str, day: str, region: str) -> SigningKey:
    return SigningKey.derive(access_key, secret, day, region, _SERVICE)


def _same(given: str, expected: str) -> bool:
    """Compare in a time that tells nothing about how much is right."""
    return hmac.compare_digest(
        given.encode(errors="surrogateescape"), expected.encode(errors="surrogateescape")
    )


def _date(now: float) -> str:
    return datetime.fromtimestamp(now, UTC).strftime(_DATE_FORMAT)


def _unrecognized() -> Reply:
    return refusal(
        "UnrecognizedClientException", "The security token included in the request is invalid."
    )


def _incomplete(message: str) -> Reply:
    return refusal("IncompleteSignatureException", message)


def _invalid(message: str) -> Reply:
    return refusal("InvalidSignatureException", message)
