"""myreports' errors: an empty 401, OAuth's own on the token endpoint, else one envelope."""

from __future__ import annotations

from http import HTTPStatus

from starlette.responses import Response

from billsmith.units.errors import BillsmithError, Invalid, Unauthorized
from billsmith.units.instants import format_instant
from billsmith.vendors.myreports.shapes import Failure
from billsmith.wire.face import Call, json_response
from billsmith.wire.json import encode
from billsmith.wire.status import retry_headers, status_of

TOKEN_PATH = "/connect/token"
CONTENT_TYPE = "application/json; charset=utf-8"

_OAUTH_NAMES = {"oauth.unsupported_grant_type": "unsupported_grant_type", "access.rate_limited": "temporarily_unavailable"}


def error(problem: BillsmithError, call: Call) -> Response:
    """An error of ours in myreports' words."""
    status = status_of(problem)
    headers = retry_headers(problem)
    if call.path.rstrip("/") == TOKEN_PATH:
        return _oauth(problem, status, headers)
    if isinstance(problem, Unauthorized):
        return Response(status_code=status, headers={"WWW-Authenticate": "Bearer"})
    message = problem.message if isinstance(problem, Invalid) else HTTPStatus(status).phrase
    return _envelope(call, status, message, headers)


def not_allowed(call: Call, allowed: str) -> Response:
    """A method that the path lacks."""
    return _envelope(call, 405, HTTPStatus.METHOD_NOT_ALLOWED.phrase, {"Allow": allowed})


def broken(call: Call) -> Response:
    """We are at fault."""
    return _envelope(call, 500, HTTPStatus.INTERNAL_SERVER_ERROR.phrase, {})


def timestamp(call: Call) -> str:
    """Now, with the vendor's seven fraction digits."""
    return format_instant(call.services.clock(), digits=7)


def _envelope(call: Call, status: int, message: str, headers: dict[str, str]) -> Response:
    body = Failure(error=status, message=message, status="error", timestamp=timestamp(call))
    return json_response(encode(body), status, headers, CONTENT_TYPE)


def _oauth(problem: BillsmithError, status: int, headers: dict[str, str]) -> Response:
    if isinstance(problem, Unauthorized):
        name, headers = "invalid_client", {**headers, "WWW-Authenticate": 'Basic realm="connect"'}
    else:
        name = _OAUTH_NAMES.get(problem.code, "invalid_request")
    body = {"error": name, "error_description": problem.message}
    return json_response(encode(body), status, {**headers, "Cache-Control": "no-store"}, CONTENT_TYPE)
