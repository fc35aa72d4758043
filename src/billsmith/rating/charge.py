"""The result of a rating: how much, and why."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from billsmith.rating.trace import Entry, say
from billsmith.rating.usage import Usage
from billsmith.units.exact import Exact, divide, quotient_if_decimal
from billsmith.units.rounding import EXACT, ZERO, round_to


class Priced(msgspec.Struct, frozen=True, gc=False):
    """An exact amount and how it came about."""

    amount: Exact
    trace: tuple[Entry, ...] = ()


class State(msgspec.Struct, frozen=True, gc=False):
    """What the steps of a rating hand to each other: the usage as far as changed, the amount as far as known, the trace."""

    usage: Usage
    amount: Exact = ZERO
    trace: tuple[Entry, ...] = ()


class Charge(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What a price asks for a usage.

    ``exact`` is the amount before rounding, ``rounded`` the one to be asked for, with ``places`` after the point. ``quantity``
    is what was billed of the usage, after conversion and free units; ``previous_quantity`` the same of earlier splits.
    """

    currency: str
    exact: Exact
    rounded: Decimal
    places: int
    quantity: Exact
    previous_quantity: Exact = ZERO
    unit: str = ""
    trace: tuple[Entry, ...] = ()

    @property
    def amount_minor(self) -> int:
        """The rounded amount in whole minor units."""
        return int(self.rounded.scaleb(self.places, context=EXACT))

    @property
    def sentences(self) -> tuple[str, ...]:
        """The trace, read aloud."""
        return say(self.trace, self.places)

    @property
    def unit_price(self) -> Decimal | None:
        """The amount per billed unit, where it has an end; else the trace says what was multiplied."""
        if type(self.exact) is not Decimal or type(self.quantity) is not Decimal or not self.quantity:
            return None
        return quotient_if_decimal(self.exact, self.quantity)

    def unit_amount(self, places: int | None = None) -> Exact | None:
        """The exact amount per billed unit, rounded half up where ``places`` are given; ``None`` without units."""
        if self.quantity == 0:
            return None
        share = divide(self.exact, self.quantity)
        return share if places is None else round_to(share, places)
