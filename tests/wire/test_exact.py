"""Numbers in and out, exactly (promise P8): what JSON parsers get wrong, and an amount's way through every face."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from billsmith.accounts.authorisation import CredentialKind, Scope
from billsmith.storage.database import Database, sqlite_url
from billsmith.units.errors import BillsmithError, Invalid, InvalidNumber
from billsmith.units.rounding import MAX_DIGITS, MAX_PLACES, parse_decimal, plain
from billsmith.wire.json import RawDecimal, decode, encode, exact
from tests.support.house import House
from tests.wire.test_isolation import FACES, Key, bearer, headers_of
from tests.wire.test_isolation import World as IsolatedWorld


class Body(msgspec.Struct):
    """A body with an amount."""

    amount: RawDecimal
    note: str = ""


def read(body: bytes) -> Decimal:
    return exact(decode(body, Body).amount, "amount")


GOOD = [
    ("18.90", "18.90"), ("0", "0"), ("-0", "0"), ("-0.00", "0.00"), ("1e3", "1000"), ("1E+3", "1000"), ("12e-1", "1.2"),
    ("0.1", "0.1"), ("9007199254740993", "9007199254740993"), ("900719925474099.31", "900719925474099.31"),
    ("0.000000000000000001", "0.000000000000000001"), ("9" * 38, "9" * 38), ('"18.90"', "18.90"), ('"-5"', "-5"),
    ('"\\u0031"', "1"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "wanted"), GOOD)
def test_a_number_is_read_from_its_own_text(text: str, wanted: str) -> None:
    value = read(b'{"amount":' + text.encode() + b"}")
    assert plain(value) == wanted
    assert encode([value]) == f"[{wanted}]".encode()


BAD: list[bytes] = [
    b"NaN", b"Infinity", b"-Infinity", b'"NaN"', b'"sNaN"', b'"Infinity"', b'"inf"', b"1e999", b"1e-999", b"1e999999999", b'"1e999"',
    b"1" * 39, b"1" * 10_000, b"0." + b"1" * 10_000, b'"' + b"1" * 10_000 + b'"', b"0x10", b'"0x10"', b"+1", b".5", b"1.", b"01",
    b'"1_000"', b'"1,000"', b'" 1"', b'"1 "', b'""', b'"-"', b'"."', b'"1e"', b'"1e+"', b'"1e99999"', b"null", b"true", b"[]", b"{}",
    "\"١٢\"".encode(), "\"１２\"".encode(), "\"1²\"".encode(), "\"−5\"".encode(), b'"\\ud800"', b'"\\udc00\\ud800"', b'"\xff"',
    b'"1\\u0000"', b'"1\\n"', b"1e", b"--1", b"1-1", b'"1\x001"',
]  # fmt: skip


@pytest.mark.parametrize("text", BAD, ids=lambda text: repr(text)[:30])
def test_what_is_no_decimal_is_refused_and_quickly(text: bytes) -> None:
    started = time.thread_time()
    with pytest.raises(Invalid):
        read(b'{"amount":' + text + b"}")
    assert time.thread_time() - started < 0.5


def test_the_usual_parser_would_take_some_of_these() -> None:
    """The negative control: what this guards against does happen elsewhere."""
    assert json.loads("1e999") == float("inf")
    assert json.loads("NaN") != json.loads("NaN")
    assert json.loads('{"a": 1, "a": 2}') == {"a": 2}
    assert Decimal("١_٢") == 12
    assert str(float("900719925474099.31")) != "900719925474099.31"


@pytest.mark.parametrize(
    "body",
    [
        b'{"amount":1,"amount":1}',
        b'{"amount":1,"amount":2}',
        b'{"amount":1,"\\u0061mount":2}',
        b'{"amount":1,"note":"a","note":"b"}',
        b'{"amount":1,"other":{"x":1,"x":1}}',
        b'{"amount":1,"other":[[{"x":[{"y":1,"y":2}]}]]}',
    ],
)
def test_a_key_that_stands_twice_is_refused(body: bytes) -> None:
    with pytest.raises(Invalid) as caught:
        decode(body, Body)
    assert caught.value.code == "input.repeated"


@pytest.mark.parametrize("body", [b'{"amount":1,"other":[{"x":1},{"x":2}]}', b'{"amount":1,"other":{"amount":2}}'])
def test_the_same_key_in_two_objects_is_not_twice(body: bytes) -> None:
    assert read(body) == 1


@given(st.decimals(allow_nan=False, allow_infinity=False, places=None))
@example(Decimal("1E+37"))
@example(Decimal("-1E-18"))
def test_reading_what_was_written_is_identity(value: Decimal) -> None:
    try:
        parsed = parse_decimal(str(value))
    except InvalidNumber:
        return
    assert parsed == value
    assert parsed.is_finite()
    assert parse_decimal(plain(parsed)) == parsed
    assert str(parse_decimal(plain(parsed))) == str(parsed)
    assert len(parsed.as_tuple().digits) <= MAX_DIGITS + MAX_PLACES


@given(st.text(max_size=80))
@example("1" * 65)
@example("٣")
@example("\ud800")
def test_any_text_is_a_decimal_of_ours_or_an_error_of_ours(text: str) -> None:
    try:
        value = parse_decimal(text)
    except InvalidNumber:
        return
    assert text.isascii()
    assert value.is_finite()
    assert value == Decimal(text)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=200)
@given(st.binary(max_size=200) | _json.map(lambda value: json.dumps({"amount": value, "note": "x"}).encode("utf-8", "replace")))
def test_any_body_is_read_or_is_an_error_of_ours(body: bytes) -> None:
    try:
        value = read(body)
    except BillsmithError:
        return
    assert value.is_finite()


def test_decimals_are_written_as_digits() -> None:
    values = [
        Decimal("1E+3"),
        Decimal("-1E-18"),
        Decimal("0E-10"),
        Decimal("18.90"),
        "1E+3",
        'a"1E+3\\',
        {"1E-7": Decimal("1E-7")},
    ]
    assert encode(values) == (b'[1000,-0.000000000000000001,0.0000000000,18.90,"1E+3","a\\"1E+3\\\\",{"1E-7":0.0000001}]')
    assert b"E" in msgspec.json.Encoder(decimal_format="number").encode(Decimal("1E-7")), "the control: else it would not"


# -- an amount's way, from HTTP text to HTTP text

AMOUNTS = ["0.01", "18.90", "100.10", "123456789.10", "900719925474099.31", "999999999999999.99", "-5.05", "0.30"]


@pytest.fixture(scope="module")
def amounts_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[IsolatedWorld]:
    database = Database(sqlite_url(tmp_path_factory.mktemp("exact")))
    world = IsolatedWorld.__new__(IsolatedWorld)
    world.house = House(database)
    world.own = world.house.account("Mine", external_id="mine")
    writer = bearer(Key(*world.house.key(world.own, CredentialKind.API_KEY, scopes=list(Scope))))
    for index, amount in enumerate(AMOUNTS):
        shown = amount if index % 2 else f'"{amount}"'  # as a JSON number, and as a string of one
        body = f'{{"recipient": "mine", "lines": [{{"description": "x", "amount": {shown}}}]}}'
        answer = world.house.client.post("/v1/invoices", headers={**writer, "Content-Type": "application/json"}, content=body)
        assert answer.status_code == 201, answer.text
    yield world
    database.close()


#: Faces whose amounts are plain JSON numbers of a binary kind, where 18.9 and 18.90 are the same text to a client.
DOUBLES = ("myreports", "amberflo")


@pytest.mark.parametrize("name", FACES)
def test_amounts_come_out_as_they_went_in(amounts_world: IsolatedWorld, name: str) -> None:
    kind = CredentialKind.OAUTH_CLIENT if FACES[name].token_path else min(FACES[name].accepts)[0]
    key = Key(*amounts_world.house.key(amounts_world.own, kind))
    text = amounts_world.get(FACES[name].list, headers_of(amounts_world, name, key)).text
    written = numbers_in(text)
    for amount in AMOUNTS:
        same = [each for each in written if Decimal(each) == Decimal(amount)]
        assert same, (amount, text[:600])
        assert name in DOUBLES or any(each in (amount, f"{amount}00") for each in same), (amount, same)


def numbers_in(text: str) -> list[str]:
    """Every amount in an answer, in the text that it has there, whether a number or a string of one."""
    found: list[str] = []

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            for each in value.values():
                walk(each)
        elif isinstance(value, list):
            for each in value:
                walk(each)
        elif isinstance(value, str) and value.lstrip("-").replace(".", "", 1).isdigit() and value.isascii():
            found.append(value)

    walk(json.loads(text, parse_float=str))
    return found


@pytest.mark.parametrize("letters", [0, 1, 6_000])
def test_no_exponent_is_written_however_many_letters_look_like_one(letters: int) -> None:
    text = "E" * letters
    written = encode([text, Decimal("1E+3"), Decimal("1E-9"), "1E+3", "E-"])
    assert written == encode([text])[:-1] + b',1000,0.000000001,"1E+3","E-"]'
