"""``/v1/events``: usage comes in. Its owner is the credential's account; the answer comes after the commit is durable."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from starlette.responses import Response

from billsmith.accounts.authorisation import Scope
from billsmith.api.operations import Operation
from billsmith.api.values import Instant
from billsmith.events.canonical import difference
from billsmith.events.decode import MAX_EVENTS, Decoded, Form, decode, decode_binary
from billsmith.events.limits import MAX_DIMENSIONS, MAX_ID, MAX_REFERENCE, MAX_SOURCE, MAX_TYPE
from billsmith.units.errors import Invalid
from billsmith.usage.store import Receipt
from billsmith.wire.face import Call, json_response
from billsmith.wire.gate import Gate
from billsmith.wire.inflate import inflate
from billsmith.wire.json import encode
from billsmith.workflows.ingest import ingest

_FORMS = {
    "application/json": Form.JSON,
    "application/x-ndjson": Form.LINES,
    "application/ndjson": Form.LINES,
    "application/jsonl": Form.LINES,
    "application/cloudevents+json": Form.CLOUD,
    "application/cloudevents-batch+json": Form.CLOUD_BATCH,
}
_NUMBER = {"anyOf": [{"type": "number"}, {"type": "string", "pattern": "^-?[0-9]+([.][0-9]+)?$"}]}


class EventSent(msgspec.Struct, frozen=True, kw_only=True):
    """One usage fact. With the caller's account, ``source`` and ``id`` are its identity, for ever."""

    id: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_ID)]
    type: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_TYPE, description="What was used: meters go by it.")]
    account: Annotated[
        str,
        msgspec.Meta(
            min_length=1,
            max_length=MAX_REFERENCE,
            description="Whom it bills: a UUID or an external id at or below the caller's account; it may appear later.",
        ),
    ]
    time: Annotated[Instant, msgspec.Meta(description="When, to the nanosecond; 1970 to 2100.")]
    source: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_SOURCE)] = "default"
    value: Annotated[Any, msgspec.Meta(description="How much: at most 12 places, within ±1e24.", extra_json_schema=_NUMBER)] = 1
    dimensions: Annotated[dict[str, str], msgspec.Meta(max_length=MAX_DIMENSIONS)] = {}


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """A field in which the event that is kept differs from the one that was sent."""

    field: str
    stored: str
    sent: str


class ConflictView(msgspec.Struct, frozen=True, kw_only=True):
    """The event at ``index`` has an identity that is known with another body. It was not applied."""

    index: int
    differences: list[Difference]


class RejectionView(msgspec.Struct, frozen=True, kw_only=True):
    """The event at ``index`` can't be kept: ``path`` is the place within it. Programs go by ``code``."""

    index: int
    code: str
    path: str
    message: str


class Ingested(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the events, durably. ``seq`` is the store's highest after them."""

    accepted: int
    duplicates: int
    conflicts: list[ConflictView]
    rejected: list[RejectionView]
    seq: int


def post_events(call: Call) -> Response:
    """``POST /v1/events``."""
    return json_response(encode(keep(call, decoded(call))))


def decoded(call: Call) -> Decoded:
    """The events of a request. Raises :class:`Invalid`, :class:`TooLarge`."""
    take = call.visit.take if call.visit is not None else lambda _count: None
    body = inflate(call.body, call.headers.get("content-encoding", ""), call.services.settings.max_body, take)
    owner = call.principal.account.id
    form = _FORMS.get(call.headers.get("content-type", "").partition(";")[0].strip().lower())
    if "ce-specversion" in call.headers and form not in (Form.CLOUD, Form.CLOUD_BATCH):
        return decode_binary(call.headers, body, owner)
    if form is None:
        raise Invalid(f"the body is of none of the types {', '.join(_FORMS)}", code="input.media_type", where="Content-Type")
    return decode(body, form, owner)


def keep(call: Call, found: Decoded) -> Ingested:
    """Put the events into the store, and tell what became of each that was not new."""
    usage = call.services.usage
    store = usage.store
    if found.events:
        receipt = ingest(call.services.database, store, usage.names, call.principal.account, found.events)
    else:
        receipt = Receipt(accepted=0, seq=store.watermark())
    places = found.places
    late = [
        RejectionView(index=places[each.index], code=each.code, path=each.where, message=each.message)
        for each in receipt.rejected
    ]
    early = [RejectionView(index=each.index, code=each.code, path=each.path, message=each.message) for each in found.refused]
    return Ingested(
        accepted=receipt.accepted,
        duplicates=len(receipt.duplicates),
        conflicts=[
            ConflictView(
                index=places[clash.index],
                differences=[
                    Difference(field=field, stored=stored, sent=sent)
                    for field, (stored, sent) in difference(clash.stored, clash.sent).items()
                ],
            )
            for clash in receipt.conflicts
        ],
        rejected=sorted([*early, *late], key=lambda each: each.index),
        seq=receipt.seq,
    )


_EXAMPLE = {
    "id": "req-7f3a",
    "source": "gateway-1",
    "type": "api.call",
    "account": "acme",
    "time": "2026-10-31T12:00:00.5Z",
    "value": 3,
    "dimensions": {"region": "eu"},
}
_CLOUD = {
    "specversion": "1.0",
    "id": "req-7f3a",
    "source": "gateway-1",
    "type": "api.call",
    "subject": "acme",
    "time": "2026-10-31T12:00:00.5Z",
    "data": {"value": 3, "region": "eu"},
}
_EVENT = {"$ref": "#/components/schemas/EventSent"}
_ANY = {"description": "Anything else is told in `rejected`."}
_OBJECT = {"type": "object", "anyOf": [_EVENT, _ANY]}
_CLOUD_EVENT = {"type": "object", "description": "A CloudEvent 1.0; see docs/sending-usage.md for what each attribute is."}


def _many(item: Any) -> dict[str, Any]:
    return {"type": "array", "items": item, "maxItems": MAX_EVENTS}


OPERATIONS = (
    Operation(
        method="POST",
        path="/v1/events",
        id="sendEvents",
        tag="events",
        summary="Send usage events",
        description="One event, an array, an object a line, or CloudEvents 1.0 (structured, batched, or binary by `ce-` "
        "headers); `Content-Encoding: gzip` or `zstd`. The answer comes when all of them are durable. Send the same again "
        "whenever the answer did not come: an event counts once, by its identity (owner, source, id), for ever. The same "
        "identity with another body is a conflict and changes nothing.",
        scope=Scope.EVENTS_WRITE,
        content={
            "application/json": {"schema": {"anyOf": [_OBJECT, _many({"anyOf": [_EVENT, _ANY]})]}, "example": _EXAMPLE},
            "application/x-ndjson": {"schema": {"type": "string", "description": "An event a line."}},
            "application/cloudevents+json": {"schema": _CLOUD_EVENT, "example": _CLOUD},
            "application/cloudevents-batch+json": {"schema": _many({"anyOf": [_CLOUD_EVENT, _ANY]}), "example": [_CLOUD]},
        },
        shapes=(EventSent,),
        answer=Ingested,
        handler=post_events,
        gate=Gate,
    ),
)
