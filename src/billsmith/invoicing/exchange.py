"""Amounts in another currency, converted at a dated rate that the invoice records."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import msgspec

from billsmith.invoicing.model import ExchangeRate
from billsmith.invoicing.terms import State, Terms
from billsmith.invoicing.totals import DraftLine
from billsmith.units.currency import currency_exponent
from billsmith.units.errors import InvalidInvoice
from billsmith.units.exact import Exact, divide, multiply, simplest
from billsmith.units.wording import say_money, say_rate


def convert_currencies(state: State, terms: Terms) -> State:
    """Convert every line whose currency is not the invoice's, and keep the rates that were used."""
    if {line.currency for line in state.lines} <= {"", terms.currency}:
        return state
    used: dict[str, ExchangeRate] = {}
    lines = []
    for line in state.lines:
        if line.currency not in ("", terms.currency):
            rate = used.setdefault(line.currency, rate_on(terms.exchange_rates, line.currency, terms.currency, terms.date))
            line = _converted(line, rate, terms.currency)
        lines.append(line)
    return msgspec.structs.replace(state, lines=tuple(lines), rates_used=tuple(used.values()))


def rate_on(rates: Sequence[ExchangeRate], base: str, quote: str, date: dt.date) -> ExchangeRate:
    """The newest rate at or before a date between two currencies, whichever of them is its base.

    Raises :class:`InvalidInvoice` (``invoice.no_exchange_rate``) where there is none.

    >>> from decimal import Decimal
    >>> rates = [ExchangeRate(base="USD", quote="EUR", rate=Decimal("0.92"), date=dt.date(2026, 10, 1))]
    >>> rate_on(rates, "USD", "EUR", dt.date(2026, 10, 31)).rate
    Decimal('0.92')
    """
    pair = {base, quote}
    found = [rate for rate in rates if {rate.base, rate.quote} == pair and rate.date <= date and rate.rate > 0]
    if not found:
        raise InvalidInvoice(
            f"no rate from {base} to {quote} on {date} or before. Add one with a date", code="invoice.no_exchange_rate"
        )
    return max(found, key=lambda rate: (rate.date, rate.base == base))


def convert(amount: Exact, rate: ExchangeRate, currency: str) -> Exact:
    """An exact amount in the rate's other currency, in ``currency``. Nothing is rounded.

    >>> from decimal import Decimal
    >>> rate = ExchangeRate(base="USD", quote="EUR", rate=Decimal("0.80"), date=dt.date(2026, 10, 1))
    >>> convert(Decimal(10), rate, "EUR"), convert(Decimal(10), rate, "USD")
    (Decimal('8.00'), Decimal('12.5'))
    """
    return multiply(amount, rate.rate) if rate.quote == currency else divide(amount, rate.rate)


def _converted(line: DraftLine, rate: ExchangeRate, currency: str) -> DraftLine:
    amount = simplest(convert(line.amount, rate, currency))
    sign = "×" if rate.quote == currency else "÷"
    before, after = (
        say_money(value, currency_exponent(code)) for value, code in ((line.amount, line.currency), (amount, currency))
    )
    source = f", {rate.source}" if rate.source else ""
    sentence = f"{before} {line.currency} {sign} {say_rate(rate.rate)} ({rate.date}{source}) = {after} {currency}"
    return msgspec.structs.replace(line, amount=amount, currency="", trace=(*line.trace, sentence))
