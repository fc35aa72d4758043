"""Which vendors' lists can be pulled: each opened by its vendor's folder."""

from __future__ import annotations

from collections.abc import Mapping

from billsmith.server.secret_key import sealer
from billsmith.storage.database import Database
from billsmith.workflows.clock import Clock, system_clock
from billsmith.workflows.sync_runs import Opener, Puller

OPENERS: Mapping[str, Opener] = {}


def puller(database: Database, clock: Clock = system_clock) -> Puller:
    """What pulls connections of this store. Raises :class:`Invalid` for a secret key that is none."""
    return Puller(database=database, clock=clock, openers=OPENERS, sealer=sealer())
