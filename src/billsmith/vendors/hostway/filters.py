"""What ``filterStatus`` and ``filterType`` mean: the vendor's page mixes the words of both, so each takes either (AND-ed)."""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

from billsmith.invoicing.model import InvoiceKind, InvoiceStatus
from billsmith.units.errors import Invalid
from billsmith.wire.parameters import Parameters, shown

#: Our statuses in the vendor's words. Of those only ``invoice_paid`` is published; a draft is open, a write-off is void.
STATUS_WORDS: dict[InvoiceStatus, str] = {
    InvoiceStatus.DRAFT: "invoice_open",
    InvoiceStatus.GRACE: "invoice_open",
    InvoiceStatus.ISSUED: "invoice_open",
    InvoiceStatus.PARTIALLY_PAID: "invoice_partially_paid",
    InvoiceStatus.PAID: "invoice_paid",
    InvoiceStatus.PAST_DUE: "invoice_past_due",
    InvoiceStatus.VOID: "invoice_void",
    InvoiceStatus.WRITTEN_OFF: "invoice_void",
}

#: The vendor's transaction types.
TYPES = frozenset(
    {
        "charge",
        "charge_back",
        "payment",
        "fee",
        "refund",
        "credit",
        "cc_chargeback",
        "charge_adjustment",
        "discount",
        "credit_adjustment",
        "credit_proration",
        "charge_proration",
        "payment_adjustment",
        "tax",
        "cc_chargeback_reversal",
        "usage_charge",
        "write_off",
        "undo_write_off",
        "usage_discount",
    }
)

#: The type of an invoice that says none of its own.
TYPE_OF_KIND: dict[InvoiceKind, str] = {
    InvoiceKind.INVOICE: "charge",
    InvoiceKind.DEBIT_NOTE: "charge_adjustment",
    InvoiceKind.CREDIT_NOTE: "credit",
}

_EVERY_STATUS = frozenset(InvoiceStatus)
# The vendor's list of statuses is not published: a word of this form may be one, and matches nothing.
_STATUS_FORM = re.compile(r"invoice_[a-z_]+", re.ASCII)


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """Which invoices pass: of one of these statuses and, where ``types`` is not ``None``, of each of these types.

    An invoice has one type, so two different ones let nothing pass.
    """

    statuses: frozenset[InvoiceStatus] = _EVERY_STATUS
    types: frozenset[str] | None = None

    @property
    def passes_nothing(self) -> bool:
        """Whether no invoice can pass."""
        return not self.statuses or (self.types is not None and len(self.types) > 1)

    @property
    def passes_every_status(self) -> bool:
        """Whether the status doesn't matter."""
        return self.statuses == _EVERY_STATUS


def read_filter(parameters: Parameters) -> Filter:
    """Both filters of a request. Raises :class:`Invalid` for a word that is neither a status nor a type."""
    return combine(_word(name, text) for name in ("filterStatus", "filterType") if (text := parameters.text(name)) is not None)


def combine(filters: Iterable[Filter]) -> Filter:
    """A filter that passes what each of these passes."""
    statuses, types = _EVERY_STATUS, frozenset[str]()
    for each in filters:
        statuses &= each.statuses
        types |= each.types or frozenset()
    return Filter(statuses=statuses, types=types or None)


def _word(name: str, text: str) -> Filter:
    if text in TYPES:
        return Filter(types=frozenset({text}))
    if _STATUS_FORM.fullmatch(text):
        return Filter(statuses=frozenset(status for status, word in STATUS_WORDS.items() if word == text))
    raise Invalid(
        f"{name} is a status such as invoice_paid or a type such as charge, not {shown(text)}",
        code="hostway.filter",
        where=name,
    )
