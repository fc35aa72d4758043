"""What a server may do to an answer, and whole pulls in which it does so by chance: seeded, and judged.

The judge: a pull ends in few requests; and when it is called whole, though the list moved while it was read, it holds every
row that was there from its beginning to its end.
"""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable
from email.utils import formatdate
from typing import Any

from tests.outbound.support import NOW
from tests.support import stubs
from tests.support.chaos import Reply, Request
from tests.vendors.faults import AMBERFLO, Vendor, pull, rows_of


def edited(edit: Callable[[Any], Any]) -> Callable[[Reply], Reply]:
    """The answer with its JSON changed in place, or by what is returned."""

    def make(reply: Reply) -> Reply:
        body = json.loads(reply.body)
        return reply._replace(body=stubs.encoded(edit(body) or body))

    return make


PASSING: dict[str, Callable[[Reply], Reply]] = {
    "429 seconds": lambda _reply: Reply(429, headers={"Retry-After": "3"}),
    "429 date": lambda _reply: Reply(429, headers={"Retry-After": formatdate(NOW + 3, usegmt=True)}),
    "429": lambda _reply: Reply(429),
    "500": lambda _reply: Reply(500, b"oops", kind="text/plain"),
    "502": lambda _reply: Reply(502, b"<html>", kind="text/html"),
    "503": lambda _reply: Reply(503),
    "cut at once": lambda reply: reply._replace(cut=0),
    "cut in the header": lambda reply: reply._replace(cut=25),
    "cut in the body": lambda reply: reply._replace(cut=len(reply.raw()) - 9),
}

LASTING: dict[str, tuple[Callable[[Reply], Reply], str]] = {
    "401": (lambda _reply: Reply(401), "outbound.unauthorized"),
    "403": (lambda _reply: Reply(403), "outbound.forbidden"),
    "404": (lambda _reply: Reply(404), "outbound.not_found"),
    "429": (lambda _reply: Reply(429), "outbound.rate_limited"),
    "429 tomorrow": (lambda _reply: Reply(429, headers={"Retry-After": "86400"}), "outbound.rate_limited"),
    "500": (lambda _reply: Reply(500), "outbound.server_error"),
    "502": (lambda _reply: Reply(502, b"<html>", kind="text/html"), "outbound.server_error"),
    "204": (lambda _reply: Reply(204), "outbound.refused"),
    "cut": (lambda reply: reply._replace(cut=60), "outbound.unreachable"),
    "HTML": (lambda _reply: Reply(200, b"<html>Log in</html>", kind="text/html"), "outbound.not_json"),
    "wrong content type": (lambda reply: reply._replace(kind="text/plain"), "outbound.not_json"),
    "invalid JSON": (lambda reply: reply._replace(body=reply.body.replace(b":", b";")), "input.not_json"),
    "truncated JSON": (lambda reply: reply._replace(body=reply.body[:-3]), "input.not_json"),
    "nothing": (lambda reply: reply._replace(body=b""), "input.not_json"),
    "not UTF-8": (lambda reply: reply._replace(body=reply.body.replace(b"1", b"\xff", 1)), "input.not_json"),
    "a bare word": (lambda reply: reply._replace(body=b'"maintenance"'), "input.invalid"),
    "another shape": (lambda reply: reply._replace(body=b'{"data": 7, "list": 7, "Invoices": 7}'), "input.invalid"),
    "too deep": (lambda reply: reply._replace(body=b"[" * 100_000 + b"]" * 100_000), "input.too_deep"),
    "gzip garbage": (lambda reply: reply._replace(headers={"Content-Encoding": "gzip"}), "outbound.compressed"),
    "gzip bomb": (
        lambda reply: reply._replace(body=gzip.compress(b" " * 2**25), headers={"Content-Encoding": "gzip"}),
        "outbound.too_large",
    ),
}

#: What changes what an answer says, so that nobody can know what was meant.
GARBLED: list[Callable[[Reply], Reply]] = [
    lambda reply: reply._replace(body=reply.body.replace(b"1", b"2", 3)),
    lambda reply: reply._replace(body=reply.body.replace(b'"', b"", 2)),
    lambda reply: reply._replace(body=reply.body.replace(b"null", b"NaN")),
]
SOUP: list[Callable[[Reply], Reply]] = [
    *PASSING.values(),
    *(make for make, _ in LASTING.values()),
    *GARBLED,
    lambda _reply: Reply(303, headers={"Location": "/"}),
]


def run(vendor: Vendor, seed: int) -> str:
    """One pull by chance; empty where the judge finds no fault."""
    dice = random.Random(seed)
    rows = rows_of(vendor, dice.randrange(14))
    names = (
        {id(row): name for row, name in zip(rows, pull(vendor, rows)[0].keys, strict=True)} if vendor is not AMBERFLO else {}
    )
    stayed = set(names.values())
    chance, moves = dice.choice((0.0, 0.05, 0.3)), dice.choice(("none", "goes", "comes")) if names else "none"
    garbled: list[int] = []

    def fault(_request: Request, reply: Reply, _number: int) -> Reply:
        if moves == "goes" and rows and dice.random() < 0.3:
            stayed.discard(names.get(id(rows[0]), ""))
            del rows[0]
        if moves == "comes" and dice.random() < 0.3:
            rows.insert(dice.randrange(len(rows) + 1), vendor.make(dice.randrange(1000, 10**6)))
        if dice.random() >= chance:
            return reply
        made = dice.choice(SOUP)(reply)
        if made.status == 200 and made.cut is None and made.body != reply.body:
            garbled.append(1)
        return made

    outcome, server = pull(vendor, rows, fault)
    if len(server.requests) > 300:
        return f"{vendor.name}, seed {seed}: {len(server.requests)} requests"
    missing = stayed - set(outcome.keys)
    if outcome.is_whole and missing and not garbled:
        return f"{vendor.name}, seed {seed}: called whole, but {sorted(missing)} did not come"
    return ""
