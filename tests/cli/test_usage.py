"""``meters`` and ``usage``: what is counted, what was, and what waits."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest

from billsmith.events.event import Event
from billsmith.units.instants import parse_instant
from tests.cli.run import Program

MONTH = ("--period", "2026-10")


@pytest.fixture
def company(program: Program) -> str:
    return _with_usage(program)


def _with_usage(program: Program) -> str:
    """A company with two customers' usage, sent before there was any meter."""
    root = program.json(
        "accounts", "create", "Company", "--external-id", "company", "--currency", "EUR", "--timezone", "Europe/Amsterdam"
    )
    program.json("accounts", "create", "North", "--external-id", "north", "--parent", "company")
    events = [
        Event(
            owner=root["id"],
            source="gw",
            id=str(number),
            type="call",
            account=account,
            time=parse_instant(time),
            value=Decimal(value),
            dimensions={"region": region},
        )
        for number, (account, time, value, region) in enumerate(
            [
                ("north", "2026-09-30T22:00:00Z", "0.1", "eu"),
                ("north", "2026-10-31T22:59:59Z", "0.2", "us"),
                ("north", "2026-10-31T23:00:00Z", "5", "us"),
                ("later", "2026-10-10T00:00:00Z", "7", "eu"),
            ]
        )
    ]
    with program.usage() as store:
        store.ingest(events)
    return str(root["id"])


def test_meters_are_made_and_changed(program: Program, company: str) -> None:
    made = program.json("meters", "create", "company", "calls", "call", "--group-by", "region")
    assert (made["version"], made["group_by"], made["aggregation"]) == (1, ["region"], "sum")
    assert program.json("meters", "create", "company", "calls", "call", "--group-by", "region")["version"] == 1
    assert program.json("meters", "create", "company", "calls", "call", "--where", "region=eu")["version"] == 2
    shown = program.json("meters", "show", "company", "calls")
    assert [each["version"] for each in shown["versions"]] == [1, 2]
    assert [each["code"] for each in program.json("meters", "list", "company")] == ["calls"]


def test_meters_from_a_file(program: Program, company: str, tmp_path: Path) -> None:
    file = tmp_path / "meters.yaml"
    file.write_text(
        "- {code: calls, event_type: call}\n- {code: p95, event_type: call, aggregation: percentile, percentile: 95.5}\n"
    )
    rows = program.json("meters", "apply", "company", str(file))
    assert [(row["code"], row["changed"]) for row in rows] == [("calls", True), ("p95", True)]
    assert [row["changed"] for row in program.json("meters", "apply", "company", str(file))] == [False, False]
    assert program.json("meters", "show", "company", "p95")["percentile"] == "95.5"
    file.write_text("- {code: calls, evnt_type: call}\n")
    ran = program("meters", "apply", "company", str(file), "--json")
    assert (ran.code != 0, "catalog." in ran.err) == (True, True)


def test_what_was_counted_before_there_was_a_meter(either: Program) -> None:
    program = either
    _with_usage(program)
    program.json("meters", "create", "company", "calls", "call")
    (row,) = program.json("usage", "company", "calls", *MONTH)
    assert (row["account"], row["value"], row["events"]) == ("north", "0.3", 2)
    by_day = program.json("usage", "company", "--from", "2026-10-01", "--to", "2026-11-02", "--by", "day")
    assert [each["start"] for each in by_day] == ["2026-09-30T22:00:00Z", "2026-10-30T23:00:00Z", "2026-10-31T23:00:00Z"]
    grouped = program.json("usage", "company", "calls", *MONTH, "--group-by", "region")
    assert [each["dimensions.region"] for each in grouped] == ["eu", "us"]
    assert len(program.json("usage", "company", "calls", *MONTH, "--filter", "region=us")) == 1


@pytest.mark.parametrize(
    ("arguments", "rows"),
    [
        (("calls", *MONTH), [("calls", "2026-09-30T22:00:00Z", "0.3")]),
        (("calls", *MONTH, "--zone", "UTC"), [("calls", "2026-10-01T00:00:00Z", "5.2")]),
        (("calls", "number", *MONTH), [("calls", "2026-09-30T22:00:00Z", "0.3"), ("number", "2026-09-30T22:00:00Z", "2")]),
        (
            ("calls", *MONTH, "--by", "15 days"),
            [("calls", "2026-09-30T22:00:00Z", "0.1"), ("calls", "2026-10-30T23:00:00Z", "0.2")],
        ),
        (
            ("calls", *MONTH, "--by", "15 days", "--fill", "--of", "north"),
            [
                ("calls", "2026-09-30T22:00:00Z", "0.1"),
                ("calls", "2026-10-15T22:00:00Z", "0"),
                ("calls", "2026-10-30T23:00:00Z", "0.2"),
            ],
        ),
        (("calls", *MONTH, "--group-by", "region", "--top", "1"), [("calls", "2026-09-30T22:00:00Z", "0.2")]),
        (("calls", *MONTH, "--as-of-seq", "1"), [("calls", "2026-09-30T22:00:00Z", "0.1")]),
        (("calls", *MONTH, "--version", "2"), [("calls", "2026-09-30T22:00:00Z", "0.2")]),
        (("calls", "--period", "2026", "--of", "north"), [("calls", "2025-12-31T23:00:00Z", "5.3")]),
    ],
)  # fmt: skip
def test_questions(program: Program, company: str, arguments: tuple[str, ...], rows: list[tuple[str, str, str]]) -> None:
    program.json("meters", "create", "company", "calls", "call")
    program.json("meters", "create", "company", "calls", "call", "--counts-from", "2026-10-15T00:00:00Z")
    program.json("meters", "create", "company", "number", "call", "--aggregation", "count")
    found = program.json("usage", "company", *arguments)
    assert [(each["meter"], each["start"], each["value"]) for each in found] == rows


def test_what_waits_is_shown_until_it_has_what_it_lacks(either: Program) -> None:
    program = either
    _with_usage(program)
    waiting = program.json("events", "unknown", "company")
    assert {(each["account"], each["lacks"]) for each in waiting} == {
        ("north", "a meter"),
        ("later", "an account and a meter"),
    }
    program.json("meters", "create", "company", "calls", "call")
    (left,) = program.json("events", "unknown", "company")
    assert (left["account"], left["lacks"], left["events"]) == ("later", "an account", 1)
    program.json("accounts", "create", "Later", "--external-id", "later", "--parent", "company")
    assert program.json("events", "unknown", "company") == []
    assert {each["account"] for each in program.json("usage", "company", "calls", *MONTH)} == {"north", "later"}


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("usage", "company", "calls"), "usage.period"),
        (("usage", "company", "nothing", *MONTH), "meter.unknown"),
        (("usage", "company", "calls", *MONTH, "--by", "fortnight"), "usage.by"),
        (("usage", "company", "calls", "--period", "2026-13"), "time"),
        (("usage", "company", *MONTH, "--version", "1"), "usage.arguments"),
        (("usage", "company", "calls", *MONTH, "--zone", "Mars/Olympus"), "time.unknown_zone"),
        (("usage", "company", "calls", *MONTH, "--filter", "region"), "usage.filter"),
        (("meters", "create", "company", "x", "call", "--aggregation", "percentile"), "meter.percentile"),
    ],
)
def test_what_can_not_be_asked(program: Program, company: str, arguments: tuple[str, ...], code: str) -> None:
    program.json("meters", "create", "company", "calls", "call")
    ran = program(*arguments, "--json")
    assert ran.code != 0
    assert code in ran.err


def test_the_answer_is_one_json_value(program: Program, company: str) -> None:
    program.json("meters", "create", "company", "calls", "call")
    ran = program("usage", "company", "calls", *MONTH, "--json")
    assert isinstance(json.loads(ran.out), list)


def test_doctor_looks_at_usage(program: Program, company: str) -> None:
    def found() -> dict[str, tuple[str, str]]:
        rows = json.loads(program("doctor", "--json").out)
        return {each["what"]: (each["state"], each["found"]) for each in rows if each["what"].startswith("usage")}

    said = found()
    assert said["usage"][0] == "ok"
    assert said["usage"][1].startswith("duckdb, 4 events")
    assert said["usage names"] == ("warning", "1 names in events lead to no account")
    assert {said["usage roll-ups"][0], said["usage queue"][0]} == {"ok"}
    program.json("accounts", "create", "Later", "--external-id", "later", "--parent", "company")
    assert found()["usage names"] == ("ok", "0 names in events lead to no account")


def test_doctor_says_nothing_of_usage_where_there_is_none(program: Program) -> None:
    assert "usage" not in {each["what"] for each in json.loads(program("doctor", "--json").out)}
