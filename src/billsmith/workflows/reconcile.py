"""Reconciling: what a vendor says beside what our store says, record by record, and how much of it was looked at."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from billsmith.accounts.model import Account
from billsmith.invoicing.comparison import Coverage, State, Verdict, count, verdict
from billsmith.invoicing.model import Invoice, InvoiceStatus
from billsmith.storage import accounts, invoices, reconcile, sync
from billsmith.storage.database import Connection
from billsmith.storage.invoices import Stored
from billsmith.storage.reconcile import Met
from billsmith.storage.sync import Difference, Walk, WalkState
from billsmith.storage.sync_connections import VendorConnection
from billsmith.units.currency import from_minor
from billsmith.units.rounding import plain

#: Records told one by one; all are counted.
MAX_TOLD = 1_000


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """One record that does not simply match: its key at the vendor, our invoice, and what is so about it."""

    vendor_key: str
    state: State
    invoice_id: str | None
    number: str
    detail: str


class DuplicateInvoices(msgspec.Struct, frozen=True, kw_only=True):
    """What looks like one invoice, and through which connections it came."""

    why: str
    connections: list[str]
    invoices: list[str]
    amount: str


class UnmatchedCustomer(msgspec.Struct, frozen=True, kw_only=True):
    """A customer of the vendor's for whom the pull had to make an account."""

    account: str
    external_id: str
    name: str
    invoices: int
    total: str


class Reconciliation(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one connection.

    ``coverage`` is of the vendor's list; ``counts`` are all records by state, ``told`` those that do not match (the first
    thousand); ``changes`` is what the last walk found changed; ``beside`` counts invoices of that vendor that came by a file.
    """

    connection: str
    vendor: str
    verdict: Verdict
    coverage: Coverage
    watermark_at: int | None
    counts: dict[State, int]
    told: list[Judged]
    changes: list[Difference]
    beside: int
    unmatched: list[UnmatchedCustomer]


def reconcile_one(connection: Connection, of: VendorConnection) -> Reconciliation:
    """Hold a connection's records against our invoices."""
    owner = accounts.by_seq(connection, of.account_seq)
    walks = sync.last_walks(connection, of, limit=1)
    coverage, watermark = _coverage(connection, of, walks)
    audited_since = of.watermark_walk or (walks[0].seq if walks else 0)
    states: list[State] = []
    told: list[Judged] = []
    for met in reconcile.records(connection, of, owner):
        judged = judge(met, audited_since)
        states.append(judged.state)
        if judged.state is not State.MATCHED and len(told) < MAX_TOLD:
            told.append(judged)
    lost = list(_never_in(connection, of, MAX_TOLD))
    states += [each.state for each in lost]
    return Reconciliation(
        connection=of.name,
        vendor=of.vendor,
        verdict=verdict(states, coverage),
        coverage=coverage,
        watermark_at=watermark.ended_at if watermark else None,
        counts=count(states),
        told=[*told, *lost][:MAX_TOLD],
        changes=list(sync.differences(connection, of, walks[0].seq))[:MAX_TOLD] if walks else [],
        beside=reconcile.count_beside(connection, of, owner),
        unmatched=_unmatched(connection, of),
    )


def duplicates(connection: Connection, of: Sequence[VendorConnection]) -> list[DuplicateInvoices]:
    """What looks like one invoice that came through several of these connections."""
    names = {each.seq: each.name for each in of}
    groups = reconcile.duplicates(connection, list(names))
    seqs = sorted({seq for group in groups for seq in group.invoice_seqs})
    named: dict[int, Stored] = {}
    for start in range(0, len(seqs), invoices.CHUNK):
        named |= invoices.by_seqs(connection, seqs[start : start + invoices.CHUNK])
    return [
        DuplicateInvoices(
            why=group.why,
            connections=[names[seq] for seq in group.connection_seqs],
            invoices=[named[seq].invoice.id for seq in group.invoice_seqs],
            amount=_money(named[group.invoice_seqs[0]].invoice.total_minor, named[group.invoice_seqs[0]].invoice.currency),
        )
        for group in groups
    ]


def judge(met: Met, audited_since: int) -> Judged:
    """How one record stands. What was not met since the last whole walk was not audited."""

    def judged(state: State, detail: str = "") -> Judged:
        invoice = met.found.invoice if met.found else None
        return Judged(
            vendor_key=met.vendor_key,
            state=state,
            invoice_id=invoice.id if invoice else None,
            number=invoice.number if invoice else "",
            detail=detail,
        )

    if met.disappeared:
        return judged(State.MISSING, "the vendor no longer lists it")
    if met.problem:
        state = State.DIFFERS if met.found else State.MISSING
        return judged(state, f"{met.problem} [{met.problem_code}]")
    if met.found is None:
        return judged(State.MISSING, "it is not in the store")
    if met.last_walk < audited_since:
        return judged(State.NOT_AUDITED, "no walk met it since the last whole one")
    apart = differences_of_state(met.found.invoice, met.stated)
    return judged(State.DIFFERS, apart) if apart else judged(State.MATCHED)


def differences_of_state(invoice: Invoice, stated: str) -> str:
    """How our invoice's state differs from what the vendor last stated; empty where it does not."""
    if not stated:
        return ""
    theirs = msgspec.json.decode(stated)
    apart = []
    status = InvoiceStatus(theirs["status"])
    if status is not invoice.status:
        apart.append(f"the vendor says {status.word}, we say {invoice.status.word}")
    if theirs["paid_minor"] != invoice.paid_minor:
        paid = (_money(minor, invoice.currency) for minor in (theirs["paid_minor"], invoice.paid_minor))
        apart.append("paid: the vendor says {}, we say {}".format(*paid))
    return "; ".join(apart)


def _coverage(connection: Connection, of: VendorConnection, walks: Sequence[Walk]) -> tuple[Coverage, Walk | None]:
    """Whether the last walk saw all of the vendor's list, and something in it."""
    watermark = sync.walk_of(connection, of.watermark_walk) if of.watermark_walk is not None else None
    if not walks:
        return Coverage(whole=False, reason="it was never pulled; run `billsmith sync run`"), None
    last = walks[0]
    if last.state is not WalkState.COMPLETE:
        return Coverage(whole=False, reason=last.reason or f"the last walk is {last.state.value}"), watermark
    if not last.counts.seen:
        return Coverage(whole=False, reason="the vendor's list is empty"), watermark
    return Coverage(whole=True), watermark


def _never_in(connection: Connection, of: VendorConnection, limit: int) -> Iterable[Judged]:
    """Records that were set aside and of which nothing was ever kept."""
    found = sync.problems_without_record(connection, of, limit=limit)
    for problem in found:
        yield Judged(
            vendor_key=problem.vendor_key or problem.place,
            state=State.MISSING,
            invoice_id=None,
            number="",
            detail=f"{problem.message} [{problem.code}]",
        )


def _unmatched(connection: Connection, of: VendorConnection) -> list[UnmatchedCustomer]:
    found = reconcile.unmatched(connection, of)
    named: dict[int, Account] = accounts.by_seqs(connection, {each.account_seq for each in found})
    return [
        UnmatchedCustomer(
            account=named[each.account_seq].id,
            external_id=named[each.account_seq].external_id,
            name=named[each.account_seq].name,
            invoices=each.invoices,
            total=_money(each.total_minor, each.currency),
        )
        for each in found
    ]


def _money(minor: int, currency: str) -> str:
    return f"{plain(from_minor(minor, currency))} {currency}"
