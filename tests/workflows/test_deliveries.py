"""Webhooks against a real server: signed, in order, at least once, under one id; refused where P19 says so (P12)."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterator, Sequence

import msgspec
import pytest

from billsmith.accounts.model import Account, AccountStatus
from billsmith.outbound import session as outbound
from billsmith.outbound.origins import parse
from billsmith.storage import accounts, change_log, changes, webhooks
from billsmith.storage.database import Database
from billsmith.storage.webhooks import DISABLED, OPEN, Webhook
from billsmith.units.errors import Invalid, Unavailable
from billsmith.units.instants import DAY, HOUR, MINUTE, SECOND
from billsmith.workflows import deliveries
from billsmith.workflows import webhooks as workflow
from billsmith.workflows.deliveries import Courier
from billsmith.workflows.sealing import Sealer
from billsmith.workflows.webhook_signature import headers
from tests.support.hooks import Answer, Hooks
from tests.support.house import House

SEALER = Sealer([bytes(32)])


@pytest.fixture
def hooks() -> Iterator[Hooks]:
    made = Hooks()
    yield made
    made.close()


@pytest.fixture
def top(house: House) -> Account:
    return house.account("Provider", external_id="top")


def courier(house: House, hooks: Hooks) -> Courier:
    """With its dice loaded: every pause is the longest that it may be."""
    tools = outbound.Tools(dice=lambda: 1.0)
    settings = outbound.Settings(private=frozenset({parse(hooks.url)[0]}), tools=tools)
    return Courier(database=house.database, clock=lambda: house.now, sealer=SEALER, outgoing=settings)


def hook(house: House, hooks: Hooks, account: Account, kinds: Sequence[str] = (), path: str = "/hooks/in/") -> Webhook:
    with house.database.write() as connection:
        made, secret = workflow.create(
            connection, account, url=hooks.url + path, kinds=kinds, sealer=SEALER, now=house.now, actor="test"
        )
    hooks.secrets.append(secret)
    return made


def now_of(house: House, of: Webhook) -> Webhook:
    with house.database.read() as connection:
        found = webhooks.find(connection, of.id)
    assert found is not None
    return found


def ids(house: House, kind: str) -> list[str]:
    with house.database.read() as connection:
        return [each.id for each in change_log.page(connection, None, kinds=[kind], limit=1000)]


def test_messages_come_in_the_order_of_the_changes_signed_and_once(house: House, hooks: Hooks, top: Account) -> None:
    of = hook(house, hooks, top, ["invoice.*"])
    made = [house.invoice(top, top).invoice for _ in range(25)]
    assert courier(house, hooks).run_due() == 25
    assert [each.id for each in hooks.received] == ids(house, "invoice.issued")
    assert [each.message["data"]["subject"] for each in hooks.received] == [each.id for each in made]
    assert all(each.signed_by == hooks.secrets and each.path == "/hooks/in/" for each in hooks.received)
    first = hooks.received[0].message
    assert first["type"] == "invoice.issued"
    assert first["timestamp"] == "2026-10-31T12:00:00Z"
    assert first["data"]["facts"]["total"] == "100.00"
    assert (first["data"]["actor"], first["data"]["account_id"]) == ("test", top.id)
    assert courier(house, hooks).run_due() == 0
    assert not courier(house, hooks).is_due(house.now)
    with house.database.read() as connection:
        tried = webhooks.attempts(connection, of, limit=100)
    assert [each.number for each in tried] == list(range(25, 0, -1))
    assert {(each.attempt.status, each.attempt.code) for each in tried} == {(204, "")}


def test_the_signature_is_the_specifications_example() -> None:
    made = headers(
        "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}', ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]
    )
    assert made["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_webhook_is_told_of_its_own_branch_and_of_what_it_asked_for(house: House, hooks: Hooks, top: Account) -> None:
    other = house.account("Other")
    child = house.account("Child", top, external_id="child")
    hook(house, hooks, child, path="/child")
    hook(house, hooks, top, ["payment.*"], path="/payments")
    hook(house, hooks, top, ["invoice.issued"], path="/top")
    house.invoice(other, other)
    house.invoice(top, child)
    house.invoice(top, top)
    courier(house, hooks).run_due()
    told = sorted((each.path, each.message["type"], each.message["data"]["account_id"]) for each in hooks.received)
    assert told == sorted(
        [
            ("/child", "webhook.created", child.id),
            ("/child", "invoice.issued", child.id),
            ("/top", "invoice.issued", child.id),
            ("/top", "invoice.issued", top.id),
        ]
    )
    # who did it is the issuer's affair
    assert {each.message["data"]["actor"] for each in hooks.received if each.path == "/child"} == {None, "test"}
    assert [each.message["data"]["actor"] for each in hooks.received if each.message["type"] == "invoice.issued"] != [
        "test"
    ] * 3


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (Answer(500, body=b"<b>broken</b>"), "webhook.refused"),
        (Answer(404), "webhook.refused"),
        (Answer(302, (("Location", "http://127.0.0.1:1/"),)), "webhook.redirect"),
        (Answer(200, body=b"x" * 300_000), "outbound.too_large"),
    ],
    ids=["broken", "not found", "redirect", "endless"],
)
def test_what_does_not_arrive_is_tried_again_and_keeps_the_rest_waiting(sqlite_house: House, answer: Answer, code: str) -> None:
    house = sqlite_house
    top = house.account("Provider")
    hooks = Hooks(lambda number: answer if number < 3 else Answer())
    try:
        of = hook(house, hooks, top, ["invoice.*"])
        for _ in range(3):
            house.invoice(top, top)
        pauses = []
        for _ in range(3):
            assert courier(house, hooks).run_due() == 0
            waiting = now_of(house, of)
            pauses.append((waiting.due_at - house.now) // SECOND)
            assert not courier(house, hooks).is_due(waiting.due_at - 1)
            house.now = waiting.due_at
        assert pauses == [5, 10, 20]
        assert now_of(house, of).attempts == 3
        assert courier(house, hooks).run_due() == 3
        issued = ids(house, "invoice.issued")
        assert [each.id for each in hooks.received] == [issued[0]] * 3 + issued
        assert (now_of(house, of).attempts, now_of(house, of).failing_since) == (0, None)
        with house.database.read() as connection:
            assert [each.attempt.code for each in webhooks.attempts(connection, of, limit=10)] == [""] * 3 + [code] * 3
    finally:
        hooks.close()


def test_a_server_that_is_down_or_slow_is_tried_again(sqlite_house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house = sqlite_house
    top = house.account("Provider")
    hooks = Hooks(lambda number: Answer(after=0.6) if number == 0 else Answer())
    monkeypatch.setattr(deliveries, "LIMITS", msgspec.structs.replace(deliveries.LIMITS, read=0.2, total=0.3))
    of = hook(house, hooks, top, ["invoice.*"])
    house.invoice(top, top)
    assert courier(house, hooks).run_due() == 0
    hooks.close()
    house.now = now_of(house, of).due_at
    assert courier(house, hooks).run_due() == 0
    with house.database.read() as connection:
        tried = [each.attempt for each in webhooks.attempts(connection, of, limit=10)]
    assert [(each.status, each.code) for each in tried] == [(None, "outbound.unreachable")] * 2
    assert now_of(house, of).attempts == 2


def test_retry_after_is_honoured_up_to_a_day(sqlite_house: House) -> None:
    house = sqlite_house
    top = house.account("Provider")
    asked = [("Retry-After", "3600")], [("Retry-After", "9999999")]
    hooks = Hooks(lambda number: Answer(503, tuple(asked[number])) if number < 2 else Answer())
    try:
        of = hook(house, hooks, top, ["invoice.*"])
        house.invoice(top, top)
        for low, high in ((HOUR, HOUR + 6 * SECOND), (DAY, DAY)):
            assert courier(house, hooks).run_due() == 0
            pause = now_of(house, of).due_at - house.now
            assert low <= pause <= high
            house.now += pause
        assert courier(house, hooks).run_due() == 1
    finally:
        hooks.close()


def test_after_three_days_it_is_disabled_and_enabling_it_loses_nothing(sqlite_house: House) -> None:
    house = sqlite_house
    top = house.account("Provider")
    working = False
    hooks = Hooks(lambda _number: Answer() if working else Answer(500))
    try:
        of = hook(house, hooks, top, ["invoice.*", "webhook.disabled"])
        house.invoice(top, top)
        began = house.now
        while now_of(house, of).state == OPEN:
            assert courier(house, hooks).run_due() == 0
            house.now = max(house.now + 1, now_of(house, of).due_at)
        lasted = house.now - began
        assert 3 * DAY <= lasted <= 3 * DAY + MINUTE
        assert 20 <= len(hooks.received) <= 30
        assert now_of(house, of).state == DISABLED
        assert "nothing arrived for three days" in now_of(house, of).reason
        assert len(ids(house, "webhook.disabled")) == 1
        house.invoice(top, top)
        assert courier(house, hooks).run_due() == 0
        working, before = True, len(hooks.received)
        with house.database.write() as connection:
            workflow.enable(connection, now_of(house, of), now=house.now, actor="test")
        assert courier(house, hooks).run_due() == 3
        assert hooks.kinds()[before:] == ["invoice.issued", "webhook.disabled", "invoice.issued"]
    finally:
        hooks.close()


def test_gone_is_gone(sqlite_house: House) -> None:
    house = sqlite_house
    top = house.account("Provider")
    hooks = Hooks(lambda _number: Answer(410))
    try:
        of = hook(house, hooks, top, ["invoice.*"])
        house.invoice(top, top)
        courier(house, hooks).run_due()
        assert (now_of(house, of).state, len(hooks.received)) == (DISABLED, 1)
        assert "410" in now_of(house, of).reason
    finally:
        hooks.close()


def test_one_that_fails_does_not_keep_others_waiting(house: House, top: Account) -> None:
    hooks = Hooks()
    hooks.plan = lambda number: Answer(500) if hooks.received and hooks.received[-1].path == "/x" else Answer()
    try:
        bad = hook(house, hooks, top, ["invoice.*"], "/bad")
        hook(house, hooks, top, ["invoice.*"], "/good")
        with house.database.write() as connection:
            webhooks.change(connection, bad, url="http://127.0.0.1:1/nobody")
        house.invoice(top, top)
        assert courier(house, hooks).run_due() == 1
        assert [each.path for each in hooks.received] == ["/good"]
    finally:
        hooks.close()


def test_private_addresses_are_for_the_operator_to_open(house: House, hooks: Hooks, top: Account) -> None:
    of = hook(house, hooks, top, ["invoice.*"])
    house.invoice(top, top)
    closed = msgspec.structs.replace(courier(house, hooks), outgoing=outbound.Settings(private=frozenset()))
    assert closed.run_due() == 0
    assert hooks.received == []
    with house.database.read() as connection:
        [tried] = webhooks.attempts(connection, of, limit=10)
    assert tried.attempt.status is None
    assert tried.attempt.code.startswith("outbound.")
    house.now += HOUR
    assert courier(house, hooks).run_due() == 1, "control: the same message, the address opened"


@pytest.mark.parametrize(
    "url", ["ftp://shop.example", "https://shop.example/in?key=1", "https://u:p@shop.example/", "/in", "https://1"]
)
def test_an_address_that_can_not_be(sqlite_house: House, hooks: Hooks, url: str) -> None:
    top = sqlite_house.account("Provider")
    with sqlite_house.database.write() as connection, pytest.raises(Invalid):
        workflow.create(connection, top, url=url, kinds=(), sealer=SEALER, now=sqlite_house.now, actor="test")


def test_while_a_secret_is_rotated_both_sign(house: House, hooks: Hooks, top: Account) -> None:
    of = hook(house, hooks, top, ["invoice.*"])
    with house.database.write() as connection:
        of, secret = workflow.rotate(connection, of, sealer=SEALER, now=house.now, actor="test", overlap=HOUR)
    hooks.secrets.append(secret)
    house.invoice(top, top)
    courier(house, hooks).run_due()
    assert hooks.received[0].signed_by == hooks.secrets
    house.now += HOUR
    house.invoice(top, top)
    courier(house, hooks).run_due()
    assert hooks.received[1].signed_by == [secret]
    assert secret.encode() not in now_of(house, of).sealed


def test_without_the_key_nothing_is_sent_and_nothing_counts_as_tried(house: House, hooks: Hooks, top: Account) -> None:
    of = hook(house, hooks, top, ["invoice.*"])
    house.invoice(top, top)
    with pytest.raises(Unavailable, match="key"):
        msgspec.structs.replace(courier(house, hooks), sealer=Sealer()).run_due()
    assert (hooks.received, now_of(house, of).attempts, now_of(house, of).lease_holder) == ([], 0, None)


def test_it_is_replayed_from_a_change_or_an_instant(house: House, hooks: Hooks, top: Account) -> None:
    of = hook(house, hooks, top, ["invoice.*"])
    for _ in range(4):
        house.now += SECOND
        house.invoice(top, top)
    courier(house, hooks).run_due()
    issued = ids(house, "invoice.issued")

    def replay(*, after: str | None = None, since: int | None = None) -> list[str]:
        hooks.received.clear()
        with house.database.write() as connection:
            place = workflow.place_of(connection, top, after=after, since=since)
            workflow.replay(connection, now_of(house, of), place, now=house.now, actor="test")
        courier(house, hooks).run_due()
        return [each.id for each in hooks.received]

    assert replay(after=issued[1]) == issued[2:]
    assert replay(since=house.now) == issued[3:]
    assert replay(since=house.now - 3 * SECOND) == issued
    assert replay(since=house.now + 1) == []
    with house.database.read() as connection, pytest.raises(Invalid):
        workflow.place_of(connection, top, after=None, since=None)


def test_a_test_goes_to_that_webhook_alone(house: House, hooks: Hooks, top: Account) -> None:
    of = hook(house, hooks, top, ["payment.*"], "/asked")
    hook(house, hooks, top, ["webhook.*"], "/other")
    with house.database.write() as connection:
        workflow.ask_for_test(connection, of, now=house.now, actor="test")
    courier(house, hooks).run_due()
    tests = [each.path for each in hooks.received if each.message["type"] == "webhook.test"]
    assert tests == ["/asked"]


def test_an_account_that_is_not_open_is_told_nothing(house: House, hooks: Hooks, top: Account) -> None:
    child = house.account("Child", top)
    hook(house, hooks, child, ["account.*"])
    for status, arrived in ((AccountStatus.SUSPENDED, 0), (AccountStatus.OPEN, 2), (AccountStatus.CLOSED, 0)):
        with house.database.write() as connection:
            accounts.change(connection, child, now=house.now, status=status)
        assert courier(house, hooks).run_due() == arrived


def test_a_replay_while_it_is_told_wins(sqlite_house: House) -> None:
    house = sqlite_house
    top = house.account("Provider")
    hooks = Hooks()
    of = hook(house, hooks, top, ["invoice.*"])

    def plan(number: int) -> Answer:
        if number == 2:
            with house.database.write() as connection:
                workflow.replay(connection, now_of(house, of), 0, now=house.now, actor="test")
        return Answer()

    hooks.plan = plan
    try:
        for _ in range(4):
            house.invoice(top, top)
        assert courier(house, hooks).run_due() == 0
        assert courier(house, hooks).run_due() == 4
        issued = ids(house, "invoice.issued")
        assert [each.id for each in hooks.received] == issued + issued
    finally:
        hooks.close()


def _die_before_noting(url: str, receiver: str, now: int) -> None:
    """A process that sends and is killed before it can note what arrived."""
    database = Database(url)
    settings = outbound.Settings(private=frozenset({parse(receiver)[0]}))
    made = Courier(database=database, clock=lambda: now, sealer=SEALER, outgoing=settings)
    webhooks.move = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[assignment]
    made.run_due()


def test_killed_between_sending_and_noting_it_is_sent_again_under_the_same_ids(
    house: House, hooks: Hooks, top: Account
) -> None:
    hook(house, hooks, top, ["invoice.*"])
    for _ in range(3):
        house.invoice(top, top)
    url = house.database.url.render_as_string(hide_password=False)
    child = multiprocessing.get_context("spawn").Process(target=_die_before_noting, args=(url, hooks.url, house.now))
    child.start()
    child.join(60)
    assert child.exitcode == -signal.SIGKILL
    issued = ids(house, "invoice.issued")
    assert [each.id for each in hooks.received] == issued
    assert courier(house, hooks).run_due() == 3, "the dead one's lease keeps nobody out"
    assert [each.id for each in hooks.received] == issued + issued


def test_control_noted_before_it_is_sent_a_kill_loses_it(
    sqlite_house: House, hooks: Hooks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other order, which the test above must be able to tell: what was noted and not sent never comes."""
    house = sqlite_house
    top = house.account("Provider")
    of = hook(house, hooks, top, ["invoice.*"])
    house.invoice(top, top)
    with house.database.write() as connection:
        webhooks.change(connection, of, cursor=changes.head(connection)[0])
    assert courier(house, hooks).run_due() == 0
    assert hooks.received == []
