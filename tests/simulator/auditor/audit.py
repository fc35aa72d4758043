"""What the engine made, held against the books: every document line by line, numbers, the ledger, each thing once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise, zip_longest
from typing import Any, NamedTuple

from tests.simulator.auditor.books import Books, Document
from tests.simulator.script import Company


class Fault(NamedTuple):
    """Something that is not as it should be. ``customer`` is empty where it is about all."""

    customer: str
    what: str


def audit(company: Company, seen: Mapping[str, Any]) -> list[Fault]:
    """All that is wrong; nothing, when the engine did what the script calls for.

    ``seen`` has ``documents`` in the order of their making, the ``ledger``, what is ``due`` and unbilled, who was ``parked``.
    """
    books = Books(company)
    documents = seen["documents"]
    return [
        *(Fault("", f"parked: {each}") for each in seen["parked"]),
        *(Fault("", f"due and not billed: {each}") for each in seen["due"]),
        *_numbers(documents),
        *_sums(documents),
        *_once(documents),
        *_as_expected(documents, books),
        *_ledger(seen["ledger"], books),
    ]


def _numbers(documents: Sequence[Mapping[str, Any]]) -> Iterator[Fault]:
    """Each series counts from 1, without a gap, in the order in which documents were made."""
    last: dict[str, int] = {}
    for document in documents:
        series, _, number = document["number"].rpartition("-")
        last[series] = last.get(series, 0) + 1
        if int(number) != last[series]:
            yield Fault(document["customer"], f"number {document['number']} comes where {last[series]} should")
            last[series] = int(number)


def _sums(documents: Sequence[Mapping[str, Any]]) -> Iterator[Fault]:
    """Lines and taxes sum to the total; a tax is of the lines of its category."""
    for document in documents:
        lines = sum(line["amount"] for line in document["lines"])
        taxes = sum(tax for _, _, _, tax in document["taxes"])
        if (lines + taxes, taxes) != (document["total"], document["tax"]):
            yield Fault(document["customer"], f"{document['number']}: {lines} + {taxes} is not {document['total']}")
        for category, name, base, _ in document["taxes"]:
            of = sum(line["amount"] for line in document["lines"] if line["category"] == category)
            if of != base:
                yield Fault(document["customer"], f"{document['number']}: {name} is on {base}, its lines come to {of}")


def _once(documents: Sequence[Mapping[str, Any]]) -> Iterator[Fault]:
    """Each usage of a span, and each true-up, is billed once; what notes leave of a charge shares no time with another."""
    times: Counter[tuple[Any, ...]] = Counter()
    left: Counter[tuple[Any, ...]] = Counter()
    for document in documents:
        for line in () if document["void"] else document["lines"]:
            if line["kind"] in ("usage", "true_up"):
                what = (line["subscription"], line["kind"], line["offer"], line["component"], *line["period"])
                times[what] += not document["corrects"]
                left[what] += line["amount"]
    for what, often in times.items():
        if often > 1:
            yield Fault(what[0].partition("/")[0], f"billed {often} times: {what}")
    billed = sorted(what for what, amount in left.items() if amount)
    for one, other in pairwise(billed):
        if one[:4] == other[:4] and other[4] < one[5]:
            yield Fault(one[0].partition("/")[0], f"billed twice for one time: {one} and {other}")


def _as_expected(documents: Sequence[Mapping[str, Any]], books: Books) -> Iterator[Fault]:
    """Each customer has the documents that there should be, in order; and if all have, each has its number."""
    whole = True
    for customer in books.customers:
        found = [document for document in documents if document["customer"] == customer]
        wanted = [document for document in books.documents if document.customer == customer]
        for there, should in zip_longest(found, wanted):
            differences = [*_differences(there, should)] if there and should else ["one of them is missing"]
            if differences:
                whole = False
                yield Fault(customer, f"{_short(there)}, should be {_short_wanted(should)}: " + "; ".join(differences))
                break
    numbers = [document["number"] for document in documents]
    if whole and numbers != [document.number for document in books.documents]:
        place, (there, should) = next(
            (place, (one, other.number))
            for place, (one, other) in enumerate(zip(numbers, books.documents, strict=True))
            if one != other.number
        )
        yield Fault(documents[place]["customer"], f"document {place} has the number {there}, should be {should}")


def _differences(there: Mapping[str, Any], should: Document) -> Iterator[str]:
    for name, one, other in (
        ("kind", there["kind"], should.kind),
        ("currency", there["currency"], should.currency),
        ("total", there["total"], should.total),
        ("paid", there["paid"], should.paid),
        ("void", there["void"], should.void),
        ("taxes", {(c, n): (b, t) for c, n, b, t in there["taxes"]}, should.taxes),
        ("settled by", sorted(map(tuple, there["settlements"])), sorted(should.settlements)),
    ):
        if one != other:
            yield f"{name} {one}, should be {other}"
    lines = Counter(_line(line) for line in there["lines"])
    wanted = Counter((*line.what, line.amount) for line in should.lines)
    if lines != wanted:
        yield f"lines too many {list((lines - wanted).elements())}, lines missing {list((wanted - lines).elements())}"


def _line(line: Mapping[str, Any]) -> tuple[Any, ...]:
    period = line["period"] or (0, 0)
    return (line["kind"], line["subscription"], line["offer"], line["component"], *period, line["category"], line["amount"])


def _ledger(entries: Sequence[tuple[str, Sequence[tuple[str, int, str]]]], books: Books) -> Iterator[Fault]:
    """Every transaction sums to nothing in each currency, and every account stands where the books have it."""
    balances: dict[tuple[str, str], int] = {}
    for what, postings in entries:
        sums: dict[str, int] = {}
        for account, amount, currency in postings:
            sums[currency] = sums.get(currency, 0) + amount
            balances[account, currency] = balances.get((account, currency), 0) + amount
        if any(sums.values()):
            yield Fault("", f"the ledger's {what!r} sums to {sums}")
    there = {key: balance for key, balance in balances.items() if balance}
    should = books.balances()
    for account, currency in sorted(there.keys() | should.keys()):
        one, other = (side.get((account, currency), 0) for side in (there, should))
        if one != other:
            who = account.partition(":")[2].partition("/")[0]
            yield Fault(
                who if who in books.customers else "", f"the ledger has {one} {currency} on {account}, should be {other}"
            )


def _short(document: Mapping[str, Any] | None) -> str:
    return f"{document['number']} of {document['total']}" if document else "nothing"


def _short_wanted(document: Document | None) -> str:
    return f"{document.number} of {document.total}" if document else "nothing"
