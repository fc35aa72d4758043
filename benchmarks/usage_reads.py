"""What a usage store answers, and how soon: beside ClickHouse in process (chdb), sorted by customer, on the same rows.

Why: invoices, limits and charts ask all the time. An answer about one account must not depend on how many others there are, and
a billing run must not read every event again. ``python -m benchmarks.usage_reads [--events N] [--folder DIR]``; events as in
``benchmarks.usage`` (30 meters, 10,000 accounts by a power law, 3 dimensions). A folder that holds a store is asked as it is.

Questions: one account's month of 30 meters; its daily series of one meter; the input of a billing run (all accounts, all
meters, by region; the same by hour). Each from rows and from roll-ups, cold (a new process, files out of the page cache) and
warm, alone and while batches of 1,000 come in. Ours are counted until every exact quantity is a value in Python; chdb's until
its text is there (``chdb``), and until that is read into exact numbers (``chdb, read``).
"""

from __future__ import annotations

import argparse
import csv
import io
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.usage import ACCOUNTS, START, batches
from billsmith.metering.measure import Grain
from billsmith.metering.meter import Meter
from billsmith.units.instants import DAY
from billsmith.units.periods import Period
from billsmith.usage.duckdb import file
from billsmith.usage.duckdb.engine import DuckDBStore
from billsmith.usage.store import Binding, Query

MONTH = Period(START, START + 30 * DAY)
ZONE = "Europe/Amsterdam"
METERS = tuple(Meter(code=f"m{number}", event_type=f"meter-{number}", group_by=("region",)) for number in range(30))
#: Accounts by rank: the power law gives the first a third of all events, the last a handful.
ASKED = ("c3", "c30", "c300", "c3000")
ROUNDS = 15

_ALL = Query(meters=METERS, periods=(MONTH,))
QUESTIONS: dict[str, list[Query]] = {
    "month": [Query(meters=METERS, periods=(MONTH,), accounts=(account,)) for account in ASKED],
    "days": [Query(meters=METERS[7:8], periods=(MONTH,), accounts=(account,), grain=Grain.DAY, zone=ZONE) for account in ASKED],
    "billing": [_ALL],
    "billing by hour": [msgspec.structs.replace(_ALL, grain=Grain.HOUR)],
}


def _clickhouse(account: str, by: str, more: str = "") -> str:
    whose = f" AND account = '{account}'" if account else ""
    where = f"time >= {MONTH.start} AND time < {MONTH.end}{whose}{more}"
    return f"SELECT {by}, count(), sum(value) FROM events WHERE {where} GROUP BY {by} ORDER BY {by}"


_HOUR = "intDiv(time, 3600000000000)"
_DAY = f"toStartOfDay(fromUnixTimestamp64Nano(time, '{ZONE}'))"
CLICKHOUSE: dict[str, list[str]] = {
    "month": [_clickhouse(account, "type, region") for account in ASKED],
    "days": [_clickhouse(account, f"region, {_DAY}", " AND type = 'meter-7'") for account in ASKED],
    "billing": [_clickhouse("", "type, account, region")],
    "billing by hour": [_clickhouse("", f"type, account, region, {_HOUR}")],
}


def fill(folder: Path, count: int) -> None:
    store = DuckDBStore(folder)
    store.bind([Binding("o", f"c{number}", f"c{number}") for number in range(1, ACCOUNTS + 1)])
    for batch in batches(count, 10_000):
        store.ingest(batch)
    store.catch_up()
    store.close()


def fill_clickhouse(folder: Path) -> None:
    """The same rows, deduplicated as ours are, in a table sorted by customer."""
    parquet = folder / "rows.parquet"
    connection = file.connect(folder / file.FILE, 1024**3)
    connection.execute(
        f"""COPY (SELECT b.account, type, time, (high::DECIMAL(38, 0) * 1000000000000000000 + low) AS whole, id,
        json_extract_string(dims, '/region') AS region, json_extract_string(dims, '/plan') AS plan,
        json_extract_string(dims, '/size') AS size FROM events JOIN bindings b USING (subject)) TO '{parquet}'"""
    )
    connection.close()
    session = _session(folder)
    text = "LowCardinality(String)"
    session.query(
        f"CREATE TABLE events (account String, type {text}, time Int64, value Decimal(38, 12), id String, region {text},"
        f" plan {text}, size {text}) ENGINE = MergeTree ORDER BY (account, type, time)"
    )
    session.query(
        "INSERT INTO events SELECT account, type, time, toDecimal128(whole, 0) / toDecimal128(1000000000000, 0), id, region,"
        f" plan, size FROM file('{parquet}', Parquet)"
    )
    session.query("OPTIMIZE TABLE events FINAL")
    session.close()
    parquet.unlink()


def _session(folder: Path) -> Any:
    from chdb.session import Session

    session = Session(str(folder / "clickhouse"))
    session.query("CREATE DATABASE IF NOT EXISTS bench")
    session.query("USE bench")
    return session


def _timed(asks: Iterable[Callable[[], int]]) -> list[tuple[float, int]]:
    """Seconds and rows of each."""
    found = []
    for ask in asks:
        began = time.perf_counter()
        rows = ask()
        found.append((time.perf_counter() - began, rows))
    return found


def _ours(store: DuckDBStore, query: Query) -> int:
    return sum(len(measured.quantities) for measured in store.measure(query))


def _theirs(session: Any, sql: str, read: bool) -> int:
    text = session.query(sql, "CSV").data()
    if not read:
        return int(text.count("\n"))
    rows = [(*row[:-2], int(row[-2]), Decimal(row[-1])) for row in csv.reader(io.StringIO(text))]
    return len(rows)


def ask(folder: Path, engine: str, question: str, rounds: int) -> None:
    """In a process of its own: each way of the question ``rounds`` times; the first time, and the middle one."""
    if engine == "rows" or engine == "roll-ups":
        store = DuckDBStore(folder)
        asks = [lambda query=query: _ours(store, query) for query in QUESTIONS[question]]
    else:
        session = _session(folder)
        asks = [lambda sql=sql: _theirs(session, sql, engine == "chdb, read") for sql in CLICKHOUSE[question]]
    times = [_timed(asks) for _ in range(rounds)]
    for first, *later in zip(*times, strict=True):
        warm = sorted(seconds for seconds, _ in later or [first])
        print(f"{first[0] * 1000:.1f},{warm[len(warm) // 2] * 1000:.1f},{first[1]}", flush=True)


def _forget(folder: Path) -> None:
    """Take files out of the page cache."""
    os.sync()
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as opened:
                os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _report(folder: Path, engine: str, question: str) -> None:
    _forget(folder)
    rounds = 3 if question.startswith("billing") else ROUNDS
    command = [
        sys.executable,
        "-m",
        "benchmarks.usage_reads",
        "--folder",
        str(folder),
        "--ask",
        f"{engine}|{question}|{rounds}",
    ]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    who = ASKED if len(lines) > 1 else ("all",)
    told = [
        f"{name} {cold} / {warm} ({rows})" for name, (cold, warm, rows) in zip(who, (x.split(",") for x in lines), strict=True)
    ]
    print(f"  {question:<16} {engine:<11} cold / warm ms (rows): {'; '.join(told)}", flush=True)


def under_ingest(folder: Path, count: int) -> None:
    """Warm questions from roll-ups while batches of 1,000 come in."""
    store, stop = DuckDBStore(folder), threading.Event()
    sent = 0

    def send() -> None:
        nonlocal sent
        for batch in batches(count, 1_000, seed=7):
            if stop.is_set():
                return
            store.ingest(batch)
            sent += len(batch)

    sender = threading.Thread(target=send)
    sender.start()
    for question, queries in QUESTIONS.items():
        began, before = time.perf_counter(), sent
        times = [_timed([lambda query=query: _ours(store, query) for query in queries]) for _ in range(3)]
        speed = (sent - before) / (time.perf_counter() - began)
        told = "; ".join(f"{sorted(row[place][0] for row in times)[1] * 1000:.1f}" for place in range(len(queries)))
        print(f"  {question:<16} under ingest ({speed:,.0f} events/s) ms: {told}", flush=True)
    stop.set()
    sender.join()
    store.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--ask", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.ask:
        engine, question, rounds = options.ask.split("|")
        ask(options.folder, engine, question, int(rounds))
        return
    folder = options.folder or Path(tempfile.mkdtemp(prefix="usage-reads-"))
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / file.FILE).exists():
        began = time.perf_counter()
        fill(folder, options.events)
        print(f"{options.events:,} events in {time.perf_counter() - began:.0f} s", flush=True)
    engines = []
    try:
        if not (folder / "clickhouse").exists():
            fill_clickhouse(folder)
        engines = ["chdb", "chdb, read"]
    except ImportError:
        print("chdb isn't installed (the extra [bench]): ours alone")
    for meters, engine in (((), "rows"), (METERS, "roll-ups")):
        store = DuckDBStore(folder)
        began = time.perf_counter()
        store.keep(meters)
        store.catch_up()
        print(f"roll-ups of {len(meters)} meters: {time.perf_counter() - began:.1f} s; {store.health().notes}", flush=True)
        store.close()
        for question in QUESTIONS:
            _report(folder, engine, question)
    for question in QUESTIONS:
        for engine in engines:
            _report(folder, engine, question)
    under_ingest(folder, options.events)


if __name__ == "__main__":
    main()
