"""Under which name a caller reached us, and from where.

Links and redirects name a host only from the list that the operator allows; another Host is a 400. ``X-Forwarded-*`` counts
only when the connection comes from a trusted proxy.
"""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import Scope

from billsmith.units.errors import Invalid
from billsmith.wire.services import WireSettings

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?)(?::([0-9]{1,5}))?", re.ASCII)


def origin_form(scope: Scope) -> Scope:
    """The request with its path alone as target.

    HTTP lets a client send the whole address (``GET http://host/path``); its host then stands for the Host header, and is
    held to the same list. Raises :class:`Invalid` for any other target that is not a path.
    """
    target = scope.get("raw_path") or scope["path"].encode("latin-1", "replace")
    if target.startswith(b"/"):
        return scope
    parts = urlsplit(target.decode("latin-1")) if target.lower().startswith((b"http://", b"https://")) else None
    if parts is None or not parts.netloc:
        raise Invalid("the request names no path", code="input.target")
    headers = [(name, value) for name, value in scope["headers"] if name != b"host"]
    headers.append((b"host", parts.netloc.encode("latin-1")))
    return {**scope, "raw_path": (parts.path or "/").encode("latin-1"), "headers": headers}


def base_url(scope: Scope, headers: Headers, settings: WireSettings) -> str:
    """Scheme, host and port for links. Raises :class:`Invalid` for a Host that we don't answer to."""
    scheme = scope.get("scheme", "http")
    host = headers.get("host", "")
    if _is_proxy(scope, settings):
        scheme = headers.get("x-forwarded-proto", scheme)
        host = headers.get("x-forwarded-host", host)
    match = _HOST.fullmatch(host)
    if scheme not in ("http", "https") or match is None or not _allowed(match[1], host, scope, settings):
        raise Invalid("this Host is not one that this server answers to; name it in BILLSMITH_PUBLIC_HOSTS", code="input.host")
    return f"{scheme}://{host.lower()}"


def caller_address(scope: Scope, headers: Headers, settings: WireSettings) -> str:
    """Where the request comes from: the connection's address, or what trusted proxies say.

    Each proxy appends the address that it saw, perhaps as a header line of its own; so the list is read from its end, and the
    first address that is no proxy of ours is the caller's. What stands before it the caller may have made up.
    """
    client = scope.get("client")
    address = client[0] if client else "local"
    if _is_proxy(scope, settings):
        forwarded = [part.strip() for line in headers.getlist("x-forwarded-for") for part in line.split(",")]
        address = next((part for part in reversed(forwarded) if part and part not in settings.trusted_proxies), address)
    return _network(address)


def _network(address: str) -> str:
    """An address as rate limits count it: one caller commands a whole /64 of IPv6.

    >>> _network("2001:db8::7"), _network("192.0.2.1")
    ('2001:db8::/64', '192.0.2.1')
    """
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((int(parsed), 64), strict=False))
    return str(parsed)


def _is_proxy(scope: Scope, settings: WireSettings) -> bool:
    client = scope.get("client")
    return client is not None and client[0] in settings.trusted_proxies


def _allowed(name: str, host: str, scope: Scope, settings: WireSettings) -> bool:
    lower = host.lower()
    bare = name.strip("[]").lower()
    if lower in settings.public_hosts or bare in settings.public_hosts or bare == "localhost":
        return True
    server = scope.get("server")
    if server and bare == str(server[0]).lower():
        return True
    try:
        return ipaddress.ip_address(bare).is_loopback
    except ValueError:
        return False
