"""The garbage collector of a server: what start-up made is none of its business."""

from __future__ import annotations

import gc


def keep_start_up() -> None:
    """Take all that lives now out of what the collector looks through; call it when the server is ready.

    Why: code, routes and types are some 100,000 objects that end with the process. A full collection, which comes after a few
    hundred requests, would go through them all, and no request is answered in those 30 to 60 ms.

    >>> keep_start_up(); gc.get_freeze_count() > 10_000
    True
    >>> let_go(); gc.get_freeze_count()
    0
    """
    gc.collect()
    gc.freeze()


def let_go() -> None:
    """The opposite, before the process ends: DuckDB's binding calls what is still there at the end a leak, in 50 lines."""
    gc.unfreeze()
