"""myreports' API, called by us: the list of billing data, one invoice, its detail (a ZIP) and summary (a PDF).

>>> from billsmith.vendors.myreports import Client, ClientCredentials
>>> access = ClientCredentials("client-id", "client-secret")
>>> with Client("https://api.eu.myreports.cloud", access) as client:  # doctest: +SKIP
...     for invoice in client.invoices():
...         print(invoice.invoiceNumber, invoice.invoiceValue)
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Self
from urllib.parse import quote

import msgspec

from billsmith.outbound.answers import Answer, json_of, pdf_of, zip_of
from billsmith.outbound.session import DEFAULT, Call, Session, Settings
from billsmith.outbound.tokens import Tokens
from billsmith.outbound.walks import Walk
from billsmith.vendors.myreports.shapes import BillingRow
from billsmith.vendors.myreports.translate import key_of
from billsmith.wire.json import decode, decode_part

LOGIN_URL = "https://login.xarios.cloud"
_LIST = "/api/v1.0/billingdata"


class Key(msgspec.Struct, frozen=True):
    """A bearer token that somebody got elsewhere; it is not renewed."""

    token: str


class ClientCredentials(msgspec.Struct, frozen=True):
    """An API client's id and secret, for the grant of that name at ``login_url``."""

    id: str
    secret: str
    login_url: str = LOGIN_URL


class RefreshToken(msgspec.Struct, frozen=True):
    """What the consent of an API administrator gave. Each use replaces ``token``; ``rotated`` is told first."""

    id: str
    secret: str
    token: str
    rotated: Callable[[str], None]
    login_url: str = LOGIN_URL


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """The list, or a page of it, as it came: its rows unread, and how many the vendor says that there are in it."""

    rows: list[msgspec.Raw]
    stated: int


class Client:
    """One API client of myreports. Use it in a ``with`` block; one thread at a time."""

    def __init__(self, url: str, access: Key | ClientCredentials | RefreshToken, *, settings: Settings = DEFAULT) -> None:
        self._session = Session(url, settings)
        self._access = access
        self._tokens: Tokens | None = None
        self._login: Session | None = None
        if isinstance(access, Key):
            self._session.hide(access.token)
            return
        pair = b64encode(f"{access.id}:{access.secret}".encode()).decode()
        self._login = Session(access.login_url, settings)
        self._refresh = access.token if isinstance(access, RefreshToken) else ""
        for session in (self._session, self._login):
            session.hide(access.secret, pair, self._refresh)
        self._basic = f"Basic {pair}"
        self._tokens = Tokens(self._grant, self._session, self._rotated)

    def invoices(self, *, index: int | None = None, size: int | None = None) -> Iterator[BillingRow]:
        """Every invoice, or those of a page (the first is 0), as the vendor's sister lists page.

        Raises :class:`Incomplete` at the end if the list may not have come whole.
        """
        listing = self.listing(index=index, size=size)
        for raw in listing.rows:
            yield decode_part(raw, BillingRow)
        check(listing)

    def listing(self, *, index: int | None = None, size: int | None = None) -> Listing:
        """The answer, its rows unread; :func:`check` tells whether it is whole."""
        pairs = (("pageIndex", index), ("pageSize", size))
        parameters = [(name, str(value)) for name, value in pairs if value is not None]
        answer = decode(json_of(self._send(Call(path=_LIST, parameters=parameters))), _Answer)
        return Listing(rows=answer.data, stated=answer.page_size)

    def invoice(self, id: str) -> BillingRow:
        """One invoice by its id. Raises :class:`NotFound`."""
        return decode(json_of(self._send(Call(path=_one(id)))), _One).data

    def detail(self, id: str) -> bytes:
        """A ZIP with the invoice's detailed JSON and its simplified CSV."""
        return zip_of(self._send(Call(path=f"{_one(id)}/detail")))

    def pdf(self, id: str) -> bytes:
        """The invoice as PDF."""
        return pdf_of(self._send(Call(path=f"{_one(id)}/summary")))

    def close(self) -> None:
        """Close the connections."""
        self._session.close()
        if self._login is not None:
            self._login.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None) -> None:
        self.close()

    def _send(self, call: Call) -> Answer:
        if self._tokens is not None:
            return self._tokens.send(call)
        assert isinstance(self._access, Key)
        return self._session.send(msgspec.structs.replace(call, headers={"Authorization": f"Bearer {self._access.token}"}))

    def _grant(self) -> Answer:
        assert self._login is not None
        form = {"grant_type": "client_credentials"}
        if self._refresh:
            form = {"grant_type": "refresh_token", "refresh_token": self._refresh}
        # A refresh token counts once: a call that may have arrived is not made again.
        call = Call(
            method="POST", path="/connect/token", headers={"Authorization": self._basic}, form=form, safe=not self._refresh
        )
        return self._login.send(call)

    def _rotated(self, token: str) -> None:
        if isinstance(self._access, RefreshToken) and token != self._refresh:
            self._access.rotated(token)
            self._refresh = token
            for session in (self._session, self._login):
                if session is not None:
                    session.hide(token)


def check(listing: Listing) -> None:
    """Raise :class:`Incomplete` where a list is not what it says of itself."""
    walk = Walk()
    walk.page([key_of(raw) or bytes(raw).decode("utf-8", "replace") for raw in listing.rows], "the list")
    if listing.stated != len(listing.rows):
        walk.doubt("pull.count", f"the vendor says that the list has {listing.stated} invoices, but {len(listing.rows)} came")
    walk.end()


class _Answer(msgspec.Struct, frozen=True, kw_only=True):
    page_size: int
    data: list[msgspec.Raw]


class _One(msgspec.Struct, frozen=True, kw_only=True):
    data: BillingRow


def _one(id: str) -> str:
    return f"{_LIST}/{quote(id, safe='')}"
