"""``/v1/catalog``: what an issuer offers, version by version."""

from __future__ import annotations

import datetime as dt
from typing import Annotated

import msgspec

from billsmith.accounts.authorisation import Scope
from billsmith.accounts.model import Account
from billsmith.api.lookups import account_of_field
from billsmith.api.operations import Made, Operation, QueryParameter
from billsmith.api.subscriptions import Code, Version
from billsmith.api.values import CLEAN_LINES, AccountName, CurrencyCode, Instant, check_day, read_instant
from billsmith.catalog.text import MAX_TEXT
from billsmith.storage import catalogs
from billsmith.storage.catalogs import Applied
from billsmith.storage.database import Connection
from billsmith.units.instants import format_instant
from billsmith.wire.face import Call
from billsmith.workflows import catalogs as workflow
from billsmith.workflows.catalogs import Migration, Planned

Source = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=MAX_TEXT,
        description="A catalog in YAML or JSON, as text.",
        extra_json_schema=CLEAN_LINES,
    ),
]


class CatalogApply(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A catalog's text, and whose it is (the caller's account unless named). With ``dry_run`` nothing is stored."""

    source: Source
    issuer: AccountName | None = None
    dry_run: bool = False


class CatalogChange(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of a part. ``subscriptions`` counts those that have it (of a coupon: the agreements)."""

    kind: str
    code: str
    change: str
    old_version: int | None
    new_version: int | None
    subscriptions: int


class CatalogChanges(msgspec.Struct, frozen=True, kw_only=True):
    """What a text changes. ``version`` is the catalog's after it; ``applied`` is false where nothing was stored."""

    code: str
    version: int
    applied: bool
    changes: list[CatalogChange]


class CatalogView(msgspec.Struct, frozen=True, kw_only=True):
    """A catalog version: by kind and code, the version of each part that is offered. ``hash`` tells texts apart."""

    code: str
    version: int
    currency: CurrencyCode
    offers: dict[str, dict[str, int]]
    hash: str
    applied_at: Instant


class CatalogDetail(CatalogView, frozen=True, kw_only=True):
    """A catalog version with its text as it was applied."""

    source: str


class CatalogList(msgspec.Struct, frozen=True, kw_only=True):
    """The newest version of each catalog of an issuer."""

    items: list[CatalogView]


class MigrationCreate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which subscriptions of a ``plan`` get a ``version`` of it (the one offered) from a local day on.

    Only those on ``from_version``, of ``account`` and below it, or begun before an instant, where that is said.
    """

    plan: Code
    first_day: dt.date
    version: Version | None = None
    from_version: Version | None = None
    account: AccountName | None = None
    started_before: Instant | None = None
    issuer: AccountName | None = None
    dry_run: bool = False


class MigrationView(msgspec.Struct, frozen=True, kw_only=True):
    """How many subscriptions moved (or would, with ``dry_run``) to a version of their plan."""

    plan: str
    version: int
    moved: int
    dry_run: bool


def list_catalogs(call: Call) -> CatalogList:
    """``GET /v1/catalog``."""
    with call.services.database.read() as connection:
        issuer = account_of_field(connection, call.principal, call.parameters.text("issuer"), "issuer")
        return CatalogList(items=[view(each) for each in catalogs.newest(connection, issuer)])


def get_catalog(call: Call) -> CatalogDetail:
    """``GET /v1/catalog/{catalog}``."""
    version = call.parameters.integer("version", None, low=1, high=2**31 - 1)
    with call.services.database.read() as connection:
        issuer = account_of_field(connection, call.principal, call.parameters.text("issuer"), "issuer")
        found = catalogs.get(connection, issuer, call.path_values["catalog"], version)
    return CatalogDetail(**msgspec.structs.asdict(view(found)), source=found.source)


def apply_catalog(connection: Connection, call: Call, body: CatalogApply) -> Made:
    """``POST /v1/catalog``."""
    issuer = account_of_field(connection, call.principal, body.issuer, "issuer")
    if body.dry_run:
        return Made(_changes(workflow.plan(connection, issuer, body.source, "source"), applied=False))
    now, actor = call.services.clock(), call.principal.actor
    planned = workflow.apply(connection, issuer, body.source, "source", now=now, actor=actor)
    if planned.is_new and call.services.usage_or_none is not None:
        call.services.usage_or_none.meters_changed()
    return Made(_changes(planned, applied=planned.is_new))


def migrate_catalog(connection: Connection, call: Call, body: MigrationCreate) -> Made:
    """``POST /v1/catalog/{catalog}/migrations``: what is asked for, checked and noted."""
    issuer, asked = _migration(connection, call, body)
    if not body.dry_run:
        workflow.ask_to_migrate(connection, issuer, asked, now=call.services.clock(), actor=call.principal.actor)
    return Made(MigrationView(plan=asked.to.code, version=asked.to.version, moved=0, dry_run=body.dry_run))


def follow_migration(call: Call, body: MigrationCreate, _answered: bytes) -> MigrationView:
    """Move them, some hundreds in a transaction; who moved already stays, so a call that was cut off may be repeated."""
    database, now = call.services.database, call.services.clock()
    with database.read() as connection:
        issuer, asked = _migration(connection, call, body)
    moved = workflow.migrate(database, issuer, asked, now=now, actor=call.principal.actor, dry_run=body.dry_run)
    return MigrationView(plan=asked.to.code, version=asked.to.version, moved=moved, dry_run=body.dry_run)


def _migration(connection: Connection, call: Call, body: MigrationCreate) -> tuple[Account, Migration]:
    issuer = account_of_field(connection, call.principal, body.issuer, "issuer")
    code = workflow.the_catalog(connection, issuer, call.path_values["catalog"])
    first = check_day(body.first_day, "first_day")
    assert first is not None
    return issuer, Migration(
        catalog=code,
        to=workflow.check_plan(connection, issuer, code, body.plan, body.version),
        first=first,
        from_version=body.from_version,
        within=None if body.account is None else account_of_field(connection, call.principal, body.account, "account"),
        started_before=read_instant(body.started_before, "started_before"),
    )


def view(found: Applied) -> CatalogView:
    """A catalog version as it is shown."""
    return CatalogView(
        code=found.code,
        version=found.version,
        currency=found.currency,
        offers=found.offers,
        hash=found.hash,
        applied_at=format_instant(found.applied_at),
    )


def _changes(planned: Planned, *, applied: bool) -> CatalogChanges:
    return CatalogChanges(
        code=planned.catalog.code,
        version=planned.version if planned.is_new else planned.version - 1,
        applied=applied,
        changes=[
            CatalogChange(
                kind=change.kind,
                code=change.code,
                change=change.what,
                old_version=change.old,
                new_version=change.new,
                subscriptions=touched,
            )
            for change, touched in zip(planned.comparison.changes, planned.touched, strict=True)
            if change.what != "kept"
        ],
    )


_EXAMPLE = """code: acme
currency: EUR
plans:
  - code: starter
    fees:
      - {code: base, name: Base fee, price: {model: flat, amount: 49.00}}
      - {code: seats, name: Seats, price: {model: per_unit, unit_amount: 9.00}}
"""

ISSUER = QueryParameter(
    name="issuer",
    description="Whose: a UUID, or an external id at or below the caller's account (the caller's account).",
    schema={"type": "string", "minLength": 1, "maxLength": 128},
)

OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/catalog",
        id="listCatalogs",
        tag="catalog",
        summary="List an issuer's catalogs",
        scope=Scope.BILLING_READ,
        query=(ISSUER,),
        answer=CatalogList,
        read=list_catalogs,
    ),
    Operation(
        method="POST",
        path="/v1/catalog",
        id="applyCatalog",
        tag="catalog",
        summary="Apply a catalog, or see what it would change",
        description="What differs becomes a new version; nothing that stands is edited, and who has an old version keeps it.",
        scope=Scope.BILLING_WRITE,
        body=CatalogApply,
        example={"source": _EXAMPLE},
        answer=CatalogChanges,
        write=apply_catalog,
    ),
    Operation(
        method="GET",
        path="/v1/catalog/{catalog}",
        id="getCatalog",
        tag="catalog",
        summary="Get a catalog with its text",
        scope=Scope.BILLING_READ,
        query=(
            ISSUER,
            QueryParameter(
                name="version",
                description="Another version than the newest.",
                schema={"type": "integer", "minimum": 1, "maximum": 2**31 - 1},
            ),
        ),
        answer=CatalogDetail,
        read=get_catalog,
    ),
    Operation(
        method="POST",
        path="/v1/catalog/{catalog}/migrations",
        id="migrateCatalog",
        tag="catalog",
        summary="Move subscriptions to a version of their plan",
        description="From a day on, in each subscription's zone. The same again moves nobody.",
        scope=Scope.BILLING_WRITE,
        body=MigrationCreate,
        example={"plan": "starter", "first_day": "2027-01-01", "from_version": 1},
        answer=MigrationView,
        write=migrate_catalog,
        follow=follow_migration,
    ),
)
