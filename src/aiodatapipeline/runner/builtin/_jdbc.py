"""Addresses of databases as Java writes them -> what a Python driver needs to know.

It knows nothing of SQLAlchemy and of tasks. No text here shows an address or the value of a
property: there may be a password in it.

Source: the manuals of MySQL Connector/J, of the PostgreSQL and Redshift JDBC drivers, and of
Xerial's for SQLite.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote

# Seconds. PyMySQL's own; the others would wait for as long as the system does.
_CONNECT_TIMEOUT = 10
# Seconds that SQLite waits for who is writing. No cancellation ends that, so it is shorter than
# what a canceled handler gets.
_LOCK_TIMEOUT = 10.0

Arguments = Mapping[str, object]
Property = Callable[[str], Arguments]


class AddressError(ValueError):
    """An address, or a property, that cannot be used. The text names it and shows no value."""

    error_id = "InvalidTask"


class NotAskedError(AddressError):
    """Who knows the address could not be asked."""

    error_id = "ConnectionFailed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Driver:
    """How databases of a kind are reached from Python."""

    kind: str
    """What stands behind ``jdbc:``."""
    name: str
    """What SQLAlchemy calls the driver."""
    packages: Mapping[str, str]
    """The modules that have to be there, and what to install if one is not."""
    arguments: Arguments
    """What each connection is made with."""
    properties: Mapping[str, Property]
    """What a property of JDBC is to the driver, by its name in small letters."""
    ignored: frozenset[str] = frozenset()
    """Properties that change how fast something is done, and not what; in small letters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a database is."""

    driver: Driver
    host: str | None = None
    port: int | None = None
    database: str | None = None
    arguments: Arguments = field(default_factory=dict[str, object], repr=False)
    """What a connection is made with, besides who connects."""


def _as(name: str) -> Property:
    return lambda value: {name: value}


def _is_true(value: str) -> bool:
    if value.lower() not in {"true", "false"}:
        raise ValueError("it is neither true nor false")
    return value.lower() == "true"


def _mysql_tls(mode: str) -> Arguments:
    mode = mode.upper()
    if mode in {"DISABLED", "PREFERRED"}:
        return {}
    if mode not in {"REQUIRED", "VERIFY_CA", "VERIFY_IDENTITY"}:
        raise ValueError("there is no such mode")
    context = ssl.create_default_context()
    context.check_hostname = mode == "VERIFY_IDENTITY"
    if mode == "REQUIRED":
        context.verify_mode = ssl.CERT_NONE
    return {"ssl": context}


def _mysql_tls_if(value: str) -> Arguments:
    return _mysql_tls("REQUIRED" if _is_true(value) else "DISABLED")


def _search_path(value: str) -> Arguments:
    # The server splits its options at spaces.
    return {"options": "-csearch_path=" + re.sub(r"([\\ ])", r"\\\1", value)}


_LIBPQ: Mapping[str, Property] = {
    "sslmode": _as("sslmode"),
    "sslrootcert": _as("sslrootcert"),
    "sslcert": _as("sslcert"),
    "sslkey": _as("sslkey"),
    # Without sslmode, that driver verifies everything.
    "ssl": lambda value: {"sslmode": "verify-full"} if _is_true(value) else {},
    "applicationname": _as("application_name"),
    "currentschema": _search_path,
    "connecttimeout": lambda value: {"connect_timeout": int(value)},
    "logintimeout": lambda value: {"connect_timeout": int(value)},
}
_LIBPQ_IGNORED = frozenset(
    {
        "tcpkeepalive", "preparethreshold", "defaultrowfetchsize", "rewritebatchedinserts",
        "prefertextprotocol", "loglevel", "loggerlevel", "opensourcesubprotocoloverride",
    }
)  # fmt: skip

DRIVERS = {
    driver.kind: driver
    for driver in (
        Driver(
            kind="mysql",
            name="mysql+pymysql",
            packages={"pymysql": "pymysql"},
            arguments={"connect_timeout": _CONNECT_TIMEOUT, "charset": "utf8mb4"},
            properties={
                "sslmode": _mysql_tls,
                "usessl": _mysql_tls_if,
                "requiressl": _mysql_tls_if,
                "connecttimeout": lambda value: {"connect_timeout": max(1, int(value) // 1000)},
            },
            ignored=frozenset(
                {
                    "rewritebatchedstatements", "usecursorfetch", "defaultfetchsize",
                    "useserverprepstmts", "cacheprepstmts", "autoreconnect", "tcpkeepalive",
                    "useunicode", "characterencoding", "usecompression", "allowmultiqueries",
                }
            ),
        ),
        Driver(
            kind="postgresql",
            name="postgresql+psycopg",
            packages={"psycopg": "psycopg[binary]"},
            arguments={"connect_timeout": _CONNECT_TIMEOUT},
            properties=_LIBPQ,
            ignored=_LIBPQ_IGNORED,
        ),
        Driver(
            kind="redshift",
            name="redshift+psycopg2",
            packages={"sqlalchemy_redshift": "sqlalchemy-redshift", "psycopg2": "psycopg2-binary"},
            arguments={"connect_timeout": _CONNECT_TIMEOUT},
            properties=_LIBPQ,
            ignored=_LIBPQ_IGNORED,
        ),
        Driver(
            kind="sqlite",
            name="sqlite+pysqlite",
            packages={},
            # Its module would begin and commit where it sees fit.
            arguments={"timeout": _LOCK_TIMEOUT, "isolation_level": None},
            properties={},
        ),
    )
}  # fmt: skip

_ADDRESS = re.compile(r"jdbc:([a-z0-9]+):(.*)", re.IGNORECASE | re.ASCII | re.DOTALL)
_SERVER = re.compile(
    r"//(?P<host>\[[0-9a-f:.]+\]|[^/:?;,@\[\]\s]+)(:(?P<port>\d{1,5}))?"
    r"(/(?P<database>[^/?;]*))?([?;](?P<properties>.*))?",
    re.IGNORECASE | re.ASCII | re.DOTALL,
)
_PARTS = re.compile("[&;]")


def read_address(text: str, properties: Iterable[str] = ()) -> Address:
    """Read where a database is.

    Args:
        text: ``jdbc:mysql://host:3306/database?property=value``, say.
        properties: More of them: ``property=value``.

    Raises:
        AddressError: It is no such address, or of a database that nothing here knows, or has a
            property of which nobody knows what it would change.
    """
    found = _ADDRESS.fullmatch(text.strip())
    if found is None:
        raise AddressError("it does not begin like jdbc:mysql:")
    kind, rest = found[1].lower(), found[2]
    driver = DRIVERS.get(kind)
    if driver is None:
        raise AddressError(f"no driver is known for jdbc:{kind}; there are some for {_known()}")
    if driver.name.startswith("sqlite"):
        path, _, given = rest.partition("?")
        if not path:
            raise AddressError("it names no file, as jdbc:sqlite:/path/to/file does")
        return Address(
            driver=driver, database=path, arguments=_arguments(driver, given, properties)
        )
    server = _SERVER.fullmatch(rest)
    if server is None:
        raise AddressError(f"it is not like jdbc:{kind}://host:port/database?property=value")
    return Address(
        driver=driver,
        host=server["host"].strip("[]"),
        port=int(server["port"]) if server["port"] else None,
        database=unquote(server["database"] or "") or None,
        arguments=_arguments(driver, server["properties"] or "", properties),
    )


def address_of(
    kind: str, host: str, port: int, database: str | None, properties: Iterable[str]
) -> Address:
    """Give an address of which the parts were found out.

    Raises:
        AddressError: A property cannot be used.
    """
    driver = DRIVERS[kind]
    return Address(
        driver=driver,
        host=host,
        port=port,
        database=database,
        arguments=_arguments(driver, "", properties),
    )


def _known() -> str:
    return ", ".join(f"jdbc:{kind}" for kind in DRIVERS)


def _arguments(driver: Driver, given: str, more: Iterable[str]) -> Arguments:
    arguments = dict(driver.arguments)
    for text in (*_PARTS.split(given), *more):
        if not text:
            continue
        key, _, value = (unquote(part.strip()) for part in text.partition("="))
        name = key.lower()
        if name in {"user", "password"}:
            raise AddressError(f"{name} is a field of the database object, and no property")
        if name in driver.ignored:
            continue
        meaning = driver.properties.get(name)
        if meaning is None:
            raise AddressError(f"nothing here knows the property {key!r} of jdbc:{driver.kind}")
        try:
            arguments.update(meaning(value))
        except ValueError as error:
            raise AddressError(f"the property {key!r} cannot be used: {_why(error)}") from None
    return arguments


def _why(error: ValueError) -> str:
    """Say why, but not in the words of ``int``, which repeat the value."""
    text = str(error)
    return "it is no whole number" if "int()" in text else text
