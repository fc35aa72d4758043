"""``/v1/invoices``: listing what the caller's account may see, reading one."""

from __future__ import annotations

from typing import Any

from billsmith.accounts.authorisation import Principal, Scope, may_reach
from billsmith.accounts.model import Account
from billsmith.api import cursors
from billsmith.api.invoice_shapes import STATUSES, InvoicePage, InvoiceView, row, whole
from billsmith.api.operations import Operation, QueryParameter, bound_to, limit_of, list_parameters
from billsmith.api.values import FIRST_DAY, LAST_DAY, read_date, read_instant
from billsmith.invoicing.model import InvoiceKind, InvoiceStatus
from billsmith.storage import accounts, invoice_views, invoices
from billsmith.storage.database import Connection
from billsmith.storage.invoice_lists import ALL_FLAGS, flags_where
from billsmith.storage.invoice_views import ViewFilter, ViewSort
from billsmith.storage.invoices import EXPORTED, PAYMENT_SENT, SEND_BY_EMAIL, STATUS_MASK, Stored
from billsmith.storage.upgrade import cursor_key
from billsmith.units.currency import EXPONENTS, currency_exponent
from billsmith.units.errors import Invalid
from billsmith.wire.face import Call
from billsmith.wire.parameters import Parameters, shown

_SORTS = [f"{sign}{sort.value}" for sort in ViewSort for sign in ("", "-")]
_YES_OR_NO = {
    "send_by_email": SEND_BY_EMAIL,
    "payment_sent": PAYMENT_SENT,
    "exported": EXPORTED,
}


def list_invoices(call: Call) -> InvoicePage:
    """``GET /v1/invoices``."""
    parameters, viewer = call.parameters, call.principal.account
    sort, descending = _sort(parameters.text("sort") or "-created")
    limit, cursor = limit_of(parameters), parameters.text("cursor")
    with call.services.database.read() as connection:
        secret = cursor_key(connection)
        after_id = None if cursor is None else cursors.read(secret, bound_to(call), cursor)
        which = _filter(connection, viewer, parameters)
        if which is None:
            return InvoicePage(items=[], next_cursor=None)
        page = invoice_views.page(
            connection, viewer, which=which, sort=sort, descending=descending, after_id=after_id, limit=limit
        )
    return InvoicePage(
        items=[row(each.invoice) for each in page.rows],
        next_cursor=None if page.next_id is None else cursors.write(secret, bound_to(call), page.next_id),
    )


def view(connection: Connection, principal: Principal, found: Stored, issuer: Account) -> InvoiceView:
    """A whole invoice as the caller sees it: the issuer's own affairs are for those who run the issuer."""
    runs_issuer = may_reach(principal, issuer)
    return whole(
        found.invoice,
        invoices.payments(connection, found.seq),
        invoices.history(connection, found.seq),
        with_actors=runs_issuer,
        invoiced_by=found.invoice.invoiced_by if runs_issuer else "",
    )


def _sort(text: str) -> tuple[ViewSort, bool]:
    if text not in _SORTS:
        raise Invalid(f"sort is one of {', '.join(_SORTS)}, not {shown(text)}", code="input.sort", where="sort")
    return ViewSort(text.removeprefix("-")), text.startswith("-")


def _filter(connection: Connection, viewer: Account, parameters: Parameters) -> ViewFilter | None:
    """What the parameters ask for; ``None`` when nothing can pass, as for an account that the caller doesn't know."""
    issuer_name, recipient_name = parameters.text("issuer"), parameters.text("recipient")
    fields: dict[str, Any] = {
        "flags": _flags(parameters),
        "number": parameters.text("number"),
        "kind": _one_of(parameters, "kind", [kind.value for kind in InvoiceKind]),
        "currency": _currency(parameters),
        "date_from": _date(parameters, "date_from"),
        "date_to": _date(parameters, "date_to"),
        "created_from": read_instant(parameters.text("created_from"), "created_from"),
        "created_before": read_instant(parameters.text("created_before"), "created_before"),
    }
    if issuer_name is not None:
        fields["issuer"] = invoice_views.issuer_named(connection, viewer, issuer_name)
    if recipient_name is not None:
        fields["recipient"] = accounts.find(connection, recipient_name, viewer)
    if any(name in fields and fields[name] is None for name in ("issuer", "recipient")) or fields["flags"] == frozenset():
        return None
    return ViewFilter(**fields)


def _flags(parameters: Parameters) -> frozenset[int] | None:
    """Status and the yes-or-no filters as the combinations that pass."""
    words = parameters.text("status")
    statuses = set(InvoiceStatus) if words is None else {_status(word) for word in words.split(",")}
    paid = parameters.boolean("paid")
    if paid is not None:
        statuses = {status for status in statuses if (status is InvoiceStatus.PAID) == paid}
    asked = {bit: parameters.boolean(name) for name, bit in _YES_OR_NO.items()}
    passing = flags_where(
        lambda flags: (
            flags & STATUS_MASK in statuses
            and all(wanted is None or bool(flags & bit) == wanted for bit, wanted in asked.items())
        )
    )
    return None if len(passing) == len(ALL_FLAGS) else passing


def _status(word: str) -> InvoiceStatus:
    if word not in STATUSES:
        raise Invalid(f"status is of {', '.join(STATUSES)}, not {shown(word)}", code="input.status", where="status")
    return STATUSES[word]


def _one_of(parameters: Parameters, name: str, words: list[str]) -> str | None:
    text = parameters.text(name)
    if text is not None and text not in words:
        raise Invalid(f"{name} is one of {', '.join(words)}, not {shown(text)}", code="input.unknown_word", where=name)
    return text


def _currency(parameters: Parameters) -> str | None:
    code = parameters.text("currency")
    if code is not None:
        currency_exponent(code)
    return code


def _date(parameters: Parameters, name: str) -> Any:
    text = parameters.text(name)
    return None if text is None else read_date(text, name)


def _boolean(name: str, description: str) -> QueryParameter:
    return QueryParameter(name=name, description=description, schema={"type": "boolean"})


_ACCOUNT = {"type": "string", "minLength": 1, "maxLength": 128}
_DATE = {"type": "string", "format": "date"}
_INSTANT = {"type": "string", "format": "date-time", "maxLength": 40}

LIST_QUERY = (
    *list_parameters(),
    QueryParameter(
        name="sort",
        description="The order, `-` for descending; ties by creation, then arrival. `created` is always served. Others are "
        "where an index serves them (`number`, `customer`, `period` with `issuer`; `date` with `recipient`) or the list has "
        f"at most {invoice_views.SORTABLE} invoices: narrow it by `issuer`, `recipient`, `created_from`, `created_before`.",
        schema={"type": "string", "enum": _SORTS, "default": "-created"},
    ),
    QueryParameter(
        name="status",
        description="Statuses that pass, separated by commas.",
        schema={"type": "array", "minItems": 1, "maxItems": 16, "items": {"type": "string", "enum": list(STATUSES)}},
        many=True,
    ),
    _boolean("paid", "Whether the status is `paid`."),
    QueryParameter(name="issuer", description="Who issued it: a UUID or an external id.", schema=_ACCOUNT),
    QueryParameter(name="recipient", description="To whom it was issued: a UUID or an external id.", schema=_ACCOUNT),
    QueryParameter(
        name="number", description="Its number, in any case.", schema={"type": "string", "minLength": 1, "maxLength": 64}
    ),
    QueryParameter(
        name="kind", description="What it is.", schema={"type": "string", "enum": [kind.value for kind in InvoiceKind]}
    ),
    QueryParameter(name="currency", description="ISO 4217.", schema={"type": "string", "enum": sorted(EXPONENTS)}),
    QueryParameter(name="date_from", description="Dated on this day or after it.", schema=_DATE),
    QueryParameter(name="date_to", description="Dated on this day or before it.", schema=_DATE),
    QueryParameter(
        name="created_from",
        description=f"Created at this instant or after it, in the years {FIRST_DAY.year} to {LAST_DAY.year}.",
        schema=_INSTANT,
    ),
    QueryParameter(name="created_before", description="Created before this instant.", schema=_INSTANT),
    _boolean("send_by_email", "Whether it goes by e-mail."),
    _boolean("payment_sent", "Whether a request to pay was sent."),
    _boolean("exported", "Whether it was exported."),
)

OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/invoices",
        id="listInvoices",
        tag="invoices",
        summary="List the invoices that the account may see",
        description="Those that it issued, and those issued to it or to an account below it. A page may hold fewer than "
        "`limit` invoices, or none, where few pass the filters; the list ends where `next_cursor` is null.",
        scope=Scope.INVOICES_READ,
        query=LIST_QUERY,
        answer=InvoicePage,
        read=list_invoices,
    ),
)
