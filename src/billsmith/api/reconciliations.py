"""``GET /v1/connections/{connection}/reconciliation``: what a vendor says beside what our store says."""

from __future__ import annotations

import msgspec

from billsmith.accounts.authorisation import Scope
from billsmith.api.connections import of_path
from billsmith.api.operations import Operation
from billsmith.api.values import Id, Instant, instant_text
from billsmith.storage import sync
from billsmith.units.errors import Invalid
from billsmith.wire.face import Call
from billsmith.workflows.reconcile import reconcile_one

#: Records that one request looks at; beyond it the command line does it.
MAX_RECORDS = 50_000


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


def get_reconciliation(call: Call) -> ReconciliationView:
    """``GET /v1/connections/{connection}/reconciliation``."""
    with call.services.database.read() as connection:
        of = of_path(connection, call)
        if sync.count_records(connection, of) > MAX_RECORDS:
            raise Invalid(
                f"more than {MAX_RECORDS} records: `billsmith reconcile` looks at any number", code="sync.too_many_records"
            )
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
)
