"""Values as two whole numbers: ``value × 10¹² = high × 10¹⁸ + low``, with ``0 ≤ low < 10¹⁸``.

Each fits 64 bits up to the largest value that an event may have, and a sum of either can't leave 128 bits before there are
10²⁰ events: so a database adds them exactly, whatever the values are.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from billsmith.events.columns import SCALE as SCALE
from billsmith.events.limits import MAX_PLACES
from billsmith.units.rounding import EXACT

LIMB = 10**18


def split(whole: Sequence[int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The high and the low limbs of scaled values.

    >>> [column.tolist() for column in split([-1_500_000_000_000, 10**36])]
    [[-1, 1000000000000000000], [999998500000000000, 0]]
    """
    try:
        small = np.array(whole, np.int64)
    except OverflowError:
        high, low = zip(*(divmod(one, LIMB) for one in whole), strict=True)
        return np.array(high, np.int64), np.array(low, np.int64)
    high_limb = small // LIMB
    return high_limb, small - high_limb * LIMB


def number(whole: int) -> Decimal:
    """The value of a scaled one, trimmed.

    >>> number(-1500000000000)
    Decimal('-1.5')
    """
    units, rest = divmod(whole, SCALE)
    return Decimal(whole).scaleb(-MAX_PLACES, context=EXACT).normalize(EXACT) if rest else Decimal(units)
