"""What a line is for (P4): lines that share a mark share the key that the store holds unique, whatever stands beside them."""

from __future__ import annotations

import zlib

from hypothesis import given
from hypothesis import strategies as st

from billsmith.catalog.offer import UsageCharge
from billsmith.invoicing import cases
from billsmith.invoicing.cases import LineMark, LineMarks, lines_of
from billsmith.subscriptions.spans import UsageSpan
from billsmith.subscriptions.subscription import PlanRef
from billsmith.units.periods import Period

Marks = list[tuple[int, int, bytes]]

PERIODS = [Period(0, 10), Period(0, 20), Period(10, 20)]
SPANS = st.builds(
    lambda code, version, meter, period: UsageSpan(
        offer=PlanRef(code, version), charge=UsageCharge(meter=meter), part=period, whole=period
    ),
    st.sampled_from(["basic", "more"]),
    st.integers(1, 2),
    st.sampled_from(["calls", "gb", "seats"]),
    st.sampled_from(PERIODS),
)


def of_subscription(marks: Marks) -> list[LineMarks]:
    return [(7, *each) for each in marks]


def lines(marks: Marks) -> set[LineMark]:
    return {line for each in of_subscription(marks) for line in lines_of(each)}


def keys(marks: Marks) -> set[tuple[int, ...]]:
    return {each[:3] for each in of_subscription(marks)}


def key_is_shared(one: Marks, other: Marks) -> bool:
    """Whether two documents that share a line share a key."""
    both = ({(seq, start, line) for seq, start, _, line in lines(marks)} for marks in (one, other))
    return set.isdisjoint(*both) or bool(keys(one) & keys(other))


@given(st.lists(SPANS, max_size=6), st.lists(SPANS, max_size=6))
def test_who_shares_a_line_shares_a_key(one: list[UsageSpan], other: list[UsageSpan]) -> None:
    assert key_is_shared(cases._usage_marks(one), cases._usage_marks(other))


def test_control_a_key_of_all_that_stands_together_would_not_do() -> None:
    calls, storage = (
        UsageSpan(offer=PlanRef("basic"), charge=UsageCharge(meter=meter), part=PERIODS[0], whole=PERIODS[0])
        for meter in ("calls", "gb")
    )
    one, other = cases._usage_marks([calls]), cases._usage_marks([calls, storage])
    assert key_is_shared(one, other)
    of_all = [[(start, zlib.crc32(lines), lines) for start, _, lines in marks] for marks in (one, other)]
    assert not key_is_shared(*of_all)


@given(st.lists(SPANS, max_size=6))
def test_each_line_has_its_mark(spans: list[UsageSpan]) -> None:
    found = [(start, line) for each in of_subscription(cases._usage_marks(spans)) for _, start, _, line in lines_of(each)]
    wanted = [(span.part.start, cases._usage_bits(span)[1]) for span in spans]
    assert sorted(found) == sorted(wanted)
    told = {(span.offer.code, span.charge.key, span.part) for span in spans}
    assert len(set(found)) == len(told), "two lines are told apart, the version of their plan aside"


def test_a_line_of_usage_has_the_mark_that_its_group_holds() -> None:
    span = UsageSpan(offer=PlanRef("basic"), charge=UsageCharge(meter="calls"), part=PERIODS[0], whole=PERIODS[0])
    [marks] = of_subscription(cases._usage_marks([span]))
    [line] = lines_of(marks)
    assert line == (7, 0, *cases._usage_bits(span))
    assert marks[2] not in (0, line[3])
