"""docs/pulling.md: its rules can be read, and its commands are commands."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

import billsmith.rating  # noqa: F401 (loads the price models)
from billsmith.catalog.reading import read_as
from billsmith.catalog.rebill import Rules
from billsmith.cli.app import app

PAGE = (Path(__file__).parents[2] / "docs" / "pulling.md").read_text("utf-8")
BLOCKS = re.sub(r"\\\n\s*", " ", "\n".join(re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)))
COMMANDS = [line.partition("   ")[0].partition(" #")[0] for line in BLOCKS.splitlines() if line.startswith("billsmith ")]


def test_the_rules_are_rules() -> None:
    [text] = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    read: Rules = read_as(Rules, text, "resale.yaml")
    assert [rule.price.model for rule in read.rules] == ["markup", "margin", "dynamic", "flat"]


@pytest.mark.parametrize("command", COMMANDS)
def test_the_commands_parse(command: str) -> None:
    called, _, _ = app.parse_args(shlex.split(command)[1:], exit_on_error=False, print_error=False)
    assert callable(called)


def test_commands_were_found() -> None:
    assert len(COMMANDS) >= 9
