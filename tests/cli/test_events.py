"""``events``: looked at, taken back, replaced."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.run import Program

OCTOBER = ("--period", "2026-10")


@pytest.fixture
def company(program: Program, tmp_path: Path) -> Program:
    """A company with events of two accounts, one of them under a wrong name."""
    program("accounts", "create", "Company", "--external-id", "company", "--currency", "EUR", "--timezone", "Europe/Amsterdam")
    program("accounts", "create", "North", "--external-id", "north", "--parent", "company")
    lines = [
        f'{{"id": "{id}", "type": "call", "account": "{account}", "time": "{time}", "value": {value}, "dimensions": {{"n": "{id}"}}}}'
        for id, account, time, value in [
            ("1", "north", "2026-09-30T22:00:00Z", "0.5"),
            ("2", "north", "2026-10-31T22:59:59Z", "2"),
            ("3", "north", "2026-10-31T23:00:00Z", "4"),
            ("4", "nroth", "2026-10-10T00:00:00Z", "8"),
        ]
    ]
    assert program("ingest", "-", "--account", "company", stdin="\n".join(lines).encode()).code == 0
    program("meters", "create", "company", "calls", "call")
    return program


def counted(program: Program) -> str:
    return "/".join(row["value"] for row in program.json("usage", "company", "calls", *OCTOBER))


def test_events_are_looked_at_and_taken_back(company: Program) -> None:
    void = ("events", "void", "company", "--account", "north", *OCTOBER)
    tried = company.json(*void, "--dry-run")
    assert (tried["matched"], [each["after"] for each in tried["sample"]]) == (2, [None, None])
    assert counted(company) == "2.5"
    missing = company(*void)
    assert (missing.code, "--expect" in missing.err) == (2, True)
    other = company(*void, "--expect", "3")
    assert (other.code, "2 events" in other.err, counted(company)) == (4, True, "2.5")
    done = company.json(*void, "--expect", "2", "--reason", "a faulty gateway")
    assert (done["state"], done["changed"], counted(company)) == ("done", 2, "")
    listed = company.json("events", "corrections", "company")
    assert [(each["state"], each["reason"]) for each in listed] == [("done", "a faulty gateway"), ("refused", "")]
    assert company.json("events", "correction", listed[0]["id"]) == done
    assert company("events", "correction", "none").code == 3


def test_one_event_by_its_id(company: Program) -> None:
    assert company.json("events", "void", "company", "--id", "1", "--id", "9", "--dry-run")["missing"] == [
        {"source": "api", "id": "9"}
    ]
    assert company.json("events", "void", "company", "--id", "1", "--expect", "1")["changed"] == 1
    assert counted(company) == "2"


def test_a_wrong_name_and_other_contents(company: Program, tmp_path: Path) -> None:
    put = ("events", "replace", "company", "--reference", "nroth", *OCTOBER, "--set-account", "north")
    [sample] = company.json(*put, "--dry-run")["sample"]
    assert sample == {
        "before": "api/4 call nroth 2026-10-10T00:00:00Z 8 n=4",
        "after": "api/4 call north 2026-10-10T00:00:00Z 8 n=4",
    }
    assert (company.json(*put, "--expect", "1")["changed"], counted(company)) == (1, "10.5")
    put = ("events", "replace", "company", "--filter", "n=2", *OCTOBER, "--set-value", "3", "--set", "m=x", "--unset", "n")
    assert company.json(*put, "--expect", "1")["what"]["change"] == {"value": "3", "dimensions": {"n": None, "m": "x"}}
    many = [word for number in range(32) for word in ("--set", f"d{number}=x")]
    put = ("events", "replace", "company", "--account", "north", *OCTOBER, *many)
    [left, *_] = company.json(*put, "--dry-run")["left_alone"]
    assert (left["id"], left["code"], left["reason"]) == (
        "1",
        "event.too_many_dimensions",
        "33 dimensions; at most 32 are kept",
    )
    right = tmp_path / "right.ndjson"
    right.write_text('{"id": "1", "type": "call", "account": "north", "time": "2026-10-01T00:00:00Z", "value": 1}\n')
    assert company.json("events", "replace", "company", "--file", str(right), "--expect", "1")["changed"] == 1
    assert counted(company) == "12"


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("void", "company"), "usage.period"),
        (("void", "nobody", *OCTOBER, "--dry-run"), "account.unknown"),
        (("void", "company", "--account", "south", *OCTOBER, "--dry-run"), "account.unknown"),
        (("replace", "company", *OCTOBER, "--dry-run"), "correction.no_change"),
        (("replace", "company", *OCTOBER, "--set", "x", "--dry-run"), "usage.filter"),
        (("replace", "company", "--file", "none.json", "--dry-run"), "input.no_such_file"),
    ],
)
def test_what_can_not_be(company: Program, arguments: tuple[str, ...], word: str) -> None:
    ran = company("events", *arguments)
    assert ran.code != 0
    assert f"[{word}]" in ran.err


def test_events_are_listed(company: Program) -> None:
    listed = company.json("events", "list", "company", *OCTOBER)
    assert [(each["id"], each["value"], each["dimensions"]) for each in listed] == [
        ("1", "0.5", {"n": "1"}),
        ("2", "2", {"n": "2"}),
    ]
    assert [each["id"] for each in company.json("events", "list", "company", "--sender", "company", *OCTOBER)] == [
        "1",
        "4",
        "2",
    ]
    assert [each["id"] for each in company.json("events", "list", "company", "--filter", "n=2", *OCTOBER)] == ["2"]
    assert [each["id"] for each in company.json("events", "list", "north", "--period", "2026", "--limit", "2")] == ["1", "2"]
    assert company.json("events", "list", "company", *OCTOBER, "--as-of-seq", "0") == []


def test_what_became_of_one(company: Program) -> None:
    company("events", "void", "company", "--id", "1", "--expect", "1")
    shown = company.json("events", "show", "company", "1")
    assert [(each["became"], each["value"]) for each in shown] == [("in force", "0.5"), ("taken back", "0.5")]
    assert company("events", "show", "company", "1", "--source", "gw").code == 3
