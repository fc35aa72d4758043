"""Acronis's wire types: field names, their order and their types are the vendor's own (its tutorial and its OpenAPI file)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from billsmith.wire.json import RawDecimal, exact

#: How the vendor writes "no id".
NO_ID = "00000000-0000-0000-0000-000000000000"
#: How the vendor writes "no date": with an offset in some fields, without a zone in others.
NO_DATE_WITH_OFFSET = "0001-01-01T00:00:00+00:00"
NO_DATE_WITHOUT_ZONE = "0001-01-01T00:00:00"

#: Fields that our model lacks, with the vendor's value for "unset"; kept under these names when an import says otherwise.
EXTRA_FIELDS: dict[str, Any] = {
    "PaymentType": 3,
    "InvoicerDeleted": False,
    "InvoiceXml": None,
    "InvoiceQueueId": NO_ID,
    "InvoiceQueueStatus": 0,
    "InvoiceQueueLastUpdateTime": NO_DATE_WITHOUT_ZONE,
    "InvoiceQueueErrorCount": 0,
    "InvoiceQueueErrorMessage": None,
    "InvoiceQueueExternalInvoiceStatus": 0,
}


class InvoiceRow(msgspec.Struct, frozen=True, kw_only=True):
    """One invoice of the list, in the vendor's key order."""

    Id: str
    Tenant: str = NO_ID
    Customer: str
    CustomerName: str | None
    BillingEntityName: str | None
    CreationDate: str
    ScheduledAt: str
    SendByEmail: bool
    InvoiceNumber: str
    BatchNumber: str
    Exported: bool
    ExportedDate: str
    PaymentSent: bool
    PaymentStatus: bool
    InvoicedBy: str | None
    InvoicerDeleted: bool = False
    PaymentType: int = 3
    PaymentDate: str
    Incasso: bool
    Total: Decimal
    InvoiceXml: str | None = None
    InvoiceQueueId: str = NO_ID
    InvoiceQueueStatus: int = 0
    InvoiceQueueLastUpdateTime: str = NO_DATE_WITHOUT_ZONE
    InvoiceQueueErrorCount: int = 0
    InvoiceQueueErrorMessage: str | None = None
    InvoiceQueueExternalInvoiceStatus: int = 0
    IsConsolidateBillingStructure: bool
    PaymentMethod: str | None = None


class StatedInvoice(msgspec.Struct, frozen=True, kw_only=True):
    """One invoice as the vendor states it: what an answer may lack has the vendor's default. ``total`` is exact."""

    Id: str
    Customer: str = NO_ID
    CustomerName: str | None = None
    BillingEntityName: str | None = None
    CreationDate: str
    ScheduledAt: str = NO_DATE_WITHOUT_ZONE
    SendByEmail: bool = False
    InvoiceNumber: str
    BatchNumber: str = ""
    Exported: bool = False
    ExportedDate: str = NO_DATE_WITH_OFFSET
    PaymentSent: bool = False
    PaymentStatus: bool = False
    InvoicedBy: str | None = None
    InvoicerDeleted: bool = False
    PaymentType: int = 3
    PaymentDate: str = NO_DATE_WITHOUT_ZONE
    Incasso: bool = False
    Total: RawDecimal
    InvoiceXml: str | None = None
    InvoiceQueueId: str = NO_ID
    InvoiceQueueStatus: int = 0
    InvoiceQueueLastUpdateTime: str = NO_DATE_WITHOUT_ZONE
    InvoiceQueueErrorCount: int = 0
    InvoiceQueueErrorMessage: str | None = None
    InvoiceQueueExternalInvoiceStatus: int = 0
    IsConsolidateBillingStructure: bool = False
    PaymentMethod: str | None = None

    @property
    def total(self) -> Decimal:
        """What is asked for. Raises ``Invalid`` for a ``Total`` that is no decimal number."""
        return exact(self.Total, "Total")


class Paging(msgspec.Struct, frozen=True, kw_only=True):
    """How many rows there are: all of the tenant's, those that match, and their pages (0 when nothing is paged)."""

    AmountTotalItems: int
    AmountRecordsFound: int
    AmountOfPages: int


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """A run that made invoices, and how many of them match."""

    BatchNumber: str
    BatchLength: int


class InvoiceOverview(msgspec.Struct, frozen=True, kw_only=True):
    """The list's answer."""

    Invoices: list[InvoiceRow]
    Paging: Paging
    Batches: list[Batch]
