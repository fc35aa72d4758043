"""The demo's calls: what each vendor's own client sends, made over real HTTP, and the same as a line to paste."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Callable, Mapping

import msgspec

from billsmith.cli.demo_world import Key

_TIMEOUT = 30


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A request, and how to make it by hand."""

    vendor: str
    title: str
    url: str
    headers: dict[str, str]
    curl: str


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """A call with what came back."""

    call: Call
    status: int
    body: bytes


def calls_of(keys: Mapping[str, Key], address: str) -> list[Callable[[], Call]]:
    """The four vendors' calls. Each is put together when it is made: Acronis's client first gets a token."""
    makers: dict[str, Callable[[str, Key], Call]] = {
        "acronis": _acronis,
        "myreports": _myreports,
        "hostway": _hostway,
        "amberflo": _amberflo,
    }
    return [_bound(make, address, keys[vendor]) for vendor, make in makers.items() if vendor in keys]


def ask(make: Callable[[], Call]) -> Answered:
    """Make a call."""
    call = make()
    request = urllib.request.Request(call.url, headers=call.headers)
    status, body = _send(request)
    return Answered(call=call, status=status, body=body)


def _bound(make: Callable[[str, Key], Call], address: str, key: Key) -> Callable[[], Call]:
    return lambda: make(address, key)


def _acronis(address: str, key: Key) -> Call:
    token_url = f"{address}/api/2/idp/token"
    request = urllib.request.Request(
        token_url, data=b"grant_type=client_credentials", headers={"Authorization": _basic(key)}, method="POST"
    )
    _, body = _send(request)
    token = str(json.loads(body)["access_token"])
    url = f"{address}/api/advanced-automation/v1/InvoiceOverview?Page=1&PageSize=50&PaymentStatusNotConfirmed=True"
    return Call(
        vendor="acronis",
        title="Acronis Advanced Automation: a token for the partner's client, then its open invoices",
        url=url,
        headers={"Authorization": f"Bearer {token}"},
        curl=(
            f"curl -s -u {key.id}:{key.secret} -d grant_type=client_credentials {token_url}\n"
            f"$ curl -s -H 'Authorization: Bearer {token}' '{url}'"
        ),
    )


def _myreports(address: str, key: Key) -> Call:
    return _with_header(
        "myreports",
        "myreports.cloud: all billing data of the enterprise",
        f"{address}/api/v1.0/billingdata",
        "Authorization",
        f"Bearer {key.secret}",
    )


def _hostway(address: str, key: Key) -> Call:
    url = f"{address}/accounts/{key.account.external_id}/invoices?filterStatus=invoice_paid&page=1&pageSize=5"
    return Call(
        vendor="hostway",
        title="Hostway: the account's paid invoices, page 1",
        url=url,
        headers={"Authorization": _basic(key)},
        curl=f"curl -s -u {key.id}:{key.secret} '{url}'",
    )


def _amberflo(address: str, key: Key) -> Call:
    customers = urllib.request.Request(f"{address}/customers", headers={"X-API-KEY": key.secret})
    _, body = _send(customers)
    customer = str(json.loads(body)[0]["customerId"])
    return _with_header(
        "amberflo",
        "Amberflo: all invoices of a customer",
        f"{address}/payments/billing/customer-product-invoice/all?customerId={customer}&productId=1",
        "X-API-KEY",
        key.secret,
    )


def _with_header(vendor: str, title: str, url: str, header: str, value: str) -> Call:
    return Call(vendor=vendor, title=title, url=url, headers={header: value}, curl=f"curl -s -H '{header}: {value}' '{url}'")


def _basic(key: Key) -> str:
    return "Basic " + b64encode(f"{key.id}:{key.secret}".encode()).decode()


def _send(request: urllib.request.Request) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()
