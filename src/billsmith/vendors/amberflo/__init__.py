"""Amberflo. See README.md."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from billsmith.vendors.amberflo.client import Client

__all__ = ["Client"]


def __getattr__(name: str) -> Any:
    """The client's names, imported when they are asked for: who serves the API does without it."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from billsmith.vendors.amberflo import client

    return getattr(client, name)
