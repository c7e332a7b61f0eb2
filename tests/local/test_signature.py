"""Signatures of botocore's are good, and any part that is changed makes them bad."""

from __future__ import annotations

import json
from datetime import datetime
from urllib.parse import quote

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from aiodatapipeline.local._errors import JSON_TYPE
from aiodatapipeline.local._signature import TOLERANCE, Credential, Verifier

KEY, SECRET, TOKEN = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG", "a-token"
BODY = b'{"workerGroup": "wg"}'
PRINTABLE = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1)
KEYS = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ/+=0123456789", min_size=1)
WORDS = st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1)
PATHS = st.lists(st.text("abcdefghijklmnopqrstuvwxyz0123456789-_~", min_size=1), max_size=3)
METHODS = st.sampled_from(["POST", "GET", "DELETE"])


def signed(
    body: bytes = BODY,
    *,
    key: str = KEY,
    secret: str = SECRET,
    token: str | None = None,
    region: str = "us-east-1",
    service: str = "datapipeline",
    method: str = "POST",
    path: str = "/",
    url: str = "http://127.0.0.1:4180",
    target: str = "PollForTask",
) -> dict[str, str]:
    """Sign a request as botocore does; give its headers, their names in lower case."""
    headers = {"Content-Type": JSON_TYPE, "X-Amz-Target": f"DataPipeline.{target}"}
    request = AWSRequest(method, f"{url}{path}", headers, body)
    SigV4Auth(Credentials(key, secret, token), service, region).add_auth(request)
    return {"host": url.removeprefix("http://")} | {
        name.lower(): str(text) for name, text in request.headers.items()
    }


def time_of(headers: dict[str, str]) -> float:
    return datetime.fromisoformat(headers["x-amz-date"]).timestamp()


def verdict(
    headers: dict[str, str],
    *,
    verifier: Verifier | None = None,
    now: float | None = None,
    method: str = "POST",
    path: str = "/",
    body: bytes = BODY,
) -> tuple[str, str]:
    """Give the code and the message of a refusal; empty for none."""
    verifier = verifier or Verifier({KEY: SECRET})
    now = time_of(headers) if now is None else now
    refused = verifier.refuse(method, path, headers, body, now)
    if refused is None:
        return "", ""
    members = json.loads(refused.body)
    assert refused.status == 400
    return members["__type"].rpartition("#")[2], members["message"]


@given(st.tuples(KEYS, PRINTABLE, st.none() | PRINTABLE), WORDS, METHODS, PATHS, st.binary())
def test_what_botocore_signs_is_good(
    credentials: tuple[str, str, str | None],
    region: str,
    method: str,
    segments: list[str],
    body: bytes,
) -> None:
    key, secret, token = credentials
    path = quote("/" + "/".join(segments))
    headers = signed(
        body, key=key, secret=secret, token=token, region=region, method=method, path=path
    )
    verifier = Verifier({key: Credential(secret, token)})

    assert verdict(headers, verifier=verifier, method=method, path=path, body=body) == ("", "")


# Of one moment: what hypothesis draws from it must not change while it runs.
SIGNED = signed(token=TOKEN)


@pytest.mark.parametrize("blank", ["\x1c", "\x1f", "\x85", "\xa0", "\n"])
def test_what_only_python_takes_for_a_blank_parts_nothing(blank: str) -> None:
    headers = dict(SIGNED)

    headers["authorization"] = headers["authorization"].replace(" ", blank, 1)

    verifier = Verifier({KEY: Credential(SECRET, TOKEN)})
    assert verdict(headers, verifier=verifier)[0] == "IncompleteSignatureException"


@given(st.data())
def test_a_signature_is_good_for_its_own_request_only(data: st.DataObject) -> None:
    headers = dict(SIGNED)
    name = data.draw(st.sampled_from(sorted(headers)))
    text = headers[name]
    at = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.characters(codec="ascii", exclude_characters=text[at] + " \t\r\n\x0b\x0c"))

    changed = {**headers, name: f"{text[:at]}{other}{text[at + 1 :]}"}

    verifier = Verifier({KEY: Credential(SECRET, TOKEN)})
    assert verdict(changed, verifier=verifier, now=time_of(headers)) != ("", "")


def test_another_body_method_path_or_secret_does_not_fit() -> None:
    headers = signed()

    codes = {
        verdict(headers, body=b"{}")[0],
        verdict(headers, method="GET")[0],
        verdict(headers, path="/admin/faults")[0],
        verdict(headers, verifier=Verifier({KEY: "other"}))[0],
    }

    assert codes == {"InvalidSignatureException"}


def test_what_was_not_signed_is_told_to_be() -> None:
    headers = signed()
    del headers["authorization"]

    assert verdict(headers) == (
        "MissingAuthenticationTokenException",
        "Missing Authentication Token",
    )


@pytest.mark.parametrize(
    "written",
    [
        "Basic dXNlcjpwYXNz",
        "AWS4-HMAC-SHA256",
        "AWS4-HMAC-SHA256 Credential=a/b/c/d/e",
        "AWS4-HMAC-SHA256 Credential=AKID/20261124, SignedHeaders=host, Signature=0",
    ],
)
def test_half_a_signature_is_told_what_it_lacks(written: str) -> None:
    headers = {**signed(), "authorization": written}

    assert verdict(headers)[0] == "IncompleteSignatureException"


def test_commas_need_no_blanks_behind_them() -> None:
    headers = signed()
    headers["authorization"] = headers["authorization"].replace(", ", ",")

    assert verdict(headers) == ("", "")


@pytest.mark.parametrize(
    ("verifier", "headers"),
    [
        (Verifier({KEY: SECRET}), signed(key="AKIDOTHER")),
        (Verifier({KEY: SECRET}), signed(token=TOKEN)),
        (Verifier({KEY: Credential(SECRET, TOKEN)}), signed()),
        (Verifier({KEY: Credential(SECRET, TOKEN)}), signed(token="other")),
    ],
    ids=["unknown key", "needless token", "no token", "wrong token"],
)
def test_keys_and_tokens_that_nobody_gave_out_are_unknown(
    verifier: Verifier, headers: dict[str, str]
) -> None:
    assert verdict(headers, verifier=verifier)[0] == "UnrecognizedClientException"


@pytest.mark.parametrize(
    ("late", "told"),
    [
        (TOLERANCE, ""),
        (-TOLERANCE, ""),
        (TOLERANCE + 1, "Signature expired: {} is now earlier than "),
        (-TOLERANCE - 1, "Signature not yet current: {} is still later than "),
    ],
)
def test_a_signature_is_good_for_five_minutes(late: float, told: str) -> None:
    headers = signed()

    code, message = verdict(headers, now=time_of(headers) + late)

    assert message.startswith(told.format(headers["x-amz-date"]))
    assert code == ("InvalidSignatureException" if told else "")


@pytest.mark.parametrize(
    ("date", "told"),
    [
        ("", "X-Amz-Date has to tell"),
        ("Tue, 24 Nov 2026 00:00:00 GMT", "X-Amz-Date has to tell"),
        ("19700101T000000Z", "Date in Credential scope does not match"),
    ],
)
def test_a_date_that_is_none_or_another_day_is_refused(date: str, told: str) -> None:
    headers = signed()

    code, message = verdict({**headers, "x-amz-date": date}, now=time_of(headers))

    assert (code, told in message) == ("InvalidSignatureException", True)


def test_a_day_that_no_calendar_has_is_refused() -> None:
    headers = signed()
    day = headers["x-amz-date"][:8]
    headers["authorization"] = headers["authorization"].replace(day, "20260231")
    headers["x-amz-date"] = "20260231T000000Z"

    assert "no date" in verdict(headers, now=0.0)[1]


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("datapipeline", "sts", "correct service: 'datapipeline'"),
        ("aws4_request", "aws5_request", "'aws4_request'"),
        ("content-type;host;", "content-type;", "'host' must be a 'SignedHeader'"),
        (";x-amz-target", "", "'x-amz-target' must be a 'SignedHeader'"),
        ("content-type;", "accept;content-type;", "'accept' is a 'SignedHeader'"),
        ("content-type;host", "host;content-type", "alphabetical order"),
        ("content-type;", "content-type;content-type;", "each of them once"),
    ],
)
def test_a_scope_or_headers_that_are_not_the_services_are_named(
    old: str, new: str, told: str
) -> None:
    headers = signed()
    headers["authorization"] = headers["authorization"].replace(old, new)

    code, message = verdict(headers)

    assert (code, told in message) == ("InvalidSignatureException", True)


def test_what_is_no_text_in_a_header_does_no_harm() -> None:
    headers = {**signed(), "x-amz-security-token": "\udcff"}
    headers["authorization"] = headers["authorization"].replace(
        "x-amz-date;", "x-amz-date;x-amz-security-token;"
    )

    assert verdict(headers)[0] == "InvalidSignatureException"


def test_an_empty_secret_is_none() -> None:
    with pytest.raises(ValueError, match="empty"):
        Credential("")


def test_secrets_are_not_shown() -> None:
    assert repr(Credential(SECRET, TOKEN)) == "Credential()"
