"""Four small servers that answer as the vendors' pages say. They know nothing of our code."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qs

from tests.support.chaos import Reply, Request

Answer = Callable[[Request], Reply]
Row = dict[str, Any]

USER, SECRET = "caller", "a-secret-of-the-caller"
BASIC = "Basic " + base64.b64encode(f"{USER}:{SECRET}".encode()).decode()
ACCOUNT = "acc-1"


def encoded(value: Any) -> bytes:
    return json.dumps(value).encode()


class Tokens:
    """Gives tokens and knows the last one. ``life`` is what it says that they last; it refuses all others."""

    def __init__(self, life: int = 7200) -> None:
        self.life = life
        self.given = 0

    def grant(self, request: Request) -> Reply:
        form = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
        if request.headers.get("authorization") != BASIC or "grant_type" not in form:
            return Reply(401, encoded({"error": "invalid_client"}))
        self.given += 1
        body: Row = {"access_token": f"token-number-{self.given}", "expires_in": self.life, "token_type": "bearer"}
        if form["grant_type"] == "refresh_token":
            if form["refresh_token"] != f"refresh-number-{self.given - 1}":
                return Reply(400, encoded({"error": "invalid_grant"}))
            body["refresh_token"] = f"refresh-number-{self.given}"
        return Reply(body=encoded(body))

    def know(self, request: Request) -> bool:
        return request.headers.get("authorization") == f"Bearer token-number-{self.given}"


def acronis(rows: list[Row], tokens: Tokens | None = None, *, cap: int = 10**9) -> Answer:
    """``InvoiceOverview``, whose pages have ``cap`` rows at most, whatever is asked."""
    doorkeeper = tokens or Tokens()

    def answer(request: Request) -> Reply:
        if request.path == "/api/2/idp/token":
            return doorkeeper.grant(request)
        if not doorkeeper.know(request):
            return Reply(401, encoded({"error": {"code": 401, "message": "no", "details": {}, "domain": "x"}}))
        if request.path != "/api/advanced-automation/v1/InvoiceOverview":
            return Reply(404)
        page, size = int(request.query["Page"]), min(int(request.query["PageSize"]), cap)
        paging = {"AmountTotalItems": len(rows), "AmountRecordsFound": len(rows), "AmountOfPages": -(-len(rows) // size)}
        return Reply(body=encoded({"Invoices": rows[(page - 1) * size : page * size], "Paging": paging, "Batches": []}))

    return answer


def myreports(rows: list[Row], tokens: Tokens | None = None) -> Answer:
    """``billingdata``: all of it."""
    doorkeeper = tokens or Tokens()

    def answer(request: Request) -> Reply:
        if request.path == "/connect/token":
            return doorkeeper.grant(request)
        if not doorkeeper.know(request):
            return Reply(401, headers={"WWW-Authenticate": "Bearer"})
        if request.path != "/api/v1.0/billingdata":
            return Reply(404)
        body = {"page_size": len(rows), "data": rows, "status": "success", "timestamp": "2019-05-01T10:00:00.2890319Z"}
        return Reply(body=encoded(body))

    return answer


def hostway(rows: list[Row], *, size: int = 2, others: Mapping[str, list[Row]] = {}) -> Answer:
    """Accounts' invoices, by pages whose size the server chooses, linked to one another; and the accounts."""
    every = {ACCOUNT: rows, **others}

    def answer(request: Request) -> Reply:
        if request.headers.get("authorization") != BASIC:
            return Reply(401, b"401 Unauthorized", kind="text/plain")
        base = f"http://{request.headers['host']}"
        if request.path == "/accounts":
            more = {"createdDate": "2011-01-01", "currency": "USD", "status": "open", "links": []}
            accounts = [{"accountNumber": name, "id": str(number), **more} for number, name in enumerate(every, 1)]
            return Reply(body=encoded({"list": accounts, "links": [{"href": f"{base}/accounts", "rel": "self"}]}))
        name = request.path.removeprefix("/accounts/").removesuffix("/invoices")
        if request.path != f"/accounts/{name}/invoices" or name not in every:
            return Reply(404)
        rows = every[name]
        page, last = int(request.query["page"]), max(-(-len(rows) // size), 1)
        if page > last:
            return Reply(303, headers={"Location": f"{base}{request.path}?page=1&pageSize={size}"})
        links = [{"href": f"{base}{request.path}?page={page}&pageSize={size}", "rel": "self"}]
        if page < last:
            links.append({"href": f"{base}{request.path}?page={page + 1}&pageSize={size}", "rel": "next"})
            links.append({"href": f"{base}{request.path}?page={last}&pageSize={size}", "rel": "last"})
        return Reply(body=encoded({"list": rows[(page - 1) * size : page * size], "links": links}))

    return answer


def amberflo(rows: list[Row]) -> Answer:
    """The customers that the rows name, and each one's invoices; ``/paginated`` goes by tokens, two at a time."""

    def answer(request: Request) -> Reply:
        if request.headers.get("x-api-key") != SECRET:
            return Reply(403, encoded({"message": "Forbidden"}))
        if request.path == "/customers/":
            ids = sorted({row["invoiceKey"]["customerId"] for row in rows})
            return Reply(body=encoded([{"customerId": id, "customerName": f"Customer {id}", "traits": {}} for id in ids]))
        found = [row for row in rows if row["invoiceKey"]["customerId"] == request.query["customerId"]]
        if request.path.endswith("/all"):
            return Reply(body=encoded(found))
        if not request.path.endswith("/paginated"):
            return Reply(404)
        page = int(request.query.get("pageToken", "1"))
        pages = -(-len(found) // 2)
        info = {"pageNumber": page, "pageSize": 2, "pageToken": str(page + 1) if page < pages else "", "totalPages": pages}
        return Reply(body=encoded({"pageInfo": {**info, "totalResults": len(found)}, "data": found[(page - 1) * 2 : page * 2]}))

    return answer
