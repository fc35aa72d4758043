"""A pull of many invoices from our own server over loopback, beside a bare loop that fetches and parses the same pages.

Why: a pull walks the whole list each time; what it adds to the answers themselves decides how often one can pull.
``python -m benchmarks.pull [--invoices N]``: Acronis's face and client, pages of 500, SQLite on both sides.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from billsmith.accounts.authorisation import CredentialKind
from billsmith.outbound import origins
from billsmith.outbound.session import Limits, Settings
from billsmith.storage import accounts, sync_connections, upgrade
from billsmith.storage.database import Database, sqlite_url
from billsmith.storage.sync_connections import NewConnection
from billsmith.units.ids import derived_id
from billsmith.vendors.acronis import pull as acronis
from billsmith.workflows import sync
from tests.support import mirror
from tests.support.served import Running, serving

PAGE = 500


def measure(count: int) -> dict[str, float]:
    """Invoices a second by the clock and by this process's processor: bare loop, first pull, the same list again."""
    with tempfile.TemporaryDirectory() as folder:
        vendor, ours = Path(folder) / "vendor", Path(folder) / "ours"
        mirror.filled(vendor, count, seed=1, customers=500, currencies=("EUR",))
        client = mirror.key(vendor, CredentialKind.OAUTH_CLIENT)
        ours.mkdir()
        with serving(vendor) as running:
            _timed(lambda: bare(running, client, count))  # the server's list is made ready
            found = {"bare loop": _timed(lambda: bare(running, client, count))}
            database, run = _pulling(ours, running, client)
            found["first pull"] = _timed(lambda: run(count))
            found["same list again"] = _timed(lambda: run(count))
            database.close()
    result: dict[str, float] = {"invoices": count}
    for name, (seconds, processor) in found.items():
        result[f"{name}, invoices/s"] = round(count / seconds)
        result[f"{name}, invoices a second of processor"] = round(count / processor)
    bare_seconds, bare_processor = found["bare loop"]
    for name in ("first pull", "same list again"):
        result[f"{name} : bare loop, time"] = round(found[name][0] / bare_seconds, 2)
        result[f"{name} : bare loop, processor"] = round(found[name][1] / bare_processor, 2)
    return result


def bare(running: Running, credential: tuple[str, str], count: int) -> None:
    """Every page by httpx, parsed by the standard library, and thrown away."""
    with httpx.Client(base_url=running.url, timeout=60, trust_env=False) as client:
        grant = client.post("/api/2/idp/token", data={"grant_type": "client_credentials"}, auth=credential)
        headers = {"Authorization": f"Bearer {grant.json()['access_token']}"}
        seen, page = 0, 1
        while seen < count:
            query = {"Page": str(page), "PageSize": str(PAGE), "SortColumn": "CreationDate", "SortDirection": "Asc"}
            answer = client.get("/api/advanced-automation/v1/InvoiceOverview", params=query, headers=headers)
            seen += len(json.loads(answer.content)["Invoices"])
            page += 1


def _pulling(home: Path, running: Running, credential: tuple[str, str]) -> tuple[Database, Callable[[int], None]]:
    database = Database(sqlite_url(home))
    upgrade.upgrade(database, mirror.NOW)
    options = {"url": running.url, "client_id": credential[0]}
    with database.write() as connection:
        owner = mirror.account(connection, "msp", None)
        new = NewConnection(id=derived_id("connection"), name="acronis", vendor="acronis", options=options)
        made = sync_connections.create(connection, owner, new, mirror.NOW)
    how = Settings(private=frozenset([origins.parse(running.url)[0]]), limits=Limits(per_second=100_000))

    def run(count: int) -> None:
        with database.read() as connection:
            of = sync_connections.get(connection, made.id)
            account = accounts.by_seq(connection, of.account_seq)
        opened = acronis.open_list(database, account, of, credential[1], lambda _new: None, how)
        walk = sync.run(database, of, opened.source, opened.plan, clock=time.time_ns)
        assert (walk.state.value, walk.counts.seen) == ("complete", count), walk

    return database, run


def _timed(work: Callable[[], Any]) -> tuple[float, float]:
    """Seconds by the clock and of this process's processor."""
    before, started = _processor(), time.perf_counter()
    work()
    return time.perf_counter() - started, _processor() - before


def _processor() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pull", description=__doc__)
    parser.add_argument("--invoices", type=int, default=100_000)
    for name, value in measure(parser.parse_args().invoices).items():
        print(f"{name}: {value:,}", flush=True)


if __name__ == "__main__":
    main()
