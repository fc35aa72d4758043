"""``POST /v1/events``: what is taken, what is refused, and that an answer is a promise."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from billsmith.accounts.authorisation import CredentialKind, Scope
from billsmith.usage.store import Selection
from billsmith.wire import face
from billsmith.wire.gate import Gate
from billsmith.workflows.states import LENGTH
from tests.support.house import House

EVENT = {"id": "1", "type": "call", "account": "acme", "time": "2026-10-31T12:00:00Z", "value": 2.50}
CLOUD = {
    "specversion": "1.0",
    "id": "1",
    "source": "gw",
    "type": "call",
    "subject": "acme",
    "time": "2026-10-31T12:00:00.000000001+01:00",
    "data": {"value": 7, "region": "eu", "cached": True},
    "traceparent": "00-1-2-3",
}


class Sender:
    """Somebody with a key that may send events."""

    def __init__(self, house: House, name: str = "Reseller") -> None:
        self.house = house
        self.account = house.account(name, external_id=name.lower())
        self.customer = house.account("Acme", self.account, external_id="acme")
        _, secret = house.key(self.account, CredentialKind.API_KEY, [Scope.EVENTS_WRITE])
        self.headers = {"Authorization": f"Bearer {secret}"}

    def send(self, body: Any, **headers: str) -> Any:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        return self.house.client.post(
            "/v1/events", content=content, headers={**self.headers, "Content-Type": "application/json", **named}
        )

    def stored(self) -> list[Any]:
        return [kept.event for kept in self.house.services.usage.events(Selection(owner=self.account.id))]


@pytest.fixture
def sender(house: House) -> Sender:
    return Sender(house)


def test_an_event_is_kept_exactly_and_for_its_account(sender: Sender) -> None:
    answer = sender.send(b'{"id":"1","type":"call","account":"acme","time":1,"value":0.100000000001,"dimensions":{"n":1.50}}')
    report = answer.json()
    assert (answer.status_code, len(report.pop("seq"))) == (200, LENGTH)
    assert report == {"accepted": 1, "duplicates": 0, "conflicts": [], "rejected": []}
    (event,) = sender.stored()
    assert (event.value, event.time, event.source, event.dimensions) == (Decimal("0.100000000001"), 1, "api", {"n": "1.50"})
    (kept,) = sender.house.services.usage.events(Selection(accounts=(sender.customer.id,)))
    assert kept.account == sender.customer.id


def test_again_is_a_duplicate_and_another_body_a_conflict(sender: Sender) -> None:
    sender.send(EVENT)
    answer = sender.send([EVENT, {**EVENT, "value": "2.5"}, {**EVENT, "value": 3, "type": "other"}]).json()
    assert (answer["accepted"], answer["duplicates"]) == (0, 2)
    (conflict,) = answer["conflicts"]
    assert conflict["index"] == 2
    assert conflict["differences"] == [
        {"field": "type", "stored": "call", "sent": "other"},
        {"field": "value", "stored": "2.5", "sent": "3"},
    ]
    assert [event.value for event in sender.stored()] == [Decimal("2.5")]


def test_one_wrong_event_keeps_no_other_out(sender: Sender) -> None:
    wrong: list[tuple[Any, str, str]] = [
        ({**EVENT, "id": ""}, "event.text_missing", "id"),
        ({**EVENT, "time": "yesterday"}, "time.not_an_instant", "time"),
        ({**EVENT, "time": 4_133_980_800_000_000_000}, "event.time_out_of_range", "time"),
        ({**EVENT, "value": "0.0000000000001"}, "event.value_too_fine", "value"),
        ({**EVENT, "value": [1]}, "event.malformed", "value"),
        ({**EVENT, "valeu": 1}, "event.malformed", ""),
        ({**EVENT, "dimensions": {"a": {"b": 1}}}, "event.malformed", "dimensions.a"),
        ({**EVENT, "account": 5}, "event.malformed", "account"),
        ({**CLOUD, "specversion": "0.3"}, "event.cloudevents_version", "specversion"),
        ({**CLOUD, "subject": None}, "event.malformed", "subject"),
        ({**CLOUD, "data": "text"}, "event.data_not_json", "data"),
        (7, "event.not_an_object", ""),
    ]
    answer = sender.send([EVENT, *(body for body, _, _ in wrong), {**EVENT, "id": "2"}])
    report = answer.json()
    assert (answer.status_code, report["accepted"]) == (200, 2)
    assert [(each["index"], each["code"], each["path"]) for each in report["rejected"]] == [
        (place, code, path) for place, (_, code, path) in enumerate(wrong, 1)
    ]


def test_cloud_events_in_their_three_modes(sender: Sender) -> None:
    assert sender.send(CLOUD, Content_Type="application/cloudevents+json").json()["accepted"] == 1
    batch = [{**CLOUD, "id": "2"}, {**CLOUD, "id": "3"}]
    assert sender.send(batch, Content_Type="application/cloudevents-batch+json; charset=utf-8").json()["accepted"] == 2
    attributes = {f"ce_{name}": str(text) for name, text in CLOUD.items() if name not in ("data", "id")}
    assert sender.send({"value": 7, "region": "eu", "cached": True}, ce_id="4", **attributes).json()["accepted"] == 1
    assert {(event.id, event.value, event.time % 10**9) for event in sender.stored()} == {
        (str(number), Decimal(7), 1) for number in range(1, 5)
    }
    assert all(event.dimensions == {"region": "eu", "cached": "true"} for event in sender.stored())


def test_lines(sender: Sender) -> None:
    body = b"\n".join([json.dumps(EVENT).encode(), b"", b"{broken", json.dumps({**CLOUD, "id": "2"}).encode(), b""])
    report = sender.send(body, Content_Type="application/x-ndjson").json()
    assert (report["accepted"], [each["index"] for each in report["rejected"]]) == (2, [1])


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_compressed_bodies(sender: Sender, encoding: str) -> None:
    plain = json.dumps([{**EVENT, "id": str(number)} for number in range(500)]).encode()
    packed = gzip.compress(plain) if encoding == "gzip" else zstandard.compress(plain)
    assert sender.send(packed, Content_Encoding=encoding).json()["accepted"] == 500


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        (b"{", {}, 200, None),
        (b"[1,", {}, 400, "input.not_json"),
        (b"", {}, 400, "input.not_json"),
        (b"[" * 100_000, {}, 400, "input.not_json"),
        (b"{}", {"Content_Type": "text/plain"}, 415, "input.media_type"),
        (b"{}", {"Content_Encoding": "br"}, 415, "input.content_encoding"),
        (b"{}", {"Content_Encoding": "gzip, gzip"}, 415, "input.content_encoding"),
        (b"{}", {"Content_Encoding": "gzip"}, 400, "input.not_compressed"),
        (b"{}", {"Content_Encoding": "zstd"}, 400, "input.not_compressed"),
        (gzip.compress(b"[]", mtime=0)[:-4], {"Content_Encoding": "gzip"}, 400, "input.not_compressed"),
        (gzip.compress(b" " * 9_000_000, mtime=0), {"Content_Encoding": "gzip"}, 413, "input.body_too_large"),
        (zstandard.compress(b" " * 9_000_000), {"Content_Encoding": "zstd"}, 413, "input.body_too_large"),
    ],
)
def test_bodies_that_are_not_taken(sender: Sender, body: bytes, headers: dict[str, str], status: int, code: str | None) -> None:
    answer = sender.send(body, **headers)
    assert answer.status_code == status
    assert answer.json().get("code") == code
    assert sender.stored() == []


def test_too_many_at_once(sender: Sender) -> None:
    answer = sender.send(b"[" + b",".join([b"1"] * 50_001) + b"]")
    assert (answer.status_code, answer.json()["code"]) == (413, "event.too_many")


def gate_of(sender: Sender) -> Gate:
    return next(each.gate for each in sender.house.app.faces if each.name == "native")


@pytest.mark.parametrize("packed", [False, True])
def test_a_full_house_says_when_to_come_back(sender: Sender, packed: bool) -> None:
    """P17: bytes are counted as they come and as they are inflated, and are let go with the answer."""
    gate = gate_of(sender)
    body = json.dumps([EVENT] * 50).encode()
    sent, headers = (gzip.compress(body), {"Content_Encoding": "gzip"}) if packed else (body, {})
    room = len(body) + (len(sent) if packed else 0)
    with gate.visit() as other:
        other.take(1)
        gate.most_bytes = room
        answer = sender.send(sent, **headers)
        assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (429, "input.backlog", "1")
        gate.most_bytes = room + 1
        assert sender.send(sent, **headers).json()["accepted"] == 1
        assert sender.send(sent, **headers).json()["duplicates"] == 50


def test_a_request_that_is_alone_passes_any_gate(sender: Sender) -> None:
    gate_of(sender).most_bytes = 1
    assert sender.send(EVENT).json()["accepted"] == 1


def test_who_is_calling_is_asked_before_a_byte_of_the_body_is_read(sender: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(face, "read_body", None)
    sender.headers = {"Authorization": "Bearer nobody"}
    assert sender.send(EVENT).status_code == 401


def test_only_who_may_send_events_does(sender: Sender) -> None:
    _, secret = sender.house.key(sender.account, CredentialKind.API_KEY)
    sender.headers = {"Authorization": f"Bearer {secret}"}
    assert sender.send(EVENT).status_code == 403
    sender.headers = {}
    assert sender.send(EVENT).status_code == 401
    assert sender.stored() == []


def test_another_senders_events_are_his_own(sender: Sender) -> None:
    """The same identity of two senders is two events, and a conflict never shows another's body (P2, P16)."""
    other = Sender(sender.house, "Rival")
    sender.send({**EVENT, "dimensions": {"secret": "plans"}})
    answer = other.send({**EVENT, "value": 9})
    assert (answer.json()["accepted"], answer.json()["conflicts"]) == (1, [])
    assert "plans" not in answer.text
    # the rival's "acme" is his own customer
    (kept,) = sender.house.services.usage.events(Selection(owner=other.account.id))
    assert kept.account == other.customer.id


def test_an_unknown_account_is_kept_aside(sender: Sender) -> None:
    assert sender.send({**EVENT, "account": "nobody-yet"}).json()["accepted"] == 1
    (unknown,) = sender.house.services.usage.unknown(["call"])
    assert (unknown.reference, unknown.account, unknown.events) == ("nobody-yet", None, 1)


@settings(max_examples=150, deadline=None)
@given(
    st.binary(max_size=60)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from([EVENT, CLOUD]),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*EVENT, *CLOUD]), inner, max_size=5),
        max_leaves=8,
    ).map(lambda value: json.dumps(value).encode()),
    st.sampled_from(["application/json", "application/x-ndjson", "application/cloudevents+json"]),
)
def test_no_body_breaks_the_door(any_sender: Sender, body: bytes, media_type: str) -> None:
    answer = any_sender.send(body, Content_Type=media_type)
    assert answer.status_code in (200, 400), answer.text


@pytest.fixture(scope="module")
def any_sender(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sender]:
    from billsmith.storage.database import Database, sqlite_url

    database = Database(sqlite_url(tmp_path_factory.mktemp("any")))
    house = House(database)
    yield Sender(house)
    house.close()
    database.close()


@pytest.mark.parametrize("value", ["1e999999999999999999999", "-1e-999999999999999999999", "1e999999", "1" * 64])
def test_an_exponent_that_no_decimal_has_is_one_event_refused(sender: Sender, value: str) -> None:
    body = json.dumps(EVENT).replace("2.5", value).encode()
    answer = sender.send(body)
    assert answer.status_code == 200
    assert [each["path"] for each in answer.json()["rejected"]] == ["value"]
