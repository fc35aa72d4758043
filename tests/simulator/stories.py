"""What led to a fault, told in as few words as there are: its seed, and what concerns its customer up to then."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from dataclasses import replace

from tests.simulator.auditor.audit import Fault
from tests.simulator.script import Action, Apply, Bill, Company, Migrate, Rerate, Use

_INSTANT = re.compile(r"\b(1[67][0-9]{8})\b")


def told(company: Company, faults: Sequence[Fault]) -> str:
    """The faults, and the story of the first customer who has one."""
    customer = next((fault.customer for fault in faults if fault.customer), "")
    lines = [f"seed {company.seed}: {len(faults)} faults", *(f"  {fault.customer} {fault.what}" for fault in faults[:10])]
    lines += [f"the story of {customer} ({company}):", *(f"  {_words(action)}" for action in story(company, customer))]
    return "\n".join(lines)


def story(company: Company, customer: str) -> list[Action]:
    """What concerns a customer."""
    return [_only(action, customer) for action in company.actions if _concerns(action, customer)]


def _only(action: Action, customer: str) -> Action:
    if isinstance(action, Use):
        return replace(action, events=tuple(event for event in action.events if event.customer == customer))
    return action


def _concerns(action: Action, customer: str) -> bool:
    if isinstance(action, Use):
        return any(event.customer == customer for event in action.events)
    return isinstance(action, Apply | Bill | Rerate | Migrate) or getattr(action, "customer", None) == customer


def _words(action: Action) -> str:
    return _INSTANT.sub(lambda found: dt.datetime.fromtimestamp(int(found[1]), dt.UTC).strftime("%FT%TZ"), repr(action))
