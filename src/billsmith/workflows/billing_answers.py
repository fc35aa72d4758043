"""What was counted for the cases of a chunk: few questions to the usage store, however many cases ask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from billsmith.accounts.model import Account
from billsmith.invoicing.cases import Asked, Books, Case, Counted
from billsmith.metering.measure import Grain
from billsmith.units.errors import Conflict
from billsmith.units.periods import Period
from billsmith.usage.store import Query, UsageStore
from billsmith.workflows.billing_work import Parked, Work, ask
from billsmith.workflows.parties import party


def worked_out(
    usage: UsageStore | None,
    issuer: Account,
    cases: Sequence[Case],
    people: Mapping[int, Account],
    books: Books,
    as_of_seq: int,
) -> list[Work]:
    """The cases with their parties and all that was counted for them."""
    asked = [ask(case, books) for case in cases]
    answers = measured(usage, books, [() if isinstance(each, Parked) else each for each in asked], as_of_seq)
    by = party(issuer, as_issuer=True)
    return [
        Work(
            case=case,
            issuer=by,
            recipient=party(people[case.recipient]),
            counted=tuple(counted),
            fault=each if isinstance(each, Parked) else None,
        )
        for case, each, counted in zip(cases, asked, answers, strict=True)
    ]


def measured(usage: UsageStore | None, books: Books, asked: Sequence[Sequence[Asked]], as_of_seq: int) -> list[list[Counted]]:
    """The answers to lists of questions: a query for each catalog, grain, zone and period, with all its meters and accounts."""
    answers = [[_NOTHING] * len(questions) for questions in asked]
    groups: dict[tuple[str, Grain, str, Period], _Group] = {}
    for of_case, questions in enumerate(asked):
        for place, one in enumerate(questions):
            group = groups.setdefault((one.catalog, one.grain, one.zone, one.period), {})
            group.setdefault((one.meter, one.version), {}).setdefault(one.account, []).append((of_case, place))
    if groups and usage is None:
        raise Conflict("usage is to be billed, but there is no usage store here", code="bill.no_usage_store")
    for (code, grain, zone, period), group in sorted(groups.items()):
        assert usage is not None
        wanted = sorted(group)
        query = Query(
            meters=tuple(books[code].catalog.meter(*key) for key in wanted),
            periods=(period,),
            accounts=tuple(sorted({account for accounts in group.values() for account in accounts})),
            grain=grain,
            zone=zone,
            as_of_seq=as_of_seq,
        )
        for each in usage.measure(query):
            counted = Counted(each.quantities, each.error, each.message)
            for of_case, place in group[wanted[each.meter]].get(each.account, ()):
                answers[of_case][place] = counted
    return answers


_NOTHING = Counted()
#: By meter and account, where the answer is wanted: which case, which of its questions.
_Group = dict[tuple[str, int], dict[str, list[tuple[int, int]]]]
