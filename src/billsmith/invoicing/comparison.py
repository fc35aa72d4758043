"""Two sides' values for the same things, compared: what agrees, what differs, what one side lacks, what nobody looked at.

Pure: a vendor's amounts against ours, our invoices against those really issued elsewhere, a vendor's quantities against our
own metering; all are keys with exact values. An empty or partial side never makes a clean result: what it does not name was
not audited, not missing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from decimal import Decimal
from enum import StrEnum

import msgspec

from billsmith.units.exact import Exact, subtract, total

#: What a value belongs to: an account, a currency, a line, a meter, …
Key = tuple[str, ...]


class State(StrEnum):
    """How the two sides stand to each other."""

    MATCHED = "matched"
    DIFFERS = "differs"
    MISSING = "missing"
    """One side lacks it, though that side was looked at as a whole."""
    NOT_AUDITED = "not_audited"
    """Nobody knows: the side that lacks it was not looked at as a whole."""


class Verdict(StrEnum):
    """What a comparison comes to."""

    CLEAN = "clean"
    DIFFERENCES = "differences"
    NOT_AUDITED = "not_audited"
    """Nothing differs as far as was looked, but that was not all, or nothing at all."""


class Side(StrEnum):
    """Of whom something is."""

    THEIRS = "theirs"
    OURS = "ours"


class Coverage(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a side was looked at as a whole, and why not."""

    whole: bool
    reason: str = ""


WHOLE = Coverage(whole=True)


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One key's two values. ``difference`` is ours less theirs, a value that is not there counting as nothing."""

    key: Key
    state: State
    theirs: Exact | None
    ours: Exact | None
    difference: Exact
    missing_from: Side | None = None


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """All findings, by key, and what they come to."""

    findings: tuple[Finding, ...]
    verdict: Verdict
    counts: dict[State, int]


def compare(
    theirs: Mapping[Key, Exact],
    ours: Mapping[Key, Exact],
    *,
    their_coverage: Coverage = WHOLE,
    our_coverage: Coverage = WHOLE,
    tolerance: Decimal = Decimal(0),
) -> Comparison:
    """Hold two sides together, key by key. Values that lie at most ``tolerance`` apart agree.

    >>> result = compare({("acme",): Decimal("10.00")}, {("acme",): Decimal("9.90")})
    >>> result.verdict.value, result.findings[0].state.value, result.findings[0].difference
    ('differences', 'differs', Decimal('-0.10'))
    >>> compare({}, {("acme",): Decimal(1)}).verdict.value
    'not_audited'
    """
    if not theirs:
        their_coverage = Coverage(whole=False, reason=their_coverage.reason or "it is empty")
    findings = tuple(
        _finding(key, theirs.get(key), ours.get(key), their_coverage, our_coverage, tolerance)
        for key in sorted(theirs.keys() | ours.keys())
    )
    return Comparison(
        findings=findings,
        verdict=verdict([finding.state for finding in findings], their_coverage, our_coverage),
        counts=count(finding.state for finding in findings),
    )


def verdict(states: Iterable[State], *coverages: Coverage) -> Verdict:
    """What states come to: clean only where there are some, all match, and both sides were looked at as a whole.

    >>> verdict([State.MATCHED], Coverage(whole=False)).value
    'not_audited'
    """
    met = set(states)
    if State.DIFFERS in met or State.MISSING in met:
        return Verdict.DIFFERENCES
    whole = all(coverage.whole for coverage in coverages)
    return Verdict.CLEAN if whole and met == {State.MATCHED} else Verdict.NOT_AUDITED


def count(states: Iterable[State]) -> dict[State, int]:
    """How many there are of each state, all four named."""
    found = Counter(states)
    return {state: found[state] for state in State}


def summed(values: Iterable[tuple[Key, Exact]], parts: int) -> dict[Key, Exact]:
    """Values by the first ``parts`` of their keys.

    >>> summed([(("acme", "EUR", "seats"), Decimal(1)), (("acme", "EUR", "backup"), Decimal(2))], 2)
    {('acme', 'EUR'): Decimal('3')}
    """
    groups: dict[Key, list[Exact]] = {}
    for key, value in values:
        groups.setdefault(key[:parts], []).append(value)
    return {key: total(group) for key, group in groups.items()}


def _finding(
    key: Key,
    theirs: Exact | None,
    ours: Exact | None,
    their_coverage: Coverage,
    our_coverage: Coverage,
    tolerance: Decimal,
) -> Finding:
    difference = subtract(ours or Decimal(0), theirs or Decimal(0))
    if theirs is None:
        state = State.MISSING if their_coverage.whole else State.NOT_AUDITED
    elif ours is None:
        state = State.MISSING if our_coverage.whole else State.NOT_AUDITED
    else:
        apart = difference if difference >= 0 else subtract(Decimal(0), difference)
        state = State.MATCHED if apart <= tolerance else State.DIFFERS
    return Finding(
        key=key,
        state=state,
        theirs=theirs,
        ours=ours,
        difference=difference,
        missing_from=Side.THEIRS if theirs is None else Side.OURS if ours is None else None,
    )
