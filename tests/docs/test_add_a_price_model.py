"""docs/add-a-price-model.md, done to the letter in a copy of the house."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "add-a-price-model.md").read_text("utf-8")
BLOCKS = {match[1]: match[2] for match in re.finditer(r"^```\w+ ([^\n]+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)}
STEPS = "src/billsmith/rating/steps.py"
CATALOG = """
code: c
currency: EUR
meters: [{code: m, event_type: e}]
plans: [{code: p, charges: [{meter: m, price: {model: stairstep, tiers: [{up_to: 10, amount: 5.00}, {amount: 8}]}}]}]
"""


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """The parts that the page speaks of, without the entry in the steps."""
    leave = shutil.ignore_patterns("__pycache__")
    for folder in ("src/billsmith", "tests/support", "tests/core/rating", "tests/cases/rating"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=leave)
    for name in ("pyproject.toml", "tests/__init__.py", "tests/core/__init__.py"):
        shutil.copy(ROOT / name, tmp_path / name)
    for name, text in BLOCKS.items():
        if not name.startswith(STEPS):
            (tmp_path / name).write_text(text, "utf-8")
    (tmp_path / "c.yaml").write_text(CATALOG, "utf-8")
    return tmp_path


def add_the_entry(house: Path) -> None:
    steps = (house / STEPS).read_text("utf-8")
    imports, entry = BLOCKS[f"{STEPS} import"], BLOCKS[f"{STEPS} MODELS"]
    steps = steps.replace("from billsmith.rating.models.volume", imports + "from billsmith.rating.models.volume", 1)
    steps = steps.replace("    Volume: volume,\n", "    Volume: volume,\n" + entry, 1)
    (house / STEPS).write_text(steps, "utf-8")


def run(house: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {"PYTHONPATH": f"{house / 'src'}:{house}", "PATH": "/usr/bin:/bin"}
    return subprocess.run([sys.executable, *arguments], cwd=house, env=environment, capture_output=True, text=True, check=False)


def tables(house: Path) -> subprocess.CompletedProcess[str]:
    return run(house, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/core/rating/test_tables.py")


def check(house: Path) -> subprocess.CompletedProcess[str]:
    script = "import billsmith.rating; from billsmith.catalog import parse; parse(open('c.yaml').read(), 'c.yaml')"
    return run(house, "-c", script)


def test_the_page_does_what_it_says(house: Path) -> None:
    add_the_entry(house)
    result = tables(house)
    assert result.returncode == 0, result.stdout
    assert check(house).returncode == 0
    assert run(house, "-m", "doctest", "src/billsmith/rating/models/stairstep.py").returncode == 0


def test_without_the_entry_it_fails(house: Path) -> None:
    """The negative control: the table is really read, and the model really known by its entry."""
    result = tables(house)
    assert result.returncode != 0
    assert "stairstep" in result.stdout
    refused = check(house)
    assert refused.returncode != 0
    assert "'stairstep' is not a price model" in refused.stderr
