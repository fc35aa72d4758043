"""Hostway's API, served by us: an account's invoices, one invoice, the accounts."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from urllib.parse import quote

from starlette.responses import Response

from billsmith.accounts.authorisation import Principal, Scope, require
from billsmith.accounts.model import Account, AccountStatus
from billsmith.storage import accounts, invoice_lists, invoices
from billsmith.storage.database import Connection
from billsmith.storage.invoice_lists import Criteria, Sort, VendorField, flags_where
from billsmith.storage.invoices import ISSUED_TO, STATUS_MASK, Stored
from billsmith.units.errors import Forbidden, Invalid, NotFound, Unauthorized
from billsmith.units.ids import parse_id
from billsmith.vendors.hostway import errors, paging
from billsmith.vendors.hostway.errors import NotAcceptable
from billsmith.vendors.hostway.filters import TYPE_OF_KIND, Filter, read_filter
from billsmith.vendors.hostway.paging import MAX_UNPAGED, Page
from billsmith.vendors.hostway.shapes import AccountList, AccountRecord, InvoiceList, InvoiceRecord, Link
from billsmith.vendors.hostway.translate import TYPE, VENDOR, account_record, record
from billsmith.wire.credentials import basic
from billsmith.wire.face import Call, Face, json_response, route
from billsmith.wire.json import encode
from billsmith.wire.parameters import Parameters, shown


def face() -> Face:
    """Hostway's API."""
    one = "/accounts/{account_id}"
    return Face(
        VENDOR,
        [
            route("GET", "/accounts", list_accounts),
            route("GET", one, get_account),
            route("GET", f"{one}/invoices", list_invoices),
            # The vendor's headings spell these two so.
            route("GET", f"{one}/invoice", list_invoices),
            route("GET", f"{one}/invoces/{{invoice_id}}", get_invoice),
            route("GET", f"{one}/invoices/{{invoice_id}}", get_invoice),
        ],
        prefixes=("/accounts/",),
        authenticate=authenticate,
        error=errors.error,
        not_allowed=errors.not_allowed,
        broken=errors.broken,
    )


def authenticate(call: Call) -> Principal:
    """The user behind HTTP Basic; the base64 may stand alone, as a literal reader of the vendor's page sends it."""
    credentials = basic(call.headers.get("authorization"), bare=True)
    if credentials is None:
        raise Unauthorized("the request lacks Basic credentials", code="access.unauthorized")
    return call.services.authenticator.basic(*credentials, call.address)


def list_invoices(call: Call) -> Response:
    """``GET /accounts/{accountId}/invoices``: what was issued to the account, filtered, sorted, paged."""
    require(call.principal, Scope.INVOICES_READ)
    _check_accept(call)
    with call.services.database.read() as connection:
        account = _account(connection, call)
        of = invoice_lists.InvoiceList(ISSUED_TO, account.seq)
        return call.services.answers.of(call, connection, [of], partial(_answer, call, connection, account, of))


def _answer(call: Call, connection: Connection, account: Account, of: invoice_lists.InvoiceList) -> Response:
    wanted = read_filter(call.parameters)
    sort, descending = read_sort(call.parameters)
    page = paging.read_page(call.parameters)
    criteria = _criteria(wanted)
    total = 0 if wanted.passes_nothing else invoice_lists.count(connection, of, criteria)
    where = paging.resource(f"{_url(call)}/invoices", call.query)
    elsewhere = paging.redirect(page, total, where)
    if elsewhere is not None:
        return _see_other(elsewhere)
    offset, limit = _window(page)
    found = (
        invoice_lists.page(connection, of, sort=sort, descending=descending, criteria=criteria, offset=offset, limit=limit)
        if total
        else []
    )
    records = [_record(call, account, each) for each in found]
    return json_response(encode(InvoiceList(records=records, links=paging.links(page, total, where))))


def get_invoice(call: Call) -> Response:
    """``GET /accounts/{accountId}/invoices/{invoiceId}``: one of them, by its number or our UUID."""
    require(call.principal, Scope.INVOICES_READ)
    _check_accept(call)
    name = call.path_values["invoice_id"]
    with call.services.database.read() as connection:
        account = _account(connection, call)
        found = _invoice(connection, account, name)
    here = Link(href=f"{_url(call)}/invoices/{quote(name, safe='')}/", rel="self")
    return json_response(encode(_record(call, account, found, (here,))))


def list_accounts(call: Call) -> Response:
    """``GET /accounts``: the accounts that the credentials reach, paged as the invoices are."""
    _require_accounts(call.principal)
    _check_accept(call)
    page = paging.read_page(call.parameters)
    where = paging.resource(f"{call.base_url}/accounts", call.query)
    with call.services.database.read() as connection:
        total = accounts.count_below(connection, call.principal.account)
        elsewhere = paging.redirect(page, total, where)
        if elsewhere is not None:
            return _see_other(elsewhere)
        offset, limit = _window(page)
        found = accounts.below(connection, call.principal.account, offset=offset, limit=limit)
    # A number can stand twice in a tree, a UUID can't.
    records = [_account_record(each, f"{call.base_url}/accounts/{each.id}") for each in found]
    return json_response(encode(AccountList(records=records, links=paging.links(page, total, where))))


def get_account(call: Call) -> Response:
    """``GET /accounts/{accountId}``: one account; a closed or suspended one is a 403, as the vendor has it."""
    _require_accounts(call.principal)
    _check_accept(call)
    with call.services.database.read() as connection:
        account = _account(connection, call)
    if account.status is not AccountStatus.OPEN:
        raise Forbidden(f"the account is {account.status.value}", code="hostway.account_not_open")
    return json_response(encode(_account_record(account, _url(call))))


def read_sort(parameters: Parameters) -> tuple[Sort, bool]:
    """``sortField`` and ``sortOrder``: by date unless by status, and whether descending. Raises ``Invalid``."""
    field = parameters.text("sortField")
    if field not in (None, "status"):
        raise Invalid(f"sortField is status, not {shown(field or '')}", code="hostway.sort", where="sortField")
    order = (parameters.text("sortOrder") if "sortOrder" in parameters else "asc") or ""
    if order.lower() not in ("asc", "desc"):
        raise Invalid(f"sortOrder is asc or desc, not {shown(order)}", code="hostway.sort", where="sortOrder")
    return (Sort.STATUS if field else Sort.DATE), order.lower() == "desc"


def _account(connection: Connection, call: Call) -> Account:
    """The account that the path names, at or below the caller's. One elsewhere is a 403: the contract says so (0035)."""
    name = call.path_values["account_id"]
    found = accounts.find(connection, name, call.principal.account)
    if found is not None:
        return found
    if accounts.exists_anywhere(connection, name):
        raise Forbidden("the account is not one of yours", code="access.forbidden")
    raise NotFound("there is no such account", code="account.unknown")


def _invoice(connection: Connection, account: Account, name: str) -> Stored:
    if parse_id(name) is not None:
        by_id = invoices.by_id(connection, parse_id(name) or "", account)
        if by_id is not None and by_id.recipient_seq == account.seq:
            return by_id
    found = invoices.received(connection, account, name)
    if not found:
        raise NotFound("there is no such invoice", code="invoice.unknown")
    if len(found) > 1:
        ids = ", ".join(each.invoice.id for each in found)
        raise Invalid(f"{len(found)} invoices have this number; name one by its id: {ids}", code="invoice.ambiguous")
    return found[0]


def _criteria(wanted: Filter) -> Criteria:
    flags = None if wanted.passes_every_status else flags_where(lambda each: (each & STATUS_MASK) in wanted.statuses)
    field = None
    if wanted.types:
        text = min(wanted.types)
        kinds = frozenset(kind for kind, name in TYPE_OF_KIND.items() if name == text)
        field = VendorField(vendor=VENDOR, name=TYPE, text=text, kinds=kinds)
    return Criteria(flags=flags, vendor_field=field)


def _record(call: Call, account: Account, found: Stored, links: tuple[Link, ...] = ()) -> InvoiceRecord:
    amounts = call.services.settings.hostway_amounts
    return record(found.invoice, time_zone=account.time_zone, amounts=amounts, links=links)


def _account_record(account: Account, url: str) -> AccountRecord:
    return account_record(account, (Link(href=url, rel="self"), Link(href=f"{url}/invoices", rel="related")))


def _url(call: Call) -> str:
    """The account's address, under the host and the name by which the caller asked for it."""
    return f"{call.base_url}/accounts/{quote(call.path_values['account_id'], safe='')}"


def _window(page: Page | None) -> tuple[int, int]:
    return ((page.number - 1) * page.size, page.size) if page else (0, MAX_UNPAGED)


def _see_other(location: str) -> Response:
    return Response(status_code=303, headers={"Location": location})


def _require_accounts(principal: Principal) -> None:
    """Whoever may read invoices may see whose there are; the vendor has one kind of user."""
    if Scope.INVOICES_READ not in principal.scopes:
        require(principal, Scope.ACCOUNTS_READ)


def _check_accept(call: Call) -> None:
    """Raise :class:`NotAcceptable` unless the caller takes JSON, the only form that there is."""
    accept = call.headers.get("accept", "").strip()
    if accept and not any(_takes_json(part) for part in accept.split(",")):
        raise NotAcceptable("answers are application/json")


def _takes_json(part: str) -> bool:
    kind, *options = (piece.strip().lower() for piece in part.split(";"))
    return kind in ("application/json", "application/*", "*/*") and not _refused(options)


def _refused(options: Sequence[str]) -> bool:
    return any(option.replace(" ", "") in ("q=0", "q=0.0", "q=0.00", "q=0.000") for option in options)
