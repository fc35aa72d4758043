"""Values as two whole numbers: ``value × 10¹² = high × 10¹⁸ + low``, with ``0 ≤ low < 10¹⁸``.

Each fits 64 bits up to the largest value that an event may have, and a sum of either can't leave 128 bits before there are
10²⁰ events: so a database adds them exactly, whatever the values are.
"""

from __future__ import annotations

from decimal import Decimal

from billsmith.events.limits import MAX_PLACES
from billsmith.events.limits import SCALE as SCALE
from billsmith.units.rounding import EXACT

LIMB = 10**18


def number(whole: int) -> Decimal:
    """The value of a scaled one, trimmed.

    >>> number(-1500000000000)
    Decimal('-1.5')
    """
    units, rest = divmod(whole, SCALE)
    return Decimal(whole).scaleb(-MAX_PLACES, context=EXACT).normalize(EXACT) if rest else Decimal(units)
