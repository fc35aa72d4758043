"""What an account bills and is billed: the invoices that it issued to itself and to its direct children, and those that others
issued to it, read as one list by period.

It is two lists without a common row: *issued* (the account is the issuer; the recipient is it or its child) and *received* (the
account is the recipient; the issuer stands above it). Both are had in the same order, so a page of the whole is found by
bisecting for how many rows each gives to what comes before it (decision 0031).
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice

from sqlalchemy import Connection

from billsmith.accounts.model import Account
from billsmith.storage import accounts, invoice_lists
from billsmith.storage.database import Database
from billsmith.storage.invoice_lists import EVERYTHING, Criteria, InvoiceList, Sort
from billsmith.storage.invoices import ISSUED_BY, ISSUED_TO, Stored, number_key

#: Rows of one piece of a walk.
STEP = 100
#: Rows that are sooner read and skipped than bisected.
NEAR = 32


#: A list, and which of it.
Source = tuple[InvoiceList, Criteria]
#: The one or two lists that make up an account's billing list.
BillingList = tuple[Source, ...]


def billing_list(connection: Connection, account: Account) -> BillingList:
    """The billing list of an account.

    Conditions are left out where the tree answers them, so that the tallies can count: nobody stands above a root, and
    below an account without grandchildren there are only its children.
    """
    issued = InvoiceList(ISSUED_BY, account.seq)
    received = InvoiceList(ISSUED_TO, account.seq)
    near = Criteria(recipient_near_seq=account.seq) if accounts.has_grandchildren(connection, account) else EVERYTHING
    sources: list[Source] = [(issued, near)]
    if account.parent_id is not None and invoice_lists.count(connection, received):
        issues = invoice_lists.count(connection, issued)
        sources.append((received, Criteria(not_issuer_seq=account.seq) if issues else EVERYTHING))
    return tuple(sources)


def lengths(connection: Connection, billing: BillingList) -> list[int]:
    """How many invoices each of the lists has; their sum is the length of the whole."""
    return [invoice_lists.count(connection, of, criteria) for of, criteria in billing]


def page(connection: Connection, billing: BillingList, *, offset: int = 0, limit: int) -> list[Stored]:
    """``limit`` invoices from the ``offset``-th on, by the start of their period, their number, their arrival."""
    if len(billing) == 1:
        return _part(connection, billing[0], offset, limit)
    sizes = lengths(connection, billing) if offset else [0, 0]
    if offset > sum(sizes):
        return []
    first, second = billing
    low, high = _share(connection, billing, sizes, offset)
    # What is still open of the first list's share is read from both, and skipped.
    still_open = high - low
    merged = heapq.merge(
        _part(connection, first, low, still_open + limit),
        _part(connection, second, offset - high, still_open + limit),
        key=_key,
    )
    return list(islice(merged, still_open, still_open + limit))


def walk(database: Database, billing: BillingList, limits: Sequence[int]) -> Iterator[list[Stored]]:
    """The first ``limits`` rows of each list in one order, in pieces, each read in a short transaction of its own.

    With the :func:`lengths` that a caller has announced as limits, exactly as many rows come as it said, whatever is added
    in the meantime.
    """
    walks = [
        invoice_lists.walk(database, of, sort=Sort.PERIOD, criteria=criteria, limit=limit, step=STEP)
        for (of, criteria), limit in zip(billing, limits, strict=True)
        if limit
    ]
    if len(walks) == 1:
        yield from walks[0]
        return
    rows: Iterable[Stored] = heapq.merge(*(chain.from_iterable(pieces) for pieces in walks), key=_key)
    while piece := list(islice(rows, STEP)):
        yield piece


def _key(row: Stored) -> tuple[int, str, int]:
    """What the lists are ordered by (``Sort.PERIOD``), for merging them."""
    return row.invoice.period.start, number_key(row.invoice.number), row.seq


def _part(connection: Connection, source: Source, offset: int, limit: int) -> list[Stored]:
    of, criteria = source
    return invoice_lists.page(connection, of, sort=Sort.PERIOD, criteria=criteria, offset=offset, limit=limit)


def _share(connection: Connection, billing: BillingList, sizes: Sequence[int], offset: int) -> tuple[int, int]:
    """How many of the ``offset`` rows before a page are the first list's: at least, and at most; ``NEAR`` apart or less."""
    first, second = billing
    low, high = max(0, offset - sizes[1]), min(offset, sizes[0])
    while high - low > NEAR:
        middle = (low + high) // 2
        [ahead] = _part(connection, first, middle, 1)
        [before] = _part(connection, second, offset - middle - 1, 1)
        if _key(ahead) < _key(before):
            low = middle + 1
        else:
            high = middle
    return low, high
