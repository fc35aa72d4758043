"""Whatever is sent, the answer is one of the contract's; never a 500, never another shape."""

from __future__ import annotations

import base64
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billsmith.storage.database import Database, sqlite_url
from tests.support.house import House
from tests.vendors.hostway.calls import hosted

NAMES = {400: "badRequest", 404: "itemNotFound", 406: "notAcceptable"}
ODD = st.one_of(
    st.text(max_size=40),
    st.integers().map(str),
    st.floats().map(str),
    st.sampled_from(["", "0", "-1", "9" * 900, "invoice_paid", "charge", "status", "desc", "' OR 1=1 --", "%00", "\u0661"]),
)
PARAMETERS = st.sampled_from(["page", "pageSize", "filterStatus", "filterType", "sortField", "sortOrder", "Page", "x"])


@pytest.fixture(scope="module")
def small_house(tmp_path_factory: pytest.TempPathFactory) -> tuple[House, tuple[str, str]]:
    house = House(Database(sqlite_url(tmp_path_factory.mktemp("house"))))
    return house, house.hostway_user(hosted(house, 7))


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    account=st.one_of(st.just("test731993"), ODD),
    rest=st.one_of(
        st.sampled_from(["", "/invoices", "/invoice", "/invoces/1"]), ODD.map(lambda odd: f"/invoices/{quote(odd)}")
    ),
    pairs=st.lists(st.tuples(PARAMETERS, ODD), max_size=4),
    accept=st.sampled_from([None, "*/*", "application/pdf", ",;q=", "a/b;q=x, */*"]),
)
def test_any_request(
    small_house: tuple[House, tuple[str, str]], account: str, rest: str, pairs: list[tuple[str, str]], accept: str | None
) -> None:
    house, auth = small_house
    path = f"/accounts/{quote(account, safe='')}{rest}"
    answer = house.client.get(path, params=pairs, auth=auth, headers={"Accept": accept} if accept else {})
    if answer.status_code == 200:
        assert "links" in answer.json()
    elif answer.status_code == 303:
        assert answer.headers["location"].startswith("http://127.0.0.1:8080/accounts/")
        assert house.client.get(answer.headers["location"], auth=auth).status_code in (200, 303)
    else:
        [(name, body)] = answer.json().items()
        assert (name, body["code"]) == (NAMES[answer.status_code], answer.status_code)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(shown=st.one_of(st.binary(max_size=60), st.text(max_size=30).map(lambda text: f"{text}:{text}".encode())))
def test_any_credential(small_house: tuple[House, tuple[str, str]], shown: bytes) -> None:
    house, _ = small_house
    house.now += 10**9
    header = "Basic " + base64.b64encode(shown).decode()
    answer = house.client.get("/accounts/test731993/invoices", headers={"Authorization": header})
    assert answer.status_code == 401
    assert answer.text.startswith("401 Unauthorized\n")
