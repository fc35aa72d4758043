"""``billsmith catalog``: look at price books before anybody is billed by them."""

from __future__ import annotations

import sys
from pathlib import Path

import billsmith.rating  # noqa: F401 (loads the price models)
from billsmith.catalog import Catalog, parse
from billsmith.units.errors import BillsmithError

#: sysexits' EX_DATAERR and EX_NOINPUT.
EXIT_BAD_DATA = 65
EXIT_NO_FILE = 66


def check(file: Path) -> int:
    """Read a catalog; say what is in it, or what is wrong, where, and how to mend it. Gives the exit code, 0 if all is well."""
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        print(f"{file} can't be read: {error}. Name a UTF-8 text file.", file=sys.stderr)
        return EXIT_NO_FILE
    try:
        catalog = parse(text, file.name)
    except BillsmithError as error:
        print(error, file=sys.stderr)
        return EXIT_BAD_DATA
    print(summary(catalog))
    return 0


def summary(catalog: Catalog) -> str:
    """What a catalog offers, in one line.

    >>> summary(Catalog(code="acme", currency="EUR"))
    'acme version 1, EUR: 0 meters, 0 price books, 0 plans, 0 add-ons, 0 coupons, 0 tax rates'
    """
    parts = {
        "meters": catalog.meters,
        "price books": catalog.price_books,
        "plans": catalog.plans,
        "add-ons": catalog.add_ons,
        "coupons": catalog.coupons,
        "tax rates": catalog.tax_rates,
    }
    counts = ", ".join(f"{len(items)} {name[:-1] if len(items) == 1 else name}" for name, items in parts.items())
    return f"{catalog.code} version {catalog.version}, {catalog.currency}: {counts}"
