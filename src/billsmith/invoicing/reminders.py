"""Reminders: what an issuer does, so many days before or after an invoice's due date, while it is not paid."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal
from enum import StrEnum

import msgspec

from billsmith.units.currency import currency_exponent
from billsmith.units.errors import Invalid
from billsmith.units.rounding import parse_decimal, plain

#: The farthest that a step may lie from the due date, in days.
MAX_BEFORE = 60
MAX_AFTER = 365
MAX_STEPS = 12


class Deed(StrEnum):
    """What a step does. Each leaves a change in the log, so that webhooks tell of it."""

    MAIL = "mail"
    """A reminder goes to the recipient by e-mail."""
    TELL = "tell"
    """Nothing but the change: for a program that calls, blocks or asks a collector."""
    FEE = "fee"
    """A late fee is invoiced."""


class Step(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A step: ``days`` after the due date (negative: before it). A fee has an amount, for invoices in its currency alone."""

    days: int
    do: Deed
    amount: Decimal | None = None
    currency: str = ""

    @property
    def name(self) -> str:
        """What the step is called: each is done once for an invoice.

        >>> Step(days=7, do=Deed.MAIL).name, Step(days=-3, do=Deed.TELL).name
        ('mail+7', 'tell-3')
        """
        return f"{self.do.value}{self.days:+d}"


def check_plan(steps: Sequence[Step]) -> tuple[Step, ...]:
    """Steps that can be done, in the order of their days. Raises :class:`Invalid`."""
    if len(steps) > MAX_STEPS:
        raise Invalid(f"at most {MAX_STEPS} steps", code="reminder.too_many", where="steps")
    if len({step.name for step in steps}) != len(steps):
        raise Invalid("two steps do the same on one day", code="reminder.twice", where="steps")
    for step in steps:
        _check(step)
    return tuple(sorted(steps, key=lambda step: (step.days, step.do.value)))


def _check(step: Step) -> None:
    if not -MAX_BEFORE <= step.days <= MAX_AFTER:
        raise Invalid(
            f"a step is at most {MAX_BEFORE} days before the due date or {MAX_AFTER} after it",
            code="reminder.days",
            where="steps",
        )
    if (step.amount is not None or step.currency) and step.do is not Deed.FEE:
        raise Invalid("only a fee has an amount", code="reminder.amount", where="steps")
    if step.do is not Deed.FEE:
        return
    if step.days <= 0:
        raise Invalid("a fee is asked for after the due date, not before", code="reminder.days", where="steps")
    places = currency_exponent(step.currency)
    if step.amount is None or step.amount <= 0 or step.amount % Decimal(1).scaleb(-places):
        raise Invalid("a fee is an amount above zero that its currency can pay", code="reminder.amount", where="steps")


def steps_of(plan: Sequence[Step], due_date: dt.date, after: dt.date, today: dt.date) -> list[Step]:
    """The steps whose day lies after one day, up to and with another; of several mails only the last.

    >>> plan = (Step(days=1, do=Deed.MAIL), Step(days=7, do=Deed.MAIL), Step(days=7, do=Deed.TELL))
    >>> day = dt.date(2026, 10, 31)
    >>> [step.name for step in steps_of(plan, day, day, dt.date(2026, 11, 1))]
    ['mail+1']
    >>> [step.name for step in steps_of(plan, day, day, dt.date(2026, 11, 9))]
    ['mail+7', 'tell+7']
    """
    found = [step for step in plan if after < due_date + dt.timedelta(days=step.days) <= today]
    mails = [step for step in found if step.do is Deed.MAIL]
    return [step for step in found if step.do is not Deed.MAIL or step is mails[-1]]


def due_dates(plan: Sequence[Step], after: dt.date, today: dt.date) -> set[dt.date]:
    """The due dates of invoices that have a step between two days (the first excluded)."""
    days = [after + dt.timedelta(days=number) for number in range(1, (today - after).days + 1)]
    return {day - dt.timedelta(days=step.days) for day in days for step in plan}


def read_step(text: str) -> Step:
    """A step in short: ``+7:mail``, ``-3:tell``, ``+30:fee:10.00:EUR``. Raises :class:`Invalid`.

    >>> read_step("+30:fee:10.00:EUR")
    Step(days=30, do=<Deed.FEE: 'fee'>, amount=Decimal('10.00'), currency='EUR')
    """
    parts = text.split(":")
    try:
        if len(parts) not in (2, 4) or not parts[0].lstrip("+-").isdecimal() or not parts[0].isascii():
            raise ValueError
        step = Step(days=int(parts[0]), do=Deed(parts[1]))
    except ValueError:
        raise Invalid(
            f"{text[:40]!r} is no step; say such as +7:mail, -3:tell or +30:fee:10.00:EUR", code="reminder.step", where="step"
        ) from None
    if len(parts) == 2:
        return step
    return msgspec.structs.replace(step, amount=parse_decimal(parts[2], where="step"), currency=parts[3])


def step_text(step: Step) -> str:
    """A step in short; the inverse of :func:`read_step`."""
    money = "" if step.amount is None else f":{plain(step.amount)}:{step.currency}"
    return f"{step.days:+d}:{step.do.value}{money}"
