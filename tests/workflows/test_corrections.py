"""Corrections of usage: done once whoever is killed or comes late, and billed by the next re-rating to the minor unit."""

from __future__ import annotations

import subprocess
import sys
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from billsmith.events.event import Event
from billsmith.storage.database import Database
from billsmith.units.ids import derived_id
from billsmith.units.instants import parse_instant
from billsmith.units.periods import Period
from billsmith.units.spans import parse_span
from billsmith.usage.store import Item, Replace, Selection, Void
from billsmith.workflows import corrections
from billsmith.workflows.corrections import Kind, What
from billsmith.workflows.ingest import Ingest
from billsmith.workflows.rerate import rerate
from tests.api.support import Caller
from tests.support.billing import Company
from tests.support.correction_crash import STEPS, Findings
from tests.support.house import NOW, House
from tests.support.reference_store import ReferenceStore


def test_killed_at_any_step_and_gone_on_with(database: Database) -> None:
    """SIGKILL, twice for each correction; nothing is done twice, nothing is left out, no row too many (P1, P2)."""
    url = database.url.render_as_string(hide_password=False)
    ran = subprocess.run(
        [sys.executable, "-m", "tests.support.correction_crash", url], capture_output=True, text=True, check=True
    )
    found = msgspec.json.decode(ran.stdout, type=Findings)
    assert found.faults == []
    assert found.corrections == STEPS
    assert found.kills == 2 * STEPS - 1, found  # after the last step there is nothing left to be killed at


@pytest.fixture
def late(house: House) -> Any:
    """A worker that has begun a correction and is overtaken by the one after it."""

    def run() -> Decimal:
        sender = house.account("Sender", external_id="sender")
        store = ReferenceStore()
        store.ingest([Event(owner=sender.id, source="s", id="1", type="call", account="a", time=5)])

        def note(kind: Kind, what: What, name: str) -> str:
            with house.database.write() as connection:
                corrections.record(
                    connection, sender, kind, what, expected=1, reason="", id=derived_id(name), now=NOW, actor="test"
                )
            return derived_id(name)

        def carry(id: str) -> None:
            corrections.carry_out(house.database, Ingest(house.database), store, id, now=NOW)

        first = note(Kind.VOID, What(selection=Selection(period=Period(0, 9))), "first")
        again = Event(owner=sender.id, source="s", id="1", type="call", account="a", time=5, value=Decimal(7))
        keep = store.ingest

        def overtaken(items: Any) -> Any:
            store.ingest = keep  # type: ignore[method-assign]
            carry(first)
            carry(note(Kind.REPLACE, What(events=(again,)), "second"))
            return keep(items)

        store.ingest = overtaken  # type: ignore[method-assign]
        carry(first)
        return sum((kept.event.value for kept in store.events(Selection())), Decimal(0))

    return run


def test_a_worker_that_was_overtaken_undoes_nothing(late: Any) -> None:
    assert late() == 7


def test_control_without_the_state_it_does(late: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    make = corrections._item

    def careless(each: Any, seq: int) -> Item:
        item = make(each, seq)
        assert isinstance(item, Void | Replace)
        return msgspec.structs.replace(item, as_of_seq=None)

    monkeypatch.setattr(corrections, "_item", careless)
    assert late() == 0


def test_usage_taken_back_is_credited_exactly(house: House) -> None:
    """Ingest, bill, void, rate anew: the credit note is the difference, with its tax, and comes once."""
    company = Company(house, usage=house.services.usage)
    company.subscribe("north")
    caller = Caller(house, company.issuer)
    events = [
        {"id": str(day), "type": "call", "account": "north", "time": f"2026-09-{day:02d}T10:00:00Z", "value": value}
        for day, value in ((3, 120), (4, "30.5"), (5, "0.25"))
    ]
    assert caller.post("/v1/events", events)["accepted"] == 3
    company.bill("2026-09", "2026-10-02T00:00:00Z")
    # 100 x 0.10 + 50.75 x 0.05 = 12.5375; with 5.00 for a seat and the base fees of two months: 77.54, and 20 %
    assert [each.total_minor for each in company.invoices()] == [7754 + 1551]
    body = {
        "filter": {
            "account": "north",
            "type": "call",
            "period": {"start": "2026-09-04T00:00:00Z", "end": "2026-09-06T00:00:00Z"},
        }
    }
    tried = caller.post("/v1/events/void", {**body, "dry_run": True})
    assert (tried["matched"], rated(company)) == (2, 0)
    caller.post("/v1/events/void", {**body, "expected": 2})
    assert rated(company) == 1
    # without them: 100 x 0.10 + 20 x 0.05 = 11.00; 12.54 − 11.00 = 1.54, and 0.31
    [_, note] = company.invoices()
    assert (note.kind.value, note.total_minor, note.tax_minor) == ("credit_note", -(154 + 31), -31)
    assert rated(company) == 0


def rated(company: Company) -> int:
    """Rate anew; how many notes there were."""
    return rerate(
        company.database,
        company.usage,
        company.issuer,
        parse_span("2026-09"),
        at=parse_instant("2026-10-20T00:00:00Z"),
        actor="test",
    ).billed
