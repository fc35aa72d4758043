"""Amberflo's error body: ``{"errorMessage": "…"}``, with the status that says which kind of error it is."""

from __future__ import annotations

from starlette.responses import Response

from billsmith.units.errors import BillsmithError
from billsmith.wire.face import Call, json_response
from billsmith.wire.json import encode
from billsmith.wire.status import retry_headers, status_of


def error(problem: BillsmithError, _call: Call) -> Response:
    """An error of ours in Amberflo's words."""
    return _body(status_of(problem), problem.message, retry_headers(problem))


def not_allowed(call: Call, allowed: str) -> Response:
    """A method that the path lacks."""
    return _body(405, f"{call.method} is not allowed here", {"Allow": allowed})


def broken(_call: Call) -> Response:
    """We are at fault."""
    return _body(500, "internal error", {})


def _body(status: int, message: str, headers: dict[str, str]) -> Response:
    return json_response(encode({"errorMessage": message}), status, headers)
