"""Exact lines and tax rates → rounded lines, taxes by category, and the total.

The arithmetic that every document shares: a one-off invoice, an import, the assembly of a billing run, a note. Lines are
rounded where the invoice says (design rule 1): each on its own, or the exact sum once, shared by largest remainder; either way
the lines sum to the total. Tax is computed on a category's sum and is binding there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction

import msgspec

from billsmith.invoicing.model import Line, LineKind, Period, RoundingPlace, Tax
from billsmith.units.currency import all_to_minor, currency_exponent, minor_factor
from billsmith.units.errors import InvalidInvoice
from billsmith.units.exact import Exact, as_fraction, percent, simplest
from billsmith.units.exact import total as exact_sum
from billsmith.units.rounding import EXACT, Rounding, round_fraction, round_to, settle_remainder


class DraftLine(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A line before rounding: ``amount`` is exact, in the currency's major unit. The other fields are :class:`Line`'s.

    ``currency`` is empty where the amount is in the invoice's. Lines of one ``group`` are parts of one amount, such as a
    coupon's: at the place ``line`` the group's sum is rounded and its lines share it.
    """

    description: str
    amount: Exact
    kind: LineKind = LineKind.FEE
    quantity: Decimal | None = None
    unit: str = ""
    unit_price: Decimal | None = None
    period: Period | None = None
    tax_category: str = ""
    meter: str = ""
    plan: str = ""
    subscription: str = ""
    component: str = ""
    dimensions: dict[str, str] = {}
    trace: tuple[str, ...] = ()
    corrects: str = ""
    account: str = ""
    currency: str = ""
    group: str = ""


class TaxRate(msgspec.Struct, frozen=True, kw_only=True):
    """A tax that a category of lines bears. Several rates of one category stack in their order.

    ``rate`` is in percent. A ``compound`` rate also taxes the taxes before it in its category. ``included`` says that the
    lines' amounts contain the tax. An exemption or a reverse charge is a rate of zero whose ``note`` says why.
    """

    category: str
    name: str
    rate: Decimal
    included: bool = False
    compound: bool = False
    note: str = ""


class TaxRounding(StrEnum):
    """From what a tax is rounded."""

    CATEGORY = "category"
    """Each tax once, from the sum of its category's lines. The default, and what EN 16931 asks for."""
    LINE = "line"
    """Each tax on each line; the category's tax is their sum."""
    INVOICE = "invoice"
    """The exact taxes of the exact lines are summed and rounded once; the taxes share it by largest remainder."""


class Totals(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a document asks for: ``total_minor`` = the lines + the taxes that they do not include."""

    lines: tuple[Line, ...]
    taxes: tuple[Tax, ...]
    lines_minor: int
    tax_minor: int
    total_minor: int


def total(
    lines: Sequence[DraftLine],
    taxes: Sequence[TaxRate] = (),
    currency: str = "EUR",
    place: RoundingPlace = RoundingPlace.LINE,
    mode: Rounding = Rounding.HALF_UP,
    tax_rounding: TaxRounding = TaxRounding.CATEGORY,
) -> Totals:
    """Round the lines at ``place`` and tax each category.

    ``tax_minor`` counts included taxes too; ``total_minor`` adds only the others to the lines. Raises
    :class:`InvalidInvoice` for a rate below zero, :class:`Invalid` for an unknown currency or an amount that is a float.

    >>> drafts = [DraftLine(description="Seats", amount=Decimal("10.005"), tax_category="standard")]
    >>> sums = total(drafts, [TaxRate(category="standard", name="VAT", rate=Decimal(21))], "EUR")
    >>> sums.lines[0].amount_minor, sums.taxes[0].amount_minor, sums.total_minor
    (1001, 210, 1211)
    """
    amounts = round_lines(lines, currency, place, mode)
    factor = minor_factor(currency)
    rounded = tuple([_settled(line, amount, factor) for line, amount in zip(lines, amounts, strict=True)])
    charged = tax_lines(lines, amounts, taxes, currency, mode, tax_rounding)
    lines_minor = sum(amounts)
    added = sum(tax.amount_minor for tax in charged if not tax.included)
    return Totals(
        lines=rounded,
        taxes=charged,
        lines_minor=lines_minor,
        tax_minor=sum(tax.amount_minor for tax in charged),
        total_minor=lines_minor + added,
    )


def round_lines(lines: Sequence[DraftLine], currency: str, place: RoundingPlace, mode: Rounding) -> list[int]:
    """Exact amounts as minor units: each rounded, or the exact sum rounded once and shared by largest remainder.

    >>> thirds = [DraftLine(description="a third", amount=Fraction(1, 3))] * 3
    >>> round_lines(thirds, "EUR", RoundingPlace.LINE, Rounding.HALF_UP)
    [33, 33, 33]
    >>> round_lines(thirds, "EUR", RoundingPlace.INVOICE, Rounding.HALF_UP)
    [34, 33, 33]
    """
    if place is RoundingPlace.INVOICE:
        return _round_together(lines, currency, mode)
    amounts = all_to_minor([line.amount for line in lines], currency, mode)
    for group in {line.group: None for line in lines if line.group}:
        members = [index for index, line in enumerate(lines) if line.group == group]
        for index, part in zip(members, _round_together([lines[index] for index in members], currency, mode), strict=True):
            amounts[index] = part
    return amounts


def _round_together(lines: Sequence[DraftLine], currency: str, mode: Rounding) -> list[int]:
    factor = 10 ** currency_exponent(currency)
    shares = [as_fraction(line.amount) * factor for line in lines]
    return settle_remainder(round_fraction(sum(shares, Fraction(0)), 0, mode), shares)


def settled(draft: DraftLine, amount_minor: int, currency: str) -> Line:
    """A draft with its rounded amount. The exact amount is kept where rounding changed it and it has an end."""
    return _settled(draft, amount_minor, minor_factor(currency))


def _settled(draft: DraftLine, amount_minor: int, factor: Decimal) -> Line:
    # Beyond fifteen keywords Python makes a dictionary of them for each call, which takes ten times as long.
    line = Line(
        description=draft.description,
        amount_minor=amount_minor,
        kind=draft.kind,
        exact_amount=_exact_amount(draft.amount, amount_minor, factor),
        quantity=draft.quantity,
        unit=draft.unit,
        unit_price=draft.unit_price,
        period=draft.period,
        tax_category=draft.tax_category,
        meter=draft.meter,
        plan=draft.plan,
        subscription=draft.subscription,
        component=draft.component,
        dimensions=draft.dimensions,
        trace=draft.trace,
    )
    if draft.corrects or draft.account:
        return msgspec.structs.replace(line, corrects=draft.corrects, account=draft.account)
    return line


def tax_lines(
    lines: Sequence[DraftLine],
    amounts: Sequence[int],
    rates: Sequence[TaxRate],
    currency: str,
    mode: Rounding = Rounding.HALF_UP,
    rounding: TaxRounding = TaxRounding.CATEGORY,
) -> tuple[Tax, ...]:
    """The taxes of lines whose rounded ``amounts`` are in minor units: one for each rate whose category has a line."""
    bases: dict[str, int] = {}
    for line, amount in zip(lines, amounts, strict=True):
        bases[line.tax_category] = bases.get(line.tax_category, 0) + amount
    taxed = {category: category_rates for category, category_rates in _by_category(rates).items() if category in bases}
    if rounding is TaxRounding.CATEGORY:
        minor = {category: _rounded(bases[category], group, mode) for category, group in taxed.items()}
    elif rounding is TaxRounding.LINE:
        minor = {category: _line_by_line(category, group, lines, amounts, mode) for category, group in taxed.items()}
    else:
        minor = _rounded_once(taxed, lines, currency, mode)
    return tuple(tax for category, group in taxed.items() for tax in _taxes(group, bases[category], minor[category]))


def exact_taxes(base: Exact, rates: Sequence[TaxRate]) -> list[Fraction]:
    """The taxes of one category on an exact amount, in the order of its rates, before any rounding.

    Included taxes are taken out of the amount first; the others are added to what is left.

    >>> vat = TaxRate(category="", name="VAT", rate=Decimal(20), included=True)
    >>> exact_taxes(Decimal(120), [vat])
    [Fraction(20, 1)]
    """
    factors = _factors(rates)
    net = as_fraction(base) / (
        1 + sum((factor for factor, rate in zip(factors, rates, strict=True) if rate.included), Fraction(0))
    )
    return [net * factor for factor in factors]


def _factors(rates: Sequence[TaxRate]) -> list[Fraction]:
    """Each rate as a share of the net amount; a compound one also of the taxes before it."""
    factors: list[Fraction] = []
    for rate in rates:
        share = Fraction(rate.rate) / 100
        factors.append(share * (1 + sum(factors, Fraction(0))) if rate.compound else share)
    return factors


def _by_category(rates: Iterable[TaxRate]) -> Mapping[str, list[TaxRate]]:
    groups: dict[str, list[TaxRate]] = {}
    for rate in rates:
        if not isinstance(rate.rate, Decimal) or not rate.rate.is_finite() or rate.rate < 0:
            raise InvalidInvoice(
                f"tax {rate.name!r} has a rate of {rate.rate} %; a rate is a decimal, zero or more",
                code="invoice.tax_rate",
                where="taxes",
            )
        groups.setdefault(rate.category, []).append(rate)
    return groups


def _rounded(base_minor: int, rates: Sequence[TaxRate], mode: Rounding) -> list[int]:
    if len(rates) == 1 and not rates[0].included:  # nearly every category: one product, no fractions
        return [int(round_to(percent(Decimal(base_minor), rates[0].rate), 0, mode))]
    return [round_fraction(tax, 0, mode) for tax in exact_taxes(Fraction(base_minor), rates)]


def _line_by_line(
    category: str, rates: Sequence[TaxRate], lines: Sequence[DraftLine], amounts: Sequence[int], mode: Rounding
) -> list[int]:
    sums = [0] * len(rates)
    for line, amount in zip(lines, amounts, strict=True):
        if line.tax_category == category:
            sums = [sofar + tax for sofar, tax in zip(sums, _rounded(amount, rates, mode), strict=True)]
    return sums


def _rounded_once(
    taxed: Mapping[str, Sequence[TaxRate]], lines: Sequence[DraftLine], currency: str, mode: Rounding
) -> dict[str, list[int]]:
    factor = 10 ** currency_exponent(currency)
    exact: dict[str, list[Fraction]] = {}
    for category, rates in taxed.items():
        base = exact_sum(line.amount for line in lines if line.tax_category == category)
        exact[category] = [tax * factor for tax in exact_taxes(base, rates)]
    shares = [tax for taxes in exact.values() for tax in taxes]
    parts = iter(settle_remainder(round_fraction(sum(shares, Fraction(0)), 0, mode), shares))
    return {category: [next(parts) for _ in taxes] for category, taxes in exact.items()}


def _taxes(rates: Sequence[TaxRate], base_minor: int, minor: Sequence[int]) -> list[Tax]:
    net = base_minor - sum(amount for rate, amount in zip(rates, minor, strict=True) if rate.included)
    result = []
    before = 0
    for rate, amount in zip(rates, minor, strict=True):
        base = net + before if rate.compound else net
        result.append(
            Tax(
                category=rate.category,
                name=rate.name,
                rate=rate.rate,
                base_minor=base,
                amount_minor=amount,
                included=rate.included,
                note=rate.note,
            )
        )
        before += amount
    return result


def _exact_amount(amount: Exact, amount_minor: int, factor: Decimal) -> Decimal | None:
    if type(amount) is not Decimal:
        amount = simplest(amount)
        if type(amount) is not Decimal:
            return None
    return None if EXACT.multiply(amount, factor) == amount_minor else amount
