"""Which account a name led to, remembered for as long as no account changes: a caller names the same few over and over."""

from __future__ import annotations

from collections.abc import Callable

from billsmith.accounts.model import Account

#: Names remembered; where more would be, all are forgotten.
_MOST = 10_000

#: Within which account (its number, zero for the whole tree) a name was looked up.
Name = tuple[int, str]


class FoundAccounts:
    """A memory of look-ups at one version of all accounts, bounded, for all threads of a process."""

    def __init__(self) -> None:
        self._at: tuple[int, dict[Name, Account | None]] = (0, {})

    def of(self, version: int, name: Name, look_up: Callable[[], Account | None]) -> Account | None:
        """What ``look_up`` gives, which reads the accounts at ``version``; it is asked once for each name."""
        kept, found = self._at
        if kept != version or len(found) >= _MOST:
            found = {}
            self._at = version, found
        if name not in found:
            found[name] = look_up()
        return found[name]
