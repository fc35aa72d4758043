"""A server that really runs, over one partner's invoices, for tests that speak HTTP by hand."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from billsmith.storage.database import Database, sqlite_url
from billsmith.workflows.clock import system_clock
from tests.support import acronis_rows, served
from tests.support.house import House
from tests.vendors.acronis.conftest import stock

LIST = b"/api/advanced-automation/v1/InvoiceOverview"
TOKEN = b"/api/2/idp/token"


class Site(NamedTuple):
    """A running server and the Authorization header of its partner."""

    running: served.Running
    auth: bytes
    home: Path

    @property
    def port(self) -> int:
        return self.running.port


def stocked_home(home: Path, rows: int, **more: int) -> bytes:
    """A data folder with a partner's invoices; gives the partner's Authorization header. The clock of the token is real."""
    database = Database(sqlite_url(home))
    house = House(database)
    house.now = system_clock()
    auth = stock(house, acronis_rows.make(seed=3, count=rows, **more)).auth["Authorization"].encode()
    database.close()
    return auth


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    home = tmp_path_factory.mktemp("site")
    auth = stocked_home(home, 20)
    settings = {"public_hosts": ["billing.example.com", "other.example.com:8443"], "max_body": 4096}
    with served.serving(home, limits={"head_seconds": 1.0, "linger_seconds": 0.5, "connections": 64}, **settings) as running:
        yield Site(running, auth, home)
