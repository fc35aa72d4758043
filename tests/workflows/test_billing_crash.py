"""P4, P5, P7: runs that are killed anywhere, or that run side by side, leave the bytes of one that nobody disturbed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.billing_crash import nursery
from tests.support.house import House


def test_killed_at_every_step_and_again_while_recovering(tmp_path: Path) -> None:
    found = nursery("steps", str(tmp_path), "1")
    assert found.faults == []
    assert found.documents == 18
    assert found.kills >= 2 * 11


@pytest.mark.long
def test_killed_at_random(tmp_path: Path) -> None:
    found = nursery("random", str(tmp_path), "2", "60")
    assert found.faults == []
    assert found.kills >= 60


def test_several_at_once(tmp_path: Path) -> None:
    found = nursery("together", str(tmp_path), "3")
    assert (found.faults, found.runs) == ([], 3)


def test_the_same_bytes_on_postgresql_from_several_at_once_one_of_them_killed(tmp_path: Path, postgres_house: House) -> None:
    """P9: the same log, price book and run give the same documents on either engine."""
    url = postgres_house.database.url.render_as_string(hide_password=False)
    found = nursery("elsewhere", str(tmp_path), "5", url)
    assert (found.faults, found.runs) == ([], 1)


def test_control_ids_that_derive_from_the_clock_are_seen(tmp_path: Path) -> None:
    assert nursery("forgetful", str(tmp_path), "4").faults != []
