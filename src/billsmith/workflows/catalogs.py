"""Catalogs: what a text would change and whom it touches; applying it; moving subscriptions to a new version of their plan."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterator

import msgspec

from billsmith.accounts.model import Account
from billsmith.catalog import Catalog, parse
from billsmith.catalog.offer import Plan
from billsmith.catalog.versions import Change, Comparison, Part, compare
from billsmith.storage import agreements, catalogs, changes, subscriptions
from billsmith.storage.database import Connection, Database
from billsmith.storage.subscriptions import Stored
from billsmith.subscriptions.agreements import CouponGiven
from billsmith.subscriptions.subscription import AddAddOn, ChangePlan, PlanRef, in_time
from billsmith.subscriptions.timeline import ends_at
from billsmith.units.errors import Conflict, Invalid, InvalidCatalog
from billsmith.units.instants import start_of_day
from billsmith.workflows.billing_cases import plan_at

#: Subscriptions in one transaction of a migration.
CHUNK = 500


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """What applying a text would do.

    ``touched`` counts for each change the subscriptions (of a coupon: agreements) that have what changes. Those on an old
    version of a plan keep it until they are migrated.
    """

    catalog: Catalog
    version: int
    comparison: Comparison
    touched: tuple[int, ...]
    is_new: bool


def plan(connection: Connection, issuer: Account, text: str, source: str) -> Planned:
    """What applying a text would change. Raises :class:`InvalidCatalog`."""
    new = parse(text, source)
    applied = catalogs.find(connection, issuer, new.code)
    known = catalogs.parts(connection, issuer, new.code) if applied else []
    version = applied.version + 1 if applied else 1
    found = compare(known, applied.offers if applied else {}, new, version, applied.currency if applied else "")
    users = _Users(connection, issuer, new.code, known)
    return Planned(
        catalog=new,
        version=version,
        comparison=found,
        touched=tuple(users.of(change) for change in found.changes),
        is_new=applied is None or not found.is_empty,
    )


def apply(connection: Connection, issuer: Account, text: str, source: str, *, now: int, actor: str) -> Planned:
    """Apply a text: new versions of what differs. Where nothing does, nothing is kept. Raises :class:`InvalidCatalog`."""
    planned = plan(connection, issuer, text, source)
    if planned.is_new:
        catalogs.add(
            connection, issuer, planned.catalog, planned.comparison, text, version=planned.version, now=now, actor=actor
        )
    return planned


class Migration(msgspec.Struct, frozen=True, kw_only=True):
    """Which subscriptions move to ``to`` from a local day on: those on another version of it that meet every condition."""

    catalog: str
    to: PlanRef
    first: dt.date
    from_version: int | None = None
    within: Account | None = None
    started_before: int | None = None


def migrate(database: Database, issuer: Account, asked: Migration, *, now: int, actor: str, dry_run: bool = False) -> int:
    """Move a cohort of subscriptions to a version of their plan; how many moved. Who moved already stays as it is.

    Raises :class:`InvalidCatalog` for a plan or version that isn't there.
    """
    moved = 0
    after = 0
    with database.read() as connection:
        catalogs.load(connection, issuer, asked.catalog).plan(asked.to.code, asked.to.version)
    while True:
        with database.read() if dry_run else database.write() as connection:
            batch = subscriptions.page(connection, issuer=issuer, within=asked.within, after_seq=after, limit=CHUNK)
            changes = [(found, change) for found in batch if (change := _move(found, asked, now)) is not None]
            if changes and not dry_run:
                subscriptions.add_changes(connection, changes, actor)
        moved += len(changes)
        if len(batch) < CHUNK:
            return moved
        after = batch[-1].seq


def ask_to_migrate(connection: Connection, issuer: Account, asked: Migration, *, now: int, actor: str) -> None:
    """Note in the change log that somebody asked for a migration. Raises :class:`InvalidCatalog` as :func:`migrate` does."""
    catalogs.load(connection, issuer, asked.catalog).plan(asked.to.code, asked.to.version)
    facts = {"plan": asked.to.code, "version": asked.to.version, "from": asked.first.isoformat()}
    noted = changes.Change("catalog.migration", issuer.seq, asked.catalog, now, actor, facts)
    changes.note(connection, noted)


def the_catalog(connection: Connection, issuer: Account, code: str | None) -> str:
    """The code of a catalog; of the only one where none is named. Raises :class:`Invalid`, :class:`NotFound`."""
    if code is not None:
        return catalogs.get(connection, issuer, code).code
    there = [each.code for each in catalogs.newest(connection, issuer)]
    if len(there) > 1:
        raise Invalid(
            f"{issuer.name!r} has several catalogs: {', '.join(there)}. Name one", code="catalog.several", where="catalog"
        )
    return there[0] if there else catalogs.get(connection, issuer, "").code


def read_text(body: bytes, source: str) -> str:
    """A catalog's bytes as text. Raises :class:`InvalidCatalog`."""
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidCatalog(
            f"byte {error.start} is not UTF-8. Save the file as UTF-8 text", code="catalog.not_text", where=source
        ) from None


def _move(found: Stored, asked: Migration, now: int) -> ChangePlan | None:
    subscription = found.subscription
    if found.catalog != asked.catalog:
        return None
    if asked.started_before is not None and subscription.starts_at >= asked.started_before:
        return None
    at = max(start_of_day(asked.first, subscription.zone), subscription.starts_at)
    if at >= ends_at(subscription):
        return None
    held = subscription.plan
    for change in in_time(subscription):
        if isinstance(change, ChangePlan):
            if change.at > at and change.plan.code != asked.to.code:
                return None  # it leaves the plan later; a change before that would be lost, or undo it
            held = change.plan
    if held.code != asked.to.code or held == asked.to or asked.from_version not in (None, held.version):
        return None
    return ChangePlan(at=at, recorded_at=now, plan=asked.to)


class _Users:
    """How many subscriptions (of coupons: agreements) have what a change is about."""

    def __init__(self, connection: Connection, issuer: Account, code: str, known: list[Part]) -> None:
        self.plans: Counter[str] = Counter()
        self.add_ons: Counter[str] = Counter()
        self.all = 0
        people: dict[int, None] = {}
        for found in _every(connection, issuer):
            if found.catalog == code:
                self.all += 1
                self.plans[plan_at(found.subscription, 2**63 - 1).code] += 1
                self.add_ons.update(
                    {change.add_on.code for change in found.subscription.changes if isinstance(change, AddAddOn)}
                )
                people[found.recipient_seq] = None
        self.coupons: Counter[str] = Counter()
        for group in agreements.of_accounts(connection, issuer.seq, list(people), 2**63 - 1).values():
            self.coupons.update(each.body.coupon for each in group if isinstance(each.body, CouponGiven))
        self.meters: dict[str, set[str]] = {}
        self.books: dict[str, set[str]] = {}
        for part in known:
            for meter in part.meters:
                self.meters.setdefault(meter, set()).add(part.code)
            if isinstance(part.value, Plan) and part.value.price_book:
                self.books.setdefault(part.value.price_book, set()).add(part.code)

    def of(self, change: Change) -> int:
        """How many a change touches."""
        code = change.code
        if change.what in ("kept", "added"):
            return 0
        if change.kind in ("meter", "price_book"):
            offers = (self.meters if change.kind == "meter" else self.books).get(code, set())
            return sum(self.plans[offer] + self.add_ons[offer] for offer in offers)
        return {"plan": self.plans[code], "add_on": self.add_ons[code], "coupon": self.coupons[code]}.get(change.kind, self.all)


def _every(connection: Connection, issuer: Account) -> Iterator[Stored]:
    after = 0
    while batch := subscriptions.page(connection, issuer=issuer, after_seq=after):
        yield from batch
        after = batch[-1].seq


def check_plan(connection: Connection, issuer: Account, catalog: str, code: str, version: int | None) -> PlanRef:
    """The plan of a code in the version that is offered, or in a version named. Raises :class:`InvalidCatalog`."""
    shelf = catalogs.load(connection, issuer, catalog)
    offered = shelf.offers.get("plan", {})
    if version is None and code not in offered:
        known = ", ".join(sorted(offered)) or "none"
        raise InvalidCatalog(f"no plan {code[:60]} is offered; known: {known}", code="catalog.unknown_plan", where="plan")
    found = shelf.plan(code, offered[code] if version is None else version)
    return PlanRef(found.code, found.version)


def same_currency(connection: Connection, issuer: Account, catalog: str, old: PlanRef, new: PlanRef) -> None:
    """Raise :class:`Conflict` where two plans are priced in different currencies: a subscription keeps its own."""
    shelf = catalogs.load(connection, issuer, catalog)
    before, after = (shelf.plan(each.code, each.version).currency or shelf.currency for each in (old, new))
    if before != after:
        raise Conflict(
            f"{old.code} is priced in {before}, {new.code} in {after}. End this subscription and make another",
            code="subscription.other_currency",
            where="plan",
        )
