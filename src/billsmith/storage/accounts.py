"""Accounts in the database: made, changed, and looked up by UUID or external id at or below an account."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, Table, and_, func, insert, literal, or_, select, update
from sqlalchemy.exc import IntegrityError

from billsmith.accounts.model import (
    MAX_DEPTH,
    MAX_EXTERNAL_ID,
    MAX_NAME,
    Account,
    AccountStatus,
    Profile,
    check_currency,
    check_text,
    check_zone,
    is_clean_text,
)
from billsmith.storage import changes
from billsmith.storage.changes import Change
from billsmith.storage.direct import Direct
from billsmith.storage.reads import read_by
from billsmith.storage.schema import account as table
from billsmith.storage.schema import installation
from billsmith.units.errors import Conflict, Invalid, InvalidAccount, NotFound
from billsmith.units.ids import parse_id

_parent = table.alias("parent")
_columns = select(table, _parent.c.id.label("parent_id")).join_from(
    table, _parent, table.c.parent_seq == _parent.c.seq, isouter=True
)
_depth = func.length(table.c.path) - func.length(func.replace(table.c.path, "/", ""))
_profiles = msgspec.json.Decoder(Profile)
#: Names that one statement looks up.
_NAMES = 500


def create(
    connection: Connection,
    *,
    id: str,
    name: str,
    now: int,
    parent: Account | None = None,
    external_id: str | None = None,
    currency: str | None = None,
    time_zone: str | None = None,
    profile: Profile = Profile(),  # noqa: B008 (frozen)
    actor: str = "command line",
) -> Account:
    """Make an account. Currency and zone are the parent's unless given; a root must have them.

    Raises :class:`InvalidAccount`, and :class:`Conflict` when the id or the external id (under this parent) is taken.
    """
    name = check_text(name, "name", MAX_NAME)
    external_id = check_text(id if external_id is None else external_id, "external_id", MAX_EXTERNAL_ID)
    currency = currency or (parent.currency if parent else None)
    time_zone = time_zone or (parent.time_zone if parent else None)
    if currency is None or time_zone is None:
        raise InvalidAccount("a root account needs its own currency and time zone", code="account.root_incomplete")
    if parent is not None:
        _check_parent(parent)
    if connection.execute(select(table.c.seq).where(table.c.id == id)).first():
        raise Conflict("there is an account with that id already", code="account.id_taken", where="id")
    parent_seq = parent.seq if parent else None
    if _sibling(connection, parent_seq, external_id):
        raise Conflict(
            f"there is an account with the external id {external_id!r} under this parent already",
            code="account.external_id_taken",
            where="external_id",
        )
    values = {
        "id": id,
        "parent_seq": parent_seq,
        "path": f"new:{id}",
        "external_id": external_id,
        "name": name,
        "status": AccountStatus.OPEN.value,
        "currency": check_currency(currency),
        "time_zone": check_zone(time_zone),
        "profile": msgspec.json.encode(profile).decode(),
        "created_at": now,
        "updated_at": now,
    }
    try:
        seq = connection.execute(insert(table).values(values).returning(table.c.seq)).scalar_one()
    except IntegrityError:  # another writer made it since we looked (PostgreSQL)
        raise Conflict(
            f"there is an account with the id or the external id {external_id!r} already",
            code="account.external_id_taken",
            where="external_id",
        ) from None
    path = f"{parent.path if parent else '/'}{seq}/"
    connection.execute(update(table).where(table.c.seq == seq).values(path=path))
    _count_change(connection)
    facts = {"external_id": external_id, "parent": parent.id if parent else None}
    changes.note(connection, Change("account.created", seq, id, now, actor, facts))
    return by_seq(connection, seq)


def change(
    connection: Connection,
    account: Account,
    *,
    now: int,
    name: str | None = None,
    external_id: str | None = None,
    currency: str | None = None,
    time_zone: str | None = None,
    status: AccountStatus | None = None,
    profile: Profile | None = None,
    actor: str = "command line",
) -> Account:
    """Change what is given, leave the rest. Invoices already issued keep what they say.

    Raises :class:`InvalidAccount`, :class:`Conflict`.
    """
    values: dict[str, Any] = {"updated_at": now}
    if name is not None:
        values["name"] = check_text(name, "name", MAX_NAME)
    if external_id is not None and external_id != account.external_id:
        values["external_id"] = check_text(external_id, "external_id", MAX_EXTERNAL_ID)
        parent_seq = connection.execute(select(table.c.parent_seq).where(table.c.seq == account.seq)).scalar_one()
        if _sibling(connection, parent_seq, values["external_id"]):
            raise Conflict(
                f"the external id {external_id!r} is taken under this parent",
                code="account.external_id_taken",
                where="external_id",
            )
    if currency is not None:
        values["currency"] = check_currency(currency)
    if time_zone is not None:
        values["time_zone"] = check_zone(time_zone)
    if status is not None:
        values["status"] = status.value
    if profile is not None:
        values["profile"] = msgspec.json.encode(profile).decode()
    try:
        connection.execute(update(table).where(table.c.seq == account.seq).values(values))
    except IntegrityError:
        raise Conflict(
            f"the external id {external_id!r} is taken under this parent", code="account.external_id_taken", where="external_id"
        ) from None
    _count_change(connection)
    changes.note(
        connection,
        Change(_kind(status), account.seq, account.id, now, actor, {"changed": sorted(set(values) - {"updated_at"})}),
    )
    return by_seq(connection, account.seq)


def _kind(status: AccountStatus | None) -> str:
    return "account.changed" if status is None else f"account.{'reopened' if status is AccountStatus.OPEN else status.value}"


def by_seq(connection: Connection, seq: int) -> Account:
    """The account with the store's number ``seq``."""
    return _account(connection.execute(_columns.where(table.c.seq == seq)).one())


def by_seqs(connection: Connection, seqs: Iterable[int]) -> dict[int, Account]:
    """Several accounts by the store's numbers; unknown ones are left out."""
    rows = connection.execute(_columns.where(table.c.seq.in_(sorted(set(seqs)))))
    return {row.seq: _account(row) for row in rows}


def external_ids(connection: Connection, seqs: Iterable[int]) -> dict[int, str]:
    """The external ids of several accounts, by the store's numbers."""
    rows = connection.execute(select(table.c.seq, table.c.external_id).where(table.c.seq.in_(sorted(set(seqs)))))
    return {row.seq: row.external_id for row in rows}


def by_id(connection: Connection, id: str) -> Account | None:
    """The account with that UUID, wherever it stands. Only for callers that check the rule themselves."""
    row = connection.execute(_columns.where(table.c.id == id)).first()
    return _account(row) if row else None


def find(connection: Connection, name: str, within: Account | None = None) -> Account | None:
    """The account named by ``name`` (a UUID or an external id) at or below ``within``; ``None`` when there is none.

    Without ``within`` the whole tree is searched: for the command line, whose user owns it. A UUID wins over an external
    id of the same spelling, the account itself over its children, and those over what lies deeper.

    Raises :class:`Invalid` when several accounts of one depth share the external id.
    """
    if not name or len(name) > MAX_EXTERNAL_ID or not is_clean_text(name):
        return None
    database = read_by(connection)
    if database is None:
        return _look_up(connection, name, within)
    version = accounts_version(Direct(connection))
    where = within.seq if within else 0
    return database.found_accounts.of(version, (where, name), lambda: _look_up(connection, name, within))


def _look_up(connection: Connection, name: str, within: Account | None) -> Account | None:
    canonical = parse_id(name)
    if canonical is not None:
        row = connection.execute(_columns.where(table.c.id == canonical, _within(within))).first()
        if row:
            return _account(row)
    rows = connection.execute(_columns.where(table.c.external_id == name, _within(within)).order_by(_depth).limit(50)).all()
    found = [_account(row) for row in rows]
    nearest = [candidate for candidate in found if candidate.depth == found[0].depth]
    if len(nearest) > 1:
        raise Invalid(
            f"{len(nearest)} accounts have the external id {name!r}; name one by its UUID: "
            + ", ".join(candidate.id for candidate in nearest[:5]),
            code="account.ambiguous",
        )
    return nearest[0] if nearest else None


def ids_of(connection: Connection, names: Collection[str], within: Account) -> dict[str, str]:
    """The ids of the accounts at or below ``within`` that many names lead to, each as :func:`find` has it.

    A name that leads nowhere, or to several accounts of one depth, is left out.
    """
    clean = sorted(name for name in set(names) if name and len(name) <= MAX_EXTERNAL_ID and is_clean_text(name))
    found: dict[str, str] = {}
    for start in range(0, len(clean), _NAMES):
        some = clean[start : start + _NAMES]
        found |= _by_external_id(connection, some, within) | _by_uuid(connection, some, within)
    return found


def _by_external_id(connection: Connection, names: Collection[str], within: Account) -> dict[str, str]:
    levels = (
        select(table.c.external_id, func.count().label("many"), func.min(table.c.seq).label("seq"))
        .where(table.c.external_id.in_(names), _within(within))
        .group_by(table.c.external_id, _depth)
        .subquery()
    )
    rows = connection.execute(
        select(levels.c.external_id, levels.c.many, table.c.id).join(table, table.c.seq == levels.c.seq).order_by(_depth)
    )
    nearest: dict[str, tuple[int, str]] = {}
    for name, many, id in rows:
        nearest.setdefault(name, (many, id))
    return {name: id for name, (many, id) in nearest.items() if many == 1}


def _by_uuid(connection: Connection, names: Collection[str], within: Account) -> dict[str, str]:
    ids = {name: id for name in names if (id := parse_id(name)) is not None}
    if not ids:
        return {}
    rows = connection.execute(select(table.c.id).where(table.c.id.in_(sorted(set(ids.values()))), _within(within)))
    there = {row.id for row in rows}
    return {name: id for name, id in ids.items() if id in there}


def get(connection: Connection, name: str, within: Account | None = None) -> Account:
    """As :func:`find`, but raises :class:`NotFound`."""
    account = find(connection, name, within)
    if account is None:
        raise NotFound(
            f"no account {name[:MAX_EXTERNAL_ID]!r}; `billsmith accounts list` shows them all", code="account.unknown"
        )
    return account


def exists_anywhere(connection: Connection, name: str) -> bool:
    """Whether any account has that UUID or external id. Only Hostway's 403 may tell this (its contract)."""
    canonical = parse_id(name)
    named = table.c.external_id == name
    condition = or_(table.c.id == canonical, named) if canonical else named
    return connection.execute(select(literal(1)).where(condition).limit(1)).first() is not None


def child(connection: Connection, parent: Account, external_id: str) -> Account | None:
    """The direct child with that external id."""
    row = connection.execute(_columns.where(table.c.parent_seq == parent.seq, table.c.external_id == external_id)).first()
    return _account(row) if row else None


def parent_of(connection: Connection, account: Account) -> Account | None:
    """The account above, ``None`` for a root."""
    if account.parent_id is None:
        return None
    return by_id(connection, account.parent_id)


def below(
    connection: Connection,
    account: Account | None,
    *,
    after_seq: int = 0,
    offset: int = 0,
    limit: int = 1000,
    children_only: bool = False,
) -> list[Account]:
    """Accounts at or below ``account`` (``None``: all), oldest first, those after ``after_seq``, from the ``offset``-th on."""
    condition = _within(account)
    if children_only and account is not None:
        condition = and_(condition, table.c.parent_seq == account.seq)
    query = _columns.where(condition, table.c.seq > after_seq).order_by(table.c.seq).offset(offset).limit(limit)
    return [_account(row) for row in connection.execute(query)]


def count_below(connection: Connection, account: Account) -> int:
    """How many accounts stand at or below ``account``."""
    return int(connection.execute(select(func.count()).select_from(table).where(_within(account))).scalar_one())


def has_grandchildren(connection: Connection, account: Account) -> bool:
    """Whether any account stands two levels below, or deeper."""
    children = select(table.c.seq).where(table.c.parent_seq == account.seq)
    grandchild = select(literal(1)).select_from(_parent).where(_parent.c.parent_seq.in_(children)).limit(1)
    return connection.execute(grandchild).first() is not None


def tree_page(connection: Connection, account: Account, *, after: Account | None, limit: int) -> list[Account]:
    """Accounts at or below ``account`` in the tree's order (one above another comes first), those after ``after``."""
    query = _columns.where(_within(account)).order_by(table.c.path).limit(limit)
    if after is not None:
        query = query.where(table.c.path > after.path)
    return [_account(row) for row in connection.execute(query)]


def children_page(connection: Connection, parent: Account, *, after: Account | None, limit: int) -> list[Account]:
    """The direct children of ``parent``, oldest first, those after ``after``."""
    query = _columns.where(table.c.parent_seq == parent.seq).order_by(table.c.seq).limit(limit)
    if after is not None:
        query = query.where(table.c.seq > after.seq)
    return [_account(row) for row in connection.execute(query)]


def has_open_children(connection: Connection, parent: Account) -> bool:
    """Whether any direct child is not closed."""
    query = select(literal(1)).where(table.c.parent_seq == parent.seq, table.c.status != AccountStatus.CLOSED.value).limit(1)
    return connection.execute(query).first() is not None


def every_below(connection: Connection, account: Account | None) -> Iterator[Account]:
    """All accounts at or below ``account``, read in pieces."""
    after = 0
    while batch := below(connection, account, after_seq=after):
        yield from batch
        after = batch[-1].seq


def shared_external_ids(connection: Connection, within: Account, names: Iterable[str]) -> set[str]:
    """Which of these external ids more than one account at or below ``within`` has, so that they name none of them for sure."""
    rows = connection.execute(
        select(table.c.external_id)
        .where(table.c.external_id.in_(sorted(set(names))), _within(within))
        .group_by(table.c.external_id)
        .having(func.count() > 1)
    )
    return {row.external_id for row in rows}


def path_range(path: str) -> tuple[str, str]:
    """The half-open range of paths at or below ``path``: its last slash, and the character after it."""
    return path, path[:-1] + "0"


def stands_below(column: Any, account: Account) -> Any:
    """That the account whose store's number a column has is this one or stands below it."""
    start, end = path_range(account.path)
    return column.in_(select(table.c.seq).where(table.c.path >= start, table.c.path < end))


def rows_below(owned: Table, account: Account | None) -> Any:
    """The rows of a table that belong (``account_seq``) to an account or to one below it; ``None``: all rows."""
    query = select(owned)
    if account is not None:
        start, end = path_range(account.path)
        query = query.join(table, table.c.seq == owned.c.account_seq).where(table.c.path >= start, table.c.path < end)
    return query


def ancestors(path: str) -> list[int]:
    """The store's numbers on a path, from the root down, the account itself last.

    >>> ancestors("/1/7/")
    [1, 7]
    """
    return [int(part) for part in path.strip("/").split("/")]


def accounts_version(direct: Direct) -> int:
    """A number that grows with every change of an account."""
    row = direct.row("SELECT accounts_version FROM installation")
    return row[0] if row else 0


def _count_change(connection: Connection) -> None:
    connection.execute(update(installation).values(accounts_version=installation.c.accounts_version + 1))


def _within(account: Account | None) -> Any:
    if account is None:
        return literal(1) == 1
    start, end = path_range(account.path)
    return and_(table.c.path >= start, table.c.path < end)


def _sibling(connection: Connection, parent_seq: int | None, external_id: str) -> bool:
    siblings = func.coalesce(table.c.parent_seq, 0) == (parent_seq or 0)
    return connection.execute(select(table.c.seq).where(siblings, table.c.external_id == external_id)).first() is not None


def _check_parent(parent: Account) -> None:
    if parent.status is AccountStatus.CLOSED:
        raise InvalidAccount(f"{parent.name!r} is closed; nothing can be made below it", code="account.parent_closed")
    if parent.depth + 1 > MAX_DEPTH:
        raise InvalidAccount(f"accounts can stand {MAX_DEPTH} levels deep at most", code="account.too_deep")


def _account(row: Row[Any]) -> Account:
    return Account(
        seq=row.seq,
        id=row.id,
        parent_id=row.parent_id,
        path=row.path,
        external_id=row.external_id,
        name=row.name,
        status=AccountStatus(row.status),
        currency=row.currency,
        time_zone=row.time_zone,
        profile=_profiles.decode(row.profile),
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
