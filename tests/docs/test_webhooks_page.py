"""docs/webhooks.md: its commands parse, its call is answered, its check of signatures agrees with what is sent."""

from __future__ import annotations

import re
import shlex
import time
from pathlib import Path
from typing import Any

from billsmith.accounts.authorisation import CredentialKind, Scope
from billsmith.cli.app import app
from billsmith.storage.change_kinds import KINDS
from billsmith.workflows.webhook_signature import headers, new_secret
from tests.docs.test_api_guide import run
from tests.support.house import House

PAGE = (Path(__file__).parents[2] / "docs" / "webhooks.md").read_text()


def test_the_commands_parse() -> None:
    commands = re.findall(r"^billsmith (.*)$", PAGE, re.MULTILINE)
    assert len(commands) >= 10
    for command in commands:
        app.parse_args(shlex.split(command), exit_on_error=False, print_error=False)


def test_the_call_makes_a_webhook(sqlite_house: House) -> None:
    owner = sqlite_house.account("My company", external_id="my-company")
    _, key = sqlite_house.key(owner, CredentialKind.API_KEY, [Scope.WEBHOOKS_WRITE, Scope.CHANGES_READ])
    [command] = re.findall(r"```sh\n(curl .*?)```", PAGE, re.DOTALL)
    got = run(sqlite_house, command.replace(" -d ", " -X POST -d "), {"URL": "http://127.0.0.1:8080", "KEY": key})
    assert got["secret"].startswith("whsec_")
    assert got["kinds"] == ["invoice.*", "payment.recorded"]


def test_its_check_of_signatures_is_right() -> None:
    [code] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)
    is_genuine = names["is_genuine"]
    secret, now = new_secret(), int(time.time())
    sent = headers("id", now, b"{}", [new_secret(), secret])
    assert is_genuine(sent, b"{}", secret)
    assert not is_genuine(sent, b"{ }", secret)
    assert not is_genuine(sent, b"{}", new_secret())
    assert not is_genuine(headers("id", now - 301, b"{}", [secret]), b"{}", secret)


def test_the_kinds_that_it_names_are_kinds() -> None:
    named = set(re.findall(r"`((?:invoice|payment|webhook)\.[a-z_]+)`", PAGE))
    assert named <= KINDS.keys()
