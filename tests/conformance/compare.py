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


def equal(got: Any, expected: Any, *, named_keys_only: bool = True) -> bool:
    """Whether an answer meets the expectation.

    At the top only the keys that ``expected`` names count. Further in, dicts are items by name, and an item absent from one
    side is 0 there.
    """
    if isinstance(expected, dict):
        if not isinstance(got, dict):
            return False
        if named_keys_only:
            return all(key in got and equal(got[key], value, named_keys_only=False) for key, value in expected.items())
        return all(equal(got.get(key, 0), expected.get(key, 0), named_keys_only=False) for key in got.keys() | expected.keys())
    if isinstance(expected, list):
        return (
            isinstance(got, list | tuple)
            and len(got) == len(expected)
            and all(equal(one, other, named_keys_only=False) for one, other in zip(got, expected, strict=True))
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
