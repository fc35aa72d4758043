"""Catalog values → text that :mod:`billsmith.catalog.reading` reads back as the same values: how a store keeps them.

JSON, because it is YAML too; numbers are texts, so that none is ever a float; what is at its default is left out.
"""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from enum import Enum
from hashlib import blake2b
from typing import Any

import msgspec

from billsmith.catalog.fields import fields_of
from billsmith.catalog.price import Price
from billsmith.units.calendar import Interval
from billsmith.units.rounding import plain, trimmed


def text_of(value: Any, *, trim: bool = False) -> str:
    """A catalog value as JSON. With ``trim`` zeros at the end of decimals are dropped, so that equal values have one text.

    >>> from billsmith.catalog.offer import Plan
    >>> from billsmith.units.calendar import Unit
    >>> text_of(Plan(code="basic", interval=Interval(Unit.MONTH, 3)))
    '{"code":"basic","interval":"3 months"}'
    """
    return msgspec.json.encode(tree_of(value, trim), order="sorted").decode()


def tree_of(value: Any, trim: bool = False) -> Any:
    """A catalog value as dicts, lists and texts."""
    if isinstance(value, Interval):
        return f"{value.count} {value.unit}{'s' if value.count > 1 else ''}"
    if isinstance(value, msgspec.Struct):
        tree = {"model": value.model} if isinstance(value, Price) else {}
        return tree | {
            field.name: tree_of(getattr(value, field.name), trim)
            for field in fields_of(type(value)).values()
            if field.required or getattr(value, field.name) != _default(field)
        }
    if isinstance(value, dict):
        return {name: tree_of(item, trim) for name, item in value.items()}
    if isinstance(value, tuple | list):
        return [tree_of(item, trim) for item in value]
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Decimal):
        return plain(trimmed(value) if trim else value)
    if isinstance(value, dt.date):
        return value.isoformat()
    return value


def digest(*texts: str) -> str:
    """What tells texts from others: 128 bits, in hexadecimal digits."""
    hashed = blake2b(digest_size=16)
    for text in texts:
        raw = text.encode("utf-8", "surrogatepass")
        hashed.update(len(raw).to_bytes(8, "big") + raw)
    return hashed.hexdigest()


def _default(field: msgspec.structs.FieldInfo) -> Any:
    return field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()
