"""Credit and debit notes: how an issued document is corrected, whole or by line.

A note's tax is cumulative: after each note, a category has been given back the tax of all that was given back of its lines. So
partial notes add up to the whole, however it is cut, and the last one takes no cent too many.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from fractions import Fraction

import msgspec

from billsmith.invoicing.model import Invoice, InvoiceKind, Line, Tax
from billsmith.units.currency import currency_exponent, to_minor
from billsmith.units.errors import InvalidInvoice
from billsmith.units.exact import Exact, as_fraction, simplest
from billsmith.units.rounding import Rounding, round_fraction, settle_remainder


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """What notes need to know of an issued document: its number, lines and taxes."""

    number: str
    lines: tuple[Line, ...]
    taxes: tuple[Tax, ...] = ()


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """A note before it has a number: amounts below zero give back. ``total_minor`` = lines + taxes that aren't included."""

    kind: InvoiceKind
    lines: tuple[Line, ...]
    taxes: tuple[Tax, ...]

    @property
    def net_minor(self) -> int:
        """The sum of the lines."""
        return sum(line.amount_minor for line in self.lines)

    @property
    def tax_minor(self) -> int:
        """The sum of the taxes, included ones too."""
        return sum(tax.amount_minor for tax in self.taxes)

    @property
    def total_minor(self) -> int:
        """What the note gives (below zero) or asks for."""
        return self.net_minor + sum(tax.amount_minor for tax in self.taxes if not tax.included)

    def document(self, number: str) -> Document:
        """The note as a document that later notes stand on."""
        return Document(number=number, lines=self.lines, taxes=self.taxes)


def document_of(invoice: Invoice) -> Document:
    """An issued invoice or note as notes see it. Raises :class:`InvalidInvoice` where only its list row was read."""
    if invoice.content is None:
        raise InvalidInvoice("a document is corrected by its content; read it first", code="invoice.no_content")
    return Document(number=invoice.number, lines=invoice.content.lines, taxes=invoice.content.taxes)


def note_of(lines: Sequence[Line], taxes: Sequence[Tax]) -> Note:
    """A credit note where it gives money back or moves nothing in sum, else a debit note."""
    note = Note(kind=InvoiceKind.CREDIT_NOTE, lines=tuple(lines), taxes=tuple(taxes))
    return msgspec.structs.replace(note, kind=InvoiceKind.DEBIT_NOTE) if note.total_minor > 0 else note


def credit_whole(invoice: Document, earlier: Sequence[Document] = ()) -> Note:
    """The note that cancels a document: all that earlier notes on it have left of each line and tax."""
    lines = [
        _note_line(line, invoice.number, index, -left, None)
        for index, line in enumerate(invoice.lines)
        if (left := _left(invoice, earlier, index))
    ]
    taxes = [
        msgspec.structs.replace(tax, base_minor=-base, amount_minor=-amount)
        for tax in invoice.taxes
        if (base := tax.base_minor + _noted(earlier, tax, "base_minor")) | (amount := _tax_left(earlier, tax))
    ]
    return note_of(lines, taxes)


def credit_amount(invoice: Document, amount_minor: int, earlier: Sequence[Document] = ()) -> Note:
    """The note that gives back an amount, taxes and all, of what earlier notes have left: each line and tax its share.

    Shares are settled by category, then between lines and taxes, then by line, so that their sum is the amount. Raises
    :class:`InvalidInvoice` for less than a minor unit (``note.nothing``) or more than is left (``note.too_much``).

    >>> fee = Line(description="Plan", amount_minor=10000, tax_category="standard")
    >>> vat = Tax(category="standard", name="VAT", rate=Decimal(20), base_minor=10000, amount_minor=2000)
    >>> note = credit_amount(Document(number="1", lines=(fee,), taxes=(vat,)), 5000)
    >>> note.net_minor, note.tax_minor, note.total_minor
    (-4167, -833, -5000)
    """
    categories = {line.tax_category: _Left(invoice, earlier, line.tax_category) for line in invoice.lines}
    whole = sum(each.gross for each in categories.values())
    if amount_minor <= 0:
        raise InvalidInvoice("a credit note gives back an amount above zero", code="note.nothing", where="amount")
    if amount_minor > whole:
        raise InvalidInvoice(
            f"{invoice.number} has {whole} minor units left; a note can't give back {amount_minor}",
            code="note.too_much",
            where="amount",
        )
    if amount_minor == whole:
        return credit_whole(invoice, earlier)
    shares = _shared(amount_minor, [each.gross for each in categories.values()])
    parts = [each.part(share) for each, share in zip(categories.values(), shares, strict=True)]
    return note_of([line for lines, _ in parts for line in lines], [tax for _, taxes in parts for tax in taxes])


class _Left:
    """What earlier notes have left of a category: of each line, of the taxes that come on top, of those included."""

    def __init__(self, invoice: Document, earlier: Sequence[Document], category: str) -> None:
        self.number = invoice.number
        self.lines = {
            index: (line, _left(invoice, earlier, index))
            for index, line in enumerate(invoice.lines)
            if line.tax_category == category
        }
        taxes = [(tax, _tax_left(earlier, tax)) for tax in invoice.taxes if tax.category == category]
        self.added = [each for each in taxes if not each[0].included]
        self.included = [each for each in taxes if each[0].included]
        self.net = sum(left for _, left in self.lines.values())
        self.gross = self.net + sum(left for _, left in self.added)

    def part(self, share: int) -> tuple[list[Line], list[Tax]]:
        """The lines and taxes that give back a share of the category."""
        net, *added = _shared(share, [self.net, *(left for _, left in self.added)])
        amounts = _shared(net, [left for _, left in self.lines.values()])
        lines = [
            _note_line(line, self.number, index, -amount, None)
            for (index, (line, _)), amount in zip(self.lines.items(), amounts, strict=True)
            if amount
        ]
        included = [
            round_fraction(Fraction(net * left, self.net), 0, Rounding.HALF_UP) for _, left in self.included if self.net
        ]
        base = net - sum(included)
        taxes = [tax for tax, _ in (*self.added, *self.included)]
        return lines, [
            msgspec.structs.replace(tax, base_minor=-base, amount_minor=-amount)
            for tax, amount in zip(taxes, (*added, *(included or [0] * len(self.included))), strict=True)
            if amount or base
        ]


def _shared(total: int, weights: Sequence[int]) -> list[int]:
    """Parts of a total in proportion to weights of either sign; nothing where these cancel out, as the total then does."""
    whole = sum(weights)
    return settle_remainder(total, [Fraction(total * weight, whole) for weight in weights]) if whole else [0] * len(weights)


def note_by_line(
    invoice: Document,
    changes: Mapping[int, Exact],
    currency: str,
    earlier: Sequence[Document] = (),
    mode: Rounding = Rounding.HALF_UP,
) -> Note:
    """A note that changes single lines (by their place) by exact amounts in the major unit: below zero gives back, above asks.

    A line is rounded on its own, its tax from the exact amounts. Raises :class:`InvalidInvoice` for a line that isn't there
    (``note.unknown_line``) or where more would be given back than is left of a line (``note.too_much``).

    >>> fee = Line(description="Plan", amount_minor=2999, tax_category="standard")
    >>> vat = Tax(category="standard", name="VAT", rate=Decimal("23.33"), base_minor=2999, amount_minor=700)
    >>> unused = note_by_line(Document(number="1", lines=(fee,), taxes=(vat,)), {0: Fraction(-2999 * 6, 700)}, "EUR")
    >>> unused.net_minor, unused.tax_minor, unused.total_minor
    (-2571, -600, -3171)
    """
    lines = []
    exact: dict[str, Fraction] = {}
    for index, change in sorted(changes.items()):
        amount_minor = to_minor(change, currency, mode)
        line = _checked(invoice, earlier, index, amount_minor)
        lines.append(_note_line(line, invoice.number, index, amount_minor, simplest(change)))
        scaled = as_fraction(change) * 10 ** currency_exponent(currency)
        exact[line.tax_category] = exact.get(line.tax_category, Fraction(0)) + scaled
    taxes = [
        _note_tax(tax, invoice, earlier, exact[tax.category], currency, mode) for tax in invoice.taxes if tax.category in exact
    ]
    return note_of(lines, taxes)


def _note_line(line: Line, number: str, index: int, amount_minor: int, exact: Exact | None) -> Line:
    return msgspec.structs.replace(
        line,
        amount_minor=amount_minor,
        exact_amount=exact if isinstance(exact, Decimal) else None,
        quantity=None,
        unit_price=None,
        trace=(),
        corrects=f"{number}#{index}",
    )


def _note_tax(tax: Tax, invoice: Document, earlier: Sequence[Document], change: Fraction, currency: str, mode: Rounding) -> Tax:
    """A tax's part of a note: what it must have come to after the note, less what earlier notes did."""
    gross = sum(line.amount_minor for line in invoice.lines if line.tax_category == tax.category)
    before = _exact_noted(earlier, tax.category, currency)
    after = before + change
    noted = _noted(earlier, tax, "amount_minor")
    if gross + after == 0 and after:
        amount = -tax.amount_minor - noted
    else:
        base = after * (Fraction(tax.base_minor, gross) if gross else _net_share(tax, invoice))
        amount = round_fraction(base * as_fraction(tax.rate) / 100, 0, mode) - noted
    net = round_fraction(change, 0, mode)
    return msgspec.structs.replace(tax, base_minor=net - amount if tax.included else net, amount_minor=amount)


def _net_share(tax: Tax, invoice: Document) -> Fraction:
    """How much of a line's amount is taxed, where the category's lines cancel out and its base can't tell."""
    included = (as_fraction(other.rate) for other in invoice.taxes if other.included and other.category == tax.category)
    return 1 / (1 + sum(included, Fraction(0)) / 100)


def _exact_noted(earlier: Sequence[Document], category: str, currency: str) -> Fraction:
    factor = 10 ** currency_exponent(currency)
    lines = [line for note in earlier for line in note.lines if line.tax_category == category]
    return sum(
        (Fraction(line.amount_minor) if line.exact_amount is None else Fraction(line.exact_amount) * factor for line in lines),
        Fraction(0),
    )


def _noted(earlier: Sequence[Document], tax: Tax, field: str) -> int:
    return sum(getattr(other, field) for note in earlier for other in note.taxes if _same_tax(other, tax))


def _tax_left(earlier: Sequence[Document], tax: Tax) -> int:
    return tax.amount_minor + _noted(earlier, tax, "amount_minor")


def _same_tax(one: Tax, other: Tax) -> bool:
    return (one.category, one.name, one.rate) == (other.category, other.name, other.rate)


def _left(invoice: Document, earlier: Sequence[Document], index: int) -> int:
    mark = f"{invoice.number}#{index}"
    noted = sum(line.amount_minor for note in earlier for line in note.lines if line.corrects == mark)
    return invoice.lines[index].amount_minor + noted


def _checked(invoice: Document, earlier: Sequence[Document], index: int, amount_minor: int) -> Line:
    if not 0 <= index < len(invoice.lines):
        raise InvalidInvoice(
            f"{invoice.number} has no line {index}; its lines are 0 to {len(invoice.lines) - 1}",
            code="note.unknown_line",
            where="changes",
        )
    left = _left(invoice, earlier, index)
    sign = -1 if invoice.lines[index].amount_minor < 0 else 1
    if (left + amount_minor) * sign < 0:
        raise InvalidInvoice(
            f"line {index} of {invoice.number} has {left} minor units left; a note can't give back {abs(amount_minor)}",
            code="note.too_much",
            where=f"changes[{index}]",
        )
    return invoice.lines[index]
