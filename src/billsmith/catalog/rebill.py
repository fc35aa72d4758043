"""Rules of a re-bill: which pulled invoice lines become whose charges, at what price. Written as a catalog is, and frozen."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

from msgspec import field

from billsmith.catalog.offer import check_unique
from billsmith.catalog.price import Price, Takes
from billsmith.catalog.reductions import TaxRate
from billsmith.metering.meter import Meter
from billsmith.units.currency import currency_exponent
from billsmith.units.errors import Invalid, InvalidCatalog
from billsmith.units.values import Value

#: Parts into which a line may be split.
MAX_SHARES = 10_000


class SplitBy(StrEnum):
    """What customers share a line by."""

    SHARES = "shares"
    USAGE = "usage"


class Split(Value, frozen=True, kw_only=True):
    """Who shares a line: customers with fixed ``shares``, or all whom ``meter`` counted in the period, by what it counted."""

    by: SplitBy
    shares: dict[str, Decimal] = field(default_factory=dict)
    meter: Meter | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.by is SplitBy.SHARES) != bool(self.shares):
            raise InvalidCatalog("shares are given for a split by shares, and only there", code="rebill.shares", where="shares")
        if (self.by is SplitBy.USAGE) != (self.meter is not None):
            raise InvalidCatalog("a meter is given for a split by usage, and only there", code="rebill.meter", where="meter")
        if len(self.shares) > MAX_SHARES:
            raise InvalidCatalog(f"at most {MAX_SHARES} customers share a line", code="rebill.shares", where="shares")
        if self.shares and (min(self.shares.values()) < 0 or not any(self.shares.values())):
            raise InvalidCatalog("shares are zero or more, and not all of them zero", code="rebill.shares", where="shares")


class Rule(Value, frozen=True, kw_only=True):
    """Lines of invoices that the connections ``sources`` pulled (none named: all), priced and charged.

    ``where`` keeps lines whose field has one of the given values, ``unless`` drops them; a field is ``description``, ``kind``,
    ``unit``, ``meter``, ``plan``, ``component``, ``customer`` (to whom the vendor invoiced it, by external id) or a dimension's
    name. ``to`` is the customer who is charged, by external id; empty, the one to whom the vendor invoiced it. A price that
    does not start from what the line cost is in ``currency``, and then only lines in it are taken.
    """

    code: str
    price: Price
    sources: tuple[str, ...] = ()
    where: dict[str, tuple[str, ...]] = field(default_factory=dict)
    unless: dict[str, tuple[str, ...]] = field(default_factory=dict)
    currency: str = ""
    to: str = ""
    split: Split | None = None
    description: str = ""
    tax_category: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= len(self.code) <= 64:
            raise InvalidCatalog("a rule's code has 1 to 64 characters", code="rebill.code", where="code")
        if self.to and self.split is not None:
            raise InvalidCatalog("a rule has either to or split. Drop one", code="rebill.to_or_split", where="to")
        if self.currency:
            _check_currency(self.currency)
        elif any(price.takes is not Takes.EVENTS for price in self.price.walk()):
            raise InvalidCatalog(
                f"{self.price.model} names amounts of its own. Say in which currency, or use markup, margin or dynamic",
                code="rebill.currency",
                where="currency",
            )


class Rules(Value, frozen=True, kw_only=True):
    """A file of rules; a line is charged by the first that takes it. ``due_days`` after its date an invoice is due."""

    code: str
    rules: tuple[Rule, ...]
    tax_rates: tuple[TaxRate, ...] = ()
    due_days: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_unique([(rule.code, 1) for rule in self.rules], "rules", "code")
        if self.due_days is not None and not 0 <= self.due_days <= 3650:
            raise InvalidCatalog("due_days are 0 to 3650", code="rebill.due_days", where="due_days")


def _check_currency(code: str) -> None:
    try:
        currency_exponent(code)
    except Invalid as error:
        raise InvalidCatalog(error.message, code=error.code, where="currency") from None
