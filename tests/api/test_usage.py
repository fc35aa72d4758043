"""Meters and questions about usage: versions, windows across DST, groups, filters, the top, states in the past, whose."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from billsmith.accounts.authorisation import CredentialKind, Scope
from billsmith.accounts.model import Account
from billsmith.storage import accounts
from billsmith.workflows import ask_usage, ingest
from billsmith.workflows.states import LENGTH
from tests.support.house import House

USAGE = [Scope.EVENTS_WRITE, Scope.USAGE_READ, Scope.USAGE_WRITE]
DAY = {"from": "2026-10-24T22:00:00Z", "to": "2026-10-25T23:00:00Z"}


class World:
    """A reseller with two customers, and a key that may send, count and ask."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.reseller = house.account("Reseller", external_id="reseller")
        self.north = house.account("North", self.reseller, external_id="north")
        self.south = house.account("South", self.reseller, external_id="south")
        self.headers = self.key(self.reseller)

    def key(self, account: Account) -> dict[str, str]:
        _, secret = self.house.key(account, CredentialKind.API_KEY, USAGE)
        return {"Authorization": f"Bearer {secret}"}

    def send(self, *events: dict[str, Any], headers: dict[str, str] | None = None) -> str:
        numbered = [
            {"id": f"{len(events)}-{place}-{each['time']}", "type": "call", **each} for place, each in enumerate(events)
        ]
        answer = self.house.client.post("/v1/events", json=numbered, headers=headers or self.headers)
        assert answer.json()["accepted"] == len(events), answer.text
        return str(answer.json()["seq"])

    def meter(self, headers: dict[str, str] | None = None, **fields: Any) -> Any:
        body = {"code": "calls", "event_type": "call", **fields}
        return self.house.client.post("/v1/meters", json=body, headers=headers or self.headers)

    def ask(self, path: str = "/v1/meters/calls/query", headers: dict[str, str] | None = None, **parameters: Any) -> Any:
        return self.house.client.get(path, params={**DAY, **parameters}, headers=headers or self.headers)

    def rows(self, **parameters: Any) -> list[tuple[str, str, Decimal]]:
        with self.house.database.read() as connection:
            names = {each.id: each.external_id for each in accounts.every_below(connection, self.reseller)}
        answer = self.ask(**parameters)
        assert answer.status_code == 200, answer.text
        return [
            (names[row["account_id"]], row["start"], None if row["value"] is None else Decimal(row["value"]))
            for row in answer.json()["rows"]
        ]


@pytest.fixture
def world(house: House) -> World:
    return World(house)


@pytest.fixture
def counted(world: World) -> World:
    """The day on which Amsterdam's clocks go back: 25 hours, the third of them twice."""
    world.send(
        {"account": "north", "time": "2026-10-25T00:30:00Z", "value": "0.1", "dimensions": {"region": "eu", "plan": "a"}},
        {"account": "north", "time": "2026-10-25T01:30:00Z", "value": "0.2", "dimensions": {"region": "us", "plan": "a"}},
        {
            "account": "south",
            "time": "2026-10-25T22:59:59.999999999Z",
            "value": "7",
            "dimensions": {"region": "eu", "plan": "b"},
        },
        {"account": "south", "time": "2026-10-25T23:00:00Z", "value": "9", "dimensions": {"region": "eu", "plan": "b"}},
    )
    assert world.meter().status_code == 201
    return world


def test_a_meter_is_made_changed_and_read(world: World) -> None:
    first = world.meter(unit="calls")
    assert (first.status_code, first.json()["version"], first.headers["location"]) == (201, 1, "/v1/meters/calls")
    assert world.meter(unit="calls").json()["version"] == 1
    second = world.meter(unit="calls", group_by=["region"]).json()
    assert (second["version"], second["group_by"]) == (2, ["region"])
    client = world.house.client
    assert client.get("/v1/meters/calls", headers=world.headers).json()["version"] == 2
    assert client.get("/v1/meters/calls?version=1", headers=world.headers).json()["group_by"] == []
    assert [each["code"] for each in client.get("/v1/meters", headers=world.headers).json()["items"]] == ["calls"]


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"code": ""}, "code"),
        ({"code": "a b"}, "code"),
        ({"aggregation": "median"}, "aggregation"),
        ({"aggregation": "percentile"}, "percentile"),
        ({"aggregation": "percentile", "percentile": 101}, "percentile"),
        ({"aggregation": "expression"}, "expression"),
        ({"group_by": [f"d{number}" for number in range(9)]}, "group_by"),
        ({"where": {"region": ["x"] * 101}}, "where[...]"),
        ({"counts_from": "soon"}, "counts_from"),
    ],
)
def test_a_meter_that_can_not_be(world: World, fields: dict[str, Any], where: str) -> None:
    answer = world.meter(**fields)
    assert (answer.status_code, answer.json().get("where")) == (400, where)
    assert world.house.client.get("/v1/meters", headers=world.headers).json()["items"] == []


@pytest.mark.parametrize("percentile", [50, "50", "99.9"])
def test_a_percentile_is_made_and_counted(counted: World, percentile: Any) -> None:
    made = counted.meter(code="p", aggregation="percentile", percentile=percentile)
    assert (made.status_code, made.json()["percentile"]) == (201, str(percentile))
    (row,) = counted.ask("/v1/meters/p/query", account="north").json()["rows"]
    assert row["value"] == ("0.2" if percentile == "99.9" else "0.1")


def test_a_day_of_25_hours_is_whole(counted: World) -> None:
    assert set(counted.rows()) == {
        ("north", "2026-10-24T22:00:00Z", Decimal("0.3")),
        ("south", "2026-10-24T22:00:00Z", Decimal(7)),
    }


@pytest.mark.parametrize(
    ("by", "starts"),
    [
        ("hour", ["2026-10-25T00:00:00Z", "2026-10-25T01:00:00Z"]),
        ("day", ["2026-10-24T22:00:00Z"]),
        ("month", ["2026-10-24T22:00:00Z"]),
        ("12 hours", ["2026-10-24T22:00:00Z"]),
        ("3hours", ["2026-10-24T22:00:00Z", "2026-10-25T01:00:00Z"]),
    ],
)
def test_windows(counted: World, by: str, starts: list[str]) -> None:
    found = [start for _, start, value in counted.rows(by=by, account="north") if value]
    assert found == starts


def test_windows_without_usage_are_filled_when_asked_for(counted: World) -> None:
    assert len(counted.rows(by="hour", account="north")) == 2
    filled = counted.rows(by="hour", account="north", fill="true")
    assert len(filled) == 25
    assert sum(value for _, _, value in filled) == Decimal("0.3")
    days = counted.rows(
        by="day", account="south", fill="true", **{"from": "2026-10-23T22:00:00Z", "to": "2026-10-27T23:00:00Z"}
    )
    assert [start for _, start, _ in days] == [
        "2026-10-23T22:00:00Z", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z", "2026-10-26T23:00:00Z"
    ]  # fmt: skip
    assert [value for _, _, value in days] == [0, 7, 9, 0]


@pytest.mark.parametrize(
    ("by", "zone", "starts", "values"),
    [
        ("2 days", "Europe/Amsterdam", ["2026-10-23T22:00:00Z", "2026-10-25T23:00:00Z"], [7, 9]),
        ("2 days", "UTC", ["2026-10-23T22:00:00Z", "2026-10-25T22:00:00Z", "2026-10-27T22:00:00Z"], [0, 16, 0]),
        ("48 hours", "Europe/Amsterdam", ["2026-10-23T22:00:00Z", "2026-10-25T22:00:00Z", "2026-10-27T22:00:00Z"], [0, 16, 0]),
        ("2 weeks", "Europe/Amsterdam", ["2026-10-23T22:00:00Z"], [16]),
        ("2 months", "Europe/Amsterdam", ["2026-10-23T22:00:00Z"], [16]),
        ("year", "Asia/Kolkata", ["2026-10-23T22:00:00Z"], [16]),
    ],
)
def test_windows_of_several_days_across_a_change_of_the_clock(
    counted: World, by: str, zone: str, starts: list[str], values: list[int]
) -> None:
    span = {"from": "2026-10-23T22:00:00Z", "to": "2026-10-27T23:00:00Z"}
    found = counted.rows(by=by, zone=zone, account="south", fill="true", **span)
    assert [start for _, start, _ in found] == starts
    assert [value for _, _, value in found] == values


def test_groups_filters_and_the_top(counted: World) -> None:
    answer = counted.ask(group_by="region,plan").json()
    assert {tuple(row["dimensions"].values()): row["value"] for row in answer["rows"]} == {
        ("eu", "a"): "0.1",
        ("us", "a"): "0.2",
        ("eu", "b"): "7",
    }
    assert counted.rows(filter="region=us") == [("north", DAY["from"], Decimal("0.2"))]
    assert len(counted.rows(filter="region=us,region=eu,plan=a")) == 1
    assert counted.rows(top=1) == [("south", DAY["from"], Decimal(7))]
    assert [name for name, _, _ in counted.rows(top=1, by="hour")] == ["south"]


def test_a_state_in_the_past_stays_as_it_was(counted: World) -> None:
    before = counted.ask().json()
    counted.send({"account": "north", "time": "2026-10-25T02:00:00Z", "value": 5})
    assert counted.ask().json()["rows"] != before["rows"]
    assert counted.ask(as_of_seq=before["seq"]).json() == before


def test_a_state_tells_nothing_of_what_others_send(counted: World) -> None:
    """P16: a state is another text each time, is good for its account alone, and has one length."""
    seen = {counted.ask().json()["seq"] for _ in range(3)}
    rival = counted.house.account("Rival", external_id="rival")
    counted.send({"account": "rival", "time": "2026-10-25T02:00:00Z"}, headers=counted.key(rival))
    seen |= {counted.ask().json()["seq"] for _ in range(3)}
    assert (len(seen), {len(state) for state in seen}) == (6, {LENGTH})
    theirs = counted.ask("/v1/usage", headers=counted.key(rival), as_of_seq=seen.pop())
    made_up = counted.ask("/v1/usage", headers=counted.key(rival), as_of_seq="A" * LENGTH)
    assert (theirs.status_code, theirs.content) == (400, made_up.content)


def test_control_the_stores_own_number_tells(counted: World) -> None:
    before = counted.house.services.usage.watermark()
    rival = counted.house.account("Rival", external_id="rival")
    counted.send({"account": "rival", "time": "2026-10-25T02:00:00Z"}, headers=counted.key(rival))
    assert counted.house.services.usage.watermark() == before + 1


def test_a_meter_may_count_from_an_instant_on(counted: World) -> None:
    counted.meter(counts_from="2026-10-25T01:00:00Z", where={"plan": ["a"], "region": ["eu"]})
    # what was before is counted by the version before; each by itself counts what it counts
    assert [counted.rows(account="north", **more)[0][2] for more in ({}, {"version": 2}, {"version": 1})] == [
        Decimal("0.1"),
        Decimal(0),
        Decimal("0.3"),
    ]
    # one that counts all takes the place of those before it
    counted.meter(where={"region": ["us"]})
    assert counted.rows(account="north")[0][2] == Decimal("0.2")


def test_a_first_version_that_counts_from_an_instant_on(counted: World) -> None:
    counted.meter(code="late", counts_from="2026-10-25T00:45:00Z", aggregation="max")
    late = "/v1/meters/late/query"
    for by, starts in (("total", ["2026-10-24T22:00:00Z"]), ("hour", ["2026-10-25T01:00:00Z"])):
        rows = counted.ask(late, account="north", by=by).json()["rows"]
        assert [(row["start"], row["value"]) for row in rows] == [(start, "0.2") for start in starts]
    counted.meter(code="later", counts_from="2026-10-25T01:15:00Z", aggregation="max")
    [row] = counted.ask("/v1/meters/later/query", account="north", by="hour").json()["rows"]
    assert (row["start"], row["end"], row["value"]) == ("2026-10-25T01:00:00Z", "2026-10-25T02:00:00Z", "0.2")


@pytest.mark.parametrize(
    "meter",
    [
        {"aggregation": "sum", "group_by": ["region"]},
        {"aggregation": "count"},
        {"aggregation": "expression", "expression": "2 * value"},
        {"aggregation": "time_weighted_sum"},
    ],
    ids=lambda meter: meter["aggregation"],
)
def test_windows_that_versions_share_are_answered_by_both(counted: World, meter: dict[str, Any]) -> None:
    """Two versions that differ in nothing but their time say what one alone says, in every window, to the last digit."""

    def rows(by: str, **more: Any) -> Any:
        return counted.ask("/v1/meters/m/query", by=by, fill="true", **more).json()["rows"]

    counted.meter(code="m", **meter)
    whole = {by: rows(by) for by in ("total", "hour", "day", "7 hours", "month")}
    for since in ("2026-10-25T00:45:00.000000001Z", "2026-10-25T01:00:00Z", "2026-10-25T22:59:59Z"):
        counted.meter(code="m", counts_from=since, **meter)
        assert {by: rows(by) for by in whole} == whole
    assert {by: rows(by, version=1) for by in whole} == whole


@pytest.mark.parametrize(
    "second",
    [{"aggregation": "max"}, {"unit": "other"}, {"group_by": ["plan"]}, {"rounding": "up", "places": 0}],
    ids=lambda second: next(iter(second)),
)
def test_versions_that_do_not_add_up_are_asked_by_themselves(counted: World, second: dict[str, Any]) -> None:
    since = "2026-10-25T00:45:00Z"
    counted.meter(counts_from=since, **second)
    for by in ("total", "day", "hour"):
        answer = counted.ask(account="north", by=by)
        assert (answer.status_code, answer.json()["code"], answer.json()["where"]) == (400, "usage.versions_differ", "from")
        assert since in answer.json()["detail"]
    # the way to ask
    assert counted.rows(account="north", to=since)[0][2] == Decimal("0.1")
    assert counted.ask(account="north", **{"from": since}).status_code == 200
    assert counted.rows(account="north", version=1)[0][2] == Decimal("0.3")


def test_the_rows_of_all_accounts_are_bounded_together(counted: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ask_usage, "MAX_ROWS", 2)
    assert len(counted.rows(group_by="x")) == 2
    for more in ({"group_by": "region"}, {"by": "hour"}):
        answer = counted.ask(**more)
        assert (answer.status_code, answer.json()["code"]) == (413, "usage.too_many_rows")
    counted.meter(code="calls2")
    answer = counted.ask("/v1/usage", meters="calls,calls2")
    assert (answer.status_code, answer.json()["code"]) == (413, "usage.too_many_rows")
    # the most are found among any number
    assert counted.rows(top=1, group_by="region") == [("south", DAY["from"], Decimal(7))]
    assert [name for name, _, _ in counted.rows(top=1, by="hour", group_by="region")] == ["south"]


def test_several_meters_at_once(counted: World) -> None:
    counted.meter(code="number", aggregation="count")
    counted.meter(code="mean", aggregation="average")
    answer = counted.ask("/v1/usage", account="north").json()
    assert [(row["meter"], row["value"], row["rounded"]) for row in answer["rows"]] == [
        ("calls", "0.3", False),
        ("mean", "0.15", False),
        ("number", "2", False),
    ]
    assert {row["meter"] for row in counted.ask("/v1/usage", meters="calls,mean").json()["rows"]} == {"calls", "mean"}


def test_what_can_not_be_counted_parks_that_account_alone(counted: World) -> None:
    counted.meter(code="sizes", field="size")
    counted.send({"account": "north", "time": "2026-10-25T03:00:00Z", "dimensions": {"size": "big"}})
    answer = counted.ask("/v1/meters/sizes/query").json()
    assert {each["account_id"] for each in answer["parked"]} == {counted.north.id, counted.south.id}
    assert all(each["code"].startswith("event.") and each["message"] for each in answer["parked"])


def test_events_wait_for_their_account(world: World) -> None:
    world.send({"account": "later", "time": "2026-10-25T00:30:00Z", "value": 3})
    world.meter()
    assert world.rows() == []
    later = world.house.account("Later", world.reseller, external_id="later")
    answer = world.ask().json()
    assert [(row["account_id"], row["value"]) for row in answer["rows"]] == [(later.id, "3")]


def test_an_account_made_while_its_first_event_is_on_its_way_is_billed_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever binds waiting names looks after the account is there and before the event is: it must not be missed for ever."""
    world.meter()
    store = world.house.services.usage
    keep, made = store.ingest, []

    def meanwhile(items: Any) -> Any:
        if not made:
            made.append(world.house.account("Later", world.reseller, external_id="later"))
            world.rows()  # looks for waiting names, and remembers that it has
        return keep(items)

    monkeypatch.setattr(store, "ingest", meanwhile)
    world.send({"account": "later", "time": "2026-10-25T00:30:00Z", "value": 3})
    assert [(row["account_id"], row["value"]) for row in world.ask().json()["rows"]] == [(made[0].id, "3")]


def test_one_senders_unknown_names_keep_no_other_out(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest, "_FEW", 3)
    rival = world.key(world.house.account("Rival", external_id="a-rival"))
    world.send(*[{"account": f"made-up-{number}", "time": "2026-10-25T00:30:00Z"} for number in range(9)], headers=rival)
    world.send({"account": "later", "time": "2026-10-25T00:30:00Z", "value": 3})
    world.meter()
    assert world.rows() == []
    for name in ("Earlier", "Later"):
        world.house.now += 1
        made = world.house.account(name, world.reseller, external_id=name.lower())
    assert [(row["account_id"], row["value"]) for row in world.ask().json()["rows"]] == [(made.id, "3")]


def test_nobody_sees_another_branch(counted: World) -> None:
    """A customer sees its own usage by its reseller's meter; a stranger sees neither meter, usage nor account (P16)."""
    north = counted.key(counted.north)
    answer = counted.ask(headers=north)
    assert [row["account_id"] for row in answer.json()["rows"]] == [counted.north.id]
    missing = counted.ask(headers=north, account="south")
    assert missing.status_code == 400
    assert missing.content == counted.ask(headers=north, account="nobody").content
    stranger = counted.key(counted.house.account("Stranger", external_id="stranger"))
    for path in ("/v1/meters/calls", "/v1/meters/calls/query"):
        hidden = counted.ask(path, headers=stranger) if path.endswith("query") else None
        hidden = hidden or counted.house.client.get(path, headers=stranger)
        assert hidden.status_code == 404
    counted.meter(headers=stranger)
    nothing = counted.ask(headers=stranger).json()["rows"]
    assert [(row["value"], row["events"]) for row in nothing] == [("0", 0)]
    # the control: its own events are seen
    counted.send({"account": "stranger", "time": "2026-10-25T00:30:00Z", "value": 4}, headers=stranger)
    assert [row["value"] for row in counted.ask(headers=stranger).json()["rows"]] == ["4"]


@pytest.mark.parametrize(
    ("parameters", "where"),
    [
        ({"from": "x"}, "from"),
        ({"to": "2026-10-24T22:00:00Z"}, "to"),
        ({"by": "fortnight"}, "by"),
        ({"by": "0 hours"}, "by"),
        ({"zone": "Mars/Olympus"}, "time_zone"),
        ({"filter": "region"}, "filter"),
        ({"group_by": ","}, "group_by"),
        ({"top": "0"}, "top"),
        ({"as_of_seq": "-1"}, "as_of_seq"),
        ({"account": "nobody"}, "account"),
    ],
)
def test_questions_that_can_not_be(counted: World, parameters: dict[str, str], where: str) -> None:
    answer = counted.ask(**parameters)
    assert (answer.status_code, answer.json().get("where")) == (400, where)


def test_accounts_are_never_left_out_unsaid(counted: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ask_usage, "MAX_ACCOUNTS", 2)
    answer = counted.ask()
    assert (answer.status_code, answer.json()["code"]) == (413, "usage.too_many_accounts")
    assert counted.ask(account="north").status_code == 200


def test_an_answer_is_bounded(counted: World) -> None:
    answer = counted.ask(by="hour", fill="true", **{"from": "1970-01-01T00:00:00Z", "to": "2100-01-01T00:00:00Z"})
    assert answer.status_code == 413
