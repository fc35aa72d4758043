"""``billsmith rebill``: pulled invoices become customers' invoices, by rules."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import Parameter

import billsmith.rating  # noqa: F401 (loads the price models)
from billsmith.catalog.reading import read_as
from billsmith.catalog.rebill import Rules
from billsmith.cli.common import ACTOR, PLAIN, Common, opened, settings_of
from billsmith.cli.output import Answer, Form, Listing, Record, note
from billsmith.server.settings import open_usage
from billsmith.storage import accounts, sync_connections
from billsmith.units.currency import from_minor
from billsmith.units.errors import Invalid, NotFound
from billsmith.units.period_words import parse_period
from billsmith.units.rounding import plain
from billsmith.workflows import rebill as workflow
from billsmith.workflows.clock import system_clock
from billsmith.workflows.metered import measure_with

MAX_FILE = 4_000_000


def rebill(
    rules: Annotated[Path, Parameter(help="The rules, in YAML; docs/pulling.md tells how to write them.")],
    *,
    period: Annotated[str, Parameter(help="2026-07, 2026-Q3, 2026, or 2026-07-01..2026-07-31; periods that start in it.")],
    account: Annotated[str, Parameter(help="Who issues the new invoices, by UUID or external id.")],
    dry_run: Annotated[bool, Parameter(negative=(), help="Only show what would be charged.")] = False,
    common: Common = PLAIN,
) -> int:
    """Charge on what vendors invoiced: each pulled line that a rule takes is priced, shared out and invoiced, once.

    Run again, it charges only what came since. Exit code 1: some lines could not be charged; the answer says why.

    Example: billsmith rebill resale.yaml --period 2026-07 --account my-msp --dry-run
    """
    read = _read(rules)
    with opened(common) as database:
        with database.read() as connection:
            issuer = accounts.get(connection, account)
            every = sync_connections.every(connection, issuer)
        _check_sources(read, {each.name for each in every})
        usage = open_usage(settings_of(common), database)
        book = workflow.Book(
            issuer=issuer,
            connections=every,
            rules=read,
            period=parse_period(period, issuer.time_zone, where="period"),
            measure=measure_with(lambda: usage.store),
        )
        try:
            result = workflow.run(database, book, now=system_clock(), actor=ACTOR, dry_run=dry_run)
        finally:
            usage.close()
    common.show(_answer(result, dry_run, common.form))
    if result.refused_count:
        note(f"{result.refused_count} lines were not charged; mend the rules and run the same command again")
    return 1 if result.refused_count else 0


def _answer(result: workflow.Rebilled, dry_run: bool, form: Form) -> Answer:
    charges = [
        {
            "customer": each.customer,
            "rule": each.rule,
            "description": each.line.description,
            "amount": plain(from_minor(each.amount_minor, each.currency)),
            "currency": each.currency,
            "trace": list(each.line.trace),
        }
        for each in result.charges
    ]
    if form is Form.CSV:
        return Listing(rows=charges, columns=("customer", "rule", "description", "amount", "currency", "trace"))
    if form is Form.IDS:
        return Listing(rows=[{"id": id} for id in result.invoices], columns=("id",))
    row = {
        "dry_run": dry_run,
        "lines_charged": result.claimed,
        "charged_before": result.before,
        "without_rule": result.without_rule,
        "refused": result.refused_count,
        "invoices": result.invoices,
        "totals": [
            {"customer": customer, "currency": currency, "amount": plain(from_minor(minor, currency))}
            for (customer, currency), minor in sorted(result.totals.items())
        ],
        "charges": charges,
        "refusals": [msgspec.to_builtins(each) for each in result.refused],
    }
    return Record(row=row, id_field="invoices", tables=("totals", "charges", "refusals"))


def _read(file: Path) -> Rules:
    if not file.is_file():
        raise NotFound(f"there is no file {file}", code="input.no_such_file", where="rules")
    with file.open("rb") as opened_file:
        body = opened_file.read(MAX_FILE + 1)
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise Invalid("this is not UTF-8", code="catalog.yaml", where=str(file)) from None
    found: Rules = read_as(Rules, text, file.name)
    return found


def _check_sources(rules: Rules, known: set[str]) -> None:
    for index, rule in enumerate(rules.rules):
        missing = sorted(set(rule.sources) - known)
        if missing:
            raise NotFound(
                f"there is no connection {missing[0]!r} at or below the account; `billsmith sync list` shows them",
                code="sync.unknown",
                where=f"rules[{index}].sources",
            )
