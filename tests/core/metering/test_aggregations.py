"""Every aggregation against a plain second opinion, and at its borders."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billsmith.events.event import Event
from billsmith.metering.aggregations import REFERENCE, Span
from billsmith.metering.measure import Grain, measure
from billsmith.metering.meter import Aggregation, Meter
from billsmith.units.errors import BillsmithError, Invalid, InvalidEvent
from billsmith.units.exact import as_fraction
from billsmith.units.instants import DAY, HOUR, parse_instant
from billsmith.units.periods import Period
from billsmith.units.rounding import Rounding
from tests.support.events import event
from tests.support.laws import EXAMPLES

PERIOD = Period(0, 100)


def meter(aggregation: str, **more: Any) -> Meter:
    return Meter(code="m", event_type="used", aggregation=Aggregation(aggregation), **more)


def total(how: Meter, events: list[Event], period: Period = PERIOD, **more: Any) -> Any:
    (quantity,) = measure(how, events, period, **more)
    return quantity.value


EVENTS = [event("b", 20, "3", x="p"), event("a", 20, "5", x="q"), event("c", 10, "1.5", x="p"), event("d", 99, "-2", x="r")]


@pytest.mark.parametrize(
    ("how", "wanted"),
    [
        (meter("count"), "4"),
        (meter("sum"), "7.5"),
        (meter("max"), "5"),
        (meter("min"), "-2"),
        (meter("average"), "1.875"),
        (meter("latest"), "-2"),
        (meter("unique_count", field="x"), "3"),
        (meter("percentile", percentile=Decimal(50)), "1.5"),
        (meter("percentile", percentile=Decimal("50.01")), "3"),
        (meter("percentile", percentile=Decimal(75)), "3"),
        (meter("percentile", percentile=Decimal(100)), "5"),
        (meter("percentile", percentile=Decimal(0)), "-2"),
        (meter("expression", expression="value * 2 + 1"), "19"),
        # 1.5 for 10, then 9.5 for 79, then 7.5 for 1 of 100
        (meter("time_weighted_sum"), "7.73"),
        (meter("sum", rounding=Rounding.CEILING), "8"),
        (meter("sum", rounding=Rounding.HALF_UP, places=-1), "10"),
        (meter("sum", where={"x": ("p",)}), "4.5"),
        (meter("sum", where={"x": ("p", "r")}), "2.5"),
        (meter("sum", unless={"x": ("p",)}), "3"),
        (meter("sum", where={"y": ("p",)}), "0"),
    ],
)
def test_known_answers(how: Meter, wanted: str) -> None:
    assert total(how, EVENTS) == Decimal(wanted)


@pytest.mark.parametrize("aggregation", [*Aggregation])
def test_without_events_every_aggregation_is_zero(aggregation: Aggregation) -> None:
    more: dict[str, Any] = {"percentile": Decimal(50)} if aggregation is Aggregation.PERCENTILE else {}
    more |= {"expression": "value"} if aggregation is Aggregation.EXPRESSION else {}
    assert total(meter(aggregation, **more), []) == 0


def test_every_aggregation_has_its_reference() -> None:
    assert set(REFERENCE) == set(Aggregation)


def test_the_period_holds_its_start_and_not_its_end() -> None:
    edges = [event(name, time) for name, time in [("a", -1), ("b", 0), ("c", 99), ("d", 100)]]
    assert total(meter("count"), edges) == 2


def test_latest_of_equal_times_is_the_last_by_source_and_id() -> None:
    same = [event("2", 5, "20", source="a"), event("1", 5, "30", source="b"), event("1", 5, "10", source="a")]
    assert total(meter("latest"), same) == 30


def test_a_level_is_carried_into_the_period() -> None:
    how = meter("time_weighted_sum")
    assert total(how, [], carried={(): Decimal(4)}) == 4
    assert total(how, [event("a", 50, "-4")], carried={(): Decimal(4)}) == 2
    assert total(how, [event("a", 50, "-8")], carried={(): Decimal(4)}) == 0


def test_a_third_stays_exact() -> None:
    assert total(meter("average"), [event("a", 1, "1"), event("b", 2, "0"), event("c", 3, "0")]) == Fraction(1, 3)
    assert total(meter("time_weighted_sum"), [event("a", 2, "1")], Period(0, 3)) == Fraction(1, 3)


def day(date: str) -> int:
    return parse_instant(f"{date}T12:00:00Z")


APRIL = Period(parse_instant("2024-04-01T00:00:00Z"), parse_instant("2024-05-01T00:00:00Z"))


@pytest.mark.parametrize(
    ("moves", "carried", "days"),
    [
        ([("+", "2024-04-21")], [], 10),
        ([("+", "2024-04-30")], [], 1),
        ([("+", "2024-04-01")], [], 30),
        ([("+", "2024-04-21"), ("-", "2024-04-21")], [], 1),
        ([("+", "2024-04-10"), ("-", "2024-04-12"), ("+", "2024-04-12"), ("-", "2024-04-13")], [], 4),
        ([("-", "2024-04-05")], ["x"], 5),
        ([("+", "2024-04-05")], ["x"], 30),
        ([("-", "2024-04-05")], [], 0),
        ([], ["x", "y"], 60),
    ],
)
def test_a_prorated_unique_count_counts_days_ends_included(moves: list[tuple[str, str]], carried: list[str], days: int) -> None:
    events = [
        event(index, day(date), thing="x", operation="add" if sign == "+" else "remove")
        for index, (sign, date) in enumerate(moves)
    ]
    how = meter("unique_count_prorated", field="thing")
    (quantity,) = measure(how, events, APRIL, carried={(): frozenset(carried)})
    assert quantity.value == Fraction(days, 30)
    assert quantity.full == len({*carried, *("x" for sign, _ in moves if sign == "+")})


def test_the_day_of_removal_may_not_count() -> None:
    how = meter("unique_count_prorated", field="thing", removal_day_counts=False)
    events = [event(1, day("2024-04-10"), thing="x"), event(2, day("2024-04-12"), thing="x", operation="remove")]
    assert total(how, events, APRIL) == Fraction(2, 30)


def test_prorated_days_are_the_zones() -> None:
    """20:00 UTC on the 20th is the 21st in Tokyo."""
    how = meter("unique_count_prorated", field="thing")
    tokyo = Period(parse_instant("2024-03-31T15:00:00Z"), parse_instant("2024-04-30T15:00:00Z"))
    assert total(how, [event(1, parse_instant("2024-04-20T20:00:00Z"), thing="x")], tokyo, zone="Asia/Tokyo") == Fraction(
        10, 30
    )


def test_groups_and_windows() -> None:
    events = [
        event(1, 5, "1", r="eu"),
        event(2, HOUR, "2", r="eu"),
        event(3, HOUR + 5, "4", r="us"),
        event(4, HOUR + 6, "8", r="eu"),
    ]
    how = meter("sum", group_by=("r",))
    by_group = measure(how, events, Period(0, DAY))
    assert [(part.dimensions, part.value, part.events) for part in by_group] == [({"r": "eu"}, 11, 3), ({"r": "us"}, 4, 1)]
    by_hour = measure(how, events, Period(0, DAY), grain=Grain.HOUR)
    assert [(part.dimensions["r"], part.start, part.value) for part in by_hour] == [
        ("eu", 0, 1),
        ("eu", HOUR, 10),
        ("us", HOUR, 4),
    ]
    each = measure(how, events, Period(0, DAY), grain=Grain.EVENT)
    assert [part.value for part in each] == [1, 2, 4, 8]
    assert measure(how, [], Period(0, DAY)) == ()


def test_days_are_those_of_the_zone_also_when_clocks_change() -> None:
    """Amsterdam's 31 March 2024 has 23 hours."""
    march = Period(parse_instant("2024-03-29T23:00:00Z"), parse_instant("2024-04-01T22:00:00Z"))
    hours = [event(index, march.start + index * HOUR) for index in range((march.end - march.start) // HOUR)]
    days = measure(meter("count"), hours, march, grain=Grain.DAY, zone="Europe/Amsterdam")
    assert [part.value for part in days] == [24, 23, 24]


def test_the_level_goes_through_all_windows() -> None:
    how = meter("time_weighted_sum")
    windows = measure(how, [event(1, HOUR + HOUR // 2, "2")], Period(0, 3 * HOUR), grain=Grain.HOUR, carried={(): Decimal(1)})
    assert [part.value for part in windows] == [1, 2, 3]


@pytest.mark.parametrize(
    ("how", "code"),
    [
        (meter("sum", field="gb"), "event.no_number"),
        (meter("sum", field="word"), "number.syntax"),
        (meter("unique_count", field="gb"), "event.no_text"),
        (meter("expression", expression="value * gb"), "event.no_number"),
    ],
)
def test_an_event_that_lacks_what_is_counted_is_named(how: Meter, code: str) -> None:
    with pytest.raises(BillsmithError) as error:
        total(how, [event("e7", 1, word="many")])
    assert error.value.code == code
    assert "e7" in str(error.value) or isinstance(error.value, InvalidEvent)


@pytest.mark.parametrize(
    "wrong",
    [
        {"aggregation": Aggregation.PERCENTILE},
        {"percentile": Decimal(5)},
        {"aggregation": Aggregation.PERCENTILE, "percentile": Decimal(101)},
        {"aggregation": Aggregation.EXPRESSION},
        {"expression": "1"},
        {"aggregation": Aggregation.EXPRESSION, "expression": "1 +"},
    ],
)
def test_a_meter_that_cannot_be_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        Meter(code="m", event_type="used", **wrong)


def test_a_prorated_count_has_no_windows() -> None:
    with pytest.raises(Invalid) as error:
        measure(meter("unique_count_prorated", field="x"), EVENTS, PERIOD, grain=Grain.HOUR)
    assert error.value.code == "meter.prorated_windows"


def _level(values: list[tuple[int, Fraction]]) -> Fraction:
    """The mean level, instant by instant."""
    return (
        sum((sum((value for time, value in values if time <= instant), Fraction(0)) for instant in range(100)), Fraction(0))
        / 100
    )


def _nearest_rank(values: list[Fraction], percent: int) -> Fraction:
    return min(value for value in values if 100 * sum(other <= value for other in values) >= percent * len(values))


JUDGES: dict[str, Callable[[list[tuple[int, Fraction]]], Fraction]] = {
    "count": lambda values: Fraction(len(values)),
    "sum": lambda values: sum((value for _, value in values), Fraction(0)),
    "max": lambda values: max((value for _, value in values), default=Fraction(0)),
    "min": lambda values: min((value for _, value in values), default=Fraction(0)),
    "average": lambda values: sum((value for _, value in values), Fraction(0)) / len(values) if values else Fraction(0),
    "unique_count": lambda values: Fraction(len({value for _, value in values})),
    "latest": lambda values: values[-1][1] if values else Fraction(0),
    "time_weighted_sum": _level,
    "percentile": lambda values: _nearest_rank([value for _, value in values], 37) if values else Fraction(0),
    "expression": lambda values: sum((value * value - value / 3 for _, value in values), Fraction(0)),
}


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.integers(0, 2**64 - 1), st.sampled_from(sorted(JUDGES)))
def test_order_and_repetition_do_not_matter_and_a_second_opinion_agrees(seed: int, aggregation: str) -> None:
    random = Random(seed)
    events = [
        event(
            index,
            random.choice([0, 10, 99, random.randint(-5, 104)]),
            str(Decimal(random.randint(-30, 30)).scaleb(-1)),
            source=random.choice("st"),
        )
        for index in range(random.randint(0, 6))
    ]
    more = {"percentile": {"percentile": Decimal(37)}, "expression": {"expression": "value * value - value / 3"}}
    how = meter(aggregation, **more.get(aggregation, {}))
    answer = measure(how, events, PERIOD)
    again = random.choices(events, k=9) + random.sample(events, len(events)) if events else []
    assert measure(how, again, PERIOD) == answer
    inside = sorted((one for one in events if 0 <= one.time < 100), key=lambda one: (one.time, one.source, one.id))
    assert as_fraction(answer[0].value) == JUDGES[aggregation]([(one.time, Fraction(one.value)) for one in inside])


def test_a_reference_that_took_arrival_order_would_be_seen() -> None:
    """The negative control: latest by arrival differs on the same events in another order."""
    same = [event("2", 5, "20"), event("1", 5, "10")]
    how, span = meter("latest"), Span(PERIOD)
    by_arrival = {REFERENCE[Aggregation.LATEST](order, how, span) for order in (same, same[::-1])}
    assert len(by_arrival) == 2
    assert len({total(how, order) for order in (same, same[::-1])}) == 1


def test_stated_amounts_are_summed_and_a_missing_dimension_is_empty() -> None:
    how = meter("sum", group_by=("r",), amount_field="fee")
    events = [event("1", 5, "2", fee="0.10"), event("2", 6, "3", fee="0.20", r="eu"), event("3", 7, "4", fee="0.05")]
    assert [(part.dimensions, part.value, part.amount) for part in measure(how, events, PERIOD)] == [
        ({"r": ""}, 6, Decimal("0.15")),
        ({"r": "eu"}, 3, Decimal("0.20")),
    ]
    each = measure(how, events, PERIOD, grain=Grain.EVENT)
    assert [(part.dimensions, part.amount, part.start) for part in each] == [
        ({"r": ""}, Decimal("0.10"), 5),
        ({"r": "eu"}, Decimal("0.20"), 6),
        ({"r": ""}, Decimal("0.05"), 7),
    ]
    plain = meter("sum", group_by=("r",))
    assert [part.amount for part in measure(plain, events, PERIOD)] == [None, None]
    assert [part.full for part in measure(plain, events, PERIOD)] == [None, None]


@pytest.mark.parametrize(("grain", "length"), [(Grain.HOUR, HOUR), (Grain.MINUTE, HOUR // 60)])
def test_windows_are_counted_from_the_periods_start_and_the_last_may_be_short(grain: Grain, length: int) -> None:
    start = 7 * length + length // 3
    period = Period(start, start + 2 * length + length // 2)
    edges = [start, start + length - 1, start + length, period.end - 1]
    windows = measure(meter("count"), [event(index, time) for index, time in enumerate(edges)], period, grain=grain)
    assert [(part.start, part.value) for part in windows] == [(start, 2), (start + length, 1), (start + 2 * length, 1)]
    level = measure(meter("time_weighted_sum"), [], period, grain=grain, carried={(): Decimal(3)})
    assert [(part.start, part.value) for part in level] == [(start + index * length, 3) for index in range(3)]


def test_the_last_window_s_level_is_of_its_own_length() -> None:
    period = Period(0, HOUR + HOUR // 2)
    windows = measure(meter("time_weighted_sum"), [event(1, HOUR + HOUR // 4, "2")], period, grain=Grain.HOUR)
    assert [part.value for part in windows] == [0, 1]


def test_days_where_clocks_fall_back_over_midnight() -> None:
    """St John's, 2010: at 00:01 on the 7th clocks went back to 23:01 of the 6th. The 7th had begun: all after belongs to it."""
    days = Period(parse_instant("2010-11-06T02:30:00Z"), parse_instant("2010-11-08T03:30:00Z"))
    after = event(1, parse_instant("2010-11-07T02:45:00Z"), value="5")
    later = event(2, parse_instant("2010-11-07T12:00:00Z"), value="7")
    for how in ("sum", "max"):
        (found,) = measure(meter(how), [after, later], days, grain=Grain.DAY, zone="America/St_Johns")
        assert (found.start, found.events) == (parse_instant("2010-11-07T02:30:00Z"), 2)
    first, second = measure(meter("time_weighted_sum"), [after], days, grain=Grain.DAY, zone="America/St_Johns")
    assert (first.value, second.events) == (0, 1)


def test_a_day_begun_twice_is_one_day_of_presence() -> None:
    days = Period(parse_instant("2010-11-06T02:30:00Z"), parse_instant("2010-11-08T03:30:00Z"))
    how = meter("unique_count_prorated", field="thing")
    came = event(1, parse_instant("2010-11-07T02:45:00Z"), thing="x")
    assert total(how, [came], days, zone="America/St_Johns") == Fraction(1, 2)


def test_days_of_a_carried_level_are_the_zones() -> None:
    how = meter("time_weighted_sum")
    tokyo = Period(parse_instant("2024-03-31T15:00:00Z"), parse_instant("2024-04-02T15:00:00Z"))
    windows = measure(how, [], tokyo, grain=Grain.DAY, zone="Asia/Tokyo", carried={(): Decimal(2)})
    assert [(part.start, part.value) for part in windows] == [(tokyo.start, 2), (tokyo.start + DAY, 2)]


def test_a_carried_presence_is_counted_in_the_zone() -> None:
    """The day on which x went is the zone's 6th, so it was there for six of thirty days."""
    how = meter("unique_count_prorated", field="thing")
    tokyo = Period(parse_instant("2024-03-31T15:00:00Z"), parse_instant("2024-04-30T15:00:00Z"))
    gone = event(1, parse_instant("2024-04-05T20:00:00Z"), thing="x", operation="remove")
    assert total(how, [gone], tokyo, zone="Asia/Tokyo", carried={(): frozenset({"x"})}) == Fraction(6, 30)


def test_two_things_on_the_same_days_are_two() -> None:
    how = meter("unique_count_prorated", field="thing")
    moves = [
        ("x", "add", "2024-04-10"),
        ("y", "add", "2024-04-10"),
        ("x", "remove", "2024-04-12"),
        ("y", "remove", "2024-04-12"),
    ]
    events = [event(index, day(date), thing=thing, operation=what) for index, (thing, what, date) in enumerate(moves)]
    assert total(how, events, APRIL) == Fraction(6, 30)


def test_a_period_that_ends_a_nanosecond_into_a_day_has_that_day() -> None:
    how = meter("unique_count_prorated", field="thing")
    longer = Period(APRIL.start, APRIL.end + 1)
    assert total(how, [], longer, carried={(): frozenset({"x"})}) == 1
    assert total(how, [event(1, day("2024-04-30"), thing="x")], longer) == Fraction(2, 31)


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (
            lambda: total(meter("sum", field="gb"), [event("e7", 1)]),
            "gb: event s/e7 has no 'gb' to count with. Send it, or filter such events out [event.no_number]",
        ),
        (
            lambda: total(meter("unique_count", field="gb"), [event("e7", 1)]),
            "gb: event s/e7 has no 'gb' to tell it by. Send it, or filter such events out [event.no_text]",
        ),
        (lambda: total(meter("sum", field="gb"), [event("e7", 1, gb="x")]), "s/e7.gb: 'x' is not a decimal number such as 12.50 [number.syntax]"),
        (
            lambda: measure(meter("unique_count_prorated", field="x"), EVENTS, PERIOD, grain=Grain.HOUR),
            "a prorated unique count is of the whole period; it has no windows. Use unique_count, or the grain total "
            "[meter.prorated_windows]",
        ),
        (
            lambda: meter("percentile"),
            "percentile: percentile is given for the aggregation percentile, and only there [meter.percentile]",
        ),
        (lambda: meter("percentile", percentile=Decimal(101)), "percentile: a percentile is from 0 to 100 [meter.percentile_range]"),
        (lambda: meter("percentile", percentile=Decimal(-1)), "percentile: a percentile is from 0 to 100 [meter.percentile_range]"),
        (
            lambda: meter("expression"),
            "expression: expression is given for the aggregation expression, and only there [meter.expression]",
        ),
    ],
)  # fmt: skip
def test_a_fault_is_told_in_full(act: Callable[[], object], words: str) -> None:
    with pytest.raises(BillsmithError) as error:
        act()
    assert str(error.value) == words
