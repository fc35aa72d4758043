"""What a meter measured: an exact number, and where it belongs."""

from __future__ import annotations

import msgspec

from billsmith.units.exact import Exact


class Quantity(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A measured number of one group of dimensions, one window of time, or one event.

    ``value`` is exact: a fraction only where a decimal can't hold it (an average, a share of a period). ``full`` is the number
    before proration, which picks the tier of a volume price. ``amount`` is the money that the events themselves state.
    ``events`` is how many events were counted; ``start`` is the first instant of the window, in nanoseconds UTC.
    """

    value: Exact
    events: int = 1
    dimensions: dict[str, str] = {}
    start: int | None = None
    full: Exact | None = None
    amount: Exact | None = None
