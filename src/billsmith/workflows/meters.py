"""What is counted: a meter is made, changed by a new version, and told to the usage store."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from billsmith.accounts.model import Account
from billsmith.metering.meter import Meter
from billsmith.storage import meters
from billsmith.storage.database import Connection
from billsmith.storage.meters import Metered
from billsmith.units.errors import Invalid, NotFound
from billsmith.units.periods import Period

#: Dimensions that a meter may group by, and values that its filter may list.
MAX_GROUPS = 8
MAX_FILTER = 100
MAX_CODE = 64


def put(
    connection: Connection, account: Account, meter: Meter, *, counts_from: int | None = None, now: int, actor: str
) -> tuple[Metered, bool]:
    """Make a meter, or its next version; whether anything is new. The same again changes nothing.

    ``counts_from``: events before it don't count (``None``: all that ever came do). Raises :class:`Invalid`.
    """
    check(meter)
    known = meters.find(connection, account, meter.code)
    before = known if known is not None and known.account_seq == account.seq else None
    if before is not None:
        if msgspec.structs.replace(before.meter, version=1) == meter and before.counts_from == counts_from:
            return before, False
        meter = msgspec.structs.replace(meter, version=before.meter.version + 1)
    return meters.add(connection, account, meter, counts_from=counts_from, now=now, actor=actor), True


def get(connection: Connection, account: Account, code: str, version: int | None = None) -> Metered:
    """A meter of an account or of one above it. Raises :class:`NotFound`."""
    found = meters.find(connection, account, code, version) if len(code) <= MAX_CODE else None
    if found is None:
        raise NotFound("there is no such meter; `billsmith meters list` shows them", code="meter.unknown")
    return found


class Counting(msgspec.Struct, frozen=True, kw_only=True):
    """By what a meter's code counts, at which time: versions, each in force from its ``since`` until the next one's."""

    code: str
    meters: tuple[Meter, ...]
    since: tuple[int, ...]

    def parts(self, window: Period) -> list[tuple[int, Period]]:
        """The parts of a window, each with the place of the version that counts in it; what none counts is left out."""
        ends = (*self.since[1:], window.end)
        found = [
            (place, window.overlap(Period(start, max(start, end))))
            for place, (start, end) in enumerate(zip(self.since, ends, strict=True))
        ]
        return [(place, part) for place, part in found if part is not None]


def alone(found: Metered) -> Counting:
    """One version by itself: from its instant on, whatever came after it."""
    return Counting(code=found.meter.code, meters=(found.meter,), since=(_since(found),))


def in_force(connection: Connection, found: Metered) -> Counting:
    """A meter as its versions came: one that counts from an instant on leaves what was before to those before it.

    One that counts all takes the place of all before it.
    """
    stretches: list[Metered] = []
    for version in meters.versions(connection, found.account_seq, found.meter.code):
        while stretches and _since(stretches[-1]) >= _since(version):
            stretches.pop()
        stretches.append(version)
    return Counting(
        code=found.meter.code,
        meters=tuple(each.meter for each in stretches),
        since=tuple(_since(each) for each in stretches),
    )


def _since(found: Metered) -> int:
    return 0 if found.counts_from is None else found.counts_from


def filter_of(parts: Iterable[str], where: str) -> dict[str, tuple[str, ...]]:
    """``region=eu`` and the like as a filter: any of the values given for each dimension. Raises :class:`Invalid`.

    >>> filter_of(["region=eu", "region=us", "plan=pro"], "filter")
    {'region': ('eu', 'us'), 'plan': ('pro',)}
    """
    found: dict[str, tuple[str, ...]] = {}
    for part in parts:
        name, equals, value = part.partition("=")
        if not name or not equals:
            raise Invalid(f"{part[:60]!r} is no filter; say such as region=eu", code="usage.filter", where=where)
        found[name] = (*found.get(name, ()), value)
    if len(found) > MAX_GROUPS:
        raise Invalid(f"a filter has at most {MAX_GROUPS} dimensions", code="usage.filter", where=where)
    return found


def check(meter: Meter) -> None:
    """Refuse a meter whose answers would have no bound. Raises :class:`Invalid`."""
    if not 0 < len(meter.code) <= MAX_CODE:
        raise Invalid(f"a meter's code has 1 to {MAX_CODE} characters", code="meter.code", where="code")
    if not meter.event_type:
        raise Invalid("a meter counts events of a type; name it", code="meter.event_type", where="event_type")
    if len(meter.group_by) > MAX_GROUPS:
        raise Invalid(
            f"{len(meter.group_by)} dimensions to group by; at most {MAX_GROUPS}, for each makes more groups of every other",
            code="meter.too_many_groups",
            where="group_by",
        )
    for name, filters in (("where", meter.where), ("unless", meter.unless)):
        if len(filters) > MAX_GROUPS or any(len(values) > MAX_FILTER for values in filters.values()):
            raise Invalid(
                f"a filter has at most {MAX_GROUPS} dimensions of {MAX_FILTER} values", code="meter.filter_too_long", where=name
            )
