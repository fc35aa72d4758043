"""How long to wait before a call is made again."""

from __future__ import annotations

from collections.abc import Callable
from email.utils import parsedate_to_datetime

import msgspec

#: Statuses that say "not now" of the server, and nothing of the request.
PASSING = frozenset({429, 500, 502, 503, 504})


class Patience(msgspec.Struct, frozen=True, kw_only=True):
    """How often a call is made, and how long is waited in between, in seconds.

    ``longest`` caps what a server may ask for: one that says "in an hour" ends the call, which then says so.
    """

    attempts: int = 5
    first: float = 0.5
    most: float = 30.0
    longest: float = 120.0


def delay(patience: Patience, attempt: int, asked: float | None, dice: Callable[[], float]) -> float | None:
    """Seconds to wait after the ``attempt``-th try (1 is the first); ``None``: give up.

    What the server asked for counts, and a little more, so that many callers don't come back at once; else the wait doubles
    from try to try, and half of it is chance.

    >>> delay(Patience(), 3, None, lambda: 1.0), delay(Patience(), 1, 7.0, lambda: 0.0)
    (2.0, 7.0)
    >>> delay(Patience(), 1, 3600.0, lambda: 0.0) is None
    True
    """
    if attempt >= patience.attempts or (asked is not None and asked > patience.longest):
        return None
    backing_off = min(patience.first * float(2 ** (attempt - 1)), patience.most)
    if asked is None:
        return backing_off * (0.5 + dice() / 2)
    return min(asked + patience.first * dice(), patience.longest)


def retry_after(text: str | None, now: int) -> float | None:
    """Seconds that a ``Retry-After`` asks for, in either of its forms; ``now`` in nanoseconds UTC. ``None``: nothing.

    >>> retry_after("12", 0), retry_after("Thu, 01 Jan 1970 00:01:00 GMT", 0), retry_after("soon", 0)
    (12.0, 60.0, None)
    """
    text = (text or "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:12])
    try:
        at = parsedate_to_datetime(text)
    except (TypeError, ValueError, OverflowError):
        return None
    return max(0.0, at.timestamp() - now / 1_000_000_000)
