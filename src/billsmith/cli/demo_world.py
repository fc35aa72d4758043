"""The demo's store: a small tenant tree, the four vendors' example invoices, and a key for each vendor's client."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path

import msgspec

from billsmith.accounts.authorisation import CredentialKind
from billsmith.accounts.model import Account, Profile
from billsmith.cli.imports import LOADERS
from billsmith.storage import accounts, upgrade
from billsmith.storage.database import Database
from billsmith.storage.locks import only_one
from billsmith.units.errors import Conflict, Invalid
from billsmith.units.ids import derived_id
from billsmith.workflows import credentials

#: Stands in a folder that a demo made, and so may wipe.
MARK = ".billsmith-demo"


class Tenant(msgspec.Struct, frozen=True, kw_only=True):
    """An account of the demo: what it is called, which file of invoices it brings in, and its client's kind of key."""

    external_id: str
    name: str
    kind: CredentialKind | None
    file: str
    id: str = ""


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """What a client shows, and whose it is."""

    id: str
    secret: str
    account: Account


#: Vendor → the account with it. Acronis's id is the one in the vendor's tutorial, Hostway's number the one in its example.
TENANTS: Mapping[str, Tenant] = {
    "acronis": Tenant(
        external_id="acronis-partner",
        name="Example Partner",
        kind=CredentialKind.OAUTH_CLIENT,
        file="acronis.json",
        id="ede9f834-70b3-476c-83d9-736f9f8c7dae",
    ),
    "myreports": Tenant(
        external_id="myreports-enterprise", name="Example Enterprise", kind=CredentialKind.API_KEY, file="myreports.json"
    ),
    "hostway": Tenant(external_id="test731993", name="Example Hosting Account", kind=CredentialKind.BASIC, file="hostway.json"),
    "amberflo": Tenant(
        external_id="amberflo-account", name="Example Usage Seller", kind=CredentialKind.API_KEY, file="amberflo.json"
    ),
    "focus": Tenant(external_id="cloud-payer", name="Example Cloud Payer", kind=None, file="focus.csv"),
}

_ADDRESS = Profile(
    line1="1 Example Street", city="Springfield", postal_code="12345", country="US", email="billing@demo.example"
)


@contextmanager
def fresh_folder(home: Path) -> Iterator[None]:
    """An empty folder for a demo, held for the block. Only a folder that a demo made is wiped.

    Raises :class:`Invalid` for a folder that holds anything else, :class:`Conflict` where another demo runs in it.
    """
    if home.exists() and not (home.is_dir() and ((home / MARK).exists() or not any(home.iterdir()))):
        raise Invalid(
            f"{home} holds something else than a demo; name a new folder with --home", code="demo.folder", where="home"
        )
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    with contextlib.ExitStack() as held:
        if not held.enter_context(only_one(home / MARK)):
            raise Conflict(f"another demo runs in {home}; end it, or name another folder with --home", code="demo.running")
        for entry in home.iterdir():
            if entry.name != MARK:
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        yield


def root_of(database: Database, now: int) -> Account:
    """The account above all others of the demo, in a database that is still empty."""
    upgrade.upgrade(database, now)
    return _account(database, None, Tenant(external_id="demo", name="Demo Distributor", kind=None, file=""), now)


def build(database: Database, root: Account, now: int) -> dict[str, Key]:
    """Bring in the vendors' example invoices below ``root``; gives each vendor's key."""
    keys = {}
    for vendor, tenant in TENANTS.items():
        if vendor not in LOADERS:
            continue
        account = _account(database, root, tenant, now)
        _bring_in(database, vendor, account, tenant, now)
        if tenant.kind is not None:
            keys[vendor] = _key(database, account, tenant.kind, now)
    return keys


def _account(database: Database, parent: Account | None, tenant: Tenant, now: int) -> Account:
    with database.write() as connection:
        return accounts.create(
            connection,
            id=tenant.id or derived_id("demo", tenant.external_id),
            name=tenant.name,
            now=now,
            parent=parent,
            external_id=tenant.external_id,
            currency=None if parent else "USD",
            time_zone=None if parent else "UTC",
            profile=_ADDRESS,
        )


def _bring_in(database: Database, vendor: str, account: Account, tenant: Tenant, now: int) -> None:
    body = (files("billsmith") / "demo_data" / tenant.file).read_bytes()
    report = LOADERS[vendor](database, account, body, now=now, currency=None, actor="demo", progress=lambda _count: None)
    assert not report.errors, f"the demo's own file {tenant.file} does not come in: {report.errors}"


def _key(database: Database, account: Account, kind: CredentialKind, now: int) -> Key:
    with database.write() as connection:
        made, secret = credentials.create(connection, account, kind, now=now, label="demo")
    return Key(id=made.id, secret=secret, account=account)
