"""The parent of values that people state: prices, plans, meters. Frozen, by keyword, and never with a float in it."""

from __future__ import annotations

import msgspec

from billsmith.units.errors import InvalidNumber


class Value(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A frozen value. Raises :class:`InvalidNumber` where a float was given for one of its fields."""

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            if type(getattr(self, name)) is float:
                raise InvalidNumber(
                    f"{getattr(self, name)!r} is a float; give the number as a decimal, read from its text",
                    code="number.not_exact",
                    where=name,
                )
