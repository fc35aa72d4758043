"""P17: a small tenant's request costs the same whatever else the store holds; numbers, depth and counts are capped first."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event, func, select

from billsmith.storage import invoice_writing, invoices, schema
from billsmith.storage.invoice_writing import NewInvoice
from billsmith.units.ids import derived_id
from tests.api.support import Caller
from tests.support.house import House

LISTS: list[tuple[str, dict[str, Any]]] = [
    ("/v1/invoices", {}),
    ("/v1/invoices", {"sort": "created", "limit": 200}),
    ("/v1/invoices", {"status": "paid"}),
    ("/v1/invoices", {"number": "nope"}),
    ("/v1/invoices", {"sort": "total"}),
    ("/v1/invoices", {"sort": "number", "issuer": "small"}),
    ("/v1/invoices", {"recipient": "c-1", "sort": "date"}),
    ("/v1/invoices", {"currency": "USD", "date_from": "2030-01-01"}),
    ("/v1/accounts", {}),
    ("/v1/accounts", {"parent": "small"}),
    ("/v1/credentials", {}),
]


def steps_of(house: House, work: Callable[[], Any]) -> int:
    """How many steps SQLite's machine takes, in hundreds."""
    count = 0

    def tick() -> int:
        nonlocal count
        count += 1
        return 0

    def begin(connection: Any, _record: Any, _proxy: Any) -> None:
        connection.set_progress_handler(tick, 100)

    event.listen(house.database.engine, "checkout", begin)
    try:
        work()
    finally:
        event.remove(house.database.engine, "checkout", begin)
    return count


def small_tenant(house: House) -> Caller:
    small = house.account("Small", external_id="small")
    for number in range(3):
        house.invoice(small, house.account("Customer", small, external_id=f"c-{number}"))
    return Caller(house, small)


def fill(house: House, count: int) -> None:
    """Another tenant with many invoices, accounts and credentials."""
    big = house.account("Big", external_id="big")
    customers = [house.account(f"Customer {number}", big) for number in range(count // 10)]
    for customer in customers[: count // 20]:
        Caller(house, customer)
    made = house.invoice(big, customers[0])
    with house.database.write() as connection:
        proto = invoices.get(connection, made.invoice.id, None).invoice
        batch = []
        for number in range(count):
            recipient = customers[number % len(customers)]
            copy = msgspec.structs.replace(proto, id=derived_id("f", str(number)), recipient_id=recipient.id)
            batch.append(NewInvoice(invoice=copy, issuer=big, recipient=recipient))
        invoice_writing.add(connection, batch)


def test_a_small_tenants_lists_cost_the_same_beside_a_large_one(sqlite_house: House) -> None:
    caller = small_tenant(sqlite_house)
    alone = [steps_of(sqlite_house, lambda: caller.get(path, **parameters)) for path, parameters in LISTS]  # noqa: B023
    fill(sqlite_house, 2000)
    for (path, parameters), before in zip(LISTS, alone, strict=True):
        after = steps_of(sqlite_house, lambda: caller.get(path, **parameters))  # noqa: B023
        assert after <= before * 1.5 + 10, (path, parameters, before, after)

    def unbounded() -> None:
        with sqlite_house.database.read() as connection:
            connection.execute(select(func.count()).select_from(schema.invoice).where(schema.invoice.c.currency == "USD"))

    assert steps_of(sqlite_house, unbounded) > 50, "the control: a scan of the whole store is seen"


def test_no_list_scans_a_table_from_end_to_end(sqlite_house: House) -> None:
    caller = small_tenant(sqlite_house)
    seen: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool) -> None:
        if statement.startswith("SELECT"):
            seen.append((statement, parameters))

    event.listen(sqlite_house.database.engine, "before_cursor_execute", note)
    for path, parameters in LISTS:
        caller.get(path, **parameters)
    event.remove(sqlite_house.database.engine, "before_cursor_execute", note)
    tables = ("invoice", "invoice_viewer", "account", "credential", "issuer", "recipient")
    with sqlite_house.database.read() as connection:
        for statement, parameters in seen:
            for step in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters):
                words = step[-1].split()
                assert not (words[0] == "SCAN" and words[1] in tables), (step[-1], statement)


def test_the_body_is_capped_before_it_is_read(sqlite_house: House) -> None:
    caller = small_tenant(sqlite_house)
    for lines, status in ((10_000, 201), (10_001, 400)):
        body = {"recipient": "c-1", "lines": [{"description": "x", "amount": "0.01"}] * lines}
        answer = caller("POST", "/v1/invoices", body)
        assert answer.status_code == status, answer.text[:300]
    assert answer.json()["where"] == "lines"


@pytest.fixture(scope="module")
def caller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    from billsmith.storage.database import Database, sqlite_url

    database = Database(sqlite_url(tmp_path_factory.mktemp("bounded")))
    yield small_tenant(House(database))
    database.close()


NUMBERS = st.one_of(
    st.from_regex(r"-?[0-9]{1,60}(\.[0-9]{1,60})?([eE][+-]?[0-9]{1,6})?", fullmatch=True),
    st.sampled_from(
        ["NaN", "Infinity", "-Infinity", "1e999999999", "1_000", "０１", "0x10", "+1", "--1", ".5", "5.", "1e", ""]
    ),
    st.text(max_size=80),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(text=NUMBERS, as_number=st.booleans(), field=st.sampled_from(["amount", "quantity", "unit_price", "rate"]))
def test_any_number_is_read_exactly_or_refused_at_once(caller: Caller, text: str, as_number: bool, field: str) -> None:
    raw = text if as_number else json.dumps(text)
    line = {"amount": f'"amount": {raw}', "quantity": f'"quantity": {raw}, "unit_price": "1.00"',
            "unit_price": f'"quantity": "1", "unit_price": {raw}', "rate": '"amount": "1"'}[field]  # fmt: skip
    rate = raw if field == "rate" else "21"
    body = f'{{"recipient": "c-1", "lines": [{{"description": "x", {line}}}], "taxes": [{{"name": "VAT", "rate": {rate}}}]}}'
    started = time.perf_counter()
    answer = caller(
        "POST", "/v1/invoices", content=body.encode("utf-8", "surrogatepass"), headers={"Content-Type": "application/json"}
    )
    assert time.perf_counter() - started < 5
    assert answer.status_code in (201, 400), answer.text
    if answer.status_code == 400:
        assert answer.json()["code"].split(".")[0] in ("number", "invoice", "input")
    elif field in ("quantity", "unit_price"):
        assert Decimal(answer.json()["lines"][0][field]) == Decimal(text)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(body=st.one_of(st.binary(max_size=200), st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["name", "lines", "recipient", "profile", "x"]),
                                                                inner, max_size=3),
    max_leaves=8,
).map(lambda value: json.dumps(value).encode())))  # fmt: skip
def test_any_body_is_a_4xx_or_an_effect(caller: Caller, body: bytes) -> None:
    for path in ("/v1/invoices", "/v1/accounts", "/v1/credentials"):
        answer = caller("POST", path, content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code in (201, 400, 413), answer.text
