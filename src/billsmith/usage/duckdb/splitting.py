"""Values as their two limbs (:mod:`billsmith.usage.limbs`), many at a time: for who writes. Who reads loads no numpy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from billsmith.usage.limbs import LIMB


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
