"""A walk that was interrupted goes on from its mark, and together the two saw everything; after a doubt there is no mark.

And a connection as the command line makes it is opened by its vendor's folder.
"""

from __future__ import annotations

from typing import Any

import pytest

from billsmith.accounts.model import Account
from billsmith.server import sources
from billsmith.storage import sync_connections
from billsmith.storage.sync import Walk, WalkState
from billsmith.storage.sync_connections import NewConnection
from billsmith.units.ids import derived_id
from billsmith.workflows.sync_source import Ending, Piece
from tests.outbound.support import World
from tests.support import stubs
from tests.support.chaos import Reply, Request, Server
from tests.support.house import House
from tests.vendors.faults import ACRONIS, AMBERFLO, HOSTWAY, MYREPORTS, VENDORS, Outcome, Vendor, rows_of, walk


def pieces(vendor: Vendor, answer: stubs.Answer) -> list[Piece]:
    with Server(answer) as server:
        found = list(vendor.source(server.url, World()).walk(mark=None, since=None))
    return [piece for piece in found if not isinstance(piece, Ending)]


def rest(vendor: Vendor, answer: stubs.Answer, mark: str | None) -> Outcome:
    with Server(answer) as server:
        return walk(vendor.source(server.url, World()), mark=mark)


def keys(piece: Piece) -> set[str]:
    return {row.vendor_key for row in piece.rows}


def two_customers() -> list[dict[str, Any]]:
    rows = rows_of(AMBERFLO, 7)
    for row in rows[4:]:
        row["invoiceKey"]["customerId"] = "cust-2"
    return rows


@pytest.mark.parametrize("vendor", [ACRONIS, AMBERFLO], ids=["acronis", "amberflo"])
def test_a_walk_goes_on_from_every_mark(vendor: Vendor) -> None:
    answer = vendor.stub(two_customers() if vendor is AMBERFLO else rows_of(vendor))
    found = pieces(vendor, answer)
    assert len(found) >= 2
    seen: set[str] = set()
    for piece in found:
        seen |= keys(piece)
        assert piece.mark is not None
        after = rest(vendor, answer, piece.mark)
        assert after.is_whole
        assert len(seen | set(after.keys)) == 7
        assert len(after.keys) <= 8 - len(seen)  # Acronis's last page, which is not full, is read again


def test_hostway_goes_on_after_an_account() -> None:
    """The accounts' lists are walked whole: within one, what came last has the mark of the account before."""
    rows = rows_of(HOSTWAY)
    one = stubs.hostway(rows)

    def two(request: Request) -> Reply:
        if request.path == "/accounts":
            accounts = [{"accountNumber": name, "id": name} for name in (stubs.ACCOUNT, "acc-2")]
            return Reply(body=stubs.encoded({"list": accounts, "links": []}))
        return one(request._replace(path=f"/accounts/{stubs.ACCOUNT}/invoices"))

    found = pieces(HOSTWAY, two)
    first = [piece for piece in found if piece.where.startswith(f"account {stubs.ACCOUNT},")]
    assert [piece.mark for piece in first] == [None, None, None, stubs.ACCOUNT]
    # The second account's are known by its name, and issued to an account of that name.
    assert {row.vendor_key for piece in found[4:] for row in piece.rows} == {f"acc-2/SO-{number}" for number in range(1, 8)}
    after = rest(HOSTWAY, two, stubs.ACCOUNT)
    assert (len(after.keys), after.is_whole) == (7, True)
    assert len(rest(HOSTWAY, two, "an account that is gone").keys) == 14


def test_accounts_of_one_number_go_by_their_ids() -> None:
    """As our own face lists them: a number can stand twice in a tree, a UUID can't."""
    asked = []

    def twins(request: Request) -> Reply:
        if request.path == "/accounts":
            names = (("shop", "id-1"), ("shop", "id-2"), ("one", "id-3"), ("", "id-4"))
            return Reply(body=stubs.encoded({"list": [{"accountNumber": name, "id": id} for name, id in names]}))
        asked.append(request.path.split("/")[2])
        return Reply(body=b'{"list":[]}')

    assert rest(HOSTWAY, twins, None).is_whole
    assert asked == ["id-1", "id-2", "one", "id-4"]


def test_a_list_that_shrank_between_two_runs_is_seen() -> None:
    rows = rows_of(ACRONIS)
    mark = pieces(ACRONIS, stubs.acronis(rows, cap=2))[0].mark
    del rows[0]
    assert rest(ACRONIS, stubs.acronis(rows, cap=2), mark).code == "pull.shrunk"
    # One that grew at its end goes on.
    rows = rows_of(ACRONIS, 9)
    assert rest(ACRONIS, stubs.acronis(rows, cap=2), mark).is_whole


def test_after_a_doubt_there_is_no_mark() -> None:
    rows = rows_of(ACRONIS)

    def shrinking(request: Request) -> Reply:
        reply = stubs.acronis(rows, tokens, cap=2)(request)
        if request.query.get("Page") == "2":
            del rows[0]
        return reply

    tokens = stubs.Tokens()
    marks = [piece.mark for piece in pieces(ACRONIS, shrinking)]
    assert [mark is None for mark in marks] == [False, False, True]
    doubtful = two_customers()
    doubtful.insert(0, doubtful[0])
    assert [piece.mark for piece in pieces(AMBERFLO, stubs.amberflo(doubtful))] == [None, None]


def connection_of(vendor: Vendor, url: str) -> dict[str, Any]:
    """The options that `billsmith sync add` writes."""
    return {
        "acronis": {"url": url, "client_id": stubs.USER, "currency": "EUR"},
        "myreports": {"url": url, "login_url": url, "client_id": stubs.USER, "refresh": True},
        "hostway": {"url": url, "user": stubs.USER, "only": [stubs.ACCOUNT]},
        "amberflo": {"url": url, "only": ["cust-1"]},
    }[vendor.name]


def run(house: House, owner: Account, vendor: Vendor, url: str, monkeypatch: pytest.MonkeyPatch) -> Walk:
    secret = f"{stubs.SECRET} refresh-number-0" if vendor is MYREPORTS else stubs.SECRET
    monkeypatch.setenv("THE_SECRET", secret)
    monkeypatch.setattr("billsmith.workflows.sync_runs.keep_secret", lambda *_: None)
    with house.database.write() as connection:
        new = NewConnection(
            id=derived_id("connection", vendor.name),
            name=vendor.name,
            vendor=vendor.name,
            options=connection_of(vendor, url),
            secret_from="env:THE_SECRET",
        )
        of = sync_connections.create(connection, owner, new, house.now)
    return sources.puller(house.database, lambda: house.now).run(of)


@pytest.mark.parametrize("vendor", VENDORS, ids=lambda vendor: vendor.name)
def test_a_connection_is_opened_by_its_vendors_folder(
    sqlite_house: House, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = sqlite_house.account("Owner", external_id="owner", currency="USD")
    with Server(vendor.stub(rows_of(vendor))) as server:
        refused = run(sqlite_house, owner, vendor, server.url, monkeypatch)
        assert (refused.state, refused.code) == (WalkState.FAILED, "outbound.not_https")
        assert server.requests == []
        monkeypatch.setenv("BILLSMITH_ALLOW_PRIVATE", server.url)
        with sqlite_house.database.write() as connection:
            sync_connections.remove(connection, sync_connections.get(connection, vendor.name), sqlite_house.now, "test")
        walked = run(sqlite_house, owner, vendor, server.url, monkeypatch)
    assert (walked.state, walked.reason, walked.counts.added) == (WalkState.COMPLETE, "", 7)
