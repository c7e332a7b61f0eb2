"""Addresses of databases in Java's words, and what becomes of their properties."""

from __future__ import annotations

import ssl

import pytest

from aiodatapipeline.runner.builtin._jdbc import Address, AddressError, read_address

SECRET = "hunter2-hunter2"


@pytest.mark.parametrize(
    ("text", "name", "where"),
    [
        ("jdbc:mysql://db.example:3306/shop", "mysql+pymysql", ("db.example", 3306, "shop")),
        ("JDBC:MySQL://db.example", "mysql+pymysql", ("db.example", None, None)),
        ("jdbc:postgresql://[::1]:5432/a%20b", "postgresql+psycopg", ("::1", 5432, "a b")),
        ("jdbc:redshift://c.example:5439/dev", "redshift+psycopg2", ("c.example", 5439, "dev")),
        ("jdbc:sqlite:/data/a.db", "sqlite+pysqlite", (None, None, "/data/a.db")),
        ("jdbc:sqlite:a b.db", "sqlite+pysqlite", (None, None, "a b.db")),
    ],
)
def test_an_address_is_read(text: str, name: str, where: tuple[object, ...]) -> None:
    address = read_address(text)

    assert address.driver.name == name
    assert (address.host, address.port, address.database) == where


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("mysql://db.example/shop", "does not begin like jdbc:mysql:"),
        ("jdbc:oracle:thin:@db.example:1521:x", "no driver is known for jdbc:oracle; there are"),
        ("jdbc:mysql:loadbalance://a,b/shop", "it is not like jdbc:mysql://host:port/database"),
        ("jdbc:mysql://a,b/shop", "it is not like jdbc:mysql://"),
        (f"jdbc:mysql://me:{SECRET}@db.example/shop", "it is not like jdbc:mysql://"),
        (f"jdbc:mysql://h/d?password={SECRET}", "password is a field of the database object"),
        (f"jdbc:mysql://h/d?secretKey={SECRET}", "nothing here knows the property 'secretKey'"),
        (f"jdbc:mysql://h/d?connectTimeout={SECRET}", "'connectTimeout' cannot be used: it is no"),
        (f"jdbc:mysql://h/d?useSSL={SECRET}", "'useSSL' cannot be used: it is neither true nor"),
        (f"jdbc:mysql://h/d?sslMode={SECRET}", "'sslMode' cannot be used: there is no such mode"),
        (f"jdbc:sqlite:a.db?key={SECRET}", "nothing here knows the property 'key'"),
        ("jdbc:sqlite:", "it names no file"),
    ],
)
def test_what_cannot_be_read_is_refused_and_not_shown(text: str, error: str) -> None:
    with pytest.raises(AddressError) as refused:
        read_address(text)

    assert error in str(refused.value)
    assert SECRET not in str(refused.value)


def arguments(text: str, *properties: str) -> dict[str, object]:
    return dict(read_address(text, properties).arguments)


def test_properties_become_what_the_driver_calls_them() -> None:
    found = arguments(
        "jdbc:postgresql://h/d?sslmode=require&ApplicationName=etl&tcpKeepAlive=true",
        "currentSchema=my schema,public",
        "connectTimeout=7",
        "",
    )

    assert found == {
        "connect_timeout": 7,
        "sslmode": "require",
        "application_name": "etl",
        "options": r"-csearch_path=my\ schema,public",
    }


@pytest.mark.parametrize(("value", "mode"), [("true", "verify-full"), ("false", None)])
def test_postgresql_verifies_whoever_is_asked_for_tls(value: str, mode: str | None) -> None:
    assert arguments(f"jdbc:redshift://h/d;ssl={value}").get("sslmode") == mode


@pytest.mark.parametrize(
    ("properties", "mode", "checks"),
    [
        ("sslMode=verify_identity", ssl.CERT_REQUIRED, True),
        ("sslMode=VERIFY_CA", ssl.CERT_REQUIRED, False),
        ("requireSSL=true", ssl.CERT_NONE, False),
    ],
)
def test_mysql_gets_a_context_for_tls(properties: str, mode: ssl.VerifyMode, checks: bool) -> None:
    context = arguments(f"jdbc:mysql://h/d?{properties}")["ssl"]

    assert isinstance(context, ssl.SSLContext)
    assert (context.verify_mode, context.check_hostname) == (mode, checks)


@pytest.mark.parametrize("properties", ["useSSL=false", "sslMode=PREFERRED", "useUnicode=true", ""])
def test_mysql_gets_none_if_nobody_asks(properties: str) -> None:
    assert "ssl" not in arguments(f"jdbc:mysql://h/d?{properties}")


def test_what_mysql_calls_milliseconds_are_seconds() -> None:
    assert arguments("jdbc:mysql://h/d?connectTimeout=2500")["connect_timeout"] == 2
    assert arguments("jdbc:mysql://h/d?connectTimeout=5")["connect_timeout"] == 1


def test_an_address_does_not_show_what_it_connects_with() -> None:
    address = read_address("jdbc:postgresql://h/d?sslkey=/keys/mine")

    assert isinstance(address, Address)
    assert "/keys/mine" not in repr(address)
