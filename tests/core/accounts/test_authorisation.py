"""The one rule: who reaches which account, who sees which invoice, who may grant what."""

from __future__ import annotations

import pytest

from billsmith.accounts.authorisation import (
    ALL_SCOPES,
    DEFAULT_SCOPES,
    Principal,
    Scope,
    check_grant,
    may_change_invoice,
    may_reach,
    may_see_invoice,
    parse_scopes,
    require,
)
from billsmith.accounts.model import Account
from billsmith.units.errors import Forbidden, Invalid


def account(seq: int, path: str) -> Account:
    return Account(
        seq=seq, id=f"{seq:032x}", parent_id=None, path=path, external_id=str(seq), name=str(seq), currency="EUR",
        time_zone="UTC", created_at=0, updated_at=0,
    )  # fmt: skip


# provider 1 → reseller 2 → customer 3; reseller 4 → customer 5; 12 is a sibling whose number begins like 1's child
PROVIDER, RESELLER, CUSTOMER = account(1, "/1/"), account(2, "/1/2/"), account(3, "/1/2/3/")
OTHER, OTHERS_CUSTOMER, ALIKE = account(4, "/1/4/"), account(5, "/1/4/5/"), account(22, "/1/22/")


def principal(of: Account, scopes: frozenset[Scope] = ALL_SCOPES) -> Principal:
    return Principal(account=of, credential_id="c", scopes=scopes)


@pytest.mark.parametrize(("caller", "target", "reaches"), [
    (RESELLER, RESELLER, True), (RESELLER, CUSTOMER, True), (RESELLER, PROVIDER, False), (RESELLER, OTHER, False),
    (RESELLER, OTHERS_CUSTOMER, False), (RESELLER, ALIKE, False), (PROVIDER, OTHERS_CUSTOMER, True), (CUSTOMER, RESELLER, False),
])  # fmt: skip
def test_a_credential_reaches_its_account_and_what_lies_below(caller: Account, target: Account, reaches: bool) -> None:
    assert may_reach(principal(caller), target) is reaches


@pytest.mark.parametrize(("viewer", "issuer", "recipient", "sees"), [
    (RESELLER, RESELLER, CUSTOMER, True), (CUSTOMER, RESELLER, CUSTOMER, True), (PROVIDER, RESELLER, CUSTOMER, True),
    (OTHER, RESELLER, CUSTOMER, False), (RESELLER, PROVIDER, RESELLER, True), (CUSTOMER, PROVIDER, RESELLER, False),
    (RESELLER, PROVIDER, CUSTOMER, True), (RESELLER, PROVIDER, OTHER, False), (RESELLER, PROVIDER, PROVIDER, False),
    (PROVIDER, PROVIDER, PROVIDER, True),
])  # fmt: skip
def test_who_sees_an_invoice(viewer: Account, issuer: Account, recipient: Account, sees: bool) -> None:
    assert may_see_invoice(principal(viewer), issuer, recipient) is sees
    assert may_see_invoice(principal(viewer, frozenset()), issuer, recipient) is False


def test_only_who_runs_the_issuer_changes_its_invoices() -> None:
    assert may_change_invoice(principal(RESELLER), RESELLER)
    assert may_change_invoice(principal(PROVIDER), RESELLER)
    assert not may_change_invoice(principal(CUSTOMER), RESELLER)
    assert not may_change_invoice(principal(RESELLER, DEFAULT_SCOPES), RESELLER)


def test_nobody_grants_what_it_lacks() -> None:
    keeper = principal(RESELLER, frozenset({Scope.CREDENTIALS_WRITE, Scope.INVOICES_READ}))
    check_grant(keeper, CUSTOMER, [Scope.INVOICES_READ])
    for target, scopes in ((CUSTOMER, [Scope.INVOICES_WRITE]), (PROVIDER, [Scope.INVOICES_READ]), (OTHER, [])):
        with pytest.raises(Forbidden):
            check_grant(keeper, target, scopes)
    with pytest.raises(Forbidden):
        check_grant(principal(RESELLER, DEFAULT_SCOPES), CUSTOMER, [])
    with pytest.raises(Forbidden):
        require(principal(RESELLER, DEFAULT_SCOPES), Scope.ACCOUNTS_WRITE)


def test_scopes_are_read_by_their_words() -> None:
    assert parse_scopes(["invoices:read", "invoices:read"]) == DEFAULT_SCOPES
    with pytest.raises(Invalid, match="is not a scope"):
        parse_scopes(["root"])
