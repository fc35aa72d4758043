"""The form that a token endpoint is sent (RFC 6749)."""

from __future__ import annotations

from urllib.parse import parse_qsl

from billsmith.units.errors import Invalid
from billsmith.wire.face import Call
from billsmith.wire.parameters import Parameters

MAX_FIELDS = 32


def read_form(call: Call) -> Parameters:
    """The body as ``application/x-www-form-urlencoded``. Raises :class:`Invalid` (``oauth.invalid_request``)."""
    kind = call.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise Invalid("the body is not application/x-www-form-urlencoded", code="oauth.invalid_request")
    try:
        pairs = parse_qsl(call.body.decode("utf-8"), keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except (UnicodeDecodeError, ValueError) as problem:
        raise Invalid("the form can't be read", code="oauth.invalid_request") from problem
    return Parameters(pairs)
