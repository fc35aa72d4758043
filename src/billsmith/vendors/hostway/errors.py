"""Hostway's errors: 401 is plain text, the others an object named for the fault."""

from __future__ import annotations

from starlette.responses import Response

from billsmith.units.errors import BillsmithError, Forbidden, NotFound, Unauthorized
from billsmith.wire.face import Call, json_response
from billsmith.wire.json import encode
from billsmith.wire.status import retry_headers, status_of

_UNAUTHORIZED = (
    "401 Unauthorized\n\n"
    "The credentials are missing or wrong. Send your user name and password in the Authorization header (HTTP Basic).\n"
)

_NAMES = {
    400: "badRequest",
    404: "itemNotFound",
    405: "methodNotAllowed",
    406: "notAcceptable",
    409: "conflict",
    413: "requestTooLarge",
    429: "tooManyRequests",
    500: "internalServerError",
    503: "serviceUnavailable",
}


class NotAcceptable(BillsmithError):
    """The caller takes no form in which there is an answer."""

    default_code = "hostway.not_acceptable"


def error(problem: BillsmithError, _call: Call) -> Response:
    """An error of ours in Hostway's words."""
    status = 406 if isinstance(problem, NotAcceptable) else status_of(problem)
    headers = retry_headers(problem)
    if isinstance(problem, Unauthorized):
        headers["WWW-Authenticate"] = 'Basic realm="Hostway", charset="UTF-8"'
        return Response(_UNAUTHORIZED, status, headers, "text/plain; charset=utf-8")
    if isinstance(problem, Forbidden):
        body = {"forbidden": {"message": "forbidden", "code": status, "details": problem.message}}
        return json_response(encode(body), status, headers)
    message = "Resource not found" if isinstance(problem, NotFound) else problem.message
    return _named(status, message, headers)


def not_allowed(call: Call, allowed: str) -> Response:
    """A method that the path lacks."""
    return _named(405, f"{call.method} is not allowed here", {"Allow": allowed})


def broken(_call: Call) -> Response:
    """We are at fault."""
    return _named(500, "internal error", {})


def _named(status: int, message: str, headers: dict[str, str]) -> Response:
    body = {_NAMES.get(status, "error"): {"guid": "", "message": message, "code": status, "details": ""}}
    return json_response(encode(body), status, headers)
