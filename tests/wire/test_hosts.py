"""Under which name we are reached, and from where: ``BILLSMITH_PUBLIC_HOSTS`` and ``BILLSMITH_TRUSTED_PROXIES``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from starlette.datastructures import Headers

from billsmith.server.settings import load, services
from billsmith.storage.database import Database, sqlite_url
from billsmith.units.errors import Invalid
from billsmith.wire.hosts import base_url, caller_address
from billsmith.wire.services import WireSettings

PROXY = "10.0.0.5"
SETTINGS = WireSettings(public_hosts=("billing.example.com", "shop.example.com:8443"), trusted_proxies=(PROXY, "10.0.0.6"))


def scope(client: str | None = "192.0.2.7", server: str = "203.0.113.9") -> dict[str, Any]:
    return {"type": "http", "scheme": "http", "client": (client, 1) if client else None, "server": (server, 8080)}


HERE = [
    ({"host": "billing.example.com"}, "192.0.2.7", "http://billing.example.com"),
    ({"host": "Billing.Example.com:81"}, "192.0.2.7", "http://billing.example.com:81"),
    ({"host": "shop.example.com:8443"}, "192.0.2.7", "http://shop.example.com:8443"),
    ({"host": "shop.example.com"}, "192.0.2.7", None),
    ({"host": "203.0.113.9:8080"}, "192.0.2.7", "http://203.0.113.9:8080"),
    ({"host": "203.0.113.10"}, "192.0.2.7", None),
    ({}, "192.0.2.7", None),
    ({"host": "evil.example", "x-forwarded-host": "billing.example.com"}, "192.0.2.7", None),
    ({"host": "billing.example.com", "x-forwarded-host": "evil.example"}, "192.0.2.7", "http://billing.example.com"),
    ({"host": "billing.example.com", "x-forwarded-proto": "https"}, "192.0.2.7", "http://billing.example.com"),
    ({"host": "internal", "x-forwarded-host": "billing.example.com", "x-forwarded-proto": "https"}, PROXY, "https://billing.example.com"),
    ({"host": "billing.example.com", "x-forwarded-host": "evil.example"}, PROXY, None),
    ({"host": "billing.example.com", "x-forwarded-proto": "javascript"}, PROXY, None),
    ({"host": "billing.example.com", "x-forwarded-host": "billing.example.com"}, None, "http://billing.example.com"),
]  # fmt: skip


@pytest.mark.parametrize(("headers", "client", "wanted"), HERE)
def test_which_name_we_go_by(headers: dict[str, str], client: str | None, wanted: str | None) -> None:
    if wanted is None:
        with pytest.raises(Invalid) as caught:
            base_url(scope(client), Headers(headers), SETTINGS)
        assert caught.value.code == "input.host"
    else:
        assert base_url(scope(client), Headers(headers), SETTINGS) == wanted


FROM = [
    ([], "192.0.2.7", "192.0.2.7"),
    (["198.51.100.1"], "192.0.2.7", "192.0.2.7"),
    (["198.51.100.1"], PROXY, "198.51.100.1"),
    (["203.0.113.1, 198.51.100.1"], PROXY, "198.51.100.1"),
    (["203.0.113.1", "198.51.100.1"], PROXY, "198.51.100.1"),
    (["203.0.113.1, 198.51.100.1, 10.0.0.6"], PROXY, "198.51.100.1"),
    (["10.0.0.6"], PROXY, PROXY),
    ([""], PROXY, PROXY),
    (["x" * 500], PROXY, "x" * 64),
    (["2001:db8:1:2:3::4"], PROXY, "2001:db8:1:2::/64"),
    (["::ffff:198.51.100.1"], PROXY, "198.51.100.1"),
    (["198.51.100.1"], None, "local"),
]


@pytest.mark.parametrize(("lines", "client", "wanted"), FROM)
def test_where_a_request_comes_from(lines: list[str], client: str | None, wanted: str) -> None:
    headers = Headers(raw=[(b"x-forwarded-for", line.encode()) for line in lines])
    assert caller_address(scope(client), headers, SETTINGS) == wanted


def test_both_lists_come_from_the_environment(tmp_path: Path) -> None:
    environment = {"BILLSMITH_PUBLIC_HOSTS": "Billing.example.com, b.example", "BILLSMITH_TRUSTED_PROXIES": "10.0.0.5"}
    settings = load({"home": tmp_path}, environment)
    database = Database(sqlite_url(tmp_path))
    wire = services(settings, database).settings
    assert (wire.public_hosts, wire.trusted_proxies) == (("billing.example.com", "b.example"), ("10.0.0.5",))
    assert settings.host == "127.0.0.1", "nobody from elsewhere unless told so"
    database.close()
