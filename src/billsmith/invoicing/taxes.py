"""Which taxes a recipient's lines bear, and the pass that adds them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from billsmith.catalog.reductions import TaxRate as CatalogRate
from billsmith.invoicing.terms import State, Terms
from billsmith.invoicing.totals import DraftLine, TaxRate, exact_taxes, total
from billsmith.units.currency import to_minor
from billsmith.units.exact import Exact, simplest, subtract
from billsmith.units.rounding import ZERO, Rounding


def add_taxes(state: State, terms: Terms) -> State:
    """Round the lines, tax each category, and sum up what is to be paid."""
    totals = total(
        state.lines, charged_rates(terms.taxes, terms.tax_free), terms.currency, terms.place, terms.mode, terms.tax_rounding
    )
    return msgspec.structs.replace(state, totals=totals, due_minor=totals.total_minor)


def take_out_included_taxes(state: State, terms: Terms) -> State:
    """Where no tax is charged, lines whose amounts contain one are lowered to their net."""
    if not terms.tax_free or not any(rate.included for rate in terms.taxes):
        return state
    return msgspec.structs.replace(state, lines=tuple([_net_line(line, terms.taxes) for line in state.lines]))


def charged_rates(rates: Sequence[TaxRate], tax_free: str) -> Sequence[TaxRate]:
    """The rates as they are charged: all of them, or one of zero for each category, with the reason.

    >>> from decimal import Decimal
    >>> vat = TaxRate(category="standard", name="VAT", rate=Decimal(21))
    >>> [(rate.rate, rate.note) for rate in charged_rates([vat], "Reverse charge")]
    [(Decimal('0'), 'Reverse charge')]
    """
    if not tax_free:
        return rates
    first = {rate.category: rate for rate in reversed(rates)}
    return [TaxRate(category=category, name=rate.name, rate=ZERO, note=tax_free) for category, rate in reversed(first.items())]


def rates_for(offered: Iterable[CatalogRate], country: str) -> tuple[TaxRate, ...]:
    """The catalog's newest rates that hold in a country (those without a country hold everywhere).

    >>> from decimal import Decimal
    >>> rates = [CatalogRate(code="de", name="USt", rate=Decimal(19), country="DE")]
    >>> [rate.name for rate in rates_for(rates, "DE")], rates_for(rates, "NL")
    (['USt'], ())
    """
    newest: dict[str, CatalogRate] = {}
    for rate in offered:
        if rate.country in ("", country) and (rate.code not in newest or newest[rate.code].version < rate.version):
            newest[rate.code] = rate
    return tuple(
        TaxRate(
            category=rate.category,
            name=rate.name,
            rate=rate.rate,
            included=rate.included,
            compound=rate.compound,
            note=rate.note,
        )
        for rate in newest.values()
    )


def line_tax(net: Exact, category: str, rates: Sequence[TaxRate], currency: str, mode: Rounding = Rounding.HALF_UP) -> int:
    """A line's own taxes in minor units, each rounded. Information: what binds is the tax of the whole category.

    >>> from decimal import Decimal
    >>> line_tax(Decimal("99.99"), "", [TaxRate(category="", name="VAT", rate=Decimal(20))], "EUR")
    2000
    """
    taxes = exact_taxes(net, [rate for rate in rates if rate.category == category])
    return sum(to_minor(tax, currency, mode) for tax in taxes)


def _net_line(line: DraftLine, rates: Sequence[TaxRate]) -> DraftLine:
    mine = [rate for rate in rates if rate.category == line.tax_category]
    amount = line.amount
    for rate, tax in zip(mine, exact_taxes(line.amount, mine), strict=True):
        if rate.included:
            amount = subtract(amount, tax)
    return msgspec.structs.replace(line, amount=simplest(amount))
