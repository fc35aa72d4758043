"""P21: the databases and backups of earlier releases still open, upgrade, verify, and say the same of every invoice."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest
import zstandard

from billsmith import __version__
from billsmith.storage import backup, upgrade
from billsmith.storage.database import Database, sqlite_url
from billsmith.storage.verify import check_file, verify
from scripts.make_release_fixture import RELEASES, totals
from tests.support.house import NOW

FILES = sorted(RELEASES.glob("*.db.zst"))


def expected(file: Path) -> object:
    return json.loads((RELEASES / f"{file.name.removesuffix('.db.zst')}.json").read_text())


def test_this_release_is_among_them() -> None:
    assert RELEASES / f"{__version__}.db.zst" in FILES


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_database_of_a_release_upgrades_and_verifies(file: Path, tmp_path: Path) -> None:
    (tmp_path / "billsmith.db").write_bytes(zstandard.ZstdDecompressor().decompress(file.read_bytes()))
    with closing(Database(sqlite_url(tmp_path))) as database:
        assert check_file(database) == []
        upgrade.upgrade(database, NOW)
        assert verify(database).problems == []
        assert totals(database) == expected(file)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_backup_of_a_release_restores_on_either_engine(file: Path, empty_database: Database) -> None:
    backup.restore(empty_database, file.with_name(file.name.replace(".db.zst", ".backup")))
    assert verify(empty_database).problems == []
    assert totals(empty_database) == expected(file)
