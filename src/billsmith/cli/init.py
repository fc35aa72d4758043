"""``billsmith init``: make the store, or bring it to this program's form."""

from __future__ import annotations

from pathlib import Path

from billsmith.cli.common import PLAIN, Common, has_store, settings_of
from billsmith.cli.output import Record, note
from billsmith.cli.verify import report_of
from billsmith.server import settings as server_settings
from billsmith.storage import upgrade
from billsmith.storage.verify import check_file
from billsmith.units.errors import Invalid, Unavailable
from billsmith.workflows.clock import system_clock


def init(*, common: Common = PLAIN) -> int:
    """Make the data folder and the store in it, or bring an older one up to date; again and again without harm.

    The folder may hold other files; they are left alone. An older store is checked before and after it is brought up to date.

    Example: billsmith init --home ~/billing
    """
    settings = settings_of(common)
    if not settings.database_url:
        _make_folder(settings.home)
    existed = has_store(settings)
    database = server_settings.open_database(settings)
    try:
        before = upgrade.form_of(database) if existed else None
        if before not in (None, upgrade.newest_form()):
            _refuse_damaged(check_file(database))
        found, now = upgrade.upgrade(database, system_clock())
        problems = _verify_after(report_of(database)) if found not in (None, now) else 0
    finally:
        database.close()
    did = "created" if found is None else "unchanged" if found == now else "upgraded"
    common.show(
        Record(
            row={
                "did": did,
                "home": str(settings.home),
                "database": database.url.render_as_string(hide_password=True),
                "form_before": found,
                "form": now,
            },
            id_field="home",
        )
    )
    if did == "created":
        note("next: billsmith accounts create NAME --currency EUR --timezone Europe/Amsterdam")
    return 1 if problems else 0


def _make_folder(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise Invalid(f"{folder} is a file; name a folder with --home", code="settings.home", where="home")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise Unavailable(f"the data folder {folder} can't be made: {error.strerror}", code="store.cannot_write") from error


def _refuse_damaged(problems: list[str]) -> None:
    if problems:
        raise Unavailable(
            f"the store is damaged ({problems[0]}); it was left as it is. Restore a backup: billsmith restore FILE",
            code="store.damaged",
        )


def _verify_after(problems: int) -> int:
    if problems:
        note(f"the store has {problems} problems; `billsmith verify` lists them")
    return problems
