"""Progressive billing: an invoice as soon as usage crosses a threshold; the period's end bills the rest."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from decimal import Decimal

import msgspec

from billsmith.invoicing.model import Line, LineKind
from billsmith.invoicing.totals import DraftLine
from billsmith.units.currency import from_minor
from billsmith.units.errors import InvalidInvoice
from billsmith.units.exact import Exact, add, as_fraction, multiply, subtract
from billsmith.units.rounding import ZERO


class Thresholds(msgspec.Struct, frozen=True):
    """Amounts of usage at which an invoice is made, ascending; after the last, one more every ``recurring``.

    Raises :class:`InvalidInvoice` unless they ascend from above zero.
    """

    amounts: tuple[Exact, ...]
    recurring: Exact | None = None

    def __post_init__(self) -> None:
        steps = (ZERO, *self.amounts)
        if any(later <= earlier for earlier, later in itertools.pairwise(steps)) or (
            self.recurring is not None and self.recurring <= 0
        ):
            raise InvalidInvoice(
                "thresholds ascend from above zero. Sort them, or drop one", code="invoice.thresholds", where="thresholds"
            )


def next_threshold(thresholds: Thresholds, billed: Exact) -> Exact | None:
    """The first threshold above what usage has been billed, or ``None``.

    >>> next_threshold(Thresholds((Decimal(200), Decimal(500)), Decimal(100)), Decimal(550))
    Decimal('600')
    """
    for amount in thresholds.amounts:
        if amount > billed:
            return amount
    if thresholds.recurring is None:
        return None
    last = thresholds.amounts[-1] if thresholds.amounts else ZERO
    steps = as_fraction(subtract(billed, last)) // as_fraction(thresholds.recurring) + 1
    return add(last, multiply(thresholds.recurring, Decimal(steps)))


def due_on_crossing(thresholds: Thresholds, billed: Exact, used: Exact) -> Exact:
    """What is to be billed once usage has come to ``used`` and ``billed`` of it was: all of the rest, where a threshold is met.

    >>> due_on_crossing(Thresholds((Decimal(200), Decimal(500))), Decimal(200), Decimal(600))
    Decimal('400')
    """
    threshold = next_threshold(thresholds, billed)
    return subtract(used, billed) if threshold is not None and used >= threshold else ZERO


def crossings(thresholds: Thresholds, used: Iterable[Exact]) -> list[Exact]:
    """The amounts billed on the way, for usage as it grew: zero where nothing was crossed.

    >>> crossings(Thresholds((Decimal(200), Decimal(500))), [Decimal(200), Decimal(400), Decimal(600)])
    [Decimal('200'), Decimal('0'), Decimal('400')]
    """
    billed: Exact = ZERO
    amounts = []
    for reached in used:
        amounts.append(due_on_crossing(thresholds, billed, reached))
        billed = add(billed, amounts[-1])
    return amounts


def already_billed(lines: Sequence[Line], number: str, currency: str) -> list[DraftLine]:
    """The lines of an earlier progressive invoice as credits on the one that bills the rest, each in its tax category."""
    return [
        DraftLine(
            description=f"Already billed on {number}: {line.description}",
            amount=multiply(from_minor(line.amount_minor, currency), Decimal(-1)),
            kind=LineKind.CREDIT,
            period=line.period,
            tax_category=line.tax_category,
            meter=line.meter,
            plan=line.plan,
            subscription=line.subscription,
            component=line.component,
            dimensions=line.dimensions,
            account=line.account,
            corrects=f"{number}#{index}",
        )
        for index, line in enumerate(lines)
        if line.kind is not LineKind.CREDIT
    ]
