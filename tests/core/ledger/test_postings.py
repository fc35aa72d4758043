"""A transaction sums to zero in each currency, and a reversal leaves nothing."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billsmith.ledger.postings import Posting, Transaction, balances, reversal, sums, transfer
from billsmith.units.errors import Invalid
from tests.support.laws import EXAMPLES


def transaction(*postings):
    return Transaction(id="t", at=0, what="test", postings=tuple(Posting(*posting) for posting in postings))


@pytest.mark.parametrize(
    "postings",
    [
        [],
        [("cash", 5, "EUR"), ("revenue", -5, "EUR")],
        [("cash", 5, "EUR"), ("revenue", -3, "EUR"), ("tax", -2, "EUR")],
        [("cash", 5, "EUR"), ("exchange", -5, "EUR"), ("exchange", 6, "USD"), ("cash", -6, "USD")],
    ],
)
def test_balanced(postings):
    assert set(sums(transaction(*postings).postings).values()) <= {0}


@pytest.mark.parametrize(
    "postings",
    [
        [("cash", 1, "EUR")],
        [("cash", 5, "EUR"), ("revenue", -4, "EUR")],
        [("cash", 5, "EUR"), ("revenue", -5, "USD")],
    ],
)
def test_what_does_not_balance_can_not_be_made(postings):
    with pytest.raises(Invalid) as caught:
        transaction(*postings)
    assert caught.value.code == "ledger.unbalanced"


def test_sums_are_by_currency():
    postings = (Posting("cash", 5, "EUR"), Posting("owed", -3, "EUR"), Posting("cash", 7, "USD"))
    assert sums(postings) == {"EUR": 2, "USD": 7}
    assert balances([transaction(("cash", 5, "EUR"), ("owed", -5, "EUR"))]) == {("cash", "EUR"): 5, ("owed", "EUR"): -5}


@pytest.mark.parametrize("amount", [1.0, True])
def test_postings_are_whole_minor_units(amount):
    with pytest.raises(Invalid) as caught:
        transaction(("cash", amount, "EUR"), ("revenue", -amount, "EUR"))
    assert caught.value.code == "ledger.not_whole"


def test_a_reversal_says_what_it_undoes():
    paid = transfer("t", 5, "payment", debit="cash", credit="owed", amount_minor=3, currency="EUR", reference="INV-1")
    assert (paid.id, paid.at, paid.what, paid.reference) == ("t", 5, "payment", "INV-1")
    assert paid.postings == (Posting("cash", 3, "EUR"), Posting("owed", -3, "EUR"))
    back = reversal(paid, "r", 9)
    assert (back.id, back.at, back.what, back.reference) == ("r", 9, "reversal of payment", "INV-1")


moves = st.lists(
    st.builds(
        lambda debit, credit, amount, currency: transfer(
            "t", 0, "move", debit=debit, credit=credit, amount_minor=amount, currency=currency
        ),
        st.sampled_from("abc"),
        st.sampled_from("abc"),
        st.integers(-(10**12), 10**12),
        st.sampled_from(["EUR", "USD"]),
    ),
    max_size=12,
)


@settings(max_examples=EXAMPLES, deadline=None)
@given(moves)
def test_the_books_sum_to_zero_and_reversals_empty_them(transactions):
    after = balances(transactions)
    for currency in ("EUR", "USD"):
        assert sum(amount for (_, code), amount in after.items() if code == currency) == 0
    assert balances([*transactions, *(reversal(each, "r", 1) for each in transactions)]) == {}
