"""Each vendor's client against a server that misbehaves (promise P15): the walk ends, says how, and is never whole by mistake.

What comes in despite a fault is what the vendor really said; a record that can't be read is set aside, and the rest goes on.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from billsmith.outbound.walks import Walk
from billsmith.units.errors import BillsmithError, Incomplete
from billsmith.vendors.acronis import Client as Acronis
from billsmith.vendors.amberflo import Client as Amberflo
from billsmith.vendors.myreports import Client as Myreports
from billsmith.vendors.myreports import Key, RefreshToken
from tests.outbound.support import World
from tests.support import stubs
from tests.support.chaos import Reply, Request, Server
from tests.vendors import scenarios
from tests.vendors.faults import (
    ACRONIS,
    AMBERFLO,
    HOSTWAY,
    MYREPORTS,
    VENDORS,
    Fault,
    Row,
    Vendor,
    pull,
    rows_of,
    walk,
)
from tests.vendors.scenarios import LASTING, PASSING, edited

each_vendor = pytest.mark.parametrize("vendor", VENDORS, ids=lambda vendor: vendor.name)


def at(index: int, make: Callable[[Reply], Reply]) -> Fault:
    """A fault in one answer."""
    return lambda _request, reply, number: make(reply) if number == index else reply


def always(make: Callable[[Reply], Reply]) -> Fault:
    """A fault in every answer from the second on; in that of a vendor who has one, from the first."""
    return lambda _request, reply, _number: make(reply)


@each_vendor
def test_without_faults_all_comes(vendor: Vendor) -> None:
    outcome, _ = pull(vendor, rows_of(vendor))
    assert (len(set(outcome.keys)), outcome.is_whole) == (7, True), outcome


@each_vendor
def test_an_empty_list_is_whole(vendor: Vendor) -> None:
    outcome, _ = pull(vendor, [])
    assert (outcome.keys, outcome.code) == ([], "")


@each_vendor
@pytest.mark.parametrize("fault", PASSING)
def test_what_passes_costs_nothing(vendor: Vendor, fault: str) -> None:
    world = World()
    outcome, _ = pull(vendor, rows_of(vendor), at(0, PASSING[fault]), world)
    assert (len(set(outcome.keys)), outcome.is_whole) == (7, True), outcome
    assert len(world.slept) == 1
    if "429 " in fault:
        assert world.slept[0] == pytest.approx(3.0)


@each_vendor
@pytest.mark.parametrize("fault", LASTING)
def test_what_lasts_ends_the_walk(vendor: Vendor, fault: str) -> None:
    make, code = LASTING[fault]
    outcome, server = pull(vendor, rows_of(vendor), always(make))
    assert (outcome.keys, outcome.code) == ([], code), outcome
    assert stubs.SECRET not in outcome.reason
    assert len(server.requests) < 12


@each_vendor
def test_a_slow_drip_ends(vendor: Vendor) -> None:
    rows = rows_of(vendor)
    answer = vendor.stub(rows)
    with Server(lambda request: answer(request)._replace(drip=0.01)) as server:
        world = World()
        how = world.settings
        world.settings = lambda *urls, **more: how(*urls, **{**more, "total": 0.1})  # type: ignore[method-assign]
        outcome = walk(vendor.source(server.url, world))
    assert (outcome.keys, outcome.code) == ([], "outbound.unreachable")


@each_vendor
def test_one_bad_record_is_set_aside(vendor: Vendor) -> None:
    amount = {"acronis": "Total", "myreports": "invoiceValue", "hostway": "amount", "amberflo": "totalBill"}[vendor.name]
    for wrong in (True, None, "much", [], "1e999999999", "NaN", {"a": "b"}):
        rows = rows_of(vendor)
        rows[1][amount] = wrong
        outcome, _ = pull(vendor, rows)
        assert (len(set(outcome.keys)), len(outcome.aside), outcome.code) == (6, 1, ""), (wrong, outcome)
        [aside] = outcome.aside
        assert aside.vendor_key
        assert aside.vendor_key not in outcome.keys
        assert not outcome.is_whole


@pytest.mark.parametrize("vendor", [ACRONIS, MYREPORTS, HOSTWAY], ids=lambda vendor: vendor.name)
def test_a_record_that_is_none_is_set_aside(vendor: Vendor) -> None:
    """What has not even an id is set aside under its place. (Amberflo's stub finds its rows by their customer.)"""
    for wrong in (7, None, [], "text", {}):
        rows: list[Any] = rows_of(vendor)
        rows[1] = wrong
        outcome, _ = pull(vendor, rows)
        assert (len(set(outcome.keys)), len(outcome.aside), outcome.code) == (6, 1, ""), (wrong, outcome)


@each_vendor
def test_new_words_and_fields_are_taken(vendor: Vendor) -> None:
    """A status or number that nobody knew, and fields that were not there before, harm nothing."""
    name, value = {
        "acronis": ("PaymentType", 99),
        "myreports": ("customerName", "a new one"),
        "hostway": ("status", "invoice_in_dispute"),
        "amberflo": ("paymentStatus", "quantum"),
    }[vendor.name]
    rows = rows_of(vendor)
    rows[2] |= {name: value, "aNewField": {"of": ["a", "new", 1.5]}}
    outcome, _ = pull(vendor, rows)
    assert (len(set(outcome.keys)), outcome.is_whole) == (7, True), outcome


def test_a_new_type_of_transaction_is_set_aside() -> None:
    rows = rows_of(HOSTWAY)
    rows[3]["type"] = "teleportation"
    outcome, _ = pull(HOSTWAY, rows)
    assert [error.vendor_key for error in outcome.aside] == ["SO-4"]


# ── pages ──


def turned(rows: list[Row], page: int) -> Callable[[Any], Any]:
    """Acronis's or Hostway's answer with other rows."""

    def edit(body: Any) -> None:
        body["Invoices" if "Invoices" in body else "list"] = rows[2 * page : 2 * page + 2]

    return edit


paged = pytest.mark.parametrize("vendor", [ACRONIS, HOSTWAY], ids=["acronis", "hostway"])


@paged
def test_a_page_that_overlaps_is_seen(vendor: Vendor) -> None:
    """An invoice was put before what was read: the next page begins with what came already."""
    rows = rows_of(vendor)

    def edit(body: Any) -> None:
        shown = vendor.row_list(body)
        shown[0] = rows[1]

    outcome, _ = pull(vendor, rows, at(1, edited(edit)))
    assert outcome.code == "pull.overlap"
    assert len(set(outcome.keys)) == 6


@paged
def test_a_page_that_comes_for_ever_ends(vendor: Vendor) -> None:
    rows = rows_of(vendor)
    outcome, server = pull(vendor, rows, lambda _request, reply, _number: edited(turned(rows, 0))(reply))
    assert outcome.code == "pull.circle"
    assert len(server.requests) < 6


@paged
def test_pages_that_go_in_a_circle_end(vendor: Vendor) -> None:
    """A, B, A, B …, with a total that promises more."""
    rows = rows_of(vendor, 100)
    outcome, server = pull(vendor, rows, lambda _request, reply, number: edited(turned(rows, number % 2))(reply))
    assert outcome.code == "pull.circle"
    assert len(set(outcome.keys)) == 4
    assert len(server.requests) < 8


@paged
def test_a_list_that_shrinks_is_seen(vendor: Vendor) -> None:
    """The first row goes while the list is read: one that nobody saw moves to a page that was read."""
    rows = rows_of(vendor)

    def fault(_request: Request, reply: Reply, number: int) -> Reply:
        if number == 0:
            del rows[0]
        return reply

    outcome, _ = pull(vendor, rows, fault)
    assert outcome.code in ("pull.shrunk", "pull.count", "pull.short"), outcome
    assert len(set(outcome.keys)) == 6


@pytest.mark.parametrize("count", range(3, 10))
def test_hostways_lists_are_read_again(count: int) -> None:
    """A record goes, and the number of pages may stay as it was: the vendor states no count that would tell."""
    for page in range((count + 1) // 2 - 1):
        rows = rows_of(HOSTWAY, count)

        def fault(_request: Request, reply: Reply, number: int, page: int = page, rows: list[Row] = rows) -> Reply:
            if number == page:
                del rows[0]
            return reply

        outcome, _ = pull(HOSTWAY, rows, fault)
        assert outcome.code in ("pull.moved", "pull.shrunk", "pull.short"), (page, outcome)


@paged
def test_a_list_that_shrinks_to_less_than_was_read_is_seen(vendor: Vendor) -> None:
    rows = rows_of(vendor)

    def fault(_request: Request, reply: Reply, number: int) -> Reply:
        if number == 1:
            del rows[2:]
        return reply

    outcome, _ = pull(vendor, rows, fault)
    assert outcome.code in ("pull.shrunk", "pull.count"), outcome


@paged
def test_a_list_that_grows_at_its_end_is_whole(vendor: Vendor) -> None:
    rows = rows_of(vendor)

    def fault(_request: Request, reply: Reply, number: int) -> Reply:
        if number == 1:
            rows.append(vendor.make(99))
        return reply

    outcome, _ = pull(vendor, rows, fault)
    assert (len(set(outcome.keys)), outcome.is_whole) == (8, True), outcome


@paged
def test_a_short_page_is_seen(vendor: Vendor) -> None:
    def edit(body: Any) -> None:
        del vendor.row_list(body)[1:]

    outcome, _ = pull(vendor, rows_of(vendor), at(1, edited(edit)))
    assert outcome.code == "pull.short_page"
    assert len(set(outcome.keys)) == 6


def test_a_total_that_is_too_high_is_seen() -> None:
    def edit(body: Any) -> None:
        body["Paging"]["AmountRecordsFound"] = 8

    outcome, _ = pull(ACRONIS, rows_of(ACRONIS), always(edited(edit)))
    assert (outcome.code, len(set(outcome.keys))) == ("pull.count", 7)


def test_a_total_that_is_too_low_ends_a_list_without_end() -> None:
    """Ever new rows, and a total that says there are few."""
    made = iter(range(1000, 10**6))

    def edit(body: Any) -> None:
        body["Paging"] = {"AmountTotalItems": 7, "AmountRecordsFound": 7, "AmountOfPages": 10**9}
        body["Invoices"] = [ACRONIS.make(next(made)), ACRONIS.make(next(made))]

    outcome, server = pull(ACRONIS, rows_of(ACRONIS), always(edited(edit)))
    assert outcome.code == "pull.count"
    assert len(server.requests) < 8


def test_an_empty_page_before_the_end_is_seen() -> None:
    def edit(body: Any) -> None:
        body["Invoices"] = []

    outcome, _ = pull(ACRONIS, rows_of(ACRONIS), at(1, edited(edit)))
    assert (outcome.code, len(outcome.keys)) == ("pull.count", 2)


def test_a_whole_list_that_is_not_what_it_says_is_seen() -> None:
    def more(body: Any) -> None:
        body["page_size"] = 8

    outcome, _ = pull(MYREPORTS, rows_of(MYREPORTS), always(edited(more)))
    assert (outcome.code, len(outcome.keys)) == ("pull.count", 7)
    for vendor in (MYREPORTS, AMBERFLO):
        outcome, _ = pull(vendor, [*rows_of(vendor), vendor.make(3)])
        assert outcome.code == "pull.overlap"


def test_a_link_that_is_missing_is_seen() -> None:
    def edit(body: Any) -> None:
        body["links"] = [link for link in body["links"] if link["rel"] != "next"]

    outcome, _ = pull(HOSTWAY, rows_of(HOSTWAY), at(1, edited(edit)))
    assert (outcome.code, len(outcome.keys)) == ("pull.short", 4)


def test_a_link_back_is_seen() -> None:
    def edit(body: Any) -> None:
        for link in body["links"]:
            link["href"] = link["href"].replace("page=3", "page=2")

    outcome, _ = pull(HOSTWAY, rows_of(HOSTWAY), at(1, edited(edit)))
    assert (outcome.code, len(outcome.keys)) == ("pull.circle", 4)


@pytest.mark.parametrize(
    ("edit", "code"),
    [
        (lambda info: info.update(pageToken="2"), "pull.circle"),
        (lambda info: info.update(totalResults=8), "pull.count"),
        (lambda info: info.update(pageToken=""), "pull.count"),
    ],
)
def test_amberflo_by_pages(edit: Callable[[Row], None], code: str) -> None:
    answer = stubs.amberflo(rows_of(AMBERFLO))
    with Server(answer) as server, Amberflo(server.url, stubs.SECRET, settings=World().settings(server.url)) as client:
        assert len(list(client.paginated_rows("cust-1"))) == 7

    def faulty(request: Request) -> Reply:
        return edited(lambda body: edit(body["pageInfo"]))(answer(request))

    with Server(faulty) as server, Amberflo(server.url, stubs.SECRET, settings=World().settings(server.url)) as client:
        with pytest.raises(Incomplete) as ended:
            list(client.paginated_rows("cust-1"))
        assert ended.value.code == code
        assert len(server.requests) < 6


def test_accounts_that_can_not_be_read_are_told_and_the_others_pulled() -> None:
    def accounts(request: Request) -> Reply:
        reply = stubs.hostway(rows_of(HOSTWAY))(request)
        if request.path != "/accounts":
            return reply
        return edited(lambda body: body["list"].extend([{"accountNumber": 7}, body["list"][0], None]))(reply)

    with Server(accounts) as server:
        outcome = walk(HOSTWAY.source(server.url, World()))
    assert (outcome.code, len(outcome.keys)) == ("pull.overlap", 7)

    def customers(request: Request) -> Reply:
        reply = stubs.amberflo(rows_of(AMBERFLO))(request)
        return edited(lambda body: [*body, {"customerId": None}, body[0]])(reply) if request.path == "/customers/" else reply

    with Server(customers) as server:
        outcome = walk(AMBERFLO.source(server.url, World()))
    assert (outcome.code, len(outcome.keys)) == ("pull.unreadable", 7)


def test_without_the_watch_it_would_be_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: the same list that shrinks, with nobody who doubts."""
    monkeypatch.setattr(Walk, "doubt", lambda *_: None)
    for vendor in (ACRONIS, HOSTWAY):
        rows = rows_of(vendor, 8)

        def fault(_request: Request, reply: Reply, number: int, rows: list[Row] = rows) -> Reply:
            if number == 0:
                del rows[0]
            return reply

        outcome, _ = pull(vendor, rows, fault)
        assert (len(set(outcome.keys)), outcome.is_whole) == (7, True)


# ── tokens ──


@pytest.mark.parametrize("vendor", [ACRONIS, MYREPORTS], ids=["acronis", "myreports"])
def test_a_401_in_mid_pull_gets_a_new_token_once(vendor: Vendor) -> None:
    rows = rows_of(vendor)
    outcome, server = pull(vendor, rows, at(1 if vendor is ACRONIS else 0, lambda _reply: Reply(401)))
    assert outcome.is_whole
    assert sum(request.method == "POST" for request in server.requests) == 2


def test_a_token_is_renewed_before_it_expires() -> None:
    """Each page takes ten minutes here, a token lasts an hour: none is ever shown when its hour is over."""
    world, tokens, rows = World(), stubs.Tokens(life=3600), rows_of(ACRONIS, 40)
    answer = stubs.acronis(rows, tokens, cap=2)
    born: dict[int, float] = {}

    def slow(request: Request) -> Reply:
        reply = answer(request)
        if request.method == "POST":
            born[tokens.given] = sum(world.slept)
        else:
            assert reply.status == 200
            assert sum(world.slept) - born[tokens.given] < 3600
            world.slept.append(600)
        return reply

    with Server(slow) as server:
        assert walk(ACRONIS.source(server.url, world)).is_whole
    assert tokens.given == 4


@pytest.mark.parametrize(
    "body", [b"{}", b'{"access_token": 7}', b"<html>", b'{"access_token": "a", "expires_in": "soon"}', b"\xff"]
)
def test_a_token_that_is_none(body: bytes) -> None:
    with Server(lambda _request: Reply(body=body)) as server:
        outcome = walk(ACRONIS.source(server.url, World()))
    assert outcome.code == "outbound.token"


def test_a_refused_secret_is_told() -> None:
    with (
        Server(stubs.acronis([])) as server,
        Acronis(server.url, stubs.USER, "another", settings=World().settings(server.url)) as client,
        pytest.raises(BillsmithError) as refused,
    ):
        list(client.invoices())
    assert refused.value.code == "outbound.unauthorized"
    assert "invalid_client" in refused.value.message


def test_a_refresh_token_is_replaced_before_it_counts() -> None:
    """The new one is stored first; a call for it is never made twice."""
    tokens, kept = stubs.Tokens(), list[str]()
    rows = rows_of(MYREPORTS)
    answer = stubs.myreports(rows, tokens)
    with Server(answer) as server:
        access = RefreshToken(stubs.USER, stubs.SECRET, "refresh-number-0", kept.append, server.url)
        with Myreports(server.url, access, settings=World().settings(server.url)) as client:
            assert len(list(client.invoices())) == 7
            assert len(list(client.invoices())) == 7
    assert kept == ["refresh-number-1"]
    with Server(lambda _request: Reply(500)) as server:
        access = RefreshToken(stubs.USER, stubs.SECRET, "refresh-number-1", kept.append, server.url)
        with Myreports(server.url, access, settings=World().settings(server.url)) as client, pytest.raises(BillsmithError):
            list(client.invoices())
        assert len(server.requests) == 1


def test_a_bearer_key_is_shown_as_it_is() -> None:
    def answer(request: Request) -> Reply:
        assert request.headers["authorization"] == "Bearer the-key-itself"
        return Reply(body=b'{"page_size":0,"data":[]}')

    with Server(answer) as server:
        with Myreports(server.url, Key("the-key-itself"), settings=World().settings(server.url)) as client:
            assert list(client.invoices(index=0, size=100)) == []
        assert dict(server.requests[0].query) == {"pageIndex": "0", "pageSize": "100"}


# ── elsewhere: no credential goes to another host ──


def secrets_in(server: Server) -> bool:
    return any(stubs.SECRET in str(request) or "authorization" in request.headers for request in server.requests)


@each_vendor
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_takes_a_credential_elsewhere(vendor: Vendor, status: int) -> None:
    with Server(lambda _request: Reply(body=b"[]")) as canary:
        location = {"Location": f"{canary.url}/accounts/{stubs.ACCOUNT}/invoices?page=1"}
        world = World()
        how = world.settings
        # The operator even opened the other server.
        world.settings = lambda *urls, **more: how(*urls, canary.url, **more)  # type: ignore[method-assign]
        outcome, _ = pull(vendor, rows_of(vendor), always(lambda _reply: Reply(status, headers=location)), world)
        assert canary.requests == []
    assert outcome.code == ("outbound.elsewhere" if vendor is HOSTWAY and status == 303 else "outbound.redirect")


def test_no_link_takes_a_credential_elsewhere() -> None:
    with Server(lambda _request: Reply(body=b'{"list":[]}')) as canary:
        for href in (canary.url, canary.url.replace("http://", "http://127.0.0.1@"), canary.url.replace("http:", "")):

            def edit(body: Any, href: str = href) -> None:
                for link in body["links"]:
                    link["href"] = f"{href}/accounts/{stubs.ACCOUNT}/invoices?page=2"

            outcome, _ = pull(HOSTWAY, rows_of(HOSTWAY), at(0, edited(edit)))
            assert (outcome.code, len(outcome.keys)) == ("outbound.elsewhere", 2)
            assert canary.url.removeprefix("http://") in outcome.reason
        assert canary.requests == []


def test_a_client_that_follows_would_give_it_away() -> None:
    """The control: the same redirect, and a client that trusts it."""
    with Server(lambda _request: Reply(body=b"[]")) as canary:
        redirect = Reply(303, headers={"Location": f"{canary.url}/"})
        careless = httpx.Client(follow_redirects=True, headers={"X-API-KEY": stubs.SECRET})
        with Server(lambda _request: redirect) as server, careless:
            careless.get(server.url)
        assert secrets_in(canary)


@pytest.mark.parametrize(
    ("location", "code"),
    [
        ("{same}", "outbound.redirect_circle"),
        ("{same}&again={number}", "outbound.redirects"),
        ("", "outbound.redirect_circle"),
        ("https://{host}{target}", "outbound.elsewhere"),
        ("http://{host}@evil.example/", "outbound.elsewhere"),
        ("//evil.example/accounts", "outbound.elsewhere"),
        ("http://[::1", "outbound.elsewhere"),
        ("javascript:alert(1)", "outbound.elsewhere"),
    ],
)
def test_redirects_of_hostway_are_followed_by_its_rule(location: str, code: str) -> None:
    def fault(request: Request, _reply: Reply, number: int) -> Reply:
        host = request.headers["host"]
        target = request.path + "?" + "&".join(f"{name}={value}" for name, value in request.query.items())
        where = location.format(same=f"http://{host}{target}", host=host, target=target, number=number)
        return Reply(303, headers={"Location": where})

    outcome, server = pull(HOSTWAY, rows_of(HOSTWAY), fault)
    assert outcome.keys == []
    assert outcome.code == code, outcome
    assert len(server.requests) <= 8


def test_hostway_sends_a_long_list_to_its_first_page() -> None:
    """A redirect at the same server, and with the filter kept, is the vendor's way of paging."""

    def fault(request: Request, reply: Reply, number: int) -> Reply:
        if number == 0:
            return Reply(303, headers={"Location": f"{request.path}?page=1&pageSize=100"})
        return reply

    outcome, _ = pull(HOSTWAY, rows_of(HOSTWAY), fault)
    assert (len(set(outcome.keys)), outcome.is_whole) == (7, True), outcome


# ── chance ──


@each_vendor
def test_any_mixture_of_faults_ends_and_is_told(vendor: Vendor) -> None:
    """Seeded; `python -m tests.soak pulls` runs many more."""
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    found = [told for offset in range(60) if (told := scenarios.run(vendor, seed + offset))]
    assert found == []


def test_the_judge_of_mixtures_sees_a_hidden_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: with nobody who doubts, some list that moved is called whole."""
    monkeypatch.setattr(Walk, "doubt", lambda *_: None)
    assert any(scenarios.run(vendor, seed) for seed in range(100) for vendor in (ACRONIS, HOSTWAY))
