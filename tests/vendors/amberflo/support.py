"""What the tests of Amberflo's face share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

from billsmith.accounts.authorisation import CredentialKind, Scope
from billsmith.accounts.model import Account
from billsmith.invoicing.model import LineKind
from billsmith.invoicing.totals import DraftLine
from billsmith.vendors.amberflo import load, translate
from billsmith.workflows.import_invoices import ImportReport
from tests.support.house import House
from tests.support.served import serving

DEMO = Path(translate.__file__).parents[2] / "demo_data" / "amberflo.json"
SHAPE = Path(__file__).parents[2] / "cases" / "amberflo" / "invoice-shape.json"
INVOICES = "/payments/billing/customer-product-invoice"
CUSTOMER = "atlas-robotics"
PLAN = "8d0b6a52-7c3f-4f0e-9b61-2f7f1f5f3a11"


def key(house: House, account: Account, *scopes: Scope) -> dict[str, str]:
    """The headers of a caller with an api-key of this account."""
    return {"X-API-KEY": house.key(account, CredentialKind.API_KEY, scopes or None)[1]}


@contextmanager
def running(house: House) -> Iterator[str]:
    """The URL of a server in a process of its own over the house's store."""
    database = house.database
    if database.file is not None:
        served = serving(database.file.parent)
    else:
        served = serving(Path("unused"), database_url=database.url.render_as_string(hide_password=False))
    with served as server:
        yield server.url


def bring_in(house: House, account: Account, body: bytes | None = None) -> ImportReport:
    return load.load(house.database, account, DEMO.read_bytes() if body is None else body, now=house.now)


def get(house: House, path: str, headers: dict[str, str], **query: Any) -> Any:
    answer = house.client.get(path, headers=headers, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


#: One line of every kind that an invoice can have.
ALL_KINDS = [
    DraftLine(
        description="API calls",
        amount=Decimal("62.50"),
        kind=LineKind.USAGE,
        quantity=Decimal(125_000),
        meter="api-calls",
        plan="growth",
        dimensions={"region": "eu-west"},
    ),
    DraftLine(
        description="API calls",
        amount=Decimal("40.125"),
        kind=LineKind.USAGE,
        quantity=Decimal("80250.5"),
        meter="api-calls",
        plan="growth",
        dimensions={"region": "us-east", "tier": "b"},
    ),
    DraftLine(description="Storage", amount=Decimal("18.26"), kind=LineKind.USAGE, meter="gb-hours", plan="growth"),
    DraftLine(description="Platform fee", amount=Decimal("99.00"), tax_category="standard", plan="growth", trace=("monthly",)),
    DraftLine(description="Minimum", amount=Decimal("5.00"), kind=LineKind.MINIMUM),
    DraftLine(description="Ten per cent", amount=Decimal("-12.00"), kind=LineKind.DISCOUNT),
    DraftLine(description="Coupon", amount=Decimal("-1.00"), kind=LineKind.COUPON),
    DraftLine(description="Commitment", amount=Decimal("20.00"), kind=LineKind.TRUE_UP),
    DraftLine(description="Prepaid", amount=Decimal("-30.00"), kind=LineKind.CREDIT),
    DraftLine(description="Goodwill", amount=Decimal("-0.50"), kind=LineKind.ADJUSTMENT),
]
