"""What a simulation comes to, in figures: totals gained and lost, and the accounts whose invoices move most."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from typing import Any

from billsmith.units.currency import from_minor
from billsmith.workflows.simulate import Difference

#: Accounts whose invoices move most that a summary shows.
MOVERS = 20


def summary(found: Iterable[Difference]) -> dict[str, Any]:
    """Totals gained and lost by currency, and the accounts whose invoices move most."""
    totals: dict[str, list[int]] = {}
    movers: list[tuple[int, int, Difference]] = []
    problems = []
    count = 0
    for count, each in enumerate(found, 1):
        entry = totals.setdefault(each.currency, [0, 0, 0, 0])
        entry[0] += each.old_minor
        entry[1] += each.new_minor
        entry[2] += max(each.change_minor, 0)
        entry[3] += min(each.change_minor, 0)
        if each.change_minor:
            heapq.heappush(movers, (abs(each.change_minor), -count, each))
            if len(movers) > MOVERS:
                heapq.heappop(movers)
        if each.problem:
            problems.append({"account": each.account.id, "name": each.account.name, "problem": each.problem})
    return {
        "accounts": count,
        "totals": [
            {
                "currency": currency,
                "old": from_minor(old, currency),
                "new": from_minor(new, currency),
                "gained": from_minor(gained, currency),
                "lost": from_minor(lost, currency),
            }
            for currency, (old, new, gained, lost) in sorted(totals.items())
        ],
        "movers": [account_row(each) for _, _, each in sorted(movers, key=lambda mover: mover[:2], reverse=True)],
        "problems": problems,
    }


def account_row(each: Difference) -> dict[str, Any]:
    """What one account would pay."""
    return {
        "account": each.account.id,
        "name": each.account.name,
        "currency": each.currency,
        "old": from_minor(each.old_minor, each.currency),
        "new": from_minor(each.new_minor, each.currency),
        "change": from_minor(each.change_minor, each.currency),
        "problem": each.problem,
    }


def line_rows(each: Difference) -> Iterator[dict[str, Any]]:
    """The same, line by line."""
    for line in each.lines:
        yield {
            "account": each.account.id,
            "name": each.account.name,
            "subscription": line.subscription,
            "component": line.component,
            "description": line.description,
            "kind": line.kind,
            "currency": each.currency,
            "old": from_minor(line.old_minor, each.currency),
            "new": from_minor(line.new_minor, each.currency),
            "change": from_minor(line.new_minor - line.old_minor, each.currency),
        }
