"""What a pull asks of a vendor's client: the whole list, piece by piece, each with a mark from which one can go on."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from typing import Protocol

import msgspec

from billsmith.workflows.import_invoices import Imported, Plan, RowError


class Piece(msgspec.Struct, frozen=True, kw_only=True):
    """Some records of the list, as ours; ``where`` names the piece (``page 3``).

    ``mark`` is where a later run goes on after this piece; ``None``: such a run begins anew. ``stated_total`` is how many
    records the vendor says there are in all, where it says so.
    """

    rows: Sequence[Imported | RowError]
    where: str
    mark: str | None = None
    stated_total: int | None = None


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """The last thing of a walk that did not see all of the list, and why; a walk that did simply ends."""

    code: str
    reason: str


class Source(Protocol):
    """A vendor's list."""

    def walk(self, *, mark: str | None, since: dt.date | None) -> Iterator[Piece | Ending]:
        """The list from its beginning, or from after the piece whose mark is given. ``since`` leaves out what is dated before.

        Raises :class:`BillsmithError` where the vendor can't be asked any further; what came before it counts.
        """
        ...


class Opened(msgspec.Struct, frozen=True, kw_only=True):
    """A list that is ready to be walked, and as whose invoices its records come in."""

    source: Source
    plan: Plan
