"""``billsmith serve`` killed while it is asked for runs, started again and asked the same; what it leaves, compared.

``python -m tests.support.server_crash PLAN ARGUMENT…`` is the program itself, in a process that may be planned to end with SIGKILL
at a named step of a run (:class:`Plan`). :func:`carried_out` is its client: it asks until it has its answer, whatever happens to the
server, which it starts again.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import requests
from sqlalchemy import func, select

from billsmith.accounts.authorisation import CredentialKind, Scope
from billsmith.cli.app import run as billsmith
from billsmith.ledger.wallets import Grant
from billsmith.server.jobs import Jobs
from billsmith.storage import idempotency as answers
from billsmith.storage import runs, schema, schema_billing, subscriptions
from billsmith.storage.database import Database
from billsmith.storage.verify import verify
from billsmith.subscriptions.subscription import PlanRef, Subscription
from billsmith.units.ids import derived_id
from billsmith.units.instants import parse_instant
from billsmith.workflows import asked_runs, billing_run, rerate, wallets
from billsmith.workflows.idempotency import Answer, OnePerKey
from billsmith.workflows.jobs import JOBS, RUNS, Tools, run_due
from tests.support.billing import CATALOG
from tests.support.billing_crash import Killer, documents
from tests.support.house import House

ROOT = Path(__file__).parents[2]
CUSTOMERS = 5
#: Longer than any step of a run or start of a server takes; whoever waits longer waits for nothing.
PATIENCE = 120


class Ask(msgspec.Struct, frozen=True):
    """A run to ask for, under one Idempotency-Key; ``insists``: whether it is asked for again while it is not at its end."""

    key: str
    body: dict[str, str]
    insists: bool = True
    late: tuple[dict[str, Any], ...] = ()
    """Usage that is sent before."""


class Plan(msgspec.Struct, frozen=True):
    """How a server is killed: at the n-th ``step`` of a name of one ask's run (no name: of any), or a while after it is asked."""

    ask: str
    step: str = ""
    number: int = 1
    after: float | None = None
    forgetful: bool = False
    """The control: this server keeps no answers, nor what its runs billed."""


def _event(customer: int, at: str, value: int) -> dict[str, Any]:
    name = f"c-{customer}"
    return {"id": f"{name}/{at}", "source": "test", "type": "call", "account": name, "time": at, "value": value}


USED = tuple(
    _event(customer, f"2024-{month}-{day + customer:02d}T10:00:00Z", 40 + customer * day)
    for customer in range(CUSTOMERS)
    for month in ("09", "10")
    for day in (3, 9)
)
LATE = tuple(_event(customer, "2024-09-20T10:00:00Z", customer + 1) for customer in range(0, CUSTOMERS, 2))

ASKS = (
    Ask("sept", {"period": "2024-09", "at": "2024-10-02T00:00:00Z"}),
    Ask("oct", {"period": "2024-10", "at": "2024-11-02T00:00:00Z"}, insists=False),
    Ask("again", {"period": "2024-09", "at": "2024-11-03T00:00:00Z", "kind": "rerate"}, late=LATE),
)

#: The named steps: of asking, of beginning, of the run, of a run that rates anew.
STEPS = ("asked", "kept", "begun", *billing_run.STEPS)
RERATING_STEPS = ("asked", "kept", "begun", "rated anew", "noted", "committed")


def prepared(house: House) -> dict[str, str]:
    """A store with a catalog, customers and their usage; the headers of the provider's key."""
    house.now = parse_instant("2024-08-20T00:00:00Z")
    provider = house.account("Provider", external_id="provider", time_zone="UTC")
    _, secret = house.key(provider, CredentialKind.API_KEY, list(Scope))
    headers = {"Authorization": f"Bearer {secret}"}

    def post(path: str, body: Any) -> None:
        answer = house.client.post(path, json=body, headers=headers)
        assert answer.status_code in (200, 201), answer.text

    post("/v1/catalog", {"source": CATALOG})
    for customer in range(CUSTOMERS):
        name = f"c-{customer}"
        account = house.account(name, provider, external_id=name)
        subscription = Subscription(  # over the API ids would be others in each store
            id=derived_id("subscription", name),
            account=account.id,
            plan=PlanRef(("basic", "committed")[customer % 2], 1),
            starts_at=parse_instant("2024-09-01T00:00:00Z"),
            zone=account.time_zone,
            recorded_at=house.now,
        )
        with house.database.write() as connection:
            subscriptions.add(
                connection, subscription, issuer=provider, account=account, recipient=account, catalog="acme", actor="test"
            )
            grant = Grant(id=derived_id("grant", name), amount=Decimal(7), effective_at=house.now)
            wallets.give(connection, provider, account, grant, "EUR", now=house.now, actor="test")
    house.now = parse_instant("2024-11-03T00:00:00Z")
    post("/v1/events", list(USED))
    house.close()
    return headers


def undisturbed(house: House) -> str:
    """The same asked for in this process, where nothing is killed; a digest of what came of it."""
    headers = prepared(house)
    for ask in ASKS:
        if ask.late:
            assert house.client.post("/v1/events", json=list(ask.late), headers=headers).status_code == 200
        assert house.client.post("/v1/runs", json=ask.body, headers=headers).status_code == 202
        run_due(Tools(database=house.database, clock=lambda: house.now, usage=house.usage), [RUNS])
    house.close()
    return documents(_url(house.database))


class Server:
    """``billsmith serve`` in a process of its own, as planned."""

    def __init__(self, home: Path, url: str, plan: Plan) -> None:
        self.plan = plan
        self.errors = (home / "server.log").open("ab")
        arguments = ["serve", "--port", "0", "--json", "--home", str(home)]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.server_crash", msgspec.json.encode(plan).decode(), *arguments],
            cwd=ROOT,
            env={
                "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}",
                "PATH": "/usr/bin:/bin",
                **({} if url.startswith("sqlite") else {"BILLSMITH_DATABASE_URL": url}),
            },
            stdout=subprocess.PIPE,
            stderr=self.errors,
        )
        assert self.process.stdout is not None
        said = self.process.stdout.readline()
        assert said, (home / "server.log").read_text()[-3000:]
        self.url = msgspec.json.decode(said)["listening"]

    def killed(self) -> int:
        """Wait for its end, which was no end of its own; 1, for counting."""
        code = self.process.wait(PATIENCE)
        self._close()
        assert code == -signal.SIGKILL, code
        return 1

    def end(self) -> None:
        """End it in good order."""
        self.process.terminate()
        self.process.wait(PATIENCE)
        self._close()

    def _close(self) -> None:
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.errors.close()


class Client:
    """Asks until it is answered: where the server is dead, of the one that it starts next. ``kills`` counts the dead."""

    def __init__(self, house: House, home: Path, plans: Sequence[Plan]) -> None:
        self.headers = {**prepared(house), "Connection": "close"}  # a call then fails by the server's end, by no other
        self.home, self.url, self.kills = home, _url(house.database), 0
        self.ahead = iter([*plans, Plan("")])
        self.at, self.timer = "", threading.Timer(0, lambda: None)
        self.server = self._started()

    def make(self, ask: Ask) -> None:
        """Ask for a run, and see it at its end."""
        if ask.late:
            self("POST", "/v1/events", json=list(ask.late))
        self.at = ask.key
        self._wind_up()
        asking = partial(self, "POST", "/v1/runs", json=ask.body, headers={**self.headers, "Idempotency-Key": ask.key})
        id = asking().json()["id"]
        until = time.monotonic() + PATIENCE
        while self("GET", f"/v1/runs/{id}").json()["state"] != runs.DONE:
            assert time.monotonic() < until, "nobody brought the run to its end"
            time.sleep(0.05)
            if ask.insists:
                id = asking().json()["id"]  # the same, where nothing was forgotten

    def __call__(self, method: str, path: str, **more: Any) -> requests.Response:
        """A call's answer, which is a good one."""
        while True:
            try:
                with requests.Session() as session:
                    session.trust_env = False
                    more = {"headers": self.headers, "timeout": PATIENCE, **more}
                    answer = session.request(method, self.server.url + path, **more)
            except requests.RequestException:
                self.kills += self.server.killed()
                self.server = self._started()
                self._wind_up()
                continue
            assert answer.ok, answer.text
            return answer

    def _started(self) -> Server:
        return Server(self.home, self.url, next(self.ahead))

    def _wind_up(self) -> None:
        """Where the server is to be killed a while after it is asked for this: from now on."""
        plan = self.server.plan
        if plan.after is not None and plan.ask == self.at:
            self.timer = threading.Timer(plan.after, self.server.process.kill)
            self.timer.start()

    def end(self) -> None:
        """No more is asked."""
        self.timer.cancel()
        if self.server.process.poll() is None:
            self.server.end()


def carried_out(house: House, home: Path, plans: Sequence[Plan]) -> int:
    """Have every run made by servers that are killed as planned, each started when the one before is dead; how many were."""
    client = Client(house, home, plans)
    try:
        for ask in ASKS:
            client.make(ask)
    finally:
        client.end()
    return client.kills


def faults(url: str, expected: str) -> list[str]:
    """What is not as it would be, had no server been killed: documents, runs, numbers, and whatever ``verify`` finds."""
    found = []
    told = documents(url)
    if told != expected:
        found.append(f"the documents are {told}, undisturbed {expected}")
    database = Database(url)
    invoice = schema.invoice
    with database.read() as connection:
        asked = connection.execute(select(func.count()).select_from(schema_billing.billing_run)).scalar_one()
        rows = connection.execute(select(invoice.c.customer_name, invoice.c.period_start, invoice.c.number)).all()
    documents_of = Counter((name, start, number.rpartition("-")[0]) for name, start, number in rows)
    found += [f"{asked} runs"] * (asked != len(ASKS))
    found += [f"{count} {series} for {name} in one period" for (name, _, series), count in documents_of.items() if count > 1]
    numbers = sorted(number for _, _, number in rows)
    for series, count in Counter(number.rpartition("-")[0] for number in numbers).items():
        if [number for number in numbers if number.startswith(series)] != [f"{series}-{n:06d}" for n in range(1, count + 1)]:
            found.append(f"{series} has gaps: {numbers}")
    found += [f"{problem.check}: {problem.where}: {problem.what}" for problem in verify(database).problems]
    database.close()
    return found


def by_chance(chance: random.Random, kills: int) -> list[Plan]:
    """Kills while runs are made, some at named steps, the others at any moment; several to a run."""
    plans = []
    for ask in sorted(chance.choices(range(len(ASKS)), k=kills)):
        names = RERATING_STEPS if ASKS[ask].body.get("kind") else STEPS
        timed = chance.random() < 0.5
        plans.append(Plan(ASKS[ask].key, chance.choice(names), after=chance.uniform(0, 0.4) if timed else None))
    return plans


def _url(database: Database) -> str:
    return database.url.render_as_string(hide_password=False)


def _armed(plan: Plan) -> None:
    """Let this process end as planned, bill in chunks of two, and look for runs every second."""
    billing_run.CHUNK = rerate.CHUNK = 2
    patched: Any = Jobs.__init__
    patched.__defaults__ = (tuple(msgspec.structs.replace(job, every=1) for job in JOBS),)
    ask = next((each for each in ASKS if each.key == plan.ask), None)
    if ask is None or plan.after is not None:
        return
    killer, its = Killer(plan.step, plan.number), (ask.body.get("kind", billing_run.BILL), ask.body["period"])
    _after(asked_runs, "ask", lambda run: killer("asked") if (run.kind, run.period) == its else None)
    _after(runs, "begin", lambda run: killer("begun") if (run.kind, run.period) == its else None)
    _after(OnePerKey, "run", lambda answer: killer("kept") if answer.status == 202 and _made(answer) == its else None)
    module: Any = billing_run if its[0] == billing_run.BILL else asked_runs
    setattr(module, its[0], partial(_at_its_period, getattr(module, its[0]), its[1], killer))
    if plan.forgetful:
        for forgetting, name in ((runs, "add_lines"), (runs, "note_bills"), (answers, "keep")):
            setattr(forgetting, name, lambda *_: None)


def _after(of: Any, name: str, then: Callable[[Any], None]) -> None:
    """Have something done after a function, with what it gave."""
    really = getattr(of, name)

    def followed(*arguments: Any, **more: Any) -> Any:
        given = really(*arguments, **more)
        then(given)
        return given

    setattr(of, name, followed)


def _made(answer: Answer) -> tuple[str, str]:
    """The kind and the period of the run that an answer tells of."""
    _, run = msgspec.json.decode(answer.body)
    return run["kind"], run["period"]


def _at_its_period(really: Callable[..., Any], period: str, killer: Killer, *arguments: Any, **more: Any) -> Any:
    """A run that is killed if it is of that period."""
    return really(*arguments, **more, **({"step": killer} if arguments[3].name == period else {}))


if __name__ == "__main__":
    _armed(msgspec.json.decode(sys.argv[1], type=Plan))
    os.environ["BILLSMITH_PULL"] = "false"
    sys.exit(billsmith(sys.argv[2:]))
