"""Answers as they go over the wire: with an id, a checksum and the form that errors have."""

from __future__ import annotations

import json
import os
from zlib import crc32

from aiodatapipeline._seam import Reply

JSON_TYPE = "application/x-amz-json-1.1"

# Those that the service's model has; everything else comes from what stands in front of it.
# Source: the body of PutPipelineDefinition's error in the API reference, for the first.
_MODELLED = frozenset(
    {
        "InternalServiceError",
        "InvalidRequestException",
        "PipelineDeletedException",
        "PipelineNotFoundException",
        "TaskNotFoundException",
    }
)
_SERVICE, _FRAMEWORK = "com.amazon.setl.webservice#", "com.amazon.coral.service#"


def finish(status: int, body: bytes) -> Reply:
    """Give a body the headers that every answer has.

    Source: "Making an HTTP request" in the developer guide.
    """
    return Reply(
        status,
        body,
        {
            "x-amzn-requestid": new_id(),
            "content-type": JSON_TYPE,
            "x-amz-crc32": str(crc32(body)),
        },
    )


def refusal(code: str, message: str, status: int = 400) -> Reply:
    """Say no.

    Args:
        code: As the API reference spells it, without a namespace.
        message: What is wrong, and what to do.
        status: Of HTTP.
    """
    namespace = _SERVICE if code in _MODELLED else _FRAMEWORK
    members = {"__type": f"{namespace}{code}", "message": message}
    return finish(status, json.dumps(members).encode())


def html_page(status: int, title: str) -> Reply:
    """Answer as a proxy or a load balancer does in the service's place."""
    page = (
        f"<html><head><title>{title}</title></head><body><h1>{title}</h1>"
        "<p>The local service was told to say this.</p></body></html>"
    )
    return Reply(status, page.encode(), {"content-type": "text/html"})


def new_id() -> str:
    """Make a random UUID, in a third of the time that ``uuid4`` takes."""
    digits = os.urandom(16).hex()
    # Version 4, variant 1. Source: RFC 9562, section 5.4.
    return (
        f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-"
        f"{'89ab'[int(digits[16], 16) & 3]}{digits[17:20]}-{digits[20:]}"
    )
