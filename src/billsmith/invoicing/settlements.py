"""What pays for an invoice when it is made: credit notes first, then wallets."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import msgspec

from billsmith.invoicing.model import Settlement, SettlementKind
from billsmith.invoicing.terms import State, Terms, Wallet
from billsmith.invoicing.totals import exact_taxes
from billsmith.ledger.wallets import Use, take
from billsmith.units.currency import currency_exponent, from_minor, to_minor
from billsmith.units.exact import as_fraction
from billsmith.units.rounding import EXACT, Rounding, allocate, round_to


def apply_credit_notes(state: State, terms: Terms) -> State:
    """Use what credit notes gave, in the order given, up to the total."""
    for credit in terms.credits:
        amount = min(credit.amount_minor, state.due_minor)
        if amount > 0:
            state = _settled(state, SettlementKind.CREDIT_NOTE, credit.reference, amount)
    return state


def pay_from_wallet(state: State, terms: Terms) -> State:
    """Burn the wallet's grants in their order, each only for what its scope names, up to what is due.

    A balance pays in whole minor units; what is smaller stays in the wallet.
    """
    wallet = terms.wallet
    if not wallet.grants or state.due_minor <= 0:
        return state
    exponent = currency_exponent(terms.currency)
    balances = {grant: round_to(left, exponent, Rounding.FLOOR) for grant, left in wallet.balances.items()}
    paid: dict[str, int] = {}
    for what, amount_minor in _parts(state, terms, wallet):
        taken, _ = take(wallet.grants, balances, Use(at=terms.at, amount=from_minor(amount_minor, terms.currency), what=what))
        for grant, amount in taken:
            balances[grant] = EXACT.subtract(balances[grant], amount)
            paid[grant] = paid.get(grant, 0) + to_minor(amount, terms.currency)
    for grant, amount_minor in paid.items():
        state = _settled(state, SettlementKind.WALLET, grant, amount_minor)
    return state


def _parts(state: State, terms: Terms, wallet: Wallet) -> Sequence[tuple[str, int]]:
    """What is due, by meter or component where a grant's scope asks for it: shared by what their taxed lines come to.

    Credit lines count against their own meter or component; where one comes to less than nothing, all others bear it.
    """
    if not any(grant.scope for grant in wallet.grants):
        return [("", state.due_minor)]
    gross: dict[str, Fraction] = {}
    for line, net in zip(state.lines, state.nets, strict=True):
        what = line.meter or line.component
        rates = [rate for rate in terms.taxes if rate.category == line.tax_category and not rate.included]
        gross[what] = gross.get(what, Fraction(0)) + as_fraction(net) + sum(exact_taxes(net, rates))
    weights = {what: amount for what, amount in gross.items() if amount > 0}
    return list(zip(weights, allocate(state.due_minor, list(weights.values())), strict=True))


def _settled(state: State, kind: SettlementKind, reference: str, amount_minor: int) -> State:
    settlement = Settlement(kind=kind, reference=reference, amount_minor=amount_minor)
    return msgspec.structs.replace(
        state, settlements=(*state.settlements, settlement), due_minor=state.due_minor - amount_minor
    )
