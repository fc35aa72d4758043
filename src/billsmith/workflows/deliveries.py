"""Telling webhooks: each follows the change log by its own cursor, one message after the other, signed.

A message's id is its change's, however often it is sent. It is sent, and then the cursor is moved, so that a process killed in
between has it sent again: at least once, and in order, because what waits keeps all behind it waiting. What does not arrive is
tried again, with growing pauses, for three days; then the webhook is disabled, with its cursor before what did not arrive, so
that enabling it loses nothing (decision 0422).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from urllib.parse import urlsplit

import msgspec

from billsmith.accounts.model import Account
from billsmith.outbound import session as outbound
from billsmith.outbound.answers import Answer, said
from billsmith.outbound.retries import Patience, delay
from billsmith.outbound.session import Limits, Session
from billsmith.storage import accounts, change_log, webhooks
from billsmith.storage.change_kinds import expand
from billsmith.storage.change_log import Entry
from billsmith.storage.database import Connection, Database
from billsmith.storage.webhooks import DISABLED, Attempt, Webhook
from billsmith.units.errors import BillsmithError, Busy, Forbidden, Invalid, TooLarge, Unavailable
from billsmith.units.instants import DAY, SECOND, format_instant
from billsmith.workflows.clock import Clock
from billsmith.workflows.sealing import Sealer
from billsmith.workflows.sync import is_gone, new_holder
from billsmith.workflows.webhook_signature import headers
from billsmith.workflows.webhooks import disable, secrets_of

log = logging.getLogger("billsmith.webhooks")

#: How long a change that does not arrive is tried.
GIVE_UP = 3 * DAY
#: Seconds: the first pause, the longest that we take, the longest that the other side may ask for.
PATIENCE = Patience(attempts=1_000_000, first=5.0, most=6 * 3600.0, longest=24 * 3600.0)
LIMITS = Limits(connect=10, read=20, total=30, max_wire=64 * 1024, max_body=256 * 1024, per_second=1000)
#: Changes that are looked through at once, and messages whose arrival is noted in one transaction.
BATCH = 1000
TOGETHER = 20
TEST = "webhook.test"
ACTOR = "clock"
_GONE = 410


class Courier(msgspec.Struct, frozen=True, kw_only=True):
    """What telling needs: the store, the clock, what opens secrets, how requests go out."""

    database: Database
    clock: Clock
    sealer: Sealer
    outgoing: outbound.Settings = outbound.DEFAULT

    def is_due(self, now: int) -> bool:
        """Whether any webhook has something to be told of now."""
        with self.database.read() as connection:
            return bool(webhooks.due(connection, now))

    def run_due(self, check: Callable[[int], None] = lambda _count: None) -> int:
        """Tell every webhook that is due; how many messages arrived. One that another process is at is passed over."""
        with self.database.read() as connection:
            due = webhooks.due(connection, self.clock())
        arrived, failed = 0, None
        for each in due:
            try:
                arrived += _Round(self, each).run(check)
            except Busy:
                continue
            except BillsmithError as error:  # the store's, or no key: nothing that the other side did
                failed = error
        if failed is not None:
            raise failed
        return arrived


class _Round:
    """One process's work on one webhook, from its cursor to the log's end or to what does not arrive."""

    def __init__(self, courier: Courier, of: Webhook) -> None:
        self.courier = courier
        self.of = of
        self.holder = new_holder()
        self.account: Account
        self.kinds: frozenset[str]
        self.secrets: list[str]
        self.tried: list[Attempt] = []

    def run(self, check: Callable[[int], None]) -> int:
        """Tell what is to be told; how many messages arrived."""
        database, now = self.courier.database, self.courier.clock()
        with database.write() as connection:
            if is_gone(self.of.lease_holder):
                webhooks.drop_lease(connection, self.of, self.of.lease_holder or "")
            taken = webhooks.take_lease(connection, self.of, self.holder, now)
        if taken is None or taken.state == DISABLED or taken.due_at > now:
            return 0
        self.of = taken
        try:
            with database.read() as connection:
                self.account = accounts.by_seq(connection, taken.account_seq)
            self.kinds = frozenset(expand(taken.kinds))
            self.secrets = secrets_of(taken, self.courier.sealer, now)
            return self._tell(check)
        finally:
            with database.write() as connection:
                webhooks.drop_lease(connection, self.of, self.holder)

    def _tell(self, check: Callable[[int], None]) -> int:
        arrived = 0
        origin, path = _address(self.of.url)
        settings = msgspec.structs.replace(self.courier.outgoing, limits=LIMITS)
        with Session(origin, settings) as session:
            while batch := self._next():
                for entry, body in batch:
                    check(arrived)
                    answer = self._post(session, path, entry, body) if body is not None else None
                    if answer is not None and not self.tried[-1].arrived:
                        self._wait(answer)
                        return arrived
                    arrived += answer is not None
                    if len(self.tried) >= TOGETHER:
                        self._note(entry.seq)
                self._note(batch[-1][0].seq)
        return arrived

    def _next(self) -> list[tuple[Entry, bytes | None]]:
        """The next changes after the cursor, each with its message; those that it is not told of without one."""
        with self.courier.database.read() as connection:
            entries = change_log.after(connection, self.of.cursor, BATCH)
            wanted = [each for each in entries if self._wants(each)]
            shown = change_log.whose_actor_is_shown(connection, self.account, wanted)
        bodies = {each.seq: message(each, actor_shown=each.id in shown) for each in wanted}
        return [(each, bodies.get(each.seq)) for each in entries]

    def _wants(self, entry: Entry) -> bool:
        if entry.kind == TEST:
            return entry.subject == self.of.id
        return entry.kind in self.kinds and entry.path.startswith(self.account.path)

    def _post(self, session: Session, path: str, entry: Entry, body: bytes) -> Answer | BillsmithError:
        """Send a message and remember what came of it."""
        now = self.courier.clock()
        call = outbound.Call(
            method="POST",
            path=path,
            headers={"Content-Type": "application/json", **headers(entry.id, now // SECOND, body, self.secrets)},
            content=body,
            safe=False,
        )
        started = time.monotonic_ns()
        try:
            answer = session.send(call)
        except (Forbidden, Unavailable, TooLarge, Invalid) as error:
            session.close()
            self._remember(entry, now, started, None, error.code, error.message)
            return error
        self._remember(entry, now, started, answer.status, *_meaning(answer))
        return answer

    def _remember(self, entry: Entry, at: int, started: int, status: int | None, code: str, message: str) -> None:
        took = (time.monotonic_ns() - started) // 1_000_000
        self.tried.append(Attempt(entry.seq, at, took, status, code, message))

    def _note(self, cursor: int) -> None:
        """Note what arrived, and move on."""
        now = self.courier.clock()
        with self.courier.database.write() as connection:
            of = webhooks.move(connection, self.of, self.holder, now, cursor=cursor, attempts=0, failing_since=None, due_at=now)
            webhooks.add_attempts(connection, of, self.tried, now)
        self.of, self.tried = of, []

    def _wait(self, answer: Answer | BillsmithError) -> None:
        """Note what did not arrive, and when it is tried again; or that it is not."""
        now, failed = self.courier.clock(), self.tried[-1]
        first = len(self.tried) > 1  # what came before it arrived
        attempts = 1 if first else self.of.attempts + 1
        since = now if first or self.of.failing_since is None else self.of.failing_since
        due_at = self._when(answer, attempts, since, now)
        with self.courier.database.write() as connection:
            of = webhooks.move(
                connection,
                self.of,
                self.holder,
                now,
                cursor=failed.change_seq - 1,
                attempts=attempts,
                failing_since=since,
                due_at=now if due_at is None else due_at,
            )
            webhooks.add_attempts(connection, of, self.tried, now)
            if due_at is None:
                self._give_up(connection, of, failed, now)
        self.of, self.tried = of, []
        log.info("webhook %s: attempt %d failed: %s", of.id, attempts, failed.code)

    def _when(self, answer: Answer | BillsmithError, attempts: int, since: int, now: int) -> int | None:
        """When it is tried again; ``None``: not at all."""
        if now - since >= GIVE_UP or (isinstance(answer, Answer) and answer.status == _GONE):
            return None
        asked = answer.retry_after if isinstance(answer, Answer) else None
        if asked is not None:
            asked = min(asked, PATIENCE.longest)
        wait = delay(PATIENCE, min(attempts, 30), asked, self.courier.outgoing.tools.dice)
        assert wait is not None
        at = now + int(wait * SECOND)
        return at if asked is not None else min(at, max(now + SECOND, since + GIVE_UP))

    def _give_up(self, connection: Connection, of: Webhook, failed: Attempt, now: int) -> None:
        if failed.status == _GONE:
            reason = "the other side answered 410: it wants nothing any more"
        else:
            reason = f"nothing arrived for three days; the last time: {failed.message or failed.code}"
        disable(connection, of, reason=reason[:500], now=now, actor=ACTOR)


def message(entry: Entry, *, actor_shown: bool) -> bytes:
    """What a webhook is told of a change: as ``/v1/changes`` shows it, in the envelope of Standard Webhooks."""
    data = {
        "id": entry.id,
        "account_id": entry.account_id,
        "subject": entry.subject,
        "actor": entry.actor if actor_shown else None,
        "facts": msgspec.Raw(entry.facts.encode()),
    }
    return msgspec.json.encode({"type": entry.kind, "timestamp": format_instant(entry.at), "data": data})


def _address(url: str) -> tuple[str, str]:
    """A webhook's origin, and the path with its slashes as they were written.

    >>> _address("https://shop.example/hooks/")
    ('https://shop.example', '/hooks/')
    """
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}", parts.path or "/"


def _meaning(answer: Answer) -> tuple[str, str]:
    if 200 <= answer.status < 300:
        return "", ""
    if 300 <= answer.status < 400:
        return (
            "webhook.redirect",
            f"answered {answer.status}: it sends elsewhere, which is not followed; give the final address",
        )
    return "webhook.refused", f"answered {answer.status}. {said(answer)}".strip()
