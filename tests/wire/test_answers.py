"""Answers that are kept are never stale and never another account's; long work leaves the loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from starlette.responses import Response

from billsmith.accounts.authorisation import Scope
from billsmith.storage import accounts, invoices
from billsmith.storage.invoice_lists import Criteria, InvoiceList, Sort, count, page
from billsmith.storage.lists import tallies
from billsmith.storage.patience import TakesLong, in_a_hurry
from billsmith.wire.answers import Answers
from billsmith.workflows import settle
from tests.support.house import House

LIST = "/api/advanced-automation/v1/InvoiceOverview"


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows with each answer that was made, not kept."""
    calls: list[int] = []
    original = Answers._keep

    def counted(self: Answers, name: tuple[Any, ...], answer: Response) -> None:
        calls.append(1)
        original(self, name, answer)

    monkeypatch.setattr(Answers, "_keep", counted)
    return calls


def rows(house: House, auth: dict[str, str], **params: str) -> list[Any]:
    answer = house.client.get(LIST, headers=auth, params=params)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["Invoices"])


def test_a_repeat_is_not_made_again(house: House, made: list[int]) -> None:
    partner = house.account("Partner")
    house.invoice(partner, house.account("Customer", partner))
    auth = house.acronis_token(partner)
    first = rows(house, auth, Page="1", PageSize="5")
    assert rows(house, auth, PageSize="5", Page="1") == first
    assert len(made) == 1
    rows(house, auth, Page="2", PageSize="5")
    assert len(made) == 2


@pytest.mark.parametrize(
    "write",
    [
        lambda house, partner, customer, found: house.invoice(partner, customer),
        lambda house, partner, customer, found: _pay(house, found),
        lambda house, partner, customer, found: _rename(house, customer),
    ],
    ids=["issued", "paid", "account changed"],
)
def test_any_write_makes_a_new_answer(house: House, made: list[int], write: Callable[..., Any]) -> None:
    partner = house.account("Partner")
    customer = house.account("Customer", partner)
    found = house.invoice(partner, customer)
    auth = house.acronis_token(partner)
    rows(house, auth)
    write(house, partner, customer, found)
    rows(house, auth)
    assert len(made) == 2


def test_what_was_paid_shows_at_once(house: House) -> None:
    partner = house.account("Partner")
    found = house.invoice(partner, house.account("Customer", partner))
    auth = house.acronis_token(partner)
    assert [row["PaymentStatus"] for row in rows(house, auth)] == [False]
    _pay(house, found)
    assert [row["PaymentStatus"] for row in rows(house, auth)] == [True]


def test_two_accounts_never_share_an_answer(house: House) -> None:
    one, two = house.account("One"), house.account("Two")
    house.invoice(one, house.account("Customer", one))
    assert len(rows(house, house.acronis_token(one))) == 1
    assert rows(house, house.acronis_token(two)) == []


def test_with_names_that_lack_the_account_they_would(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: the test above sees a leak."""
    monkeypatch.setattr("billsmith.wire.answers.state", lambda connection, lists: ())
    monkeypatch.setattr("billsmith.wire.answers.caller", lambda call, lists: ())
    one, two = house.account("One"), house.account("Two")
    house.invoice(one, house.account("Customer", one))
    assert len(rows(house, house.acronis_token(one))) == len(rows(house, house.acronis_token(two))) == 1


def test_a_key_without_the_scope_gets_nothing_that_is_kept(house: House) -> None:
    partner = house.account("Partner")
    house.invoice(partner, house.account("Customer", partner))
    rows(house, house.acronis_token(partner))
    poor = house.acronis_token(partner, scopes=[Scope.ACCOUNTS_READ])
    assert house.client.get(LIST, headers=poor).status_code == 403


def test_what_is_kept_is_bounded(house: House) -> None:
    partner = house.account("Partner")
    house.invoice(partner, house.account("Customer", partner))
    auth = house.acronis_token(partner)
    answers = house.services.answers
    answers._most_bytes = 10_000
    for number in range(1, 30):
        rows(house, auth, Page=str(number))
    assert 0 < answers._bytes <= 10_000
    assert len(answers._kept) < 29


def test_long_work_says_so_to_those_in_a_hurry(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tallies, "QUICK", 0)
    partner = house.account("Partner")
    house.invoice(partner, house.account("Customer", partner))
    of = InvoiceList(0, partner.seq)
    with house.database.read() as connection:
        with in_a_hurry(), pytest.raises(TakesLong):
            page(connection, of, sort=Sort.TOTAL, limit=5)
        with in_a_hurry(), pytest.raises(TakesLong):
            count(connection, of, Criteria(number_part="1"))
        with in_a_hurry():
            assert len(page(connection, of, sort=Sort.NUMBER, limit=5)) == 1
        assert len(page(connection, of, sort=Sort.TOTAL, limit=5)) == 1


def test_a_face_answers_long_work_from_a_thread(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tallies, "QUICK", 0)
    partner = house.account("Partner")
    house.invoice(partner, house.account("Customer", partner))
    assert len(rows(house, house.acronis_token(partner), SortColumn="InvoiceTotal")) == 1


def _pay(house: House, found: invoices.Stored) -> None:
    with house.database.write() as connection:
        settle.record_payment(
            connection, found, amount_minor=found.invoice.total_minor, reference="bank", now=house.now, actor="test"
        )


def _rename(house: House, account: Any) -> None:
    with house.database.write() as connection:
        accounts.change(connection, account, now=house.now, name="Renamed")
