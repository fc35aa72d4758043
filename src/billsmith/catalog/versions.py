"""A catalog as it grows: what a new text changes, and all versions side by side.

A part (meter, price book, plan, add-on, coupon, tax rate) is never edited: what differs from its newest version is the next
one. A plan holds its prices, also those that it has from a price book, and the versions of the meters that it charges for; so a
change of either is a new version of the plan too, and nobody is billed by another price until they are moved to it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import field

from billsmith.catalog.catalog import Catalog, PriceBook
from billsmith.catalog.offer import AddOn, Plan, UsageCharge
from billsmith.catalog.reductions import Coupon, TaxRate
from billsmith.catalog.writing import digest, text_of
from billsmith.metering.meter import Meter
from billsmith.units.errors import InvalidCatalog

#: The kinds of parts, each with the catalog's field that lists them; meters first, for the others name them.
FIELDS = {
    "meter": "meters",
    "price_book": "price_books",
    "plan": "plans",
    "add_on": "add_ons",
    "coupon": "coupons",
    "tax_rate": "tax_rates",
}
KINDS: dict[str, type[Any]] = {
    "meter": Meter,
    "price_book": PriceBook,
    "plan": Plan,
    "add_on": AddOn,
    "coupon": Coupon,
    "tax_rate": TaxRate,
}

#: A kind and a code.
Name = tuple[str, str]


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """A version of a part, and the versions of the ``meters`` that it counts by.

    ``digest`` tells its contents from others', whatever the version.
    """

    kind: str
    code: str
    version: int
    value: Any
    digest: str
    meters: dict[str, int] = {}
    since: int = 1
    """The catalog version that brought it."""


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What a text makes of a part: ``added``, ``changed``, ``retired`` (no longer offered; who has it keeps it) or ``kept``."""

    kind: str
    code: str
    what: str
    old: int | None = None
    new: int | None = None


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """What a text changes: by part, the parts to be added, and the version of each part that is offered from then on."""

    changes: tuple[Change, ...]
    new_parts: tuple[Part, ...]
    offers: dict[str, dict[str, int]]

    @property
    def is_empty(self) -> bool:
        """Whether nothing would change."""
        return all(change.what == "kept" for change in self.changes)


def compare(
    known: Sequence[Part], offered: Mapping[str, Mapping[str, int]], new: Catalog, since: int, currency: str = ""
) -> Comparison:
    """What ``new`` changes of the parts that are known and of those offered so far, as catalog version ``since``.

    Raises :class:`InvalidCatalog` where plan and add-on share a code, or the currency isn't the one of the version before.
    """
    _check(new, currency)
    by_name: dict[Name, dict[int, Part]] = {}
    for part in known:
        by_name.setdefault((part.kind, part.code), {})[part.version] = part
    changes: list[Change] = []
    added: list[Part] = []
    offers: dict[str, dict[str, int]] = {kind: {} for kind in FIELDS}
    for kind, stated in _stated(new):
        versions = by_name.setdefault((kind, stated.code), {})
        newest = max(versions, default=0)
        meters = {meter: offers["meter"][meter] for meter in _meters_of(stated)}
        contents = _digest(stated, new)
        version = _same(versions, contents, stated.version)
        if version is None:
            version = stated.version if stated.version > newest else newest + 1
            versions[version] = Part(
                kind=kind,
                code=stated.code,
                version=version,
                value=msgspec.structs.replace(_whole(stated, new), version=version),
                digest=contents,
                meters=meters,
                since=since,
            )
            added.append(versions[version])
        before = offered.get(kind, {}).get(stated.code)
        what = "kept" if before == version else "added" if before is None else "changed"
        changes.append(Change(kind=kind, code=stated.code, what=what, old=before, new=version))
        offers[kind][stated.code] = version
    for kind, codes in offered.items():
        changes += [
            Change(kind=kind, code=code, what="retired", old=version)
            for code, version in codes.items()
            if code not in offers[kind]
        ]
    return Comparison(changes=tuple(changes), new_parts=tuple(added), offers=offers)


class Shelf(Catalog, frozen=True, kw_only=True, dict=True):
    """All versions of all parts side by side, as billing reads them.

    Each catalog version was checked whole when it was applied; parts of different ones need not fit each other. ``pins`` are
    the versions of meters that each plan and add-on counts by.
    """

    pins: dict[tuple[str, int], dict[str, int]] = field(default_factory=dict)
    offers: dict[str, dict[str, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Nothing is checked again."""

    def plan(self, code: str, version: int | None = None) -> Plan:
        """As :meth:`Catalog.plan`, by a look-up; without a version, the one that is offered."""
        found = self._plans.get((code, self.offers.get("plan", {}).get(code, 0) if version is None else version))
        return super().plan(code, version) if found is None else found

    def meter_of(self, offer: tuple[str, int], charge: UsageCharge) -> Meter:
        """The version of its meter that a charge of a plan or add-on counts by."""
        key = (offer, charge.meter)
        kept: dict[tuple[tuple[str, int], str], Meter] = self.__dict__.setdefault("_meters", {})
        if key not in kept:
            kept[key] = self.meter(charge.meter, self.pins.get(offer, {}).get(charge.meter))
        return kept[key]

    @property
    def taxes(self) -> tuple[TaxRate, ...]:
        """The tax rates in force: those of the newest catalog version."""
        offered = self.offers.get("tax_rate", {})
        return tuple(rate for rate in self.tax_rates if offered.get(rate.code) == rate.version)

    @property
    def _plans(self) -> dict[tuple[str, int], Plan]:
        index: dict[tuple[str, int], Plan] | None = self.__dict__.get("_index")
        if index is None:
            index = self.__dict__["_index"] = {(plan.code, plan.version): plan for plan in self.plans}
        return index


def shelf(code: str, version: int, currency: str, parts: Sequence[Part], offers: dict[str, dict[str, int]]) -> Shelf:
    """The parts of a catalog as billing reads them."""
    lists = {name: tuple(part.value for part in parts if part.kind == kind) for kind, name in FIELDS.items()}
    pins = {(part.code, part.version): part.meters for part in parts if part.kind in ("plan", "add_on")}
    return Shelf(code=code, version=version, currency=currency, pins=pins, offers=offers, **lists)


def shelf_of(catalog: Catalog) -> Shelf:
    """A catalog that stands in no store, as billing reads it: what a simulation bills by."""
    found = compare((), {}, catalog, catalog.version)
    return shelf(catalog.code, catalog.version, catalog.currency, found.new_parts, found.offers)


def _check(new: Catalog, currency: str) -> None:
    if currency and new.currency != currency:
        raise InvalidCatalog(
            f"the catalog was in {currency} so far, this one is in {new.currency}. Give it a code of its own",
            code="catalog.other_currency",
            where="currency",
        )
    plans = {plan.code for plan in new.plans}
    for index, add_on in enumerate(new.add_ons):
        if add_on.code in plans:
            raise InvalidCatalog(
                f"{add_on.code} is a plan as well as an add-on. Rename one",
                code="catalog.plan_and_add_on",
                where=f"add_ons[{index}].code",
            )


def _stated(new: Catalog) -> Iterator[tuple[str, Any]]:
    for kind, name in FIELDS.items():
        for value in sorted(getattr(new, name), key=lambda value: value.version):
            yield kind, value


def _whole(value: Any, catalog: Catalog) -> Any:
    """A plan with the prices that it has from its price book; anything else as it is."""
    if not isinstance(value, Plan):
        return value
    charges = tuple(msgspec.structs.replace(each, price=catalog.price_of(each, value)) for each in value.charges)
    return msgspec.structs.replace(value, charges=charges)


def _digest(value: Any, catalog: Catalog) -> str:
    meters = [text_of(msgspec.structs.replace(catalog.meter(code), version=1), trim=True) for code in _meters_of(value)]
    return digest(text_of(msgspec.structs.replace(_whole(value, catalog), version=1), trim=True), *meters)


def _meters_of(value: Any) -> list[str]:
    return sorted({charge.meter for charge in value.charges}) if isinstance(value, Plan | AddOn) else []


def _same(versions: Mapping[int, Part], contents: str, stated: int) -> int | None:
    """The version that has the same contents: the newest, or the one of the number that the text states."""
    for version in (max(versions, default=0), stated):
        if version in versions and versions[version].digest == contents:
            return version
    return None
