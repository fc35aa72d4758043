"""The sender: nothing that it took is lost or counted twice, whoever is killed; nobody waits for the network."""

from __future__ import annotations

import gzip
import http.server
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from billsmith.accounts.authorisation import CredentialKind, Scope
from billsmith.events.event import Event
from billsmith.sender import Events, Problem
from billsmith.sender import events as module
from billsmith.sender import spool as spools
from billsmith.storage.database import Database, sqlite_url
from billsmith.units.errors import Busy, Invalid, InvalidEvent, InvalidNumber, Unavailable
from billsmith.usage.store import Selection, UsageStore
from billsmith.workflows.usage_store import Usage
from tests.support import served
from tests.support.house import House

ROOT = Path(__file__).parents[2]
NOBODY = "http://127.0.0.1:9"


@contextmanager
def answering(answer: Callable[[int, list[Any]], tuple[int, dict[str, str], Any]]) -> Iterator[tuple[str, list[list[Any]]]]:
    """A server that answers as told: gives its URL, and the events of each request."""
    requests: list[list[Any]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = gzip.decompress(self.rfile.read(int(self.headers["Content-Length"])))
            requests.append([json.loads(line) for line in body.splitlines()])
            status, headers, content = answer(len(requests), requests[-1])
            data = json.dumps(content).encode()
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(data))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", requests
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def fine(_number: int, events: list[Any]) -> tuple[int, dict[str, str], Any]:
    return 200, {}, {"accepted": len(events), "duplicates": 0, "conflicts": [], "rejected": [], "seq": 1}


def call(events: Events, number: int = 0, **more: Any) -> str:
    return events.send(type="call", account="acme", value=number, time=number + 1, **more)


def test_events_arrive_as_they_were_sent(tmp_path: Path) -> None:
    with answering(fine) as (url, requests), Events(url, "key", buffer=tmp_path, source="app") as events:
        first = events.send(type="call", account="acme", value=Decimal("0.10"), time=1, dimensions={"region": "eu"})
        call(events, 7, id="mine", source="other")
        assert events.flush()
        assert not events.waiting
    sent = [event for request in requests for event in request]
    assert sent == [
        {"id": first, "source": "app", "type": "call", "account": "acme", "time": "1970-01-01T00:00:00.000000001Z",
         "value": 0.1, "dimensions": {"region": "eu"}},
        {"id": "mine", "source": "other", "type": "call", "account": "acme", "time": "1970-01-01T00:00:00.000000008Z",
         "value": 7, "dimensions": {}},
    ]  # fmt: skip


@pytest.mark.parametrize(("more", "error"), [
    ({"value": 0.1}, InvalidNumber),
    ({"value": "many"}, Invalid),
    ({"value": "1e25"}, InvalidEvent),
    ({"account": ""}, InvalidEvent),
    ({"time": "yesterday"}, Invalid),
    ({"time": -1}, InvalidEvent),
])  # fmt: skip
def test_an_event_that_can_not_be_is_refused_at_once(tmp_path: Path, more: dict[str, Any], error: type[Exception]) -> None:
    events = Events(NOBODY, "key", buffer=tmp_path)
    with pytest.raises(error):
        events.send(**{"type": "call", "account": "acme", **more})
    assert not events.waiting
    events.close(0)
    with pytest.raises(Unavailable):
        call(events)
    with pytest.raises(Invalid):
        Events("ftp://x", "key", buffer=tmp_path)


def test_it_tries_again_with_the_same_ids_until_it_is_answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_WAIT", 0.01)
    statuses = {1: 503, 2: 429, 3: 500, 4: 401}

    def answer(number: int, events: list[Any]) -> Any:
        return (statuses[number], {}, {"code": "x"}) if number in statuses else fine(number, events)

    with answering(answer) as (url, requests), Events(url, "key", buffer=tmp_path) as events:
        id = call(events)
        assert events.flush()
    assert [[event["id"] for event in request] for request in requests] == [[id]] * 5


def test_it_waits_as_long_as_the_server_says(tmp_path: Path) -> None:
    times: list[float] = []

    def answer(number: int, events: list[Any]) -> Any:
        times.append(time.monotonic())
        return (429, {"Retry-After": "1"}, {}) if number == 1 else fine(number, events)

    with answering(answer) as (url, _), Events(url, "key", buffer=tmp_path) as events:
        call(events)
        assert events.flush()
    assert times[1] - times[0] >= 1


def test_waits_grow_and_differ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(Events, "_rest", lambda _self, seconds: waits.append(seconds))
    events = Events(NOBODY, "key", buffer=tmp_path)
    call(events)
    while len(waits) < 12:
        time.sleep(0.01)
    events.close(0)
    bounds = [min(module.FIRST_WAIT * 2**number, module.LONGEST_WAIT) for number in range(12)]
    assert all(bound / 2 <= wait <= bound for wait, bound in zip(waits, bounds, strict=False)), waits
    assert len(set(waits[:12])) == 12


def test_what_is_not_taken_goes_to_the_dead_letters_and_to_the_callback(tmp_path: Path) -> None:
    def answer(_number: int, events: list[Any]) -> Any:
        if any(event["id"] == "unreadable" for event in events):
            return 400, {}, {"code": "input.not_json", "detail": "x"}
        conflicts = [{"index": index} for index, event in enumerate(events) if event["id"] == "other"]
        rejected = [
            {"index": index, "code": "event.unknown", "path": "id", "message": "no"}
            for index, event in enumerate(events)
            if event["id"] == "bad"
        ]
        return 200, {}, {"accepted": 1, "duplicates": 0, "conflicts": conflicts, "rejected": rejected, "seq": 1}

    told: list[Problem] = []
    with answering(answer) as (url, requests), Events(url, "key", buffer=tmp_path, on_problem=told.append) as events:
        for id in ("1", "other", "unreadable", "bad", "2"):
            call(events, id=id)
        assert events.flush()
    letters = [json.loads(line) for line in (tmp_path / module.DEAD_LETTERS).read_text().splitlines()]
    assert sorted((each["code"], each["event"]["id"]) for each in letters) == [
        ("event.conflict", "other"), ("event.unknown", "bad"), ("input.not_json", "unreadable"),
    ]  # fmt: skip
    assert len(told) == 3
    assert {event["id"] for request in requests for event in request} == {"1", "2", "other", "bad", "unreadable"}


def test_a_server_that_never_answers_holds_nobody_up(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        events = Events(f"http://127.0.0.1:{silent.getsockname()[1]}", "key", buffer=tmp_path, timeout=30)
        longest = 0.0
        for number in range(2_000):
            began = time.perf_counter()
            call(events, number)
            longest = max(longest, time.perf_counter() - began)
        assert longest < 10, "the caller waited for the network"
        assert not events.flush(0.05)
        events.close(0)


def test_the_buffer_is_bounded_and_takes_more_once_it_was_delivered(tmp_path: Path) -> None:
    events = Events(NOBODY, "key", buffer=tmp_path, most_bytes=2_000)
    sent = _until_full(events)
    events.close(0)
    assert sum(path.stat().st_size for path in tmp_path.rglob("*.log")) <= 2_000
    with answering(fine) as (url, requests), Events(url, "key", buffer=tmp_path, most_bytes=2_000) as events:
        assert events.flush()
        call(events)
    assert len([event for request in requests for event in request]) == sent + 1


def _until_full(events: Events) -> int:
    for number in range(100):
        try:
            call(events, number)
        except Busy:
            return number
    raise AssertionError("the buffer has no bound")


def test_segments_are_dropped_once_delivered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spools, "SEGMENT", 500)
    with answering(fine) as (url, requests), Events(url, "key", buffer=tmp_path) as events:
        for number in range(50):
            call(events, number)
        assert events.flush()
        assert len(list(tmp_path.rglob("*.log"))) == 1
    assert [event["value"] for request in requests for event in request] == [*range(50)]


@pytest.mark.parametrize("harm", ["cut", "spoil"])
def test_a_line_that_power_loss_left_torn_keeps_no_other_back(tmp_path: Path, harm: str) -> None:
    events = Events(NOBODY, "key", buffer=tmp_path)
    for number in range(3):
        call(events, number)
    events.close(0)
    [path] = [path for path in tmp_path.rglob("*.log") if path.stat().st_size]
    data = path.read_bytes()
    path.write_bytes(data[:-5] if harm == "cut" else data.replace(b'"value":2', b'"value":9'))
    with answering(fine) as (url, requests), Events(url, "key", buffer=tmp_path) as events:
        assert events.flush()
    assert [event["value"] for request in requests for event in request] == [0, 1]


def test_each_process_has_a_part_and_leftovers_are_taken_up(tmp_path: Path) -> None:
    first, second = Events(NOBODY, "key", buffer=tmp_path), Events(NOBODY, "key", buffer=tmp_path)
    call(first, 1)
    call(second, 2)
    first.close(0)
    second.close(0)
    with answering(fine) as (url, requests), Events(url, "key", buffer=tmp_path) as events:
        assert events.flush()
    assert sorted(event["value"] for request in requests for event in request) == [1, 2]


def test_a_forked_process_goes_on_by_itself(tmp_path: Path) -> None:
    with answering(fine) as (url, requests), Events(url, "key", buffer=tmp_path) as events:
        child = os.fork()
        if child == 0:
            code = 1
            try:
                call(events, 5)
                code = 0 if events.flush(20) else 2
            finally:
                os._exit(code)
        assert os.waitpid(child, 0)[1] == 0
        call(events, 6)
        assert events.flush()
    assert sorted(event["value"] for request in requests for event in request) == [5, 6]


# ── killed, with a real server ──


_KILLED = """
import sys
from billsmith.sender import Events
events = Events(sys.argv[1], sys.argv[2], buffer=sys.argv[3], source=sys.argv[4])
number = 0
while True:
    events.send(type="call", account="acme", value=number, id=str(number), time=number)
    number += 1
    sys.stdout.write(f"{number}\\n")
    sys.stdout.flush()
"""


def _killed_sender(url: str, key: str, buffer: Path, source: str, chance: random.Random) -> int:
    """How many events a program said that it had sent when it was killed."""
    process = subprocess.Popen(
        [sys.executable, "-c", _KILLED, url, key, str(buffer), source],
        stdout=subprocess.PIPE, env={"PYTHONPATH": f"{ROOT / 'src'}", "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert process.stdout is not None
    first = process.stdout.readline()
    time.sleep(chance.uniform(0, 0.15))
    process.send_signal(signal.SIGKILL)
    rest = process.stdout.read()
    process.wait()
    process.stdout.close()
    return int((first + rest)[: (first + rest).rindex(b"\n")].split(b"\n")[-1])


def test_killed_senders_and_a_killed_server_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    """What ``send`` came back for is in the store exactly once, though both sides are killed at random moments."""
    home, buffer = tmp_path / "home", tmp_path / "buffer"
    home.mkdir()
    database = Database(sqlite_url(home))
    house = House(database)
    owner = house.account("Owner", external_id="owner")
    _, key = house.key(owner, CredentialKind.API_KEY, [Scope.EVENTS_WRITE])
    database.close()
    chance = random.Random()
    sent: dict[str, int] = {}
    for round in range(3):
        server = served.start(home)
        sent[f"run-{round}a"] = _killed_sender(server.url, key, buffer, f"run-{round}a", chance)
        server.kill()
        assert server.process.stdout is not None
        server.process.stdout.close()
        sent[f"run-{round}b"] = _killed_sender(server.url, key, buffer, f"run-{round}b", chance)  # nobody listens
    with served.serving(home) as server, Events(server.url, key, buffer=buffer) as events:
        assert events.flush(60)
    usage = Usage(Database(sqlite_url(home)))
    for source, count in sent.items():
        found = [int(event.id) for event in _every(usage.store, Selection(source=source))]
        assert sorted(found)[:count] == list(range(count)), source
        assert len(found) - count in (0, 1), "at most the one that send was at"
    usage.close()
    assert sum(sent.values()) > 50
    assert not (buffer / module.DEAD_LETTERS).exists()


def _every(store: UsageStore, selection: Selection) -> Iterator[Event]:
    """All events of a selection, page after page: a quick machine sends more than one holds."""
    after = None
    while page := store.events(selection, after=after, limit=10_000):
        yield from (kept.event for kept in page)
        last = page[-1].event
        after = last.time, last.source, last.id, last.owner


def test_control_a_buffer_in_memory_would_lose_what_was_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same look at a sender whose buffer is not on disk: its events are gone with it."""
    monkeypatch.setattr(spools.os, "write", lambda _file, data: len(data))
    lost = Events(NOBODY, "key", buffer=tmp_path)
    call(lost)
    monkeypatch.undo()
    with answering(fine) as (url, requests), Events(url, "key", buffer=tmp_path / "other") as events:
        assert events.flush()
    assert not requests
    assert not any(path.stat().st_size for path in tmp_path.rglob("*.log"))
    lost.close(0)
