"""Durable ingest over HTTP into a store that is full already, beside the same server that decodes and discards (the ceiling).

Why: a door must not cost more than what stands behind it. ``python -m benchmarks.usage_http [--events N]``. The clients are
a process of their own with bodies made before; each body is sent once. Generator and seed are those of ``benchmarks.usage``.
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import json
import multiprocessing
import resource
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import psutil
import uvicorn

from benchmarks.usage import ACCOUNTS, batches
from billsmith.accounts.authorisation import CredentialKind, Scope
from billsmith.accounts.model import Account
from billsmith.events.event import Event
from billsmith.events.reading import Reading
from billsmith.server import interpreter
from billsmith.server.configuration import configuration
from billsmith.server.faces import application
from billsmith.server.settings import Settings, services
from billsmith.storage import accounts, upgrade
from billsmith.storage.database import Database, sqlite_url
from billsmith.units.ids import derived_id
from billsmith.units.instants import format_instant
from billsmith.usage.duckdb.engine import DuckDBStore
from billsmith.usage.store import UsageStore
from billsmith.workflows import credentials
from billsmith.workflows.clock import system_clock
from billsmith.workflows.ingest import Ingest, IngestReport

_encode = msgspec.json.Encoder(decimal_format="number").encode
CONNECTIONS = (1, 4, 16)


def prepare(home: Path, events: int) -> str:
    """A store with so many events, and a key to send more."""
    database = Database(sqlite_url(home))
    upgrade.upgrade(database, system_clock())
    with database.write() as connection:
        owner = accounts.create(
            connection, id=derived_id("bench"), name="bench", now=system_clock(), currency="EUR", time_zone="UTC"
        )
        for number in range(1, ACCOUNTS + 1):
            name = f"c{number}"
            accounts.create(connection, id=derived_id(name), name=name, external_id=name, now=system_clock(), parent=owner)
        kind = CredentialKind.API_KEY
        _, key = credentials.create(connection, owner, kind, now=system_clock(), scopes=[Scope.EVENTS_WRITE])
    database.close()
    store = DuckDBStore(home)
    for batch in batches(events, 10_000, seed=1):
        store.ingest([msgspec.structs.replace(event, owner=owner.id) for event in batch])
    store.close()
    return key


def bodies(count: int, size: int, seed: int) -> Iterator[bytes]:
    """Requests' bodies, as a sender writes them."""
    for batch in batches(count * size, size, seed):
        yield _encode([_sent(event) for event in batch])


def _sent(event: Event) -> dict[str, object]:
    return {
        "id": event.id,
        "source": event.source,
        "type": event.type,
        "account": event.account,
        "time": format_instant(event.time),
        "value": event.value,
        "dimensions": event.dimensions,
    }


def serve(home: Path, discard: bool) -> None:
    """The server, with its port on standard output."""
    if discard:
        Ingest.keep = _discard  # type: ignore[method-assign]
    database = Database(sqlite_url(home))
    settings = Settings(home=home, max_body=64 * 1024 * 1024)
    made = services(settings, database)
    if not discard:
        _ = made.usage
    # with its protocol named, as the real server's has: else asyncio leaves an answer's second piece to wait for an ACK, 40 ms
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen(512)
    print(listener.getsockname()[1], flush=True)
    interpreter.prepare()
    uvicorn.Server(configuration(application(settings, made))).run(sockets=[listener])


def _discard(_self: Ingest, _store: UsageStore, _owner: Account, reading: Reading) -> IngestReport:
    return IngestReport(accepted=len(reading.events), duplicates=0, conflicts=[], rejected=reading.rejected, seq=0)


def _every_name(size: int) -> Iterator[bytes]:
    """Requests that name each account once, so that the server has met all of them."""
    (events,) = batches(ACCOUNTS, ACCOUNTS, seed=2)
    named = [msgspec.structs.replace(event, account=f"c{number}") for number, event in enumerate(events, 1)]
    for start in range(0, ACCOUNTS, size):
        yield _encode([_sent(event) for event in named[start : start + size]])


def _send_all(
    port: int, key: str, connections: int, requests: int, size: int, seed: int, answer: multiprocessing.SimpleQueue[object]
) -> None:
    """The clients' process: seconds in all, and those of each request. No ``requests``: those of :func:`_every_name`."""
    prepared = list(bodies(requests, size, seed) if requests else _every_name(size))
    requests = len(prepared)
    place, times = itertools.count(), []
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}

    def client() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port)
        connection.connect()
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while (number := next(place)) < requests:
            began = time.perf_counter()
            connection.request("POST", "/v1/events", prepared[number], headers)
            said = connection.getresponse()
            content = said.read()
            times.append(time.perf_counter() - began)
            assert said.status == 200, content

    threads = [threading.Thread(target=client) for _ in range(connections)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    answer.put((time.perf_counter() - began, times))


def measure(home: Path, key: str, *, discard: bool, requests: int, size: int, seed: int) -> list[dict[str, object]]:
    """One server, all numbers of connections."""
    command = [sys.executable, "-m", "benchmarks.usage_http", "--serve", str(home), *(["--discard"] if discard else [])]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    found = []
    try:
        port = int(process.stdout.readline())
        watched = psutil.Process(process.pid)
        for number, connections in enumerate((4, *CONNECTIONS)):
            count = requests if number else 0  # names are looked up, and bound, at first sight
            context = multiprocessing.get_context("spawn")
            answer = context.SimpleQueue()
            before = sum(watched.cpu_times()[:2])
            client = context.Process(target=_send_all, args=(port, key, connections, count, size, seed + number, answer))
            client.start()
            seconds, times = answer.get()
            client.join()
            cpu = sum(watched.cpu_times()[:2]) - before
            times.sort()
            if number == 0:
                continue
            found.append(
                {
                    "what": "decode and discard" if discard else "durable",
                    "connections": connections,
                    "events_per_second": round(requests * size / seconds),
                    "p50_ms": round(times[len(times) // 2] * 1000, 1),
                    "p99_ms": round(times[int(len(times) * 0.99)] * 1000, 1),
                    "server_cpu_us_per_event": round(cpu / requests / size * 1e6, 2),
                    "rss_mb": watched.memory_info().rss // 2**20,
                }
            )
            print(json.dumps(found[-1]), flush=True)
    finally:
        process.terminate()
        process.wait(30)
    return found


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--events", type=int, default=1_000_000, help="events in the store beforehand")
    parser.add_argument("--requests", type=int, default=300)
    parser.add_argument("--size", type=int, default=1_000, help="events of one request")
    parser.add_argument("--serve", type=Path)
    parser.add_argument("--discard", action="store_true")
    options = parser.parse_args()
    if options.serve is not None:
        serve(options.serve, options.discard)
        return
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        key = prepare(home, options.events)
        for discard in (True, False):
            measure(home, key, discard=discard, requests=options.requests, size=options.size, seed=100)


if __name__ == "__main__":
    main()
