"""Numbers as people read them aloud in a trace or on a line: thousands in groups, no exponent, nothing rounded away."""

from __future__ import annotations

from decimal import Decimal

from billsmith.units.exact import Exact
from billsmith.units.rounding import Rounding, round_to

#: Digits shown of a number that no decimal holds; the sign ≈ says so.
_SHOWN_PLACES = 6

#: How a mode is read aloud after "rounded".
ROUNDED = {
    Rounding.HALF_UP: "half up",
    Rounding.HALF_EVEN: "half to even",
    Rounding.HALF_DOWN: "half down",
    Rounding.UP: "away from zero",
    Rounding.DOWN: "towards zero",
    Rounding.CEILING: "up",
    Rounding.FLOOR: "down",
}


def say_number(value: Exact) -> str:
    """A quantity: no zeros at its end.

    >>> say_number(Decimal("1250.00")), say_number(Decimal("0.50"))
    ('1,250', '0.5')
    """
    if type(value) is Decimal:
        text = f"{value:,f}"
        return _at_least(text, 0) if "." in text else text
    return "≈" + _at_least(f"{round_to(value, _SHOWN_PLACES):,f}", 0)


def write_number(value: Exact) -> str:
    """A quantity for a table or a program: no groups, no zeros at its end.

    >>> write_number(Decimal("1250.50"))
    '1250.5'
    """
    return say_number(value).replace(",", "")


def say_rate(value: Exact) -> str:
    """A rate, with the places in which it was agreed.

    >>> say_rate(Decimal("0.10"))
    '0.10'
    """
    return f"{value:,f}" if type(value) is Decimal else say_number(value)


def say_money(value: Exact, places: int) -> str:
    """An amount: at least the currency's places, and more only where the exact amount has more.

    >>> say_money(Decimal("120"), 2), say_money(Decimal("61.7280"), 2)
    ('120.00', '61.728')
    """
    if type(value) is Decimal:
        text = f"{value:,f}"
        if len(text) > places and text[-1 - places] == ".":  # nearly always
            return text
        return _at_least(text, places)
    return f"≈{round_to(value, max(places, _SHOWN_PLACES)):,f}"


def _at_least(text: str, places: int) -> str:
    """A number's text with at least ``places`` after the point, and no zeros at its end beyond them."""
    point = text.find(".")
    if point < 0:
        return f"{text}.{'0' * places}" if places else text
    end = point + 1 + places
    if len(text) <= end:
        return text + "0" * (end - len(text))
    if text[-1] != "0":
        return text
    text = text[: max(len(text.rstrip("0")), end)]
    return text[:-1] if text[-1] == "." else text
