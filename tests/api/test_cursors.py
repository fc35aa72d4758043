"""Cursors neither skip nor repeat what was there at the start, and are good for their own list only."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from billsmith.api import cursors
from tests.api.support import Caller, problem
from tests.support.house import House


def two_levels(house: House) -> tuple[Caller, Caller]:
    """A provider with a customer of its own, and a partner below it who issues to another."""
    top = house.account("Provider", external_id="top")
    house.account("Direct", top, external_id="c-1")
    partner = house.account("Partner", top, external_id="p-1")
    house.account("Of the partner", partner, external_id="c-2")
    return Caller(house, top), Caller(house, partner)


def add(provider: Caller, partner: Caller, number: int) -> None:
    """One more invoice, from either of the list's two sources; some share their instant."""
    provider.house.now += number % 2
    issuer, recipient = (provider, "c-1") if number % 3 else (partner, "c-2")
    issuer.post("/v1/invoices", {"recipient": recipient, "lines": [{"description": "x", "amount": number % 4 + 1}]})


@pytest.mark.parametrize("parameters", [
    {"sort": "created"},
    {"sort": "-created"},
    {"sort": "-created", "status": "issued"},
    {"sort": "total"},
    {"sort": "-customer"},
    {"sort": "number", "issuer": "top"},
])  # fmt: skip
def test_pages_hold_each_row_once_while_invoices_are_added(house: House, parameters: dict[str, Any]) -> None:
    provider, partner = two_levels(house)
    for number in range(9):
        add(provider, partner, number)
    there = [item["id"] for item in provider.all("/v1/invoices", **parameters)]
    assert len(there) >= 6
    seen, cursor = [], None
    for turn in range(100):
        page = provider.get("/v1/invoices", limit=2, **parameters, **({"cursor": cursor} if cursor else {}))
        seen += [item["id"] for item in page["items"]]
        add(provider, partner, turn)
        cursor = page["next_cursor"]
        if cursor is None or set(there) <= set(seen):
            break
    assert len(seen) == len(set(seen)), "a row came twice"
    assert [id for id in seen if id in there] == there, "a row was skipped"


def test_control_paging_by_offset_repeats_rows(house: House) -> None:
    """The same walk by counting rows fails, so the test above can see it."""
    provider, partner = two_levels(house)
    for number in range(6):
        add(provider, partner, number)
    seen: list[str] = []
    for turn in range(3):
        newest_first = [item["id"] for item in provider.all("/v1/invoices")]
        seen += newest_first[turn * 2 : turn * 2 + 2]
        add(provider, partner, turn)
    assert len(seen) != len(set(seen))


def test_pages_are_whole_while_others_write_at_the_same_time(house: House) -> None:
    provider, partner = two_levels(house)
    for number in range(12):
        add(provider, partner, number)
    there = {item["id"] for item in provider.all("/v1/invoices")}
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            add(provider, partner, number)
            number += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for sort in ("created", "-created"):
            seen, cursor = [], None
            while not there <= set(seen):
                page = provider.get("/v1/invoices", limit=3, sort=sort, **({"cursor": cursor} if cursor else {}))
                seen += [item["id"] for item in page["items"]]
                cursor = page["next_cursor"]
                if cursor is None:
                    break
            assert there <= set(seen)
            assert len(seen) == len(set(seen))
    finally:
        stop.set()
        writer.join()


def test_a_cursor_is_good_for_its_account_list_filters_and_order_only(house: House) -> None:
    provider, partner = two_levels(house)
    for number in range(6):
        add(provider, partner, number)
    cursor = provider.get("/v1/invoices", limit=1)["next_cursor"]
    assert provider.get("/v1/invoices", limit=200, cursor=cursor)["items"]
    for caller, path, parameters in (
        (partner, "/v1/invoices", {}),
        (provider, "/v1/accounts", {}),
        (provider, "/v1/invoices", {"sort": "created"}),
        (provider, "/v1/invoices", {"status": "issued"}),
        (provider, "/v1/invoices", {"issuer": "top"}),
    ):
        problem(caller("GET", path, params={"cursor": cursor, **parameters}), 400, "input.cursor", "cursor")
    for broken in (cursor[:-1], cursor + "A", cursor[::-1], "A" * len(cursor), "*", cursor + "="):
        problem(provider("GET", "/v1/invoices", params={"cursor": broken}), 400, "input.cursor", "cursor")


def test_a_cursor_tells_nothing_but_an_id_that_its_reader_may_see(house: House) -> None:
    provider, partner = two_levels(house)
    for number in range(6):
        add(provider, partner, number)
    visible = {item["id"] for item in partner.all("/v1/invoices")}
    page = partner.get("/v1/invoices", limit=1)
    with house.database.read() as connection:
        from billsmith.storage.upgrade import cursor_key

        secret = cursor_key(connection)
    bound_to = [partner.account.id, "/v1/invoices"]
    assert cursors.read(secret, bound_to, page["next_cursor"]) in visible


@pytest.mark.parametrize("path", ["/v1/accounts", "/v1/accounts?parent=top", "/v1/credentials"])
def test_the_other_lists_page_as_well(house: House, path: str) -> None:
    provider, _ = two_levels(house)
    for number in range(3):
        house.account(f"More {number}", provider.account)
        Caller(house, provider.account)
    name, _, parent = path.partition("?parent=")
    parameters = {"parent": parent} if parent else {}
    whole = [item["id"] for item in provider.get(name, **parameters)["items"]]
    assert len(whole) >= 4
    assert [item["id"] for item in provider.all(name, limit=1, **parameters)] == whole
    assert [item["id"] for item in provider.all(name, limit=3, **parameters)] == whole
