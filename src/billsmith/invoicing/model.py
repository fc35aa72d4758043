"""What is asked for: the invoice and its parts, as frozen values.

Amounts owed are whole minor units of the invoice's currency (``…_minor``); quantities and rates are exact decimals; instants
are nanoseconds UTC; periods are half-open. A credit note's amounts are negative.
"""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from enum import IntEnum, StrEnum

import msgspec

from billsmith.units.periods import Period as Period


class InvoiceKind(StrEnum):
    """What a document is."""

    INVOICE = "invoice"
    CREDIT_NOTE = "credit_note"
    DEBIT_NOTE = "debit_note"


class InvoiceStatus(IntEnum):
    """Where a document stands in its life. The numbers are stored and never change."""

    DRAFT = 0
    GRACE = 1
    ISSUED = 2
    PARTIALLY_PAID = 3
    PAID = 4
    PAST_DUE = 5
    VOID = 6
    WRITTEN_OFF = 7

    @property
    def word(self) -> str:
        """The status as the native API spells it, e.g. ``partially_paid``."""
        return self.name.lower()


#: Statuses in which money is still asked for.
OPEN_STATUSES = frozenset({InvoiceStatus.ISSUED, InvoiceStatus.PARTIALLY_PAID, InvoiceStatus.PAST_DUE})


class LineKind(StrEnum):
    """What a line asks money for."""

    USAGE = "usage"
    FEE = "fee"
    DISCOUNT = "discount"
    COUPON = "coupon"
    MINIMUM = "minimum"
    TRUE_UP = "true_up"
    CREDIT = "credit"
    ADJUSTMENT = "adjustment"
    STATED = "stated"
    """The whole of a vendor's total, which came without lines."""
    UNEXPLAINED = "unexplained"
    """What a vendor's total says beyond its lines."""


class RoundingPlace(StrEnum):
    """Where an invoice rounds (design rule 1)."""

    LINE = "line"
    """Each line is rounded, the total is their sum."""
    INVOICE = "invoice"
    """The exact total is rounded, the lines share it by largest remainder."""


class Address(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A postal address. ``country`` is an ISO 3166 code of two letters."""

    line1: str = ""
    line2: str = ""
    city: str = ""
    region: str = ""
    postal_code: str = ""
    country: str = ""


class Party(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Issuer or recipient as they were when the document was issued."""

    name: str
    address: Address = Address()
    tax_ids: tuple[str, ...] = ()
    email: str = ""
    language: str = ""


class Line(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One position of an invoice.

    ``amount_minor`` is what counts; ``exact_amount`` is the amount before rounding, where it differs or came with more
    digits; ``trace`` are the sentences that explain it (design rule 6); ``corrects`` names the line of an earlier document
    (``number#index``) that a note's line corrects.
    """

    description: str
    amount_minor: int
    kind: LineKind = LineKind.FEE
    exact_amount: Decimal | None = None
    quantity: Decimal | None = None
    unit: str = ""
    unit_price: Decimal | None = None
    period: Period | None = None
    tax_category: str = ""
    meter: str = ""
    plan: str = ""
    subscription: str = ""
    component: str = ""
    dimensions: dict[str, str] = {}
    trace: tuple[str, ...] = ()
    corrects: str = ""
    account: str = ""
    """The account below the recipient whose line this is, on a consolidated invoice."""


class Tax(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One tax of an invoice, computed on its category's sum. ``rate`` is in percent."""

    category: str
    name: str
    rate: Decimal
    base_minor: int
    amount_minor: int
    included: bool = False
    """Whether the lines' amounts contain it already."""
    note: str = ""
    """Why nothing is charged, where an exemption or reverse charge says so."""


class SettlementKind(StrEnum):
    """What paid for a part of an invoice when it was made."""

    CREDIT_NOTE = "credit_note"
    WALLET = "wallet"


class Settlement(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A part of the total that was settled when the invoice was made. ``reference`` is the credit note or the grant."""

    kind: SettlementKind
    reference: str
    amount_minor: int


class ExchangeRate(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One unit of ``base`` was worth ``rate`` of ``quote`` from ``date`` on, as ``source`` published it."""

    base: str
    quote: str
    rate: Decimal
    date: dt.date
    source: str = ""


class Content(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What is kept of an invoice beside its list row: parties, lines, taxes. The stored document, with named keys."""

    issuer: Party
    recipient: Party
    lines: tuple[Line, ...]
    taxes: tuple[Tax, ...] = ()
    rounding_place: RoundingPlace = RoundingPlace.LINE
    settlements: tuple[Settlement, ...] = ()
    exchange_rates: tuple[ExchangeRate, ...] = ()
    notes: str = ""


class Invoice(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A document that asks for money (or gives some back).

    ``total_minor`` = lines + taxes that are not included; ``due_minor`` = total less paid, zero once void or written off.
    ``stated_total`` is the total in the words of another issuer's system, kept exactly and shown instead of ours.
    ``extras`` holds single fields of a vendor that the model lacks, by vendor and the vendor's name for them.
    """

    id: str
    issuer_id: str
    recipient_id: str
    kind: InvoiceKind = InvoiceKind.INVOICE
    number: str
    status: InvoiceStatus
    currency: str
    total_minor: int
    tax_minor: int = 0
    paid_minor: int = 0
    stated_total: Decimal | None = None
    customer_name: str
    billing_entity: str = ""
    date: dt.date
    due_date: dt.date | None = None
    period: Period
    created_at: int
    issued_at: int | None = None
    paid_at: int | None = None
    voided_at: int | None = None
    scheduled_at: int | None = None
    exported_at: int | None = None
    send_by_email: bool = False
    payment_sent: bool = False
    direct_debit: bool = False
    consolidated: bool = False
    batch: str = ""
    invoiced_by: str = ""
    payment_method: str = ""
    extras: dict[str, dict[str, msgspec.Raw]] = {}
    content: Content | None = None
    """``None`` where only the list row was read."""

    @property
    def due_minor(self) -> int:
        """What is still to be paid, in minor units."""
        settled = self.status in (InvoiceStatus.VOID, InvoiceStatus.WRITTEN_OFF)
        return 0 if settled else self.total_minor - self.paid_minor

    @property
    def credit_minor(self) -> int:
        """What it gives for other invoices: what is left of a credit note, or was paid beyond the total."""
        return max(-self.due_minor, 0)


class Payment(msgspec.Struct, frozen=True, kw_only=True):
    """Money received for an invoice; negative for a refund. ``reference`` is unique within the invoice."""

    id: str
    amount_minor: int
    paid_at: int
    reference: str
    method: str = ""
    recorded_at: int = 0
    recorded_by: str = ""


class HistoryEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened to an invoice, and who did it."""

    at: int
    what: str
    actor: str = ""
    detail: str = ""
