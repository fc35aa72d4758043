"""The usage store is told of every meter that may be billed by, so that roll-ups are there before the first run."""

from __future__ import annotations

from collections.abc import Collection

import pytest

from billsmith.metering.meter import Meter
from billsmith.workflows.usage_store import Usage
from tests.api.support import Caller
from tests.support.billing import CATALOG, Company
from tests.support.house import House
from tests.support.reference_store import ReferenceStore


class Told(ReferenceStore):
    """A store that remembers of which meters it was told."""

    def __init__(self) -> None:
        super().__init__()
        self.meters: list[list[str]] = []

    def keep(self, meters: Collection[Meter]) -> None:
        self.meters.append(sorted(f"{meter.code} {meter.version}" for meter in meters))


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Told:
    made = Told()
    monkeypatch.setattr(Usage, "_opened", lambda _self: made)
    return made


def test_catalogs_meters_are_told_when_it_is_opened_and_when_they_change(sqlite_house: House, store: Told) -> None:
    company, usage = Company(sqlite_house), Usage(sqlite_house.database)
    assert (usage.store, usage.store) == (store, store)
    assert store.meters == [["calls 1", "gb 1"]]

    company.apply(CATALOG.replace("aggregation: max", "aggregation: latest"))
    assert usage.store is store
    assert len(store.meters) == 1
    usage.meters_changed()
    assert usage.store is store
    assert store.meters[1:] == [["calls 1", "gb 1", "gb 2"]]

    company.apply(CATALOG.replace("up_to: 100,", "up_to: 50,"))
    usage.catch_up()
    assert len(store.meters) == 3  # another price is a part too, and telling again does no harm
    usage.catch_up()
    assert len(store.meters) == 3


def test_a_catalog_over_the_api_is_told_of_too(sqlite_house: House, store: Told) -> None:
    company = Company(sqlite_house)
    usage = sqlite_house.services.usage_or_none
    assert usage is not None
    assert usage.store is store
    source = CATALOG.replace("code: acme", "code: other").replace("code: gb", "code: disk").replace("meter: gb", "meter: disk")
    Caller(sqlite_house, company.issuer).post("/v1/catalog", {"source": source})
    assert usage.store is store
    assert store.meters[1:] == [["calls 1", "calls 1", "disk 1", "gb 1"]]
