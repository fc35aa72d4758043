"""``billsmith catalog``: look at a price book before anybody is billed by it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

import billsmith.rating  # noqa: F401 (loads the price models)
from billsmith.catalog import Catalog, parse
from billsmith.cli.common import PLAIN, Common
from billsmith.cli.output import Record, Row
from billsmith.units.errors import InvalidCatalog

app = App(name="catalog", help="Price books: meters, prices, plans, coupons, taxes.")


@app.command
def check(
    file: Annotated[Path, Parameter(help="A catalog in YAML or JSON.")],
    *,
    common: Common = PLAIN,
) -> None:
    """Read a catalog; say what is in it, or what is wrong, where, and how to mend it. Nothing is stored.

    Example: billsmith catalog check prices.yaml
    """
    try:
        text = file.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidCatalog(
            f"byte {error.start} is not UTF-8. Save the file as UTF-8 text", code="catalog.not_text", where=file.name
        ) from None
    common.show(Record(row=summary(parse(text, file.name)), id_field="code"))


def summary(catalog: Catalog) -> Row:
    """What a catalog offers, counted.

    >>> summary(Catalog(code="acme", currency="EUR"))["plans"]
    0
    """
    return {
        "code": catalog.code,
        "version": catalog.version,
        "currency": catalog.currency,
        "meters": len(catalog.meters),
        "price_books": len(catalog.price_books),
        "plans": len(catalog.plans),
        "add_ons": len(catalog.add_ons),
        "coupons": len(catalog.coupons),
        "tax_rates": len(catalog.tax_rates),
    }
