"""``/v1/accounts/{account}/reminders``: what an issuer does when its invoices are not paid."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import UNSET, UnsetType

from billsmith.accounts.authorisation import Scope
from billsmith.api.lookups import account_of_path
from billsmith.api.operations import Made, Operation
from billsmith.api.values import Amount, CurrencyCode, decimal_text
from billsmith.invoicing.reminders import MAX_AFTER, MAX_BEFORE, MAX_STEPS, Deed, Step
from billsmith.storage import reminders
from billsmith.storage.database import Connection
from billsmith.wire.face import Call
from billsmith.wire.json import RawDecimal, exact
from billsmith.workflows import remind

Days = Annotated[int, msgspec.Meta(ge=-MAX_BEFORE, le=MAX_AFTER)]


class StepBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A step: so many days after the due date (negative: before it). A `fee` has an amount and its currency."""

    days: Days
    do: Deed
    amount: RawDecimal | UnsetType = UNSET
    currency: CurrencyCode | UnsetType = UNSET


class RemindersSet(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All steps, in any order; none: nobody is reminded."""

    steps: Annotated[tuple[StepBody, ...], msgspec.Meta(max_length=MAX_STEPS)]


class StepView(msgspec.Struct, frozen=True, kw_only=True):
    """A step of the plan; ``name`` is what it is called in mails and changes."""

    name: str
    days: int
    do: Deed
    amount: Amount | None
    currency: str | None


class RemindersView(msgspec.Struct, frozen=True, kw_only=True):
    """An issuer's steps, in the order of their days."""

    steps: list[StepView]


def get_reminders(call: Call) -> RemindersView:
    """``GET /v1/accounts/{account}/reminders``."""
    with call.services.database.read() as connection:
        issuer = account_of_path(connection, call.principal, call.path_values["account"])
        plan = reminders.plan_of(connection, issuer.seq)
    return _view(() if plan is None else plan.steps)


def set_reminders(connection: Connection, call: Call, body: RemindersSet) -> Made:
    """``POST /v1/accounts/{account}/reminders``."""
    issuer = account_of_path(connection, call.principal, call.path_values["account"])
    steps = [
        Step(
            days=each.days,
            do=each.do,
            amount=None if each.amount is UNSET else exact(each.amount, f"steps[{place}].amount"),
            currency="" if each.currency is UNSET else each.currency,
        )
        for place, each in enumerate(body.steps)
    ]
    return Made(_view(remind.set_plan(connection, issuer, steps, now=call.services.clock(), actor=call.principal.actor)))


def _view(steps: tuple[Step, ...]) -> RemindersView:
    return RemindersView(
        steps=[
            StepView(
                name=each.name, days=each.days, do=each.do, amount=decimal_text(each.amount), currency=each.currency or None
            )
            for each in steps
        ]
    )


OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/accounts/{account}/reminders",
        id="getReminders",
        tag="accounts",
        summary="Get how an account reminds of what is not paid",
        scope=Scope.BILLING_READ,
        answer=RemindersView,
        read=get_reminders,
    ),
    Operation(
        method="POST",
        path="/v1/accounts/{account}/reminders",
        id="setReminders",
        tag="accounts",
        summary="Set how an account reminds of what is not paid",
        description="It counts from today on: steps of days before are not made up for. Each step is done once for an invoice.",
        scope=Scope.BILLING_WRITE,
        body=RemindersSet,
        example={
            "steps": [
                {"days": -3, "do": "mail"},
                {"days": 7, "do": "mail"},
                {"days": 14, "do": "fee", "amount": "10.00", "currency": "EUR"},
                {"days": 30, "do": "tell"},
            ]
        },
        answer=RemindersView,
        write=set_reminders,
    ),
)
