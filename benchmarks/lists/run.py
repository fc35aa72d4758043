"""The measures, in the order of the report. What each means is said in ../README.md."""

from __future__ import annotations

import contextlib
import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec
import psutil

from benchmarks.lists import client, stores
from benchmarks.lists.client import Connection, request
from benchmarks.lists.faces import FACES, SIZE, Case
from benchmarks.lists.stores import Store

WRITES_PER_SECOND = 200

Say = Callable[[str], None]


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """How much is measured."""

    rows: int
    rounds: int
    seconds: float
    engines: tuple[str, ...]
    faces: tuple[str, ...]


FULL = Plan(rows=1_000_000, rounds=200, seconds=3.0, engines=("sqlite", "postgres"), faces=tuple(f.name for f in FACES))
QUICK = Plan(rows=50_000, rounds=50, seconds=0.7, engines=("sqlite", "postgres"), faces=tuple(f.name for f in FACES))


class Server:
    """The server under measure, running."""

    def __init__(self, store: Store, *, keeps_answers: bool) -> None:
        self.port = _free_port()
        answers = [] if keeps_answers else ["--answers", "0"]
        command = [sys.executable, "-m", "benchmarks.lists.server", "--url", store.url, "--port", str(self.port), *answers]
        self._process = subprocess.Popen(command)
        while True:
            with contextlib.suppress(OSError):
                Connection(self.port).close()
                return
            time.sleep(0.02)

    @property
    def memory(self) -> int:
        """Bytes that the process holds."""
        return int(psutil.Process(self._process.pid).memory_info().rss)

    @property
    def seconds(self) -> float:
        """Processor time that it has used."""
        used = psutil.Process(self._process.pid).cpu_times()
        return used.user + used.system

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait()


@contextlib.contextmanager
def serving(store: Store, *, keeps_answers: bool = False) -> Iterator[Server]:
    """A server for the block."""
    server = Server(store, keeps_answers=keeps_answers)
    try:
        yield server
    finally:
        server.stop()


class Caller:
    """A face's client: its credential, its requests, one connection."""

    def __init__(self, case: Case, store: Store, server: Server) -> None:
        self.case = case
        self.world = store.world
        self.port = server.port
        self.connection = Connection(server.port)
        self.headers = case.headers(store.world, self.connection)

    def request(self, *parameters: dict[str, str]) -> bytes:
        """A request for the list."""
        return request("GET", self.case.url(self.world, *parameters), self.headers)

    def whole(self) -> bytes:
        """A request for the whole list in one answer."""
        assert self.case.stream is not None
        return request("GET", self.case.url(self.world, path=self.case.stream), self.headers)

    def page(self, number: int, *parameters: dict[str, str]) -> bytes:
        """A request for a page of it."""
        return self.request(self.case.page(number), *parameters)

    def pages(self, *parameters: dict[str, str]) -> int:
        """How many full pages match."""
        return self.case.matching(self.world, self.get(self.page(1, *parameters)).body) // SIZE

    def get(self, made: bytes) -> client.Answer:
        """Ask, and insist on an answer."""
        answer = self.connection.get(made)
        assert answer.status == 200, answer
        return answer

    def timed(self, made: bytes) -> float:
        """Milliseconds that a request takes."""
        started = time.perf_counter()
        self.get(made)
        return (time.perf_counter() - started) * 1e3


def run(plan: Plan, say: Say) -> dict[str, Any]:
    """Everything."""
    results: dict[str, Any] = {"rows": plan.rows, "engines": {}}
    for engine in plan.engines:
        store: Store = getattr(stores, engine)(plan.rows, say)
        results["engines"][engine] = {case.name: _face(case, store, plan, say) for case in FACES if case.name in plan.faces}
    return results


def _face(case: Case, store: Store, plan: Plan, say: Say) -> dict[str, Any]:
    say(f"\n{store.engine}, {case.name}, {store.world.rows:,} invoices")
    found: dict[str, Any] = {}
    with serving(store) as server:
        found["cold start"] = _cold(Caller(case, store, server), plan, say)
    with serving(store) as server:
        caller = Caller(case, store, server)
        _warm(caller)
        found["ceiling"] = _ceiling(caller, plan, say)
        found["pages"] = _pages(caller, plan, say)
        found["other filters"] = _others(caller, say)
        with _writing(store) as stop:
            found["pages while others write"] = _pages(caller, plan, say)
            found["writes a second"] = stop()
    with serving(store, keeps_answers=True) as server:
        found["kept answers"] = _kept(Caller(case, store, server), plan, say)
    if case.stream is not None:
        with serving(store) as server:
            caller = Caller(case, store, server)
            _warm(caller)
            found["stream"] = _stream(caller, Caller(case, store, server), server, say)
    return found


def _cold(caller: Caller, plan: Plan, say: Say) -> dict[str, Any]:
    """Every request of the first seconds: what comes while the buckets are made."""
    dice = random.Random(1)
    times = []
    started = time.perf_counter()
    while time.perf_counter() - started < plan.seconds:
        which = dice.choice(({}, caller.case.status or {}))
        # A quarter of the list at least passes the filter.
        pages = caller.world.rows // SIZE // (4 if which else 1)
        number = dice.choice((1, pages // 2, pages, dice.randrange(1, pages)))
        made = caller.page(number, dice.choice(caller.case.orders).parameters, which)
        times.append(caller.timed(made))
    found = {"requests": len(times), "slowest_ms": max(times), "over_50_ms": sum(each > 50 for each in times)}
    say(f"  cold start: slowest of {len(times)} requests {found['slowest_ms']:.1f} ms, {found['over_50_ms']} over 50 ms")
    return found


def _warm(caller: Caller) -> None:
    """Ask in every order, and give the buckets the time to be made."""
    for order in caller.case.orders:
        caller.get(caller.page(1, order.parameters))
    time.sleep(2 + caller.world.rows / 250_000)


def _ceiling(caller: Caller, plan: Plan, say: Say) -> dict[str, Any]:
    """The first page beside the same bytes from memory, both behind the same authentication; in turns, three times."""
    first = caller.page(1)
    path = f"/ceiling/{caller.case.name}"
    caller.get(request("PUT", path, caller.headers, caller.get(first).body))
    from_memory = request("GET", path, caller.headers)
    page, ceiling = [], []
    for _ in range(3):
        ceiling.append(client.rate(caller.port, [from_memory], plan.seconds))
        page.append(client.rate(caller.port, [first], plan.seconds))
    found = {"ceiling_per_s": _middle(ceiling), "first_page_per_s": _middle(page), "bytes": len(caller.get(first).body)}
    found["first_page_to_ceiling"] = found["first_page_per_s"] / found["ceiling_per_s"]
    found["goal"] = found["first_page_to_ceiling"] >= 1 / 9
    say(
        f"  first page {found['first_page_per_s']:.0f}/s, ceiling {found['ceiling_per_s']:.0f}/s:"
        f" 1/{1 / found['first_page_to_ceiling']:.1f} (goal 1/9){_mark(found['goal'])}"
    )
    return found


def _pages(caller: Caller, plan: Plan, say: Say) -> list[dict[str, Any]]:
    """First, middle and last page in turns, for each order and with and without the status filter."""
    found = []
    for order in caller.case.orders:
        filters: dict[str, dict[str, str]] = {"all": {}}
        if caller.case.status is not None:
            filters["by status"] = caller.case.status
        for name, which in filters.items():
            pages = caller.pages(order.parameters, which)
            dice = random.Random(2)
            places: dict[str, Callable[[], int]] = {
                "first": lambda: 1,
                "middle": lambda pages=pages, dice=dice: pages // 2 + dice.randrange(-50, 50),  # type: ignore[misc]
                "last": lambda pages=pages: pages,  # type: ignore[misc]
            }
            times: dict[str, list[float]] = {place: [] for place in places}
            for _ in range(plan.rounds):
                for place, number in places.items():
                    times[place].append(caller.timed(caller.page(number(), order.parameters, which)))
            found.append(_row(order.name, name, times, say))
    return found


def _row(order: str, which: str, times: dict[str, list[float]], say: Say) -> dict[str, Any]:
    row: dict[str, Any] = {"order": order, "filter": which}
    for place, each in times.items():
        row[place] = {"p50_ms": _quantile(each, 0.5), "p99_ms": _quantile(each, 0.99)}
    first = row["first"]["p50_ms"]
    row["middle_to_first"] = row["middle"]["p50_ms"] / first
    row["last_to_first"] = row["last"]["p50_ms"] / first
    row["p99_to_p50"] = max(row[place]["p99_ms"] / row[place]["p50_ms"] for place in times)
    row["goal"] = max(row["middle_to_first"], row["last_to_first"]) <= 2 and row["p99_to_p50"] <= 4
    ratios = f"middle {row['middle_to_first']:.2f} x, last {row['last_to_first']:.2f} x, p99 {row['p99_to_p50']:.1f} x p50"
    say(f"  {order:22} {which:10} first {first:6.2f} ms, {ratios}{_mark(row['goal'])}")
    return row


def _others(caller: Caller, say: Say) -> dict[str, Any]:
    """Requests with a filter beyond the status: count and page together."""
    found = {}
    for name, which in caller.case.others(caller.world).items():
        times = [caller.timed(caller.page(1, which)) for _ in range(15)]
        found[name] = {"p50_ms": _quantile(times, 0.5), "slowest_ms": max(times)}
        say(f"  {name:28} {found[name]['p50_ms']:8.2f} ms{_mark(found[name]['p50_ms'] <= 100)}")
    return found


def _kept(caller: Caller, plan: Plan, say: Say) -> dict[str, Any]:
    """A repeat at an unchanged version beside the ceiling."""
    first = caller.page(1)
    path = f"/ceiling/{caller.case.name}"
    caller.get(request("PUT", path, caller.headers, caller.get(first).body))
    from_memory = request("GET", path, caller.headers)
    repeat, ceiling = [], []
    for _ in range(3):
        ceiling.append(client.rate(caller.port, [from_memory], plan.seconds))
        repeat.append(client.rate(caller.port, [first], plan.seconds))
    found = {"ceiling_per_s": _middle(ceiling), "repeat_per_s": _middle(repeat)}
    found["repeat_to_ceiling"] = found["repeat_per_s"] / found["ceiling_per_s"]
    say(
        f"  kept answer {found['repeat_per_s']:.0f}/s, ceiling {found['ceiling_per_s']:.0f}/s:"
        f" {found['repeat_to_ceiling']:.2f} (goal 1/2){_mark(found['repeat_to_ceiling'] >= 0.5)}"
    )
    return found


def _stream(caller: Caller, other: Caller, server: Server, say: Say) -> dict[str, Any]:
    """The whole list at once, while another client asks for pages."""
    used = server.seconds
    page = _middle([other.timed(other.page(1)) for _ in range(300)])
    page_cpu = (server.seconds - used) / 300 / SIZE * 1e6
    used = server.seconds
    before = peak = server.memory
    times: list[float] = []
    done = threading.Event()

    def ask() -> None:
        while not done.wait(0.05):
            times.append(other.timed(other.page(1)))

    asking = threading.Thread(target=ask)
    asking.start()
    rows = size = 0
    tail = b""
    started = sampled = time.perf_counter()
    for piece in caller.connection.stream(caller.whole()):
        size += len(piece)
        joined = tail + piece
        rows += joined.count(caller.case.row)
        tail = joined[1 - len(caller.case.row) :]
        if time.perf_counter() - sampled > 0.1:
            sampled = time.perf_counter()
            peak = max(peak, server.memory)
    seconds = time.perf_counter() - started
    done.set()
    asking.join()
    found = {
        "rows": rows,
        "seconds": seconds,
        "bytes": size,
        "us_per_row": seconds / rows * 1e6,
        "page_us_per_row": page / SIZE * 1e3,
        "cpu_us_per_row": (server.seconds - used) / rows * 1e6,
        "page_cpu_us_per_row": page_cpu,
        "memory_growth_mb": (peak - before) / 1e6,
        "page_p99_ms": _quantile(times, 0.99),
    }
    goal = found["us_per_row"] <= found["page_us_per_row"] and found["memory_growth_mb"] < 32 and found["page_p99_ms"] < 20
    say(
        f"  stream of {rows:,} rows: {found['us_per_row']:.1f} us a row (page: {found['page_us_per_row']:.1f}),"
        f" processor {found['cpu_us_per_row']:.1f} ({found['page_cpu_us_per_row']:.1f}),"
        f" +{found['memory_growth_mb']:.1f} MB, pages meanwhile p99 {found['page_p99_ms']:.1f} ms{_mark(goal)}"
    )
    return found


@contextlib.contextmanager
def _writing(store: Store) -> Iterator[Callable[[], float]]:
    """Another process that writes, until the block has what it wants; calling what is given ends it and says its rate."""
    world = store.world
    command = [sys.executable, "-m", "benchmarks.lists.writer", "--url", store.url, "--partner", world.partner]
    command += ["--customer", world.customer, "--rows", str(world.rows), "--rate", str(WRITES_PER_SECOND)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def stop() -> float:
        assert process.stdin is not None
        process.stdin.close()
        assert process.stdout is not None
        return float(process.stdout.read())

    try:
        yield stop
    finally:
        process.terminate()
        process.wait()


def _quantile(values: Sequence[float], which: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * which))]


def _middle(values: Sequence[float]) -> float:
    return _quantile(values, 0.5)


def _mark(reached: bool) -> str:
    return "" if reached else "   <- goal missed"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((client.HOST, 0))
        return int(probe.getsockname()[1])
