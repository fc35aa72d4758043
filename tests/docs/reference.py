"""The generated reference pages: docs/reference/cli.md comes from the commands themselves, settings.md from the settings' fields."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator
from typing import Any

import msgspec
from cyclopts import App
from cyclopts.argument import Argument

from billsmith.cli.app import app
from billsmith.cli.exits import MEANINGS
from billsmith.server.settings import Settings

_NOTE = "<!-- Written by `make docs`; edit the source, not this page. -->\n"


def commands(at: App = app, words: tuple[str, ...] = ("billsmith",)) -> Iterator[tuple[tuple[str, ...], App]]:
    """Every command that does something, with the words that call it."""
    for name in at:
        if name.startswith("-"):
            continue
        command = at[name]
        if command.default_command is not None:
            yield (*words, name), command
        else:
            yield from commands(command, (*words, name))


def help_of(command: App) -> str:
    """A command's help text as its docstring holds it."""
    return inspect.getdoc(command.default_command) or ""


def example_of(command: App) -> str:
    """The example in a command's help text."""
    return help_of(command).rpartition("Example: ")[2].strip()


def cli_page() -> str:
    """The commands, their parameters, and the exit codes."""
    parts = [_NOTE, "# The command line\n", _PREFACE, "## Exit codes\n", "| code | meaning |\n| --- | --- |"]
    parts += [f"| {int(code)} | {meaning} |" for code, meaning in MEANINGS.items()]
    parts.append("\n## Options of every command\n\n| option | |\n| --- | --- |")
    common = [argument for argument in _arguments(app["version"]) if _is_common(argument)]
    parts += [_parameter_row(argument) for argument in common]
    for words, command in commands():
        parts.append(f"\n## `{' '.join(words)}`\n")
        text, _, example = help_of(command).rpartition("Example: ")
        parts.append(f"{text.strip()}\n\n```console\n$ {example.strip()}\n```")
        own = [argument for argument in _arguments(command) if not _is_common(argument)]
        if own:
            parts.append("\n| parameter | |\n| --- | --- |")
            parts += [_parameter_row(argument) for argument in own]
    return "\n".join(parts) + "\n"


_PREFACE = """`billsmith COMMAND --help` shows each command. People get tables. Programs ask for `--json`, `--csv` or `--ids`: then standard output
holds the answer and nothing else, and everything besides goes to standard error. With `--json` it is exactly one JSON value, also when a
command fails (`{"error": {"code": …, "message": …, "where": …}}`; the codes are in [errors.md](../errors.md)).

Amounts in JSON and CSV are text such as `"18.90"`, so that no program rounds them; instants are RFC 3339 in UTC. What tenants typed is
shown and never acted on: control characters and marks that turn the writing direction appear as escapes, and no CSV cell is a formula.

An account (`ACCOUNT`) is named by its UUID or its external id. Where several accounts of one depth share an external id, the command says
so and names their UUIDs.
"""


def _arguments(command: App) -> list[Argument]:
    return [argument for argument in command.assemble_argument_collection(parse_docstring=True) if argument.show]


def _is_common(argument: Argument) -> bool:
    return argument.name.lstrip("-") in {"json", "csv", "ids", "home", "database-url"}


def _parameter_row(argument: Argument) -> str:
    positional = argument.field_info.kind in (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    name = argument.name.lstrip("-").upper() if positional else argument.name
    needed = "" if positional or not argument.required else " (required)"
    choices = argument.get_choices() or ()
    told = [argument.parameter.help or "", f"One of {', '.join(map(str, choices))}." if choices else ""]
    return f"| `{name}`{needed} | {' '.join(part for part in told if part)} |"


def settings_page() -> str:
    """The settings: variable, default, meaning."""
    parts = [_NOTE, "# Settings\n", _SETTINGS, "| variable | in billsmith.toml | default | |\n| --- | --- | --- | --- |"]
    described = _field_docs()
    for field in msgspec.structs.fields(Settings):
        default = "./billsmith-data" if field.name == "home" else _default(field.default)
        in_file = "" if field.name == "home" else f"`{field.name}`"
        parts.append(f"| `BILLSMITH_{field.name.upper()}` | {in_file} | {default} | {described.get(field.name, '')} |")
    return "\n".join([*parts, "", _VARIABLES])


_VARIABLES = """Two more are variables alone, so that no file of the data folder holds or widens what they guard:

| variable | |
| --- | --- |
| `BILLSMITH_SECRET_KEY` | The key (or new key and old, with a comma) that seals the secrets of connections with vendors; `billsmith sync new-key` makes one. |
| `BILLSMITH_ALLOW_PRIVATE` | Origins that requests of ours may go to though they are plain http, or not public: `http://127.0.0.1:8080,https://billing.internal`. |
"""

_SETTINGS = """From three places, in rising order of precedence: `BILLSMITH_…` variables, the file `billsmith.toml` in the data folder, and flags of the
command line. Lists are separated by commas in variables and are lists in the file.
"""


def _default(value: Any) -> str:
    if value == "" or value is msgspec.NODEFAULT:
        return ""
    if isinstance(value, tuple | list):
        return ", ".join(f"`{part}`" for part in value)
    return "" if isinstance(value, dict) or callable(value) else f"`{value}`"


def _field_docs() -> dict[str, str]:
    """The text that stands below each field of the settings."""
    body = ast.parse(textwrap.dedent(inspect.getsource(Settings))).body[0]
    assert isinstance(body, ast.ClassDef)
    docs = {}
    for statement, following in zip(body.body, body.body[1:], strict=False):
        if isinstance(statement, ast.AnnAssign) and isinstance(following, ast.Expr):
            assert isinstance(statement.target, ast.Name)
            assert isinstance(following.value, ast.Constant)
            docs[statement.target.id] = " ".join(str(following.value.value).split())
    return docs
