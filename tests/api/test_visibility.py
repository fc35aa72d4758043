"""An account sees what it issued and what was issued to it or below it; the query and the rule say the same."""

from __future__ import annotations

import pytest
from sqlalchemy import delete

from billsmith.accounts.authorisation import DEFAULT_SCOPES, Principal, Scope, may_see_invoice
from billsmith.accounts.model import Account
from billsmith.storage import invoices, schema
from tests.api.support import Caller, random_tree
from tests.support.house import House


def by_the_rule(house: House, tree: list[Account], ids: set[str]) -> dict[str, set[str]]:
    """What each account may see, asked of the rule itself, invoice by invoice."""
    by_seq = {account.seq: account for account in tree}
    principals = {each.id: Principal(account=each, credential_id="x", scopes=DEFAULT_SCOPES) for each in tree}
    visible: dict[str, set[str]] = {each.id: set() for each in tree}
    with house.database.read() as connection:
        for id in ids:
            found = invoices.get(connection, id, None)
            for account_id, principal in principals.items():
                if may_see_invoice(principal, by_seq[found.issuer_seq], by_seq[found.recipient_seq]):
                    visible[account_id].add(id)
    return visible


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_account_lists_exactly_what_the_rule_lets_it_see(house: House, seed: int) -> None:
    tree, ids = random_tree(house, seed)
    visible = by_the_rule(house, tree, ids)
    for viewer in tree:
        caller, expected = Caller(house, viewer), visible[viewer.id]
        for parameters in ({"sort": "created"}, {"sort": "total"}, {"limit": 7}):
            listed = [item["id"] for item in caller.all("/v1/invoices", **parameters)]
            assert len(listed) == len(set(listed))
            assert set(listed) == expected, (viewer.name, parameters)
        with house.database.read() as connection:
            assert {id for id in ids if invoices.by_id(connection, id, viewer)} == expected


def test_one_invoice_at_a_time_the_rule_holds_too(sqlite_house: House) -> None:
    tree, ids = random_tree(sqlite_house, 6, size=6, invoices=10)
    for viewer_id, expected in by_the_rule(sqlite_house, tree, ids).items():
        caller = Caller(sqlite_house, next(each for each in tree if each.id == viewer_id))
        assert {id for id in ids if caller("GET", f"/v1/invoices/{id}").status_code == 200} == expected


def test_control_without_the_viewers_rows_the_difference_is_seen(house: House) -> None:
    tree, ids = random_tree(house, 4)
    with house.database.write() as connection:
        connection.execute(delete(schema.invoice_viewer))
    listed = {each.id: {item["id"] for item in Caller(house, each).all("/v1/invoices")} for each in tree}
    assert listed != by_the_rule(house, tree, ids)


def test_without_the_scope_nothing_is_listed(house: House) -> None:
    root = house.account("Root")
    answer = Caller(house, root, [Scope.ACCOUNTS_READ])("GET", "/v1/invoices")
    assert (answer.status_code, answer.json()["code"]) == (403, "access.scope")


def test_filters_by_party_find_the_same_as_filtering_by_hand(house: House) -> None:
    tree, _ids = random_tree(house, 5, size=8, invoices=25)
    for viewer in tree:
        caller = Caller(house, viewer)
        everything = caller.all("/v1/invoices", sort="created")
        for party in tree:
            for name, sort in (("issuer", "created"), ("recipient", "created"), ("issuer", "number"), ("recipient", "date")):
                got = {item["id"] for item in caller.all("/v1/invoices", **{name: party.id, "sort": sort, "limit": 4})}
                assert got == {item["id"] for item in everything if item[name]["id"] == party.id}
