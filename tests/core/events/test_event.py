"""What makes two events the same, and their order."""

from __future__ import annotations

import pytest

from billsmith.events.event import in_order
from billsmith.units.errors import Conflict, InvalidNumber
from tests.support.events import event


def test_equal_times_go_by_source_and_id_never_by_arrival() -> None:
    events = [event("2", 5, source="b"), event("1", 5, source="b"), event("9", 5, source="a"), event("0", 6)]
    wanted = ["9", "1", "2", "0"]
    assert [one.id for one in in_order(events)] == wanted
    assert [one.id for one in in_order(reversed(events))] == wanted


def test_a_repetition_counts_once_and_a_contradiction_is_reported() -> None:
    assert len(in_order([event("1"), event("1")])) == 1
    with pytest.raises(Conflict) as error:
        in_order([event("1", value="1"), event("1", value="2")])
    assert error.value.code == "event.conflict"


def test_the_same_id_from_another_owner_is_another_event() -> None:
    mine = event("1")
    theirs = type(mine)(**{**{name: getattr(mine, name) for name in mine.__struct_fields__}, "owner": "x"})
    assert len(in_order([mine, theirs])) == 2


def test_a_float_is_no_value() -> None:
    with pytest.raises(InvalidNumber):
        type(event("1"))(owner="o", source="s", id="1", type="t", account="a", time=0, value=0.1)
