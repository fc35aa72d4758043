"""``billsmith ingest``: every kind of file, exactly, once, whatever interrupts it; beside a server and alone."""

from __future__ import annotations

import gzip
import json
import urllib.request
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from billsmith.events.event import Event
from billsmith.usage.store import Selection
from billsmith.workflows import ingest_files
from tests.cli.run import Program, in_process
from tests.cli.test_commands import ROOT
from tests.cli.test_serve import started

TIME = "2026-10-31T12:00:00Z"


def line(id: str, **more: Any) -> str:
    return json.dumps({"id": id, "source": "gw", "type": "call", "account": "acme", "time": TIME, **more})


def stored(program: Program) -> list[Event]:
    with program.usage() as store:
        return [kept.event for kept in store.events(Selection())]


@pytest.fixture
def ready(program: Program) -> Program:
    program.json(*ROOT)
    return program


def write(folder: Path, name: str, text: str) -> str:
    (folder / name).write_text(text)
    return str(folder / name)


def test_lines_come_in_once_and_wrong_ones_are_told(ready: Program, tmp_path: Path) -> None:
    file = write(tmp_path, "a.ndjson", "\n".join([line("1", value=0.10), "", "nonsense", line("2"), line("1", value=7)]))
    ran = ready("ingest", file, "--json")
    assert (ran.code, ran.json["read"], ran.json["accepted"], ran.json["rejected"], ran.json["conflicts"]) == (1, 4, 2, 1, 1)
    assert sorted((each["where"], each["code"]) for each in ran.json["errors"]) == [
        (f"{file}: line 3", "event.not_an_object"),
        (f"{file}: line 5", "event.conflict"),
    ]
    again = ready("ingest", file, "--json")
    assert (again.code, again.json["accepted"], again.json["duplicates"]) == (1, 0, 2)
    assert [str(event.value) for event in stored(ready)] == ["0.1", "1"]


def test_standard_input_and_packed_files(ready: Program, tmp_path: Path) -> None:
    assert ready.json("ingest", "-", stdin=line("1").encode())["accepted"] == 1
    (tmp_path / "b.ndjson.gz").write_bytes(gzip.compress(line("2").encode()))
    assert ready.json("ingest", str(tmp_path / "b.ndjson.gz"))["accepted"] == 1


def test_a_dry_run_writes_nothing(ready: Program, tmp_path: Path) -> None:
    file = write(tmp_path, "a.ndjson", f"{line('1')}\n{{}}\n")
    ran = ready("ingest", file, "--dry-run", "--json")
    assert (ran.code, ran.json["accepted"], ran.json["rejected"]) == (1, 1, 1)
    assert not (ready.home / "usage.duckdb").exists()


CSV = """request,tenant,at,units,aws_region
a,acme,2026-10-31 13:00:00,1.50,eu
b,acme,2026-10-31T12:00:00Z,2,
"""
MAPPING = """
time_zone = "Europe/Amsterdam"
[columns]
id = "request"
account = "tenant"
time = "at"
value = "units"
[constants]
type = "call"
source = "csv"
[dimensions]
region = "aws_region"
"""


@pytest.mark.parametrize("saved", [True, False])
def test_a_csv_with_a_mapping(ready: Program, tmp_path: Path, saved: bool) -> None:
    (ready.home / "mappings").mkdir()
    name = "calls" if saved else str(tmp_path / "m.toml")
    write(ready.home / "mappings" if saved else tmp_path, "calls.toml" if saved else "m.toml", MAPPING)
    assert ready.json("ingest", write(tmp_path, "a.csv", CSV), "--map", name)["accepted"] == 2
    events = stored(ready)
    assert [(event.id, event.value, event.dimensions) for event in events] == [
        ("a", Decimal("1.5"), {"region": "eu"}),
        ("b", Decimal(2), {}),
    ]
    assert events[0].time == events[1].time


@pytest.mark.parametrize(("mapping", "code"), [
    ("[columns]\nidd = 'x'", "event.mapping"),
    ("[columns]\nid = 'nowhere'", "event.mapping"),
    ("[constants]\ntype = 'call'", "event.mapping"),
    ("colums = 1", "event.mapping"),
    ("time_zone = 'Europe/Delft'", "time.unknown_zone"),
    ("= 1", "event.mapping"),
])  # fmt: skip
def test_a_mapping_that_does_not_fit_says_so(ready: Program, tmp_path: Path, mapping: str, code: str) -> None:
    ran = ready("ingest", write(tmp_path, "a.csv", CSV), "--map", write(tmp_path, "m.toml", mapping), "--json")
    assert (ran.code, ran.json["error"]["code"]) == (2, code)


PLAIN = (
    "type,account,time,value,region\n" + "call,acme,2026-10-31T12:00:00Z,1,eu\n" * 3 + "call,acme,2026-10-31T12:00:00Z,1.0,us\n"
)


def test_rows_without_an_id_count_as_often_as_they_stand_there(ready: Program, tmp_path: Path) -> None:
    file = write(tmp_path, "a.csv", PLAIN)
    assert ready.json("ingest", file)["accepted"] == 4
    assert ready.json("ingest", file)["duplicates"] == 4
    rows = PLAIN.splitlines()
    shuffled = write(tmp_path, "other-name.csv", "\n".join([rows[0], rows[4], *rows[1:4]]))
    assert ready.json("ingest", shuffled)["duplicates"] == 4


def test_parquet_is_read_exactly(ready: Program, tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    duckdb.execute(
        "COPY (SELECT 'x' AS id, 'call' AS type, 'acme' AS account, TIMESTAMP_NS '2026-10-31 12:00:00.123456789' AS time,"
        f" 12345678901234567890.123456789012::DECIMAL(38, 12) AS value, 7 AS size) TO '{path}' (FORMAT parquet)"
    )
    assert ready.json("ingest", str(path))["accepted"] == 1
    [event] = stored(ready)
    assert (event.value, event.dimensions) == (Decimal("12345678901234567890.123456789012"), {"size": "7"})
    assert event.time % 10**9 == 123456789
    ran = ready("ingest", write(tmp_path, "b.parquet", "x"), "--json")
    assert (ran.code, ran.json["error"]["code"]) == (2, "input.not_parquet")


def test_focus_rows_are_their_consumed_quantities(ready: Program, tmp_path: Path) -> None:
    text = (
        "BilledCost,BillingCurrency,ChargeCategory,ChargePeriodStart,ConsumedQuantity,ConsumedUnit,ServiceName,SubAccountId\n"
        "0.00336956515,USD,Usage,2026-09-04 00:00:00,0.250,GB-month,Storage,acme\n"
        "5,USD,Tax,2026-09-04 00:00:00,,,Storage,acme\n"
    )
    said = ready.json("ingest", write(tmp_path, "f.csv", text))
    assert (said["accepted"], said["skipped"]) == (1, 1)
    [event] = stored(ready)
    assert (event.type, event.source, event.account, event.value) == ("focus.usage", "focus", "acme", Decimal("0.25"))
    assert event.dimensions == {
        "billed_cost": "0.00336956515", "currency": "USD", "unit": "GB-month", "service": "Storage",
    }  # fmt: skip


@pytest.mark.parametrize(("name", "text", "code"), [
    ("a.csv", 'type,account,time\n"x', "input.not_csv"),
    ("a.csv", "type,account\n", "event.mapping"),
    ("a.xlsx", "", "input.format"),
    ("a.ndjson", "x" * (ingest_files.MAX_LINE + 1), "input.line_too_long"),
])  # fmt: skip
def test_files_that_can_not_be_read(ready: Program, tmp_path: Path, name: str, text: str, code: str) -> None:
    ran = ready("ingest", write(tmp_path, name, text), "--json")
    assert (ran.code, ran.json["error"]["code"]) == (2, code)
    assert ready("ingest", str(tmp_path / "nothing.csv")).code == 3


def test_a_row_of_another_length_is_told(ready: Program, tmp_path: Path) -> None:
    ran = ready("ingest", write(tmp_path, "a.csv", PLAIN + "call,acme\n"), "--json")
    assert (ran.code, ran.json["accepted"], ran.json["errors"][0]["where"].rpartition(": ")[2]) == (1, 4, "row 5")


def test_stopped_in_the_middle_it_goes_on_where_it_was(ready: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest_files, "BATCH", 10)
    file = write(tmp_path, "a.ndjson", "\n".join(line(str(number)) for number in range(35)))
    taken = ingest_files._take
    calls = iter(range(100))

    def interrupted(*arguments: Any) -> None:
        if next(calls) == 2:
            raise KeyboardInterrupt
        taken(*arguments)

    monkeypatch.setattr(ingest_files, "_take", interrupted)
    assert ready("ingest", file).code == 130
    monkeypatch.setattr(ingest_files, "_take", taken)
    assert (ready.json("ingest", file)["accepted"], len(stored(ready))) == (15, 35)


def test_a_command_beside_a_server_writes_to_one_store_with_it(either: Program, tmp_path: Path) -> None:
    """Beside SQLite the server owns the store once it took an event, and a command uses its socket; PostgreSQL has many owners."""
    either.json(*ROOT)
    key = either.json("keys", "create", "root", "--kind", "api-key", "--scope", "events:write")["secret"]
    environment = {"BILLSMITH_DATABASE_URL": either.database_url} if either.database_url else {}
    with started("serve", "--port", "0", "--json", home=either.home, **environment) as (_, said):

        def post(id: str) -> Any:
            request = urllib.request.Request(
                f"{said['listening']}/v1/events", data=line(id).encode(),
                headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
            )  # fmt: skip
            return json.loads(urllib.request.urlopen(request, timeout=20).read())

        assert post("1")["accepted"] == 1
        file = write(tmp_path, "a.ndjson", f"{line('1')}\n{line('2')}\n")
        ran = in_process(["ingest", file, "--json", "--home", str(either.home)], **environment)
        assert (ran.code, ran.json["accepted"], ran.json["duplicates"]) == (0, 1, 1)
        assert post("2")["duplicates"] == 1
        health = json.loads(urllib.request.urlopen(f"{said['listening']}/healthz", timeout=10).read())
        assert health["status"] == "ok"
    assert len(stored(either)) == 2
