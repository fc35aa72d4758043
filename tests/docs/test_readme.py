"""The README's answers are the demo's: the demo is run, and every line of output that the README shows is in what it prints."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.ports import free_port

README = Path(__file__).parents[2] / "README.md"


def shown_lines() -> list[str]:
    """The lines of answers in the README's second block of commands."""
    block = re.findall(r"```console\n(.*?)```", README.read_text("utf-8"), re.DOTALL)[1]
    return [line for line in block.splitlines() if line.strip() and not line.startswith("$") and line.strip() != "…"]


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What a demo prints."""
    folder = tmp_path_factory.mktemp("demo")
    command = [sys.executable, "-m", "billsmith", "demo", "--once", "--port", str(free_port())]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout


def test_the_answers_shown_are_the_demos(printed: str) -> None:
    lines = shown_lines()
    assert len(lines) > 30
    missing = [line for line in lines if line not in printed]
    assert not missing


def test_a_line_that_the_demo_does_not_print_is_seen(printed: str) -> None:
    """The negative control."""
    assert '      "Total": 123.76,' not in printed
