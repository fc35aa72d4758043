"""The vendor's paging: both parameters or neither, its three redirects, links that keep what was asked."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billsmith.vendors.hostway import paging
from billsmith.vendors.hostway.paging import Page, Resource
from tests.support.house import House
from tests.vendors.hostway.calls import BASE, hosted, rels

PATH = "/accounts/test731993/invoices"


@pytest.fixture
def call(request: pytest.FixtureRequest, house: House) -> Any:
    auth = house.hostway_user(hosted(house, getattr(request, "param", 12)))
    return lambda query="", path=PATH: house.client.get(f"{path}{query}", auth=auth)


@pytest.mark.parametrize(("call", "status"), [(100, 200), (101, 303)], indirect=["call"])
def test_up_to_a_hundred_need_no_paging(call: Any, status: int) -> None:
    answer = call()
    assert answer.status_code == status
    if status == 200:
        assert len(answer.json()["list"]) == 100
    for query, path in (("?sortField=status&filterStatus=invoice_paid", PATH), ("", "/accounts/test731993/invoice")):
        kept = "&sortField=status&filterStatus=invoice_paid" if query else ""
        answer = call(query, path)
        assert answer.status_code == status
        assert answer.headers.get("location") == (f"{BASE}{PATH}?page=1&pageSize=100{kept}" if status == 303 else None)


@pytest.mark.parametrize(("query", "location"), [
    ("?page=1&pageSize=401", "?page=1&pageSize=400"),
    ("?page=2&pageSize=99999", "?page=2&pageSize=400"),
    ("?pageSize=401&x=%C3%A9&page=3&x=2", "?page=3&pageSize=400&x=%C3%A9&x=2"),
    ("?page=11&pageSize=5", "?page=1&pageSize=5"),
    ("?page=4&pageSize=5", "?page=1&pageSize=5"),
    (f"?page={10**40}&pageSize=5&sortOrder=desc", "?page=1&pageSize=5&sortOrder=desc"),
    ("?page=2&pageSize=5&filterStatus=invoice_void", "?page=1&pageSize=5&filterStatus=invoice_void"),
])  # fmt: skip
def test_redirects(call: Any, query: str, location: str) -> None:
    answer = call(query)
    assert (answer.status_code, answer.headers["location"]) == (303, f"{BASE}{PATH}{location}")
    assert answer.content == b""


@pytest.mark.parametrize("query", [
    "?page=1", "?pageSize=5", "?page=0&pageSize=5", "?page=1&pageSize=0", "?page=-1&pageSize=5", "?page=1&pageSize=-5",
    "?page=one&pageSize=5", "?page=1&pageSize=5.0", "?page=&pageSize=5", "?page=1&pageSize=", "?page=1&page=2&pageSize=5",
    "?page=%EF%BC%91&pageSize=5", "?page=+1&pageSize=5", "?page=1;drop%20table%20invoice&pageSize=5", "?page=1&pageSize=1e2",
])  # fmt: skip
def test_bad_pages(call: Any, query: str) -> None:
    answer = call(query)
    assert answer.status_code == 400
    [(name, body)] = answer.json().items()
    assert (name, list(body), body["code"], body["guid"], body["details"]) == (
        "badRequest", ["guid", "message", "code", "details"], 400, "", "")  # fmt: skip
    assert "page" in body["message"]


@pytest.mark.parametrize(("page", "expected"), [
    (1, {"self": 1, "next": 2, "last": 3}),
    (2, {"self": 2, "previous": 1, "first": 1, "next": 3, "last": 3}),
    (3, {"self": 3, "previous": 2, "first": 1}),
])  # fmt: skip
def test_links(call: Any, page: int, expected: dict[str, int]) -> None:
    for path in (PATH, "/accounts/test731993/invoice"):
        answer = call(f"?pageSize=5&filterType=payment&page={page}", path)
        assert rels(answer.json()) == {
            rel: f"{PATH}?page={number}&pageSize=5&filterType=payment" for rel, number in expected.items()
        }
        assert list(rels(answer.json())) == list(expected)


def test_following_next_gives_every_invoice_once(call: Any) -> None:
    seen: list[int] = []
    links = {"next": f"{PATH}?page=1&pageSize=5&sortOrder=desc"}
    while "next" in links:
        answer = call("", links["next"]).json()
        seen += [record["number"] for record in answer["list"]]
        links = rels(answer)
    assert sorted(seen) == list(range(101393524, 101393536))


@pytest.mark.parametrize("call", [0], indirect=True)
@pytest.mark.parametrize("query", ["", "?page=1&pageSize=5", "?page=1&pageSize=400", "?filterStatus=invoice_unheard_of"])
def test_an_empty_list_is_its_own_answer(call: Any, query: str) -> None:
    answer = call(query)
    assert answer.status_code == 200
    assert (answer.json()["list"], list(rels(answer.json()))) == ([], ["self"])


@given(number=st.integers(1, 10**30), size=st.integers(1, 10**30), total=st.integers(0, 10_000), paged=st.booleans())
def test_no_redirect_leads_to_itself_and_each_ends_soon(number: int, size: int, total: int, paged: bool) -> None:
    where = Resource(url="http://host/list", others=[("filterStatus", "invoice_paid")])
    page = Page(number=number, size=size) if paged else None
    visited = {where.href(page)}
    while (elsewhere := paging.redirect(page, total, where)) is not None:
        assert elsewhere not in visited
        visited.add(elsewhere)
        number, size = (int(pair.partition("=")[2]) for pair in elsewhere.partition("?")[2].split("&")[:2])
        page = Page(number=number, size=size)
    assert len(visited) <= 3
    assert {link.rel for link in paging.links(page, total, where)} >= {"self"}


@given(size=st.integers(1, 400), total=st.integers(0, 2_000))
def test_pages_tile_the_list(size: int, total: int) -> None:
    where = Resource(url="u")
    last = max(-(-total // size), 1)
    assert paging.redirect(Page(number=last, size=size), total, where) is None
    assert paging.redirect(Page(number=last + 1, size=size), total, where) == f"u?page=1&pageSize={size}"
    assert (last - 1) * size <= total <= last * size
