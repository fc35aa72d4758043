"""What every command takes and needs: the form of its answer, the settings, the opened store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Group, Parameter

from billsmith.cli.output import Answer, Form, show
from billsmith.server import settings as server_settings
from billsmith.server.settings import Settings
from billsmith.storage import upgrade
from billsmith.storage.database import Database
from billsmith.units.errors import Invalid, Unavailable
from billsmith.workflows.usage_store import Usage

#: How history names whoever works at the command line.
ACTOR = "command line"

_EVERYWHERE = Group("On every command", sort_key=100)


@Parameter(name="*", group=_EVERYWHERE)
@dataclass(frozen=True, kw_only=True)
class Common:
    """The options of every command. (A dataclass, because the command line's library fills no other kind of record.)"""

    json: Annotated[bool, Parameter(negative=(), help="One JSON value on standard output, all else on standard error.")] = False
    csv: Annotated[bool, Parameter(negative=(), help="CSV with a header; no cell is a formula.")] = False
    ids: Annotated[bool, Parameter(negative=(), help="Only the ids, one a line.")] = False
    home: Annotated[Path | None, Parameter(help="The data folder (BILLSMITH_HOME; ./billsmith-data).")] = None
    database_url: Annotated[
        str | None, Parameter(help="PostgreSQL instead of the data folder's SQLite (BILLSMITH_DATABASE_URL).")
    ] = None

    @property
    def form(self) -> Form:
        """For whom the answer is. Raises :class:`Invalid` when more than one was asked for."""
        chosen = [form for form in (Form.JSON, Form.CSV, Form.IDS) if getattr(self, form.value)]
        if len(chosen) > 1:
            raise Invalid("--json, --csv and --ids exclude each other; give one", code="usage.forms")
        return chosen[0] if chosen else Form.PEOPLE

    def show(self, answer: Answer) -> None:
        """Write the answer in the form that was asked for."""
        show(answer, self.form)


#: No option given.
PLAIN = Common()


def settings_of(common: Common, **flags: object) -> Settings:
    """The settings with this command's flags on top. Checks the form too, before anything is done."""
    _ = common.form
    return server_settings.load({"home": common.home, "database_url": common.database_url, **flags})


@contextmanager
def opened(common: Common, **flags: object) -> Iterator[Database]:
    """The store, opened and of this program's form. Raises :class:`Unavailable`, which says what to run first."""
    settings = settings_of(common, **flags)
    with opened_store(settings) as database:
        upgrade.check(database)
        yield database


@contextmanager
def opened_with_usage(common: Common, **flags: object) -> Iterator[tuple[Database, Usage]]:
    """The store and its usage store: this process's own, or that of the process that has it open (``billsmith serve``)."""
    settings = settings_of(common, **flags)
    with opened(common, **flags) as database:
        usage = server_settings.open_usage(settings, database)
        try:
            yield database, usage
        finally:
            usage.close()


@contextmanager
def opened_store(settings: Settings) -> Iterator[Database]:
    """The store that the settings name, whatever its form."""
    if not has_store(settings):
        raise Unavailable(
            f"there is no billsmith data in {settings.home}; run `billsmith init` first, or name the folder with --home",
            code="store.missing",
        )
    database = server_settings.open_database(settings)
    try:
        yield database
    finally:
        database.close()


def has_store(settings: Settings) -> bool:
    """Whether there is something to open: on SQLite a file; PostgreSQL is asked when it is opened."""
    return bool(settings.database_url) or server_settings.sqlite_file(settings).exists()
