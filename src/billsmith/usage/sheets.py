"""Answers by account, packed: quick to hand to other processes, which make values of them.

A billing run asks for every meter of thousands of accounts at a time. Making values of the answers costs more than finding
them, so that is left to the processes that need them. How an account's answers are packed is its store's own affair.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

from billsmith.usage.store import Measured, Query, UsageStore

#: Makes of an account's id and its sheet what gives the answer of each meter, by the meter's number in the query.
Read = Callable[[str, Any], Callable[[int], Measured]]


class Sheets(NamedTuple):
    """The sheets of a query's accounts, in whatever form their store has packed them.

    ``reader`` makes what reads them of the query; other processes find it by its name.
    """

    by_account: Mapping[str, Any]
    reader: Callable[[Query], Read]


@runtime_checkable
class Packing(Protocol):
    """A store that packs answers itself."""

    def sheets(self, query: Query) -> Sheets:
        """As :func:`sheets`."""


def sheets(store: UsageStore, query: Query) -> Sheets:
    """What ``store.measure`` would answer to a query with one period and named accounts, a sheet for each account."""
    assert query.accounts is not None, "whose sheets"
    assert len(query.periods) == 1, "a sheet is of one period"
    if isinstance(store, Packing):
        return store.sheets(query)
    found: dict[str, list[Measured]] = {account: [] for account in query.accounts}
    for measured in store.measure(query):
        found[measured.account].append(measured)
    return Sheets(found, _as_answered)


def _as_answered(_query: Query) -> Read:
    def read(_account: str, answers: Sequence[Measured]) -> Callable[[int], Measured]:
        return answers.__getitem__

    return read
