"""The program: its commands, and how an error becomes a message and an exit code."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence

from cyclopts import App, CycloptsError

from billsmith import __version__
from billsmith.cli import (
    accounts,
    audit,
    backup,
    bill,
    catalog,
    demo,
    doctor,
    drafts,
    events,
    imports,
    ingest,
    init,
    invoices,
    jobs,
    keys,
    mail,
    meters,
    rebill,
    reconcile,
    reminders,
    restore,
    serve,
    shadow,
    simulate,
    subscriptions,
    sync,
    usage,
    verify,
    version,
    wallets,
    webhooks,
)
from billsmith.cli import invoice_drafts as invoice_drafts  # adds commands to those of invoices
from billsmith.cli.exits import Exit, exit_code
from billsmith.cli.output import note
from billsmith.documents.inert import json_text
from billsmith.units.errors import BillsmithError, NotFound

app = App(
    name="billsmith",
    help="Usage-based billing and invoicing: one store, its own API and four vendors' APIs.",
    version=__version__,
    help_format="plaintext",
    result_action="return_value",
)
app.command(init.init)
app.command(serve.serve)
app.command(demo.demo)
app.command(accounts.app)
app.command(keys.app)
app.command(imports.import_file, name="import")
app.command(invoices.app)
app.command(catalog.app)
app.command(meters.app)
app.command(usage.usage)
app.command(sync.app)
app.command(reconcile.reconcile)
app.command(shadow.shadow)
app.command(rebill.rebill)
app.command(subscriptions.app)
app.command(wallets.agreements_app)
app.command(wallets.app)
app.command(ingest.ingest)
app.command(events.app)
app.command(bill.bill)
app.command(bill.rerate)
app.command(bill.due)
app.command(drafts.drafts)
app.command(jobs.app)
app.command(simulate.simulate)
app.command(audit.app)
app.command(webhooks.app)
app.command(mail.app)
app.command(reminders.app)
app.command(backup.backup)
app.command(restore.restore)
app.command(verify.verify)
app.command(doctor.doctor)
app.command(version.version)


def main() -> None:
    """Run the command line and end the process with its exit code."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command; gives its exit code. Nothing that a user can type ends in a trace of the program's insides."""
    as_json = "--json" in arguments
    try:
        result = app(list(arguments), exit_on_error=False, print_error=False)
        sys.stdout.flush()
    except CycloptsError as error:
        return _fail(as_json, Exit.USAGE, "usage.arguments", _usage(error), hint=f"see `{_help_command(arguments)}`")
    except BillsmithError as error:
        return _fail(as_json, exit_code(error), error.code, error.message, where=error.where)
    except FileNotFoundError as error:
        missing = NotFound(f"there is no file {error.filename}", code="input.no_such_file")
        return _fail(as_json, exit_code(missing), missing.code, missing.message)
    except KeyboardInterrupt:
        note("stopped")
        return Exit.INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has enough (`| head`); Python would complain once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.OK
    except OSError as error:
        return _fail(
            as_json, Exit.UNAVAILABLE, "system.error", f"{error.strerror or error}: {error.filename or ''}".rstrip(": ")
        )
    except Exception as error:
        traceback.print_exc(file=sys.stderr)
        return _fail(
            as_json, Exit.BROKEN, "program.broken", f"{type(error).__name__}: this is a fault of billsmith, please report it"
        )
    return result if isinstance(result, int) else Exit.OK


def _fail(
    as_json: bool, code: Exit, error_code: str, message: str, *, where: str | None = None, hint: str | None = None
) -> int:
    place = f"{where}: " if where else ""
    note(f"error: {place}{message} [{error_code}]")
    if hint:
        note(hint)
    if as_json:
        sys.stdout.write(f"{json_text({'error': {'code': error_code, 'message': message, 'where': where}})}\n")
        sys.stdout.flush()
    return code


def _usage(error: CycloptsError) -> str:
    return " ".join(str(error).split())


def _help_command(arguments: Sequence[str]) -> str:
    """The help of the deepest command that the arguments name."""
    words = ["billsmith"]
    at = app
    for argument in arguments:
        if argument.startswith("-") or argument not in at:
            break
        at = at[argument]
        words.append(argument)
    return " ".join([*words, "--help"])
