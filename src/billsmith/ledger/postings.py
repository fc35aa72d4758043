"""Double entry: a transaction moves amounts between accounts and sums to zero, currency by currency.

A posting's amount is positive where the account is debited and negative where it is credited, in minor units. Nothing is ever
edited: a mistake is answered by its :func:`reversal`.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from billsmith.units.errors import Invalid


class Posting(msgspec.Struct, frozen=True):
    """One side of a transaction: debit above zero, credit below."""

    account: str
    amount_minor: int
    currency: str


class Transaction(msgspec.Struct, frozen=True, kw_only=True):
    """What happened at an instant, as postings. ``id`` is unique; ``what`` is for people; ``reference`` names the document.

    Raises :class:`Invalid` (``ledger.unbalanced``) unless the postings of each currency sum to zero.
    """

    id: str
    at: int
    what: str
    postings: tuple[Posting, ...]
    reference: str = ""

    def __post_init__(self) -> None:
        for posting in self.postings:
            if type(posting.amount_minor) is not int:
                raise Invalid(
                    f"{posting.account} is given {posting.amount_minor!r}; minor units are whole", code="ledger.not_whole"
                )
        for currency, rest in sums(self.postings).items():
            if rest:
                raise Invalid(
                    f"{self.what} ({self.id}): debits and credits differ by {rest} minor units of {currency}. "
                    "Add the posting that is missing",
                    code="ledger.unbalanced",
                    where="postings",
                )


#: Balance by account and currency.
Balances = dict[tuple[str, str], int]


def sums(postings: Iterable[Posting]) -> dict[str, int]:
    """The sum of postings, by currency.

    >>> sums([Posting("cash", 5, "EUR"), Posting("wallet:1", -5, "EUR")])
    {'EUR': 0}
    """
    result: dict[str, int] = {}
    for posting in postings:
        result[posting.currency] = result.get(posting.currency, 0) + posting.amount_minor
    return result


def balances(transactions: Iterable[Transaction]) -> Balances:
    """What every account holds after the transactions; accounts at zero are left out.

    >>> paid = transfer("t1", 0, "payment", debit="cash", credit="receivable:a", amount_minor=500, currency="EUR")
    >>> balances([paid])
    {('cash', 'EUR'): 500, ('receivable:a', 'EUR'): -500}
    """
    result: Balances = {}
    for transaction in transactions:
        for posting in transaction.postings:
            key = (posting.account, posting.currency)
            result[key] = result.get(key, 0) + posting.amount_minor
    return {key: amount for key, amount in result.items() if amount}


def transfer(
    id: str,
    at: int,
    what: str,
    *,
    debit: str,
    credit: str,
    amount_minor: int,
    currency: str,
    reference: str = "",
) -> Transaction:
    """A transaction of two postings: ``amount_minor`` debited to one account and credited to the other."""
    postings = (Posting(debit, amount_minor, currency), Posting(credit, -amount_minor, currency))
    return Transaction(id=id, at=at, what=what, postings=postings, reference=reference)


def reversal(transaction: Transaction, id: str, at: int) -> Transaction:
    """The transaction that undoes another one.

    >>> paid = transfer("t1", 0, "payment", debit="cash", credit="receivable:a", amount_minor=500, currency="EUR")
    >>> balances([paid, reversal(paid, "t2", 1)])
    {}
    """
    postings = tuple(Posting(each.account, -each.amount_minor, each.currency) for each in transaction.postings)
    return Transaction(id=id, at=at, what=f"reversal of {transaction.what}", postings=postings, reference=transaction.reference)
