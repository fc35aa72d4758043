"""Nobody reads what is another's (promise P16): every face, every kind of credential, every account around the caller.

A face is one entry of :data:`FACES`. All the rest is the same for every face: who gets in and who does not, what an
outsider's id answers, and that what exists elsewhere answers as what does not exist, byte for byte. Hostway alone tells the two
apart, because its contract demands a 403.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import msgspec
import pytest
from sqlalchemy import literal

from billsmith.accounts.authorisation import CredentialKind, Scope
from billsmith.accounts.model import Account, AccountStatus
from billsmith.storage import accounts, invoice_views, invoices
from billsmith.storage import credentials as stored_credentials
from billsmith.storage.database import Database, sqlite_url
from billsmith.storage.lists import indexes, keys, tallies
from billsmith.units.instants import HOUR, SECOND
from billsmith.workflows import credentials
from tests.support import postgres
from tests.support.house import House

UNKNOWN = "99999999-9999-4999-8999-999999999999"
#: Each invoice's amount is its mark: it is found in an answer whatever the face.
SEEN = {"own": "1001.01", "child": "1002.01", "from the parent": "1003.01"}
HIDDEN = ("9001.01", "9002.01", "9003.01", "9004.01", "9005.01")


class Key(NamedTuple):
    """A credential of the caller's account."""

    id: str
    secret: str


class World:
    """A caller in the middle of a tree: a parent above, a sibling beside, a child below, a stranger elsewhere."""

    def __init__(self, database: Database) -> None:
        self.house = House(database, failed_credentials_per_minute=10**9, tokens_per_minute=10**9)
        make = self.house.account
        self.parent = make("Provider", external_id="top")
        self.own = make("Mine", self.parent, external_id="mine")
        self.child = make("My customer", self.own, external_id="c-1")
        self.sibling = make("Sibling", self.parent, external_id="sibling")
        self.nephew = make("Nephew", self.sibling, external_id="theirs")
        self.stranger = make("Stranger", external_id="stranger")
        issue = self.house.invoice
        self.invoices = {
            "own": issue(self.own, self.own, SEEN["own"]).invoice.id,
            "child": issue(self.own, self.child, SEEN["child"]).invoice.id,
            "from the parent": issue(self.parent, self.own, SEEN["from the parent"]).invoice.id,
            "parent": issue(self.parent, self.parent, HIDDEN[0]).invoice.id,
            "parent to sibling": issue(self.parent, self.sibling, HIDDEN[1]).invoice.id,
            "sibling": issue(self.sibling, self.sibling, HIDDEN[2]).invoice.id,
            "nephew": issue(self.sibling, self.nephew, HIDDEN[3]).invoice.id,
            "stranger": issue(self.stranger, self.stranger, HIDDEN[4]).invoice.id,
            "unknown": UNKNOWN,
        }
        self.keys = {kind: self.key(self.own, kind) for kind in CredentialKind}
        self.foreign_key = self.key(self.sibling, CredentialKind.OAUTH_CLIENT)

    def key(self, account: Account, kind: CredentialKind, **more: Any) -> Key:
        if kind is CredentialKind.USER:
            more["password"] = f"correct horse battery {account.name}"
        return Key(*self.house.key(account, kind, scopes=[Scope.INVOICES_READ, Scope.ACCOUNTS_READ], **more))

    def names(self, of: str) -> list[str]:
        """An account's two names: its id and its external id. What is not there has two as well."""
        account: Account | None = getattr(self, of, None)
        return [account.id, account.external_id] if account else [UNKNOWN, "nobody"]

    def get(self, url: str, headers: dict[str, str]) -> Any:
        return self.house.client.get(url, headers=headers)


def bearer(key: Key) -> dict[str, str]:
    return {"Authorization": f"Bearer {key.secret}"}


def basic(key: Key) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{key.id}:{key.secret}".encode()).decode()}


def bare_basic(key: Key) -> dict[str, str]:
    return {"Authorization": base64.b64encode(f"{key.id}:{key.secret}".encode()).decode()}


def x_api_key(key: Key) -> dict[str, str]:
    return {"X-API-KEY": key.secret}


Show = Callable[[Key], dict[str, str]]
SHOWN: dict[str, Show] = {"Bearer": bearer, "Basic": basic, "bare Basic": bare_basic, "X-API-KEY": x_api_key}


class Slot(NamedTuple):
    """A place of a face's paths that takes an id, and the status for what is the caller's, another's, and nobody's.

    ``{account}`` is filled with an account's names, ``{invoice}`` with an invoice's id. ``named`` is the status for what
    is not the caller's when it is named by another thing than an id, where that differs. An answer that ``shows`` invoices
    must hold the marks of the caller's own, and of its ``child``'s. (The parent, who issued to the caller, may be named as
    issuer.)
    """

    url: str
    mine: int = 200
    foreign: int = 404
    unknown: int = 404
    named: int | None = None
    child: bool = True
    shows: bool = True
    foreign_to: tuple[str, ...] = ("sibling", "nephew", "parent", "stranger")


class Face(NamedTuple):
    """One API: what it lists unasked, where it takes ids, how a caller shows itself, and where it gives tokens."""

    list: str
    slots: list[Slot]
    accepts: set[tuple[CredentialKind, str]]
    token_path: str = ""
    sees: tuple[str, ...] = ("own", "child", "from the parent")


_AMBERFLO = "/payments/billing/customer-product-invoice"
_KEY = CredentialKind.API_KEY
FACES: dict[str, Face] = {
    "acronis": Face(
        list="/api/advanced-automation/v1/InvoiceOverview",
        slots=[Slot("/api/advanced-automation/v1/InvoiceOverview?Customer={account}", foreign=200, unknown=200, named=400)],
        accepts=set(),
        token_path="/api/2/idp/token",
        sees=("own", "child"),
    ),
    "myreports": Face(
        list="/api/v1.0/billingdata",
        slots=[Slot("/api/v1.0/billingdata/{invoice}"), Slot("/v1.0/billingdata/{invoice}")],
        accepts={(_KEY, "Bearer")},
        token_path="/connect/token",
    ),
    "hostway": Face(
        list="/accounts/mine/invoices",
        slots=[
            Slot("/accounts/{account}/invoices", foreign=403),
            Slot("/accounts/{account}/invoice", foreign=403),
            Slot("/accounts/{account}", foreign=403, shows=False),
        ],
        accepts={(CredentialKind.BASIC, "Basic"), (CredentialKind.BASIC, "bare Basic")},
        sees=("own", "from the parent"),
    ),
    "amberflo": Face(
        list=f"{_AMBERFLO}/all?customerId=mine",
        slots=[
            Slot(_AMBERFLO + "/all?customerId={account}", foreign=200, unknown=200),
            Slot(_AMBERFLO + "/paginated?customerId={account}", foreign=200, unknown=200),
            Slot(_AMBERFLO + "?latest=true&customerId={account}", foreign=200, unknown=200),
            Slot("/customers?customerId={account}", foreign=200, unknown=200, shows=False),
            Slot("/customers/{account}", foreign=200, unknown=200, shows=False),
        ],
        accepts={(_KEY, "X-API-KEY")},
        sees=("own", "from the parent"),
    ),
    "native": Face(
        list="/v1/invoices",
        slots=[
            Slot("/v1/invoices?recipient={account}", foreign=200, unknown=200),
            Slot(
                "/v1/invoices?issuer={account}",
                foreign=200,
                unknown=200,
                child=False,
                foreign_to=("sibling", "nephew", "stranger"),
            ),
            Slot("/v1/accounts/{account}", shows=False),
            Slot("/v1/invoices/{invoice}"),
        ],
        accepts={(_KEY, "Bearer")},
    ),
}


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    url = postgres.fresh_database() if request.param == "postgres" else None
    database = Database(url or sqlite_url(tmp_path_factory.mktemp("isolation")))
    yield World(database)
    database.close()
    if url:
        postgres.drop_database(url)


def token(world: World, path: str, key: Key) -> Key:
    answer = world.house.client.post(path, data={"grant_type": "client_credentials"}, headers=basic(key))
    assert answer.status_code == 200, answer.text
    return Key(key.id, answer.json()["access_token"])


def all_tokens(world: World, key: Key) -> dict[str, Key]:
    return {name: token(world, face.token_path, key) for name, face in FACES.items() if face.token_path}


def right_headers(world: World, name: str, account: Account | None = None, **more: Any) -> dict[str, str]:
    """A credential that the face takes, shown as it wants it."""
    return headers_of(world, name, world.key(account or world.own, right_kind(name), **more))


def right_kind(name: str) -> CredentialKind:
    face = FACES[name]
    return CredentialKind.OAUTH_CLIENT if face.token_path else min(face.accepts)[0]


def headers_of(world: World, name: str, key: Key) -> dict[str, str]:
    face = FACES[name]
    if face.token_path:
        return bearer(token(world, face.token_path, key))
    return SHOWN[min(face.accepts)[1]](key)


def comparable(answer: Any, *names: str) -> tuple[int, str, dict[str, str]]:
    """All that a caller can compare two answers by; the name that it gave itself, and the time of day, left out."""
    text, headers = answer.text, dict(answer.headers)
    for name in names:
        text = text.replace(name, "…")
        headers = {key: value.replace(name, "…") for key, value in headers.items()}
    headers["content-length"] = str(len(text))
    return answer.status_code, text, headers


# -- who gets in


@pytest.mark.parametrize("name", FACES)
def test_only_the_right_kind_of_credential_shown_the_right_way_gets_in(world: World, name: str) -> None:
    face = FACES[name]
    nobody = comparable(world.get(face.list, bearer(Key("", "bs_nobody")) | x_api_key(Key("", "bs_nobody"))))
    for kind, key in world.keys.items():
        for way, show in SHOWN.items():
            answer = world.get(face.list, show(key))
            if (kind, way) in face.accepts:
                assert answer.status_code == 200, (kind, way, answer.text)
            else:
                assert answer.status_code == 401, (kind, way, answer.text)
                assert not any(mark in answer.text for mark in (*SEEN.values(), *HIDDEN))
    assert nobody[0] == 401


@pytest.mark.parametrize("name", FACES)
def test_a_token_opens_its_own_face_alone(world: World, name: str) -> None:
    for other, key in all_tokens(world, world.keys[CredentialKind.OAUTH_CLIENT]).items():
        for way, show in SHOWN.items():
            status = world.get(FACES[name].list, show(key)).status_code
            assert status == (200 if (other, way) == (name, "Bearer") else 401), (other, way)


MALFORMED = [
    {}, {"Authorization": ""}, {"Authorization": "Bearer"}, {"Authorization": "Bearer "}, {"Authorization": "Basic"},
    {"Authorization": "Basic =="}, {"Authorization": "Basic ée"}, {"Authorization": "Bearer é"}, {"Authorization": "Digest x"},
    {"Authorization": "Bearer " + "x" * 5000}, {"Authorization": "Bearer a b c"}, {"Authorization": "Bearer null"},
    {"Authorization": "Bearer ' OR 1=1 --"}, {"X-API-KEY": ""}, {"X-API-KEY": "é"}, {"X-API-KEY": "x" * 5000},
    {"X-API-KEY": "' OR 1=1 --"}, {"Authorization": "Basic " + base64.b64encode(b"\xff\xfe:\x00").decode()},
    {"Cookie": "session=1"}, {"Authorisation": "x"},
]  # fmt: skip


@pytest.mark.parametrize("name", FACES)
def test_what_is_no_credential_is_a_401(world: World, name: str) -> None:
    for headers in MALFORMED:
        encoded = {key: value.encode() for key, value in headers.items()}
        answer = world.get(FACES[name].list, encoded)  # type: ignore[arg-type]  # bytes, as a caller may send them
        assert answer.status_code == 401, headers


@pytest.mark.parametrize("name", FACES)
def test_a_secret_in_the_query_opens_nothing(world: World, name: str) -> None:
    secret = world.keys[right_kind(name)].secret
    joint = "&" if "?" in FACES[name].list else "?"
    for parameter in ("access_token", "api_key", "key", "token"):
        assert world.get(f"{FACES[name].list}{joint}{parameter}={secret}", {}).status_code == 401


@pytest.mark.parametrize("name", FACES)
def test_every_credential_that_no_longer_counts_answers_alike(world: World, name: str) -> None:
    """Expired, revoked, rotated away, of a suspended or closed account, or never made: the same bytes."""
    house, face = world.house, FACES[name]
    before, now = house.now, house.now
    account = house.account(f"Short-lived at {name}", world.parent, external_id=f"short-{name}")
    path = face.list.replace("mine", account.external_id)
    answers: dict[str, Any] = {}
    try:
        expiring = right_headers(world, name, account, expires_at=now + 100 * SECOND)
        revoked_key = world.key(account, right_kind(name))
        revoked = headers_of(world, name, revoked_key)
        rotated_key = world.key(account, right_kind(name))
        of_the_account = right_headers(world, name, account)
        for headers in (expiring, revoked, of_the_account):
            assert world.get(path, headers).status_code == 200

        with house.database.write() as connection:
            stored_credentials.revoke(connection, revoked_key.id, now)
            found = credentials.get(connection, rotated_key.id)
            new = Key(rotated_key.id, credentials.rotate(connection, found, now=now, overlap=HOUR))
        answers["revoked"] = world.get(path, revoked)

        house.now = now + 100 * SECOND - 1
        assert world.get(path, expiring).status_code == 200, "a nanosecond before"
        house.now = now + 100 * SECOND
        answers["expired"] = world.get(path, expiring)

        house.now = now + HOUR - 1
        assert world.get(path, headers_of(world, name, rotated_key)).status_code == 200, "within the overlap"
        house.now = now + HOUR
        if face.token_path:
            answers["rotated"] = house.client.post(
                face.token_path, data={"grant_type": "client_credentials"}, headers=basic(rotated_key)
            )
            assert (answers.pop("rotated").status_code) == 401
        else:
            answers["rotated"] = world.get(path, headers_of(world, name, rotated_key))
        assert world.get(path, headers_of(world, name, new)).status_code == 200, "the new secret"
        of_the_account = right_headers(world, name, account)

        for status in (AccountStatus.SUSPENDED, AccountStatus.CLOSED):
            with house.database.write() as connection:
                accounts.change(connection, account, now=now, status=status)
            answers[status.value] = world.get(path, of_the_account)
        wrong = Key(UNKNOWN, "bs_" + "x" * 43)
        answers["unknown"] = world.get(path, bearer(wrong) if face.token_path else SHOWN[min(face.accepts)[1]](wrong))
    finally:
        house.now = before
    assert {why: answer.status_code for why, answer in answers.items()} == dict.fromkeys(answers, 401)
    assert len({msgspec.json.encode(comparable(answer)) for answer in answers.values()}) == 1


# -- what they see


def leaks(world: World, name: str) -> list[str]:
    """Everything that a caller of a face learns of accounts that are not its own."""
    face = FACES[name]
    headers = right_headers(world, name)
    found = []

    def look(url: str) -> Any:
        answer = world.get(url, headers)
        found.extend(f"{url} shows {mark}" for mark in HIDDEN if mark in answer.text)
        return answer

    listed = look(face.list)
    if not all(SEEN[mark] in listed.text for mark in face.sees):
        found.append(f"{face.list} lacks what is the caller's: {listed.text[:300]}")
    for slot in face.slots:
        fill = _invoice_names if "{invoice}" in slot.url else _account_names
        for which in ("own", "child") if slot.child else ("own",):
            for url, _ in fill(world, slot, which):
                answer = look(url)
                if answer.status_code != slot.mine or (slot.shows and SEEN[which] not in answer.text and "latest" not in url):
                    found.append(f"{url}: {answer.status_code}, not the caller's: {answer.text[:300]}")
        for url_unknown, unknown_name in fill(world, slot, "unknown"):
            nothing = comparable(look(url_unknown), unknown_name)
            for which in slot.foreign_to:
                for url, its_name in fill(world, slot, which):
                    answer = look(url)
                    by_id = is_id(its_name)
                    wanted = slot.foreign if by_id else slot.named or slot.foreign
                    if answer.status_code != wanted:
                        found.append(f"{url}: {answer.status_code}, not {wanted}")
                    if (
                        slot.foreign == slot.unknown
                        and by_id == is_id(unknown_name)
                        and comparable(answer, its_name) != nothing
                    ):
                        found.append(f"{url} differs from {url_unknown}")
            wanted = slot.unknown if is_id(unknown_name) else slot.named or slot.unknown
            if nothing[0] != wanted:
                found.append(f"{url_unknown}: {nothing[0]}, not {wanted}")
    return found


def is_id(name: str) -> bool:
    return len(name) in (24, 36)


def _account_names(world: World, slot: Slot, which: str) -> list[tuple[str, str]]:
    return [(slot.url.replace("{account}", name), name) for name in world.names(which)]


def _invoice_names(world: World, slot: Slot, which: str) -> list[tuple[str, str]]:
    id = world.invoices[which]
    name = id.replace("-", "")[:24] if "billingdata" in slot.url else id
    return [(slot.url.replace("{invoice}", name), name)]


@pytest.mark.parametrize("name", FACES)
def test_nothing_of_anothers_shows_and_foreign_is_as_unknown(world: World, name: str) -> None:
    assert leaks(world, name) == []


def test_hostway_reads_one_invoice_only_under_its_own_account(world: World) -> None:
    headers = right_headers(world, "hostway")
    listed = world.get("/accounts/mine/invoices", headers).json()
    text = str(listed)
    assert SEEN["own"] in text
    assert SEEN["child"] not in text
    for which in ("sibling", "stranger", "child"):
        other = right_headers(world, "hostway", getattr(world, which))
        theirs = world.get(f"/accounts/{getattr(world, which).id}/invoices", other)
        assert theirs.status_code == 200
        for number in _numbers(theirs.text):
            if which == "child":
                assert world.get(f"/accounts/mine/invoices/{number}", headers).status_code == 404
            foreign = world.get(f"/accounts/mine/invoices/{number}", headers)
            unknown = world.get("/accounts/mine/invoices/999999999", headers)
            assert (number in _numbers(str(listed))) or comparable(foreign, number) == comparable(unknown, "999999999")


def _numbers(text: str) -> list[str]:
    return re.findall(r"/invoices/(\d+)", text)


def test_acronis_reads_its_own_client_alone(world: World) -> None:
    headers = right_headers(world, "acronis")
    foreign = world.get(f"/api/2/clients/{world.foreign_key.id}", headers)
    unknown = world.get(f"/api/2/clients/{UNKNOWN}", headers)
    assert (foreign.status_code, comparable(foreign)) == (404, comparable(unknown))


def _everything(*_: Any) -> Any:
    return literal(1) == 1


_range_sql = keys._range_sql


def _of_any_owner(owner: str, *others: Any) -> str:
    return _range_sql(owner, *others).replace(f"{owner} = ?", f"({owner} = ? OR 1 = 1)")


def _of_all(direct: Any, _of: Any) -> dict[int, int]:
    return {flags: int(count) for flags, count in direct.rows("SELECT flags, sum(count) FROM invoice_tally GROUP BY flags")}


# The rule, switched off in every place where storage spells it.
CONDITIONS: list[tuple[Any, str, Any]] = [
    (accounts, "_within", _everything),
    (invoices, "visible_to", _everything),
    (invoice_views, "visible_to", _everything),
    (keys, "_range_sql", _of_any_owner),
    (indexes, "flags_tally", _of_all),
    (tallies, "flags_tally", _of_all),
]


@pytest.mark.parametrize("name", FACES)
def test_without_the_condition_in_storage_it_would_show(database: Database, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The negative control: each face's check fails once the condition of visibility is gone."""
    world = World(database)
    for module, condition, instead in CONDITIONS:
        monkeypatch.setattr(module, condition, instead)
    assert leaks(world, name)
