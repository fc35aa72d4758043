"""Billing runs in the database: what was asked, how far it came, and what it billed.

Everything that a chunk of a run leaves behind is written in the transaction that issues its documents. An issuer's runs take
turns by the issuer's lock, so that numbers are given in one order and nothing is billed between a look and a write.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, bindparam, delete, func, insert, select, text, update

from billsmith.accounts.model import Account
from billsmith.invoicing.cases import LineMark, LineMarks, lines_of
from billsmith.storage import changes
from billsmith.storage.changes import Change
from billsmith.storage.direct import Direct, is_integrity_error
from billsmith.storage.schema_billing import billed_line, billing_run, correction, run_item, subscription_bill
from billsmith.subscriptions.learnt import Mark
from billsmith.units.errors import Conflict
from billsmith.units.ids import derived_id

BILLED_ALREADY = "bill.billed_already"
#: Asked for, and not begun: what it sees of usage and catalogs is fixed when it begins.
WAITING = "waiting"
RUNNING = "running"
DONE = "done"

_catalogs = msgspec.json.Decoder(dict[str, int])


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """A run of an issuer. ``cursor``: the recipient up to which it has come; ``catalogs``: the versions that it bills by.

    ``as_of_seq`` is the state of the usage store that it sees, ``at`` its present.
    """

    seq: int
    id: str
    issuer_seq: int
    number: int
    kind: str
    period: str
    scope_seq: int | None
    at: int
    as_of_seq: int
    catalogs: dict[str, int]
    state: str
    cursor: int
    billed: int
    parked: int
    nothing: int
    opened_by: str = ""

    @property
    def batch(self) -> str:
        """What stands on its documents as their batch."""
        return f"{self.kind}-{self.number:06d}"


class Item(NamedTuple):
    """What became of a recipient in a run: ``billed`` with its document, ``nothing``, or ``parked`` and why."""

    recipient_seq: int
    step: int
    state: str
    invoice_seq: int | None = None
    code: str | None = None
    reason: str | None = None


class BillStep(NamedTuple):
    """A step of a subscription that a document bills; ``again`` where a voided document had billed it before."""

    subscription_seq: int
    number: int
    mark: Mark
    invoice_seq: int | None
    again: bool


def lock_issuer(connection: Connection, issuer: Account) -> None:
    """Wait for the issuer's turn: one transaction at a time gives its numbers. On SQLite every writer is alone anyway."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": issuer.seq * 2})


def unfinished(connection: Connection, issuer: Account, kind: str, period: str, scope: Account | None) -> Run | None:
    """The run that was begun for the same and did not come to its end; of several the first."""
    table = billing_run
    same_scope = table.c.scope_seq.is_(None) if scope is None else table.c.scope_seq == scope.seq
    row = connection.execute(
        select(table)
        .where(
            table.c.issuer_seq == issuer.seq,
            table.c.kind == kind,
            table.c.period == period,
            table.c.state == RUNNING,
            same_scope,
        )
        .order_by(table.c.number)
    ).first()
    return _run(row) if row else None


def create(
    connection: Connection,
    issuer: Account,
    *,
    kind: str,
    period: str,
    scope: Account | None,
    at: int,
    as_of_seq: int,
    catalogs: Mapping[str, int],
    actor: str,
    state: str = RUNNING,
) -> Run:
    """A new run under the issuer's next number; the caller holds the issuer's lock."""
    table = billing_run
    last = connection.execute(select(func.max(table.c.number)).where(table.c.issuer_seq == issuer.seq)).scalar_one()
    number = (last or 0) + 1
    values = {
        "id": derived_id("run", issuer.id, str(number)),
        "issuer_seq": issuer.seq,
        "number": number,
        "kind": kind,
        "period": period,
        "scope_seq": None if scope is None else scope.seq,
        "at": at,
        "as_of_seq": as_of_seq,
        "catalogs": _text(catalogs),
        "state": state,
        "cursor": 0,
        "billed": 0,
        "parked": 0,
        "empty": 0,
        "opened_by": actor,
    }
    run = _run(connection.execute(insert(table).values(values).returning(table)).one())
    facts = {"batch": run.batch, "period": period}
    changes.note(connection, Change("run.begun", issuer.seq, run.id, at, actor, facts))
    return run


def begin(connection: Connection, run: Run, *, as_of_seq: int, catalogs: Mapping[str, int]) -> Run:
    """Let a run begin that was waiting, with what it sees; the caller holds its lock."""
    values = {"state": RUNNING, "as_of_seq": as_of_seq, "catalogs": _text(catalogs)}
    connection.execute(update(billing_run).where(billing_run.c.seq == run.seq).values(values))
    return msgspec.structs.replace(run, state=RUNNING, as_of_seq=as_of_seq, catalogs=dict(catalogs))


def lock(connection: Connection, run: Run) -> Run:
    """A run as it stands, under its row's lock."""
    query = select(billing_run).where(billing_run.c.seq == run.seq)
    return _run(connection.execute(query.with_for_update() if connection.dialect.name == "postgresql" else query).one())


def advance(connection: Connection, run: Run, cursor: int, items: Sequence[Item]) -> Run:
    """Note how far a run came and what became of the recipients on the way. The caller holds its lock."""
    states = [item.state for item in items]
    moved = msgspec.structs.replace(
        run,
        cursor=cursor,
        billed=run.billed + states.count("billed"),
        parked=run.parked + states.count("parked"),
        nothing=run.nothing + states.count("nothing"),
    )
    connection.execute(
        update(billing_run)
        .where(billing_run.c.seq == run.seq)
        .values(cursor=cursor, billed=moved.billed, parked=moved.parked, empty=moved.nothing)
    )
    Direct(connection).add(run_item, [(run.seq, *item) for item in items])
    return moved


def finish(connection: Connection, run: Run) -> Run:
    """Note that a run has come to its end."""
    running = (billing_run.c.seq == run.seq) & (billing_run.c.state == RUNNING)
    ended = connection.execute(update(billing_run).where(running).values(state=DONE).returning(billing_run)).first()
    if ended is not None:
        facts = {"batch": run.batch, "billed": ended.billed, "parked": ended.parked, "nothing": ended.empty}
        changes.note(connection, Change("run.ended", run.issuer_seq, run.id, run.at, ended.opened_by, facts))
    return msgspec.structs.replace(run, state=DONE)


def parked(connection: Connection, run: Run, *, limit: int) -> list[Item]:
    """The first recipients that a run parked."""
    table = run_item
    query = (
        select(table.c.recipient_seq, table.c.step, table.c.state, table.c.invoice_seq, table.c.code, table.c.reason)
        .where(table.c.run_seq == run.seq, table.c.state == "parked")
        .order_by(table.c.recipient_seq, table.c.step)
        .limit(limit)
    )
    return [Item(*row) for row in connection.execute(query)]


def parked_since(connection: Connection, issuer: Account, kind: str, since: int) -> set[int]:
    """The recipients that an issuer's runs of a kind parked after an instant."""
    query = (
        select(run_item.c.recipient_seq)
        .join_from(billing_run, run_item, run_item.c.run_seq == billing_run.c.seq)
        .where(
            billing_run.c.issuer_seq == issuer.seq,
            billing_run.c.kind == kind,
            billing_run.c.at > since,
            run_item.c.state == "parked",
        )
    )
    return set(connection.execute(query).scalars())


def by_id(connection: Connection, id: str) -> Run | None:
    """The run with that id, whose-ever it is. Only for callers that check that."""
    row = connection.execute(select(billing_run).where(billing_run.c.id == id)).first()
    return _run(row) if row else None


def of_invoices(connection: Connection, invoices: Sequence[int]) -> dict[int, Run]:
    """The runs that billed invoices; those that no run billed are left out."""
    table = subscription_bill
    query = select(table.c.invoice_seq, table.c.run_seq).where(table.c.invoice_seq.in_(invoices)).distinct()
    pairs = {row[0]: row[1] for row in connection.execute(query)}
    found = by_seqs(connection, pairs.values())
    return {invoice: found[run] for invoice, run in pairs.items()}


def by_seqs(connection: Connection, seqs: Iterable[int]) -> dict[int, Run]:
    """Runs by the store's numbers."""
    rows = connection.execute(select(billing_run).where(billing_run.c.seq.in_(sorted(set(seqs)))))
    return {row.seq: _run(row) for row in rows}


def page(connection: Connection, issuer: Account, *, after: int = 0, limit: int = 100) -> list[Run]:
    """The runs of an issuer by number, those after one."""
    query = select(billing_run).where(billing_run.c.issuer_seq == issuer.seq, billing_run.c.number > after)
    return [_run(row) for row in connection.execute(query.order_by(billing_run.c.number).limit(limit))]


def newest(connection: Connection, issuer: Account, kind: str) -> Run | None:
    """The last run of a kind that an issuer opened for all its recipients."""
    table = billing_run
    query = select(table).where(table.c.issuer_seq == issuer.seq, table.c.kind == kind, table.c.scope_seq.is_(None))
    row = connection.execute(query.order_by(table.c.number.desc()).limit(1)).first()
    return _run(row) if row else None


def open_runs(connection: Connection) -> list[Run]:
    """Every run that did not come to its end, oldest first."""
    query = select(billing_run).where(billing_run.c.state.in_([WAITING, RUNNING])).order_by(billing_run.c.seq)
    return [_run(row) for row in connection.execute(query)]


def newest_steps(connection: Connection, subscriptions: Sequence[int]) -> dict[int, tuple[int, int]]:
    """How many steps of subscriptions were billed, and how many of them are open again."""
    table = subscription_bill
    query = (
        select(table.c.subscription_seq, func.max(table.c.step), func.sum(table.c.open))
        .where(table.c.subscription_seq.in_(subscriptions))
        .group_by(table.c.subscription_seq)
    )
    return {row[0]: (int(row[1]), int(row[2])) for row in connection.execute(query)}


def note_bills(connection: Connection, run: Run, steps: Sequence[BillStep]) -> None:
    """Note how far subscriptions are billed."""
    table = subscription_bill
    Direct(connection).add(
        table,
        [
            (step.subscription_seq, step.number, step.mark.until, step.mark.known_at, run.seq, step.invoice_seq, 0)
            for step in steps
            if not step.again
        ],
    )
    again = [
        {"of": step.subscription_seq, "number": step.number, "run": run.seq, "invoice": step.invoice_seq}
        for step in steps
        if step.again
    ]
    if again:
        reopened = (table.c.subscription_seq == bindparam("of")) & (table.c.step == bindparam("number")) & (table.c.open == 1)
        connection.execute(
            update(table).where(reopened).values(open=0, run_seq=bindparam("run"), invoice_seq=bindparam("invoice")), again
        )


def add_lines(connection: Connection, rows: Iterable[tuple[LineMarks, int]]) -> None:
    """Keep what lines of documents bill (P4). Raises :class:`Conflict` where a live document bills one of them already."""
    try:
        Direct(connection).add(
            billed_line, [(start, seq, together, invoice, lines) for (seq, start, together, lines), invoice in rows]
        )
    except Exception as error:
        if not is_integrity_error(error):
            raise
        raise Conflict("something of this stands on a live document already", code=BILLED_ALREADY) from error


def free(connection: Connection, invoice_seq: int, starts: Iterable[int]) -> int:
    """A document was voided: what it billed is to be billed again. Gives how many steps of subscriptions that is.

    ``starts`` are the starts of its lines' periods.
    """
    table, lines = subscription_bill, billed_line
    freed = connection.execute(
        update(table)
        .where(table.c.invoice_seq == invoice_seq)
        .values(open=1, invoice_seq=None)
        .returning(table.c.subscription_seq)
    ).all()
    if freed:
        connection.execute(
            delete(lines).where(
                lines.c.period_start.in_(set(starts)),
                lines.c.subscription_seq.in_([row[0] for row in freed]),
                lines.c.invoice_seq == invoice_seq,
            )
        )
    return len(freed)


def known_lines(connection: Connection, wanted: Collection[LineMark]) -> set[LineMark]:
    """Which of these stand on a live document."""
    found = _standing(connection, {start for _, start, *_ in wanted}, {seq for seq, *_ in wanted})
    return {line for mark in found for line in lines_of(mark)} & set(wanted)


def any_known(connection: Connection, marks: Collection[LineMarks]) -> bool:
    """Whether something of what these bill stands on a live document."""
    found = _standing(connection, {start for _, start, *_ in marks}, {seq for seq, *_ in marks})
    return not {mark[:3] for mark in found}.isdisjoint(mark[:3] for mark in marks)


def _standing(connection: Connection, starts: Collection[int], subscriptions: Collection[int]) -> list[LineMarks]:
    table = billed_line
    query = select(table.c.subscription_seq, table.c.period_start, table.c.together, table.c.lines).where(
        table.c.period_start.in_(starts), table.c.subscription_seq.in_(subscriptions)
    )
    return [(row[0], row[1], row[2], bytes(row[3])) for row in connection.execute(query)]


def corrections(connection: Connection, invoices: Sequence[int]) -> dict[int, list[int]]:
    """The notes that correct invoices, by the store's numbers, in their order."""
    found: dict[int, list[int]] = {seq: [] for seq in invoices}
    query = select(correction.c.invoice_seq, correction.c.note_seq).where(correction.c.invoice_seq.in_(invoices))
    for invoice, note in connection.execute(query.order_by(correction.c.invoice_seq, correction.c.step)):
        found[invoice].append(note)
    return found


def by_hand(connection: Connection, invoices: Sequence[int]) -> set[int]:
    """Which of the notes that correct invoices no run made."""
    query = select(correction.c.note_seq).where(correction.c.invoice_seq.in_(invoices), correction.c.run_seq.is_(None))
    return {row[0] for row in connection.execute(query)}


def add_corrections(connection: Connection, run: Run | None, rows: Sequence[tuple[int, int, int]]) -> None:
    """Keep which notes correct which invoices: invoice, step, note. ``None``: no run made them."""
    if rows:
        run_seq = None if run is None else run.seq
        connection.execute(
            insert(correction),
            [{"invoice_seq": invoice, "step": step, "note_seq": note, "run_seq": run_seq} for invoice, step, note in rows],
        )


def _text(catalogs: Mapping[str, int]) -> str:
    return msgspec.json.encode(dict(catalogs), order="sorted").decode()


def _run(row: Any) -> Run:
    return Run(
        seq=row.seq,
        id=row.id,
        issuer_seq=row.issuer_seq,
        number=row.number,
        kind=row.kind,
        period=row.period,
        scope_seq=row.scope_seq,
        at=row.at,
        as_of_seq=row.as_of_seq,
        catalogs=_catalogs.decode(row.catalogs),
        state=row.state,
        cursor=row.cursor,
        billed=row.billed,
        parked=row.parked,
        nothing=row.empty,
        opened_by=row.opened_by,
    )
