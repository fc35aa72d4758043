"""What led to a fault, told in few words: its seed, and what its customer did; where it can be lived again, only what it takes."""

from __future__ import annotations

import datetime as dt
import re
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec

from billsmith.units.errors import BillsmithError
from tests.simulator.auditor.audit import Fault, audit
from tests.simulator.driver import Driver
from tests.simulator.script import Action, Apply, Bill, Company, Migrate, Rerate, SignUp, Subscribe, Use

_INSTANT = re.compile(r"\b(1[67][0-9]{8})\b")


def told(company: Company, faults: Sequence[Fault]) -> str:
    """The faults, and the story of the first customer who has one."""
    customer = next((fault.customer for fault in faults if fault.customer), "")
    lines = [f"seed {company.seed}: {len(faults)} faults", *(f"  {fault.customer} {fault.what}" for fault in faults[:10])]
    lines += [f"the story of {customer} ({company}):", *(f"  {_words(action)}" for action in story(company, customer))]
    return "\n".join(lines)


def shortest(company: Company, faults: Sequence[Fault], wrong: Callable[[Company], bool] | None = None) -> Company:
    """The company with its first faulty customer alone, and without every action that the fault doesn't need.

    ``wrong`` says whether a company has a fault; it is lived again unless told otherwise. Where the customer alone is without
    fault, the company comes back as it is.
    """
    is_wrong = wrong or _lived_wrong
    customer = next((fault.customer for fault in faults if fault.customer), "")
    alone = replace(company, actions=tuple(story(company, customer)))
    if not customer or not is_wrong(alone):
        return company
    for action in reversed(alone.actions):
        less = replace(alone, actions=tuple(each for each in alone.actions if each is not action))
        if not isinstance(action, Apply | SignUp | Subscribe) and is_wrong(less):
            alone = less
    return alone


def _lived_wrong(company: Company) -> bool:
    with tempfile.TemporaryDirectory(prefix="billsmith-story-") as home:
        driver = Driver(company, Path(home))
        try:
            return bool(audit(company, msgspec.to_builtins(driver.run())))
        except (BillsmithError, AssertionError):
            return False  # what is left can't happen
        finally:
            driver.close()


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
