"""A copy of a store in no engine's own form: what one reads out of its copy, and another puts into its tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

from billsmith.events.event import Event


class Named(NamedTuple):
    """The small number of a name, and the account that it is bound to, if any."""

    subject: int
    owner: str
    reference: str
    account: str | None


class Row(NamedTuple):
    """A row of a store. ``sign``: +1 puts a body in force, −1 takes back the row whose seq is ``undoes`` (else 0)."""

    seq: int
    sign: int
    undoes: int
    subject: int
    event: Event


class Copied(msgspec.Struct, frozen=True):
    """All of a store: names, the highest seq, and its rows in no order, some at a time: one for each seq from 1 on.

    Secrets and hashes are not in it: a store that takes it in makes its own.
    """

    names: Sequence[Named]
    last: int
    rows: Iterator[Sequence[Row]]
