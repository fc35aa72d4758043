"""P4, P5, P7, P9, P11: a server that is killed while it is asked for runs leaves what one that nobody disturbed would have left."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from billsmith.storage.database import Database, sqlite_url
from tests.support.house import House
from tests.support.server_crash import Plan, by_chance, carried_out, faults, undisturbed


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What comes of the runs where nobody disturbs them."""
    opened = Database(sqlite_url(tmp_path_factory.mktemp("calm")))
    house = House(opened)
    told = undisturbed(house)
    house.close()
    opened.close()
    assert told.endswith(" []"), told
    return told


def test_on_the_embedded_stores(sqlite_house: House, tmp_path: Path, expected: str) -> None:
    plans = [
        Plan("sept", "asked"),
        Plan("sept", "kept"),
        Plan("sept", "issued", 2),
        Plan("oct", "measured"),
        Plan("oct", "committed"),
        Plan("again", "noted"),
    ]
    assert carried_out(sqlite_house, tmp_path, plans) == len(plans)
    assert faults(sqlite_url(tmp_path), expected) == []


def test_on_postgresql(postgres_house: House, tmp_path: Path, expected: str) -> None:
    plans = [Plan("sept", "kept"), Plan("oct", "begun"), Plan("oct", "issued"), Plan("again", "committed")]
    assert carried_out(postgres_house, tmp_path, plans) == len(plans)
    assert faults(postgres_house.database.url.render_as_string(hide_password=False), expected) == []


def test_at_any_moment(sqlite_house: House, tmp_path: Path, expected: str) -> None:
    chance = random.Random(seed := random.SystemRandom().randrange(2**31))
    carried_out(sqlite_house, tmp_path, by_chance(chance, 2))
    assert faults(sqlite_url(tmp_path), expected) == [], f"seed {seed}"


def test_control_a_server_that_forgets_what_it_answered_and_billed_is_seen(
    sqlite_house: House, tmp_path: Path, expected: str
) -> None:
    carried_out(sqlite_house, tmp_path, [Plan("sept", "finished", forgetful=True)])
    found = faults(sqlite_url(tmp_path), expected)
    assert "2 INV-2024 for c-0 in one period" in found
    assert any(fault.endswith(" runs") for fault in found)
