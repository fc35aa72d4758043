"""docs/mail.md: its commands parse, its settings and codes are those that there are."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import msgspec

from billsmith.cli.app import app
from billsmith.server.settings import Settings
from tests.docs.errors import codes

PAGE = (Path(__file__).parents[2] / "docs" / "mail.md").read_text()


def test_the_commands_parse() -> None:
    commands = re.findall(r"^billsmith (.*)$", PAGE, re.MULTILINE)
    assert len(commands) >= 4
    for command in commands:
        app.parse_args(shlex.split(command), exit_on_error=False, print_error=False)


def test_settings_and_codes_are_real() -> None:
    known = {f"BILLSMITH_{field.name.upper()}" for field in msgspec.structs.fields(Settings)}
    assert set(re.findall(r"`(BILLSMITH_[A-Z_]+)`", PAGE)) == {name for name in known if "_SMTP_" in name}
    assert {code for code in codes() if code.startswith("mail.")} >= set(
        re.findall(r"^\| `(mail\.[a-z_]+)`", PAGE, re.MULTILINE)
    )
