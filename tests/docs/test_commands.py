"""Every command has a help text with an example that the program accepts, and every parameter says what it is."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from cyclopts import App

from billsmith.cli.app import app
from tests.cli.run import Program
from tests.docs.errors import codes
from tests.docs.reference import _arguments, commands, example_of, help_of

COMMANDS = [(" ".join(words), command) for words, command in commands()]
ALL = pytest.mark.parametrize(("name", "command"), COMMANDS, ids=[name for name, _ in COMMANDS])


def test_the_commands_that_scripts_rely_on_are_there() -> None:
    names = {name.removeprefix("billsmith ") for name, _ in COMMANDS}
    assert names >= {
        "init", "serve", "demo", "import", "verify", "backup", "restore", "doctor", "version",
        "accounts create", "accounts list", "accounts show", "accounts update", "accounts close",
        "keys create", "keys list", "keys rotate", "keys revoke",
        "invoices list", "invoices show", "invoices pay", "invoices void",
        "sync add acronis", "sync run", "sync status", "sync problems", "reconcile", "shadow", "rebill",
    }  # fmt: skip


@ALL
def test_the_example_is_a_call_of_this_command_that_parses(name: str, command: App) -> None:
    words = shlex.split(example_of(command))
    assert " ".join(words).startswith(name)
    called, bound, _ = app.parse_args(words[1:], exit_on_error=False, print_error=False)
    assert called is command.default_command
    assert bound is not None


@ALL
def test_every_parameter_is_explained_or_says_it_by_its_name(name: str, command: App) -> None:
    plain = {"line1", "line2", "city", "region", "postal-code", "email", "name", "external-id", "currency", "timezone"}
    assert help_of(command).count("Example: ") == 1
    for argument in _arguments(command):
        assert argument.parameter.help or argument.name.lstrip("-").lower() in plain, argument.name


@ALL
def test_help_shows_the_example_and_every_option(
    name: str, command: App, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    ran = Program(tmp_path, "", monkeypatch)(*name.split()[1:], "--help")
    assert ran.code == 0
    assert example_of(command) in " ".join(ran.out.split())
    assert all(option in ran.out for option in ("--json", "--csv", "--ids", "--home"))


def test_every_error_code_is_one_cause_in_known_words() -> None:
    found = codes()
    assert {"store.missing", "account.unknown", "usage.arguments", "program.broken", "backup.damaged"} <= set(found)
    assert all(code == code.lower() and code.count(".") == 1 for code in found)
