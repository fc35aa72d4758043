"""Charges and fees → an invoice, through a visible tuple of passes.

The order of :data:`PASSES`, and why it is this one:

1. what was priced in another currency is converted, so that all that follows has one;
2. included taxes come out of the lines of those who pay none, before anything is computed on them;
3. lines are rounded where the invoice rounds lines, so that a discount is taken off what the reader sees;
4. discounts of single lines, then coupons over several: a coupon lowers what is really asked for;
5. commitments are drawn down by what discounts have left;
6. a minimum is held against what is asked for in the end, and its true-up is taxed like any line;
7. taxes, on what is left in each category;
8. credit notes, then wallets: they pay, so they come after tax; a credit note first, for it can be used for nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from billsmith.invoicing.commitments import draw_commitments
from billsmith.invoicing.exchange import convert_currencies
from billsmith.invoicing.minimums import meet_minimums
from billsmith.invoicing.model import Content, ExchangeRate, Party, Settlement
from billsmith.invoicing.reductions import apply_coupons, discount_lines
from billsmith.invoicing.settlements import apply_credit_notes, pay_from_wallet
from billsmith.invoicing.taxes import add_taxes, line_tax, take_out_included_taxes
from billsmith.invoicing.terms import CouponUse, Draw, State, Step, Terms, as_seen
from billsmith.invoicing.totals import DraftLine, Totals
from billsmith.units.currency import from_minor
from billsmith.units.exact import Exact
from billsmith.units.exact import total as exact_sum


def round_charges(state: State, terms: Terms) -> State:
    """What discounts and minimums, if there are any, see of each line: rounded, where the invoice rounds lines."""
    return msgspec.structs.replace(state, nets=as_seen_all(state.lines, terms)) if terms.reduces else state


def as_seen_all(lines: Sequence[DraftLine], terms: Terms) -> tuple[Exact, ...]:
    """The lines' amounts as the passes before tax see them."""
    return tuple([as_seen(line.amount, terms) for line in lines])


Pass = Callable[[State, Terms], State]

#: The order; see above for the reasons.
PASSES: tuple[Pass, ...] = (
    convert_currencies,
    take_out_included_taxes,
    round_charges,
    discount_lines,
    apply_coupons,
    draw_commitments,
    meet_minimums,
    add_taxes,
    apply_credit_notes,
    pay_from_wallet,
)


class Assembled(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An invoice's contents before it has parties, a number and dates.

    ``due_minor`` is the total less the settlements. Below zero it is a credit: make the document a credit note.
    """

    terms: Terms
    drafts: tuple[DraftLine, ...]
    nets: tuple[Exact, ...]
    totals: Totals
    settlements: tuple[Settlement, ...]
    due_minor: int
    coupon_uses: tuple[CouponUse, ...]
    draws: tuple[Draw, ...]
    exchange_rates: tuple[ExchangeRate, ...]

    @property
    def settled_minor(self) -> int:
        """What credit notes and wallets paid."""
        return sum(settlement.amount_minor for settlement in self.settlements)

    @property
    def subtotal_minor(self) -> int:
        """The total without any tax."""
        return self.totals.total_minor - self.totals.tax_minor

    @property
    def line_taxes(self) -> list[int]:
        """Each draft's own taxes on what discounts left of it: information, the categories' taxes are what binds."""
        terms = self.terms
        return [
            line_tax(net, line.tax_category, terms.taxes, terms.currency, terms.mode)
            for line, net in zip(self.drafts, self.nets or as_seen_all(self.drafts, terms), strict=True)
        ]

    def content(self, issuer: Party, recipient: Party, notes: str = "") -> Content:
        """The document's content between two parties."""
        return Content(
            issuer=issuer,
            recipient=recipient,
            lines=self.totals.lines,
            taxes=self.totals.taxes,
            rounding_place=self.terms.place,
            settlements=self.settlements,
            exchange_rates=self.exchange_rates,
            notes=notes,
        )


def assemble(lines: Sequence[DraftLine], terms: Terms) -> Assembled:
    """Take charges and fees through all passes.

    Raises :class:`InvalidInvoice` where a rate of exchange is missing or a tax rate can't be, :class:`InvalidNumber` for a
    float.

    >>> from decimal import Decimal
    >>> from billsmith.invoicing.totals import TaxRate
    >>> terms = Terms(currency="EUR", taxes=(TaxRate(category="", name="VAT", rate=Decimal(20)),))
    >>> assemble([DraftLine(description="Seats", amount=Decimal("19.99"))], terms).due_minor
    2399
    """
    state = State(lines=tuple(lines))
    for each in PASSES:
        state = each(state, terms)
    assert state.totals is not None
    return Assembled(
        terms=terms,
        drafts=state.lines,
        nets=state.nets,
        totals=state.totals,
        settlements=state.settlements,
        due_minor=state.due_minor,
        coupon_uses=state.coupon_uses,
        draws=state.draws,
        exchange_rates=state.rates_used,
    )


def explain(lines: Sequence[DraftLine], terms: Terms) -> tuple[Step, ...]:
    """How the amount due came about: what each pass that changed it left to be paid.

    >>> from decimal import Decimal
    >>> from billsmith.invoicing.terms import Minimum
    >>> terms = Terms(currency="EUR", minimums=(Minimum(amount=Decimal(25)),))
    >>> [(step.name, str(step.amount)) for step in explain([DraftLine(description="Seats", amount=Decimal("19.99"))], terms)]
    [('round_charges', '19.99'), ('meet_minimums', '25.00')]
    """
    state = State(lines=tuple(lines))
    steps: list[Step] = []
    for each in PASSES:
        state = each(state, terms)
        nets = state.nets or as_seen_all(state.lines, terms)
        amount = from_minor(state.due_minor, terms.currency) if state.totals else exact_sum(nets)
        if each is round_charges or (steps and steps[-1].amount != amount):
            steps.append(Step(each.__name__, amount))
    return tuple(steps)
