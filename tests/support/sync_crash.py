"""Pulls that are killed while they walk: run again, the store is as one where nobody was killed.

``python -m tests.support.sync_crash URL OTHER_URL KILLS SEED`` walks a list that changes between rounds, kills each round's pull
several times at a random moment, lets it end, and compares with a second store that was never disturbed.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from select import select as select_ready
from typing import Any

import msgspec
from sqlalchemy import func, select

from billsmith.accounts.model import Account
from billsmith.storage import accounts, schema, schema_sync, upgrade
from billsmith.storage import sync as sync_store
from billsmith.storage.database import Database
from billsmith.storage.sync import Walk
from billsmith.units.ids import derived_id
from billsmith.workflows import sync
from billsmith.workflows.import_invoices import Imported, Plan, RowError
from tests.support import audit
from tests.support.house import NOW
from tests.support.vendor_lists import VendorList, connect, garbage, row

ROOT = Path(__file__).parents[2]
KILLS_A_ROUND = 10
ROWS = 150


class Findings(msgspec.Struct):
    """What was seen. ``faults`` should be empty."""

    seed: int
    kills: int = 0
    resumed: int = 0
    in_the_middle: int = 0
    faults: list[str] = []


def partner(database: Database) -> Account:
    """The account whose invoices are pulled, made once."""
    with database.write() as connection:
        found = accounts.find(connection, "partner")
        return found or accounts.create(
            connection,
            id=derived_id("partner"),
            name="Partner",
            external_id="partner",
            now=NOW,
            currency="EUR",
            time_zone="UTC",
        )


def pull(url: str, rows: list[Imported | RowError], asked: Callable[[int], None] = lambda _index: None) -> Walk:
    """One run over a list; ``asked`` is told of each page."""
    database = Database(url)
    account = partner(database)
    of = connect(database, account, now=NOW)
    source = VendorList(rows, page=15)
    source.fault = asked
    walk = sync.run(database, of, source, Plan(owner=account, issuer=account), clock=lambda: NOW)
    database.close()
    return walk


def lists(seed: int, rounds: int) -> list[list[Imported | RowError]]:
    """A list as it changes: invoices come, are paid, change their amount, become unreadable and mend, go away."""
    chance = random.Random(seed)
    made: list[list[Imported | RowError]] = []
    for round in range(rounds):
        rows: list[Imported | RowError] = []
        for number in range(ROWS + 20 * round):
            choice = chance.random()
            if choice < 0.03 and round:
                continue
            amount = "12.34" if choice > 0.98 and round else "10.00"
            bad = round == 1 and choice > 0.95
            rows.append(garbage(number) if bad else row(number, amount, paid=choice < 0.3 * round))
        made.append(rows)
    return made


def killed_pull(url: str, rows: list[Imported | RowError], chance: random.Random) -> bool:
    """Fork a pull and kill it after a random while; gives whether it was still at work."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reading)
            pull(url, rows, lambda _index: _tell(writing))
        finally:
            os._exit(0)
    os.close(writing)
    if chance.random() < 0.9:  # mostly among the pages, now and then before the first
        select_ready([reading], [], [], 10)
    time.sleep(chance.uniform(0, 0.06))
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    os.close(reading)
    return os.WIFSIGNALED(status)


def _tell(to: int) -> None:
    os.write(to, b".")


def contents(url: str) -> dict[str, list[Any]]:
    """Everything that pulls wrote, without ids drawn by chance and without how often a walk was resumed."""
    database = Database(url)
    left_out = {"sync_walk.id", "sync_walk.resumed", "sync_connection.id", "account.path"}
    tables = [
        schema.account, schema_sync.sync_connection, schema_sync.sync_walk, schema.invoice, schema.invoice_document,
        schema.invoice_history, schema.invoice_tally, schema.pair_tally, schema.invoice_change, schema.vendor_id,
        schema_sync.sync_record, schema_sync.sync_difference, schema_sync.sync_problem, schema_sync.sync_account,
    ]  # fmt: skip
    with database.read() as connection:
        ranks: dict[str, dict[int, int]] = {}
        for table in tables[:4]:
            seqs = connection.execute(select(table.c.seq).order_by(table.c.seq)).scalars()
            ranks[table.name] = {seq: rank for rank, seq in enumerate(seqs)}
        found: dict[str, list[Any]] = {}
        for table in tables:
            columns = [column for column in table.c if f"{table.name}.{column.name}" not in left_out]
            found[table.name] = sorted(
                repr([_ranked(ranks, table.name, column.name, value) for column, value in zip(columns, each, strict=True)])
                for each in connection.execute(select(*columns))
            )
    database.close()
    return found


def _ranked(ranks: dict[str, dict[int, int]], table: str, column: str, value: Any) -> Any:
    """A row's number as its place among its kind: a transaction that was undone leaves gaps on PostgreSQL."""
    if value is None:
        return None
    if column == "seq":
        return ranks[table][value]
    if column in ("first_walk", "last_walk", "disappeared_walk", "watermark_walk", "walk_seq"):
        return ranks["sync_walk"][value]
    if column in ("invoice_seq", "our_seq"):
        return ranks["invoice"][value]
    if column == "connection_seq":
        return ranks["sync_connection"][value]
    return ranks["account"][value] if column.endswith("_seq") else value


def resumed(url: str) -> int:
    """How often a walk went on where a killed one had stopped."""
    database = Database(url)
    with database.read() as connection:
        times = connection.execute(select(func.sum(schema_sync.sync_walk.c.resumed))).scalar_one()
    database.close()
    return int(times)


def kill_many(url: str, other: str, kills: int, seed: int) -> Findings:
    """The whole trial."""
    found = Findings(seed=seed)
    chance = random.Random(seed)
    for each in (url, other):
        database = Database(each)
        upgrade.upgrade(database, NOW)
        database.close()
    for round, rows in enumerate(lists(seed, -(-kills // KILLS_A_ROUND))):
        for _ in range(min(KILLS_A_ROUND, kills - found.kills)):
            found.in_the_middle += killed_pull(url, rows, chance)
            found.kills += 1
        pull(url, rows)
        pull(other, rows)
        database = Database(url)
        found.faults += audit.faults(database)
        database.close()
        # A pull that was killed after its end runs once more and finds nothing to do: so does the other.
        ours, theirs = contents(url), contents(other)
        while len(theirs["sync_walk"]) < len(ours["sync_walk"]):
            pull(other, rows)
            theirs = contents(other)
        found.resumed = resumed(url)
        found.faults += [f"round {round}: {name} differs" for name in ours if ours[name] != theirs[name]]
    return found


def marks_before_rows() -> None:
    """The negative control: the mark is kept before what it stands for, in a transaction of its own."""
    take = sync._Pull.take

    def broken(self: Any, piece: Any, since: Any) -> int:
        with self.database.write() as connection:
            sync_store.save_progress(
                connection, self.walk, counts=self.counts, mark=piece.mark, stated_total=piece.stated_total
            )
        time.sleep(0.005)
        return take(self, piece, since)

    sync._Pull.take = broken  # type: ignore[method-assign]


def nursery(url: str, other: str, kills: int, seed: int, how: str = "as it is") -> Findings:
    """Run the trial in a process of its own, of one thread."""
    environment = {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "PATH": os.environ.get("PATH", "/usr/bin:/bin")}
    command = [sys.executable, "-m", "tests.support.sync_crash", url, other, str(kills), str(seed), how]
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=False)
    assert ran.returncode == 0, ran.stderr.decode()[-3000:]
    return msgspec.json.decode(ran.stdout, type=Findings)


if __name__ == "__main__":
    where, elsewhere, count, seed, how = sys.argv[1:]
    if how == "marks before rows":
        marks_before_rows()
    sys.stdout.buffer.write(msgspec.json.encode(kill_many(where, elsewhere, int(count), int(seed))))
