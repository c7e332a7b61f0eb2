"""The form of what goes over the wire."""

from __future__ import annotations

import json
import zlib
from uuid import RFC_4122, UUID

import pytest

from aiodatapipeline.local._errors import finish, new_id, refusal


def test_an_answer_has_an_id_a_type_and_the_checksum_of_its_body() -> None:
    reply = finish(200, b'{"pipelineId": "df-1"}')

    assert reply.status == 200
    assert reply.headers == {
        "x-amzn-requestid": reply.headers["x-amzn-requestid"],
        "content-type": "application/x-amz-json-1.1",
        "x-amz-crc32": str(zlib.crc32(b'{"pipelineId": "df-1"}')),
    }


@pytest.mark.parametrize(
    ("code", "written"),
    [
        ("TaskNotFoundException", "com.amazon.setl.webservice#TaskNotFoundException"),
        ("ThrottlingException", "com.amazon.coral.service#ThrottlingException"),
    ],
)
def test_an_error_names_the_namespace_of_its_code(code: str, written: str) -> None:
    reply = refusal(code, 'no "such" thing')

    assert reply.status == 400
    assert json.loads(reply.body) == {"__type": written, "message": 'no "such" thing'}


def test_ids_are_random_uuids_and_never_repeat() -> None:
    ids = {new_id() for _ in range(1000)}

    assert len(ids) == 1000
    assert {(UUID(one).version, UUID(one).variant, str(UUID(one)) == one) for one in ids} == {
        (4, RFC_4122, True)
    }
