"""What the clock does to grants is in the ledger: fillings and losses, also where a later invoice used what had expired."""

from __future__ import annotations

from decimal import Decimal

import pytest

from billsmith.ledger import chart
from billsmith.ledger.postings import balances
from billsmith.ledger.wallets import Grant
from billsmith.storage import ledger
from billsmith.storage.agreements import StoredGrant
from billsmith.storage.verify import verify
from billsmith.units.errors import Invalid
from billsmith.units.ids import derived_id
from billsmith.units.instants import parse_instant
from billsmith.workflows import wallets
from billsmith.workflows.jobs import WALLETS, Ran, Tools, run_due
from billsmith.workflows.usage_store import Usage
from tests.api.support import Caller
from tests.cli.run import Program
from tests.support.billing import Company
from tests.support.house import House

D = Decimal


def give(company: Company, amount: str, **more: object) -> StoredGrant:
    start = parse_instant(str(more.pop("start", "2026-09-01T00:00:00Z")))
    new = Grant(
        id=derived_id("grant", amount, str(more)),
        amount=D(amount),
        effective_at=start,
        recurrence=wallets.every(more.pop("every", None), start, "UTC"),  # type: ignore[arg-type]
        **more,  # type: ignore[arg-type]
    )
    with company.database.write() as connection:
        return wallets.give(connection, company.issuer, company.customers["south"], new, "EUR", now=company.now, actor="test")


def clock(company: Company, now: str) -> list[Ran]:
    house = company.house
    return run_due(Tools(database=company.database, clock=lambda: parse_instant(now), usage=Usage(house.database)), [WALLETS])


def books(company: Company, grant: StoredGrant) -> dict[str, int]:
    """What the ledger says of a grant: left in the wallet, received, given away, kept unused."""
    with company.database.read() as connection:
        found = balances(entry.transaction for entry in ledger.entries(connection))
    names = {
        "left": chart.wallet(grant.grant.id),
        "cash": chart.CASH,
        "promotions": chart.PROMOTIONS,
        "breakage": chart.BREAKAGE,
    }
    assert verify(company.database).problems == []
    return {name: found[account, "EUR"] for name, account in names.items() if (account, "EUR") in found}


def left(company: Company, grant: StoredGrant, now: str) -> Decimal:
    with company.database.read() as connection:
        return wallets.balance(connection, grant, parse_instant(now)).left


@pytest.fixture
def company(house: House) -> Company:
    made = Company(house)
    made.subscribe("south", "flat")
    return made


@pytest.mark.parametrize(("paid", "after"), [(True, {"cash": 5000, "breakage": -5000}), (False, {})])
def test_what_expires_is_booked_as_it_does(company: Company, paid: bool, after: dict[str, int]) -> None:
    grant = give(company, "50.00", paid=paid, expires_at=parse_instant("2026-09-20T00:00:00Z"))
    assert clock(company, "2026-09-19T23:59:59Z") == []
    assert books(company, grant)["left"] == -5000
    assert clock(company, "2026-09-20T00:00:00Z") == [Ran(job="wallets", done=1)]
    assert books(company, grant) == after
    assert clock(company, "2026-10-20T00:00:00Z") == []


def test_an_invoice_of_a_period_before_the_expiry_takes_its_part_of_the_loss_back(company: Company) -> None:
    grant = give(company, "50.00", expires_at=parse_instant("2026-10-01T00:00:00Z"))
    clock(company, "2026-10-01T00:00:00Z")
    assert books(company, grant) == {"cash": 5000, "breakage": -5000}
    company.bill("2026-09", "2026-10-04T00:00:00Z")  # 14.40, used by the end of September
    assert books(company, grant)["left"] == 1440
    assert clock(company, "2026-10-04T00:00:00Z") == [Ran(job="wallets", done=1)]
    assert books(company, grant) == {"cash": 5000, "breakage": -3560}
    assert left(company, grant, "2026-10-05T00:00:00Z") == 0


def test_a_grant_is_filled_up_again_and_carries_a_rest_over(company: Company) -> None:
    grant = give(company, "20.00", every="month", rollover=D("5.00"), paid=False)
    company.bill("2026-09", "2026-10-01T00:00:00Z")
    assert clock(company, "2026-10-01T00:00:00Z") == [Ran(job="wallets", done=1)]
    # 20.00 - 14.40 = 5.60, of which 5.00 is carried over
    assert left(company, grant, "2026-10-02T00:00:00Z") == D("25.00")
    assert books(company, grant)["left"] == -2500
    clock(company, "2026-12-15T00:00:00Z")  # nobody looked for two months
    assert books(company, grant)["left"] == -int(left(company, grant, "2026-12-15T00:00:00Z") * 100) == -2500
    with company.database.write() as connection:
        wallets.take_back(connection, grant, now=parse_instant("2026-12-20T00:00:00Z"), actor="test")
    clock(company, "2026-12-20T00:00:00Z")
    assert "left" not in books(company, grant)
    assert clock(company, "2027-03-01T00:00:00Z") == []


def test_what_can_not_be_filled_up_is_refused(company: Company) -> None:
    for more in ({"rollover": D("5.00")}, {"rollover": D("0.001"), "every": "month"}):
        with pytest.raises(Invalid):
            give(company, "20.00", **more)


def test_over_the_api_and_the_command_line(sqlite_house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    caller = Caller(sqlite_house, sqlite_house.account("Provider", external_id="provider"))
    sqlite_house.account("Customer", caller.account, external_id="c-1")
    made = caller.post("/v1/wallets", {"account": "c-1", "amount": "20.00", "every": "month", "rollover": "5.00"})
    assert (made["every"], made["rollover"], made["left"]) == ("month", "5.00", "20.00")
    sqlite_house.now = parse_instant("2026-12-15T00:00:00Z")
    assert caller.get(f"/v1/wallets/{made['id']}")["left"] == "25.00"
    file = sqlite_house.database.file
    assert file is not None
    program = Program(file.parent, "", monkeypatch)
    granted = program.json("wallets", "grant", "c-1", "10.00", "--every", "week", "--rollover", "2.00", "--free")
    assert (granted["every"], granted["rollover"], granted["left"]) == ("week", "2.00", "10.00")
    assert program("wallets", "grant", "c-1", "10.00", "--rollover", "2.00").code == 2
