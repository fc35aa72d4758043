"""What a run sees of a subscription: it bills what is due by one instant, as it was known at another.

The spans of :mod:`billsmith.subscriptions.spans` know one instant for both. So what is recorded is re-dated: what the run
before knew was known at its end, what was learnt since then is known at the end of this run, and what came later is not there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from billsmith.subscriptions.subscription import AnyChange, Subscription

#: Before anything was recorded.
_NEVER = -(2**63)


class Mark(msgspec.Struct, frozen=True, order=True):
    """How far a subscription is billed: what was due by ``until``, as known at ``known_at``."""

    until: int
    known_at: int


class Step(msgspec.Struct, frozen=True):
    """From one mark (``None``: the beginning) to the next: what one document bills."""

    since: Mark | None
    until: Mark


def as_learnt(subscription: Subscription, step: Step) -> Subscription | None:
    """The subscription as a step sees it; ``None`` where it wasn't recorded by then.

    >>> from billsmith.subscriptions.subscription import Pause, PlanRef
    >>> pause = Pause(at=3, recorded_at=90)
    >>> late = Subscription(id="s", account="a", plan=PlanRef("p"), starts_at=0, changes=(pause,), recorded_at=80)
    >>> seen = as_learnt(late, Step(None, Mark(until=10, known_at=85)))
    >>> seen.recorded_at, seen.changes
    (10, ())
    >>> as_learnt(late, Step(Mark(10, 85), Mark(20, 95))).changes[0].recorded_at
    20
    """
    if subscription.recorded_at > step.until.known_at:
        return None
    changes = [change for change in subscription.changes if change.recorded_at <= step.until.known_at]
    since = step.since or Mark(0, _NEVER)
    known = [change for change in changes if change.recorded_at <= since.known_at]
    learnt = [change for change in changes if change.recorded_at > since.known_at]
    return msgspec.structs.replace(
        subscription,
        recorded_at=since.until if subscription.recorded_at <= since.known_at else step.until.until,
        changes=(*_recorded_by(known, since.until), *_recorded_by(learnt, step.until.until)),
    )


def _recorded_by(changes: Sequence[AnyChange], instant: int) -> Iterator[AnyChange]:
    """The changes as recorded at an instant, one nanosecond after another: which of two came later still counts."""
    ordered = sorted(changes, key=lambda change: change.recorded_at)
    for left, change in zip(range(len(ordered) - 1, -1, -1), ordered, strict=True):
        yield msgspec.structs.replace(change, recorded_at=instant - left)
