"""The rank buckets of a process: made when a long list is first asked for, kept up at each read, cut finer in the background.

A list shorter than :data:`THRESHOLD` has none: it is one bucket, whose counts the tallies give. A long one begins as that
same one bucket and is cut up behind the requests, front to back, so that each page is right from the first request on and
soon quick as well (decision 0021).
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

from billsmith.storage.direct import Direct
from billsmith.storage.lists.criteria import EVERY_FLAG, InvoiceList
from billsmith.storage.lists.keys import Keys
from billsmith.storage.lists.order import COVERED, Sort
from billsmith.storage.lists.ranks import SIZE, Ranks, View
from billsmith.storage.lists.tallies import flags_tally, long_lists, version_of
from billsmith.units.errors import BillsmithError

if TYPE_CHECKING:
    from billsmith.storage.database import Database

log = logging.getLogger("billsmith.storage")

#: Rows from which on a list has buckets. Below, a skip through the covering index is as quick.
THRESHOLD = 30_000
#: Changes that one read takes in; a process further behind begins anew.
_MOST_CHANGES = 5_000
#: Buckets kept, of all lists together (a few dozen MB); the list unused for longest goes first.
_MOST_BUCKETS = 32_768
#: Cuts in one transaction, so that no reader holds back the writers' checkpoint.
_CUTS = 50
_ATTEMPTS = 5
#: Lists that are prepared before the first caller comes.
_MOST_PREPARED = 64

_Name = tuple[InvoiceList, Sort]


class RankIndexes:
    """All rank buckets of one database in this process."""

    def __init__(self, database: Database, *, threshold: int = THRESHOLD, size: int = SIZE) -> None:
        self.threshold = threshold
        self.size = size
        self._database = database
        self._lock = threading.Lock()
        self._known: OrderedDict[_Name, Ranks] = OrderedDict()
        self._waiting: OrderedDict[_Name, Ranks] = OrderedDict()
        self._thread: threading.Thread | None = None
        self._closed = False

    def prepare(self, patience: int) -> None:
        """Cut the long lists before the first caller comes, for ``patience`` seconds; the rest is cut behind the requests."""
        with self._database.read() as connection:
            direct = Direct(connection)
            for of in long_lists(direct, self.threshold, _MOST_PREPARED):
                for role, sort in COVERED:
                    if role == of.role:
                        self.view(Keys(direct, of, COVERED[role, sort]), sort, EVERY_FLAG)
        thread = self._thread
        if thread is not None:
            thread.join(patience)

    def view(self, keys: Keys, sort: Sort, mask: int) -> View:
        """The buckets of a list in an order, as the connection of ``keys`` sees the data."""
        name = (keys.of, sort)
        ranks = self._known.get(name)
        if ranks is not None:
            version = self._catch_up(name, ranks, keys)
            view = None if version is None else ranks.view(mask, version)
            if view is not None:
                if ranks.grown:
                    self._refine_later(name, ranks)
                return view
        counts = flags_tally(keys.direct, keys.of)
        if sum(counts.values()) >= self.threshold and name not in self._known:
            self._begin(name, Ranks(version_of(keys.direct, keys.of), counts, self.size))
        return View([()], [0, sum(count for flags, count in counts.items() if mask >> flags & 1)])

    def wait(self) -> None:
        """Until nothing is left to cut."""
        while (thread := self._thread) is not None:
            thread.join()

    def close(self) -> None:
        """Stop cutting."""
        self._closed = True
        self.wait()

    def _catch_up(self, name: _Name, ranks: Ranks, keys: Keys) -> int | None:
        """Take in what changed; the version that the connection sees, ``None`` when the buckets are of no more use."""
        since = ranks.version
        changes = keys.changes(since, _MOST_CHANGES + 1)
        if changes and changes[0].version == since and len(changes) <= _MOST_CHANGES:
            ranks.apply(changes[1:])
            return changes[-1].version
        version = version_of(keys.direct, keys.of)
        if version < since:
            return version
        self._forget(name, ranks)
        return None

    def _begin(self, name: _Name, ranks: Ranks) -> None:
        with self._lock:
            self._known[name] = ranks
            while len(self._known) > 1 and sum(len(each.bounds) for each in self._known.values()) > _MOST_BUCKETS:
                self._known.popitem(last=False)
        self._refine_later(name, ranks)

    def _forget(self, name: _Name, ranks: Ranks) -> None:
        with self._lock:
            if self._known.get(name) is ranks:
                del self._known[name]

    def _refine_later(self, name: _Name, ranks: Ranks) -> None:
        ranks.grown = False
        with self._lock:
            if self._closed:
                return
            self._waiting[name] = ranks
            if self._thread is None:
                self._thread = threading.Thread(target=self._refine_all, name="billsmith-ranks", daemon=True)
                self._thread.start()

    def _refine_all(self) -> None:
        while True:
            with self._lock:
                if self._closed or not self._waiting:
                    self._thread = None
                    return
                name, ranks = self._waiting.popitem(last=False)
            try:
                self._refine(name, ranks)
            except BillsmithError as error:
                log.warning("a list was not indexed, its pages stay slow: %s", error)
            except Exception:
                log.exception("a list was not indexed, its pages stay slow")

    def _refine(self, name: _Name, ranks: Ranks) -> None:
        failures = 0
        while not self._closed and failures < _ATTEMPTS and ranks.too_big() is not None:
            with self._database.read() as connection:
                keys = Keys(Direct(connection), name[0], COVERED[name[0].role, name[1]])
                version = self._catch_up(name, ranks, keys)
                if version is None:
                    return
                failures = 0 if _cut(ranks, keys, version) else failures + 1


def _cut(ranks: Ranks, keys: Keys, version: int) -> bool:
    """Cut up what is too big, a few dozen times at most; whether that went well."""
    for _ in range(_CUTS):
        span = ranks.too_big()
        if span is None:
            return True
        start, end = span
        middle = keys.window(start, end, EVERY_FLAG, skip=ranks.size, take=1)
        if not middle or not ranks.cut(start, middle[0], keys.by_flags(start, middle[0]), version):
            return False
    return True
