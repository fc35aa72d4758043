"""Tables of rating cases: text files that a billing person can read aloud.

::

    # a remark
    price {model: graduated, tiers: [{up_to: 5, unit_amount: 1.00}, {unit_amount: 0.80}]}
    5                 | 5: 5 × 1.00 = 5.00 | 5.00
    previous 5 then 1 | …                  | 0.80

A line is usage | the trace, sentences joined with `` / `` | the rounded amount; ``!`` code stands for an error. Usage is a
total; or quantities with ``;`` between them, each ``name=value …`` dimensions, ``@`` hours since 1970 of its window, ``of`` the
number before proration, ``events`` their number, ``costing`` the amount stated.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import billsmith.rating  # noqa: F401 (loads the price models)
from billsmith.catalog.price import Price
from billsmith.catalog.reading import read_as
from billsmith.metering.quantity import Quantity
from billsmith.rating.usage import Given
from billsmith.units.instants import HOUR

CASES = Path(__file__).parents[1] / "cases"


class Case(NamedTuple):
    """One line of a table, with the price above it."""

    place: str
    price: Price
    previous: Given | None
    usage: Given
    trace: str
    expected: str


def rating_cases(folder: Path = CASES / "rating") -> Iterator[Case]:
    """Every case of every table."""
    for path in sorted(folder.glob("*.txt")):
        price: Price | None = None
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
            place = f"{path.name}:{number}"
            if line.startswith("price "):
                price = read_as(Price, line.removeprefix("price "), place)
            elif line.strip() and not line.startswith("#"):
                usage, trace, expected = (part.strip() for part in line.split("|"))
                assert price is not None, f"{place}: no price above"
                previous, _, this = usage.rpartition(" then ")
                earlier = _usage(previous.removeprefix("previous ")) if previous else None
                yield Case(place, price, earlier, _usage(this), trace, expected)


def _usage(text: str) -> Given:
    if text == "nothing":
        return ()
    if ";" not in text and len(text.split()) == 1:
        return Decimal(text)
    return [_quantity(part.split()) for part in text.rstrip(";").split(";")]


def _quantity(words: list[str]) -> Quantity:
    fields: dict[str, object] = {}
    dimensions: dict[str, str] = {}
    value = Decimal(words[0])
    rest = iter(words[1:])
    for word in rest:
        if "=" in word:
            name, _, said = word.partition("=")
            dimensions[name] = said
        elif word.startswith("@"):
            fields["start"] = int(word[1:]) * HOUR
        elif word == "of":
            fields["full"] = Decimal(next(rest))
        elif word == "events":
            fields["events"] = int(next(rest))
        elif word == "costing":
            fields["amount"] = Decimal(next(rest))
        else:
            raise AssertionError(f"{word!r} is no part of a quantity")
    return Quantity(value, dimensions=dimensions, **fields)  # type: ignore[arg-type]
