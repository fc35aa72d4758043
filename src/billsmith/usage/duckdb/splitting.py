"""Values as their two limbs (:mod:`billsmith.usage.limbs`), many at a time: for who writes. Who reads loads no numpy."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from billsmith.units.rounding import EXACT
from billsmith.usage.limbs import LIMB, SCALE

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
