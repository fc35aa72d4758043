"""Sheets as DuckDB writes them (:mod:`billsmith.usage.sheets`): an account's added-up rows as text, folded where it is read.

Numbers of meters that need only sums are packed by the statement that adds them up; the answers of others are on the sheet
as they go to other processes anyhow.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import msgspec

from billsmith.usage.duckdb.protocol import WireMeasured, pack_measured, unpack_measured
from billsmith.usage.folding import Fold, nothing, shape_of
from billsmith.usage.shapes import NUMBERS
from billsmith.usage.sheets import Read
from billsmith.usage.store import Measured, Query

#: A meter's number, its account and period (not told), start of the window, key, events, and the parts of the sum.
_Row = tuple[int, None, None, int, str, int, int, int, int]


class _Sheet(msgspec.Struct):
    rows: list[_Row]
    others: list[WireMeasured] = []


_decode = msgspec.json.Decoder(_Sheet).decode
_encode = msgspec.json.Encoder().encode


def packed_rows(query: Query) -> list[int]:
    """The meters of a query, by number, whose rows are packed by the database."""
    shapes = [shape_of(meter, query.grain) for meter in query.meters]
    return [number for number, shape in enumerate(shapes) if shape is not None and not shape.by and shape.sums == NUMBERS]


def sheet(rows: Sequence[str], others: Sequence[Measured]) -> bytes:
    """An account's sheet: texts of its rows, and answers that were counted otherwise."""
    more = b',"others":' + _encode(list(map(pack_measured, others))) if others else b""
    return b'{"rows":[' + ",".join(rows).encode() + b"]" + more + b"}"


def reader(query: Query) -> Read:
    """What reads the sheets of a query."""
    (period,) = query.periods
    folds: dict[int, Fold] = {}
    for number in packed_rows(query):
        shape = shape_of(query.meters[number], query.grain)
        assert shape is not None
        folds[number] = Fold(query.meters[number], shape, query)
    nothing_there = lru_cache(lambda number: nothing(query.meters[number], query, period))

    def read(account: str, data: bytes) -> Callable[[int], Measured]:
        sheet = _decode(data)
        others = {each.meter: each for each in sheet.others}
        rows: dict[int, list[_Row]] = {}
        for row in sheet.rows:
            rows.setdefault(row[0], []).append(row)

        def answer(number: int) -> Measured:
            if number in others:
                return unpack_measured(others[number])
            quantities = folds[number](rows[number], period) if number in rows else ()
            return Measured(meter=number, account=account, period=period, quantities=quantities or nothing_there(number))

        return answer

    return read
