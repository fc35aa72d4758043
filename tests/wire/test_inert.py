"""What a caller writes is data in every answer (promise P20): no markup, no control character, no header of its making."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from billsmith.storage.database import Database, sqlite_url
from tests.wire.test_isolation import FACES, World, headers_of, right_kind

TAINTED = [
    "<script>alert(1)</script>", "\"><img src=x onerror=alert(1)>", "=1+1", "@SUM(A1)", "\x1b[31mred", "a\r\nSet-Cookie: x=1",
    "a\x00b", "\u202etxt.exe", "{{7*7}}", "${7*7}", "&xxe;", "\u2028", "\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"),
    "\x7f\x85\x9b31m", "%0d%0aX: 1", "../../etc/passwd",
]  # fmt: skip


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    database = Database(sqlite_url(tmp_path_factory.mktemp("inert")))
    yield World(database)
    database.close()


def places(name: str, text: str) -> list[str]:
    """A face's paths with a text in every place that takes one."""
    face, written = FACES[name], quote(text, safe="")
    filled = [slot.url.replace("{account}", written).replace("{invoice}", written) for slot in face.slots]
    joint = "&" if "?" in face.list else "?"
    parameters = [
        "Page",
        "SortColumn",
        "Customer",
        "pageIndex",
        "pageSize",
        "filterStatus",
        "sort",
        "customerId",
        "status",
        "cursor",
    ]
    return [
        *filled,
        f"{face.list.partition('?')[0]}/{written}",
        *(f"{face.list}{joint}{each}={written}" for each in parameters),
    ]


@pytest.mark.parametrize("text", TAINTED, ids=ascii)
@pytest.mark.parametrize("name", FACES)
def test_a_callers_text_is_data(world: World, name: str, text: str) -> None:
    headers = headers_of(world, name, world.keys[right_kind(name)])
    for url in places(name, text):
        answer = world.get(url, headers)
        assert answer.status_code < 500, url
        assert active_in(answer) == [], url


def active_in(answer: Any) -> list[str]:
    """What a browser, a terminal or a client could take for more than data."""
    kind, location = answer.headers.get("content-type", ""), answer.headers.get("location", "")
    found = {
        "its kind": answer.content and not kind.startswith(("application/json", "application/problem+json", "text/plain")),
        "a kind that may be guessed": answer.headers.get("x-content-type-options") != "nosniff",
        "a header of the caller's": "set-cookie" in answer.headers or "x" in answer.headers,
        "a link to elsewhere": location and not location.startswith("http://127.0.0.1:8080/"),
        "a control character": any((byte < 0x20 and byte != 0x0A) or byte == 0x7F for byte in answer.content),
    }
    return [what for what, bad in found.items() if bad]


def test_the_check_can_see() -> None:
    """The negative control: an answer that echoes what it was given."""
    echo = httpx.Response(200, headers={"content-type": "text/html", "location": "//evil.example"}, content=b"\x1b[31m<script>")
    assert len(active_in(echo)) == 4
