"""The judge holds itself to the suite."""

from __future__ import annotations

import pytest

from billsmith.usage.store import UsageStore
from tests.support.reference_store import ReferenceStore
from tests.usage.suite import Suite


class TestReference(Suite):
    @pytest.fixture
    def empty(self) -> UsageStore:
        return ReferenceStore()
