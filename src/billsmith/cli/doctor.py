"""``billsmith doctor``: is this machine fit for the work?"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from billsmith.cli.common import PLAIN, Common, has_store, opened_store, settings_of
from billsmith.cli.output import Listing, note
from billsmith.server.run import port_is_free
from billsmith.server.settings import Settings, open_usage
from billsmith.storage import checkup, upgrade
from billsmith.storage.checkup import Finding, State
from billsmith.storage.database import Database
from billsmith.units.errors import BillsmithError
from billsmith.workflows import usage_health
from billsmith.workflows.clock import system_clock


def doctor(*, common: Common = PLAIN) -> int:
    """Look at Python, SQLite, the data folder, the disk, the database's form and settings, usage, the clock and the port.

    Exit code 1 means that something is bad; each finding says how to mend it. The data itself is `billsmith verify`'s business.

    Example: billsmith doctor
    """
    findings = list(_findings(settings_of(common)))
    common.show(
        Listing(
            rows=[{**msgspec.structs.asdict(finding), "state": finding.state.value} for finding in findings],
            columns=("what", "state", "found", "mend"),
            id_field="what",
        )
    )
    bad = [finding for finding in findings if finding.state is State.BAD]
    if bad:
        note(f"{len(bad)} of {len(findings)} findings are bad")
    return 1 if bad else 0


def _usage(settings: Settings, database: Database, now: int) -> Iterator[Finding]:
    try:
        upgrade.check(database)
    except BillsmithError:  # of another form, as was said already
        return
    usage = open_usage(settings, database)
    try:
        yield from usage_health.findings(database, usage, now)
    finally:
        usage.close()


def _findings(settings: Settings) -> Iterator[Finding]:
    now = system_clock()
    yield from checkup.machine(now)
    if not settings.database_url:
        yield from checkup.folder(settings.home)
    if has_store(settings):
        with opened_store(settings) as database:
            yield from checkup.store(database, now)
            yield from _usage(settings, database, now)
    else:
        yield Finding(what="database", state=State.BAD, found="there is none", mend="run `billsmith init`")
    free = port_is_free(settings.host, settings.port)
    yield Finding(
        what="port",
        state=State.OK if free else State.WARNING,
        found=f"{settings.host}:{settings.port} is {'free' if free else 'taken'}",
        mend="" if free else "the server may be running already; else name another with --port",
    )
