"""``GET /v1/connections/{connection}/reconciliation``: what a vendor says beside what our store says; and ``…/usage``: beside
what our own meters counted and our own subscriptions charge."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from billsmith.accounts.authorisation import Scope, may_reach
from billsmith.accounts.model import Account
from billsmith.api.connections import of_path
from billsmith.api.operations import Operation, QueryParameter
from billsmith.api.values import Amount, Id, Instant, decimal_text, instant_text
from billsmith.invoicing.comparison import Finding
from billsmith.storage import accounts, sync
from billsmith.storage.database import Connection
from billsmith.storage.patience import may_take_long
from billsmith.storage.sync_connections import VendorConnection
from billsmith.units.errors import Invalid
from billsmith.units.exact import Exact
from billsmith.units.instants import local_date
from billsmith.units.rounding import parse_decimal
from billsmith.units.spans import NamedSpan, parse_span, span_before
from billsmith.units.wording import write_number
from billsmith.wire.face import Call
from billsmith.workflows.metered import compare_usage, measure_with
from billsmith.workflows.rated import Rated, compare_charges, with_usage
from billsmith.workflows.reconcile import reconcile_one

#: Records that one request looks at; beyond it the command line does it.
MAX_RECORDS = 50_000
#: Accounts that one request rates.
MAX_ACCOUNTS = 1_000


class JudgedView(msgspec.Struct, frozen=True, kw_only=True):
    """A record that does not simply match."""

    vendor_key: str
    state: str
    invoice_id: Id | None
    number: str
    detail: str


class ChangeView(msgspec.Struct, frozen=True, kw_only=True):
    """What the last walk found changed at the vendor: ``status``, ``amount``, ``customer``, ``disappeared`` or ``back``."""

    vendor_key: str
    what: str
    detail: str


class CustomerView(msgspec.Struct, frozen=True, kw_only=True):
    """A customer whom only the vendor named."""

    account: Id
    external_id: str
    name: str
    invoices: int
    total: str


class ReconciliationView(msgspec.Struct, frozen=True, kw_only=True):
    """``clean`` only where the vendor's list was seen as a whole, is not empty, and every record matches."""

    connection: str
    vendor: str
    verdict: str
    whole: bool
    reason: str
    whole_at: Instant | None
    matched: int
    differs: int
    missing: int
    not_audited: int
    came_by_file: int
    findings: list[JudgedView]
    changes: list[ChangeView]
    unmatched_customers: list[CustomerView]


class QuantityView(msgspec.Struct, frozen=True, kw_only=True):
    """A meter's quantity of an account: ``theirs`` as the vendor's lines state it, ``ours`` as counted (null: none)."""

    account_id: Id
    account: str
    meter: str
    state: str
    theirs: str | None
    ours: str | None
    difference: str


class ChargeView(msgspec.Struct, frozen=True, kw_only=True):
    """An account's total in a currency: ``theirs`` as the vendor charged it, ``ours`` as subscriptions charge it by what is
    known now, ``issued`` as it was asked for here (null: none)."""

    account_id: Id
    account: str
    currency: str
    state: str
    theirs: Amount | None
    ours: Amount | None
    difference: Amount
    issued: Amount | None
    reason: str


class UsageReconciliationView(msgspec.Struct, frozen=True, kw_only=True):
    """``verdict`` is of the totals, and of the quantities where the vendor states any."""

    connection: str
    period: str
    verdict: str
    whole: bool
    reason: str
    quantities: list[QuantityView]
    charges: list[ChargeView]


def get_reconciliation(call: Call) -> ReconciliationView:
    """``GET /v1/connections/{connection}/reconciliation``."""
    may_take_long()
    with call.services.database.read() as connection:
        of = _of_path(connection, call)
        result = reconcile_one(connection, of)
    return ReconciliationView(
        connection=result.connection,
        vendor=result.vendor,
        verdict=result.verdict.value,
        whole=result.coverage.whole,
        reason=result.coverage.reason,
        whole_at=instant_text(result.watermark_at),
        came_by_file=result.beside,
        findings=msgspec.convert(result.told, list[JudgedView], from_attributes=True),
        changes=msgspec.convert(result.changes, list[ChangeView], from_attributes=True),
        unmatched_customers=msgspec.convert(result.unmatched, list[CustomerView], from_attributes=True),
        **{state.value: count for state, count in result.counts.items()},
    )


def get_usage_reconciliation(call: Call) -> UsageReconciliationView:
    """``GET /v1/connections/{connection}/reconciliation/usage``."""
    may_take_long()
    database = call.services.database
    tolerance, threshold = (_least(call, name) for name in ("tolerance", "threshold"))
    with database.read() as connection:
        of = _of_path(connection, call)
        account = accounts.by_seq(connection, of.account_seq)
        if accounts.count_below(connection, account) > MAX_ACCOUNTS:
            raise Invalid(
                f"more than {MAX_ACCOUNTS} accounts: `billsmith reconcile` looks at any number", code="sync.too_many_accounts"
            )
        span = _span(call, account)
    store = call.services.current_usage
    with database.read() as connection:
        metered = compare_usage(connection, [of], span.period(account.time_zone), measure_with(lambda: store), tolerance)
    rated = compare_charges(
        database,
        store,
        [of],
        span,
        zone=account.time_zone,
        at=call.services.clock(),
        threshold=threshold,
        may_ask=lambda issuer: may_reach(call.principal, issuer),
    )
    return UsageReconciliationView(
        connection=of.name,
        period=span.name,
        verdict=with_usage(metered, rated).value,
        whole=rated.coverage.whole,
        reason=rated.coverage.reason,
        quantities=[_quantity(name, finding) for name, finding in metered.rows()],
        charges=[_charge(each) for each in rated.rows],
    )


def _of_path(connection: Connection, call: Call) -> VendorConnection:
    of = of_path(connection, call)
    if sync.count_records(connection, of) > MAX_RECORDS:
        raise Invalid(
            f"more than {MAX_RECORDS} records: `billsmith reconcile` looks at any number", code="sync.too_many_records"
        )
    return of


def _span(call: Call, account: Account) -> NamedSpan:
    """The span asked for; the month before this one unless another is named."""
    text = call.parameters.text("period")
    if text is not None:
        return parse_span(text)
    today = local_date(call.services.clock(), account.time_zone)
    return span_before(parse_span(f"{today.year}-{today.month:02d}"))


def _least(call: Call, name: str) -> Decimal:
    value = parse_decimal(call.parameters.text(name) or "0", where=name)
    if value < 0:
        raise Invalid(f"a {name} is zero or more", code="reconcile.tolerance", where=name)
    return value


def _quantity(account: str, finding: Finding) -> QuantityView:
    id, meter = finding.key
    return QuantityView(
        account_id=id,
        account=account,
        meter=meter,
        state=finding.state.value,
        theirs=None if finding.theirs is None else write_number(finding.theirs),
        ours=None if finding.ours is None else write_number(finding.ours),
        difference=write_number(finding.difference),
    )


def _charge(each: Rated) -> ChargeView:
    found = each.finding
    return ChargeView(
        account_id=found.key[0],
        account=each.account,
        currency=each.currency,
        state=found.state.value,
        theirs=_money(found.theirs),
        ours=_money(found.ours),
        difference=_money(found.difference) or "0",
        issued=_money(each.issued),
        reason=each.reason,
    )


def _money(value: Exact | None) -> str | None:
    assert value is None or isinstance(value, Decimal)  # sums of minor units
    return decimal_text(value)


_AMOUNT = {"type": "string", "maxLength": 40, "default": "0"}

OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/connections/{connection}/reconciliation",
        id="getReconciliation",
        tag="connections",
        summary="Hold a connection's records against our invoices",
        description=f"Made anew at each request, for up to {MAX_RECORDS:,} records (beyond it 400). A list that is empty, or "
        "was seen in part, is never clean.",
        scope=Scope.SYNC_READ,
        answer=ReconciliationView,
        read=get_reconciliation,
    ),
    Operation(
        method="GET",
        path="/v1/connections/{connection}/reconciliation/usage",
        id="getUsageReconciliation",
        tag="connections",
        summary="Hold a vendor's quantities and totals against our own metering and prices",
        description="Quantities on pulled lines beside what meters of the same codes counted, and totals beside what the "
        f"subscriptions of up to {MAX_ACCOUNTS:,} accounts charge, made anew at each request; nothing is written.",
        scope=Scope.SYNC_READ,
        query=(
            QueryParameter(
                name="period",
                description="Such as 2026-07, 2026-Q3 or 2026 (the last month).",
                schema={"type": "string", "pattern": "^[0-9]{4}(-Q[1-4]|-[0-9]{2}(-[0-9]{2})?)?$"},
            ),
            QueryParameter(name="tolerance", description="Quantities that lie at most so far apart agree.", schema=_AMOUNT),
            QueryParameter(name="threshold", description="Amounts that lie at most so far apart agree.", schema=_AMOUNT),
        ),
        answer=UsageReconciliationView,
        read=get_usage_reconciliation,
    ),
)
