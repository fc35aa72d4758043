"""An operation: one method of one path, with all that its handler, its document and its page are made of.

A read is a function of the call. A write is a unit of work: a function of a connection, the call and the body, run in one
transaction together with its kept answer (P11); it never opens a transaction of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from starlette.responses import Response

from billsmith.accounts.authorisation import Scope, require
from billsmith.api.values import check_text
from billsmith.storage.database import Connection
from billsmith.units.errors import Invalid
from billsmith.wire.face import MAX_QUERY, Call, Handler, Route, json_response, route
from billsmith.wire.json import decode, encode
from billsmith.wire.parameters import Parameters, shown
from billsmith.workflows.idempotency import Answer, OnePerKey

MAX_LIMIT = 200
DEFAULT_LIMIT = 50


class Made(NamedTuple):
    """What a write answers: a value, where the thing made can be read, and the value to keep where that differs."""

    value: msgspec.Struct
    location: str | None = None
    kept: msgspec.Struct | None = None


class QueryParameter(msgspec.Struct, frozen=True, kw_only=True):
    """A query parameter: its JSON Schema and what it does. ``many``: values separated by commas. One is ``required`` or not."""

    name: str
    description: str
    schema: Mapping[str, Any]
    many: bool = False
    required: bool = False


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One method of one path. Exactly one of ``read``, ``write`` and ``take`` is there.

    ``follow`` does what a write leaves for after its transaction, given the body and what the write answered; its own answer
    takes the other's place. It is called again when the request is repeated, so it must go on where it was stopped.

    ``take`` is given things that have identities of their own (P11 exempts them from keys), in the media types of ``bodies``;
    it writes where it will and answers when that is durable.
    """

    method: str
    path: str
    id: str
    tag: str
    summary: str
    description: str = ""
    scope: Scope
    query: tuple[QueryParameter, ...] = ()
    body: type[msgspec.Struct] | None = None
    example: Mapping[str, Any] = {}
    """A body to begin with."""
    status: int = 200
    answer: type[msgspec.Struct]
    read: Callable[[Call], msgspec.Struct] | None = None
    write: Callable[[Connection, Call, Any], Made] | None = None
    follow: Callable[[Call, Any, bytes], msgspec.Struct] | None = None
    take: Callable[[Call], msgspec.Struct] | None = None
    bodies: Mapping[str, Mapping[str, Any]] = {}


def list_parameters() -> tuple[QueryParameter, ...]:
    """What every list takes."""
    return (
        QueryParameter(
            name="limit",
            description="How many at most.",
            schema={"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
        ),
        QueryParameter(
            name="cursor",
            description="The `next_cursor` of the page before, with the same filters and order.",
            schema={"type": "string", "minLength": 1, "maxLength": 100},
        ),
    )


def limit_of(parameters: Parameters) -> int:
    """How many items a list's page may hold."""
    limit = parameters.integer("limit", DEFAULT_LIMIT, low=1, high=MAX_LIMIT)
    return DEFAULT_LIMIT if limit is None else limit


def bound_to(call: Call) -> list[str]:
    """What a cursor of this call is bound to: the account, the path, and every parameter but the page's own."""
    names = sorted(set(call.parameters.names()) - {"cursor", "limit"})
    return [call.principal.account.id, _path(call), *(part for name in names for part in (name, *call.parameters.every(name)))]


def routes_of(operations: Sequence[Operation]) -> list[Route]:
    """The routes of operations. Their writes share one watch over keys at work."""
    once = OnePerKey()
    return [
        route(
            each.method,
            each.path,
            _writer(each, once) if each.write else _reader(each),
            writes=each.read is None,
            waits=each.take is not None,
        )
        for each in operations
    ]


def _reader(operation: Operation) -> Handler:
    read = operation.read or operation.take
    assert read is not None

    def handle(call: Call) -> Response:
        _check(operation, call)
        return json_response(encode(read(call)), operation.status)

    return handle


def _writer(operation: Operation, once: OnePerKey) -> Handler:
    write, follow, body_kind = operation.write, operation.follow, operation.body
    assert write is not None
    assert body_kind is not None

    def handle(call: Call) -> Response:
        _check(operation, call)
        body = read_body(call, body_kind)

        def work(connection: Connection) -> Answer:
            made = write(connection, call, body)
            kept = None if made.kept is None else encode(_WithLocation(made.location, made.kept))
            return Answer(operation.status, encode(_WithLocation(made.location, made.value)), kept)

        answer = once.run(
            call.services.database,
            work,
            credential_id=call.principal.credential_id,
            key=call.headers.get("idempotency-key"),
            request=b"\n".join([call.method.encode(), _path(call).encode(), call.body]),
            now=call.services.clock(),
        )
        location, value = _located.decode(answer.body)
        headers = {} if location is None else {"Location": location}
        if answer.replayed:
            headers["Idempotency-Replayed"] = "true"
        final = bytes(value) if follow is None else encode(follow(call, body, bytes(value)))
        return json_response(final, answer.status, headers)

    return handle


class _WithLocation(msgspec.Struct, frozen=True, array_like=True):
    """An answer as it is kept: where the thing made can be read, and the body."""

    location: str | None
    value: Any


class _Located(NamedTuple):
    location: str | None
    value: msgspec.Raw


_located = msgspec.json.Decoder(_Located)


def read_body(call: Call, kind: type[Any]) -> Any:
    """The body as ``kind``; an empty one is an empty object. Raises :class:`Invalid`."""
    if not call.body:
        return decode(b"{}", kind)
    media_type = call.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise Invalid("the body is not said to be application/json", code="input.media_type", where="Content-Type")
    body = decode(call.body, kind)
    check_text(body)
    return body


def _check(operation: Operation, call: Call) -> None:
    known = {parameter.name: parameter for parameter in operation.query}
    for parameter in operation.query:
        if parameter.required and parameter.name not in call.parameters:
            raise Invalid(f"{parameter.name} is missing; give it", code="input.missing", where=parameter.name)
    for name in call.parameters.names():
        if name not in known:
            there_are = f"there are {', '.join(sorted(known))}" if known else "there are none here"
            raise Invalid(f"{shown(name)} is no parameter; {there_are}", code="input.unknown_parameter", where=name[:60])
        longest = MAX_QUERY if known[name].many else known[name].schema.get("maxLength", MAX_QUERY)
        if call.parameters.text(name, longest) == "":
            raise Invalid(f"{name} is empty; leave it out or give it a value", code="input.empty", where=name)
    require(call.principal, operation.scope)


def _path(call: Call) -> str:
    return call.path.rstrip("/")
