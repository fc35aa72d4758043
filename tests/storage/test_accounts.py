"""Accounts in the database: the tree, names within it, and what may be changed."""

from __future__ import annotations

import pytest
from sqlalchemy import update

from billsmith.accounts.model import MAX_DEPTH, Account, AccountStatus, Profile
from billsmith.storage import accounts, schema
from billsmith.units.errors import BillsmithError, Conflict, Invalid, InvalidAccount, NotFound
from tests.support.house import House


@pytest.fixture
def tree(house: House) -> dict[str, Account]:
    """provider → (east → shop, west → shop): two shops share an external id."""
    provider = house.account("Provider", external_id="provider")
    east = house.account("East", provider, external_id="east", currency="USD")
    west = house.account("West", provider, external_id="west")
    return {
        "provider": provider,
        "east": east,
        "west": west,
        "east shop": house.account("East shop", east, external_id="shop"),
        "west shop": house.account("West shop", west, external_id="shop"),
    }


def test_currency_and_zone_come_from_the_parent(tree: dict[str, Account]) -> None:
    assert (tree["east shop"].currency, tree["west shop"].currency) == ("USD", "EUR")
    assert tree["east shop"].time_zone == "Europe/Amsterdam"
    assert tree["east shop"].path == f"{tree['east'].path}{tree['east shop'].seq}/"


@pytest.mark.parametrize(("name", "within", "expected"), [
    ("shop", "east", "east shop"), ("shop", "west", "west shop"), ("east", "east", "east"), ("west", "east", None),
    ("provider", "east", None), ("shop", "west shop", "west shop"), ("nobody", "provider", None), ("", "provider", None),
])  # fmt: skip
def test_names_are_looked_up_at_or_below(
    house: House, tree: dict[str, Account], name: str, within: str, expected: str | None
) -> None:
    with house.database.read() as connection:
        found = accounts.find(connection, name, tree[within])
    assert (found and found.seq) == (tree[expected].seq if expected else None)


def test_an_ambiguous_name_is_an_error_that_names_the_candidates(house: House, tree: dict[str, Account]) -> None:
    with house.database.read() as connection, pytest.raises(Invalid, match=tree["east shop"].id) as caught:
        accounts.find(connection, "shop", tree["provider"])
    assert caught.value.code == "account.ambiguous"


def test_the_nearest_of_one_name_is_found_whatever_its_number(house: House, tree: dict[str, Account]) -> None:
    near = house.account("Near", tree["provider"], external_id="shop")
    long_path = f"{tree['provider'].path}123456789/"  # as the path of a late account among very many
    with house.database.write() as connection:
        connection.execute(update(schema.account).where(schema.account.c.seq == near.seq).values(path=long_path))
    with house.database.read() as connection:
        assert accounts.get(connection, "shop", tree["provider"]).seq == near.seq


@pytest.mark.parametrize("within", ["provider", "east", "west", "west shop"])
def test_many_names_lead_where_each_of_them_does(house: House, tree: dict[str, Account], within: str) -> None:
    for number in range(3):  # three below the second of them: one is near, two lie deeper
        house.account("Desk", tree["east shop" if number else "east"], external_id=f"desk {max(number - 1, 0)}")
    house.account("Named as another", tree["west"], external_id=tree["east"].id)
    ids = [name for account in tree.values() for name in (account.id, account.id.upper())]
    names = ["shop", "east", "west", "provider", "desk 0", "desk 1", "nobody", "", "a\0", "x" * 129, *ids]
    expected = {}
    with house.database.read() as connection:
        for name in names:
            try:
                found = accounts.find(connection, name, tree[within])
            except Invalid:
                continue
            if found is not None:
                expected[name] = found.id
        assert accounts.ids_of(connection, names, tree[within]) == expected


def test_a_uuid_names_an_account_in_any_case(house: House, tree: dict[str, Account]) -> None:
    with house.database.read() as connection:
        assert accounts.get(connection, tree["east"].id.upper(), tree["provider"]).seq == tree["east"].seq
        assert accounts.find(connection, tree["east"].id, tree["west"]) is None
        assert accounts.exists_anywhere(connection, tree["east"].id)
        assert not accounts.exists_anywhere(connection, "nobody")
        with pytest.raises(NotFound):
            accounts.get(connection, "nobody", None)


@pytest.mark.parametrize(("more", "error"), [
    ({"external_id": "east"}, Conflict), ({"name": " "}, InvalidAccount), ({"name": "a\x1b[31m"}, InvalidAccount),
    ({"currency": "EURO"}, Invalid), ({"time_zone": "Mars"}, Invalid), ({"external_id": "x" * 129}, InvalidAccount),
    ({"name": "half \ud800"}, InvalidAccount),
])  # fmt: skip
def test_an_account_that_cannot_be(
    house: House, tree: dict[str, Account], more: dict[str, str], error: type[BillsmithError]
) -> None:
    with pytest.raises(error):
        house.account(**{"name": "New", "parent": tree["provider"], **more})


def test_roots_are_each_others_siblings(house: House, tree: dict[str, Account]) -> None:
    with pytest.raises(Conflict):
        house.account("Another", external_id="provider")
    with house.database.write() as connection, pytest.raises(InvalidAccount):
        accounts.create(connection, id="0" * 8 + "-0000-0000-0000-" + "1" * 12, name="Bare", now=0)


def test_the_tree_has_a_bottom(house: House) -> None:
    at = house.account("0")
    for level in range(MAX_DEPTH):
        at = house.account(str(level + 1), at)
    with pytest.raises(InvalidAccount, match="levels"):
        house.account("too deep", at)


def test_changes_keep_the_rest(house: House, tree: dict[str, Account]) -> None:
    with house.database.write() as connection:
        changed = accounts.change(
            connection, tree["east"], now=house.now + 1, name="Orient", profile=Profile(city="Essen", tax_ids=("DE1",))
        )
        closed = accounts.change(connection, changed, now=house.now + 2, status=AccountStatus.CLOSED)
    assert (closed.name, closed.currency, closed.profile.city, closed.status) == (
        "Orient",
        "USD",
        "Essen",
        AccountStatus.CLOSED,
    )
    with pytest.raises(InvalidAccount, match="closed"):
        house.account("Late", closed)
    with house.database.write() as connection, pytest.raises(Conflict):
        accounts.change(connection, closed, now=house.now, external_id="west")


def test_all_below_come_in_the_order_in_which_they_were_made(house: House, tree: dict[str, Account]) -> None:
    with house.database.read() as connection:
        assert [each.name for each in accounts.every_below(connection, tree["provider"])] == [
            "Provider", "East", "West", "East shop", "West shop",
        ]  # fmt: skip
        assert [each.name for each in accounts.below(connection, tree["provider"], children_only=True)] == ["East", "West"]
        assert [each.name for each in accounts.below(connection, tree["west"])] == ["West", "West shop"]
