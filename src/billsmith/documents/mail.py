"""An invoice as a mail: plain text and HTML, both inert; headers that hold nothing but what belongs there (promise P20)."""

from __future__ import annotations

import datetime as dt
from email.errors import HeaderParseError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from html import escape

from billsmith.documents.inert import visible
from billsmith.invoicing.model import Invoice, InvoiceKind
from billsmith.units.currency import from_minor
from billsmith.units.errors import Invalid
from billsmith.units.rounding import plain

#: Lines that a mail shows; of more it says how many there are.
MAX_LINES = 50
_NAMES = {InvoiceKind.INVOICE: "Invoice", InvoiceKind.CREDIT_NOTE: "Credit note", InvoiceKind.DEBIT_NOTE: "Debit note"}


def invoice_mail(
    invoice: Invoice, *, to: str, sender: str, message_id: str, at: dt.datetime, reminder: str = ""
) -> EmailMessage:
    """The mail that brings a document, or reminds of it in the words of ``reminder``. ``invoice`` holds its content.

    Raises :class:`Invalid` for an address that can't be one.
    """
    assert invoice.content is not None
    issuer = invoice.content.issuer
    named = f"{_NAMES[invoice.kind]} {visible(invoice.number)} from {visible(issuer.name)}"
    message = EmailMessage(policy=SMTP)
    message["From"] = Address(display_name=visible(issuer.name), addr_spec=_checked(sender))
    message["To"] = Address(addr_spec=_checked(to))
    if issuer.email:
        message["Reply-To"] = Address(addr_spec=_checked(issuer.email))
    message["Subject"] = f"Reminder: {named}" if reminder else named
    message["Date"] = format_datetime(at)
    message["Message-ID"] = f"<{message_id}@{_checked(sender).rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"
    rows = _rows(invoice)
    greeting = f"Dear {visible(invoice.customer_name)},"
    opening = (
        visible(reminder) if reminder else f"please find below the {_NAMES[invoice.kind].lower()} {visible(invoice.number)}."
    )
    message.set_content("\n".join([greeting, "", opening, "", *_text(rows), "", visible(issuer.name), ""]))
    message.add_alternative(_html(greeting, opening, rows, issuer.name), subtype="html")
    return message


def _checked(address: str) -> str:
    """An address that is one, of ASCII alone and not of several. Raises :class:`Invalid`."""
    try:
        if not address.isascii() or visible(address) != address or len(address) > 254:
            raise ValueError(address)
        parsed = Address(addr_spec=address)
        if not parsed.username or not parsed.domain or parsed.addr_spec != address:
            raise ValueError(address)
    except (ValueError, HeaderParseError, IndexError):
        raise Invalid(f"{address[:100]!a} is no e-mail address that mail can go to", code="mail.address") from None
    return address


def _rows(invoice: Invoice) -> list[tuple[str, str]]:
    """What is shown, as pairs of a label and a value, inert."""
    assert invoice.content is not None
    lines = invoice.content.lines
    rows = [(visible(line.description), _amount(line.amount_minor, invoice.currency)) for line in lines[:MAX_LINES]]
    if len(lines) > MAX_LINES:
        rows.append((f"and {len(lines) - MAX_LINES} more lines", ""))
    rows += [
        (f"{visible(tax.name)} {plain(tax.rate)} %", _amount(tax.amount_minor, invoice.currency))
        for tax in invoice.content.taxes
    ]
    rows.append(("Total", _amount(invoice.total_minor, invoice.currency)))
    if invoice.paid_minor:
        rows.append(("Paid", _amount(invoice.paid_minor, invoice.currency)))
        rows.append(("Due", _amount(invoice.due_minor, invoice.currency)))
    rows.append(("Date", invoice.date.isoformat()))
    if invoice.due_date is not None:
        rows.append(("Due date", invoice.due_date.isoformat()))
    return rows


def _amount(minor: int, currency: str) -> str:
    return f"{plain(from_minor(minor, currency))} {currency}"


def _text(rows: list[tuple[str, str]]) -> list[str]:
    return [f"{label}: {value}" if value else label for label, value in rows]


def _html(greeting: str, opening: str, rows: list[tuple[str, str]], issuer: str) -> str:
    cells = "".join(f"<tr><td>{escape(label)}</td><td align=right>{escape(value)}</td></tr>" for label, value in rows)
    return (
        f"<!doctype html><html><body><p>{escape(greeting)}</p><p>{escape(opening)}</p>"
        f"<table>{cells}</table><p>{escape(visible(issuer))}</p></body></html>"
    )
