"""A small billsmith for a test: a database, a settable clock, accounts and keys, and the application to call."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
from starlette.testclient import TestClient

from billsmith.accounts.authorisation import DEFAULT_SCOPES, CredentialKind, Scope
from billsmith.accounts.model import Account
from billsmith.invoicing.totals import DraftLine, TaxRate
from billsmith.server.faces import application
from billsmith.server.settings import Settings, services
from billsmith.storage import accounts, upgrade
from billsmith.storage.database import Database
from billsmith.storage.invoices import Stored
from billsmith.units.ids import derived_id
from billsmith.units.instants import parse_instant
from billsmith.workflows import credentials
from billsmith.workflows.issue_invoice import OneOff, issue
from billsmith.workflows.sealing import Sealer
from billsmith.workflows.usage_store import Usage

NOW = parse_instant("2026-10-31T12:00:00Z")


class House:
    """One store and the application over it. ``now`` is the clock; tests may turn it."""

    def __init__(self, database: Database, *, first_id: int = 0, **settings: Any) -> None:
        self.database = database
        self.now = NOW
        upgrade.upgrade(database, self.now)
        self.settings = Settings(home=Path("unused"), **{"pull": False, **settings})
        made = services(self.settings, database, lambda: self.now)
        self.services = msgspec.structs.replace(made, sealer=Sealer([bytes(32)]))
        self.app = application(self.settings, self.services)
        self.client = TestClient(self.app, base_url="http://127.0.0.1:8080", follow_redirects=False)
        self._ids = itertools.count(first_id)

    @property
    def usage(self) -> Usage:
        """The usage store, which is opened when it is first asked for."""
        assert self.services.usage_or_none is not None
        return self.services.usage_or_none

    def close(self) -> None:
        """Let go of the usage store, if anybody used it."""
        if self.services.usage_or_none is not None:
            self.services.usage_or_none.close()

    def account(self, name: str, parent: Account | None = None, **more: Any) -> Account:
        """Make an account; a root is in euros and Amsterdam unless said otherwise."""
        if parent is None:
            more = {"currency": "EUR", "time_zone": "Europe/Amsterdam", **more}
        more.setdefault("id", derived_id("test account", name, str(next(self._ids))))
        with self.database.write() as connection:
            return accounts.create(connection, name=name, now=self.now, parent=parent, **more)

    def key(
        self, account: Account, kind: CredentialKind, scopes: Sequence[Scope] | None = None, **more: Any
    ) -> tuple[str, str]:
        """A credential's id and secret."""
        with self.database.write() as connection:
            credential, secret = credentials.create(
                connection, account, kind, now=self.now, scopes=scopes or DEFAULT_SCOPES, **more
            )
        return credential.id, secret

    def invoice(self, issuer: Account, recipient: Account, amount: str = "100.00", **more: Any) -> Stored:
        """Issue a one-off invoice of one line."""
        lines = more.pop("lines", None) or [DraftLine(description="Service", amount=Decimal(amount))]
        with self.database.write() as connection:
            return issue(
                connection,
                issuer,
                recipient,
                OneOff(lines=lines, **more),
                id=derived_id("test invoice", str(next(self._ids))),
                now=self.now,
                actor="test",
            )

    def acronis_token(self, account: Account, scopes: Sequence[Scope] | None = None) -> dict[str, str]:
        """The headers of an Acronis client of this account."""
        client_id, secret = self.key(account, CredentialKind.OAUTH_CLIENT, scopes)
        answer = self.client.post("/api/2/idp/token", data={"grant_type": "client_credentials"}, auth=(client_id, secret))
        assert answer.status_code == 200, answer.text
        return {"Authorization": f"Bearer {answer.json()['access_token']}"}

    def myreports_token(self, account: Account) -> dict[str, str]:
        """The headers of a myreports client of this account."""
        client_id, secret = self.key(account, CredentialKind.OAUTH_CLIENT)
        answer = self.client.post("/connect/token", data={"grant_type": "client_credentials"}, auth=(client_id, secret))
        assert answer.status_code == 200, answer.text
        return {"Authorization": f"Bearer {answer.json()['access_token']}"}

    def hostway_user(self, account: Account) -> tuple[str, str]:
        """User name and password of a Hostway user of this account."""
        return self.key(account, CredentialKind.BASIC)


VAT = TaxRate(category="standard", name="VAT", rate=Decimal(21))
DATE = dt.date(2026, 10, 31)
