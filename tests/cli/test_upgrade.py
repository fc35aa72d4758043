"""`billsmith init` on an older store: checked before, upgraded, verified after; a damaged one is left alone."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest

from billsmith.storage import upgrade
from tests.cli.run import Program
from tests.cli.test_commands import stocked
from tests.storage.test_upgrade import NEXT


@pytest.fixture
def older(program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    """A store that this program's next release finds."""
    stocked(program)
    folder = tmp_path / "migrations"
    last = upgrade.newest_form()
    shutil.copytree(str(upgrade.migrations_folder()), folder)
    (folder / "versions" / "0002_next.py").write_text(NEXT.format(last=last))
    monkeypatch.setattr(upgrade, "migrations_folder", lambda: folder)
    return program


def test_init_brings_an_older_store_up_to_date(older: Program) -> None:
    ran = older("accounts", "list")
    assert (ran.code, "billsmith init" in ran.err) == (78, True)
    did = older.json("init")
    assert (did["did"], did["form_before"], did["form"]) == ("upgraded", "0001", "0002")
    assert older.json("verify")["ok"]


def test_a_damaged_store_is_not_upgraded(older: Program) -> None:
    connection = sqlite3.connect(older.home / "billsmith.db")
    connection.execute("PRAGMA foreign_keys = OFF")
    connection.execute("DELETE FROM account WHERE seq = 1")
    connection.commit()
    connection.close()
    ran = older("init")
    assert (ran.code, "store.damaged" in ran.err) == (75, True)
    with sqlite3.connect(older.home / "billsmith.db") as again:
        assert again.execute("SELECT version_num FROM alembic_version").fetchall() == [("0001",)]
