"""Grants burn by priority, expiry, age and id; they end, are voided, are filled up; nothing is lost or made."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billsmith.ledger.wallets import Grant, Recur, Use, recurrences, replay, take
from billsmith.units.calendar import Interval, Unit, anniversary_at
from billsmith.units.errors import Invalid
from billsmith.units.instants import DAY
from tests.support.laws import EXAMPLES
from tests.support.numbers import decimals

D = Decimal


def grant(name, amount=100, **options):
    return Grant(id=name, amount=D(amount), **options)


def use(amount, at=1, **options):
    return Use(at=at, amount=D(amount), **options)


def left(state):
    return {name: int(balance) for name, balance in state.balances.items()}, int(state.overage)


@pytest.mark.parametrize(
    ("grants", "events", "balances", "overage"),
    [
        ([], [use(50)], {}, 50),
        ([grant("a")], [], {"a": 100}, 0),
        ([grant("a")], [use(100)], {"a": 0}, 0),
        ([grant("a")], [use(101)], {"a": 0}, 1),
        ([grant("a", priority=2), grant("b", priority=1)], [use(120)], {"a": 80, "b": 0}, 0),
        ([grant("a"), grant("b", expires_at=50)], [use(30)], {"a": 100, "b": 70}, 0),
        ([grant("a", expires_at=51), grant("b", expires_at=50)], [use(30)], {"a": 100, "b": 70}, 0),
        ([grant("a", effective_at=1), grant("b", effective_at=0)], [use(30)], {"a": 100, "b": 70}, 0),
        ([grant("b"), grant("a")], [use(30)], {"a": 70, "b": 100}, 0),
        # priority before expiry
        ([grant("a", priority=1), grant("b", priority=2, expires_at=50)], [use(30)], {"a": 70, "b": 100}, 0),
        # the end is exclusive
        ([grant("a", expires_at=50)], [use(30, at=49)], {"a": 70}, 0),
        ([grant("a", expires_at=10)], [use(30, at=10)], {"a": 0}, 30),
        ([grant("a", voided_at=10)], [use(30, at=9), use(30, at=10)], {"a": 0}, 30),
        # the start is inclusive
        ([grant("a", effective_at=10)], [use(30, at=10)], {"a": 70}, 0),
        ([grant("a", effective_at=10)], [use(30, at=9)], {"a": 100}, 30),
        # scope
        ([grant("a", scope=frozenset({"calls"}))], [use(30, what="calls"), use(5, what="gb")], {"a": 70}, 5),
        ([grant("a", scope=frozenset({"calls"})), grant("b")], [use(130, what="calls")], {"a": 0, "b": 70}, 0),
        # filled up
        ([grant("a")], [use(30), Recur(at=5, grant="a"), use(10, at=5)], {"a": 90}, 0),
        ([grant("a", rollover=D(20))], [use(30), Recur(at=5, grant="a")], {"a": 120}, 0),
        ([grant("a", rollover=D(20))], [use(90), Recur(at=5, grant="a")], {"a": 110}, 0),
        ([grant("a", expires_at=5)], [Recur(at=5, grant="a")], {"a": 0}, 0),
    ],
)
def test_burn_down(grants, events, balances, overage):
    assert left(replay(grants, events, until=49)) == (balances, overage)


def test_overage_is_paid_by_the_next_filling_up_only_where_it_carries():
    events = [use(120), Recur(at=5, grant="a")]
    assert left(replay([grant("a")], events, overage_carries=True)) == ({"a": 80}, 0)
    assert left(replay([grant("a")], events)) == ({"a": 100}, 20)


def test_overage_of_a_meter_is_carried_only_to_a_grant_for_it():
    grants = [grant("calls", effective_at=5, scope=frozenset({"calls"})), grant("gb", effective_at=6, scope=frozenset({"gb"}))]
    state = replay(grants, [use(30, what="gb")], overage_carries=True)
    assert left(state) == ({"calls": 100, "gb": 70}, 0)


def test_a_schedule_fills_up_at_its_boundaries_while_the_grant_lives():
    daily = anniversary_at(Interval(Unit.DAY), 0, "UTC")
    recurring = grant("a", recurrence=daily, expires_at=3 * DAY)
    assert recurrences([recurring], 10 * DAY) == [Recur(at=DAY, grant="a"), Recur(at=2 * DAY, grant="a")]
    assert [event.at for event in recurrences([recurring], DAY)] == [DAY]
    assert recurrences([recurring], DAY - 1) == []


def test_the_trace_says_which_grant_paid_for_what():
    state = replay([grant("a", 5), grant("b", 5, priority=1)], [use(7, reference="INV-1")])
    assert [(burn.at, burn.grant, burn.amount, burn.balance, burn.reference) for burn in state.burns] == [
        (1, "a", 5, 0, "INV-1"),
        (1, "b", 2, 3, "INV-1"),
    ]


def test_what_expires_is_a_loss():
    losses = replay([grant("a", expires_at=9)], [use(30)]).losses
    assert [(loss.grant, loss.at, loss.amount) for loss in losses] == [("a", 9, 70)]


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda: grant("a", -1), "wallet.amount"),
        (lambda: Grant(id="a", amount=1.5), "wallet.amount"),
        (lambda: grant("a", rollover=D("NaN")), "wallet.amount"),
        (lambda: replay([grant("a"), grant("a")], []), "wallet.duplicate_grant"),
        (lambda: replay([], [Recur(at=1, grant="x")]), "wallet.unknown_grant"),
    ],
)
def test_refused(make, code):
    with pytest.raises(Invalid) as caught:
        make()
    assert caught.value.code == code


amounts = decimals(0, 100, places=2)
times = st.integers(0, 20)
grants_of = st.lists(
    st.builds(
        Grant,
        id=st.integers(0, 99).map(str),
        amount=amounts,
        priority=st.integers(0, 2),
        effective_at=times,
        expires_at=st.none() | times,
        voided_at=st.none() | times,
        scope=st.sampled_from([frozenset(), frozenset({"calls"}), frozenset({"gb"})]),
        rollover=amounts,
    ),
    max_size=5,
    unique_by=lambda each: each.id,
)
uses_of = st.lists(st.builds(Use, at=times, amount=amounts, what=st.sampled_from(["calls", "gb", ""])), max_size=8)


@settings(max_examples=EXAMPLES, deadline=None)
@given(grants_of, uses_of, st.lists(st.tuples(times, st.integers(0, 4))), st.booleans())
def test_nothing_is_lost_and_nothing_made(grants, uses, fillings, carries):
    """Granted = used up + lost + left; used = burnt + overage."""
    recurs = [Recur(at=at, grant=grants[index].id) for at, index in fillings if index < len(grants)]
    state = replay(grants, [*uses, *recurs], until=100, overage_carries=carries)
    begun = [each for each in grants if each.alive(each.effective_at)]
    alive = [event for event in recurs if next(each for each in grants if each.id == event.grant).alive(event.at)]
    granted = sum(Fraction(each.amount) for each in begun)
    granted += sum(Fraction(next(each.amount for each in grants if each.id == event.grant)) for event in alive)
    burnt = sum(Fraction(burn.amount) for burn in state.burns)
    lost = sum(Fraction(loss.amount) for loss in state.losses)
    assert granted == burnt + lost + sum(map(Fraction, state.balances.values()))
    assert sum(Fraction(each.amount) for each in uses) == burnt + Fraction(state.overage)
    assert all(balance >= 0 for balance in state.balances.values())
    assert all(burn.amount > 0 for burn in state.burns)


@settings(max_examples=EXAMPLES, deadline=None)
@given(grants_of, uses_of, st.randoms())
def test_the_order_in_which_grants_stand_does_not_matter(grants, uses, chance):
    shuffled = chance.sample(grants, len(grants))
    assert replay(grants, uses).balances == replay(shuffled, uses).balances


@settings(max_examples=EXAMPLES, deadline=None)
@given(grants_of, st.builds(Use, at=times, amount=amounts, what=st.sampled_from(["calls", "gb", ""])))
def test_a_use_is_paid_as_far_as_the_balances_go(grants, wanted):
    balances = {each.id: each.amount for each in grants}
    taken, rest = take(grants, balances, wanted)
    usable = sum(each.amount for each in grants if each.alive(wanted.at) and each.pays_for(wanted.what))
    assert sum(amount for _, amount in taken) == min(usable, wanted.amount)
    assert rest == wanted.amount - min(usable, wanted.amount)
