"""Commitments: money promised or prepaid for a term, drawn down by charges.

What the commitment covers is drawn from it; what goes beyond it is overage, at a factor. At the term's end what was promised
and not used is trued up.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from billsmith.units.errors import Invalid
from billsmith.units.exact import Exact, multiply, subtract
from billsmith.units.rounding import ZERO


class Commitment(msgspec.Struct, frozen=True, kw_only=True):
    """What is left of a commitment for a term, in the invoice's currency.

    ``applies_to`` names the meters and fees that draw on it (empty: all). A ``prepaid`` one has been paid for, so what it
    covers is not asked for again. On the invoice that ends its term it is ``closing``: what is left of one that wasn't
    prepaid is trued up.
    """

    id: str
    left: Decimal
    overage_factor: Decimal = Decimal(1)
    prepaid: bool = False
    applies_to: tuple[str, ...] = ()
    closing: bool = False
    tax_category: str = ""


class Drawn(msgspec.Struct, frozen=True, kw_only=True):
    """What a charge took from a commitment: ``covered`` came from it, ``overage`` is charged beyond it, ``left`` remains."""

    covered: Exact
    overage: Exact
    left: Exact


def draw_down(left: Exact, charge: Exact, overage_factor: Decimal = Decimal(1)) -> Drawn:
    """Take a charge from what is ``left`` of a commitment. A charge below zero gives back.

    Raises :class:`Invalid` where ``left`` is below zero.

    >>> draw_down(Decimal(100), Decimal(120), Decimal("1.5"))
    Drawn(covered=Decimal('100'), overage=Decimal('30.0'), left=Decimal('0'))
    """
    if left < 0:
        raise Invalid(f"a commitment can't have {left} left", code="commitment.below_zero", where="left")
    covered = min(charge, left)
    beyond = subtract(charge, covered)
    return Drawn(covered=covered, overage=multiply(beyond, overage_factor) if beyond else ZERO, left=subtract(left, covered))


def true_up(committed: Exact, used: Exact) -> Exact:
    """What is still to be paid so that the commitment is met; nothing where it is.

    >>> true_up(Decimal(100), Decimal(88)), true_up(Decimal(100), Decimal(120))
    (Decimal('12'), Decimal('0'))
    """
    return max(subtract(committed, used), ZERO)
