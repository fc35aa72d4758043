"""Connections to vendors: made with a secret, and that secret found again."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from billsmith.accounts.model import Account, check_text
from billsmith.outbound import origins
from billsmith.storage import sync_connections
from billsmith.storage.database import Connection, Database
from billsmith.storage.sync_connections import NewConnection, VendorConnection
from billsmith.units.errors import BillsmithError, Invalid, NotFound, Unavailable
from billsmith.workflows.new_ids import new_id
from billsmith.workflows.sealing import Sealer

MAX_SECRET = 8192
#: The shortest time between two pulls that a schedule may ask for, and the longest: a year.
MIN_EVERY, MAX_EVERY = 5, 525_600
#: What each vendor's connection must say; the vendors' folders read it. The secret comes apart.
NEEDS: Mapping[str, tuple[str, ...]] = {
    "acronis": ("url", "client_id"),
    "myreports": ("url", "client_id"),
    "hostway": ("url", "user"),
    "amberflo": ("url",),
}
#: Under what name this program's entries stand in the keyring.
KEYRING = "billsmith"


class Secret(msgspec.Struct, frozen=True, kw_only=True):
    """A secret to make a connection with: its text, to be sealed; or where to read it each time (``env:NAME``, …)."""

    text: str = ""
    read_from: str = ""

    def __repr__(self) -> str:
        return f"Secret(read_from={self.read_from!r})"


def add(
    connection: Connection,
    account: Account,
    *,
    name: str,
    vendor: str,
    options: Mapping[str, Any],
    secret: Secret,
    sealer: Sealer,
    now: int,
    actor: str = "command line",
    every_minutes: int | None = None,
) -> VendorConnection:
    """Make a connection. Raises :class:`Unavailable` where a secret is to be stored and there is no key to seal it with."""
    name = check_text(name, "name", 64)
    _check_options(vendor, options)
    if every_minutes is not None and not MIN_EVERY <= every_minutes <= MAX_EVERY:
        raise Invalid(f"between two pulls lie {MIN_EVERY} to {MAX_EVERY} minutes", code="sync.every", where="every")
    id = new_id()
    sealed = _sealed(secret, sealer, id, vendor, options)
    new = NewConnection(
        id=id,
        name=name,
        vendor=vendor,
        options=options,
        secret_from=secret.read_from,
        sealed=sealed,
        every_minutes=every_minutes,
    )
    return sync_connections.create(connection, account, new, now, actor)


def renew(connection: Connection, of: VendorConnection, secret: Secret, sealer: Sealer, *, now: int, actor: str) -> None:
    """Give a connection the secret that took the place of the old one; what it pulled stays. Raises as :func:`add`."""
    sealed = _sealed(secret, sealer, of.id, of.vendor, of.options)
    sync_connections.set_secret(connection, of, secret.read_from, sealed, now, actor)


def _sealed(secret: Secret, sealer: Sealer, id: str, vendor: str, options: Mapping[str, Any]) -> bytes | None:
    """A secret as it is stored; ``None`` for one that is read each time. Raises :class:`Invalid`, :class:`Unavailable`."""
    if secret.read_from:
        if options.get("refresh"):
            raise Invalid(
                "a refresh token is replaced at each use, so it must be stored, not read by reference or from the keyring",
                code="sync.refresh_by_reference",
                where="secret",
            )
        return None
    if not 1 <= len(secret.text) <= MAX_SECRET:
        raise Invalid(f"a secret has 1 to {MAX_SECRET} characters", code="secret.length", where="secret")
    return sealer.seal(secret.text, context(id, vendor, options))


def _check_options(vendor: str, options: Mapping[str, Any]) -> None:
    """Raise :class:`Invalid` where a vendor's connection lacks something, or an address is none."""
    if vendor not in NEEDS:
        raise Invalid(f"there is no vendor {vendor[:40]!r}; there are {', '.join(NEEDS)}", code="sync.vendor", where="vendor")
    for name in NEEDS[vendor]:
        if not options.get(name):
            raise Invalid(f"a connection with {vendor} needs {name}", code="sync.option_missing", where=name)
    for name in ("url", "login_url"):
        if options.get(name):
            origins.parse(options[name])


def context(id: str, vendor: str, options: Mapping[str, Any]) -> str:
    """What a connection's secret is bound to: itself, its vendor, and every option, the address among them."""
    return msgspec.json.encode([id, vendor, options], order="sorted").decode()


def secret_of(of: VendorConnection, sealer: Sealer) -> str:
    """A connection's secret. Raises :class:`Unavailable` where it can't be read now."""
    if of.sealed is not None:
        return sealer.open(of.sealed, context(of.id, of.vendor, of.options))
    return read_secret(of.secret_from)


def keep_secret(database: Database, of: VendorConnection, sealer: Sealer, secret: str) -> None:
    """Store the secret that took the place of a connection's (a refresh token that was rotated), before it is used."""
    with database.write() as connection:
        sync_connections.set_sealed(connection, of, sealer.seal(secret, context(of.id, of.vendor, of.options)))


def rekey(connection: Connection, sealer: Sealer, *, now: int, actor: str) -> int:
    """Seal every stored secret with the first key; gives how many were under another."""
    moved = 0
    for of in sync_connections.every(connection):
        if of.sealed is not None and not sealer.is_current(of.sealed):
            bound_to = context(of.id, of.vendor, of.options)
            sealed = sealer.seal(sealer.open(of.sealed, bound_to), bound_to)
            sync_connections.reseal(connection, of, sealed, now, actor)
            moved += 1
    return moved


def read_secret(read_from: str) -> str:
    """The secret that ``env:NAME``, ``file:PATH`` or ``keyring:NAME`` names. Raises :class:`Unavailable`, :class:`Invalid`."""
    kind, _, name = read_from.partition(":")
    reader = _READERS.get(kind)
    if reader is None or not name:
        raise Invalid("a secret is read from env:NAME, file:PATH or keyring:NAME", code="secret.from", where="secret")
    secret = reader(name)
    if not secret:
        raise Unavailable(f"{read_from} holds no secret", code="secret.missing")
    return secret


def _from_environment(name: str) -> str:
    return os.environ.get(name, "")


def _from_file(name: str) -> str:
    path = Path(name).expanduser()
    if not path.is_file():
        raise NotFound(f"there is no file {name}", code="input.no_such_file", where="secret")
    with path.open("rb") as file:
        body = file.read(MAX_SECRET + 2)
    try:
        return body.decode().strip("\r\n")
    except UnicodeDecodeError:
        raise Invalid(f"{name} is not text", code="secret.from", where="secret") from None


def from_keyring(name: str) -> str:
    """An entry of this user's keyring; empty where there is none. Raises :class:`Unavailable` without the library."""
    try:
        import keyring
    except ImportError:
        raise Unavailable("the keyring needs its library: pip install 'billsmith[keyring]'", code="secret.no_keyring") from None
    try:
        return keyring.get_password(KEYRING, name) or ""
    except BillsmithError:
        raise
    except Exception as error:  # each backend has errors of its own
        raise Unavailable(f"the keyring can't be read: {type(error).__name__}", code="secret.no_keyring") from error


_READERS: dict[str, Callable[[str], str]] = {"env": _from_environment, "file": _from_file, "keyring": from_keyring}
