"""The core's tests start with nothing remembered, so that each run computes what it checks."""

from __future__ import annotations

import pytest

from billsmith.units import calendar, instants


@pytest.fixture(scope="session", autouse=True)
def _nothing_remembered() -> None:
    """Instants and boundaries are kept once computed; mutants run in a process where they have been."""
    for remembered in (instants.zone, instants.local_instant, calendar._boundary):
        remembered.cache_clear()
