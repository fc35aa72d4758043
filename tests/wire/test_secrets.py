"""Credentials and tokens (promise P18): hashed at rest, bound to a face, ended to the second, slowed down when guessed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from billsmith.accounts.authorisation import CredentialKind, Scope
from billsmith.storage import credentials as stored_credentials
from billsmith.storage.database import Database, sqlite_url
from billsmith.units.instants import MINUTE, SECOND
from billsmith.workflows import credentials
from tests.support.house import House
from tests.wire.test_isolation import FACES, UNKNOWN, Key, World, basic, bearer, headers_of, right_kind, token

TOKENS = [name for name, face in FACES.items() if face.token_path]


# -- at rest


def stored_bytes(home: Path) -> bytes:
    return b"".join(file.read_bytes() for file in sorted(home.iterdir()) if file.is_file())


def test_no_secret_is_in_the_store(tmp_path: Path) -> None:
    database = Database(sqlite_url(tmp_path))
    world = World(database)
    house = world.house
    made = [key.secret for key in world.keys.values()]
    made += [token(world, FACES[name].token_path, world.keys[CredentialKind.OAUTH_CLIENT]).secret for name in TOKENS]
    with house.database.write() as connection:
        found = credentials.get(connection, world.keys[CredentialKind.API_KEY].id)
        made.append(credentials.rotate(connection, found, now=house.now))
    maker = bearer(Key(*house.key(world.own, CredentialKind.API_KEY, scopes=list(Scope))))
    for _ in range(2):  # the second answer is the stored one
        answer = house.client.post(
            "/v1/credentials", headers={**maker, "Idempotency-Key": "once"}, json={"account": "mine", "kind": "api-key"}
        )
        assert answer.status_code in (200, 201), answer.text
        made += [value for value in answer.json().values() if isinstance(value, str) and value.startswith("bs_")]
    assert len(made) == len(set(made)) == len(CredentialKind) + len(TOKENS) + 2
    kept = stored_bytes(tmp_path)
    assert not [secret for secret in made if secret.encode() in kept]
    # The negative control: what is kept of each secret is found in the same bytes.
    hashed = [credentials.secret_hash(secret) for secret in made if not secret.startswith("correct horse")]
    assert all(digest.encode() in kept for digest in hashed)
    assert b"$argon2id$" in kept
    database.close()


def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    database = Database(sqlite_url(tmp_path))
    House(database)
    assert {file.name: file.stat().st_mode & 0o077 for file in tmp_path.iterdir()} == {
        file.name: 0 for file in tmp_path.iterdir()
    }
    database.close()


# -- their end


@pytest.mark.parametrize("name", TOKENS)
def test_a_token_ends_when_its_answer_says(house: House, name: str) -> None:
    house.now += 700_000_000  # not at a whole second
    account = house.account("Mine", external_id="mine")
    key = Key(*house.key(account, CredentialKind.OAUTH_CLIENT))
    body = house.client.post(FACES[name].token_path, data={"grant_type": "client_credentials"}, headers=basic(key)).json()
    told = house.now + body["expires_in"] * SECOND
    ends = body.get("expires_on", told // SECOND + 1) * SECOND
    assert told <= ends < told + SECOND, "never told later than it is, and not a second earlier"
    headers = bearer(Key("", body["access_token"]))
    house.now = ends - 1
    assert house.client.get(FACES[name].list, headers=headers).status_code == 200
    house.now = ends
    assert house.client.get(FACES[name].list, headers=headers).status_code == 401


@pytest.mark.parametrize("name", TOKENS)
def test_revoking_a_client_ends_its_tokens_at_once(house: House, name: str) -> None:
    account = house.account("Mine", external_id="mine")
    one, two = (Key(*house.key(account, CredentialKind.OAUTH_CLIENT)) for _ in range(2))
    opened = {}
    for key in (one, two):
        body = house.client.post(FACES[name].token_path, data={"grant_type": "client_credentials"}, headers=basic(key)).json()
        opened[key] = bearer(Key("", body["access_token"]))
    with house.database.write() as connection:
        stored_credentials.revoke(connection, one.id, house.now)
    assert house.client.get(FACES[name].list, headers=opened[one]).status_code == 401
    assert house.client.get(FACES[name].list, headers=opened[two]).status_code == 200


@pytest.mark.parametrize(
    "grant", ["password", "implicit", "token", "authorization_code", "refresh_token", "", "client_credentials "]
)
@pytest.mark.parametrize("name", TOKENS)
def test_no_other_grant_is_offered(sqlite_house: House, name: str, grant: str) -> None:
    key = Key(*sqlite_house.key(sqlite_house.account("Mine"), CredentialKind.OAUTH_CLIENT))
    form = {"grant_type": grant, "username": key.id, "password": key.secret, "code": "x", "refresh_token": "x"}
    answer = sqlite_house.client.post(FACES[name].token_path, data=form, headers=basic(key))
    assert answer.status_code == 400
    assert answer.json()["error"] in ("unsupported_grant_type", "invalid_request")
    assert "access_token" not in answer.text


def test_tokens_differ_and_are_long(sqlite_house: House) -> None:
    made = {credentials.new_token() for _ in range(200)}
    assert len(made) == 200
    assert min(map(len, made)) >= 43  # 256 bits


# -- guessing

BUSY: dict[str, Callable[[Any], bool]] = {
    "acronis": lambda body: body["error"]["code"] == 429,
    "myreports": lambda body: body["error"] == 429,
    "hostway": lambda body: body["tooManyRequests"]["code"] == 429,
    "amberflo": lambda body: "errorMessage" in body,
    "native": lambda body: body["status"] == 429,
}


@pytest.mark.parametrize("name", FACES)
def test_guessing_is_slowed_down_in_the_faces_own_words(tmp_path: Path, name: str) -> None:
    database = Database(sqlite_url(tmp_path))
    house = House(database, failed_credentials_per_minute=3)
    wrong = guess(name)
    good = good_headers(house, name)
    for _ in range(3):
        assert house.client.get(FACES[name].list, headers=wrong).status_code == 401
    for headers in (wrong, good):  # while the minute lasts, right and wrong are told alike: a guess learns nothing
        answer = house.client.get(FACES[name].list, headers=headers)
        assert answer.status_code == 429
        assert 1 <= int(answer.headers["retry-after"]) <= 60
        assert BUSY[name](answer.json()), answer.text
    house.now += MINUTE
    assert house.client.get(FACES[name].list, headers=good).status_code == 200
    database.close()


@pytest.mark.parametrize("name", FACES)
def test_without_the_limit_guessing_goes_on(sqlite_house: House, name: str) -> None:
    """The negative control."""
    for _ in range(5):
        assert sqlite_house.client.get(FACES[name].list, headers=guess(name)).status_code == 401


def guess(name: str) -> dict[str, str]:
    wrong = Key(UNKNOWN, "bs_guess")
    if right_kind(name) is CredentialKind.BASIC:
        return basic(wrong)
    return {"X-API-KEY": wrong.secret} if name == "amberflo" else bearer(wrong)


def good_headers(house: House, name: str) -> dict[str, str]:
    account = house.account("Mine", external_id="mine")
    key = Key(*house.key(account, right_kind(name)))
    world = World.__new__(World)
    world.house = house
    return headers_of(world, name, key)


@pytest.mark.parametrize("name", TOKENS)
def test_guesses_at_the_token_endpoint_and_tokens_themselves_are_limited(tmp_path: Path, name: str) -> None:
    database = Database(sqlite_url(tmp_path))
    house = House(database, failed_credentials_per_minute=3, tokens_per_minute=2)
    account = house.account("Mine")
    one, two = (Key(*house.key(account, CredentialKind.OAUTH_CLIENT)) for _ in range(2))
    form = {"grant_type": "client_credentials"}

    def ask(key: Key) -> Any:
        return house.client.post(FACES[name].token_path, data=form, headers=basic(key))

    assert [ask(one).status_code for _ in range(3)] == [200, 200, 429]
    refused = ask(one)
    assert int(refused.headers["retry-after"]) >= 1
    assert set(refused.json()) == {"error", "error_description"}
    assert refused.json()["error"] not in ("invalid_client", "invalid_request"), "the client did nothing wrong"
    assert ask(two).status_code == 200, "each client has its own share"
    for _ in range(3):
        assert ask(Key(one.id, "bs_guess")).status_code == 401
    assert ask(two).status_code == 429
    house.now += MINUTE
    assert ask(one).status_code == 200
    database.close()


def test_one_address_does_not_lock_out_another(tmp_path: Path) -> None:
    database = Database(sqlite_url(tmp_path))
    house = House(database, failed_credentials_per_minute=2, trusted_proxies=("testclient",))
    good = good_headers(house, "native")

    def ask(headers: dict[str, str], forwarded: str) -> int:
        return int(house.client.get("/v1/invoices", headers={**headers, "X-Forwarded-For": forwarded}).status_code)

    bad = {"Authorization": "Bearer bs_guess"}
    assert [ask(bad, "192.0.2.1") for _ in range(3)] == [401, 401, 429]
    assert ask(bad, "192.0.2.99, 192.0.2.1") == 429, "what stands before the proxy's own entry counts for nothing"
    assert ask(good, "192.0.2.2") == 200
    assert [ask(bad, f"2001:db8::{number}") for number in range(3)] == [401, 401, 429], "a /64 is one caller"
    assert ask(bad, "2001:db8:0:1::1") == 401
    database.close()


# -- time: nothing is compared byte by byte, and the same steps are taken whatever is wrong


def statements(world: World, ask: Callable[[], Any]) -> tuple[int, Any]:
    """How many statements the store ran for a request."""
    seen: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        seen.append(statement)

    engine = world.house.database.engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        answer = ask()
    finally:
        event.remove(engine, "before_cursor_execute", note)
    return len(seen), answer


@pytest.fixture
def small_world(database: Database) -> World:
    return World(database)


@pytest.mark.parametrize("name", FACES)
def test_a_wrong_secret_takes_the_same_steps_whatever_is_known_of_it(small_world: World, name: str) -> None:
    kind = right_kind(name)
    path = FACES[name].token_path
    known, other = small_world.keys[kind], small_world.key(small_world.sibling, kind)
    guesses = [Key(UNKNOWN, "bs_guess"), Key(known.id, "bs_guess"), Key(known.id, known.secret[:-1] + "!"), Key("x", "")]

    def ask(key: Key) -> Any:
        if path:
            return small_world.house.client.post(path, data={"grant_type": "client_credentials"}, headers=basic(key))
        headers = basic(key) if kind is CredentialKind.BASIC else {**bearer(key), "X-API-KEY": key.secret or "x"}
        return small_world.get(FACES[name].list, headers)

    taken = [statements(small_world, lambda key=key: ask(key)) for key in guesses]  # type: ignore[misc]
    assert {answer.status_code for _, answer in taken} == {401}
    assert len({count for count, _ in taken[:3]}) == 1
    if path or kind is CredentialKind.BASIC:
        assert ask(Key(known.id, other.secret)).status_code == 401


@pytest.mark.parametrize("name", ["acronis", "amberflo", "native", "myreports"])
def test_what_is_anothers_takes_the_same_steps_as_what_is_not_there(small_world: World, name: str) -> None:
    headers = headers_of(small_world, name, small_world.keys[right_kind(name)])
    for slot in FACES[name].slots:
        urls = {
            which: slot.url.replace("{account}", getattr(getattr(small_world, which, None), "id", UNKNOWN)).replace(
                "{invoice}", _short(slot.url, small_world.invoices[which])
            )
            for which in ("sibling", "stranger", "unknown")
        }
        counts = {
            which: statements(small_world, lambda url=url: small_world.get(url, headers))[0] for which, url in urls.items()
        }  # type: ignore[misc]
        assert len(set(counts.values())) == 1, (slot.url, counts)


def _short(url: str, id: str) -> str:
    return id.replace("-", "")[:24] if "billingdata" in url else id


def test_the_count_of_steps_can_see_a_difference(small_world: World) -> None:
    """The negative control: what is the caller's own takes other steps than what is not there."""
    headers = headers_of(small_world, "native", small_world.keys[CredentialKind.API_KEY])
    own, _ = statements(small_world, lambda: small_world.get(f"/v1/invoices/{small_world.invoices['own']}", headers))
    unknown, _ = statements(small_world, lambda: small_world.get(f"/v1/invoices/{UNKNOWN}", headers))
    assert own != unknown
