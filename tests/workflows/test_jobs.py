"""Jobs do what is due, once, however many processes do them; one that fails keeps none of the others from their work."""

from __future__ import annotations

import datetime as dt
import threading

import pytest

from billsmith.invoicing.model import InvoiceStatus
from billsmith.storage import invoices
from billsmith.units.errors import Unavailable
from billsmith.units.instants import parse_instant
from billsmith.workflows.jobs import JOBS, PAST_DUE, Job, Ran, Tools, run_due
from billsmith.workflows.usage_store import Usage
from tests.cli.run import Program
from tests.support.house import House


def tools(house: House) -> Tools:
    return Tools(database=house.database, clock=lambda: house.now, usage=Usage(house.database))


def late_invoices(house: House, count: int) -> None:
    provider = house.account("Provider")
    customer = house.account("Customer", provider)
    for _ in range(count):
        house.invoice(provider, customer, due_date=dt.date(2026, 11, 14))


def statuses(house: House) -> set[InvoiceStatus]:
    with house.database.read() as connection:
        return {each.invoice.status for each in invoices.newest(connection, None)}


def test_invoices_become_past_due_as_their_day_has_ended(sqlite_house: House) -> None:
    late_invoices(sqlite_house, 2)
    for now, status, ran in [
        ("2026-11-14T22:59:59Z", InvoiceStatus.ISSUED, []),  # Amsterdam
        ("2026-11-14T23:00:00Z", InvoiceStatus.PAST_DUE, [Ran(job="past-due", done=2)]),
        ("2026-11-15T00:00:00Z", InvoiceStatus.PAST_DUE, []),
    ]:
        sqlite_house.now = parse_instant(now)
        assert run_due(tools(sqlite_house), JOBS) == ran
        assert statuses(sqlite_house) == {status}


def test_several_at_once_do_each_thing_once(house: House) -> None:
    late_invoices(house, 12)
    house.now = parse_instant("2026-12-01T00:00:00Z")
    done: list[Ran] = []
    threads = [threading.Thread(target=lambda: done.extend(run_due(tools(house), [PAST_DUE]))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with house.database.read() as connection:
        for each in invoices.newest(connection, None):
            assert [entry.what for entry in invoices.history(connection, each.seq)] == ["past_due"]


def test_a_job_that_fails_says_why_and_keeps_no_other_from_its_work(sqlite_house: House) -> None:
    def broken(_tools: Tools, _now: int) -> int:
        raise Unavailable("the line is dead", code="test.dead")

    late_invoices(sqlite_house, 1)
    sqlite_house.now = parse_instant("2026-12-01T00:00:00Z")
    failing = Job(name="failing", what="Fails.", every=1, due=lambda _tools, _now: True, run=broken)
    assert run_due(tools(sqlite_house), [failing, PAST_DUE]) == [
        Ran(job="failing", code="test.dead", reason="the line is dead"), Ran(job="past-due", done=1),
    ]  # fmt: skip


def test_the_names_of_jobs_are_words_of_their_own() -> None:
    assert len({job.name for job in JOBS}) == len(JOBS)
    assert all(job.what.endswith(".") and job.every >= 1 for job in JOBS)


def test_the_command_line_does_what_is_due(
    house: House, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    late_invoices(house, 1)  # due in 2026: past by any real clock that runs this
    url = house.database.url.render_as_string(hide_password=False)
    program = Program(
        house.database.file.parent if house.database.file else tmp_path_factory.mktemp("home"),
        "" if house.database.is_sqlite else url,
        monkeypatch,
    )
    monkeypatch.setattr("billsmith.server.settings.services.__defaults__", (lambda: parse_instant("2026-12-01T00:00:00Z"),))
    listed = {row["job"]: row["due"] for row in program.json("jobs", "list")}
    assert listed == {job.name: job.name == "past-due" for job in JOBS}
    assert program.json("jobs", "run", "--once") == [{"job": "past-due", "done": 1, "code": "", "reason": ""}]
    assert program.json("jobs", "run", "--once") == []
    assert statuses(house) == {InvoiceStatus.PAST_DUE}
