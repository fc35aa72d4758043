"""`billsmith verify` and `billsmith due` see what is wrong with what runs left behind, and nothing where nothing is."""

from __future__ import annotations

import shutil
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import text

from billsmith.ledger.wallets import Grant
from billsmith.storage import agreements, invoices
from billsmith.storage.database import Database, sqlite_url
from billsmith.storage.verify import verify
from billsmith.units.ids import derived_id
from billsmith.units.instants import parse_instant
from billsmith.workflows import credit, settle, wallets
from billsmith.workflows.due import due
from billsmith.workflows.wallet_books import book_due
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


@pytest.fixture(scope="module")
def settled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Customers with all that the ledger sums up: wallets that pay, expire, are filled up and taken back, credit, overpayments."""
    folder = tmp_path_factory.mktemp("settled")
    made = Company(House(Database(sqlite_url(folder))))
    issuer = made.issuer
    made.subscribe("without", "flat")
    for name, amount in (("north", 5), ("south", 5), ("west", 20), ("east", 50)):
        made.subscribe(name, "flat")
        grants = {
            "plain": Grant(id=derived_id("grant", name, "plain"), amount=Decimal(amount), effective_at=made.now),
            "expires": Grant(
                id=derived_id("grant", name, "expires"),
                amount=Decimal(4),
                effective_at=made.now,
                expires_at=parse_instant("2026-10-20T00:00:00Z"),
                priority=1,
            ),
            "monthly": Grant(
                id=derived_id("grant", name, "monthly"),
                amount=Decimal(1),
                effective_at=made.now,
                recurrence=wallets.every("month", made.now, "UTC"),
                priority=2,
            ),
        }
        with made.database.write() as connection:
            for grant in grants.values():
                wallets.give(connection, issuer, made.customers[name], grant, "EUR", now=made.now, actor="test")
    made.bill("2026-09", "2026-10-02T00:00:00Z")
    now = parse_instant("2026-10-05T00:00:00Z")
    with made.database.write() as connection:
        first = invoices.get(connection, made.invoices()[1].id, None)
        settle.record_payment(connection, first, amount_minor=900, reference="bank 1", now=now, actor="test")
        second = invoices.get(connection, made.invoices()[2].id, None)
        credit.credit(connection, second, credit.Asked(settle=False), id=derived_id("note"), now=now, actor="test")
        stored = agreements.grant(connection, derived_id("grant", "west", "plain"))
        assert stored is not None
        wallets.take_back(connection, stored, now=now, actor="test")
    book_due(made.database, now)
    made.bill("2026-10", "2026-11-02T00:00:00Z")
    book_due(made.database, parse_instant("2026-11-03T00:00:00Z"))
    made.database.close()
    return folder


@pytest.mark.parametrize(
    ("check", "damage"),
    [
        ("wallets", "UPDATE wallet_movement SET amount_minor = amount_minor - 1 WHERE what = 'burn' AND step = 1"),
        ("wallets", "DELETE FROM wallet_movement WHERE what = 'void'"),
        ("wallets", "DELETE FROM wallet_grant WHERE seq = 10"),
        ("wallets", """UPDATE wallet_grant SET body = replace(body, '"amount":"5"', '"amount":"6"')"""),
        ("wallets", "DELETE FROM ledger_entry WHERE subject = 1 AND subject_seq = 1"),
        ("wallets", "UPDATE payment SET amount_minor = amount_minor + 1 WHERE method = 'wallet'"),
        ("owed", "DELETE FROM ledger_entry WHERE subject = 0 AND step = 1"),
        ("owed", "UPDATE invoice SET paid_minor = paid_minor + 1 WHERE seq = 2"),
        ("owed", "UPDATE invoice SET flags = (flags & ~7) + 7 WHERE flags & 7 = 2"),
        ("credits", "DELETE FROM payment WHERE method = 'invoice'"),
        ("credits", "UPDATE payment SET amount_minor = amount_minor - 1 WHERE method = 'credit_note'"),
        ("payments", "UPDATE invoice SET paid_at = NULL WHERE seq = 2"),
        ("payments", "UPDATE invoice SET flags = (flags & ~7) + 2 WHERE flags & 7 = 3"),
        ("payments", "UPDATE invoice SET flags = (flags & ~7) + 3 WHERE flags & 7 = 2"),
    ],
)
def test_each_damaged_sum_is_seen_by_its_check(settled: Path, tmp_path: Path, check: str, damage: str) -> None:
    shutil.copytree(settled, tmp_path / "copy")
    database = Database(sqlite_url(tmp_path / "copy"))
    report = verify(database)
    assert report.problems == []
    assert {name: report.checked[name] for name in ("owed", "credits", "wallets")} == {"owed": 11, "credits": 3, "wallets": 13}
    with unprotected(database) as connection:
        assert connection.execute(text(damage)).rowcount > 0
    assert {problem.check for problem in verify(database).problems} >= {check}
    database.close()


def test_damaged_sums_are_seen_on_postgresql_too(postgres_house: House) -> None:
    company = Company(postgres_house)
    company.subscribe("north", "flat")
    grant = Grant(id=derived_id("grant"), amount=Decimal(5), effective_at=company.now)
    with company.database.write() as connection:
        wallets.give(connection, company.issuer, company.customers["north"], grant, "EUR", now=company.now, actor="test")
    company.bill("2026-09", "2026-10-02T00:00:00Z")
    assert verify(company.database).problems == []
    with unprotected(company.database) as connection:
        connection.execute(text("UPDATE wallet_movement SET amount_minor = 400"))
        connection.execute(text("UPDATE invoice SET paid_minor = 400"))
    assert {problem.check for problem in verify(company.database).problems} == {"wallets", "owed", "payments"}
