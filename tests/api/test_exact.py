"""P8: no digit of an amount is lost between the request's bytes and the answer's."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.api.support import Caller
from tests.support.house import House


@pytest.mark.parametrize(("quantity", "unit_price", "total"), [
    ("100000000000000", "1.0000000000000001", "100000000000000.01"),
    ("3", "0.1", "0.30"),
    ("1", "0.005", "0.01"),
    ("-1", "0.005", "-0.01"),
    ("1", "0.004999999999999999", "0.00"),
    ("999999999999", "999.99", "999989999999000.01"),
    ("1e2", "1E-2", "1.00"),
])  # fmt: skip
@pytest.mark.parametrize("quoted", [True, False])
def test_numbers_and_text_are_read_alike(house: House, quantity: str, unit_price: str, total: str, quoted: bool) -> None:
    caller = Caller(house, house.account("Reseller", external_id="top"))
    numbers = [f'"{text}"' if quoted else text for text in (quantity, unit_price)]
    line = '{"description": "x", "quantity": %s, "unit_price": %s}' % tuple(numbers)  # noqa: UP031
    body = f'{{"recipient": "top", "lines": [{line}]}}'.encode()
    made = caller("POST", "/v1/invoices", content=body, headers={"Content-Type": "application/json"}).json()
    assert made["total"] == total
    assert Decimal(made["lines"][0]["quantity"]) == Decimal(quantity)
    assert Decimal(made["lines"][0]["unit_price"]) == Decimal(unit_price)
    listed = caller.get("/v1/invoices")["items"][0]
    assert (listed["total"], listed["due"]) == (total, made["due"])


def test_control_a_float_on_the_way_would_be_seen() -> None:
    assert f"{float('100000000000000') * float('1.0000000000000001'):.2f}" != "100000000000000.01"
