"""JSON in and out, exactly: decimals keep their digits both ways, and nothing huge is read.

Reading: bytes are checked for depth before they are parsed, and for keys that stand twice in one object afterwards: two
programs could read two different amounts from such a body. Numbers are read from their text. Writing: one encoder, decimals
as numbers with the digits they have.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal
from functools import lru_cache
from typing import Annotated, Any, TypeVar

import msgspec

from billsmith.units.errors import Invalid, TooLarge
from billsmith.units.rounding import parse_decimal, plain

T = TypeVar("T")

MAX_DEPTH = 32

# A string, to its end or to the body's: possessive, so that no body makes it look twice at a byte.
_TEXT = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)', re.DOTALL)
# A string, which is passed over, or a number as a very small or round decimal is written.
_EXPONENT = re.compile(rb'"(?:[^"\\]++|\\.)*+"|-?[0-9]+(?:\.[0-9]+)?E[+-][0-9]+', re.DOTALL)
_SIGNS = (b"+", b"-")
_MANY = 5_000
_ONE_BRACKET = bytes.maketrans(b"{}", b"[]")
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))

_encoder = msgspec.json.Encoder(decimal_format="number")


def encode(value: Any) -> bytes:
    """Write a value. A decimal is written as the digits that it has, never with an exponent.

    >>> encode([Decimal("1E+3"), Decimal("18.90"), "1E+3"])
    b'[1000,18.90,"1E+3"]'
    """
    written = _encoder.encode(value)
    return _EXPONENT.sub(_digits, written) if _may_have_exponents(written) else written


def _may_have_exponents(written: bytes) -> bool:
    """Whether E+ or E- stands somewhere. Looking for one letter is ten times as fast as for two, where there are few of it."""
    if written.count(b"E") > _MANY:
        return b"E-" in written or b"E+" in written
    return any(part[:1] in _SIGNS for part in written.split(b"E")[1:])


def _digits(match: re.Match[bytes]) -> bytes:
    """A number with an exponent as digits; a string as it is."""
    found = match[0]
    return found if found.startswith(b'"') else plain(Decimal(found.decode())).encode()


def decode(body: bytes, kind: type[T]) -> T:
    """Read a body as ``kind``. Raises :class:`Invalid` with the place of the fault, :class:`TooLarge` for its depth."""
    check_depth(body)
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise Invalid("the body is not JSON in UTF-8", code="input.not_json") from None
    decoded = decode_part(msgspec.Raw(body), kind)
    check_keys(text)
    return decoded


def decode_part(part: msgspec.Raw, kind: type[T]) -> T:
    """Read a part of a body that was decoded before: its depth and its keys were checked with the whole.

    Raises :class:`Invalid` with the place of the fault within the part.

    >>> [first] = decode(b'[{"total":18.90}]', list[msgspec.Raw])
    >>> decode_part(first, dict[str, Decimal])
    {'total': Decimal('18.90')}
    """
    try:
        decoded: T = _decoder(kind).decode(part)  # type: ignore[arg-type]  # a class is hashable
        return decoded
    except msgspec.ValidationError as error:
        message, _, place = str(error).partition(" - at `")
        raise Invalid(message, code="input.invalid", where=place.rstrip("`").removeprefix("$.") or None) from None
    except msgspec.DecodeError as error:
        raise Invalid(f"the body is not JSON: {error}", code="input.not_json") from None
    except (UnicodeDecodeError, RecursionError):
        raise Invalid("the body is not JSON in UTF-8", code="input.not_json") from None


def check_depth(body: bytes) -> None:
    """Refuse JSON that is nested deeper than :data:`MAX_DEPTH`, before parsing it."""
    if body.count(b"[") + body.count(b"{") <= MAX_DEPTH:
        return
    brackets = _TEXT.sub(b"", body).translate(_ONE_BRACKET, _NO_BRACKETS)
    for _ in range(MAX_DEPTH):  # each round takes the innermost pairs away
        if b"[]" not in brackets:
            break
        brackets = brackets.replace(b"[]", b"")
    if b"[]" in brackets or brackets.count(b"[") > MAX_DEPTH:
        raise TooLarge(f"the body is nested deeper than {MAX_DEPTH}", code="input.too_deep")


def check_keys(text: str) -> None:
    """Refuse JSON (known to be well-formed) that has a key twice in one object. Raises :class:`Invalid`."""
    json.loads(text, object_pairs_hook=_no_repeats, parse_int=len, parse_float=len)


def _no_repeats(pairs: list[tuple[str, Any]]) -> None:
    if len({key for key, _ in pairs}) == len(pairs):
        return
    seen: set[str] = set()
    twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
    raise Invalid(f"the key {twice[:60]!r} stands twice in one object", code="input.repeated", where=twice[:60])


def exact(raw: msgspec.Raw, where: str) -> Decimal:
    """A decimal from a number's or string's own text, within our limits, whatever ``Decimal()`` would take.

    >>> exact(msgspec.Raw(b"18.90"), "amount"), exact(msgspec.Raw(b'"0.10"'), "amount")
    (Decimal('18.90'), Decimal('0.10'))
    """
    text = bytes(raw).decode("utf-8")
    if text.startswith('"'):
        text = msgspec.json.decode(raw, type=str)
    return parse_decimal(text, where=where)


#: A decimal in a body: a JSON number or a string of one. Read with :func:`exact`.
RawDecimal = Annotated[
    msgspec.Raw,
    msgspec.Meta(extra_json_schema={"anyOf": [{"type": "number"}, {"type": "string", "pattern": "^-?[0-9]+([.][0-9]+)?$"}]}),
]


@lru_cache(maxsize=256)
def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind, float_hook=parse_decimal)
