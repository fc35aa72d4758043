"""docs/metering.md: its calls are made in their order, its table of aggregations is counted, its commands parse."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from billsmith.accounts.authorisation import CredentialKind, Scope
from billsmith.api.usage import MAX_METERS
from billsmith.cli.app import app
from billsmith.metering.meter import Aggregation
from billsmith.workflows.ask_usage import MAX_ROWS
from tests.docs.test_api_guide import run, same
from tests.support.house import House

PAGE = (Path(__file__).parents[2] / "docs" / "metering.md").read_text("utf-8")
_CALLS = re.compile(r"```sh\n(curl .*?)```\s+```json\n(.*?)```", re.DOTALL)
_ROWS = re.compile(r"^\| `(\{.*?\})` \| (\S+) \|", re.MULTILINE)
_OCTOBER = {"from": "2026-10-01T00:00:00Z", "to": "2026-11-01T00:00:00Z"}


def told(shown: Any, got: Any) -> bool:
    """As :func:`same`, and … stands for any text."""
    if shown == "…":
        return isinstance(got, str)
    if isinstance(shown, dict):
        return isinstance(got, dict) and all(name in got and told(value, got[name]) for name, value in shown.items())
    if isinstance(shown, list):
        return isinstance(got, list) and len(shown) == len(got) and all(map(told, shown, got))
    return same(shown, got)


@pytest.fixture
def world(sqlite_house: House) -> tuple[House, dict[str, str]]:
    owner = sqlite_house.account("My company", external_id="my-company", time_zone="UTC")
    sqlite_house.account("Acme", owner, external_id="acme")
    _, key = sqlite_house.key(owner, CredentialKind.API_KEY, [Scope.EVENTS_WRITE, Scope.USAGE_READ, Scope.USAGE_WRITE])
    return sqlite_house, {"URL": "http://127.0.0.1:8080", "KEY": key}


def test_the_calls_are_answered_as_shown(world: tuple[House, dict[str, str]]) -> None:
    calls = _CALLS.findall(PAGE)
    assert len(calls) == PAGE.count("```sh") == 12
    for command, shown in calls:
        got = run(world[0], command, world[1])
        assert told(json.loads(shown), got), f"{command}\nshown: {shown}\ngot: {json.dumps(got)}"


def test_the_table_of_aggregations_is_true(world: tuple[House, dict[str, str]]) -> None:
    house, variables = world
    [events, *_] = _CALLS.findall(PAGE)
    run(house, events[0], variables)
    headers = {"Authorization": f"Bearer {variables['KEY']}"}
    rows = _ROWS.findall(PAGE)
    assert {json.loads(meter)["aggregation"] for meter, _ in rows} == {each.value for each in Aggregation}
    for meter, quantity in rows:
        made = house.client.post("/v1/meters", json={"code": "m", "event_type": "call", **json.loads(meter)}, headers=headers)
        assert made.status_code == 201, made.text
        [row] = house.client.get("/v1/meters/m/query", params={**_OCTOBER, "account": "acme"}, headers=headers).json()["rows"]
        assert row["value"] == quantity, meter


def test_the_commands_parse() -> None:
    commands = re.findall(r"^billsmith (.*)$", PAGE, re.MULTILINE)
    assert len(commands) >= 12
    for command in commands:
        app.parse_args(shlex.split(command), exit_on_error=False, print_error=False)


def test_the_limits_are_those_of_the_program() -> None:
    assert f"at most {MAX_ROWS:,} rows" in PAGE
    assert f"at most {MAX_METERS} meters" in PAGE
