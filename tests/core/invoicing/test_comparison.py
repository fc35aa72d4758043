"""Two sides compared: the four states, and that what was not looked at is never clean."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billsmith.invoicing.comparison import WHOLE, Coverage, Key, Side, State, Verdict, compare, summed, verdict
from billsmith.units.exact import total

PART = Coverage(whole=False, reason="a page was missing")
A: Key = ("a",)

# theirs, ours, their coverage, our coverage → state, missing from
CASES = [
    ("10.00", "10.00", WHOLE, WHOLE, State.MATCHED, None),
    ("10.00", "10.01", WHOLE, WHOLE, State.DIFFERS, None),
    ("10.00", "9.99", PART, WHOLE, State.DIFFERS, None),
    ("10.00", None, WHOLE, WHOLE, State.MISSING, Side.OURS),
    ("10.00", None, WHOLE, PART, State.NOT_AUDITED, Side.OURS),
    (None, "10.00", WHOLE, WHOLE, State.MISSING, Side.THEIRS),
    (None, "10.00", PART, WHOLE, State.NOT_AUDITED, Side.THEIRS),
    ("0", "0", WHOLE, WHOLE, State.MATCHED, None),
]


@pytest.mark.parametrize(("theirs", "ours", "their_coverage", "our_coverage", "state", "missing"), CASES)
def test_states(
    theirs: str | None, ours: str | None, their_coverage: Coverage, our_coverage: Coverage, state: State, missing: Side | None
) -> None:
    other = {("b",): Decimal(1)}
    result = compare(
        other | ({A: Decimal(theirs)} if theirs else {}),
        other | ({A: Decimal(ours)} if ours else {}),
        their_coverage=their_coverage,
        our_coverage=our_coverage,
    )
    [finding] = [each for each in result.findings if each.key == A]
    assert (finding.state, finding.missing_from) == (state, missing)
    assert finding.difference == Decimal(ours or 0) - Decimal(theirs or 0)


@pytest.mark.parametrize(
    ("states", "coverage", "result"),
    [
        ([State.MATCHED], WHOLE, Verdict.CLEAN),
        ([State.MATCHED], PART, Verdict.NOT_AUDITED),
        ([], WHOLE, Verdict.NOT_AUDITED),
        ([State.MATCHED, State.NOT_AUDITED], WHOLE, Verdict.NOT_AUDITED),
        ([State.MATCHED, State.DIFFERS], PART, Verdict.DIFFERENCES),
        ([State.MISSING], WHOLE, Verdict.DIFFERENCES),
    ],
)
def test_verdicts(states: list[State], coverage: Coverage, result: Verdict) -> None:
    assert verdict(states, coverage) is result


@pytest.mark.parametrize(
    ("apart", "state"), [("0.05", State.MATCHED), ("0.051", State.DIFFERS), ("-0.05", State.MATCHED), ("-0.06", State.DIFFERS)]
)
def test_tolerance_is_included(apart: str, state: State) -> None:
    result = compare({A: Decimal(10)}, {A: Decimal(10) + Decimal(apart)}, tolerance=Decimal("0.05"))
    assert result.findings[0].state is state


def test_an_empty_side_is_never_clean() -> None:
    for ours in ({}, {A: Decimal(0)}):
        assert compare({}, ours).verdict is Verdict.NOT_AUDITED


def test_fractions_are_exact() -> None:
    third = Fraction(1, 3)
    assert compare({A: third}, {A: third}).verdict is Verdict.CLEAN
    assert compare({A: third}, {A: Decimal("0.333333333333333333")}).verdict is Verdict.DIFFERENCES


values = st.dictionaries(st.tuples(st.sampled_from("abcde")), st.decimals(-1000, 1000, places=2, allow_nan=False), max_size=5)


@given(values, values, st.booleans(), st.booleans())
def test_laws(theirs: dict[Key, Decimal], ours: dict[Key, Decimal], theirs_whole: bool, ours_whole: bool) -> None:
    """Every key once; the differences sum to the sides' difference; clean means equal, whole and not empty."""
    result = compare(theirs, ours, their_coverage=Coverage(whole=theirs_whole), our_coverage=Coverage(whole=ours_whole))
    assert [finding.key for finding in result.findings] == sorted(theirs.keys() | ours.keys())
    assert sum(result.counts.values()) == len(result.findings)
    assert total(finding.difference for finding in result.findings) == sum(ours.values()) - sum(theirs.values())
    clean = theirs == ours and bool(theirs) and theirs_whole and ours_whole
    assert (result.verdict is Verdict.CLEAN) == clean
    assert summed(theirs.items(), 0).get((), Decimal(0)) == sum(theirs.values())
