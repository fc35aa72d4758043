"""What our own billing charges for what our meters counted, beside what a vendor charged for the same account and period."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal

import msgspec

from billsmith.accounts.model import Account
from billsmith.invoicing.comparison import Coverage, Finding, Key, State, Verdict, compare, count, summed, verdict
from billsmith.storage import accounts, reconcile
from billsmith.storage.database import Connection, Database
from billsmith.storage.sync_connections import VendorConnection
from billsmith.units.currency import from_minor
from billsmith.units.exact import Exact
from billsmith.units.spans import NamedSpan
from billsmith.usage.store import UsageStore
from billsmith.workflows.metered import Metered, names_below
from billsmith.workflows.shadow import Amount, our_amounts, pulled_amounts
from billsmith.workflows.simulate import charges

#: Why an account's charge is not known, where its issuer may not be asked.
NOT_YOURS = "an account above yours bills it"


class Rated(msgspec.Struct, frozen=True, kw_only=True):
    """An account's totals in a currency, taxes included. ``finding`` holds theirs (what the vendor charged) and ours (what our
    billing charges by what is known now); ``issued`` is what we did ask for. ``reason`` says why nobody can know."""

    account: str
    currency: str
    finding: Finding
    issued: Exact | None
    reason: str


class Rating(msgspec.Struct, frozen=True, kw_only=True):
    """All accounts' totals, by account, and what they come to."""

    rows: tuple[Rated, ...]
    verdict: Verdict
    counts: dict[State, int]
    coverage: Coverage


def with_usage(metered: Metered, rated: Rating) -> Verdict:
    """What totals and quantities come to together; quantities count where the vendor states any, and most state none."""
    verdicts = {rated.verdict, *([metered.comparison.verdict] if metered.comparison.findings else [])}
    return next(each for each in (Verdict.DIFFERENCES, Verdict.NOT_AUDITED, Verdict.CLEAN) if each in verdicts)


class _Read(msgspec.Struct, kw_only=True):
    """What the store says of both sides before anything is rated."""

    theirs: dict[Key, Exact]
    issued: dict[Key, Exact]
    coverage: Coverage
    issuers: list[Account]
    scopes: list[Account]
    names: dict[str, str]


def compare_charges(
    database: Database,
    usage: UsageStore | None,
    of: Sequence[VendorConnection],
    span: NamedSpan,
    *,
    zone: str,
    at: int,
    threshold: Decimal = Decimal(0),
    may_ask: Callable[[Account], bool] = lambda _issuer: True,
    progress: Callable[[int], None] = lambda _count: None,
) -> Rating:
    """Hold a vendor's totals against what subscriptions charge for our own usage in the same span, without writing anything.

    Ours are the charges, by whoever issued the pulled invoices, of accounts at or below the connections' accounts. An account
    that can't be billed, or whose issuer ``may_ask`` refuses, was not audited.
    """
    with database.read() as connection:
        read = _read(connection, of, span, zone)
    ours: list[Amount] = []
    unknown: dict[Key, str] = {}
    for issuer in read.issuers:
        if not may_ask(issuer):
            unknown |= dict.fromkeys(read.theirs, NOT_YOURS)
            continue
        seen: set[Key] = set()
        for scope in read.scopes:
            for each in charges(database, usage, issuer, span, at=at, scope=scope, progress=progress):
                key = (each.account.id, each.currency)
                read.names[each.account.id] = each.account.external_id
                if each.problem:
                    unknown[key] = each.problem
                elif key not in seen and (each.total_minor or key in read.theirs):
                    ours.append((key, from_minor(each.total_minor, each.currency)))
                seen.add(key)
    return _judged(read, summed(ours, 2), unknown, threshold)


def _read(connection: Connection, of: Sequence[VendorConnection], span: NamedSpan, zone: str) -> _Read:
    names: dict[str, str] = {}
    period = span.period(zone)
    amounts, coverage = pulled_amounts(connection, of, period, names)
    seqs = reconcile.issuers(connection, [each.seq for each in of]) or [each.account_seq for each in of]
    issuers = [accounts.by_seq(connection, seq) for seq in dict.fromkeys(seqs)]
    issued = [amount for issuer in issuers for amount in our_amounts(connection, issuer, period, names)]
    within = names_below(connection, of)
    return _Read(
        theirs=summed(amounts, 2),
        issued=summed([(key, value) for key, value in issued if key[0] in within], 2),
        coverage=coverage,
        issuers=issuers,
        scopes=[accounts.by_seq(connection, seq) for seq in dict.fromkeys(each.account_seq for each in of)],
        names=names,
    )


def _judged(read: _Read, ours: dict[Key, Exact], unknown: dict[Key, str], threshold: Decimal) -> Rating:
    known = {key: value for key, value in read.theirs.items() if key not in unknown}
    compared = compare(
        known,
        {key: value for key, value in ours.items() if key not in unknown},
        their_coverage=read.coverage,
        tolerance=threshold,
    )
    rows = sorted([*_rows(read, compared.findings), *_unknown_rows(read, unknown)], key=lambda row: (row.account, row.currency))
    states = [row.finding.state for row in rows]
    coverage = read.coverage if read.theirs else Coverage(whole=False, reason=read.coverage.reason or "it is empty")
    return Rating(rows=tuple(rows), verdict=verdict(states, coverage), counts=count(states), coverage=coverage)


def _rows(read: _Read, findings: Sequence[Finding]) -> Iterator[Rated]:
    for finding in findings:
        reason = "no subscription of ours charges it" if finding.ours is None else ""
        yield _row(read, finding, reason)


def _unknown_rows(read: _Read, unknown: dict[Key, str]) -> Iterator[Rated]:
    for key, reason in unknown.items():
        theirs = read.theirs.get(key)
        finding = Finding(key=key, state=State.NOT_AUDITED, theirs=theirs, ours=None, difference=Decimal(0))
        yield _row(read, finding, reason)


def _row(read: _Read, finding: Finding, reason: str) -> Rated:
    id, currency = finding.key
    return Rated(
        account=read.names.get(id, id), currency=currency, finding=finding, issued=read.issued.get(finding.key), reason=reason
    )
