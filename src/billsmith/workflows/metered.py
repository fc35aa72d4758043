"""What our own meters counted, beside what a vendor says that it delivered."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal

import msgspec

from billsmith.invoicing.comparison import Comparison, Coverage, Finding, Key, compare, summed
from billsmith.metering.meter import Meter
from billsmith.storage import accounts, catalogs, meters, reconcile
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
    """Quantities by account (id) and meter, theirs as the vendor's lines state them, ours as metered; accounts' names by id."""

    comparison: Comparison
    coverage: Coverage
    names: dict[str, str]

    def rows(self) -> list[tuple[str, Finding]]:
        """Every finding with its account's name, by name and meter."""
        named = [(self.names.get(finding.key[0], finding.key[0]), finding) for finding in self.comparison.findings]
        return sorted(named, key=lambda row: (row[0], row[1].key))


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
    period: Period,
    measure: Measure,
    tolerance: Decimal = Decimal(0),
) -> Metered:
    """Hold the quantities on pulled lines against what our meters of the same codes counted in the period.

    Only vendors whose lines name a meter say quantities; where there are none, nothing was audited.
    """
    names: dict[str, str] = {}
    theirs = _stated(connection, of, period, names)
    ours: dict[Key, Exact] = {}
    known = names_below(connection, of)
    for meter in _known(connection, of, {code for _, code in theirs}):
        for id, quantity in measure(meter, period).items():
            if id in known:
                names[id] = known[id]
                ours[id, meter.code] = quantity
    coverage = coverage_of(connection, of, period)
    compared = compare(theirs, ours, their_coverage=coverage, tolerance=tolerance)
    return Metered(comparison=compared, coverage=coverage, names=names)


def zone_of(connection: Connection, of: Sequence[VendorConnection]) -> str:
    """In which zone a period of connections is meant: their accounts' own, or UTC where they differ."""
    zones = {accounts.by_seq(connection, each.account_seq).time_zone for each in of}
    return zones.pop() if len(zones) == 1 else "UTC"


def names_below(connection: Connection, of: Sequence[VendorConnection]) -> dict[str, str]:
    """The accounts that lists of connections could name, those at or below theirs: external ids by id."""
    owners = [accounts.by_seq(connection, seq) for seq in {each.account_seq for each in of}]
    return {account.id: account.external_id for owner in owners for account in accounts.every_below(connection, owner)}


def _known(connection: Connection, of: Sequence[VendorConnection], codes: Iterable[str]) -> list[Meter]:
    """Our meters of these codes: those of a connection's account or above it, else those of their catalogs."""
    found: dict[str, Meter] = {}
    for each in of:
        account = accounts.by_seq(connection, each.account_seq)
        parent = accounts.parent_of(connection, account)
        shelves = [
            catalogs.load(connection, issuer, applied.code)
            for issuer in (account, parent)
            if issuer is not None
            for applied in catalogs.newest(connection, issuer)
        ]
        for code in codes:
            own = meters.find(connection, account, code)
            offered = (shelf.meter(code, version) for shelf in shelves if (version := shelf.offers.get("meter", {}).get(code)))
            meter = own.meter if own is not None else next(offered, None)
            if meter is not None:
                found.setdefault(code, meter)
    return [found[code] for code in sorted(found)]


def _stated(connection: Connection, of: Sequence[VendorConnection], period: Period, names: dict[str, str]) -> dict[Key, Exact]:
    stated: list[tuple[Key, Exact]] = []
    for _, found in reconcile.pulled_in_period(connection, [each.seq for each in of], period.start, period.end):
        assert found.invoice.content is not None
        id = found.invoice.recipient_id
        for line in found.invoice.content.lines:
            if line.meter and line.quantity is not None:
                if id not in names:
                    names[id] = accounts.by_seq(connection, found.recipient_seq).external_id
                stated.append(((id, line.meter), line.quantity))
    return summed(stated, 2)
