"""Signature Version 4 for the one kind of request that this service knows: a POST of JSON.

botocore signs any request of any service, which takes a fifth of the CPU of a call; what is
signed here is known beforehand, and the key is derived once a day. A property test holds the
result against botocore's. The local service verifies by it.
Source: "Create a signed AWS API request" in the IAM user guide.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256

ALGORITHM = "AWS4-HMAC-SHA256"


@dataclass(frozen=True, slots=True)
class SigningKey:
    """Good for one day, region, service and set of credentials."""

    access_key: str
    scope: str
    secret: bytes = field(repr=False)

    @classmethod
    def derive(
        cls, access_key: str, secret_key: str, day: str, region: str, service: str
    ) -> SigningKey:
        """Derive the key of a day, which is written as 20121029."""
        parts = (day, region, service, "aws4_request")
        key = f"AWS4{secret_key}".encode()
        for part in parts:
            key = _hmac(key, part)
        return cls(access_key, "/".join(parts), key)

    def authorization(self, path: str, headers: Mapping[str, str], body: bytes) -> str:
        """Give the Authorization header of a POST. See ``signature``."""
        return (
            f"{ALGORITHM} Credential={self.access_key}/{self.scope}, "
            f"SignedHeaders={';'.join(headers)}, "
            f"Signature={self.signature('POST', path, headers, body)}"
        )

    def signature(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> str:
        """Give the signature of a request without a query.

        Args:
            method: Such as ``POST``.
            path: Of the URL, normalized and quoted.
            headers: Those to sign, in alphabetical order, their names in lower case;
                ``x-amz-date`` and ``host`` among them.
            body: As it is sent.
        """
        names = ";".join(headers)
        lines = "".join(f"{name}:{' '.join(text.split())}\n" for name, text in headers.items())
        request = f"{method}\n{path}\n\n{lines}\n{names}\n{sha256(body).hexdigest()}"
        # What is no text came so: a server has to take it as it is.
        digest = sha256(request.encode(errors="surrogateescape")).hexdigest()
        to_sign = f"{ALGORITHM}\n{headers['x-amz-date']}\n{self.scope}\n{digest}"
        return _hmac(self.secret, to_sign).hex()


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), "sha256")
