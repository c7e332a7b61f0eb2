"""What came over HTTP -> a response model or one of our exceptions.

One place for every transport. The forms an error takes on the wire: ``__type`` with or without
a namespace in front and a ``:uri`` behind, the ``x-amzn-errortype`` header, ``message`` or
``Message``. Source: AWS JSON 1.1; forms seen are listed with the API reference's samples.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Mapping
from typing import cast

import pydantic

from aiodatapipeline._seam import Reply
from aiodatapipeline.errors import DataPipelineError, ResponseError, ServiceError
from aiodatapipeline.operations import ResponseT

# What a proxy's page is about, near its beginning.
_TITLE = re.compile(rb"<title[^>]*>\s*([^<]{1,200})", re.IGNORECASE)
_SEARCHED = 10_000


def read_response(model: type[ResponseT], operation: str, reply: Reply) -> ResponseT:
    """Understand a reply.

    Raises:
        ServiceError: The service said no; of the class that the code stands for.
        ResponseError: Neither the service's yes nor its no.
    """
    if not 200 <= reply.status < 300:
        raise _refusal(operation, reply) from reply.cause
    checksum = reply.headers.get("x-amz-crc32")
    if checksum is not None and checksum != str(zlib.crc32(reply.body)):
        raise _no_answer(operation, reply, "the body does not match its checksum")
    members = _json_object(reply.body) if reply.body else {}
    if members is None:
        raise _no_answer(operation, reply, f"not a JSON object but {_glimpse(reply)}")
    try:
        return model.from_wire(members)
    except pydantic.ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the body"
        message = f"the service's answer does not fit: {where}: {first['msg']}"
        # It came whole, and would come again.
        raise _no_answer(operation, reply, message, retryable=False) from error


def request_id(reply: Reply) -> str:
    """The service's id for the request; empty if it gave none."""
    return reply.headers.get("x-amzn-requestid", "")


def read_error(body: bytes, headers: Mapping[str, str]) -> tuple[str, str] | None:
    """Find the code and the message in an error's reply; None if it is not the service's."""
    members = _json_object(body) or {}
    written = headers.get("x-amzn-errortype") or members.get("__type") or members.get("code")
    if not isinstance(written, str):
        return None
    # A namespace and ``#``, the code, and a ``:uri``, which may have a ``#`` of its own.
    code = written.partition(":")[0].rpartition("#")[2].strip()
    if not code:
        return None
    message = members.get("message") or members.get("Message")
    return code, message if isinstance(message, str) else ""


def error_body(code: str, message: str) -> bytes:
    """Write an error the way that every SDK reads."""
    return json.dumps({"__type": code, "message": message}).encode()


def _refusal(operation: str, reply: Reply) -> DataPipelineError:
    found = read_error(reply.body, reply.headers)
    if found is None:
        return _no_answer(
            operation, reply, f"HTTP status {reply.status} without an error code: {_glimpse(reply)}"
        )
    code, message = found
    return ServiceError.from_code(
        code, message, operation=operation, request_id=request_id(reply), status=reply.status
    )


def _no_answer(
    operation: str, reply: Reply, message: str, *, retryable: bool = True
) -> ResponseError:
    return ResponseError(
        message,
        operation=operation,
        request_id=request_id(reply),
        status=reply.status,
        # What breaks an answer on its way passes; a proxy's no (4xx) does not.
        retryable=retryable and (reply.status < 300 or reply.status >= 500 or reply.status == 429),
    )


def _json_object(body: bytes) -> dict[str, object] | None:
    try:
        members = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return cast("dict[str, object]", members) if isinstance(members, dict) else None


def _glimpse(reply: Reply) -> str:
    if (where := reply.headers.get("location")) and reply.status < 400:
        return f"redirected to {where!r}, as the service never does: check endpoint_url"
    if not reply.body:
        return "an empty body"
    kind = reply.headers.get("content-type", "")
    # Half of an answer may come under any name, with encrypted values in it.
    if reply.body.lstrip().startswith((b"{", b"[")) or not kind.startswith("text/"):
        return f"{len(reply.body)} bytes" + (f" of {kind}" if kind else "")
    # Of a page no more than its title: it may show the request, encrypted values and all.
    title = _TITLE.search(reply.body[:_SEARCHED])
    shown = f" with the title {title[1].decode(errors='replace')!r}" if title else ""
    return f"a page of {len(reply.body)} bytes{shown}"
