"""IP addresses: which are public, and a name's addresses, every one of them checked."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Sequence

from billsmith.outbound.origins import ALLOW_PRIVATE, Origin
from billsmith.units.errors import Forbidden, Unavailable

#: A host name's (and port's) addresses, in the order in which to try them.
Resolver = Callable[[str, int], Sequence[str]]

_IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

# Public by their number, or to some versions of the library, but a cloud's own services for the machine that asks.
_METADATA = tuple(map(ipaddress.ip_network, ("168.63.129.16/32", "192.0.0.0/24")))
# Networks of IPv6 whose addresses end in the IPv4 address that they lead to.
_TRANSLATED = (ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("::/96"))


def resolve(host: str, port: int) -> Sequence[str]:
    """The system's answer, each address once. Raises ``OSError``."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def is_public(address: str) -> bool:
    """Whether an address is of the open Internet: not this machine, a private, shared or local network, or a cloud's inside.

    >>> is_public("93.184.215.14"), is_public("2606:2800:21f:cb07::1")
    (True, True)
    >>> any(map(is_public, ("127.0.0.1", "10.1.2.3", "100.64.0.1", "169.254.169.254", "::1", "::ffff:10.0.0.1", "fe80::1%e")))
    False
    """
    try:
        return _is_public(ipaddress.ip_address(address.partition("%")[0]))
    except ValueError:
        return False


def checked(origin: Origin, opened: bool, resolver: Resolver) -> tuple[str, ...]:
    """An origin's addresses, to be used from here on. ``opened``: the operator named it, so that it may be private.

    Raises :class:`Forbidden` if a single one is not public, :class:`Unavailable` if there are none.
    """
    if origin.scheme != "https" and not opened:
        raise Forbidden(
            f"{origin} is not https, and a credential would be open to read; to allow it, name the origin in {ALLOW_PRIVATE}",
            code="outbound.not_https",
        )
    try:
        addresses = tuple(resolver(origin.host, origin.port))
    except (OSError, UnicodeError) as error:
        raise Unavailable(f"the host {origin.host} was not found: {error}", code="outbound.no_such_host") from None
    if not addresses:
        raise Unavailable(f"the host {origin.host} has no address", code="outbound.no_such_host")
    if opened:
        return addresses
    private = [address for address in addresses if not is_public(address)]
    if private:
        raise Forbidden(
            f"{origin.host} leads to {private[0]}, which is not public; to allow it, name {origin} in {ALLOW_PRIVATE}",
            code="outbound.private_address",
        )
    return addresses


def _is_public(address: _IPAddress) -> bool:
    if isinstance(address, ipaddress.IPv6Address):
        inner = _inside(address)
        if inner:
            return all(_is_public(each) for each in inner)
        if address.is_site_local:
            return False
    if address.is_multicast or address.is_reserved or any(address in network for network in _METADATA):
        return False
    return address.is_global


def _inside(address: ipaddress.IPv6Address) -> list[ipaddress.IPv4Address]:
    """The IPv4 addresses that an IPv6 address stands for, by mapping, translation or tunnel."""
    found = [each for each in (address.ipv4_mapped, address.sixtofour) if each is not None]
    if address.teredo is not None:
        found.extend(address.teredo)
    if any(address in network for network in _TRANSLATED):
        found.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return found
