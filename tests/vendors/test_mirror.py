"""An instance's invoices, pulled through a vendor's face by that vendor's client into a second instance over real HTTP, and
served from there by the same face, are equal value for value (bytes for bytes)."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from billsmith.accounts.authorisation import CredentialKind
from billsmith.vendors.acronis import Client as Acronis
from billsmith.vendors.acronis import pull as acronis
from billsmith.vendors.amberflo import Client as Amberflo
from billsmith.vendors.amberflo import pull as amberflo
from billsmith.vendors.hostway import Client as Hostway
from billsmith.vendors.hostway import pull as hostway
from billsmith.vendors.myreports import Client as Myreports
from billsmith.vendors.myreports import ClientCredentials
from billsmith.vendors.myreports import pull as myreports
from tests.support import mirror
from tests.support.served import serving

COUNT = 10_000
#: Amberflo counts seconds from 1970 on, and 0 says that there is no time.
SINCE_1971 = dt.date(1971, 1, 1).toordinal()


def acronis_rows(url: str, credential: tuple[str, str]) -> list[bytes]:
    with Acronis(url, *credential, settings=mirror.settings(url)) as client:
        return [bytes(raw) for page in client.pages(size=1000) for raw in page.rows]


def test_acronis(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    mirror.filled(first, COUNT, seed=1, customers=50, currencies=("EUR",))
    id, secret = mirror.key(first, CredentialKind.OAUTH_CLIENT)
    with serving(first) as server:
        options = {"url": server.url, "client_id": id}
        shown = mirror.kept(monkeypatch, Acronis, "pages")
        walk = mirror.pull(second, "acronis", options, secret, acronis.open_list, mirror.settings(server.url))
        assert (walk.state.value, walk.reason, walk.counts.added) == ("complete", "", COUNT)
    monkeypatch.undo()
    with serving(second) as server:
        mirrored = acronis_rows(server.url, mirror.key(second, CredentialKind.OAUTH_CLIENT))
    assert mirror.differences(iter(shown), iter(mirrored)) == []


def myreports_rows(url: str, credential: tuple[str, str]) -> list[bytes]:
    with Myreports(url, ClientCredentials(*credential, login_url=url), settings=mirror.settings(url)) as client:
        return [bytes(raw) for raw in client.listing().rows]


def test_myreports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    mirror.filled(first, COUNT, seed=2, customers=50, currencies=("EUR",))
    id, secret = mirror.key(first, CredentialKind.OAUTH_CLIENT)
    with serving(first) as server:
        options = {"url": server.url, "login_url": server.url, "client_id": id}
        shown = mirror.kept(monkeypatch, Myreports, "listing")
        walk = mirror.pull(second, "myreports", options, secret, myreports.open_list, mirror.settings(server.url))
        assert (walk.state.value, walk.reason, walk.counts.added) == ("complete", "", COUNT)
    monkeypatch.undo()
    with serving(second) as server:
        mirrored = myreports_rows(server.url, mirror.key(second, CredentialKind.OAUTH_CLIENT))
    assert mirror.differences(iter(shown), iter(mirrored)) == []


def hostway_rows(url: str, credential: tuple[str, str]) -> list[bytes]:
    with Hostway(url, *credential, settings=mirror.settings(url)) as client:
        names = [each.accountNumber for each in client.accounts()]
        pages = (page for name in names for page in client.pages(name))
        return [bytes(raw) for page in pages for raw in page.rows]


@pytest.mark.parametrize("amounts", ["string", "number"])
def test_hostway(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, amounts: str) -> None:
    count = COUNT if amounts == "string" else 500
    first, second = tmp_path / "first", tmp_path / "second"
    mirror.filled(first, count, seed=3, customers=20, currencies=("EUR", "JPY", "BHD", "USD"))
    id, secret = mirror.key(first, CredentialKind.BASIC)
    with serving(first, hostway_amounts=amounts) as server:
        options = {"url": server.url, "user": id}
        shown = mirror.kept(monkeypatch, Hostway, "pages")
        walk = mirror.pull(second, "hostway", options, secret, hostway.open_list, mirror.settings(server.url))
        assert (walk.state.value, walk.reason, walk.counts.added) == ("complete", "", count)
    monkeypatch.undo()
    with serving(second, hostway_amounts=amounts) as server:
        mirrored = hostway_rows(server.url, mirror.key(second, CredentialKind.BASIC))
    assert mirror.differences(iter(shown), iter(mirrored)) == []


def amberflo_rows(url: str, credential: tuple[str, str]) -> list[bytes]:
    with Amberflo(url, credential[1], settings=mirror.settings(url)) as client:
        names = [each.customerId for each in client.customers()]
        return [bytes(raw) for name in names for _, raw in client.rows(name)]


def test_amberflo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    mirror.filled(first, COUNT, seed=4, customers=40, currencies=("EUR", "JPY", "BHD", "USD"), lines=True, first=SINCE_1971)
    _, secret = mirror.key(first, CredentialKind.API_KEY)
    with serving(first) as server:
        options = {"url": server.url}
        shown = mirror.kept(monkeypatch, Amberflo, "rows")
        walk = mirror.pull(second, "amberflo", options, secret, amberflo.open_list, mirror.settings(server.url))
        assert (walk.state.value, walk.reason, walk.counts.added) == ("complete", "", COUNT)
    monkeypatch.undo()
    with serving(second) as server:
        mirrored = amberflo_rows(server.url, mirror.key(second, CredentialKind.API_KEY))
    assert mirror.differences(iter(shown), iter(mirrored)) == []


def test_a_difference_is_seen() -> None:
    assert mirror.differences(iter([b'{"Total":1.00}']), iter([b'{"Total":1.0}'])) != []
