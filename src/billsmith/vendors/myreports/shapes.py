"""myreports.cloud's wire types: field names, their order and their spelling (``invoiceid``) are the vendor's own."""

from __future__ import annotations

from decimal import Decimal

import msgspec


class BillingRow(msgspec.Struct, frozen=True, kw_only=True):
    """One invoice of the list, in the vendor's key order."""

    tenantId: str
    invoiceid: str
    invoiceNumber: str
    customerName: str
    billingPeriodStart: str
    billingPeriodEnd: str
    invoiceValue: Decimal


class BillingData(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The list's answer. ``page_size`` is the number of rows in it; ``page_index`` stands only where a page was asked for."""

    page_size: int
    page_index: int | None = None
    data: list[BillingRow]
    status: str
    timestamp: str


class OneInvoice(msgspec.Struct, frozen=True, kw_only=True):
    """The answer with a single invoice."""

    data: BillingRow
    status: str
    timestamp: str


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """An error."""

    error: int
    message: str
    status: str
    timestamp: str
