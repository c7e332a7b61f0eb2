"""Who may talk to a local service."""

from __future__ import annotations

import pytest

from aiodatapipeline.local._guards import Guards, is_loopback

HERE = Guards.of("127.0.0.1", 4180)


@pytest.mark.parametrize(
    "host", ["127.0.0.1:4180", "localhost:4180", "LocalHost:4180", "[::1]:4180"]
)
def test_the_names_of_this_machine_are_hosts(host: str) -> None:
    assert HERE.objection({"Host": host}) == ""


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.example",
        "evil.example:4180",
        "127.0.0.1",
        "localhost:80",
        "127.0.0.1:4180.evil.example",
    ],
)
def test_other_hosts_are_foreign_as_are_other_ports(host: str) -> None:
    assert "http://127.0.0.1:4180" in HERE.objection({"Host": host})


def test_a_port_of_80_may_be_left_out() -> None:
    assert Guards.of("127.0.0.1", 80).objection({"Host": "localhost"}) == ""


def test_the_address_that_it_listens_on_is_a_host_too() -> None:
    guards = Guards.of("fe80::1", 4180)

    assert guards.url == "http://[fe80::1]:4180"
    assert guards.objection({"Host": "[FE80::1]:4180"}) == ""


@pytest.mark.parametrize("host", ["0.0.0.0", "::", ""])
def test_a_service_on_all_addresses_has_any_name_and_no_page(host: str) -> None:
    guards = Guards.of(host, 4180)

    assert guards.url == "http://127.0.0.1:4180"
    assert guards.objection({"Host": "data-pipeline:4180"}) == ""
    assert guards.objection({"Host": "x:4180", "Origin": "http://x:4180"})


@pytest.mark.parametrize(
    ("header", "text", "foreign"),
    [
        ("Origin", "http://evil.example", True),
        ("Origin", "null", True),
        ("Origin", "https://127.0.0.1:4180", True),
        ("Origin", "http://localhost:3000", True),
        ("Origin", "http://localhost:4180", False),
        ("Sec-Fetch-Site", "cross-site", True),
        ("Sec-Fetch-Site", "same-site", True),
        ("Sec-Fetch-Site", "same-origin", False),
        ("Sec-Fetch-Site", "none", False),
    ],
)
def test_a_page_of_another_site_is_refused(header: str, text: str, *, foreign: bool) -> None:
    objection = HERE.objection({"Host": "127.0.0.1:4180", header: text})

    assert bool(objection) is foreign


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.8.9.1", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("192.168.1.7", False),
        ("", False),
        ("localhost.evil.example", False),
    ],
)
def test_loopback_is_what_no_other_machine_reaches(host: str, *, loopback: bool) -> None:
    assert is_loopback(host) is loopback
