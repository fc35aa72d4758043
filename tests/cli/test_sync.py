"""Pulls on the command line: connections, secrets that are never shown, runs, and what comes after them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from billsmith.accounts.model import Account
from billsmith.invoicing.model import Line
from billsmith.server import sources
from billsmith.storage import sync_connections
from billsmith.storage.database import Database, sqlite_url
from billsmith.storage.sync_connections import VendorConnection
from billsmith.units.errors import Unavailable
from billsmith.workflows.import_invoices import Plan
from billsmith.workflows.sealing import new_key
from billsmith.workflows.sync_source import Opened
from tests.cli.run import Program
from tests.support.vendor_lists import VendorList, garbage, row

SECRET = "correct horse battery staple"


class Vendor:
    """A vendor's list behind the opener that its folder would give."""

    def __init__(self) -> None:
        self.list = VendorList([row(number, customer="a") for number in range(12)])
        self.secrets: list[str] = []

    def __call__(
        self, database: Database, account: Account, of: VendorConnection, secret: str, keep: Callable[[str], None]
    ) -> Opened:
        self.secrets.append(secret)
        return Opened(source=self.list, plan=Plan(owner=account, issuer=account, actor="sync"))


@pytest.fixture
def vendor(monkeypatch: pytest.MonkeyPatch) -> Vendor:
    made = Vendor()
    monkeypatch.setattr(sources, "OPENERS", {"acronis": made})
    return made


@pytest.fixture
def shop(program: Program, monkeypatch: pytest.MonkeyPatch) -> Program:
    program.json("accounts", "create", "Partner", "--external-id", "me", "--currency", "EUR", "--timezone", "UTC")
    monkeypatch.setenv("BILLSMITH_SECRET_KEY", new_key())
    monkeypatch.setenv("CLOUD_SECRET", SECRET)
    return program


def add(program: Program, *more: str) -> Any:
    arguments = [
        "--datacenter-url",
        "https://cloud.example",
        "--client-id",
        "c",
        "--account",
        "me",
        "--secret-env",
        "CLOUD_SECRET",
    ]
    return program("sync", "add", "acronis", *arguments, *more, "--json")


def test_from_a_connection_to_a_clean_reconciliation(shop: Program, vendor: Vendor) -> None:
    made = add(shop)
    assert (made.code, made.json["name"], made.json["secret"]) == (0, "acronis", "stored")
    assert shop("reconcile").code == 1  # never pulled
    ran = shop("sync", "run", "--json")
    assert ran.code == 0
    [walk] = ran.json
    assert (walk["connection"], walk["state"], walk["added"]) == ("acronis", "complete", 12)
    assert vendor.secrets == [SECRET]
    found = shop("reconcile", "acronis", "--json")
    assert (found.code, found.json["verdict"]) == (0, "clean")
    assert found.json["connections"][0]["matched"] == 12
    assert [each["name"] for each in found.json["unmatched_customers"]] == ["Customer a"]
    assert shop.json("sync", "list")[0]["records"] == 12
    assert shop.json("sync", "status", "acronis")[0]["state"] == "complete"
    assert shop.json("sync", "problems") == []
    assert "nothing was pulled" not in shop("sync", "status").out


def test_a_run_that_is_not_whole_ends_with_one(shop: Program, vendor: Vendor) -> None:
    add(shop)
    vendor.list.rows.append(garbage(99))
    ran = shop("sync", "run")
    assert ran.code == 1
    assert "could not be understood" in ran.err
    [problem] = shop.json("sync", "problems")
    assert (problem["code"], problem["path"]) == ("input.invalid", "page 2: rows[99]")
    found = shop("reconcile", "--json")
    assert (found.code, found.json["verdict"]) == (1, "differences")
    assert found.json["connections"][0]["coverage"].startswith("partial: ")
    since = shop("sync", "run", "acronis", "--since", "2026-01-05", "--json")
    assert (since.code, since.json[0]["code"]) == (0, "sync.since")


def test_an_empty_list_is_never_clean(shop: Program, vendor: Vendor) -> None:
    add(shop)
    vendor.list.rows.clear()
    assert shop("sync", "run").code == 0
    found = shop("reconcile", "--json")
    assert (found.code, found.json["verdict"]) == (1, "not_audited")


def test_a_vendor_that_fails_is_told(shop: Program, vendor: Vendor) -> None:
    add(shop)

    def down(_index: int) -> None:
        raise Unavailable("the vendor answers 503", code="outbound.unavailable")

    vendor.list.fault = down
    ran = shop("sync", "run", "--json")
    assert (ran.code, ran.json[0]["state"], ran.json[0]["reason"]) == (1, "failed", "the vendor answers 503")


def test_due_runs_only_what_is_due(shop: Program, vendor: Vendor) -> None:
    add(shop)
    add(shop, "--name", "hourly", "--every", "60")
    assert [each["connection"] for each in shop.json("sync", "run", "--due")] == ["hourly"]
    assert shop.json("sync", "run", "--due") == []
    assert shop("sync", "run", "--due", "--since", "2026-01-01").code == 2


def test_a_secret_is_stored_sealed_and_shown_nowhere(shop: Program, vendor: Vendor, tmp_path: Path) -> None:
    add(shop)
    shop("sync", "run")
    said = "".join(shop(*words).out for words in (["sync", "list"], ["sync", "list", "--json"], ["sync", "status"]))
    assert SECRET not in said
    stored = b"".join(file.read_bytes() for file in shop.home.rglob("*") if file.is_file())
    assert b"cloud.example" in stored  # the check can see what is stored
    assert SECRET.encode() not in stored


def test_without_a_key_storing_is_refused(shop: Program, vendor: Vendor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BILLSMITH_SECRET_KEY")
    refused = add(shop)
    assert (refused.code, refused.json["error"]["code"]) == (75, "secret.no_key")
    assert "BILLSMITH_SECRET_KEY" in refused.json["error"]["message"]
    assert shop.json("sync", "list") == []
    assert add(shop, "--by-reference").json["secret"] == "env:CLOUD_SECRET"
    assert shop("sync", "run").code == 0
    assert vendor.secrets == [SECRET]


def test_a_key_is_changed(shop: Program, vendor: Vendor, monkeypatch: pytest.MonkeyPatch) -> None:
    add(shop)
    old, new = os.environ["BILLSMITH_SECRET_KEY"], shop("sync", "new-key", "--ids").out.strip()
    monkeypatch.setenv("BILLSMITH_SECRET_KEY", new)
    assert shop.json("sync", "run", "--due") == []
    failed = shop("sync", "run", "--json")
    assert (failed.code, failed.json[0]["code"]) == (1, "secret.no_key")
    monkeypatch.setenv("BILLSMITH_SECRET_KEY", f"{new},{old}")
    assert shop.json("sync", "rekey")["rekeyed"] == 1
    monkeypatch.setenv("BILLSMITH_SECRET_KEY", new)
    assert shop("sync", "run").code == 0
    assert shop.json("sync", "rekey")["rekeyed"] == 0


@pytest.mark.parametrize(
    ("more", "code"),
    [
        (["--secret-file", "x"], "secret.from"),
        (["--every", "1"], "sync.every"),
        (["--currency", "EURO"], "currency.unknown"),
    ],
)
def test_what_cant_be_connected(shop: Program, vendor: Vendor, more: list[str], code: str) -> None:
    ran = add(shop, *more)
    assert ran.code != 0
    assert ran.json["error"]["code"] == code


def test_a_secret_is_renewed_and_what_was_pulled_stays(shop: Program, vendor: Vendor, monkeypatch: pytest.MonkeyPatch) -> None:
    add(shop)
    shop("sync", "run")
    monkeypatch.setenv("CLOUD_SECRET", "another")
    renewed = shop.json("sync", "secret", "acronis", "--secret-env", "CLOUD_SECRET")
    assert (renewed["name"], renewed["secret"], renewed["records"]) == ("acronis", "stored", 12)
    assert shop.json("sync", "run")[0]["unchanged"] == 12
    assert vendor.secrets == [SECRET, "another"]
    assert (
        shop.json("sync", "secret", "acronis", "--secret-env", "CLOUD_SECRET", "--by-reference")["secret"] == "env:CLOUD_SECRET"
    )
    assert shop("sync", "secret", "acronis", "--json").json["error"]["code"] == "secret.from"
    assert shop("sync", "secret", "nobody", "--secret-env", "CLOUD_SECRET").code == 3


def test_a_refresh_token_is_never_read_by_reference(shop: Program) -> None:
    words = ["--url", "https://api.example", "--client-id", "c", "--account", "me", "--secret-env", "CLOUD_SECRET"]
    refused = shop("sync", "add", "myreports", *words, "--refresh-token", "--by-reference", "--json")
    assert (refused.code, refused.json["error"]["code"]) == (2, "sync.refresh_by_reference")
    shop.json("sync", "add", "myreports", *words, "--refresh-token")
    again = shop("sync", "secret", "myreports", "--secret-env", "CLOUD_SECRET", "--by-reference", "--json")
    assert again.json["error"]["code"] == "sync.refresh_by_reference"


def test_one_that_is_at_work_keeps_no_other_waiting(shop: Program, vendor: Vendor) -> None:
    add(shop)
    add(shop, "--name", "busy")
    database = Database(sqlite_url(shop.home))
    with database.write() as connection:
        of = sync_connections.get(connection, "busy")
        sync_connections.take_lease(connection, of, "another:1:x", time.time_ns())
    database.close()
    ran = shop("sync", "run", "--json")
    assert (ran.code, [each["connection"] for each in ran.json]) == (1, ["acronis"])
    assert "another run of 'busy' is at work" in ran.err
    assert shop("sync", "run", "busy", "--json").json["error"]["code"] == "sync.at_work"


def test_a_name_is_taken_once(shop: Program, vendor: Vendor) -> None:
    add(shop)
    assert add(shop).json["error"]["code"] == "sync.name_taken"
    assert shop("sync", "remove", "acronis").code == 0
    assert add(shop).code == 0
    assert shop("sync", "remove", "nobody").code == 3


def test_duplicates_across_connections_are_told(shop: Program, vendor: Vendor) -> None:
    add(shop)
    add(shop, "--name", "again")
    shop("sync", "run")
    found = shop("reconcile", "--json")
    assert found.code == 1
    assert len(found.json["duplicates"]) == 12
    assert found.json["duplicates"][0]["connections"] == ["acronis", "again"]


LINES = (Line(description="Backup", amount_minor=600), Line(description="Support", amount_minor=400))


def test_shadow_and_rebill(shop: Program, vendor: Vendor, tmp_path: Path) -> None:
    vendor.list.rows = [row(1, "10.00", customer="a", lines=LINES), row(2, "10.00", customer="b")]
    add(shop)
    shop("sync", "run")
    rules = tmp_path / "resale.yaml"
    rules.write_text("{code: resale, rules: [{code: all, sources: [acronis], price: {model: dynamic}}]}")
    words = ["--period", "2026-01", "--account", "me"]
    preview = shop.json("rebill", str(rules), *words, "--dry-run")
    assert (preview["lines_charged"], preview["invoices"]) == (3, [])
    assert shop("shadow", *words, "--against", "acronis").code == 1  # nothing of ours yet
    assert shop.json("rebill", str(rules), *words)["totals"] == [
        {"customer": "cust-a", "currency": "EUR", "amount": "10.00"},
        {"customer": "cust-b", "currency": "EUR", "amount": "10.00"},
    ]
    assert shop.json("rebill", str(rules), *words)["lines_charged"] == 0
    for against in ("acronis", "Acronis.csv"):
        csv = tmp_path / against
        csv.write_text("account,currency,line,amount\ncust-a,EUR,backup,6.00\ncust-a,EUR,Support,4.00\ncust-b,EUR,,10.00\n")
        where = str(csv) if against.endswith("csv") else against
        same = shop("shadow", *words, "--against", where, "--all", "--json")
        assert same.code == 0, same.err
        assert {(each["account"], each["line"], each["state"]) for each in same.json} == {
            ("cust-a", "total", "matched"),
            ("cust-a", "backup", "matched"),
            ("cust-a", "support", "matched"),
            ("cust-b", "total", "matched"),
        }
    off = tmp_path / "off.csv"
    off.write_text("account,currency,line,amount\ncust-a,EUR,backup,6.05\ncust-a,EUR,Support,4.00\n=1+1,EUR,,1.00\n")
    apart = shop("shadow", *words, "--against", str(off), "--json")
    assert apart.code == 1
    assert {(each["account"], each["line"]): (each["state"], each["difference"]) for each in apart.json} == {
        ("cust-a", "total"): ("differs", "-0.05"),
        ("cust-a", "backup"): ("differs", "-0.05"),
        ("cust-a", "support"): ("matched", "0.00"),
        ("cust-b", "total"): ("missing", "10.00"),
        ("=1+1", "total"): ("missing", "-1.00"),
    }
    assert "'=1+1" in shop("shadow", *words, "--against", str(off), "--csv").out  # no cell is a formula
    off.write_text("account,currency,line,amount\ncust-a,EUR,backup,6.05\ncust-a,EUR,Support,4.00\ncust-b,EUR,,10.00\n")
    assert shop("shadow", *words, "--against", str(off), "--threshold", "0.05").code == 0
    assert shop("shadow", *words, "--against", str(off), "--threshold", "0.04").code == 1
    off.write_text("account,currency,amount\n")
    assert shop("shadow", *words, "--against", str(off)).code == 1


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("account,amount\na,1\n", "shadow.header"),
        ("account,currency,amount\na,EUR,one\n", "number.syntax"),
        ("account,currency,amount\na,EURO,1\n", "currency.unknown"),
        ("account,currency,amount\n,EUR,1\n", "shadow.row"),
        ("account,currency,amount\na,EUR,1,2\n", "shadow.row"),
        ('account,currency,amount\na,EUR,"1\n', "shadow.csv"),
    ],
)
def test_a_csv_that_cant_be_read(shop: Program, tmp_path: Path, text: str, code: str) -> None:
    file = tmp_path / "bad.csv"
    file.write_text(text)
    ran = shop("shadow", "--period", "2026-01", "--account", "me", "--against", str(file), "--json")
    assert (ran.code, ran.json["error"]["code"]) == (2, code)
