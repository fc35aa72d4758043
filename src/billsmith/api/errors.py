"""Errors as problem details (RFC 9457): ``application/problem+json`` with a stable ``code`` and, where known, the place."""

from __future__ import annotations

from http import HTTPStatus

import msgspec
from starlette.responses import Response

from billsmith.units.errors import BillsmithError, Unauthorized
from billsmith.wire.face import Call, json_response
from billsmith.wire.json import encode
from billsmith.wire.status import retry_headers, status_of

PROBLEM = "application/problem+json"

#: Codes whose status is not that of their kind.
_STATUSES = {"input.media_type": 415, "input.content_encoding": 415, "idempotency.other_request": 422}


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What went wrong. Programs go by ``code``, which never changes; ``where`` names the field or parameter at fault."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    where: str | None = None


def error(problem: BillsmithError, _call: Call) -> Response:
    """An error of ours as problem details."""
    headers = retry_headers(problem)
    if isinstance(problem, Unauthorized):
        headers["WWW-Authenticate"] = 'Bearer realm="billsmith"'
    if problem.code == "idempotency.in_flight":
        headers["Retry-After"] = "1"
    status = _STATUSES.get(problem.code) or status_of(problem)
    return _response(status, problem.message, problem.code, problem.where, headers)


def not_allowed(call: Call, allowed: str) -> Response:
    """A method that the path lacks."""
    return _response(
        405, f"{call.method[:20]} is not allowed here, but for {allowed}", "input.method", None, {"Allow": allowed}
    )


def broken(_call: Call) -> Response:
    """We are at fault."""
    return _response(500, "the server failed; its log says more", "billsmith.error", None, {})


def _response(status: int, detail: str, code: str, where: str | None, headers: dict[str, str]) -> Response:
    body = Problem(
        type=f"urn:billsmith:error:{code}",
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        code=code,
        where=where,
    )
    return json_response(encode(body), status, headers, PROBLEM)
