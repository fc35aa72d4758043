"""A catalog's new version, and subscriptions that move to it, over the API."""

from __future__ import annotations

from billsmith.units.instants import parse_instant
from tests.api.support import Caller, problem
from tests.support.billing import CATALOG, START
from tests.support.house import House

DEARER = CATALOG.replace("amount: 12.00", "amount: 15.00")


def test_a_cohort_moves_once(house: House) -> None:
    house.now = parse_instant("2026-08-20T00:00:00Z")
    caller = Caller(house, house.account("Provider", external_id="provider", time_zone="UTC"))
    caller.post("/v1/catalog", {"source": CATALOG})
    for name in ("a", "b", "c"):
        house.account(name, caller.account, external_id=name)
        caller.post("/v1/subscriptions", {"account": name, "plan": "flat", "starts_at": START})
    caller.post("/v1/catalog", {"source": DEARER})
    path, body = "/v1/catalog/acme/migrations", {"plan": "flat", "first_day": "2026-10-01", "from_version": 1}
    assert caller.post(path, {**body, "dry_run": True}) == {"plan": "flat", "version": 2, "moved": 3, "dry_run": True}
    assert caller.post(path, {**body, "account": "a"}, key="k-1")["moved"] == 1
    assert caller.post(path, {**body, "account": "a"}, key="k-1")["moved"] == 0  # again: who moved stays
    assert caller.post(path, body)["moved"] == 2
    assert caller.post(path, body)["moved"] == 0
    assert [each["kind"] for each in caller.all("/v1/changes", kind="catalog.migration")] == ["catalog.migration"] * 3
    problem(caller("POST", path, {**body, "plan": "none"}), 400, "catalog.unknown_plan", "plan")
    problem(caller("POST", "/v1/catalog/other/migrations", body), 404, "catalog.unknown")
