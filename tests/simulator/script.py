"""The script of a company's life: what its people did, in order. Plain values, known to the driver and to the auditor alike.

Instants are whole seconds UTC, amounts and quantities texts. A month is written ``2023-09``. Nothing of billsmith is used here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Action:
    """Something that somebody did at ``now``."""

    now: int


@dataclass(frozen=True, kw_only=True)
class Apply(Action):
    """The company's catalog becomes this one."""

    catalog: dict[str, Any] = field(repr=False)
    number: int = 0


@dataclass(frozen=True, kw_only=True)
class SignUp(Action):
    """A customer of the company."""

    customer: str
    zone: str
    country: str
    tax_free: str = ""


@dataclass(frozen=True, kw_only=True)
class Subscribe(Action):
    """A customer takes a plan, in the version that is offered, from ``starts`` on."""

    customer: str
    key: str
    plan: str
    starts: int
    quantities: dict[str, str] = field(default_factory=dict)
    billing_day: int = 0


@dataclass(frozen=True, kw_only=True)
class Change(Action):
    """A subscription changes from ``at`` on.

    ``what`` is ``plan``, ``quantity``, ``add``, ``drop``, ``pause``, ``resume``, ``end_trial``, ``end`` or ``end_of_day``
    (an end whose day counts); ``name`` and ``value`` say which and how many.
    """

    customer: str
    key: str
    at: int
    what: str
    name: str = ""
    value: str = ""


@dataclass(frozen=True, kw_only=True)
class Migrate(Action):
    """All on a plan move to the version that is offered, from a local day (``first``, ISO) on."""

    plan: str
    first: str


@dataclass(frozen=True, kw_only=True)
class Used:
    """A usage event."""

    customer: str
    id: str
    type: str
    at: int
    value: str = "1"
    who: str = ""


@dataclass(frozen=True, kw_only=True)
class Use(Action):
    """Usage comes in."""

    events: tuple[Used, ...]


@dataclass(frozen=True, kw_only=True)
class Correct(Action):
    """An event was wrong: another stands in its place, or (``by`` is ``None``) nothing does."""

    customer: str
    event: Used
    by: Used | None = None


@dataclass(frozen=True, kw_only=True)
class GiveCoupon(Action):
    """A customer gets a coupon."""

    customer: str
    code: str


@dataclass(frozen=True, kw_only=True)
class GiveCredit(Action):
    """A customer gets (or, ``paid``, buys) credit."""

    customer: str
    key: str
    amount: str
    currency: str
    priority: int
    expires: int | None = None
    paid: bool = False


@dataclass(frozen=True, kw_only=True)
class TakeBack(Action):
    """What is left of a credit is taken back."""

    customer: str
    key: str


@dataclass(frozen=True, kw_only=True)
class Bill(Action):
    """The billing run of a month."""

    month: str


@dataclass(frozen=True, kw_only=True)
class Rerate(Action):
    """What was billed for a month is rated anew."""

    month: str


@dataclass(frozen=True, kw_only=True)
class Pay(Action):
    """A customer pays a part (``of`` parts, so many ``parts``) of what is due on the documents that a month's run made.

    More parts than there are is more than was asked for.
    """

    customer: str
    month: str
    parts: int = 1
    of: int = 1


@dataclass(frozen=True, kw_only=True)
class Refund(Action):
    """All payments of a customer for the documents that a month's run made are paid back."""

    customer: str
    month: str


@dataclass(frozen=True, kw_only=True)
class Void(Action):
    """A customer's documents of a month's run are taken back, those for which no money came and that no note corrects."""

    customer: str
    month: str


@dataclass(frozen=True, kw_only=True)
class WriteOff(Action):
    """What is due of a customer's documents of a month's run won't be paid, and is given up."""

    customer: str
    month: str


@dataclass(frozen=True, kw_only=True)
class GiveBack(Action):
    """A customer's invoices of a month's run, those that no note corrects, are given back whole by credit notes."""

    customer: str
    key: str
    month: str


@dataclass(frozen=True, kw_only=True)
class Company:
    """A company and everything that happened, in order. ``seed`` tells where it came from."""

    seed: int
    zone: str
    currency: str
    actions: tuple[Action, ...] = field(repr=False)
