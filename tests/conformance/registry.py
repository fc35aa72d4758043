"""Which adapter runs which kind of case.

An adapter takes a case's ``input`` and gives what the engine answers, in the shape of ``expected``: a number (int, Decimal,
Fraction or its text), a text, a list or a dict of these. It only builds values and calls public functions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from tests.conformance.compare import absolute

Adapter = Callable[[dict[str, Any]], Any]

ADAPTERS: dict[str, Adapter] = {}

#: Kinds whose systems differ in the sign of an amount: both sides are compared without it.
MAGNITUDES: set[str] = set()


class NotSupported(Exception):
    """The engine doesn't offer what a case asks for."""


def adapter(*kinds: str, magnitudes: bool = False) -> Callable[[Adapter], Adapter]:
    """Register the function below as the adapter of ``kinds``."""

    def register(function: Adapter) -> Adapter:
        for kind in kinds:
            assert kind not in ADAPTERS, f"two adapters for {kind}"
            ADAPTERS[kind] = function
            if magnitudes:
                MAGNITUDES.add(kind)
        return function

    return register


def answer(kind: str, given: dict[str, Any], expected: Any) -> tuple[Any, Any]:
    """What the engine gives and what was expected, ready to compare. Raises :class:`NotSupported`."""
    if kind not in ADAPTERS:
        raise NotSupported(f"no adapter for {kind}")
    got = ADAPTERS[kind](given)
    return (absolute(got), absolute(expected)) if kind in MAGNITUDES else (got, expected)


def refuse_unknown(given: dict[str, Any], known: Iterable[str]) -> None:
    """Raise :class:`NotSupported` where an input has a key that the adapter would not read."""
    unread = sorted(set(given) - set(known))
    if unread:
        raise NotSupported(f"keys that are not read: {', '.join(unread)}")
