"""Spans and charges → draft lines: what is asked for, with its period and its trace."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction

from billsmith.catalog.price import Price
from billsmith.invoicing.model import LineKind
from billsmith.invoicing.terms import Minimum
from billsmith.invoicing.totals import DraftLine
from billsmith.rating.charge import Charge
from billsmith.rating.context import Context
from billsmith.rating.rate import rate
from billsmith.subscriptions.proration import prorate
from billsmith.subscriptions.spans import FeeSpan, UsageSpan
from billsmith.units.currency import currency_exponent
from billsmith.units.exact import Exact
from billsmith.units.rounding import Rounding
from billsmith.units.wording import say_money


def fee_line(
    span: FeeSpan, currency: str, overrides: Mapping[str, Price] | None = None, mode: Rounding = Rounding.HALF_UP
) -> DraftLine:
    """A fee's span as a line: the price of its quantity, times its share of the period. Below zero it is a credit.

    ``overrides`` are the subscription's own prices, by component.
    """
    fee = span.fee
    price = (overrides or {}).get(fee.code, fee.price)
    charge = rate(price, span.quantity, Context(currency=currency, unit=fee.unit, rounding=mode))
    amount = prorate(charge.exact, span.share)
    return DraftLine(
        description=fee.name or fee.code,
        amount=amount,
        kind=LineKind.FEE if span.share > 0 else LineKind.CREDIT,
        quantity=span.quantity,
        unit=fee.unit,
        period=span.part,
        tax_category=fee.tax_category,
        plan=span.offer.code,
        subscription=span.subscription,
        component=fee.code,
        trace=(*charge.sentences, *_prorated(charge.exact, span.share, amount, currency_exponent(currency))),
    )


def usage_line(charge: Charge, span: UsageSpan, dimensions: Mapping[str, str] | None = None) -> DraftLine:
    """A rated usage as a line, with the charge's trace."""
    usage = span.charge
    return DraftLine(
        description=usage.name or usage.key,
        amount=charge.exact,
        kind=LineKind.USAGE,
        quantity=charge.quantity if isinstance(charge.quantity, Decimal) else None,
        unit=charge.unit,
        unit_price=charge.unit_price,
        period=span.part,
        tax_category=usage.tax_category,
        meter=usage.meter,
        plan=span.offer.code,
        subscription=span.subscription,
        component=usage.key,
        dimensions=dict(dimensions or {}),
        trace=charge.sentences,
    )


def plan_minimum(amount: Decimal, share: Fraction, subscription: str, tax_category: str = "") -> Minimum:
    """A plan's minimum for the share of the period in which its fees ran, held against the subscription's own lines."""
    return Minimum(amount=amount, share=share, subscription=subscription, tax_category=tax_category)


def _prorated(whole: Exact, share: Fraction, amount: Exact, places: int) -> tuple[str, ...]:
    if share == 1:
        return ()
    return (f"{say_money(whole, places)} × {share} of the period = {say_money(amount, places)}",)
