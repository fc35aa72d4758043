"""Whose list, and which of it."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import msgspec

from billsmith.invoicing.model import InvoiceKind
from billsmith.storage.invoices import ISSUED_BY

#: Every combination of what lists filter by.
ALL_FLAGS = range(64)
#: A set of combinations as one number, a bit for each: this is all of them.
EVERY_FLAG = (1 << 64) - 1


class InvoiceList(NamedTuple):
    """Whose list: ``role`` is ``ISSUED_BY`` or ``ISSUED_TO``, ``account_seq`` the store's number of the account."""

    role: int
    account_seq: int

    @property
    def owner(self) -> str:
        """The column that names the account."""
        return "issuer_seq" if self.role == ISSUED_BY else "recipient_seq"


class VendorField(msgspec.Struct, frozen=True, kw_only=True):
    """A vendor's own field of an invoice has this text; or the invoice lacks the field and is of one of these kinds."""

    vendor: str
    name: str
    text: str
    kinds: frozenset[InvoiceKind] = frozenset()


class Criteria(msgspec.Struct, frozen=True, kw_only=True):
    """Which of a list: all of these hold. ``flags`` are the combinations that pass (``None``: all)."""

    flags: frozenset[int] | None = None
    recipient_seq: int | None = None
    issuer_seq: int | None = None
    number: str | None = None
    """Equal without case."""
    number_part: str | None = None
    """Contained without case."""

    recipient_near_seq: int | None = None
    """The recipient is this account or a direct child of it."""
    not_issuer_seq: int | None = None
    vendor_field: VendorField | None = None

    @property
    def only_flags(self) -> bool:
        """Whether the flags alone say what passes."""
        return self.beyond_flags == EVERYTHING

    @property
    def beyond_flags(self) -> Criteria:
        """The same without the flags."""
        return msgspec.structs.replace(self, flags=None)


EVERYTHING = Criteria()


def flags_where(test: Callable[[int], bool]) -> frozenset[int]:
    """The combinations that pass a test."""
    return frozenset(flags for flags in ALL_FLAGS if test(flags))


@lru_cache(maxsize=1024)
def mask_of(flags: frozenset[int] | None) -> int:
    """A set of combinations as one number.

    >>> mask_of(frozenset({0, 2}))
    5
    """
    return EVERY_FLAG if flags is None else sum(1 << each for each in flags)
