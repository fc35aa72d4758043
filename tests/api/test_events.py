"""``POST /v1/events``: counted once, answered durably, refused clearly, bounded; and nothing of another owner's shows."""

from __future__ import annotations

import gzip
import json
import threading
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billsmith.accounts.authorisation import Scope
from billsmith.api import events as door
from billsmith.events.decode import MAX_EVENTS
from billsmith.storage.database import Database, sqlite_url
from billsmith.units.errors import Busy, Invalid, TooLarge, Unavailable
from billsmith.usage.store import Selection
from billsmith.wire import face
from billsmith.wire import gate as gates
from billsmith.wire.gate import Gate
from billsmith.wire.inflate import inflate
from tests.api.support import Caller, problem
from tests.support.house import House

TIME = "2026-10-31T12:00:00Z"


def event(id: str = "1", **more: Any) -> dict[str, Any]:
    return {"id": id, "source": "gw", "type": "call", "account": "c-1", "time": TIME, **more}


@pytest.fixture
def caller(sqlite_house: House) -> Caller:
    top = sqlite_house.account("Reseller", external_id="top")
    sqlite_house.account("Customer", top, external_id="c-1")
    return Caller(sqlite_house, top)


def send(caller: Caller, body: bytes, kind: str = "application/json", **headers: str) -> Any:
    return caller("POST", "/v1/events", content=body, headers={"Content-Type": kind, **headers})


def told(accepted: int = 0, duplicates: int = 0, seq: int = 1) -> dict[str, Any]:
    return {"accepted": accepted, "duplicates": duplicates, "conflicts": [], "rejected": [], "seq": seq}


CLOUD = {"specversion": "1.0", "id": "1", "source": "gw", "type": "call", "subject": "c-1", "time": TIME}
BODIES = [
    (json.dumps(event()).encode(), {"Content-Type": "application/json"}),
    (json.dumps([event()]).encode(), {"Content-Type": "application/json; charset=utf-8"}),
    (json.dumps(event()).encode() + b"\n", {"Content-Type": "application/x-ndjson"}),
    (json.dumps(CLOUD).encode(), {"Content-Type": "application/cloudevents+json"}),
    (json.dumps([CLOUD]).encode(), {"Content-Type": "application/cloudevents-batch+json"}),
    (b"", {f"ce-{name}": value for name, value in CLOUD.items()}),
    (gzip.compress(json.dumps(event()).encode()), {"Content-Type": "application/json", "Content-Encoding": "gzip"}),
    (zstandard.compress(json.dumps(event()).encode()), {"Content-Type": "application/json", "Content-Encoding": "zstd"}),
]


def test_every_form_says_the_same_event(caller: Caller) -> None:
    answers = [caller("POST", "/v1/events", content=body, headers=headers).json() for body, headers in BODIES]
    assert answers == [told(accepted=1), *[told(duplicates=1)] * (len(BODIES) - 1)]


def test_what_became_of_each(caller: Caller) -> None:
    caller.post("/v1/events", [event("1"), event("2", value=1, dimensions={"region": "eu"})])
    answer = caller.post(
        "/v1/events", [event("1"), {}, event("2", value="2.50"), event("3"), event("4", time="now"), event("1", value=1.0)]
    )
    assert (answer["accepted"], answer["duplicates"], answer["seq"]) == (1, 2, 3)
    assert answer["conflicts"] == [{
        "index": 2,
        "differences": [
            {"field": "value", "stored": "1", "sent": "2.5"},
            {"field": "dimensions.region", "stored": "eu", "sent": ""},
        ],
    }]  # fmt: skip
    assert [(each["index"], each["code"], each["path"]) for each in answer["rejected"]] == [
        (1, "event.field_missing", "id"),
        (4, "time.not_an_instant", "time"),
    ]


def test_nothing_that_counts_is_an_answer_too(caller: Caller) -> None:
    assert caller.post("/v1/events", []) == told(seq=0)
    assert [each["code"] for each in caller.post("/v1/events", [5])["rejected"]] == ["event.not_an_object"]


@pytest.mark.parametrize(("body", "headers", "status", "code"), [
    (b"{}", {"Content-Type": "text/plain"}, 415, "input.media_type"),
    (b"{}", {"Content-Type": "application/json", "Content-Encoding": "br"}, 415, "input.content_encoding"),
    (b"{}", {"Content-Type": "application/json", "Content-Encoding": "gzip"}, 400, "input.not_inflated"),
    (b"{}", {"Content-Type": "application/json", "Content-Encoding": "zstd"}, 400, "input.not_inflated"),
    (b"[", {"Content-Type": "application/json"}, 400, "input.not_json"),
    (b"[" + b"{}," * MAX_EVENTS + b"{}]", {"Content-Type": "application/json"}, 413, "input.too_many_items"),
])  # fmt: skip
def test_what_is_refused_whole(caller: Caller, body: bytes, headers: dict[str, str], status: int, code: str) -> None:
    answer = caller("POST", "/v1/events", content=body, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_it_takes_a_scope_of_its_own(sqlite_house: House) -> None:
    top = sqlite_house.account("Reseller")
    reader = Caller(sqlite_house, top, [scope for scope in Scope if scope is not Scope.EVENTS_WRITE])
    problem(reader("POST", "/v1/events", event()), 403, "access.scope")
    assert Caller(sqlite_house, top, [Scope.EVENTS_WRITE])("POST", "/v1/events", event()).status_code == 200


def test_who_is_calling_is_asked_before_the_body_is_read(sqlite_house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(face, "read_body", None)
    answer = sqlite_house.client.post("/v1/events", content=b"x" * 10**6, headers={"Authorization": "Bearer nobody"})
    assert answer.status_code == 401


def test_a_known_reference_is_bound_and_an_unknown_one_kept_aside(house: House) -> None:
    if not house.database.is_sqlite:
        pytest.skip("no usage store on PostgreSQL yet")
    top = house.account("Reseller", external_id="top")
    customer = house.account("Customer", top, external_id="c-1")
    elsewhere = house.account("Stranger", external_id="far")
    caller = Caller(house, top)
    sent = [event("1"), event("2", account=customer.id), event("3", account="later"), event("4", account=elsewhere.id)]
    caller.post("/v1/events", [*sent, event("5", account="far")])

    def accounts() -> list[str | None]:
        return [kept.account for kept in house.services.usage.store.events(Selection(owner=top.id))]

    assert accounts() == [customer.id, customer.id, None, None, None]
    later = house.account("Later", top, external_id="later")
    caller.post("/v1/events", [event("6", account="later")])
    assert accounts() == [customer.id, customer.id, later.id, None, None, later.id]


def test_two_customers_of_one_name_are_not_guessed_between(caller: Caller, sqlite_house: House) -> None:
    for name in ("a", "b"):
        below = sqlite_house.account(name, caller.account, external_id=name)
        sqlite_house.account("x", below, external_id="same")
    assert caller.post("/v1/events", event(account="same"))["accepted"] == 1
    [kept] = sqlite_house.services.usage.store.events(Selection(owner=caller.account.id))
    assert kept.account is None


def test_another_owners_same_ids_neither_clash_nor_show(sqlite_house: House) -> None:
    """P2, P16: the same source and id of a parent, a sibling and a stranger: each is new, and answers as if alone."""
    top = sqlite_house.account("Top")
    accounts = [top, sqlite_house.account("A", top), sqlite_house.account("B", top), sqlite_house.account("Stranger")]
    answers = []
    for number, account in enumerate(accounts):
        answer = Caller(sqlite_house, account)("POST", "/v1/events", event(value=number, dimensions={"secret": str(number)}))
        assert answer.status_code == 200
        answers.append({**answer.json(), "seq": 0})
    assert answers == [told(accepted=1, seq=0)] * 4


def test_many_connections_send_the_same_at_once_and_it_counts_once(caller: Caller) -> None:
    """P2 and P3 at the door: twelve senders, the same events, shuffled into other batches."""

    def one(number: int) -> Any:
        ids = [str((place * 7 + number * 13) % 60) for place in range(60)]
        return [caller.post("/v1/events", [event(id) for id in ids[start : start + 15]]) for start in range(0, 60, 15)]

    with ThreadPoolExecutor(12) as pool:
        answers = [answer for sender in pool.map(one, range(12)) for answer in sender]
    assert sum(answer["accepted"] for answer in answers) == 60
    assert sum(answer["duplicates"] for answer in answers) == 11 * 60
    assert not any(answer["conflicts"] or answer["rejected"] for answer in answers)


def test_an_idempotency_key_means_nothing_here(caller: Caller) -> None:
    """P11: an event has its own identity."""
    answers = [caller("POST", "/v1/events", event(), key="k"), caller("POST", "/v1/events", event("2"), key="k")]
    assert [answer.json()["accepted"] for answer in answers] == [1, 1]
    assert not any("Idempotency-Replayed" in answer.headers for answer in answers)


class Refusing:
    """A store that takes no writes."""

    def __init__(self, store: Any, error: Exception) -> None:
        self._store, self._error = store, error

    def ingest(self, _items: Any) -> Any:
        raise self._error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


@pytest.mark.parametrize(("error", "status"), [
    (Unavailable("the disk is full", code="usage.cannot_write"), 503),
    (Busy("much waits", code="usage.busy", retry_after=3), 429),
])  # fmt: skip
def test_a_store_that_can_not_write_is_a_503_or_429_with_retry_after(
    caller: Caller, sqlite_house: House, error: Exception, status: int
) -> None:
    """P13 at the door; reads go on."""
    usage = sqlite_house.services.usage
    caller.post("/v1/events", event())
    real = usage.store
    usage._store = Refusing(real, error)  # type: ignore[assignment]
    answer = caller("POST", "/v1/events", event("2"))
    assert answer.status_code == status
    assert int(answer.headers["Retry-After"]) >= 1
    assert caller.get("/v1/accounts")["items"]
    usage._store = real
    assert caller.post("/v1/events", [event(), event("2")]) == told(accepted=1, duplicates=1, seq=2)


# ── bounded work (P17) ──


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_inflating_stops_at_the_cap(coding: str) -> None:
    limit, size = 1_000_000, 300_000_000
    zeros = _bomb(coding, size)
    assert len(zeros) < size // 500
    tracemalloc.start()
    with pytest.raises(TooLarge):
        inflate(zeros, coding, limit)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2 * limit + 1_000_000, "no more than a megabyte beyond the cap (twice: the pieces, and the bomb itself)"


def _bomb(coding: str, size: int) -> bytes:
    if coding == "gzip":
        return gzip.compress(b"\0" * size, 9)
    return zstandard.ZstdCompressor(level=3).compress(b"\0" * size)


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_the_cap_is_met_exactly(coding: str) -> None:
    body = b"x" * 200_000
    packed = gzip.compress(body) if coding == "gzip" else zstandard.compress(body)
    assert inflate(packed, coding, 200_000) == body
    with pytest.raises(TooLarge):
        inflate(packed, coding, 199_999)
    for cut in (1, len(packed) // 2, len(packed) - 4):
        with pytest.raises(Invalid):
            inflate(packed[:-cut], coding, 200_000)


def test_control_without_a_cap_the_bomb_goes_off() -> None:
    assert len(inflate(_bomb("gzip", 20_000_000), "gzip", 10**9)) == 20_000_000


def test_a_window_that_would_fill_the_memory_is_refused() -> None:
    packing = zstandard.ZstdCompressor(compression_params=zstandard.ZstdCompressionParameters(window_log=27)).compressobj()
    with pytest.raises(Invalid):
        inflate(packing.compress(b"x" * 100) + packing.flush(), "zstd", 1_000)


def test_the_gate_counts_bytes_and_lets_one_alone_pass() -> None:
    gate = Gate(100)
    with gate.visit() as first:
        first.take(80)
        first.take(80)  # alone
        with pytest.raises(Busy), gate.visit() as second:
            second.take(1)
    with gate.visit() as third, gate.visit() as fourth:
        third.take(50)
        fourth.take(50)
        with pytest.raises(Busy):
            fourth.take(1)


def test_requests_beyond_the_gate_are_told_to_come_back(caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    """While one request waits for its commit, another that would fill the memory is refused; afterwards it passes."""
    monkeypatch.setattr(gates.Visit, "take", _small_take)
    arrived, go_on = threading.Event(), threading.Event()
    real = door.ingest

    def slow(*arguments: Any) -> Any:
        arrived.set()
        go_on.wait(10)
        return real(*arguments)

    monkeypatch.setattr(door, "ingest", slow)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(caller, "POST", "/v1/events", event("1"))
        assert arrived.wait(10)
        refused = caller("POST", "/v1/events", event("2"))
        go_on.set()
        assert waiting.result().json()["accepted"] == 1
    assert (refused.status_code, refused.json()["code"], refused.headers["Retry-After"]) == (429, "input.busy", "1")
    assert caller.post("/v1/events", event("2"))["accepted"] == 1


def _small_take(self: gates.Visit, count: int) -> None:
    self._gate._most_bytes = 150
    self._gate.take(count, own=self.bytes)
    self.bytes += count


# ── whatever is sent ──


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    folder: Path = tmp_path_factory.mktemp("events")
    database = Database(sqlite_url(folder))
    house = House(database)
    yield Caller(house, house.account("Reseller", external_id="top"))
    house.services.usage.close()
    database.close()


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*event(), "value", "dimensions", "data"]), inner)
    ),
    max_leaves=8,
)


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    body=st.binary(max_size=100) | _json.map(lambda value: json.dumps(value).encode()),
    kind=st.sampled_from(["application/json", "application/x-ndjson", "application/cloudevents+json", "", "x/y"]),
    coding=st.sampled_from(["", "gzip", "zstd", "identity"]),
    binary=st.booleans(),
)
def test_any_body_is_a_4xx_or_told_item_by_item(lasting: Caller, body: bytes, kind: str, coding: str, binary: bool) -> None:
    headers = {"Content-Type": kind, "Content-Encoding": coding, **({"ce-specversion": "1.0"} if binary else {})}
    answer = lasting("POST", "/v1/events", content=body, headers=headers)
    assert answer.status_code in (200, 400, 413, 415), answer.text
