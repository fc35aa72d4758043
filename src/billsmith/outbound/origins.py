"""Origins: what a vendor's address may look like, and which private ones the operator opened.

An address is ``https://host[:port][/path]``, with nothing else in it. Plain http, and hosts whose addresses are not public, are
for origins that ``BILLSMITH_ALLOW_PRIVATE`` names: ``http://127.0.0.1:8080,https://billing.internal``.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

import msgspec

from billsmith.units.errors import Invalid

ALLOW_PRIVATE = "BILLSMITH_ALLOW_PRIVATE"

_PORTS = {"http": 80, "https": 443}
_NAME = re.compile(r"(?=.{1,253}$)[a-z0-9_](?:[a-z0-9_-]{0,62})(?:\.[a-z0-9_][a-z0-9_-]{0,62})*\.?", re.ASCII)
_PLAIN = re.compile(r"[!-~]+", re.ASCII)
#: A last label that resolvers read as a number: 127.1, 0x7f000001, 2130706433.
_NUMBER = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)\.?", re.ASCII)


class Origin(msgspec.Struct, frozen=True):
    """Scheme, host (lower case, without brackets) and port."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}" + ("" if self.port == _PORTS[self.scheme] else f":{self.port}")


def parse(url: str) -> tuple[Origin, str]:
    """An address's origin, and its path without a slash at the end. Raises :class:`Invalid`.

    >>> origin, path = parse("https://EU2-cloud.example/api/")
    >>> str(origin), path
    ('https://eu2-cloud.example', '/api')
    """
    try:
        if not _PLAIN.fullmatch(url) or "\\" in url:
            raise ValueError("it holds a character that no address has (write a name with others as xn--…)")
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise _invalid(url, str(error)) from None
    if parts.scheme not in _PORTS:
        raise _invalid(url, "it begins with neither https:// nor http://")
    if "@" in parts.netloc:
        raise Invalid("an address holds no user and password; give them by themselves", code="outbound.address")
    if "?" in url or "#" in url:
        raise _invalid(url, "it has a query or a fragment")
    return Origin(
        parts.scheme, _host(url, parts.hostname or ""), _PORTS[parts.scheme] if port is None else port
    ), parts.path.rstrip("/")


def allowed(environment: Mapping[str, str] = os.environ) -> frozenset[Origin]:
    """The origins that the operator opened. Raises :class:`Invalid`.

    >>> [str(each) for each in allowed({"BILLSMITH_ALLOW_PRIVATE": "http://127.0.0.1:8080"})]
    ['http://127.0.0.1:8080']
    """
    return frozenset(parse(each.strip())[0] for each in environment.get(ALLOW_PRIVATE, "").split(",") if each.strip())


def _host(url: str, host: str) -> str:
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        pass
    if not _NAME.fullmatch(host):
        raise _invalid(url, "its host is no name")
    if _NUMBER.fullmatch(host):
        raise _invalid(url, "its host is a number; write an IP address as four decimals")
    return host


def _invalid(url: str, why: str) -> Invalid:
    return Invalid(f"{_shown(url)} is not an address like https://api.example.com: {why}", code="outbound.address", where="url")


def _shown(url: str) -> str:
    """The address up to whatever could be a secret in it."""
    return ascii(re.split(r"[?#]", re.sub(r"//[^/]*@", "//", url))[0][:100])
