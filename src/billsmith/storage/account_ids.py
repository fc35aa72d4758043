"""Accounts' ids by the store's numbers, remembered: they never change, and a list names the same few accounts over and over."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from billsmith.storage.direct import Direct
from billsmith.units.ids import format_id

#: Ids remembered; where more would be, all are forgotten.
_MOST = 50_000


class AccountIds:
    """A memory of ids, bounded, for all threads of a process."""

    def __init__(self) -> None:
        self._ids: dict[int, str] = {}

    def of(self, direct: Direct, seqs: Iterable[int]) -> Mapping[int, str]:
        """The ids of at least these accounts (a few hundred at most)."""
        named = set(seqs)
        known = self._ids
        missing = named - known.keys()
        if missing:
            if len(known) + len(missing) > _MOST:
                known, missing = {}, named
            condition = direct.one_of("seq", missing)
            found = direct.rows(f"SELECT seq, id FROM account WHERE {condition.sql}", condition.parameters)
            known.update((seq, id_text(id)) for seq, id in found)
            self._ids = known
        return known


def id_text(raw: object) -> str:
    """An id as the driver gives it, as text."""
    return raw if type(raw) is str else format_id(raw) if isinstance(raw, bytes) else str(raw)
