"""Random usage: batches of events, repetitions, contradictions and corrections, and the questions to ask about them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from typing import Any

import msgspec
from hypothesis import strategies as st

from billsmith.events.event import Event
from billsmith.metering.measure import Grain
from billsmith.metering.meter import Aggregation, Meter
from billsmith.units.instants import DAY, HOUR, MINUTE, parse_instant
from billsmith.units.periods import Period
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
    """Batches in their order, with the bindings made before each of them."""

    batches: tuple[tuple[Item, ...], ...]
    bound: tuple[tuple[str, str, str], ...] = (("o", "r1", "A"), ("o", "r2", "A"), ("o", "r3", "B"), ("p", "r1", "B"))


def dimensions() -> st.SearchStrategy[dict[str, str]]:
    """Regions, numbers (some odd, some rarely not numbers at all), comings and goings."""
    return st.fixed_dictionaries(
        {"n": st.sampled_from(_NUMBERS)},
        optional={
            "region": st.sampled_from(_TEXTS),
            "who": st.sampled_from(("ann", "bob", "")),
            "operation": st.sampled_from(("add", "remove")),
            "ключ \"'": st.sampled_from(_TEXTS),
        },
    ).flatmap(
        lambda given: st.sampled_from((*[given] * 12, given | {"n": "many"}, {k: v for k, v in given.items() if k != "n"}))
    )


def events() -> st.SearchStrategy[Event]:
    """Events of few identities, so that they repeat and contradict each other."""
    return st.builds(
        Event,
        owner=st.sampled_from(("o", "o", "o", "p")),
        source=st.sampled_from(_SOURCES),
        id=st.sampled_from(_IDS),
        type=st.sampled_from(("used", "used", "used", "seen")),
        account=st.sampled_from(_REFERENCES),
        time=st.sampled_from(_TIMES),
        value=st.sampled_from(_VALUES).map(Decimal),
        dimensions=dimensions(),
    )


def _void(event: Event) -> Void:
    return Void(owner=event.owner, source=event.source, id=event.id)


def items(pool: Sequence[Event]) -> st.SearchStrategy[Item]:
    """Mostly events of a pool, again and again; some corrections of them."""
    known = st.sampled_from(list(pool))
    return st.one_of(
        known,
        known,
        known,
        events(),
        known.map(_void),
        st.tuples(known, events()).map(lambda pair: Replace(event=_with_identity(pair[1], pair[0]))),
        known.map(lambda event: Replace(event=event)),
    )


def _with_identity(event: Event, of: Event) -> Event:
    return msgspec.structs.replace(event, owner=of.owner, source=of.source, id=of.id)


def scenarios() -> st.SearchStrategy[Scenario]:
    """A pool of events, sent in a few batches."""
    return (
        st.lists(events(), min_size=1, max_size=9)
        .flatmap(lambda pool: st.lists(st.lists(items(pool), max_size=10).map(tuple), min_size=1, max_size=4))
        .map(lambda batches: Scenario(tuple(batches)))
    )


def meters() -> st.SearchStrategy[Meter]:
    """Every aggregation, over values and over dimensions, filtered and grouped."""
    return st.sampled_from(list(Aggregation)).flatmap(_meter)


def _meter(aggregation: Aggregation) -> st.SearchStrategy[Meter]:
    fields = ("who", "value", "n") if "unique" in aggregation else ("value", "value", "n")
    filters = st.dictionaries(
        st.sampled_from(("region", "who", "ключ \"'")), st.lists(st.sampled_from(_TEXTS), max_size=2).map(tuple), max_size=1
    )
    extra: dict[str, st.SearchStrategy[Any]] = {}
    if aggregation is Aggregation.PERCENTILE:
        extra["percentile"] = st.sampled_from(("0", "50", "95", "99.9", "100")).map(Decimal)
    if aggregation is Aggregation.EXPRESSION:
        extra["expression"] = st.sampled_from(("value * 2 - n / 3", "ceil(value / 1000)", "round(n, 2) + 1", "1 / value"))
    return st.builds(
        Meter,
        code=st.just("m"),
        event_type=st.just("used"),
        aggregation=st.just(aggregation),
        field=st.sampled_from(fields),
        where=filters,
        unless=filters,
        group_by=st.sampled_from(((), (), ("region",), ("region", "ключ \"'"))),
        amount_field=st.sampled_from(("", "", "", "n", "value")),
        removal_day_counts=st.booleans(),
        **extra,
    )


def queries() -> st.SearchStrategy[Query]:
    """A question about one or two meters; windows only where they mean something."""
    grains = st.sampled_from((Grain.TOTAL, Grain.TOTAL, Grain.DAY, Grain.HOUR, Grain.EVENT))
    return st.tuples(st.lists(meters(), min_size=1, max_size=2), grains).flatmap(
        lambda both: st.builds(
            Query,
            meters=st.just(tuple(both[0])),
            grain=st.just(
                Grain.TOTAL
                if both[1] in (Grain.DAY, Grain.HOUR)
                and any(meter.aggregation is Aggregation.UNIQUE_COUNT_PRORATED for meter in both[0])
                else both[1]
            ),
            periods=st.sampled_from(
                (
                    (Period(START, END),),
                    (Period(START + HOUR // 2, END - 1),),
                    (Period(START, START + DAY), Period(START + DAY, END)),
                    (Period(END, END + DAY),),
                )
            ),
            zone=st.sampled_from(ZONES),
            accounts=st.sampled_from((None, None, ("A",), ("B", "A", "C"))),
        )
    )


class Salted:
    """A store that many scenarios share: each sees its own owners, types and accounts, as if it were alone."""

    def __init__(self, store: UsageStore, salt: str) -> None:
        self.store = store
        self.salt = salt
        self._before = len(salt)

    def event(self, event: Event) -> Event:
        return msgspec.structs.replace(event, owner=self.salt + event.owner, type=self.salt + event.type)

    def item(self, item: Item) -> Item:
        if isinstance(item, Event):
            return self.event(item)
        if isinstance(item, Replace):
            return Replace(event=self.event(item.event))
        return msgspec.structs.replace(item, owner=self.salt + item.owner)

    def back(self, event: Event) -> Event:
        return msgspec.structs.replace(event, owner=event.owner[self._before :], type=event.type[self._before :])

    def ingest(self, items: Sequence[Item]) -> Receipt:
        receipt = self.store.ingest([self.item(item) for item in items])
        clashes = tuple(Clash(clash.index, self.back(clash.sent), self.back(clash.stored)) for clash in receipt.conflicts)
        return msgspec.structs.replace(receipt, conflicts=clashes)

    def bind(self, bindings: Sequence[Binding]) -> None:
        self.store.bind([Binding(self.salt + one.owner, one.reference, self.salt + one.account) for one in bindings])

    def meter(self, meter: Meter) -> Meter:
        return msgspec.structs.replace(meter, event_type=self.salt + meter.event_type)

    def measure(self, query: Query) -> Iterator[Measured]:
        accounts = None if query.accounts is None else tuple(self.salt + account for account in query.accounts)
        meters = tuple(map(self.meter, query.meters))
        for measured in self.store.measure(msgspec.structs.replace(query, meters=meters, accounts=accounts)):
            yield msgspec.structs.replace(measured, account=measured.account[self._before :])

    def events(self, selection: Selection, **more: Any) -> tuple[Kept, ...]:
        selection = msgspec.structs.replace(selection, owner=self.salt + (selection.owner or "o"))
        return tuple(
            Kept(one.seq, self.back(one.event), one.account and one.account[self._before :])
            for one in self.store.events(selection, **more)
        )

    def history(self, owner: str, source: str, id: str) -> tuple[Entry, ...]:
        return tuple(
            Entry(one.seq, one.sign, self.back(one.event)) for one in self.store.history(self.salt + owner, source, id)
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
    store: UsageStore, salt: str, scenario: Scenario, asked: Sequence[Query], between: Callable[[], None] = lambda: None
) -> list[str]:
    """Run a scenario on a store and on the reference; what they say differently, batch for batch, answer for answer.

    ``between`` is called after each batch: a store may be made to tidy up there.
    """
    judge, under_test = ReferenceStore(), Salted(store, salt)
    found: list[str] = []

    def compare(what: str, wanted: Any, got: Any) -> None:
        if wanted != got:
            found.append(f"{what}:\n  wanted {wanted}\n  got    {got}")

    seqs: list[tuple[int | None, int | None]] = [(None, None)]
    bindings = [Binding(*one) for one in scenario.bound]
    for number, batch in enumerate(scenario.batches):
        if number == 0 or number == len(scenario.batches) - 1:  # some references are bound late
            part = bindings[:2] if number == 0 and len(scenario.batches) > 1 else bindings
            judge.bind(part)
            under_test.bind(part)
        wanted, got = judge.ingest(batch), under_test.ingest(batch)
        compare(f"receipt of batch {number}", said(wanted), said(got))
        seqs.append((wanted.seq, got.seq))
        between()
    for number, query in enumerate(asked):
        for judge_seq, seq in (seqs[0], seqs[1 + number % len(scenario.batches)]):
            compare(
                f"answer as of {judge_seq} to {query}",
                comparable(judge.measure(msgspec.structs.replace(query, as_of_seq=judge_seq))),
                comparable(under_test.measure(msgspec.structs.replace(query, as_of_seq=seq))),
            )
    for owner in ("o", "p"):
        selection = Selection(owner=owner)
        compare(
            f"events of {owner}",
            *([(one.event, one.account) for one in side.events(selection)] for side in (judge, under_test)),
        )
    for event in {event.identity: event for event in _sent(scenario)}.values():
        compare(
            f"history of {event.identity}",
            *([(one.sign, one.event) for one in side.history(*event.identity)] for side in (judge, under_test)),
        )
    return found


def _sent(scenario: Scenario) -> Iterator[Event]:
    for batch in scenario.batches:
        for item in batch:
            if isinstance(item, Event):
                yield item


def same_in_any_order(store: UsageStore, salts: tuple[str, str], scenario: Scenario, query: Query, chance: Any) -> bool:
    """Whether a set of events gives the same bytes in two orders, one with repetitions and other batches."""
    once = list({event.identity: event for event in _sent(scenario)}.values())
    again = once + chance.choices(once, k=len(once)) if once else []
    chance.shuffle(again)
    answers = []
    for salt, sent in zip(salts, (once, again), strict=True):
        side = Salted(store, salt)
        side.bind([Binding(*one) for one in scenario.bound])
        size = chance.randint(1, 6)
        for start in range(0, len(sent), size):
            side.ingest(sent[start : start + size])
        answers.append(repr(comparable(side.measure(query))))
    return answers[0] == answers[1]
