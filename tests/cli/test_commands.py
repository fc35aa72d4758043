"""The commands: what each does, in every form of output, on both engines where the database matters."""

from __future__ import annotations

import csv
import io
import json
import os
import stat
from pathlib import Path

import pytest

from billsmith import __version__
from billsmith.cli import demo_world, imports
from tests.cli.run import Program, in_process

ACRONIS = Path(__file__).parents[1] / "cases" / "acronis" / "invoice-overview.json"
ROOT = ("accounts", "create", "Root", "--external-id", "root", "--currency", "EUR", "--timezone", "Europe/Amsterdam")
UNKNOWN = "11111111-2222-3333-4444-555555555555"


def stocked(program: Program) -> None:
    """A root, its partner, and the three invoices of Acronis's tutorial."""
    program.json(*ROOT)
    program.json("accounts", "create", "Partner", "--parent", "root", "--external-id", "partner")
    program.json("import", "acronis", str(ACRONIS), "--account", "partner")


def test_init_makes_a_store_beside_other_files_and_changes_nothing_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "a" / "home"
    home.mkdir(parents=True)
    (home / "notes.txt").write_text("mine")
    program = Program(home, "", monkeypatch)
    first = program.json("init")
    assert (first["did"], first["form_before"], first["form"]) == ("created", None, "0001")
    assert program.json("init")["did"] == "unchanged"
    assert (home / "notes.txt").read_text() == "mine"


def test_a_folder_that_init_makes_is_its_owners_alone(program: Program) -> None:
    assert stat.S_IMODE(program.home.stat().st_mode) == 0o700


@pytest.mark.parametrize("command", [
    ("accounts", "list"), ("keys", "list"), ("invoices", "list"), ("verify",), ("serve",), ("backup", "x"),
    ("import", "acronis", "x", "--account", "a"),
])  # fmt: skip
def test_without_a_store_every_command_says_what_to_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    ran = Program(tmp_path / "nothing", "", monkeypatch)(*command)
    assert ran.code == 78
    assert "billsmith init" in ran.err
    assert ran.out == ""
    assert not (tmp_path / "nothing").exists()


def test_accounts_are_made_listed_changed_and_closed(either: Program) -> None:
    root = either.json(*ROOT, "--id", UNKNOWN, "--tax-id", "NL1", "--tax-id", "NL2", "--country", "NL")
    assert (root["id"], root["parent"], root["tax_ids"], root["currency"]) == (UNKNOWN, None, ["NL1", "NL2"], "EUR")
    child = either.json("accounts", "create", "Child", "--parent", "root", "--external-id", "c", "--currency", "USD")
    assert (child["parent"], child["currency"], child["time_zone"]) == (UNKNOWN, "USD", "Europe/Amsterdam")
    assert [row["name"] for row in either.json("accounts", "list")] == ["Root", "Child"]
    assert [row["name"] for row in either.json("accounts", "list", "--below", "c")] == ["Child"]
    assert either.json("accounts", "show", UNKNOWN) == root
    changed = either.json("accounts", "update", "c", "--name", "Kid", "--email", "kid@a.example", "--status", "suspended")
    assert (changed["name"], changed["email"], changed["status"], changed["id"]) == (
        "Kid", "kid@a.example", "suspended", child["id"],
    )  # fmt: skip
    assert either.json("accounts", "close", "c")["status"] == "closed"
    assert either("keys", "create", "c", "--kind", "api-key").code == 4


def test_an_external_id_that_several_accounts_have_is_an_error(program: Program) -> None:
    program.json(*ROOT)
    for parent in ("a", "b"):
        program.json("accounts", "create", parent, "--parent", "root", "--external-id", parent)
        program.json("accounts", "create", "twin", "--parent", parent, "--external-id", "twin")
    ran = program("accounts", "show", "twin", "--json")
    assert ran.code == 2
    assert ran.json["error"]["code"] == "account.ambiguous"
    assert "UUID" in ran.err


@pytest.mark.parametrize("kind", ["oauth-client", "basic", "api-key"])
def test_a_key_shows_its_secret_once_and_never_again(either: Program, kind: str) -> None:
    root = either.json(*ROOT)
    made = either.json("keys", "create", "root", "--kind", kind, "--expires", "2099-01-01", "--label", "for tests")
    assert list(made) == ["id", "secret", "kind", "account", "expires"]
    assert (made["kind"], made["account"], made["expires"]) == (kind, root["id"], "2098-12-31T23:00:00Z")
    listed = either("keys", "list", "--json")
    assert [(row["id"], row["scopes"], row["state"]) for row in listed.json] == [(made["id"], ["invoices:read"], "open")]
    rotated = either.json("keys", "rotate", made["id"], "--overlap", "0")
    assert (rotated["id"], list(rotated)) == (made["id"], list(made))
    assert rotated["secret"] != made["secret"]
    assert either.json("keys", "revoke", made["id"])["state"] == "revoked"
    said = listed.out + listed.err + either("keys", "list").out + either("keys", "list", "--csv").out
    assert made["secret"] not in said
    assert "hash" not in said


def test_a_users_password_is_read_and_not_shown(program: Program) -> None:
    program.json(*ROOT)
    ran = program(
        "keys", "create", "root", "--kind", "user", "--scope", "invoices:read", "--json", stdin=b"correct horse battery\n"
    )
    assert ran.json["secret"] is None
    assert "battery" not in ran.out + ran.err
    assert program("keys", "create", "root", "--kind", "user", stdin=b"short\n").code == 2


def test_an_import_run_twice_doubles_nothing(either: Program) -> None:
    either.json(*ROOT)
    first = either.json("import", "acronis", str(ACRONIS), "--account", "root", "--currency", "USD")
    assert first == {"added": 3, "moved": 0, "unchanged": 0, "accounts_made": 1, "errors": []}
    again = either.json("import", "acronis", "-", "--account", "root", "--currency", "USD", stdin=ACRONIS.read_bytes())
    assert again == {"added": 0, "moved": 0, "unchanged": 3, "accounts_made": 0, "errors": []}
    assert len(either.json("invoices", "list")) == 3


def test_a_row_that_is_wrong_is_reported_and_the_others_come_in(program: Program) -> None:
    program.json(*ROOT)
    rows = json.loads(ACRONIS.read_text())
    rows["Invoices"][1]["Customer"] = "nobody"
    ran = program("import", "acronis", "-", "--account", "root", "--json", stdin=json.dumps(rows).encode())
    assert ran.code == 1
    assert ran.json["added"] == 2
    assert [(row["where"], row["code"]) for row in ran.json["errors"]] == [("Invoices[1].Customer", "import.id")]
    assert "1 of 3 rows did not come in" in ran.err


@pytest.mark.parametrize("vendor", sorted(demo_world.TENANTS))
def test_the_demos_file_of_each_vendor_comes_in(program: Program, vendor: str) -> None:
    if vendor not in imports.LOADERS:
        pytest.fail(f"billsmith import {vendor} is missing")
    file = Path(imports.__file__).parents[1] / "demo_data" / demo_world.TENANTS[vendor].file
    program.json(*ROOT)
    program.json("accounts", "create", "Vendor's", "--parent", "root", "--external-id", "test731993")
    report = program.json("import", vendor, str(file), "--account", "test731993")
    assert report["added"] > 0
    assert report["errors"] == []
    assert program.json("verify")["ok"]


def test_invoices_are_shown_paid_and_voided(either: Program) -> None:
    stocked(either)
    listed = either.json("invoices", "list")
    assert [(row["number"][-2:], row["total"]) for row in listed] == [("-5", "18.90"), ("-6", "100.16"), ("-4", "123.75")]
    assert len(either.json("invoices", "list", "--limit", "2")) == 2
    assert len(either.json("invoices", "list", "--account", "root")) == 3
    assert either.json("invoices", "list", "--account", "root", "--status", "paid") == []
    name = "1-20241010-0-11111-4"
    pay = (
        "invoices",
        "pay",
        name,
        "--amount",
        "100.00",
        "--reference",
        "bank 1",
        "--at",
        "2026-10-31T00:00:00Z",
        "--method",
        "bank",
    )
    paid = either.json(*pay)
    assert (paid["status"], paid["paid"], paid["due"]) == ("partially_paid", "100.00", "23.75")
    assert either.json(*pay) == paid
    assert [row["reference"] for row in paid["payments"]] == ["bank 1"]
    assert either("invoices", "void", name).code == 4
    back = either.json("invoices", "pay", listed[2]["id"], "--amount", "-100.00", "--reference", "bank 2")
    assert (back["status"], back["due"]) == ("issued", "123.75")
    voided = either.json("invoices", "void", name, "--reason", "sent twice")
    assert (voided["status"], voided["due"], voided["history"][-1]["detail"]) == ("void", "0.00", "sent twice")
    assert either.json("invoices", "write-off", listed[0]["id"])["status"] == "written_off"
    assert either.json("verify")["ok"]


@pytest.mark.parametrize(("arguments", "code", "said"), [
    (("accounts", "show", "nobody"), 3, "account.unknown"),
    (("accounts", "create", "X", "--parent", "nobody"), 3, "account.unknown"),
    (("accounts", "create", "X"), 2, "currency"),
    (("accounts", "create", "X", "--currency", "EUR"), 2, "zone"),
    (("accounts", "create", "X", "--currency", "EURO", "--timezone", "UTC"), 2, "currency.unknown"),
    (("accounts", "create", "X", "--parent", "root", "--id", "7"), 2, "account.id"),
    (("accounts", "create", "X", "--parent", "root", "--external-id", "partner"), 4, "account.external_id_taken"),
    (("accounts", "create", "X", "--parent", "root", "--country", "Holland"), 2, "account.profile"),
    (("accounts", "update", "root", "--email", "nobody"), 2, "account.profile"),
    (("accounts", "show"), 2, "usage.arguments"),
    (("accounts", "list", "--wrong"), 2, "usage.arguments"),
    (("accounts", "list", "--ids", "--csv"), 2, "usage.forms"),
    (("keys", "create", "root"), 2, "usage.arguments"),
    (("keys", "create", "root", "--kind", "magic"), 2, "usage.arguments"),
    (("keys", "create", "root", "--kind", "api-key", "--scope", "all"), 2, "access.unknown_scope"),
    (("keys", "create", "root", "--kind", "api-key", "--expires", "2020-01-01"), 2, "credential.expired"),
    (("keys", "create", "root", "--kind", "api-key", "--expires", "soon"), 2, "time.not_an_instant"),
    (("keys", "revoke", UNKNOWN), 3, "credential.unknown"),
    (("keys", "rotate", "x"), 3, "credential.unknown"),
    (("import", "nobody", "x", "--account", "root"), 2, "usage.arguments"),
    (("import", "acronis", "/no/such/file", "--account", "root"), 3, "input.no_such_file"),
    (("import", "acronis", "-", "--account", "nobody"), 3, "account.unknown"),
    (("import", "acronis", "-", "--account", "root"), 2, "input.not_json"),
    (("invoices", "show", "nothing"), 3, "invoice.unknown"),
    (("invoices", "list", "--limit", "0"), 2, "usage.limit"),
    (("invoices", "pay", "1-20241010-0-11111-4", "--amount", "ten", "--reference", "x"), 2, "number.syntax"),
    (("invoices", "pay", "1-20241010-0-11111-4", "--amount", "0", "--reference", "x"), 2, "payment.zero"),
    (("invoices", "pay", "1-20241010-0-11111-4", "--amount", "1.001", "--reference", "x"), 2, "payment.places"),
    (("invoices", "pay", "1-20241010-0-11111-4", "--amount", "9" * 36, "--reference", "x"), 2, "payment.too_large"),
    (("invoices", "pay", "1-20241010-0-11111-4", "--amount", "1", "--reference", "x" * 129), 2, "account.too_long"),
    (("invoices", "pay", "1-20241010-0-11111-4", "--amount", "1", "--reference", "x", "--at", "now"), 2, "time.not_an_instant"),
    (("backup", "/no/such/folder/x"), 3, "input.no_such_file"),
    (("restore", "/no/such/file"), 3, "input.no_such_file"),
    (("serve", "--host", "no such host"), 2, "server.address"),
    (("serve", "--port", "70000"), 2, "server.address"),
    (("nonsense",), 2, "usage.arguments"),
])  # fmt: skip
def test_what_is_wrong_is_said_with_its_code(program: Program, arguments: tuple[str, ...], code: int, said: str) -> None:
    stocked(program)
    ran = program(*arguments)
    assert said in ran.err
    assert ran.code == code
    assert ran.out == ""
    as_json = program(*arguments, "--json")
    assert as_json.code == code
    assert list(as_json.json) == ["error"]
    assert as_json.json["error"]["code"] in as_json.err


def test_every_form_of_a_list_has_the_same_rows(program: Program) -> None:
    stocked(program)
    for command in (("accounts", "list"), ("invoices", "list")):
        rows = program.json(*command)
        table = list(csv.DictReader(io.StringIO(program(*command, "--csv").out)))
        assert [row["id"] for row in table] == [row["id"] for row in rows]
        assert list(table[0]) == list(rows[0])
        assert program(*command, "--ids").out.split() == [row["id"] for row in rows]
        assert all(row["id"] in program(*command).out for row in rows)


def test_an_empty_list_is_a_list(program: Program) -> None:
    assert program("invoices", "list", "--json").out == "[]\n"
    assert program("invoices", "list", "--ids").out == ""
    assert program("invoices", "list", "--csv").out.count("\n") == 1
    assert "billsmith import" in program("invoices", "list").out


def test_backup_restore_and_verify(either: Program, tmp_path: Path) -> None:
    stocked(either)
    file = str(tmp_path / "all.billsmith")
    made = either.json("backup", file)
    assert made["file"] == file
    again = either("backup", file)
    assert (again.code, "--force" in again.err) == (4, True)
    assert either("restore", file).code == 4
    assert either.json("restore", file, "--force")["problems"] == 0
    either.patch.delenv("BILLSMITH_DATABASE_URL", raising=False)
    restored = either.json("restore", file, "--home", str(tmp_path / "new"))
    assert (restored["rows"], restored["problems"]) == (made["rows"], 0)
    listed = either.json("invoices", "list", "--home", str(tmp_path / "new"))
    assert [row["total"] for row in listed] == ["18.90", "100.16", "123.75"]


def test_a_damaged_backup_is_refused_before_anything_is_touched(program: Program, tmp_path: Path) -> None:
    stocked(program)
    file = tmp_path / "all.billsmith"
    program.json("backup", str(file))
    file.write_bytes(file.read_bytes()[:-1])
    ran = program("restore", str(file), "--home", str(tmp_path / "new"))
    assert (ran.code, "backup.damaged" in ran.err) == (2, True)
    assert not (tmp_path / "new").exists()


def test_verify_ends_with_one_when_something_is_wrong(program: Program) -> None:
    stocked(program)
    assert program.json("verify")["problems"] == []
    import sqlite3

    connection = sqlite3.connect(program.home / "billsmith.db")
    connection.execute("DROP TRIGGER invoice_stays")
    connection.execute("UPDATE invoice SET total_minor = total_minor + 1 WHERE seq = 1")
    connection.commit()
    connection.close()
    ran = program("verify", "--json")
    assert (ran.code, ran.json["ok"]) == (1, False)
    assert {problem["check"] for problem in ran.json["problems"]} >= {"sums", "chain"}
    assert "restore" in ran.err
    assert "do not sum" in program("verify").out
    assert program("verify", "--csv").out.startswith("check,where,what\n")


def test_a_file_that_is_no_database_is_named(program: Program) -> None:
    for name in ("billsmith.db", "billsmith.db-wal", "billsmith.db-shm"):
        (program.home / name).unlink(missing_ok=True)
    (program.home / "billsmith.db").write_text("not a database at all, but long enough to be looked at " * 50)
    ran = program("accounts", "list")
    assert (ran.code, "store.damaged" in ran.err) == (75, True)


def test_doctor_finds_a_fit_machine(either: Program) -> None:
    ran = either("doctor", "--json")
    bad = {finding["what"] for finding in ran.json if finding["state"] == "bad"}
    # The tests' PostgreSQL has these off on purpose, for speed.
    assert bad <= {"fsync", "full_page_writes"}
    assert ran.code == (1 if bad else 0)
    assert all(finding["mend"] for finding in ran.json if finding["state"] != "ok")


def test_doctor_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = Program(tmp_path / "nothing", "", monkeypatch)("doctor")
    assert ran.code == 1
    assert "billsmith init" in ran.out


def test_doctor_sees_open_folders_and_taken_ports(program: Program) -> None:
    import socket

    program.home.chmod(0o755)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        program.patch.setenv("BILLSMITH_PORT", str(taken.getsockname()[1]))
        findings = {finding["what"]: finding for finding in program.json("doctor")}
    assert findings["data folder"]["state"] == "warning"
    assert "chmod 700" in findings["data folder"]["mend"]
    assert findings["port"]["state"] == "warning"


def test_version_in_each_form(program: Program) -> None:
    assert program.json("version")["version"] == __version__
    assert program("version", "--ids").out == f"{__version__}\n"
    assert program("--version").out.strip() == __version__


def test_the_program_in_a_process_of_its_own(tmp_path: Path) -> None:
    home = str(tmp_path / "home")
    assert in_process(["accounts", "list"], BILLSMITH_HOME=home).code == 78
    assert in_process(["init"], BILLSMITH_HOME=home).code == 0
    made = in_process([*ROOT, "--json"], BILLSMITH_HOME=home)
    assert (made.code, made.json["name"]) == (0, "Root")
    key = in_process(["keys", "create", "root", "--kind", "basic", "--json", "--home", home])
    assert key.json["secret"] not in key.err
    assert in_process(["accounts", "show", "nobody", "--home", home]).code == 3


def test_a_full_disk_is_said_with_its_own_code(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    import sqlite3

    from sqlalchemy.exc import OperationalError

    from billsmith.storage import accounts

    def full(*_: object, **__: object) -> None:
        raise OperationalError("INSERT", {}, sqlite3.OperationalError("database or disk is full"))

    monkeypatch.setattr(accounts, "create", full)
    ran = program(*ROOT)
    assert (ran.code, "store.cannot_write" in ran.err) == (75, True)


def test_a_fault_of_ours_is_called_one(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    from billsmith.storage import accounts

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("boom")

    monkeypatch.setattr(accounts, "create", broken)
    ran = program(*ROOT, "--json")
    assert (ran.code, ran.json["error"]["code"]) == (70, "program.broken")
    assert "Traceback" in ran.err


def test_the_audit_log_tells_who_did_what_and_proves_it(either: Program) -> None:
    stocked(either)
    found = either.json("audit", "list")
    # Each row of the file names a customer, who is made before the invoices come in.
    assert [each["seq"] for each in found if each["kind"] == "account.created"] == [*range(1, len(found) - 2)]
    assert [each["kind"] for each in found[-3:]] == ["invoice.imported"] * 3
    assert {each["actor"] for each in found} == {"command line"}
    assert either.json("audit", "list", "--kind", "invoice.*", "--after", "2") == found[-3:]
    assert either.json("audit", "list", "--account", "partner", "--limit", "2") == found[-2:]
    assert either.json("audit", "list", "--subject", found[0]["subject"]) == found[:1]
    assert either.json("audit", "head") == {"seq": len(found), "digest": found[-1]["digest"]}
    assert {"kind": "account.created", "when": "an account was made"} in either.json("audit", "kinds")
    checks = {each["check"]: each["checked"] for each in either.json("verify")["checks"]}
    assert checks["changes"] == len(found)
    refused = either("audit", "list", "--kind", "invoice.eaten")
    assert (refused.code, "change.unknown_kind" in refused.err) == (2, True)


def test_webhooks_are_made_and_looked_after(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    program.json(*ROOT)
    refused = program("webhooks", "add", "https://shop.example/in", "--account", "root")
    assert (refused.code, "BILLSMITH_SECRET_KEY" in refused.err) == (75, True)
    monkeypatch.setenv("BILLSMITH_SECRET_KEY", program.json("sync", "new-key")["key"])
    made = program.json("webhooks", "add", "https://shop.example/in", "--account", "root", "--kind", "invoice.*")
    assert made["secret"].startswith("whsec_")
    id = made["id"]
    assert program.json("webhooks", "list")[0]["kinds"] == ["invoice.*"]
    assert "whsec_" not in program("webhooks", "list").out
    assert program.json("webhooks", "update", id, "--kind", "payment.*")["kinds"] == ["payment.*"]
    assert program.json("webhooks", "disable", id, "--reason", "moved")["reason"] == "moved"
    assert program.json("webhooks", "enable", id)["state"] == "open"
    assert program.json("webhooks", "rotate", id)["secret"] != made["secret"]
    assert program.json("webhooks", "test", id)["id"] == id
    assert program.json("webhooks", "replay", id, "--since", "2026-01-01T00:00:00Z")["waiting_change"] is not None
    assert program.json("webhooks", "show", id)["attempts"] == 0
    assert program.json("webhooks", "deliveries", id) == []
    monkeypatch.setenv("BILLSMITH_SECRET_KEY", f"{program.json('sync', 'new-key')['key']},{os.environ['BILLSMITH_SECRET_KEY']}")
    assert program.json("sync", "rekey")["rekeyed"] == 1
    assert program("webhooks", "show", UNKNOWN).code == 3
