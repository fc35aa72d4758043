"""Invoices by e-mail against a real SMTP server: queued with their cause, sent once, tried again, problems told (P12, P20)."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import ssl
from collections.abc import Iterator
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

from billsmith.accounts.model import Profile
from billsmith.outbound.session import Tools
from billsmith.outbound.smtp import Server
from billsmith.storage import change_log, mails
from billsmith.storage.database import Database
from billsmith.storage.mails import FAILED, SENT, WAITING, Mail
from billsmith.units.instants import DAY, MINUTE, SECOND
from billsmith.workflows import mail as workflow
from billsmith.workflows import settle
from billsmith.workflows.mail import Postman
from tests.api.support import Caller, problem
from tests.outbound.test_tls import certificate
from tests.support.house import House

FROM = "billing@provider.example"


class Box:
    """A mailbox that does as it is told: ``rcpt`` and ``data`` are what it answers."""

    def __init__(self) -> None:
        self.port = 0
        self.rcpt, self.data = "250 OK", "250 OK"
        self.mails: list[EmailMessage] = []
        self.envelopes: list[tuple[str, list[str], Any]] = []

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any) -> str:
        if self.rcpt.startswith("250"):
            envelope.rcpt_tos.append(address)
        return self.rcpt

    async def handle_DATA(self, _server: Any, session: Any, envelope: Any) -> str:
        if self.data.startswith("250"):
            self.mails.append(message_from_bytes(envelope.content, policy=default))  # type: ignore[arg-type]
            self.envelopes.append((envelope.mail_from, envelope.rcpt_tos, session))
        return self.data


class Listening(Controller):
    """The server at a port that was free; the library knocks once, which needs the port and no certificate."""

    def _trigger_server(self) -> None:
        self.port = self.server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
        with socket.create_connection((self.hostname, self.port), 5) as knocking:
            if self.ssl_context:
                anybody = ssl.create_default_context()
                anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
                knocking = anybody.wrap_socket(knocking)
            knocking.recv(1024)
            knocking.close()


@pytest.fixture
def box() -> Iterator[Box]:
    made = Box()
    controller = Listening(made, hostname="127.0.0.1", port=0)
    controller.start()
    made.port = controller.port
    yield made
    controller.stop()


def server(box: Any) -> Server:
    return Server(host="127.0.0.1", port=box.port, security="none", sender=FROM)


def postman(house: House, box: Any, **more: Any) -> Postman:
    """With its dice loaded: every pause is the longest that it may be."""
    return Postman(
        **{
            "database": house.database,
            "clock": lambda: house.now,
            "server": server(box),
            "outside": Tools(dice=lambda: 1.0),
            **more,
        }
    )


def issue(house: House, email: str = "anna@customer.example", name: str = "Customer", **more: Any) -> Any:
    top = house.account("Provider & Söhne", profile=Profile(email="help@provider.example"))
    customer = house.account(name, top, profile=Profile(email=email))
    return house.invoice(top, customer, send_by_email=True, **more)


def only(house: House) -> Mail:
    with house.database.read() as connection:
        [found] = mails.page(connection, None, limit=10)
    return found


def kinds(house: House) -> list[str]:
    with house.database.read() as connection:
        return [each.kind for each in change_log.after(connection, 0, 1000) if each.kind.startswith("mail.")]


def test_an_invoice_is_mailed_once(house: House, box: Box) -> None:
    found = issue(house)
    assert (only(house).state, only(house).address) == (WAITING, "anna@customer.example")
    assert postman(house, box).run_due() == 1
    assert postman(house, box).run_due() == 0
    [mail] = box.mails
    assert box.envelopes[0][:2] == (FROM, ["anna@customer.example"])
    assert mail["Subject"] == f"Invoice {found.invoice.number} from Provider & Söhne"
    assert mail["From"] == f"Provider & Söhne <{FROM}>"
    assert (mail["To"], mail["Reply-To"]) == ("anna@customer.example", "help@provider.example")
    assert mail["Date"] == "Sat, 31 Oct 2026 12:00:00 +0000"
    assert mail["Message-ID"] == f"<{only(house).id}@provider.example>"
    text, html = (part.get_content() for part in mail.iter_parts())
    assert "Service: 100.00 EUR" in text
    assert "Total: 100.00 EUR" in text
    assert "<td>Service</td><td align=right>100.00 EUR</td>" in html
    assert "Provider &amp; Söhne" in html
    assert (only(house).state, only(house).attempts) == (SENT, 1)
    assert kinds(house) == ["mail.sent"]


def test_what_does_not_go_by_mail_or_is_undone_is_not_queued(sqlite_house: House) -> None:
    house = sqlite_house
    top = house.account("Provider", profile=Profile(email="a@b.example"))
    house.invoice(top, top)
    with house.database.read() as connection:
        assert mails.page(connection, None, limit=10) == []


HOSTILE = [
    "<script>alert(1)</script>",
    "Eve, <eve@evil.example>",
    'Quote" <eve@evil.example>',
    "=?utf-8?q?Bcc:_eve?=",
    "\u202egpj.exe",
    "Ann\u2028Bcc: eve@evil.example",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_names_are_inert_in_headers_and_bodies(sqlite_house: House, box: Box, name: str) -> None:
    house = sqlite_house
    top = house.account(name, profile=Profile(email="help@provider.example"))
    house.invoice(top, top, send_by_email=True)
    assert postman(house, box).run_due() == 1
    [mail] = box.mails
    assert box.envelopes[0][:2] == (FROM, ["help@provider.example"])
    assert sorted(mail.keys()) == sorted(
        ["From", "To", "Reply-To", "Subject", "Date", "Message-ID", "Auto-Submitted", "MIME-Version", "Content-Type"]
    )
    assert [address.addr_spec for address in mail["From"].addresses] == [FROM]
    for part in mail.iter_parts():
        assert "<script" not in part.get_content() or part.get_content_subtype() == "plain"
        assert not {"\u202e", "\u2028"} & set(part.get_content())


@pytest.mark.parametrize(
    "address", ["a@b.example,c@d.example", "<a@b.example>", "a@b.example>", "ä@b.example", "a@b..example", '"a@b.example']
)
def test_an_address_that_is_none_is_a_problem_that_shows(sqlite_house: House, box: Box, address: str) -> None:
    issue(sqlite_house, email=address)
    assert postman(sqlite_house, box).run_due() == 0
    assert box.mails == []
    assert (only(sqlite_house).state, only(sqlite_house).code) == (FAILED, "mail.address")


def test_an_account_without_an_address_shows_and_can_be_mended(house: House, box: Box) -> None:
    issue(house, email="")
    assert (only(house).state, only(house).code) == (FAILED, "mail.no_address")
    top = Caller(house, _issuer(house))
    [shown] = top.all("/v1/mails", state="failed")
    problem(top("POST", f"/v1/mails/{shown['id']}/retry", {}), 409, "mail.no_address")
    top("PATCH", f"/v1/accounts/{shown['account_id']}", {"profile": {"email": "new@customer.example"}})
    assert top.post(f"/v1/mails/{shown['id']}/retry", {})["state"] == "waiting"
    assert postman(house, box).run_due() == 1
    assert box.envelopes[0][1] == ["new@customer.example"]
    problem(top("POST", f"/v1/mails/{shown['id']}/retry", {}), 409, "mail.not_failed")


def _issuer(house: House) -> Any:
    from billsmith.storage import accounts

    with house.database.read() as connection:
        return accounts.by_seq(connection, only(house).issuer_seq)


def test_a_refused_address_is_a_problem_that_shows(house: House, box: Box) -> None:
    issue(house)
    box.rcpt = "550 5.1.1 no such user here"
    assert postman(house, box).run_due() == 0
    assert (only(house).state, only(house).code) == (FAILED, "mail.refused")
    assert "no such user here" in only(house).problem
    assert kinds(house) == ["mail.failed"]


@pytest.mark.parametrize("where", ["rcpt", "data", "down"])
def test_what_may_go_later_is_tried_for_three_days(sqlite_house: House, box: Box, where: str) -> None:
    house = sqlite_house
    issue(house)
    if where == "down":
        sender = postman(house, box, server=msgspec.structs.replace(server(box), port=1))
    else:
        setattr(box, where, "451 4.3.0 come back later")
        sender = postman(house, box)
    began, pauses = house.now, []
    while only(house).state == WAITING:
        assert sender.run_due() == 0
        if only(house).state == WAITING:
            pauses.append((only(house).due_at - house.now) // SECOND)
            assert not sender.is_due(only(house).due_at - 1)
            house.now = only(house).due_at
    assert pauses[:4] == [60, 120, 240, 480]
    assert max(pauses) == 4 * 3600
    assert 3 * DAY <= house.now - began <= 3 * DAY + MINUTE
    assert (only(house).state, only(house).code) == (FAILED, "mail.unavailable")


def test_it_goes_once_the_server_takes_it(sqlite_house: House, box: Box) -> None:
    house = sqlite_house
    issue(house)
    box.data = "451 4.3.0 come back later"
    postman(house, box).run_due()
    box.data = "250 OK"
    house.now = only(house).due_at
    assert postman(house, box).run_due() == 1
    assert (only(house).state, only(house).problem) == (SENT, "")


def test_without_a_server_nothing_piles_up_to_be_sent_one_day(sqlite_house: House, box: Box) -> None:
    house = sqlite_house
    issue(house)
    assert postman(house, box, server=None).run_due() == 0
    assert (only(house).state, only(house).code) == (FAILED, "mail.no_server")
    assert postman(house, box).run_due() == 0
    with house.database.write() as connection:
        workflow.retry(connection, only(house), now=house.now, actor="test")
    assert postman(house, box).run_due() == 1


def test_an_invoice_that_was_taken_back_is_not_sent(sqlite_house: House, box: Box) -> None:
    house = sqlite_house
    found = issue(house)
    with house.database.write() as connection:
        settle.void(connection, found, now=house.now, actor="test")
    assert postman(house, box).run_due() == 0
    assert (box.mails, only(house).code) == ([], "mail.not_needed")


class Login:
    """Lets one user in."""

    def __call__(self, _server: Any, _session: Any, _envelope: Any, mechanism: str, data: Any) -> AuthResult:
        good = isinstance(data, LoginPassword) and (data.login, data.password) == (b"user", b"correct horse")
        return AuthResult(success=good, handled=not good and mechanism not in ("LOGIN", "PLAIN"))


@pytest.mark.filterwarnings("ignore:Requiring AUTH")
@pytest.mark.parametrize("security", ["starttls", "ssl"])
def test_the_connection_is_protected_and_the_user_known(sqlite_house: House, tmp_path: Path, security: str) -> None:
    house = sqlite_house
    issue(house)
    pem = certificate(tmp_path, "localhost")
    own = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    own.load_cert_chain(pem)
    made = Box()
    protected = {"ssl_context": own} if security == "ssl" else {"tls_context": own, "require_starttls": True}
    controller = Listening(
        made, hostname="127.0.0.1", port=0, authenticator=Login(), auth_required=True, auth_require_tls=False, **protected
    )
    controller.start()
    trusting = ssl.create_default_context(cafile=str(pem))
    where = Server(host="localhost", port=controller.port, security=security, sender=FROM, user="user", password="wrong")
    try:
        assert postman(house, made, server=where, context=trusting).run_due() == 0
        assert "user and password" in only(house).problem
        assert "wrong" not in only(house).problem + repr(where)
        house.now = only(house).due_at
        right = msgspec.structs.replace(where, password="correct horse")
        assert postman(house, made, server=right, context=None).run_due() == 0, "control: whom nobody vouches for gets nothing"
        house.now = only(house).due_at
        assert postman(house, made, server=right, context=trusting).run_due() == 1
        assert len(made.mails) == 1
    finally:
        controller.stop()


def _send_and_die(url: str, port: int, now: int) -> None:
    """A process that hands a mail in and is killed before it can note that."""
    mails.end = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[assignment]
    where = Server(host="127.0.0.1", port=port, security="none", sender=FROM)
    Postman(database=Database(url), clock=lambda: now, server=where).run_due()


def test_killed_between_sending_and_noting_it_goes_again_under_the_same_id(sqlite_house: House, box: Box) -> None:
    house = sqlite_house
    issue(house)
    url = house.database.url.render_as_string(hide_password=False)
    arguments = (url, server(box).port, house.now)
    child = multiprocessing.get_context("spawn").Process(target=_send_and_die, args=arguments)
    child.start()
    child.join(60)
    assert child.exitcode == -signal.SIGKILL
    assert len(box.mails) == 1
    assert postman(house, box).run_due() == 0, "the dead one's claim still counts"
    house.now += workflow.CLAIM
    assert postman(house, box).run_due() == 1
    assert [mail["Message-ID"] for mail in box.mails] == [f"<{only(house).id}@provider.example>"] * 2


def test_of_two_that_send_at_once_one_does(house: House, box: Box) -> None:
    issue(house)
    with house.database.read() as connection:
        [due] = mails.due(connection, house.now, 10)
    with house.database.write() as connection:
        assert mails.claim(connection, due, house.now + workflow.CLAIM)
    with house.database.write() as connection:
        assert not mails.claim(connection, due, house.now + workflow.CLAIM)


def test_mails_are_the_issuers_affair(sqlite_house: House) -> None:
    house = sqlite_house
    issue(house)
    issuer, other = Caller(house, _issuer(house)), Caller(house, house.account("Other"))
    [shown] = issuer.all("/v1/mails")
    assert other.all("/v1/mails") == []
    problem(other("POST", f"/v1/mails/{shown['id']}/retry", {}), 404, "mail.unknown")
    problem(issuer("GET", "/v1/mails?state=lost"), 400, "mail.state", "state")
