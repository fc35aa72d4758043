"""What a rating needs to know beside price and usage."""

from __future__ import annotations

from functools import cached_property

import msgspec

from billsmith.rating.usage import Given
from billsmith.units.currency import currency_exponent
from billsmith.units.exact import Exact
from billsmith.units.rounding import Rounding


class Context(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, dict=True):
    """Currency, rounding, words, and where in a split period we are.

    ``unit`` names what is counted ("calls"), ``stated`` where the amounts come from that the usage states. ``places`` after
    the point are the currency's unless given (0 where amounts are in minor units). ``zone`` is the account's, for hours of the
    day.

    Where a period is billed in splits, ``previous`` is the usage of the splits before this one and ``previously_billed`` what
    they were billed, where that is known better than the price itself would say. A minimum and a commitment's true-up are
    settled in the ``final`` split.
    """

    currency: str
    unit: str = ""
    stated: str = "stated by the events"
    rounding: Rounding = Rounding.HALF_UP
    places: int | None = None
    zone: str = "UTC"
    previous: Given | None = None
    previously_billed: Exact | None = None
    final: bool = True

    @cached_property
    def digits(self) -> int:
        """Places after the point of the rounded amount."""
        return currency_exponent(self.currency) if self.places is None else self.places
