"""Acronis's API, served by us: the token, the client, the list of invoices."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import islice

import msgspec
from starlette.responses import Response

from billsmith.accounts.authorisation import Principal, Scope, require
from billsmith.invoicing.model import InvoiceStatus
from billsmith.storage import accounts, invoice_lists, invoices
from billsmith.storage.database import Connection
from billsmith.storage.invoice_lists import Criteria, InvoiceList, Sort, flags_where
from billsmith.storage.invoices import EXPORTED, ISSUED_BY, PAYMENT_SENT, SEND_BY_EMAIL, STATUS_MASK, Stored
from billsmith.units.errors import Invalid, NotFound, Unauthorized
from billsmith.units.ids import ZERO_ID, parse_id
from billsmith.units.instants import HOUR, SECOND
from billsmith.vendors.acronis import errors
from billsmith.vendors.acronis.shapes import Batch, InvoiceOverview, Paging
from billsmith.vendors.acronis.translate import NO_BATCH, VENDOR, row
from billsmith.wire.credentials import basic, bearer
from billsmith.wire.face import Call, Face, json_response, route
from billsmith.wire.forms import read_form
from billsmith.wire.json import encode
from billsmith.wire.parameters import Parameters, shown
from billsmith.wire.stream import Stream
from billsmith.workflows.credentials import new_token

TOKEN_LIFETIME = 2 * HOUR
#: Rows that one answer holds in memory; more are streamed.
MAX_HELD = 1_000
_BATCHES_AT_ONCE = 500

_SORTS = {
    "customername": Sort.CUSTOMER_NAME,
    "batchnumber": Sort.BATCH,
    "creationdate": Sort.CREATED,
    "scheduleat": Sort.SCHEDULED,
    "scheduledat": Sort.SCHEDULED,
    "deliverymethod": Sort.SEND_BY_EMAIL,
    "emailsent": Sort.SEND_BY_EMAIL,
    "sendbyemail": Sort.SEND_BY_EMAIL,
    "paymentconfirmed": Sort.PAID,
    "paymentstatus": Sort.PAID,
    "paiddate": Sort.PAID_AT,
    "paymentdate": Sort.PAID_AT,
    "invoicedby": Sort.INVOICED_BY,
    "exportdate": Sort.EXPORTED_AT,
    "exporteddate": Sort.EXPORTED_AT,
    "exported": Sort.EXPORTED,
    "invoicenumber": Sort.NUMBER,
    "billedfor": Sort.BILLING_ENTITY,
    "billingentityname": Sort.BILLING_ENTITY,
    "paymentmethod": Sort.PAYMENT_METHOD,
    "paymenttype": Sort.PAYMENT_METHOD,
    "invoicetotal": Sort.TOTAL,
    "total": Sort.TOTAL,
}

# Each yes-or-no filter of the list: the flag it looks at, its nullable parameter, and its two tick boxes (yes, no).
_FILTERS = (
    ("delivery", "DeliveryMethod", "DeliveryMethodByEmail", "DeliveryMethodByPost"),
    ("sent", "PaymentSent", "PaymentSentSent", "PaymentSentNotSent"),
    ("paid", "PaymentStatus", "PaymentStatusConfirmed", "PaymentStatusNotConfirmed"),
    ("exported", "ShowExported", None, None),
)


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller asks of the list."""

    page: int
    page_size: int
    customer: str | None
    number: str | None
    wanted: dict[str, frozenset[bool]]
    sort: Sort
    descending: bool


def face() -> Face:
    """Acronis's API."""
    return Face(
        VENDOR,
        [
            route("POST", "/api/2/idp/token", grant_token, writes=True, open=True),
            route("GET", "/api/2/clients/{client_id}", get_client),
            route("GET", "/api/advanced-automation/v1/InvoiceOverview", list_invoices),
        ],
        prefixes=("/api/2/", "/api/advanced-automation/"),
        authenticate=authenticate,
        error=errors.error,
        not_allowed=errors.not_allowed,
        broken=errors.broken,
    )


def authenticate(call: Call) -> Principal:
    """The client behind a token of this face."""
    token = bearer(call.headers.get("authorization"))
    if token is None:
        raise Unauthorized("the request lacks a Bearer token", code="access.unauthorized")
    return call.services.authenticator.token(VENDOR, token, call.address)


def grant_token(call: Call) -> Response:
    """``POST /api/2/idp/token``: client credentials, by Basic or in the form."""
    form = read_form(call)
    grant = form.text("grant_type")
    if grant is None:
        raise Invalid("grant_type is missing", code="oauth.invalid_request", where="grant_type")
    if grant != "client_credentials":
        raise Invalid("only grant_type=client_credentials is offered", code="oauth.unsupported_grant_type", where="grant_type")
    shown_by_header = basic(call.headers.get("authorization"))
    client_id, secret = shown_by_header or (form.text("client_id") or "", form.text("client_secret") or "")
    principal = call.services.authenticator.client(client_id, secret, call.address)
    token, expires_at = call.services.authenticator.grant_token(VENDOR, principal, lifetime=TOKEN_LIFETIME)
    body = {
        "access_token": token,
        "expires_in": (expires_at - call.services.clock()) // SECOND,
        "expires_on": expires_at // SECOND,
        "id_token": new_token(),
        "token_type": "bearer",
    }
    return json_response(encode(body), headers={"Cache-Control": "no-store", "Pragma": "no-cache"})


def get_client(call: Call) -> Response:
    """``GET /api/2/clients/{client_id}``: the caller's own client, whose ``tenant_id`` the tutorial reads."""
    if parse_id(call.path_values["client_id"]) != call.principal.credential_id:
        raise NotFound("there is no such client", code="credential.unknown")
    account = call.principal.account
    body = {
        "client_id": call.principal.credential_id,
        "tenant_id": account.id,
        "type": "api_client",
        "status": "enabled",
        "data": {"client_name": account.name},
    }
    return json_response(encode(body))


def list_invoices(call: Call) -> Response:
    """``GET /InvoiceOverview``: the invoices that the token's account issued."""
    require(call.principal, Scope.INVOICES_READ)
    query = read_query(call.parameters)
    of = InvoiceList(ISSUED_BY, call.principal.account.seq)
    with call.services.database.read() as connection:
        answer = call.services.answers.of(call, connection, [of], partial(_answer, call, connection, of, query))
    # After the connection is given back: a stream takes its own, again and again.
    return answer if isinstance(answer, Response) else _streamed(call, of, query, *answer)


def _answer(call: Call, connection: Connection, of: InvoiceList, query: Query) -> Response | tuple[Criteria, Paging]:
    """The answer, or what is to be streamed."""
    criteria = _criteria(connection, call.principal, of, query)
    total = invoice_lists.count(connection, of)
    found = 0 if criteria is None else invoice_lists.count(connection, of, criteria)
    paging = Paging(AmountTotalItems=total, AmountRecordsFound=found, AmountOfPages=_pages(found, query))
    if criteria is not None and (query.page_size == 0 or query.page_size > MAX_HELD) and found > MAX_HELD:
        return criteria, paging
    rows = [] if criteria is None else _page(connection, of, query, criteria)
    ids = invoices.vendor_keys(connection, VENDOR, [each.seq for each in rows])
    batches = _batches(connection, of, [each.invoice.batch for each in rows], criteria) if criteria else []
    shown = [row(each.invoice, ids.get(each.seq)) for each in rows]
    return json_response(encode(InvoiceOverview(Invoices=shown, Paging=paging, Batches=batches)))


def read_query(parameters: Parameters) -> Query:
    """The sixteen parameters. Raises ``Invalid`` naming the one at fault; unknown ones are ignored."""
    page = parameters.integer("Page", 0) or 0
    page_size = parameters.integer("PageSize", 0, low=0) or 0
    wanted = {}
    for name, single, yes, no in _FILTERS:
        passing = {True, False}
        exact = parameters.boolean(single)
        if exact is not None:
            passing &= {exact}
        if yes and no:
            ticked = parameters.boolean(yes, False), parameters.boolean(no, False)
            if ticked in ((True, False), (False, True)):
                passing &= {bool(ticked[0])}
        wanted[name] = frozenset(passing)
    return Query(
        page=max(page, 1),
        page_size=page_size,
        customer=parameters.text("Customer") or None,
        number=parameters.text("InvoiceNumber") or None,
        wanted=wanted,
        sort=_sort(parameters.text("SortColumn")),
        descending=_descending(parameters.text("SortDirection")),
    )


def _sort(text: str | None) -> Sort:
    if not text:
        return Sort.CUSTOMER_NAME
    try:
        return _SORTS[text.lower()]
    except KeyError:
        raise Invalid(
            f"SortColumn {shown(text)} is none of CustomerName, BatchNumber, CreationDate, ScheduleAt, DeliveryMethod, "
            "EmailSent, PaymentConfirmed, PaidDate, InvoicedBy, ExportDate, Exported, InvoiceNumber, BilledFor, PaymentMethod, "
            "InvoiceTotal",
            code="acronis.sort_column",
            where="SortColumn",
        ) from None


def _descending(text: str | None) -> bool:
    word = (text or "asc").lower()
    if word not in ("asc", "desc"):
        raise Invalid(
            f"SortDirection is Asc or Desc, not {shown(text or '')}", code="acronis.sort_direction", where="SortDirection"
        )
    return word == "desc"


def _criteria(connection: Connection, principal: Principal, of: InvoiceList, query: Query) -> Criteria | None:
    """What passes; ``None`` when nothing can."""
    recipient_seq = None
    if query.customer is not None and parse_id(query.customer) != ZERO_ID:
        customer = accounts.find(connection, query.customer, principal.account)
        if customer is None:
            if parse_id(query.customer) is None:
                raise Invalid(f"Customer {shown(query.customer)} is not a GUID", code="acronis.customer", where="Customer")
            return None
        recipient_seq = customer.seq
    part = query.number is not None and not invoice_lists.count(connection, of, Criteria(number=query.number))
    return Criteria(
        flags=_flags(query),
        recipient_seq=recipient_seq,
        number=None if part else query.number,
        number_part=query.number if part else None,
    )


def _flags(query: Query) -> frozenset[int] | None:
    if all(len(passing) == 2 for passing in query.wanted.values()):
        return None
    return flags_where(
        lambda flags: (
            bool(flags & SEND_BY_EMAIL) in query.wanted["delivery"]
            and bool(flags & PAYMENT_SENT) in query.wanted["sent"]
            and (flags & STATUS_MASK == InvoiceStatus.PAID) in query.wanted["paid"]
            and bool(flags & EXPORTED) in query.wanted["exported"]
        )
    )


def _page(connection: Connection, of: InvoiceList, query: Query, criteria: Criteria) -> list[Stored]:
    size = query.page_size or MAX_HELD
    return invoice_lists.page(
        connection,
        of,
        sort=query.sort,
        descending=query.descending,
        criteria=criteria,
        offset=(query.page - 1) * size if query.page_size else 0,
        limit=size,
    )


def _batches(connection: Connection, of: InvoiceList, batches: Iterable[str], criteria: Criteria) -> list[Batch]:
    """The batches of some rows, in order of appearance, each with how many rows of it match the filter."""
    lengths: Counter[str] = Counter()
    names = iter(dict.fromkeys(batches))
    while some := list(islice(names, _BATCHES_AT_ONCE)):
        found = invoice_lists.batch_lengths(connection, of, some, criteria)
        for name in some:
            lengths[name or NO_BATCH] += found.get(name, 0)
    return [Batch(BatchNumber=name, BatchLength=length) for name, length in lengths.items()]


def _pages(found: int, query: Query) -> int:
    return -(-found // query.page_size) if query.page_size else 0


def _streamed(call: Call, of: InvoiceList, query: Query, criteria: Criteria, paging: Paging) -> Response:
    """The list in pieces. A page too long to hold is a part of the walk."""
    skip = (query.page - 1) * query.page_size
    limit = query.page_size or paging.AmountRecordsFound
    return Stream(
        _pieces(call, of, query, criteria, paging, skip, limit),
        content_type="application/json",
        in_thread=not call.services.database.is_sqlite,
    )


def _pieces(
    call: Call, of: InvoiceList, query: Query, criteria: Criteria, paging: Paging, skip: int, limit: int
) -> Iterator[bytes]:
    database = call.services.database
    batches: dict[str, None] = {}
    opening = b'{"Invoices":['
    for rows in invoice_lists.walk(
        database, of, sort=query.sort, descending=query.descending, criteria=criteria, offset=skip, limit=limit
    ):
        with database.read() as connection:
            ids = invoices.vendor_keys(connection, VENDOR, [each.seq for each in rows])
        batches.update(dict.fromkeys(each.invoice.batch for each in rows))
        yield opening + b",".join(encode(row(each.invoice, ids.get(each.seq))) for each in rows)
        opening = b","
    with database.read() as connection:
        listed = _batches(connection, of, batches, criteria)
    start = b"" if opening == b"," else opening
    yield start + b'],"Paging":' + encode(paging) + b',"Batches":' + encode(listed) + b"}"
