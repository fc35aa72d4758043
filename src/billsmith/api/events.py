"""Usage events on their way in: ``POST /v1/events``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from billsmith.accounts.authorisation import Scope
from billsmith.api.operations import Operation
from billsmith.api.states import State, shown
from billsmith.events.reading import Form, Reading, Rejected, read, read_binary
from billsmith.units.errors import Invalid
from billsmith.wire.face import Call
from billsmith.wire.inflate import inflate
from billsmith.workflows.ingest import ConflictView

_PLAIN: dict[str, Any] = {
    "type": "object",
    "required": ["id", "type", "account", "time"],
    "additionalProperties": False,
    "properties": {
        "id": {"type": "string", "minLength": 1, "maxLength": 256},
        "source": {"type": "string", "minLength": 1, "maxLength": 256, "default": "api"},
        "type": {"type": "string", "minLength": 1, "maxLength": 256},
        "account": {"type": "string", "minLength": 1, "maxLength": 256},
        "time": {
            "anyOf": [{"type": "string", "format": "date-time"}, {"type": "integer", "minimum": 0}],
            "description": "RFC 3339 with up to nine digits of a second, or nanoseconds UTC.",
        },
        "value": {"anyOf": [{"type": "number"}, {"type": "string"}], "default": 1},
        "dimensions": {"type": "object", "additionalProperties": {"type": ["string", "number", "boolean"]}},
    },
}
_CLOUD: dict[str, Any] = {
    "type": "object",
    "required": ["specversion", "id", "source", "type", "subject", "time"],
    "properties": {
        "specversion": {"const": "1.0"},
        "id": {"type": "string"},
        "source": {"type": "string"},
        "type": {"type": "string"},
        "subject": {"type": "string", "description": "Whom it bills."},
        "time": {"type": "string", "format": "date-time"},
        "data": {"type": "object", "description": "`value`; all else are dimensions, as are those in `dimensions`."},
    },
}
_EVENT = {
    "id": "7d0f0b9e-0001",
    "type": "api.call",
    "account": "customer-1",
    "time": "2026-10-31T12:00:00Z",
    "value": 3,
    "dimensions": {"region": "eu"},
}
_CLOUD_EVENT = {
    "specversion": "1.0",
    "id": "7d0f0b9e-0002",
    "source": "gateway",
    "type": "api.call",
    "subject": "customer-1",
    "time": "2026-10-31T12:00:00Z",
    "data": {"value": 3, "region": "eu"},
}
_EITHER = {"anyOf": [_PLAIN, _CLOUD]}
_JSON_TYPES = ("application/json", "application/cloudevents+json", "application/cloudevents-batch+json")
_LINE_TYPES = ("application/x-ndjson", "application/jsonl", "application/ndjson")


class Ingested(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a body's events, durably. ``seq`` is the state of usage with them."""

    accepted: int
    duplicates: int
    conflicts: list[ConflictView]
    rejected: list[Rejected]
    seq: State


def take_events(call: Call) -> Ingested:
    """``POST /v1/events``: keep them. The answer comes when they are durable."""
    body = inflate(call.body, call.headers.get("content-encoding", ""), call.services.settings.max_body, _take_of(call))
    owner = call.principal.account
    report = call.services.ingest.keep(call.services.usage, owner, _read(call, body, owner.id))
    return Ingested(
        accepted=report.accepted,
        duplicates=report.duplicates,
        conflicts=report.conflicts,
        rejected=report.rejected,
        seq=shown(call, report.seq),
    )


def _take_of(call: Call) -> Callable[[int], None]:
    assert call.visit is not None, "this route waits"
    return call.visit.take


def _read(call: Call, body: bytes, owner: str) -> Reading:
    attributes = {name[3:]: value for name, value in call.headers.items() if name.startswith("ce-")}
    if "specversion" in attributes:
        content_type = call.headers.get("content-type", "")
        return read_binary(attributes | ({"datacontenttype": content_type} if content_type else {}), body, owner)
    media_type = call.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type in _LINE_TYPES:
        return read(body, Form.LINES, owner)
    if media_type in _JSON_TYPES:
        return read(body, Form.JSON, owner)
    raise Invalid(
        f"events are sent as {', '.join(_JSON_TYPES)} or {_LINE_TYPES[0]}", code="input.media_type", where="Content-Type"
    )


OPERATIONS = (
    Operation(
        method="POST",
        path="/v1/events",
        id="sendEvents",
        tag="usage",
        summary="Send usage events",
        description=(
            "One event, an array, or one a line; ours or CloudEvents 1.0 (structured, batched, binary). The body may be in "
            "gzip or zstd. An event is known by the sender's account, `source` and `id`, for ever: the same body again is a "
            "duplicate, another is a conflict and is not applied. The answer comes when everything that it counts as accepted "
            "is durable; send again whatever had no answer."
        ),
        scope=Scope.EVENTS_WRITE,
        answer=Ingested,
        take=take_events,
        bodies={
            "application/json": {"schema": {"anyOf": [_EITHER, {"type": "array", "items": _EITHER}]}, "example": [_EVENT]},
            "application/x-ndjson": {"schema": {"type": "string"}, "example": msgspec.json.encode(_EVENT).decode() + "\n"},
            "application/cloudevents+json": {"schema": _CLOUD, "example": _CLOUD_EVENT},
            "application/cloudevents-batch+json": {"schema": {"type": "array", "items": _CLOUD}, "example": [_CLOUD_EVENT]},
        },
    ),
)
