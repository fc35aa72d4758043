"""What an account agreed to beside its subscriptions: coupons, minimums, commitments, terms of payment."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

import msgspec

from billsmith.units.errors import Invalid

MAX_DUE_DAYS = 3660


class Agreed(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", omit_defaults=True):
    """Something that holds from ``at`` on."""

    at: int


class CouponGiven(Agreed, frozen=True, kw_only=True, tag="coupon"):
    """A version of a catalog's coupon."""

    catalog: str
    coupon: str
    version: int


class MinimumAgreed(Agreed, frozen=True, kw_only=True, tag="minimum"):
    """The least that each invoice in a currency comes to before tax; ``applies_to`` names its scope (empty: all)."""

    amount: Decimal
    currency: str
    name: str = "Minimum spend"
    applies_to: tuple[str, ...] = ()
    tax_category: str = ""

    def __post_init__(self) -> None:
        _above_zero(self.amount, "amount")


class CommitmentAgreed(Agreed, frozen=True, kw_only=True, tag="commitment"):
    """Money promised (or prepaid) for a term until ``ends_at``, drawn down by what is invoiced in its currency.

    What goes beyond it costs ``overage_factor`` times as much; what is left of one that wasn't prepaid is asked for at its end.
    """

    amount: Decimal
    currency: str
    ends_at: int
    prepaid: bool = False
    overage_factor: Decimal = Decimal(1)
    applies_to: tuple[str, ...] = ()
    tax_category: str = ""

    def __post_init__(self) -> None:
        _above_zero(self.amount, "amount")
        _above_zero(self.overage_factor, "overage_factor")
        if self.ends_at <= self.at:
            raise Invalid("a commitment ends after it begins", code="agreement.ends_before_start", where="ends_at")


class TermsAgreed(Agreed, frozen=True, kw_only=True, tag="terms"):
    """How an account pays: ``due_days`` after the date; ``tax_free`` says why no tax is charged; the last agreed ones hold."""

    due_days: int = 14
    tax_free: str = ""
    round_total: bool = False
    send_by_email: bool = False
    direct_debit: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.due_days <= MAX_DUE_DAYS:
            raise Invalid(f"due_days is 0 to {MAX_DUE_DAYS}", code="agreement.due_days", where="due_days")


class Ended(Agreed, frozen=True, kw_only=True, tag="ended"):
    """An agreement, by its id, holds no longer."""

    agreement: str


Agreement = CouponGiven | MinimumAgreed | CommitmentAgreed | TermsAgreed | Ended


def in_force(agreed: Iterable[tuple[str, Agreement]], at: int) -> dict[str, Agreement]:
    """The agreements that hold at an instant, by id, in the order in which they were recorded.

    >>> given = CouponGiven(at=5, catalog="acme", coupon="TEN", version=1)
    >>> list(in_force([("a", given), ("b", Ended(at=9, agreement="a"))], 8))
    ['a']
    """
    holding: dict[str, Agreement] = {}
    ended: set[str] = set()
    for id, each in agreed:
        if each.at > at:
            continue
        if isinstance(each, Ended):
            ended.add(each.agreement)
        else:
            holding[id] = each
    return {id: each for id, each in holding.items() if id not in ended}


def terms_in_force(holding: Iterable[Agreement]) -> TermsAgreed:
    """The terms of payment: those that hold from the latest instant; of two at one, the one recorded later."""
    terms = [each for each in holding if isinstance(each, TermsAgreed)]
    return max(enumerate(terms), key=lambda pair: (pair[1].at, pair[0]))[1] if terms else TermsAgreed(at=0)


def _above_zero(value: Decimal, where: str) -> None:
    if not value.is_finite() or value <= 0:
        raise Invalid(f"{where} is a decimal above zero", code="agreement.not_above_zero", where=where)
