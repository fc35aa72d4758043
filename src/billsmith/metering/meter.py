"""What is counted: which events, how, by what."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum

import msgspec

from billsmith.events.event import Event
from billsmith.metering.expression import Expression, parse_expression
from billsmith.units.errors import Invalid
from billsmith.units.rounding import Rounding
from billsmith.units.values import Value


class Aggregation(StrEnum):
    """How events become one number. Each has its plain function in ``aggregations.py``."""

    COUNT = "count"
    SUM = "sum"
    MAX = "max"
    MIN = "min"
    AVERAGE = "average"
    UNIQUE_COUNT = "unique_count"
    UNIQUE_COUNT_PRORATED = "unique_count_prorated"
    LATEST = "latest"
    TIME_WEIGHTED_SUM = "time_weighted_sum"
    PERCENTILE = "percentile"
    EXPRESSION = "expression"


#: The dimension that says whether a unique thing came or went, and what it says when it went.
OPERATION = "operation"
REMOVE = "remove"

_NUMBERLESS = (Aggregation.COUNT, Aggregation.EXPRESSION)
_HUNDRED = Decimal(100)


class Meter(Value, frozen=True, kw_only=True):
    """Events of ``event_type`` that pass the filter, aggregated, for each combination of ``group_by``.

    ``where`` keeps events whose dimension is one of the given values, ``unless`` drops them. ``field`` is the dimension that is
    counted with, or ``value`` for the event's own. ``rounding`` and ``places`` round the quantity, once; none given, it is
    exact. ``amount_field`` names the dimension in which an event states its own price. A change is a new ``version``.
    """

    code: str
    event_type: str
    version: int = 1
    aggregation: Aggregation = Aggregation.SUM
    field: str = "value"
    where: dict[str, tuple[str, ...]] = msgspec.field(default_factory=dict)
    unless: dict[str, tuple[str, ...]] = msgspec.field(default_factory=dict)
    group_by: tuple[str, ...] = ()
    unit: str = ""
    expression: str = ""
    percentile: Decimal | None = None
    removal_day_counts: bool = True
    amount_field: str = ""
    rounding: Rounding | None = None
    places: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.aggregation is Aggregation.PERCENTILE) != (self.percentile is not None):
            raise Invalid(
                "percentile is given for the aggregation percentile, and only there",
                code="meter.percentile",
                where="percentile",
            )
        if self.percentile is not None and not 0 <= self.percentile <= _HUNDRED:
            raise Invalid("a percentile is from 0 to 100", code="meter.percentile_range", where="percentile")
        if (self.aggregation is Aggregation.EXPRESSION) != bool(self.expression):
            raise Invalid(
                "expression is given for the aggregation expression, and only there",
                code="meter.expression",
                where="expression",
            )
        if self.expression:
            parse_expression(self.expression)

    def counts(self, event: Event) -> bool:
        """Whether the meter counts an event.

        >>> meter = Meter(code="eu", event_type="call", where={"region": ("eu",)})
        >>> meter.counts(Event(owner="o", source="s", id="1", type="call", account="a", time=0, dimensions={"region": "us"}))
        False
        """
        return event.type == self.event_type and self.passes(event.dimensions)

    def passes(self, dimensions: Mapping[str, str]) -> bool:
        """Whether the dimensions of an event of the type pass the filter."""
        return all(dimensions.get(name) in values for name, values in self.where.items()) and not any(
            dimensions.get(name) in values for name, values in self.unless.items()
        )

    def group_of(self, event: Event) -> tuple[str, ...]:
        """The values of ``group_by``; a dimension that the event lacks is empty."""
        return self.group(event.dimensions)

    def group(self, dimensions: Mapping[str, str]) -> tuple[str, ...]:
        """The values of ``group_by`` among an event's dimensions."""
        return tuple(dimensions.get(name, "") for name in self.group_by)

    @property
    def formula(self) -> Expression:
        """The expression, parsed."""
        return parse_expression(self.expression)
