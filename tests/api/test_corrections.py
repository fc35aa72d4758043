"""Events taken back and replaced: looked at first, done once, recorded, within the caller's own branch."""

from __future__ import annotations

from typing import Any

import pytest

from billsmith.usage.store import Selection
from billsmith.workflows import corrections
from billsmith.workflows.jobs import CORRECTIONS, Tools, run_if_due
from tests.api.support import Caller, problem
from tests.support.house import House

OCTOBER = {"start": "2026-10-01T00:00:00Z", "end": "2026-11-01T00:00:00Z"}


class World:
    """A reseller that sent events of two customers, some of them under a wrong name."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.reseller = house.account("Reseller", external_id="reseller")
        self.north = house.account("North", self.reseller, external_id="north")
        self.south = house.account("South", self.reseller, external_id="south")
        self.caller = Caller(house, self.reseller)
        for number, (account, day, region) in enumerate(
            [("north", 1, "eu"), ("north", 2, "us"), ("south", 3, "eu"), ("nroth", 4, "eu"), ("north", 31, "eu")]
        ):
            self.send(str(number), account=account, time=f"2026-10-{day:02d}T12:00:00Z", dimensions={"region": region})
        self.caller.post("/v1/meters", {"code": "calls", "event_type": "call", "group_by": ["region"]})

    def send(self, id: str, caller: Caller | None = None, **fields: Any) -> None:
        event = {"id": id, "type": "call", "account": "north", "time": "2026-10-05T00:00:00Z", "value": "2.5", **fields}
        assert (caller or self.caller).post("/v1/events", event)["accepted"] == 1

    def counted(self, account: str = "north") -> str:
        answer = self.caller.get(
            "/v1/meters/calls/query", account=account, group_by="none", **{"from": OCTOBER["start"], "to": OCTOBER["end"]}
        )
        [row] = answer["rows"] or [{"value": "0"}]
        return str(row["value"])

    def apply(self, path: str, body: dict[str, Any], **more: Any) -> Any:
        """A dry run, and then the same for good."""
        tried = self.caller.post(path, {**body, "dry_run": True})
        return self.caller.post(path, {**body, "expected": tried["matched"]}, **more)

    def in_force(self) -> int:
        return self.house.services.usage.count(Selection(owner=self.reseller.id))


@pytest.fixture
def world(sqlite_house: House) -> World:
    return World(sqlite_house)


@pytest.fixture
def either(house: House) -> World:
    """On each engine."""
    return World(house)


def test_a_dry_run_counts_and_changes_nothing(world: World) -> None:
    body = {"filter": {"account": "north", "period": OCTOBER, "where": {"region": ["eu"]}}, "dry_run": True}
    tried = world.caller.post("/v1/events/void", body)
    assert (tried["id"], tried["state"], tried["matched"], tried["changed"]) == (None, "dry run", 2, 0)
    assert [(each["event"]["id"], each["becomes"]) for each in tried["sample"]] == [("0", None), ("4", None)]
    assert (world.counted(), world.in_force()) == ("7.5", 5)
    assert world.caller.get("/v1/events/corrections")["items"] == []


def test_events_of_a_filter_are_taken_back(either: World) -> None:
    world = either
    before = world.caller.get("/v1/usage")["seq"]
    done = world.apply("/v1/events/void", {"filter": {"account": "north", "period": OCTOBER}, "reason": "a faulty gateway"})
    assert (done["state"], done["matched"], done["changed"], done["reason"]) == ("done", 3, 3, "a faulty gateway")
    assert (world.counted(), world.counted("south"), world.in_force()) == ("0", "2.5", 2)
    # as it was before the correction, it stays
    then = world.caller.get(
        "/v1/meters/calls/query", account="north", as_of_seq=before, **{"from": OCTOBER["start"], "to": OCTOBER["end"]}
    )
    assert sum(row["events"] for row in then["rows"]) == 3
    [listed] = world.caller.all("/v1/events/corrections")
    shown = world.caller.get(f"/v1/events/corrections/{done['id']}")
    for each in (done, listed, shown):  # a state is another text each time
        assert len(each.pop("seq")) == len(each.pop("as_of_seq")) == 48
    assert done == shown
    assert {name: shown[name] for name in listed} == listed
    assert (shown["filter"]["account_id"], "filter" in listed) == (world.north.id, False)
    assert done["actor"] == f"credential:{world.caller.credential_id}"


def test_another_count_by_now_is_refused_and_recorded(world: World) -> None:
    body = {"filter": {"account": "north", "period": OCTOBER}}
    tried = world.caller.post("/v1/events/void", {**body, "dry_run": True})
    world.send("late")
    answer = world.caller("POST", "/v1/events/void", {**body, "expected": tried["matched"]})
    problem(answer, 409, "correction.other_count", "expected")
    assert "4 events" in answer.json()["detail"]
    assert (world.counted(), world.in_force()) == ("10", 6)
    [listed] = world.caller.all("/v1/events/corrections")
    assert (listed["state"], listed["expected"], listed["matched"], listed["changed"]) == ("refused", 3, 4, 0)


def test_a_wrong_name_is_put_right(either: World) -> None:
    """Events that were sent for nobody bill whom they were meant for."""
    world = either
    done = world.apply(
        "/v1/events/replace", {"filter": {"reference": "nroth", "period": OCTOBER}, "change": {"account": "north"}}
    )
    assert (done["changed"], world.counted()) == (1, "10")
    [kept] = world.house.services.usage.events(
        Selection(reference="north", accounts=(world.north.id,), where={"region": ("eu",)})
    )[1:2]
    assert (kept.event.id, kept.account) == ("3", world.north.id)


def test_contents_are_changed_by_filter(world: World) -> None:
    body = {
        "filter": {"meter": "calls", "account": "north", "period": OCTOBER, "unless": {"region": ["us"]}},
        "change": {"value": "0.000000000001", "dimensions": {"region": "ap", "plan": "x"}},
    }
    tried = world.caller.post("/v1/events/replace", {**body, "dry_run": True})
    assert tried["sample"][0]["becomes"]["dimensions"] == {"plan": "x", "region": "ap"}
    assert world.apply("/v1/events/replace", body)["changed"] == 2
    assert world.counted() == "2.500000000002"
    # those that say so already are not changed again
    body["filter"] = {"type": "call", "account": "north", "period": OCTOBER, "where": {"region": ["ap"]}}
    again = world.apply("/v1/events/replace", body)
    assert (again["matched"], again["changed"]) == (2, 0)


def test_events_that_would_be_beyond_a_limit_are_named(either: World) -> None:
    """They stay as they are; the others are changed."""
    world = either
    full = {f"d{number}": "x" for number in range(30)}
    world.send("full", account="north", time="2026-10-20T12:00:00Z", dimensions={"region": "eu", **full})
    new = {"a": "1", "b": "2"}
    body = {"filter": {"account": "north", "period": OCTOBER}, "change": {"dimensions": new}}
    left = [
        {"id": "full", "source": "api", "code": "event.too_many_dimensions", "reason": "33 dimensions; at most 32 are kept"}
    ]
    tried = world.caller.post("/v1/events/replace", {**body, "dry_run": True})
    assert tried["left_alone"] == left
    done = world.apply("/v1/events/replace", body)
    assert (done["matched"] - done["changed"], done["left_alone"]) == (1, left)
    assert world.caller.get(f"/v1/events/corrections/{done['id']}")["left_alone"] == left
    # one fewer fits
    body["change"] = {"dimensions": {"a": "1"}}
    assert world.caller.post("/v1/events/replace", {**body, "dry_run": True})["left_alone"] == []


def test_events_by_name(either: World) -> None:
    world = either
    names = [{"id": "0"}, {"id": "1", "source": "api"}, {"id": "never"}]
    tried = world.caller.post("/v1/events/void", {"events": names, "dry_run": True})
    assert (tried["matched"], tried["missing"]) == (2, [{"id": "never", "source": "api"}])
    done = world.apply("/v1/events/void", {"events": names})
    assert (done["changed"], world.counted()) == (2, "2.5")
    assert world.apply("/v1/events/void", {"events": names})["changed"] == 0
    # a void one lives again with other contents; one that was never sent is not made
    bodies = [
        {"id": id, "type": "call", "account": "north", "time": "2026-10-06T00:00:00Z", "value": "4"}
        for id in ("0", "4", "never")
    ]
    done = world.apply("/v1/events/replace", {"events": bodies})
    assert (done["changed"], world.counted()) == (2, "8")


def test_a_repeated_request_is_done_once(world: World) -> None:
    body = {"filter": {"account": "north", "period": OCTOBER}, "expected": 3}
    done = world.caller.post("/v1/events/void", body, key="k")
    world.send("later")
    again = world.caller("POST", "/v1/events/void", body, key="k")
    assert (again.json()["id"], again.headers["idempotency-replayed"]) == (done["id"], "true")
    assert world.counted() == "2.5"
    problem(
        world.caller("POST", "/v1/events/void", {**body, "expected": 1}, key="k"),
        422,
        "idempotency.other_request",
        "Idempotency-Key",
    )
    # without the key it is another request, which finds another count
    problem(world.caller("POST", "/v1/events/void", body), 409, "correction.other_count", "expected")


def test_a_request_that_was_killed_goes_on_where_it_was(either: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world = either
    monkeypatch.setattr(corrections, "CHUNK", 2)
    body = {"filter": {"account": "north", "period": OCTOBER}, "expected": 3}
    store = world.house.services.usage
    ingest, left = store.ingest, [1]

    def killed(items: Any) -> Any:
        if not left.pop():
            raise RuntimeError("killed")
        return ingest(items)

    left[:] = [0, 1]
    with monkeypatch.context() as patched:
        patched.setattr(store, "ingest", killed)
        assert world.caller("POST", "/v1/events/void", body, key="k").status_code == 500
    [half] = world.caller.all("/v1/events/corrections")
    assert (half["state"], half["matched"], half["changed"], world.in_force()) == ("open", 3, 2, 3)
    # what comes next, from anybody, finishes it first
    world.send("later")
    other = world.caller.post("/v1/events/void", {"events": [{"id": "later"}], "expected": 1})
    assert other["changed"] == 1
    done = world.caller.post("/v1/events/void", body, key="k")
    assert (done["id"], done["state"], done["changed"], world.in_force()) == (half["id"], "done", 3, 2)


def test_what_nobody_goes_on_with_is_a_job(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    ask = {"filter": {"account": "north", "period": OCTOBER}}
    with monkeypatch.context() as patched:
        patched.setattr(world.house.services.usage, "ingest", lambda _items: 1 / 0)
        for expected in (3, 2):
            assert world.caller("POST", "/v1/events/void", {**ask, "expected": expected}).status_code == 500
    usage = world.house.services.usage_or_none
    assert usage is not None
    tools = Tools(database=world.house.database, clock=lambda: world.house.now, usage=usage)
    assert run_if_due(tools, CORRECTIONS) is None
    world.house.now += corrections.PATIENCE + 1
    ran = run_if_due(tools, CORRECTIONS)
    assert ran is not None
    assert (ran.done, ran.code, run_if_due(tools, CORRECTIONS)) == (2, "", None)
    assert [each["state"] for each in world.caller.all("/v1/events/corrections")] == ["refused", "done"]
    assert world.counted() == "0"


def test_nobody_corrects_what_another_branch_sent(world: World) -> None:
    """P16: a customer can't take back what its provider counted of it; a stranger finds nothing."""
    stranger = Caller(world.house, world.house.account("Stranger", external_id="stranger"))
    customer = Caller(world.house, world.north)
    everything = {"filter": {"period": OCTOBER}, "dry_run": True}
    for other in (stranger, customer):
        assert other.post("/v1/events/void", everything)["matched"] == 0
        assert other.post("/v1/events/void", {"events": [{"id": "0"}], "dry_run": True})["missing"] != []
        for field in ({"sender": "reseller"}, {"sender": world.reseller.id}):
            problem(other("POST", "/v1/events/void", {**everything, **field}), 400, "account.unknown", "sender")
        assert other.get("/v1/events/corrections")["items"] == []
    done = world.apply("/v1/events/void", {"events": [{"id": "0"}]})
    hidden = customer("GET", f"/v1/events/corrections/{done['id']}")
    problem(hidden, 404, "correction.unknown")
    assert hidden.content == customer("GET", "/v1/events/corrections/99999999-9999-4999-8999-999999999999").content
    # the control: who stands above the sender may
    world.send("own", caller=customer)
    above = world.caller.post("/v1/events/void", {"sender": "north", "events": [{"id": "own"}], "expected": 1})
    assert (above["sender_id"], above["changed"]) == (world.north.id, 1)


@pytest.mark.parametrize(
    ("path", "body", "status", "code", "where"),
    [
        ("void", {}, 400, "correction.which", "events"),
        ("void", {"events": [{"id": "0"}], "filter": {"period": OCTOBER}}, 400, "correction.which", "events"),
        ("void", {"events": [{"id": "0"}, {"id": "0"}]}, 400, "correction.named_twice", "events"),
        ("void", {"events": [{"id": "0"}]}, 400, "correction.expected", "expected"),
        ("void", {"filter": {"period": {"start": OCTOBER["end"], "end": OCTOBER["start"]}}}, 400, "time.period", "filter.period"),
        ("void", {"filter": {"period": OCTOBER, "account": "nobody"}}, 400, "account.unknown", "filter.account"),
        ("void", {"filter": {"period": OCTOBER, "meter": "none"}}, 400, "meter.unknown", "filter.meter"),
        ("void", {"filter": {"period": OCTOBER, "meter": "calls", "type": "x"}}, 400, "usage.filter", "filter.meter"),
        ("replace", {"filter": {"period": OCTOBER}}, 400, "correction.no_change", "change"),
        ("replace", {"change": {"type": "x"}, "events": []}, 400, "correction.which", "change"),
        ("replace", {"filter": {"period": OCTOBER}, "change": {"value": "1e25"}}, 400, "event.value_out_of_range", "change.value"),
        (
            "replace",
            {"events": [{"id": "0", "type": "call", "account": "north", "time": "2101-01-01T00:00:00Z"}]},
            400,
            "event.time_out_of_range",
            "events[0].time",
        ),
    ],
)  # fmt: skip
def test_corrections_that_can_not_be(world: World, path: str, body: Any, status: int, code: str, where: str) -> None:
    problem(world.caller("POST", f"/v1/events/{path}", body), status, code, where)
    assert world.in_force() == 5


def test_one_correction_is_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corrections, "MAX_MATCHED", 4)
    body = {"filter": {"period": OCTOBER}}
    problem(world.caller("POST", "/v1/events/void", {**body, "dry_run": True}), 413, "correction.too_many", "filter")
    problem(world.caller("POST", "/v1/events/void", {**body, "expected": 5}), 413, "correction.too_many", "filter")
    problem(world.caller("POST", "/v1/events/void", {**body, "expected": 4}), 409, "correction.other_count", "expected")
    assert world.in_force() == 5
