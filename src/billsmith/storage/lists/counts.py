"""How many invoices of a list there are. By flags, customer or batch it is a look at the tallies, else a count."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sqlalchemy import Connection

from billsmith.storage.accounts import accounts_version
from billsmith.storage.direct import Condition, Direct
from billsmith.storage.invoices import ISSUED_BY, ISSUED_TO
from billsmith.storage.lists import few, tallies
from billsmith.storage.lists.conditions import near, whole
from billsmith.storage.lists.criteria import EVERYTHING, Criteria, InvoiceList, mask_of
from billsmith.storage.patience import may_take_long


def count(connection: Connection, of: InvoiceList, criteria: Criteria = EVERYTHING) -> int:
    """How many invoices of a list there are."""
    direct = Direct(connection)
    mask = mask_of(criteria.flags)
    tally = _tally(direct, of, criteria)
    if tally is not None:
        return sum(count for flags, count in tally.items() if mask >> flags & 1)
    if criteria.number_part is not None:
        found = few.rows(connection, of, criteria)
        if found is not None:
            return len(found)
    if criteria.number is None and not tallies.is_short(direct, of):
        may_take_long()
        if not direct.is_sqlite:
            direct.run("SET LOCAL max_parallel_workers_per_gather = 2")
    return _counted(direct, whole(direct, of, criteria))


def simplified(direct: Direct, of: InvoiceList, criteria: Criteria) -> Criteria:
    """The same criteria, without what every invoice of the list meets anyway, where the tallies know."""
    tally = None if criteria.only_flags else _tally(direct, of, criteria)
    if tally is None or sum(tally.values()) < sum(tallies.flags_tally(direct, of).values()):
        return criteria
    return Criteria(flags=criteria.flags)


def other_side(of: InvoiceList, criteria: Criteria) -> int | None:
    """The account on the other side of the list's invoices, where the criteria name that and flags alone."""
    other = criteria.recipient_seq if of.role == ISSUED_BY else criteria.issuer_seq
    alone = Criteria(recipient_seq=other) if of.role == ISSUED_BY else Criteria(issuer_seq=other)
    return other if criteria.beyond_flags == alone else None


def _tally(direct: Direct, of: InvoiceList, criteria: Criteria) -> Mapping[int, int] | None:
    """How many invoices meet the criteria beyond the flags, by flags; ``None`` where the tallies don't know."""
    which = criteria.beyond_flags
    if which == EVERYTHING:
        return tallies.flags_tally(direct, of)
    other = other_side(of, criteria)
    if other is not None:
        return tallies.pair_tally(
            direct, of, Condition("recipient_seq = ?" if of.role == ISSUED_BY else "issuer_seq = ?", (other,))
        )
    if of.role == ISSUED_BY and which == Criteria(recipient_near_seq=which.recipient_near_seq):
        return tallies.pair_tally(direct, of, near(which.recipient_near_seq or 0))
    if of.role == ISSUED_TO and which == Criteria(not_issuer_seq=which.not_issuer_seq):
        return tallies.pair_tally(direct, of, Condition("issuer_seq <> ?", (which.not_issuer_seq,)))
    return None


def _counted(direct: Direct, condition: Condition) -> int:
    row = direct.row(f"SELECT count(*) FROM invoice WHERE {condition.sql}", condition.parameters)
    assert row is not None
    return int(row[0])


def batch_lengths(
    connection: Connection, of: InvoiceList, batches: Iterable[str], criteria: Criteria = EVERYTHING
) -> dict[str, int]:
    """How many invoices of each batch an issuer's list holds. By flags alone it is a look at the tallies."""
    direct = Direct(connection)
    names = sorted(set(batches))
    if criteria.only_flags:
        return tallies.batch_tally(direct, of, names, mask_of(criteria.flags))
    condition = whole(direct, of, criteria)
    marks = ", ".join("?" * len(names))
    sql = f"SELECT batch, count(*) FROM invoice WHERE {condition.sql} AND batch IN ({marks}) GROUP BY batch"
    return dict(direct.rows(sql, (*condition.parameters, *names)))


def state(connection: Connection, lists: Iterable[InvoiceList]) -> tuple[int, ...]:
    """Numbers of which one grows with every change of one of these lists or of any account."""
    direct = Direct(connection)
    return (accounts_version(direct), *(tallies.version_of(direct, of) for of in lists))


def version(connection: Connection, of: InvoiceList) -> int:
    """A number that grows with every change of a list; zero while it is empty."""
    return tallies.version_of(Direct(connection), of)
