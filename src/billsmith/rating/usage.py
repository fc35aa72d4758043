"""What a price is applied to: a total, or the quantities that make it up."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from fractions import Fraction

import msgspec

from billsmith.metering.quantity import Quantity
from billsmith.units.exact import Exact, add, exact, total
from billsmith.units.rounding import ZERO

#: What a caller hands in: one number, or quantities by group, window or event.
Given = Exact | int | Quantity | Iterable[Quantity]


#: What is read as one number. Floats and texts that got past the type checker are among them, for ``exact`` to refuse.
_NUMBERS = (Decimal, Fraction, int, float, str)


class Usage(msgspec.Struct, frozen=True, gc=False):
    """A total ``value``; ``full`` is the total before proration; ``items`` are the parts, where there are any."""

    value: Exact
    full: Exact
    items: tuple[Quantity, ...] = ()


NO_USAGE = Usage(ZERO, ZERO)


def usage_of(given: Given) -> Usage:
    """The usage of a number or of quantities. Raises :class:`InvalidNumber` for a float.

    >>> usage_of([Quantity(Decimal(2)), Quantity(Decimal(3))]).value
    Decimal('5')
    """
    if type(given) is tuple and len(given) == 1:  # as a meter without groups and windows gives it
        given = given[0]
    if type(given) is Quantity:
        value = exact(given.value)
        return Usage(value, value if given.full is None else exact(given.full), (given,))
    if type(given) is Decimal or isinstance(given, _NUMBERS):
        value = exact(given)
        return Usage(value, value)
    items: tuple[Quantity, ...] = tuple(given)  # type: ignore[arg-type] # one Quantity has gone its way above
    value = total([exact(item.value) for item in items])
    if all(item.full is None for item in items):
        return Usage(value, value, items)
    return Usage(value, total(item.value if item.full is None else exact(item.full) for item in items), items)


def together(earlier: Usage, later: Usage) -> Usage:
    """Both usages as one, the earlier first.

    >>> together(usage_of(2), usage_of(3)).value
    Decimal('5')
    """
    items = _items(earlier) + _items(later) if earlier.items or later.items else ()
    return Usage(add(earlier.value, later.value), add(earlier.full, later.full), items)


def _items(usage: Usage) -> tuple[Quantity, ...]:
    if usage.items or not usage.value:
        return usage.items
    return (Quantity(usage.value),)
