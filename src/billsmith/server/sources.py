"""Which vendors' lists can be pulled: each opened by its vendor's folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module

from billsmith.accounts.model import Account
from billsmith.server.secret_key import sealer
from billsmith.storage.database import Database
from billsmith.storage.sync_connections import VendorConnection
from billsmith.workflows.clock import Clock, system_clock
from billsmith.workflows.sealing import Sealer
from billsmith.workflows.sync_runs import Opener, Puller
from billsmith.workflows.sync_source import Opened


def _opener(vendor: str) -> Opener:
    """A vendor's ``open_list``, imported when a connection of it is opened: the command line starts without."""

    def open_list(
        database: Database, account: Account, of: VendorConnection, secret: str, keep: Callable[[str], None]
    ) -> Opened:
        module = import_module(f"billsmith.vendors.{vendor}.pull")
        opened: Opened = module.open_list(database, account, of, secret, keep)
        return opened

    return open_list


OPENERS: Mapping[str, Opener] = {vendor: _opener(vendor) for vendor in ("acronis", "myreports", "hostway", "amberflo")}


def puller(database: Database, clock: Clock = system_clock, seals: Sealer | None = None) -> Puller:
    """What pulls connections of this store. Raises :class:`Invalid` for a secret key that is none."""
    return Puller(database=database, clock=clock, openers=OPENERS, sealer=sealer() if seals is None else seals)
