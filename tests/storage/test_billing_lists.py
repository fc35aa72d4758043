"""What an account bills and is billed, as one list: the plain answer is the judge of pages, lengths and walks."""

from __future__ import annotations

import random

import pytest

from billsmith.accounts.model import Account
from billsmith.invoicing.model import Period
from billsmith.storage import billing_lists, invoice_lists
from billsmith.storage.billing_lists import BillingList
from billsmith.storage.invoice_lists import Sort
from billsmith.storage.invoices import ISSUED_BY, ISSUED_TO, Stored
from billsmith.units.instants import DAY
from tests.support.house import House


def family(house: House) -> dict[str, Account]:
    root = house.account("Root")
    middle = house.account("Middle", root)
    child = house.account("Child", middle)
    return {
        "root": root,
        "middle": middle,
        "child": child,
        "sibling": house.account("Sibling", root),
        "grandchild": house.account("Grandchild", child),
    }


def bill(house: House, issuer: Account, recipient: Account, day: int) -> Stored:
    return house.invoice(issuer, recipient, period=Period(day * DAY, (day + 1) * DAY))


def plain_answer(account: Account, tree: dict[str, Account], all_invoices: list[Stored]) -> list[int]:
    children = {each.seq for each in tree.values() if each.parent_id == account.id}
    mine = [
        each
        for each in all_invoices
        if each.recipient_seq == account.seq or (each.issuer_seq == account.seq and each.recipient_seq in children)
    ]
    return [each.seq for each in sorted(mine, key=lambda row: (row.invoice.period.start, row.invoice.number.lower(), row.seq))]


def pages(house: House, billing: BillingList, size: int, total: int) -> list[int]:
    found: list[int] = []
    with house.database.read() as connection:
        for offset in range(0, total + 2 * size, size):
            found += [each.seq for each in billing_lists.page(connection, billing, offset=offset, limit=size)]
    return found


@pytest.mark.parametrize("near", [0, 2, billing_lists.NEAR])
def test_pages_lengths_and_walks_agree_with_the_plain_answer(house: House, near: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(billing_lists, "NEAR", near)
    tree = family(house)
    dice = random.Random(20261031)
    issuers = {
        "root": ["root", "middle", "child", "sibling", "grandchild"],
        "middle": ["middle", "child", "grandchild"],
        "child": ["child", "grandchild"],
    }
    everything = [
        bill(house, tree[issuer], tree[recipient], dice.randrange(9))
        for _ in range(4)
        for issuer, recipients in issuers.items()
        for recipient in recipients
    ]
    for account in tree.values():
        expected = plain_answer(account, tree, everything)
        with house.database.read() as connection:
            billing = billing_lists.billing_list(connection, account)
            lengths = billing_lists.lengths(connection, billing)
        assert sum(lengths) == len(expected)
        for size in (1, 3, 50):
            assert pages(house, billing, size, len(expected)) == expected
        walked = [each.seq for piece in billing_lists.walk(house.database, billing, lengths) for each in piece]
        assert walked == expected
        if account.name == "Middle":
            assert min(lengths) == 4, "the case must have rows in both lists"


def test_what_the_conditions_keep_out(house: House) -> None:
    """The negative control: without the conditions, a grandchild's invoices and doubles would stand in the list."""
    tree = family(house)
    middle = tree["middle"]
    bill(house, middle, middle, 1)
    bill(house, middle, tree["grandchild"], 2)
    bill(house, tree["root"], middle, 3)
    with house.database.read() as connection:
        billing = billing_lists.billing_list(connection, middle)
        assert billing_lists.lengths(connection, billing) == [1, 1]
        bare = tuple((invoice_lists.InvoiceList(role, middle.seq), invoice_lists.EVERYTHING) for role in (ISSUED_BY, ISSUED_TO))
        assert billing_lists.lengths(connection, bare) == [2, 2]


@pytest.mark.parametrize(("below", "conditions"), [(1, 0), (2, 1)])
def test_the_tallies_count_where_the_tree_allows(sqlite_house: House, below: int, conditions: int) -> None:
    account = root = sqlite_house.account("Root")
    for level in range(below):
        account = sqlite_house.account(f"Level {level}", account)
    with sqlite_house.database.read() as connection:
        billing = billing_lists.billing_list(connection, root)
    assert [not criteria.only_flags for _, criteria in billing] == [bool(conditions)]


def test_a_walk_gives_as_many_rows_as_were_announced(house: House) -> None:
    root = house.account("Root")
    child = house.account("Child", root)
    for day in (5, 6, 7):
        bill(house, root, child, day)
    with house.database.read() as connection:
        billing = billing_lists.billing_list(connection, root)
        lengths = billing_lists.lengths(connection, billing)
    bill(house, root, child, 6)
    assert sum(len(piece) for piece in billing_lists.walk(house.database, billing, lengths)) == 3


def test_rows_are_in_the_order_that_the_lists_have(house: House) -> None:
    """Merging in Python and sorting in the database must read numbers alike, whatever their letters."""
    root = house.account("Root")
    child = house.account("Child", root)
    for day in (1, 1, 0, 1):
        bill(house, root, child, day)
    of = invoice_lists.InvoiceList(ISSUED_BY, root.seq)
    with house.database.read() as connection:
        rows = invoice_lists.page(connection, of, sort=Sort.PERIOD, limit=10)
    assert rows == sorted(rows, key=billing_lists._key)
