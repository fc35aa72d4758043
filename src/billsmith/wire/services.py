"""What a door needs to work: handed in by the server, never looked up."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from billsmith.storage.database import Database
from billsmith.usage.store import UsageStore
from billsmith.wire.answers import Answers
from billsmith.workflows.authenticate import Authenticator
from billsmith.workflows.clock import Clock
from billsmith.workflows.ingest import Ingest
from billsmith.workflows.sealing import Sealer
from billsmith.workflows.states import States
from billsmith.workflows.usage_store import Usage


class WireSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings that doors read."""

    public_hosts: tuple[str, ...] = ()
    """Host names (with port, where not the scheme's own) that links may name, besides loopback and the bound address."""
    trusted_proxies: tuple[str, ...] = ()
    """Addresses whose X-Forwarded-* headers count."""
    max_body: int = 8 * 1024 * 1024
    """Bytes of a request body, as sent and inflated."""
    body_seconds: int = 60
    """Seconds within which a request's body must have come."""
    hostway_amounts: str = "string"
    """How Hostway's face writes amounts: ``string`` (four decimals) or ``number``."""


def _nobody(_job: str) -> None:
    """No jobs run here."""


class Services(msgspec.Struct, frozen=True, kw_only=True):
    """The store, the clock, who checks credentials, the settings, the answers that are kept, what seals secrets and states."""

    database: Database
    clock: Clock
    authenticator: Authenticator
    settings: WireSettings = WireSettings()
    answers: Answers = msgspec.field(default_factory=Answers)
    sealer: Sealer = msgspec.field(default_factory=Sealer)
    states: States = msgspec.field(default_factory=States)
    usage_or_none: Usage | None = None
    ingest_or_none: Ingest | None = None
    wake: Callable[[str], None] = _nobody
    """Has the job of that name look at once what is due, where this server runs it."""

    @property
    def usage(self) -> UsageStore:
        """The usage store, opened when it is first asked for."""
        assert self.usage_or_none is not None, "these services were made without a usage store"
        return self.usage_or_none.store

    @property
    def current_usage(self) -> UsageStore:
        """The usage store, once it knows the accounts and meters that there are by now."""
        assert self.usage_or_none is not None, "these services were made without a usage store"
        return self.usage_or_none.catch_up()

    @property
    def ingest(self) -> Ingest:
        """The way in for events."""
        assert self.ingest_or_none is not None, "these services were made without a usage store"
        return self.ingest_or_none
