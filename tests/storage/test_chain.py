"""P6: issued is immutable, in the database itself and by the chain over issued documents; P10: dates follow the numbers."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from hashlib import sha256

import msgspec
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from billsmith.accounts.model import Account
from billsmith.documents.packed import pack_content, unpacked
from billsmith.invoicing.totals import DraftLine
from billsmith.storage import invoices
from billsmith.storage.invoices import table
from billsmith.storage.schema_chain import APPENDED, MOVING
from billsmith.storage.verify import Problem, verify
from billsmith.units.errors import Conflict
from billsmith.units.instants import parse_instant
from billsmith.workflows import settle
from tests.support.billing import Company
from tests.support.house import House
from tests.support.tamper import remove_triggers, unprotected

REFUSAL = "what was issued never changes"


def issued(house: House, count: int = 3) -> tuple[Account, list[invoices.Stored]]:
    provider = house.account("Provider")
    customer = house.account("Customer", provider)
    return provider, [house.invoice(provider, customer, f"{number}.00") for number in range(1, count + 1)]


def chain_problems(house: House) -> list[Problem]:
    return [problem for problem in verify(house.database).problems if problem.check == "chain"]


def test_a_chain_goes_from_the_first_document_to_its_head(house: House) -> None:
    provider, _ = issued(house)
    customer = house.account("Other", provider)
    house.invoice(provider, customer, lines=[DraftLine(description="Back", amount=Decimal("-5.00"))])
    report = verify(house.database)
    assert report.problems == []
    assert [(head.issuer, head.series, head.documents) for head in report.chains] == [
        (provider.id, "CN-2026", 1), (provider.id, "INV-2026", 3),
    ]  # fmt: skip
    assert len({head.digest for head in report.chains}) == 2


def test_a_run_and_its_notes_are_sealed(sqlite_house: House) -> None:
    company = Company(sqlite_house)
    company.subscribe("north", quantities={"seats": Decimal(2)})
    company.subscribe("south", "flat")
    company.bill("2026-09", "2026-10-02T00:00:00Z")
    report = verify(company.database)
    assert (report.problems, [head.documents for head in report.chains]) == ([], [2])


DAMAGE = [
    "UPDATE invoice SET total_minor = total_minor + 1 WHERE number = 'INV-2026-000002'",
    "UPDATE invoice SET customer_name = 'Somebody else' WHERE number = 'INV-2026-000002'",
    "UPDATE invoice SET due_date = 740000 WHERE number = 'INV-2026-000002'",
    "UPDATE invoice SET date = date - 1 WHERE number = 'INV-2026-000002'",
    "UPDATE invoice SET batch = 'another' WHERE number = 'INV-2026-000002'",
    "UPDATE document_seal SET digest = (SELECT digest FROM document_seal WHERE place = 1) WHERE place = 2",
    "UPDATE invoice_document SET body = (SELECT body FROM invoice_document ORDER BY invoice_seq LIMIT 1) WHERE invoice_seq = (SELECT seq FROM invoice WHERE number = 'INV-2026-000002')",
    "DELETE FROM invoice_document WHERE invoice_seq = (SELECT seq FROM invoice WHERE number = 'INV-2026-000002')",
]


@pytest.mark.parametrize("damage", DAMAGE)
def test_the_first_broken_link_is_named(sqlite_house: House, damage: str) -> None:
    issued(sqlite_house)
    see(sqlite_house, damage)


def test_the_first_broken_link_is_named_on_postgresql_too(postgres_house: House) -> None:
    issued(postgres_house)
    see(postgres_house, DAMAGE[0])


def see(house: House, damage: str) -> None:
    with unprotected(house.database) as connection:
        assert connection.exec_driver_sql(damage).rowcount == 1
    found = chain_problems(house)
    assert found[0].where.endswith("INV-2026-000002"), found


def test_two_documents_exchanged_in_every_table_are_seen(sqlite_house: House) -> None:
    """Somebody who owns the file changes an amount, the document with it, and seals that document anew."""
    house = sqlite_house
    _, [_, second, _third] = issued(house)
    with house.database.read() as connection:
        whole = invoices.with_content(connection, [second])[0].invoice
    assert whole.content is not None
    with unprotected(house.database) as connection:
        connection.execute(text("UPDATE invoice SET total_minor = 9900 WHERE seq = :seq"), {"seq": second.seq})
        body = pack_content(
            msgspec.structs.replace(whole.content, lines=(msgspec.structs.replace(whole.content.lines[0], amount_minor=9900),))
        )
        connection.execute(
            text("UPDATE invoice_document SET body = :body WHERE invoice_seq = :seq"), {"body": body, "seq": second.seq}
        )
        connection.execute(
            text("UPDATE document_seal SET digest = :digest WHERE place = 2"), {"digest": sha256(b"forged").digest()}
        )
    assert [problem.where.rpartition(", ")[2] for problem in chain_problems(house)] == ["INV-2026-000002", "INV-2026-000003"]


@pytest.mark.parametrize(("damage", "told"), [
    ("DELETE FROM document_seal WHERE place = 2", "the link of number 2 is missing before it"),
    ("DELETE FROM document_seal WHERE place = 3", "its chain ends at number 2, its last number is 3"),
    ("UPDATE number_series SET head = (SELECT digest FROM document_seal WHERE place = 1)", "its chain ends at number 3"),
    ("UPDATE document_seal SET invoice_seq = 1 WHERE place = 2", "number 2 of series INV-2026 is sealed onto it"),
])  # fmt: skip
def test_a_chain_with_a_link_too_few_is_seen(sqlite_house: House, damage: str, told: str) -> None:
    issued(sqlite_house)
    with unprotected(sqlite_house.database) as connection:
        connection.exec_driver_sql(damage)
    assert any(told in problem.what for problem in chain_problems(sqlite_house)), chain_problems(sqlite_house)


CHANGES = [
    *(f"UPDATE invoice SET {name} = {name}" for name in sorted(column.name for column in table.c if column.name not in MOVING)),
    "DELETE FROM invoice",
    *(f"UPDATE {each.name} SET {next(iter(each.c)).name} = {next(iter(each.c)).name}" for each in APPENDED),
    *(f"DELETE FROM {each.name}" for each in APPENDED),
]


def test_the_database_refuses_to_change_what_was_issued(house: House) -> None:
    paid(house)
    empty = {"UPDATE correction SET invoice_seq = invoice_seq", "DELETE FROM correction"}
    assert {change for change in CHANGES if not refused(house, change)} == empty


def test_control_without_its_triggers_the_database_takes_any_change(house: House) -> None:
    paid(house)
    with house.database.write() as connection:
        remove_triggers(connection)
    assert not any(refused(house, change) for change in CHANGES)


def refused(house: House, change: str) -> bool:
    """Whether the database answers a change with our refusal; it is undone anyway."""
    try:
        with house.database.write() as connection:
            connection.exec_driver_sql(change)
            raise _Undone
    except DBAPIError as error:
        return REFUSAL in str(error)
    except _Undone:
        return False


class _Undone(Exception):
    pass


def paid(house: House) -> None:
    _, found = issued(house, 1)
    with house.database.write() as connection:
        settle.record_payment(connection, found[0], amount_minor=100, reference="r", now=house.now, actor="test")


def test_a_missing_trigger_is_told(house: House) -> None:
    with house.database.write() as connection:
        connection.exec_driver_sql("DROP TRIGGER payment_stays" + ("" if house.database.is_sqlite else " ON payment"))
    assert [problem.where for problem in chain_problems(house)] == ["trigger payment_stays"]


# P10


def test_a_clock_set_back_dates_a_document_like_its_predecessor(house: House) -> None:
    provider, _ = issued(house, 1)
    customer = house.account("Other", provider)
    house.now = parse_instant("2026-10-29T12:00:00Z")
    late = house.invoice(provider, customer)
    assert late.invoice.date == dt.date(2026, 10, 31)
    house.now = parse_instant("2026-11-02T12:00:00Z")
    assert house.invoice(provider, customer).invoice.date == dt.date(2026, 11, 2)
    assert verify(house.database).ok


def test_a_clock_set_back_over_new_year_goes_on_with_the_old_series(sqlite_house: House) -> None:
    house = sqlite_house
    provider, _ = issued(house, 1)
    customer = house.account("Other", provider)
    for now in ("2027-01-02T12:00:00Z", "2026-11-30T12:00:00Z", "2027-01-01T12:00:00Z"):
        house.now = parse_instant(now)
        house.invoice(provider, customer)
    with house.database.read() as connection:
        told = [f"{each.invoice.number} {each.invoice.date}" for each in reversed(invoices.newest(connection, None))]
    assert told == [
        "INV-2026-000001 2026-10-31", "INV-2027-000001 2027-01-02", "INV-2026-000002 2026-11-30", "INV-2027-000002 2027-01-02",
    ]  # fmt: skip
    assert verify(house.database).ok


def test_a_run_with_an_earlier_present_dates_its_documents_like_their_predecessor(sqlite_house: House) -> None:
    company = Company(sqlite_house)
    company.subscribe("south", "flat")
    house = sqlite_house
    house.now = parse_instant("2026-10-20T00:00:00Z")
    house.invoice(company.issuer, company.customers["south"])
    company.bill("2026-09", "2026-10-02T00:00:00Z")
    first, second = company.invoices()
    assert (first.date, second.date) == (dt.date(2026, 10, 20), dt.date(2026, 10, 20))
    assert verify(company.database).ok


def test_a_date_that_was_asked_for_is_refused_where_it_lies_before_the_predecessor(house: House) -> None:
    provider, _ = issued(house, 1)
    customer = house.account("Other", provider)
    with pytest.raises(Conflict, match="the document before it in series INV-2026 is dated 2026-10-31") as refused:
        house.invoice(provider, customer, date=dt.date(2026, 10, 30))
    assert refused.value.code == "invoice.date_before_predecessor"
    assert house.invoice(provider, customer, date=dt.date(2026, 10, 31)).invoice.number == "INV-2026-000002"


def test_control_documents_that_are_not_in_the_order_of_their_dates_are_seen(sqlite_house: House) -> None:
    issued(sqlite_house)
    with unprotected(sqlite_house.database) as connection:
        connection.exec_driver_sql("UPDATE invoice SET date = date - 1 WHERE number = 'INV-2026-000003'")
    assert any("its predecessor" in problem.what for problem in chain_problems(sqlite_house))


def test_the_form_of_a_seal_is_what_the_page_says(sqlite_house: House) -> None:
    """A seal computed without a line of billsmith, from a document as the API shows it; docs/lifecycle.md has the same."""
    house = sqlite_house
    provider, [first, _] = issued(house, 2)
    with house.database.read() as connection:
        body, digest = connection.execute(
            text("SELECT body, digest FROM document_seal JOIN invoice_document USING (invoice_seq) WHERE place = 1")
        ).one()
    each = first.invoice
    array = [
        "billsmith document 1", "0" * 64, each.id, provider.id, each.recipient_id, "invoice", "INV-2026-000001", "EUR", 100, 0,
        "Customer", "Provider", "2026-10-31", None, each.period.start, each.period.end, house.now, house.now, "",
        sha256(unpacked(body)).hexdigest(),
    ]  # fmt: skip
    encoded = json.dumps(array, separators=(",", ":"), ensure_ascii=False).encode()
    assert sha256(encoded).digest() == bytes(digest)
