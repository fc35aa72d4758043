"""``/healthz`` and usage: in words, without opening anything, and without a number that tells what tenants send."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from billsmith.accounts.authorisation import CredentialKind, Scope
from billsmith.units.errors import Unavailable
from billsmith.usage.store import Health
from billsmith.workflows import usage_health
from tests.support.house import House

FINE = Health(engine="duckdb", seq=7, events=7, bytes=1)


def usage(house: House) -> Any:
    answer = house.client.get("/healthz")
    assert (answer.status_code, answer.json()["status"]) == (200, "ok")
    return answer.json()["usage"]


def test_a_store_that_nobody_asked_for_stays_closed(sqlite_house: House) -> None:
    assert usage(sqlite_house) == {"store": "closed", "rollups": "current", "queue": "current"}
    assert sqlite_house.services.usage_or_none is not None
    assert sqlite_house.services.usage_or_none.opened is None


def test_what_tenants_send_changes_no_byte(sqlite_house: House) -> None:
    house = sqlite_house
    _, secret = house.key(house.account("Sender"), CredentialKind.API_KEY, [Scope.EVENTS_WRITE])
    seen = []
    for number in range(3):
        event = {"id": str(number), "type": "call", "account": f"nobody-{number}", "time": "2026-10-05T00:00:00Z"}
        house.client.post("/v1/events", json=event, headers={"Authorization": f"Bearer {secret}"})
        seen.append(house.client.get("/healthz").content)
    assert len(set(seen)) == 1
    assert usage(house) == {"store": "open", "rollups": "current", "queue": "current"}


@pytest.mark.parametrize(
    ("health", "said"),
    [
        ({}, ("open", "current", "current")),
        ({"writable": False, "reason": "the disk is full"}, ("read-only", "current", "current")),
        ({"notes": ("no roll-up of secret-type",)}, ("open", "behind", "current")),
        ({"behind": usage_health.MANY_BEHIND}, ("open", "current", "current")),
        ({"behind": usage_health.MANY_BEHIND + 1}, ("open", "behind", "current")),
        ({"waiting": usage_health.MANY_WAITING}, ("open", "current", "current")),
        ({"waiting": usage_health.MANY_WAITING + 1}, ("open", "current", "behind")),
    ],
)
def test_words(sqlite_house: House, monkeypatch: pytest.MonkeyPatch, health: dict[str, Any], said: tuple[str, ...]) -> None:
    store = sqlite_house.services.usage
    monkeypatch.setattr(store, "health", lambda: msgspec.structs.replace(FINE, **health))
    assert tuple(usage(sqlite_house).values()) == said


def test_a_store_that_does_not_answer(sqlite_house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def silent() -> Health:
        raise Unavailable("another process holds it", code="test.silent")

    monkeypatch.setattr(sqlite_house.services.usage, "health", silent)
    assert usage(sqlite_house)["store"] == "failing"
    assert "another process" not in sqlite_house.client.get("/healthz").text
