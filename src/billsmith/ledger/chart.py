"""The accounts of the ledger, by name. Those of one customer or wallet end in its id."""

from __future__ import annotations

CASH = "cash"
REVENUE = "revenue"
DISCOUNTS = "discounts"
PROMOTIONS = "promotions"
"""Credit given away; an expense once it pays for something, undone where it expires."""
BREAKAGE = "breakage"
"""Paid credit that expired or was voided unused."""
WRITTEN_OFF = "written-off"


def receivable(customer: str) -> str:
    """What a customer owes."""
    return f"receivable:{customer}"


def credit_balance(customer: str) -> str:
    """What credit notes gave a customer and no invoice has used yet."""
    return f"credit:{customer}"


def wallet(grant: str) -> str:
    """What is left of a grant of prepaid or promotional credit."""
    return f"wallet:{grant}"


def tax(category: str, name: str) -> str:
    """What is owed to a tax office.

    >>> tax("standard", "VAT")
    'tax:standard:VAT'
    """
    return f"tax:{category}:{name}"
