"""docs/rounding.md tells of every place that rounds, and of no other; its examples are what the modes do."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path

import pytest

from billsmith.units.rounding import Rounding, round_to

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "rounding.md").read_text("utf-8")
CORE = ("events", "metering", "catalog", "subscriptions", "rating", "ledger", "invoicing")
ROUNDS = re.compile(r"\b(round_to|round_fraction|divide_round|to_minor|to_integer|quantize|to_integral_value)\(")


def test_every_module_that_rounds_is_on_the_page() -> None:
    source = ROOT / "src" / "billsmith"
    modules = [path for package in CORE for path in (source / package).rglob("*.py")]
    rounding = {str(path.relative_to(source)) for path in modules if ROUNDS.search(path.read_text("utf-8"))}
    assert rounding == set(re.findall(r"^\| `([a-z/_]+\.py)`", PAGE, re.MULTILINE))


@pytest.mark.parametrize("mode", Rounding)
def test_the_examples_of_a_mode_are_true(mode: Rounding) -> None:
    (row,) = re.findall(rf"^\| `{mode}`.*$", PAGE, re.MULTILINE)
    shown = [int(cell.replace("−", "-")) for cell in re.findall(r"\| (−?\d) ", row)]
    assert shown == [int(round_to(Decimal(value), 0, mode)) for value in ("2.5", "-2.5", "2.4", "-2.4")]


def test_no_module_of_the_core_rounds_by_other_means() -> None:
    """Python's own round and a decimal's own quantize stand only in units, beside their mode."""
    for package in CORE:
        for path in (ROOT / "src" / "billsmith" / package).rglob("*.py"):
            assert not re.search(r"(?<![\w.])round\(|\.quantize\(|\bfloat\(", path.read_text("utf-8")), path
