"""Builders of events."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from billsmith.events.event import Event


def event(name: int | str, time: int = 0, value: str = "1", **dimensions: Any) -> Event:
    """An event of type ``used``; its name is its id, ``source`` may stand among the dimensions."""
    return Event(
        owner="o",
        source=dimensions.pop("source", "s"),
        id=str(name),
        type=dimensions.pop("type", "used"),
        account="a",
        time=time,
        value=Decimal(value),
        dimensions={key: str(text) for key, text in dimensions.items()},
    )
