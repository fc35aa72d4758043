"""Small formulas over an event: ``tokens_in * 0.5 + ceil(tokens_out / 1000)``, computed exactly.

Numbers, names of dimensions (or ``value``), ``+ - * /``, parentheses, and ``round``, ``ceil``, ``floor`` with an optional
number of places. Nothing else can be written, so nothing else can happen.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache

from billsmith.units.errors import Invalid
from billsmith.units.exact import Exact, add, divide, multiply, subtract
from billsmith.units.rounding import ZERO, Rounding, parse_decimal, round_to

#: Longest formula that is read, and deepest nesting.
MAX_LENGTH = 1_000
MAX_DEPTH = 50

Lookup = Callable[[str], Exact]
Expression = Callable[[Lookup], Exact]

_TOKEN = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?|[A-Za-z_][A-Za-z0-9_.]*|[-+*/(),])", re.ASCII)
_OPERATORS: Mapping[str, Callable[[Exact, Exact], Exact]] = {"+": add, "-": subtract, "*": multiply, "/": divide}
_ROUNDINGS = {"round": Rounding.HALF_UP, "ceil": Rounding.CEILING, "floor": Rounding.FLOOR}


@lru_cache(maxsize=1024)
def parse_expression(text: str) -> Expression:
    """Read a formula; what comes back computes it from a look-up of names. Raises :class:`Invalid`.

    >>> from decimal import Decimal
    >>> parse_expression("2 * (value + 1)")({"value": Decimal("0.5")}.__getitem__)
    Decimal('3.0')
    """
    reader = _Reader(_tokens(text), text)
    result = reader.sum(0)
    if reader.peek():
        raise _bad(text, f"{reader.peek()!r} is not expected")
    return result


def names_in(text: str) -> frozenset[str]:
    """The names that a formula looks up. Raises :class:`Invalid`.

    >>> sorted(names_in("ceil(tokens_out / 1000) + value"))
    ['tokens_out', 'value']
    """
    tokens = _tokens(text)
    following = [*tokens[1:], ""]
    return frozenset(
        token
        for token, after in zip(tokens, following, strict=True)
        if (token[0].isalpha() or token[0] == "_") and not (token in _ROUNDINGS and after == "(")
    )


def _tokens(text: str) -> list[str]:
    if len(text) > MAX_LENGTH:
        raise Invalid(
            f"an expression of {len(text)} characters; at most {MAX_LENGTH} are read", code="meter.expression_too_long"
        )
    tokens, position = [], 0
    stripped = text.rstrip()
    while position < len(stripped):
        match = _TOKEN.match(stripped, position)
        if match is None:
            raise _bad(text, f"{stripped[position:].lstrip()[:10]!r} can't be read")
        tokens.append(match[1])
        position = match.end()
    return tokens


def _bad(text: str, reason: str) -> Invalid:
    return Invalid(
        f"expression {text[:60]!r}: {reason}. Write numbers, names, + - * /, parentheses, round, ceil, floor",
        code="meter.expression_syntax",
    )


class _Reader:
    """Recursive descent over the tokens; each method gives a function that computes what it read."""

    def __init__(self, tokens: list[str], text: str) -> None:
        self._tokens = tokens
        self._text = text
        self._next = 0

    def peek(self) -> str:
        return self._tokens[self._next] if self._next < len(self._tokens) else ""

    def take(self) -> str:
        token = self.peek()
        self._next += 1
        return token

    def expect(self, token: str) -> None:
        if self.take() != token:
            raise _bad(self._text, f"{token!r} is missing")

    def sum(self, depth: int) -> Expression:
        return self._chain("+-", self.product, depth)

    def product(self, depth: int) -> Expression:
        return self._chain("*/", self.factor, depth)

    def _chain(self, signs: str, part: Callable[[int], Expression], depth: int) -> Expression:
        result = part(depth)
        while self.peek() and self.peek() in signs:
            result = _apply(_OPERATORS[self.take()], result, part(depth))
        return result

    def factor(self, depth: int) -> Expression:
        if depth > MAX_DEPTH:
            raise _bad(self._text, f"more than {MAX_DEPTH} levels")
        token = self.take()
        if token == "-":
            return _apply(subtract, _constant(ZERO), self.factor(depth + 1))
        if token == "(":
            inner = self.sum(depth + 1)
            self.expect(")")
            return inner
        if token[:1].isdigit():
            return _constant(parse_decimal(token))
        if token in _ROUNDINGS and self.peek() == "(":
            return self.rounding(_ROUNDINGS[token], depth)
        if not (token[:1].isalpha() or token[:1] == "_"):
            raise _bad(self._text, f"{token!r} is not expected" if token else "it ends too early")
        return lambda lookup: lookup(token)

    def rounding(self, mode: Rounding, depth: int) -> Expression:
        self.expect("(")
        inner = self.sum(depth + 1)
        places = 0
        if self.peek() == ",":
            self.take()
            sign = -1 if self.peek() == "-" else 1
            if sign < 0:
                self.take()
            token = self.take()
            if not token.isdigit() or len(token) > 2:
                raise _bad(self._text, "places are a whole number")
            places = sign * int(token)
        self.expect(")")
        return lambda lookup: round_to(inner(lookup), places, mode)


def _constant(value: Exact) -> Expression:
    return lambda lookup: value


def _apply(operator: Callable[[Exact, Exact], Exact], left: Expression, right: Expression) -> Expression:
    return lambda lookup: operator(left(lookup), right(lookup))
