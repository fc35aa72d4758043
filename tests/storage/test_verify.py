"""`billsmith verify` sees each kind of damage, and nothing where there is none."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
import zstandard

from billsmith.documents.packed import pack_content, unpack_content
from billsmith.invoicing.model import Content, Line, Party
from billsmith.storage.database import Database
from billsmith.storage.verify import MOST_TOLD, Report, verify
from billsmith.units.errors import Unavailable
from tests.support.house import House
from tests.support.stock import stock
from tests.support.tamper import unprotected

OURS = "(SELECT min(seq) FROM invoice WHERE paid_minor > 0)"


def test_a_sound_store_has_no_problem(house: House) -> None:
    stock(house)
    report = verify(house.database)
    assert report.problems == []
    assert (report.invoices, report.lines, report.unexplained_lines) == (8, 9, 0)
    # the usage store is another file, which the command line looks at (tests/cli/test_usage_upkeep.py)
    assert [name for name, count in report.checked.items() if not count] == ["usage"]


def test_an_empty_store_has_no_problem(house: House) -> None:
    assert verify(house.database).ok


@pytest.mark.parametrize(("check", "damage"), [
    ("sums", f"UPDATE invoice SET total_minor = total_minor + 1 WHERE seq = {OURS}"),
    ("sums", f"UPDATE invoice SET tax_minor = tax_minor + 1 WHERE seq = {OURS}"),
    ("sums", "UPDATE invoice_document SET body = (SELECT body FROM invoice_document WHERE invoice_seq = 2) WHERE invoice_seq = 1"),
    ("documents", f"DELETE FROM invoice_document WHERE invoice_seq = {OURS}"),
    ("rows", "UPDATE invoice SET stated_total = '999.99' WHERE stated_total IS NOT NULL"),
    ("rows", f"UPDATE invoice SET voided_at = 1 WHERE seq = {OURS}"),
    ("rows", f"UPDATE invoice SET period_end = period_start - 1 WHERE seq = {OURS}"),
    ("payments", f"UPDATE invoice SET paid_minor = paid_minor - 1 WHERE seq = {OURS}"),
    ("payments", f"DELETE FROM payment WHERE invoice_seq = {OURS}"),
    ("history", f"UPDATE invoice_history SET step = step + 1 WHERE invoice_seq = {OURS}"),
    ("viewers", "DELETE FROM invoice_viewer WHERE invoice_seq = 1"),
    ("viewers", "INSERT INTO invoice_viewer (viewer_seq, created_at, invoice_seq) VALUES (3, 1, 1)"),
    ("viewers", "UPDATE invoice_viewer SET created_at = created_at + 1 WHERE invoice_seq = 1"),
    ("tallies", "UPDATE invoice_tally SET count = count + 1"),
    ("tallies", "DELETE FROM invoice_tally"),
    ("batch tallies", "UPDATE batch_tally SET count = count - 1 WHERE count > 0"),
    ("recipient tallies", "UPDATE pair_tally SET count = count - 1 WHERE count > 0"),
    ("tallies", f"UPDATE invoice SET flags = flags + 8 WHERE seq = {OURS}"),
    ("versions", "UPDATE invoice_change SET version = version + 1000 WHERE invoice_seq = 2"),
    ("numbers", "UPDATE invoice SET number_key = 'x' WHERE number_key = 'inv-2026-000001'"),
    ("numbers", "UPDATE invoice SET number_key = 'inv-2026-000001' WHERE number_key = 'inv-2026-000002'"),
    ("numbers", "UPDATE number_series SET last = last + 1"),
    ("numbers", "UPDATE number_series SET last = last - 1 WHERE last > 1"),
    ("vendor ids", "UPDATE vendor_id SET our_seq = 999"),
    ("accounts", "UPDATE account SET path = '/7' || path WHERE seq = 2"),
    ("accounts", "UPDATE account SET profile = 'no JSON' WHERE seq = 3"),
    ("accounts", "UPDATE account SET status = 'asleep' WHERE seq = 3"),
    ("credentials", "UPDATE credential SET scopes = 'everything' WHERE seq = 1"),
    ("credentials", "DELETE FROM credential_secret WHERE credential_seq = 1"),
    ("credentials", "UPDATE credential_secret SET hash = 'bs_plain' WHERE credential_seq = 1"),
    ("parties", "UPDATE invoice SET issuer_seq = 3 WHERE seq = 1"),
])  # fmt: skip
def test_each_damage_is_seen_by_its_check(sqlite_house: House, check: str, damage: str) -> None:
    stock(sqlite_house)
    _see(sqlite_house, check, damage)


@pytest.mark.parametrize(("check", "damage"), [
    ("sums", "UPDATE invoice SET total_minor = total_minor + 1"),
    ("viewers", "DELETE FROM invoice_viewer"),
    ("tallies", "DELETE FROM invoice_tally"),
    ("numbers", "UPDATE number_series SET last = last + 1"),
])  # fmt: skip
def test_damage_is_seen_on_postgresql_too(postgres_house: House, check: str, damage: str) -> None:
    stock(postgres_house)
    _see(postgres_house, check, damage)


def _see(house: House, check: str, damage: str) -> None:
    with unprotected(house.database) as connection:
        assert connection.exec_driver_sql(damage).rowcount > 0
    report = verify(house.database)
    assert not report.ok
    assert check in {problem.check for problem in report.problems}
    assert all(problem.where and problem.what for problem in report.problems)


def test_a_flipped_bit_in_a_document_is_seen(sqlite_house: House) -> None:
    """The document's own checksum: without it many flips would just be another text or amount."""
    house = sqlite_house
    stock(house)
    with house.database.read() as connection:
        body = bytes(connection.exec_driver_sql("SELECT body FROM invoice_document WHERE invoice_seq = 1").scalar_one())
    missed = []
    content = unpack_content(body)
    for place in range(0, len(body), 5):
        flipped = body[:place] + bytes([body[place] ^ 0x10]) + body[place + 1 :]
        with unprotected(house.database) as connection:
            connection.exec_driver_sql("UPDATE invoice_document SET body = ? WHERE invoice_seq = 1", (flipped,))
        if verify(house.database).ok and unpack_content(flipped) != content:
            missed.append(place)
    assert missed == []


def test_control_without_its_checksum_a_document_may_change_unseen() -> None:
    body = zstandard.ZstdCompressor(level=3).compress(msgspec.msgpack.encode(CONTENT))
    assert any(_reads_otherwise(body, place, bit) for place in range(len(body)) for bit in range(8))
    assert not any(_reads_otherwise(pack_content(CONTENT), place, bit) for place in range(len(body)) for bit in range(8))


CONTENT = Content(
    issuer=Party(name="Issuer"), recipient=Party(name="Recipient"), lines=(Line(description="Service", amount_minor=1999),)
)


def _reads_otherwise(body: bytes, place: int, bit: int) -> bool:
    flipped = body[:place] + bytes([body[place] ^ (1 << bit)]) + body[place + 1 :]
    try:
        return unpack_content(flipped) != CONTENT
    except (zstandard.ZstdError, ValueError, MemoryError):
        return False


def test_flipped_bytes_in_the_file_are_seen_or_harmless(sqlite_house: House, tmp_path: Path) -> None:
    """Row 7 of the fault matrix on a small scale: every second page, one byte; never another total in silence."""
    stock(sqlite_house)
    with sqlite_house.database.write() as connection:
        connection.exec_driver_sql("SELECT 1")
    with sqlite_house.database.engine.connect() as connection:
        connection.exec_driver_sql("COMMIT")
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    sqlite_house.database.close()
    assert sqlite_house.database.file is not None
    whole = sqlite_house.database.file.read_bytes()
    seen = 0
    for page in range(4096, len(whole), 2 * 4096):
        place = page + 4080
        damaged = tmp_path / "damaged.db"
        damaged.write_bytes(whole[:place] + bytes([whole[place] ^ 0x04]) + whole[place + 1 :])
        seen += not _sound(damaged)
        for entry in tmp_path.glob("damaged.db*"):
            entry.unlink()
    assert seen > 0


def _sound(file: Path) -> bool:
    database = Database(f"sqlite:///{file}")
    try:
        report = verify(database)
    except (Unavailable, ValueError):
        return False
    finally:
        database.close()
    return report.ok


def test_many_problems_are_counted_and_the_first_told() -> None:
    report = Report()
    for number in range(MOST_TOLD + 5):
        report.add("sums", str(number), "off")
    assert (report.problems_found, len(report.problems)) == (MOST_TOLD + 5, MOST_TOLD)
