"""P21: a database moves forward in one transaction, and never under an older program. A kill leaves the old or the new form."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import event, inspect

from billsmith.storage import upgrade
from billsmith.storage.database import Database
from billsmith.storage.schema import metadata
from billsmith.storage.verify import verify
from billsmith.units.errors import Unavailable
from tests.support.house import NOW, House
from tests.support.stock import stock

NEXT = '''"""The next form, made up for this test."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "{last}"
branch_labels = None
depends_on = None


def upgrade():
    op.add_column("account", sa.Column("motto", sa.Text))
    op.execute("UPDATE account SET motto = name")
    op.create_table("motto", sa.Column("id", sa.Integer, primary_key=True))
    op.execute("INSERT INTO motto (id) SELECT seq FROM account")
'''


@pytest.fixture
def next_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The program of a release to come, which knows one form more."""
    folder = tmp_path / "migrations"
    last = upgrade.newest_form()
    shutil.copytree(str(upgrade.migrations_folder()), folder)
    (folder / "versions" / "0002_next.py").write_text(NEXT.format(last=last))
    with monkeypatch.context() as patched:
        patched.setattr(upgrade, "migrations_folder", lambda: folder)
        yield


def tables(database: Database) -> set[str]:
    with database.read() as connection:
        return set(inspect(connection).get_table_names())


def test_a_new_database_is_made_once(empty_database: Database) -> None:
    assert upgrade.form_of(empty_database) is None
    assert upgrade.upgrade(empty_database, NOW) == (None, upgrade.newest_form())
    assert upgrade.upgrade(empty_database, NOW) == (upgrade.newest_form(), upgrade.newest_form())
    upgrade.check(empty_database)
    assert tables(empty_database) == {*metadata.tables, "alembic_version"}


def test_a_store_that_was_never_made_is_named(empty_database: Database) -> None:
    with pytest.raises(Unavailable, match="billsmith init"):
        upgrade.check(empty_database)


def test_an_older_store_is_refused_until_it_is_upgraded(house: House, request: pytest.FixtureRequest) -> None:
    stock(house)
    request.getfixturevalue("next_program")
    with pytest.raises(Unavailable, match="older billsmith"):
        upgrade.check(house.database)
    assert verify(house.database).ok
    assert upgrade.upgrade(house.database, NOW) == ("0001", "0002")
    upgrade.check(house.database)
    assert verify(house.database).ok


def test_a_newer_store_is_refused_and_left_alone(house: House) -> None:
    with house.database.write() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    for call in (lambda: upgrade.check(house.database), lambda: upgrade.upgrade(house.database, NOW)):
        with pytest.raises(Unavailable, match="newer billsmith"):
            call()
    assert upgrade.form_of(house.database) == "9999"


def killed_at(database: Database, statement: int, work: Callable[[Database], object]) -> bool:
    """Do some work in a process that dies before its ``statement``-th statement; whether it did (else it came through)."""
    database.close()
    child = os.fork()
    if child:
        return os.WIFSIGNALED(os.waitpid(child, 0)[1])
    try:
        with closing(Database(database.url.render_as_string(hide_password=False))) as again:
            seen = 0

            @event.listens_for(again.engine, "before_cursor_execute")
            def _count(*_: object) -> None:
                nonlocal seen
                seen += 1
                if seen == statement:
                    os.kill(os.getpid(), signal.SIGKILL)

            work(again)
    finally:
        os._exit(0)


def test_a_kill_at_any_statement_of_the_first_upgrade_leaves_nothing_or_all(empty_database: Database) -> None:
    step = 3 if empty_database.is_sqlite else 9
    statement = 1
    while killed_at(empty_database, statement, lambda opened: upgrade.upgrade(opened, NOW)):
        assert tables(empty_database) == set(), f"after statement {statement}"
        statement += step
    assert statement > len(metadata.tables)
    assert tables(empty_database) == {*metadata.tables, "alembic_version"}
    assert verify(empty_database).ok


def test_a_kill_in_a_later_upgrade_leaves_the_old_or_the_new_form(house: House, next_program: None) -> None:
    stock(house)
    statement = 1
    while killed_at(house.database, statement, lambda opened: upgrade.upgrade(opened, NOW)):
        assert upgrade.form_of(house.database) == "0001"
        assert "motto" not in tables(house.database)
        assert verify(house.database).ok
        statement += 1
    assert statement > 4
    assert upgrade.form_of(house.database) == "0002"
    assert verify(house.database).ok


def test_control_without_a_transaction_a_kill_leaves_half(tmp_path: Path) -> None:
    half = Database(f"sqlite:///{tmp_path / 'half.db'}")

    def every_statement_on_its_own(opened: Database) -> None:
        with opened.engine.connect() as connection:
            connection.exec_driver_sql("COMMIT")
            upgrade.make(connection, "head")

    assert killed_at(half, 12, every_statement_on_its_own)
    assert set() < tables(half) < {*metadata.tables, "alembic_version"}
    half.close()
