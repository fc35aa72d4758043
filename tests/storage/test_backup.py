"""P14: a backup is taken while others write, restores on either engine, and a flipped bit in it is seen."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import zstandard

from billsmith.storage import backup, upgrade
from billsmith.storage.database import Database, sqlite_url
from billsmith.storage.verify import verify
from billsmith.units.errors import Conflict, Invalid, Unavailable
from tests.support import postgres
from tests.support.house import NOW, House
from tests.support.stock import stock


@contextmanager
def new_store(engine: str, folder: Path) -> Iterator[Database]:
    """An empty database of an engine, without tables."""
    folder.mkdir(exist_ok=True)
    url = sqlite_url(folder) if engine == "sqlite" else postgres.fresh_database()
    with closing(Database(url)) as database:
        yield database
    if engine == "postgres":
        postgres.drop_database(url)


def content(file: Path) -> list[bytes]:
    """A backup's lines below the header."""
    with file.open("rb") as raw, zstandard.ZstdDecompressor().stream_reader(raw) as stream:
        return stream.read().splitlines()[1:]


@pytest.mark.parametrize("into", ["sqlite", "postgres"])
def test_a_restored_backup_is_the_same_store_on_either_engine(house: House, tmp_path: Path, into: str) -> None:
    stock(house)
    made = backup.backup(house.database, tmp_path / "a", now=NOW)
    with new_store(into, tmp_path / "new") as database:
        backup.restore(database, made.file)
        report = verify(database)
        assert report.problems == []
        assert report.invoices == 8
        assert content(backup.backup(database, tmp_path / "b", now=NOW).file) == content(made.file)


@pytest.mark.parametrize("into", ["sqlite", "postgres"])
def test_work_goes_on_after_a_restore(sqlite_house: House, tmp_path: Path, into: str) -> None:
    stock(sqlite_house)
    made = backup.backup(sqlite_house.database, tmp_path / "a", now=NOW)
    with new_store(into, tmp_path / "new") as database:
        backup.restore(database, made.file)
        restored = House(database, first_id=1000)
        root = restored.account("Another root")
        assert restored.invoice(root, root).invoice.number == "INV-2026-000001"
        assert verify(database).problems == []


def test_a_flipped_bit_anywhere_is_seen(sqlite_house: House, tmp_path: Path) -> None:
    stock(sqlite_house)
    made = backup.backup(sqlite_house.database, tmp_path / "a", now=NOW)
    whole = made.file.read_bytes()
    flipped = tmp_path / "flipped"
    for place in [*range(0, len(whole), max(len(whole) // 400, 1)), len(whole) - 1]:
        flipped.write_bytes(whole[:place] + bytes([whole[place] ^ (1 << place % 8)]) + whole[place + 1 :])
        with pytest.raises(Invalid, match="not a whole backup"):
            backup.inspect(flipped)


def test_control_without_the_seal_a_changed_backup_passes(
    sqlite_house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stock(sqlite_house)
    made = backup.backup(sqlite_house.database, tmp_path / "a", now=NOW)
    with made.file.open("rb") as raw, zstandard.ZstdDecompressor().stream_reader(raw) as stream:
        changed = stream.read().replace(b"Partner =1+1", b"Partner =9+9")
    made.file.write_bytes(zstandard.ZstdCompressor().compress(changed) + backup._SEAL + bytes(32))
    with pytest.raises(Invalid):
        backup.inspect(made.file)
    monkeypatch.setattr(backup, "_check_seal", lambda _file: "")
    assert backup.inspect(made.file).rows == made.rows


def test_a_backup_cut_short_is_seen(sqlite_house: House, tmp_path: Path) -> None:
    stock(sqlite_house)
    made = backup.backup(sqlite_house.database, tmp_path / "a", now=NOW)
    whole = made.file.read_bytes()
    for length in [0, 1, 39, 40, 41, len(whole) // 2, len(whole) - 41, len(whole) - 1]:
        made.file.write_bytes(whole[:length])
        with pytest.raises(Invalid):
            backup.inspect(made.file)


def test_nothing_is_overwritten_unless_asked(sqlite_house: House, tmp_path: Path) -> None:
    stock(sqlite_house)
    file = tmp_path / "a"
    file.write_text("mine")
    with pytest.raises(Conflict):
        backup.backup(sqlite_house.database, file, now=NOW)
    assert file.read_text() == "mine"
    backup.backup(sqlite_house.database, file, now=NOW, force=True)
    assert [entry.name for entry in tmp_path.iterdir() if "part" in entry.name] == []
    with pytest.raises(Conflict):
        backup.restore(sqlite_house.database, file)


def test_a_restore_by_force_replaces_all(house: House, tmp_path: Path) -> None:
    accounts = stock(house)
    made = backup.backup(house.database, tmp_path / "a", now=NOW)
    house.invoice(accounts["root"], accounts["partner"], "999.00")
    backup.restore(house.database, made.file, force=True)
    assert content(backup.backup(house.database, tmp_path / "b", now=NOW).file) == content(made.file)
    assert verify(house.database).problems == []


def test_a_backup_of_a_newer_program_is_refused(sqlite_house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as later:
        later.setattr(upgrade, "newest_form", lambda: "9999")
        made = backup.backup(sqlite_house.database, tmp_path / "a", now=NOW)
    with new_store("sqlite", tmp_path / "new") as database, pytest.raises(Unavailable, match="newer billsmith"):
        backup.restore(database, made.file)


def test_a_restore_that_dies_leaves_what_was_there(house: House, tmp_path: Path) -> None:
    accounts = stock(house)
    made = backup.backup(house.database, tmp_path / "a", now=NOW)
    house.invoice(accounts["root"], accounts["partner"], "999.00")
    house.database.close()
    child = os.fork()
    if not child:
        try:
            backup.restore(house.database, made.file, force=True, progress=lambda _count: os.kill(os.getpid(), signal.SIGKILL))
        finally:
            os._exit(0)
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1])
    report = verify(house.database)
    assert (report.invoices, report.problems) == (9, [])


@contextmanager
def writer(house: House, url: str) -> Iterator[int]:
    """A process that issues invoices as fast as it can; each one's number comes through the pipe once it is durable."""
    read_end, write_end = os.pipe()
    house.database.close()
    child = os.fork()
    if not child:
        try:
            busy = House(Database(url), first_id=1000)
            root = busy.account("Writer", external_id="writer")
            while True:
                issued = busy.invoice(root, root, "12.50").invoice
                os.write(write_end, issued.number.encode() + b"\n")
        finally:
            os._exit(1)
    os.close(write_end)
    try:
        yield read_end
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(read_end)


def acknowledged(pipe: int, at_least: int) -> set[str]:
    """Numbers that the writer said were durable; waits for so many."""
    seen = b""
    while seen.count(b"\n") < at_least:
        piece = os.read(pipe, 65536)
        assert piece, "the writer died"
        seen += piece
    return set(seen[: seen.rindex(b"\n")].decode().split("\n"))


def numbers(database: Database) -> set[str]:
    """The numbers of all invoices of a store."""
    with database.read() as connection:
        return {row[0] for row in connection.exec_driver_sql("SELECT number FROM invoice")}


def test_a_backup_while_another_process_writes_holds_all_that_was_acknowledged(house: House, tmp_path: Path) -> None:
    url = house.database.url.render_as_string(hide_password=False)
    stock(house)
    with writer(house, url) as pipe:
        for turn in range(2):
            before = acknowledged(pipe, 20)
            made = backup.backup(house.database, tmp_path / f"{turn}", now=NOW)
            with new_store("sqlite", tmp_path / f"new{turn}") as database:
                backup.restore(database, made.file)
                assert verify(database).problems == []
                assert before <= numbers(database)


def test_control_a_copy_of_the_bare_file_while_another_writes_is_not_the_store(sqlite_house: House, tmp_path: Path) -> None:
    url = sqlite_house.database.url.render_as_string(hide_password=False)
    stock(sqlite_house)
    assert sqlite_house.database.file is not None
    copy = tmp_path / "copied"
    copy.mkdir()
    with writer(sqlite_house, url) as pipe:
        before = acknowledged(pipe, 20)
        shutil.copy(sqlite_house.database.file, copy)
    with closing(Database(sqlite_url(copy))) as database:
        assert not _is_whole(database, before)


def _is_whole(database: Database, wanted: set[str]) -> bool:
    try:
        return verify(database).ok and wanted <= numbers(database)
    except Exception:  # whatever a torn file raises, it is not the store
        return False
