"""The chain over issued documents (P6): the digest of each covers what never changes of it and the digest before it.

A chain is that of one issuer and series, in the order of the numbers. Its form is published in docs/lifecycle.md, so that
anybody can compute it again from a backup; it never changes for documents that are sealed.
"""

from __future__ import annotations

from hashlib import sha256

import msgspec

from billsmith.invoicing.model import Invoice

#: What stands before the first document of a series.
BEGINNING = bytes(32)

_FORM = "billsmith document 1"


def content_digest(encoded: bytes) -> bytes:
    """The SHA-256 of a document's lines, taxes and parties as they are kept, before compression."""
    return sha256(encoded).digest()


def seal(invoice: Invoice, content: bytes, before: bytes) -> bytes:
    """The digest of a document: SHA-256 of a JSON array without spaces, in UTF-8. ``content`` is :func:`content_digest`.

    What may still happen to it (payments, status, delivery) is no part of it.
    """
    return sha256(
        msgspec.json.encode(
            (
                _FORM,
                before.hex(),
                invoice.id,
                invoice.issuer_id,
                invoice.recipient_id,
                invoice.kind.value,
                invoice.number,
                invoice.currency,
                invoice.total_minor,
                invoice.tax_minor,
                invoice.customer_name,
                invoice.billing_entity,
                invoice.date.isoformat(),
                None if invoice.due_date is None else invoice.due_date.isoformat(),
                invoice.period.start,
                invoice.period.end,
                invoice.created_at,
                invoice.issued_at,
                invoice.batch,
                content.hex(),
            )
        )
    ).digest()
