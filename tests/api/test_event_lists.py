"""Single events: chosen by every condition, page by page of one state, and what became of each; each caller its own branch."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.support import Caller, problem
from tests.support.house import House

OCTOBER = {"from": "2026-10-01T00:00:00Z", "to": "2026-11-01T00:00:00Z"}


class World:
    """A reseller that sent events of two customers and of one that is not there; a customer that sent one itself."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.reseller = house.account("Reseller", external_id="reseller")
        self.north = house.account("North", self.reseller, external_id="north")
        self.south = house.account("South", self.reseller, external_id="south")
        self.caller = Caller(house, self.reseller)
        self.send("1", "north", 1, "eu")
        self.send("2", "south", 2, "eu", type="store")
        self.send("3", "north", 2, "us", source="gw")
        self.send("4", "nobody", 3, "eu")
        self.send("5", "north", 4, "eu", caller=Caller(house, self.north))

    def send(self, id: str, account: str, day: int, region: str, *, caller: Caller | None = None, **fields: Any) -> str:
        time = f"2026-10-{day:02d}T00:00:00Z"
        event = {"id": id, "type": "call", "account": account, "time": time, "dimensions": {"region": region}, **fields}
        answer = (caller or self.caller).post("/v1/events", event)
        assert answer["accepted"] == 1
        return str(answer["seq"])

    def ids(self, caller: Caller | None = None, **parameters: Any) -> list[str]:
        return [each["id"] for each in (caller or self.caller).all("/v1/events", **{**OCTOBER, **parameters})]


@pytest.fixture
def world(sqlite_house: House) -> World:
    return World(sqlite_house)


def test_an_event_is_shown_as_it_is_kept(world: World) -> None:
    first = world.caller.get("/v1/events", **OCTOBER)["items"][0]
    assert first == {
        "sender_id": world.reseller.id,
        "source": "api",
        "id": "1",
        "type": "call",
        "account": "north",
        "account_id": world.north.id,
        "time": "2026-10-01T00:00:00Z",
        "value": "1",
        "dimensions": {"region": "eu"},
    }


@pytest.mark.parametrize(
    ("parameters", "ids"),
    [
        ({}, "1235"),
        ({"account": "north"}, "135"),
        ({"sender": "reseller"}, "1234"),
        ({"sender": "reseller", "account": "north"}, "13"),
        ({"sender": "reseller", "reference": "nobody"}, "4"),
        ({"type": "store"}, "2"),
        ({"source": "gw"}, "3"),
        ({"filter": "region=eu"}, "125"),
        ({"meter": "eu-calls"}, "15"),
        ({"meter": "eu-calls", "from": "2026-10-02T00:00:00Z"}, "5"),
        ({"to": "2026-10-02T00:00:00Z"}, "1"),
    ],
)
def test_events_by_every_condition(world: World, parameters: dict[str, str], ids: str) -> None:
    world.caller.post("/v1/meters", {"code": "eu-calls", "event_type": "call", "where": {"region": ["eu"]}})
    assert "".join(world.ids(**parameters)) == ids


def test_pages_neither_skip_nor_repeat_while_events_come(world: World) -> None:
    """What comes meanwhile, before and after the place, and what is taken back, moves nothing."""
    for number in range(20):
        world.send(f"more-{number:02d}", "north", 5 + number % 3, "eu")
    expected = world.ids()
    seen: list[str] = []
    cursor: dict[str, str] = {}
    page: dict[str, Any] = {}
    for number in range(100):
        page = world.caller.get("/v1/events", limit=3, **OCTOBER, **cursor)
        seen += [each["id"] for each in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
        for day in (1, 30):
            world.send(f"meanwhile-{number}-{day}", "north", day, "eu")
        if number == 2:
            world.caller.post("/v1/events/void", {"events": [{"id": seen[-1]}, {"id": expected[-1]}], "expected": 2})
    assert seen == expected
    # the state of the pages can be asked for again; now there are others
    assert world.ids(as_of_seq=page["seq"]) == expected != world.ids()


def test_control_by_place_alone_pages_would_skip(world: World) -> None:
    first = world.caller.get("/v1/events", limit=2, **OCTOBER)
    world.send("before", "north", 1, "eu")
    rest = world.caller.all("/v1/events", cursor=first["next_cursor"], limit=2, **OCTOBER)
    assert "before" not in [each["id"] for each in first["items"] + rest]
    assert "before" in world.ids()


def test_a_cursor_holds_the_longest_names(world: World) -> None:
    for letter in "ab":
        world.send(letter + "é" * 255, "north", 6, "eu", source="ü" * 256)
    found = world.caller.pages("/v1/events", limit=1, type="call", **OCTOBER)
    assert [len(page) for page in found] == [1] * 5
    cursor = world.caller.get("/v1/events", limit=1, **OCTOBER)["next_cursor"]
    for other in ({"limit": "1", "type": "call", "cursor": cursor}, {"cursor": cursor[:-4] + "AAAA"}, {"cursor": "é"}):
        problem(world.caller("GET", "/v1/events", params={**OCTOBER, **other}), 400, "input.cursor", "cursor")


def test_what_became_of_an_event(world: World) -> None:
    before = world.caller.get("/v1/events/history", id="1")["items"]
    assert [(each["became"], each["event"]["value"]) for each in before] == [("in force", "1")]
    right = {"id": "1", "type": "call", "account": "north", "time": "2026-10-01T00:00:00Z", "value": "2"}
    world.caller.post("/v1/events/replace", {"events": [right], "expected": 1})
    world.caller.post("/v1/events/void", {"events": [{"id": "1"}], "expected": 1})
    items = world.caller.get("/v1/events/history", id="1")["items"]
    assert [(each["became"], each["event"]["value"]) for each in items] == [
        ("in force", "1"),
        ("taken back", "1"),
        ("in force", "2"),
        ("taken back", "2"),
    ]
    assert world.ids(as_of_seq=items[2]["seq"], account="north") == ["1", "3", "5"]
    assert world.ids(account="north") == ["3", "5"]
    assert world.caller.get("/v1/events/history", id="1", source="gw")["items"] == []
    problem(world.caller("GET", "/v1/events/history"), 400, "input.missing", "id")


def test_a_caller_sees_its_own_branch(world: World) -> None:
    """P16: what bills it or what it sent, whoever sent or is billed; nothing else, and no difference to what is not there."""
    north, south = Caller(world.house, world.north), Caller(world.house, world.south)
    assert (world.ids(north), world.ids(south)) == (["1", "3", "5"], ["2"])
    assert world.ids(north, sender="north") == ["5"]
    assert north.get("/v1/events/history", id="1")["items"] == []
    assert [each["became"] for each in north.get("/v1/events/history", id="5")["items"]] == ["in force"]
    assert len(world.caller.get("/v1/events/history", id="5", sender="north")["items"]) == 1
    stranger = Caller(world.house, world.house.account("Stranger", external_id="stranger"))
    assert world.ids(stranger) == []
    for path in ("/v1/events", "/v1/events/history"):
        for value in ("reseller", world.reseller.id, "no-such"):
            problem(stranger("GET", path, params={"sender": value, "id": "1"} if "history" in path else {"sender": value}), 400,
                    "account.unknown", "sender")  # fmt: skip


def test_a_period_that_ends_before_it_starts(world: World) -> None:
    problem(world.caller("GET", "/v1/events", params={"from": OCTOBER["to"], "to": OCTOBER["from"]}), 400, "usage.period", "to")
