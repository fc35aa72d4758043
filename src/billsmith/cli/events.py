"""``billsmith events``: single events, and those that were sent wrong."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec
from cyclopts import App, Parameter

from billsmith.accounts.model import Account
from billsmith.cli.common import ACTOR, PLAIN, Common, opened, opened_with_usage
from billsmith.cli.output import Listing, Record, note
from billsmith.cli.progress import progress
from billsmith.cli.usage import span
from billsmith.events.change import Change
from billsmith.events.event import DEFAULT_SOURCE, Event
from billsmith.events.reading import Form, read
from billsmith.storage import accounts, corrections
from billsmith.storage.corrections import Correction, Summary
from billsmith.storage.database import Connection, Database
from billsmith.units.errors import Invalid, NotFound
from billsmith.units.ids import parse_id
from billsmith.units.instants import format_instant
from billsmith.units.rounding import parse_decimal, plain
from billsmith.usage.store import MAX_PAGE, Place, Selection, UsageStore
from billsmith.workflows import corrections as workflow
from billsmith.workflows.ask_usage import accounts_below
from billsmith.workflows.clock import system_clock
from billsmith.workflows.corrections import MAX_NAMED, Kind, LeftAlone, Name, What, what_of
from billsmith.workflows.ingest import Ingest
from billsmith.workflows.meters import filter_of
from billsmith.workflows.new_ids import new_id
from billsmith.workflows.unknown_usage import MAX_ROWS as MAX_UNKNOWN
from billsmith.workflows.unknown_usage import counted_types
from billsmith.workflows.unknown_usage import unknown as unknown_usage
from billsmith.workflows.usage_store import Usage

app = App(name="events", help="Usage events: what came in, and what was sent wrong.")

Sender = Annotated[str, Parameter(help="The account that sent them, by UUID or external id.")]
Of = Annotated[str | None, Parameter(help="Only events of this account.")]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Which:
    """Conditions that events meet, and their time."""

    reference: Annotated[str | None, Parameter(help="Only events that call their account so; it need not be one.")] = None
    type: Annotated[str | None, Parameter(help="Only events of this type.")] = None
    source: Annotated[str | None, Parameter(help=f"Only events of this source; with --id, its source ({DEFAULT_SOURCE}).")] = (
        None
    )
    filter: Annotated[list[str] | None, Parameter(name="--filter", help="Such as region=eu; several times.", negative=())] = (
        None
    )
    period: Annotated[str | None, Parameter(help="A month such as 2026-10, or a year.")] = None
    start: Annotated[str | None, Parameter(name="--from", help="The first instant or local day, in place of --period.")] = None
    end: Annotated[str | None, Parameter(name="--to", help="The end, which doesn't belong to it.")] = None

    def selection(self, zone: str) -> Selection:
        """The events that meet them, whose-ever they are, with days as they are in a zone."""
        return Selection(
            source=self.source or "",
            type=self.type or "",
            reference=self.reference or "",
            where=filter_of(self.filter or (), "filter"),
            period=span(self.period, self.start, self.end, zone),
        )


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Carefully:
    """How a correction is made: looked at first, then done."""

    dry_run: Annotated[bool, Parameter(negative=(), help="Count the events and show some; change nothing.")] = False
    expect: Annotated[int | None, Parameter(help="How many events the dry run counted. Needed to change anything.")] = None
    reason: Annotated[str, Parameter(help="Why, for the record.")] = ""


ALL = Which()
UNSEEN = Carefully()


@app.command(name="list")
def list_events(
    account: Annotated[str, Parameter(help="Events that bill this account or one below it, by UUID or external id.")],
    *,
    sender: Annotated[
        str | None, Parameter(help="Only events that this account sent; also those that bill nobody yet.")
    ] = None,
    which: Which = ALL,
    as_of_seq: Annotated[int | None, Parameter(help="The state after this seq (now).")] = None,
    limit: Annotated[int, Parameter(help="How many at most.")] = 1_000,
    common: Common = PLAIN,
) -> None:
    """List events in force by time, source and id, all of one state.

    Example: billsmith events list my-company --period 2026-10 --type api.call
    """
    with opened_with_usage(common) as (database, usage):
        with database.read() as connection:
            owner = accounts.get(connection, account)
            sent_by = None if sender is None else accounts.get(connection, sender, owner)
            about = None if sent_by is not None else tuple(each.id for each in accounts_below(connection, owner))
        store = usage.catch_up()
        selection = msgspec.structs.replace(
            which.selection(owner.time_zone),
            owner="" if sent_by is None else sent_by.id,
            accounts=about,
            as_of_seq=store.watermark() if as_of_seq is None else as_of_seq,
        )
        common.show(
            Listing(
                rows=_listed(store, selection, limit),
                columns=("time", "type", "account", "value", "source", "id"),
                empty="no events",
            )
        )


@app.command
def show(
    sender: Sender,
    id: Annotated[str, Parameter(help="The event's id.")],
    *,
    source: Annotated[str, Parameter(help="Its source.")] = DEFAULT_SOURCE,
    common: Common = PLAIN,
) -> None:
    """Show all that became of an event, oldest first.

    Example: billsmith events show my-company req-7f3a --source gateway-1
    """
    with opened_with_usage(common) as (database, usage):
        with database.read() as connection:
            owner = accounts.get(connection, sender)
        found = usage.catch_up().history(owner.id, source, id)
    if not found:
        raise NotFound(f"{sender} sent no event {source}/{id}", code="event.unknown", where="id")
    rows = [{"seq": each.seq, "became": "in force" if each.sign > 0 else "taken back", **_fields(each.event)} for each in found]
    common.show(Listing(rows=rows, columns=("seq", "became", "time", "type", "account", "value")))


@app.command
def unknown(
    sender: Sender,
    *,
    limit: Annotated[int, Parameter(help="How many at most.")] = 1_000,
    common: Common = PLAIN,
) -> None:
    """List usage that an account and those below it sent and nobody is billed for yet, by account's name and type.

    Its account is not known, or no meter counts its type. It is kept, and billed when the account or the meter appears.

    Example: billsmith events unknown my-company
    """
    with opened_with_usage(common) as (database, usage):
        with database.read() as connection:
            owner = accounts.get(connection, sender)
            senders = {each.id: each.external_id for each in accounts_below(connection, owner)}
            types = counted_types(connection, owner)
        found, more = unknown_usage(usage.catch_up(), types, list(senders), min(limit, MAX_UNKNOWN))
    common.show(
        Listing(
            rows=[
                {
                    "account": each.reference,
                    "type": each.type,
                    "events": each.events,
                    "first": format_instant(each.first),
                    "last": format_instant(each.last),
                    "lacks": " and ".join(
                        [*(["an account"] if each.account is None else []), *(["a meter"] if each.type not in types else [])]
                    ),
                    "sample": f"{each.source}/{each.id}",
                    "account_id": each.account,
                    "sender_id": each.owner,
                    "sender": senders[each.owner],
                }
                for each in found
            ],
            columns=("sender", "account", "type", "events", "first", "last", "lacks", "sample"),
            id_field="account",
            empty="every event has an account and a meter",
        )
    )
    if more:
        note("there is more; ask with a higher --limit, or for a sender further down")


def _listed(store: UsageStore, selection: Selection, limit: int) -> Iterator[dict[str, Any]]:
    """Events page by page, so that a list of any length needs no memory."""
    after: Place | None = None
    while limit > 0:
        page = store.events(selection, after=after, limit=min(limit, MAX_PAGE))
        for kept in page:
            yield {**_fields(kept.event), "account_id": kept.account}
        if len(page) < min(limit, MAX_PAGE):
            return
        limit -= len(page)
        last = page[-1].event
        after = last.time, last.source, last.id, last.owner


def _fields(event: Event) -> dict[str, Any]:
    return {
        "time": format_instant(event.time),
        "type": event.type,
        "account": event.account,
        "value": event.value,
        "dimensions": event.dimensions,
        "source": event.source,
        "id": event.id,
        "sender_id": event.owner,
    }


@app.command
def void(
    sender: Sender,
    *,
    ids: Annotated[
        list[str] | None, Parameter(name="--id", help="An event by its id, in place of a filter; several times.", negative=())
    ] = None,
    account: Of = None,
    which: Which = ALL,
    how: Carefully = UNSEEN,
    common: Common = PLAIN,
) -> None:
    """Take back events that an account sent: by id, or all of a time that meet the conditions.

    Look first with --dry-run, then give the number that it counted as --expect: where it is another by then, nothing is
    changed. Run the same again after an interruption: what was begun is finished first. `billsmith rerate` then bills the
    difference of what was billed already.

    Example: billsmith events void my-company --account north --type api.call --period 2026-10 --dry-run
    """
    with opened_with_usage(common) as (database, usage):
        with database.read() as connection:
            owner = accounts.get(connection, sender)
            chosen = None if ids else _chosen(connection, owner, account, which)
        names = tuple(Name(source=which.source or DEFAULT_SOURCE, id=id) for id in ids or ())
        what = workflow.checked(Kind.VOID, What(names=names, selection=chosen))
        _correct(common, database, usage, owner, Kind.VOID, what, how)


@app.command
def replace(
    sender: Sender,
    *,
    file: Annotated[Path | None, Parameter(help="Events as they should have been: JSON or NDJSON, as they are sent.")] = None,
    account: Of = None,
    which: Which = ALL,
    set_account: Annotated[str | None, Parameter(help="Whom they bill instead.")] = None,
    set_type: Annotated[str | None, Parameter(help="Their type instead.")] = None,
    set_value: Annotated[str | None, Parameter(help="Their value instead.")] = None,
    set: Annotated[list[str] | None, Parameter(help="A dimension, such as region=eu; several times.", negative=())] = None,
    unset: Annotated[list[str] | None, Parameter(help="A dimension to take away; several times.", negative=())] = None,
    how: Carefully = UNSEEN,
    common: Common = PLAIN,
) -> None:
    """Replace events that an account sent: by a file that has them as they should be, or all of a time in the same way.

    Look first with --dry-run, then give the number that it counted as --expect, as for `billsmith events void`.

    Example: billsmith events replace my-company --reference nroth --period 2026-10 --set-account north --dry-run
    """
    change = Change(
        account=set_account,
        type=set_type,
        value=None if set_value is None else parse_decimal(set_value, where="set_value"),
        dimensions=_dimensions(set or (), unset or ()),
    )
    with opened_with_usage(common) as (database, usage):
        with database.read() as connection:
            owner = accounts.get(connection, sender)
            chosen = None if file is not None else _chosen(connection, owner, account, which)
        events = () if file is None else _events(file, owner)
        what = workflow.checked(Kind.REPLACE, What(events=events, selection=chosen, change=change))
        _correct(common, database, usage, owner, Kind.REPLACE, what, how)


@app.command(name="corrections")
def list_corrections(sender: Sender, *, common: Common = PLAIN) -> None:
    """List the corrections of what an account and those below it sent, the newest first.

    Example: billsmith events corrections my-company
    """
    with opened(common) as database, database.read() as connection:
        found = corrections.page(connection, accounts.get(connection, sender), limit=1_000)
    common.show(
        Listing(
            rows=[_row(each) for each in found],
            columns=("created_at", "kind", "state", "matched", "changed", "reason", "actor"),
            empty="nothing was corrected",
        )
    )


@app.command(name="correction")
def show_correction(id: Annotated[str, Parameter(help="The correction's id.")], *, common: Common = PLAIN) -> None:
    """Show a correction with all that was asked.

    Example: billsmith events correction 1cf7bd50-3a87-8b2c-9a7e-0d0a3f1c2b4e
    """
    with opened_with_usage(common) as (database, usage):
        with database.read() as connection:
            known = parse_id(id)
            found = None if known is None else corrections.by_id(connection, known)
            sender = None if found is None else accounts.by_seq(connection, found.sender_seq)
        if found is None or sender is None:
            raise NotFound(
                "there is no such correction; `billsmith events corrections ACCOUNT` lists them", code="correction.unknown"
            )
        _show(common, usage.store, sender, found)


def _chosen(connection: Connection, owner: Account, account: str | None, which: Which) -> Selection:
    return msgspec.structs.replace(
        which.selection(owner.time_zone),
        accounts=None if account is None else (accounts.get(connection, account, owner).id,),
    )


def _dimensions(given: list[str] | tuple[str, ...], taken: list[str] | tuple[str, ...]) -> dict[str, str | None]:
    found: dict[str, str | None] = dict.fromkeys(taken)
    for part in given:
        name, equals, value = part.partition("=")
        if not name or not equals:
            raise Invalid(f"{part[:60]!r} is no dimension; say such as region=eu", code="usage.filter", where="set")
        found[name] = value
    return found


def _events(file: Path, owner: Account) -> tuple[Event, ...]:
    """Events of a file. Raises the first fault: a correction is made whole or not at all."""
    if not file.is_file():
        raise NotFound(f"there is no file {file}", code="input.no_such_file", where="file")
    body = file.read_bytes()
    lines = file.suffix in (".ndjson", ".jsonl")
    found = read(body, Form.LINES if lines else Form.JSON, owner.id)
    for fault in found.rejected:
        raise Invalid(f"event {fault.index}: {fault.message}", code=fault.code, where=f"file {fault.path}".strip())
    return tuple(found.events[: MAX_NAMED + 1])


def _correct(common: Common, database: Database, usage: Usage, owner: Account, kind: Kind, what: What, how: Carefully) -> None:
    store = usage.catch_up()
    if how.dry_run:
        plan = workflow.plan(store, owner, kind, what)
        sample = [
            {
                "before": None if each.event is None else _said(each.event),
                "after": None if each.becomes is None else _said(each.becomes),
            }
            for each in plan.sample
        ]
        missing = [msgspec.structs.asdict(name) for name in plan.missing]
        row = {
            "dry_run": True,
            "kind": kind.value,
            "matched": plan.matched,
            "missing": missing,
            "sample": sample,
            "left_alone": _left_alone(plan.left_alone),
        }
        common.show(Record(row=row, id_field="matched", tables=("missing", "sample", "left_alone")))
        note(f"nothing was changed; to do it, run the same with --expect {plan.matched} in place of --dry-run")
        return
    if how.expect is None:
        raise Invalid(
            "say with --expect how many events are to be corrected, as --dry-run counted them",
            code="correction.expected",
            where="expect",
        )
    now = system_clock()
    with database.write() as connection:
        made = workflow.record(
            connection, owner, kind, what, expected=how.expect, reason=how.reason, id=new_id(), now=now, actor=ACTOR
        )
    with progress("events", how.expect) as advance:
        done = workflow.carry_out(database, Ingest(database), store, made.id, now=now, progress=advance)
    _show(common, store, owner, done)


def _show(common: Common, store: UsageStore, sender: Account, found: Correction) -> None:
    rest = _left_alone(workflow.left_alone(store, sender, found))
    common.show(
        Record(row={**_row(found), "what": msgspec.to_builtins(what_of(found)), "left_alone": rest}, tables=("left_alone",))
    )


def _left_alone(found: Sequence[LeftAlone]) -> list[dict[str, str]]:
    """The first events that can't be changed as was asked."""
    return [{"source": each.event.source, "id": each.event.id, "code": each.code, "reason": each.reason} for each in found]


def _said(event: Event) -> str:
    """An event in a line."""
    dimensions = "".join(f" {name}={text}" for name, text in event.dimensions.items())
    return (
        f"{event.source}/{event.id} {event.type} {event.account} {format_instant(event.time)} {plain(event.value)}{dimensions}"
    )


def _row(found: Summary) -> dict[str, Any]:
    return {
        "id": found.id,
        "kind": found.kind,
        "state": found.state,
        "expected": found.expected,
        "matched": found.matched,
        "changed": found.changed,
        "reason": found.reason,
        "actor": found.actor,
        "as_of_seq": found.as_of_seq,
        "seq": found.end_seq,
        "created_at": format_instant(found.created_at),
        "finished_at": None if found.finished_at is None else format_instant(found.finished_at),
    }
