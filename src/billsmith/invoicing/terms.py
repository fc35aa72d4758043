"""What an invoice is assembled under: the terms, and the value that the passes hand on."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from enum import StrEnum

import msgspec

from billsmith.catalog.reductions import Coupon
from billsmith.invoicing.model import ExchangeRate, RoundingPlace, Settlement
from billsmith.invoicing.totals import DraftLine, TaxRate, TaxRounding, Totals
from billsmith.ledger.commitments import Commitment
from billsmith.ledger.wallets import Grant
from billsmith.units.currency import from_minor, to_minor
from billsmith.units.errors import InvalidInvoice
from billsmith.units.exact import Exact
from billsmith.units.periods import Period
from billsmith.units.rounding import ZERO, Rounding


class LineDiscount(msgspec.Struct, frozen=True, kw_only=True):
    """``percent`` or a fixed ``amount`` off every line whose meter or component ``applies_to`` names (empty: all)."""

    name: str
    percent: Decimal | None = None
    amount: Decimal | None = None
    applies_to: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _one_of(self.name, self.percent, self.amount)


class AppliedCoupon(msgspec.Struct, frozen=True, kw_only=True):
    """A coupon that an account holds.

    ``left`` is what is left of a fixed amount that is used up over several invoices (``None``: the whole amount each time).
    ``periods_left`` counts down from the coupon's ``periods``; ``None`` is for ever.
    """

    coupon: Coupon
    left: Exact | None = None
    periods_left: int | None = None


class CouponUse(msgspec.Struct, frozen=True, kw_only=True):
    """What a coupon took off an invoice, exactly, and how that is shared by the lines (by their place)."""

    code: str
    amount: Exact
    shares: dict[int, Exact]


class Draw(msgspec.Struct, frozen=True, kw_only=True):
    """What an invoice took from a commitment, and what is left of it."""

    commitment: str
    covered: Exact
    left: Exact


class Minimum(msgspec.Struct, frozen=True, kw_only=True):
    """The least that the lines in scope come to, discounts taken off: what is missing is asked for as one line.

    ``amount`` is for a whole period, ``share`` the part of one that is billed. ``subscription`` limits the scope to its lines,
    ``applies_to`` to the meters and components named, ``period`` to lines whose own period lies in it. ``billed_before`` is
    what earlier invoices asked for in that scope, such as a fee in advance. ``currency`` is that of both amounts; empty where
    it is the invoice's. ``places`` limits the scope to lines from one place of the invoice up to another: where one invoice
    bills two steps of a subscription, each is held to its own lines, and what the first asked was billed before the second.
    """

    amount: Exact
    share: Exact = Decimal(1)
    name: str = "Minimum spend"
    applies_to: tuple[str, ...] = ()
    subscription: str = ""
    period: Period | None = None
    billed_before: Exact = ZERO
    tax_category: str = ""
    currency: str = ""
    places: tuple[int, int] | None = None


class Basis(StrEnum):
    """What discounts, coupons and minimums are computed on."""

    PLACE = "place"
    """The lines as the invoice's rounding place has them: rounded at ``line``, exact at ``invoice``."""
    EXACT = "exact"
    """The exact lines, wherever they are rounded."""


class Credit(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a credit note gave and no invoice has used yet, in minor units."""

    reference: str
    amount_minor: int


class Wallet(msgspec.Struct, frozen=True, kw_only=True):
    """Grants that may pay for the invoice, and what is left of each."""

    grants: tuple[Grant, ...] = ()
    balances: dict[str, Decimal] = {}


class Terms(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """All that the passes need beside the lines. ``date`` picks exchange rates, ``at`` the grants that are alive.

    ``tax_free`` says why no tax is charged (an exemption, a reverse charge); included taxes are then taken out of the lines.
    """

    currency: str
    place: RoundingPlace = RoundingPlace.LINE
    mode: Rounding = Rounding.HALF_UP
    basis: Basis = Basis.PLACE
    tax_rounding: TaxRounding = TaxRounding.CATEGORY
    taxes: tuple[TaxRate, ...] = ()
    tax_free: str = ""
    discounts: tuple[LineDiscount, ...] = ()
    coupons: tuple[AppliedCoupon, ...] = ()
    commitments: tuple[Commitment, ...] = ()
    minimums: tuple[Minimum, ...] = ()
    credits: tuple[Credit, ...] = ()
    wallet: Wallet = Wallet()
    exchange_rates: tuple[ExchangeRate, ...] = ()
    date: dt.date = dt.date(1970, 1, 1)
    at: int = 0

    @property
    def rounds_lines(self) -> bool:
        """Whether what discounts and minimums see is rounded."""
        return self.place is RoundingPlace.LINE and self.basis is Basis.PLACE

    @property
    def reduces(self) -> bool:
        """Whether any pass asks what is left of each line."""
        scoped = any(grant.scope for grant in self.wallet.grants)
        return bool(self.discounts or self.coupons or self.commitments or self.minimums or scoped)


class Step(msgspec.Struct, frozen=True, gc=False):
    """What a pass left to be paid: the sum of the lines, or, once taxes are in, the total less what has been settled."""

    name: str
    amount: Exact


class State(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What the passes hand on.

    ``nets`` stands beside ``lines``: what discounts have left of each line; zero for the lines that discounts themselves are.
    It is empty where no pass asks for it.
    """

    lines: tuple[DraftLine, ...]
    nets: tuple[Exact, ...] = ()
    coupon_uses: tuple[CouponUse, ...] = ()
    draws: tuple[Draw, ...] = ()
    rates_used: tuple[ExchangeRate, ...] = ()
    totals: Totals | None = None
    settlements: tuple[Settlement, ...] = ()
    due_minor: int = 0


def in_scope(line: DraftLine, applies_to: tuple[str, ...]) -> bool:
    """Whether a line's meter or component is named, or nothing is.

    >>> in_scope(DraftLine(description="Calls", amount=Decimal(5), meter="calls"), ("calls", "storage"))
    True
    """
    return not applies_to or line.meter in applies_to or line.component in applies_to


def as_seen(amount: Exact, terms: Terms) -> Exact:
    """An amount as the passes before tax see it: rounded to the currency where they see rounded lines."""
    return from_minor(to_minor(amount, terms.currency, terms.mode), terms.currency) if terms.rounds_lines else amount


def _one_of(name: str, percent: Decimal | None, amount: Decimal | None) -> None:
    if (percent is None) == (amount is None):
        raise InvalidInvoice(f"discount {name!r} has either percent or amount", code="invoice.discount_one_kind")
    if percent is not None and not 0 <= percent <= 100:
        raise InvalidInvoice(f"discount {name!r}: {percent} is not a percentage", code="invoice.discount_percent")
    if amount is not None and amount < 0:
        raise InvalidInvoice(f"discount {name!r}: {amount} is below zero", code="invoice.discount_amount")
