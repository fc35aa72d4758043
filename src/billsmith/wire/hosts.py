"""Under which name a caller reached us, and from where.

Links and redirects name a host only from the list that the operator allows; another Host is a 400. ``X-Forwarded-*`` counts
only when the connection comes from a trusted proxy.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping

from starlette.types import Scope

from billsmith.units.errors import Invalid
from billsmith.wire.services import WireSettings

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?)(?::([0-9]{1,5}))?", re.ASCII)


def base_url(scope: Scope, headers: Mapping[str, str], settings: WireSettings) -> str:
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


def caller_address(scope: Scope, headers: Mapping[str, str], settings: WireSettings) -> str:
    """Where the request comes from: the connection's address, or what a trusted proxy says."""
    client = scope.get("client")
    address = client[0] if client else "local"
    if _is_proxy(scope, settings):
        forwarded = headers.get("x-forwarded-for", "").split(",")[-1].strip()
        return forwarded[:64] or address
    return address


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
