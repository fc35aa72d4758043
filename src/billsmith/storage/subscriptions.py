"""Subscriptions in the database: what was agreed, every change as a row, and how far each is billed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, exists, func, insert, select, tuple_

import billsmith.rating  # noqa: F401 (loads the price models)
from billsmith.accounts.model import Account
from billsmith.catalog.price import Price
from billsmith.catalog.reading import read_as
from billsmith.catalog.writing import tree_of
from billsmith.storage import changes as log
from billsmith.storage import schema
from billsmith.storage.accounts import stands_below
from billsmith.storage.changes import Change
from billsmith.storage.schema_billing import subscription as table
from billsmith.storage.schema_billing import subscription_bill as bill_table
from billsmith.storage.schema_billing import subscription_change as change_table
from billsmith.subscriptions.learnt import Mark, Step
from billsmith.subscriptions.subscription import AnyChange, End, PlanRef, Subscription
from billsmith.units.errors import Conflict, NotFound
from billsmith.units.instants import format_instant


class Stored(NamedTuple):
    """A subscription with the store's own numbers. ``recipient_seq`` gets its invoices; ``account_seq``'s usage is counted."""

    seq: int
    issuer_seq: int
    account_seq: int
    recipient_seq: int
    catalog: str
    subscription: Subscription


class Billed(NamedTuple):
    """A step that was billed, by its number (from 1). ``is_open``: its document was voided, so it is to be billed again."""

    number: int
    mark: Mark
    run_seq: int
    invoice_seq: int | None
    is_open: bool


class _Body(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    plan: PlanRef
    starts_at: int
    zone: str
    quantities: dict[str, Decimal] = {}
    anchor_to_instant: bool = False
    billing_day: int = 0
    overrides: dict[str, Any] = {}


_bodies = msgspec.json.Decoder(_Body)
_changes = msgspec.json.Decoder(AnyChange)


def add(
    connection: Connection,
    subscription: Subscription,
    *,
    issuer: Account,
    account: Account,
    recipient: Account,
    catalog: str,
    actor: str,
) -> Stored:
    """Keep a new subscription. Raises :class:`Conflict` where the id is taken."""
    if connection.execute(select(table.c.seq).where(table.c.id == subscription.id)).first():
        raise Conflict("there is a subscription with that id already", code="subscription.id_taken", where="id")
    seq = connection.execute(
        insert(table)
        .values(
            id=subscription.id,
            issuer_seq=issuer.seq,
            account_seq=account.seq,
            recipient_seq=recipient.seq,
            catalog=catalog,
            body=_body(subscription),
            recorded_at=subscription.recorded_at,
            recorded_by=actor,
        )
        .returning(table.c.seq)
    ).scalar_one()
    facts = {
        "plan": subscription.plan.code,
        "version": subscription.plan.version,
        "starts_at": format_instant(subscription.starts_at),
    }
    log.note(
        connection,
        Change("subscription.created", account.seq, subscription.id, subscription.recorded_at, actor, facts, issuer=issuer.seq),
    )
    return Stored(seq, issuer.seq, account.seq, recipient.seq, catalog, subscription)


def add_change(connection: Connection, found: Stored, change: AnyChange, actor: str) -> None:
    """Keep a change."""
    add_changes(connection, [(found, change)], actor)


def add_changes(connection: Connection, changes: Sequence[tuple[Stored, AnyChange]], actor: str) -> None:
    """Keep one change each of several subscriptions, which the caller holds locked (:func:`lock`)."""
    steps = dict.fromkeys((found.seq for found, _ in changes), 0)
    query = select(change_table.c.subscription_seq, func.max(change_table.c.step)).group_by(change_table.c.subscription_seq)
    steps.update(_pairs(connection.execute(query.where(change_table.c.subscription_seq.in_(steps)))))
    connection.execute(
        insert(change_table),
        [
            {
                "subscription_seq": found.seq,
                "step": steps[found.seq] + 1,
                "at": change.at,
                "recorded_at": change.recorded_at,
                "recorded_by": actor,
                "body": msgspec.json.encode(change).decode(),
            }
            for found, change in changes
        ],
    )
    log.note(connection, *(_noted(found, change, actor) for found, change in changes))


def _noted(found: Stored, change: AnyChange, actor: str) -> Change:
    ended = isinstance(change, End)
    return Change(
        "subscription.ended" if ended else "subscription.changed",
        found.account_seq,
        found.subscription.id,
        change.recorded_at,
        actor,
        {"what": type(change).__name__, "from": format_instant(change.at)},
        issuer=found.issuer_seq,
    )


def lock(connection: Connection, id: str) -> Stored:
    """A subscription under its row's lock, before it is changed. Raises :class:`NotFound`."""
    query = _query().where(table.c.id == id)
    rows = connection.execute(query.with_for_update(of=table) if connection.dialect.name == "postgresql" else query).all()
    if not rows:
        raise NotFound("no such subscription", code="subscription.unknown")
    return _whole(connection, rows)[0]


def by_id(connection: Connection, id: str) -> Stored | None:
    """The subscription with that id, wherever it stands. Only for callers that check whose it is."""
    rows = connection.execute(_query().where(table.c.id == id)).all()
    return _whole(connection, rows)[0] if rows else None


def page(
    connection: Connection,
    *,
    issuer: Account | None = None,
    within: Account | None = None,
    after_seq: int = 0,
    limit: int = 500,
) -> list[Stored]:
    """Subscriptions by an issuer, of accounts at or below ``within``; those after one, oldest first."""
    query = _query().where(table.c.seq > after_seq).order_by(table.c.seq).limit(limit)
    if issuer is not None:
        query = query.where(table.c.issuer_seq == issuer.seq)
    if within is not None:
        query = query.where(stands_below(table.c.account_seq, within))
    return _whole(connection, connection.execute(query).all())


def issuers(connection: Connection, within: Account | None = None) -> list[int]:
    """The store's numbers of every account that issues to subscribers, of those who have one at or below ``within``."""
    query = select(table.c.issuer_seq).distinct().order_by(table.c.issuer_seq)
    if within is not None:
        query = query.where(stands_below(table.c.recipient_seq, within))
    return [row[0] for row in connection.execute(query)]


def due_recipients(
    connection: Connection, issuer_seq: int, until: int, *, scope: Account | None, after_seq: int, limit: int
) -> list[int]:
    """Recipients after one, in order, with a subscription not billed up to ``until``, or with a step that is open again."""
    steps = bill_table.c.subscription_seq == table.c.seq
    unbilled = ~exists().where(steps, bill_table.c.until >= until)
    reopened = exists().where(steps, bill_table.c.open == 1)
    query = (
        select(table.c.recipient_seq)
        .distinct()
        .where(table.c.issuer_seq == issuer_seq, table.c.recipient_seq > after_seq, unbilled | reopened)
        .order_by(table.c.recipient_seq)
        .limit(limit)
    )
    if scope is not None:
        query = query.where(stands_below(table.c.recipient_seq, scope))
    return [row[0] for row in connection.execute(query)]


def recipients(connection: Connection, issuer_seq: int, *, scope: Account | None, after_seq: int, limit: int) -> list[int]:
    """Who gets invoices of an issuer for subscriptions, those after one, in order."""
    query = select(table.c.recipient_seq).distinct().where(table.c.issuer_seq == issuer_seq, table.c.recipient_seq > after_seq)
    if scope is not None:
        query = query.where(stands_below(table.c.recipient_seq, scope))
    return [row[0] for row in connection.execute(query.order_by(table.c.recipient_seq).limit(limit))]


def of_recipients(connection: Connection, issuer_seq: int, recipients: Sequence[int]) -> list[Stored]:
    """The subscriptions whose invoices some accounts get, by recipient, oldest first."""
    query = _query().where(table.c.issuer_seq == issuer_seq, table.c.recipient_seq.in_(recipients))
    return _whole(connection, connection.execute(query.order_by(table.c.recipient_seq, table.c.seq)).all())


def billed(connection: Connection, seqs: Sequence[int]) -> dict[int, list[Billed]]:
    """The steps of subscriptions that were billed, in order."""
    found: dict[int, list[Billed]] = {seq: [] for seq in seqs}
    query = select(bill_table).where(bill_table.c.subscription_seq.in_(seqs))
    for row in connection.execute(query.order_by(bill_table.c.subscription_seq, bill_table.c.step)):
        found[row.subscription_seq].append(
            Billed(row.step, Mark(row.until, row.known_at), row.run_seq, row.invoice_seq, bool(row.open))
        )
    return found


def marks(connection: Connection, seqs: Sequence[int]) -> dict[int, Mark]:
    """How far subscriptions are billed; those that never were are left out."""
    newest = select(bill_table.c.subscription_seq, func.max(bill_table.c.step)).where(bill_table.c.subscription_seq.in_(seqs))
    last = tuple_(bill_table.c.subscription_seq, bill_table.c.step).in_(newest.group_by(bill_table.c.subscription_seq))
    query = select(bill_table.c.subscription_seq, bill_table.c.until, bill_table.c.known_at).where(last)
    return {row.subscription_seq: Mark(row.until, row.known_at) for row in connection.execute(query)}


def steps_of(connection: Connection, invoice_seqs: Sequence[int]) -> dict[int, list[tuple[Stored, Step]]]:
    """What invoices bill: for each, its subscriptions and the steps of them that stand on it."""
    query = select(bill_table.c.subscription_seq).where(bill_table.c.invoice_seq.in_(invoice_seqs)).distinct()
    seqs = [row[0] for row in connection.execute(query)]
    owners = {found.seq: found for found in by_seqs(connection, seqs)}
    result: dict[int, list[tuple[Stored, Step]]] = {seq: [] for seq in invoice_seqs}
    for seq, steps in billed(connection, seqs).items():
        before: Mark | None = None
        for each in steps:
            if each.invoice_seq in result:
                result[each.invoice_seq].append((owners[seq], Step(before, each.mark)))
            before = each.mark
    return result


def by_seqs(connection: Connection, seqs: Sequence[int]) -> list[Stored]:
    """Subscriptions by the store's numbers, in their order."""
    return _whole(connection, connection.execute(_query().where(table.c.seq.in_(seqs)).order_by(table.c.seq)).all())


def _query() -> Any:
    return select(table, schema.account.c.id.label("account_id")).join_from(
        table, schema.account, table.c.account_seq == schema.account.c.seq
    )


def _whole(connection: Connection, rows: Sequence[Any]) -> list[Stored]:
    changes: dict[int, list[AnyChange]] = {row.seq: [] for row in rows}
    query = select(change_table.c.subscription_seq, change_table.c.body).where(change_table.c.subscription_seq.in_(changes))
    if rows:
        for seq, body in connection.execute(query.order_by(change_table.c.subscription_seq, change_table.c.step)):
            changes[seq].append(_changes.decode(body))
    return [
        Stored(
            row.seq,
            row.issuer_seq,
            row.account_seq,
            row.recipient_seq,
            row.catalog,
            _subscription(row, tuple(changes[row.seq])),
        )
        for row in rows
    ]


def _subscription(row: Any, changes: tuple[AnyChange, ...]) -> Subscription:
    body = _bodies.decode(row.body)
    return Subscription(
        id=row.id,
        account=row.account_id,
        plan=body.plan,
        starts_at=body.starts_at,
        zone=body.zone,
        quantities=body.quantities,
        changes=changes,
        anchor_to_instant=body.anchor_to_instant,
        billing_day=body.billing_day,
        overrides={name: _price(tree) for name, tree in body.overrides.items()},
        recorded_at=row.recorded_at,
    )


def _body(subscription: Subscription) -> str:
    body = _Body(
        plan=subscription.plan,
        starts_at=subscription.starts_at,
        zone=subscription.zone,
        quantities=subscription.quantities,
        anchor_to_instant=subscription.anchor_to_instant,
        billing_day=subscription.billing_day,
        overrides={name: tree_of(price) for name, price in subscription.overrides.items()},
    )
    return msgspec.json.encode(body).decode()


def _price(tree: Any) -> Price:
    price: Price = read_as(Price, msgspec.json.encode(tree).decode(), "override")
    return price


def _pairs(rows: Iterable[Any]) -> dict[int, int]:
    return {row[0]: row[1] for row in rows}
