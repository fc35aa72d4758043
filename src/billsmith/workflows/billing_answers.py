"""What was counted for the cases of a chunk: few questions to the usage store, however many cases ask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from billsmith.accounts.model import Account
from billsmith.invoicing.cases import Asked, Books, Case
from billsmith.metering.measure import Grain
from billsmith.metering.meter import Meter
from billsmith.units.errors import Conflict
from billsmith.units.periods import Period
from billsmith.usage.sheets import sheets
from billsmith.usage.store import Query, UsageStore
from billsmith.workflows.billing_work import NOWHERE, Asking, Parked, Place, Sheet, Work, Works, ask
from billsmith.workflows.parties import party

#: What questions have in common that one query answers.
_Alike = tuple[Grain, str, Period]


def worked_out(
    usage: UsageStore | None,
    issuer: Account,
    cases: Sequence[Case],
    people: Mapping[int, Account],
    books: Books,
    as_of_seq: int,
) -> Works:
    """The cases with their parties and all that was counted for them."""
    asked = [ask(case, books) for case in cases]
    answers = _Answers(usage, books, [() if isinstance(each, Parked) else each for each in asked], as_of_seq)
    return Works(
        issuer=party(issuer, as_issuer=True),
        asking=answers.asking,
        works=tuple(
            Work(case=case, recipient=party(people[case.recipient]), fault=each)
            if isinstance(each, Parked)
            else answers.given_to(case, each, people)
            for case, each in zip(cases, asked, strict=True)
        ),
    )


class _Group(msgspec.Struct):
    """What one query asks for: meters and for whom; then its number, each meter's place in it, and its sheets by account."""

    meters: dict[int, int] = {}
    accounts: set[str] = set()
    number: int = 0
    sheets: Mapping[str, Any] = {}


class _Meters:
    """The meters that are asked for, by number: one that stands alike in several catalogs or versions has one number."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self._numbers: dict[tuple[str, str, int], int] = {}
        self._known: dict[bytes, int] = {}
        self.meters: list[Meter] = []

    def number(self, one: Asked) -> int:
        """The number of the meter that a question is about."""
        key = (one.catalog, one.meter, one.version)
        found = self._numbers.get(key)
        if found is None:
            meter = self._books[one.catalog].catalog.meter(one.meter, one.version)
            found = self._known.setdefault(msgspec.json.encode(msgspec.structs.replace(meter, version=1)), len(self.meters))
            if found == len(self.meters):
                self.meters.append(meter)
            self._numbers[key] = found
        return found


class _Answers:
    """The answers to lists of questions: a query for each grain, zone and period, with all its meters and accounts."""

    def __init__(self, usage: UsageStore | None, books: Books, asked: Sequence[Sequence[Asked]], as_of_seq: int) -> None:
        self._groups: dict[_Alike, _Group] = {}
        self._meters = _Meters(books)
        for questions in asked:
            for one in questions:
                group = self._groups.setdefault((one.grain, one.zone, one.period), _Group())
                group.meters[self._meters.number(one)] = 0
                group.accounts.add(one.account)
        if self._groups and usage is None:
            raise Conflict("usage is to be billed, but there is no usage store here", code="bill.no_usage_store")
        asking: list[Asking] = []
        for (grain, zone, period), group in sorted(self._groups.items()):
            assert usage is not None
            group.meters = {number: place for place, number in enumerate(sorted(group.meters))}
            query = Query(
                meters=tuple(self._meters.meters[number] for number in group.meters),
                periods=(period,),
                accounts=tuple(sorted(group.accounts)),
                grain=grain,
                zone=zone,
                as_of_seq=as_of_seq,
            )
            group.sheets, reader = sheets(usage, query)
            group.number = len(asking)
            asking.append(Asking(msgspec.structs.replace(query, accounts=()), reader))
        self.asking = tuple(asking)
        self._known: dict[tuple[Place, ...], tuple[Place, ...]] = {}

    def given_to(self, case: Case, questions: Sequence[Asked], people: Mapping[int, Account]) -> Work:
        """A case with the sheets on which its answers stand, and where."""
        found: dict[tuple[int, str], int] = {}
        sheets: list[Sheet] = []
        places = []
        for one in questions:
            group = self._groups[one.grain, one.zone, one.period]
            at = found.setdefault((group.number, one.account), len(sheets))
            if at == len(sheets):
                sheets.append(Sheet(group.number, one.account, group.sheets[one.account]))
            places.append((at, group.meters[self._meters.number(one)]))
        # mostly the same for all: one value is sent to the other processes once
        alike = self._known.setdefault(tuple(places), tuple(places)) if places else NOWHERE
        return Work(case=case, recipient=party(people[case.recipient]), sheets=tuple(sheets), places=alike)
