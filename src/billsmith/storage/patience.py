"""Who may wait. Quick reads run on the event loop's own thread; work that may take long says so and is begun anew elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_hurried: ContextVar[bool] = ContextVar("hurried", default=False)


class TakesLong(Exception):
    """What was asked for may take longer than a thread that others wait for should be held. Ask again from another."""


@contextmanager
def in_a_hurry() -> Iterator[None]:
    """Within the block, work that may take long raises :class:`TakesLong` before it begins."""
    token = _hurried.set(True)
    try:
        yield
    finally:
        _hurried.reset(token)


def may_take_long() -> None:
    """Called before work that may take longer than a few dozen milliseconds. Raises :class:`TakesLong`."""
    if _hurried.get():
        raise TakesLong
