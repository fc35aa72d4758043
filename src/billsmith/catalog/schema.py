"""The JSON Schema of a catalog, for editors: generated from the values' fields, so that it can't say something else."""

from __future__ import annotations

import datetime as dt
import inspect
import types
from collections.abc import Mapping
from decimal import Decimal
from enum import Enum
from typing import Any, Union, get_args, get_origin

import msgspec

from billsmith.catalog.catalog import Catalog
from billsmith.catalog.price import Price
from billsmith.units.calendar import Interval, Unit

Schema = dict[str, Any]

_PRICE = {"$ref": "#/$defs/Price"}
_PLAIN: dict[Any, Schema] = {
    str: {"type": ["string", "number"]},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    Decimal: {"type": ["number", "string"], "pattern": r"^[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,4})?$"},
    dt.date: {"type": "string", "format": "date"},
    Interval: {"type": "string", "pattern": rf"^([0-9]+ )?({'|'.join(Unit)})s?$"},
}


def catalog_schema(models: Mapping[str, type[Price]]) -> Schema:
    """The schema (draft 2020-12) of a catalog whose prices may be of the given models.

    >>> catalog_schema({})["required"]
    ['code', 'currency']
    """
    defs: dict[str, Schema] = {}
    root = _struct(Catalog, defs)
    for model, kind in sorted(models.items()):
        price = _struct(kind, defs)
        price["properties"] = {"model": {"const": model}, **price["properties"]}
        price["required"] = ["model", *price["required"]]
        defs[kind.__name__] = price
    defs["Price"] = {
        "description": _first_line(Price),
        "oneOf": [{"$ref": f"#/$defs/{kind.__name__}"} for _, kind in sorted(models.items())],
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "billsmith catalog",
        **root,
        "$defs": dict(sorted(defs.items())),
    }


def _struct(kind: type[msgspec.Struct], defs: dict[str, Schema]) -> Schema:
    fields = msgspec.structs.fields(kind)
    return {
        "description": _first_line(kind),
        "type": "object",
        "properties": {field.name: _schema(field.type, defs) for field in fields},
        "required": [field.name for field in fields if field.required],
        "additionalProperties": False,
    }


def _schema(kind: Any, defs: dict[str, Schema]) -> Schema:
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        (inner,) = [part for part in get_args(kind) if part is not types.NoneType]
        return {"anyOf": [_schema(inner, defs), {"type": "null"}]}
    if origin is tuple:
        return {"type": "array", "items": _schema(get_args(kind)[0], defs)}
    if origin is dict:
        return {"type": "object", "additionalProperties": _schema(get_args(kind)[1], defs)}
    if kind in _PLAIN:
        return _PLAIN[kind]
    if kind is Price:
        return _PRICE
    if issubclass(kind, Enum):
        return {"enum": [choice.value for choice in kind]}
    if kind.__name__ not in defs:
        defs[kind.__name__] = {}  # stands there before its fields are read, which may name it again
        defs[kind.__name__] = _struct(kind, defs)
    return {"$ref": f"#/$defs/{kind.__name__}"}


def _first_line(kind: type) -> str:
    return (inspect.getdoc(kind) or "").partition("\n")[0].replace("``", "")
