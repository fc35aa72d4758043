"""myreports' API, served by us: the token, the list of billing data, a single invoice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import msgspec
from starlette.responses import Response

from billsmith.accounts.authorisation import Principal, Scope, require
from billsmith.accounts.model import Account
from billsmith.storage import accounts, billing_lists, invoices
from billsmith.storage.billing_lists import BillingList
from billsmith.storage.database import Connection
from billsmith.storage.invoice_lists import InvoiceList
from billsmith.storage.invoices import ISSUED_BY, ISSUED_TO, Stored
from billsmith.units.errors import Invalid, NotFound, Unauthorized
from billsmith.units.instants import HOUR, SECOND
from billsmith.vendors.myreports import errors
from billsmith.vendors.myreports.errors import CONTENT_TYPE, TOKEN_PATH, timestamp
from billsmith.vendors.myreports.shapes import BillingData, BillingRow, OneInvoice
from billsmith.vendors.myreports.translate import VENDOR, id_range, row
from billsmith.wire.credentials import basic, bearer
from billsmith.wire.face import Call, Face, json_response, route
from billsmith.wire.forms import read_form
from billsmith.wire.json import encode
from billsmith.wire.parameters import Parameters, shown
from billsmith.wire.stream import Stream

TOKEN_LIFETIME = HOUR
#: The vendor's largest page, and its size where only an index is given.
MAX_PAGE = 1_000
#: Rows that one answer holds in memory; more are streamed.
MAX_HELD = 1_000

_PREFIXES = ("/api/v1.0", "/v1.0")


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """A page that a caller asks for; ``index`` zero is the first."""

    index: int
    size: int


def face() -> Face:
    """myreports' API."""
    lists = [route("GET", f"{prefix}/billingdata", list_invoices) for prefix in _PREFIXES]
    singles = [route("GET", f"{prefix}/billingdata/{{invoice_id}}", get_invoice) for prefix in _PREFIXES]
    return Face(
        VENDOR,
        [route("POST", TOKEN_PATH, grant_token, writes=True, open=True), *lists, *singles],
        prefixes=tuple(f"{prefix}/" for prefix in _PREFIXES),
        authenticate=authenticate,
        error=errors.error,
        not_allowed=errors.not_allowed,
        broken=errors.broken,
    )


def authenticate(call: Call) -> Principal:
    """Who a Bearer is: a token of this face, or an api-key. The vendor's own page once spells the header Authorisation."""
    header = call.headers.get("authorization", call.headers.get("authorisation"))
    secret = bearer(header)
    if secret is None:
        raise Unauthorized("the request lacks a Bearer token", code="access.unauthorized")
    return call.services.authenticator.token_or_key(VENDOR, secret, call.address)


def grant_token(call: Call) -> Response:
    """``POST /connect/token``: client credentials, by Basic or in the form. Scopes that are asked for are ignored."""
    form = read_form(call)
    grant = form.text("grant_type")
    if not grant:
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
        "token_type": "Bearer",
    }
    return json_response(encode(body), headers={"Cache-Control": "no-store", "Pragma": "no-cache"}, content_type=CONTENT_TYPE)


def list_invoices(call: Call) -> Response:
    """``GET /billingdata``: what the token's account bills to its children, and what it is billed; all, or a page."""
    require(call.principal, Scope.INVOICES_READ)
    page = read_page(call.parameters)
    account = call.principal.account
    lists = [InvoiceList(ISSUED_BY, account.seq), InvoiceList(ISSUED_TO, account.seq)]
    with call.services.database.read() as connection:
        answer = call.services.answers.of(call, connection, lists, partial(_answer, connection, account, page))
    if not isinstance(answer, Response):
        return _streamed(call, *answer)
    # What is kept is the same for as long as the lists are; when it was said is not.
    return json_response(bytes(answer.body).removesuffix(_NO_TIME) + encode(timestamp(call)) + b"}", content_type=CONTENT_TYPE)


#: How an answer ends that does not say its time yet.
_NO_TIME = b'""}'


def _answer(connection: Connection, account: Account, page: Page | None) -> Response | tuple[BillingList, Sequence[int]]:
    """The answer but for its time, or what is to be streamed."""
    billing = billing_lists.billing_list(connection, account)
    if page is None and sum(lengths := billing_lists.lengths(connection, billing)) > MAX_HELD:
        return billing, lengths
    index, size = (page.index, page.size) if page else (0, MAX_HELD)
    rows = _rows(connection, billing_lists.page(connection, billing, offset=index * size, limit=size))
    answer = BillingData(
        page_size=len(rows), page_index=page.index if page else None, data=rows, status="success", timestamp=""
    )
    return json_response(encode(answer), content_type=CONTENT_TYPE)


def get_invoice(call: Call) -> Response:
    """``GET /billingdata/{id}``: one of the list's invoices."""
    require(call.principal, Scope.INVOICES_READ)
    with call.services.database.read() as connection:
        found = _find(connection, call.principal.account, call.path_values["invoice_id"])
        if found is None:
            raise NotFound("there is no such invoice", code="invoice.unknown")
        [data] = _rows(connection, [found])
    return json_response(encode(OneInvoice(data=data, status="success", timestamp=timestamp(call))), content_type=CONTENT_TYPE)


def read_page(parameters: Parameters) -> Page | None:
    """``pageIndex`` and ``pageSize``; ``None`` when neither is given, for the whole list. Raises ``Invalid``."""
    if "pageIndex" not in parameters and "pageSize" not in parameters:
        return None
    size = _whole(parameters, "pageSize", MAX_PAGE, low=1)
    return Page(index=_whole(parameters, "pageIndex", 0, low=0), size=min(size, MAX_PAGE))


#: No store holds as many pages; larger numbers count as this one.
_FAR = 2**31


def _whole(parameters: Parameters, name: str, default: int, *, low: int) -> int:
    text = parameters.text(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit()) or int(text) < low:
        raise Invalid(f"The value {shown(text)} is not valid.", code="myreports.value", where=name)
    return min(int(text), _FAR)


def _find(connection: Connection, account: Account, text: str) -> Stored | None:
    """The invoice by the vendor's own id or by ours, if it is in the account's billing list."""
    candidates = invoices.by_vendor_key(connection, VENDOR, text, account)
    between = id_range(text)
    if not candidates and between is not None:
        ours = invoices.by_id_range(connection, *between, account)
        named = invoices.vendor_keys(connection, VENDOR, [each.seq for each in ours])
        candidates = [each for each in ours if each.seq not in named]
    recipients = accounts.by_seqs(connection, [each.recipient_seq for each in candidates])
    return next((each for each in candidates if _is_billed(account, each, recipients[each.recipient_seq])), None)


def _is_billed(account: Account, found: Stored, recipient: Account) -> bool:
    return found.recipient_seq == account.seq or (found.issuer_seq == account.seq and recipient.parent_id == account.id)


def _rows(connection: Connection, found: Sequence[Stored]) -> list[BillingRow]:
    ids = invoices.vendor_keys(connection, VENDOR, [each.seq for each in found])
    names = accounts.external_ids(connection, [each.recipient_seq for each in found])
    return [row(each.invoice, names[each.recipient_seq], ids.get(each.seq)) for each in found]


def _streamed(call: Call, billing: BillingList, lengths: Sequence[int]) -> Response:
    return Stream(_pieces(call, billing, lengths), content_type=CONTENT_TYPE, in_thread=not call.services.database.is_sqlite)


def _pieces(call: Call, billing: BillingList, lengths: Sequence[int]) -> Iterator[bytes]:
    database = call.services.database
    opening = b'{"page_size":%d,"data":[' % sum(lengths)
    for found in billing_lists.walk(database, billing, lengths):
        with database.read() as connection:
            rows = _rows(connection, found)
        yield opening + b",".join(encode(each) for each in rows)
        opening = b","
    yield b'],"status":"success","timestamp":' + encode(timestamp(call)) + b"}"
