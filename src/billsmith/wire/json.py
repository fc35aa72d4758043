"""JSON in and out, exactly: decimals keep their digits both ways, and nothing huge is read.

Reading: bytes are checked for size and depth before they are parsed, duplicate keys are refused where a face asks for it, and
numbers are read from their text. Writing: one encoder, decimals as numbers with the digits they have.
"""

from __future__ import annotations

import json
from decimal import Decimal
from functools import lru_cache
from typing import Annotated, Any, TypeVar

import msgspec

from billsmith.units.errors import Invalid, TooLarge
from billsmith.units.rounding import parse_decimal, plain

T = TypeVar("T")

MAX_DEPTH = 32

_encoder = msgspec.json.Encoder(decimal_format="number")


def encode(value: Any) -> bytes:
    """Write a value. Decimals must be plain: pass them through :func:`number` where they come from arithmetic."""
    return _encoder.encode(value)


def number(value: Decimal) -> Decimal:
    """A decimal that is written as digits, never with an exponent; not-a-number is refused.

    >>> encode([number(Decimal("1E+3")), number(Decimal("18.90"))])
    b'[1000,18.90]'
    """
    return Decimal(plain(value))


def decode(body: bytes, kind: type[T]) -> T:
    """Read a body as ``kind``. Raises :class:`Invalid` with the place of the fault, :class:`TooLarge` for its depth."""
    check_depth(body)
    try:
        decoded: T = _decoder(kind).decode(body)  # type: ignore[arg-type]  # a class is hashable
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
    depth = 0
    in_text = False
    escaped = False
    if body.count(b"[") + body.count(b"{") <= MAX_DEPTH:
        return
    for byte in body:
        if in_text:
            if escaped:
                escaped = False
            elif byte == 0x5C:
                escaped = True
            elif byte == 0x22:
                in_text = False
        elif byte == 0x22:
            in_text = True
        elif byte in (0x5B, 0x7B):
            depth += 1
            if depth > MAX_DEPTH:
                raise TooLarge(f"the body is nested deeper than {MAX_DEPTH}", code="input.too_deep")
        elif byte in (0x5D, 0x7D):
            depth -= 1


def check_repeats(body: bytes) -> None:
    """Refuse JSON in which an object names a key twice: readers differ in which of the two they take.

    The body has passed :func:`check_depth`. What is not JSON passes here, and fails where it is read.

    >>> check_repeats(b'{"a": 1, "b": {"a": 2}}')
    """
    try:
        json.loads(body, object_pairs_hook=_without_repeats, parse_float=len, parse_int=len)
    except (ValueError, RecursionError):
        return


def _without_repeats(pairs: list[tuple[str, Any]]) -> None:
    names: set[str] = set()
    for name, _value in pairs:
        if name in names:
            raise Invalid(f"the key {name[:60]!r} stands twice in one object", code="input.repeated", where=name[:60])
        names.add(name)


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
