"""Sending queued mails: each is claimed, handed in, and then ended; what may go later is tried again for three days.

A mail that was handed in when the process was killed goes again after :data:`CLAIM`, under the same Message-ID: at least once.
"""

from __future__ import annotations

import datetime as dt
import ssl
from collections.abc import Callable

import msgspec

from billsmith.documents.mail import invoice_mail
from billsmith.invoicing.model import OPEN_STATUSES, InvoiceStatus
from billsmith.outbound.retries import Patience, delay
from billsmith.outbound.session import Tools as Outside
from billsmith.outbound.smtp import Post, Server
from billsmith.storage import accounts, invoices, mails
from billsmith.storage.database import Connection, Database
from billsmith.storage.mails import FAILED, INVOICE, SENT, Mail
from billsmith.units.errors import Conflict, Invalid, NotFound, Unavailable
from billsmith.units.ids import parse_id
from billsmith.units.instants import DAY, MINUTE, SECOND
from billsmith.workflows.clock import Clock

#: How long a mail that can't be sent now is tried.
GIVE_UP = 3 * DAY
#: How long a mail is its sender's alone.
CLAIM = 10 * MINUTE
PATIENCE = Patience(attempts=1_000_000, first=60, most=4 * 3600, longest=24 * 3600)
_AT_ONCE = 50
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


class Postman(msgspec.Struct, frozen=True, kw_only=True):
    """What sending needs. Without a ``server`` what is due fails with that as its problem, to be retried when there is one."""

    database: Database
    clock: Clock
    server: Server | None
    context: ssl.SSLContext | None = None
    outside: Outside = Outside()

    def is_due(self, now: int) -> bool:
        """Whether any mail's time has come."""
        with self.database.read() as connection:
            return bool(mails.due(connection, now, 1))

    def run_due(self, check: Callable[[int], None] = lambda _count: None) -> int:
        """Send what is due; how many mails were sent."""
        sent = 0
        post = None if self.server is None else Post(self.server, self.context)
        try:
            while batch := self._due():
                for each in batch:
                    check(sent)
                    sent += self._send(post, each)
        finally:
            if post is not None:
                post.close()
        return sent

    def _due(self) -> list[Mail]:
        with self.database.read() as connection:
            return mails.due(connection, self.clock(), _AT_ONCE)

    def _send(self, post: Post | None, of: Mail) -> bool:
        now = self.clock()
        with self.database.write() as connection:
            if not mails.claim(connection, of, now + CLAIM):
                return False
        try:
            self._hand_in(post, of, now)
        except Unavailable as error:
            self._later(of, error)
            return False
        except (Invalid, Conflict) as error:
            self._end(of, FAILED, error.code, error.message)
            return False
        self._end(of, SENT, "", "")
        return True

    def _hand_in(self, post: Post | None, of: Mail, now: int) -> None:
        if post is None or self.server is None:
            raise Conflict(
                "no mail server is set; set BILLSMITH_SMTP_HOST and the others of docs/mail.md, then retry",
                code="mail.no_server",
            )
        with self.database.read() as connection:
            [found] = invoices.with_content(connection, [*invoices.by_seqs(connection, [of.invoice_seq]).values()])
        if found.invoice.status is InvoiceStatus.VOID or (of.what != INVOICE and found.invoice.status not in OPEN_STATUSES):
            raise Conflict(f"by the time of sending, the invoice was {found.invoice.status.word}", code="mail.not_needed")
        post.send(
            invoice_mail(
                found.invoice,
                to=of.address,
                sender=self.server.sender,
                message_id=of.id,
                at=_EPOCH + dt.timedelta(microseconds=now // 1000),
                reminder="" if of.what == INVOICE else _words(found.invoice.status),
            )
        )

    def _later(self, of: Mail, error: Unavailable) -> None:
        now = self.clock()
        since = now if of.failing_since is None else of.failing_since
        if now - since >= GIVE_UP:
            self._end(of, FAILED, error.code, f"tried for three days; the last time: {error.message}")
            return
        wait = delay(PATIENCE, min(of.attempts + 1, 30), None, self.outside.dice)
        assert wait is not None
        due_at = min(now + int(wait * SECOND), max(now + SECOND, since + GIVE_UP))
        with self.database.write() as connection:
            mails.postpone(connection, of, due_at=due_at, failing_since=since, code=error.code, problem=error.message)

    def _end(self, of: Mail, state: str, code: str, problem: str) -> None:
        with self.database.write() as connection:
            mails.end(connection, of, state=state, now=self.clock(), code=code, problem=problem)


def _words(status: InvoiceStatus) -> str:
    """What a reminder says."""
    if status is InvoiceStatus.PAST_DUE:
        return "by our books the invoice below is past due. If you have paid it meanwhile, please disregard this."
    return "by our books the invoice below is not paid yet; please mind its due date."


def retry(connection: Connection, of: Mail, *, now: int, actor: str) -> Mail:
    """Queue a mail again that failed, to the address that its account has now. Raises :class:`Conflict` for another."""
    if of.state != FAILED:
        raise Conflict(f"a mail that is {of.state} is not sent again", code="mail.not_failed")
    address = accounts.by_seq(connection, of.recipient_seq).profile.email
    if not address:
        raise Conflict("the account has no e-mail address; give it one first", code="mail.no_address")
    mails.retry(connection, of, address=address, now=now, actor=actor)
    found = mails.find(connection, of.id)
    assert found is not None
    return found


def get(connection: Connection, id: str) -> Mail:
    """The mail with that id. Raises :class:`NotFound`."""
    canonical = parse_id(id)
    found = None if canonical is None else mails.find(connection, canonical)
    if found is None:
        raise NotFound("no such mail; `billsmith mail list` shows them", code="mail.unknown")
    return found
