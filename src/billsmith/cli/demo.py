"""``billsmith demo``: the main job, shown: one store, four vendors' clients, their calls and the answers."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import Parameter

from billsmith.cli import demo_world
from billsmith.cli.common import PLAIN, Common, settings_of
from billsmith.cli.demo_calls import Answered, Call, ask, calls_of
from billsmith.cli.output import Form, Listing, Record, note, show
from billsmith.documents.inert import visible
from billsmith.server import run
from billsmith.server.settings import Settings, open_database
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
    """Show the main job: make a fresh demo store, start the server, make four vendors' calls, leave the server running.

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
        world = demo_world.build(database, system_clock())
        say(f"\nA fresh store with demo accounts, invoices and keys in {settings.home}: {time.monotonic() - began:.1f} s.")

        def started(address: str, stop: Callable[[], None]) -> None:
            calls = calls_of(world, address)
            threading.Thread(target=talk, args=(address, calls, stop), daemon=True).start()

        def talk(address: str, calls: Sequence[Callable[[], Call]], stop: Callable[[], None]) -> None:
            try:
                answers = [ask(call) for call in calls]
                _tell(common, address, answers)
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


def _tell(common: Common, address: str, answers: Sequence[Answered]) -> None:
    if common.form is not Form.PEOPLE:
        rows = [
            {"vendor": given.call.vendor, "curl": given.call.curl, "status": given.status, "answer": msgspec.Raw(given.body)}
            for given in answers
        ]
        if common.form is Form.JSON:
            show(Record(row={"address": address, "calls": rows}), Form.JSON)
        else:
            plain_rows = [{**row, "answer": given.body.decode()} for row, given in zip(rows, answers, strict=True)]
            show(Listing(rows=plain_rows, columns=("vendor", "curl", "status", "answer"), id_field="vendor"), common.form)
        return
    for given in answers:
        print(f"\n\x1b[1m{given.call.title}\x1b[0m" if sys.stdout.isatty() else f"\n== {given.call.title}")
        print(f"$ {given.call.curl}\n")
        print(f"HTTP {given.status}")
        lines = msgspec.json.format(given.body, indent=2).decode().splitlines()
        print("\n".join(visible(line) for line in lines[:MOST_LINES]))
        if len(lines) > MOST_LINES:
            print(f"… and {len(lines) - MOST_LINES} lines more")
