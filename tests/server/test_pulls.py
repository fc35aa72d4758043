"""The server pulls what is due, and stops in good order."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from billsmith.server.jobs import Jobs
from billsmith.storage import invoices, sync
from billsmith.storage.sync import WalkState
from billsmith.workflows.import_invoices import Plan
from billsmith.workflows.jobs import PULLS, Tools
from billsmith.workflows.sealing import Sealer
from billsmith.workflows.sync_runs import Puller
from billsmith.workflows.sync_source import Opened
from billsmith.workflows.usage_store import Usage
from tests.support.house import House
from tests.support.vendor_lists import VendorList, connect, fresh, row


def eventually(true: Callable[[], bool]) -> None:
    """Wait until something holds, ten seconds at most."""
    until = time.monotonic() + 10
    while not true():
        assert time.monotonic() < until, "it never came to hold"
        time.sleep(0.01)


def test_due_connections_are_pulled_and_an_end_leaves_the_walk_to_go_on(sqlite_house: House) -> None:
    house = sqlite_house
    partner = house.account("Partner", external_id="me", time_zone="UTC")
    # By reference to a variable that every process has: there is no secret to seal here.
    of = connect(house.database, partner, now=house.now, every_minutes=60, secret_from="env:PATH")
    source = VendorList([row(number) for number in range(30)])
    waiting, go_on = threading.Event(), threading.Event()

    def wait(index: int) -> Any:
        if index == 2:
            waiting.set()
            go_on.wait(10)

    source.fault = wait

    def opener(*_: Any) -> Opened:
        return Opened(source=source, plan=Plan(owner=partner, issuer=partner))

    puller = Puller(database=house.database, clock=lambda: house.now, openers={"acronis": opener}, sealer=Sealer())
    tools = Tools(database=house.database, clock=lambda: house.now, usage=Usage(house.database), puller=puller)
    pulls = Jobs(tools, [PULLS])
    pulls.start()
    assert waiting.wait(10)
    threading.Timer(0.05, go_on.set).start()
    pulls.stop()
    with house.database.read() as connection:
        assert sync.running_walk(connection, of) is not None
    again = Jobs(tools, [PULLS])
    again.start()
    eventually(lambda: fresh(house.database, of).watermark_walk is not None)
    again.stop()
    with house.database.read() as connection:
        [walk] = sync.last_walks(connection, of)
        assert (walk.state, walk.resumed, walk.counts.added) == (WalkState.COMPLETE, 1, 30)
        assert len(invoices.newest(connection, None)) == 30
