"""A catalog: all that one issuer offers, and the checks that span its parts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

from msgspec import field

from billsmith.catalog.offer import AddOn, Plan, UsageCharge, check_unique
from billsmith.catalog.price import Price
from billsmith.catalog.reductions import Coupon, TaxRate
from billsmith.metering.measure import Grain
from billsmith.metering.meter import Meter
from billsmith.units.currency import currency_exponent
from billsmith.units.errors import Invalid, InvalidCatalog
from billsmith.units.values import Value

T = TypeVar("T", Meter, Plan, AddOn, "PriceBook")


class PriceBook(Value, frozen=True, kw_only=True):
    """A price for each meter, by the meter's code: what a plan's charges cost where they don't say so themselves."""

    code: str
    version: int = 1
    prices: dict[str, Price] = field(default_factory=dict)


class Catalog(Value, frozen=True, kw_only=True):
    """Meters, price books, plans, add-ons, coupons and tax rates of one issuer, in one currency unless a plan has its own.

    Several versions of one code may stand side by side; what an invoice was made with is never taken away.
    """

    code: str
    version: int = 1
    currency: str
    meters: tuple[Meter, ...] = ()
    price_books: tuple[PriceBook, ...] = ()
    plans: tuple[Plan, ...] = ()
    add_ons: tuple[AddOn, ...] = ()
    coupons: tuple[Coupon, ...] = ()
    tax_rates: tuple[TaxRate, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("meters", "price_books", "plans", "add_ons", "coupons", "tax_rates"):
            check_unique([(part.code, part.version) for part in getattr(self, name)], name, "code")
        _check_currency(self.currency, "currency")
        for where, charge, plan in self._charges():
            self._check_charge(where, charge, plan)
        for index, plan in enumerate(self.plans):
            if plan.currency:
                _check_currency(plan.currency, f"plans[{index}].currency")
        for index, book in enumerate(self.price_books):
            for code in book.prices:
                self.meter(code, where=f"price_books[{index}].prices.{code}")
        self._check_coupons()

    def meter(self, code: str, version: int | None = None, *, where: str | None = None) -> Meter:
        """The meter of a code, in its newest version unless one is named. Raises :class:`InvalidCatalog`."""
        return _find(self.meters, code, version, "meter", where)

    def meter_of(self, offer: tuple[str, int], charge: UsageCharge) -> Meter:
        """The meter that a charge of a plan or add-on (its code and version) counts by: here the newest of its code."""
        return self.meter(charge.meter)

    def plan(self, code: str, version: int | None = None) -> Plan:
        """The plan of a code, in its newest version unless one is named. Raises :class:`InvalidCatalog`."""
        return _find(self.plans, code, version, "plan", None)

    def add_on(self, code: str, version: int | None = None) -> AddOn:
        """The add-on of a code, in its newest version unless one is named. Raises :class:`InvalidCatalog`."""
        return _find(self.add_ons, code, version, "add-on", None)

    def price_book(self, code: str, version: int | None = None, *, where: str | None = None) -> PriceBook:
        """The price book of a code, in its newest version unless one is named. Raises :class:`InvalidCatalog`."""
        return _find(self.price_books, code, version, "price book", where)

    def price_of(self, charge: UsageCharge, plan: Plan | None = None, *, where: str | None = None) -> Price:
        """What a charge costs: its own price, or that of the plan's price book. Raises :class:`InvalidCatalog`."""
        if charge.price is not None:
            return charge.price
        if plan is None or not plan.price_book:
            raise InvalidCatalog(
                f"{charge.key} has no price. Give it one, or name the plan's price_book", code="catalog.no_price", where=where
            )
        price = self.price_book(plan.price_book, where=where).prices.get(charge.meter)
        if price is None:
            raise InvalidCatalog(
                f"price book {plan.price_book} has no price for {charge.meter}. Add it there, or to the charge",
                code="catalog.no_price",
                where=where,
            )
        return price

    def _charges(self) -> Iterator[tuple[str, UsageCharge, Plan | None]]:
        for index, plan in enumerate(self.plans):
            for place, charge in enumerate(plan.charges):
                yield f"plans[{index}].charges[{place}]", charge, plan
        for index, add_on in enumerate(self.add_ons):
            for place, charge in enumerate(add_on.charges):
                yield f"add_ons[{index}].charges[{place}]", charge, None

    def _check_charge(self, where: str, charge: UsageCharge, plan: Plan | None) -> None:
        meter = self.meter(charge.meter, where=f"{where}.meter")
        for price in self.price_of(charge, plan, where=where).walk():
            problem = _misfit(price, meter, charge.grain)
            if problem:
                raise InvalidCatalog(problem, code="catalog.price_does_not_fit_meter", where=f"{where}.price")

    def _check_coupons(self) -> None:
        offers: tuple[Plan | AddOn, ...] = (*self.plans, *self.add_ons)
        known = {meter.code for meter in self.meters} | {fee.code for offer in offers for fee in offer.fees}
        known |= {charge.key for offer in offers for charge in offer.charges}
        for index, coupon in enumerate(self.coupons):
            for place, name in enumerate(coupon.applies_to):
                if name not in known:
                    raise InvalidCatalog(
                        f"{name} is neither a meter nor a fee or charge. Mend it, or drop it",
                        code="catalog.unknown_code",
                        where=f"coupons[{index}].applies_to[{place}]",
                    )
            if coupon.currency:
                _check_currency(coupon.currency, f"coupons[{index}].currency")


def _misfit(price: Price, meter: Meter, grain: Grain) -> str:
    """Why a price can't rate what a meter gives; empty where it can."""
    missing = [name for name in price.needs_dimensions if name not in meter.group_by]
    if missing:
        return f"{price.model} prices by {', '.join(missing)}, but meter {meter.code} isn't grouped by it. Add it to group_by"
    if price.needs_windows and grain in (Grain.TOTAL, Grain.EVENT):
        return f"{price.model} prices windows of time. Set the charge's grain to day, hour or minute"
    if price.needs_each_event and grain is not Grain.EVENT:
        return f"{price.model} prices each event's amount. Set the charge's grain to event"
    if price.needs_amount and not meter.amount_field:
        return f"{price.model} prices what the events state, but meter {meter.code} doesn't say where. Set its amount_field"
    return ""


def _find(parts: tuple[T, ...], code: str, version: int | None, kind: str, where: str | None) -> T:
    found = [part for part in parts if part.code == code and version in (None, part.version)]
    if found:
        return max(found, key=lambda part: part.version)
    named = code if version is None else f"{code} version {version}"
    known = ", ".join(sorted({part.code for part in parts})) or "none"
    raise InvalidCatalog(
        f"there is no {kind} {named}; known: {known}. Add it, or mend the name",
        code=f"catalog.unknown_{kind.replace(' ', '_').replace('-', '_')}",
        where=where,
    )


def _check_currency(code: str, where: str) -> None:
    try:
        currency_exponent(code)
    except Invalid as error:
        raise InvalidCatalog(error.message, code=error.code, where=where) from None
