"""Which adapter runs which kind of case.

An adapter takes a case's ``input`` and gives what the engine answers, in the shape of ``expected``: a number (int, Decimal,
Fraction or its text), a text, a list or a dict of these. It only builds values and calls public functions.
"""

from __future__ import annotations

from collections.abc import Callable
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


class Given(dict[str, Any]):
    """A case's input that remembers which of its keys were read."""

    def __init__(self, values: dict[str, Any]) -> None:
        super().__init__(values)
        self.read: set[str] = set()

    def __getitem__(self, key: str) -> Any:
        self.read.add(key)
        return super().__getitem__(key)

    def __contains__(self, key: object) -> bool:
        self.read.add(str(key))
        return super().__contains__(key)

    def get(self, key: str, default: Any = None) -> Any:  # type: ignore[override]
        self.read.add(key)
        return super().get(key, default)

    @property
    def unread(self) -> list[str]:
        return sorted(self.keys() - self.read)


def answer(kind: str, given: dict[str, Any], expected: Any) -> tuple[Any, Any]:
    """What the engine gives and what was expected, ready to compare. Raises :class:`NotSupported`."""
    if kind not in ADAPTERS:
        raise NotSupported(f"no adapter for {kind}")
    got = ADAPTERS[kind](given)
    return (absolute(got), absolute(expected)) if kind in MAGNITUDES else (got, expected)
