"""Several accounts' lines on one invoice to a parent, each line naming the account whose it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from billsmith.invoicing.totals import DraftLine


def consolidate(lines: Mapping[str, Sequence[DraftLine]]) -> list[DraftLine]:
    """The lines of several accounts, by account, in the order given: one invoice's worth, to be assembled under its terms.

    >>> from decimal import Decimal
    >>> seats = DraftLine(description="Seats", amount=Decimal(10))
    >>> [line.account for line in consolidate({"north": [seats], "south": [seats, seats]})]
    ['north', 'south', 'south']
    """
    return [msgspec.structs.replace(line, account=account) for account, each in lines.items() for line in each]


def by_account(lines: Sequence[DraftLine]) -> dict[str, list[DraftLine]]:
    """A consolidated invoice's lines, by account again."""
    groups: dict[str, list[DraftLine]] = {}
    for line in lines:
        groups.setdefault(line.account, []).append(line)
    return groups
