"""docs/sending-usage.md: its calls are made, and what it shows is what comes back; its mapping and its Python are real."""

from __future__ import annotations

import ast
import inspect
import re
import shlex
import tomllib
from pathlib import Path

import msgspec

from billsmith.accounts.authorisation import CredentialKind, Scope
from billsmith.cli.app import app
from billsmith.events.rows import ColumnMap
from billsmith.sender import Events
from billsmith.workflows.states import LENGTH
from tests.docs.test_api_guide import run
from tests.support.house import House

PAGE = (Path(__file__).parents[2] / "docs" / "sending-usage.md").read_text()


def test_the_calls_are_answered_as_shown(sqlite_house: House) -> None:
    owner = sqlite_house.account("My company", external_id="my-company")
    sqlite_house.account("Acme", owner, external_id="acme")
    _, key = sqlite_house.key(owner, CredentialKind.API_KEY, [Scope.EVENTS_WRITE])
    calls = re.findall(r"```sh\n(curl .*?)```\s+```json\n(.*?)```", PAGE, re.DOTALL)
    assert len(calls) == 2
    for command, shown in calls:
        got = run(sqlite_house, command.replace(" -d ", " -X POST -d "), {"URL": "http://127.0.0.1:8080", "KEY": key})
        expected = msgspec.json.decode(shown)
        assert len(got.pop("seq")) == LENGTH
        assert expected.pop("seq").endswith("…")
        assert got == expected


def test_the_mapping_is_one() -> None:
    [mapping] = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    assert msgspec.convert(tomllib.loads(mapping), ColumnMap).dimensions == {"region": "aws_region"}


def test_the_commands_parse() -> None:
    for command in re.findall(r"^billsmith (.*)$", PAGE, re.MULTILINE):
        app.parse_args(shlex.split(command), exit_on_error=False, print_error=False)


def test_the_python_calls_what_there_is() -> None:
    [code] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    calls = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call)]
    named = {ast.unparse(call.func): {keyword.arg for keyword in call.keywords} for call in calls}
    assert named["Events"] <= set(inspect.signature(Events).parameters)
    assert named["events.send"] <= set(inspect.signature(Events.send).parameters)
