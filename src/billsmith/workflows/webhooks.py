"""Webhooks: made, changed, ended; a secret that signs; where in the log an endpoint stands. Telling them: ``deliveries.py``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from billsmith.accounts.model import Account, check_text
from billsmith.outbound import origins
from billsmith.storage import change_log, changes, webhooks
from billsmith.storage.change_kinds import check_filter
from billsmith.storage.changes import Change
from billsmith.storage.database import Connection
from billsmith.storage.webhooks import DISABLED, OPEN, Webhook
from billsmith.units.errors import Conflict, Invalid, NotFound
from billsmith.units.ids import parse_id
from billsmith.units.instants import DAY, HOUR
from billsmith.workflows.new_ids import new_id
from billsmith.workflows.sealing import Sealer
from billsmith.workflows.webhook_signature import new_secret

#: How long the secret before signs beside the new one, unless told otherwise.
ROTATION_OVERLAP = 24 * HOUR
MAX_ROTATION_OVERLAP = 90 * DAY
MAX_URL = 500
#: Webhooks that one account may have.
MAX_WEBHOOKS = 50


def create(
    connection: Connection,
    account: Account,
    *,
    url: str,
    kinds: Iterable[str],
    sealer: Sealer,
    now: int,
    actor: str,
    description: str = "",
) -> tuple[Webhook, str]:
    """A new webhook of an account and its secret. It is told of what comes from now on.

    Raises :class:`Invalid` for an address or a kind that can't be, :class:`Unavailable` without a key to seal the secret with.
    """
    if webhooks.count(connection, account) >= MAX_WEBHOOKS:
        raise Conflict(f"an account has at most {MAX_WEBHOOKS} webhooks", code="webhook.too_many")
    id, secret = new_id(), new_secret()
    made = webhooks.create(
        connection,
        account,
        id=id,
        url=check_url(url),
        description=check_text(description, "description", 200, empty=True),
        kinds=check_filter(kinds),
        sealed=sealer.seal(secret, context(id)),
        cursor=changes.head(connection)[0],
        now=now,
    )
    _note(connection, "created", made, now, actor, url=made.url, kinds=made.kinds)
    return made, secret


def update(
    connection: Connection,
    of: Webhook,
    *,
    now: int,
    actor: str,
    url: str | None = None,
    kinds: Sequence[str] | None = None,
    description: str | None = None,
) -> Webhook:
    """Change what is given. Raises :class:`Invalid`."""
    values: dict[str, Any] = {}
    if url is not None:
        values["url"] = check_url(url)
    if kinds is not None:
        values["kinds"] = check_filter(kinds)
    if description is not None:
        values["description"] = check_text(description, "description", 200, empty=True)
    if not values:
        raise Invalid("nothing to change is given", code="webhook.no_change")
    _note(connection, "changed", of, now, actor, changed=sorted(values))
    return webhooks.change(connection, of, due_at=now, **values)


def disable(connection: Connection, of: Webhook, *, reason: str, now: int, actor: str) -> Webhook:
    """Tell it nothing any more. Disabled already: no change."""
    if of.state == DISABLED:
        return of
    _note(connection, "disabled", of, now, actor, reason=reason)
    return webhooks.change(connection, of, state=DISABLED, reason=reason)


def enable(connection: Connection, of: Webhook, *, now: int, actor: str) -> Webhook:
    """Go on with what it was not told. Open already: what waits is tried now."""
    if of.state == DISABLED:
        _note(connection, "enabled", of, now, actor)
    return webhooks.change(connection, of, state=OPEN, reason="", attempts=0, failing_since=None, due_at=now)


def rotate(
    connection: Connection, of: Webhook, *, sealer: Sealer, now: int, actor: str, overlap: int = ROTATION_OVERLAP
) -> tuple[Webhook, str]:
    """A new secret; the one before signs beside it for ``overlap`` nanoseconds more."""
    if not 0 <= overlap <= MAX_ROTATION_OVERLAP:
        raise Invalid("the overlap is between zero and ninety days", code="webhook.overlap", where="overlap")
    secret = new_secret()
    _note(connection, "rotated", of, now, actor)
    sealed = sealer.seal(secret, context(of.id))
    return webhooks.change(connection, of, sealed=sealed, sealed_before=of.sealed, before_until=now + overlap), secret


def ask_for_test(connection: Connection, of: Webhook, *, now: int, actor: str) -> None:
    """Have a message sent to this webhook alone, in its turn."""
    if of.state == DISABLED:
        raise Conflict("it is disabled; enable it first", code="webhook.disabled")
    _note(connection, "test", of, now, actor)


def replay(connection: Connection, of: Webhook, after: int, *, now: int, actor: str) -> Webhook:
    """Go on with the change after a row of the log, earlier or later than where it stands: what was told is told again."""
    _note(connection, "replayed", of, now, actor)
    return webhooks.change(connection, of, cursor=after, attempts=0, failing_since=None, due_at=now)


def place_of(connection: Connection, within: Account | None, *, after: str | None, since: int | None) -> int:
    """The row of the log before which nothing is replayed: of a change's id, or of the last change before an instant.

    Raises :class:`Invalid` unless one of both is given, and for a change that is not there.
    """
    if (after is None) == (since is None):
        raise Invalid("say from where: after a change, or since an instant", code="webhook.replay_from", where="after")
    if since is not None:
        return change_log.last_before(connection, since)
    canonical = parse_id(after or "")
    found = None if canonical is None else change_log.by_id(connection, canonical, within)
    if found is None:
        raise Invalid("no such change at or below this account", code="change.unknown", where="after")
    return found.seq


def get(connection: Connection, id: str, within: Account | None) -> Webhook:
    """The webhook with that id, of an account at or below ``within``. Raises :class:`NotFound`."""
    canonical = parse_id(id)
    found = None if canonical is None else webhooks.find(connection, canonical, within)
    if found is None:
        raise NotFound("no such webhook; `billsmith webhooks list` shows them all", code="webhook.unknown")
    return found


def secrets_of(of: Webhook, sealer: Sealer, now: int) -> list[str]:
    """The secrets that sign now, the newest first. Raises :class:`Unavailable` where the key to them is not given."""
    before = of.sealed_before if of.before_until is not None and now < of.before_until else None
    return [sealer.open(each, context(of.id)) for each in (of.sealed, before) if each is not None]


def rekey(connection: Connection, sealer: Sealer) -> int:
    """Seal every secret with the first key; gives how many were under another. The one before a rotation is forgotten."""
    moved, after = 0, 0
    while batch := webhooks.page(connection, None, after_seq=after):
        for of in batch:
            if not sealer.is_current(of.sealed):
                sealed = sealer.seal(sealer.open(of.sealed, context(of.id)), context(of.id))
                webhooks.change(connection, of, sealed=sealed, sealed_before=None, before_until=None)
                moved += 1
        after = batch[-1].seq
    return moved


def context(id: str) -> str:
    """What a webhook's secret is bound to."""
    return f"webhook {id}"


def check_url(url: str) -> str:
    """An address that messages can go to. Raises :class:`Invalid`."""
    if len(url) > MAX_URL:
        raise Invalid(f"an address has at most {MAX_URL} characters", code="outbound.address", where="url")
    origins.parse(url)
    return url


def _note(connection: Connection, what: str, of: Webhook, now: int, actor: str, **facts: Any) -> None:
    changes.note(connection, Change(f"webhook.{what}", of.account_seq, of.id, now, actor, facts))
