"""Who is named by whom: ``(owner, reference)`` as a small number, and the account that it is bound to. All in memory."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import islice

import duckdb
import numpy as np
from numpy.typing import NDArray

from billsmith.usage.duckdb.columns import texts
from billsmith.usage.store import Name


def append(connection: duckdb.DuckDBPyConnection, names: Sequence[tuple[int, str, str]], bound: Mapping[int, str]) -> None:
    """Put names with their numbers, and the accounts that numbers are bound to, into the tables."""
    # as arrays, which DuckDB finds among this function's own names: a statement for each row takes it 0.2 ms
    if names:
        numbers, owners, references = zip(*names, strict=True)
        new_names = {"subject": np.array(numbers, np.int32), "owner": texts(owners), "reference": texts(references)}
        connection.execute("INSERT INTO subjects SELECT * FROM new_names")
        del new_names
    if bound:
        new_bindings = {"subject": np.array(list(bound), np.int32), "account": texts(list(bound.values()))}
        connection.execute("INSERT INTO bindings SELECT * FROM new_bindings")
        del new_bindings


class Subjects:
    """The dictionary, as the table has it. Only the writer adds."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers: dict[tuple[str, str], int] = {}
        self._names: dict[int, tuple[str, str]] = {}
        self._accounts: dict[int, str] = {}
        self._of_account: dict[str, list[int]] = {}

    def load(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Read all from the table anew."""
        named = connection.execute("SELECT subject, owner, reference FROM subjects").fetchall()
        bound = connection.execute("SELECT subject, account FROM bindings").fetchall()
        with self._lock:
            self._numbers, self._names, self._accounts, self._of_account = {}, {}, {}, {}
        self.add((number, owner, reference) for number, owner, reference in named)
        self.bind(bound)

    def add(self, new: Iterable[tuple[int, str, str]]) -> None:
        """Names that are in the table now."""
        with self._lock:
            for number, owner, reference in new:
                self._numbers[owner, reference] = number
                self._names[number] = (owner, reference)

    def bind(self, new: Iterable[tuple[int, str]]) -> None:
        """Bindings that are in the table now."""
        with self._lock:
            for number, account in new:
                self._accounts[number] = account
                self._of_account.setdefault(account, []).append(number)

    def number(self, owner: str, reference: str) -> int | None:
        """The number of a name, if it has one."""
        return self._numbers.get((owner, reference))

    def numbers(self, names: Iterable[Name]) -> list[int | None]:
        """The numbers of several names."""
        return list(map(self._numbers.get, names))

    def name(self, number: int) -> tuple[str, str]:
        """Owner and reference."""
        return self._names[number]

    def account(self, number: int) -> str | None:
        """The account that a name is bound to."""
        return self._accounts.get(number)

    def of(self, accounts: Iterable[str]) -> dict[int, str]:
        """The numbers of accounts, each with its account."""
        with self._lock:
            return {number: account for account in accounts for number in self._of_account.get(account, ())}

    def chosen(self, owner: str, reference: str, accounts: Collection[str] | None) -> list[int]:
        """The numbers of an owner's names, of a reference, of accounts; empty texts and ``None`` don't restrict."""
        if owner and reference:
            number = self.number(owner, reference)
            numbers = [] if number is None else [number]
        else:
            numbers = list(self._names) if accounts is None else list(self.of(accounts))
        return [number for number in numbers if self._is(number, owner, reference, accounts)]

    def _is(self, number: int, owner: str, reference: str, accounts: Collection[str] | None) -> bool:
        named = self._names[number]
        return (
            owner in ("", named[0])
            and reference in ("", named[1])
            and (accounts is None or self._accounts.get(number) in accounts)
        )

    def waiting(self, names: Collection[tuple[str, str]] | None, limit: int) -> tuple[tuple[str, str], ...]:
        """Names that are known and bound to nobody: of those given, or the first ``limit`` of all."""
        with self._lock:
            if names is None:
                unbound = (name for number, name in self._names.items() if number not in self._accounts)
                return tuple(islice(unbound, limit))
            numbers = ((name, self._numbers.get(name)) for name in names)
            return tuple(name for name, number in numbers if number is not None and number not in self._accounts)

    def next_number(self) -> int:
        """One that is not taken."""
        return len(self._names) + 1


class Numbering:
    """The numbers of a group's names; those that had none get one."""

    def __init__(self, subjects: Subjects) -> None:
        self.new: dict[Name, int] = {}
        self._subjects, self._first = subjects, subjects.next_number()

    def number(self, name: Name) -> int:
        """The number of a name whose row is to be written."""
        return self._subjects.number(*name) or self.new.setdefault(name, self._first + len(self.new))

    def of(self, names: Sequence[Name], named: NDArray[np.intp]) -> NDArray[np.int32]:
        """The numbers of the names at some places of ``names``."""
        numbers = self._subjects.numbers(names)
        if None in numbers:
            used = np.bincount(named, minlength=len(names)).tolist()
            numbers = [self.number(name) if times else 0 for name, times in zip(names, used, strict=True)]
        return np.array(numbers, np.int32)[named]
