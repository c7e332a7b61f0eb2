"""What came over HTTP: the service's yes, its no in every form, and what is neither."""

from __future__ import annotations

import json
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiodatapipeline import (
    DataPipelineError,
    InvalidRequestException,
    Reply,
    ResponseError,
    ServiceError,
    ThrottlingException,
)
from aiodatapipeline import operations as op
from aiodatapipeline._answers import error_body, read_error, read_response, request_id
from aiodatapipeline.operations import OPERATIONS, Response
from tests.strategies import OPERATION_NAMES, Wire, outputs

ANSWERS: st.SearchStrategy[tuple[str, Wire]] = st.sampled_from(OPERATION_NAMES).flatmap(
    lambda name: st.tuples(st.just(name), outputs(name))
)
HTML = b"<html><title>Bad gateway</title>"
AS_HTML = {"content-type": "text/html; charset=utf-8"}
AS_JSON = {"content-type": "application/x-amz-json-1.1"}


def read(reply: Reply, operation: str = "ReportTaskProgress") -> Response:
    return read_response(OPERATIONS[operation].response, operation, reply)


def refused(reply: Reply) -> ServiceError:
    with pytest.raises(ServiceError) as caught:
        read(reply)
    return caught.value


def no_answer(reply: Reply, operation: str = "ReportTaskProgress") -> ResponseError:
    with pytest.raises(ResponseError) as caught:
        read(reply, operation)
    assert caught.value.operation == operation
    assert caught.value.status == reply.status
    return caught.value


# -- yes -----------------------------------------------------------------------------------


@given(ANSWERS, st.sampled_from([200, 201, 299]))
def test_an_answer_becomes_its_response(answer: tuple[str, Wire], status: int) -> None:
    operation, members = answer
    body = json.dumps(members, ensure_ascii=False).encode()
    reply = Reply(status, body, {"x-amz-crc32": str(zlib.crc32(body))})

    response = read(reply, operation)

    assert type(response) is OPERATIONS[operation].response
    assert response.to_wire() == members


@pytest.mark.parametrize("body", [b"", b"{}", b' {"addedLater": 1}\n'])
@pytest.mark.parametrize("operation", ["SetTaskStatus", "DeletePipeline", "PollForTask"])
def test_an_answer_that_says_nothing_may_be_empty(operation: str, body: bytes) -> None:
    assert read(Reply(200, body), operation) == OPERATIONS[operation].response()


# -- no ------------------------------------------------------------------------------------

CODE = "InvalidRequestException"
FORMS = [
    CODE,
    f" {CODE} ",
    f"com.amazon.setl.webservice#{CODE}",
    f"aws.protocoltests.restjson#old#{CODE}",
    f"{CODE}:",
    f"{CODE}:http://internal.amazon.com/coral/com.amazon.coral.service/",
    f"{CODE}:http://internal.amazon.com/coral/#fragment",
    f"com.amazon.setl.webservice#{CODE}:http://internal.amazon.com/#fragment",
]


@pytest.mark.parametrize("written", FORMS)
@pytest.mark.parametrize("member", ["__type", "code"])
def test_a_code_is_found_in_every_form_in_the_body(written: str, member: str) -> None:
    error = refused(Reply(400, json.dumps({member: written, "message": "no"}).encode()))

    assert type(error) is InvalidRequestException
    assert (error.code, error.message) == (CODE, "no")


@pytest.mark.parametrize("written", FORMS)
@pytest.mark.parametrize("body", [b"", b"{}", HTML, b'{"__type": "Other", "mess'])
def test_a_code_is_found_in_every_form_in_the_header(written: str, body: bytes) -> None:
    error = refused(Reply(400, body, {"x-amzn-errortype": written}))

    assert type(error) is InvalidRequestException
    assert (error.code, error.message) == (CODE, "")


def test_the_header_has_the_last_word() -> None:
    reply = Reply(400, error_body("Other", "no"), {"x-amzn-errortype": CODE})

    assert (refused(reply).code, refused(reply).message) == (CODE, "no")


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"message": "no"}, "no"),
        ({"Message": "no"}, "no"),
        ({"message": "no", "Message": "not this"}, "no"),
        ({"message": None, "Message": "no"}, "no"),
        ({}, ""),
        ({"message": {"text": "no"}}, ""),
    ],
)
def test_a_message_is_found_in_every_form(members: Wire, message: str) -> None:
    error = refused(Reply(400, json.dumps({"__type": CODE, **members}).encode()))

    assert error.message == message


def test_a_refusal_says_what_is_known_of_the_call() -> None:
    cause = ValueError("the carrier's own")
    reply = Reply(503, error_body("ns#Strange", "no"), {"x-amzn-requestid": "r-1"}, cause=cause)

    error = refused(reply)

    assert type(error) is ServiceError
    assert (error.code, error.message, error.operation) == ("Strange", "no", "ReportTaskProgress")
    assert (error.request_id, error.status, error.retryable) == ("r-1", 503, True)
    assert error.__cause__ is cause


def test_an_error_without_a_body_of_its_own_may_be_throttling() -> None:
    assert type(refused(Reply(400, error_body("Throttling", "")))) is ThrottlingException


@given(st.text(), st.text())
def test_what_is_written_as_an_error_is_read_as_one(code: str, message: str) -> None:
    name = code.partition(":")[0].rpartition("#")[2].strip()

    assert read_error(error_body(code, message), {}) == ((name, message) if name else None)


# -- neither -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (
            Reply(200, HTML, AS_HTML),
            "but a page of 32 bytes with the title 'Bad gateway'",
        ),
        (Reply(200, b'{"canceled": fal', AS_JSON), "16 bytes of application/x-amz-json-1.1"),
        (Reply(200, b"[]", AS_JSON), "not a JSON object but 2 bytes"),
        (Reply(200, b"null"), "not a JSON object but 4 bytes"),
        (Reply(200, b"\xff\xfe\xff"), "not a JSON object but 3 bytes"),
        (Reply(200, b"[" * 200_000), "not a JSON object but 200000 bytes"),
        (Reply(200, b""), "does not fit: canceled: Field required"),
        (Reply(200, b"{}"), "does not fit: canceled: Field required"),
        (Reply(200, b'{"canceled": "no"}'), "does not fit: canceled: Input should be"),
        (Reply(301, b"", AS_HTML), "HTTP status 301 without an error code: an empty body"),
        (Reply(403, HTML, AS_HTML), "HTTP status 403 without an error code: a page of "),
        (Reply(502, b"{}", AS_JSON), "without an error code: 2 bytes of application/x-amz"),
        (Reply(502, b'{"__type": 5}'), "without an error code: 13 bytes"),
        (Reply(502, error_body("#", "no")), "without an error code"),
    ],
)
def test_what_is_no_answer_is_described(reply: Reply, said: str) -> None:
    assert said in no_answer(reply).message


@pytest.mark.parametrize(
    ("status", "body", "retryable"),
    [
        (200, HTML, True),
        (200, b'{"canceled": fal', True),
        (200, b"{}", False),  # it came whole, and would come again
        (301, HTML, False),
        (403, HTML, False),
        (429, HTML, True),
        (500, HTML, True),
        (504, b"", True),
    ],
)
def test_another_try_may_help_against_what_breaks_on_the_way(
    status: int, body: bytes, retryable: bool
) -> None:
    assert no_answer(Reply(status, body, AS_HTML)).retryable is retryable


def test_of_a_page_nothing_but_the_title_is_shown() -> None:
    page = b"<html><TITLE lang=en>\n busy" + b"!" * 10_000 + b"</TITLE> you sent: secret"

    message = no_answer(Reply(200, page, AS_HTML)).message

    assert "with the title 'busy!!!" in message
    assert "secret" not in message
    assert len(message) < 300


@pytest.mark.parametrize("status", [0, 101, 199])
def test_only_a_status_of_the_200s_is_a_yes(status: int) -> None:
    assert no_answer(Reply(status, b"{}", AS_JSON)).status == status


def test_a_body_that_does_not_match_its_checksum_is_no_answer() -> None:
    body = b'{"canceled": false}'
    good = Reply(200, body, {"x-amz-crc32": str(zlib.crc32(body)), "x-amzn-requestid": "r-1"})
    bad = Reply(200, body, {"x-amz-crc32": "5", "x-amzn-requestid": "r-1"})

    assert read(good) == op.ReportTaskProgressResponse(canceled=False)
    error = no_answer(bad)
    assert "does not match its checksum" in error.message
    assert (error.request_id, error.retryable) == ("r-1", True)


@pytest.mark.parametrize(
    "body", [b'{"pipelineObjects": [{"id": "s3cret', b'[{"id": "s3cret"}]', b' {"a": "s3cret" ']
)
@pytest.mark.parametrize("status", [200, 502])
def test_no_part_of_a_json_answer_is_shown(body: bytes, status: int) -> None:
    error = no_answer(Reply(status, body, {"content-type": "text/plain"}))

    assert "s3cret" not in f"{error} {error!r}"


def test_what_does_not_fit_is_named_and_not_shown() -> None:
    body = json.dumps(
        {"pipelineObjects": [{"id": "a", "name": "a", "fields": [{"key": "*p", "stringValue": 5}]}]}
    ).encode()

    error = no_answer(Reply(200, body), "DescribeObjects")

    assert "pipelineObjects.0.fields.0.stringValue: Input should be" in error.message
    assert error.__cause__ is not None


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["__type", "message", "canceled", "x"]), inner)
    ),
    max_leaves=5,
)
REPLIES = st.builds(
    Reply,
    st.integers(200, 599),
    st.binary() | JSON.map(lambda value: json.dumps(value).encode()),
    st.dictionaries(
        st.sampled_from(["content-type", "x-amz-crc32", "x-amzn-errortype", "x-amzn-requestid"]),
        st.text() | st.just("text/html"),
    ),
)


@given(REPLIES, st.sampled_from(OPERATION_NAMES))
def test_whatever_comes_back_is_a_response_or_one_of_our_exceptions(
    reply: Reply, operation: str
) -> None:
    try:
        found: Response | DataPipelineError = read(reply, operation)
    except DataPipelineError as error:
        found = error

    if isinstance(found, DataPipelineError):
        assert found.status == reply.status
        assert found.request_id == request_id(reply)
    else:
        assert type(found) is OPERATIONS[operation].response
