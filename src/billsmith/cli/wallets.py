"""``billsmith wallets``: credit bought or given. ``billsmith agreements``: coupons, minimums, commitments, terms of payment."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from cyclopts import App, Parameter

from billsmith.cli.billing import Issuer, issuer_of, moment
from billsmith.cli.common import ACTOR, PLAIN, Common, opened
from billsmith.cli.output import Listing, Record
from billsmith.ledger.wallets import Grant
from billsmith.storage import accounts, agreements
from billsmith.subscriptions.agreements import (
    Agreement,
    CommitmentAgreed,
    Ended,
    MinimumAgreed,
    TermsAgreed,
    in_force,
)
from billsmith.units.errors import Invalid, NotFound
from billsmith.units.ids import parse_id
from billsmith.units.instants import format_instant
from billsmith.units.rounding import parse_decimal
from billsmith.workflows import wallets as workflow
from billsmith.workflows.clock import system_clock
from billsmith.workflows.new_ids import new_id
from billsmith.workflows.wallets import Balance

app = App(name="wallets", help="Wallets: credit bought or given, and what is left of it.")
agreements_app = App(name="agreements", help="Agreements: coupons given, minimums, commitments, terms of payment.")

Who = Annotated[str, Parameter(help="The account, by UUID or external id.")]
Scope = Annotated[list[str] | None, Parameter(help="Only for this meter or fee; may be given several times.", negative=())]
From = Annotated[str | None, Parameter(name="--from", help="From when it holds, an instant or a local day (now).")]


@app.command
def grant(
    account: Who,
    amount: Annotated[str, Parameter(help="In the account's currency.")],
    *,
    paid: Annotated[bool, Parameter(negative="--free", help="Bought, or given away.")] = True,
    priority: Annotated[int, Parameter(help="The lowest number is used first.")] = 50,
    expires: Annotated[str | None, Parameter(help="When it expires, an instant or a local day.")] = None,
    first: From = None,
    only: Scope = None,
    every: Annotated[
        Literal["day", "week", "month", "quarter", "year"] | None, Parameter(help="It is filled up again then.")
    ] = None,
    rollover: Annotated[str, Parameter(help="How much of the rest is carried over at most.")] = "0",
    issuer: Issuer = None,
    common: Common = PLAIN,
) -> None:
    """Grant credit. The next invoices use it up before anything is to be paid.

    Example: billsmith wallets grant acme 250.00 --expires 2027-01-01
    """
    now = system_clock()
    with opened(common) as database, database.write() as connection:
        holder = accounts.get(connection, account)
        begins = moment(first, holder.time_zone, "from") if first else now
        new = Grant(
            id=new_id(),
            amount=parse_decimal(amount, where="amount"),
            priority=priority,
            effective_at=begins,
            expires_at=moment(expires, holder.time_zone, "expires") if expires else None,
            scope=frozenset(only or ()),
            paid=paid,
            recurrence=workflow.every(every, begins, holder.time_zone),
            rollover=parse_decimal(rollover, where="rollover"),
        )
        by = issuer_of(connection, issuer, holder)
        stored = workflow.give(connection, by, holder, new, holder.currency, now=now, actor=ACTOR)
        answer = _row(workflow.balance(connection, stored, now))
    common.show(Record(row=answer))


@app.command(name="list")
def list_grants(account: Who, *, issuer: Issuer = None, common: Common = PLAIN) -> None:
    """List an account's grants and what is left of each.

    Example: billsmith wallets list acme
    """
    with opened(common) as database, database.read() as connection:
        holder = accounts.get(connection, account)
        found = workflow.balances(connection, issuer_of(connection, issuer, holder), holder, system_clock())
    common.show(
        Listing(
            rows=[_row(each) for each in found],
            columns=("id", "amount", "left", "currency", "priority", "effective_at", "expires_at", "voided_at"),
            empty="no grants; make one: billsmith wallets grant ACCOUNT AMOUNT",
        )
    )


@app.command
def void(grant: Annotated[str, Parameter(help="The grant, by its id.")], *, common: Common = PLAIN) -> None:
    """Take back what is left of a grant. Void already: no change.

    Example: billsmith wallets void ede9f834-70b3-476c-83d9-736f9f8c7dae
    """
    now = system_clock()
    with opened(common) as database, database.write() as connection:
        id = parse_id(grant)
        found = agreements.grant(connection, id) if id else None
        if found is None:
            raise NotFound("no such grant; `billsmith wallets list ACCOUNT` shows them", code="wallet.unknown")
        answer = _row(workflow.take_back(connection, found, now=now, actor=ACTOR))
    common.show(Record(row=answer))


@agreements_app.command
def add(
    account: Who,
    *,
    coupon: Annotated[str | None, Parameter(help="Give a coupon of the catalog.")] = None,
    catalog: Annotated[str | None, Parameter(help="The coupon's catalog, where the issuer has several.")] = None,
    minimum: Annotated[str | None, Parameter(help="The least that each invoice comes to.")] = None,
    commitment: Annotated[str | None, Parameter(help="Money promised until --until.")] = None,
    prepaid: Annotated[bool, Parameter(negative=(), help="The commitment has been paid.")] = False,
    until: Annotated[str | None, Parameter(help="When the commitment ends, an instant or a local day.")] = None,
    overage: Annotated[str, Parameter(help="What goes beyond the commitment costs so many times as much.")] = "1",
    only: Scope = None,
    due_days: Annotated[int | None, Parameter(help="Terms: days until an invoice is due.")] = None,
    tax_free: Annotated[str | None, Parameter(help="Terms: why no tax is charged.")] = None,
    email: Annotated[bool, Parameter(negative=(), help="Terms: invoices are sent by e-mail.")] = False,
    first: From = None,
    issuer: Issuer = None,
    common: Common = PLAIN,
) -> None:
    """Record one agreement of an account: a coupon, a minimum, a commitment, or terms of payment.

    Example: billsmith agreements add acme --coupon WELCOME
    """
    now = system_clock()
    with opened(common) as database, database.write() as connection:
        holder = accounts.get(connection, account)
        by = issuer_of(connection, issuer, holder)
        at = moment(first, holder.time_zone, "from") if first else now
        terms = due_days is not None or tax_free is not None or email
        if sum((coupon is not None, minimum is not None, commitment is not None, terms)) != 1:
            raise Invalid("give one of --coupon, --minimum, --commitment, or terms", code="agreement.one_kind")
        body: Agreement
        if coupon is not None:
            body = workflow.coupon_given(connection, by, coupon, catalog, at)
        elif minimum is not None:
            amount = parse_decimal(minimum, where="minimum")
            body = MinimumAgreed(at=at, amount=amount, currency=holder.currency, applies_to=tuple(only or ()))
        elif commitment is not None:
            if until is None:
                raise Invalid("a commitment has an end; say --until", code="agreement.no_end", where="until")
            body = CommitmentAgreed(
                at=at,
                amount=parse_decimal(commitment, where="commitment"),
                currency=holder.currency,
                ends_at=moment(until, holder.time_zone, "until"),
                prepaid=prepaid,
                overage_factor=parse_decimal(overage, where="overage"),
                applies_to=tuple(only or ()),
            )
        else:
            body = TermsAgreed(
                at=at, due_days=14 if due_days is None else due_days, tax_free=tax_free or "", send_by_email=email
            )
        stored = workflow.agree(connection, by, holder, body, id=new_id(), now=now, actor=ACTOR)
    common.show(Record(row=_agreement(stored.id, stored.body)))


@agreements_app.command(name="list")
def list_agreements(account: Who, *, issuer: Issuer = None, common: Common = PLAIN) -> None:
    """List what an account agreed to and what holds now.

    Example: billsmith agreements list acme
    """
    now = system_clock()
    with opened(common) as database, database.read() as connection:
        holder = accounts.get(connection, account)
        stored = agreements.of_accounts(connection, issuer_of(connection, issuer, holder).seq, [holder.seq], now)[holder.seq]
    holding = in_force([(each.id, each.body) for each in stored], now)
    rows = [
        {**_agreement(each.id, each.body), "holds": each.id in holding} for each in stored if not isinstance(each.body, Ended)
    ]
    common.show(
        Listing(
            rows=rows,
            columns=("id", "kind", "holds", "from", "what"),
            empty="nothing is agreed; add something: billsmith agreements add ACCOUNT --coupon CODE",
        )
    )


@agreements_app.command
def end(
    account: Who,
    agreement: Annotated[str, Parameter(help="The agreement, by its id.")],
    *,
    at: Annotated[str | None, Parameter(help="When it ends, an instant or a local day (now).")] = None,
    issuer: Issuer = None,
    common: Common = PLAIN,
) -> None:
    """End an agreement.

    Example: billsmith agreements end acme ede9f834-70b3-476c-83d9-736f9f8c7dae
    """
    now = system_clock()
    with opened(common) as database, database.write() as connection:
        holder = accounts.get(connection, account)
        body = Ended(at=moment(at, holder.time_zone, "at") if at else now, agreement=parse_id(agreement) or "")
        by = issuer_of(connection, issuer, holder)
        stored = workflow.agree(connection, by, holder, body, id=new_id(), now=now, actor=ACTOR)
    common.show(Record(row=_agreement(stored.id, stored.body)))


def _agreement(id: str, body: Agreement) -> dict[str, Any]:
    said = msgspec.structs.asdict(body)
    at = said.pop("at")
    if "ends_at" in said:
        said["ends_at"] = format_instant(said["ends_at"])
    return {"id": id, "kind": str(body.__struct_config__.tag), "from": format_instant(at), "what": said}


def _row(found: Balance) -> dict[str, Any]:
    grant = found.stored.grant
    return {
        "id": grant.id,
        "amount": grant.amount,
        "left": found.left,
        "currency": found.stored.currency,
        "paid": grant.paid,
        "priority": grant.priority,
        "every": None if grant.recurrence is None else grant.recurrence.interval.unit.value,
        "rollover": grant.rollover,
        "scope": sorted(grant.scope),
        "effective_at": format_instant(grant.effective_at),
        "expires_at": format_instant(grant.expires_at) if grant.expires_at is not None else None,
        "voided_at": format_instant(found.voided_at) if found.voided_at is not None else None,
    }
