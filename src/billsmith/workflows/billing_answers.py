"""What was counted for the cases of a chunk: few questions to the usage store, however many cases ask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from billsmith.accounts.model import Account
from billsmith.invoicing.cases import Asked, Books, Case, Questions
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


class _AskedAlike:
    """Questions that many accounts are asked: the groups that answer them, and of each question its group and its meter."""

    def __init__(
        self, questions: tuple[Asked, ...], groups: Sequence[_Group], group_of: Sequence[_Group], numbers: Sequence[int]
    ) -> None:
        self.questions = questions  # as long as they are held, nothing else has their id
        self.groups = groups
        self._each = list(zip(group_of, numbers, strict=True))
        self._places: dict[tuple[int, ...], tuple[Place, ...]] = {}

    def places(self, sheets: tuple[int, ...]) -> tuple[Place, ...]:
        """Where the answers stand, by each group's sheet. Mostly the same for all: one value is sent to others once."""
        if sheets not in self._places:
            at = {id(group): sheet for group, sheet in zip(self.groups, sheets, strict=True)}
            self._places[sheets] = tuple((at[id(group)], group.meters[number]) for group, number in self._each)
        return self._places[sheets]


class _Answers:
    """The answers to lists of questions: a query for each grain, zone and period, with all its meters and accounts."""

    def __init__(self, usage: UsageStore | None, books: Books, asked: Sequence[Sequence[Questions]], as_of_seq: int) -> None:
        self._groups: dict[_Alike, _Group] = {}
        self._meters = _Meters(books)
        self._alike: dict[int, _AskedAlike] = {}
        for questions in asked:
            for account, alike in questions:
                for group in self._asked_alike(alike).groups:
                    group.accounts.add(account)
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

    def _asked_alike(self, questions: tuple[Asked, ...]) -> _AskedAlike:
        """What many are asked alike, gone through once: it is one and the same tuple."""
        found = self._alike.get(id(questions))
        if found is None:
            groups = []
            for one in questions:
                group = self._groups.setdefault((one.grain, one.zone, one.period), _Group())
                group.meters[self._meters.number(one)] = 0
                groups.append(group)
            numbers = [self._meters.number(one) for one in questions]
            distinct = list({id(group): group for group in groups}.values())
            found = self._alike[id(questions)] = _AskedAlike(questions, distinct, groups, numbers)
        return found

    def given_to(self, case: Case, questions: Sequence[Questions], people: Mapping[int, Account]) -> Work:
        """A case with the sheets on which its answers stand, and where."""
        found: dict[tuple[int, str], int] = {}
        sheets: list[Sheet] = []
        places: tuple[Place, ...] = NOWHERE
        for account, each in questions:
            alike = self._alike[id(each)]
            where = []
            for group in alike.groups:
                at = found.setdefault((group.number, account), len(sheets))
                if at == len(sheets):
                    sheets.append(Sheet(group.number, account, group.sheets[account]))
                where.append(at)
            more = alike.places(tuple(where))
            places = places + more if places else more
        return Work(case=case, recipient=party(people[case.recipient]), sheets=tuple(sheets), places=places)
