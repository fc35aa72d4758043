"""Comparing an answer with what a case expects: numbers as exact numbers, texts as texts."""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction
from typing import Any

_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?(/[0-9]+)?", re.ASCII)


def number(value: Any) -> Fraction | None:
    """The value as an exact number, if it is one (``"8/28"`` is, a date is not, a bool or float never)."""
    assert not isinstance(value, float), "a float can't be compared exactly"
    if isinstance(value, int | Decimal | Fraction) and not isinstance(value, bool):
        return Fraction(value)
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return Fraction(value)
    return None


def equal(got: Any, expected: Any, *, top: bool = True) -> bool:
    """Whether an answer meets the expectation. Only what ``expected`` names counts; an item that the answer lacks is 0."""
    if isinstance(expected, dict):
        if not isinstance(got, dict) or (top and not expected.keys() <= got.keys()):
            return False
        return all(equal(got.get(key, 0), value, top=False) for key, value in expected.items())
    if isinstance(expected, list):
        return (
            isinstance(got, list | tuple)
            and len(got) == len(expected)
            and all(equal(one, other, top=False) for one, other in zip(got, expected, strict=True))
        )
    wanted = number(expected)
    return got == expected if wanted is None else number(got) == wanted


def absolute(value: Any) -> Any:
    """The value with every number in it made positive."""
    if isinstance(value, dict):
        return {key: absolute(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [absolute(item) for item in value]
    exact = number(value)
    return value if exact is None else abs(exact)
