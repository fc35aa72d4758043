"""The judge holds itself to the suite."""

from __future__ import annotations

import pytest

from billsmith.usage.store import Query, UsageStore
from tests.support import usage
from tests.support.reference_store import ReferenceStore
from tests.usage.suite import Suite, differential, fresh_salt


class TestReference(Suite):
    @pytest.fixture
    def empty(self) -> UsageStore:
        return ReferenceStore()

    @differential(60)
    def test_the_same_as_the_reference(self, shared: UsageStore, scenario: usage.Scenario, asked: list[Query]) -> None:
        """Few runs: the judge against itself, to see that the comparison holds."""
        found = usage.differences(shared, fresh_salt(), scenario, asked)
        assert not found, "\n".join(found)
