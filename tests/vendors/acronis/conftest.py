"""A partner with a hundred invoices, on each engine, for tests that only read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from billsmith.accounts.model import Account
from billsmith.storage.database import Database, sqlite_url
from billsmith.vendors.acronis.load import load
from tests.support import acronis_rows, postgres
from tests.support.house import House

LIST = "/api/advanced-automation/v1/InvoiceOverview"


class Stocked(NamedTuple):
    """A house, its partner, the rows that were brought in, and the partner's headers."""

    house: House
    partner: Account
    rows: list[acronis_rows.Row]
    auth: dict[str, str]

    def get(self, query: Any = None) -> Any:
        return self.house.client.get(LIST, headers=self.auth, params=query)


def stock(house: House, rows: list[acronis_rows.Row]) -> Stocked:
    partner = house.account("Partner", currency="USD", time_zone="UTC")
    report = load(house.database, partner, acronis_rows.as_file(rows), now=house.now)
    assert (report.added, report.errors) == (len(rows), [])
    return Stocked(house, partner, rows, house.acronis_token(partner))


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def stocked(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stocked]:
    postgres_url = postgres.fresh_database() if request.param == "postgres" else None
    database = Database(postgres_url or sqlite_url(tmp_path_factory.mktemp("stocked")))
    yield stock(House(database), acronis_rows.make(seed=20241010, count=100))
    database.close()
    if postgres_url:
        postgres.drop_database(postgres_url)
