"""Values as two whole numbers: ``value × 10¹² = high × 10¹⁸ + low``, with ``0 ≤ low < 10¹⁸``.

Each fits 64 bits up to the largest value that an event may have, and a sum of either can't leave 128 bits before there are
10²⁰ events: so a database adds them exactly, whatever the values are.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from billsmith.events.limits import MAX_PLACES
from billsmith.units.rounding import EXACT

LIMB = 10**18
#: What a value is multiplied with to be whole.
SCALE = 10**MAX_PLACES
_ONE = Decimal(SCALE)


def split(values: Sequence[Decimal]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The high and the low limbs of values.

    >>> [column.tolist() for column in split([Decimal("-1.5"), Decimal("1e24")])]
    [[-1, 1000000000000000000], [999998500000000000, 0]]
    """
    multiply = EXACT.multiply
    exact = [multiply(value, _ONE) for value in values]
    whole = list(map(int, exact))
    assert all(map(operator.eq, exact, whole)), "limits.check lets no finer value pass"
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
