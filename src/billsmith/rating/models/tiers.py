"""Tiers: the spans of quantity that graduated and volume prices are made of.

A tier reaches from the one before it to its ``up_to``; the last one has none, or goes on beyond it all the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from enum import StrEnum
from itertools import pairwise
from typing import NamedTuple, Protocol, TypeVar

from billsmith.catalog.price import refuse
from billsmith.rating.trace import Term, in_words
from billsmith.units.exact import Exact, add, multiply, subtract, total
from billsmith.units.rounding import ZERO
from billsmith.units.values import Value


class Boundary(StrEnum):
    """To which tier a quantity belongs that is exactly a bound. The default, where a price doesn't say, is the lower one."""

    UPPER_INCLUSIVE = "upper_inclusive"
    """A tier holds its ``up_to``: (0, 10], (10, 20] …"""
    LOWER_INCLUSIVE = "lower_inclusive"
    """``up_to`` is the first of the next tier: [0, 10), [10, 20) …"""


class Bounded(Protocol):
    """Anything with an upper bound."""

    @property
    def up_to(self) -> Decimal | None:
        """The bound, or ``None`` without end."""


T = TypeVar("T", bound=Bounded)


class Tier(Value, frozen=True, kw_only=True):
    """Units up to ``up_to`` cost ``unit_amount`` each and ``flat_amount`` once, together at most ``maximum``."""

    up_to: Decimal | None = None
    unit_amount: Decimal = ZERO
    flat_amount: Decimal = ZERO
    maximum: Decimal | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("unit_amount", "flat_amount", "maximum"):
            refuse((getattr(self, name) or 0) < 0, f"a tier's {name} can't be below zero", "price.negative_amount", name)


def check_ascending(tiers: Sequence[Bounded]) -> None:
    """Raise :class:`InvalidPrice` unless there are tiers, each ends above the one before, and only the last has no end."""
    refuse(not tiers, "a tiered price has at least one tier", "price.no_tiers", "tiers")
    before = ZERO
    for index, tier in enumerate(tiers):
        last = index == len(tiers) - 1
        refuse(
            tier.up_to is None and not last,
            "only the last tier may have no up_to. Give it one, or drop the tiers after it",
            "price.tier_without_end",
            f"tiers[{index}].up_to",
        )
        if tier.up_to is not None:
            refuse(
                tier.up_to <= before,
                f"up_to {tier.up_to} is not above the tier before it ({before}). Sort the tiers, or drop one",
                "price.tiers_not_ascending",
                f"tiers[{index}].up_to",
            )
            before = tier.up_to


def within(quantity: Exact, up_to: Decimal | None, boundary: Boundary) -> bool:
    """Whether a quantity doesn't pass a tier's bound."""
    if up_to is None:
        return True
    return quantity <= up_to if boundary is Boundary.UPPER_INCLUSIVE else quantity < up_to


def reached(tiers: Sequence[T], quantity: Exact, boundary: Boundary) -> Iterator[tuple[T, Exact]]:
    """The tiers that a quantity reaches, each with the units that lie in it. The last tier takes all that is left.

    >>> tiers = (Tier(up_to=Decimal(10)), Tier())
    >>> [units for _, units in reached(tiers, Decimal(12), Boundary.UPPER_INCLUSIVE)]
    [Decimal('10'), Decimal('2')]
    """
    lower = ZERO
    last = tiers[-1]
    for tier in tiers:
        bound = tier.up_to
        if tier is last or bound is None or within(quantity, bound, boundary):
            yield tier, subtract(quantity, lower)
            return
        yield tier, subtract(bound, lower)
        lower = bound


def tier_holding(tiers: Sequence[T], quantity: Exact, boundary: Boundary) -> T:
    """The tier that a quantity falls in; the last one beyond all bounds.

    >>> tier_holding((Tier(up_to=Decimal(10)), Tier()), Decimal(10), Boundary.LOWER_INCLUSIVE).up_to is None
    True
    """
    for tier in tiers:
        if within(quantity, tier.up_to, boundary):
            return tier
    return tiers[-1]


def tier_terms(tier: Tier, units: Exact) -> tuple[Term, ...]:
    """What the units in one tier cost: its flat amount, then the units, or its maximum where that is less.

    >>> [term.amount for term in tier_terms(Tier(unit_amount=Decimal(1), flat_amount=Decimal(10)), Decimal(5))]
    [Decimal('10'), Decimal('5')]
    """
    amount = multiply(units, tier.unit_amount)
    if tier.maximum is not None and add(amount, tier.flat_amount) > tier.maximum:
        return (Term(tier.maximum, name="a tier at most"),)
    by_unit = Term(amount, units, tier.unit_amount)
    if not tier.flat_amount:
        return (by_unit,)
    flat = Term(tier.flat_amount, name="flat fee")
    return (flat, by_unit) if amount else (flat,)


class Stair(NamedTuple):
    """A tier, from where it counts, and what the full tiers below it cost."""

    tier: Tier
    lower: Decimal
    terms: tuple[Term, ...]
    amount: Exact


def stairs_of(tiers: Sequence[Tier]) -> tuple[Stair, ...]:
    """Each tier with what stands below it.

    >>> ten = (Tier(up_to=Decimal(10), unit_amount=Decimal(2)), Tier(unit_amount=Decimal(1)))
    >>> [(stair.lower, stair.amount) for stair in stairs_of(ten)]
    [(Decimal('0'), Decimal('0')), (Decimal('10'), Decimal('20'))]
    """
    stairs = [Stair(tiers[0], ZERO, (), ZERO)]
    for tier, above in pairwise(tiers):
        lower, terms, amount = stairs[-1][1:]
        assert tier.up_to is not None
        full = tier_terms(tier, subtract(tier.up_to, lower))
        stairs.append(
            Stair(above, tier.up_to, (*terms, *map(in_words, full)), add(amount, total([term.amount for term in full])))
        )
    return tuple(stairs)


def stair_of(stairs: Sequence[Stair], quantity: Exact, boundary: Boundary) -> Stair:
    """The stair on which a quantity ends; the last one beyond all bounds."""
    for stair in stairs:
        if within(quantity, stair.tier.up_to, boundary):
            return stair
    return stairs[-1]
