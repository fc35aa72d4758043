"""``billsmith reminders``: what an issuer does when its invoices are not paid."""

from __future__ import annotations

from typing import Annotated, Any

from cyclopts import App, Parameter

from billsmith.cli.common import ACTOR, PLAIN, Common, opened
from billsmith.cli.output import Listing
from billsmith.invoicing.reminders import Step, read_step, step_text
from billsmith.storage import accounts, reminders
from billsmith.workflows import remind
from billsmith.workflows.clock import system_clock

app = App(name="reminders", help="Reminders: mails, late fees and word to programs, days before and after the due date.")

Issuer = Annotated[str, Parameter(help="Whose invoices: an account by UUID or external id.")]


@app.command
def show(issuer: Issuer, *, common: Common = PLAIN) -> None:
    """Show the steps of an issuer.

    Example: billsmith reminders show my-company
    """
    with opened(common) as database, database.read() as connection:
        plan = reminders.plan_of(connection, accounts.get(connection, issuer).seq)
    _show(common, () if plan is None else plan.steps)


@app.command(name="set")
def set_steps(
    issuer: Issuer,
    *,
    step: Annotated[
        list[str] | None,
        Parameter(
            help="Such as -3:mail, +7:mail, +14:fee:10.00:EUR or +30:tell; may be given several times.",
            negative=(),
            allow_leading_hyphen=True,
        ),
    ] = None,
    common: Common = PLAIN,
) -> None:
    """Set all steps of an issuer; without one nobody is reminded. They count from today on, each once for an invoice.

    Example: billsmith reminders set my-company --step -3:mail --step +7:mail --step +30:tell
    """
    steps = [read_step(text) for text in step or ()]
    with opened(common) as database, database.write() as connection:
        found = accounts.get(connection, issuer)
        made = remind.set_plan(connection, found, steps, now=system_clock(), actor=ACTOR)
    _show(common, made)


def _show(common: Common, steps: tuple[Step, ...]) -> None:
    rows = [_row(each) for each in steps]
    common.show(
        Listing(rows=rows, columns=("step", "days", "do", "amount", "currency"), id_field="step", empty="nobody is reminded")
    )


def _row(step: Step) -> dict[str, Any]:
    return {
        "step": step_text(step),
        "name": step.name,
        "days": step.days,
        "do": step.do.value,
        "amount": step.amount,
        "currency": step.currency or None,
    }
