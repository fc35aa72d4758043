"""An account sees what it issued and what was issued to it or below it; the query and the rule say the same."""

from __future__ import annotations

import pytest
from sqlalchemy import delete

from billsmith.accounts.authorisation import DEFAULT_SCOPES, Principal, Scope, may_see_invoice
from billsmith.accounts.model import Account
from billsmith.storage import accounts, invoices, schema
from tests.api.support import Caller, random_tree
from tests.support.house import House


def by_the_rule(house: House, viewer: Account, ids: set[str]) -> set[str]:
    principal = Principal(account=viewer, credential_id="x", scopes=DEFAULT_SCOPES)
    visible = set()
    with house.database.read() as connection:
        for id in ids:
            found = invoices.get(connection, id, None)
            parties = accounts.by_seqs(connection, [found.issuer_seq, found.recipient_seq])
            if may_see_invoice(principal, parties[found.issuer_seq], parties[found.recipient_seq]):
                visible.add(id)
    return visible


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_account_lists_exactly_what_the_rule_lets_it_see(house: House, seed: int) -> None:
    tree, ids = random_tree(house, seed)
    for viewer in tree:
        caller = Caller(house, viewer)
        expected = by_the_rule(house, viewer, ids)
        for parameters in ({}, {"sort": "created"}, {"sort": "total"}, {"limit": 3}, {"limit": 1, "sort": "number"}):
            listed = [item["id"] for item in caller.all("/v1/invoices", **parameters)]
            assert len(listed) == len(set(listed))
            assert set(listed) == expected, (viewer.name, parameters)
        for id in ids:
            assert (caller("GET", f"/v1/invoices/{id}").status_code == 200) == (id in expected)


def test_control_without_the_viewers_rows_the_difference_is_seen(house: House) -> None:
    tree, ids = random_tree(house, 4)
    with house.database.write() as connection:
        connection.execute(delete(schema.invoice_viewer))
    listed = {each.id: {item["id"] for item in Caller(house, each).all("/v1/invoices")} for each in tree}
    assert any(listed[each.id] != by_the_rule(house, each, ids) for each in tree)


def test_without_the_scope_nothing_is_listed(house: House) -> None:
    root = house.account("Root")
    answer = Caller(house, root, [Scope.ACCOUNTS_READ])("GET", "/v1/invoices")
    assert (answer.status_code, answer.json()["code"]) == (403, "access.scope")


def test_filters_by_party_find_the_same_as_filtering_by_hand(house: House) -> None:
    tree, _ids = random_tree(house, 5)
    for viewer in tree:
        caller = Caller(house, viewer)
        everything = caller.all("/v1/invoices", sort="created")
        for party in tree:
            for name, sort in (("issuer", "created"), ("recipient", "created"), ("issuer", "number"), ("recipient", "date")):
                got = {item["id"] for item in caller.all("/v1/invoices", **{name: party.id, "sort": sort, "limit": 2})}
                assert got == {item["id"] for item in everything if item[name]["id"] == party.id}
