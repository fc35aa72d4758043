"""Acronis's error bodies: the platform's object on resources, OAuth's flat one on the token endpoint."""

from __future__ import annotations

from starlette.responses import Response

from billsmith.units.errors import BillsmithError, Busy, Unauthorized
from billsmith.wire.face import Call, json_response
from billsmith.wire.json import encode
from billsmith.wire.status import retry_headers, status_of

_DOMAIN = "PlatformAccountServer"
_TOKEN_PATH = "/api/2/idp/token"


def error(problem: BillsmithError, call: Call) -> Response:
    """An error of ours in Acronis's words."""
    status = status_of(problem)
    headers = retry_headers(problem)
    if call.path.rstrip("/") == _TOKEN_PATH:
        return _oauth(problem, status, headers)
    if isinstance(problem, Unauthorized):
        headers["WWW-Authenticate"] = "Bearer"
    return _platform(status, problem.message, problem.where or "", problem.code, headers)


def not_allowed(call: Call, allowed: str) -> Response:
    """A method that the path lacks."""
    return _platform(405, f"{call.method} is not allowed here", "", "input.method", {"Allow": allowed})


def broken(_call: Call) -> Response:
    """We are at fault."""
    return _platform(500, "internal error", "", "billsmith.error", {})


def _platform(status: int, message: str, where: str, code: str, headers: dict[str, str]) -> Response:
    body = {
        "error": {
            "code": status,
            "message": message,
            "details": {"info": where or message, "reason": code},
            "context": {"id": code},
            "domain": _DOMAIN,
        }
    }
    return json_response(encode(body), status, headers)


def _oauth(problem: BillsmithError, status: int, headers: dict[str, str]) -> Response:
    if isinstance(problem, Unauthorized):
        name, headers = "invalid_client", {**headers, "WWW-Authenticate": 'Basic realm="idp"'}
    elif problem.code == "oauth.unsupported_grant_type":
        name = "unsupported_grant_type"
    elif isinstance(problem, Busy):
        name = "access_denied"
    else:
        name = "invalid_request"
    body = {"error": name, "error_description": problem.message}
    return json_response(encode(body), status, {**headers, "Cache-Control": "no-store"})
