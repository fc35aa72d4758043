"""Which addresses a request may go to (promise P19): each kind that is not public is refused before anything is sent."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from billsmith.outbound import addresses, origins
from billsmith.outbound.answers import json_of
from billsmith.outbound.origins import Origin
from billsmith.outbound.session import Limits, Session, Settings, Tools
from billsmith.units.errors import Forbidden, Invalid, Unavailable
from tests.support.chaos import Reply, Server

NOT_PUBLIC = [
    "127.0.0.1",
    "127.255.255.254",
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "10.255.255.255",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.0.1",
    "100.64.0.0",
    "100.100.100.200",
    "100.127.255.255",
    "169.254.0.1",
    "169.254.169.254",
    "192.0.0.192",
    "192.0.2.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "168.63.129.16",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:168.63.129.16",
    "64:ff9b::7f00:1",
    "64:ff9b::a00:1",
    "2002:7f00:1::",
    "2002:a00:1::",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "2001:db8::1",
    "100::1",
    "nonsense",
]
PUBLIC = [
    "1.1.1.1",
    "9.255.255.255",
    "11.0.0.1",
    "100.63.255.255",
    "100.128.0.0",
    "172.15.255.255",
    "172.32.0.1",
    "169.253.1.1",
    "2606:4700::1111",
]


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_not_public(address: str) -> None:
    assert not addresses.is_public(address)
    with pytest.raises(Forbidden) as refused:
        addresses.checked(Origin("https", "vendor.example", 443), False, lambda _host, _port: ["1.1.1.1", address])
    assert refused.value.code == "outbound.private_address"


@pytest.mark.parametrize("address", [*PUBLIC, "::ffff:1.1.1.1", "64:ff9b::101:101"])
def test_public(address: str) -> None:
    assert addresses.is_public(address)
    assert addresses.checked(Origin("https", "vendor.example", 443), False, lambda _host, _port: [address]) == (address,)


@pytest.mark.parametrize(
    "url",
    [
        "http://2130706433/",
        "https://0x7f000001",
        "https://127.1",
        "https://0177.0.0.1",
        "https://127.0.0.1.:443x",
        "https://0x7f.1",
        "https://1.2.3.4.5",
        "https://user:pass@host",
        "https://host\\@evil",
        "https://host#a",
        "https://host?a",
        "ftp://host",
        "file:///etc/passwd",
        "gopher://host",
        "host",
        "https://",
        "https://host:99999",
        "https://-a",
        "https://a..b",
        "https://münchen.example",
        "https://host%00",
        "//host",
        "https://[::1",
    ],
)
def test_no_address(url: str) -> None:
    with pytest.raises(Invalid):
        origins.parse(url)


def test_a_password_in_an_address_is_not_shown() -> None:
    for url in ("https://user:hunter22@host", "https://user:hunter22@ho st", "https://host?key=hunter22"):
        with pytest.raises(Invalid) as refused:
            origins.parse(url)
        assert "hunter22" not in str(refused.value)


def test_http_is_for_named_origins() -> None:
    public = Origin("http", "vendor.example", 80)
    asked: list[str] = []

    def resolver(host: str, _port: int) -> Sequence[str]:
        asked.append(host)
        return ["1.1.1.1"]

    with pytest.raises(Forbidden) as refused:
        addresses.checked(public, False, resolver)
    assert refused.value.code == "outbound.not_https"
    assert not asked
    assert addresses.checked(public, True, resolver) == ("1.1.1.1",)


def test_no_such_host() -> None:
    def nobody(_host: str, _port: int) -> Sequence[str]:
        raise OSError("Name or service not known")

    for resolver in (nobody, lambda _host, _port: []):
        with pytest.raises(Unavailable) as refused:
            addresses.checked(Origin("https", "vendor.example", 443), False, resolver)
        assert refused.value.code == "outbound.no_such_host"


def test_a_private_server_gets_nothing_unless_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with Server(lambda _request: Reply(body=b"{}")) as server:
        for private in (
            "",
            "http://127.0.0.1:1",
            server.url.replace("127.0.0.1", "localhost"),
            server.url.replace("http", "https"),
        ):
            monkeypatch.setenv("BILLSMITH_ALLOW_PRIVATE", private)
            with Session(server.url) as session, pytest.raises(Forbidden):
                session.get("/")
        assert server.requests == []
        # The control: named, it is reached.
        monkeypatch.setenv("BILLSMITH_ALLOW_PRIVATE", f"https://elsewhere.example, {server.url}/")
        with Session(server.url) as session:
            assert json_of(session.get("/")) == b"{}"
        assert len(server.requests) == 1


def test_a_name_is_resolved_once_and_pinned() -> None:
    """What a name leads to later (rebinding) does not count; the name stays in the Host header."""
    answers = [["127.0.0.1"], ["127.0.0.2"]]
    with Server(lambda _request: Reply(body=b"{}", headers={"Connection": "close"})) as server:
        url = f"http://vendor.test:{server.port}"
        tools = Tools(resolver=lambda _host, _port: answers.pop(0))
        how = Settings(tools=tools, private=frozenset({origins.parse(url)[0]}), limits=Limits(per_second=1000))
        with Session(url, how) as session:
            for _ in range(3):
                assert session.get("/").status == 200
        assert len(answers) == 1
        assert {request.headers["host"] for request in server.requests} == {f"vendor.test:{server.port}"}


def test_the_next_address_is_tried() -> None:
    with Server(lambda _request: Reply(body=b"{}")) as server:
        url = f"http://vendor.test:{server.port}"
        tools = Tools(resolver=lambda _host, _port: ["127.0.0.9", "127.0.0.1"])
        with Session(url, Settings(tools=tools, private=frozenset({origins.parse(url)[0]}))) as session:
            assert session.get("/").status == 200


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy would resolve names for itself."""
    with Server(lambda _request: Reply(body=b"{}")) as server, Server(lambda _request: Reply(500)) as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        with Session(server.url, Settings(private=frozenset({origins.parse(server.url)[0]}))) as session:
            assert session.get("/").status == 200
        assert proxy.requests == []
