"""The server and the demo, as real processes on a real port: they start, answer, and end cleanly."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.run import Program, in_process
from tests.cli.test_commands import ROOT


@contextmanager
def started(*arguments: str, home: Path, **environment: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A process that serves, and its address once it says so."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("BILLSMITH_")}
    command = [sys.executable, "-m", "billsmith", *arguments, "--home", str(home)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**clean, **environment})
    try:
        assert process.stdout is not None
        yield process, json.loads(process.stdout.readline())
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=30)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_on_loopback_and_ends_cleanly(program: Program, how: signal.Signals) -> None:
    program.json(*ROOT)
    key = program.json("keys", "create", "root", "--kind", "api-key")
    with started("serve", "--port", "0", "--json", home=program.home) as (process, said):
        assert said["listening"].startswith("http://127.0.0.1:")
        health = json.loads(urllib.request.urlopen(f"{said['listening']}/healthz", timeout=10).read())
        assert health["status"] == "ok"
        call = urllib.request.Request(f"{said['listening']}/v1/invoices", headers={"Authorization": f"Bearer {key['secret']}"})
        assert urllib.request.urlopen(call, timeout=10).status == 200
        process.send_signal(how)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 0
    assert key["secret"] not in errors
    assert "Traceback" not in errors


def test_a_taken_port_is_said(program: Program) -> None:
    with started("serve", "--port", "0", "--json", home=program.home) as (_, said):
        port = said["listening"].rpartition(":")[2]
        ran = program("serve", "--port", port)
        assert (ran.code, "server.port_taken" in ran.err) == (4, True)


def test_an_outdated_store_is_not_served(program: Program) -> None:
    import sqlite3

    connection = sqlite3.connect(program.home / "billsmith.db")
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.commit()
    connection.close()
    ran = program("serve", "--port", "0")
    assert (ran.code, "store.newer" in ran.err) == (78, True)


def test_the_demo_makes_four_calls_and_can_be_run_again(tmp_path: Path) -> None:
    for _ in range(2):
        ran = in_process(["demo", "--once", "--port", "0", "--json", "--home", str(tmp_path / "demo")])
        assert ran.code == 0, ran.err
        calls = {call["vendor"]: call for call in ran.json["calls"]}
        assert {vendor: call["status"] for vendor, call in calls.items()} == dict.fromkeys(
            ("acronis", "myreports", "hostway", "amberflo"), 200
        )
    assert [row["Total"] for row in calls["acronis"]["answer"]["Invoices"]] == [123.75, 100.16, 18.9]
    assert '"Total":18.90' in ran.out
    assert [row["invoiceValue"] for row in calls["myreports"]["answer"]["data"]] == [200.0] * 4
    assert [row["description"][:13] for row in calls["hostway"]["answer"]["list"]] == ["Recurring fee"]
    assert len(calls["amberflo"]["answer"]) > 0
    assert in_process(["verify", "--home", str(tmp_path / "demo")]).code == 0


def test_the_demo_stays_until_it_is_stopped_and_its_lines_can_be_pasted(tmp_path: Path) -> None:
    with started("demo", "--port", "0", "--json", home=tmp_path / "demo") as (process, said):
        for call in said["calls"]:
            line = call["curl"].replace("\n$ ", "; ")
            done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=30, check=True)
            answer = done.stdout[done.stdout.index("}") + 1 :] if call["vendor"] == "acronis" else done.stdout
            assert (
                json.loads(answer).keys() == call["answer"].keys() if isinstance(call["answer"], dict) else json.loads(answer)
            )
        other = in_process(["demo", "--once", "--port", "0", "--home", str(tmp_path / "demo")])
        assert (other.code, "demo.running" in other.err) == (4, True)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    assert process.returncode == 0


def test_the_demo_wipes_no_folder_but_its_own(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    ran = in_process(["demo", "--once", "--port", "0", "--home", str(tmp_path)])
    assert (ran.code, "demo.folder" in ran.err) == (2, True)
    assert (tmp_path / "precious").read_text() == "mine"


def test_the_demo_never_touches_the_store_that_variables_name(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'real.db'}"
    ran = in_process(["demo", "--once", "--port", "0", "--home", str(tmp_path / "demo")], BILLSMITH_DATABASE_URL=url)
    assert ran.code == 0
    assert not (tmp_path / "real.db").exists()
