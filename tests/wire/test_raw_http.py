"""Requests that no client library sends: two lengths, broken chunks, other hosts, odd targets.

Each is sent on a connection of its own, followed by a marked request. Whatever the server makes of the first, it never fails
with a 5xx, and the marked request is answered as itself or not at all: no byte of the first is ever taken for a request.
"""

from __future__ import annotations

import json

import pytest

from tests.support.raw import Answer, Wire
from tests.wire.conftest import LIST, TOKEN, Site

HOST = b"Host: 127.0.0.1\r\n"
#: A path that exists nowhere: an answer to it would show that the smuggled request was read as one.
SMUGGLED = b"GET /healthz?smuggled HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
FORM = b"Content-Type: application/x-www-form-urlencoded\r\n"


def post(headers: bytes, body: bytes = b"", version: bytes = b"1.1") -> bytes:
    return b"POST " + TOKEN + b" HTTP/" + version + b"\r\n" + HOST + FORM + headers + b"\r\n" + body


def get(target: bytes, headers: bytes = b"") -> bytes:
    return b"GET " + target + b" HTTP/1.1\r\n" + HOST + headers + b"\r\n"


S = SMUGGLED
N = str(len(S)).encode()
SMUGGLING = {
    "CL and TE": post(b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n" + S),
    "TE and CL": post(b"Transfer-Encoding: chunked\r\nContent-Length: " + N + b"\r\n", b"0\r\n\r\n" + S),
    "two CL": post(b"Content-Length: 0\r\nContent-Length: " + N + b"\r\n", S),
    "two CL, the other way": post(b"Content-Length: " + N + b"\r\nContent-Length: 0\r\n", S),
    "CL list": post(b"Content-Length: 0, " + N + b"\r\n", S),
    "same CL twice": post(b"Content-Length: " + N + b"\r\nContent-Length: " + N + b"\r\n", S),
    "CL with sign": post(b"Content-Length: +" + N + b"\r\n", S),
    "CL negative": post(b"Content-Length: -1\r\n", S),
    "CL hex": post(b"Content-Length: 0x0\r\n", S),
    "CL with inner space": post(b"Content-Length: 0 0\r\n", S),
    "CL empty": post(b"Content-Length:\r\n", S),
    "CL huge": post(b"Content-Length: " + b"9" * 30 + b"\r\n", S),
    "CL non-ASCII digits": post("Content-Length: ٤\r\n".encode(), S),
    "CL before a space": post(b"Content-Length : " + N + b"\r\n", S),
    "TE before a space": post(b"Transfer-Encoding : chunked\r\n", b"0\r\n\r\n" + S),
    "TE identity": post(b"Transfer-Encoding: identity\r\n", S),
    "TE xchunked": post(b"Transfer-Encoding: xchunked\r\n", b"0\r\n\r\n" + S),
    "TE list": post(b"Transfer-Encoding: gzip, chunked\r\n", b"0\r\n\r\n" + S),
    "TE twice": post(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", b"0\r\n\r\n" + S),
    "TE with tab": post(b"Transfer-Encoding:\tchunked\r\n", b"0\r\n\r\n"),
    "CL and folded TE": post(b"Content-Length: 4\r\nTransfer-Encoding:\r\n chunked\r\n", b"0\r\n\r\n" + S),
    "TE in HTTP/1.0": post(b"Transfer-Encoding: chunked\r\n", b"0\r\n\r\n" + S, version=b"1.0"),
    "TE quoted": post(b'Transfer-Encoding: "chunked"\r\n', b"0\r\n\r\n" + S),
    "TE vertical tab": post(b"Transfer-Encoding: \x0bchunked\r\n", b"0\r\n\r\n" + S),
    "chunk size negative": post(b"Transfer-Encoding: chunked\r\n", b"-1\r\n\r\n" + S),
    "chunk size 0x": post(b"Transfer-Encoding: chunked\r\n", b"0x0\r\n\r\n" + S),
    "chunk size with space": post(b"Transfer-Encoding: chunked\r\n", b"0 0\r\n\r\n" + S),
    "chunk size huge": post(b"Transfer-Encoding: chunked\r\n", b"F" * 40 + b"\r\n" + S),
    "chunk without CRLF after it": post(b"Transfer-Encoding: chunked\r\n", b"1\r\nAxx0\r\n\r\n" + S),
    "chunk ended by LF": post(b"Transfer-Encoding: chunked\r\n", b"1\nA\n0\n\n" + S),
    "chunk too long": post(b"Transfer-Encoding: chunked\r\n", b"1\r\nABCDEF\r\n0\r\n\r\n" + S),
    "chunk extension endless": post(b"Transfer-Encoding: chunked\r\n", b"1;" + b"a" * 70_000 + b"\r\nA\r\n0\r\n\r\n"),
    "trailers": post(b"Transfer-Encoding: chunked\r\n", b"0\r\nContent-Length: " + N + b"\r\n\r\n"),
    "body on GET": get(LIST, b"Content-Length: " + N + b"\r\n") + S,
    "body on a path that is not": get(b"/nowhere", b"Content-Length: " + N + b"\r\n") + S,
    "body on HEAD": b"HEAD /healthz HTTP/1.1\r\n" + HOST + b"Content-Length: " + N + b"\r\n\r\n" + S,
    "body on another method": b"BREW /healthz HTTP/1.1\r\n" + HOST + b"Content-Length: " + N + b"\r\n\r\n" + S,
    "body to a wrong Host": b"POST " + TOKEN + b" HTTP/1.1\r\nHost: evil\r\nContent-Length: " + N + b"\r\n\r\n" + S,
    "body beyond the limit": post(b"Content-Length: 100000\r\n", S * 20),
    "upgrade": get(LIST, b"Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: eA==\r\n"),
    "upgrade h2c": get(LIST, b"Connection: upgrade, http2-settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"),
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
}

MALFORMED = {
    "no host": b"GET /healthz HTTP/1.1\r\n\r\n",
    "two hosts": b"GET " + LIST + b" HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: evil\r\n\r\n",
    "space in target": b"GET /a b HTTP/1.1\r\n" + HOST + b"\r\n",
    "no version": b"GET /healthz\r\n\r\n",
    "version 9.9": b"GET /healthz HTTP/9.9\r\n" + HOST + b"\r\n",
    "header without colon": get(LIST, b"Nonsense\r\n"),
    "header name with space": get(LIST, b"X Y: 1\r\n"),
    "NUL in a header": get(LIST, b"X: a\x00b\r\n"),
    "bare CR in a header": get(LIST, b"X: a\rY: b\r\n"),
    "folded header": get(LIST, b"X: a\r\n b\r\n"),
    "latin-1 in target": get(b"/\xe9"),
    "NUL in target": get(b"/a\x00"),
    "control in method": b"G\x01T /healthz HTTP/1.1\r\n" + HOST + b"\r\n",
    "TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 64,
    "garbage": bytes(range(256)) * 8,
    "empty lines": b"\r\n" * 50,
}

TARGETS = {
    "slash in a segment": (b"/api/2/clients/a%2Fb", 401),
    "dots": (b"/api/2/../2/idp/token", 404),
    "encoded dots": (b"/api/2/..%2f2/idp/token", 404),
    "encoded slash": (b"/api%2F2/idp/token", 404),
    "double slash": (b"//api/2/idp/token", 404),
    "encoded letter": (b"/api/2/idp/%74oken", 404),
    "encoded NUL": (b"/api/2/clients/%00", 404),
    "encoded newline": (b"/api/2/clients/a%0d%0aX:1", 404),
    "bad percent": (b"/api/2/clients/%zz", 401),
    "bad UTF-8": (b"/api/2/clients/%ff%fe", 401),
    "overlong UTF-8": (b"/api/2/clients/%c0%af", 401),
    "half surrogate": (b"/api/2/clients/%ed%a0%80", 401),
    "long segment": (b"/api/2/clients/" + b"a" * 600, 404),
    "long path": (b"/" + b"a" * 20_000, 404),
    "too long path": (b"/" + b"a" * 40_000, 431),
    "deep path": (b"/a" * 8_000, 404),
    "asterisk": (b"*", 400),
    "authority": (b"127.0.0.1:80", 400),
    "other scheme": (b"ftp://127.0.0.1/healthz", 400),
    "absolute": (b"http://127.0.0.1/healthz", 200),
    "absolute, capitals": (b"HTTP://127.0.0.1/healthz", 200),
    "absolute, foreign": (b"http://evil.example" + LIST, 400),
    "absolute without host": (b"http:///healthz", 400),
    "absolute with user": (b"http://evil@127.0.0.1" + LIST, 400),
    "fragment": (b"/healthz#x", 404),
    "semicolon": (b"/healthz;x=1", 404),
    "backslash": (b"\\healthz", 400),
}


def ask(site: Site, data: bytes, *, head: bool = False) -> Answer | None:
    with Wire(site.port) as wire:
        wire.send(data)
        return wire.answer(head=head)


@pytest.mark.parametrize("name", [*SMUGGLING, *MALFORMED])
def test_no_request_hides_in_another(site: Site, name: str) -> None:
    data = SMUGGLING.get(name) or MALFORMED[name]
    marked = get(b"/marked-" + b"x" * 8)
    with Wire(site.port) as wire:
        wire.send(data)
        wire.send(marked)
        answers = []
        try:
            while (answer := wire.answer(head=data.startswith(b"HEAD") and not answers)) is not None:
                answers.append(answer)
                if answer.status == 404 and b"no such path" in answer.body and len(answers) > 1:
                    break
        except TimeoutError:
            pass  # it waits for more of a body that it was promised: the limits on time end that
    assert all(answer.status < 500 for answer in answers), answers
    assert len(answers) <= 2, "one answer a request: a third would be the smuggled one's"
    assert not any(b'"status":"ok"' in answer.body for answer in answers[1:]), "the smuggled request was answered"
    assert alive(site)


def test_the_corpus_sees_a_smuggled_request(site: Site) -> None:
    """The negative control: a server that read the smuggled bytes as a request would answer so."""
    with Wire(site.port) as wire:
        wire.send(post(b"Content-Length: 0\r\n") + SMUGGLED)
        answers = [wire.answer(), wire.answer()]
    assert answers[1] is not None
    assert b'"status":"ok"' in answers[1].body


@pytest.mark.parametrize(
    "name", ["CL and TE", "TE and CL", "TE in HTTP/1.0", "two CL", "CL and folded TE", "chunk ended by LF"]
)
def test_a_body_that_can_be_cut_in_two_ways_is_refused(site: Site, name: str) -> None:
    answer = ask(site, SMUGGLING[name])
    assert answer is not None
    assert answer.status == 400


def alive(site: Site) -> bool:
    answer = ask(site, get(b"/healthz"))
    return answer is not None and answer.status == 200


@pytest.mark.parametrize("name", TARGETS)
def test_targets(site: Site, name: str) -> None:
    target, status = TARGETS[name]
    answer = ask(site, get(target))
    assert answer is not None
    assert answer.status == status, answer


HOSTS = [
    (b"127.0.0.1", 401), (b"127.0.0.1:9", 401), (b"localhost", 401), (b"LOCALHOST:1", 401), (b"[::1]", 401), (b"[::1]:80", 401),
    (b"127.9.9.9", 401), (b"billing.example.com", 401), (b"BILLING.example.com", 401), (b"billing.example.com:444", 401),
    (b"other.example.com:8443", 401),
    (b"other.example.com", 400), (b"evil.example", 400), (b"billing.example.com.evil.example", 400), (b"", 400), (b"a b", 400),
    (b"127.0.0.1@evil.example", 400), (b"evil.example#127.0.0.1", 400), (b"127.0.0.1/x", 400), (b"127.0.0.1:80:80", 400),
    (b"127.0.0.1:x", 400), (b"10.0.0.1", 400), (b"[::ffff:10.0.0.1]", 400), (b"2130706433", 400),
(b"localhost.evil.example", 400),
    (b"xn--lcalhost-54a", 400), (b"billing.example.com.", 400), (b"'", 400), (b"<script>", 400),
]  # fmt: skip


@pytest.mark.parametrize(("host", "status"), HOSTS)
def test_which_hosts_are_answered(site: Site, host: bytes, status: int) -> None:
    answer = ask(site, b"GET " + LIST + b" HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")
    assert answer is not None
    assert answer.status == status, answer
    assert b"evil" not in answer.body


@pytest.mark.parametrize("header", [b"X-Forwarded-Host: evil.example", b"X-Forwarded-Proto: gopher", b"Forwarded: host=evil"])
def test_an_untrusted_peer_forwards_nothing(site: Site, header: bytes) -> None:
    answer = ask(site, get(LIST, header + b"\r\nAuthorization: " + site.auth + b"\r\n"))
    assert answer is not None
    assert (answer.status, b"evil" in answer.body) == (200, False)


def test_head_and_options(site: Site) -> None:
    with Wire(site.port) as wire:
        for path in (LIST, b"/healthz"):
            wire.send(b"HEAD " + path + b" HTTP/1.1\r\n" + HOST + b"Authorization: " + site.auth + b"\r\n\r\n")
            answer = wire.answer(head=True)
            assert answer is not None
            assert answer.status == 200
            assert int(answer.headers["content-length"]) > 0
        wire.send(b"OPTIONS " + LIST + b" HTTP/1.1\r\n" + HOST + b"Content-Length: 0\r\n\r\n")
        answer = wire.answer()
        assert answer is not None
        assert (answer.status, answer.headers["allow"]) == (204, "GET, HEAD, OPTIONS")
        assert not any(name.startswith("access-control") for name in answer.headers)


def test_an_answer_is_for_its_caller_alone(site: Site) -> None:
    answer = ask(site, get(LIST, b"Authorization: " + site.auth + b"\r\n"))
    assert answer is not None
    assert len(json.loads(answer.body)["Invoices"]) == 20
    assert (answer.headers["cache-control"], answer.headers["x-content-type-options"]) == ("no-store", "nosniff")
    assert "server" not in answer.headers


def test_requests_in_one_packet_are_answered_in_order(site: Site) -> None:
    with Wire(site.port) as wire:
        wire.send(get(b"/healthz") + get(b"/nowhere") + get(LIST) + get(b"/healthz"))
        answers = [wire.answer() for _ in range(4)]
    assert [answer.status for answer in answers if answer] == [200, 404, 401, 200]
