"""What changes an invoice beside prices: coupons and tax rates. Frozen; a change is a new version."""

from __future__ import annotations

from decimal import Decimal

from billsmith.units.errors import InvalidCatalog
from billsmith.units.values import Value

_HUNDRED = Decimal(100)


class Coupon(Value, frozen=True, kw_only=True):
    """``percent`` or a fixed ``amount`` off, before tax.

    ``applies_to`` names the meters and fees that it lowers; none named, all. ``periods`` is for how many billing periods it
    holds; none given, for ever. ``maximum`` caps what a percentage takes off one invoice. A lower ``order`` comes first.
    """

    code: str
    version: int = 1
    name: str = ""
    percent: Decimal | None = None
    amount: Decimal | None = None
    currency: str = ""
    applies_to: tuple[str, ...] = ()
    periods: int | None = None
    maximum: Decimal | None = None
    order: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.percent is None) == (self.amount is None):
            raise InvalidCatalog("a coupon has either percent or amount", code="catalog.coupon_one_kind")
        if self.percent is not None and not 0 < self.percent <= _HUNDRED:
            raise InvalidCatalog("a coupon's percent is above 0, at most 100", code="catalog.coupon_percent", where="percent")
        for name in ("amount", "maximum", "periods"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise InvalidCatalog(f"a coupon's {name} is above zero", code="catalog.coupon_amount", where=name)


class TaxRate(Value, frozen=True, kw_only=True):
    """``rate`` percent on what lies in a tax category.

    ``included`` amounts contain the tax already; a ``compound`` tax is also charged on those before it; ``note`` says why
    nothing is charged (an exemption, reverse charge). ``country`` (ISO 3166) limits where it holds.
    """

    code: str
    version: int = 1
    category: str = ""
    name: str
    rate: Decimal
    country: str = ""
    included: bool = False
    compound: bool = False
    note: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.rate <= _HUNDRED:
            raise InvalidCatalog("a tax rate is from 0 to 100 percent", code="catalog.tax_rate", where="rate")
