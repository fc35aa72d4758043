"""CloudEvents 1.0 as usage: which attribute is what.

=============  =====================================================================================================
attribute      in our event
=============  =====================================================================================================
``id``         id
``source``     source
``type``       type
``subject``    account: whom it bills, by UUID or external id
``time``       time (must be there: a time made up at arrival would be another one at each retry)
``data``       an object: ``value`` is the value (1 where there is none), ``dimensions`` an object of dimensions, and
               every other member a dimension of its name
=============  =====================================================================================================

``specversion`` must be ``1.0``; ``datacontenttype`` JSON or absent. Extensions and ``dataschema`` are ignored.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from billsmith.events.event import Event
from billsmith.events.reading import event_of
from billsmith.units.errors import Invalid, InvalidEvent

_ATTRIBUTES = {"id": "id", "source": "source", "type": "type", "subject": "account", "time": "time"}
#: Where a fault of our event stands in the one that was sent.
_PLACES = {"account": "subject", "value": "data.value", "dimensions": "data"}


def event_of_cloud(sent: Any, owner: str) -> Event:
    """The usage event that a CloudEvent says. Raises :class:`Invalid` with the place in ``where``.

    >>> sent = {"specversion": "1.0", "id": "1", "source": "gateway", "type": "call", "subject": "acme"}
    >>> event_of_cloud(sent | {"time": "2026-10-31T12:00:00Z", "data": {"value": 2, "region": "eu"}}, "o").dimensions
    {'region': 'eu'}
    """
    if not isinstance(sent, dict):
        raise InvalidEvent("it is not an object", code="event.not_an_object")
    if sent.get("specversion") != "1.0":
        raise InvalidEvent("it is not 1.0; no other version is read", code="event.specversion", where="specversion")
    for name in ("source", "subject"):
        if sent.get(name) is None:
            raise InvalidEvent("it is missing", code="event.field_missing", where=name)
    try:
        return event_of(_plain(sent), owner)
    except Invalid as error:
        first, dot, rest = (error.where or "").partition(".")
        where = f"{_PLACES.get(first, first)}{dot}{rest}" or None
        raise InvalidEvent(error.message, code=error.code, where=where) from None


def _plain(sent: Mapping[str, Any]) -> dict[str, Any]:
    plain = {ours: sent[theirs] for theirs, ours in _ATTRIBUTES.items() if theirs in sent}
    data = _data(sent)
    if "value" in data:
        plain["value"] = data["value"]
    named = data.get("dimensions")
    if named is not None and not isinstance(named, dict):
        raise InvalidEvent("it is not an object of names and texts", code="event.dimensions_not_an_object", where="dimensions")
    loose = {name: value for name, value in data.items() if name not in ("value", "dimensions")}
    for name in loose.keys() & (named or {}).keys():
        raise InvalidEvent("it stands twice, in data and in data.dimensions", code="event.dimension_twice", where=name[:40])
    return {**plain, "dimensions": {**loose, **(named or {})}}


def _data(sent: Mapping[str, Any]) -> Mapping[str, Any]:
    kind = sent.get("datacontenttype")
    if "data_base64" in sent or (kind is not None and not is_json(kind)):
        raise InvalidEvent("the data is not JSON; only an object in JSON can be read", code="event.data_not_json", where="data")
    data = sent.get("data")
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise InvalidEvent("it is not an object", code="event.data_not_an_object", where="data")
    return data


def is_json(media_type: Any) -> bool:
    """Whether a media type is JSON's.

    >>> is_json("application/json; charset=utf-8"), is_json("application/vnd.acme+json"), is_json("text/plain")
    (True, True, False)
    """
    kind = media_type.partition(";")[0].strip().lower() if isinstance(media_type, str) else ""
    return kind in ("application/json", "text/json") or kind.endswith("+json")
