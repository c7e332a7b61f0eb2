"""Our signature beside botocore's, which takes the time: its date is put into ours."""

from __future__ import annotations

from urllib.parse import quote

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import example, given
from hypothesis import strategies as st

from aiodatapipeline._http import host_and_path
from aiodatapipeline._sigv4 import SigningKey

TARGET, TYPE = "DataPipeline.PollForTask", "application/x-amz-json-1.1"
# Printable, as all of HTTP's headers.
PRINTABLE = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1)
WORDS = st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1)
# A token may have blanks in it that a header does not keep.
TOKENS = st.none() | st.lists(PRINTABLE, min_size=1).map("  ".join)
HOSTS = WORDS.map(lambda name: f"{name}.example") | st.sampled_from(["127.0.0.1", "[::1]"])
PORTS = st.sampled_from(["", ":80", ":443", ":8080"])
SEGMENTS = st.text(max_size=5).map(lambda text: quote(text, safe="~!$&'()*+,;=:@ "))
PATHS = st.lists(SEGMENTS | st.sampled_from(["", ".", "..", "%2F", "a%20b"])).map(
    lambda segments: "/".join(["", *segments])
)
URLS = st.tuples(st.sampled_from(["http://", "https://"]), HOSTS, PORTS, PATHS).map("".join)


@given(st.tuples(PRINTABLE, st.text(), TOKENS), st.tuples(WORDS, WORDS), URLS, st.binary())
@example(("AKID", "s", None), ("us-east-1", "datapipeline"), "https://a.example/", b"")
@example(("AKID", "s", "t"), ("eu-west-1", "datapipeline"), "http://[::1]:8080//a/../b c/", b"{}")
def test_a_request_is_signed_as_botocore_signs_it(
    credentials: tuple[str, str, str | None], scope: tuple[str, str], url: str, body: bytes
) -> None:
    access_key, secret_key, token = credentials
    region, service = scope
    theirs = AWSRequest("POST", url, {"Content-Type": TYPE, "X-Amz-Target": TARGET}, body)
    SigV4Auth(Credentials(access_key, secret_key, token), service, region).add_auth(theirs)
    date = theirs.headers["X-Amz-Date"]

    key = SigningKey.derive(access_key, secret_key, date[:8], region, service)
    host, path = host_and_path(url)
    headers = {"content-type": TYPE, "host": host, "x-amz-date": date}
    if token:
        headers["x-amz-security-token"] = token
    ours = key.authorization(path, {**headers, "x-amz-target": TARGET}, body)

    assert ours == theirs.headers["Authorization"]


def test_a_key_is_good_for_its_day_region_service_and_credentials_only() -> None:
    keys = {
        SigningKey.derive(*parts).secret
        for parts in (
            ("AKID", "secret", "20121029", "us-east-1", "datapipeline"),
            ("AKID", "Secret", "20121029", "us-east-1", "datapipeline"),
            ("AKID", "secret", "20121030", "us-east-1", "datapipeline"),
            ("AKID", "secret", "20121029", "us-west-2", "datapipeline"),
            ("AKID", "secret", "20121029", "us-east-1", "sts"),
        )
    }

    assert len(keys) == 5


def test_a_key_shows_nothing_that_signs() -> None:
    key = SigningKey.derive("AKID", "secret", "20121029", "us-east-1", "datapipeline")

    assert "secret" not in repr(key)
    assert "AKID" in repr(key)
