"""Which part of which period is owed, and what a run bills of it."""

from __future__ import annotations

import itertools
from collections import defaultdict
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billsmith.catalog.catalog import Catalog
from billsmith.catalog.offer import AddOn, Alignment, Fee, Plan, Proration, Timing, UsageCharge
from billsmith.metering.meter import Meter
from billsmith.rating.models.flat import Flat
from billsmith.rating.models.per_unit import PerUnit
from billsmith.subscriptions.spans import charged_share, fee_spans, fees_to_bill, usage_spans
from billsmith.subscriptions.subscription import (
    AddAddOn,
    ChangePlan,
    ChangeQuantity,
    DropAddOn,
    End,
    EndTrial,
    Pause,
    PlanRef,
    Resume,
    Subscription,
    changed,
    known,
)
from billsmith.subscriptions.timeline import ends_at, timeline
from billsmith.units.calendar import Interval, Unit, billing_day
from billsmith.units.errors import Invalid
from billsmith.units.instants import DAY, format_instant, parse_instant
from billsmith.units.periods import Period
from tests.support.laws import EXAMPLES

ZONE = "Europe/Amsterdam"


def fee(code, amount="10", **options):
    return Fee(code=code, price=Flat(amount=Decimal(amount)), **options)


CATALOG = Catalog(
    code="test",
    currency="EUR",
    meters=(Meter(code="calls", event_type="call", unit="calls"),),
    plans=(
        Plan(
            code="monthly",
            alignment=Alignment.CALENDAR,
            fees=(
                fee("base"),
                fee("seats", quantity=Decimal(1)),
                fee("support", timing=Timing.ARREARS),
                fee("setup", recurs=False),
                fee("domain", proration=Proration.NONE),
            ),
            charges=(UsageCharge(meter="calls", price=PerUnit(unit_amount=Decimal("0.1"))),),
        ),
        Plan(
            code="yearly",
            interval=Interval(Unit.YEAR),
            fees=(fee("base", "100"),),
            charges=(UsageCharge(meter="calls", interval=Interval(Unit.MONTH), price=PerUnit(unit_amount=Decimal("0.1"))),),
        ),
        Plan(code="trial", alignment=Alignment.CALENDAR, trial_days=7, fees=(fee("base"),)),
        Plan(code="seconds", fees=(fee("base", proration=Proration.SECOND),)),
    ),
    add_ons=(AddOn(code="extra", fees=(fee("extra"),)),),
)


def at(text):
    return parse_instant(f"{text}:00Z" if "T" in text else f"{text}T00:00:00Z")


def subscription(plan="monthly", start="2026-09-30T22:00", *changes, **options):
    held = Subscription(id="s", account="a", plan=PlanRef(plan), starts_at=at(start), zone=ZONE, **options)
    return changed(held, *changes)


def day(instant):
    """The date in Amsterdam, where periods begin at midnight."""
    return billing_day(instant, ZONE).strftime("%d.%m.")


def told(spans, *codes):
    return [
        f"{span.fee.code} {span.quantity} {day(span.part.start)}-{day(span.part.end)} {span.share}"
        for span in spans
        if not codes or span.fee.code in codes
    ]


def test_a_first_run_bills_advance_now_and_arrears_at_the_periods_end():
    first = fees_to_bill(subscription(), CATALOG, None, at("2026-09-30T22:00"))
    assert told(first) == [
        "setup 1 01.10.-01.10. 1",
        "base 1 01.10.-01.11. 1",
        "seats 1 01.10.-01.11. 1",
        "domain 1 01.10.-01.11. 1",
    ]
    assert told(fees_to_bill(subscription(), CATALOG, at("2026-09-30T22:00"), at("2026-10-31T23:00"))) == [
        "support 1 01.10.-01.11. 1",
        "base 1 01.11.-01.12. 1",
        "seats 1 01.11.-01.12. 1",
        "domain 1 01.11.-01.12. 1",
    ]


def test_a_span_says_whose_it_is_and_when_it_was_due():
    advance, arrears = (
        next(span for span in fee_spans(subscription(), CATALOG, at("2026-11-05")) if span.fee.code == code)
        for code in ("base", "support")
    )
    assert (advance.subscription, advance.offer, format_instant(advance.due_at)) == (
        "s",
        PlanRef("monthly"),
        "2026-09-30T22:00:00Z",
    )
    assert format_instant(arrears.due_at) == "2026-10-31T23:00:00Z"
    (usage,) = usage_spans(subscription(), CATALOG, None, at("2026-10-31T23:00"))
    assert usage_spans(subscription(), CATALOG, None, at("2026-10-31T23:00") - 1) == ()
    assert usage_spans(subscription(), CATALOG, at("2026-10-31T23:00"), at("2026-11-05")) == ()
    assert (usage.offer, usage.due_at) == (PlanRef("monthly"), arrears.due_at)


def test_nothing_is_due_a_moment_before_the_period_begins():
    one_before = at("2026-10-31T23:00") - 1
    assert fees_to_bill(subscription(), CATALOG, at("2026-09-30T22:00"), one_before) == ()
    assert fees_to_bill(subscription(), CATALOG, at("2026-10-31T23:00"), at("2026-10-31T23:00")) == ()


def test_a_start_in_the_middle_is_prorated_and_what_is_not_prorated_is_whole():
    spans = fees_to_bill(subscription(start="2026-10-20T10:00"), CATALOG, None, at("2026-10-20T10:00"))
    assert told(spans, "base", "domain") == ["base 1 20.10.-01.11. 12/31", "domain 1 20.10.-01.11. 1"]


STORY = [
    # what changes (known at once unless said), between which runs, and what the second run bills of base, seats and extra
    (
        [ChangeQuantity(at=at("2026-10-11T09:00"), recorded_at=at("2026-10-11T09:00"), component="seats", quantity=Decimal(3))],
        "2026-10-01",
        "2026-10-12",
        ["seats 1 11.10.-01.11. -21/31", "seats 3 11.10.-01.11. 21/31"],
    ),
    # two changes on one day: only the last one counts, by day
    (
        [
            ChangeQuantity(at=at("2026-10-11T09:00"), recorded_at=1, component="seats", quantity=Decimal(3)),
            ChangeQuantity(at=at("2026-10-11T10:00"), recorded_at=1, component="seats", quantity=Decimal(4)),
        ],
        None,
        "2026-10-12",
        ["base 1 01.10.-01.11. 1", "seats 1 01.10.-11.10. 10/31", "seats 4 11.10.-01.11. 21/31"],
    ),
    # three changes in one period
    (
        [
            ChangeQuantity(at=at("2026-10-11T09:00"), recorded_at=1, component="seats", quantity=Decimal(3)),
            AddAddOn(at=at("2026-10-21T09:00"), recorded_at=1, add_on=PlanRef("extra")),
            DropAddOn(at=at("2026-10-30T09:00"), recorded_at=1, code="extra"),
        ],
        None,
        "2026-10-31",
        [
            "base 1 01.10.-01.11. 1",
            "seats 1 01.10.-11.10. 10/31",
            "seats 3 11.10.-01.11. 21/31",
            "extra 1 21.10.-30.10. 9/31",
        ],
    ),
    # another interval: the rest is credited, a whole new period begins
    (
        [ChangePlan(at=at("2026-10-11T09:00"), recorded_at=at("2026-10-11T09:00"), plan=PlanRef("yearly"))],
        "2026-10-01",
        "2026-10-12",
        ["base 1 11.10.-01.11. -21/31", "seats 1 11.10.-01.11. -21/31", "base 1 11.10.-11.10. 1"],
    ),
    # dated ahead: billed in two parts, without a credit
    (
        [ChangeQuantity(at=at("2026-10-11T09:00"), recorded_at=1, component="seats", quantity=Decimal(3))],
        None,
        "2026-10-01",
        ["base 1 01.10.-01.11. 1", "seats 1 01.10.-11.10. 10/31"],
    ),
    # dated back: the run after we learn of it corrects
    (
        [ChangeQuantity(at=at("2026-10-11T09:00"), recorded_at=at("2026-11-20"), component="seats", quantity=Decimal(3))],
        "2026-11-05",
        "2026-11-21",
        [
            "seats 1 11.10.-01.11. -21/31",
            "seats 1 01.11.-01.12. -1",
            "seats 3 11.10.-01.11. 21/31",
            "seats 3 01.11.-01.12. 1",
        ],
    ),
    # an end in the middle; its day doesn't count, unless it does
    (
        [End(at=at("2026-10-16T09:00"), recorded_at=at("2026-10-16T09:00"))],
        "2026-10-01",
        "2026-11-05",
        ["base 1 16.10.-01.11. -16/31", "seats 1 16.10.-01.11. -16/31"],
    ),
    (
        [End(at=at("2026-10-16T09:00"), recorded_at=at("2026-10-16T09:00"), day_counts=True)],
        "2026-10-01",
        "2026-11-05",
        ["base 1 17.10.-01.11. -15/31", "seats 1 17.10.-01.11. -15/31"],
    ),
    # an end that was taken back
    (
        [
            End(at=at("2026-10-16T09:00"), recorded_at=1),
            End(at=at("2030-01-01"), recorded_at=at("2026-11-03")),
        ],
        "2026-11-02",
        "2026-11-04",
        [
            "base 1 16.10.-01.11. 16/31",
            "seats 1 16.10.-01.11. 16/31",
            "base 1 01.11.-01.12. 1",
            "seats 1 01.11.-01.12. 1",
        ],
    ),
    # a pause
    (
        [Pause(at=at("2026-10-11T09:00"), recorded_at=1), Resume(at=at("2026-10-21T09:00"), recorded_at=1)],
        None,
        "2026-10-31",
        [
            "base 1 01.10.-11.10. 10/31",
            "base 1 21.10.-01.11. 11/31",
            "seats 1 01.10.-11.10. 10/31",
            "seats 1 21.10.-01.11. 11/31",
        ],
    ),
]


@pytest.mark.parametrize(("changes", "since", "until", "expected"), STORY)
def test_what_a_run_bills_after_changes(changes, since, until, expected):
    held = subscription("monthly", "2026-09-30T22:00", *changes)
    spans = fees_to_bill(held, CATALOG, since and at(since), at(until))
    assert told(spans, "base", "seats", "extra") == expected


def test_what_is_not_prorated_is_billed_whole_once_a_period_whatever_changes():
    more = ChangeQuantity(
        at=at("2026-10-11T09:00"), recorded_at=at("2026-10-11T09:00"), component="domain", quantity=Decimal(3)
    )
    ended = End(at=at("2026-11-11T09:00"), recorded_at=at("2026-11-11T09:00"))
    held = subscription("monthly", "2026-09-30T22:00", more, ended)
    assert told(fees_to_bill(held, CATALOG, None, at("2026-12-24")), "domain") == [
        "domain 1 01.10.-01.11. 1",
        "domain 3 01.11.-11.11. 1",
    ]
    assert told(fees_to_bill(held, CATALOG, at("2026-11-05"), at("2026-12-24")), "domain") == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ([], ["base 1 08.10.-01.11. 24/31"]),
        ([EndTrial(at=at("2026-10-04T12:00"))], ["base 1 04.10.-01.11. 28/31"]),
        ([EndTrial(at=at("2026-10-30T12:00"))], ["base 1 30.10.-01.11. 2/31"]),
        ([End(at=at("2026-10-05"))], []),
    ],
)
def test_a_trial_keeps_fees_off(changes, expected):
    held = subscription("trial", "2026-10-01T10:00", *changes)
    assert told(fees_to_bill(held, CATALOG, None, at("2026-10-31"))) == expected


def test_periods_by_second_may_begin_at_the_very_instant():
    held = subscription("seconds", "2026-10-20T10:00", anchor_to_instant=True)
    (span,) = fees_to_bill(held, CATALOG, None, at("2026-10-20T10:00"))
    assert (span.share, format_instant(span.whole.end)) == (1, "2026-11-20T11:00:00Z")
    (span,) = fees_to_bill(subscription("seconds", "2026-10-20T10:00"), CATALOG, None, at("2026-10-20T10:00"))
    assert span.share == Fraction(span.whole.end - at("2026-10-20T10:00"), span.whole.length)


def test_usage_of_a_yearly_plan_is_billed_by_the_month():
    spans = usage_spans(subscription("yearly", "2026-01-30T23:00"), CATALOG, None, at("2026-04-05"))
    assert [f"{day(span.part.start)}-{day(span.part.end)}" for span in spans] == ["31.01.-28.02.", "28.02.-31.03."]


def test_usage_is_cut_where_the_plan_changes_and_goes_on_through_pauses_and_seats():
    changes = [
        ChangeQuantity(at=at("2026-10-05"), component="seats", quantity=Decimal(9)),
        Pause(at=at("2026-10-07")),
        ChangePlan(at=at("2026-10-11T09:00"), plan=PlanRef("yearly")),
    ]
    spans = usage_spans(subscription("monthly", "2026-09-30T22:00", *changes), CATALOG, None, at("2026-11-12"))
    assert [(span.offer.code, day(span.part.start), day(span.part.end)) for span in spans] == [
        ("monthly", "01.10.", "11.10."),
        ("yearly", "11.10.", "11.11."),
    ]


def test_a_minimum_is_prorated_by_the_time_in_which_fees_ran():
    october = Period(at("2026-09-30T22:00"), at("2026-10-31T23:00"))
    paused = subscription("monthly", "2026-10-05", Pause(at=at("2026-10-11T09:00")), Resume(at=at("2026-10-21T09:00")))
    assert charged_share(paused, CATALOG, october, october) == Fraction(6 + 11, 31)
    assert charged_share(subscription(), CATALOG, october, october) == 1
    until_the_15th = Period(october.start, at("2026-10-14T22:00"))
    assert charged_share(paused, CATALOG, until_the_15th, october) == Fraction(6, 31)


def test_what_was_known_can_be_told_for_ever():
    held = subscription("monthly", "2026-10-01", Pause(at=at("2026-10-11"), recorded_at=at("2026-10-20")), recorded_at=5)
    assert known(held, 4) is None
    assert known(held, 5) is not None
    assert known(held, at("2026-10-20") - 1).changes == ()
    assert known(held, at("2026-10-20")) == held


def test_the_later_record_of_two_ends_counts():
    early, late = End(at=at("2026-10-20"), recorded_at=2), End(at=at("2026-10-25"), recorded_at=3)
    assert ends_at(subscription("monthly", "2026-10-01", late, early)) == at("2026-10-25")


@pytest.mark.parametrize(
    "make",
    [
        lambda: subscription("monthly", "2026-10-01", Pause(at=at("2026-09-30"))),
        lambda: ChangeQuantity(at=0, component="seats", quantity=Decimal(-1)),
        lambda: ChangeQuantity(at=0, component="seats", quantity=1.5),
        lambda: subscription(quantities={"seats": Decimal("NaN")}),
    ],
)
def test_refused(make):
    with pytest.raises(Invalid) as caught:
        make()
    assert caught.value.code.startswith("subscription.")


# --- laws

start = at("2026-03-10T10:00")
moments = st.integers(start, start + 200 * DAY)
quantities = st.integers(0, 4).map(Decimal)
recorded = st.integers(start - 20 * DAY, start + 200 * DAY)
any_change = st.one_of(
    st.builds(
        ChangeQuantity, at=moments, recorded_at=recorded, component=st.sampled_from(["seats", "base"]), quantity=quantities
    ),
    st.builds(ChangePlan, at=moments, recorded_at=recorded, plan=st.sampled_from(["monthly", "yearly", "trial"]).map(PlanRef)),
    st.builds(AddAddOn, at=moments, recorded_at=recorded, add_on=st.just(PlanRef("extra"))),
    st.builds(DropAddOn, at=moments, recorded_at=recorded, code=st.just("extra")),
    st.builds(Pause, at=moments, recorded_at=recorded),
    st.builds(Resume, at=moments, recorded_at=recorded),
    st.builds(EndTrial, at=moments, recorded_at=recorded),
    st.builds(End, at=moments, recorded_at=recorded, day_counts=st.booleans()),
)
histories = st.builds(
    lambda plan, zone, changes: changed(
        Subscription(id="s", account="a", plan=PlanRef(plan), starts_at=start, zone=zone), *changes
    ),
    st.sampled_from(["monthly", "yearly", "trial", "seconds"]),
    st.sampled_from(["UTC", ZONE, "America/St_Johns", "Pacific/Apia"]),
    st.lists(any_change, max_size=5),
)


def owed(spans):
    """What spans come to, for each fee, offer, quantity and period."""
    sums = defaultdict(Fraction)
    for span in spans:
        sums[span.fee.code, span.offer, 0 if span.is_whole else span.quantity, span.whole] += span.share
    return {key: value for key, value in sums.items() if value}


@settings(max_examples=EXAMPLES, deadline=None)
@given(histories, st.lists(moments, min_size=1, max_size=4))
def test_the_sum_of_all_runs_is_what_is_owed_in_the_end(held, runs):
    """Whatever is dated back or ahead, and whenever runs take place."""
    runs = sorted(runs)
    billed = []
    for since, until in zip([None, *runs], runs, strict=False):
        billed += fees_to_bill(held, CATALOG, since, until)
    in_the_end = fee_spans(known(held, runs[-1]), CATALOG, runs[-1])
    assert owed(billed) == owed(in_the_end)


def test_the_law_sees_runs_that_forget_what_they_knew():
    """The negative control: billing what newly falls due, without taking back what changed, does not come to what is owed."""
    held = subscription("monthly", "2026-09-30T22:00", *STORY[0][0])
    runs = [at("2026-10-01"), at("2026-10-12")]
    naive = list(fee_spans(known(held, runs[0]), CATALOG, runs[0]))
    naive += [span for span in fee_spans(known(held, runs[1]), CATALOG, runs[1]) if span.due_at > runs[0]]
    assert owed(naive) != owed(fee_spans(held, CATALOG, runs[1]))


@settings(max_examples=EXAMPLES, deadline=None)
@given(histories)
def test_a_life_has_no_gap_and_no_period_is_charged_more_than_once(held):
    segments = timeline(held, CATALOG)
    for earlier, later in itertools.pairwise(segments):
        assert earlier.period.end == later.period.start
    shares = defaultdict(Fraction)
    for span in fee_spans(held, CATALOG, start + 300 * DAY):
        assert span.share > 0
        shares[span.fee.code, span.offer.code, span.whole] += 0 if span.is_whole else span.share
    assert all(value <= 1 for value in shares.values())


@settings(max_examples=EXAMPLES, deadline=None)
@given(histories, st.lists(moments, min_size=2, max_size=4))
def test_usage_is_charged_once_without_gap(held, runs):
    """The parts of all runs are the parts of one, and within an offer they follow each other."""
    runs = sorted(runs)
    parts = [
        span for since, until in zip([None, *runs], runs, strict=False) for span in usage_spans(held, CATALOG, since, until)
    ]
    once = usage_spans(held, CATALOG, None, runs[-1])
    assert sorted(parts, key=lambda span: span.part) == sorted(once, key=lambda span: span.part)
    ordered = sorted(span.part for span in once)
    assert all(earlier.end <= later.start for earlier, later in itertools.pairwise(ordered))
