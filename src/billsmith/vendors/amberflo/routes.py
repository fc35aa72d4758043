"""Amberflo's API, served by us: a customer's invoices, and the customers."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from functools import partial

import msgspec
from starlette.responses import Response

from billsmith.accounts.authorisation import Principal, Scope, require
from billsmith.accounts.model import Account
from billsmith.storage import accounts, invoice_lists, invoices
from billsmith.storage.database import Connection
from billsmith.storage.invoice_lists import InvoiceList, Sort
from billsmith.storage.invoices import ISSUED_TO, Stored
from billsmith.units.errors import Invalid, Unauthorized
from billsmith.units.ids import parse_id
from billsmith.units.instants import DAY, local_date, start_of_day
from billsmith.vendors.amberflo import errors
from billsmith.vendors.amberflo.extras import VENDOR
from billsmith.vendors.amberflo.shapes import PRODUCT_ID, Customer, CustomerProductInvoice, PageInfo, Paginated
from billsmith.vendors.amberflo.translate import VendorKey, customer_row, spell
from billsmith.wire.face import Call, Face, json_response, route
from billsmith.wire.json import encode
from billsmith.wire.parameters import Parameters, shown
from billsmith.wire.stream import Stream

_INVOICES = "/payments/billing/customer-product-invoice"

#: Invoices with all of their lines that are held in memory at once; longer answers are streamed so many at a time.
MAX_HELD = 20
#: Bytes of documents, as they are kept, of which a page is made whole however many they are.
MAX_HELD_BYTES = 128 * 1024
MAX_PAGE_SIZE = 500
DEFAULT_PAGE_SIZE = 50
#: Accounts that one piece of a streamed list of customers holds.
CUSTOMERS_A_PIECE = 500


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """Whose invoices a caller asks for, and how they are to be shown."""

    customer: str
    product: str
    with_status: bool
    latest: bool


def face() -> Face:
    """Amberflo's API."""
    return Face(
        VENDOR,
        [
            route("GET", _INVOICES, get_invoice),
            route("GET", f"{_INVOICES}/all", list_invoices),
            route("GET", f"{_INVOICES}/paginated", page_of_invoices),
            route("GET", "/customers", list_customers),
            route("GET", "/customers/{id}", get_customer),
        ],
        prefixes=("/payments/", "/customers/"),
        authenticate=authenticate,
        error=errors.error,
        not_allowed=errors.not_allowed,
        broken=errors.broken,
    )


def authenticate(call: Call) -> Principal:
    """The account behind an ``X-API-KEY``."""
    key = call.headers.get("x-api-key")
    if not key:
        raise Unauthorized("the request lacks an X-API-KEY header", code="access.unauthorized")
    return call.services.authenticator.api_key(key, call.address)


def get_invoice(call: Call) -> Response:
    """``GET /payments/billing/customer-product-invoice``: the latest invoice, or the one of a plan that starts on a day.

    ``null`` when there is none, and the same for a customer whom the caller may not see.
    """
    require(call.principal, Scope.INVOICES_READ)
    query = read_query(call.parameters)
    day = None if query.latest else read_day(call.parameters)
    with call.services.database.read() as connection:
        customer = _customer(connection, call.principal, query)
        if customer is None:
            return json_response(b"null")
        found = _latest(connection, customer) if day is None else _starting(connection, customer, *day)
        return json_response(encode(_spelled(connection, customer, found, query)[0] if found else None))


def list_invoices(call: Call) -> Response:
    """``GET …/all``: every invoice of a customer, newest first; with ``latest=true`` the newest alone, as an object."""
    require(call.principal, Scope.INVOICES_READ)
    query = read_query(call.parameters)
    with call.services.database.read() as connection:
        customer = _customer(connection, call.principal, query)
        if query.latest:
            newest = _latest(connection, customer) if customer else []
            return json_response(encode(_spelled(connection, customer, newest, query)[0] if customer and newest else None))
        if customer is None:
            return json_response(b"[]")
        of = InvoiceList(ISSUED_TO, customer.seq)
        if invoice_lists.count(connection, of) <= MAX_HELD:
            rows = invoice_lists.page(connection, of, sort=Sort.PERIOD, descending=True, limit=MAX_HELD)
            return json_response(encode(_spelled(connection, customer, rows, query)))
    walk = invoice_lists.walk(call.services.database, of, sort=Sort.PERIOD, descending=True)
    return _streamed(call, _pieces(call, customer, query, walk))


def page_of_invoices(call: Call) -> Response:
    """``GET …/paginated``: one page of a customer's invoices, newest first."""
    require(call.principal, Scope.INVOICES_READ)
    query = read_query(call.parameters)
    number, size = read_page(call.parameters)
    with call.services.database.read() as connection:
        customer = _customer(connection, call.principal, query)
        if customer is None:
            return json_response(encode(Paginated(pageInfo=_page_info(number, size, 0), data=[])))
        of = InvoiceList(ISSUED_TO, customer.seq)
        page = partial(_page, call, connection, customer, query, of, number, size)
        answer = call.services.answers.of(call, connection, [of], page)
    return answer if isinstance(answer, Response) else _streamed(call, answer)


def _page(
    call: Call, connection: Connection, customer: Account, query: Query, of: InvoiceList, number: int, size: int
) -> Response | Iterator[bytes]:
    """A page whole, or where it is long the pieces of it."""
    info = _page_info(number, size, invoice_lists.count(connection, of))
    rows = invoice_lists.page(connection, of, sort=Sort.PERIOD, descending=True, offset=(number - 1) * size, limit=size)
    opening = b'{"pageInfo":' + encode(info) + b',"data":['
    if len(rows) > MAX_HELD and invoices.document_bytes(connection, [each.seq for each in rows]) > MAX_HELD_BYTES:
        return _pieces(call, customer, query, [rows], opening, b"]}", with_uuid=True)
    spelled = _spelled(connection, customer, rows, query, with_uuid=True)
    return json_response(opening + encode(spelled)[1:] + b"}")


def list_customers(call: Call) -> Response:
    """``GET /customers``: every account below the caller's, oldest first; with ``customerId`` that one, or ``{}``."""
    require(call.principal, Scope.INVOICES_READ)
    if "customerId" in call.parameters:
        return _one_customer(call, call.parameters.text("customerId") or "")
    return _streamed(call, _customer_pieces(call))


def get_customer(call: Call) -> Response:
    """``GET /customers/{id}``: one account below the caller's, or ``{}``."""
    require(call.principal, Scope.INVOICES_READ)
    return _one_customer(call, call.path_values["id"])


def read_query(parameters: Parameters) -> Query:
    """What every list and look-up takes. Raises ``Invalid`` naming the parameter at fault; unknown ones are ignored."""
    customer = parameters.text("customerId")
    if not customer:
        raise Invalid("customerId is missing", code="amberflo.customer_missing", where="customerId")
    parameters.boolean("fromCache")  # what we serve is always as fresh as it is final
    return Query(
        customer=customer,
        product=parameters.text("productId") or PRODUCT_ID,
        with_status=parameters.boolean("withPaymentStatus", True) is not False,
        latest=bool(parameters.boolean("latest", False)),
    )


def read_day(parameters: Parameters) -> tuple[str, dt.date]:
    """Plan and first day of the invoice that a caller asks for. Raises ``Invalid``."""
    plan = parameters.text("productPlanId")
    year = parameters.integer("year", low=1, high=9999)
    month = parameters.integer("month", low=1, high=12)
    day = parameters.integer("day", low=1, high=31)
    if not plan or year is None or month is None or day is None:
        raise Invalid(
            "give latest=true, or productPlanId, year, month and day (the invoice's first day)",
            code="amberflo.which_invoice",
            where="latest",
        )
    try:
        return plan, dt.date(year, month, day)
    except ValueError:
        raise Invalid(f"{year}-{month}-{day} is no day of any calendar", code="amberflo.no_such_day", where="day") from None


def read_page(parameters: Parameters) -> tuple[int, int]:
    """The page's number (the first is 1) and size. ``pageToken`` of the page before stands for a number."""
    number = parameters.integer("pageNumber", low=1)
    token = parameters.text("pageToken") or None
    if token is not None:
        if number is not None:
            raise Invalid("give pageNumber or pageToken, not both", code="amberflo.page", where="pageToken")
        if not (token.isascii() and token.isdigit() and len(token) <= 10 and int(token) > 0):
            raise Invalid(f"pageToken {shown(token)} is none of ours", code="amberflo.page_token", where="pageToken")
        number = int(token)
    size = parameters.integer("pageSize", DEFAULT_PAGE_SIZE, low=1, high=MAX_PAGE_SIZE)
    assert size is not None
    return number or 1, size


def _page_info(number: int, size: int, found: int) -> PageInfo:
    pages = -(-found // size)
    token = str(number + 1) if number < pages else ""
    return PageInfo(pageNumber=number, pageSize=size, pageToken=token, totalPages=pages, totalResults=found)


def _customer(connection: Connection, principal: Principal, query: Query) -> Account | None:
    """The customer, if it lies at or below the caller's account and has the product (there is one)."""
    found = accounts.find(connection, query.customer, principal.account)
    return found if query.product == PRODUCT_ID else None


def _latest(connection: Connection, customer: Account) -> list[Stored]:
    of = InvoiceList(ISSUED_TO, customer.seq)
    return invoice_lists.page(connection, of, sort=Sort.PERIOD, descending=True, limit=1)


def _starting(connection: Connection, customer: Account, plan: str, date: dt.date) -> list[Stored]:
    """The customer's invoice of that plan that starts on that day (UTC): ours by its id, Amberflo's by its key."""
    ending = "/" + VendorKey("", PRODUCT_ID, plan, date).ending
    # Amberflo's day may be a zone's own: a day around it is looked at, and the key decides.
    start = start_of_day(date, "UTC")
    kept = invoices.by_vendor_key_ending(connection, VENDOR, customer, ending, start - DAY, start + 2 * DAY)
    if kept is not None:
        return [kept]
    id = parse_id(plan)
    ours = invoices.by_id(connection, id, customer) if id else None
    if ours is None or ours.recipient_seq != customer.seq or local_date(ours.invoice.period.start, "UTC") != date:
        return []
    return [] if invoices.vendor_keys(connection, VENDOR, [ours.seq]) else [ours]


def _spelled(
    connection: Connection, customer: Account, rows: Sequence[Stored], query: Query, *, with_uuid: bool = False
) -> list[CustomerProductInvoice]:
    keys = invoices.vendor_keys(connection, VENDOR, [each.seq for each in rows])
    return [
        spell(each.invoice, customer, keys.get(each.seq), with_status=query.with_status, with_uuid=with_uuid)
        for each in invoices.with_content(connection, rows)
    ]


def _pieces(
    call: Call,
    customer: Account,
    query: Query,
    lists: Iterable[list[Stored]],
    opening: bytes = b"[",
    closing: bytes = b"]",
    *,
    with_uuid: bool = False,
) -> Iterator[bytes]:
    """An array of invoices as bytes, the documents of :data:`MAX_HELD` at a time."""
    for rows in lists:
        for start in range(0, len(rows), MAX_HELD):
            with call.services.database.read() as connection:
                spelled = _spelled(connection, customer, rows[start : start + MAX_HELD], query, with_uuid=with_uuid)
            yield opening + b",".join(encode(each) for each in spelled)
            opening = b","
    yield closing if opening == b"," else opening + closing


def _streamed(call: Call, pieces: Iterator[bytes]) -> Response:
    return Stream(pieces, content_type="application/json", in_thread=not call.services.database.is_sqlite)


def _one_customer(call: Call, name: str) -> Response:
    with call.services.database.read() as connection:
        account = accounts.find(connection, name, call.principal.account)
        if account is None or account.seq == call.principal.account.seq:
            return json_response(b"{}")
        return json_response(encode(_customer_rows(connection, call.principal, [account])[0]))


def _customer_pieces(call: Call) -> Iterator[bytes]:
    database, root = call.services.database, call.principal.account
    opening, after = b"[", 0
    while True:
        with database.read() as connection:
            batch = accounts.below(connection, root, after_seq=after, limit=CUSTOMERS_A_PIECE)
            rows = _customer_rows(connection, call.principal, [each for each in batch if each.seq != root.seq])
        if rows:
            yield opening + b",".join(encode(each) for each in rows)
            opening = b","
        if len(batch) < CUSTOMERS_A_PIECE:
            break
        after = batch[-1].seq
    yield b"]" if opening == b"," else b"[]"


def _customer_rows(connection: Connection, principal: Principal, batch: Sequence[Account]) -> list[Customer]:
    """Accounts as customers. A name that several accounts below the caller share would lead elsewhere: there, the UUID."""
    shared = accounts.shared_external_ids(connection, principal.account, [each.external_id for each in batch])
    with_profile = Scope.ACCOUNTS_READ in principal.scopes
    return [
        customer_row(each, each.id if each.external_id in shared else each.external_id, with_profile=with_profile)
        for each in batch
    ]
