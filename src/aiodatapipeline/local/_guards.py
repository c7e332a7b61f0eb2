"""Who may talk to a local service: nobody from outside, and no page in a browser.

A page of any site can make a browser on this machine send requests to 127.0.0.1. It cannot
choose Host, Origin and Sec-Fetch-Site, which tell on it; nor, without being told on, send the
headers of AWS.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass

_WILDCARDS = frozenset({"", "0.0.0.0", "::"})  # noqa: S104  # refused without credentials
_SAME_SITE = frozenset({None, "same-origin", "none"})
_HTTP_PORT = 80


@dataclass(frozen=True, slots=True)
class Guards:
    """Looks at where a request says that it comes from and wants to go.

    Attributes:
        url: Where the service is, for clients on this machine.
        hosts: What Host may be; None for anything, if every request is signed, Host included.
        origins: What Origin may be.
    """

    url: str
    hosts: frozenset[str] | None
    origins: frozenset[str]

    @classmethod
    def of(cls, host: str, port: int) -> Guards:
        """Guard a service that listens on a host and a port."""
        wildcard = host in _WILDCARDS
        names = {"localhost", "127.0.0.1", "[::1]"}
        if not wildcard:
            names.add(_in_url(host))
        hosts = {f"{name}:{port}" for name in names}
        if port == _HTTP_PORT:
            hosts |= names
        return cls(
            url=f"http://{'127.0.0.1' if wildcard else _in_url(host)}:{port}",
            hosts=None if wildcard else frozenset(hosts),
            origins=frozenset(f"http://{one}" for one in hosts),
        )

    def objection(self, headers: Mapping[str, str]) -> str:
        """Say what is wrong with a request; empty if nothing is."""
        if self.hosts is not None:
            host = headers.get("Host", "")
            if host not in self.hosts and host.lower() not in self.hosts:
                return f"Host {host!r} is not this service's: use {self.url}"
        origin = headers.get("Origin")
        if origin is not None and origin not in self.origins:
            return f"a page of {origin!r} may not use this service"
        if headers.get("Sec-Fetch-Site") not in _SAME_SITE:
            return "a page of another site may not use this service"
        return ""


def is_loopback(host: str) -> bool:
    """Whether an address can be reached from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False  # a name may lead anywhere


def _in_url(host: str) -> str:
    return f"[{host.lower()}]" if ":" in host else host.lower()
