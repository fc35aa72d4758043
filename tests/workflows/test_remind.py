"""Reminders over a year: each step on its day where the issuer is, once, and only while the invoice is not paid."""

from __future__ import annotations

import datetime as dt
import threading
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import delete, update

from billsmith.accounts.model import Account, Profile
from billsmith.invoicing.reminders import Deed, Step, check_plan, read_step, step_text
from billsmith.storage import change_log, invoices, mails, reminders
from billsmith.storage.invoices import Stored
from billsmith.storage.schema_reminders import reminder, reminder_plan
from billsmith.units.errors import Invalid
from billsmith.units.instants import format_instant, parse_instant, start_of_day
from billsmith.workflows import remind, settle
from tests.api.support import Caller, problem
from tests.cli.run import Program
from tests.support.house import House

ZONE = "Europe/Amsterdam"
PLAN = [Step(days=-3, do=Deed.MAIL), Step(days=1, do=Deed.MAIL), Step(days=7, do=Deed.TELL)]
FEE = Step(days=14, do=Deed.FEE, amount=Decimal("10.00"), currency="EUR")


def parties(house: House) -> tuple[Account, Account]:
    top = house.account("Provider", external_id="p", profile=Profile(email="help@provider.example"))
    return top, house.account("Customer", top, external_id="c", profile=Profile(email="anna@customer.example"))


def plan(house: House, issuer: Account, *steps: Step) -> None:
    with house.database.write() as connection:
        remind.set_plan(connection, issuer, list(steps), now=house.now, actor="test")


def run(house: House, at: str | None = None) -> int:
    if at is not None:
        house.now = parse_instant(at)
    return remind.run_due(house.database, house.now) if remind.is_due(house.database, house.now) else 0


def told(house: House) -> list[tuple[str, str, str]]:
    """What was reminded of, by number: the step and when."""
    with house.database.read() as connection:
        rows = change_log.page(connection, None, kinds=["invoice.reminded"], limit=10_000)
    return [
        (str(change_log.facts_of(each)["number"]), str(change_log.facts_of(each)["step"]), format_instant(each.at))
        for each in rows
    ]


def steps(house: House) -> list[str]:
    return [step for _, step, _ in told(house)]


def queued(house: House) -> list[str]:
    with house.database.read() as connection:
        return [each.what for each in reversed(mails.page(connection, None, limit=1000))]


def pay(house: House, found: Stored, amount_minor: int) -> None:
    with house.database.write() as connection:
        settle.record_payment(
            connection, found, amount_minor=amount_minor, reference=str(amount_minor), now=house.now, actor="test"
        )


def test_over_a_year_each_step_comes_as_its_day_begins_where_the_issuer_is(sqlite_house: House) -> None:
    """Through both changes of the clock, looked at a nanosecond before and at the beginning of each day."""
    house = sqlite_house
    top, customer = parties(house)
    first = dt.date(2026, 11, 1)
    house.now = start_of_day(first, ZONE)
    plan(house, top, *PLAN)
    due_dates = [first + dt.timedelta(days=10 + 11 * number) for number in range(31)]
    numbers = {house.invoice(top, customer, due_date=due).invoice.number: due for due in due_dates}
    for number in range(366):
        begins = start_of_day(first + dt.timedelta(days=number), ZONE)
        for now in (begins - 1, begins):
            house.now = now
            run(house)
    expected = sorted(
        (number, step.name, format_instant(start_of_day(due + dt.timedelta(days=step.days), ZONE)))
        for number, due in numbers.items()
        for step in PLAN
    )
    assert sorted(told(house)) == expected
    assert len({instant[11:] for _, _, instant in expected}) == 2, "both offsets from UTC were met"
    assert queued(house).count("mail-3") == queued(house).count("mail+1") == 31


def test_it_stops_when_the_invoice_is_paid_void_or_given_up(house: House) -> None:
    top, customer = parties(house)
    plan(house, top, *PLAN)
    due = dt.date(2026, 11, 10)
    paid, partly, void, given_up, open_ = (house.invoice(top, customer, due_date=due) for _ in range(5))
    assert run(house, "2026-11-07T12:00:00Z") == 5
    pay(house, paid, 10_000)
    pay(house, partly, 4_000)
    with house.database.write() as connection:
        settle.void(connection, void, now=house.now, actor="test")
        settle.write_off(connection, given_up, now=house.now, actor="test")
    assert run(house, "2026-11-11T12:00:00Z") == 2
    pay(house, partly, 6_000)
    assert run(house, "2026-11-17T12:00:00Z") == 1
    of = {number: [step for each, step, _ in told(house) if each == number] for number, _, _ in told(house)}
    assert of[paid.invoice.number] == of[void.invoice.number] == of[given_up.invoice.number] == ["mail-3"]
    assert of[partly.invoice.number] == ["mail-3", "mail+1"]
    assert of[open_.invoice.number] == ["mail-3", "mail+1", "tell+7"]


def forget_the_day(house: House) -> None:
    """As if the process had been killed before it noted that the day is done."""
    with house.database.write() as connection:
        connection.execute(update(reminder_plan).values(done_until=dt.date(2026, 10, 30).toordinal()))


def test_a_day_that_is_done_again_does_nothing_twice(house: House) -> None:
    top, customer = parties(house)
    plan(house, top, *PLAN, FEE)
    for _ in range(3):
        house.invoice(top, customer, due_date=dt.date(2026, 11, 1))
    assert run(house, "2026-11-15T12:00:00Z") == 9  # of two mails the last one alone, the word, the fee
    before = (told(house), queued(house), fees(house))
    forget_the_day(house)
    assert run(house) == 0
    assert (told(house), queued(house), fees(house)) == before
    assert len(fees(house)) == 3


def test_control_without_the_key_it_is_done_twice(sqlite_house: House) -> None:
    house = sqlite_house
    top, customer = parties(house)
    plan(house, top, Step(days=1, do=Deed.TELL))
    house.invoice(top, customer, due_date=dt.date(2026, 11, 1))
    run(house, "2026-11-02T12:00:00Z")
    forget_the_day(house)
    with house.database.write() as connection:
        connection.execute(delete(reminder))
    run(house)
    assert steps(house) == ["tell+1", "tell+1"]


def test_several_at_once_do_each_step_once(house: House) -> None:
    top, customer = parties(house)
    plan(house, top, *PLAN)
    for _ in range(6):
        house.invoice(top, customer, due_date=dt.date(2026, 11, 1))
    house.now = parse_instant("2026-11-02T12:00:00Z")
    threads = [threading.Thread(target=remind.run_due, args=(house.database, house.now)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    run(house)
    assert steps(house) == ["mail+1"] * 6


def test_after_a_standstill_one_mail_goes_and_not_all_that_were_missed(sqlite_house: House) -> None:
    house = sqlite_house
    top, customer = parties(house)
    plan(house, top, *PLAN, Step(days=5, do=Deed.MAIL))
    house.invoice(top, customer, due_date=dt.date(2026, 11, 5))
    assert run(house, "2026-11-14T12:00:00Z") == 2
    assert sorted(steps(house)) == ["mail+5", "tell+7"]
    assert queued(house) == ["mail+5"]


def test_a_plan_counts_from_the_day_on_which_it_is_set(sqlite_house: House) -> None:
    house = sqlite_house
    top, customer = parties(house)
    house.invoice(top, customer, due_date=dt.date(2026, 10, 31))
    house.now = parse_instant("2026-11-07T12:00:00Z")
    plan(house, top, *PLAN)
    assert run(house) == 1
    assert steps(house) == ["tell+7"]
    plan(house, top)
    assert run(house, "2026-12-07T12:00:00Z") == 0


def fees(house: House) -> list[Any]:
    with house.database.read() as connection:
        found = invoices.with_content(connection, invoices.newest(connection, None))
    return [each.invoice for each in found if each.invoice.batch == remind.FEE_BATCH]


def test_a_late_fee_is_an_invoice_and_asks_no_fee_itself(house: House) -> None:
    top, customer = parties(house)
    plan(house, top, FEE)
    found = house.invoice(top, customer, due_date=dt.date(2026, 11, 10), send_by_email=True)
    house.invoice(top, customer, due_date=dt.date(2026, 11, 10), currency="USD")
    assert run(house, "2026-11-24T12:00:00Z") == 1
    [fee] = fees(house)
    assert (fee.total_minor, fee.currency, fee.send_by_email) == (1000, "EUR", True)
    assert fee.content.lines[0].description == f"Late fee for {found.invoice.number}"
    assert (fee.date, fee.due_date) == (dt.date(2026, 11, 24), dt.date(2026, 12, 4))
    assert run(house, "2026-12-18T12:00:00Z") == 0
    assert len(fees(house)) == 1


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        ([Step(days=-61, do=Deed.MAIL)], "reminder.days"),
        ([Step(days=366, do=Deed.MAIL)], "reminder.days"),
        ([Step(days=0, do=Deed.FEE, amount=Decimal(1), currency="EUR")], "reminder.days"),
        ([Step(days=1, do=Deed.FEE)], "reminder.amount"),
        ([Step(days=1, do=Deed.FEE, amount=Decimal("0.001"), currency="EUR")], "reminder.amount"),
        ([Step(days=1, do=Deed.MAIL, amount=Decimal(1))], "reminder.amount"),
        ([Step(days=1, do=Deed.MAIL)] * 2, "reminder.twice"),
        ([Step(days=day, do=Deed.TELL) for day in range(13)], "reminder.too_many"),
    ],
)
def test_a_plan_that_can_not_be(bad: list[Step], code: str) -> None:
    with pytest.raises(Invalid) as error:
        check_plan(bad)
    assert error.value.code in (code, "currency.unknown")


@pytest.mark.parametrize("text", ["-3:mail", "+0:tell", "+30:fee:10.00:EUR"])
def test_a_step_in_short_and_back(text: str) -> None:
    assert step_text(read_step(text)) == text


@pytest.mark.parametrize("text", ["", "mail", "3:post", "++3:mail", "٣:mail", "1:fee:2", "1:mail:2:EUR:x"])
def test_what_is_no_step(text: str) -> None:
    with pytest.raises(Invalid, match="is no step"):
        read_step(text)


def test_over_the_api(house: House) -> None:
    top, _ = parties(house)
    caller = Caller(house, top)
    assert caller.get("/v1/accounts/p/reminders") == {"steps": []}
    body = {"steps": [{"days": 14, "do": "fee", "amount": "10.00", "currency": "EUR"}, {"days": -3, "do": "mail"}]}
    made = caller.post("/v1/accounts/p/reminders", body)
    assert [(each["name"], each["amount"]) for each in made["steps"]] == [("mail-3", None), ("fee+14", "10.00")]
    assert caller.get("/v1/accounts/p/reminders") == made
    with house.database.read() as connection:
        assert reminders.plan_of(connection, top.seq) is not None
    wrong = {"steps": [{"days": 1, "do": "fee"}]}
    assert caller("POST", "/v1/accounts/p/reminders", wrong).status_code == 400
    problem(Caller(house, house.account("Other"))("GET", f"/v1/accounts/{top.id}/reminders"), 404, "account.unknown")


def test_on_the_command_line(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    program = Program(tmp_path, "", monkeypatch)
    program.json("init")
    program.json("accounts", "create", "Root", "--external-id", "root", "--currency", "EUR", "--timezone", ZONE)
    assert program.json("reminders", "show", "root") == []
    made = program.json("reminders", "set", "root", "--step", "+7:mail", "--step", "-3:mail")
    assert [each["step"] for each in made] == ["-3:mail", "+7:mail"]
    assert program.json("reminders", "show", "root") == made
    assert program.json("reminders", "set", "root") == []
