"""Lists of invoices: whose, in which order, which of them, and from where to where. The one door to ``storage/lists``.

A list is what an account issued, or what was issued to it. Its order is total: the sort's key, then the tie-breakers of the
sort, the row number last; descending turns the key alone, so that ties keep their order. Membership never changes (an
invoice is never deleted), only flags do.
"""

from __future__ import annotations

from billsmith.storage.lists.counts import batch_lengths, count, state, version
from billsmith.storage.lists.criteria import ALL_FLAGS, EVERYTHING, Criteria, InvoiceList, VendorField, flags_where
from billsmith.storage.lists.order import Sort
from billsmith.storage.lists.pages import page
from billsmith.storage.lists.walk import walk

__all__ = [
    "ALL_FLAGS",
    "EVERYTHING",
    "Criteria",
    "InvoiceList",
    "Sort",
    "VendorField",
    "batch_lengths",
    "count",
    "flags_where",
    "page",
    "state",
    "version",
    "walk",
]
