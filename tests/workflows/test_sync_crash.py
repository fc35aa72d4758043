"""A pull that is killed anywhere and run again leaves the store as one that nobody disturbed (P15)."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from billsmith.storage.database import sqlite_url
from tests.support import client_crash, postgres
from tests.support.sync_crash import nursery


def fresh_seed() -> int:
    """Another one each run; a failure prints it."""
    return random.SystemRandom().randrange(2**32)


@pytest.fixture
def urls(tmp_path: Path) -> tuple[str, str]:
    for name in ("killed", "undisturbed"):
        (tmp_path / name).mkdir()
    return sqlite_url(tmp_path / "killed"), sqlite_url(tmp_path / "undisturbed")


@pytest.mark.parametrize("seed", [20261101, fresh_seed()], ids=["fixed", "fresh"])
def test_kill_at_any_moment(urls: tuple[str, str], seed: int) -> None:
    found = nursery(*urls, 30, seed)
    assert found.faults == [], found
    assert found.kills == 30
    assert found.resumed > 5, found


def test_kill_at_any_moment_on_postgresql() -> None:
    urls = [postgres.fresh_database(), postgres.fresh_database()]
    try:
        found = nursery(urls[0], urls[1], 10, fresh_seed())
        assert found.faults == [], found
        assert found.resumed > 1, found
    finally:
        for url in urls:
            postgres.drop_database(url)


def test_the_trial_can_see(urls: tuple[str, str]) -> None:
    """The negative control: a mark kept before its rows loses them."""
    assert nursery(*urls, 10, 20261101, "marks before rows").faults


@pytest.mark.long
def test_each_vendors_client_is_killed_at_every_step_while_it_waits_and_at_random(tmp_path: Path) -> None:
    """Over HTTP; `python -m tests.soak pulls` kills more often."""
    found = client_crash.nursery(tmp_path, fresh_seed(), 2)
    assert [each.vendor for each in found] == ["acronis", "myreports", "hostway", "amberflo"]
    for each in found:
        assert each.faults == [], each
        assert each.kills >= 10, each
        assert each.resumed >= 3, each


def test_the_trial_of_clients_can_see(tmp_path: Path) -> None:
    """The negative control, as above."""
    [found] = client_crash.nursery(tmp_path, 20261101, 0, "broken")
    assert found.faults
