"""``POST /v1/events`` under fault: an answer is a promise (P1, P2), a full disk is a clear refusal (P13), commits are shared."""

from __future__ import annotations

import json
import random
import resource
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests

from billsmith.accounts.authorisation import CredentialKind, Scope
from billsmith.storage.database import Database, sqlite_url
from billsmith.usage.duckdb.engine import DuckDBStore
from billsmith.usage.store import Receipt, Selection
from billsmith.workflows.usage_store import Usage
from tests.support import served
from tests.support.house import House

TIME = "2026-10-31T12:00:00Z"


def event(id: str, **more: Any) -> dict[str, Any]:
    return {"id": id, "source": "gw", "type": "call", "account": "c-1", "time": TIME, **more}


def ready(home: Path) -> dict[str, str]:
    """A store with an account, and the headers of its key."""
    home.mkdir(exist_ok=True)
    database = Database(sqlite_url(home))
    house = House(database)
    _, key = house.key(house.account("Owner", external_id="owner"), CredentialKind.API_KEY, list(Scope))
    database.close()
    return {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}


class Client:
    """One sender: batches of growing numbers, each repeated until it is answered."""

    def __init__(self, name: str, headers: dict[str, str]) -> None:
        self.name, self.headers, self.sent, self.acknowledged = name, headers, 0, 0

    def send_until(self, url: str, stop: threading.Event, chance: random.Random) -> None:
        with requests.Session() as session:
            session.trust_env = False
            while not stop.is_set():
                first = max(self.acknowledged - 5, 0)  # some of the batch before once more
                size = chance.randint(1, 60)
                self.sent = max(self.sent, first + size)
                batch = [event(f"{self.name}-{number}") for number in range(first, first + size)]
                try:
                    answer = session.post(f"{url}/v1/events", json=batch, headers=self.headers, timeout=20)
                except requests.RequestException:
                    return
                assert answer.status_code == 200, answer.text
                said = answer.json()
                assert (said["accepted"] + said["duplicates"], said["conflicts"], said["rejected"]) == (size, [], [])
                self.acknowledged = max(self.acknowledged, first + size)


def test_a_killed_server_keeps_all_that_it_answered_for(tmp_path: Path) -> None:
    """P1 and P2 under six connections: after each kill -9 all acknowledged events are there, each once."""
    home = tmp_path / "home"
    headers = ready(home)
    chance = random.Random()
    clients = [Client(f"c{number}", headers) for number in range(6)]
    for _ in range(4):
        server = served.start(home)
        stop = threading.Event()
        with ThreadPoolExecutor(len(clients)) as pool:
            before = sum(client.acknowledged for client in clients)
            running = [pool.submit(client.send_until, server.url, stop, chance) for client in clients]
            while sum(client.acknowledged for client in clients) < before + 60:
                time.sleep(0.005)
            time.sleep(chance.uniform(0, 0.1))
            server.kill()
            stop.set()
            for each in running:
                each.result()
        assert server.process.stdout is not None
        server.process.stdout.close()
        found = stored(home)
        assert len(set(found)) == len(found)
        for client in clients:
            numbers = {int(id.split("-")[1]) for id in found if id.startswith(f"{client.name}-")}
            assert numbers >= set(range(client.acknowledged)), client.name
            assert max(numbers, default=0) < max(client.sent, 1)


def stored(home: Path) -> list[str]:
    database = Database(sqlite_url(home))
    usage = Usage(database)
    ids: list[str] = []
    after = None
    while page := usage.store.events(Selection(source="gw"), after=after, limit=5_000):
        ids += [kept.event.id for kept in page]
        last = page[-1].event
        after = (last.time, last.source, last.id, last.owner)
    usage.close()
    database.close()
    return ids


def test_a_full_disk_is_a_503_reads_go_on_and_nothing_is_lost(tmp_path: Path) -> None:
    """P13 over a running server; a limit on its files' sizes stands for the disk."""
    home = tmp_path / "home"
    headers = ready(home)
    with served.serving(home) as server, requests.Session() as session:
        session.trust_env = False

        def post(first: int) -> requests.Response:
            batch = [event(str(number), dimensions={"text": "x" * 100}) for number in range(first, first + 200)]
            return session.post(f"{server.url}/v1/events", json=batch, headers=headers, timeout=30)

        assert post(0).json()["accepted"] == 200
        _, most = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (20_000, most))
        acknowledged, refused = 200, None
        while refused is None and acknowledged < 20_000:
            answer = post(acknowledged)
            if answer.status_code == 200:
                acknowledged += 200
            else:
                refused = answer
        assert refused is not None
        assert (refused.status_code, refused.json()["code"]) == (503, "usage.cannot_write")
        assert int(refused.headers["Retry-After"]) > 0
        assert session.get(f"{server.url}/v1/accounts", headers=headers, timeout=20).status_code == 200
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (most, most))
        again = post(acknowledged).json()
        assert again["accepted"] + again["duplicates"] == 200
    found = stored(home)
    assert sorted(map(int, found)) == list(range(acknowledged + 200))


# ── the shared commit ──


class Held:
    """A store whose commits wait for a sign, and which counts them."""

    def __init__(self, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
        self.go_on, self.begun, self.groups = threading.Event(), threading.Event(), []
        commit = DuckDBStore._write

        def write(store: DuckDBStore, group: list[Any]) -> list[Receipt]:
            self.groups.append([item.id for batch in group for item in batch.items])
            self.begun.set()
            assert self.go_on.wait(20)
            return commit(store, group)

        monkeypatch.setattr(DuckDBStore, "_write", write)
        owner = house.account("Owner")
        _, key = house.key(owner, CredentialKind.API_KEY, [Scope.EVENTS_WRITE])
        self._house = house
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}

    def post(self, *events: dict[str, Any]) -> Any:
        return self._house.client.post("/v1/events", content=json.dumps(events).encode(), headers=self._headers).json()

    def waiting(self, count: int) -> None:
        store: Any = self._house.services.usage
        while store.health().waiting < count:
            time.sleep(0.005)


def test_requests_that_wait_share_one_commit_in_their_order(sqlite_house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    held = Held(sqlite_house, monkeypatch)
    _ = sqlite_house.services.usage
    with ThreadPoolExecutor(12) as pool:
        first = pool.submit(held.post, event("first"))
        assert held.begun.wait(10)
        body = pool.submit(held.post, event("same", value=1))
        held.waiting(2)
        other = pool.submit(held.post, event("same", value=2))
        held.waiting(3)
        others = []
        for number in range(8):
            others.append(pool.submit(held.post, event(str(number))))
            held.waiting(4 + number)
        assert not any(each.done() for each in (first, body, other, *others)), "answered before its commit"
        held.go_on.set()
        assert first.result()["accepted"] == 1
        assert (body.result()["accepted"], other.result()["accepted"]) == (1, 0)
        assert other.result()["conflicts"][0]["differences"] == [{"field": "value", "stored": "1", "sent": "2"}]
        assert [each.result()["accepted"] for each in others] == [1] * 8
    assert held.groups == [["first"], ["same", "same", *map(str, range(8))]], "ten requests, one commit"


def test_control_an_answer_before_the_commit_is_seen(sqlite_house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    held = Held(sqlite_house, monkeypatch)
    really: Callable[..., Receipt] = DuckDBStore.ingest

    def early(store: DuckDBStore, items: Any) -> Receipt:
        threading.Thread(target=really, args=(store, items), daemon=True).start()
        return Receipt(accepted=len(items), seq=0)

    monkeypatch.setattr(DuckDBStore, "ingest", early)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(held.post, event("first"))
        assert held.begun.wait(10)
        assert answer.result(10)["accepted"] == 1, "answered before its commit"
        held.go_on.set()
