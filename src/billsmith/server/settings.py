"""Settings: ``BILLSMITH_…`` variables, a TOML file in the data folder, or flags, in rising order of precedence.

The file is ``billsmith.toml``; its keys are the variables' names without ``BILLSMITH_`` in lower case. Lists are separated by
commas in variables.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from billsmith.outbound.smtp import SECURITIES, Server
from billsmith.server.secret_key import sealer
from billsmith.storage.database import SQLITE_FILE, Database, sqlite_url
from billsmith.units.errors import Invalid
from billsmith.wire.services import Services, WireSettings
from billsmith.workflows.authenticate import Authenticator
from billsmith.workflows.clock import Clock, system_clock
from billsmith.workflows.ingest import Ingest
from billsmith.workflows.usage_store import MEMORY, Usage

FILE = "billsmith.toml"
FACES = ("acronis", "myreports", "hostway", "amberflo", "native")


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that an operator can set. docs/reference/settings.md lists them."""

    home: Path
    """The data folder."""
    database_url: str = ""
    """PostgreSQL's URL; empty: SQLite in ``home``."""
    host: str = "127.0.0.1"
    """The address to listen at."""
    port: int = 8080
    """The port; 0 takes any that is free."""
    public_hosts: tuple[str, ...] = ()
    """Host names under which callers may reach us, besides loopback and the bound address; links name no other."""
    trusted_proxies: tuple[str, ...] = ()
    """Addresses whose X-Forwarded-* headers count."""
    max_body: int = 8 * 1024 * 1024
    """Bytes of a request's body, at most."""
    body_seconds: int = 60
    """Seconds within which a request's body must have come."""
    jobs: bool = True
    """Whether ``serve`` does what is due, as ``jobs run`` does; off where another process has that task."""
    pull: bool = True
    """Whether pulling connections whose time has come is among these jobs."""
    faces: tuple[str, ...] = FACES
    """The APIs that are served."""
    face_hosts: dict[str, str] = {}
    """An API bound to one host name: ``acronis=billing.example.com``."""
    hostway_amounts: str = "string"
    """How Hostway's API writes amounts: ``string`` (four decimals) or ``number``."""
    failed_credentials_per_minute: int = 600
    """Wrong credentials from one address before it must wait."""
    tokens_per_minute: int = 120
    """Tokens for one OAuth client before it must wait."""
    smtp_host: str = ""
    """The mail server that invoices are handed to; empty: none."""
    smtp_port: int = 587
    """Its port."""
    smtp_security: str = "starttls"
    """How the connection is protected: ``starttls``, ``ssl``, or ``none``."""
    smtp_user: str = ""
    """Who hands mail in; empty: nobody in particular."""
    smtp_password: str = ""
    """The user's password; better as a variable than in the file."""
    smtp_from: str = ""
    """The address that mail comes from. Needed with ``smtp_host``."""
    usage_memory: int = MEMORY
    """Bytes of memory that the usage store may take."""


def load(flags: Mapping[str, Any], environment: Mapping[str, str] = os.environ) -> Settings:
    """Put the settings together. ``flags`` that are ``None`` were not given. Raises :class:`Invalid`."""
    home = Path(flags.get("home") or environment.get("BILLSMITH_HOME") or "billsmith-data").expanduser()
    values: dict[str, Any] = {"home": str(home)}
    values.update(_variables(environment))
    values.update(_file(home / FILE))
    values.update({name: value for name, value in flags.items() if value is not None})
    values["home"] = str(home)
    try:
        settings = msgspec.convert(values, Settings, strict=False, dec_hook=_path)
    except msgspec.ValidationError as error:
        raise Invalid(f"a setting is wrong: {error}", code="settings.invalid") from None
    unknown = sorted(set(settings.faces) - set(FACES))
    if unknown:
        raise Invalid(f"no such face: {', '.join(unknown)}; there are {', '.join(FACES)}", code="settings.face", where="faces")
    if settings.hostway_amounts not in ("string", "number"):
        raise Invalid("hostway_amounts is string or number", code="settings.hostway_amounts", where="hostway_amounts")
    return settings


def open_database(settings: Settings) -> Database:
    """The database that the settings name."""
    return Database(settings.database_url or sqlite_url(settings.home))


def sqlite_file(settings: Settings) -> Path:
    """Where the data folder's SQLite database is, or would be."""
    return settings.home / SQLITE_FILE


def services(settings: Settings, database: Database, clock: Clock = system_clock) -> Services:
    """What the doors need."""
    return Services(
        database=database,
        clock=clock,
        authenticator=Authenticator(
            database,
            clock,
            failures_per_minute=settings.failed_credentials_per_minute,
            tokens_per_minute=settings.tokens_per_minute,
        ),
        settings=WireSettings(
            public_hosts=tuple(host.lower() for host in settings.public_hosts),
            trusted_proxies=settings.trusted_proxies,
            max_body=settings.max_body,
            body_seconds=settings.body_seconds,
            hostway_amounts=settings.hostway_amounts,
        ),
        sealer=sealer(),
        usage_or_none=open_usage(settings, database),
        ingest_or_none=Ingest(database),
    )


def mail_server(settings: Settings) -> Server | None:
    """The mail server that the settings name, if they name one. Raises :class:`Invalid`."""
    if not settings.smtp_host:
        return None
    if settings.smtp_security not in SECURITIES:
        raise Invalid(f"smtp_security is {' or '.join(SECURITIES)}", code="settings.smtp_security", where="smtp_security")
    if not settings.smtp_from:
        raise Invalid(
            "say with BILLSMITH_SMTP_FROM which address mail comes from", code="settings.smtp_from", where="smtp_from"
        )
    return Server(
        host=settings.smtp_host,
        port=settings.smtp_port,
        security=settings.smtp_security,
        sender=settings.smtp_from,
        user=settings.smtp_user,
        password=settings.smtp_password,
    )


def open_usage(settings: Settings, database: Database) -> Usage:
    """The usage store that the settings name; it is opened when it is first asked for."""
    return Usage(database, memory=settings.usage_memory)


_LISTS = {"public_hosts", "trusted_proxies", "faces"}


def _variables(environment: Mapping[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for field in msgspec.structs.fields(Settings):
        text = environment.get(f"BILLSMITH_{field.name.upper()}")
        if text is None:
            continue
        if field.name in _LISTS:
            values[field.name] = [part.strip() for part in text.split(",") if part.strip()]
        elif field.name == "face_hosts":
            values[field.name] = dict(part.strip().split("=", 1) for part in text.split(",") if "=" in part)
        else:
            values[field.name] = text
    return values


def _file(path: Path) -> dict[str, Any]:
    try:
        values = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Invalid(f"{path} can't be read: {error}", code="settings.file") from None
    known = {field.name for field in msgspec.structs.fields(Settings)}
    unknown = sorted(set(values) - known)
    if unknown:
        raise Invalid(f"{path} has settings that there are not: {', '.join(unknown)}", code="settings.unknown")
    return values


def _path(kind: type, value: Any) -> Any:
    if kind is Path:
        return Path(value)
    raise NotImplementedError(kind)
