"""Is the chain over issued documents whole, from the first of each series to its head? (P6)"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import zstandard
from sqlalchemy import Connection, select

from billsmith.documents.packed import unpacked
from billsmith.invoicing.chain import BEGINNING, content_digest, seal
from billsmith.storage import invoices, schema
from billsmith.storage.database import Database
from billsmith.storage.schema_chain import document_seal, missing_triggers

#: Told: where, and what is wrong.
Tell = Callable[[str, str], None]

_STEP = 500


class Head(NamedTuple):
    """Where a chain ends. Whoever keeps it elsewhere sees it when documents behind it are exchanged or cut off."""

    issuer: str
    series: str
    documents: int
    digest: str


def check_chain(database: Database, tell: Tell) -> list[Head]:
    """Compute every chain anew and tell of each link that doesn't hold, the first one first. Gives where the chains end."""
    series = schema.number_series
    with database.read() as connection:
        for name in missing_triggers(connection):
            tell(f"trigger {name}", "it is gone, so the database no longer refuses to change what was issued")
        query = select(series.c.issuer_seq, series.c.series, schema.account.c.id).join_from(
            series, schema.account, series.c.issuer_seq == schema.account.c.seq
        )
        which = connection.execute(query.order_by(series.c.issuer_seq, series.c.series)).all()
    return [_check(database, *row, tell) for row in which]


class _Link(NamedTuple):
    place: int
    digest: bytes
    found: invoices.Stored
    body: bytes | None


def _check(database: Database, issuer_seq: int, series: str, issuer: str, tell: Tell) -> Head:
    last, head = _end(database, issuer_seq, series)
    before, place, dated = BEGINNING, 0, None
    for link in _links(database, issuer_seq, series, last):
        invoice = link.found.invoice
        where = f"account {issuer}, {invoice.number}"
        if link.place != place + 1:
            tell(where, f"the link of number {place + 1} is missing before it")
        if invoice.number != f"{series}-{link.place:06d}" or link.found.issuer_seq != issuer_seq:
            tell(where, f"number {link.place} of series {series} is sealed onto it")
        elif _digest(link, before) != link.digest:
            tell(where, "it is not what was issued, or what stands before it is not: its digest is another")
        if dated is not None and invoice.date < dated:
            tell(where, f"it is dated {invoice.date}, its predecessor {dated}")
        before, place, dated = link.digest, link.place, invoice.date
    if (place, before) != (last, head):
        tell(f"account {issuer}, series {series}", f"its chain ends at number {place}, its last number is {last}")
    return Head(issuer, series, place, before.hex())


def _end(database: Database, issuer_seq: int, series: str) -> tuple[int, bytes]:
    """How far a chain goes now; what is issued while it is checked is left for the next time."""
    table = schema.number_series
    with database.read() as connection:
        query = select(table.c.last, table.c.head).where(table.c.issuer_seq == issuer_seq, table.c.series == series)
        last, head = connection.execute(query).one()
    return last, bytes(head)


def _links(database: Database, issuer_seq: int, series: str, last: int) -> Iterator[_Link]:
    """The sealed documents of a series in order, in short reads."""
    place = 0
    while place < last:
        with database.read() as connection:
            links = _page(connection, issuer_seq, series, place, last)
        yield from links
        if not links:
            return
        place = links[-1].place


def _page(connection: Connection, issuer_seq: int, series: str, after: int, last: int) -> list[_Link]:
    seals, documents = document_seal, schema.invoice_document
    query = (
        invoices.columns(seals.c.place, seals.c.digest, documents.c.body)
        .join(seals, seals.c.invoice_seq == schema.invoice.c.seq)
        .join(documents, documents.c.invoice_seq == schema.invoice.c.seq, isouter=True)
        .where(seals.c.issuer_seq == issuer_seq, seals.c.series == series, seals.c.place > after, seals.c.place <= last)
        .order_by(seals.c.place)
        .limit(_STEP)
    )
    return [_Link(row.place, bytes(row.digest), invoices.stored(row), row.body) for row in connection.execute(query)]


def _digest(link: _Link, before: bytes) -> bytes | None:
    """What a link's digest must be; nothing where its document can't be read."""
    try:
        content: Any = None if link.body is None else unpacked(bytes(link.body))
    except zstandard.ZstdError:
        return None
    return None if content is None else seal(link.found.invoice, content_digest(content), before)
