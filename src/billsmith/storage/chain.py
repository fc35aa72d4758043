"""The chain over issued documents in the database, lengthened where they are numbered."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

from sqlalchemy import Connection

from billsmith.invoicing.chain import seal
from billsmith.invoicing.model import Invoice
from billsmith.storage.direct import Direct
from billsmith.storage.schema_chain import document_seal as table


class Sealed(NamedTuple):
    """A document to seal: its series, the store's numbers of it and its issuer, itself, and the digest of its content."""

    series: str
    seq: int
    issuer_seq: int
    invoice: Invoice
    content: bytes

    @property
    def place(self) -> int:
        """Its number within the series."""
        return int(self.invoice.number[len(self.series) + 1 :])


def extend(connection: Connection, documents: Sequence[Sealed]) -> None:
    """Seal documents that were numbered in this transaction, all that were numbered in each of their series."""
    direct, rows = Direct(connection), []
    for (issuer_seq, series), group in groupby(sorted(documents, key=_order), key=lambda each: (each.issuer_seq, each.series)):
        key = (issuer_seq, series)
        [(last, head)] = direct.rows("SELECT last, head FROM number_series WHERE issuer_seq = ? AND series = ?", key)
        members = list(group)
        assert members[-1].place == last
        assert members[0].place == last - len(members) + 1
        for each in members:
            head = seal(each.invoice, each.content, bytes(head))
            rows.append((issuer_seq, series, each.place, each.seq, head))
        direct.many("UPDATE number_series SET head = ? WHERE issuer_seq = ? AND series = ?", [(head, *key)])
    direct.add(table, rows)


def _order(each: Sealed) -> tuple[int, str, int]:
    return each.issuer_seq, each.series, each.place
