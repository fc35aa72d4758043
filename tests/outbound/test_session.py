"""One request: its answer within caps and time, repeated where that is safe, and told without secrets."""

from __future__ import annotations

import gzip
import logging
import time
import zlib
from collections.abc import Callable
from email.utils import formatdate
from typing import Any

import pytest

from billsmith.outbound.answers import json_of, problem
from billsmith.outbound.session import Call, Session, same_origin
from billsmith.units.errors import BillsmithError
from tests.outbound.support import NOW, World
from tests.support.chaos import Reply, Request, Server

GOOD = Reply(body=b'{"ok":true}')
BOMB = gzip.compress(b" " * 2**26)


def in_turn(*replies: Reply) -> Callable[[Request], Reply]:
    """Each reply once, the last for ever."""
    left = list(replies)
    return lambda _request: left.pop(0) if len(left) > 1 else left[0]


@pytest.mark.parametrize(
    ("bad", "slept"),
    [
        (Reply(429, headers={"Retry-After": "7"}), 7.0),
        (Reply(429, headers={"Retry-After": formatdate(NOW + 9, usegmt=True)}), 9.0),
        (Reply(429, headers={"Retry-After": formatdate(NOW - 9, usegmt=True)}), 0.0),
        (Reply(503, headers={"Retry-After": "0"}), 0.0),
        (Reply(429), 0.25),
        (Reply(429, headers={"Retry-After": "soon"}), 0.25),
        (Reply(429, headers={"Retry-After": "-5"}), 0.25),
        (Reply(500), 0.25),
        (Reply(502, b"<html>", kind="text/html"), 0.25),
        (Reply(504), 0.25),
        (GOOD._replace(cut=0), 0.25),
        (GOOD._replace(cut=9), 0.25),
        (GOOD._replace(cut=70), 0.25),
    ],
)
def test_what_passes_is_tried_again(bad: Reply, slept: float) -> None:
    world = World()
    with Server(in_turn(bad, GOOD)) as server, Session(server.url, world.settings(server.url)) as session:
        assert json_of(session.get("/")) == GOOD.body
        assert len(server.requests) == 2
        assert [pytest.approx(seconds) for seconds in world.slept] == [slept]


def test_waits_grow_and_end() -> None:
    world = World()
    with Server(in_turn(Reply(500))) as server, Session(server.url, world.settings(server.url)) as session:
        assert session.get("/").status == 500
        assert len(server.requests) == 5
    assert world.slept == [0.25, 0.5, 1.0, 2.0]


def test_who_asks_for_too_long_a_wait_is_not_waited_for() -> None:
    world = World()
    with (
        Server(in_turn(Reply(429, headers={"Retry-After": "86400"}))) as server,
        Session(server.url, world.settings(server.url)) as session,
    ):
        error = problem(session.get("/"))
        assert (error.code, error.retry_after, world.slept) == ("outbound.rate_limited", 86400, [])  # type: ignore[attr-defined]


@pytest.mark.parametrize("bad", [Reply(500), GOOD._replace(cut=3)])
def test_what_may_not_be_repeated_is_not(bad: Reply) -> None:
    with Server(in_turn(bad, GOOD)) as server, Session(server.url, World().settings(server.url)) as session:
        call = Call(method="POST", path="/", form={"a": "b"}, safe=False)
        if bad.cut is None:
            assert session.send(call).status == 500
        else:
            with pytest.raises(BillsmithError) as failed:
                session.send(call)
            assert failed.value.code == "outbound.unreachable"
        assert len(server.requests) == 1


def test_404_and_401_are_not_repeated() -> None:
    for status, code in ((400, "refused"), (401, "unauthorized"), (403, "forbidden"), (404, "not_found"), (302, "redirect")):
        with Server(in_turn(Reply(status))) as server, Session(server.url, World().settings(server.url)) as session:
            assert problem(session.get("/")).code == f"outbound.{code}"
            assert len(server.requests) == 1


BODY = b'{"text":"' + b"x" * 1000 + b'"}'


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (Reply(body=b"x" * (2**20 + 1)), "outbound.too_large"),
        (Reply(body=BOMB, headers={"Content-Encoding": "gzip"}), "outbound.too_large"),
        (Reply(body=zlib.compress(b" " * 2**26), headers={"Content-Encoding": "deflate"}), "outbound.too_large"),
        (Reply(body=b"garbage", headers={"Content-Encoding": "gzip"}), "outbound.compressed"),
        (Reply(body=gzip.compress(BODY)[:-9], headers={"Content-Encoding": "gzip"}), "outbound.compressed"),
        (Reply(body=gzip.compress(BODY) + b"more", headers={"Content-Encoding": "gzip"}), "outbound.compressed"),
        (Reply(body=gzip.compress(BODY)[:-2] + b"ab", headers={"Content-Encoding": "gzip"}), "outbound.compressed"),
        (Reply(body=b"", headers={"Content-Encoding": "gzip"}), "outbound.compressed"),
        (Reply(body=BODY, headers={"Content-Encoding": "br"}), "outbound.encoding"),
        (Reply(body=gzip.compress(gzip.compress(BODY)), headers={"Content-Encoding": "gzip, gzip"}), "outbound.encoding"),
        (Reply(body=b"<html>", kind="text/html"), "outbound.not_json"),
        (Reply(body=b"{}", kind=""), "outbound.not_json"),
    ],
)
def test_bodies_that_are_refused(reply: Reply, code: str) -> None:
    with Server(in_turn(reply)) as server, Session(server.url, World().settings(server.url)) as session:
        with pytest.raises(BillsmithError) as refused:
            json_of(session.get("/"))
        assert refused.value.code == code
        assert len(server.requests) == 1


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "identity", ""])
def test_bodies_that_are_read(encoding: str) -> None:
    body = {"gzip": gzip.compress, "deflate": zlib.compress}.get(encoding, bytes)(BODY)
    with (
        Server(in_turn(Reply(body=body, headers={"Content-Encoding": encoding}))) as server,
        Session(server.url, World().settings(server.url)) as session,
    ):
        assert json_of(session.get("/")) == BODY
        assert server.requests[0].headers["accept-encoding"] == "gzip"


@pytest.mark.parametrize("reply", [GOOD._replace(drip=0.02), Reply(body=b"x" * 1000, drip=0.02)])
def test_a_slow_drip_ends_at_the_deadline(reply: Reply) -> None:
    """Bytes come all the time, so that no single wait is long; in the header too."""
    began = time.monotonic()
    how = World().settings("http://127.0.0.1")
    with Server(in_turn(reply)) as server:
        how = World().settings(server.url, total=0.6, read=0.5)
        with Session(server.url, how) as session, pytest.raises(BillsmithError) as ended:
            session.send(Call(path="/", safe=False))
    assert ended.value.code == "outbound.unreachable"
    assert 0.55 < time.monotonic() - began < 10


def test_silence_ends_at_the_read_limit() -> None:
    def answer(_request: Request) -> Reply:
        time.sleep(1)
        return GOOD

    with Server(answer) as server, Session(server.url, World().settings(server.url, read=0.1)) as session:
        with pytest.raises(BillsmithError) as ended:
            session.send(Call(path="/", safe=False))
        assert "ReadTimeout" in ended.value.message


def test_requests_take_turns() -> None:
    world, now = World(), [100.0]
    with Server(in_turn(GOOD)) as server:
        how = world.settings(server.url, per_second=4, total=1e9)
        tools: Any = how.tools

        def sleep(seconds: float) -> None:
            world.sleep(seconds)
            now[0] += seconds

        how = type(how)(
            limits=how.limits,
            private=how.private,
            tools=type(tools)(sleep=sleep, clock=world.clock, monotonic=lambda: now[0]),
        )
        with Session(server.url, how) as session:
            for _ in range(5):
                session.get("/")
    assert world.slept == [0.25] * 4


SECRETS = ("sup3r-s3cret", "dG9rZW4tMTIzNA==")


def test_no_secret_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """Not in a log, at any level, nor in an error, though the server says it back."""
    caplog.set_level(logging.DEBUG)
    echo = Reply(400, f"you sent {SECRETS[0]}, {SECRETS[1]}\r\n\x1b[31mred".encode(), kind="text/plain")
    with Server(in_turn(Reply(503), echo)) as server, Session(server.url, World().settings(server.url)) as session:
        session.hide(*SECRETS)
        answer = session.get("/list", [("key", SECRETS[0])], {"Authorization": f"Bearer {SECRETS[1]}", "X-API-KEY": SECRETS[0]})
        told = f"{problem(answer)} {answer!r} {caplog.text}"
        assert not any(secret in told for secret in SECRETS)
        assert "you sent ***, ***" in told
        assert "\x1b" not in told
        ours = [record.getMessage() for record in caplog.records if record.name == "billsmith.outbound"]
        assert any("GET http://127.0.0.1" in line and "/list" in line for line in ours)
    # The control: without hide, it would be there.
    with Server(in_turn(echo)) as server, Session(server.url, World().settings(server.url)) as session:
        assert SECRETS[0] in str(problem(session.get("/")))


@pytest.mark.parametrize("value", ["", "a\r\nHost: evil", "a\nb", " a", "schlüssel", "a\x00"])
def test_a_header_that_could_hold_another_is_refused(value: str) -> None:
    with Server(in_turn(GOOD)) as server, Session(server.url, World().settings(server.url)) as session:
        with pytest.raises(BillsmithError) as refused:
            session.get("/", headers={"X-API-KEY": value})
        assert refused.value.code == "outbound.header"
        assert server.requests == []


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("https://a.example/b?c=d%20e", "/b?c=d%20e"),
        ("https://A.example:443/b", "/b"),
        ("http://a.example/b", None),
        ("https://a.example:444/b", None),
        ("https://a.example.evil/b", None),
        ("https://evil.example/a.example", None),
        ("https://a.example@evil.example/b", None),
        ("https://a.example\\@evil.example/b", None),
        ("//a.example/b", "/b"),
        ("/b", "/b"),
        ("b?c", "/b?c"),
        ("?c", "/?c"),
        ("//evil.example/b", None),
        ("https://[::1", None),
        ("javascript:alert(1)", None),
    ],
)
def test_same_origin(url: str, path: str | None) -> None:
    with Session("https://a.example") as session:
        assert same_origin(url, session.origin) == path
