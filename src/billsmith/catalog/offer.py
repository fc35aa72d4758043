"""What is offered: plans and add-ons with their fees and usage charges. Frozen; a change is a new version."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from enum import StrEnum

from billsmith.catalog.price import Commitment, Price
from billsmith.metering.measure import Grain
from billsmith.units.calendar import Interval, Unit
from billsmith.units.errors import InvalidCatalog
from billsmith.units.values import Value


class Timing(StrEnum):
    """When a price is asked for."""

    ADVANCE = "advance"
    """At the start of the period."""
    ARREARS = "arrears"
    """After its end."""


class Alignment(StrEnum):
    """Where billing periods begin."""

    CALENDAR = "calendar"
    """With the calendar's own months, weeks, days."""
    ANNIVERSARY = "anniversary"
    """On the day on which the subscription began."""


class Proration(StrEnum):
    """How a part of a period is charged."""

    NONE = "none"
    """Whole."""
    DAY = "day"
    """By its share of the period's local days."""
    SECOND = "second"
    """By its share of the period's elapsed time."""


class Fee(Value, frozen=True, kw_only=True):
    """A price for something agreed, not measured: a base fee, seats, a set-up.

    ``price`` is applied to ``quantity`` (or to what the subscription says instead). A fee that doesn't recur is asked for once.
    """

    code: str
    price: Price
    name: str = ""
    quantity: Decimal = Decimal(1)
    unit: str = ""
    timing: Timing = Timing.ADVANCE
    recurs: bool = True
    proration: Proration = Proration.DAY
    tax_category: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        for price in self.price.walk():
            if price.needs_windows or price.needs_dimensions or price.needs_each_event or price.needs_amount:
                raise InvalidCatalog(
                    f"a fee has one quantity, but {price.model} looks at usage in detail. Make it a charge of a meter",
                    code="catalog.fee_needs_usage",
                    where="price",
                )


class UsageCharge(Value, frozen=True, kw_only=True):
    """A price for what a meter measures. Without ``price`` the plan's price book has it.

    ``grain`` is how finely the meter is read where the price asks for windows or single events. ``interval`` bills the usage
    more often than the plan's own (usage monthly, the plan yearly).
    """

    meter: str
    code: str = ""
    price: Price | None = None
    name: str = ""
    grain: Grain = Grain.TOTAL
    interval: Interval | None = None
    tax_category: str = ""

    @property
    def key(self) -> str:
        """What tells the charge from others of its plan: its code, or its meter."""
        return self.code or self.meter


class IncludedCredit(Value, frozen=True, kw_only=True):
    """Money that comes with a plan each period and is used up before anything is to be paid.

    Lower ``priority`` numbers go first; ``expires_after`` an interval; ``meters`` limits what it pays for.
    """

    amount: Decimal
    name: str = ""
    priority: int = 50
    expires_after: Interval | None = None
    meters: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.amount <= 0:
            raise InvalidCatalog("an included credit is above zero", code="catalog.credit_amount", where="amount")


class Plan(Value, frozen=True, kw_only=True):
    """A version of what can be subscribed to.

    ``minimum`` is the least that a period costs, fees and usage together; what is missing is trued up.
    """

    code: str
    version: int = 1
    name: str = ""
    currency: str = ""
    interval: Interval = Interval(Unit.MONTH)
    alignment: Alignment = Alignment.ANNIVERSARY
    trial_days: int = 0
    fees: tuple[Fee, ...] = ()
    charges: tuple[UsageCharge, ...] = ()
    credits: tuple[IncludedCredit, ...] = ()
    minimum: Commitment | None = None
    price_book: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.trial_days < 0:
            raise InvalidCatalog("a trial can't be shorter than no day", code="catalog.trial_days", where="trial_days")
        check_unique([fee.code for fee in self.fees], "fees", "code")
        check_unique([charge.key for charge in self.charges], "charges", "code")
        if self.minimum is not None and self.minimum.amount is None:
            raise InvalidCatalog(
                "a plan's minimum is an amount. Units are committed in a price", code="catalog.minimum_amount", where="minimum"
            )


class AddOn(Value, frozen=True, kw_only=True):
    """A version of something that can be added to a subscription of any plan."""

    code: str
    version: int = 1
    name: str = ""
    fees: tuple[Fee, ...] = ()
    charges: tuple[UsageCharge, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        check_unique([fee.code for fee in self.fees], "fees", "code")
        check_unique([charge.key for charge in self.charges], "charges", "code")


def check_unique(keys: Sequence[object], where: str, key: str) -> None:
    """Raise :class:`InvalidCatalog` where two of a list have the same key."""
    for index, one in enumerate(keys):
        if one in keys[:index]:
            shown = " version ".join(map(str, one)) if isinstance(one, tuple) else one
            raise InvalidCatalog(
                f"{shown} stands there twice. Rename or drop one", code="catalog.twice", where=f"{where}[{index}].{key}"
            )
