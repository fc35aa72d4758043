"""Webhooks in the database: made, found, leased to one process at a time, moved on in the log; what was tried."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, delete, func, insert, select, update

from billsmith.accounts.model import Account, AccountStatus
from billsmith.storage import change_log
from billsmith.storage.accounts import rows_below
from billsmith.storage.schema import account as account_table
from billsmith.storage.schema_changes import change as change_table
from billsmith.storage.schema_webhooks import webhook as table
from billsmith.storage.schema_webhooks import webhook_attempt as attempt_table
from billsmith.units.errors import Busy
from billsmith.units.instants import DAY, MINUTE

OPEN = "open"
DISABLED = "disabled"

#: How long a process that says nothing keeps others out.
LEASE = 5 * MINUTE
#: How long attempts are kept.
KEPT = 30 * DAY
_FORGOTTEN_AT_ONCE = 1000

_kinds = msgspec.json.Decoder(tuple[str, ...])


class Webhook(msgspec.Struct, frozen=True, kw_only=True):
    """An address that is told of changes of accounts at or below its own; ``kinds`` are those that it asked for (none: all)."""

    seq: int
    id: str
    account_seq: int
    url: str
    description: str
    kinds: tuple[str, ...]
    state: str
    reason: str
    sealed: bytes
    sealed_before: bytes | None
    before_until: int | None
    cursor: int
    attempts: int
    failing_since: int | None
    due_at: int
    created_at: int
    lease_holder: str | None
    lease_until: int | None


class Attempt(NamedTuple):
    """An attempt to tell of a change. ``status`` is the answer's; ``None`` where there was none, and ``code`` says why."""

    change_seq: int
    at: int
    took_ms: int
    status: int | None
    code: str
    message: str

    @property
    def arrived(self) -> bool:
        """Whether the other side took it."""
        return self.status is not None and 200 <= self.status < 300


class Told(NamedTuple):
    """An attempt with its number, and the change that it was about."""

    number: int
    attempt: Attempt
    change_id: str
    kind: str


def create(
    connection: Connection, account: Account, *, id: str, url: str, description: str, kinds: Sequence[str], sealed: bytes,
    cursor: int, now: int,
) -> Webhook:  # fmt: skip
    """Keep a new webhook, which is told of what comes after ``cursor``."""
    connection.execute(
        insert(table).values(
            id=id,
            account_seq=account.seq,
            url=url,
            description=description,
            kinds=_text(kinds),
            state=OPEN,
            reason="",
            sealed=sealed,
            cursor=cursor,
            attempts=0,
            due_at=now,
            created_at=now,
        )
    )
    found = find(connection, id)
    assert found is not None
    return found


def find(connection: Connection, id: str, within: Account | None = None) -> Webhook | None:
    """The webhook with that id, of an account at or below ``within``."""
    row = connection.execute(rows_below(table, within).where(table.c.id == id)).first()
    return _webhook(row) if row else None


def page(connection: Connection, within: Account | None, *, after_seq: int = 0, limit: int = 1000) -> list[Webhook]:
    """Webhooks of accounts at or below ``within`` (``None``: all), oldest first, those after one."""
    query = rows_below(table, within).where(table.c.seq > after_seq).order_by(table.c.seq).limit(limit)
    return [_webhook(row) for row in connection.execute(query)]


def count(connection: Connection, account: Account) -> int:
    """How many webhooks an account has."""
    query = select(func.count()).select_from(table).where(table.c.account_seq == account.seq)
    return int(connection.execute(query).scalar_one())


def due(connection: Connection, now: int) -> list[Webhook]:
    """Webhooks of open accounts that have something to be told of now, the longest waiting first."""
    head = select(func.max(change_table.c.seq)).scalar_subquery()
    query = (
        select(table)
        .join(account_table, account_table.c.seq == table.c.account_seq)
        .where(
            table.c.state == OPEN,
            table.c.due_at <= now,
            table.c.cursor < head,
            account_table.c.status == AccountStatus.OPEN.value,
        )
    )
    return [_webhook(row) for row in connection.execute(query.order_by(table.c.due_at, table.c.seq))]


def change(connection: Connection, of: Webhook, **values: Any) -> Webhook:
    """Change columns of a webhook; ``kinds`` as they are."""
    if "kinds" in values:
        values["kinds"] = _text(values["kinds"])
    row = connection.execute(update(table).where(table.c.seq == of.seq).values(values).returning(table)).one()
    return _webhook(row)


def take_lease(connection: Connection, of: Webhook, holder: str, now: int) -> Webhook | None:
    """Make ``holder`` the only one who tells a webhook; ``None`` while another does. Gives the webhook as it stands now."""
    free = table.c.lease_holder.is_(None) | (table.c.lease_until <= now) | (table.c.lease_holder == holder)
    mine = update(table).where(table.c.seq == of.seq, free).values(lease_holder=holder, lease_until=now + LEASE)
    row = connection.execute(mine.returning(table)).first()
    return _webhook(row) if row else None


def move(connection: Connection, of: Webhook, holder: str, now: int, **values: Any) -> Webhook:
    """Change columns and hold on to the lease. Raises :class:`Busy` where another took over, or somebody moved the cursor."""
    mine = (table.c.seq == of.seq) & (table.c.lease_holder == holder) & (table.c.cursor == of.cursor)
    row = connection.execute(update(table).where(mine).values(lease_until=now + LEASE, **values).returning(table)).first()
    if row is None:
        raise Busy("another process, or somebody at a replay, took this webhook over", code="webhook.lease_lost")
    return _webhook(row)


def drop_lease(connection: Connection, of: Webhook, holder: str) -> None:
    """Let others tell it."""
    mine = (table.c.seq == of.seq) & (table.c.lease_holder == holder)
    connection.execute(update(table).where(mine).values(lease_holder=None, lease_until=None))


def add_attempts(connection: Connection, of: Webhook, attempts: Sequence[Attempt], now: int) -> None:
    """Keep what was tried; some that are older than :data:`KEPT` go."""
    if not attempts:
        return
    last = connection.execute(
        select(func.max(attempt_table.c.number)).where(attempt_table.c.webhook_seq == of.seq)
    ).scalar_one()
    rows = [
        {"webhook_seq": of.seq, "number": number, **each._asdict()} for number, each in enumerate(attempts, (last or 0) + 1)
    ]
    connection.execute(insert(attempt_table), rows)
    old = connection.execute(
        select(attempt_table.c.webhook_seq, attempt_table.c.number)
        .where(attempt_table.c.at < now - KEPT, attempt_table.c.webhook_seq == of.seq)
        .limit(_FORGOTTEN_AT_ONCE)
    ).all()
    if old:
        numbers = [row.number for row in old]
        connection.execute(
            delete(attempt_table).where(attempt_table.c.webhook_seq == of.seq, attempt_table.c.number.in_(numbers))
        )


def attempts(connection: Connection, of: Webhook, *, before: int | None = None, limit: int) -> list[Told]:
    """What was tried, the last first; those before a number."""
    query = (
        select(attempt_table, change_table.c.id.label("change_id"), change_table.c.kind)
        .join(change_table, change_table.c.seq == attempt_table.c.change_seq)
        .where(attempt_table.c.webhook_seq == of.seq)
        .order_by(attempt_table.c.number.desc())
        .limit(limit)
    )
    if before is not None:
        query = query.where(attempt_table.c.number < before)
    return [
        Told(
            row.number,
            Attempt(row.change_seq, row.at, row.took_ms, row.status, row.code, row.message),
            row.change_id,
            row.kind,
        )
        for row in connection.execute(query)
    ]


def waiting_change(connection: Connection, of: Webhook) -> str | None:
    """The id of the first change after the cursor; ``None`` where there is none."""
    rows = change_log.after(connection, of.cursor, 1)
    return rows[0].id if rows else None


def _text(kinds: Sequence[str]) -> str:
    return msgspec.json.encode(kinds).decode()


def _webhook(row: Any) -> Webhook:
    return Webhook(
        seq=row.seq,
        id=row.id,
        account_seq=row.account_seq,
        url=row.url,
        description=row.description,
        kinds=_kinds.decode(row.kinds),
        state=row.state,
        reason=row.reason,
        sealed=bytes(row.sealed),
        sealed_before=None if row.sealed_before is None else bytes(row.sealed_before),
        before_until=row.before_until,
        cursor=row.cursor,
        attempts=row.attempts,
        failing_since=row.failing_since,
        due_at=row.due_at,
        created_at=row.created_at,
        lease_holder=row.lease_holder,
        lease_until=row.lease_until,
    )
