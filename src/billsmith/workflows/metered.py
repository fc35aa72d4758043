"""What our own meters counted, beside what a vendor says that it delivered."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal

import msgspec

from billsmith.invoicing.comparison import Comparison, Coverage, Key, compare, summed
from billsmith.metering.meter import Meter
from billsmith.storage import accounts, reconcile
from billsmith.storage.database import Connection
from billsmith.storage.sync_connections import VendorConnection
from billsmith.units.errors import Invalid
from billsmith.units.exact import Exact, total
from billsmith.units.periods import Period
from billsmith.usage.store import Query, UsageStore
from billsmith.workflows.shadow import coverage_of

#: What a meter counted for each account (by id) in a period.
Measure = Callable[[Meter, Period], Mapping[str, Exact]]


class Metered(msgspec.Struct, frozen=True, kw_only=True):
    """Quantities by account (external id) and meter, theirs as the vendor's lines state them, ours as metered."""

    comparison: Comparison
    coverage: Coverage


def measure_with(store: Callable[[], UsageStore]) -> Measure:
    """Counts with a usage store, opened when first needed. Raises :class:`Invalid` where an account can't be counted."""

    def measure(meter: Meter, period: Period) -> dict[str, Exact]:
        counted: dict[str, Exact] = {}
        for each in store().measure(Query(meters=(meter,), periods=(period,))):
            if each.error:
                raise Invalid(f"{meter.code} of {each.account}: {each.message}", code=each.error)
            counted[each.account] = total([quantity.value for quantity in each.quantities])
        return counted

    return measure


def compare_usage(
    connection: Connection,
    of: Sequence[VendorConnection],
    meters: Sequence[Meter],
    period: Period,
    measure: Measure,
    tolerance: Decimal = Decimal(0),
) -> Metered:
    """Hold the quantities on pulled lines against what meters of the same code counted in the period.

    Only vendors whose invoices have lines with a meter say quantities; where there are none, nothing was audited.
    """
    theirs = _stated(connection, of, {meter.code for meter in meters}, period)
    ours: dict[Key, Exact] = {}
    for meter in meters:
        for id, quantity in measure(meter, period).items():
            found = accounts.by_id(connection, id)
            if found is not None:
                ours[found.external_id, meter.code] = quantity
    coverage = coverage_of(connection, of, period)
    return Metered(comparison=compare(theirs, ours, their_coverage=coverage, tolerance=tolerance), coverage=coverage)


def _stated(connection: Connection, of: Sequence[VendorConnection], codes: set[str], period: Period) -> dict[Key, Exact]:
    stated: list[tuple[Key, Exact]] = []
    names: dict[int, str] = {}
    for _, found in reconcile.pulled_in_period(connection, [each.seq for each in of], period.start, period.end):
        assert found.invoice.content is not None
        for line in found.invoice.content.lines:
            if line.meter in codes and line.quantity is not None:
                if found.recipient_seq not in names:
                    names[found.recipient_seq] = accounts.by_seq(connection, found.recipient_seq).external_id
                stated.append(((names[found.recipient_seq], line.meter), line.quantity))
    return summed(stated, 2)
