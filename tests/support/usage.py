"""Random usage: batches of events, repetitions, contradictions and corrections, and the questions to ask about them."""

from __future__ import annotations

import itertools
import math
import pickle
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import msgspec
from hypothesis import strategies as st

from billsmith.events.event import Event
from billsmith.metering.measure import Grain
from billsmith.metering.meter import Aggregation, Meter
from billsmith.units.instants import DAY, HOUR, MINUTE, parse_instant
from billsmith.units.periods import Period
from billsmith.usage.sheets import sheets
from billsmith.usage.store import (
    Binding,
    Clash,
    Entry,
    Item,
    Kept,
    Measured,
    Query,
    Receipt,
    Replace,
    Selection,
    UsageStore,
    Void,
)
from tests.support.reference_store import ReferenceStore

#: 2026-10-24 to 2026-10-27: clocks go back in Europe on the 25th.
START = parse_instant("2026-10-24T00:00:00Z")
END = START + 3 * DAY
ZONES = ("UTC", "Europe/Amsterdam", "Asia/Kathmandu", "Australia/Lord_Howe", "America/St_Johns")

_IDS = ("1", "2", "3", "4", "5", "6", "ключ", "a'b\"c\\;--", "7")
_SOURCES = ("s", "S", "späte Quelle")
_REFERENCES = ("r1", "r2", "r3", "nobody")
_VALUES = ("1", "0", "-2.5", "1e24", "-1e24", "0.000000000001", "3.10", "3.1", "999999999999999999999999.999999999999", "7")
_TEXTS = ("eu", "us", "", "x'\"\\,{}:=")
_NAMES = ("n", "region", "who", "operation", "ключ \"'")
_NUMBERS = ("1", "2.50", "-3", "1e3", "0.000000000000000001", "99999999999999999999999999999999999999", "+4", "007")
_TIMES = (
    START - 40 * DAY,
    START - 1,
    START,
    START + 5,
    START + HOUR - 1,
    START + HOUR,
    START + 21 * HOUR + 30 * MINUTE,
    START + 22 * HOUR,
    START + 46 * HOUR + 59 * MINUTE,
    START + 47 * HOUR,
    START + 49 * HOUR + 1,
    END - 1,
    END,
)


class Scenario(msgspec.Struct, frozen=True):
    """Batches in their order, and whether many clients send them at once; with the bindings made before them."""

    batches: tuple[tuple[Item, ...], ...]
    at_once: bool = False
    bound: tuple[tuple[str, str, str], ...] = (("o", "r1", "A"), ("o", "r2", "A"), ("o", "r3", "B"), ("p", "r1", "B"))


def _drawn(*choices: Sequence[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    """One of each, by a single number that says all: a draw costs the same however much it decides."""

    def pick(number: int) -> tuple[Any, ...]:
        chosen = []
        for choice in choices:
            number, place = divmod(number, len(choice))
            chosen.append(choice[place])
        return tuple(chosen)

    return st.integers(0, math.prod(map(len, choices)) - 1).map(pick)


def dimensions() -> st.SearchStrategy[dict[str, str]]:
    """Regions, numbers (some odd, some rarely not numbers at all), comings and goings."""
    numbers = (*_NUMBERS, *_NUMBERS, "many", None)
    return _drawn(numbers, (None, *_TEXTS), (None, "ann", "bob", ""), (None, "add", "remove"), (None, *_TEXTS)).map(
        lambda texts: {name: text for name, text in zip(_NAMES, texts, strict=True) if text is not None}
    )


def events() -> st.SearchStrategy[Event]:
    """Events of few identities, so that they repeat and contradict each other."""
    owners, types = ("o", "o", "o", "p"), ("used", "used", "used", "seen")
    body = _drawn(owners, _SOURCES, _IDS, types, _REFERENCES, _TIMES, _VALUES)
    return st.builds(_event, body, dimensions())


def _event(body: tuple[Any, ...], dimensions: dict[str, str]) -> Event:
    owner, source, id, type, account, time, value = body
    return Event(
        owner=owner, source=source, id=id, type=type, account=account, time=time, value=Decimal(value), dimensions=dimensions
    )


def _void(event: Event) -> Void:
    return Void(owner=event.owner, source=event.source, id=event.id)


def _items(pool: Sequence[Event], others: Sequence[Event]) -> st.SearchStrategy[Item]:
    """Mostly events of a pool, again and again; some corrections of them."""
    kinds = ("event", "event", "event", "other", "void", "replace", "replace by other")

    def item(chosen: tuple[Any, ...]) -> Item:
        kind, event, other = chosen
        match kind:
            case "event":
                return event  # type: ignore[no-any-return]
            case "other":
                return other  # type: ignore[no-any-return]
            case "void":
                return _void(event)
            case "replace":
                return Replace(event=event)
            case _:
                return Replace(event=_with_identity(other, event))

    return _drawn(kinds, pool, others).map(item)


def _with_identity(event: Event, of: Event) -> Event:
    return msgspec.structs.replace(event, owner=of.owner, source=of.source, id=of.id)


@st.composite
def scenarios(draw: st.DrawFn) -> Scenario:
    """A pool of events, sent in a few batches: one after the other, or all at once."""
    pool = draw(st.lists(events(), min_size=2, max_size=9))
    half = len(pool) // 2
    batch = st.lists(_items(pool[half:], pool[:half]), max_size=8).map(tuple)
    batches = draw(st.lists(batch, min_size=1, max_size=4))
    return Scenario(tuple(batches), at_once=len(batches) > 1 and draw(_drawn((False, False, False, True)))[0])


def meters() -> st.SearchStrategy[Meter]:
    """Every aggregation, over values and over dimensions, filtered and grouped."""
    filters = (
        {},
        {},
        *({name: texts} for name in ("region", "who", _NAMES[4]) for texts in ((), ("eu", ""), ("us", *_TEXTS[3:]))),
    )
    groups = ((), (), ("region",), ("region", _NAMES[4]))
    aggregations = (*Aggregation, Aggregation.SUM, Aggregation.AVERAGE, Aggregation.TIME_WEIGHTED_SUM)
    by = _drawn(aggregations, ("value", "value", "n"), filters, filters, groups)
    return st.builds(_meter, by, _drawn(("", "", "", "n", "value"), (True, False), range(5)))


_PERCENTILES = tuple(map(Decimal, ("0", "50", "95", "99.9", "100")))
_EXPRESSIONS = ("value * 2 - n / 3", "ceil(value / 1000)", "round(n, 2) + 1", "1 / value", "value")


def _meter(by: tuple[Any, ...], more: tuple[Any, ...]) -> Meter:
    aggregation, field, where, unless, group_by = by
    amount_field, removal_day_counts, place = more
    if "unique" in aggregation and field == "n":
        field = "who"
    return Meter(
        code="m",
        event_type="used",
        aggregation=aggregation,
        field=field,
        where=where,
        unless=unless,
        group_by=group_by,
        amount_field=amount_field,
        removal_day_counts=removal_day_counts,
        percentile=_PERCENTILES[place] if aggregation is Aggregation.PERCENTILE else None,
        expression=_EXPRESSIONS[place] if aggregation is Aggregation.EXPRESSION else "",
    )


def queries() -> st.SearchStrategy[Query]:
    """A question about one or two meters; windows only where they mean something."""
    periods = (
        (Period(START, END),),
        (Period(START + HOUR // 2, END - 1),),
        (Period(START, START + DAY), Period(START + DAY, END)),
        (Period(END, END + DAY),),
    )
    grains = (Grain.TOTAL, Grain.TOTAL, Grain.DAY, Grain.DAY, Grain.HOUR, Grain.EVENT)
    by = _drawn(grains, periods, ZONES, (None, None, ("A",), ("B", "A", "C")))
    return st.builds(_query, st.lists(meters(), min_size=1, max_size=2), by)


def _query(meters: list[Meter], by: tuple[Any, ...]) -> Query:
    grain, periods, zone, accounts = by
    prorated = any(meter.aggregation is Aggregation.UNIQUE_COUNT_PRORATED for meter in meters)
    return Query(
        meters=tuple(meters),
        periods=periods,
        zone=zone,
        accounts=accounts,
        grain=Grain.TOTAL if prorated and grain in (Grain.DAY, Grain.HOUR) else grain,
    )


class Salted:
    """A store that many scenarios share: each sees its own owners, types and accounts, as if it were alone."""

    def __init__(self, store: UsageStore, salt: str) -> None:
        self.store = store
        self.salt = salt
        self._before = len(salt)

    def event(self, event: Event) -> Event:
        return msgspec.structs.replace(
            event, owner=self.salt + event.owner, id=self.salt + event.id, type=self.salt + event.type
        )

    def item(self, item: Item) -> Item:
        if isinstance(item, Event):
            return self.event(item)
        if isinstance(item, Replace):
            return Replace(event=self.event(item.event))
        return msgspec.structs.replace(item, owner=self.salt + item.owner, id=self.salt + item.id)

    def back(self, event: Event) -> Event:
        owner, id, type = (text[self._before :] for text in (event.owner, event.id, event.type))
        return msgspec.structs.replace(event, owner=owner, id=id, type=type)

    def ingest(self, items: Sequence[Item]) -> Receipt:
        receipt = self.store.ingest([self.item(item) for item in items])
        clashes = tuple(Clash(clash.index, self.back(clash.sent), self.back(clash.stored)) for clash in receipt.conflicts)
        return msgspec.structs.replace(receipt, conflicts=clashes)

    def bind(self, bindings: Sequence[Binding]) -> None:
        self.store.bind([Binding(self.salt + one.owner, one.reference, self.salt + one.account) for one in bindings])

    def meter(self, meter: Meter) -> Meter:
        return msgspec.structs.replace(meter, event_type=self.salt + meter.event_type)

    def query(self, query: Query) -> Query:
        accounts = None if query.accounts is None else tuple(self.salt + account for account in query.accounts)
        return msgspec.structs.replace(query, meters=tuple(map(self.meter, query.meters)), accounts=accounts)

    def measure(self, query: Query) -> Iterator[Measured]:
        for measured in self.store.measure(self.query(query)):
            yield msgspec.structs.replace(measured, account=measured.account[self._before :])

    def measure_by_sheets(self, query: Query) -> Iterator[Measured]:
        """The same answers by another way: packed, sent to whom it may concern, and read."""
        salted = self.query(query)
        packed = sheets(self.store, salted)
        by_account, reader = pickle.loads(pickle.dumps(tuple(packed)))
        read = reader(msgspec.structs.replace(salted, accounts=()))
        answers = {account: read(account, sheet) for account, sheet in by_account.items()}
        for number in range(len(query.meters)):
            for account in sorted(set(salted.accounts or ())):
                measured = answers[account](number)
                yield msgspec.structs.replace(measured, account=account[self._before :])

    def events(self, selection: Selection, **more: Any) -> tuple[Kept, ...]:
        selection = msgspec.structs.replace(selection, owner=self.salt + (selection.owner or "o"))
        return tuple(
            Kept(one.seq, self.back(one.event), one.account and one.account[self._before :])
            for one in self.store.events(selection, **more)
        )

    def history(self, owner: str, source: str, id: str) -> tuple[Entry, ...]:
        return tuple(
            Entry(one.seq, one.sign, self.back(one.event))
            for one in self.store.history(self.salt + owner, source, self.salt + id)
        )


def said(receipt: Receipt) -> tuple[Any, ...]:
    """What a receipt says, without the numbers and words that are each store's own."""
    return (
        receipt.accepted,
        receipt.duplicates,
        receipt.conflicts,
        tuple((one.index, one.code, one.where) for one in receipt.rejected),
    )


def comparable(measured: Iterator[Measured]) -> list[Measured]:
    """Answers without the words of their errors."""
    return [msgspec.structs.replace(one, message="") for one in measured]


def differences(
    store: UsageStore,
    salt: str,
    scenario: Scenario,
    asked: Sequence[Query],
    between: Callable[[Sequence[Meter]], None] = lambda meters: None,
) -> list[str]:
    """Run a scenario on a store and on the reference; what they say differently, batch for batch, answer for answer.

    ``between`` is called after each batch, with the meters that will be asked for: a store may be made to tidy up there.
    """
    under_test = Salted(store, salt)
    meters = [under_test.meter(meter) for query in asked for meter in query.meters]
    if scenario.at_once:
        return _differences_at_once(under_test, scenario, asked, lambda: between(meters))
    judge = ReferenceStore()
    found: list[str] = []
    seqs: list[tuple[int | None, int | None]] = [(None, None)]
    bindings = [Binding(*one) for one in scenario.bound]
    for number, batch in enumerate(scenario.batches):
        if number == 0 or number == len(scenario.batches) - 1:  # some references are bound late
            part = bindings[:2] if number == 0 and len(scenario.batches) > 1 else bindings
            judge.bind(part)
            under_test.bind(part)
        wanted, got = judge.ingest(batch), under_test.ingest(batch)
        found += _compared(f"receipt of batch {number}", said(wanted), said(got))
        seqs.append((wanted.seq, got.seq))
        between(meters)
    for number, query in enumerate(asked):
        found += _answers(judge, under_test, query, *seqs[0])
        if number == 0:
            found += _answers(judge, under_test, query, *seqs[len(asked) % len(seqs)])
    return found + _rows(judge, under_test, scenario)


def _compared(what: str, wanted: Any, got: Any) -> list[str]:
    return [] if wanted == got else [f"{what}:\n  wanted {wanted}\n  got    {got}"]


def _answers(judge: ReferenceStore, under_test: Salted, query: Query, judge_seq: int | None, seq: int | None) -> list[str]:
    wanted = comparable(judge.measure(msgspec.structs.replace(query, as_of_seq=judge_seq)))
    query = msgspec.structs.replace(query, as_of_seq=seq)
    found = _compared(f"answer as of {judge_seq} to {query}", wanted, comparable(under_test.measure(query)))
    if query.accounts is not None and len(query.periods) == 1:
        found += _compared(f"sheets as of {judge_seq} of {query}", wanted, comparable(under_test.measure_by_sheets(query)))
    return found


def _rows(judge: ReferenceStore, under_test: Salted, scenario: Scenario) -> list[str]:
    """Raw events of one owner, and the history of one identity."""
    items = [item for batch in scenario.batches for item in batch]
    selection = Selection(owner=("o", "p")[len(items) % 2])
    found = _compared(
        f"events of {selection.owner}",
        *([(one.event, one.account) for one in side.events(selection)] for side in (judge, under_test)),
    )
    often = Counter(item.event.identity if isinstance(item, Replace) else (item.owner, item.source, item.id) for item in items)
    for identity, _ in often.most_common(1):
        found += _compared(
            f"history of {identity}",
            *([(one.sign, one.event) for one in side.history(*identity)] for side in (judge, under_test)),
        )
    return found


def _differences_at_once(
    under_test: Salted, scenario: Scenario, asked: Sequence[Query], between: Callable[[], None]
) -> list[str]:
    """All batches at once, a client each: there must be an order of them in which the reference says the same."""
    bindings = [Binding(*one) for one in scenario.bound]
    under_test.bind(bindings)
    with ThreadPoolExecutor(len(scenario.batches)) as clients:
        receipts = list(map(said, clients.map(under_test.ingest, scenario.batches)))
    between()
    found: list[str] = []
    for order in itertools.permutations(range(len(receipts))):
        judge = ReferenceStore()
        judge.bind(bindings)
        if any(said(judge.ingest(scenario.batches[place])) != receipts[place] for place in order):
            continue
        found = _rows(judge, under_test, scenario)
        for query in asked:
            found += _answers(judge, under_test, query, None, None)
        if not found:
            return []
    return found or [f"no order of the batches gives these receipts: {receipts}"]


def _sent(scenario: Scenario) -> Iterator[Event]:
    for batch in scenario.batches:
        for item in batch:
            if isinstance(item, Event):
                yield item


def same_in_any_order(store: UsageStore, salts: tuple[str, str], scenario: Scenario, query: Query, chance: Any) -> bool:
    """Whether a set of events gives the same bytes in two orders, one with repetitions, in other batches, by many clients."""
    once = list({event.identity: event for event in _sent(scenario)}.values())
    again = once + chance.choices(once, k=len(once)) if once else []
    chance.shuffle(again)
    answers = []
    for salt, sent in zip(salts, (once, again), strict=True):
        side = Salted(store, salt)
        side.bind([Binding(*one) for one in scenario.bound])
        size = chance.randint(2, 6)
        with ThreadPoolExecutor(4) as clients:
            list(clients.map(side.ingest, [sent[start : start + size] for start in range(0, len(sent), size)]))
        answers.append(repr(comparable(side.measure(query))))
    return answers[0] == answers[1]
