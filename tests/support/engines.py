"""Tests open thousands of databases; what SQLAlchemy compiled and learned for one serves the next, as in a long-lived server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import Engine

#: Statements that are kept compiled, of each dialect: all that there are.
_STATEMENTS = 10_000


class Shared:
    """Makes engines as ``create`` does; those of one dialect share it, and its compiled statements, with the first that connected."""

    def __init__(self, create: Callable[..., Engine]) -> None:
        self._create = create
        self._first: dict[str, Engine] = {}

    def __call__(self, url: Any, **settings: Any) -> Engine:
        made = self._create(url, query_cache_size=_STATEMENTS, **settings)
        first = self._first.setdefault(made.dialect.name, made)
        if getattr(first.dialect, "server_version_info", None) is None:  # it never connected, so its dialect knows nothing yet
            self._first[made.dialect.name] = made
        else:
            made.dialect, made._compiled_cache = first.dialect, first._compiled_cache
        return made
