"""Rows of a table as events: which column is what, and an id for rows that have none.

A row without an id gets one from what it says: the hash of its event, and how many rows of the file before it say the same.
So the same file again, or one that overlaps it, repeats the same ids, wherever in the file the rows stand; and a file that
holds one row twice on purpose counts it twice.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Literal

import msgspec
from msgspec import field

from billsmith.events.canonical import body_hash
from billsmith.events.event import Event
from billsmith.events.limits import MAX_DIGITS, MAX_PLACES, check
from billsmith.units.errors import Invalid, InvalidEvent, TooLarge
from billsmith.units.instants import SECOND, parse_date, parse_instant, start_of_day, zone
from billsmith.units.rounding import parse_decimal
from billsmith.units.values import Value

#: Rows of one file that may lack an id: each one's hash is remembered.
MAX_WITHOUT_ID = 5_000_000
#: What a column or a constant of a mapping may be.
FIELDS = ("id", "source", "type", "account", "time", "value")
_REQUIRED = ("type", "account", "time")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_WHOLE = re.compile(r"-?[0-9]{1,19}", re.ASCII)
#: An offset without its minutes, as databases write it.
_SHORT_OFFSET = re.compile(r"[+-][0-9]{2}\Z", re.ASCII)
_UNITS = {"s": SECOND, "ms": 1_000_000, "us": 1_000, "ns": 1}
_dimensions = msgspec.json.Decoder(dict[str, str])

#: A row: text by the name of its column; ``None`` and empty text are nothing.
Row = Mapping[str, str | None]


class ColumnMap(Value, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which column is what.

    ``columns`` names the column of a field, ``constants`` says a field's text for all rows. ``dimensions`` names the column
    of a dimension; without it every column that is no field's is a dimension of its name. Times without an offset are read
    in ``time_zone``; whole numbers are ``time_unit`` since 1970.
    """

    columns: dict[str, str] = field(default_factory=dict)
    constants: dict[str, str] = field(default_factory=dict)
    dimensions: dict[str, str] | None = None
    time_zone: str = "UTC"
    time_unit: Literal["s", "ms", "us", "ns"] = "s"

    def __post_init__(self) -> None:
        super().__post_init__()
        zone(self.time_zone)
        for name in (*self.columns, *self.constants):
            if name not in FIELDS:
                raise Invalid(
                    f"{name[:40]!r} is no field of an event; there are {', '.join(FIELDS)}",
                    code="event.mapping",
                    where=name[:40],
                )

    def check(self, header: list[str]) -> None:
        """Raises :class:`Invalid` where a file with these columns lacks one that is named or needed."""
        named = {**{name: name for name in FIELDS if name in header}, **self.columns}
        for what, column in {**self.columns, **(self.dimensions or {})}.items():
            if column not in header:
                raise Invalid(
                    f"the file has no column {column[:60]!r}; it has {', '.join(header)[:300]}",
                    code="event.mapping",
                    where=what,
                )
        for name in _REQUIRED:
            if name not in named and name not in self.constants:
                raise Invalid(
                    f"no column is the event's {name}. Name it in a mapping (--map), or say it for all rows under constants",
                    code="event.mapping",
                    where=name,
                )


#: Columns that are named as our fields are; all others are dimensions.
PLAIN = ColumnMap()

#: FinOps FOCUS: each row's consumed quantity. What it cost stands beside it, to be billed by a percentage.
FOCUS = ColumnMap(
    columns={"account": "SubAccountId", "time": "ChargePeriodStart", "value": "ConsumedQuantity"},
    constants={"type": "focus.usage", "source": "focus"},
    dimensions={
        "service": "ServiceName",
        "unit": "ConsumedUnit",
        "sku": "SkuId",
        "sku_price": "SkuPriceId",
        "region": "RegionId",
        "resource": "ResourceId",
        "issuer": "InvoiceIssuerName",
        "period_end": "ChargePeriodEnd",
        "billed_cost": "BilledCost",
        "currency": "BillingCurrency",
    },
)


class Rows:
    """The rows of one file, in their order."""

    def __init__(self, mapping: ColumnMap, owner: str) -> None:
        self._mapping, self._owner = mapping, owner
        self._seen: Counter[bytes] = Counter()

    def event(self, row: Row) -> Event:
        """The event of a row. Raises :class:`Invalid` with the field in ``where``.

        >>> rows = Rows(PLAIN, "o")
        >>> row = {"type": "call", "account": "acme", "time": "2026-10-31", "region": "eu"}
        >>> rows.event(row).id == rows.event(row).id, rows.event(row).dimensions
        (False, {'region': 'eu'})
        """
        for name in _REQUIRED:
            if not self._text(row, name):
                raise InvalidEvent("it is missing", code="event.field_missing", where=name)
        value = self._text(row, "value")
        event = Event(
            owner=self._owner,
            source=self._text(row, "source") or "file",
            id=self._text(row, "id") or "-",
            type=self._text(row, "type"),
            account=self._text(row, "account"),
            time=self._time(self._text(row, "time")),
            value=parse_decimal(value or "1", max_digits=MAX_DIGITS, max_places=MAX_PLACES, where="value"),
            dimensions=self._dimensions_of(row),
        )
        check(event)
        return event if self._text(row, "id") else msgspec.structs.replace(event, id=self._made_id(event))

    def _text(self, row: Row, name: str) -> str:
        found = row.get(self._mapping.columns.get(name, name))
        return found or self._mapping.constants.get(name, "")

    def _time(self, text: str) -> int:
        if _WHOLE.fullmatch(text):
            return int(text) * _UNITS[self._mapping.time_unit]
        if _DATE.fullmatch(text):
            return start_of_day(parse_date(text, where="time"), self._mapping.time_zone)
        if _SHORT_OFFSET.search(text) and ":" in text:
            text += ":00"
        return parse_instant(text, zone_missing=self._mapping.time_zone, where="time")

    def _dimensions_of(self, row: Row) -> dict[str, str]:
        named = self._mapping.dimensions
        if named is not None:
            return {name: text for name, column in named.items() if (text := row.get(column))}
        taken = {self._mapping.columns.get(name, name) for name in FIELDS}
        found = {column: text for column, text in row.items() if text and column not in taken}
        packed = found.pop("dimensions", None)
        return found if packed is None else {**found, **_unpacked(packed)}

    def _made_id(self, event: Event) -> str:
        if len(self._seen) >= MAX_WITHOUT_ID:
            raise TooLarge(
                f"more than {MAX_WITHOUT_ID} rows without an id in one file. Give them ids, or send it by day",
                code="event.too_many_without_id",
            )
        said = body_hash(event)
        self._seen[said] += 1
        return f"{said.hex()}-{self._seen[said]}"


def _unpacked(text: str) -> dict[str, str]:
    try:
        return _dimensions.decode(text)
    except (msgspec.DecodeError, RecursionError):
        raise InvalidEvent(
            "it is not a JSON object of texts", code="event.dimensions_not_an_object", where="dimensions"
        ) from None
