"""The tree of errors: whose child each is, the code that it carries, and what it says."""

from __future__ import annotations

import pytest

from billsmith.units import errors
from billsmith.units.errors import BillsmithError, Busy, Invalid, InvalidNumber

TREE = {
    errors.Invalid: (BillsmithError, "input.invalid"),
    errors.InvalidNumber: (Invalid, "number.invalid"),
    errors.InvalidTime: (Invalid, "time.invalid"),
    errors.InvalidAccount: (Invalid, "account.invalid"),
    errors.InvalidInvoice: (Invalid, "invoice.invalid"),
    errors.InvalidEvent: (Invalid, "event.invalid"),
    errors.InvalidPrice: (Invalid, "price.invalid"),
    errors.InvalidCatalog: (Invalid, "catalog.invalid"),
    errors.NotFound: (BillsmithError, "input.not_found"),
    errors.Forbidden: (BillsmithError, "access.forbidden"),
    errors.Unauthorized: (BillsmithError, "access.unauthorized"),
    errors.Conflict: (BillsmithError, "state.conflict"),
    errors.TooLarge: (BillsmithError, "input.too_large"),
    errors.Busy: (BillsmithError, "access.busy"),
    errors.Incomplete: (BillsmithError, "pull.incomplete"),
    errors.Unavailable: (BillsmithError, "store.unavailable"),
}


@pytest.mark.parametrize("kind", TREE, ids=lambda kind: kind.__name__)
def test_each_has_its_parent_and_code(kind: type[BillsmithError]) -> None:
    parent, code = TREE[kind]
    assert kind.__bases__ == (parent,)
    assert kind("no").code == code


def test_the_tree_is_whole() -> None:
    named = {value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, BillsmithError)}
    assert named == {BillsmithError, *TREE}


def test_an_error_says_where_what_and_which() -> None:
    plain, placed = BillsmithError("no such plan"), InvalidNumber("not 12", code="number.syntax", where="lines[2].amount")
    assert (str(plain), plain.message, plain.code, plain.where) == (
        "no such plan [billsmith.error]",
        "no such plan",
        "billsmith.error",
        None,
    )
    assert (placed.message, placed.code, placed.where) == ("not 12", "number.syntax", "lines[2].amount")
    assert str(placed) == "lines[2].amount: not 12 [number.syntax]"
    assert placed.args == ("not 12",)


def test_busy_says_when_to_come_again() -> None:
    busy = Busy("too many", code="access.rate", where="tokens", retry_after=7)
    assert (str(busy), busy.where, busy.retry_after) == ("tokens: too many [access.rate]", "tokens", 7)
    assert (str(Busy("too many")), Busy("too many").retry_after) == ("too many [access.busy]", 1)
