"""When two bodies are the same, and the hashes by which a store knows identities and bodies again.

The body is what an event says beside its identity: type, account, time, value, dimensions. Its canonical form trims the
value and sorts the dimensions, so ``1.10`` and ``1.1`` are one body, and any change of a digit is another.
"""

from __future__ import annotations

from hashlib import blake2b

import msgspec

from billsmith.events.event import Event
from billsmith.units.rounding import ZERO, plain, trimmed

_encode = msgspec.msgpack.Encoder(order="sorted").encode

#: Bytes of a hash: 128 bits.
HASH_BYTES = 16
_IDENTITY = b"billsmith-who"
_BODY = b"billsmith-what"


def canonical(event: Event) -> Event:
    """The same event with its value trimmed and its dimensions sorted.

    >>> from decimal import Decimal
    >>> canonical(Event(owner="o", source="s", id="1", type="t", account="a", time=0, value=Decimal("1.10"))).value
    Decimal('1.1')
    """
    value = trimmed(event.value) if event.value else ZERO
    return msgspec.structs.replace(event, value=value, dimensions=dict(sorted(event.dimensions.items())))


def body_of(event: Event) -> bytes:
    """The canonical bytes of what an event says: equal exactly where two bodies are the same."""
    numerator, denominator = event.value.as_integer_ratio()  # in lowest terms: 1.10 and 1.1 are one
    return _encode((event.type, event.account, event.time, f"{numerator}/{denominator}", event.dimensions))


def body_hash(event: Event, key: bytes = b"") -> bytes:
    """128 bits of the body; ``key`` (at most 64 bytes) is the store's secret, so that nobody can aim at a collision."""
    return blake2b(body_of(event), digest_size=HASH_BYTES, key=key, person=_BODY).digest()


def identity_hash(owner: str, source: str, id: str, key: bytes = b"") -> bytes:
    """128 bits of the identity ``(owner, source, id)``.

    >>> identity_hash("o", "ab", "c") == identity_hash("o", "a", "bc")
    False
    """
    return blake2b(_encode((owner, source, id)), digest_size=HASH_BYTES, key=key, person=_IDENTITY).digest()


def difference(stored: Event, sent: Event) -> dict[str, tuple[str, str]]:
    """What two bodies of one identity say differently: the field's name, what is stored, what was sent.

    >>> first = Event(owner="o", source="s", id="1", type="t", account="a", time=0, dimensions={"region": "eu"})
    >>> difference(first, msgspec.structs.replace(first, time=5, dimensions={}))
    {'time': ('0', '5'), 'dimensions.region': ('eu', '')}
    """
    before, after = _fields(stored), _fields(sent)
    names = [*before, *(name for name in after if name not in before)]
    return {name: (before.get(name, ""), after.get(name, "")) for name in names if before.get(name) != after.get(name)}


def _fields(event: Event) -> dict[str, str]:
    value = plain(trimmed(event.value)) if event.value else "0"
    fixed = {"type": event.type, "account": event.account, "time": str(event.time), "value": value}
    return fixed | {f"dimensions.{name}": text for name, text in sorted(event.dimensions.items())}
