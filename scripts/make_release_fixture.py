"""Writes this release's database into tests/cases/releases/: what every later release must still read (promise P21).

    PYTHONPATH=src:. python scripts/make_release_fixture.py

Three files: the SQLite database (compressed), a backup of it, and the totals that must come out. Run it once a release, as the
release is made; a file of an earlier release is never written again. The last three releases are kept.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import zstandard

from billsmith import __version__
from billsmith.storage import backup, invoices
from billsmith.storage.database import Database, sqlite_url
from tests.support.house import NOW, House
from tests.support.stock import stock

RELEASES = Path(__file__).parents[1] / "tests" / "cases" / "releases"


def totals(database: Database) -> dict[str, list[str | int]]:
    """What a release must still say of each invoice, by its id."""
    with database.read() as connection:
        stored = invoices.newest(connection, None)
    return {
        found.invoice.id: [found.invoice.number, found.invoice.status.word, found.invoice.total_minor, found.invoice.paid_minor]
        for found in stored
    }


def main() -> None:
    """Make the files."""
    RELEASES.mkdir(parents=True, exist_ok=True)
    if any(RELEASES.glob(f"{__version__}.*")) and "--again" not in sys.argv:
        sys.exit(f"the files of {__version__} are there; before the release itself, write them anew with --again")
    with tempfile.TemporaryDirectory() as folder:
        database = Database(sqlite_url(Path(folder)))
        stock(House(database))
        backup.backup(database, RELEASES / f"{__version__}.backup", now=NOW, force=True)
        (RELEASES / f"{__version__}.json").write_text(json.dumps(totals(database), indent=1) + "\n")
        database.close()  # the last connection folds the write-ahead log into the file
        assert database.file is not None
        whole = database.file.read_bytes()
    (RELEASES / f"{__version__}.db.zst").write_bytes(zstandard.ZstdCompressor(level=19).compress(whole))


if __name__ == "__main__":
    main()
