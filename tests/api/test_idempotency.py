"""P11: one effect for each Idempotency-Key, its answer kept with it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import func, select, update

from billsmith.accounts.authorisation import Scope
from billsmith.storage import idempotency as store
from billsmith.storage import schema
from billsmith.storage.database import Connection, Database
from billsmith.units.errors import Conflict
from billsmith.units.instants import DAY
from billsmith.workflows import idempotency
from billsmith.workflows.idempotency import Answer, OnePerKey
from tests.api.support import Caller, problem
from tests.support.house import House

LINE = {"description": "x", "amount": "10.00"}


def caller_of(house: House) -> Caller:
    top = house.account("Reseller", external_id="top")
    house.account("Customer", top, external_id="c-1")
    return Caller(house, top)


def invoices_of(house: House) -> int:
    with house.database.read() as connection:
        return int(connection.execute(select(func.count()).select_from(schema.invoice)).scalar_one())


def test_every_write_answers_a_repeat_as_it_did_at_first(house: House) -> None:
    caller = caller_of(house)
    made = caller.post("/v1/invoices", {"recipient": "c-1", "lines": [LINE]}, key="first")
    other = caller.post("/v1/invoices", {"recipient": "c-1", "lines": [LINE]}, key="second")
    credential = caller.post("/v1/credentials", {"kind": "basic"})
    writes: list[tuple[str, str, Any]] = [
        ("POST", "/v1/invoices", {"recipient": "c-1", "lines": [LINE]}),
        ("POST", f"/v1/invoices/{made['id']}/payments", {"amount": "1.00"}),
        ("POST", f"/v1/invoices/{other['id']}/void", {}),
        ("POST", f"/v1/invoices/{made['id']}/write-off", {}),
        ("POST", "/v1/accounts", {"name": "New"}),
        ("PATCH", "/v1/accounts/c-1", {"name": "Renamed"}),
        ("POST", "/v1/accounts/c-1/close", {}),
        ("POST", "/v1/credentials", {"kind": "api-key"}),
        ("POST", f"/v1/credentials/{credential['id']}/rotate", {}),
        ("POST", f"/v1/credentials/{credential['id']}/revoke", {}),
    ]
    for number, (method, path, body) in enumerate(writes):
        first = caller(method, path, body, key=f"key-{number}")
        assert first.status_code in (200, 201), first.text
        house.now += DAY
        again = caller(method, path, body, key=f"key-{number}")
        assert again.status_code == first.status_code
        assert again.headers["idempotency-replayed"] == "true"
        assert again.headers.get("location") == first.headers.get("location")
        if "secret" in first.json():
            assert again.json() == {key: value for key, value in first.json().items() if key != "secret"} | {
                "secret_shown": False
            }
        else:
            assert again.content == first.content
    assert invoices_of(house) == 3


def test_no_kept_answer_holds_a_secret(house: House) -> None:
    caller = caller_of(house)
    made = caller.post("/v1/credentials", {"kind": "api-key"}, key="a")
    turned = caller.post(f"/v1/credentials/{made['id']}/rotate", key="b")
    with house.database.read() as connection:
        kept = [bytes(row.body) for row in connection.execute(select(schema.idempotent_answer))]
    assert len(kept) == 2
    for secret in (made["secret"], turned["secret"]):
        assert not any(secret.encode() in body for body in kept)


def test_another_request_under_the_key_is_refused(house: House) -> None:
    caller = caller_of(house)
    body = {"recipient": "c-1", "lines": [LINE]}
    caller.post("/v1/invoices", body, key="k")
    for method, path, other in (
        ("POST", "/v1/invoices", {**body, "notes": "x"}),
        ("POST", "/v1/accounts", {"name": "x"}),
        ("PATCH", "/v1/accounts/c-1", {"name": "x"}),
    ):
        answer = caller(method, path, other, key="k")
        problem(answer, 422, "idempotency.other_request", "Idempotency-Key")
    assert invoices_of(house) == 1


def test_a_key_is_its_credentials_own(house: House) -> None:
    caller = caller_of(house)
    second = Caller(house, caller.account)
    body = {"recipient": "c-1", "lines": [LINE]}
    assert caller.post("/v1/invoices", body, key="k")["id"] != second.post("/v1/invoices", body, key="k")["id"]


@pytest.mark.parametrize("key", ["", " ", "a b", "x" * 256, "ä"])
def test_a_key_that_can_not_be_one(sqlite_house: House, key: str) -> None:
    caller = caller_of(sqlite_house)
    headers = {b"idempotency-key": key.encode("latin-1")}
    answer = caller("POST", "/v1/accounts", {"name": "x"}, headers={name.decode(): value for name, value in headers.items()})
    problem(answer, 400, "idempotency.key", "Idempotency-Key")


def test_an_attempt_that_failed_is_done_anew(house: House) -> None:
    caller = caller_of(house)
    wrong = {"recipient": "c-2", "lines": [LINE]}
    problem(caller("POST", "/v1/invoices", wrong, key="k"), 400, "account.unknown", "recipient")
    house.account("Late", caller.account, external_id="c-2")
    assert caller("POST", "/v1/invoices", wrong, key="k").status_code == 201


def burst(caller: Caller, keys: list[str | None]) -> list[tuple[int, str | None]]:
    """Post the same invoice once for each key, all at the same time."""
    start = threading.Barrier(len(keys))

    def one(key: str | None) -> tuple[int, str | None]:
        start.wait()
        answer = caller("POST", "/v1/invoices", {"recipient": "c-1", "lines": [LINE]}, key=key)
        return answer.status_code, answer.json().get("id")

    with ThreadPoolExecutor(len(keys)) as pool:
        return list(pool.map(one, keys))


def test_fifty_at_once_under_one_key_have_one_effect(house: House) -> None:
    caller = caller_of(house)
    answers = burst(caller, ["k"] * 50)
    assert {status for status, _ in answers} <= {201, 409}
    assert len({id for status, id in answers if status == 201}) == 1
    assert invoices_of(house) == 1
    assert caller("POST", "/v1/invoices", {"recipient": "c-1", "lines": [LINE]}, key="k").status_code == 201


def test_control_without_the_key_each_has_its_effect(house: House) -> None:
    answers = burst(caller_of(house), [None] * 8)
    assert [status for status, _ in answers] == [201] * 8
    assert invoices_of(house) == 8


def effect(connection: Connection, number: int) -> None:
    """Something that can be counted: the installation's age grows by ``number``."""
    table = schema.installation
    connection.execute(update(table).values(created_at=table.c.created_at + number))


def effects(database: Database, since: int) -> int:
    with database.read() as connection:
        return int(connection.execute(select(schema.installation.c.created_at)).scalar_one()) - since


def answered(connection: Connection) -> Answer:
    effect(connection, 1)
    return Answer(200, b"done")


def test_while_one_is_at_work_another_is_told_so(house: House) -> None:
    """In this process, and on PostgreSQL also from another one (another watch over the same store)."""
    credential_id = caller_of(house).credential_id
    watches = [OnePerKey()] * 2 if house.database.is_sqlite else [OnePerKey(), OnePerKey()]
    at_work, go_on = threading.Event(), threading.Event()

    def slow(connection: Connection) -> Answer:
        at_work.set()
        assert go_on.wait(10)
        return answered(connection)

    def run(watch: OnePerKey, work: idempotency.Work) -> Answer:
        return watch.run(house.database, work, credential_id=credential_id, key="k", request=b"r", now=house.now)

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(run, watches[0], slow)
        assert at_work.wait(10)
        with pytest.raises(Conflict) as told:
            run(watches[1], answered)
        assert told.value.code == "idempotency.in_flight"
        go_on.set()
        assert first.result().replayed is False
    assert run(watches[1], answered).replayed is True
    assert effects(house.database, house.now) == 1


def run_until_alone(house: House, credential_id: str) -> Answer:
    """As a client does: try again while told that another is at work (PostgreSQL takes a moment to notice a dead one)."""
    for _ in range(200):
        try:
            return OnePerKey().run(house.database, answered, credential_id=credential_id, key="k", request=b"r", now=house.now)
        except Conflict as told:
            if told.code != "idempotency.in_flight":
                raise
            time.sleep(0.05)
    raise AssertionError("the dead are still at work after ten seconds")


def test_several_processes_over_one_store_have_one_effect(house: House) -> None:
    """Each with its own watch and its own connections, as server processes have them."""
    credential_id = caller_of(house).credential_id
    url = house.database.url.render_as_string(hide_password=False)
    start = threading.Barrier(6)

    def process(_number: int) -> str:
        database = Database(url)
        start.wait()
        try:
            answer = OnePerKey().run(database, answered, credential_id=credential_id, key="k", request=b"r", now=house.now)
            return "replayed" if answer.replayed else "done"
        except Conflict as told:
            return told.code
        finally:
            database.close()

    with ThreadPoolExecutor(6) as pool:
        outcomes = list(pool.map(process, range(6)))
    assert outcomes.count("done") == 1
    assert set(outcomes) <= {"done", "replayed", "idempotency.in_flight"}
    assert effects(house.database, house.now) == 1


def _run_and_die(url: str, credential_id: str, before_commit: bool) -> None:
    database = Database(url)

    def work(connection: Connection) -> Answer:
        answer = answered(connection)
        if before_commit:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer

    OnePerKey().run(database, work, credential_id=credential_id, key="k", request=b"r", now=1)
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("before_commit", [True, False])
def test_killed_before_or_after_the_commit_there_is_one_effect(house: House, before_commit: bool) -> None:
    credential_id = caller_of(house).credential_id
    url = house.database.url.render_as_string(hide_password=False)
    child = multiprocessing.get_context("spawn").Process(target=_run_and_die, args=(url, credential_id, before_commit))
    child.start()
    child.join(60)
    assert child.exitcode == -signal.SIGKILL
    assert effects(house.database, house.now) == (0 if before_commit else 1)
    assert run_until_alone(house, credential_id).replayed is not before_commit
    assert effects(house.database, house.now) == 1


def test_control_an_answer_kept_apart_from_its_effect_doubles_it(house: House) -> None:
    """The kill of the test above, with the answer in a transaction of its own: the effect comes twice."""
    credential_id = caller_of(house).credential_id

    def apart(die: bool) -> None:
        with house.database.read() as connection:
            if store.find(connection, credential_id, "k"):
                return
        with house.database.write() as connection:
            effect(connection, 1)
        if die:
            return
        with house.database.write() as connection:
            store.keep(connection, credential_id, "k", store.KeptAnswer("h", 200, b""), house.now)

    apart(die=True)
    apart(die=False)
    assert effects(house.database, house.now) == 2


def test_answers_are_kept_for_thirty_days_and_not_for_ever(house: House) -> None:
    caller = caller_of(house)
    body = {"name": "x"}
    first = caller.post("/v1/accounts", body, key="old")
    house.now += 30 * DAY
    assert caller.post("/v1/accounts", body, key="old") == first
    house.now += 1
    caller.post("/v1/accounts", body, key="new")
    with house.database.read() as connection:
        kept = list(connection.execute(select(schema.idempotent_answer.c.key)).scalars())
    assert kept == ["new"]


def test_scopes_are_asked_before_a_key_is_looked_up(house: House) -> None:
    caller = caller_of(house)
    reader = Caller(house, caller.account, [Scope.INVOICES_READ])
    problem(reader("POST", "/v1/accounts", {"name": "x"}, key="k"), 403, "access.scope")
