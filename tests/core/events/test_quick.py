"""The quick pass gives what the careful one gives, or nothing; and counts what it can't read before it takes it apart."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from billsmith.events import reading
from billsmith.events.quick import quickly
from billsmith.events.reading import MAX_EVENTS, Form, read
from billsmith.units.errors import TooLarge

EVENT = {"id": "1", "type": "call", "account": "acme", "time": "2026-10-31T12:00:00Z"}

_values = st.sampled_from((
    "0", "-0.0", "1.10", "1e3", "12e-4", "1E+2", "1e24", "-1e24", "1000000000000000000000001", "1e25", "0.000000000001", "1e-13",
    "1.5000000000000000", "1e999999999999999999999", "9007199254740993", '"1.10"', '"1_0"', '" 1"', '"NaN"', "true", "null", "[]",
    "1" * 40, "999999999999999999999999.999999999999",
))  # fmt: skip
_times = st.sampled_from((
    '"2026-10-31T12:00:00.123456789Z"', '"1969-12-31T23:59:59Z"', '"2101-01-01T00:00:00Z"', '"2100-12-31T23:59:59+00:00"', "0", "-1",
    "4133980800000000000", "1.5", "true", '"now"', "null",
))  # fmt: skip
_texts = st.text(max_size=4) | st.sampled_from(("x" * 256, "x" * 257, "\0", "é" * 256)) | st.integers(0, 1)
_dimensions = st.dictionaries(
    st.text(max_size=3) | st.just("n" * 129), st.text(max_size=3) | st.sampled_from(("t" * 1025, 5)), max_size=3
)


def body(fields: dict[str, Any], value: str, time: str) -> bytes:
    raw = json.dumps({**EVENT, **fields, "value": "VALUE", "time": "TIME"})
    return b"[" + raw.replace('"VALUE"', value).replace('"TIME"', time).encode() + b"]"


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.fixed_dictionaries(
        {}, optional={"id": _texts, "source": _texts, "account": _texts, "dimensions": _dimensions, "x": _texts}
    ),
    _values,
    _times,
)
@example({"dimensions": {str(number): "" for number in range(33)}}, "1", "0")
@example({}, "1", '"2026-10-31T12:00:00Z"')
def test_both_passes_give_the_same_events(fields: dict[str, Any], value: str, time: str) -> None:
    sent = body(fields, value, time)
    careful = reading._one_by_one(reading._split(sent), "o")
    quick = quickly(sent, "o")
    if quick is not None:
        assert (list(quick), []) == (careful.events, careful.rejected)
    taken = read(sent, Form.JSON, "o")
    assert (list(taken.events), list(taken.places), taken.rejected) == (careful.events, careful.places, careful.rejected)


@pytest.mark.parametrize("form", [Form.JSON, Form.LINES])
def test_what_is_good_takes_the_quick_pass(form: Form, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_one_by_one", None)
    events = [json.dumps({**EVENT, "id": str(number), "value": 1.25, "dimensions": {"a": "b"}}) for number in range(10)]
    text = "\n".join(events) if form is Form.LINES else f"[{','.join(events)}]"
    assert len(read(text.encode(), form, "o").events) == 10


def test_a_line_of_two_events_is_none() -> None:
    line = f"{json.dumps(EVENT)},{json.dumps(EVENT)}\n".encode()
    assert [each.code for each in read(line, Form.LINES, "o").rejected] == ["event.not_an_object"]


@pytest.mark.parametrize("item", ["1", "[1,2]", '{"a":[1,{"b":2},3],"c":4}', '",,,"'])
def test_items_are_counted_before_they_are_taken_apart(item: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def array(count: int) -> bytes:
        return f"[{','.join([item] * count)}]".encode()

    assert len(read(array(MAX_EVENTS), Form.JSON, "o").rejected) == MAX_EVENTS
    monkeypatch.setattr(reading, "_raw", None)
    with pytest.raises(TooLarge):
        read(array(MAX_EVENTS + 1), Form.JSON, "o")
