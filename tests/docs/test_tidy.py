"""House rules that no linter holds: no float near money, no clock in the core, JSON read in one place.

Each rule walks the syntax of every file in ``src``; each has a line that breaks it, so that the rule is known to see.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

SRC = Path(__file__).parents[2] / "src" / "billsmith"
CORE = ("units", "accounts", "events", "metering", "catalog", "subscriptions", "rating", "ledger", "invoicing", "sender")

#: Where a rule does not hold, and why.
ALLOWED = {
    ("chance comes from secrets", "cli/demo_year.py"): "usage of a demo, the same for the same present; no secret",
    ("json is read in wire/json.py", "wire/json.py"): "the one place: it looks for keys that stand twice, and keeps no value",
    ("the clock is read in one place", "workflows/clock.py"): "the one place",
    ("the clock is read in one place", "sender/events.py"): "a client: the time of an event whose sender gives none",
    ("no float in the core, storage and workflows", "sender/events.py"): "seconds to wait",
    ("no float in the core, storage and workflows", "sender/delivery.py"): "seconds to wait",
    ("no float literal in the core", "sender/events.py"): "seconds to wait",
    ("no value stands in the text of SQL", "storage/backup.py"): "the names of its own tables",
    (
        "nothing runs a text",
        "workflows/processes.py",
    ): "messages between a process and those that it started, by pipes of their own",
}


def files(*folders: str) -> list[Path]:
    return [path for path in sorted(SRC.rglob("*.py")) if not folders or path.relative_to(SRC).parts[0] in folders]


def called(node: ast.AST) -> str:
    """The dotted name of what a node calls."""
    return ast.unparse(node.func) if isinstance(node, ast.Call) else ""


def floats(tree: ast.AST) -> Iterator[ast.AST]:
    """``float(…)``, and float as an annotation of a field or parameter: a type that loses cents."""
    for node in ast.walk(tree):
        annotation = getattr(node, "annotation", None) or getattr(node, "returns", None)
        if called(node) == "float" or (annotation is not None and "float" in ast.unparse(annotation)):
            yield node


def float_literals(tree: ast.AST) -> Iterator[ast.AST]:
    """``0.1`` in the source."""
    return (node for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, float))


def rounding(tree: ast.AST) -> Iterator[ast.AST]:
    """``round(…)``, ``math.…``, ``Decimal(0.1)``: only units/rounding.py rounds."""
    return (node for node in ast.walk(tree) if called(node) == "round" or called(node).startswith("math."))


def decimals_of_text(tree: ast.AST) -> Iterator[ast.AST]:
    """``Decimal(name)``: what a caller wrote goes through ``parse_decimal``, which checks it before any arithmetic."""
    for node in ast.walk(tree):
        arguments = node.args if isinstance(node, ast.Call) and called(node) == "Decimal" else []
        if any(isinstance(first, ast.Name) and first.id in ("text", "raw", "value", "body") for first in arguments[:1]):
            yield node


def clocks(tree: ast.AST) -> Iterator[ast.AST]:
    """The machine's clock, under any of its names."""
    ends = ("datetime.now", "datetime.utcnow", "date.today", "datetime.today", "time.time", "time.time_ns", "Instant.now")
    return (node for node in ast.walk(tree) if called(node).endswith(ends))


def json_reads(tree: ast.AST) -> Iterator[ast.AST]:
    """The standard library's JSON: it takes NaN, turns 1e999 into infinity and keeps the last of two keys."""
    return (node for node in ast.walk(tree) if called(node) in ("json.loads", "json.load", "json.dumps", "json.dump"))


def chance(tree: ast.AST) -> Iterator[ast.AST]:
    """``random`` where a secret would have to come from ``secrets``."""
    return (node for node in ast.walk(tree) if called(node).startswith(("random.", "uuid.uuid1", "uuid.uuid4")))


def shells(tree: ast.AST) -> Iterator[ast.AST]:
    """What runs a text as a program, or makes objects of bytes."""
    names = ("eval", "exec", "os.system", "pickle.loads", "pickle.load", "yaml.load", "marshal.loads", "subprocess.getoutput")
    return (node for node in ast.walk(tree) if called(node) in names)


def formatted_sql(tree: ast.AST) -> Iterator[ast.AST]:
    """SQL put together with a value in it."""
    for node in ast.walk(tree):
        if (
            called(node) in ("text", "sqlalchemy.text")
            and isinstance(node, ast.Call)
            and isinstance(node.args[0], ast.JoinedStr)
        ):
            yield node


Rule = Callable[[ast.AST], Iterator[ast.AST]]
# Each: its words, what it looks for, in which folders (none: all), and a line that breaks it.
RULES: list[tuple[str, Rule, tuple[str, ...], str]] = [
    ("no float in the core, storage and workflows", floats, (*CORE, "storage", "workflows"), "amount = float(text)"),
    ("no field of an API is a float", floats, ("api", "vendors"), "class Row:\n    total: float"),
    ("no float literal in the core", float_literals, CORE, "rate = 0.21"),
    ("only units/rounding.py rounds", rounding, (*CORE, "workflows", "vendors", "api"), "cents = round(amount * 100)"),
    ("a caller's number goes through parse_decimal", decimals_of_text, ("wire", "api", "vendors"), "amount = Decimal(text)"),
    (
        "the clock is read in one place",
        clocks,
        (*CORE, "storage", "workflows", "wire", "api", "vendors"),
        "now = time.time_ns()",
    ),
    ("json is read in wire/json.py", json_reads, (*CORE, "storage", "workflows", "wire", "api", "vendors"), "json.loads(body)"),
    ("chance comes from secrets", chance, (), "token = random.getrandbits(64)"),
    ("nothing runs a text", shells, (), "eval(body)"),
    ("no value stands in the text of SQL", formatted_sql, (), "text(f'SELECT {name}')"),
]


@pytest.mark.parametrize(("rule", "find", "folders", "breach"), RULES, ids=[rule for rule, *_ in RULES])
def test_rule(rule: str, find: Rule, folders: tuple[str, ...], breach: str) -> None:
    looked_at = [path for path in files(*folders) if (rule, str(path.relative_to(SRC))) not in ALLOWED]
    assert looked_at
    broken = [
        f"{path.relative_to(SRC)}:{node.lineno}: {ast.unparse(node)[:80]}"  # type: ignore[attr-defined]
        for path in looked_at
        for node in find(ast.parse(path.read_text("utf-8")))
    ]
    assert broken == []


@pytest.mark.parametrize(("rule", "find", "folders", "breach"), RULES, ids=[rule for rule, *_ in RULES])
def test_the_rule_can_see(rule: str, find: Rule, folders: tuple[str, ...], breach: str) -> None:
    """The negative control."""
    assert list(find(ast.parse(breach)))


def test_every_allowance_is_used() -> None:
    for rule, path in ALLOWED:
        [find] = [find for words, find, *_ in RULES if words == rule]
        assert list(find(ast.parse((SRC / path).read_text("utf-8")))), f"{path} no longer needs its allowance"
