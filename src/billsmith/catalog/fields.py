"""What the fields of a catalog's values are: worked out once for each kind of value, as that takes longer than to read one."""

from __future__ import annotations

from functools import cache

import msgspec
from msgspec.structs import FieldInfo


@cache
def fields_of(kind: type[msgspec.Struct]) -> dict[str, FieldInfo]:
    """The fields of a kind of value by their names, in their order.

    >>> from billsmith.catalog.catalog import Catalog
    >>> next(iter(fields_of(Catalog)))
    'code'
    """
    return {field.name: field for field in msgspec.structs.fields(kind)}
