"""Progress bars: on standard error, for somebody at a terminal, after two seconds; else nothing."""

from __future__ import annotations

import io
import sys

import pytest

from billsmith.cli import progress as module
from billsmith.cli.progress import progress


class Terminal(io.StringIO):
    """A standard error that somebody looks at."""

    def isatty(self) -> bool:
        return True


def shown(monkeypatch: pytest.MonkeyPatch, error: io.StringIO, seconds: float) -> str:
    clock = iter([0.0, seconds, seconds, seconds, seconds])
    monkeypatch.setattr(module.time, "monotonic", lambda: next(clock, seconds))
    monkeypatch.setattr(sys, "stderr", error)
    with progress("rows", 10) as advance:
        advance(5)
        advance(5)
    return error.getvalue()


@pytest.mark.parametrize(("error", "seconds", "appears"), [
    (Terminal(), 1.9, False), (Terminal(), 2.1, True), (io.StringIO(), 60.0, False),
])  # fmt: skip
def test_a_bar_appears_only_after_a_while_and_at_a_terminal(
    monkeypatch: pytest.MonkeyPatch, error: io.StringIO, seconds: float, appears: bool
) -> None:
    assert ("rows" in shown(monkeypatch, error, seconds)) == appears
