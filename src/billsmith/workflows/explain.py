"""How a line came about: its sentences, what was measured, and the events themselves."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from billsmith.events.event import Event
from billsmith.invoicing.billing import Book
from billsmith.invoicing.cases import Books, Charged, spans_of_usage
from billsmith.invoicing.model import Line
from billsmith.metering.measure import Grain
from billsmith.metering.meter import Meter
from billsmith.metering.quantity import Quantity
from billsmith.storage import accounts, runs, subscriptions
from billsmith.storage.database import Connection
from billsmith.storage.invoices import Stored
from billsmith.subscriptions.learnt import Mark, Step
from billsmith.subscriptions.timeline import FOREVER
from billsmith.units.errors import NotFound
from billsmith.units.instants import format_instant
from billsmith.units.rounding import plain
from billsmith.usage.store import Query, Selection, UsageStore
from billsmith.workflows.billing_cases import load_books


class Explained(msgspec.Struct, frozen=True, kw_only=True):
    """A line with all that stands behind it. ``events`` are the first of ``event_count``; none where nothing was measured."""

    place: int
    line: Line
    meter: str = ""
    aggregation: str = ""
    measured: tuple[str, ...] = ()
    as_of_seq: int | None = None
    event_count: int | None = None
    events: tuple[Event, ...] = ()


def explain(
    connection: Connection, usage: UsageStore | None, found: Stored, place: int | None = None, *, events: int = 20
) -> list[Explained]:
    """The lines of a document, or the one at a place, explained; with the first ``events`` of each that were counted.

    Raises :class:`NotFound` for a place where there is no line.
    """
    content = found.invoice.content
    lines = list(enumerate(content.lines if content is not None else ()))
    if place is not None:
        lines = [each for each in lines if each[0] == place]
        if not lines:
            raise NotFound(
                f"{found.invoice.number} has no line {place}; they are counted from 0",
                code="invoice.unknown_line",
                where="line",
            )
    run = runs.of_invoices(connection, [found.seq]).get(found.seq)
    if run is None or usage is None:
        return [Explained(place=index, line=line) for index, line in lines]
    billed = subscriptions.steps_of(connection, [found.seq])[found.seq]
    books = load_books(connection, accounts.by_seq(connection, found.issuer_seq), run.catalogs)
    return [_explained(index, line, billed, books, usage, run.as_of_seq, events) for index, line in lines]


def _explained(
    place: int,
    line: Line,
    billed: Sequence[tuple[subscriptions.Stored, Step]],
    books: Books,
    usage: UsageStore,
    as_of_seq: int,
    events: int,
) -> Explained:
    behind = next((each for each, _ in billed if each.subscription.id == line.subscription), None)
    if not line.meter or line.period is None or behind is None or line.corrects:
        return Explained(place=place, line=line)
    found = _charge(line, behind, books[behind.catalog])
    if found is None:
        return Explained(place=place, line=line)
    meter, grain = found
    account = behind.subscription.account
    query = Query(
        meters=(meter,),
        periods=(line.period,),
        accounts=(account,),
        grain=grain,
        zone=behind.subscription.zone,
        as_of_seq=as_of_seq,
    )
    [counted] = usage.measure(query)
    chosen = Selection(
        type=meter.event_type,
        accounts=(account,),
        period=line.period,
        where=meter.where,
        unless=meter.unless,
        as_of_seq=as_of_seq,
    )
    return Explained(
        place=place,
        line=line,
        meter=f"{meter.code} version {meter.version}",
        aggregation=meter.aggregation.value,
        measured=tuple(map(_said, counted.quantities)),
        as_of_seq=as_of_seq,
        event_count=usage.count(chosen),
        events=tuple(each.event for each in usage.events(chosen, limit=events)) if events else (),
    )


def _charge(line: Line, behind: subscriptions.Stored, book: Book) -> tuple[Meter, Grain] | None:
    """The meter by which a line was counted, in the version of its plan or add-on, and how finely."""
    assert line.period is not None
    part = Charged(
        seq=behind.seq,
        subscription=behind.subscription,
        catalog=behind.catalog,
        step=Step(None, Mark(line.period.end, FOREVER)),
    )
    for span in spans_of_usage(part, book):
        if (span.part, span.offer.code, span.charge.key) == (line.period, line.plan, line.component):
            return book.catalog.meter_of((span.offer.code, span.offer.version), span.charge), span.charge.grain
    return None


def _said(quantity: Quantity) -> str:
    """A quantity in words: the value, of how many events, for which group and window."""
    value = plain(quantity.value) if isinstance(quantity.value, Decimal) else str(quantity.value)
    group = "".join(f", {name} {value_of or '(none)'}" for name, value_of in quantity.dimensions.items())
    start = "" if quantity.start is None else f", from {format_instant(quantity.start)}"
    events = "1 event" if quantity.events == 1 else f"{quantity.events} events"
    return f"{value} of {events}{group}{start}"
