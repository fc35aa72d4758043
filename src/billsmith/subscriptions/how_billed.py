"""How an issuer bills: how long after a period's end usage may still come in, and whether the clock bills it."""

from __future__ import annotations

import msgspec

from billsmith.units.errors import Invalid
from billsmith.units.instants import HOUR

#: Four weeks: a month's grace must end before the next month does.
MAX_GRACE_HOURS = 28 * 24


class HowBilled(msgspec.Struct, frozen=True, kw_only=True):
    """A period is due ``grace_hours`` after its end, where the subscription is; ``automatic``: jobs bill it then.

    Raises :class:`Invalid` for a grace below zero or beyond four weeks.
    """

    grace_hours: int = 0
    automatic: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.grace_hours <= MAX_GRACE_HOURS:
            raise Invalid(
                f"a grace is 0 to {MAX_GRACE_HOURS} hours, not {self.grace_hours}", code="bill.grace", where="grace_hours"
            )

    @property
    def grace(self) -> int:
        """The grace in nanoseconds."""
        return self.grace_hours * HOUR
