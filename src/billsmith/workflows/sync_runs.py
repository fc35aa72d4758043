"""Runs of connections: by name, or all whose time has come. What can't even be opened is a failed walk, for all to see."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

import msgspec

from billsmith.accounts.model import Account
from billsmith.storage import accounts, sync_connections
from billsmith.storage.database import Database
from billsmith.storage.sync import Walk
from billsmith.storage.sync_connections import VendorConnection
from billsmith.units.errors import BillsmithError, Busy, Unavailable
from billsmith.workflows import sync
from billsmith.workflows.clock import Clock
from billsmith.workflows.connections import keep_secret, secret_of
from billsmith.workflows.import_invoices import Plan
from billsmith.workflows.sealing import Sealer
from billsmith.workflows.sync_source import Ending, Opened, Piece


class Opener(Protocol):
    """How a vendor's folder opens a connection. ``keep`` stores the secret that takes the place of the one given."""

    def __call__(
        self, database: Database, account: Account, of: VendorConnection, secret: str, keep: Callable[[str], None]
    ) -> Opened:
        """The list, ready to be walked. Raises :class:`BillsmithError` where the options can't be."""
        ...


class Puller(msgspec.Struct, frozen=True, kw_only=True):
    """What runs of connections need: the store, the clock, the vendors' clients, and what opens secrets."""

    database: Database
    clock: Clock
    openers: Mapping[str, Opener]
    sealer: Sealer

    def run(
        self,
        of: VendorConnection,
        *,
        since: dt.date | None = None,
        progress: Callable[[int], None] = lambda _count: None,
    ) -> Walk:
        """Pull one connection. Raises :class:`Busy` while another run of it is at work."""
        opened = self._open(of)
        return sync.run(self.database, of, opened.source, opened.plan, clock=self.clock, since=since, progress=progress)

    def run_due(self, progress: Callable[[int], None] = lambda _count: None) -> Iterator[tuple[VendorConnection, Walk]]:
        """Pull every connection whose time has come, the longest waiting first; one at work elsewhere is passed over."""
        with self.database.read() as connection:
            due = sync_connections.due(connection, self.clock())
        for of in due:
            try:
                yield of, self.run(of, progress=progress)
            except Busy:
                continue

    def _open(self, of: VendorConnection) -> Opened:
        with self.database.read() as connection:
            account = accounts.by_seq(connection, of.account_seq)
        try:
            opener = self.openers.get(of.vendor)
            if opener is None:
                raise Unavailable(f"there is no client for {of.vendor} in this installation", code="sync.no_client")
            secret = secret_of(of, self.sealer)
            return opener(self.database, account, of, secret, lambda new: keep_secret(self.database, of, self.sealer, new))
        except BillsmithError as error:
            return Opened(source=_Closed(error), plan=Plan(owner=account, issuer=account))


class _Closed:
    """A list that could not be opened: every walk of it fails, and says why."""

    def __init__(self, error: BillsmithError) -> None:
        self.error = error

    def walk(self, *, mark: str | None, since: dt.date | None) -> Iterator[Piece | Ending]:
        """Raises the error."""
        raise self.error
        yield  # pragma: no cover (makes it a generator)
