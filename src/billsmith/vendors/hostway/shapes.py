"""Hostway's wire types: field names and their types are the vendor's own (its pages on invoices, transactions and accounts)."""

from __future__ import annotations

from decimal import Decimal

import msgspec


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """Where something is, and what it is to this answer."""

    href: str
    rel: str


class InvoiceRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One invoice: the eight fields of the vendor's invoices, then the six that its example shows besides.

    Amounts are texts with four decimals or numbers, all of them one or the other (the setting ``hostway_amounts``).
    """

    status: str
    currency: str
    amount: Decimal | str
    amountDue: Decimal | str
    description: str
    date: str
    statusName: str
    invoiceNumber: str
    startDate: str
    endDate: str
    productSpecification: str
    serviceNumber: str
    type: str
    number: int
    links: tuple[Link, ...] = ()
    """Only where one invoice was asked for."""


class ListedInvoice(msgspec.Struct, frozen=True, kw_only=True):
    """A record as the vendor's lists may have it: an invoice's fields, a transaction's, or both."""

    status: str | None = None
    currency: str | None = None
    amount: Decimal
    amountDue: Decimal | None = None
    description: str | None = None
    date: str
    statusName: str | None = None
    invoiceNumber: str | None = None
    startDate: str | None = None
    endDate: str | None = None
    productSpecification: str | None = None
    serviceNumber: str | None = None
    type: str | None = None
    number: int | None = None
    links: tuple[Link, ...] = ()


class ListedAccount(msgspec.Struct, frozen=True, kw_only=True):
    """An account as the vendor's list may have it."""

    accountNumber: str = ""
    id: str = ""
    currency: str | None = None
    status: str | None = None


class AccountRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One account. ``accountNumber`` is its external id, ``id`` its UUID; both name it in a path."""

    accountNumber: str
    id: str
    createdDate: str
    currency: str
    status: str
    links: tuple[Link, ...]


class InvoiceList(msgspec.Struct, frozen=True, kw_only=True):
    """The list of invoices, or a page of it."""

    records: list[InvoiceRecord] = msgspec.field(name="list")
    links: tuple[Link, ...]


class AccountList(msgspec.Struct, frozen=True, kw_only=True):
    """The list of accounts, or a page of it."""

    records: list[AccountRecord] = msgspec.field(name="list")
    links: tuple[Link, ...]
