"""How Python itself is set while a server answers: for short waits, not for most work in all."""

from __future__ import annotations

import gc
import sys

#: Seconds for which a thread may go on while another waits. Python's own 5 ms are paid at each statement of a page while a long
#: list is made in another thread: pages then took 120 to 210 ms at p99, and with this 60 to 100 (PostgreSQL, busy machine).
TURN = 0.0005
_USUAL = sys.getswitchinterval()


def prepare() -> None:
    """Set it for a server that is ready. What lives by now is taken out of what the garbage collector looks through.

    Why: code, routes and types are some 100,000 objects that end with the process. A full collection, which comes after a few
    hundred requests, would go through them all, and no request is answered in those 30 to 60 ms.

    >>> prepare(); gc.get_freeze_count() > 10_000
    True
    >>> undo(); gc.get_freeze_count()
    0
    """
    gc.collect()
    gc.freeze()
    sys.setswitchinterval(TURN)


def undo() -> None:
    """The opposite, before the process ends: DuckDB's binding calls what is still there at the end a leak, in 50 lines."""
    gc.unfreeze()
    sys.setswitchinterval(_USUAL)
