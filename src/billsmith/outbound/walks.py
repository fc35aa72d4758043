"""What a walk through a paged list has met, and what makes one doubt that it was all of it."""

from __future__ import annotations

from collections.abc import Iterable

from billsmith.units.errors import Incomplete


class Walk:
    """The keys that came so far. A list that goes in a circle ends the walk, one that moved under it leaves a doubt."""

    def __init__(self) -> None:
        self.doubts: list[Incomplete] = []
        self._met: set[str] = set()

    def page(self, keys: Iterable[str], where: str) -> None:
        """Take a page in. Raises :class:`Incomplete` if nothing in it is new.

        >>> walk = Walk()
        >>> walk.page(["1", "2"], "page 1")
        >>> walk.page(["2", "1"], "page 2")
        Traceback (most recent call last):
        billsmith.units.errors.Incomplete: page 2 holds only what came before: the vendor's list goes in a circle [pull.circle]
        """
        found = list(keys)
        fresh = set(found) - self._met
        if found and not fresh:
            raise Incomplete(f"{where} holds only what came before: the vendor's list goes in a circle", code="pull.circle")
        if len(fresh) < len(found):
            self.doubt("pull.overlap", f"{where} holds records that came before: the list moved while it was read")
        self._met |= fresh

    def doubt(self, code: str, reason: str) -> None:
        """Remember why this may not be all; the walk goes on."""
        self.doubts.append(Incomplete(f"{reason}; a later pull will tell", code=code))

    def __len__(self) -> int:
        return len(self._met)

    def end(self) -> None:
        """Raise the first doubt, if there is one."""
        if self.doubts:
            raise self.doubts[0]
