"""`billsmith verify` and `billsmith due` see what is wrong with what runs left behind, and nothing where nothing is."""

from __future__ import annotations

from decimal import Decimal

import pytest
from sqlalchemy import text

from billsmith.storage.verify import verify
from billsmith.units.instants import parse_instant
from billsmith.workflows.due import due
from tests.support.billing import Company
from tests.support.house import House
from tests.support.tamper import unprotected


@pytest.fixture
def company(sqlite_house: House) -> Company:
    made = Company(sqlite_house)
    made.subscribe("north", quantities={"seats": Decimal(2)})
    made.subscribe("south", "flat")
    made.bill("2026-09", "2026-10-02T00:00:00Z")
    return made


def owed(company: Company, at: str) -> list[tuple[str, tuple[str, ...]]]:
    instant = parse_instant(at)
    found = due(company.database, company.issuer, at=instant, known_at=instant)
    return [(each.account.name, each.components) for each in found]


@pytest.mark.parametrize(
    ("check", "damage"),
    [
        ("ledger", "DELETE FROM ledger_entry WHERE subject_seq = 1"),
        (
            "ledger",
            "UPDATE ledger_entry SET body = (SELECT body FROM ledger_entry WHERE subject_seq = 2) WHERE subject_seq = 1",
        ),
        ("billed", "UPDATE billed_line SET invoice_seq = 99 WHERE invoice_seq = 1"),
        ("billed", "UPDATE subscription_bill SET invoice_seq = 99 WHERE invoice_seq = 1"),
        ("billed", "UPDATE subscription_bill SET step = 2 WHERE subscription_seq = 1"),
    ],
)
def test_each_damage_is_seen_by_its_check(company: Company, check: str, damage: str) -> None:
    assert verify(company.database).problems == []
    with unprotected(company.database) as connection:
        connection.execute(text(damage))
    assert {problem.check for problem in verify(company.database).problems} >= {check}


def test_due_is_what_no_live_document_bills(company: Company) -> None:
    assert owed(company, "2026-10-02T00:00:00Z") == []
    assert owed(company, "2026-11-01T00:00:00Z") == [
        ("north", ("seats", "calls", "gb")),
        ("north", ("base",)),
        ("south", ("base",)),
    ]


def test_a_line_whose_mark_is_lost_is_due_whatever_the_record_of_steps_says(company: Company) -> None:
    with company.database.write() as connection:
        connection.execute(text("DELETE FROM billed_line WHERE invoice_seq = 1"))
    assert owed(company, "2026-10-02T00:00:00Z") == [("north", ("calls", "gb"))]


def test_what_a_voided_document_billed_is_due(company: Company) -> None:
    company.void(1)
    assert owed(company, "2026-10-02T00:00:00Z") == [("south", ("base",))]
