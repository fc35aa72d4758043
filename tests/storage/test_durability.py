"""What was acknowledged is there (promise P1): after kill -9 at any moment, after a crash of the database, after power loss."""

from __future__ import annotations

import os
import random
import signal
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from billsmith.accounts.authorisation import CredentialKind, Scope
from billsmith.storage.database import Database, sqlite_url
from billsmith.workflows.settle import record_payment
from tests.support import audit, crash, postgres, served
from tests.support.house import House
from tests.support.tamper import unprotected

KILLS = 60
LOSSES = 12


def fresh_seed() -> int:
    """Another one each run; a failure prints it."""
    return random.SystemRandom().randrange(2**32)


@pytest.mark.parametrize("seed", [20261031, fresh_seed()], ids=["fixed", "fresh"])
def test_kill_at_any_moment_on_sqlite(tmp_path: Path, seed: int) -> None:
    found = crash.nursery("kill", sqlite_url(tmp_path), str(KILLS // 2), str(seed), "40")
    assert (found.lost, found.faults) == ([], []), found
    assert found.kills == KILLS // 2
    assert found.acknowledged > KILLS


def test_kill_at_any_moment_on_postgresql() -> None:
    url = postgres.fresh_database()
    try:
        found = crash.nursery("kill", url, "8", str(fresh_seed()), "120")
        assert (found.lost, found.faults) == ([], []), found
        assert found.acknowledged > 8
    finally:
        postgres.drop_database(url)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that the server's user may enter: pytest closes its own to others whenever a run of it begins."""
    with tempfile.TemporaryDirectory(prefix="billsmith-pg-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def test_the_database_server_crashes(open_folder: Path) -> None:
    """PostgreSQL stopped at once, as ``pg_ctl -m immediate`` does, while a writer writes; then started again."""
    server = postgres.another_server(open_folder / "pg")
    try:
        url = str(server.get_uri()).replace("postgresql://", "postgresql+psycopg://")
        prepared = Database(url)
        crash.prepare(prepared)
        prepared.close()
        for round in range(3):
            database = Database(url)
            acknowledged: list[str] = []
            stop_at = time.monotonic() + 0.25

            def acknowledge(entry: str, to: list[str] = acknowledged, until: float = stop_at) -> None:
                to.append(entry)
                if time.monotonic() > until and len(to) > 5:
                    os.kill(server.get_pid(), signal.SIGQUIT)

            with pytest.raises(Exception, match=r"."):
                crash.write_for_ever(database, f"pg/{round}", acknowledge)
            database.close()
            server.get_postmaster_info().process.wait(10)
            server.ensure_postgres_running()
            after = Database(url)
            assert audit.missing(after, acknowledged) == []
            assert audit.faults(after) == []
            after.close()
            assert len(acknowledged) > 5
    finally:
        server.cleanup()


def test_an_answer_over_http_is_durable(tmp_path: Path) -> None:
    """An invoice, or a token, that was answered for is there after the server was killed: the commit came before the answer."""
    database = Database(sqlite_url(tmp_path))
    house = House(database)
    account = house.account("Partner", external_id="partner")
    client = house.key(account, CredentialKind.OAUTH_CLIENT)
    _, key = house.key(account, CredentialKind.API_KEY, scopes=list(Scope))
    database.close()
    made: list[str] = []
    tokens: list[str] = []
    body = {"recipient": "partner", "lines": [{"description": "x", "amount": "12.34"}]}
    chance = random.Random(7)
    for _ in range(3):
        running = served.start(tmp_path, tokens_per_minute=100_000)
        try:
            stop_at, before = time.monotonic() + chance.uniform(0.1, 0.3), len(made)
            with requests.Session() as session:
                session.trust_env = False
                while time.monotonic() < stop_at or len(made) < before + 2:
                    answer = session.post(f"{running.url}/v1/invoices", json=body, headers={"Authorization": f"Bearer {key}"})
                    made.append(f"invoice {answer.json()['id']}")
                    answer = session.post(
                        f"{running.url}/api/2/idp/token", data={"grant_type": "client_credentials"}, auth=client, timeout=5
                    )
                    tokens.append(answer.json()["access_token"])
        finally:
            running.kill()
    assert len(made) > 3
    after = Database(sqlite_url(tmp_path))
    assert (audit.missing(after, made), audit.faults(after)) == ([], [])
    after.close()
    with served.serving(tmp_path) as running, requests.Session() as session:
        session.trust_env = False
        for token in tokens:
            answer = session.get(
                f"{running.url}/api/advanced-automation/v1/InvoiceOverview", headers={"Authorization": f"Bearer {token}"}
            )
            assert answer.status_code == 200
            assert answer.json()["Paging"]["AmountTotalItems"] == len(made)


def lose_power(tmp_path: Path, synchronous: str, seed: int) -> crash.Findings:
    if crash.compiler() is None:
        warnings.warn("no C compiler: power loss was NOT tested here", stacklevel=2)
        pytest.skip("NO C COMPILER (cc, gcc or clang): power loss was not tested")
    return crash.nursery("lose", str(tmp_path), str(LOSSES), str(seed), synchronous, lose_power_in=tmp_path)


@pytest.mark.parametrize("seed", [1, fresh_seed()], ids=["fixed", "fresh"])
def test_power_loss_takes_nothing_that_was_acknowledged(tmp_path: Path, seed: int) -> None:
    found = lose_power(tmp_path, "FULL", seed)
    assert (found.lost, found.faults) == ([], []), found
    assert (found.kills, found.acknowledged > LOSSES) == (LOSSES, True)


@pytest.mark.parametrize("synchronous", ["NORMAL", "OFF"])
def test_with_less_syncing_power_loss_takes_some(tmp_path: Path, synchronous: str) -> None:
    """The negative control: the same check, with the protection lowered, sees the loss."""
    found = lose_power(tmp_path, synchronous, seed=1)
    assert len(found.lost) > found.acknowledged // 4, found


DAMAGE = [
    "DELETE FROM invoice_document WHERE invoice_seq = 1",
    "DELETE FROM payment",
    "UPDATE invoice SET paid_minor = 7",
    "UPDATE invoice SET total_minor = total_minor + 1 WHERE seq = 1",
    "UPDATE invoice SET flags = 4 WHERE seq = 1",
    "UPDATE invoice_tally SET count = count + 1",
    "UPDATE batch_tally SET count = count - 1",
    "DELETE FROM batch_tally",
    "UPDATE invoice SET number = 'INV-2026-000009' WHERE seq = 1",
    "UPDATE invoice SET number = 'INV-2026-000002' WHERE seq = 1",
    "UPDATE number_series SET last = last + 1",
    "DELETE FROM invoice_change WHERE version = 1",
]


@pytest.mark.parametrize("damage", DAMAGE)
def test_the_auditor_can_see(sqlite_house: House, damage: str) -> None:
    """The auditor's own control: each of these is what half a transaction would leave."""
    database = sqlite_house.database
    issuer, customer = crash.prepare(database)
    found = [sqlite_house.invoice(issuer, customer, "10.00") for _ in range(2)]
    with database.write() as connection:
        record_payment(connection, found[1], amount_minor=1000, reference="r", now=sqlite_house.now, actor="test")
    there = [f"invoice {found[0].invoice.id}", f"payment {found[1].invoice.id} r"]
    assert (audit.faults(database), audit.missing(database, there)) == ([], [])
    assert audit.missing(database, [f"invoice {'9' * 32}", f"payment {found[0].invoice.id} r"]) != []
    with unprotected(database) as connection:
        connection.exec_driver_sql(damage)
    assert audit.faults(database) != []
