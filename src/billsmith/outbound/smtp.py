"""Mail to the operator's SMTP server, by the standard library. The server is the operator's own word, so it may be private."""

from __future__ import annotations

import smtplib
import ssl
from email.message import EmailMessage
from types import TracebackType
from typing import Self

import msgspec

from billsmith.units.errors import Invalid, Unavailable

#: How a connection is protected: from the first byte, after STARTTLS, or not.
SECURITIES = ("ssl", "starttls", "none")
_SECONDS = 30


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """Where mail is handed in. ``sender`` is the address in From, which the server lets this user use."""

    host: str
    port: int
    security: str
    sender: str
    user: str = ""
    password: str = ""

    def __repr__(self) -> str:
        return f"Server({self.host}:{self.port}, {self.security})"


class Post:
    """A connection to the server, for several mails. Use it in a ``with`` block."""

    def __init__(self, server: Server, context: ssl.SSLContext | None = None) -> None:
        self._server = server
        self._context = context
        self._open: smtplib.SMTP | None = None

    def send(self, message: EmailMessage) -> None:
        """Hand a mail in. Raises :class:`Invalid` where it is refused for good, :class:`Unavailable` where it may go later."""
        try:
            smtp = self._connected()
            smtp.send_message(message)
        except smtplib.SMTPRecipientsRefused as error:
            status, said = next(iter(error.recipients.values()))
            raise _refusal(status, said) from None
        except smtplib.SMTPResponseException as error:
            self.close()
            login = isinstance(error, smtplib.SMTPAuthenticationError)
            raise (
                _unavailable(f"it does not take the user and password ({error.smtp_code})")
                if login
                else _refusal(error.smtp_code, error.smtp_error)
            ) from None
        except (smtplib.SMTPException, OSError, ssl.SSLError) as error:
            self.close()
            raise _unavailable(f"{type(error).__name__}: {error}") from None

    def close(self) -> None:
        """End the connection."""
        if self._open is not None:
            try:
                self._open.quit()
            except (smtplib.SMTPException, OSError):
                self._open.close()
            self._open = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None) -> None:
        self.close()

    def _connected(self) -> smtplib.SMTP:
        if self._open is None:
            server = self._server
            context = self._context or ssl.create_default_context()
            if server.security == "ssl":
                smtp: smtplib.SMTP = smtplib.SMTP_SSL(server.host, server.port, timeout=_SECONDS, context=context)
            else:
                smtp = smtplib.SMTP(server.host, server.port, timeout=_SECONDS)
            self._open = smtp
            if server.security == "starttls":
                smtp.starttls(context=context)
            if server.user:
                smtp.login(server.user, server.password)
        return self._open


def _refusal(status: int, said: bytes | str) -> Invalid | Unavailable:
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
    shown = " ".join("".join(c if c.isprintable() else " " for c in text).split())[:200]
    if status >= 500:
        return Invalid(f"the mail server refused it: {status} {shown}", code="mail.refused")
    return _unavailable(f"{status} {shown}")


def _unavailable(why: str) -> Unavailable:
    return Unavailable(f"the mail server can't take it now: {why[:300]}", code="mail.unavailable")
