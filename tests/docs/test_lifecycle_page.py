"""docs/lifecycle.md: its commands are commands, and its program computes the chain of a backup without billsmith."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from billsmith.cli.app import app
from billsmith.storage.backup import backup
from billsmith.storage.verify import verify
from tests.cli.run import Program
from tests.support.house import House
from tests.support.stock import stock
from tests.support.tamper import unprotected

PAGE = (Path(__file__).parents[2] / "docs" / "lifecycle.md").read_text("utf-8")
BLOCKS = re.sub(r"\\\n\s*", " ", "\n".join(re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)))
COMMANDS = [line.partition("   ")[0].partition(" #")[0] for line in BLOCKS.splitlines() if line.startswith("billsmith ")]


@pytest.mark.parametrize("command", COMMANDS)
def test_the_commands_parse(command: str) -> None:
    called, _, _ = app.parse_args(shlex.split(command)[1:], exit_on_error=False, print_error=False)
    assert callable(called)


def test_commands_were_found() -> None:
    assert len(COMMANDS) >= 2


def test_the_program_computes_the_chains_of_a_backup(
    sqlite_house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [program] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    script, file = tmp_path / "chain.py", tmp_path / "all.billsmith"
    script.write_text(program)
    stock(sqlite_house)
    backup(sqlite_house.database, file, now=sqlite_house.now)
    heads = verify(sqlite_house.database).chains
    assert heads
    ran = Program(tmp_path / "nothing", "", monkeypatch)("verify", str(file), "--json")
    assert (ran.code, ran.json["ok"]) == (0, True)
    assert ran.json["chains"] == [head._asdict() for head in heads]
    if shutil.which("zstd") is None:
        _stand_in(tmp_path, monkeypatch)
    assert sorted(run(script, file).splitlines()) == sorted(f"{head.issuer} {head.series} {head.digest}" for head in heads)

    with unprotected(sqlite_house.database) as connection:
        connection.exec_driver_sql("UPDATE invoice SET total_minor = total_minor + 1 WHERE number = 'INV-2026-000001'")
    backup(sqlite_house.database, file, now=sqlite_house.now, force=True)
    assert run(script, file) == "INV-2026-000001 is not what was issued\n"
    ran = Program(tmp_path / "nothing", "", monkeypatch)("verify", str(file), "--json")
    assert (ran.code, "chain" in {problem["check"] for problem in ran.json["problems"]}) == (1, True)


def run(script: Path, file: Path) -> str:
    done = subprocess.run([sys.executable, "-I", str(script), str(file)], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def _stand_in(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`zstd -dc` of the library, where the machine lacks the command."""
    program = folder / "bin" / "zstd"
    program.parent.mkdir()
    program.write_text(
        f"#!{sys.executable}\nimport sys, zstandard\n"
        "source = open(sys.argv[2], 'rb') if len(sys.argv) > 2 else sys.stdin.buffer\n"
        "zstandard.ZstdDecompressor().copy_stream(source, sys.stdout.buffer)\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
