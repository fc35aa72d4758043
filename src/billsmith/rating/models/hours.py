"""Another price for some hours of the day."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from billsmith.catalog.price import Price, Takes, refuse
from billsmith.metering.quantity import Quantity
from billsmith.rating.context import Context
from billsmith.rating.models.parts import Piece
from billsmith.rating.models.windows import start_of, timed_items
from billsmith.rating.usage import Usage, usage_of
from billsmith.units.instants import HOUR, local_reading
from billsmith.units.values import Value

_HOURS_A_DAY = 24


class Band(Value, frozen=True, kw_only=True):
    """Hours of the account's day, from ``from_hour`` up to but not including ``to_hour``; 22 to 6 goes over midnight."""

    from_hour: int
    to_hour: int
    price: Price

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("from_hour", "to_hour"):
            refuse(not 0 <= getattr(self, name) <= _HOURS_A_DAY, "an hour of the day is 0 to 24", "price.hour_range", name)
        refuse(
            self.from_hour == self.to_hour,
            "a band of no hours. Move an end, or use 0 to 24 for the whole day",
            "price.empty_band",
            "to_hour",
        )

    def holds(self, hour: int) -> bool:
        """Whether an hour of the day (0 to 23) lies in the band."""
        if self.from_hour < self.to_hour:
            return self.from_hour <= hour < self.to_hour
        return hour >= self.from_hour or hour < self.to_hour


class Hours(Price, frozen=True, kw_only=True, tag_field="model", tag="hours"):
    """Usage by the hour of the day in which its window starts: that of a band is priced together, ``otherwise`` the rest."""

    takes: ClassVar[Takes] = Takes.PARTS
    needs_windows: ClassVar[bool] = True

    bands: tuple[Band, ...]
    otherwise: Price

    def __post_init__(self) -> None:
        refuse(not self.bands, "a price by hours has at least one band", "price.no_parts", "bands")
        for index, band in enumerate(self.bands):
            before = self.bands[:index]
            refuse(
                any(band.holds(hour) and other.holds(hour) for other in before for hour in range(_HOURS_A_DAY)),
                "two bands hold the same hour. Move an end of one",
                "price.bands_overlap",
                f"bands[{index}]",
            )
        super().__post_init__()

    @property
    def inner(self) -> tuple[Price, ...]:
        """The bands' prices, and the one for the rest."""
        return (*(band.price for band in self.bands), self.otherwise)


def hours(price: Hours, usage: Usage, context: Context) -> Sequence[Piece]:
    """The usage of each band that has some. Raises :class:`InvalidPrice` for usage without windows."""
    groups: dict[int, list[Quantity]] = {}
    for item in timed_items(usage):
        groups.setdefault(_band(price, start_of(item), context.zone), []).append(item)
    return [_piece(price, index, groups[index]) for index in sorted(groups)]


def _band(price: Hours, start: int, zone: str) -> int:
    """The index of the band that an instant lies in; one past the last for the rest."""
    hour = local_reading(start, zone)[1] // HOUR
    return next((index for index, band in enumerate(price.bands) if band.holds(hour)), len(price.bands))


def _piece(price: Hours, index: int, items: list[Quantity]) -> Piece:
    if index == len(price.bands):
        return Piece("other hours", price.otherwise, usage_of(items))
    band = price.bands[index]
    return Piece(f"{band.from_hour:02d}–{band.to_hour:02d} h", band.price, usage_of(items))
