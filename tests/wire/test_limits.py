"""Bounded work (promise P17): what one request, and one connection, can make the server hold or do.

Each limit has its border on both sides, and a negative control: without the limit the same check fails.
"""

from __future__ import annotations

import asyncio
import json
import time
import tracemalloc
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

from billsmith.units.errors import BillsmithError, Invalid, InvalidNumber, TooLarge
from billsmith.units.rounding import parse_decimal
from billsmith.vendors.acronis import routes
from billsmith.wire import face
from billsmith.wire import json as wire_json
from billsmith.wire.json import MAX_DEPTH, decode
from tests.support import acronis_rows, served
from tests.support.house import House
from tests.support.raw import Wire
from tests.vendors.acronis.conftest import LIST as LIST_PATH
from tests.vendors.acronis.conftest import stock
from tests.wire.conftest import LIST, TOKEN, Site, stocked_home

HOST = b"Host: 127.0.0.1\r\n"
FORM = b"Content-Type: application/x-www-form-urlencoded\r\n"
MAX_BODY = 4096  # as the site's settings say


def post_form(site: Site, headers: bytes, body: bytes) -> int | None:
    with Wire(site.port) as wire:
        wire.send(b"POST " + TOKEN + b" HTTP/1.1\r\n" + HOST + FORM + headers + b"\r\n" + body)
        answer = wire.answer()
        return answer.status if answer else None


@pytest.mark.parametrize(("size", "status"), [(MAX_BODY, 400), (MAX_BODY + 1, 413), (10 * MAX_BODY, 413)])
def test_bytes_of_a_declared_body(site: Site, size: int, status: int) -> None:
    assert post_form(site, f"Content-Length: {size}\r\n".encode(), b"x" * size) == status


def test_without_its_limit_a_long_body_is_read(sqlite_house: House) -> None:
    """The negative control: the same body under a higher limit."""
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    assert sqlite_house.client.post(TOKEN.decode(), content=b"x" * 10 * MAX_BODY, headers=headers).status_code == 400


def test_a_body_declared_too_large_is_refused_before_it_comes(site: Site) -> None:
    assert post_form(site, b"Content-Length: 99999999999\r\n", b"") == 413


@pytest.mark.parametrize(("size", "status"), [(MAX_BODY, 400), (MAX_BODY + 1, 413), (10 * MAX_BODY, 413)])
def test_bytes_of_a_chunked_body(site: Site, size: int, status: int) -> None:
    chunk = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (b"x" * (size // 2), b"x" * (size - size // 2)))
    assert post_form(site, b"Transfer-Encoding: chunked\r\n", chunk + b"0\r\n\r\n") == status


def test_a_compressed_body_is_not_inflated(site: Site) -> None:
    assert post_form(site, b"Content-Encoding: gzip\r\nContent-Length: 5\r\n", b"\x1f\x8b\x08\x00\x00") == 400


@pytest.mark.parametrize(("size", "status"), [(face.MAX_QUERY, 200), (face.MAX_QUERY + 1, 400)])
def test_length_of_a_query(sqlite_house: House, size: int, status: int) -> None:
    auth = sqlite_house.acronis_token(sqlite_house.account("Partner"))
    query = "&".join(["x=" + "y" * 1000] * 20)[:size]
    response = sqlite_house.client.get(f"{LIST_PATH}?{query.ljust(size, 'z')}", headers=auth)
    assert response.status_code == status
    if status == 400:
        assert response.json()["error"]["details"]["reason"] == "input.query_too_long"


@pytest.mark.parametrize(("size", "status"), [(30_000, 401), (40_000, 431), (200_000, 431)])
def test_bytes_of_the_headers(site: Site, size: int, status: int) -> None:
    with Wire(site.port) as wire:
        wire.send(b"GET " + LIST + b" HTTP/1.1\r\n" + HOST + b"X: " + b"x" * size + b"\r\n\r\n")
        answer = wire.answer()
    # a head that comes in several pieces is refused while it is still incomplete
    assert answer is not None
    assert answer.status in ({status, 400} if size > 32_768 else {status})


def test_many_headers_are_few_bytes(site: Site) -> None:
    with Wire(site.port) as wire:
        wire.send(b"GET " + LIST + b" HTTP/1.1\r\n" + HOST + b"X:1\r\n" * 5000 + b"\r\n")
        answer = wire.answer()
    assert answer is not None
    assert answer.status == 401


class Body(msgspec.Struct):
    """A body with a free part."""

    rest: msgspec.Raw = msgspec.Raw(b"null")


DEEP = [
    (b'{"rest":' + b"[" * (MAX_DEPTH - 1) + b"]" * (MAX_DEPTH - 1) + b"}", None),
    (b'{"rest":' + b"[" * MAX_DEPTH + b"]" * MAX_DEPTH + b"}", TooLarge),
    (b'{"rest":' + b'{"a":' * MAX_DEPTH + b"1" + b"}" * MAX_DEPTH + b"}", TooLarge),
    (b"[" * 1_000_000, TooLarge),
    (b'{"a":' * 1_000_000, TooLarge),
    (b"]" * 1_000_000, Invalid),
    (b'{"rest":[' + b"[]," * 100_000 + b"[]]}", None),
    (b'{"rest":"' + b"[" * 1000 + b'"}', None),
    (b'{"rest":"\\"' + b"[" * 1000 + b'"}', None),
    (b'{"rest":"' + b'\\"' * 500_000, Invalid),
    (b'{"rest":"\\\\"' + b',"a":' + b"[" * MAX_DEPTH + b"]" * MAX_DEPTH + b"}", TooLarge),
]


@pytest.mark.parametrize(("body", "error"), DEEP, ids=lambda value: str(value)[:40])
def test_depth(body: bytes, error: type[BillsmithError] | None) -> None:
    started = time.thread_time()
    if error is None:
        decode(body, Body)
    else:
        with pytest.raises(error):
            decode(body, Body)
    assert time.thread_time() - started < 2, "the work of seconds would be an attack"


def test_without_its_limit_depth_is_not_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The negative control."""
    monkeypatch.setattr(wire_json, "MAX_DEPTH", 1000)
    decode(DEEP[1][0], Body)


NUMBERS = [
    ("9" * 38, None), ("9" * 39, "number.too_many_digits"), ("1e37", None), ("1e38", "number.too_many_digits"),
    ("1e9999", "number.too_many_digits"), ("1e99999", "number.syntax"), ("1e-18", None), ("1e-19", "number.too_many_places"),
    ("0." + "0" * 17 + "1", None), ("0." + "0" * 18 + "1", "number.too_many_places"), ("1" * 64, "number.too_many_digits"),
    ("1" * 65, "number.too_long"), ("1" * 10_000, "number.too_long"), ("0" * 64, None), ("1e999999999", "number.syntax"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "code"), NUMBERS, ids=lambda value: str(value)[:24])
def test_digits_and_exponents(text: str, code: str | None) -> None:
    if code is None:
        parse_decimal(text)
    else:
        with pytest.raises(InvalidNumber) as caught:
            parse_decimal(text)
        assert caught.value.code == code


def test_a_head_that_never_ends_is_cut(site: Site) -> None:
    """Slowloris: a byte now and then keeps nobody's place. The site gives a head one second."""
    with Wire(site.port) as wire:
        wire.send(b"GET /healthz HTTP/1.1\r\n")
        for _ in range(8):
            time.sleep(0.2)
            wire.send(b"X: y\r\n")
        assert wire.is_closed()


def test_a_connection_that_says_nothing_is_cut(site: Site) -> None:
    with Wire(site.port, timeout=3) as wire:
        assert wire.is_closed()


def test_without_their_limits_both_would_stay(tmp_path: Path) -> None:
    """The negative control."""
    with served.serving(tmp_path, limits={"head_seconds": 600}) as running:
        silent, slow = Wire(running.port, timeout=1.5), Wire(running.port, timeout=0.1)
        slow.send(b"GET /healthz HTTP/1.1\r\n")
        for wire in (silent, slow):
            with wire, pytest.raises(TimeoutError):
                wire.is_closed()


def test_a_second_head_that_never_ends_is_cut(site: Site) -> None:
    with Wire(site.port, timeout=3) as wire:
        wire.send(b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n")
        assert wire.answer() is not None
        wire.send(b"GET /healthz HTTP/1.1\r\n")
        assert wire.is_closed()


def test_more_connections_than_there_may_be_are_turned_away(site: Site) -> None:
    held = [Wire(site.port) for _ in range(80)]
    try:
        answers = []
        for wire in held:
            wire.send(b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n")
        for wire in held:
            answer = wire.answer()
            answers.append(answer.status if answer else 0)
        assert answers.count(200) == 64
        assert set(answers[64:]) <= {503, 0}
    finally:
        for wire in held:
            wire.__exit__()
    until = time.monotonic() + 10  # it learns of each end in its turn
    while not _is_served(site):
        assert time.monotonic() < until


def _is_served(site: Site) -> bool:
    with Wire(site.port) as wire:
        wire.send(b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n")
        answer = wire.answer()
    return answer is not None and answer.status == 200


def test_a_body_that_does_not_come_is_given_up(tmp_path: Path) -> None:
    with served.serving(tmp_path, body_seconds=1) as running, Wire(running.port, timeout=4) as wire:
        wire.send(b"POST " + TOKEN + b" HTTP/1.1\r\n" + HOST + FORM + b"Content-Length: 50\r\n\r\ngrant")
        answer = wire.answer()
    assert answer is not None
    assert (answer.status, json.loads(answer.body)["error"]) == (400, "invalid_request")


ROWS = 10_000


def test_a_long_stream_is_constant_memory_and_ends_with_its_caller(tmp_path: Path) -> None:
    """Ten megabytes of rows: the server grows by little; and when the caller takes nothing, or goes, it is cut short."""
    auth = stocked_home(tmp_path, ROWS)
    request = b"GET " + LIST + b" HTTP/1.1\r\n" + HOST + b"Authorization: " + auth + b"\r\n\r\n"
    with served.serving(tmp_path, limits={"idle_seconds": 1.0}) as running:
        process = psutil.Process(running.process.pid)
        with Wire(running.port) as wire:
            wire.send(b"GET " + LIST + b"?Page=1&PageSize=1000 HTTP/1.1\r\n" + HOST + b"Authorization: " + auth + b"\r\n\r\n")
            assert wire.answer() is not None
            before = process.memory_info().rss
            wire.send(request)
            answer = wire.answer()
            assert answer is not None
            assert len(json.loads(answer.body)["Invoices"]) == ROWS
            assert process.memory_info().rss - before < 32 * 2**20
        idle = process.cpu_times().user
        with Wire(running.port, timeout=4) as stuck:
            stuck.send(request)
            for connected in (True, False):
                until = time.monotonic() + 20
                while _is_connected(process, stuck) is not connected:
                    assert time.monotonic() < until, "a caller that takes nothing is cut off"
                    time.sleep(0.05)
            assert len(stuck.rest()) < 8 * 2**20, "rows are not made for one who takes none"
        gone = Wire(running.port)
        gone.send(request)
        gone.__exit__()
        time.sleep(0.3)
        assert process.cpu_times().user - idle < 1.5, "no rows are made for one who has gone"


def _is_connected(process: psutil.Process, wire: Wire) -> bool:
    return any(each.raddr and each.raddr.port == wire.own_port for each in process.net_connections("tcp"))


def _peak(house: House, auth: dict[str, str]) -> int:
    """The most memory that one unpaged answer takes, when the caller keeps nothing of it."""

    async def discard(_message: Any) -> None:
        pass

    async def wait() -> Any:
        await asyncio.Event().wait()

    scope = {
        "type": "http", "method": "GET", "path": LIST_PATH, "raw_path": LIST, "query_string": b"", "scheme": "http",
        "headers": [(b"host", b"127.0.0.1"), (b"authorization", auth["Authorization"].encode())],
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80), "http_version": "1.1",
    }  # fmt: skip
    tracemalloc.start()
    try:
        asyncio.run(house.app(scope, wait, discard))
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_held_whole_the_same_answer_takes_much_more(sqlite_house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The negative control of the constant memory: what streams in 3 MB takes many when it is held."""
    auth = stock(sqlite_house, acronis_rows.make(seed=5, count=3_000)).auth
    _peak(sqlite_house, auth)
    streamed = _peak(sqlite_house, auth)
    monkeypatch.setattr(routes, "MAX_HELD", 10**9)
    held = _peak(sqlite_house, auth)
    assert streamed < 3 * 2**20 < held
    assert 3 * streamed < held
