"""``billsmith demo``: the main jobs, shown: a year of usage billed and explained; one store, four vendors' clients, their calls
and the answers."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec
from cyclopts import Parameter

from billsmith.accounts.model import Account
from billsmith.cli import demo_companies, demo_world, demo_year
from billsmith.cli.common import PLAIN, Common, settings_of
from billsmith.cli.demo_calls import Answered, Call, ask, calls_of
from billsmith.cli.demo_year import Billed, Told
from billsmith.cli.output import Form, Listing, Record, note, show
from billsmith.cli.progress import progress
from billsmith.documents.inert import visible
from billsmith.server import run
from billsmith.server.settings import Settings, open_database, open_usage
from billsmith.storage.database import Database
from billsmith.units.errors import Conflict
from billsmith.workflows.clock import system_clock

#: Lines of an answer that people are shown.
MOST_LINES = 34


def demo(
    *,
    port: Annotated[int, Parameter(help="The port; 0 takes any that is free.")] = 8080,
    once: Annotated[bool, Parameter(negative=(), help="End after the calls.")] = False,
    common: Common = PLAIN,
) -> int:
    """Show the main jobs: bill a year of four companies, start the server, make four vendors' calls, leave the server running.

    The store is made anew in ./.demo (or --home) each time; it never touches another. Ctrl-C ends it.

    Example: billsmith demo --port 8080
    """
    settings_of(common)  # checks the options that every command has
    settings = Settings(home=common.home or Path(".demo"), port=port)
    if port and not run.port_is_free(settings.host, port):
        raise Conflict(f"port {port} is taken; name another with --port", code="server.port_taken", where="port")
    with demo_world.fresh_folder(settings.home):
        return _run(settings, common, once)


def _run(settings: Settings, common: Common, once: bool) -> int:
    began = time.monotonic()
    say = print if common.form is Form.PEOPLE else note
    database = open_database(settings)
    failed: list[BaseException] = []
    try:
        now = system_clock()
        root = demo_world.root_of(database, now)
        year = _year(settings, database, root, now)
        if common.form is Form.PEOPLE:
            _tell_year(settings, year)
        world = demo_world.build(database, root, now)
        say(f"\nA fresh store with demo accounts, invoices and keys in {settings.home}: {time.monotonic() - began:.1f} s.")

        def started(address: str, stop: Callable[[], None]) -> None:
            calls = calls_of(world, address)
            threading.Thread(target=talk, args=(address, calls, stop), daemon=True).start()

        def talk(address: str, calls: Sequence[Callable[[], Call]], stop: Callable[[], None]) -> None:
            try:
                answers = [ask(call) for call in calls]
                _tell(common, address, answers, year)
                say(f"\nFrom nothing to the last answer: {time.monotonic() - began:.1f} s.")
                if not once:
                    say(f"The server runs at {address} until Ctrl-C. Paste any of the lines above, or: curl {address}/healthz")
            except BaseException as error:
                failed.append(error)
                stop()
            if once:
                stop()

        run.serve(settings, database, started=started)
    finally:
        database.close()
    if failed:
        raise failed[0]
    return 0


class Year(NamedTuple):
    """What four companies billed in twelve months, and one invoice explained."""

    billed: list[Billed]
    explained: Told


def _year(settings: Settings, database: Database, root: Account, now: int) -> Year:
    usage = open_usage(settings, database)
    try:
        with progress("months billed", demo_year.MONTHS * len(demo_companies.COMPANIES)) as advance:
            billed = demo_year.live(database, usage.store, root, now, advance)
        return Year(billed, demo_year.told(database, usage.store))
    finally:
        usage.close()


def _tell_year(settings: Settings, year: Year) -> None:
    _title("Four companies, a year of usage, twelve months billed")
    for each in year.billed:
        print(f"{each.company:14} {each.events:>5} events {each.documents:>4} invoices {each.total:>10} {each.currency}")
    _title("One invoice explained")
    print(f"$ billsmith invoices explain {year.explained.number} --home {settings.home}\n")
    print("\n".join(demo_year.in_words(year.explained)))


def _title(text: str) -> None:
    print(f"\n\x1b[1m{text}\x1b[0m" if sys.stdout.isatty() else f"\n== {text}")


def _tell(common: Common, address: str, answers: Sequence[Answered], year: Year) -> None:
    if common.form is not Form.PEOPLE:
        rows = [
            {"vendor": given.call.vendor, "curl": given.call.curl, "status": given.status, "answer": msgspec.Raw(given.body)}
            for given in answers
        ]
        if common.form is Form.JSON:
            billed = [msgspec.to_builtins(each) for each in year.billed]
            explained = "\n".join(demo_year.in_words(year.explained))
            show(Record(row={"address": address, "companies": billed, "explained": explained, "calls": rows}), Form.JSON)
        else:
            plain_rows = [{**row, "answer": given.body.decode()} for row, given in zip(rows, answers, strict=True)]
            show(Listing(rows=plain_rows, columns=("vendor", "curl", "status", "answer"), id_field="vendor"), common.form)
        return
    for given in answers:
        _title(given.call.title)
        print(f"$ {given.call.curl}\n")
        print(f"HTTP {given.status}")
        lines = msgspec.json.format(given.body, indent=2).decode().splitlines()
        print("\n".join(visible(line) for line in lines[:MOST_LINES]))
        if len(lines) > MOST_LINES:
            print(f"… and {len(lines) - MOST_LINES} lines more")
