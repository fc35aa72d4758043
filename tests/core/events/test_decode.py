"""Bytes to events: every form, exactly, and each fault with its place."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billsmith.events import decode as module
from billsmith.events.decode import MAX_EVENTS, Form, decode, decode_binary
from billsmith.events.limits import MAX_DIMENSIONS, MAX_ID, MAX_TEXT
from billsmith.events.times import instant_of
from billsmith.units.errors import Invalid, InvalidTime, TooLarge
from billsmith.units.instants import SECOND, parse_instant

TIME = "2026-10-31T12:00:00Z"
PLAIN = '"id": "1", "type": "call", "account": "acme", "time": "2026-10-31T12:00:00Z"'
CLOUD = f'"specversion": "1.0", "id": "1", "source": "gw", "type": "call", "subject": "acme", "time": "{TIME}"'


def one(text: str, form: Form = Form.JSON) -> Any:
    found = decode(text.encode(), form, "o")
    assert found.refused == []
    (event,) = found.events
    return event


def refused(text: str, form: Form = Form.JSON) -> tuple[str, str]:
    found = decode(text.encode(), form, "o")
    assert found.events == []
    (fault,) = found.refused
    assert fault.message
    return fault.code, fault.path


def test_every_field_of_the_plain_form() -> None:
    event = one(f'{{{PLAIN}, "source": "gw", "value": 0.10, "dimensions": {{"region": "eu"}}}}')
    assert event.identity == ("o", "gw", "1")
    assert (event.type, event.account, event.time) == ("call", "acme", parse_instant(TIME))
    assert (str(event.value), event.dimensions) == ("0.10", {"region": "eu"})


def test_what_is_left_out() -> None:
    event = one(f"{{{PLAIN}}}")
    assert (event.source, event.value, event.dimensions) == ("default", 1, {})


@pytest.mark.parametrize(("text", "value"), [
    ("0.1", "0.1"),
    ('"0.1"', "0.1"),
    ("-2.50", "-2.50"),
    ("1e3", "1000"),
    ("100", "100"),
    ("999999999999999999999999.999999999999", "999999999999999999999999.999999999999"),
    ("1000000000000000000000000", "1000000000000000000000000"),
    ("-1e24", "-1000000000000000000000000"),
    ("0.000000000001", "0.000000000001"),
    ("1.5000000000000000", "1.5"),
    ("9007199254740993", "9007199254740993"),
    ("0.30000000000000004e-1", None),
    ("1000000000000000000000001", None),
    ("0.0000000000001", None),
    ("1e999999999999", None),
    ("-1e25", None),
    ('"1_0"', None),
    ('"１"', None),
    ('" 1"', None),
    ('"NaN"', None),
    ("true", None),
    ("null", None),
    ("[]", None),
    ("1" * 5_000, None),
])  # fmt: skip
def test_values_are_exact_or_refused(text: str, value: str | None) -> None:
    body = f'{{{PLAIN}, "value": {text}}}'
    if value is None:
        found = decode(body.encode(), Form.JSON, "o") if len(text) < 100 else None
        if found is None:
            with pytest.raises(Invalid):
                decode(body.encode(), Form.JSON, "o")
            return
        assert [fault.path for fault in found.refused] == ["value"]
    else:
        assert one(body).value == Decimal(value)


@pytest.mark.parametrize(("body", "code", "path"), [
    ("1", "event.not_an_object", ""),
    ('{"id": "1"}', "event.field_missing", "type"),
    (f'{{{PLAIN}, "dimension": {{}}}}', "event.unknown_field", "dimension"),
    (f'{{{PLAIN}, "id": ""}}', "event.text_missing", "id"),
    (f'{{{PLAIN}, "id": 1}}', "event.not_text", "id"),
    (f'{{{PLAIN}, "id": "{"x" * (MAX_ID + 1)}"}}', "event.text_too_long", "id"),
    (f'{{{PLAIN}, "id": "a\\u0000"}}', "event.text_unclean", "id"),
    (f'{{{PLAIN}, "time": "yesterday"}}', "time.not_an_instant", "time"),
    (f'{{{PLAIN}, "time": 5}}', "event.not_text", "time"),
    (f'{{{PLAIN}, "time": "1969-12-31T23:59:59Z"}}', "event.time_out_of_range", "time"),
    (f'{{{PLAIN}, "time": "2101-01-01T00:00:00Z"}}', "event.time_out_of_range", "time"),
    (f'{{{PLAIN}, "dimensions": []}}', "event.dimensions_not_an_object", "dimensions"),
    (f'{{{PLAIN}, "dimensions": {{"a": {{}}}}}}', "event.dimension_nested", "dimensions.a"),
    (f'{{{PLAIN}, "dimensions": {{"": "a"}}}}', "event.text_missing", "dimensions."),
    (f'{{{PLAIN}, "dimensions": {{"a": "{"x" * (MAX_TEXT + 1)}"}}}}', "event.text_too_long", "dimensions.a"),
    (f'{{{PLAIN}, "dimensions": {{"a": 1e99999}}}}', "event.text_too_long", "dimensions.a"),
    (
        f'{{{PLAIN}, "dimensions": {json.dumps({str(n): "" for n in range(MAX_DIMENSIONS + 1)})}}}',
        "event.too_many_dimensions",
        "dimensions",
    ),
])  # fmt: skip
def test_each_fault_has_its_code_and_place(body: str, code: str, path: str) -> None:
    assert refused(f"[{body}]") == (code, path)
    assert refused(body, Form.LINES) == (code, path)


@pytest.mark.parametrize(("more", "code", "path"), [
    ('"specversion": "0.3"', "event.specversion", "specversion"),
    ('"subject": null', "event.field_missing", "subject"),
    ('"subject": ""', "event.text_missing", "subject"),
    ('"data": 5', "event.data_not_an_object", "data"),
    ('"data_base64": "aGk="', "event.data_not_json", "data"),
    ('"datacontenttype": "text/xml", "data": {}', "event.data_not_json", "data"),
    ('"data": {"value": "many"}', "number.syntax", "data.value"),
    ('"data": {"a": [1]}', "event.dimension_nested", "data.a"),
    ('"data": {"a": "1", "dimensions": {"a": "2"}}', "event.dimension_twice", "a"),
    ('"time": null', "event.field_missing", "time"),
])  # fmt: skip
def test_each_fault_of_a_cloudevent(more: str, code: str, path: str) -> None:
    assert refused(f"{{{CLOUD}, {more}}}", Form.CLOUD) == (code, path)


@pytest.mark.parametrize("data", [
    '{"value": 1.50, "region": "eu", "size": 3, "rate": 0.250, "spot": true}',
    '{"value": "1.50", "dimensions": {"region": "eu", "size": 3, "rate": 0.250, "spot": true}, "none": null}',
])  # fmt: skip
def test_a_cloudevents_data_is_value_and_dimensions(data: str) -> None:
    event = one(f'{{{CLOUD}, "data": {data}, "traceparent": "ignored"}}', Form.CLOUD)
    assert (event.source, event.account, str(event.value)) == ("gw", "acme", "1.50")
    assert event.dimensions == {"region": "eu", "size": "3", "rate": "0.250", "spot": "true"}


def test_binary_mode_is_the_same_event() -> None:
    headers = {
        "ce-specversion": "1.0", "ce-id": "%E2%82%AC", "ce-source": "gw", "ce-type": "call", "ce-subject": "acme",
        "ce-time": TIME, "content-type": "application/json", "user-agent": "x",
    }  # fmt: skip
    (event,) = decode_binary(headers, b'{"value": 2, "region": "eu"}', "o").events
    assert (event.id, event.value, event.dimensions) == ("€", 2, {"region": "eu"})
    (fault,) = decode_binary({**headers, "content-type": "image/png"}, b"x", "o").refused
    assert fault.code == "event.data_not_json"


def test_good_ones_go_in_beside_bad_ones_and_keep_their_places() -> None:
    found = decode(f'[{{{PLAIN}}}, 5, {{{PLAIN}, "id": "3"}}, {{}}]'.encode(), Form.JSON, "o")
    assert ([event.id for event in found.events], list(found.places)) == (["1", "3"], [0, 2])
    assert [(fault.index, fault.code) for fault in found.refused] == [(1, "event.not_an_object"), (3, "event.field_missing")]


def test_a_line_that_is_not_json_is_one_that_is_refused() -> None:
    found = decode(f"{{{PLAIN}}}\n\nnonsense\n{{{PLAIN}}}\n".encode(), Form.LINES, "o")
    assert ([*found.places], [(fault.index, fault.code) for fault in found.refused]) == ([0, 2], [(1, "input.not_json")])


@pytest.mark.parametrize("body", [b"", b"[", b"{", b"nope", b"\xff", b"[" * 100_000, b'{"a":' * 100_000, b'["\xff"]'])
@pytest.mark.parametrize("form", [Form.JSON, Form.CLOUD, Form.CLOUD_BATCH])
def test_what_is_not_json_is_refused_whole_or_in_part(body: bytes, form: Form) -> None:
    assert _codes(body, form) <= {"input.not_json", "event.not_an_object"}


def _codes(body: bytes, form: Form) -> set[str]:
    try:
        found = decode(body, form, "o")
    except Invalid as error:
        return {error.code}
    assert found.events == []
    return {fault.code for fault in found.refused}


@pytest.mark.parametrize("form", [Form.JSON, Form.LINES])
def test_as_many_as_may_come_and_one_more(form: Form) -> None:
    def body(count: int) -> bytes:
        events = [f"{{{PLAIN}}}"] * count
        return ("\n".join(events) if form is Form.LINES else f"[{','.join(events)}]").encode()

    assert len(decode(body(MAX_EVENTS), form, "o").events) == MAX_EVENTS
    with pytest.raises(TooLarge):
        decode(body(MAX_EVENTS + 1), form, "o")
    with pytest.raises(TooLarge):
        decode(b"[" + b"1," * module._MAX_COMMAS + b"1,1]", Form.JSON, "o")


@given(st.datetimes(), st.text("0123456789", max_size=9), st.sampled_from(("Z", "z", "+00:00", "-05:30")))
def test_instants_are_read_as_the_plain_way_reads_them(moment: Any, fraction: str, offset: str) -> None:
    text = f"{moment.year:04d}-{moment:%m-%dT%H:%M:%S}{'.' if fraction else ''}{fraction}{offset}"
    try:
        expected: int | None = parse_instant(text)
    except InvalidTime:
        expected = None
    if expected is None:
        with pytest.raises(InvalidTime):
            instant_of(text)
    else:
        assert instant_of(text) == expected


@pytest.mark.parametrize(
    "text", ["2026-10-31T12:00: 5Z", "2026-10-31T12:00:+5Z", "2026-10-31T12:00:5٣Z", "2026-10-31T12:00:00.Z", "Z", ""]
)
def test_what_only_looks_like_an_instant(text: str) -> None:
    with pytest.raises(InvalidTime):
        instant_of(text)


def test_a_leap_second_counts_as_the_one_before() -> None:
    assert instant_of("2016-12-31T23:59:60Z") == instant_of("2016-12-31T23:59:59Z")
    assert instant_of("2016-12-31T23:59:59Z") % SECOND == 0


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
_field = st.sampled_from(
    ("id", "type", "account", "time", "source", "value", "dimensions", "data", "subject", "specversion", "datacontenttype")
)


@settings(suppress_health_check=[HealthCheck.too_slow])  # the first text drawn makes hypothesis' tables
@given(st.dictionaries(_field, _json), st.sampled_from(list(Form)))
def test_both_passes_say_the_same(changes: dict[str, Any], form: Form) -> None:
    cloud = form in (Form.CLOUD, Form.CLOUD_BATCH)
    base = json.loads(f"{{{CLOUD if cloud else PLAIN}}}")
    body = json.dumps(base | changes).encode()
    if form is Form.CLOUD_BATCH:
        body = b"[" + body + b"]"
    assert decode(body, form, "o") == module._carefully(body, form, "o")


@given(st.sampled_from(("0", "-0.0", "1.10", "1e3", "12e-4", "7", "1E+2")), st.booleans())
def test_both_passes_read_numbers_alike(number: str, cloud: bool) -> None:
    body = f'{{{CLOUD}, "data": {{"value": {number}, "n": {number}}}}}' if cloud else f'{{{PLAIN}, "value": {number}}}'
    form = Form.CLOUD if cloud else Form.JSON
    assert decode(body.encode(), form, "o") == module._carefully(body.encode(), form, "o")
