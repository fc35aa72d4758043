"""The change log over HTTP: every write leaves its row, in its transaction; whoever may not see it does not."""

from __future__ import annotations

import pytest

from billsmith.accounts.authorisation import Scope
from billsmith.api.operations import Operation
from billsmith.api.routes import OPERATIONS
from billsmith.storage import change_log, changes
from billsmith.storage.change_kinds import KINDS
from billsmith.units.instants import SECOND
from tests.api.support import Caller, made_first, made_for, problem, random_tree
from tests.support.house import House

#: Each operation that writes, and the kinds of rows that it leaves when it is called with its example.
LEAVES = {
    "createInvoice": ["invoice.issued"],
    "recordPayment": ["payment.recorded", "invoice.partially_paid"],
    "voidInvoice": ["invoice.voided"],
    "writeOffInvoice": ["invoice.written_off"],
    "createCreditNote": ["credit_note.issued", "credit_note.paid", "invoice.partially_paid"],
    "applyCredit": ["invoice.paid", "invoice.partially_paid"],
    "replaceDraft": ["draft.changed"],
    "dropDraft": ["draft.dropped"],
    "issueDraft": ["invoice.issued"],
    "createAccount": ["account.created"],
    "updateAccount": ["account.changed"],
    "closeAccount": ["account.closed"],
    "createRun": ["run.begun"],
    "createSimulation": ["simulation.asked"],
    "migrateCatalog": ["catalog.migration"],
    "createAgreement": ["agreement.made"],
    "endAgreement": ["agreement.ended"],
    "updateBilling": ["account.billing"],
    "createCredential": ["credential.created"],
    "rotateCredential": ["credential.rotated"],
    "revokeCredential": ["credential.revoked"],
    "putMeter": ["meter.defined"],
    "applyCatalog": ["catalog.applied"],
    "createSubscription": ["subscription.created"],
    "changeSubscription": ["subscription.changed"],
    "cancelSubscription": ["subscription.ended"],
    "createGrant": ["wallet.granted"],
    "voidGrant": ["wallet.voided"],
    "createConnection": ["connection.created"],
    "runConnection": ["connection.asked"],
    "renewConnectionSecret": ["connection.secret_renewed"],
    "removeConnection": ["connection.removed"],
    "voidEvents": ["usage.correction_asked", "usage.corrected"],
    "replaceEvents": ["usage.correction_asked", "usage.corrected"],
    "retryMail": ["mail.retried"],
    "setReminders": ["account.reminders"],
    "createWebhook": ["webhook.created"],
    "updateWebhook": ["webhook.changed"],
    "disableWebhook": ["webhook.disabled"],
    "enableWebhook": ["webhook.enabled"],
    "rotateWebhook": ["webhook.rotated"],
    "testWebhook": ["webhook.test"],
    "replayWebhook": ["webhook.replayed"],
}
#: What writes and is its own log: an event has an identity, a number in the order of arrival, and is never edited.
OWN_LOG = {"sendEvents"}


def writes() -> list[Operation]:
    """Every operation that writes, an account's closing last: nothing can be written below it."""
    return sorted((each for each in OPERATIONS if each.read is None), key=lambda each: each.id == "closeAccount")


def rows_left(house: House) -> tuple[dict[str, list[str]], Caller]:
    """Calls every operation with its example; the kinds of rows that each left, by its id."""
    caller = Caller(house, house.account("Provider"))
    ids, left = made_first(caller), {}
    for operation in writes():
        if operation.take is not None:
            continue
        if operation.id == "applyCredit":
            overpaid = caller.post("/v1/invoices", {"recipient": "acme", "lines": [{"description": "x", "amount": 50}]})["id"]
            caller.post(f"/v1/invoices/{overpaid}/payments", {"amount": 60, "reference": "bank"})
        ids |= made_for(caller, operation)
        if operation.id == "updateWebhook":
            ids["webhook"] = caller.post("/v1/webhooks", {"url": "https://shop.example/"})["id"]
        if operation.id == "closeAccount":
            ids["account"] = caller.post("/v1/accounts", {"name": "To be closed"})["id"]
        with house.database.read() as connection:
            before, _ = changes.head(connection)
        body = {**operation.example, **({"dry_run": False, "expected": 0} if "dry_run" in operation.example else {})}
        answer = caller(operation.method, operation.path.format(**ids), body)
        assert answer.status_code == operation.status, (operation.id, answer.text)
        with house.database.read() as connection:
            rows = change_log.after(connection, before, 100)
        left[operation.id] = [each.kind for each in rows]
        assert {each.actor for each in rows} <= {f"credential:{caller.credential_id}"}, operation.id
    return left, caller


def test_every_write_leaves_its_row(house: House) -> None:
    left, caller = rows_left(house)
    assert {each.id for each in writes()} == left.keys() | OWN_LOG
    assert [name for name, kinds in left.items() if not kinds] == []
    assert {name: left[name] for name in LEAVES} == LEAVES
    told: list[str] = []
    assert change_log.check(house.database, lambda where, what: told.append(f"{where}: {what}")) > len(LEAVES)
    assert told == []
    shown = caller.all("/v1/changes", limit=7)
    assert {kind for kinds in left.values() for kind in kinds} <= {each["kind"] for each in shown}
    assert "correct horse" not in str(shown)


def test_control_a_write_without_its_row_is_seen(sqlite_house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    noted = changes.note
    monkeypatch.setattr(
        changes, "note", lambda connection, *new: noted(connection, *(each for each in new if each.kind != "invoice.voided"))
    )
    left, _ = rows_left(sqlite_house)
    assert [name for name in LEAVES if left[name] != LEAVES[name]] == ["voidInvoice"]


def test_a_write_that_fails_leaves_no_row(house: House) -> None:
    caller = Caller(house, house.account("Provider", external_id="p"))
    before = len(caller.all("/v1/changes"))
    problem(
        caller("POST", "/v1/accounts", {"name": "x", "external_id": "\u0007"}), 400, "input.control_character", "external_id"
    )
    taken = {"name": "x", "external_id": "taken"}
    caller.post("/v1/accounts", taken)
    problem(caller("POST", "/v1/accounts", taken), 409, "account.external_id_taken", "external_id")
    assert len(caller.all("/v1/changes")) == before + 1


def test_the_log_is_read_page_by_page_and_followed(house: House) -> None:
    caller = Caller(house, house.account("Provider", external_id="p"))
    for number in range(5):
        house.now += SECOND
        caller.post("/v1/accounts", {"name": f"Customer {number}"})
    whole = caller.all("/v1/changes", limit=200)
    assert [each["kind"] for each in whole] == ["account.created", "credential.created", *["account.created"] * 5]
    assert caller.pages("/v1/changes", limit=2) == [whole[:2], whole[2:4], whole[4:6], whole[6:]]
    assert caller.get("/v1/changes", after=whole[3]["id"])["items"] == whole[4:]
    assert caller.get("/v1/changes", after=whole[-1]["id"]) == {"items": [], "next_cursor": None}
    assert caller.all("/v1/changes", after=whole[0]["id"], kind="credential.*,invoice.issued", limit=1) == [whole[1]]
    assert caller.all("/v1/changes", subject=whole[6]["subject"]) == [whole[6]]
    problem(caller("GET", "/v1/changes?kind=invoice.eaten"), 400, "change.unknown_kind", "kinds")
    problem(caller("GET", "/v1/changes?after=99999999-9999-4999-8999-999999999999"), 400, "change.unknown", "after")


def test_facts_of_an_invoice(house: House) -> None:
    top = house.account("Provider", external_id="p")
    caller = Caller(house, top)
    customer = house.account("Customer", top, external_id="c")
    made = caller.post("/v1/invoices", {"recipient": "c", "lines": [{"description": "x", "amount": "10.50"}]})
    caller.post(f"/v1/invoices/{made['id']}/payments", {"amount": "10.50", "reference": "r"})
    caller.post(f"/v1/invoices/{made['id']}/payments", {"amount": "-0.50", "reference": "back"})
    found = caller.all("/v1/changes", kind="invoice.*,payment.*")
    assert [(each["kind"], each["account_id"], each["facts"].get("paid")) for each in found] == [
        ("invoice.issued", customer.id, "0.00"),
        ("payment.recorded", customer.id, None),
        ("invoice.paid", customer.id, "10.50"),
        ("payment.refunded", customer.id, None),
        ("invoice.partially_paid", customer.id, "10.00"),
    ]
    assert found[0]["facts"] == {
        "number": made["number"], "status": "issued", "issuer": top.id, "currency": "EUR", "total": "10.50", "paid": "0.00",
        "date": "2026-10-31", "due_date": None, "batch": "",
    }  # fmt: skip
    assert found[3]["facts"] == {
        "invoice": made["id"], "number": made["number"], "amount": "-0.50", "currency": "EUR", "method": ""
    }  # fmt: skip


def test_everybody_sees_what_is_about_its_accounts_and_nothing_else(house: House) -> None:
    accounts, _ = random_tree(house, seed=7)
    with house.database.read() as connection:
        rows = change_log.after(connection, 0, 10_000)
    for viewer in accounts:
        below = {each.id for each in accounts if each.is_at_or_below(viewer)}
        caller = Caller(house, viewer, [Scope.CHANGES_READ])
        wanted = [each.id for each in rows if each.account_id in below]
        assert [each["id"] for each in caller.all("/v1/changes", limit=200)][: len(wanted)] == wanted


def test_a_quiet_account_is_found_past_everybodys_rows(sqlite_house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(change_log, "_LOOK_THROUGH", 3)
    house = sqlite_house
    quiet = Caller(house, house.account("Quiet"))
    busy = Caller(house, house.account("Busy"))
    for number in range(10):
        busy.post("/v1/accounts", {"name": str(number)})
    made = quiet.post("/v1/accounts", {"name": "the first"})["id"]
    found = quiet.all("/v1/changes", limit=2)
    assert [each["kind"] for each in found] == ["account.created", "credential.created", "account.created"]
    assert found[-1]["subject"] == made


def test_who_did_it_is_told_to_those_whose_affair_it_is(house: House) -> None:
    top = house.account("Provider", external_id="p")
    customer = house.account("Customer", top, external_id="c")
    provider, theirs = Caller(house, top), Caller(house, customer)
    made = provider.post("/v1/invoices", {"recipient": "c", "lines": [{"description": "x", "amount": 1}]})
    provider("PATCH", "/v1/accounts/c", {"name": "Renamed"})
    theirs("PATCH", "/v1/accounts/c", {"name": "Renamed again"})
    own = f"credential:{theirs.credential_id}"
    for caller, actors in ((provider, [f"credential:{provider.credential_id}"] * 2 + [own]), (theirs, [None, None, own])):
        found = [each for each in caller.all("/v1/changes") if each["kind"] in ("invoice.issued", "account.changed")]
        assert [each["actor"] for each in found] == actors
        assert found[0]["subject"] == made["id"]


def test_it_needs_its_scope(house: House) -> None:
    everything_else = Caller(house, house.account("Provider"), [scope for scope in Scope if scope is not Scope.CHANGES_READ])
    problem(everything_else("GET", "/v1/changes"), 403, "access.scope")


def test_kinds_are_told_apart_by_area_and_verb() -> None:
    assert all(kind.count(".") == 1 and text for kind, text in KINDS.items())
