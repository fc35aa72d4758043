"""A pulled invoice's line and a rule → the charges of customers. Pure.

The line is rated once, as a usage that states its own amount; the rounded charge is then shared by largest remainder, so that
every cent goes to somebody and nobody gets one twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

import msgspec

from billsmith.catalog.price import Takes
from billsmith.catalog.rebill import Rule
from billsmith.invoicing.model import Line, LineKind, Period
from billsmith.metering.quantity import Quantity
from billsmith.rating.charge import Charge
from billsmith.rating.context import Context
from billsmith.rating.rate import rate
from billsmith.units.currency import currency_exponent, from_minor
from billsmith.units.errors import Invalid
from billsmith.units.exact import Exact
from billsmith.units.rounding import allocate
from billsmith.units.wording import say_money, say_number


class SourceLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line as a connection pulled it: of which invoice, to whom the vendor invoiced it (an external id), and when."""

    connection: str
    number: str
    index: int
    customer: str
    currency: str
    period: Period
    line: Line


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """What one customer is charged of a source line."""

    customer: str
    currency: str
    line: Line


def takes(rule: Rule, source: SourceLine) -> bool:
    """Whether a rule is for a line."""
    return (
        (not rule.sources or source.connection in rule.sources)
        and (not rule.currency or source.currency == rule.currency)
        and all(_field(source, name) in values for name, values in rule.where.items())
        and not any(_field(source, name) in values for name, values in rule.unless.items())
    )


def rule_for(rules: Sequence[Rule], source: SourceLine) -> Rule | None:
    """The first rule that takes a line."""
    return next((rule for rule in rules if takes(rule, source)), None)


def rebill(rule: Rule, source: SourceLine, weights: Mapping[str, Exact]) -> tuple[Share, ...]:
    """A line's charges: one for each customer in ``weights``, in its order; who weighs nothing gets nothing.

    Raises :class:`Invalid` where nobody weighs anything, or the price needs a quantity that the line does not state, and what
    the rating raises.

    >>> from billsmith.rating.models.markup import Markup
    >>> bought = SourceLine(connection="cloud", number="7", index=0, customer="us", currency="EUR", period=Period(0, 1),
    ...                     line=Line(description="Backup", amount_minor=1000))
    >>> rule = Rule(code="resale", price=Markup(percent=Decimal(0)))
    >>> [share.line.amount_minor for share in rebill(rule, bought, {"a": Decimal(1), "b": Decimal(1), "c": Decimal(1)})]
    [334, 333, 333]
    """
    sharing = {customer: weight for customer, weight in weights.items() if weight}
    if not sharing:
        raise Invalid("nobody shares this line", code="rebill.nobody", where=rule.code)
    charge = _rated(rule, source)
    parts = allocate(charge.amount_minor, list(sharing.values()))
    return tuple(
        Share(customer=customer, currency=source.currency, line=_line(rule, source, charge, sharing, customer, amount))
        for (customer, _), amount in zip(sharing.items(), parts, strict=True)
    )


def _rated(rule: Rule, source: SourceLine) -> Charge:
    line = source.line
    if line.quantity is None and any(price.takes is Takes.QUANTITY for price in rule.price.walk()):
        raise Invalid(
            f"{rule.price.model} prices a quantity, but the line states none. Use flat, markup or margin for it",
            code="rebill.no_quantity",
            where=rule.code,
        )
    bought = Quantity(
        value=Decimal(1) if line.quantity is None else line.quantity,
        amount=from_minor(line.amount_minor, source.currency),
        dimensions=line.dimensions,
    )
    return rate(rule.price, [bought], Context(currency=source.currency, unit=line.unit, stated="on the vendor's invoice"))


def _line(
    rule: Rule, source: SourceLine, charge: Charge, sharing: Mapping[str, Exact], customer: str, amount_minor: int
) -> Line:
    line, places = source.line, currency_exponent(source.currency)
    trace = [f"{source.connection}, invoice {source.number}, line {source.index + 1}: {line.description}", *charge.sentences]
    if len(sharing) > 1:
        whole = sum(sharing.values(), Decimal(0)) if _decimals(sharing) else None
        of = f" of {say_number(whole)}" if whole is not None else ""
        share, asked = say_number(sharing[customer]), say_money(from_minor(amount_minor, source.currency), places)
        trace.append(f"a share of {share}{of}: {asked} of {say_money(charge.rounded, places)}")
    return Line(
        description=(rule.description or line.description)[:2000],
        amount_minor=amount_minor,
        kind=line.kind if line.kind in (LineKind.USAGE, LineKind.FEE) else LineKind.FEE,
        quantity=line.quantity if len(sharing) == 1 else None,
        unit=line.unit if len(sharing) == 1 else "",
        period=line.period or source.period,
        tax_category=rule.tax_category,
        component=rule.code,
        dimensions={"source": source.connection, "invoice": source.number, "line": str(source.index + 1)},
        trace=tuple(trace),
    )


def _decimals(sharing: Mapping[str, Exact]) -> bool:
    return all(type(weight) is Decimal for weight in sharing.values())


def _field(source: SourceLine, name: str) -> str:
    line = source.line
    match name:
        case "description" | "unit" | "meter" | "plan" | "component":
            text: str = getattr(line, name)
            return text
        case "kind":
            return line.kind.value
        case "customer":
            return source.customer
        case _:
            return line.dimensions.get(name, "")
