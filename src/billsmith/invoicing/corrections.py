"""The note that late, voided or replaced usage, a changed agreement or a corrected price requires.

The period is billed anew, as one invoice would be: charges, discounts, minimums, taxes, tiers and all. What the issued
documents come to is taken off, line by line and tax by tax. So the sum of all documents is what that one invoice would have
been.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from billsmith.invoicing.model import Line, Tax
from billsmith.invoicing.notes import Document, Note, note_of
from billsmith.invoicing.totals import Totals
from billsmith.units.currency import currency_exponent, from_minor
from billsmith.units.wording import say_money


def correct(should_be: Totals, issued: Sequence[Document], currency: str) -> Note | None:
    """The note that turns the issued documents into ``should_be``; ``None`` where they agree.

    A line's identity is what it is for (kind, account, subscription, plan, component, meter, dimensions, period), not its text.

    >>> from decimal import Decimal
    >>> from billsmith.invoicing.totals import DraftLine, total
    >>> billed = total([DraftLine(description="Calls", meter="calls", amount=Decimal("12.00"))], (), "EUR")
    >>> rerated = total([DraftLine(description="Calls", meter="calls", amount=Decimal("10.50"))], (), "EUR")
    >>> note = correct(rerated, [Document(number="1", lines=billed.lines)], "EUR")
    >>> note.total_minor, note.lines[0].corrects, note.lines[0].trace
    (-150, '1#0', ('rated anew: 10.50; billed before: 12.00; difference: -1.50',))
    """
    lines = _line_differences(should_be.lines, issued, currency)
    taxes = _tax_differences(should_be.taxes, [tax for document in issued for tax in document.taxes])
    return note_of(lines, taxes) if lines or taxes else None


class _Sum(msgspec.Struct):
    """What the lines of one identity come to, as billed and as rated anew, and where the first billed one stands."""

    line: Line
    billed: int = 0
    rated: int = 0
    place: str = ""


def _line_differences(wanted: Iterable[Line], issued: Sequence[Document], currency: str) -> list[Line]:
    sums: dict[Any, _Sum] = {}
    for document in issued:
        for index, line in enumerate(document.lines):
            entry = sums.setdefault(_identity(line), _Sum(line))
            entry.billed += line.amount_minor
            entry.place = entry.place or line.corrects or f"{document.number}#{index}"
    for line in wanted:
        entry = sums.setdefault(_identity(line), _Sum(line))
        entry.line = line
        entry.rated += line.amount_minor
    return [_difference(entry, currency) for entry in sums.values() if entry.rated != entry.billed]


def _difference(entry: _Sum, currency: str) -> Line:
    change = entry.rated - entry.billed
    places = currency_exponent(currency)
    new, old, more = (say_money(from_minor(amount, currency), places) for amount in (entry.rated, entry.billed, change))
    return msgspec.structs.replace(
        entry.line,
        amount_minor=change,
        exact_amount=None,
        quantity=None,
        unit_price=None,
        corrects=entry.place,
        trace=(f"rated anew: {new}; billed before: {old}; difference: {more}",),
    )


def _identity(line: Line) -> tuple[Any, ...]:
    dimensions = tuple(sorted(line.dimensions.items()))
    where = (line.account, line.subscription, line.plan, line.component, line.meter)
    text = "" if any(where) else line.description
    return (line.kind, where, dimensions, line.period, line.tax_category, text)


def _tax_differences(wanted: Iterable[Tax], billed: Iterable[Tax]) -> list[Tax]:
    sums: dict[tuple[Any, ...], list[Any]] = {}
    for sign, taxes in ((1, wanted), (-1, billed)):
        for tax in taxes:
            entry = sums.setdefault((tax.category, tax.name, tax.rate, tax.included, tax.note), [tax, 0, 0])
            entry[1] += sign * tax.base_minor
            entry[2] += sign * tax.amount_minor
    return [
        msgspec.structs.replace(tax, base_minor=base, amount_minor=amount)
        for tax, base, amount in sums.values()
        if base or amount
    ]
